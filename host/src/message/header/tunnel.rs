//! The MT-Priority field: a priority on its way through relays that do not know MT-PRIORITY (RFC 6758).
//!
//! Reading it, and writing a header anew so that it has just the one that we answer for. Who believes a field that
//! was there, and when one is written, is decided elsewhere.

use outpost_smtp::parameter::parse_mt_priority;

use super::{Fields, Requested};
use crate::message::Class;

/// The name of the field, with its colon, in lower case.
const NAME: &[u8] = b"mt-priority:";

/// What the MT-Priority field of a message asks for. One that is malformed, or comes twice, has no class.
pub fn tunnelled_priority(fields: &Fields<'_>) -> Option<Requested> {
    let mut found = fields.named("MT-Priority");
    let value = found.next()?.unfolded();
    let priority = tunnelled(fields);
    Some(Requested {
        carrier: "MT-Priority",
        value: value.chars().take(64).collect(),
        class: priority.and_then(Class::from_mt_priority),
    })
}

/// The priority that the one MT-Priority field of a message says.
pub fn tunnelled(fields: &Fields<'_>) -> Option<i8> {
    let mut found = fields.named("MT-Priority");
    let value = found.next()?.unfolded();
    let is_only = found.next().is_none();
    parse_mt_priority(between_comments(&value)?).filter(|_| is_only)
}

/// `[CFWS] priority-value [CFWS]` (RFC 6758 §4): what stands between blanks and comments.
fn between_comments(text: &str) -> Option<&str> {
    let text = behind_comments(text)?;
    let end = text.find([' ', '\t', '(']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    behind_comments(rest)?.is_empty().then_some(value)
}

/// What stands behind blanks and comments, which may stand in one another; none where one has no end.
fn behind_comments(mut text: &str) -> Option<&str> {
    loop {
        text = text.trim_start_matches([' ', '\t']);
        if !text.starts_with('(') {
            return Some(text);
        }
        let (mut depth, mut is_quoted) = (0_usize, false);
        let end = text.find(|character| {
            match character {
                _ if is_quoted => is_quoted = false,
                '\\' => is_quoted = true,
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        text = text.get(end + 1..)?;
    }
}

/// A content whose header is written anew while it passes, wherever its pieces are cut: every MT-Priority field goes,
/// and where there is a priority, or a field went, one of ours is there (RFC 6758 §3.3). The body stays as it is.
#[derive(Debug)]
pub struct Tunnel {
    at: Place,
    /// The beginning of a line of which it is not known yet what it is.
    start: Vec<u8>,
    /// Whether the field that the last line belonged to goes.
    goes: bool,
    /// What stands in the place of the first one that goes; empty where it is there already.
    in_place: Vec<u8>,
    removed: u64,
    added: u64,
}

/// Where the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line, or in the octets that tell what it is.
    Start,
    /// In a line that stays, or goes.
    Line,
    Body,
}

impl Tunnel {
    /// Before the first octet; and the field that comes before everything, for a priority.
    pub fn new(priority: Option<i8>) -> (Self, Vec<u8>) {
        let field = |priority| format!("MT-Priority: {priority}\r\n").into_bytes();
        let (before_all, in_place) = match priority {
            Some(priority) => (field(priority), Vec::new()),
            None => (Vec::new(), field(Class::UNSAID_MT_PRIORITY)),
        };
        let tunnel = Self {
            at: Place::Start,
            start: Vec::new(),
            goes: false,
            in_place,
            removed: 0,
            added: octets(&before_all),
        };
        (tunnel, before_all)
    }

    /// Whether the header is behind us: what comes stays as it is.
    pub fn is_through(&self) -> bool {
        self.at == Place::Body
    }

    /// What a content of so many octets has, going by what has passed of its header.
    pub fn octets(&self, content: u64) -> u64 {
        content
            .saturating_sub(self.removed)
            .saturating_add(self.added)
    }

    /// Takes the next piece; what stays of it, and of what was held back before.
    pub fn feed(&mut self, mut piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len() + self.start.len());
        while let Some((octet, rest)) = piece.split_first() {
            match self.at {
                Place::Body => {
                    out.extend_from_slice(piece);
                    break;
                }
                Place::Line => {
                    let end = memchr::memchr(b'\n', piece);
                    let (line, behind) = piece.split_at(end.map_or(piece.len(), |at| at + 1));
                    self.pass(line, &mut out);
                    if end.is_some() {
                        self.at = Place::Start;
                    }
                    piece = behind;
                }
                Place::Start => {
                    self.start.push(*octet);
                    piece = rest;
                    self.look(&mut out);
                }
            }
        }
        out
    }

    /// What was held back, at the end of the content.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.start)
    }

    /// Looks at the beginning of a line with one more octet of it.
    fn look(&mut self, out: &mut Vec<u8>) {
        let start = self.start.as_slice();
        self.at = match start {
            [b' ' | b'\t'] => Place::Line,
            b"\r\n" | b"\n" => {
                self.goes = false;
                Place::Body
            }
            b"\r" => return,
            _ if start.len() < NAME.len() && NAME[..start.len()].eq_ignore_ascii_case(start) => {
                return;
            }
            _ => {
                self.goes = start.eq_ignore_ascii_case(NAME);
                if self.goes {
                    let field = std::mem::take(&mut self.in_place);
                    self.added += octets(&field);
                    out.extend(field);
                }
                match start.last() {
                    Some(b'\n') => Place::Start,
                    _ => Place::Line,
                }
            }
        };
        let start = std::mem::take(&mut self.start);
        self.pass(&start, out);
    }

    fn pass(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.goes {
            self.removed += octets(piece);
        } else {
            out.extend_from_slice(piece);
        }
    }
}

fn octets(piece: &[u8]) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(content: &str, priority: Option<i8>, piece: usize) -> String {
        let (mut tunnel, mut out) = Tunnel::new(priority);
        for piece in content.as_bytes().chunks(piece) {
            out.extend(tunnel.feed(piece));
        }
        out.extend(tunnel.finish());
        assert_eq!(tunnel.octets(octets(content.as_bytes())), octets(&out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_field_of_the_name_goes_with_its_folds_and_one_of_ours_is_there() {
        // `!` is where a field of ours comes in the place of the first one.
        for (content, stays) in [
            ("", ""),
            ("From: a\r\n\r\nx", "From: a\r\n\r\nx"),
            ("MT-Priority: 3\r\n\r\nx", "!\r\nx"),
            (
                "From: a\r\nmt-PRIORITY:3\r\nTo: b\r\n",
                "From: a\r\n!To: b\r\n",
            ),
            (
                "MT-Priority:\r\n 3\r\n\t(x)\r\nTo: b\r\n y\r\n\r\n",
                "!To: b\r\n y\r\n\r\n",
            ),
            (
                "MT-Priority: 1\r\nTo: b\r\nMT-Priority: 2\r\n\r\n",
                "!To: b\r\n\r\n",
            ),
            (
                "MT-Priority-X: 1\r\nMT-Prio: 2\r\nMT\r\n\r\n",
                "MT-Priority-X: 1\r\nMT-Prio: 2\r\nMT\r\n\r\n",
            ),
            ("MT-Priorit", "MT-Priorit"),
            ("MT-Priority: 3", "!"),
            (
                "From: a\r\n\r\nMT-Priority: 3\r\n\r\nMT-Priority: 4",
                "From: a\r\n\r\nMT-Priority: 3\r\n\r\nMT-Priority: 4",
            ),
            ("\r\nMT-Priority: 3\r\n", "\r\nMT-Priority: 3\r\n"),
            ("X: \r\nMT-Priority: 3\r\n\r\n", "X: \r\n!\r\n"),
        ] {
            for piece in 1..=content.len() + 1 {
                let unsaid = stays.replace('!', "MT-Priority: 0\r\n");
                let out = through(content, None, piece);
                assert_eq!(out, unsaid, "{content:?} in {piece}");
                let said = format!("MT-Priority: -4\r\n{}", stays.replace('!', ""));
                assert_eq!(through(content, Some(-4), piece), said);
            }
        }
    }

    #[test]
    fn the_one_field_that_is_well_formed_says_a_priority() {
        for (section, priority, class) in [
            ("MT-Priority: 6\r\n", Some(6), Some(1)),
            ("mt-priority:\r\n -3 \r\n", Some(-3), Some(4)),
            ("MT-Priority: +6\r\n", None, None),
            ("MT-Priority: 10\r\n", None, None),
            ("MT-Priority: 4 (ultra)\r\n", Some(4), Some(1)),
            (
                "MT-Priority: (a (b\\)) )\r\n\t-3(c) (\u{fc})\r\n",
                Some(-3),
                Some(4),
            ),
            ("MT-Priority: 4 ultra\r\n", None, None),
            ("MT-Priority: 4 (ultra\r\n", None, None),
            ("MT-Priority: 4 )\r\n", None, None),
            ("MT-Priority: 4 4\r\n", None, None),
            ("MT-Priority: (4)\r\n", None, None),
            ("MT-Priority: 6\r\nMT-Priority: 6\r\n", None, None),
        ] {
            let fields = Fields::parse(section.as_bytes()).unwrap();
            assert_eq!(tunnelled(&fields), priority, "{section}");
            let requested = tunnelled_priority(&fields).unwrap();
            assert_eq!(requested.class.map(Class::number), class, "{section}");
        }
        let none = Fields::parse(b"From: a\r\n").unwrap();
        assert_eq!((tunnelled(&none), tunnelled_priority(&none)), (None, None));
    }

    proptest! {
        #[test]
        fn what_comes_out_does_not_depend_on_the_cut_and_has_at_most_one_field(
            content in "(([MmTt-]{0,3}|MT-Priority|mt-priority|X)(:| |\r\n|\r|x){0,3}){0,12}",
            piece in 1usize..9,
        ) {
            for (priority, most) in [(Some(9), 0), (None, 1)] {
                let whole = through(&content, priority, usize::MAX);
                prop_assert_eq!(&through(&content, priority, piece), &whole);
                let header = whole.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
                prop_assert!(header.matches("\r\nmt-priority:").count() <= most);
            }
        }
    }
}
