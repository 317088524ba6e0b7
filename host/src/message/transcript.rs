//! The transcript of an SMTP dialogue: what was said about a message over one connection, without its content.
//!
//! Written down by a [`Scribe`] while it is said, within named limits, and kept as one string: as short as the
//! dialogue is repetitive, and shared by all who hold it. What is written here never has a content or a secret; what
//! peers say is theirs, with nothing in it that is a control. Replies stand behind the commands that they answer,
//! whatever was pipelined.

mod phrases;
mod scribe;

use std::sync::Arc;
use std::time::Duration;

pub use scribe::Scribe;

/// What the client says follows.
const CLIENT: char = '\u{1}';
/// What the server says follows.
const SERVER: char = '\u{2}';
/// What the relay notes follows.
const NOTE: char = '\u{3}';
/// Milliseconds follow, of what comes behind them. They hold for all that the same one says behind it.
const TIME: char = '\u{5}';
/// The name of a phrase follows.
const PHRASE: char = '\u{6}';

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The client: of a submission whoever submits, of a delivery the relay.
    Client,
    /// The server.
    Server,
    /// Nobody: the relay notes what happened.
    Note,
}

impl Speaker {
    /// `client`, `server` or `note`.
    pub const fn name(self) -> &'static str {
        match self {
            Speaker::Client => "client",
            Speaker::Server => "server",
            Speaker::Note => "note",
        }
    }

    const fn mark(self) -> char {
        match self {
            Speaker::Client => CLIENT,
            Speaker::Server => SERVER,
            Speaker::Note => NOTE,
        }
    }

    const fn of(mark: char) -> Option<Speaker> {
        match mark {
            CLIENT => Some(Speaker::Client),
            SERVER => Some(Speaker::Server),
            NOTE => Some(Speaker::Note),
            _ => None,
        }
    }
}

/// A line of a dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How long after the beginning of the dialogue.
    pub after: Duration,
    /// By whom.
    pub by: Speaker,
    /// What: a line without its end.
    pub text: String,
}

/// What was said, in its short form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript(Arc<str>);

impl Transcript {
    /// One that was kept as this text. Whatever it is, it can be read: a damaged one says something else.
    pub fn from_kept(text: &str) -> Self {
        Self(text.into())
    }

    /// What is to be kept of it.
    pub fn kept(&self) -> &str {
        &self.0
    }

    /// The same behind a note.
    pub fn behind(&self, note: &str) -> Self {
        Self(format!("{NOTE}{note}{}", self.0).into())
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was said, a line each.
    pub fn lines(&self) -> Vec<Said> {
        let mut lines = Vec::new();
        let mut times = [0_u64; 3];
        let mut told = None;
        for (mark, text) in marked(&self.0) {
            let Some(by) = Speaker::of(mark) else {
                if mark == TIME {
                    told = text.parse().ok();
                }
                continue;
            };
            let time = &mut times[by as usize];
            *time = told.take().unwrap_or(*time);
            lines.extend(text.split('\n').map(|line| Said {
                after: Duration::from_millis(*time),
                by,
                text: phrases::expand(line),
            }));
        }
        lines
    }
}

/// The marks of a transcript, each with the text behind it.
fn marked(text: &str) -> impl Iterator<Item = (char, &str)> {
    let is_mark = |c: char| matches!(c, CLIENT | SERVER | NOTE | TIME);
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(is_mark)?;
        let (mark, behind) = (rest[start..].chars().next()?, &rest[start + 1..]);
        let end = behind.find(is_mark).unwrap_or(behind.len());
        let text = &behind[..end];
        rest = &behind[end..];
        Some((mark, text))
    })
}

#[cfg(test)]
mod tests;
