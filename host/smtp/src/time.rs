//! Dates and times as they stand in SMTP: RFC 3339, to and from a time since the Unix epoch.
//!
//! Arithmetic only. What time it is, is told by whoever drives a session.

use std::time::Duration;

const SECONDS_OF_A_DAY: i64 = 86_400;

/// Digits of a fraction of a second that count: nanoseconds.
const FRACTION_DIGITS: usize = 9;

/// Reads a `date-time` of RFC 3339 §5.6: always with a zone, to the nanosecond. What lies before the Unix
/// epoch is the epoch. A leap second is the second behind it, and stands only where one can be: as the last second of
/// June or December in UTC (RFC 3339 §5.7).
pub fn parse_date_time(text: &str) -> Option<Duration> {
    let mut reader = Reader(text.as_bytes());
    let year = reader.digits(4)?;
    reader.one_of(b"-")?;
    let month = reader.within(1, 12)?;
    reader.one_of(b"-")?;
    let day = reader.within(1, days_of(year, month))?;
    reader.one_of(b"Tt")?;
    let hour = reader.within(0, 23)?;
    reader.one_of(b":")?;
    let minute = reader.within(0, 59)?;
    reader.one_of(b":")?;
    let second = reader.within(0, 60)?;
    let fraction = match reader.one_of(b".") {
        Some(_) => reader.fraction()?,
        None => 0,
    };
    let offset_minutes = match reader.one_of(b"Zz+-")? {
        sign @ (b'+' | b'-') => {
            let hours = reader.within(0, 23)?;
            reader.one_of(b":")?;
            let minutes = hours * 60 + reader.within(0, 59)?;
            if sign == b'+' { minutes } else { -minutes }
        }
        _ => 0,
    };
    if !reader.0.is_empty() {
        return None;
    }
    let minutes = hour * 60 + minute - offset_minutes;
    let seconds = days_since_epoch(year, month, day) * SECONDS_OF_A_DAY + minutes * 60 + second;
    if second == 60 && !follows_leap_second(seconds) {
        return None;
    }
    let seconds = u64::try_from(seconds);
    Some(seconds.map_or(Duration::ZERO, |seconds| Duration::new(seconds, fraction)))
}

/// Writes a time since the Unix epoch as a `date-time` in UTC, to the second.
pub fn date_time(since_epoch: Duration) -> String {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    let (days, seconds) = (seconds / SECONDS_OF_A_DAY, seconds % SECONDS_OF_A_DAY);
    let (year, month, day) = date_of(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// The next octet, if it is one of these.
    fn one_of(&mut self, octets: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        octets.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// A number of just so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| {
            let is_digit = digit.is_ascii_digit();
            is_digit.then(|| number * 10 + i64::from(digit - b'0'))
        })
    }

    /// A number of two digits in a range.
    fn within(&mut self, least: i64, most: i64) -> Option<i64> {
        let number = self.digits(2)?;
        (least..=most).contains(&number).then_some(number)
    }

    /// Digits behind the point, as nanoseconds. One at least.
    fn fraction(&mut self) -> Option<u32> {
        let count = self.0.iter().take_while(|octet| octet.is_ascii_digit());
        let (digits, rest) = self.0.split_at(count.count());
        self.0 = rest;
        let place = |at: usize| digits.get(at).map_or(0, |digit| u32::from(digit - b'0'));
        let nanoseconds = (0..FRACTION_DIGITS).fold(0, |number, at| number * 10 + place(at));
        (!digits.is_empty()).then_some(nanoseconds)
    }
}

/// Whether a leap second can stand before this second since the epoch: it begins a July or a January.
fn follows_leap_second(seconds: i64) -> bool {
    let begins = |(_, month, day): (i64, i64, i64)| matches!((month, day), (1 | 7, 1));
    seconds >= 0 && seconds % SECONDS_OF_A_DAY == 0 && begins(date_of(seconds / SECONDS_OF_A_DAY))
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Leap days before a year.
fn leap_days_before(year: i64) -> i64 {
    let last = year - 1;
    last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)
}

fn days_before(year: i64) -> i64 {
    (year - 1_970) * 365 + leap_days_before(year) - leap_days_before(1_970)
}

fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let months = (1..month).map(|month| days_of(year, month));
    days_before(year) + months.sum::<i64>() + day - 1
}

fn date_of(days: i64) -> (i64, i64, i64) {
    // No year is longer than 366 days, so this is never too late, and a few years early at most.
    let mut year = 1_970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before(year);
    let mut month = 1;
    while day >= days_of(year, month) {
        day -= days_of(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_date_time_is_read_with_its_zone_and_its_fraction() {
        for (text, seconds, nanoseconds) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2000-02-29T12:00:00z", 951_825_600, 0),
            ("2023-11-14T22:13:20.123Z", 1_700_000_000, 123_000_000),
            ("2023-11-15t00:13:20+02:00", 1_700_000_000, 0),
            ("2023-11-14T15:43:20.5-06:30", 1_700_000_000, 500_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800, 0),
            ("2012-06-30T23:59:60.5Z", 1_341_100_800, 500_000_000),
            ("2016-12-31T15:59:60-08:00", 1_483_228_800, 0),
            ("2017-01-01T05:29:60+05:30", 1_483_228_800, 0),
            (
                "9999-12-31T23:59:59.9999999999Z",
                253_402_300_799,
                999_999_999,
            ),
            ("1969-12-31T23:59:59Z", 0, 0),
            ("0000-01-01T00:00:00Z", 0, 0),
        ] {
            let expected = Duration::new(seconds, nanoseconds);
            assert_eq!(parse_date_time(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_time_is_not_guessed_at() {
        for text in [
            "",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20Z",
            "2023-11-14T22:13Z",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20Zx",
            "2023-11-14T22:13:20+0200",
            "2023-11-14T22:13:20+24:00",
            "2023-11-14T22:13:20+02:60",
            "2023-02-29T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-00T00:00:00Z",
            "2023-04-31T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:60:00Z",
            "2023-01-01T00:00:61Z",
            "2023-01-01T00:00:60Z",
            "2023-12-31T23:58:60Z",
            "2023-12-31T22:59:60Z",
            "2023-12-30T23:59:60Z",
            "2023-03-31T23:59:60Z",
            "2023-12-31T23:59:60+01:00",
            "1960-12-31T23:59:60Z",
            "+023-01-01T00:00:00Z",
            "23-01-01T00:00:00Z",
            "20\u{661}3-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_date_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same(seconds in 0..253_402_300_800_u64) {
            let written = date_time(Duration::from_secs(seconds));
            prop_assert_eq!(parse_date_time(&written), Some(Duration::from_secs(seconds)));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC*|[0-9T:.Z+-]{0,30}") {
            let _ = parse_date_time(&text);
        }

        #[test]
        fn any_time_is_written(seconds: u64) {
            let seconds = seconds % (1 << 40);
            prop_assert!(date_time(Duration::from_secs(seconds)).ends_with('Z'));
        }
    }
}
