//! Those who wait for capacity, in the order in which they get it.
//!
//! Very high by acceptance, the other classes by their shares, inside a class the users in turn, and the sends of one
//! user in the order in which they asked. Arithmetic only; how much there is, is known to the bucket.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::message::{Class, ClassRule, ClassShares, Turns};

/// The name of a send at the gate.
pub(super) type SendId = u64;

/// A send that asks for capacity.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) id: SendId,
    pub(super) class: Class,
    pub(super) user: Arc<str>,
    /// Among the very-high ones the order of acceptance; among others of one user the order of asking.
    pub(super) place: u64,
}

/// The turn of a user as it was when the send asked, its place, and whose it is.
type Ranked = (u64, u64, SendId);

/// Sends that wait for capacity.
#[derive(Debug, Default)]
pub(super) struct Queue {
    classes: ClassShares,
    users: [Turns<Arc<str>>; 5],
    waiting: [BTreeSet<Ranked>; 5],
    asking: HashMap<SendId, (Asking, Ranked)>,
}

impl Queue {
    /// Nobody waits, and classes share by that rule.
    pub(super) fn new(rule: ClassRule) -> Self {
        Self {
            classes: ClassShares::new(rule),
            ..Self::default()
        }
    }

    /// Goes on by another rule.
    pub(super) fn follow(&mut self, rule: ClassRule) {
        self.classes.follow(rule);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.asking.is_empty()
    }

    /// Whether a send waits.
    pub(super) fn has(&self, id: SendId) -> bool {
        self.asking.contains_key(&id)
    }

    /// A send that does not wait yet does from now on.
    pub(super) fn join(&mut self, asking: Asking) {
        let ranked = self.rank(&asking);
        self.waiting[asking.class.index()].insert(ranked);
        self.asking.insert(asking.id, (asking, ranked));
    }

    /// A send waits no longer.
    pub(super) fn leave(&mut self, id: SendId) {
        if let Some((asking, ranked)) = self.asking.remove(&id) {
            self.waiting[asking.class.index()].remove(&ranked);
        }
    }

    /// Who is next.
    pub(super) fn first(&mut self) -> Option<SendId> {
        let class = self
            .classes
            .choose(|class| !self.waiting[class.index()].is_empty())?;
        loop {
            let first = *self.waiting[class.index()].first()?;
            let (asking, _) = self.asking.get(&first.2)?;
            let ranked = self.rank(asking);
            if ranked == first {
                return Some(first.2);
            }
            // Its user has been served since it asked.
            self.waiting[class.index()].remove(&first);
            self.waiting[class.index()].insert(ranked);
            if let Some((_, known)) = self.asking.get_mut(&first.2) {
                *known = ranked;
            }
        }
    }

    /// Somebody of a class and user sends so much, whether he has waited or not.
    pub(super) fn serve(&mut self, class: Class, user: &Arc<str>, octets: usize) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.classes.serve(class, octets);
        if class != Class::VeryHigh {
            self.users[class.index()].serve(user, octets);
        }
    }

    fn rank(&self, asking: &Asking) -> Ranked {
        let turn = match asking.class {
            Class::VeryHigh => 0,
            class => self.users[class.index()].start(&*asking.user),
        };
        (turn, asking.place, asking.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(id: SendId, class: Class, user: &str) -> Asking {
        Asking {
            id,
            class,
            user: user.into(),
            place: id,
        }
    }

    /// Serves one octet at a time to sends that go on asking.
    fn served(queue: &mut Queue, sends: &[Asking], times: usize) -> Vec<SendId> {
        for send in sends {
            queue.join(send.clone());
        }
        let mut order = Vec::new();
        for place in (1_000..).take(times) {
            let id = queue.first().expect("they go on asking");
            let send = sends
                .iter()
                .find(|send| send.id == id)
                .expect("one of them");
            queue.leave(id);
            queue.serve(send.class, &send.user, 1);
            queue.join(Asking {
                place: match send.class {
                    Class::VeryHigh => send.place,
                    _ => place,
                },
                ..send.clone()
            });
            order.push(id);
        }
        order
    }

    #[test]
    fn very_high_goes_first_and_by_acceptance() {
        let sends = [
            asking(1, Class::High, "a"),
            asking(3, Class::VeryHigh, "a"),
            asking(2, Class::VeryHigh, "b"),
        ];
        let mut queue = Queue::default();
        assert_eq!(served(&mut queue, &sends, 3), [2, 2, 2]);
        queue.leave(2);
        assert_eq!(queue.first(), Some(3));
        queue.leave(3);
        assert_eq!(queue.first(), Some(1));
    }

    #[test]
    fn users_of_a_class_take_turns_and_so_do_the_sends_of_one() {
        let sends = [
            asking(1, Class::Normal, "bulk"),
            asking(2, Class::Normal, "bulk"),
            asking(3, Class::Normal, "bulk"),
            asking(4, Class::Normal, "single"),
        ];
        let order = served(&mut Queue::default(), &sends, 12);
        let of = |id: SendId| order.iter().filter(|it| **it == id).count();
        assert_eq!([1, 2, 3, 4].map(of), [2, 2, 2, 6]);
    }

    #[test]
    fn classes_share_octets_by_weight() {
        let sends: Vec<_> = (2..=5)
            .map(|number| {
                asking(
                    number,
                    Class::from_number(number as u8).expect("a class"),
                    "a",
                )
            })
            .collect();
        let order = served(&mut Queue::default(), &sends, 1_500);
        let of = |id: SendId| order.iter().filter(|it| **it == id).count();
        assert_eq!([2, 3, 4, 5].map(of), [800, 400, 200, 100]);
    }
}
