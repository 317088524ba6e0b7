//! How long very-high mail has taken from its acceptance to the MAIL command lately: the 99th percentile, and whether
//! it is within what is aimed at.
//!
//! What waited for an operator is counted from his last word on, which whoever notes it sees to.
//!
//! Arithmetic only. The last minutes are kept in slices, each with a count for each range of times, so that memory does
//! not grow with the mail; what is told is the upper end of a range, at most a tenth more than it was.

use std::time::Duration;

use crate::message::Timestamp;

/// How far back is looked: long enough that a hundredth of few messages says something, short enough that an alarm
/// ends soon after its cause.
pub(super) const WINDOW: Duration = Duration::from_secs(300);

/// A slice at the end of the window is forgotten at once.
const SLICES: usize = 10;

/// Each range reaches a tenth further than the one below it, from a tenth of a millisecond on: the last to half an hour.
const RANGES: usize = 176;
const FIRST_RANGE_SECONDS: f64 = 0.000_1;
const RANGE_RATIO: f64 = 1.1;

/// What the alarm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// It begins: the percentile is over what is aimed at.
    Begins(Duration),
    /// It ends: the percentile is within that again, or there has been no such mail for a while.
    Ends(Option<Duration>),
}

/// Times of very-high mail, of the last minutes.
#[derive(Debug)]
pub(super) struct Latency {
    objective: Duration,
    slices: [Slice; SLICES],
    is_alarmed: bool,
}

#[derive(Clone, Debug)]
struct Slice {
    /// Which one it is, counted from the beginning of time.
    number: u64,
    counts: [u32; RANGES],
}

impl Latency {
    /// Nothing is known yet.
    pub(super) fn new(objective: Duration) -> Self {
        let slice = Slice {
            number: 0,
            counts: [0; RANGES],
        };
        Self {
            objective,
            slices: std::array::from_fn(|_| slice.clone()),
            is_alarmed: false,
        }
    }

    /// From now on something else is aimed at.
    pub(super) fn aim_at(&mut self, objective: Duration) {
        self.objective = objective;
    }

    /// What is aimed at.
    pub(super) fn objective(&self) -> Duration {
        self.objective
    }

    /// A message took so long.
    pub(super) fn note(&mut self, now: Timestamp, took: Duration) {
        let number = slice_number(now);
        let slice = &mut self.slices[place(number)];
        if slice.number != number {
            slice.number = number;
            slice.counts = [0; RANGES];
        }
        let count = &mut slice.counts[range(took)];
        *count = count.saturating_add(1);
    }

    /// What 99 of 100 messages of the window took at most; none where there were none.
    pub(super) fn p99(&self, now: Timestamp) -> Option<Duration> {
        let number = slice_number(now);
        let is_within = |slice: &&Slice| {
            slice.number <= number && number - slice.number < u64::try_from(SLICES).unwrap_or(1)
        };
        let slices: Vec<&Slice> = self.slices.iter().filter(is_within).collect();
        let count = |range: usize| -> u64 {
            let counts = slices.iter().map(|slice| u64::from(slice.counts[range]));
            counts.sum()
        };
        let all: u64 = (0..RANGES).map(count).sum();
        // How many may take longer.
        let beyond = all / 100;
        let mut longer = 0;
        for range in (0..RANGES).rev() {
            longer += count(range);
            if longer > beyond {
                return Some(end_of(range));
            }
        }
        None
    }

    /// Whether the alarm begins or ends.
    pub(super) fn look(&mut self, now: Timestamp) -> Option<Alarm> {
        let p99 = self.p99(now);
        let over = p99.filter(|p99| *p99 > self.objective);
        if over.is_some() == self.is_alarmed {
            return None;
        }
        self.is_alarmed = over.is_some();
        Some(match over {
            Some(p99) => Alarm::Begins(p99),
            None => Alarm::Ends(p99),
        })
    }
}

fn slice_number(now: Timestamp) -> u64 {
    let slices = u64::try_from(SLICES).unwrap_or(1);
    let milliseconds = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX) / slices;
    now.unix_milliseconds() / milliseconds
}

fn place(number: u64) -> usize {
    let slices = u64::try_from(SLICES).unwrap_or(1);
    usize::try_from(number % slices).unwrap_or(0)
}

fn range(took: Duration) -> usize {
    let range = (took.as_secs_f64() / FIRST_RANGE_SECONDS).ln() / RANGE_RATIO.ln();
    // The first one whose end is not below it; no time at all is in the first.
    (range.ceil().max(0.0) as usize).min(RANGES - 1)
}

fn end_of(range: usize) -> Duration {
    let exponent = i32::try_from(range).unwrap_or(i32::MAX);
    Duration::from_secs_f64(FIRST_RANGE_SECONDS * RANGE_RATIO.powi(exponent))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(1_700_000_000_000 + seconds * 1_000)
    }

    fn is_about(p99: Option<Duration>, took: Duration) -> bool {
        p99.is_some_and(|p99| p99 >= took && p99 <= took.mul_f64(1.101))
    }

    #[test]
    fn the_percentile_is_that_of_the_last_minutes() {
        let mut latency = Latency::new(SECOND);
        assert_eq!(latency.p99(at(0)), None);
        for _ in 0..99 {
            latency.note(at(0), Duration::from_millis(5));
        }
        latency.note(at(0), 3 * SECOND);
        assert!(is_about(latency.p99(at(0)), Duration::from_millis(5)));
        latency.note(at(10), 3 * SECOND);
        assert!(is_about(latency.p99(at(10)), 3 * SECOND), "two of 101");
        assert_eq!(latency.p99(at(10 + WINDOW.as_secs())), None, "forgotten");
        latency.note(at(1_000), Duration::ZERO);
        assert!(latency.p99(at(1_000)).unwrap() < Duration::from_millis(1));
        latency.note(at(1_000), Duration::MAX);
        assert!(latency.p99(at(1_000)).unwrap() > 1_000 * SECOND);
        // The clock was set back.
        let long_ago = Timestamp::from_unix_milliseconds(1_600_000_000_000);
        assert_eq!(latency.p99(long_ago), None);
    }

    #[test]
    fn the_alarm_begins_and_ends_once() {
        let mut latency = Latency::new(SECOND);
        latency.note(at(0), SECOND / 2);
        assert_eq!(latency.look(at(0)), None);
        latency.note(at(1), 2 * SECOND);
        assert!(matches!(latency.look(at(1)), Some(Alarm::Begins(p99)) if p99 >= 2 * SECOND));
        assert_eq!(latency.look(at(2)), None);
        latency.aim_at(5 * SECOND);
        assert!(matches!(latency.look(at(2)), Some(Alarm::Ends(Some(_)))));
        latency.aim_at(SECOND);
        assert!(matches!(latency.look(at(2)), Some(Alarm::Begins(_))));
        let later = at(2 + WINDOW.as_secs());
        assert_eq!(latency.look(later), Some(Alarm::Ends(None)));
    }

    proptest! {
        #[test]
        fn it_is_never_below_what_99_of_100_took_nor_more_than_a_tenth_above(
            times in prop::collection::vec(0..1_000_000_u64, 1..500),
        ) {
            let mut latency = Latency::new(SECOND);
            for took in &times {
                latency.note(at(0), Duration::from_micros(*took));
            }
            let mut sorted = times;
            sorted.sort_unstable();
            let took = Duration::from_micros(sorted[sorted.len() - 1 - sorted.len() / 100]);
            let p99 = latency.p99(at(0)).unwrap();
            let most = took.mul_f64(1.101).max(Duration::from_micros(101));
            prop_assert!(p99 + Duration::from_nanos(1) >= took && p99 <= most, "{took:?} {p99:?}");
        }
    }
}
