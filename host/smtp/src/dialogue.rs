//! Dialogue files: conversations written down as tests, and what runs them.
//!
//! The format is described in tests/dialogues/README.md at the root of the repository. [`parse`]
//! reads a file; [`Dialogue::run`] plays the client against any [`Peer`]: the bare core, or a relay
//! behind a socket. Only the standard library and base64 are needed.

mod parse;

use std::fmt;

pub use parse::{DialogueError, parse};

/// What `$` words in a dialogue stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    /// `$hostname`: the server's name.
    pub hostname: String,
    /// `$size`: the largest content in octets.
    pub size: u64,
    /// `$user`: a login name that works.
    pub user: String,
    /// `$secret`: its password.
    pub secret: String,
    /// `$sender`: a mailbox that the user may send as.
    pub sender: String,
    /// `$recipient`: a mailbox that mail is taken for.
    pub recipient: String,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// Whether a relay can be run against it, and not just the bare core.
    pub runs_on_relay: bool,
    /// Whether the server offers STARTTLS.
    pub starttls: bool,
    /// Whether the server offers AUTH in clear.
    pub plaintext_auth: bool,
    /// Whether the connection begins with TLS.
    pub implicit_tls: bool,
    /// Limits to be set, by the names of the fields of [`crate::Limits`].
    pub limits: Vec<(String, u64)>,
    /// Whether the runner greets and logs in before the first line.
    pub login: bool,
    /// What happens, each with the number of its line.
    pub events: Vec<(usize, Event)>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The client sends octets.
    Send(Vec<u8>),
    /// The server sends this line.
    Line(Pattern),
    /// The server sends a whole reply, of one or more lines with this code.
    Reply(String),
    /// That reply has a line with this text.
    Has(Pattern),
    /// That reply has no line with this text.
    Lacks(Pattern),
    /// TLS starts.
    Tls,
    /// The server closes.
    Closed,
    /// So many messages have been accepted.
    Messages(usize),
    /// The last accepted message has this content.
    Content(Vec<u8>),
    /// The relay is to decide so when it is next asked this.
    Decide(Decision),
}

/// A line with wildcards: `...` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub String);

/// How a question is to be answered, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which question.
    pub question: Asked,
    /// What the answer is.
    pub verdict: Verdict,
    /// The reply: code, enhanced code and text as one line.
    pub reply: String,
}

/// A question that a dialogue can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// AUTH.
    Authenticate,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA or the first BDAT.
    Data,
    /// The end of the content.
    Message,
}

/// An answer that a dialogue can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Accept,
    /// No.
    Refuse,
    /// No, and the session ends.
    Close,
}

/// A server that a dialogue can be run against.
pub trait Peer {
    /// Sends octets to it.
    fn send(&mut self, octets: &[u8]);
    /// The next line from it without its CRLF. `None` if none comes.
    fn receive_line(&mut self) -> Option<String>;
    /// Starts TLS.
    fn start_tls(&mut self);
    /// Whether it closes without another line.
    fn is_closed(&mut self) -> bool;
    /// The contents that it has accepted, oldest first. A relay may have put trace fields before one.
    fn messages(&mut self) -> Vec<Vec<u8>>;
    /// Prepares an answer. Only the bare core is told.
    fn decide(&mut self, decision: &Decision);
}

/// Where a dialogue went otherwise than it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The line of the file.
    pub line: usize,
    /// What should have happened.
    pub expected: String,
    /// What happened.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: expected {}, found {}",
            self.line, self.expected, self.found
        )
    }
}

impl std::error::Error for Failure {}

impl Pattern {
    /// Whether a line fits.
    pub fn matches(&self, line: &str) -> bool {
        let mut parts = self.0.split("...");
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = line.strip_prefix(first) else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

impl Dialogue {
    /// Plays the client. What is sent without an expectation between goes out in one piece.
    ///
    /// # Errors
    /// [`Failure`] says where the peer did otherwise.
    pub fn run(&self, peer: &mut impl Peer) -> Result<(), Failure> {
        let mut pending = Vec::new();
        let mut reply = Vec::new();
        for (line, event) in &self.events {
            if let Event::Send(octets) = event {
                pending.extend_from_slice(octets);
                continue;
            }
            // What is decided here must be known before the octets that lead to the question.
            if !pending.is_empty() && !matches!(event, Event::Decide(_)) {
                peer.send(&std::mem::take(&mut pending));
            }
            step(event, peer, &mut reply).map_err(|(expected, found)| Failure {
                line: *line,
                expected,
                found,
            })?;
        }
        if !pending.is_empty() {
            peer.send(&pending);
        }
        Ok(())
    }
}

/// Does or checks one thing; else says what was expected and what was found.
fn step(
    event: &Event,
    peer: &mut impl Peer,
    reply: &mut Vec<String>,
) -> Result<(), (String, String)> {
    let found =
        |line: Option<&String>| line.map_or("nothing".to_owned(), |line| format!("{line:?}"));
    match event {
        Event::Send(_) => Ok(()),
        Event::Line(pattern) => match peer.receive_line() {
            Some(line) if pattern.matches(&line) => Ok(()),
            other => Err((format!("{:?}", pattern.0), found(other.as_ref()))),
        },
        Event::Reply(code) => {
            *reply = whole_reply(peer, code)
                .map_err(|line| (format!("a {code} reply"), found(line.as_ref())))?;
            Ok(())
        }
        Event::Has(pattern) if reply.iter().any(|line| pattern.matches(line)) => Ok(()),
        Event::Has(pattern) => Err((
            format!("{:?} in the reply", pattern.0),
            format!("{reply:?}"),
        )),
        Event::Lacks(pattern) if !reply.iter().any(|line| pattern.matches(line)) => Ok(()),
        Event::Lacks(pattern) => Err((
            format!("no {:?} in the reply", pattern.0),
            format!("{reply:?}"),
        )),
        Event::Tls => {
            peer.start_tls();
            Ok(())
        }
        Event::Closed if peer.is_closed() => Ok(()),
        Event::Closed => Err((
            "the end of the connection".into(),
            "an open one, or more lines".into(),
        )),
        Event::Messages(count) => match peer.messages().len() {
            found if found == *count => Ok(()),
            found => Err((format!("{count} messages"), found.to_string())),
        },
        Event::Content(content) => match peer.messages().last() {
            Some(message) if message.ends_with(content) => Ok(()),
            other => Err((
                String::from_utf8_lossy(content).escape_debug().to_string(),
                format!(
                    "{:?}",
                    other.map(|message| String::from_utf8_lossy(message).into_owned())
                ),
            )),
        },
        Event::Decide(decision) => {
            peer.decide(decision);
            Ok(())
        }
    }
}

/// The texts of all lines of a reply, or the line that is none of it.
fn whole_reply(peer: &mut impl Peer, code: &str) -> Result<Vec<String>, Option<String>> {
    let mut texts = Vec::new();
    loop {
        let line = peer.receive_line().ok_or(None)?;
        let Some(rest) = line.strip_prefix(code) else {
            return Err(Some(line));
        };
        let is_last = !rest.starts_with('-');
        texts.push(rest.get(1..).unwrap_or_default().to_owned());
        if is_last {
            return Ok(texts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_dots_stand_for_any_text() {
        let matches = |pattern: &str, line: &str| Pattern(pattern.into()).matches(line);
        assert!(matches("250 2.1.0 ...", "250 2.1.0 Ok"));
        assert!(matches("250 ...", "250 "));
        assert!(matches("250...Ok...", "250 2.1.0 Ok then"));
        assert!(matches("250 Ok", "250 Ok"));
        assert!(!matches("250 Ok", "250 Ok "));
        assert!(!matches("250 ...x", "250 Ok"));
        assert!(!matches("550 ...", "250 Ok"));
        assert!(!matches("250 a...b...c", "250 acb"));
    }
}
