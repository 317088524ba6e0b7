//! What an X-SMTPAPI field says beside all that is meant for others: its `Priority`, its `Schedule` and its `category`.
//!
//! Found here, each as it stands in the JSON; what it means is the business of who reads a priority or a time. The field
//! is one JSON object: nothing else is taken for one, and a key that stands in it twice has no value that all readers
//! would agree on.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The keys of an object that are ours.
#[derive(Debug, Default)]
pub(super) struct Api<'a> {
    pub(super) priority: Said<'a>,
    pub(super) schedule: Said<'a>,
    pub(super) category: Said<'a>,
}

/// What stands under a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Said<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// This JSON.
    Once(&'a str),
    /// The key is there more than once, in whatever case.
    Twice,
}

impl<'a> Api<'a> {
    /// Reads the body of a field; none when it is no JSON object.
    pub(super) fn parse(body: &'a str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }
}

impl<'a> Said<'a> {
    fn and(self, value: &'a RawValue) -> Self {
        match self {
            Self::Nothing => Self::Once(value.get()),
            Self::Once(_) | Self::Twice => Self::Twice,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Api<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A derived one would take an array for its fields in their order.
        deserializer.deserialize_map(Keys)
    }
}

/// In any case, as programs write the keys of such objects in lower case as well.
const PRIORITY: &str = "Priority";
const SCHEDULE: &str = "Schedule";
const CATEGORY: &str = "category";

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Api<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Api<'de>, A::Error> {
        let mut api = Api::default();
        while let Some(key) = map.next_key::<String>()? {
            if key.eq_ignore_ascii_case(PRIORITY) {
                api.priority = api.priority.and(map.next_value()?);
            } else if key.eq_ignore_ascii_case(SCHEDULE) {
                api.schedule = api.schedule.and(map.next_value()?);
            } else if key.eq_ignore_ascii_case(CATEGORY) {
                api.category = api.category.and(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Priority | Schedule`; `-` where nothing is said, `!` where it is said twice.
    fn read(body: &str) -> Option<String> {
        let of = |said| match said {
            Said::Nothing => "-",
            Said::Once(value) => value,
            Said::Twice => "!",
        };
        let api = Api::parse(body)?;
        Some(format!("{} | {}", of(api.priority), of(api.schedule)))
    }

    #[test]
    fn keys_are_found_in_one_object_and_nowhere_else() {
        for (body, expected) in [
            ("{}", Some("- | -")),
            (r#"{"Priority":1}"#, Some("1 | -")),
            (
                r#"{"to":[{"Priority":2}], "schedule" : "x" , "Priority":" 1"}"#,
                Some(r#"" 1" | "x""#),
            ),
            (r#"{"Pri\u006frity":[1, 2]}"#, Some("[1, 2] | -")),
            (r#"{"Priority":null,"Schedule": null}"#, Some("null | null")),
            (r#"{"PRIORITY":1,"SCHEDULE":2}"#, Some("1 | 2")),
            (r#"{"priority":1}"#, Some("1 | -")),
            (r#"{"Priority":1,"priority":1}"#, Some("! | -")),
            (r#"{"Priority ":1,"X-Priority":2}"#, Some("- | -")),
            // Numbers of any size are no mistake of the JSON.
            (
                r#"{"x":1e400,"Schedule":99999999999999999999}"#,
                Some("- | 99999999999999999999"),
            ),
            (r#"{"Priority":1,"Priority":1}"#, Some("! | -")),
            (r#"{"Priority":null,"priority":1}"#, Some("! | -")),
            (r#"{"Schedule":1,"Schedule":2,"Priority":3}"#, Some("3 | !")),
            ("[1]", None),
            (r#"["1", 2]"#, None),
            (r#"[{"Priority":1}]"#, None),
            ("1", None),
            ("null", None),
            (r#""Priority""#, None),
            ("", None),
            (r#"{"Priority":1}{"Priority":2}"#, None),
            (r#"{"Priority":01}"#, None),
            (r#"{"Priority":1"#, None),
        ] {
            assert_eq!(read(body).as_deref(), expected, "{body}");
        }
    }
}
