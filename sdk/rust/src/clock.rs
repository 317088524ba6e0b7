//! The time, which stands still during one question, so that a replay gives the same answer.

use crate::relay;

/// The local time of day and day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Minutes since midnight, 0 to 1439.
    pub minute_of_day: u16,
    /// ISO weekday: 1 Monday to 7 Sunday.
    pub weekday: u8,
}

/// Unix time in milliseconds.
pub fn now_ms() -> u64 {
    relay::clock::now_ms()
}

/// The same moment in the operator's time zone.
pub fn local() -> LocalTime {
    relay::clock::local()
}
