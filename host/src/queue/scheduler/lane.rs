//! One lane: what is due and under way in it, whether there is room for more, and what of it is ready.

use std::sync::Arc;

use super::{ByClass, Limits, Ranked};
use crate::message::{Class, Line, Roster, Timestamp};
use crate::queue::order::{Order, Rank};
use crate::queue::rate::Rate;
use crate::queue::reach::{Answer, Reach};

/// Deliveries under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) all: usize,
    /// Those below very high.
    pub(super) below: usize,
}

impl Active {
    pub(super) fn begins(&mut self, class: Class) {
        self.all += 1;
        self.below += usize::from(class != Class::VeryHigh);
    }

    pub(super) fn ends(&mut self, class: Class) {
        self.all = self.all.saturating_sub(1);
        let below = usize::from(class != Class::VeryHigh);
        self.below = self.below.saturating_sub(below);
    }

    /// Whether another one of a class may begin where so many may be under way, and so many of them are kept free
    /// for very high.
    pub(super) fn has_room(self, class: Class, max: usize, very_high_slots: usize) -> bool {
        let most_below = max.saturating_sub(very_high_slots);
        self.all < max && (class == Class::VeryHigh || self.below < most_below)
    }
}

/// What is due and under way in one lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) active: Active,
    pub(super) reach: Reach,
    /// What the last attempt that reached nothing was told.
    pub(super) answer: Option<Arc<Answer>>,
    /// Until when it is closed though its next hop can be reached.
    pub(super) paced_until: Option<Timestamp>,
    pub(super) rest: Option<Rest>,
    /// Until when it is known that its last attempts reached nothing, though it has no mail.
    pub(super) remembered_until: Option<Timestamp>,
    /// Whether what is due may go elsewhere, so that it is looked at though there is no room for it.
    pub(super) is_looked_through: bool,
    /// How fast its deliveries end.
    pub(super) rate: Rate,
    pub(super) due: ByClass<Roster<Ranked>>,
    /// What of it is in [`ready`](super::Scheduler::ready).
    pub(super) offers: ByClass<Offer>,
}

/// Which of the due lines of a lane and class are ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Offer {
    #[default]
    Nothing,
    /// The first one. In a box, since most lanes have none.
    Front(Box<Ranked>),
    /// All of them.
    All,
}

/// A lane had more deliveries under way than there was room for at its host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) until: Timestamp,
    /// As many had room, or wait for it: one that ends makes room for another one.
    pub(super) active_max: usize,
    /// The most urgent class that gave way: what is above it goes first at the host, and may find room.
    pub(super) from: Class,
}

impl Rest {
    /// Whether nothing more of a class goes there for the moment, beside so many that are under way.
    pub(super) fn keeps_back(&self, class: Class, active: usize) -> bool {
        class >= self.from && active >= self.active_max
    }
}

impl Lane {
    /// Whether another delivery of `class` that has been due since `due` may be claimed from this lane.
    pub(super) fn has_room(&self, class: Class, due: Timestamp, limits: &Limits) -> bool {
        self.is_looked_through || self.has_free_place(class, due, limits)
    }

    /// Whether it may start, too.
    pub(super) fn has_free_place(&self, class: Class, due: Timestamp, limits: &Limits) -> bool {
        let Limits {
            per_next_hop_max,
            very_high_slots_per_next_hop: very_high_slots,
            ..
        } = *limits;
        let all = self.active.all;
        let is_free = self.paced_until.is_none()
            && !self.rest.is_some_and(|rest| rest.keeps_back(class, all))
            && self
                .active
                .has_room(class, per_next_hop_max, very_high_slots);
        (is_free || self.reach.is_told(due))
            && self
                .reach
                .has_room(all, per_next_hop_max, due, || first_due(&self.due))
    }

    /// Whether nothing is to be known of it any more. That it is shut is, until the wait is over: more may come in at the
    /// rate at which it is told that nobody is there.
    pub(super) fn is_idle(&self) -> bool {
        self.active.all == 0
            && self.reach.shut_until().is_none()
            && self.paced_until.is_none()
            && self.rest.is_none()
            && self.remembered_until.is_none()
            && self.due.iter().all(Roster::is_empty)
    }

    /// What it can offer of a class now: nothing without room, all lines where at most so many are due, else the first. A line
    /// whose rank is found to be another one is told.
    pub(super) fn offer(
        &mut self,
        class: Class,
        order: &Order,
        limits: &Limits,
        offered_max: usize,
        mut reranked: impl FnMut(Arc<Line>, Rank),
    ) -> Offer {
        let index = class.index();
        // Not back and forth with each line that comes and goes.
        let all_max = match self.offers[index] {
            Offer::All => offered_max,
            Offer::Nothing | Offer::Front(_) => offered_max.div_ceil(2),
        };
        let is_telling = self.reach.is_telling();
        if !is_telling && self.due[index].len() <= all_max {
            // Whether there is room for one is no matter of which it is.
            let first = self.due[index].first();
            let first = first.map(|((rank, _), ())| rank.place.due);
            match first.is_some_and(|due| self.has_room(class, due, limits)) {
                true => Offer::All,
                false => Offer::Nothing,
            }
        } else {
            // Those in front whose users have been served since take the ranks that they have now.
            while let Some(((known, line), ())) = self.due[index].first() {
                let rank = order.rank(line, known.place);
                if rank == *known {
                    break;
                }
                if let Some(((_, line), ())) = self.due[index].pop_first() {
                    reranked(line.clone(), rank);
                    self.due[index].insert((rank, line), ());
                }
            }
            let first = match is_telling {
                // Whoever is to be told goes before those who wait for that, whoever's turn it is.
                true => self.due[index].keys().min_by_key(|(rank, _)| rank.place),
                false => self.due[index].keys().next(),
            };
            let has_room = |first: &&Ranked| self.has_room(class, first.0.place.due, limits);
            first.filter(has_room).map_or(Offer::Nothing, |front| {
                Offer::Front(Box::new(front.clone()))
            })
        }
    }
}

/// Since when the first of those that are due has been. Looks at all of them: only who asks a lane that cannot be reached
/// needs it.
pub(super) fn first_due(due: &ByClass<Roster<Ranked>>) -> Option<Timestamp> {
    let all = due.iter().flat_map(Roster::keys);
    all.map(|(rank, _)| rank.place.due).min()
}
