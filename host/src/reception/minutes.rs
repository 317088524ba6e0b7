//! What is said on a client's connection, written down for the trail of the message that it brings.
//!
//! Listens beside the protocol core: it is told of each line of the client and sees the replies in the output. The
//! dialogue of a message is what was said since the connection began, or since the message before it was taken, so
//! EHLO, STARTTLS and the login stand with the first one. What was said of a message that was not taken is forgotten
//! with it.

use std::time::Duration;

use outpost_smtp::Reply;
use outpost_smtp::server::Heard;
use tokio::time::Instant;

use crate::message::{Dialogue, Event, Party, Scribe, Timestamp, TlsParameters, TrailEntry};

/// The minutes of a connection.
pub(super) struct Minutes {
    scribe: Scribe,
    /// When the first of it was said.
    since: Option<Instant>,
    /// A message was taken before that.
    is_continued: bool,
    /// Octets of the output that were looked at.
    seen: usize,
    /// Replies that are still to come to what is forgotten.
    forgotten: u32,
}

impl Minutes {
    pub(super) fn new() -> Self {
        Self {
            scribe: Scribe::default(),
            since: Some(Instant::now()),
            is_continued: false,
            seen: 0,
            forgotten: 0,
        }
    }

    /// The client has said something, and up to then this was to be said to it.
    pub(super) fn hear(&mut self, heard: Heard<'_>, output: &[u8]) {
        self.see(output);
        let after = self.after();
        let command = match heard {
            Heard::Command(line) => {
                match (verb(line), chunk_octets(line)) {
                    (b"MAIL", _) => self.scribe.begin(after, line),
                    (b"BDAT", Some(octets)) => self.scribe.chunk(after, octets),
                    _ => self.scribe.command(after, line),
                }
                return;
            }
            Heard::Login {
                mechanism,
                has_response,
            } => {
                let mut command = "AUTH".to_owned();
                if let Some(mechanism) = mechanism {
                    command.push(' ');
                    command.push_str(&mechanism.to_string());
                }
                if has_response {
                    command.push_str(" [masked]");
                }
                command
            }
            Heard::Response => "[masked]".to_owned(),
            Heard::Unreadable => "[a line that is no command]".to_owned(),
        };
        self.scribe.command(after, command.as_bytes());
    }

    /// Writes down what is to be said to the client, as far as that was not done.
    pub(super) fn see(&mut self, output: &[u8]) {
        let Some(mut rest) = output.get(self.seen..).filter(|rest| !rest.is_empty()) else {
            return;
        };
        self.seen = output.len();
        let after = self.after();
        while !rest.is_empty() {
            let (reply, behind) = rest.split_at(reply_octets(rest));
            rest = behind;
            match self.forgotten.checked_sub(1) {
                Some(left) => self.forgotten = left,
                None => self.scribe.reply(after, reply, true),
            }
        }
    }

    /// The first octets of the output have been sent.
    pub(super) fn sent(&mut self, octets: usize) {
        self.seen = self.seen.saturating_sub(octets);
    }

    /// What follows is said for a client that has come by HTTP.
    pub(super) fn spoken_for(&mut self) {
        let after = self.after();
        let note = "[by HTTP: what follows is said inside the relay, for the client]";
        self.scribe.note(after, note);
    }

    pub(super) fn tls_started(&mut self, parameters: &TlsParameters) {
        let after = self.after();
        let (version, cipher) = (&parameters.version, &parameters.cipher);
        self.scribe
            .note(after, &format!("[TLS: {version} {cipher}]"));
    }

    /// The content has come to its end.
    pub(super) fn content_ends(&mut self, octets: u64) {
        let after = self.after();
        self.scribe.content_ends(after, octets);
    }

    /// What the trail of the message tells, if this is the reply to its content.
    pub(super) fn entry(&mut self, reply: &Reply, now: Timestamp) -> TrailEntry {
        let after = self.after();
        let mut octets = Vec::new();
        reply.write_to(&mut octets);
        self.scribe.reply(after, &octets, true);
        TrailEntry {
            at: now.minus(after),
            event: Event::Dialogue(Dialogue {
                with: Party::Client,
                is_continued: self.is_continued,
                transcript: self.scribe.transcript(),
            }),
        }
    }

    /// The message was taken, and the reply to it comes: what is said behind that is of another one.
    pub(super) fn message_taken(&mut self) {
        *self = Self {
            is_continued: true,
            since: None,
            forgotten: 1,
            scribe: Scribe::default(),
            seen: self.seen,
        };
    }

    /// The transaction is over without a message; `is_refused`: since its content is refused while it comes. Up to
    /// now this was to be said.
    pub(super) fn forget(&mut self, output: &[u8], is_refused: bool) {
        self.see(output);
        self.forgotten = self.scribe.forget(is_refused);
    }

    /// The message is refused, and the reply to it comes.
    pub(super) fn message_refused(&mut self) {
        self.scribe.forget(false);
        self.forgotten = 1;
    }

    /// How long the dialogue has lasted; it begins when nothing was said yet.
    fn after(&mut self) -> Duration {
        self.since.get_or_insert_with(Instant::now).elapsed()
    }
}

/// The first word of a command, if it is one that matters here.
fn verb(line: &[u8]) -> &'static [u8] {
    let first = line.get(..4).unwrap_or_default();
    let verbs: [&'static [u8]; 2] = [b"MAIL", b"BDAT"];
    let mut found = verbs.into_iter();
    found
        .find(|verb| first.eq_ignore_ascii_case(verb))
        .unwrap_or_default()
}

/// The octets that a BDAT announces.
fn chunk_octets(line: &[u8]) -> Option<u64> {
    let arguments = std::str::from_utf8(line.get(5..)?).ok()?;
    arguments.split_ascii_whitespace().next()?.parse().ok()
}

/// The octets of the first reply: up to the line that none follows.
fn reply_octets(output: &[u8]) -> usize {
    let mut end = 0;
    for line in output.split_inclusive(|octet| *octet == b'\n') {
        end += line.len();
        if line.get(3) != Some(&b'-') {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests;
