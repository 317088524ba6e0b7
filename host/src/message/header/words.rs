//! Encoded words (RFC 2047): what a reader will see in place of `=?utf-8?q?…?=`.
//!
//! The decoding is the mail parsing library's. Used for showing a subject, and for looking at what
//! a display name turns into before anybody trusts it.

use std::borrow::Cow;

use mail_parser::HeaderValue;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::parsers::MessageStream;

use super::{Fields, charset};

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

/// An encoded word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    charset: &'a str,
    /// What it encodes, in that character set.
    octets: Vec<u8>,
}

impl Word<'_> {
    /// Whether readers that decode it see the same characters of US-ASCII in it.
    pub(super) fn is_clear(&self) -> bool {
        charset::is_known(self.charset) && charset::is_allowed(self.charset, &self.octets)
    }

    /// Whether every reader decodes it.
    pub(super) fn is_common(&self) -> bool {
        charset::is_common(self.charset)
    }

    /// Whether another reader may see an `@` in it where half of a letter is seen here.
    pub(super) fn may_hold_at(&self) -> bool {
        charset::may_hold_at(self.charset, &self.octets)
    }
}

/// The encoded words of a text. None where something begins like one that is none by the letter of RFC 2047 §4:
/// decoders differ about what is left out or too much.
pub(super) fn words(text: &str) -> Option<Vec<Word<'_>>> {
    let (mut words, mut rest) = (Vec::new(), text);
    while let Some((_, word)) = rest.split_once("=?") {
        let mut parts = word.splitn(3, '?');
        let (charset, encoding, behind) = (parts.next()?, parts.next()?, parts.next()?);
        let (encoded, behind) = behind.split_once('?')?;
        let octets = match encoding {
            "q" | "Q" => quoted_octets(encoded)?,
            "b" | "B" if is_exact_base64(encoded) => base64_decode(encoded.as_bytes())?,
            _ => return None,
        };
        words.push(Word {
            // RFC 2231 §5: the language stands behind it.
            charset: charset.split('*').next().unwrap_or_default(),
            octets,
        });
        rest = behind.strip_prefix('=')?;
    }
    Some(words)
}

/// RFC 2047 §4.2; none where not two hexadecimal digits stand behind each `=`.
fn quoted_octets(encoded: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [octet, behind @ ..] = rest {
        rest = behind;
        octets.push(match octet {
            b'=' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                let digit = |digit: u8| char::from(digit).to_digit(16);
                u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?
            }
            b'_' => b' ',
            octet => *octet,
        });
    }
    Some(octets)
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

#[cfg(test)]
mod tests {
    use super::*;

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
        for (text, expected) in [
            ("Ann", &[][..]),
            ("a=b", &[]),
            (
                "=?utf-8?q?a=C3=a9_b?= x =?us-ascii*en?B?QQ==?=",
                &[("utf-8", &b"a\xc3\xa9 b"[..]), ("us-ascii", b"A")],
            ),
            (
                "=?utf-8?b?QUJD?==?utf-8?b??=",
                &[("utf-8", b"ABC"), ("utf-8", b"")],
            ),
            ("=?utf-8?q?\u{e9}?=", &[("utf-8", b"\xc3\xa9")]),
        ] {
            let words = words(text).unwrap();
            let found: Vec<_> = words
                .iter()
                .map(|word| (word.charset, word.octets.as_slice()))
                .collect();
            assert_eq!(found, expected, "{text}");
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
            "=?utf-8?q?=+4?=",
            "=?utf-8?q?=\u{e9}?=",
            "=?utf-8?b?QQ?=",
            "=?utf-8?b?QQ=?=",
            "=?utf-8?b?Q===?=",
            "=?utf-8?b?QQ==QQ==?=",
            "=?utf-8?b?Q Q=?=",
            "=?utf-8?q?a?= =?utf-8?q?b",
        ] {
            assert_eq!(words(not), None, "{not}");
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
