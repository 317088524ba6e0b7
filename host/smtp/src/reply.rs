//! Replies: what a server says (RFC 5321 §4.2) with its enhanced status code (RFC 2034, RFC 3463).
//!
//! A [`Reply`] always leaves as lines of at most 512 octets without control characters, whatever its
//! text holds. Reading a peer's replies is in [`parser`].

pub mod parser;

use std::fmt;

/// Longest reply line in octets with its CRLF (RFC 5321 §4.5.3.1.5).
pub const REPLY_LINE_OCTETS_MAX: usize = 512;
/// Text of one reply that is sent; the rest is cut off. Ten full lines tell enough.
pub const REPLY_TEXT_OCTETS_MAX: usize = 4_096;

/// `class.subject.detail` of RFC 3463.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    /// 2 success, 4 transient failure, 5 permanent failure.
    pub class: u8,
    /// What it is about: 1 address, 5 protocol, 7 policy and so on.
    pub subject: u16,
    /// The particular condition.
    pub detail: u16,
}

impl EnhancedStatus {
    /// Reads `5.7.1` at the start of `text` and returns what stands behind it and a blank.
    pub fn parse_prefix(text: &str) -> Option<(EnhancedStatus, &str)> {
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = code.split('.');
        let mut part = || {
            let digits = parts.next()?;
            let valid =
                (1..=3).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
            valid.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let (class, subject, detail) = (part()?, part()?, part()?);
        if parts.next().is_some() {
            return None;
        }
        let class = u8::try_from(class)
            .ok()
            .filter(|class| matches!(class, 2 | 4 | 5))?;
        Some((
            EnhancedStatus {
                class,
                subject,
                detail,
            },
            rest,
        ))
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl From<(u8, u16, u16)> for EnhancedStatus {
    fn from((class, subject, detail): (u8, u16, u16)) -> EnhancedStatus {
        EnhancedStatus {
            class,
            subject,
            detail,
        }
    }
}

/// A reply of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The enhanced status code, where the kind of reply has one.
    pub enhanced: Option<EnhancedStatus>,
    /// The text without codes; `\n` parts lines.
    pub text: String,
}

impl Reply {
    /// A reply with an enhanced status code.
    pub fn new(code: u16, enhanced: impl Into<EnhancedStatus>, text: impl Into<String>) -> Reply {
        Reply {
            code,
            enhanced: Some(enhanced.into()),
            text: text.into(),
        }
    }

    /// A reply without one, such as a greeting.
    pub fn plain(code: u16, text: impl Into<String>) -> Reply {
        Reply {
            code,
            enhanced: None,
            text: text.into(),
        }
    }

    /// 2yz: done.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 3yz: go on, as 354 and 334 say.
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// 4yz: not now.
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5yz: never.
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }

    /// Appends the reply as it goes over the wire. Long lines are broken at a blank, controls become
    /// blanks and characters beyond ASCII become `?` (RFC 5321 §4.2 has only ASCII; RFC 6531 §3.7.4
    /// allows more to some clients only). The class of the enhanced code is always that of the code,
    /// as RFC 2034 §4 demands; a code out of range leaves as 451.
    pub fn write_to(&self, output: &mut Vec<u8>) {
        let code = if (200..600).contains(&self.code) {
            self.code
        } else {
            451
        };
        let enhanced = self.enhanced.map(|status| {
            format!(
                "{}.{}.{} ",
                code / 100,
                status.subject.min(999),
                status.detail.min(999)
            )
        });
        let enhanced = enhanced.as_deref().unwrap_or("");
        let room = REPLY_LINE_OCTETS_MAX - "250-".len() - enhanced.len() - "\r\n".len();
        let mut separator = None;
        for line in printable(&self.text).split('\n') {
            for part in (Wrapped {
                rest: Some(line),
                room,
            }) {
                output.extend_from_slice(code.to_string().as_bytes());
                separator = Some(output.len());
                output.push(b'-');
                output.extend_from_slice(enhanced.as_bytes());
                output.extend_from_slice(part.as_bytes());
                output.extend_from_slice(b"\r\n");
            }
        }
        if let Some(at) = separator.and_then(|at| output.get_mut(at)) {
            *at = b' ';
        }
    }
}

impl fmt::Display for Reply {
    /// One line for a log or a trail: `550 5.7.1 text`. Letters of any script stay; what is no letter, such as
    /// controls and what turns the reading direction, does not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        let text = self.text.chars().take(REPLY_TEXT_OCTETS_MAX).map(readable);
        let text = text.collect::<String>();
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// The text in ASCII without controls but `\n`, cut at [`REPLY_TEXT_OCTETS_MAX`].
fn printable(text: &str) -> String {
    let characters = text.chars().take(REPLY_TEXT_OCTETS_MAX);
    let ascii = characters.map(|character| match readable(character) {
        readable if readable.is_ascii() => readable,
        _ => '?',
    });
    ascii.collect()
}

/// The character, or what stands for it where it would not be read as one: controls but `\n`, and the marks of
/// Unicode that are not seen, break a line or turn the reading direction.
fn readable(character: char) -> char {
    match character {
        '\n' | ' '..='~' => character,
        _ if character.is_ascii() => ' ',
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => '?',
        _ => character,
    }
}

/// Parts of an ASCII line that are at most `room` long, broken at the last blank that fits.
struct Wrapped<'a> {
    rest: Option<&'a str>,
    room: usize,
}

impl<'a> Iterator for Wrapped<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        if rest.len() <= self.room {
            self.rest = None;
            return Some(rest);
        }
        let (part, left) = match rest[..self.room].rfind(' ') {
            Some(blank) if blank > 0 => (&rest[..blank], &rest[blank + 1..]),
            _ => rest.split_at(self.room),
        };
        self.rest = Some(left);
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn written(reply: &Reply) -> String {
        let mut output = Vec::new();
        reply.write_to(&mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn each_line_of_a_reply_carries_both_codes() {
        let reply = Reply::new(550, (5, 7, 1), "Not yours\nAsk the list");
        assert_eq!(
            written(&reply),
            "550-5.7.1 Not yours\r\n550 5.7.1 Ask the list\r\n"
        );
        assert_eq!(written(&Reply::plain(334, "")), "334 \r\n");
        assert_eq!(reply.to_string(), "550 5.7.1 Not yours Ask the list");
        assert_eq!(Reply::plain(550, "").to_string(), "550");
    }

    #[test]
    fn controls_and_characters_beyond_ascii_never_leave() {
        let reply = Reply::new(550, (5, 7, 1), "a\r250 Ok\u{0}\u{7f}\tb \u{e9}");
        assert_eq!(written(&reply), "550 5.7.1 a 250 Ok   b ?\r\n");
    }

    #[test]
    fn a_log_has_the_letters_of_a_reply_and_nothing_that_misleads() {
        let reply = Reply::new(550, (5, 1, 1), "f\u{fc}r \u{44f}\u{65e5}\nunbekannt");
        assert_eq!(
            reply.to_string(),
            "550 5.1.1 f\u{fc}r \u{44f}\u{65e5} unbekannt"
        );
        let reply = Reply::plain(550, "a\u{1b}b\u{9b}c\u{202e}d\u{2028}e\u{200b}f\r\tg");
        assert_eq!(reply.to_string(), "550 a b?c?d?e?f  g");
    }

    #[test]
    fn the_class_of_the_enhanced_code_is_that_of_the_code() {
        assert_eq!(written(&Reply::new(451, (5, 7, 1), "x")), "451 4.7.1 x\r\n");
        assert_eq!(written(&Reply::new(7, (5, 7, 1), "x")), "451 4.7.1 x\r\n");
    }

    #[test]
    fn an_enhanced_code_has_three_numbers_and_a_known_class() {
        let parse = |text| EnhancedStatus::parse_prefix(text);
        assert_eq!(parse("5.7.1 no"), Some(((5, 7, 1).into(), "no")));
        assert_eq!(parse("2.0.0"), Some(((2, 0, 0).into(), "")));
        for text in [
            "",
            "5.7",
            "5.7.1.2 x",
            "3.0.0 x",
            "5.7.x",
            "5..1",
            "5.7.1000",
            "55.1.1",
            "+5.1.1",
            "mx",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_line_is_over_512_octets(code in 0u16..1000, class in 0u8..=255, subject: u16, text in "\\PC{0,30}|[a-z ]{0,6000}|(.|\\n|\\r){0,2000}") {
            let lines = written(&Reply::new(code, (class, subject, subject), text));
            prop_assert!(lines.ends_with("\r\n"));
            let lines: Vec<&str> = lines.strip_suffix("\r\n").unwrap().split("\r\n").collect();
            for (at, line) in lines.iter().enumerate() {
                prop_assert!(line.len() + 2 <= REPLY_LINE_OCTETS_MAX);
                prop_assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
                prop_assert_eq!(line.as_bytes()[3], if at + 1 == lines.len() { b' ' } else { b'-' });
            }
        }
    }
}
