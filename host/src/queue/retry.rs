//! Retry times: when a deferred delivery is tried again, and when we give up.
//!
//! Arithmetic only. Settlement decides *whether* to retry; this file knows *when*. The first
//! retries come sooner than RFC 5321 §4.5.4.1 suggests, because most first deferrals today are
//! greylisting and clear within minutes.

use std::time::Duration;

use crate::message::{Message, Timestamp};

/// When a deferred delivery is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The wait after the first failed attempt, after the second, and so on; the last repeats.
    pub waits: Vec<Duration>,
    /// How long after its release a message is given up: after its acceptance, or the time that it was to wait for.
    pub expire_after: Duration,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt at this time.
    Retry(Timestamp),
    /// Nothing: the message waited as long as it may.
    GiveUp,
}

/// What stands in for an empty list of waits, so that the arithmetic always has an answer.
const WAIT_OTHERWISE: Duration = Duration::from_secs(30 * 60);

/// A wait is drawn out by up to one part in so many, so that what failed together is not
/// retried together. Never shortened: a greylisting host means its wait.
const JITTER_PART: u64 = 5;

impl Schedule {
    /// What follows when `failed` attempts have failed (this one included) on a message that is given up
    /// at `expires`. `random` draws the jitter.
    ///
    /// The last attempt is made when the message expires and not before: a wait that would end
    /// later than that is cut short.
    pub fn next(&self, failed: u32, expires: Timestamp, now: Timestamp, random: u64) -> Next {
        if now >= expires {
            return Next::GiveUp;
        }
        let due = now.plus(jittered(self.wait(failed), random));
        Next::Retry(due.min(expires))
    }

    /// When a message is given up: after as long as any may wait, or sooner when a policy component said
    /// so, or its sender wants it back by then.
    pub fn expires(&self, message: &Message) -> Timestamp {
        let expires = message.released().plus(self.expire_after);
        let by = message.envelope.deliver_by;
        let wanted_back = by.and_then(|by| by.returned_at());
        let sooner = [message.deliver_until, wanted_back];
        sooner.into_iter().flatten().fold(expires, Timestamp::min)
    }

    fn wait(&self, failed: u32) -> Duration {
        let step = usize::try_from(failed.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = self.waits.get(step).or(self.waits.last());
        wait.copied().unwrap_or(WAIT_OTHERWISE)
    }
}

fn jittered(wait: Duration, random: u64) -> Duration {
    let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let jitter = random % (milliseconds / JITTER_PART + 1);
    Duration::from_millis(milliseconds.saturating_add(jitter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(seconds * 1_000)
    }

    fn schedule() -> Schedule {
        Schedule {
            waits: [30, 120, 600].map(Duration::from_secs).to_vec(),
            expire_after: Duration::from_secs(5_000),
        }
    }

    #[test]
    fn waits_follow_the_list_and_the_last_repeats() {
        for (failed, wait) in [(1, 30), (2, 120), (3, 600), (4, 600), (u32::MAX, 600)] {
            let next = schedule().next(failed, at(5_000), at(100), 0);
            assert_eq!(next, Next::Retry(at(100 + wait)), "after {failed}");
        }
    }

    #[test]
    fn the_last_attempt_is_at_the_expiry_and_none_follows() {
        let schedule = schedule();
        let expires = at(5_000);
        assert_eq!(
            schedule.next(3, expires, at(4_900), 0),
            Next::Retry(expires)
        );
        assert_eq!(schedule.next(3, expires, expires, 0), Next::GiveUp);
        assert_eq!(schedule.next(1, expires, at(9_000), 0), Next::GiveUp);
    }

    #[test]
    fn an_empty_list_and_endless_waits_have_an_answer() {
        let (mut schedule, expires) = (schedule(), at(5_000));
        schedule.waits.clear();
        assert_eq!(schedule.next(1, expires, at(0), 0), Next::Retry(at(1_800)));
        schedule.waits.push(Duration::MAX);
        assert_eq!(
            schedule.next(1, expires, at(0), u64::MAX),
            Next::Retry(expires)
        );
    }

    proptest! {
        #[test]
        fn jitter_never_shortens_a_wait_and_adds_at_most_a_fifth(random: u64, failed in 1..9u32) {
            let schedule = schedule();
            let expires = at(0).plus(Duration::MAX);
            let Next::Retry(due) = schedule.next(failed, expires, at(50), random) else {
                return Err(TestCaseError::fail("gave up"));
            };
            let wait = schedule.wait(failed);
            prop_assert!(due >= at(50).plus(wait));
            prop_assert!(due <= at(50).plus(wait + wait / 5));
        }
    }
}
