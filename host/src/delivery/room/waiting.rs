//! Those who wait for a place at one host: how many may, and whose turn it is.
//!
//! Very-high mail comes first and has room of its own to wait. Below it the classes share the places that become
//! free by the same rule as everything else, and inside a class it is first come, first served. So that a class gets
//! its share it must be among those who wait: one of each class may always, and where there is no room for more, who
//! is more urgent sends the last one of the least urgent class away.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::Given;
use crate::message::{Class, ClassRule, ClassShares};

/// Those who wait.
#[derive(Default)]
pub(super) struct Waiting {
    shares: ClassShares,
    /// By class; index 0 is very high.
    queues: [VecDeque<oneshot::Sender<Given>>; Class::ALL.len()],
}

impl Waiting {
    /// Nobody waits, and the classes share by that rule.
    pub(super) fn new(rule: ClassRule) -> Self {
        Self {
            shares: ClassShares::new(rule),
            queues: Default::default(),
        }
    }

    /// Somebody waits from now on, beside at most so many with very-high mail, or so many below it and one more of each
    /// class. Who is sent away for him sees that nobody will give him anything. None when he has to go himself.
    pub(super) fn join(&mut self, class: Class, most: usize) -> Option<oneshot::Receiver<Given>> {
        for queue in &mut self.queues {
            queue.retain(|waiting| !waiting.is_closed());
        }
        let [very_high, below @ ..] = &self.queues;
        let has_room = match class {
            Class::VeryHigh => very_high.len() < most,
            _ => below.iter().map(VecDeque::len).sum::<usize>() < most,
        };
        if !has_room && !self.make_room_for(class) && !self.queues[class.index()].is_empty() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.queues[class.index()].push_back(sender);
        Some(receiver)
    }

    /// Sends away the last one of the least urgent class of which more than one waits, if that is a less urgent one.
    fn make_room_for(&mut self, class: Class) -> bool {
        if class == Class::VeryHigh {
            return false;
        }
        let less_urgent = self.queues[class.index() + 1..].iter_mut().rev();
        let mut crowded = less_urgent.filter(|queue| queue.len() > 1);
        crowded.next().and_then(VecDeque::pop_back).is_some()
    }

    /// Whose turn it is, among all or with very-high mail only.
    pub(super) fn next(&mut self, is_below_too: bool) -> Option<oneshot::Sender<Given>> {
        loop {
            let class = self.shares.choose(|class| {
                let may_go = class == Class::VeryHigh || is_below_too;
                may_go && !self.queues[class.index()].is_empty()
            })?;
            let next = self.queues[class.index()].pop_front();
            if let Some(next) = next.filter(|waiting| !waiting.is_closed()) {
                self.shares.serve(class, 1);
                return Some(next);
            }
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
    struct Line(Waiting, Vec<(usize, oneshot::Receiver<Given>)>);

    impl Line {
        fn new(rule: ClassRule) -> Self {
            Self(Waiting::new(rule), Vec::new())
        }

        /// Whether the one of that number may wait.
        fn join(&mut self, number: usize, class: Class, most: usize) -> bool {
            let receiver = self.0.join(class, most);
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
        let mut line = Line::new(ClassRule::default());
        for (number, class) in [Low, VeryLow, VeryLow, VeryLow].into_iter().enumerate() {
            assert!(line.join(number, class, 4));
        }
        assert!(!line.join(4, VeryLow, 4) && line.sent_away().is_empty());
        for (number, class, sent_away) in [(5, High, 3), (6, Low, 2), (7, High, 6)] {
            assert!(line.join(number, class, 4));
            assert_eq!(line.sent_away(), [sent_away]);
        }
        // Of each class one has stayed, and nobody gives way to his like.
        assert!(!line.join(8, Low, 4) && !line.join(8, High, 4) && line.sent_away().is_empty());
    }

    #[test]
    fn who_has_given_up_takes_no_room() {
        let mut line = Line::new(ClassRule::default());
        assert!(line.join(0, Low, 1) && !line.join(1, Low, 1));
        line.1.clear();
        assert!(line.join(1, Low, 1));
        line.1.clear();
        assert!(line.join(2, High, 1));
        assert_eq!(line.next(), Some(2));
        assert_eq!(line.next(), None);
    }

    #[test]
    fn one_of_each_class_may_always_wait() {
        let mut line = Line::new(ClassRule::default());
        for (number, class) in [High, High, Normal, Low, VeryLow].into_iter().enumerate() {
            assert!(line.join(number, class, 2), "{class:?}");
        }
        for class in [High, Normal, Low, VeryLow] {
            assert!(!line.join(9, class, 2), "{class:?}");
        }
        assert!(line.sent_away().is_empty());
        assert!(line.join(5, VeryHigh, 2) && line.join(6, VeryHigh, 2));
        assert!(!line.join(9, VeryHigh, 2));
    }

    #[test]
    fn very_high_goes_first_and_the_others_by_their_shares() {
        let mut line = Line::new(ClassRule::Weighted([3, 1, 1, 1]));
        let came = [VeryLow, VeryLow, High, High, High, High, VeryHigh];
        for (number, class) in came.into_iter().enumerate() {
            assert!(line.join(number, class, 10));
        }
        let order: Vec<usize> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(order, [6, 2, 0, 3, 4, 5, 1]);
        let mut line = Line::new(ClassRule::Strict);
        for (number, class) in came.into_iter().enumerate() {
            assert!(line.join(number, class, 10));
        }
        let order: Vec<usize> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(order, [6, 2, 3, 4, 5, 0, 1]);
    }
}
