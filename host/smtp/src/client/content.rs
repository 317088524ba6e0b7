//! How a content goes out: between 354 and the dot, or in chunks (RFC 3030).
//!
//! To a peer that lists CHUNKING each piece is a chunk. The last of them says so, and where that was not
//! known when it was written, an empty one does. With PIPELINING chunks follow one another without
//! waiting, a hundred at most without an answer.
//!
//! Promise: until a peer has taken a chunk, it gets no more of any content than the first line. Who lists
//! CHUNKING and does not know BDAT reads what stands behind the command as commands, and whoever wrote
//! the content could have them say anything. So the first chunk on a connection is the first line, and what
//! follows is held until it is answered: the round trip that DATA takes for each content.

use crate::content::{BareLineEnd, DotEncoder, Inspector};

use super::Extensions;

/// Chunks in flight. As for commands: their replies must fit into the smallest receive window in use.
const PIPELINED_CHUNKS_MAX: usize = 100;

/// Octets of the first line that are sent before the peer has taken a chunk: what a line may have
/// (RFC 5321 §4.5.3.1.6). Of a longer one this is the beginning.
const FIRST_LINE_OCTETS_MAX: usize = 1_000;

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
    /// Chunks that were written.
    written: u32,
    /// The last chunk: octets of its command without CRLF, and of all of it.
    last: (usize, usize),
    /// As long as the peer has not taken a chunk.
    proof: Option<Proof>,
}

/// What is held until the peer has taken the first line.
#[derive(Debug, Default)]
struct Proof {
    /// What was written and not sent: a piece of content at most, and less than a line before it.
    held: Vec<u8>,
    /// The first line has been sent.
    is_begun: bool,
    /// Nothing follows what is held.
    is_whole: bool,
}

/// What the content ended with, and what is known of its chunks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Dot,
    LastChunk {
        /// Replies that come before the one to the last chunk.
        before: usize,
    },
}

impl Writer {
    /// `is_proven`: the peer has taken a chunk on this connection.
    pub(super) fn new(extensions: &Extensions, is_proven: bool) -> Writer {
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
            written: 0,
            last: (0, 0),
            proof: (!is_proven).then(Proof::default),
        })
    }

    /// Whether the next piece may be written before a reply comes.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Writer::Dots(_) => true,
            Writer::Chunks(chunks) => match &chunks.proof {
                Some(proof) => !proof.is_begun,
                None => chunks.in_flight < chunks.in_flight_max,
            },
        }
    }

    /// Chunks that were written; none with DATA.
    pub(super) fn chunks(&self) -> u32 {
        match self {
            Writer::Dots(_) => 0,
            Writer::Chunks(chunks) => chunks.written(),
        }
    }

    /// How much of a piece is sent before the peer has taken a chunk, where nothing was written yet; none where
    /// nothing is held.
    pub(super) fn first_line_octets(&self, piece: &[u8]) -> Option<usize> {
        match self {
            Writer::Chunks(Chunks {
                proof: Some(proof), ..
            }) if proof.held.is_empty() && !proof.is_begun => Some(first_line(piece)),
            _ => None,
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

    /// Appends the end of the content; none if it has to wait until the peer has taken the first chunk.
    ///
    /// # Errors
    /// [`BareLineEnd`]; the content cannot be ended then.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<Option<Ending>, BareLineEnd> {
        match self {
            Writer::Dots(encoder) => encoder.clone().finish(output).map(|()| Some(Ending::Dot)),
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
        let Some(proof) = &mut self.proof else {
            self.send(piece, output);
            return Ok(());
        };
        proof.held.extend_from_slice(piece);
        if !proof.is_begun && has_first_line(&proof.held) {
            self.begin(output);
        }
        Ok(())
    }

    /// Sends the first line, or what there is of it.
    fn begin(&mut self, output: &mut Vec<u8>) {
        if let Some(proof) = &mut self.proof {
            let rest = proof.held.split_off(first_line(&proof.held));
            let line = std::mem::replace(&mut proof.held, rest);
            proof.is_begun = true;
            self.send(&line, output);
        }
    }

    /// Appends a chunk, unless it is empty.
    fn send(&mut self, octets: &[u8], output: &mut Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        let command = format!("BDAT {}", octets.len());
        output.extend_from_slice(command.as_bytes());
        output.extend_from_slice(b"\r\n");
        output.extend_from_slice(octets);
        self.last = (command.len(), command.len() + 2 + octets.len());
        self.in_flight += 1;
        self.written = self.written.saturating_add(1);
    }

    /// Chunks that were written.
    pub(super) fn written(&self) -> u32 {
        self.written
    }

    fn finish(&mut self, output: &mut Vec<u8>) -> Result<Option<Ending>, BareLineEnd> {
        if self.inspector.clone().finish().bare_line_end {
            return Err(BareLineEnd);
        }
        if self.proof.as_ref().is_some_and(|proof| !proof.is_begun) {
            self.begin(output);
        }
        let is_unsent = self.is_last_unsent(output);
        match &mut self.proof {
            // A line is all there is, and goes as one chunk.
            Some(proof) if proof.held.is_empty() && (is_unsent || self.in_flight == 0) => {}
            Some(proof) => {
                proof.is_whole = true;
                return Ok(None);
            }
            None => {}
        }
        Ok(Some(self.end(output)))
    }

    /// Whether nothing of the last chunk has left yet: it can say itself that it is the last.
    fn is_last_unsent(&self, output: &[u8]) -> bool {
        self.in_flight > 0 && output.len() == self.last.1
    }

    fn end(&mut self, output: &mut Vec<u8>) -> Ending {
        let (command, _) = self.last;
        let before = if self.is_last_unsent(output) {
            output.splice(command..command, *b" LAST");
            self.in_flight - 1
        } else {
            output.extend_from_slice(b"BDAT 0 LAST\r\n");
            self.written = self.written.saturating_add(1);
            self.in_flight
        };
        Ending::LastChunk { before }
    }

    /// A chunk was taken. False when none was sent.
    pub(super) fn taken(&mut self) -> bool {
        match self.in_flight.checked_sub(1) {
            Some(rest) => {
                self.in_flight = rest;
                true
            }
            None => false,
        }
    }

    /// Sends what was held, now that the peer has taken a chunk; and the end, if that is all.
    pub(super) fn proven(&mut self, output: &mut Vec<u8>) -> Option<Ending> {
        let proof = self.proof.take()?;
        self.send(&proof.held, output);
        proof.is_whole.then(|| self.end(output))
    }

    /// Replies that are still to come after one that refuses a chunk; none when none was sent.
    pub(super) fn rest(&self) -> Option<usize> {
        self.in_flight.checked_sub(1)
    }
}

/// Octets of the first line, with its end; no more than may be sent of it.
fn first_line(octets: &[u8]) -> usize {
    let within = &octets[..octets.len().min(FIRST_LINE_OCTETS_MAX)];
    let end = within.windows(2).position(|pair| pair == b"\r\n");
    end.map_or(within.len(), |end| end + 2)
}

fn has_first_line(octets: &[u8]) -> bool {
    let line = &octets[..first_line(octets)];
    line.ends_with(b"\r\n") || line.len() == FIRST_LINE_OCTETS_MAX
}
