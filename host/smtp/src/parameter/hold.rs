//! HOLDFOR and HOLDUNTIL: when a message is to be released (RFC 4865 §3).

use std::time::Duration;

use super::{By, ByMode};
use crate::time::parse_date_time;

/// Most digits of an interval (RFC 4865 §3).
const DIGITS_MAX: usize = 9;

/// When a message is to be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// HOLDFOR: so long after it was submitted.
    For(Duration),
    /// HOLDUNTIL: at this time since the Unix epoch, which may be over.
    Until(Duration),
}

impl Hold {
    /// `future-release-integer`: a number of seconds that begins with no zero.
    pub(super) fn parse_interval(value: &str) -> Option<Hold> {
        let is_number = (1..=DIGITS_MAX).contains(&value.len())
            && value.bytes().all(|digit| digit.is_ascii_digit())
            && !value.starts_with('0');
        let seconds = is_number.then(|| value.parse().ok()).flatten()?;
        Some(Hold::For(Duration::from_secs(seconds)))
    }

    /// `future-release-date-time`: a date and time of RFC 3339, as erratum 2040 says, in any zone.
    pub(super) fn parse_date_time(value: &str) -> Option<Hold> {
        parse_date_time(value).map(Hold::Until)
    }

    /// Whether one of its keywords stands among these parameters, with whatever value.
    pub(crate) fn is_in(parameters: &str) -> bool {
        let is_one = |keyword: &str| {
            ["HOLDFOR", "HOLDUNTIL"]
                .iter()
                .any(|known| keyword.eq_ignore_ascii_case(known))
        };
        super::split(parameters)
            .flatten()
            .any(|(keyword, _)| is_one(keyword))
    }

    /// When that is, for a message that is submitted `now` since the Unix epoch.
    pub fn release(self, now: Duration) -> Duration {
        match self {
            Hold::For(interval) => now.saturating_add(interval),
            Hold::Until(time) => time,
        }
    }

    /// Whether a message that is submitted `now` with both would be released behind the time by which it is to be
    /// delivered (RFC 4865 §5.2.2), or at that time where it is returned then: it could not be sent at all. A release
    /// that is over means now, and is behind nothing.
    pub fn is_beyond(self, by: By, now: Duration) -> bool {
        let wait = self.release(now).saturating_sub(now);
        let left = Duration::from_secs(u64::try_from(by.seconds).unwrap_or(0));
        match by.mode {
            ByMode::Notify => wait > left,
            ByMode::Return => !wait.is_zero() && wait >= left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_of_seconds_and_never_none() {
        for (text, seconds) in [("1", 1), ("60", 60), ("999999999", 999_999_999)] {
            let hold = Hold::For(Duration::from_secs(seconds));
            assert_eq!(Hold::parse_interval(text), Some(hold));
        }
        for text in ["", "0", "060", "+60", "-60", "60s", "1000000000", "6.5"] {
            assert_eq!(Hold::parse_interval(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_held_is_released_by_the_time_of_its_delivery_or_is_beyond_it() {
        let now = Duration::from_secs(1_000);
        let held_for = |seconds| Hold::For(Duration::from_secs(seconds));
        let held_until = |milliseconds| Hold::Until(Duration::from_millis(milliseconds));
        use ByMode::{Notify, Return};
        for (hold, seconds, mode, is_beyond) in [
            (held_for(60), 59, Notify, true),
            (held_for(60), 60, Notify, false),
            // No time would be left to deliver it in.
            (held_for(60), 60, Return, true),
            (held_for(60), 61, Return, false),
            (held_for(1), 0, Notify, true),
            (held_for(1), -5, Notify, true),
            (held_until(1_060_001), 60, Notify, true),
            (held_until(1_060_000), 60, Notify, false),
            (held_until(1_060_000), 60, Return, true),
            (held_until(1_059_999), 60, Return, false),
            (held_until(999_000), -5, Notify, false),
            (held_until(999_000), 1, Return, false),
            (held_until(0), 0, Notify, false),
        ] {
            let by = By {
                seconds,
                mode,
                trace: false,
            };
            assert_eq!(hold.is_beyond(by, now), is_beyond, "{hold:?} {by}");
        }
    }

    #[test]
    fn an_interval_counts_from_now_and_a_date_from_nothing() {
        let seconds = Duration::from_secs;
        assert_eq!(
            Hold::For(seconds(60)).release(seconds(1_000)),
            seconds(1_060)
        );
        assert_eq!(
            Hold::Until(seconds(60)).release(seconds(1_000)),
            seconds(60)
        );
        assert_eq!(Hold::For(Duration::MAX).release(seconds(1)), Duration::MAX);
    }
}
