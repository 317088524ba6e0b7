//! What is said over a connection, written down for the trails of the messages that it carries.
//!
//! Listens beside the protocol core: it is told what the session is about to send and what the host has said, and
//! looks at the clock. What belongs to one attempt is taken away at its end, so that the next message begins anew.

use std::io;
use std::time::Duration;

use outpost_smtp::client::{Output, Session, Step};
use tokio::time::Instant;

use crate::message::{Scribe, Transcript};

/// The minutes of a connection.
pub(super) struct Minutes {
    scribe: Scribe,
    /// When the dialogue began that is written down.
    since: Instant,
    /// Mail was sent before that.
    is_continued: bool,
    /// Octets of the content under way.
    content_octets: u64,
}

/// What was said over a connection in one attempt.
#[derive(Debug)]
pub(super) struct Overheard {
    pub(super) since: Instant,
    pub(super) is_continued: bool,
    pub(super) transcript: Transcript,
}

impl Minutes {
    /// Those of a connection that has just been opened.
    pub(super) fn new() -> Self {
        Self {
            scribe: Scribe::default(),
            since: Instant::now(),
            is_continued: false,
            content_octets: 0,
        }
    }

    /// Another message is about to be sent, unless the connection was opened for it.
    pub(super) fn begin(&mut self) {
        if self.is_continued {
            self.scribe.clear();
            self.since = Instant::now();
        }
    }

    /// A transaction begins.
    pub(super) fn transaction_begins(&mut self) {
        self.content_octets = 0;
    }

    /// Takes the session's next step, and hears what leads to it.
    pub(super) fn next(&mut self, session: &mut Session) -> Step {
        let (scribe, since) = (&mut self.scribe, self.since);
        let step = session.next_heard(&mut |octets, is_whole| {
            scribe.reply(since.elapsed(), octets, is_whole);
        });
        self.content(session);
        step
    }

    /// So many octets of content are the session's now.
    pub(super) fn content_written(&mut self, octets: usize, session: &Session) {
        self.content_octets += u64::try_from(octets).unwrap_or(u64::MAX);
        self.content(session);
    }

    /// What is known of the content goes on one line, from when it began.
    fn content(&mut self, session: &Session) {
        if self.content_octets > 0 && session.output_is() == Output::Content {
            let after = self.since.elapsed();
            self.scribe
                .content(after, self.content_octets, session.chunks());
        }
    }

    /// The session's output is about to be written.
    pub(super) fn sending(&mut self, session: &Session) {
        if session.output().is_empty() {
            return;
        }
        let after = self.since.elapsed();
        match session.output_is() {
            Output::Commands => {
                for line in session.output().split_inclusive(|octet| *octet == b'\n') {
                    self.scribe.command(after, line);
                }
            }
            Output::Login => self.scribe.command(after, masked(session.output())),
            // It has a line of its own.
            Output::Content => {}
        }
    }

    /// Something happened that nobody has said.
    pub(super) fn note(&mut self, text: &str) {
        self.scribe.note(self.since.elapsed(), text);
    }

    /// What was said since the attempt began, if anything was; what follows is of another one.
    pub(super) fn take(&mut self) -> Option<Overheard> {
        let is_continued = std::mem::replace(&mut self.is_continued, true);
        if self.scribe.is_empty() {
            return None;
        }
        let transcript = self.scribe.transcript();
        self.scribe.clear();
        Some(Overheard {
            since: self.since,
            is_continued,
            transcript,
        })
    }
}

impl Overheard {
    /// How long before this moment it began.
    pub(super) fn ago(&self) -> Duration {
        self.since.elapsed()
    }
}

/// A line of a login without what it proves.
fn masked(line: &[u8]) -> &[u8] {
    match line {
        b"AUTH PLAIN\r\n" | b"AUTH LOGIN\r\n" => line,
        _ if line.starts_with(b"AUTH PLAIN ") => b"AUTH PLAIN [masked]",
        _ => b"[masked]",
    }
}

/// How it ended when the network failed.
pub(super) fn loss(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::TimedOut => "[no answer in time]",
        _ => "[the connection was lost]",
    }
}
