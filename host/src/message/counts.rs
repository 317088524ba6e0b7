//! Counts of mail: what came in, what became of it, and how long it took.
//!
//! Sums of events. `accepted` and `refused` count messages; everything else counts recipients, since each has an end of its
//! own. Arithmetic only: what is counted when, and by what, is the spool's.

use std::ops::AddAssign;
use std::time::Duration;

/// What was counted. A part of a sum may be below zero: what was counted and did not happen is taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were accepted, the relay's own reports and notifications included.
    pub accepted: i64,
    /// Their recipients.
    pub recipients: i64,
    /// Recipients for whom a next hop took responsibility.
    pub sent: i64,
    /// How often a recipient was deferred by an attempt; one may be many times.
    pub deferred: i64,
    /// Recipients that were refused for good.
    pub bounced: i64,
    /// Recipients that were given up after waiting as long as they may, or as long as their sender wanted.
    pub expired: i64,
    /// Recipients that an operator cancelled and that cannot be restored any more.
    pub removed: i64,
    /// Messages that were refused since their user may not send as somebody.
    pub refused: i64,
    /// How long it took from the acceptance of what was sent, or from the time it was held until.
    pub latency: Latency,
}

impl Counts {
    /// Whether nothing was counted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The same, to be taken back.
    pub fn taken_back(self) -> Self {
        Self {
            accepted: -self.accepted,
            recipients: -self.recipients,
            sent: -self.sent,
            deferred: -self.deferred,
            bounced: -self.bounced,
            expired: -self.expired,
            removed: -self.removed,
            refused: -self.refused,
            latency: self.latency.taken_back(),
        }
    }
}

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        let parts = [
            (&mut self.accepted, other.accepted),
            (&mut self.recipients, other.recipients),
            (&mut self.sent, other.sent),
            (&mut self.deferred, other.deferred),
            (&mut self.bounced, other.bounced),
            (&mut self.expired, other.expired),
            (&mut self.removed, other.removed),
            (&mut self.refused, other.refused),
        ];
        for (part, more) in parts {
            *part = part.saturating_add(more);
        }
        self.latency.add(&other.latency);
    }
}

/// Each range of times reaches a fifth further than the one below it, from a millisecond on: the last to a month. What
/// is told is the upper end of a range, so at most a fifth more than it was.
const RANGES: u8 = 120;
const FIRST_RANGE_SECONDS: f64 = 0.001;
const RANGE_RATIO: f64 = 1.2;

/// How many took how long: a count for each range of times in which there is any, the shortest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency(Vec<(u8, i64)>);

impl Latency {
    /// The counts of ranges, as [`ranges`](Self::ranges) has told them. What is no range is left out.
    pub fn of_ranges(ranges: impl IntoIterator<Item = (u8, i64)>) -> Self {
        let mut latency = Self::default();
        for (range, count) in ranges {
            if range < RANGES {
                latency.add_to(range, count);
            }
        }
        latency
    }

    /// Ranges by their numbers, and how many are in each.
    pub fn ranges(&self) -> &[(u8, i64)] {
        &self.0
    }

    /// One took so long.
    pub fn note(&mut self, took: Duration) {
        self.add_to(range(took), 1);
    }

    /// How many were noted.
    pub fn count(&self) -> u64 {
        self.counted().map(|(_, count)| count).sum()
    }

    /// What so many of a hundred took at most; none where there were none.
    pub fn percentile(&self, of_hundred: u64) -> Option<Duration> {
        let wanted = self.count().saturating_mul(of_hundred).div_ceil(100).max(1);
        let mut below = 0;
        for (range, count) in self.counted() {
            below += count;
            if below >= wanted {
                return Some(end_of(range));
            }
        }
        None
    }

    fn counted(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        let ranges = self.0.iter();
        ranges.map(|(range, count)| (*range, u64::try_from(*count).unwrap_or(0)))
    }

    fn add(&mut self, other: &Self) {
        for (range, count) in &other.0 {
            self.add_to(*range, *count);
        }
    }

    fn add_to(&mut self, range: u8, more: i64) {
        match self.0.binary_search_by_key(&range, |(range, _)| *range) {
            Ok(at) => {
                let count = self.0[at].1.saturating_add(more);
                match count {
                    0 => drop(self.0.remove(at)),
                    count => self.0[at].1 = count,
                }
            }
            Err(at) if more != 0 => self.0.insert(at, (range, more)),
            Err(_) => {}
        }
    }

    fn taken_back(mut self) -> Self {
        self.0.iter_mut().for_each(|(_, count)| *count = -*count);
        self
    }
}

fn range(took: Duration) -> u8 {
    let range = (took.as_secs_f64() / FIRST_RANGE_SECONDS).ln() / RANGE_RATIO.ln();
    // The first one whose end is not below it; no time at all is in the first.
    (range.ceil().max(0.0) as u8).min(RANGES - 1)
}

fn end_of(range: u8) -> Duration {
    let seconds = FIRST_RANGE_SECONDS * RANGE_RATIO.powi(range.into());
    Duration::from_millis((seconds * 1_000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_percentile_is_what_so_many_took_at_most_and_no_more_than_a_fifth_above_it() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentile(50), None);
        for milliseconds in 1..=1_000 {
            latency.note(Duration::from_millis(milliseconds));
        }
        assert_eq!(latency.count(), 1_000);
        for (of_hundred, exactly) in [(50, 0.5), (90, 0.9), (99, 0.99), (100, 1.0)] {
            let told = latency.percentile(of_hundred).expect("there are some");
            assert!(
                (seconds(exactly)..=seconds(exactly * 1.2)).contains(&told),
                "{of_hundred}: {told:?}"
            );
        }
    }

    #[test]
    fn no_time_at_all_and_more_than_a_month_are_counted_too() {
        let mut latency = Latency::default();
        latency.note(Duration::ZERO);
        latency.note(Duration::MAX);
        assert_eq!(latency.percentile(50), Some(Duration::from_millis(1)));
        let most = latency.percentile(99).expect("there are two");
        assert!(most > Duration::from_secs(28 * 24 * 60 * 60), "{most:?}");
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let mut counts = Counts {
            accepted: 1,
            recipients: 3,
            ..Counts::default()
        };
        counts.latency.note(seconds(2.0));
        let mut sum = counts.clone();
        sum += &counts;
        assert_eq!((sum.recipients, sum.latency.count()), (6, 2));
        sum += &counts.clone().taken_back();
        sum += &counts.taken_back();
        assert!(sum.is_nothing());
    }

    #[test]
    fn ranges_are_read_as_they_were_told_and_others_are_left_out() {
        let mut latency = Latency::default();
        latency.note(seconds(0.2));
        latency.note(seconds(20.0));
        let told = latency.ranges().iter().copied();
        assert_eq!(Latency::of_ranges(told.chain([(RANGES, 7)])), latency);
    }
}
