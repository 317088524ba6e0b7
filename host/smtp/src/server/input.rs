//! Octets that have arrived, and the lines among them.
//!
//! Only CRLF ends a line. A line that is too long is thrown away up to its real end and counts as one
//! line, so that it gets one reply. Memory is bounded by the longest line and by what the driver reads
//! at once, and is given back when nothing is left.

use std::ops::Range;

use memchr::memchr;

/// Buffers up to this size are kept while they are empty; an idle session holds no more.
const OCTETS_KEPT: usize = 128;

/// A line as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its octets without the CRLF. They may be anything.
    Octets(&'a [u8]),
    /// It was longer than the limit.
    TooLong,
    /// It was an AUTH command and longer than the limit for those.
    AuthTooLong,
}

/// A buffer that is filled at its end and read at its start.
#[derive(Debug, Default)]
pub(super) struct Input {
    octets: Vec<u8>,
    /// Where what was not read yet starts.
    start: usize,
    /// Up to where no line end was found.
    searched: usize,
    /// The line that was last taken.
    line: Range<usize>,
    /// A line that is too long is being thrown away.
    overflow: Option<Overflow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Line,
    AuthLine,
}

impl Input {
    /// The buffer to append to. If `may_move`, what was read already is taken out first.
    pub(super) fn appendable(&mut self, may_move: bool) -> &mut Vec<u8> {
        if may_move && self.start > 0 {
            self.octets.drain(..self.start);
            self.searched = self.searched.saturating_sub(self.start);
            self.start = 0;
            self.line = 0..0;
        }
        &mut self.octets
    }

    /// What was not read yet.
    pub(super) fn unread(&mut self) -> &mut [u8] {
        self.octets.get_mut(self.start..).unwrap_or_default()
    }

    /// Takes the first `count` octets of the unread, and says where they stand.
    pub(super) fn consume(&mut self, count: usize) -> Range<usize> {
        let from = self.start;
        self.start = (from + count).min(self.octets.len());
        self.searched = self.start;
        from..self.start
    }

    /// Octets at a place that [`Self::consume`] told.
    pub(super) fn slice(&self, place: Range<usize>) -> &[u8] {
        self.octets.get(place).unwrap_or_default()
    }

    /// Throws everything away.
    pub(super) fn clear(&mut self) {
        *self = Input::default();
    }

    /// Gives memory back if nothing is unread.
    pub(super) fn release(&mut self) {
        if self.start < self.octets.len() {
            return;
        }
        (self.start, self.searched, self.line) = (0, 0, 0..0);
        self.octets.clear();
        if self.octets.capacity() > OCTETS_KEPT {
            self.octets = Vec::new();
        }
    }

    /// Overwrites the line that was last taken: it held a secret.
    pub(super) fn wipe_line(&mut self) {
        if let Some(line) = self.octets.get_mut(self.line.clone()) {
            line.fill(0);
        }
    }

    /// Takes a command line, which may be longer if it is AUTH (RFC 4954 §4).
    pub(super) fn command(
        &mut self,
        octets_max: usize,
        auth_octets_max: usize,
    ) -> Option<Line<'_>> {
        let is_auth = match self.overflow {
            Some(overflow) => overflow == Overflow::AuthLine,
            None => self
                .unread()
                .get(..4)
                .is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH")),
        };
        if is_auth {
            self.take(auth_octets_max, Overflow::AuthLine)
        } else {
            self.take(octets_max, Overflow::Line)
        }
    }

    /// Takes a line that is no command.
    pub(super) fn line(&mut self, octets_max: usize) -> Option<Line<'_>> {
        self.take(octets_max, Overflow::Line)
    }

    fn take(&mut self, octets_max: usize, kind: Overflow) -> Option<Line<'_>> {
        let Some(end) = self.find_line_end() else {
            if self.overflow.is_some() || self.octets.len() - self.start >= octets_max {
                self.throw_away(kind);
            }
            return None;
        };
        let (from, is_too_long) = (self.start, end - self.start > octets_max);
        self.start = end;
        self.searched = end;
        self.line = from..end;
        if self.overflow.take().is_some() || is_too_long {
            return Some(match kind {
                Overflow::Line => Line::TooLong,
                Overflow::AuthLine => Line::AuthTooLong,
            });
        }
        Some(Line::Octets(self.slice(from..end - 2)))
    }

    /// Where the first CRLF ends.
    fn find_line_end(&mut self) -> Option<usize> {
        let mut from = self.searched.max(self.start);
        while let Some(found) = memchr(b'\n', self.octets.get(from..)?) {
            let newline = from + found;
            if newline > self.start && self.octets[newline - 1] == b'\r' {
                return Some(newline + 1);
            }
            from = newline + 1;
        }
        self.searched = self.octets.len();
        None
    }

    /// Drops what there is of a line that is too long, but for a CR that may be half of its end.
    fn throw_away(&mut self, kind: Overflow) {
        self.overflow = Some(kind);
        let kept =
            usize::from(self.octets.last() == Some(&b'\r') && self.octets.len() > self.start);
        self.start = self.octets.len() - kept;
        self.searched = self.octets.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the lines of `wire`, fed in pieces of `cut` octets.
    fn lines(wire: &[u8], cut: usize) -> Vec<String> {
        let (mut input, mut lines) = (Input::default(), Vec::new());
        for piece in wire.chunks(cut) {
            input.appendable(true).extend_from_slice(piece);
            while let Some(line) = input.command(10, 20) {
                lines.push(match line {
                    Line::Octets(octets) => String::from_utf8_lossy(octets).into_owned(),
                    other => format!("{other:?}"),
                });
            }
            input.release();
            assert!(input.octets.len() - input.start < 20 + cut);
        }
        lines
    }

    fn check(wire: &str, expected: &[&str]) {
        for cut in 1..=wire.len() {
            assert_eq!(lines(wire.as_bytes(), cut), expected, "{wire:?} cut {cut}");
        }
    }

    #[test]
    fn only_crlf_ends_a_line() {
        check("a\r\nb\r\n", &["a", "b"]);
        check("\r\n\r\nc", &["", ""]);
        check("a\nb\rc\r\n", &["a\nb\rc"]);
        check("a\r\r\nb\n\r\n", &["a\r", "b\n"]);
        check("\nA\r\n", &["\nA"]);
    }

    #[test]
    fn a_line_over_the_limit_is_one_line_however_long() {
        check("12345678\r\nx\r\n", &["12345678", "x"]);
        check("123456789\r\nx\r\n", &["TooLong", "x"]);
        check(
            &format!("{}\n\r\r{}\r\r\nx\r\n", "y".repeat(50), "z".repeat(50)),
            &["TooLong", "x"],
        );
        check("AUTH 6789012345678\r\nx\r\n", &["AUTH 6789012345678", "x"]);
        check(
            "auth 67890123456789\r\nAUTHx\r\n",
            &["AuthTooLong", "AUTHx"],
        );
        check(&format!("AUTH {}\r\n", "y".repeat(100)), &["AuthTooLong"]);
        check("12345678\n\r\nx\r\n", &["TooLong", "x"]);
    }

    #[test]
    fn an_empty_buffer_holds_no_memory() {
        let mut input = Input::default();
        input.appendable(true).extend_from_slice(&[b'x'; 4096]);
        input.consume(4096);
        input.release();
        assert_eq!(input.octets.capacity(), 0);
    }
}
