//! Points in time as the relay stores and prints them.
//!
//! Unix milliseconds, because that is what orders mail, survives a restart and crosses every
//! surface unchanged. Reading the time is the clock's business.

use std::fmt;
use std::time::Duration;

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch: earlier than anything the relay meets.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// Later than anything the relay meets: the last moment of the year 9999 that has a date in every time zone.
    pub const NEVER: Timestamp = Timestamp(253_402_207_199_999);

    /// The point `milliseconds` after the Unix epoch, never beyond [`Timestamp::NEVER`].
    pub const fn from_unix_milliseconds(milliseconds: u64) -> Self {
        if milliseconds > Self::NEVER.0 {
            Self::NEVER
        } else {
            Self(milliseconds)
        }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_milliseconds(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The point `duration` later, never beyond [`Timestamp::NEVER`].
    pub fn plus(self, duration: Duration) -> Timestamp {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::from_unix_milliseconds(self.0.saturating_add(milliseconds))
    }

    /// The point `duration` earlier, never before [`Timestamp::EPOCH`].
    pub fn minus(self, duration: Duration) -> Timestamp {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(milliseconds))
    }

    /// The point that a date with a time and an offset names (RFC 3339 §5.6), such as `2026-11-27T08:00:00Z`; none for
    /// anything else, and for what is before the epoch or beyond [`Timestamp::NEVER`].
    pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
        // Whoever reads more than that takes a time zone in brackets, a blank, no offset, or a second 60 at any minute.
        outpost_smtp::time::parse_date_time(text)?;
        let at: jiff::Timestamp = text.parse().ok()?;
        let milliseconds = u64::try_from(at.as_millisecond()).ok()?;
        (milliseconds <= Self::NEVER.0).then_some(Self(milliseconds))
    }

    /// The date as a message header carries it (RFC 5322 §3.3), in UTC.
    pub fn to_rfc5322(self) -> String {
        self.to_jiff()
            .strftime("%a, %d %b %Y %H:%M:%S +0000")
            .to_string()
    }

    fn to_jiff(self) -> jiff::Timestamp {
        let milliseconds = i64::try_from(self.0).expect("bounded by NEVER");
        jiff::Timestamp::from_millisecond(milliseconds).expect("bounded by NEVER")
    }
}

/// RFC 3339 in UTC with milliseconds, the same on every surface.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_printed_as_rfc3339_and_as_a_header_date() {
        let at = Timestamp::from_unix_milliseconds(1_700_000_000_123);
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(at.to_rfc5322(), "Tue, 14 Nov 2023 22:13:20 +0000");
    }

    #[test]
    fn a_date_with_a_time_and_an_offset_is_read_and_nothing_else() {
        let at = Timestamp::from_unix_milliseconds(1_700_000_000_123);
        for text in [
            "2023-11-14T22:13:20.123Z",
            "2023-11-14t22:13:20.123z",
            "2023-11-14T23:13:20.123+01:00",
            "2023-11-14T22:13:20.1234567Z",
            "2023-11-14T22:13:20.123+00:00",
        ] {
            assert_eq!(Timestamp::from_rfc3339(text), Some(at), "{text}");
        }
        let printed = at.to_string();
        assert_eq!(Timestamp::from_rfc3339(&printed), Some(at));
        for text in [
            "",
            "tomorrow",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20Z",
            "2023-11-14T22Z",
            "2023-11-14T22:13Z",
            "20231114T221320Z",
            "2023-11-14T22:13:20Z[UTC]",
            "2023-11-14T22:13:20+01:00[Europe/Berlin]",
            "2023-11-31T22:13:20Z",
            "2023-11-14T25:13:20Z",
            "2023-11-14T22:13:60Z",
            "1969-12-31T23:59:59Z",
            "-002023-11-14T22:13:20Z",
            "2023-11-1\u{e4}T22:13:20Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(Timestamp::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn never_is_the_end_of_every_sum() {
        let at = Timestamp::NEVER.plus(Duration::MAX);
        assert_eq!(at, Timestamp::NEVER);
        assert_eq!(at.to_string(), "9999-12-30T21:59:59.999Z");
    }
}
