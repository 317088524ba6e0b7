//! Hours, days and blocks of days, counted from the Unix epoch.
//!
//! Days are those of UTC: the relay has no other zone, and a day of any other one is a sum of hours.

use crate::message::Timestamp;

const HOUR_MILLISECONDS: u64 = 60 * 60 * 1_000;

/// Hours in a day.
pub(super) const DAY_HOURS: u32 = 24;

/// Days in a block: about a month, and the same everywhere.
pub(super) const BLOCK_DAYS: u32 = 32;

/// So many days back hours are told apart: a year by the hour, with a month to look at it.
pub(super) const HOURS_KEPT_DAYS: u32 = 400;

/// So many days back days are told: five years, for a comparison with the same weeks of the years before. In blocks that
/// is 57 rows for each name.
pub(super) const DAYS_KEPT_DAYS: u32 = 5 * 366;

/// The hour that a moment is in.
pub(super) fn hour_of(at: Timestamp) -> u32 {
    let hours = at.unix_milliseconds() / HOUR_MILLISECONDS;
    u32::try_from(hours).unwrap_or(u32::MAX)
}

/// The first hour that does not begin before a moment.
pub(super) fn hour_from(at: Timestamp) -> u32 {
    let hours = at.unix_milliseconds().div_ceil(HOUR_MILLISECONDS);
    u32::try_from(hours).unwrap_or(u32::MAX)
}

/// When an hour begins.
pub(super) fn begin_of(hour: u32) -> Timestamp {
    Timestamp::from_unix_milliseconds(u64::from(hour).saturating_mul(HOUR_MILLISECONDS))
}

/// The day of an hour, and which hour of it that is.
pub(super) fn day_and_part(hour: u32) -> (u32, u8) {
    let part = hour % DAY_HOURS;
    (hour / DAY_HOURS, u8::try_from(part).unwrap_or(0))
}

/// The block of a day, and which day of it that is.
pub(super) fn block_and_part(day: u32) -> (u32, u8) {
    let part = day % BLOCK_DAYS;
    (day / BLOCK_DAYS, u8::try_from(part).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_in_its_hour_and_an_hour_in_its_day_and_block() {
        let at = |milliseconds| Timestamp::from_unix_milliseconds(milliseconds);
        let begin = 49 * HOUR_MILLISECONDS;
        for (moment, hour, from) in [(begin - 1, 48, 49), (begin, 49, 49), (begin + 1, 49, 50)] {
            assert_eq!((hour_of(at(moment)), hour_from(at(moment))), (hour, from));
        }
        assert_eq!(begin_of(49), at(begin));
        assert_eq!(day_and_part(49), (2, 1));
        assert_eq!(block_and_part(33), (1, 1));
        assert!(begin_of(u32::MAX) <= Timestamp::NEVER);
        assert!(hour_of(Timestamp::NEVER) < u32::MAX);
    }
}
