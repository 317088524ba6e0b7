//! When a message itself asks to be sent: the `Schedule` of its X-SMTPAPI field.
//!
//! Only read here. Whether it may wait for so long, and what MAIL says of it, is decided elsewhere.

use std::time::Duration;

use outpost_smtp::time::parse_date_time;
use serde::de::IgnoredAny;

use super::api::{Api, Said};
use super::{Field, Fields};
use crate::message::Timestamp;

/// What a header says of the time at which the message is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedTime {
    /// Then, be it over or not.
    At(Timestamp),
    /// It cannot be read, and counts as absent.
    Malformed,
}

/// The `Schedule` of `X-SMTPAPI: {"Schedule": "2030-01-02T15:04:05+01:00", …}`: a date and time with its zone
/// (RFC 3339 §5.6), or seconds since the Unix epoch. None where the field says nothing of it; that it is no
/// JSON is told where its priority is read.
pub fn requested_time(fields: &Fields<'_>) -> Option<RequestedTime> {
    time_of(&fields.first("X-SMTPAPI")?)
}

/// The first time that a later X-SMTPAPI field asks for and the first one does not. It does not count.
pub fn repeated_time(fields: &Fields<'_>) -> Option<Timestamp> {
    let mut found = fields.named("X-SMTPAPI").map(Field::unfolded);
    let first = time_of(&found.next()?);
    found.find_map(|later| match time_of(&later) {
        Some(RequestedTime::At(asked)) if first != Some(RequestedTime::At(asked)) => Some(asked),
        _ => None,
    })
}

fn time_of(value: &str) -> Option<RequestedTime> {
    let since_epoch = match Api::parse(value)?.schedule {
        Said::Nothing | Said::Once("null") => return None,
        Said::Once(schedule) => read(schedule),
        Said::Twice => None,
    };
    Some(since_epoch.map_or(RequestedTime::Malformed, |since_epoch| {
        RequestedTime::At(Timestamp::EPOCH.plus(since_epoch))
    }))
}

fn read(json: &str) -> Option<Duration> {
    match json.starts_with('"') {
        true => {
            let text: String = serde_json::from_str(json).ok()?;
            let text = text.trim();
            digits(text)
                .or_else(|| number(text))
                .or_else(|| parse_date_time(text))
        }
        false => digits(json).or_else(|| number(json)),
    }
}

/// Whole seconds, as many as can be counted.
fn digits(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let seconds = is_number.then(|| text.parse().unwrap_or(u64::MAX))?;
    Some(Duration::from_secs(seconds))
}

/// Seconds in any spelling that a number of JSON has (RFC 8259 §6): programs write the same one as `1e9` or with `.0`.
/// What is left over of a second is left out. What is before the epoch is over, and so is the epoch.
fn number(text: &str) -> Option<Duration> {
    let is_one = text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && serde_json::from_str::<IgnoredAny>(text).is_ok();
    let seconds: f64 = is_one.then(|| text.parse().ok()).flatten()?;
    // More than can be counted is as far ahead as can be.
    let ahead = Duration::try_from_secs_f64(seconds.trunc().max(0.0));
    Some(ahead.unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(value: &str) -> Option<RequestedTime> {
        let section = format!("X-SMTPAPI: {value}\r\n");
        requested_time(&Fields::parse(section.as_bytes()).unwrap())
    }

    #[test]
    fn a_schedule_is_a_date_with_its_zone_or_a_number_of_seconds() {
        let at = |milliseconds| {
            let at = Timestamp::from_unix_milliseconds(milliseconds);
            Some(RequestedTime::At(at))
        };
        for (schedule, milliseconds) in [
            ("1700000000", 1_700_000_000_000),
            ("\"1700000000\"", 1_700_000_000_000),
            ("\"2023-11-14T22:13:20Z\"", 1_700_000_000_000),
            ("\" 2023-11-15T00:13:20.5+02:00 \"", 1_700_000_000_500),
            ("1700000000.0", 1_700_000_000_000),
            ("1700000000e0", 1_700_000_000_000),
            ("1.7e9", 1_700_000_000_000),
            ("17000000000E-1", 1_700_000_000_000),
            ("\"1.7e9\"", 1_700_000_000_000),
            ("\" 01700000000 \"", 1_700_000_000_000),
            ("1e10", 10_000_000_000_000),
            // What is left over of a second is left out.
            ("1700000000.999", 1_700_000_000_000),
            ("1.5", 1_000),
            ("1e-400", 0),
            // Before the epoch is over, as the epoch is.
            ("0", 0),
            ("-0", 0),
            ("0e99", 0),
            ("-5", 0),
            ("\"-5\"", 0),
            ("-0.5", 0),
            ("-5e400", 0),
            ("-99999999999999999999999", 0),
            ("\"1969-01-01T00:00:00Z\"", 0),
        ] {
            let value = format!("{{\"Priority\": 2, \"Schedule\": {schedule}}}");
            assert_eq!(requested(&value), at(milliseconds), "{schedule}");
        }
        // Milliseconds by mistake are far away, and so is what nobody can count to.
        for far in [
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999",
            "\"99999999999999999999999\"",
            "1e23",
            "\"1e400\"",
            "1E+400",
            "99999999999999999999999.5",
            "\"9999-12-31T23:59:59Z\"",
        ] {
            let value = format!("{{\"SCHEDULE\": {far}}}");
            let never = Some(RequestedTime::At(Timestamp::NEVER));
            assert_eq!(requested(&value), never, "{far}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_malformed_and_what_is_not_there_is_not() {
        for schedule in [
            "\"tomorrow\"",
            "\"2023-11-14T22:13:20\"",
            "\"2023-11-14\"",
            "\"\"",
            "\"+5\"",
            "\"1.\"",
            "\"1e\"",
            "\"0x10\"",
            "\"inf\"",
            "\"NaN\"",
            "\"- 5\"",
            "true",
            "[1700000000]",
            "{}",
            "1700000000, \"Schedule\": 1700000000",
            "\"2023-11-14T22:13:20Z\", \"schedule\": 1",
        ] {
            let value = format!("{{\"Schedule\": {schedule}}}");
            assert_eq!(
                requested(&value),
                Some(RequestedTime::Malformed),
                "{schedule}"
            );
        }
        for value in [
            "{}",
            "{\"Schedule\": null}",
            "{\"category\": \"news\"}",
            "{Schedule",
            "[1700000000]",
            "[null, 1700000000]",
        ] {
            assert_eq!(requested(value), None, "{value}");
        }
        let none = Fields::parse(b"From: a@b.example\r\n").unwrap();
        assert_eq!(requested_time(&none), None);
    }
}
