//! The ready lines of one class: what of each could be claimed from now, and which is first.
//!
//! A lane in which few users wait offers the lines of all of them. Those stand by user: the users in turn, and inside a user
//! its lines in order. When a user is served it alone takes another place, in however many lanes it has lines; so one
//! that writes to ten thousand domains costs what one does that writes to one. A lane in which many wait offers the *front*
//! alone, the first one by the ranks that were known when it was looked at last: to offer and withdraw a thousand lines
//! each time it has room would cost more. A front whose user has been served since has a rank that is at least as good as it
//! should be, and is looked at anew when it comes first. As many wait in its lane, few fronts are of one user.
//!
//! Arithmetic only. Which lane offers what is the scheduler's business.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Ranked;
use crate::message::{Line, Roster};
use crate::queue::order::{Order, Place, Rank};

/// What can be claimed from.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// Each user once, with the rank of its first line as it was known last: never worse than it is.
    users: BTreeSet<(Rank, Arc<str>)>,
    of_user: HashMap<Arc<str>, Group>,
    fronts: BTreeSet<Ranked>,
}

/// The lines of one user.
#[derive(Debug)]
struct Group {
    /// Its key among the users.
    rank: Rank,
    lines: Roster<(Place, Arc<Line>)>,
}

/// What is first, as far as that is known.
pub(super) enum First<'a> {
    /// This line.
    Line(&'a Arc<Line>),
    /// A front, which is to be looked at if its rank is not this one any more.
    Front(Rank, &'a Arc<Line>),
}

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        self.of_user.is_empty() && self.fronts.is_empty()
    }

    /// A line is offered with all others of its lane.
    pub(super) fn offer(&mut self, order: &Order, line: &Arc<Line>, place: Place) {
        let user = &line.user;
        if let Some(group) = self.of_user.get_mut(user) {
            let first = group.lines.first();
            let is_first = first.is_some_and(|((first, _), ())| place < *first);
            group.lines.insert((place, Arc::clone(line)), ());
            if is_first {
                self.rank_anew(user, |first| order.rank(line, first));
            }
            return;
        }
        let (user, rank) = (Arc::clone(user), order.rank(line, place));
        let mut lines = Roster::default();
        lines.insert((place, Arc::clone(line)), ());
        self.users.insert((rank, Arc::clone(&user)));
        self.of_user.insert(user, Group { rank, lines });
    }

    /// A line is offered no more.
    pub(super) fn withdraw(&mut self, order: &Order, line: &Arc<Line>, place: Place) {
        let user = &line.user;
        let Some(group) = self.of_user.get_mut(user) else {
            return;
        };
        let entry = (place, Arc::clone(line));
        let was_first = group.lines.first() == Some((&entry, &()));
        group.lines.remove(&entry);
        if group.lines.is_empty() {
            if let Some((user, group)) = self.of_user.remove_entry(user) {
                self.users.remove(&(group.rank, user));
            }
        } else if was_first {
            self.rank_anew(user, |first| order.rank(line, first));
        }
    }

    /// A line is offered as the front of its lane.
    pub(super) fn offer_front(&mut self, front: &Ranked) {
        self.fronts.insert(front.clone());
    }

    /// It is no more.
    pub(super) fn withdraw_front(&mut self, front: &Ranked) {
        self.fronts.remove(front);
    }

    /// The first one.
    pub(super) fn first(&mut self, order: &Order) -> Option<First<'_>> {
        while let Some((known, user)) = self.users.first() {
            let line = self.first_of(user).map(|(_, line)| line)?;
            let rank = order.rank(line, known.place);
            if rank == *known {
                break;
            }
            // It has been served since.
            let user = Arc::clone(user);
            self.rank_anew(&user, |_| rank);
        }
        let grouped = self.users.first();
        let front = self.fronts.first();
        match (grouped, front) {
            (Some((rank, user)), front) if front.is_none_or(|(of, _)| rank < of) => {
                let (_, line) = self.first_of(user)?;
                Some(First::Line(line))
            }
            (_, front) => front.map(|(rank, line)| First::Front(*rank, line)),
        }
    }

    fn first_of(&self, user: &str) -> Option<&(Place, Arc<Line>)> {
        self.of_user.get(user)?.lines.keys().next()
    }

    /// Gives a user its place by the rank of the first of its lines.
    fn rank_anew(&mut self, user: &str, rank: impl FnOnce(Place) -> Rank) {
        let Some((user, mut group)) = self.of_user.remove_entry(user) else {
            return;
        };
        let first = group.lines.first().map(|((first, _), ())| *first);
        if let Some(first) = first {
            let key = (group.rank, user);
            self.users.remove(&key);
            let user = key.1;
            group.rank = rank(first);
            self.users.insert((group.rank, Arc::clone(&user)));
            self.of_user.insert(user, group);
        }
    }
}
