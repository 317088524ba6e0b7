//! Encoded words (RFC 2047): what a reader will see in place of `=?utf-8?q?…?=`.
//!
//! The decoding is the mail parsing library's. Used for showing a subject, and for looking at what
//! a display name turns into before anybody trusts it.

use std::borrow::Cow;

use mail_parser::HeaderValue;
use mail_parser::decoders::charsets::map::charset_decoder;
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

/// The text with the blanks inside of encoded words written as they should be: as `_`. Programs that
/// encode by hand forget that RFC 2047 §5 allows none there, and many readers decode such words.
pub(super) fn with_blanks_joined(text: &str) -> Cow<'_, str> {
    if !text.contains("=?") {
        return Cow::Borrowed(text);
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, word)) = rest.split_once("=?") {
        joined.push_str(before);
        let Some((head, encoded, behind)) = quoted_printable_word(word) else {
            joined.push_str("=?");
            rest = word;
            continue;
        };
        joined.extend(["=?", head, &encoded.replace([' ', '\t'], "_"), "?="]);
        rest = behind;
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

/// Whether everything that begins like an encoded word is one by the letter of RFC 2047 §4: decoders differ
/// about what is left out or too much.
pub(super) fn are_words_exact(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, word)) = rest.split_once("=?") {
        let mut parts = word.splitn(3, '?');
        let (Some(_), Some(encoding), Some(behind)) = (parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let Some((encoded, behind)) = behind.split_once('?') else {
            return false;
        };
        let is_exact = match encoding {
            "q" | "Q" => is_exact_quoted(encoded),
            "b" | "B" => is_exact_base64(encoded),
            _ => false,
        };
        let Some(behind) = behind.strip_prefix('=').filter(|_| is_exact) else {
            return false;
        };
        rest = behind;
    }
    true
}

/// Behind each `=` stand two hexadecimal digits.
fn is_exact_quoted(encoded: &str) -> bool {
    encoded.split('=').skip(1).all(|part| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Groups of four letters, the last one padded.
fn is_exact_base64(encoded: &str) -> bool {
    let letters = encoded.trim_end_matches('=');
    encoded.len().is_multiple_of(4)
        && encoded.len() - letters.len() <= 2
        && letters
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/'))
}

/// `charset?Q?`, what is encoded, and what stands behind the word.
fn quoted_printable_word(word: &str) -> Option<(&str, &str, &str)> {
    let charset = word.find('?')?;
    let (head, encoded) = word.split_at_checked(charset + 3)?;
    let is_word = head[charset..].eq_ignore_ascii_case("?q?");
    let end = encoded.find('?').filter(|_| is_word)?;
    let behind = encoded[end..].strip_prefix("?=")?;
    Some((head, &encoded[..end], behind))
}

/// Whether every encoded word is in a character set that is decoded here. What is shown of any other
/// says nothing about what a reader that knows it will see.
pub(super) fn are_charsets_known(text: &str) -> bool {
    // `=?=` is the end of a word whose text ends with `=`.
    let words = text
        .split("=?")
        .skip(1)
        .filter(|word| !word.starts_with('='));
    words
        .map(|word| word.split(['?', '*']).next().unwrap_or_default())
        .all(is_charset_known)
}

fn is_charset_known(charset: &str) -> bool {
    // The library has replacement characters for these, as web browsers do; other readers decode them.
    const REPLACED: [&str; 5] = ["csiso2022kr", "hz", "iso-2022-cn", "iso-2022-kr", "iso2022"];
    let lower = charset.to_ascii_lowercase().replace('_', "-");
    if REPLACED.iter().any(|replaced| lower.starts_with(replaced)) {
        return false;
    }
    matches!(lower.as_str(), "utf-8" | "utf8") || charset_decoder(charset.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charset_is_known_when_its_text_can_be_looked_at() {
        for charset in [
            "utf-8",
            "UTF-8",
            "us-ascii",
            "ISO-8859-1",
            "windows-1251",
            "koi8-r",
            "Shift_JIS",
            "iso-2022-jp",
            "gb18030",
            "GB2312",
            "big5",
            "euc-kr",
            "KS_C_5601-1987",
            "cp850",
        ] {
            assert!(
                are_charsets_known(&format!("=?{charset}?b?QQ==?=")),
                "{charset}"
            );
        }
        for charset in [
            "",
            "cp037",
            "iso-2022-kr",
            "ISO_2022_KR",
            "hz-gb-2312",
            "unicode_escape",
        ] {
            assert!(
                !are_charsets_known(&format!("x =?{charset}?q?A?=")),
                "{charset}"
            );
        }
        assert!(are_charsets_known("=?utf-8*en?q?a?= =?utf-8?b?wqA=?="));
    }

    #[test]
    fn blanks_inside_of_encoded_words_are_joined() {
        for (text, joined) in [
            ("=?utf-8?Q?Ann Lee?= x y", "=?utf-8?Q?Ann_Lee?= x y"),
            (
                "=?utf-8?q?a b?= =?utf-8?q?c\td?=",
                "=?utf-8?q?a_b?= =?utf-8?q?c_d?=",
            ),
            ("=?utf-8?b?QQ ==?=", "=?utf-8?b?QQ ==?="),
            ("=?utf-8?q?a b", "=?utf-8?q?a b"),
            ("a =? b", "a =? b"),
            ("=?utf-8?\u{e9}?a b?=", "=?utf-8?\u{e9}?a b?="),
            ("=?=?utf-8?q?a b?=", "=?=?utf-8?q?a_b?="),
        ] {
            assert_eq!(with_blanks_joined(text), joined, "{text}");
        }
    }

    #[test]
    fn encoded_words_are_exact_or_not() {
        for exact in [
            "Ann",
            "a=b",
            "=?utf-8?q?a=C3=a9_b?= x =?utf-8?B?QQ==?=",
            "=?utf-8?b?QUJD?==?utf-8?b??=",
        ] {
            assert!(are_words_exact(exact), "{exact}");
        }
        for not in [
            "=?",
            "=?utf-8",
            "=?utf-8?q?a",
            "=?utf-8?q?a?",
            "=?utf-8?q?a?b",
            "=?utf-8?x?a?=",
            "=?utf-8?q?=4?=",
            "=?utf-8?q?=?=",
            "=?utf-8?q?=4g?=",
            "=?utf-8?b?QQ?=",
            "=?utf-8?b?QQ=?=",
            "=?utf-8?b?Q===?=",
            "=?utf-8?b?QQ==QQ==?=",
            "=?utf-8?b?Q Q=?=",
            "=?utf-8?q?a?= =?utf-8?q?b",
        ] {
            assert!(!are_words_exact(not), "{not}");
        }
    }

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
