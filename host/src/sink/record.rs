//! The record of arrivals: when each piece of content came, for looking at pauses and order.
//!
//! One JSON object a line: `begin` when content is about to come, `chunk` for each piece as it was
//! read, `end` when it is complete, or `broken` when it is not. Times are microseconds since the
//! Unix epoch, offsets and octets count the content without transparency dots.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock::Clock;

/// Where arrivals are recorded.
pub(super) struct Recorder {
    file: Mutex<BufWriter<File>>,
    clock: Clock,
}

impl Recorder {
    /// Starts a record; one that is there already is replaced.
    pub(super) fn create(path: &Path, clock: Clock) -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(BufWriter::new(File::create(path)?)),
            clock,
        })
    }

    /// Writes a line, and makes it visible when it is the last of its message.
    pub(super) fn write(&self, message: MessageNumber, event: Event<'_>) -> io::Result<()> {
        let mut line = match event {
            Event::Begin => json!({ "event": "begin" }),
            Event::Chunk { octets, offset } => {
                json!({ "event": "chunk", "octets": octets, "offset": offset })
            }
            Event::End {
                digests,
                is_accepted,
            } => json!({
                "event": "end",
                "accepted": is_accepted,
                "octets": digests.octets,
                "sha256": digests.content,
                "body_sha256": digests.body,
            }),
            Event::Broken { octets } => json!({ "event": "broken", "octets": octets }),
        };
        line["connection"] = Value::from(message.connection);
        line["message"] = Value::from(message.message);
        line["unix_us"] = Value::from(self.clock.unix_microseconds());
        let is_last = !matches!(event, Event::Begin | Event::Chunk { .. });
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_writer(&mut *file, &line)?;
        file.write_all(b"\n")?;
        if is_last { file.flush() } else { Ok(()) }
    }
}

/// Which message: connections count from 1, and messages of a connection too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageNumber {
    pub(super) connection: u64,
    pub(super) message: u64,
}

/// What is recorded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    Begin,
    Chunk {
        octets: usize,
        offset: u64,
    },
    End {
        digests: &'a Digests,
        is_accepted: bool,
    },
    Broken {
        octets: u64,
    },
}

/// What a content was, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) octets: u64,
    /// SHA-256 of the content, in hexadecimal.
    pub(super) content: String,
    /// SHA-256 of what follows the first empty line, in hexadecimal: relays add to the header, and
    /// must leave this as it was.
    pub(super) body: String,
}

/// Reads a content piece by piece and tells its digests at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Digesting {
    octets: u64,
    content: Sha256,
    body: Sha256,
    header: HeaderEnd,
}

impl Digesting {
    /// Takes the next piece and returns its offset in the content.
    pub(super) fn take(&mut self, piece: &[u8]) -> u64 {
        let offset = self.octets;
        self.octets += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.content.update(piece);
        self.body.update(self.header.body_in(piece));
        offset
    }

    /// Octets so far.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// The digests of all that was taken.
    pub(super) fn finish(self) -> Digests {
        Digests {
            octets: self.octets,
            content: hexadecimal(&self.content.finalize()),
            body: hexadecimal(&self.body.finalize()),
        }
    }
}

/// Finds the empty line that ends a header, wherever pieces are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HeaderEnd {
    #[default]
    LineStart,
    InLine,
    /// After a CR; whether the line was empty until then.
    AfterCr {
        is_empty: bool,
    },
    InBody,
}

impl HeaderEnd {
    /// The part of the piece that belongs to the body.
    fn body_in<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        for (at, octet) in piece.iter().enumerate() {
            *self = match (*self, octet) {
                (HeaderEnd::InBody, _) => return &piece[at..],
                (HeaderEnd::LineStart, b'\r') => HeaderEnd::AfterCr { is_empty: true },
                (HeaderEnd::InLine, b'\r') => HeaderEnd::AfterCr { is_empty: false },
                (HeaderEnd::AfterCr { is_empty: true }, b'\n') => HeaderEnd::InBody,
                (HeaderEnd::AfterCr { is_empty: false }, b'\n') => HeaderEnd::LineStart,
                _ => HeaderEnd::InLine,
            };
        }
        &[]
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    use std::fmt::Write as _;

    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_found_wherever_the_content_is_cut() {
        let content = b"Subject: x\r\nTo: y\r\n\r\nbody\r\n\r\nmore\r\n";
        let body = hexadecimal(&Sha256::digest(b"body\r\n\r\nmore\r\n"));
        for cut in 0..=content.len() {
            let mut digesting = Digesting::default();
            assert_eq!(digesting.take(&content[..cut]), 0);
            digesting.take(&content[cut..]);
            let digests = digesting.finish();
            assert_eq!(digests.body, body, "cut at {cut}");
            assert_eq!(digests.content, hexadecimal(&Sha256::digest(content)));
            assert_eq!(digests.octets, 37);
        }
    }

    #[test]
    fn a_content_without_header_is_all_body_and_one_without_body_has_none() {
        let digest = |content: &[u8]| {
            let mut digesting = Digesting::default();
            digesting.take(content);
            digesting.finish().body
        };
        assert_eq!(digest(b"\r\nbody"), hexadecimal(&Sha256::digest(b"body")));
        assert_eq!(digest(b"Subject: x\r\n"), hexadecimal(&Sha256::digest(b"")));
    }
}
