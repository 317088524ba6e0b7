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
    fn never_is_the_end_of_every_sum() {
        let at = Timestamp::NEVER.plus(Duration::MAX);
        assert_eq!(at, Timestamp::NEVER);
        assert_eq!(at.to_string(), "9999-12-30T21:59:59.999Z");
    }
}
