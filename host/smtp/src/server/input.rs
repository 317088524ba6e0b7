//! Octets that have arrived, and the lines among them.
//!
//! Only CRLF ends a line. A line that is too long, or that has a bare LF, is thrown away up to its real
//! end and counts as one line, so that it gets one reply. For a bare LF that reply is due at once: who
//! ends lines so never sends the real end, and would wait for ever. Memory is bounded by the longest line
//! and by what the driver reads at once, and is given back when nothing is left.

use std::ops::Range;

use memchr::memchr;

/// Buffers up to this size are kept while they are empty; an idle session holds no more.
const OCTETS_KEPT: usize = 128;

/// A line as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its octets without the CRLF. They may be anything.
    Octets(&'a [u8]),
    /// It was longer than the limit for lines that begin so.
    TooLong(Start),
    /// It has a bare LF, which is the last octet taken of it so far.
    BareLf(Start),
}

/// What a line begins with, also one that cannot be read: what is lost with it depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Auth,
    Mail,
    Rcpt,
    Bdat,
    Other,
}

impl Start {
    pub(super) fn of(line: &[u8]) -> Start {
        let verbs = [
            (b"AUTH", Start::Auth),
            (b"MAIL", Start::Mail),
            (b"RCPT", Start::Rcpt),
            (b"BDAT", Start::Bdat),
        ];
        let first = line.get(..4).unwrap_or_default();
        let found = verbs
            .iter()
            .find(|(verb, _)| first.eq_ignore_ascii_case(*verb));
        found.map_or(Start::Other, |(_, start)| *start)
    }
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
    /// The rest of a line is being thrown away.
    overflow: Option<Overflow>,
}

/// Why the rest of a line is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overflow {
    /// It is too long.
    Line(Start),
    /// It has a bare LF, and has been taken already.
    BareLf,
}

/// Where an LF was found.
enum Newline {
    /// A CRLF ends before this place.
    LineEnd(usize),
    /// A bare LF ends before this place.
    BareLf(usize),
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
        if !self.at_line_start() {
            return None;
        }
        let start = match self.overflow {
            Some(Overflow::Line(start)) => start,
            Some(Overflow::BareLf) => Start::Other,
            None => Start::of(self.unread()),
        };
        let octets_max = match start {
            Start::Auth => auth_octets_max,
            Start::Mail | Start::Rcpt | Start::Bdat | Start::Other => octets_max,
        };
        self.take(octets_max, start)
    }

    /// Takes a line that is no command.
    pub(super) fn line(&mut self, octets_max: usize) -> Option<Line<'_>> {
        if !self.at_line_start() {
            return None;
        }
        self.take(octets_max, Start::Other)
    }

    fn take(&mut self, octets_max: usize, start: Start) -> Option<Line<'_>> {
        let Some(newline) = self.find_newline(octets_max) else {
            if self.overflow.is_some() || self.octets.len() - self.start >= octets_max {
                self.throw_away(Overflow::Line(start));
            }
            return None;
        };
        let from = self.start;
        let (Newline::LineEnd(end) | Newline::BareLf(end)) = newline;
        self.start = end;
        self.searched = end;
        self.line = from..end;
        if let Newline::BareLf(_) = newline {
            self.overflow = Some(Overflow::BareLf);
            return Some(Line::BareLf(start));
        }
        if self.overflow.take().is_some() || end - from > octets_max {
            return Some(Line::TooLong(start));
        }
        Some(Line::Octets(self.slice(from..end - 2)))
    }

    /// Throws away what is left of a line with a bare LF; whether a new line starts now.
    fn at_line_start(&mut self) -> bool {
        if self.overflow != Some(Overflow::BareLf) {
            return true;
        }
        let Some(Newline::LineEnd(end)) = self.find_newline(0) else {
            self.throw_away(Overflow::BareLf);
            return false;
        };
        self.start = end;
        self.searched = end;
        self.overflow = None;
        true
    }

    /// The first CRLF, or a bare LF before it that is within the limit: what is too long is told as that,
    /// whatever follows.
    fn find_newline(&mut self, octets_max: usize) -> Option<Newline> {
        let mut from = self.searched.max(self.start);
        while let Some(found) = memchr(b'\n', self.octets.get(from..)?) {
            let newline = from + found;
            if newline > self.start && self.octets[newline - 1] == b'\r' {
                return Some(Newline::LineEnd(newline + 1));
            }
            if self.overflow.is_none() && newline - self.start < octets_max {
                return Some(Newline::BareLf(newline + 1));
            }
            from = newline + 1;
        }
        self.searched = self.octets.len();
        None
    }

    /// Drops what there is of a line that is thrown away, but for a CR that may be half of its end.
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
                    Line::TooLong(Start::Other) => "TooLong".to_owned(),
                    Line::BareLf(Start::Other) => "BareLf".to_owned(),
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
        check("a\rb\r\n", &["a\rb"]);
        check("a\r\r\nb\r\n", &["a\r", "b"]);
    }

    #[test]
    fn a_bare_lf_is_told_at_once_and_the_line_still_ends_at_its_crlf() {
        check("a\n", &["BareLf"]);
        check("a\nb\nc\n", &["BareLf"]);
        check("a\nb\rc\r\nd\r\n", &["BareLf", "d"]);
        check("b\n\r\nc\r\n", &["BareLf", "c"]);
        check("\nA\r\n\nB\r\n", &["BareLf", "BareLf"]);
        check("\n123456789012345\r\nx\r\n", &["BareLf", "x"]);
        check(
            "a\nb\r\nAUTH 6789012345678\r\n",
            &["BareLf", "AUTH 6789012345678"],
        );
        check("123456789\nx\r\ny\r\n", &["BareLf", "y"]);
        check("1234567890\nx\r\ny\r\n", &["TooLong", "y"]);
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
            &["TooLong(Auth)", "AUTHx"],
        );
        check(&format!("AUTH {}\r\n", "y".repeat(100)), &["TooLong(Auth)"]);
    }

    #[test]
    fn what_a_line_begins_with_is_known_though_it_cannot_be_read() {
        check(
            &format!("bdat 1{}\r\nx\r\n", " ".repeat(50)),
            &["TooLong(Bdat)", "x"],
        );
        check("BDAT 1\nx\r\nRCPT\n\r\n", &["BareLf(Bdat)", "BareLf(Rcpt)"]);
        check("mail 6789012345\r\n", &["TooLong(Mail)"]);
        check("BDA\nT\r\n", &["BareLf"]);
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
