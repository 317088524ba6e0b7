//! The entities of a content, found while it is read (RFC 2046 §5.1).
//!
//! A [`Walker`] cuts a content into headers, bodies and what stands between parts, and hands them to a
//! [`Visitor`]. Nothing of a body is kept but the start of a line that may be a delimiter, and the line end
//! before it, which belongs to the delimiter if there is one.

use super::Barrier;
use super::entity::{BOUNDARY_OCTETS_MAX, Default, Entity, Kind};

/// Longest header section of an entity, in octets: what reception takes of the first one.
const HEADER_OCTETS_MAX: usize = 256 * 1024;

/// Entities in a content. The plan keeps a few octets for each.
const ENTITIES_MAX: usize = 10_000;

/// Multiparts and messages inside one another. Readers give up earlier.
const DEPTH_MAX: usize = 50;

/// Longest line that can be a delimiter, with blanks behind it (RFC 2046 §5.1.1: transport padding).
const DELIMITER_OCTETS_MAX: usize = BOUNDARY_OCTETS_MAX + 100;

/// What a header belongs to.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    pub(super) entity: &'a Entity,
    /// The header with its empty line, if it has one.
    pub(super) section: &'a [u8],
    /// Whether a message begins here, and no part of one.
    pub(super) is_message: bool,
    /// Whether it stands in something signed or encrypted.
    pub(super) is_protected: bool,
}

/// Takes the pieces of a content in their order.
pub(super) trait Visitor {
    /// An entity begins. What follows is its body, unless it has entities inside.
    fn header(&mut self, found: &Found<'_>) -> Result<(), Barrier>;
    /// A piece of the body of the entity that has begun last.
    fn body(&mut self, piece: &[u8]);
    /// The body has ended.
    fn body_end(&mut self) -> Result<(), Barrier>;
    /// A piece of what is in no entity: delimiters, and what stands before and behind all parts.
    fn between(&mut self, piece: &[u8]);
}

/// Finds entities.
#[derive(Debug)]
pub(super) struct Walker {
    /// The multiparts that are open, the innermost last.
    open: Vec<Multipart>,
    place: Place,
    /// The start of a line of which is not known yet what it is.
    line: Vec<u8>,
    /// A line of which that is known goes on.
    is_in_line: bool,
    held: Held,
    entities: usize,
}

#[derive(Debug)]
struct Multipart {
    boundary: Vec<u8>,
    is_digest: bool,
    is_protected: bool,
    depth: usize,
    /// Whether a part of it has begun.
    has_parts: bool,
    /// Whether there are octets above 127 before its first part.
    is_preamble_foreign: bool,
}

impl Multipart {
    /// Where no part ever begins, what was taken for a preamble is all there is, and some readers show it:
    /// the boundary is not the one that the header names.
    fn ends(&self) -> Result<(), Barrier> {
        match !self.has_parts && self.is_preamble_foreign {
            true => Err(Barrier::Structure),
            false => Ok(()),
        }
    }
}

#[derive(Debug)]
enum Place {
    Header(Header),
    Body,
    Between,
}

/// A header that is being gathered.
#[derive(Debug)]
struct Header {
    section: Vec<u8>,
    default: Default,
    is_message: bool,
    is_protected: bool,
    depth: usize,
}

/// The line end, or the start of one, that has come last in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    Cr,
    CrLf,
}

impl Held {
    fn octets(self) -> &'static [u8] {
        match self {
            Held::Nothing => b"",
            Held::Cr => b"\r",
            Held::CrLf => b"\r\n",
        }
    }
}

impl Walker {
    pub(super) fn new() -> Self {
        Self {
            open: Vec::new(),
            place: Place::Header(Header {
                section: Vec::new(),
                default: Default::Text,
                is_message: true,
                is_protected: false,
                depth: 0,
            }),
            line: Vec::new(),
            is_in_line: false,
            held: Held::Nothing,
            entities: 0,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Barrier`], after which nothing more is to be fed.
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<(), Barrier> {
        while !piece.is_empty() {
            let end = memchr::memchr(b'\n', piece).map(|at| at + 1);
            let (part, rest) = piece.split_at(end.unwrap_or(piece.len()));
            piece = rest;
            if self.is_in_line {
                self.content(part, visitor);
                self.is_in_line = end.is_none();
                continue;
            }
            self.line.extend_from_slice(part);
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                self.whole_line(&line, visitor)?;
                // What it took is used again.
                self.line = line;
                self.line.clear();
            } else {
                self.start_of_line(visitor)?;
            }
        }
        Ok(())
    }

    /// The content has ended.
    ///
    /// # Errors
    /// [`Barrier`], when the last entity is none.
    pub(super) fn finish(mut self, visitor: &mut impl Visitor) -> Result<(), Barrier> {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.whole_line(&line, visitor)?;
        }
        if let Place::Header(_) = self.place {
            self.header_ends(b"", visitor)?;
        }
        self.flush(visitor);
        self.body_ends(visitor)?;
        self.open.iter().try_for_each(Multipart::ends)
    }

    /// A line that has not ended: is it known already what it is?
    fn start_of_line(&mut self, visitor: &mut impl Visitor) -> Result<(), Barrier> {
        if let Place::Header(header) = &self.place {
            return within(header.section.len() + self.line.len(), HEADER_OCTETS_MAX);
        }
        let may_delimit = !self.open.is_empty()
            && self
                .line
                .iter()
                .zip(b"--")
                .all(|(has, wanted)| has == wanted)
            && self.line.len() <= DELIMITER_OCTETS_MAX;
        if !may_delimit {
            let line = std::mem::take(&mut self.line);
            self.content(&line, visitor);
            self.is_in_line = true;
        }
        Ok(())
    }

    fn whole_line(&mut self, line: &[u8], visitor: &mut impl Visitor) -> Result<(), Barrier> {
        if let Some((at, is_last)) = self.delimited_by(line) {
            return self.delimiter(at, is_last, line, visitor);
        }
        match &mut self.place {
            Place::Header(_) if line == b"\r\n" => self.header_ends(line, visitor),
            Place::Header(header) => {
                header.section.extend_from_slice(line);
                within(header.section.len(), HEADER_OCTETS_MAX)
            }
            Place::Body | Place::Between => {
                self.content(line, visitor);
                Ok(())
            }
        }
    }

    /// The multipart whose delimiter the line is, and whether it is its last.
    fn delimited_by(&self, line: &[u8]) -> Option<(usize, bool)> {
        let behind = line.strip_prefix(b"--")?;
        let behind = behind.strip_suffix(b"\n").unwrap_or(behind);
        let behind = behind.strip_suffix(b"\r").unwrap_or(behind);
        let behind = behind.trim_ascii_end();
        let closed = behind.strip_suffix(b"--");
        // RFC 2046 §5.1.2: the delimiter of an outer one ends those inside of it as well.
        let open = self.open.iter().enumerate().rev();
        open.map(|(at, multipart)| (at, multipart.boundary.as_slice()))
            .find_map(|(at, boundary)| {
                let is_last = closed == Some(boundary);
                (is_last || behind == boundary).then_some((at, is_last))
            })
    }

    fn delimiter(
        &mut self,
        at: usize,
        is_last: bool,
        line: &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<(), Barrier> {
        if let Place::Header(_) = self.place {
            self.header_ends(b"", visitor)?;
        }
        let held = std::mem::replace(&mut self.held, Held::Nothing);
        self.body_ends(visitor)?;
        visitor.between(held.octets());
        visitor.between(line);
        // A header that ended with this line may have opened one more.
        let kept = at + usize::from(!is_last);
        self.open.drain(kept..).try_for_each(|inner| inner.ends())?;
        self.place = match self.open.last_mut() {
            Some(multipart) if !is_last => {
                multipart.has_parts = true;
                Place::Header(Header {
                    section: Vec::new(),
                    default: match multipart.is_digest {
                        true => Default::Message,
                        false => Default::Text,
                    },
                    is_message: false,
                    is_protected: multipart.is_protected,
                    depth: multipart.depth,
                })
            }
            _ => Place::Between,
        };
        Ok(())
    }

    /// A header is whole; `empty_line` is what ended it.
    fn header_ends(
        &mut self,
        empty_line: &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<(), Barrier> {
        let Place::Header(header) = std::mem::replace(&mut self.place, Place::Between) else {
            return Ok(());
        };
        self.entities += 1;
        within(self.entities, ENTITIES_MAX)?;
        let depth = header.depth + 1;
        within(depth, DEPTH_MAX)?;
        let mut section = header.section;
        let entity = Entity::read(&section, header.default)?;
        section.extend_from_slice(empty_line);
        visitor.header(&Found {
            entity: &entity,
            section: &section,
            is_message: header.is_message,
            is_protected: header.is_protected,
        })?;
        self.place = match entity.kind {
            Kind::Multipart {
                boundary,
                is_digest,
                is_protected,
            } => {
                self.open.push(Multipart {
                    boundary,
                    is_digest,
                    is_protected: is_protected || header.is_protected,
                    depth,
                    has_parts: false,
                    is_preamble_foreign: false,
                });
                Place::Between
            }
            // Without an empty line nothing stands behind it.
            Kind::Message if !empty_line.is_empty() => {
                section.clear();
                Place::Header(Header {
                    section,
                    default: Default::Text,
                    is_message: true,
                    is_protected: header.is_protected,
                    depth,
                })
            }
            _ => Place::Body,
        };
        Ok(())
    }

    /// Octets that are no header and no delimiter.
    fn content(&mut self, mut octets: &[u8], visitor: &mut impl Visitor) {
        if let Place::Between = self.place {
            if let Some(multipart) = self.open.last_mut() {
                multipart.is_preamble_foreign |= !multipart.has_parts && !octets.is_ascii();
            }
            return visitor.between(octets);
        }
        if self.held == Held::Cr && octets.first() == Some(&b'\n') {
            self.held = Held::CrLf;
            octets = &octets[1..];
        }
        if octets.is_empty() {
            return;
        }
        self.flush(visitor);
        let (rest, held) = match octets {
            [rest @ .., b'\r', b'\n'] => (rest, Held::CrLf),
            [rest @ .., b'\r'] => (rest, Held::Cr),
            rest => (rest, Held::Nothing),
        };
        if !rest.is_empty() {
            visitor.body(rest);
        }
        self.held = held;
    }

    fn flush(&mut self, visitor: &mut impl Visitor) {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {}
            held => visitor.body(held.octets()),
        }
    }

    fn body_ends(&mut self, visitor: &mut impl Visitor) -> Result<(), Barrier> {
        match std::mem::replace(&mut self.place, Place::Between) {
            Place::Body => visitor.body_end(),
            _ => Ok(()),
        }
    }
}

fn within(count: usize, count_max: usize) -> Result<(), Barrier> {
    if count > count_max {
        Err(Barrier::Structure)
    } else {
        Ok(())
    }
}
