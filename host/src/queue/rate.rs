//! A rate: how many deliveries end per second where others wait for their turn.
//!
//! Arithmetic only. Time in which nothing waited says nothing about how fast a backlog would go, so only time with a
//! backlog counts: then each delivery that ends makes room for the next one, and ends are counted rather than starts,
//! since a burst of starts that fills free places says nothing either. What is older than a minute of such time counts
//! ever less. Time in which something waits and nothing ends says something as well: nobody is told the pace of before for as long as
//! what is under way now takes.

use std::time::Duration;

use crate::message::Timestamp;

/// What was measured so much earlier, in time with a backlog, counts for a third (1/e).
const MEMORY: Duration = Duration::from_secs(60);

/// What was measured longer ago than that, whatever happened since, is not worth telling.
const STALE_AFTER: Duration = Duration::from_secs(15 * 60);

/// One end may be a matter of chance. The older one of two counts a little less than one.
const ENDS_MIN: f64 = 1.5;

/// Deliveries that end, over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    /// Seconds with a backlog, the old ones counting less.
    seconds: f64,
    /// Deliveries that have ended in them, likewise.
    ends: f64,
    /// When one ended last, and whether others waited then.
    last: Option<(Timestamp, bool)>,
}

impl Rate {
    /// A delivery has ended, and others wait now or do not.
    pub(super) fn ended(&mut self, now: Timestamp, has_backlog: bool) {
        if let Some((last, true)) = self.last {
            let took = now.since(last).as_secs_f64();
            let kept = (-took / MEMORY.as_secs_f64()).exp();
            self.seconds = self.seconds * kept + took;
            self.ends = self.ends * kept + 1.0;
        }
        self.last = Some((now, has_backlog));
    }

    /// Deliveries per second; none where too little is known, or it was too long ago.
    pub(super) fn per_second(&self, now: Timestamp) -> Option<f64> {
        let (last, has_backlog) = self.last?;
        let is_known = now.since(last) <= STALE_AFTER && self.ends >= ENDS_MIN;
        if !is_known {
            return None;
        }
        if !has_backlog {
            return Some(self.known());
        }
        let mut next = *self;
        next.ended(now, true);
        // Not faster than if one ended now.
        Some(self.known().min(next.known()))
    }

    fn known(&self) -> f64 {
        // Those that end within one tick of the clock took some time all the same.
        self.ends / self.seconds.max(0.001)
    }

    /// How long so many deliveries take.
    pub(super) fn time_for(&self, deliveries: u64, now: Timestamp) -> Option<Duration> {
        let seconds = deliveries as f64 / self.per_second(now)?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(1_000_000 + milliseconds)
    }

    /// One delivery ends after the other, so many milliseconds apart.
    fn steady(rate: &mut Rate, from: u64, apart: u64, times: u64) -> u64 {
        for number in 0..times {
            rate.ended(at(from + number * apart), true);
        }
        from + times * apart
    }

    #[test]
    fn nothing_is_known_before_some_have_ended() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(at(0)), None);
        rate.ended(at(0), true);
        rate.ended(at(100), true);
        assert_eq!(rate.time_for(10, at(100)), None);
        rate.ended(at(200), true);
        let took = rate.time_for(100, at(200)).map(|time| time.as_millis());
        assert!(took.is_some_and(|took| (9_900..10_100).contains(&took)));
    }

    #[test]
    fn time_without_a_backlog_says_nothing() {
        let mut rate = Rate::default();
        let end = steady(&mut rate, 0, 50, 100);
        rate.ended(at(end), false);
        // One an hour, since no more come.
        let later = end + 600_000;
        rate.ended(at(later), false);
        let per_second = rate.per_second(at(later)).unwrap_or_default();
        assert!((19.0..21.0).contains(&per_second), "{per_second}");
        assert_eq!(rate.per_second(at(later + 901_000)), None, "too long ago");
    }

    #[test]
    fn where_nothing_has_ended_for_long_the_rate_falls() {
        let mut rate = Rate::default();
        let last = steady(&mut rate, 0, 100, 1_000) - 100;
        let per_second = |after: u64| rate.per_second(at(last + after)).unwrap_or_default();
        // As long as the next one is not overdue nothing is different.
        for after in [0, 50, 90] {
            assert!((9.9..10.1).contains(&per_second(after)), "{after}");
        }
        // In a minute or five without an end there are fewer than one each second, by far.
        assert!((2.0..4.0).contains(&per_second(60_000)));
        assert!(per_second(300_000) < 0.05);
        // Where nothing waits nothing has to end.
        rate.ended(at(last), false);
        assert!((9.9..10.1).contains(&rate.per_second(at(last + 300_000)).unwrap_or_default()));
    }

    #[test]
    fn a_change_of_pace_is_told_within_a_factor_of_two_after_a_minute() {
        let mut rate = Rate::default();
        let end = steady(&mut rate, 0, 1_000, 3_600);
        let end = steady(&mut rate, end, 100, 600);
        let faster = rate.per_second(at(end)).unwrap_or_default();
        assert!((5.0..=10.1).contains(&faster), "{faster}");
        let end = steady(&mut rate, end, 100, 3_600);
        let settled = rate.per_second(at(end)).unwrap_or_default();
        assert!((9.9..=10.1).contains(&settled), "{settled}");
    }
}
