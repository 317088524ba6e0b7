//! The record of arrivals: what came when, for looking at pauses and order.
//!
//! One JSON object a line: `connect` and `disconnect`; `command` for MAIL and RCPT with what was
//! answered; `begin` when content is about to come, `chunk` for each piece as it was read, `end` when
//! it is complete, or `broken` when it is not. Times are microseconds since the Unix epoch; offsets and
//! octets count the content without transparency dots.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::naming;
use crate::clock::Clock;

/// Where arrivals are recorded.
pub(super) struct Recorder {
    file: Mutex<Box<dyn Write + Send>>,
    path: PathBuf,
    clock: Clock,
}

impl Recorder {
    /// Starts a record; one that is there already is replaced. `-` is the standard output.
    pub(super) fn create(path: &Path, clock: Clock) -> io::Result<Self> {
        let file: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            Box::new(BufWriter::new(File::create(path)?))
        };
        Ok(Self {
            file: Mutex::new(file),
            path: path.to_owned(),
            clock,
        })
    }

    /// Writes a line. Lines are made visible when something has ended.
    pub(super) fn write(&self, connection: u64, event: Event<'_>) -> io::Result<()> {
        let mut line = event.into_json();
        line["connection"] = Value::from(connection);
        line["unix_us"] = Value::from(self.clock.unix_microseconds());
        let mut line = line.to_string();
        line.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = file.write_all(line.as_bytes());
        if event.is_end() {
            written = written.and_then(|()| file.flush());
        }
        written.map_err(naming(&self.path))
    }
}

/// What is recorded of a connection. Messages count from 1 on each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    Connect {
        client: SocketAddr,
    },
    Disconnect,
    Command {
        verb: &'static str,
        address: &'a str,
        /// The code of the reply; none when there is none.
        code: Option<u16>,
    },
    Begin {
        message: u64,
    },
    Chunk {
        message: u64,
        octets: usize,
        offset: u64,
    },
    End {
        message: u64,
        digests: &'a Digests,
        is_accepted: bool,
    },
    Broken {
        message: u64,
        octets: u64,
    },
}

impl Event<'_> {
    fn into_json(self) -> Value {
        match self {
            Event::Connect { client } => {
                json!({ "event": "connect", "client": client.to_string() })
            }
            Event::Disconnect => json!({ "event": "disconnect" }),
            Event::Command {
                verb,
                address,
                code,
            } => json!({ "event": "command", "verb": verb, "address": address, "code": code }),
            Event::Begin { message } => json!({ "event": "begin", "message": message }),
            Event::Chunk {
                message,
                octets,
                offset,
            } => {
                json!({ "event": "chunk", "message": message, "octets": octets, "offset": offset })
            }
            Event::End {
                message,
                digests,
                is_accepted,
            } => json!({
                "event": "end",
                "message": message,
                "accepted": is_accepted,
                "octets": digests.octets,
                "sha256": digests.content,
                "body_sha256": digests.body,
            }),
            Event::Broken { message, octets } => {
                json!({ "event": "broken", "message": message, "octets": octets })
            }
        }
    }

    fn is_end(self) -> bool {
        matches!(
            self,
            Event::End { .. } | Event::Broken { .. } | Event::Disconnect
        )
    }
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
#[derive(Clone, Debug)]
pub(super) struct Digesting {
    octets: u64,
    /// Of the content and of the body; none where nobody wants them, since they cost more than the
    /// rest of a sink.
    digests: Option<(Sha256, Sha256)>,
    header: HeaderEnd,
}

impl Digesting {
    /// For a content that begins. Without digests only octets are counted.
    pub(super) fn new(wants_digests: bool) -> Self {
        Self {
            octets: 0,
            digests: wants_digests.then(Default::default),
            header: HeaderEnd::default(),
        }
    }

    /// Takes the next piece and returns its offset in the content.
    pub(super) fn take(&mut self, piece: &[u8]) -> u64 {
        let offset = self.octets;
        self.octets += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if let Some((content, body)) = &mut self.digests {
            content.update(piece);
            body.update(self.header.body_in(piece));
        }
        offset
    }

    /// Octets so far.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// The digests of all that was taken; empty when they were not wanted.
    pub(super) fn finish(self) -> Digests {
        let (content, body) = match self.digests {
            Some((content, body)) => (
                hexadecimal(&content.finalize()),
                hexadecimal(&body.finalize()),
            ),
            None => (String::new(), String::new()),
        };
        Digests {
            octets: self.octets,
            content,
            body,
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
            let mut digesting = Digesting::new(true);
            assert_eq!(digesting.take(&content[..cut]), 0);
            digesting.take(&content[cut..]);
            let digests = digesting.finish();
            assert_eq!(digests.body, body, "cut at {cut}");
            assert_eq!(digests.content, hexadecimal(&Sha256::digest(content)));
            assert_eq!(digests.octets, 35);
        }
    }

    #[test]
    fn a_content_without_header_is_all_body_and_one_without_body_has_none() {
        let digest = |content: &[u8]| {
            let mut digesting = Digesting::new(true);
            digesting.take(content);
            digesting.finish().body
        };
        assert_eq!(digest(b"\r\nbody"), hexadecimal(&Sha256::digest(b"body")));
        assert_eq!(digest(b"Subject: x\r\n"), hexadecimal(&Sha256::digest(b"")));
    }
}
