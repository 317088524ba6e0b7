//! The first reading: whether a content can be made to have seven bits, and what is to be done for it.

use super::entity::{Encoding, Kind};
use super::structure::{Found, Visitor, Walker};
use super::{Action, Barrier, Charset, Plan};

/// Longest line in octets without its CRLF (RFC 5322 §2.1.1). What is encoded has none that is longer.
const LINE_OCTETS_MAX: usize = 998;

/// What was found out about a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Whether the first header section has no octet above 127: what needs SMTPUTF8 otherwise.
    pub is_header_ascii: bool,
    /// How the content is made to have seven bits, or why it cannot be.
    pub plan: Result<Plan, Barrier>,
}

/// Reads a content for the first time.
#[derive(Debug)]
pub struct Survey {
    walker: Walker,
    notes: Notes,
    barrier: Option<Barrier>,
}

#[derive(Debug, Default)]
struct Notes {
    is_header_foreign: bool,
    actions: Vec<Action>,
    entity: Option<Body>,
    /// A header that is not the first has octets above 127.
    barrier: Option<Barrier>,
}

/// The body that is being read.
#[derive(Debug)]
struct Body {
    kind: Kind,
    encoding: Encoding,
    is_protected: bool,
    eight_bit: bool,
    nul: bool,
    long_line: bool,
    line_octets: usize,
    utf8: Utf8,
}

impl Survey {
    /// A survey of which nothing is known yet.
    #[expect(clippy::new_without_default, reason = "a survey is begun, not assumed")]
    pub fn new() -> Self {
        Self {
            walker: Walker::new(),
            notes: Notes::default(),
            barrier: None,
        }
    }

    /// Looks at the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        if self.barrier.is_none() {
            self.barrier = self.walker.feed(piece, &mut self.notes).err();
        }
    }

    /// Says what was found.
    pub fn finish(mut self) -> Surveyed {
        if self.barrier.is_none() {
            self.barrier = self.walker.finish(&mut self.notes).err();
        }
        let barrier = match self.notes.is_header_foreign {
            true => Some(Barrier::Header),
            false => self.notes.barrier.or(self.barrier),
        };
        Surveyed {
            is_header_ascii: !self.notes.is_header_foreign,
            plan: match barrier {
                None => Ok(Plan(self.notes.actions)),
                Some(barrier) => Err(barrier),
            },
        }
    }
}

impl Visitor for Notes {
    fn header(&mut self, found: &Found<'_>) -> Result<(), Barrier> {
        if !found.section.is_ascii() {
            self.is_header_foreign |= self.actions.is_empty();
            self.barrier.get_or_insert(Barrier::Header);
        }
        // A body that has ended says what is done instead.
        let is_raw = found.entity.encoding == Encoding::Raw;
        self.actions.push(match is_raw && !found.is_protected {
            true => Action::Relabel,
            false => Action::Keep,
        });
        self.entity = Some(Body {
            kind: found.entity.kind.clone(),
            encoding: found.entity.encoding,
            is_protected: found.is_protected,
            eight_bit: false,
            nul: false,
            long_line: false,
            line_octets: 0,
            utf8: Utf8::default(),
        });
        Ok(())
    }

    fn body(&mut self, piece: &[u8]) {
        if let Some(body) = &mut self.entity {
            body.look_at(piece);
        }
    }

    fn body_end(&mut self) -> Result<(), Barrier> {
        if let (Some(body), Some(action)) = (self.entity.take(), self.actions.last_mut())
            && let Some(wanted) = body.action()?
        {
            *action = wanted;
        }
        Ok(())
    }

    fn between(&mut self, _: &[u8]) {}
}

impl Body {
    fn look_at(&mut self, piece: &[u8]) {
        if !piece.is_ascii() {
            self.eight_bit = true;
        }
        self.utf8.look_at(piece);
        self.nul |= memchr::memchr(0, piece).is_some();
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.grow_line(end);
            self.line_octets = 0;
            rest = &rest[end + 1..];
        }
        self.grow_line(rest.len());
    }

    fn grow_line(&mut self, octets: usize) {
        self.line_octets = self.line_octets.saturating_add(octets);
        // The CR may be among them.
        self.long_line |= self.line_octets > LINE_OCTETS_MAX + 1;
    }

    /// What has to be done about it, if anything.
    fn action(&self) -> Result<Option<Action>, Barrier> {
        if !(self.eight_bit || self.nul || self.long_line) {
            return Ok(None);
        }
        let barrier = match (&self.kind, self.encoding) {
            _ if self.is_protected => Barrier::Protected,
            (_, Encoding::Encoded) => Barrier::Encoding,
            (Kind::Bare | Kind::Message | Kind::Multipart { .. }, _) => Barrier::Encoding,
            (Kind::Text { is_declared: true }, _) => return Ok(Some(Action::Quote(None))),
            (Kind::Text { is_declared: false }, _) => {
                let charset = match self.utf8.is_whole() {
                    true => Charset::Utf8,
                    false => Charset::Unknown,
                };
                return Ok(Some(Action::Quote(Some(charset))));
            }
            (Kind::Other, _) => return Ok(Some(Action::Base64)),
        };
        // A NUL or a long line alone is sent on as it is, as to any other host.
        if self.eight_bit {
            Err(barrier)
        } else {
            Ok(None)
        }
    }
}

/// Whether octets that come in pieces are UTF-8.
#[derive(Debug, Default)]
struct Utf8 {
    /// The start of a character whose rest is in the next piece.
    start: Vec<u8>,
    is_broken: bool,
}

impl Utf8 {
    fn look_at(&mut self, piece: &[u8]) {
        if self.is_broken || (self.start.is_empty() && piece.is_ascii()) {
            return;
        }
        let mut octets = std::mem::take(&mut self.start);
        octets.extend_from_slice(piece);
        if let Err(error) = std::str::from_utf8(&octets) {
            match error.error_len() {
                Some(_) => self.is_broken = true,
                None => self.start = octets.split_off(error.valid_up_to()),
            }
        }
    }

    fn is_whole(&self) -> bool {
        !self.is_broken && self.start.is_empty()
    }
}
