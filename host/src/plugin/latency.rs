//! How long answers take: counts, sum and quantiles without a lock.
//!
//! Buckets grow by a quarter of a power of two, so a quantile is off by an eighth at most, from a
//! microsecond to a minute, in a kilobyte.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets to a power of two.
const STEPS: usize = 4;
/// Powers of two that are told apart: 2^26 microseconds are more than a minute.
const POWERS: usize = 26;
const BUCKETS: usize = STEPS * POWERS;

/// A histogram of durations.
#[derive(Debug)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS],
    sum_microseconds: AtomicU64,
}

/// How long the answers to a question took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencySummary {
    /// How many durations.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
    /// Half of them were not longer.
    pub median: Duration,
    /// 99 of a hundred were not longer.
    pub p99: Duration,
}

impl Latency {
    /// An empty histogram.
    pub fn new() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_microseconds: AtomicU64::new(0),
        }
    }

    /// Adds a duration.
    pub fn add(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(microseconds)].fetch_add(1, Ordering::Relaxed);
        self.sum_microseconds
            .fetch_add(microseconds, Ordering::Relaxed);
    }

    /// What it has seen so far.
    pub fn summary(&self) -> LatencySummary {
        let counts = self
            .buckets
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        let count = counts.iter().sum();
        LatencySummary {
            count,
            sum: Duration::from_micros(self.sum_microseconds.load(Ordering::Relaxed)),
            median: quantile(&counts, count.div_ceil(2)),
            p99: quantile(&counts, (count * 99).div_ceil(100)),
        }
    }
}

/// The upper bound of the bucket that holds the `rank`th shortest duration.
fn quantile(counts: &[u64; BUCKETS], rank: u64) -> Duration {
    let mut seen = 0;
    for (index, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank && seen > 0 {
            return Duration::from_micros(upper_bound(index));
        }
    }
    Duration::ZERO
}

fn bucket(microseconds: u64) -> usize {
    // Below four microseconds there are no quarters of a power of two.
    let microseconds = microseconds.max(4);
    let power = microseconds.ilog2() as usize;
    let step = (microseconds >> (power - 2)) as usize & (STEPS - 1);
    ((power - 2) * STEPS + step).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, bucket % STEPS);
    ((STEPS + step + 1) as u64) << power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_histogram_is_all_zero() {
        assert_eq!(Latency::new().summary(), LatencySummary::default());
    }

    #[test]
    fn quantiles_are_off_by_a_quarter_at_most() {
        for microseconds in [1, 3, 4, 5, 17, 100, 999, 50_000, 60_000_000] {
            let latency = Latency::new();
            for _ in 0..100 {
                latency.add(Duration::from_micros(microseconds));
            }
            let median = latency.summary().median.as_micros();
            let exact = u128::from(microseconds.max(4));
            assert!(median >= exact, "{microseconds}: {median}");
            assert!(median <= exact + exact / 4 + 1, "{microseconds}: {median}");
        }
    }

    #[test]
    fn the_slowest_hundredth_is_seen() {
        let latency = Latency::new();
        for _ in 0..97 {
            latency.add(Duration::from_micros(20));
        }
        for _ in 0..3 {
            latency.add(Duration::from_millis(10));
        }
        let summary = latency.summary();
        assert_eq!(summary.count, 100);
        assert!(summary.median < Duration::from_micros(30));
        assert!(summary.p99 >= Duration::from_millis(10));
        assert_eq!(summary.sum, Duration::from_micros(97 * 20 + 3 * 10_000));
    }

    #[test]
    fn no_duration_is_too_long() {
        let latency = Latency::new();
        latency.add(Duration::MAX);
        latency.add(Duration::ZERO);
        assert_eq!(latency.summary().count, 2);
    }
}
