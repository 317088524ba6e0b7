//! Encoded words (RFC 2047): what a reader will see in place of `=?utf-8?q?…?=`.
//!
//! The decoding is the mail parsing library's. Used for showing a subject, and for looking at what
//! a display name turns into before anybody trusts it.

use std::borrow::Cow;

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use super::Fields;

/// Characters of a subject that the queue's lists show.
const SUBJECT_CHARACTERS_MAX: usize = 200;

/// The subject for people: decoded, on one line, without control characters, cut to 200 characters.
pub fn subject(fields: &Fields<'_>) -> String {
    let Some(field) = fields.named("Subject").next() else {
        return String::new();
    };
    decoded(&field.unfolded())
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SUBJECT_CHARACTERS_MAX)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The text with its encoded words decoded.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains("=?") {
        return Cow::Borrowed(text.trim());
    }
    let mut line = text.as_bytes().to_vec();
    line.extend_from_slice(b"\r\n");
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => Cow::Owned(text.into_owned()),
        _ => Cow::Borrowed(text.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_shown_decoded_on_one_line_and_cut() {
        let shown = |body: &str| {
            let section = format!("Subject: {body}\r\n");
            subject(&Fields::parse(section.as_bytes()).unwrap())
        };
        assert_eq!(shown("Hello\r\n there"), "Hello there");
        assert_eq!(
            shown("=?utf-8?q?Gr=C3=BC=C3=9Fe?= aus =?iso-8859-1?q?K=F6ln?="),
            "Grüße aus Köln"
        );
        assert_eq!(shown("=?utf-8?b?QQBCG1s=?="), "A B [");
        assert_eq!(shown(&"x".repeat(300)).len(), 200);
        assert_eq!(shown("Grüße"), "Grüße");
        assert_eq!(
            subject(&Fields::parse(b"From: a@b.example\r\n").unwrap()),
            ""
        );
    }
}
