//! Reading a peer's replies (RFC 5321 §4.2, §4.2.1) within bounds.
//!
//! More lenient than what we send: a line may be longer than 512 octets and may end with a bare LF,
//! because a reply carries no mail and nothing can be smuggled behind it that a client would run.

use super::{EnhancedStatus, Reply};

/// Longest line that is taken from a peer, four times what RFC 5321 §4.5.3.1.5 allows it.
pub const LINE_OCTETS_MAX: usize = 2_048;
/// Most lines of one reply. The longest EHLO replies in the field have about thirty.
pub const LINES_MAX: usize = 128;

/// A peer's octets are not a reply, or more than one reply may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedReply;

impl std::fmt::Display for MalformedReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the peer's reply is malformed")
    }
}

impl std::error::Error for MalformedReply {}

/// One line of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyLine {
    /// Three digits.
    pub code: u16,
    /// Whether no further line follows.
    pub is_last: bool,
    /// The text behind the code.
    pub text: String,
}

impl ReplyLine {
    /// Parses one line without its line end.
    ///
    /// # Errors
    /// [`MalformedReply`] if it does not start with a code and a blank, a hyphen or nothing.
    pub fn parse(line: &[u8]) -> Result<ReplyLine, MalformedReply> {
        let (digits, rest) = line.split_at_checked(3).ok_or(MalformedReply)?;
        let is_code = matches!(digits, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']);
        let is_last = match rest.first() {
            None | Some(b' ') => true,
            Some(b'-') => false,
            Some(_) => return Err(MalformedReply),
        };
        if !is_code {
            return Err(MalformedReply);
        }
        let code = digits
            .iter()
            .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        let text = String::from_utf8_lossy(rest.get(1..).unwrap_or_default());
        let is_blank = |character: char| character.is_control() || character.is_whitespace();
        // What is left of a sequence that steers a terminal is not to look like text of the peer's.
        let text = text
            .trim_end_matches(is_blank)
            .chars()
            .map(|character| match character {
                '\t' => ' ',
                control if control.is_control() => char::REPLACEMENT_CHARACTER,
                other => other,
            });
        Ok(ReplyLine {
            code,
            is_last,
            text: text.collect(),
        })
    }
}

/// Takes whole replies off a peer's octets.
#[derive(Debug, Default)]
pub struct ReplyParser {
    partial: Option<Reply>,
    lines: usize,
}

impl ReplyParser {
    /// Reads the next whole reply from `input`, and says how many octets were used. Fewer than a
    /// reply: `Ok((used, None))`, and the lines so far are remembered.
    ///
    /// # Errors
    /// [`MalformedReply`] if a line is no reply line or has another code than the one before it, or
    /// if a line or their number is over the bounds.
    pub fn take(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), MalformedReply> {
        let mut used = 0;
        while let Some(end) = memchr::memchr(b'\n', &input[used..]) {
            let line = &input[used..used + end];
            used += end + 1;
            if line.len() >= LINE_OCTETS_MAX {
                return Err(MalformedReply);
            }
            let line = ReplyLine::parse(line.strip_suffix(b"\r").unwrap_or(line))?;
            if let Some(reply) = self.add(line)? {
                return Ok((used, Some(reply)));
            }
        }
        if input.len() - used >= LINE_OCTETS_MAX {
            return Err(MalformedReply);
        }
        Ok((used, None))
    }

    fn add(&mut self, line: ReplyLine) -> Result<Option<Reply>, MalformedReply> {
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Err(MalformedReply);
        }
        let reply = match self.partial.take() {
            None => first_line(line.code, &line.text),
            Some(reply) if reply.code != line.code => return Err(MalformedReply),
            Some(reply) => next_line(reply, &line.text),
        };
        if line.is_last {
            self.lines = 0;
            return Ok(Some(reply));
        }
        self.partial = Some(reply);
        Ok(None)
    }
}

fn first_line(code: u16, text: &str) -> Reply {
    match EnhancedStatus::parse_prefix(text) {
        Some((status, rest)) if u16::from(status.class) == code / 100 => Reply {
            code,
            enhanced: Some(status),
            text: rest.to_owned(),
        },
        _ => Reply::plain(code, text),
    }
}

fn next_line(mut reply: Reply, text: &str) -> Reply {
    let text = match EnhancedStatus::parse_prefix(text) {
        Some((status, rest)) if reply.enhanced == Some(status) => rest,
        _ => text,
    };
    reply.text.push('\n');
    reply.text.push_str(text);
    reply
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn check(input: &str, expected: Reply) {
        let mut parser = ReplyParser::default();
        assert_eq!(
            parser.take(input.as_bytes()),
            Ok((input.len(), Some(expected))),
            "{input}"
        );
    }

    #[test]
    fn a_reply_is_read_with_its_enhanced_code_and_all_its_lines() {
        check("250 2.1.0 Ok\r\n", Reply::new(250, (2, 1, 0), "Ok"));
        check(
            "550-5.7.1 a\r\n550 5.7.1 b\r\n",
            Reply::new(550, (5, 7, 1), "a\nb"),
        );
        check(
            "250-mx\r\n250-SIZE 5\r\n250 DSN\r\n",
            Reply::plain(250, "mx\nSIZE 5\nDSN"),
        );
        check("550 4.7.1 odd\r\n", Reply::plain(550, "4.7.1 odd"));
        check("250\r\n", Reply::plain(250, ""));
        check("250 lone newline\n", Reply::plain(250, "lone newline"));
        check(
            "451 4.7.1 a\tb\u{1b}[31mc\u{7}\r\r\n",
            Reply::new(451, (4, 7, 1), "a b\u{fffd}[31mc"),
        );
    }

    #[test]
    fn what_is_no_reply_is_malformed() {
        let long = format!("250 {}\r\n", "x".repeat(LINE_OCTETS_MAX));
        let endless = "250-x\r\n".repeat(LINES_MAX + 1);
        for input in [
            "\r\n",
            "25\r\n",
            "250x\r\n",
            "150 x\r\n",
            "999 x\r\n",
            "hello\r\n",
            "250-a\r\n550 b\r\n",
            &long,
            &long[..LINE_OCTETS_MAX],
            &endless,
        ] {
            assert_eq!(
                ReplyParser::default().take(input.as_bytes()),
                Err(MalformedReply),
                "{input:.20}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_we_write_is_read_back_however_it_is_cut(code in 200u16..600, enhanced: bool, text in "[a-z]{1,20}(\\n[a-z]{1,20}){0,3}", cut in 1usize..40) {
            let enhanced = (enhanced && code / 100 != 3).then(|| (u8::try_from(code / 100).unwrap(), 1, 2).into());
            let reply = Reply { code, enhanced, text };
            let mut wire = Vec::new();
            reply.write_to(&mut wire);
            let (mut parser, mut pending, mut read) = (ReplyParser::default(), Vec::new(), Vec::new());
            for piece in wire.chunks(cut) {
                pending.extend_from_slice(piece);
                let (used, reply) = parser.take(&pending).unwrap();
                pending.drain(..used);
                read.extend(reply);
            }
            prop_assert!(pending.is_empty());
            prop_assert_eq!(read, vec![reply]);
        }

        #[test]
        fn random_octets_never_panic(input: Vec<u8>) {
            let _ = ReplyParser::default().take(&input);
        }
    }
}
