//! Puts the dots of DATA in and ends it (RFC 5321 §4.5.2).
//!
//! Nothing leaves with a bare CR or LF: what was accepted has none, and what was made here must not.
//! If it happens all the same, encoding stops and the content must not be ended.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Inspector;

static DOTTED_LINE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n."));

/// The content has a CR or an LF alone and cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareLineEnd;

impl std::fmt::Display for BareLineEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the content has a bare CR or LF")
    }
}

impl std::error::Error for BareLineEnd {}

/// Dot-stuffs a content in pieces of any cut.
#[derive(Debug, Clone)]
pub struct DotEncoder {
    inspector: Inspector,
    last: Last,
}

/// What stands before the next octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    LineEnd,
    /// A CR, which is held back until its LF is seen.
    Cr,
    Other,
}

impl Default for DotEncoder {
    fn default() -> DotEncoder {
        DotEncoder {
            inspector: Inspector::new(u64::MAX),
            last: Last::LineEnd,
        }
    }
}

impl DotEncoder {
    /// Appends the next piece to `output`.
    ///
    /// # Errors
    /// [`BareLineEnd`]; nothing of the piece was appended then, and the content cannot be ended.
    pub fn encode(&mut self, piece: &[u8], output: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        self.inspector.inspect(piece);
        if self.inspector.findings().bare_line_end {
            return Err(BareLineEnd);
        }
        let mut rest = piece;
        if self.last == Last::Cr && !rest.is_empty() {
            // The inspector has seen the LF.
            output.extend_from_slice(b"\r\n");
            rest = &rest[1..];
            self.last = Last::LineEnd;
        }
        if self.last == Last::LineEnd && rest.first() == Some(&b'.') {
            output.push(b'.');
        }
        while let Some(at) = DOTTED_LINE.find(rest) {
            output.extend_from_slice(&rest[..at + 2]);
            output.push(b'.');
            // The dot itself goes with the next part, and cannot be found again.
            rest = &rest[at + 2..];
        }
        if let Some(&last) = rest.last() {
            self.last = match last {
                b'\r' => Last::Cr,
                b'\n' => Last::LineEnd,
                _ => Last::Other,
            };
        }
        output.extend_from_slice(rest.strip_suffix(b"\r").unwrap_or(rest));
        Ok(())
    }

    /// Ends the content: the line end that the last line may lack (BDAT can bring such), and the dot.
    ///
    /// # Errors
    /// [`BareLineEnd`], also for a CR at the very end; nothing was appended then.
    pub fn finish(self, output: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        if self.inspector.finish().bare_line_end {
            return Err(BareLineEnd);
        }
        if self.last == Last::Other {
            output.extend_from_slice(b"\r\n");
        }
        output.extend_from_slice(b".\r\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(pieces: &[&str]) -> Result<String, BareLineEnd> {
        let (mut encoder, mut output) = (DotEncoder::default(), Vec::new());
        for piece in pieces {
            encoder.encode(piece.as_bytes(), &mut output)?;
        }
        encoder.finish(&mut output)?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    fn check(content: &str, wire: &str) {
        for cut in 0..=content.len() {
            let (first, second) = content.split_at(cut);
            assert_eq!(
                encode(&[first, second]).as_deref(),
                Ok(wire),
                "{content:?} at {cut}"
            );
        }
    }

    #[test]
    fn a_line_that_starts_with_a_dot_gets_another() {
        check("", ".\r\n");
        check("a\r\n", "a\r\n.\r\n");
        check(".\r\n", "..\r\n.\r\n");
        check(".a\r\n..\r\n\r\n.b.\r\n", "..a\r\n...\r\n\r\n..b.\r\n.\r\n");
        check("\r\n.\r\n.\r\n", "\r\n..\r\n..\r\n.\r\n");
    }

    #[test]
    fn a_last_line_without_an_end_gets_one() {
        check("a", "a\r\n.\r\n");
        check("a\r\n.", "a\r\n..\r\n.\r\n");
    }

    #[test]
    fn a_bare_line_end_is_never_sent() {
        for content in [
            "\n", "\r", "a\nb\r\n", "a\rb", "a\r\n\n", "a\r\r\n", "a\r\n\r",
        ] {
            for cut in 0..=content.len() {
                let (first, second) = content.split_at(cut);
                assert_eq!(
                    encode(&[first, second]),
                    Err(BareLineEnd),
                    "{content:?} at {cut}"
                );
            }
        }
    }
}
