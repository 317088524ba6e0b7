//! The record of arrivals: what came when, for looking at pauses and order.
//!
//! One JSON object a line: `connect` and `disconnect`; `command` for MAIL and RCPT with what was
//! answered; `begin` when content is about to come, `chunk` for each piece as it was read, `end` when
//! it is complete, or `broken` when it is not. Times are microseconds since the Unix epoch; offsets and
//! octets count the content without transparency dots.
//!
//! Whoever runs the sink in the own process can watch the record as values, beside the file or without one.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::naming;
use crate::clock::Clock;

/// Where arrivals are recorded.
pub(super) struct Recorder {
    clock: Clock,
    lines: Option<Lines>,
    watcher: Option<mpsc::Sender<Recorded>>,
}

/// The record as a file.
struct Lines {
    file: Mutex<Box<dyn Write + Send>>,
    path: PathBuf,
}

/// One entry of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When, in microseconds since the Unix epoch.
    pub unix_us: u64,
    /// On which connection; they count from 1.
    pub connection: u64,
    /// What.
    pub event: Event,
}

impl Recorder {
    /// Starts a record; a file that is there already is replaced. `-` is the standard output. None where nobody
    /// wants one.
    pub(super) fn create(
        path: Option<&Path>,
        watcher: Option<mpsc::Sender<Recorded>>,
        clock: Clock,
    ) -> io::Result<Option<Self>> {
        let lines = path.map(Lines::create).transpose()?;
        let is_wanted = lines.is_some() || watcher.is_some();
        Ok(is_wanted.then_some(Self {
            clock,
            lines,
            watcher,
        }))
    }

    /// Records what happens now.
    pub(super) fn write(&self, connection: u64, event: Event) -> io::Result<()> {
        let recorded = Recorded {
            unix_us: self.clock.unix_microseconds(),
            connection,
            event,
        };
        if let Some(lines) = &self.lines {
            lines.write(&recorded)?;
        }
        match self.watcher.as_ref().map(|to| to.try_send(recorded)) {
            Some(Err(TrySendError::Full(_))) => Err(io::Error::other(
                "whoever watches the record does not keep up with it",
            )),
            // Nobody watches, or nobody does any more.
            _ => Ok(()),
        }
    }
}

impl Lines {
    fn create(path: &Path) -> io::Result<Self> {
        let file: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            Box::new(BufWriter::new(File::create(path)?))
        };
        Ok(Self {
            file: Mutex::new(file),
            path: path.to_owned(),
        })
    }

    /// Writes a line. Lines are made visible when something has ended.
    fn write(&self, recorded: &Recorded) -> io::Result<()> {
        let mut line = recorded.event.to_json();
        line["connection"] = Value::from(recorded.connection);
        line["unix_us"] = Value::from(recorded.unix_us);
        let mut line = line.to_string();
        line.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = file.write_all(line.as_bytes());
        if recorded.event.is_end() {
            written = written.and_then(|()| file.flush());
        }
        written.map_err(naming(&self.path))
    }
}

/// What is recorded of a connection. Messages count from 1 on each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was accepted.
    Connect {
        /// Who connected.
        client: SocketAddr,
    },
    /// It is over.
    Disconnect,
    /// MAIL or RCPT came.
    Command {
        /// `mail` or `rcpt`.
        verb: &'static str,
        /// The address, without angle brackets; empty for the null reverse-path.
        address: String,
        /// The code of the reply; none when there is none.
        code: Option<u16>,
    },
    /// Content is about to come.
    Begin {
        /// Of this message.
        message: u64,
    },
    /// A piece of content came.
    Chunk {
        /// Of this message.
        message: u64,
        /// How much of it.
        octets: usize,
        /// How much of it had come before.
        offset: u64,
    },
    /// The content is complete; the reply follows at once.
    End {
        /// Of this message.
        message: u64,
        /// What it was.
        digests: Digests,
        /// Whether the reply is 250.
        is_accepted: bool,
    },
    /// The content ends before its end.
    Broken {
        /// Of this message.
        message: u64,
        /// How much of it had come.
        octets: u64,
    },
}

impl Event {
    fn to_json(&self) -> Value {
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

    fn is_end(&self) -> bool {
        matches!(
            self,
            Event::End { .. } | Event::Broken { .. } | Event::Disconnect
        )
    }
}

/// What a content was, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Its length.
    pub octets: u64,
    /// SHA-256 of the content, in hexadecimal.
    pub content: String,
    /// SHA-256 of what follows the first empty line, in hexadecimal: relays add to the header, and
    /// must leave this as it was.
    pub body: String,
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
