//! The campaign of a message: the name under which its sender wants it counted.
//!
//! Only read here; it decides nothing. What cannot be shown, or is empty, is no campaign.

use super::api::{Api, Said};
use super::{Fields, words};

/// Characters of a campaign: what tables and charts show. A longer one is cut.
pub const CAMPAIGN_CHARACTERS_MAX: usize = 64;

/// The fields that name a campaign, the first to count first.
const FIELDS: [&str; 2] = ["X-Campaign", "X-Campaign-ID"];

/// The campaign that a header names: the first `X-Campaign`, else the first `X-Campaign-ID`, else the `category` of the
/// first X-SMTPAPI field, which is a string or an array whose first item is one.
pub fn campaign(fields: &Fields<'_>) -> Option<String> {
    let mut said = FIELDS.into_iter().filter_map(|name| fields.first(name));
    match said.next() {
        Some(text) => printable(&words::decoded(&text)),
        None => printable(&category(&fields.first("X-SMTPAPI")?)?),
    }
}

fn category(field: &str) -> Option<String> {
    let Said::Once(category) = Api::parse(field)?.category else {
        return None;
    };
    if category.starts_with('[') {
        let items: Vec<serde_json::Value> = serde_json::from_str(category).ok()?;
        return items.first()?.as_str().map(str::to_owned);
    }
    serde_json::from_str(category).ok()
}

/// The text on one line and no longer than it may be; none where it is empty or has what cannot be shown.
fn printable(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return None;
    }
    let cut: String = text.chars().take(CAMPAIGN_CHARACTERS_MAX).collect();
    Some(cut.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Option<String> {
        campaign(&Fields::parse(section.as_bytes()).unwrap())
    }

    #[test]
    fn the_first_carrier_that_is_there_names_the_campaign() {
        for (section, expected) in [
            ("Subject: x\r\n", None),
            ("X-Campaign: spring\r\n", Some("spring")),
            ("x-campaign:  spring sale \r\n", Some("spring sale")),
            ("X-Campaign-ID: 4711\r\n", Some("4711")),
            (
                "X-Campaign-ID: b\r\nX-Campaign: a\r\nX-Campaign: c\r\n",
                Some("a"),
            ),
            (
                "X-Campaign: =?utf-8?q?Fr=C3=BChling?=\r\n",
                Some("Fr\u{fc}hling"),
            ),
            ("X-SMTPAPI: {\"category\":\"news\"}\r\n", Some("news")),
            (
                "X-SMTPAPI: {\"Category\":[\"news\",\"b\"]}\r\n",
                Some("news"),
            ),
            (
                "X-SMTPAPI: {\"category\":\"news\"}\r\nX-Campaign: a\r\n",
                Some("a"),
            ),
            // One that is there and says nothing leaves it to no other.
            (
                "X-SMTPAPI: {\"category\":\"news\"}\r\nX-Campaign:\r\n",
                None,
            ),
            ("X-SMTPAPI: {\"category\":[]}\r\n", None),
            ("X-SMTPAPI: {\"category\":[1]}\r\n", None),
            ("X-SMTPAPI: {\"category\":7}\r\n", None),
            ("X-SMTPAPI: {\"category\":null}\r\n", None),
            (
                "X-SMTPAPI: {\"category\":\"a\",\"category\":\"a\"}\r\n",
                None,
            ),
            ("X-SMTPAPI: {\"Priority\":1}\r\n", None),
            ("X-SMTPAPI: news\r\n", None),
            ("X-SMTPAPI: {\"category\":\"a\\u0000b\"}\r\n", None),
            ("X-Campaign: a\x07b\r\n", None),
        ] {
            assert_eq!(read(section).as_deref(), expected, "{section}");
        }
    }

    #[test]
    fn a_long_one_is_cut_by_characters() {
        let long = format!("X-Campaign: {}\r\n", "\u{fc}".repeat(70));
        assert_eq!(read(&long), Some("\u{fc}".repeat(CAMPAIGN_CHARACTERS_MAX)));
        let blank = format!("X-Campaign: {} b\r\n", "a".repeat(63));
        assert_eq!(read(&blank), Some("a".repeat(63)));
    }
}
