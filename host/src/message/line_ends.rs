//! The line ends of a content that comes with no protocol of mail around it: all CRLF, or all LF.
//!
//! A content is a row of lines that end with CRLF (RFC 5321 §2.3.8), and SMTP refuses everything else. Over HTTP a
//! message is often a text of the system that it was written on, where each line ends with LF: that is said in one way
//! all through, so it can be read in one way only, and becomes CRLF. A content with both is what smuggling is made of, and
//! is refused; so is a CR that ends nothing.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// A content whose lines end now so, now so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its lines must all end with CRLF, or all with LF")]
pub struct MixedLineEnds;

/// Gives each line the end that mail has, in pieces of any cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineEnds {
    kind: Kind,
    /// The last octet was a CR.
    after_cr: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// No line has ended yet.
    #[default]
    Unknown,
    Crlf,
    Lf,
}

impl LineEnds {
    /// The next piece with the line ends of mail.
    ///
    /// # Errors
    /// [`MixedLineEnds`]; the content is of no use then.
    pub fn take(&mut self, piece: Bytes) -> Result<Bytes, MixedLineEnds> {
        if self.kind == Kind::Unknown
            && let Some(lf) = memchr(b'\n', &piece)
        {
            let after_cr = lf
                .checked_sub(1)
                .map_or(self.after_cr, |before| piece[before] == b'\r');
            self.kind = if after_cr { Kind::Crlf } else { Kind::Lf };
        }
        if self.kind != Kind::Lf {
            self.all_crlf(&piece)?;
            return Ok(piece);
        }
        if self.after_cr || memchr(b'\r', &piece).is_some() {
            return Err(MixedLineEnds);
        }
        Ok(with_crlf(&piece))
    }

    /// Ends the content.
    ///
    /// # Errors
    /// [`MixedLineEnds`] where it ends with a CR.
    pub fn finish(self) -> Result<(), MixedLineEnds> {
        match self.after_cr {
            true => Err(MixedLineEnds),
            false => Ok(()),
        }
    }

    /// Each CR is followed by an LF and each LF comes behind a CR.
    fn all_crlf(&mut self, piece: &[u8]) -> Result<(), MixedLineEnds> {
        let mut rest = piece;
        if self.after_cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").ok_or(MixedLineEnds)?;
            self.after_cr = false;
        }
        while let Some(lf) = memchr(b'\n', rest) {
            let line = rest[..lf].strip_suffix(b"\r").ok_or(MixedLineEnds)?;
            if memchr(b'\r', line).is_some() {
                return Err(MixedLineEnds);
            }
            rest = &rest[lf + 1..];
        }
        match memchr(b'\r', rest) {
            None => Ok(()),
            Some(cr) if cr + 1 == rest.len() => {
                self.after_cr = true;
                Ok(())
            }
            Some(_) => Err(MixedLineEnds),
        }
    }
}

/// The lines, which end with LF, with CRLF.
fn with_crlf(piece: &[u8]) -> Bytes {
    // Lines of text have some 60 octets.
    let mut written = BytesMut::with_capacity(piece.len() + piece.len() / 32 + 16);
    let mut rest = piece;
    while let Some(lf) = memchr(b'\n', rest) {
        written.extend_from_slice(&rest[..lf]);
        written.extend_from_slice(b"\r\n");
        rest = &rest[lf + 1..];
    }
    written.extend_from_slice(rest);
    written.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The content with the line ends of mail, in pieces of so many octets.
    fn taken(content: &str, piece: usize) -> Result<String, MixedLineEnds> {
        let (mut ends, mut all) = (LineEnds::default(), Vec::new());
        for piece in content.as_bytes().chunks(piece) {
            all.extend_from_slice(&ends.take(Bytes::copy_from_slice(piece))?);
        }
        ends.finish()?;
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    fn check(content: &str, expected: Result<&str, MixedLineEnds>) {
        for piece in 1..=content.len().max(1) {
            let taken = taken(content, piece);
            assert_eq!(
                taken.as_deref(),
                expected.as_ref().map(|text| *text),
                "{content:?}"
            );
        }
    }

    #[test]
    fn lines_that_all_end_alike_become_lines_of_mail() {
        check("", Ok(""));
        check("a", Ok("a"));
        check("a\r\nb\r\n\r\nc", Ok("a\r\nb\r\n\r\nc"));
        check("a\nb\n\nc", Ok("a\r\nb\r\n\r\nc"));
        check("\n", Ok("\r\n"));
        check("\n.\n", Ok("\r\n.\r\n"));
        check("\r\n", Ok("\r\n"));
    }

    #[test]
    fn what_ends_now_so_now_so_is_refused_however_it_is_cut() {
        for mixed in [
            "a\r\nb\n",
            "a\nb\r\n",
            "\r",
            "a\r",
            "a\rb\r\n",
            "a\nb\rc\n",
            "\r\r\n",
            "\r\n\r",
            "a\n\r",
            "\n.\r\n",
            "\r\n.\n",
            "ab\rcd",
            "a\rb\n",
            "\rb\n",
        ] {
            check(mixed, Err(MixedLineEnds));
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_clean_and_says_the_same(content in "[a.\r\n]{0,14}", piece in 1usize..6) {
            let is_lf = !content.contains('\r');
            let is_crlf = !content.replace("\r\n", "").contains(['\r', '\n']);
            let expected = match (is_crlf, is_lf) {
                (true, _) => Ok(content.clone()),
                (false, true) => Ok(content.replace('\n', "\r\n")),
                (false, false) => Err(MixedLineEnds),
            };
            prop_assert_eq!(taken(&content, piece), expected);
        }
    }
}
