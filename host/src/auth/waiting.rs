//! Verifications that wait for a hashing thread: how many, in which order, and who gives way.
//!
//! Anybody can ask for a verification, and each costs 30 ms of a processor. In order of arrival, three
//! networks that guess without pause made a login from elsewhere wait for 9 s, and four kept it out. So
//! each has a rank, the guesses that it has to answer for: a smaller one goes first, the first come first
//! among equals, and whoever comes last in that order gives way when there is no room. Among equals that is
//! told at once; lots would let no more of them through and tell them later. What has waited for too long is
//! turned away, so that nobody waits for ever behind those that keep coming.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Longest wait. In 10 s a thread computes twice as many as wait at most; clients wait for minutes.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What waits, in order of arrival. Looking for the next costs nothing beside a hash.
pub(super) struct Waiting<T> {
    items: VecDeque<Item<T>>,
    items_max: usize,
}

struct Item<T> {
    rank: u32,
    since: Instant,
    what: T,
}

impl<T> Waiting<T> {
    pub(super) fn new(items_max: usize) -> Self {
        Self {
            items: VecDeque::new(),
            items_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
    }

    /// Adds one; what has to give way for lack of room, which may be the same.
    pub(super) fn push(&mut self, rank: u32, since: Instant, what: T) -> Option<T> {
        self.items.push_back(Item { rank, since, what });
        if self.items.len() <= self.items_max {
            return None;
        }
        // The last of the largest rank.
        let ranks = self.items.iter().map(|item| item.rank).enumerate();
        let last = ranks.max_by_key(|(_, rank)| *rank)?.0;
        self.items.remove(last).map(|item| item.what)
    }

    /// Takes the next: the first of the smallest rank.
    pub(super) fn pop(&mut self) -> Option<T> {
        let ranks = self.items.iter().map(|item| item.rank).enumerate();
        let next = ranks.min_by_key(|(_, rank)| *rank)?.0;
        self.items.remove(next).map(|item| item.what)
    }

    /// Takes one that has waited for too long.
    pub(super) fn pop_late(&mut self, now: Instant) -> Option<T> {
        let first = self.items.front()?;
        let is_late = now.saturating_duration_since(first.since) >= WAIT_MAX;
        is_late
            .then(|| self.items.pop_front())?
            .map(|item| item.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_rank_goes_first_and_the_last_gives_way() {
        let now = Instant::now();
        let mut waiting = Waiting::new(4);
        for (rank, what, turned_away) in [
            (5, "a", None),
            (0, "b", None),
            (5, "c", None),
            (3, "d", None),
            (7, "e", Some("e")),
            (5, "f", Some("f")),
            (0, "g", Some("c")),
            (1, "h", Some("a")),
        ] {
            assert_eq!(waiting.push(rank, now, what), turned_away, "{what}");
        }
        let order: Vec<_> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(order, ["b", "g", "h", "d"]);
        assert_eq!(Waiting::new(0).push(0, now, "a"), Some("a"));
    }

    #[test]
    fn nobody_waits_for_ever_behind_those_that_keep_coming() {
        let (begin, mut waiting) = (Instant::now(), Waiting::new(10));
        assert_eq!(waiting.push(9, begin, "guesser"), None);
        let later = begin + WAIT_MAX / 2;
        assert_eq!(waiting.push(0, later, "login"), None);
        assert_eq!(waiting.pop_late(later), None);
        assert_eq!(waiting.pop_late(begin + WAIT_MAX), Some("guesser"));
        assert_eq!(waiting.pop_late(begin + WAIT_MAX), None);
        assert_eq!(waiting.pop(), Some("login"));
    }
}
