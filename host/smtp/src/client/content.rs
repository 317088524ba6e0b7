//! How a content goes out: between 354 and the dot, or in chunks (RFC 3030).
//!
//! To a peer that lists CHUNKING each piece is a chunk. The last of them says so, and where that was not
//! known when it was written, an empty one does. With PIPELINING chunks follow one another without
//! waiting, a hundred at most without an answer.

use crate::content::{BareLineEnd, DotEncoder, Inspector};

use super::Extensions;

/// Chunks in flight. As for commands: their replies must fit into the smallest receive window in use.
const PIPELINED_CHUNKS_MAX: usize = 100;

/// Writes a content as the peer takes it.
#[derive(Debug)]
pub(super) enum Writer {
    /// After DATA.
    Dots(DotEncoder),
    /// With BDAT.
    Chunks(Chunks),
}

/// A content that goes out in chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    inspector: Inspector,
    /// Chunks that may be in flight.
    in_flight_max: usize,
    /// Chunks that wait for their reply.
    in_flight: usize,
    /// Whether a chunk has been answered.
    is_answered: bool,
    /// The last chunk: octets of its command without CRLF, and of all of it.
    last: (usize, usize),
}

/// What the content ended with, and what is known of its chunks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Dot,
    LastChunk {
        /// Replies that come before the one to the last chunk.
        before: usize,
        /// Whether no chunk has been answered yet.
        is_first: bool,
    },
}

impl Writer {
    pub(super) fn new(extensions: &Extensions) -> Writer {
        if !extensions.chunking {
            return Writer::Dots(DotEncoder::default());
        }
        Writer::Chunks(Chunks {
            inspector: Inspector::new(u64::MAX),
            in_flight_max: match extensions.pipelining {
                true => PIPELINED_CHUNKS_MAX,
                false => 1,
            },
            in_flight: 0,
            is_answered: false,
            last: (0, 0),
        })
    }

    /// Whether the next piece may be written before a reply comes.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Writer::Dots(_) => true,
            Writer::Chunks(chunks) => chunks.in_flight < chunks.in_flight_max,
        }
    }

    /// Appends the next piece to `output`.
    ///
    /// # Errors
    /// [`BareLineEnd`]; the content cannot be ended then.
    pub(super) fn write(&mut self, piece: &[u8], output: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        match self {
            Writer::Dots(encoder) => encoder.encode(piece, output),
            Writer::Chunks(chunks) => chunks.write(piece, output),
        }
    }

    /// Appends the end of the content.
    ///
    /// # Errors
    /// [`BareLineEnd`]; the content cannot be ended then.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<Ending, BareLineEnd> {
        match self {
            Writer::Dots(encoder) => encoder.clone().finish(output).map(|()| Ending::Dot),
            Writer::Chunks(chunks) => chunks.finish(output),
        }
    }
}

impl Chunks {
    fn write(&mut self, piece: &[u8], output: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        self.inspector.inspect(piece);
        if self.inspector.findings().bare_line_end {
            return Err(BareLineEnd);
        }
        if !piece.is_empty() {
            let command = format!("BDAT {}", piece.len());
            output.extend_from_slice(command.as_bytes());
            output.extend_from_slice(b"\r\n");
            output.extend_from_slice(piece);
            self.last = (command.len(), command.len() + 2 + piece.len());
            self.in_flight += 1;
        }
        Ok(())
    }

    fn finish(&mut self, output: &mut Vec<u8>) -> Result<Ending, BareLineEnd> {
        if self.inspector.clone().finish().bare_line_end {
            return Err(BareLineEnd);
        }
        let (command, chunk) = self.last;
        // Nothing of the last chunk has left yet: it can say so itself.
        let before = if self.in_flight > 0 && output.len() == chunk {
            output.splice(command..command, *b" LAST");
            self.in_flight - 1
        } else {
            output.extend_from_slice(b"BDAT 0 LAST\r\n");
            self.in_flight
        };
        Ok(Ending::LastChunk {
            before,
            is_first: !self.is_answered,
        })
    }

    /// A chunk was taken. False when none was sent.
    pub(super) fn taken(&mut self) -> bool {
        self.is_answered = true;
        match self.in_flight.checked_sub(1) {
            Some(rest) => {
                self.in_flight = rest;
                true
            }
            None => false,
        }
    }

    /// Replies that are still to come after one that refuses a chunk; none when none was sent.
    pub(super) fn rest(&self) -> Option<usize> {
        self.in_flight.checked_sub(1)
    }

    /// Whether this is about the first chunk.
    pub(super) fn is_first(&self) -> bool {
        !self.is_answered
    }
}
