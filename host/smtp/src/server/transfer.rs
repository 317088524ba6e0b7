//! Content on its way in, by DATA and by BDAT.
//!
//! Pieces are handed on where they lie in the input. What is wrong with a content is found while it
//! passes: the driver is told at once to drop it, the rest is read to its real end, and only then the
//! reply is given. The reply depends on the whole content alone, so that it cannot depend on how the
//! content was cut.

use std::ops::Range;

use crate::content::{DotDecoder, Findings};

use super::conversation::Conversation;
use super::input::Input;
use super::state::{Asked, Chunk, Data, Ended, Phase, Refusal, Skip, State, Transfer, Turn, Void};
use super::{Question, replies};

/// Octets of content after which the wait for more starts anew: a client that sends fewer in the
/// time for a command is not sending.
const BLOCK_OCTETS: usize = 4 * 1024;

impl Conversation {
    /// DATA was accepted.
    pub(super) fn start_content(&mut self) -> State {
        State::Data(Data {
            decoder: DotDecoder::default(),
            transfer: Transfer::new(&self.settings.limits),
            is_void: false,
        })
    }

    /// Takes content of DATA.
    pub(super) fn data(
        &mut self,
        mut data: Data,
        input: &mut Input,
        content: &mut Range<usize>,
    ) -> Turn {
        let decoded = data.decoder.decode(input.unread());
        let piece = input.consume(decoded.consumed);
        let piece = piece.start..piece.start + decoded.content;
        data.transfer.take(input.slice(piece.clone()));
        self.advance_wait(decoded.consumed);
        let refusal = self.verdict(&data.transfer);
        if let Some(reply) = refusal {
            self.discard(&mut data.is_void, reply);
            if self.is_hopeless(data.transfer.octets) {
                return self.close(replies::TOO_LARGE);
            }
        } else {
            *content = piece;
        }
        match (decoded.is_end, refusal) {
            (false, _) => Turn {
                is_stuck: decoded.consumed == 0,
                ..Turn::from(State::Data(data))
            },
            (true, None) => self.end_of_content(data.transfer),
            (true, Some(reply)) => {
                self.wait += 1;
                self.reply(Phase::Idle, reply)
            }
        }
    }

    /// A chunk may come.
    pub(super) fn start_chunk(&mut self, transfer: Transfer, octets: u64, is_last: bool) -> State {
        State::Chunk(Chunk {
            transfer,
            left: octets,
            is_last,
            is_void: false,
        })
    }

    /// Takes octets of a chunk.
    pub(super) fn chunk(
        &mut self,
        mut chunk: Chunk,
        input: &mut Input,
        content: &mut Range<usize>,
    ) -> Turn {
        let piece = take_of_chunk(&mut chunk.left, input);
        let octets = piece.len();
        chunk.transfer.take(input.slice(piece.clone()));
        self.advance_wait(octets);
        if let Some(reply) = self.verdict(&chunk.transfer) {
            self.discard(&mut chunk.is_void, reply);
        } else {
            *content = piece;
        }
        if chunk.left > 0 {
            return Turn {
                is_stuck: octets == 0,
                ..Turn::from(State::Chunk(chunk))
            };
        }
        self.end_of_chunk(chunk)
    }

    fn end_of_chunk(&mut self, mut chunk: Chunk) -> Turn {
        let reply = if chunk.is_last {
            self.final_verdict(&chunk.transfer)
        } else {
            self.verdict(&chunk.transfer)
        };
        self.wait += 1;
        if let Some(reply) = reply {
            self.discard(&mut chunk.is_void, reply);
            return self.reply(Phase::Refused, reply);
        }
        if chunk.is_last {
            return self.end_of_content(chunk.transfer);
        }
        self.reply(Phase::Chunks(chunk.transfer), replies::CHUNK_OK)
    }

    /// A refused chunk comes. If it is so long that nobody could wait for its end, the session ends.
    pub(super) fn start_skip(&mut self, octets: u64, reply: Refusal, phase: Phase) -> Turn {
        if octets > self.settings.limits.discarded_octets_max {
            return self.close(replies::TOO_LARGE);
        }
        State::Skip(Skip {
            left: octets,
            reply,
            phase,
        })
        .into()
    }

    /// Throws away octets of a refused chunk, and replies when it has passed.
    pub(super) fn skip(&mut self, mut skip: Skip, input: &mut Input) -> Turn {
        let octets = take_of_chunk(&mut skip.left, input).len();
        self.advance_wait(octets);
        if skip.left > 0 {
            return Turn::stuck(State::Skip(skip));
        }
        self.refuse(skip.phase, skip.reply)
    }

    /// The last piece is handed over first, then the question is asked.
    fn end_of_content(&mut self, transfer: Transfer) -> Turn {
        self.wait += 1;
        State::Ended(Ended {
            octets: transfer.octets,
            findings: transfer.inspector.finish(),
        })
        .into()
    }

    /// All content has been handed over.
    pub(super) fn ask_about(&mut self, ended: Ended) -> Turn {
        Turn::ask(
            Asked::EndOfContent(ended.findings),
            Question::EndOfContent {
                octets: ended.octets,
            },
        )
    }

    /// Why a content is refused, as far as it has come.
    fn verdict(&self, transfer: &Transfer) -> Option<&'static str> {
        self.judge(transfer.inspector.findings(), transfer.octets)
    }

    /// Why a content is refused that ends here.
    fn final_verdict(&self, transfer: &Transfer) -> Option<&'static str> {
        self.judge(transfer.inspector.clone().finish(), transfer.octets)
    }

    fn judge(&self, findings: Findings, octets: u64) -> Option<&'static str> {
        if findings.bare_line_end {
            Some(replies::BARE_LINE_END)
        } else if octets > self.settings.limits.content_octets_max {
            Some(replies::TOO_LARGE)
        } else if findings.long_line {
            Some(replies::CONTENT_LINE_TOO_LONG)
        } else {
            None
        }
    }

    /// Whether so much has been thrown away that the end is not worth waiting for.
    fn is_hopeless(&self, octets: u64) -> bool {
        let limits = &self.settings.limits;
        octets
            > limits
                .content_octets_max
                .saturating_add(limits.discarded_octets_max)
    }

    /// Tells the driver once that the content is void.
    fn discard(&mut self, is_void: &mut bool, refusal: &'static str) {
        if !std::mem::replace(is_void, true) {
            self.void = Some(Void::Content(Some(refusal)));
        }
    }

    fn advance_wait(&mut self, octets: usize) {
        self.progress += octets;
        if self.progress >= BLOCK_OCTETS {
            self.progress = 0;
            self.wait += 1;
        }
    }
}

impl Transfer {
    fn take(&mut self, piece: &[u8]) {
        self.inspector.inspect(piece);
        self.octets = self.octets.saturating_add(piece.len() as u64);
    }
}

fn take_of_chunk(left: &mut u64, input: &mut Input) -> Range<usize> {
    let octets = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(input.unread().len());
    *left -= octets as u64;
    input.consume(octets)
}
