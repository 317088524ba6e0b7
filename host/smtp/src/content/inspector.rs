//! What the octets of a content are: line ends, long lines, octets beyond ASCII.
//!
//! Content is a row of lines that end with CRLF (RFC 5321 §2.3.8, §4.1.1.4). A CR or LF alone is what
//! SMTP smuggling is made of: one server ends a line where the next one does not. It is found here
//! for DATA and BDAT alike, also where a chunk ends between CR and LF.

use memchr::{memchr, memchr_iter};

/// What was found in a content so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Findings {
    /// A CR without LF, or an LF without CR.
    pub bare_line_end: bool,
    /// A line longer than the limit.
    pub long_line: bool,
    /// An octet above 127.
    pub eight_bit: bool,
    /// An octet 0.
    pub nul: bool,
}

/// Looks at a content in pieces of any cut.
#[derive(Debug, Clone)]
pub struct Inspector {
    findings: Findings,
    line_octets_max: u64,
    /// Octets of the line that has not ended yet.
    line_octets: u64,
    /// The last octet was a CR: whether it is bare depends on the next.
    after_cr: bool,
}

impl Inspector {
    /// An inspector for lines of at most `line_octets_max` octets, CRLF included.
    pub fn new(line_octets_max: u64) -> Inspector {
        Inspector {
            findings: Findings::default(),
            line_octets_max,
            line_octets: 0,
            after_cr: false,
        }
    }

    /// Looks at the next piece.
    pub fn inspect(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        let after_cr = std::mem::replace(&mut self.after_cr, *last == b'\r');
        let mut start = 0;
        let mut pairs = 0;
        for lf in memchr_iter(b'\n', piece) {
            let is_pair = match lf.checked_sub(1) {
                Some(before) => piece[before] == b'\r',
                None => after_cr,
            };
            if is_pair {
                pairs += 1;
                self.end_line(lf + 1 - start);
                start = lf + 1;
            } else {
                self.findings.bare_line_end = true;
            }
        }
        self.grow_line(piece.len() - start);
        // Counting is faster than looking at each: what is in no pair is bare. The last one may be in one yet.
        let crs =
            memchr_iter(b'\r', piece).count() + usize::from(after_cr) - usize::from(self.after_cr);
        self.findings.bare_line_end |= crs != pairs;
        self.findings.eight_bit |= !piece.is_ascii();
        self.findings.nul |= memchr(0, piece).is_some();
    }

    /// What was found so far.
    pub fn findings(&self) -> Findings {
        self.findings
    }

    /// What was found in all, now that no piece follows.
    pub fn finish(mut self) -> Findings {
        self.findings.bare_line_end |= self.after_cr;
        self.findings
    }

    fn grow_line(&mut self, octets: usize) {
        self.line_octets = self.line_octets.saturating_add(octets as u64);
        self.findings.long_line |= self.line_octets > self.line_octets_max;
    }

    fn end_line(&mut self, octets: usize) {
        self.grow_line(octets);
        self.line_octets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn findings(pieces: &[&[u8]]) -> Findings {
        let mut inspector = Inspector::new(10);
        for piece in pieces {
            inspector.inspect(piece);
        }
        inspector.finish()
    }

    fn bare(pieces: &[&[u8]]) -> bool {
        findings(pieces).bare_line_end
    }

    #[test]
    fn only_crlf_ends_a_line() {
        for clean in ["", "a", "\r\n", "a\r\nb\r\n", "\r\n\r\n"] {
            assert!(!bare(&[clean.as_bytes()]), "{clean:?}");
        }
        for smuggled in [
            "\n", "\r", "a\nb", "a\rb", "\r\r\n", "\r\n\n", "\n\r", "\n.\r\n", "\r\n\r", "a\r\n.\r",
        ] {
            assert!(bare(&[smuggled.as_bytes()]), "{smuggled:?}");
        }
    }

    #[test]
    fn a_line_end_may_be_split_over_chunks_but_not_broken() {
        assert!(!bare(&[b"a\r", b"\nb\r\n"]));
        assert!(!bare(&[b"a\r", b"", b"\n"]));
        assert!(bare(&[b"a\r", b"b\r\n"]));
        assert!(bare(&[b"a", b"\nb\r\n"]));
        assert!(bare(&[b"a\r", b"\r\n"]));
        assert!(bare(&[b"a\r\n", b"\n"]));
    }

    #[test]
    fn a_long_line_counts_its_line_end() {
        assert!(!findings(&[b"12345678\r\n12345678\r", b"\n"]).long_line);
        assert!(findings(&[b"123456789\r\n"]).long_line);
        assert!(findings(&[b"12345678\r\n123456", b"7890", b"1"]).long_line);
    }

    #[test]
    fn octets_beyond_ascii_and_nul_are_noticed() {
        assert_eq!(findings(&[b"abc\r\n"]), Findings::default());
        assert!(findings(&[b"a", b"\xe9"]).eight_bit);
        assert!(findings(&[b"a\0b"]).nul);
    }

    proptest! {
        #[test]
        fn what_is_found_does_not_depend_on_the_cut(
            content in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..60),
            cut in 1usize..20,
        ) {
            let pieces: Vec<&[u8]> = content.chunks(cut).collect();
            prop_assert_eq!(findings(&pieces), findings(&[&content]));
        }

        #[test]
        fn a_content_is_bare_if_taking_out_crlf_leaves_a_cr_or_lf(content in "[a\r\n]{0,12}") {
            let left = content.replace("\r\n", "");
            prop_assert_eq!(bare(&[content.as_bytes()]), left.contains(['\r', '\n']));
        }
    }
}
