//! The budget of very-high messages: a token bucket, and what of it is spent.
//!
//! A user with N an hour may send N at once; each that is spent comes back after an hour / N, so that in the long
//! run it is N an hour, and never more than twice N in any one hour. Arithmetic only: where it is kept, and that
//! nobody spends the same message twice, is the directory's business.

use std::time::Duration;

use crate::message::Timestamp;

/// After so long nothing that was spent before counts.
const HOUR: Duration = Duration::from_secs(3_600);

/// A message in parts, so that the arithmetic is exact: with N an hour, N parts come back in each millisecond.
const PARTS: u64 = 3_600_000;

/// What is spent of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How much was spent at `at`, in parts of messages.
    pub parts: u64,
    /// When the last message was spent.
    pub at: Timestamp,
}

impl Spent {
    /// How many messages are left at `now` of so many an hour.
    pub fn left(self, per_hour: u32, now: Timestamp) -> u32 {
        let (parts, _) = self.parts_at(per_hour, now);
        let left = capacity(per_hour).saturating_sub(parts) / PARTS;
        u32::try_from(left).unwrap_or(per_hour)
    }

    /// What is spent after one more; none when there is none left.
    pub fn with_one_more(self, per_hour: u32, now: Timestamp) -> Option<Spent> {
        let (parts, at) = self.parts_at(per_hour, now);
        let parts = parts.saturating_add(PARTS);
        (parts <= capacity(per_hour)).then_some(Spent { parts, at })
    }

    /// What is spent without the one that was spent at `taken` and not used. What has come back of it already
    /// is not given back once more.
    pub fn without_one(self, taken: Timestamp, per_hour: u32, now: Timestamp) -> Spent {
        let (parts, at) = self.parts_at(per_hour, now);
        let back = PARTS.saturating_sub(coming_back(per_hour, taken, now));
        Spent {
            parts: parts.saturating_sub(back),
            at,
        }
    }

    /// What is still spent at `now`, and from when on more comes back.
    ///
    /// A clock that goes back gives nothing twice: nothing comes back until it is where it was. One that goes back by
    /// more than an hour had been wrong, and the hour begins anew.
    fn parts_at(self, per_hour: u32, now: Timestamp) -> (u64, Timestamp) {
        if self.at > now {
            let was_wrong = self.at.since(now) > HOUR;
            return (self.parts, if was_wrong { now } else { self.at });
        }
        let back = coming_back(per_hour, self.at, now);
        (self.parts.saturating_sub(back), now)
    }
}

/// What comes back from one moment to another, in parts.
fn coming_back(per_hour: u32, from: Timestamp, to: Timestamp) -> u64 {
    let milliseconds = u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX);
    milliseconds.saturating_mul(per_hour.into())
}

fn capacity(per_hour: u32) -> u64 {
    u64::from(per_hour) * PARTS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::account::VERY_HIGH_PER_HOUR_MAX;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(1_700_000_000_000 + milliseconds)
    }

    /// Spends as much as there is at once; how much that was.
    fn spend_all(spent: &mut Spent, per_hour: u32, now: Timestamp) -> u32 {
        let mut count = 0;
        while let Some(after) = spent.with_one_more(per_hour, now) {
            *spent = after;
            count += 1;
        }
        count
    }

    #[test]
    fn as_many_as_an_hour_has_go_at_once_and_come_back_evenly() {
        let mut spent = Spent::default();
        assert_eq!(spent.left(6, at(0)), 6);
        assert_eq!(spend_all(&mut spent, 6, at(0)), 6);
        // Minutes later, and how many are left then.
        for (minutes, left) in [
            (0, 0),
            (9, 0),
            (10, 1),
            (19, 1),
            (20, 2),
            (59, 5),
            (60, 6),
            (600, 6),
        ] {
            assert_eq!(spent.left(6, at(minutes * 60_000)), left, "{minutes}");
        }
        assert_eq!(spent.left(6, at(599_999)), 0, "not a millisecond early");
        assert_eq!(spend_all(&mut spent, 6, at(600_000)), 1);
    }

    #[test]
    fn numbers_that_do_not_divide_an_hour_lose_nothing() {
        for per_hour in [1, 7, 11, 999, VERY_HIGH_PER_HOUR_MAX] {
            let mut spent = Spent::default();
            assert_eq!(spend_all(&mut spent, per_hour, at(0)), per_hour);
            assert_eq!(spent.left(per_hour, at(3_599_999)), per_hour - 1);
            assert_eq!(spend_all(&mut spent, per_hour, at(3_600_000)), per_hour);
        }
    }

    #[test]
    fn another_budget_keeps_what_is_spent() {
        let mut spent = Spent::default();
        spend_all(&mut spent, 10, at(0));
        assert_eq!(spent.left(12, at(0)), 2);
        assert_eq!(spent.left(5, at(0)), 0);
        assert_eq!(
            spent.left(5, at(3_600_000)),
            0,
            "ten come back at five an hour"
        );
        assert_eq!(spent.left(5, at(7_200_000)), 5);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_one_that_was_wrong_stops_nobody_for_long() {
        let mut spent = Spent::default();
        spend_all(&mut spent, 2, at(HOUR_MILLISECONDS * 10));
        let back = at(HOUR_MILLISECONDS * 10 - 60_000);
        assert_eq!(spent.left(2, back), 0);
        let then = at(HOUR_MILLISECONDS * 10 + HOUR_MILLISECONDS / 2);
        assert_eq!(spent.left(2, then), 1, "as if it had not gone back");
        // A day back: something comes back within the hour that begins with the next message.
        let mut spent = Spent {
            at: at(HOUR_MILLISECONDS * 24),
            ..Spent::default()
        };
        assert_eq!(spend_all(&mut spent, 2, at(0)), 2);
        assert_eq!(spent.left(2, at(HOUR_MILLISECONDS / 2)), 1);
    }

    const HOUR_MILLISECONDS: u64 = 3_600_000;

    proptest! {
        /// Whatever is asked when, no stretch of time has more than was saved up at its beginning and what comes
        /// back during it.
        #[test]
        fn no_stretch_of_time_has_more_than_its_share(
            per_hour in 1_u32..50,
            waits in prop::collection::vec(0_u64..900_000, 1..200),
        ) {
            let (mut spent, mut now) = (Spent::default(), 0);
            let mut taken = Vec::new();
            for wait in waits {
                now += wait;
                let left = spent.left(per_hour, at(now));
                let after = spent.with_one_more(per_hour, at(now));
                prop_assert_eq!(after.is_some(), left > 0);
                if let Some(after) = after {
                    spent = after;
                    taken.push(now);
                    prop_assert_eq!(spent.left(per_hour, at(now)), left - 1);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let most = u64::from(per_hour) + (to - from) * u64::from(per_hour) / PARTS;
                    prop_assert!((last - first + 1) as u64 <= most, "{from} to {to}");
                }
            }
        }

        /// One that was not used is given back, and never more than that, whatever happened in between.
        #[test]
        fn what_is_given_back_is_as_if_it_had_not_been_taken(
            per_hour in 1_u32..50,
            before in prop::collection::vec(0_u64..900_000, 0..50),
            between in prop::collection::vec(0_u64..900_000, 0..10),
        ) {
            let (mut spent, mut now) = (Spent::default(), 0);
            for wait in before {
                now += wait;
                spent = spent.with_one_more(per_hour, at(now)).unwrap_or(spent);
            }
            let (without, taken) = (spent, at(now));
            if let Some(with) = spent.with_one_more(per_hour, taken) {
                let left = with.without_one(taken, per_hour, taken).left(per_hour, taken);
                prop_assert_eq!(left, without.left(per_hour, taken));
                let (mut with, mut without) = (with, without);
                for wait in between {
                    now += wait;
                    if let Some(after) = with.with_one_more(per_hour, at(now)) {
                        with = after;
                        without = without.with_one_more(per_hour, at(now)).unwrap();
                    }
                }
                let back = with.without_one(taken, per_hour, at(now));
                let (back, without) = (back.left(per_hour, at(now)), without.left(per_hour, at(now)));
                prop_assert!(back <= without && back >= with.left(per_hour, at(now)));
            }
        }
    }
}
