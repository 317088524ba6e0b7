//! Those who wait for a place at one host: how many may, and whose turn it is.
//!
//! Very-high mail comes first and has room of its own to wait. Below it the classes share the places that become
//! free by the same rule as everything else, and inside a class the users take turns, as in the queue: lanes that have
//! something under way here come again at once, and would be served for ever before one that has nothing. Whoever is to be
//! served must be among those who wait. So one of each class may always, and where there is no room for more, who is more
//! urgent sends one of the least urgent class away, and whose turn is before that of others of its class the last of those.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

use super::Given;
use crate::message::{Class, ClassRule, ClassShares, Turns};

/// Those who wait.
#[derive(Default)]
pub(super) struct Waiting {
    shares: ClassShares,
    classes: [OfClass; Class::ALL.len()],
}

/// Those of one class, in the order in which they came.
#[derive(Default)]
struct OfClass {
    /// Those of very high take none: nobody of them is ever ahead.
    turns: Turns<String>,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    user: String,
    gets: oneshot::Sender<Given>,
}

impl Waiting {
    /// Nobody waits, and the classes share by that rule.
    pub(super) fn new(rule: ClassRule) -> Self {
        Self {
            shares: ClassShares::new(rule),
            classes: Default::default(),
        }
    }

    /// Somebody waits from now on with mail of a user, beside at most so many with very-high mail, or so many below it and one
    /// more of each class. Who is sent away for him sees that nobody will give him anything. None when he has to go himself.
    pub(super) fn join(
        &mut self,
        class: Class,
        user: &str,
        most: usize,
    ) -> Option<oneshot::Receiver<Given>> {
        for of_class in &mut self.classes {
            of_class.waiting.retain(|waiter| !waiter.gets.is_closed());
        }
        let [very_high, below @ ..] = &self.classes;
        let has_room = match class {
            Class::VeryHigh => very_high.waiting.len() < most,
            _ => below.iter().map(|of| of.waiting.len()).sum::<usize>() < most,
        };
        let is_first_of_class = self.classes[class.index()].waiting.is_empty();
        if !has_room && !self.make_room_for(class, user) && !is_first_of_class {
            return None;
        }
        let (gets, receiver) = oneshot::channel();
        let user = user.to_owned();
        let of_class = &mut self.classes[class.index()];
        of_class.waiting.push_back(Waiter { user, gets });
        Some(receiver)
    }

    /// Sends somebody away who has less of a claim to wait, if there is one.
    fn make_room_for(&mut self, class: Class, user: &str) -> bool {
        if class == Class::VeryHigh {
            return false;
        }
        let from_own = self.classes[class.index()..].split_first_mut();
        let Some((own, less_urgent)) = from_own else {
            return false;
        };
        let mut less_urgent = less_urgent.iter_mut().rev();
        if let Some(crowd) = less_urgent.find(|of| of.waiting.len() > 1) {
            return crowd.send_last_away(|_| true);
        }
        let turn = own.turn_behind(user);
        own.send_last_away(|last| turn < last)
    }

    /// Whose turn it is, among all or with very-high mail only.
    pub(super) fn next(&mut self, is_below_too: bool) -> Option<oneshot::Sender<Given>> {
        loop {
            let class = self.shares.choose(|class| {
                let may_go = class == Class::VeryHigh || is_below_too;
                may_go && !self.classes[class.index()].waiting.is_empty()
            })?;
            let of_class = &mut self.classes[class.index()];
            let next = of_class.pop()?;
            if !next.gets.is_closed() {
                self.shares.serve(class, 1);
                if class != Class::VeryHigh {
                    of_class.turns.serve(&next.user, 1);
                }
                return Some(next.gets);
            }
        }
    }
}

impl OfClass {
    /// Takes out the first one: whose user's turn comes first, and of those who came first.
    fn pop(&mut self) -> Option<Waiter> {
        let turn = |waiter: &Waiter| self.turns.start(waiter.user.as_str());
        let turns = self.waiting.iter().map(turn).enumerate();
        let (first, _) = turns.min_by_key(|(_, turn)| *turn)?;
        self.waiting.remove(first)
    }

    /// In whose turn one more of a user would be served: behind those of his who wait.
    fn turn_behind(&self, user: &str) -> u64 {
        let his = self.waiting.iter().filter(|waiter| waiter.user == user);
        self.turns.start(user) + his.count() as u64
    }

    /// Sends away the one whose turn comes last, if that is so late.
    fn send_last_away(&mut self, is_meant: impl FnOnce(u64) -> bool) -> bool {
        let mut before: HashMap<&str, u64> = HashMap::new();
        let mut last = None;
        for (index, waiter) in self.waiting.iter().enumerate() {
            let user = waiter.user.as_str();
            let before = before.entry(user).or_default();
            let turn = self.turns.start(user) + *before;
            *before += 1;
            last = last.max(Some((turn, index)));
        }
        match last {
            Some((turn, index)) if is_meant(turn) => self.waiting.remove(index).is_some(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use Class::{High, Low, Normal, VeryHigh, VeryLow};
    use oneshot::error::TryRecvError;

    use super::*;

    /// Who waits, in the order in which they came.
    struct Crowd(Waiting, Vec<(usize, oneshot::Receiver<Given>)>);

    impl Crowd {
        fn new(rule: ClassRule) -> Self {
            Self(Waiting::new(rule), Vec::new())
        }

        /// Whether the one of that number may wait.
        fn join(&mut self, number: usize, class: Class, most: usize) -> bool {
            self.join_of("app", number, class, most)
        }

        fn join_of(&mut self, user: &str, number: usize, class: Class, most: usize) -> bool {
            let receiver = self.0.join(class, user, most);
            let may_wait = receiver.is_some();
            self.1.extend(receiver.map(|receiver| (number, receiver)));
            may_wait
        }

        /// Those who were sent away.
        fn sent_away(&mut self) -> Vec<usize> {
            let is_gone = |receiver: &mut oneshot::Receiver<Given>| {
                matches!(receiver.try_recv(), Err(TryRecvError::Closed))
            };
            let gone = self.1.extract_if(.., |(_, receiver)| is_gone(receiver));
            gone.map(|(number, _)| number).collect()
        }

        /// The number of the one whose turn it is.
        fn next(&mut self) -> Option<usize> {
            // He hears that nothing comes after all.
            drop(self.0.next(true)?);
            self.sent_away().first().copied()
        }
    }

    #[test]
    fn who_is_more_urgent_takes_the_room_of_the_last_of_the_least_urgent() {
        let mut crowd = Crowd::new(ClassRule::default());
        for (number, class) in [Low, VeryLow, VeryLow, VeryLow].into_iter().enumerate() {
            assert!(crowd.join(number, class, 4));
        }
        assert!(!crowd.join(4, VeryLow, 4) && crowd.sent_away().is_empty());
        for (number, class, sent_away) in [(5, High, 3), (6, Low, 2), (7, High, 6)] {
            assert!(crowd.join(number, class, 4));
            assert_eq!(crowd.sent_away(), [sent_away]);
        }
        // Of each class one has stayed, and nobody gives way to his like.
        assert!(!crowd.join(8, Low, 4) && !crowd.join(8, High, 4) && crowd.sent_away().is_empty());
    }

    #[test]
    fn who_has_given_up_takes_no_room() {
        let mut crowd = Crowd::new(ClassRule::default());
        assert!(crowd.join(0, Low, 1) && !crowd.join(1, Low, 1));
        crowd.1.clear();
        assert!(crowd.join(1, Low, 1));
        crowd.1.clear();
        assert!(crowd.join(2, High, 1));
        assert_eq!(crowd.next(), Some(2));
        assert_eq!(crowd.next(), None);
    }

    #[test]
    fn one_of_each_class_may_always_wait() {
        let mut crowd = Crowd::new(ClassRule::default());
        for (number, class) in [High, High, Normal, Low, VeryLow].into_iter().enumerate() {
            assert!(crowd.join(number, class, 2), "{class:?}");
        }
        for class in [High, Normal, Low, VeryLow] {
            assert!(!crowd.join(9, class, 2), "{class:?}");
        }
        assert!(crowd.sent_away().is_empty());
        assert!(crowd.join(5, VeryHigh, 2) && crowd.join(6, VeryHigh, 2));
        assert!(!crowd.join(9, VeryHigh, 2));
    }

    #[test]
    fn very_high_goes_first_and_the_others_by_their_shares() {
        let mut crowd = Crowd::new(ClassRule::Weighted([3, 1, 1, 1]));
        let came = [VeryLow, VeryLow, High, High, High, High, VeryHigh];
        for (number, class) in came.into_iter().enumerate() {
            assert!(crowd.join(number, class, 10));
        }
        let order: Vec<usize> = std::iter::from_fn(|| crowd.next()).collect();
        assert_eq!(order, [6, 2, 0, 3, 4, 5, 1]);
        let mut crowd = Crowd::new(ClassRule::Strict);
        for (number, class) in came.into_iter().enumerate() {
            assert!(crowd.join(number, class, 10));
        }
        let order: Vec<usize> = std::iter::from_fn(|| crowd.next()).collect();
        assert_eq!(order, [6, 2, 3, 4, 5, 0, 1]);
    }

    #[test]
    fn users_take_turns_and_one_with_much_leaves_room_for_another() {
        let mut crowd = Crowd::new(ClassRule::default());
        for number in 0..4 {
            assert!(crowd.join_of("news", number, Low, 4));
        }
        assert!(!crowd.join_of("news", 4, Low, 4) && crowd.sent_away().is_empty());
        for (user, number, sent_away) in [("app", 5, 3), ("web", 6, 2)] {
            assert!(crowd.join_of(user, number, Low, 4));
            assert_eq!(crowd.sent_away(), [sent_away]);
        }
        assert!(!crowd.join_of("news", 7, Low, 4) && !crowd.join_of("app", 7, Low, 4));
        let order: Vec<usize> = std::iter::from_fn(|| crowd.next()).collect();
        assert_eq!(order, [0, 5, 6, 1]);
        // Who has just been served gives way to one who has not, though neither has more than one here.
        for (user, number) in [("app", 0), ("web", 1)] {
            assert!(crowd.join_of(user, number, Low, 2));
        }
        assert_eq!(crowd.next(), Some(0));
        assert!(crowd.join_of("app", 2, Low, 2) && crowd.join_of("new", 3, Low, 2));
        assert_eq!(crowd.sent_away(), [2]);
        let order: Vec<usize> = std::iter::from_fn(|| crowd.next()).collect();
        assert_eq!(order, [1, 3]);
    }
}
