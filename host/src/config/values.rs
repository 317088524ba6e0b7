//! The kinds of values that configuration keys have: text, numbers, durations, lists.
//!
//! Each reader says what it expected when it is given something else.

use std::time::Duration;

use toml::de::DeValue;

/// One thing that is wrong with a value.
#[derive(Debug)]
pub(super) struct Wrong {
    /// The offset in the file, when it is about a part of the value.
    pub(super) at: Option<usize>,
    /// What is wrong, and what would be right.
    pub(super) text: String,
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self { at: None, text }
    }
}

fn one(text: String) -> Vec<Wrong> {
    vec![text.into()]
}

/// A text that `parse` understands.
pub(super) fn text<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl FnOnce(&DeValue<'_>) -> Result<T, Vec<Wrong>> {
    texts(move |text| parse(text).map_err(|text| vec![text]))
}

/// A text that `parse` understands; several things may be wrong with it.
pub(super) fn texts<T>(
    parse: impl Fn(&str) -> Result<T, Vec<String>>,
) -> impl FnOnce(&DeValue<'_>) -> Result<T, Vec<Wrong>> {
    move |value| match value {
        DeValue::String(text) => {
            parse(text).map_err(|texts| texts.into_iter().map(Wrong::from).collect())
        }
        other => Err(one(format!(
            "a text in quotes is expected, not {}",
            kind(other)
        ))),
    }
}

/// Any text that is not empty.
pub(super) fn plain(value: &DeValue<'_>) -> Result<String, Vec<Wrong>> {
    text(|text| {
        if text.is_empty() {
            Err("must not be empty".to_owned())
        } else if text.contains('\0') {
            Err("must not contain U+0000, which no name of a file and no login has".to_owned())
        } else {
            Ok(text.to_owned())
        }
    })(value)
}

/// `true` or `false`.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, Vec<Wrong>> {
    value
        .as_bool()
        .ok_or_else(|| one(format!("true or false is expected, not {}", kind(value))))
}

/// A whole number between two bounds, both included.
pub(super) fn number(
    least: u64,
    most: u64,
) -> impl FnOnce(&DeValue<'_>) -> Result<u64, Vec<Wrong>> {
    move |value| {
        let wrong = || format!("a whole number from {least} to {most} is expected");
        let DeValue::Integer(integer) = value else {
            return Err(one(format!("{}, not {}", wrong(), kind(value))));
        };
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| one(wrong()))
    }
}

/// A duration such as `30s`, `2m`, `1h` or `5d`, between two bounds, both included.
pub(super) fn duration(
    least: Duration,
    most: Duration,
) -> impl FnOnce(&DeValue<'_>) -> Result<Duration, Vec<Wrong>> {
    move |value| text(|text| bounded_duration(text, least, most))(value)
}

/// A list of durations, not empty.
pub(super) fn durations(
    least: Duration,
    most: Duration,
) -> impl FnOnce(&DeValue<'_>) -> Result<Vec<Duration>, Vec<Wrong>> {
    move |value| {
        let durations = list(|text| bounded_duration(text, least, most))(value)?;
        if durations.is_empty() {
            Err(one("at least one duration is needed".to_owned()))
        } else {
            Ok(durations)
        }
    }
}

/// A list of texts that `parse` understands. Every item that is wrong is told, at its place.
pub(super) fn list<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl FnOnce(&DeValue<'_>) -> Result<Vec<T>, Vec<Wrong>> {
    move |value| {
        let Some(items) = value.as_array() else {
            return Err(one(format!(
                "a list such as [\"…\", \"…\"] is expected, not {}",
                kind(value)
            )));
        };
        let mut list = Vec::with_capacity(items.len());
        let mut wrongs = Vec::new();
        for item in items.iter() {
            match text(&parse)(item.get_ref()) {
                Ok(value) => list.push(value),
                Err(more) => wrongs.extend(more.into_iter().map(|wrong| Wrong {
                    at: Some(item.span().start),
                    ..wrong
                })),
            }
        }
        if wrongs.is_empty() {
            Ok(list)
        } else {
            Err(wrongs)
        }
    }
}

fn bounded_duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration = parse_duration(text).ok_or_else(|| {
        format!("`{text}` is not a duration such as \"30s\", \"2m\", \"1h\" or \"5d\"")
    })?;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!(
            "`{text}` is outside {} to {}",
            show_duration(least),
            show_duration(most)
        ))
    }
}

/// A duration that is typed: `30s`, `2m`, `1h`, `5d`.
pub fn read_duration(text: &str) -> Result<Duration, String> {
    bounded_duration(text, Duration::ZERO, Duration::MAX)
}

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let milliseconds = number.parse::<u64>().ok()?.checked_mul(*milliseconds)?;
    Some(Duration::from_millis(milliseconds))
}

/// A duration in its largest whole unit.
pub(super) fn show_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (name, unit) = UNITS
        .iter()
        .rev()
        .find(|(_, unit)| milliseconds >= *unit && milliseconds.is_multiple_of(*unit))
        .unwrap_or(&UNITS[1]);
    format!("{}{name}", milliseconds / unit)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        let day = Duration::from_secs(86_400);
        let read = |text: &str| bounded_duration(text, Duration::from_secs(1), day);
        for (text, seconds) in [
            ("30s", 30),
            ("2m", 120),
            ("1h", 3_600),
            ("1d", 86_400),
            ("1500ms", 1),
        ] {
            assert_eq!(read(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5h",
            "1 h",
            "1w",
            "99999999999999999999s",
            "1H",
        ] {
            assert!(
                read(text).unwrap_err().contains("is not a duration"),
                "{text}"
            );
        }
        assert_eq!(read("2d").unwrap_err(), "`2d` is outside 1s to 1d");
        assert_eq!(read("0s").unwrap_err(), "`0s` is outside 1s to 1d");
    }
}
