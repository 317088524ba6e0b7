//! Takes the dots of DATA away and finds its end (RFC 5321 §4.5.2, §4.1.1.4).
//!
//! The only end is CRLF.CRLF, where the first CRLF may be the one that ended the DATA command. A line
//! starts behind a CRLF and nowhere else, so that LF.CRLF, CRLF.LF, CR.CR and their relatives are
//! content. Whether such content is acceptable is for [`super::Inspector`] to say.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Where a line starts with a dot.
static DOTTED_LINE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n."));

/// Undoes dot-stuffing in place.
#[derive(Debug, Clone)]
pub struct DotDecoder {
    at_line_start: bool,
}

/// What [`DotDecoder::decode`] did with a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Octets of content; they stand at the start of the buffer now.
    pub content: usize,
    /// Octets that are done with. What stands behind them must be shown again with what follows.
    pub consumed: usize,
    /// Whether the content has ended with the last octet consumed.
    pub is_end: bool,
}

impl Default for DotDecoder {
    fn default() -> DotDecoder {
        DotDecoder {
            at_line_start: true,
        }
    }
}

impl DotDecoder {
    /// Decodes what can be decoded. At most two octets at the end of the buffer stay unconsumed while
    /// it is open whether the content ends there.
    pub fn decode(&mut self, buffer: &mut [u8]) -> Decoded {
        let (mut read, mut written) = (0, 0);
        loop {
            if self.at_line_start && buffer.get(read) == Some(&b'.') {
                match buffer[read + 1..] {
                    [] | [b'\r'] => break,
                    [b'\r', b'\n', ..] => {
                        self.at_line_start = true;
                        return Decoded {
                            content: written,
                            consumed: read + 3,
                            is_end: true,
                        };
                    }
                    // RFC 5321 §4.5.2: the first dot of a longer line is taken away.
                    _ => read += 1,
                }
            }
            let rest = &buffer[read..];
            let (keep, is_dotted) = match DOTTED_LINE.find(rest) {
                Some(at) => (at + 2, true),
                // A CR at the end may be half of a CRLF: it waits.
                None => (rest.strip_suffix(b"\r").unwrap_or(rest).len(), false),
            };
            if keep > 0 {
                self.at_line_start = rest[..keep].ends_with(b"\r\n");
            }
            if written != read {
                buffer.copy_within(read..read + keep, written);
            }
            read += keep;
            written += keep;
            if !is_dotted {
                break;
            }
        }
        Decoded {
            content: written,
            consumed: read,
            is_end: false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::content::DotEncoder;
    use proptest::prelude::*;

    /// Decodes `wire` cut into pieces; the content, and what stood behind its end if it ended.
    fn decode(wire: &[u8], cut: usize) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut decoder, mut pending, mut content) =
            (DotDecoder::default(), Vec::new(), Vec::new());
        let mut pieces = wire.chunks(cut);
        while let Some(piece) = pieces.next() {
            pending.extend_from_slice(piece);
            let decoded = decoder.decode(&mut pending);
            content.extend_from_slice(&pending[..decoded.content]);
            pending.drain(..decoded.consumed);
            if decoded.is_end {
                pending.extend(pieces.flatten());
                return (content, Some(pending));
            }
            assert!(pending.len() <= 2);
        }
        (content, None)
    }

    fn check(wire: &str, content: &str, behind: &str) {
        for cut in 1..=wire.len() {
            let expected = (
                content.as_bytes().to_vec(),
                Some(behind.as_bytes().to_vec()),
            );
            assert_eq!(decode(wire.as_bytes(), cut), expected, "{wire:?} cut {cut}");
        }
    }

    #[test]
    fn the_end_is_a_dot_on_its_own_line() {
        check(".\r\n", "", "");
        check("a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n");
        check("\r\n.\r\n", "\r\n", "");
        check("a\r\n\r\n.\r\n.\r\n", "a\r\n\r\n", ".\r\n");
    }

    #[test]
    fn one_dot_is_taken_from_a_line_that_starts_with_one() {
        check("..\r\n.\r\n", ".\r\n", "");
        check(".a\r\n...b\r\nc.\r\n.\r\n", "a\r\n..b\r\nc.\r\n", "");
        check("a\r\n..\r\n..\r\n.\r\n", "a\r\n.\r\n.\r\n", "");
    }

    #[test]
    fn no_other_line_end_ends_the_content() {
        for end in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r.\r\n",
            "\r\n.\r",
            "\n.\r",
            "\r.\n",
            "\r\n.\r\r\n",
            "\r\r\n.\r\r\n",
            "\r\n\0.\r\n",
            "\r\n.\0\r\n",
            "\r\n .\r\n",
            "\r\n. \r\n",
            "\n\r.\n\r",
            "\r\n.\n\r\n",
            "\u{85}.\r\n",
        ] {
            for cut in 1..=20 {
                let wire = format!("a{end}b");
                assert_eq!(decode(wire.as_bytes(), cut).1, None, "{end:?} cut {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_cut(wire in "[a.\r\n]{0,40}", cut in 1usize..20) {
            let (content, behind) = decode(wire.as_bytes(), wire.len().max(1));
            let (pieces, behind_pieces) = decode(wire.as_bytes(), cut);
            prop_assert_eq!(&behind, &behind_pieces);
            prop_assert_eq!(content, pieces);
        }

        #[test]
        fn what_is_encoded_decodes_to_itself(
            lines in proptest::collection::vec("[^\r\n]{0,3}|[.]{0,4}|[a-z.]{0,80}", 0..20),
            cut_in in 1usize..50,
            cut_out in 1usize..50,
        ) {
            let content: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
            let (mut encoder, mut wire) = (DotEncoder::default(), Vec::new());
            for piece in content.chunks(cut_in) {
                encoder.encode(piece, &mut wire).unwrap();
            }
            encoder.finish(&mut wire).unwrap();
            prop_assert_eq!(decode(&wire, cut_out), (content, Some(Vec::new())));
        }
    }
}
