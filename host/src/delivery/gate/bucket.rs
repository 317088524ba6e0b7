//! The capacity as a bucket of octets: it fills at a steady rate, and what leaves is taken out of it.
//!
//! Arithmetic only. It may be overdrawn, and nothing goes until it has recovered; so a piece never has to be
//! cut to what happens to be there.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// What may leave at once after a quiet moment: as much as in this time. The timers of the runtime are exact to a
/// millisecond, and nothing of what comes in between them is to be lost.
const DEPTH: Duration = Duration::from_millis(50);

/// What leaves at once is as much as in this time, and no less than [`PIECE_OCTETS_MIN`]: who is more urgent
/// waits for no longer than that.
const PIECE: Duration = Duration::from_millis(20);

/// The smallest piece that is worth a system call and a record of TLS.
const PIECE_OCTETS_MIN: u64 = 1024;

const NANOSECONDS: u128 = 1_000_000_000;

/// A bucket of octets.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Octets per second.
    rate: NonZeroU64,
    octets: i64,
    /// When it had them.
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: NonZeroU64, now: Instant) -> Self {
        let mut bucket = Self {
            rate,
            octets: 0,
            at: now,
        };
        bucket.octets = bucket.depth();
        bucket
    }

    /// Octets per second.
    pub(super) fn rate(&self) -> NonZeroU64 {
        self.rate
    }

    /// How much may leave at most in one piece.
    pub(super) fn piece_max(&self) -> usize {
        usize::try_from(self.in_time(PIECE).max(PIECE_OCTETS_MIN)).unwrap_or(usize::MAX)
    }

    /// When something may leave; none when it may now.
    pub(super) fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        if self.octets > 0 {
            return None;
        }
        let missing = u128::from((1 - self.octets).unsigned_abs());
        let nanoseconds = (missing * NANOSECONDS).div_ceil(u128::from(self.rate.get()));
        let wait = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        Some(self.at + wait)
    }

    /// Whether it is overdrawn by as much as it can hold.
    pub(super) fn is_exhausted(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.octets < -self.depth()
    }

    /// So much leaves.
    pub(super) fn take(&mut self, octets: usize) {
        let octets = i64::try_from(octets).unwrap_or(i64::MAX);
        self.octets = self.octets.saturating_sub(octets);
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at);
        let gained = since.as_nanos() * u128::from(self.rate.get()) / NANOSECONDS;
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        let octets = self.octets.saturating_add(gained);
        if octets >= self.depth() {
            self.octets = self.depth();
            self.at = now;
            return;
        }
        // Only what whole octets took: a part of one is not lost.
        let nanoseconds = gained.unsigned_abs() as u128 * NANOSECONDS / u128::from(self.rate.get());
        self.octets = octets;
        self.at += Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
    }

    fn depth(&self) -> i64 {
        i64::try_from(self.in_time(DEPTH).max(PIECE_OCTETS_MIN)).unwrap_or(i64::MAX)
    }

    fn in_time(&self, time: Duration) -> u64 {
        let octets = time.as_nanos() * u128::from(self.rate.get()) / NANOSECONDS;
        u64::try_from(octets).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(rate: u64, now: Instant) -> Bucket {
        Bucket::new(NonZeroU64::new(rate).expect("a rate"), now)
    }

    #[test]
    fn it_gives_what_it_holds_at_once_and_then_its_rate() {
        let now = Instant::now();
        let mut bucket = bucket(100_000, now);
        assert_eq!(bucket.piece_max(), 2_000);
        bucket.take(5_000);
        assert_eq!(
            bucket.ready_at(now),
            Some(now + Duration::from_micros(10)),
            "one octet"
        );
        let later = now + Duration::from_millis(10);
        assert_eq!(bucket.ready_at(later), None);
        bucket.take(3_000);
        // 1,000 had come, so 2,000 are owed.
        assert_eq!(
            bucket.ready_at(later),
            Some(later + Duration::from_micros(20_010))
        );
    }

    #[test]
    fn a_capacity_of_few_or_very_many_octets_is_handed_out() {
        let now = Instant::now();
        let mut one = bucket(1, now);
        one.take(2_000);
        assert!(
            one.ready_at(now)
                .is_some_and(|at| at > now + Duration::from_secs(900))
        );
        let mut all = bucket(u64::MAX, now);
        all.take(usize::MAX);
        assert!(all.ready_at(now + Duration::from_secs(2)).is_none());
    }

    proptest! {
        #[test]
        fn however_often_somebody_looks_the_rate_is_kept(
            rate in 1_000..10_000_000u64,
            looks in prop::collection::vec(0..5_000_000u64, 1..300),
        ) {
            let begun = Instant::now();
            let (mut now, mut bucket) = (begun, bucket(rate, begun));
            let mut sent = 0u64;
            for nanoseconds in looks {
                now += Duration::from_nanos(nanoseconds);
                while bucket.ready_at(now).is_none() {
                    let piece = bucket.piece_max();
                    bucket.take(piece);
                    sent += piece as u64;
                }
            }
            let passed = now.duration_since(begun).as_nanos();
            let allowed = u64::try_from(passed * u128::from(rate) / NANOSECONDS).expect("seconds");
            let slack = (bucket.depth().unsigned_abs()) + bucket.piece_max() as u64;
            prop_assert!(sent <= allowed + slack, "{sent} of {allowed}");
            prop_assert!(sent + slack >= allowed, "{sent} of {allowed}");
        }
    }
}
