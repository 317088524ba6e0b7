//! What a sink is told to do.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use outpost_smtp::Reply;
use tokio::sync::mpsc;

use super::record::Recorded;

/// How a sink listens, what it does with mail, and how it misbehaves.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// Where to listen. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The name in the greeting.
    pub hostname: String,
    /// Whether messages are printed as they come.
    pub print: bool,
    /// The folder for messages: one `.eml` each, and its envelope as `.json` beside it.
    pub store: Option<PathBuf>,
    /// The file for arrival times: one JSON object a line.
    pub record: Option<PathBuf>,
    /// Who in this process watches the record. Where it is full, the connection that has something to record is
    /// broken, as where a file cannot be written: nothing is left out in silence.
    pub watcher: Option<mpsc::Sender<Recorded>>,
    /// How fast content is read on each connection; as fast as it comes when not given.
    pub bytes_per_second: Option<NonZeroU64>,
    /// What is refused, put off or left without an answer. The first that matches counts.
    pub misdeeds: Vec<Misdeed>,
}

/// What goes wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misdeed {
    /// When.
    pub at: Trigger,
    /// What.
    pub action: Action,
}

/// What a sink does instead of accepting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Refuses for good: 5yz.
    Refuse,
    /// Refuses for now: 4yz.
    Defer,
    /// Never answers.
    Hang,
}

/// When a misdeed happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At a stage of every transaction.
    Stage(Stage),
    /// At a recipient whose address, in lower case, matches: `*` stands for anything, and text
    /// without a `*` may stand anywhere in the address.
    Recipient(String),
}

/// The stages of a connection and its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The greeting.
    Connect,
    /// MAIL.
    Mail,
    /// Every RCPT.
    Rcpt,
    /// DATA, or the first BDAT.
    Data,
    /// The end of the content.
    Dot,
}

/// The empty text is no trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected connect, mail, rcpt, data, dot, or a part of a recipient's address such as \"@a.example\""
)]
pub struct NotATrigger;

impl FromStr for Trigger {
    type Err = NotATrigger;

    fn from_str(text: &str) -> Result<Self, NotATrigger> {
        let stage = match text {
            "" => return Err(NotATrigger),
            "connect" => Stage::Connect,
            "mail" => Stage::Mail,
            "rcpt" => Stage::Rcpt,
            "data" => Stage::Data,
            "dot" => Stage::Dot,
            pattern => return Ok(Trigger::Recipient(pattern.to_lowercase())),
        };
        Ok(Trigger::Stage(stage))
    }
}

impl SinkOptions {
    /// What to do at a stage.
    pub(super) fn at(&self, stage: Stage) -> Option<Action> {
        let misdeed = self
            .misdeeds
            .iter()
            .find(|misdeed| misdeed.at == Trigger::Stage(stage));
        misdeed.map(|misdeed| misdeed.action)
    }

    /// What to do at a recipient.
    pub(super) fn at_recipient(&self, address: &str) -> Option<Action> {
        let address = address.to_lowercase();
        let misdeed = self.misdeeds.iter().find(|misdeed| match &misdeed.at {
            Trigger::Stage(stage) => *stage == Stage::Rcpt,
            Trigger::Recipient(pattern) => matches(pattern, &address),
        });
        misdeed.map(|misdeed| misdeed.action)
    }
}

impl Stage {
    /// What is said instead of accepting; nothing when the sink hangs.
    pub(super) fn reply(self, action: Action) -> Option<Reply> {
        let (subject, detail) = match self {
            Stage::Connect => (3, 2),
            Stage::Mail => (7, 1),
            Stage::Rcpt => (1, 1),
            Stage::Data | Stage::Dot => (6, 0),
        };
        let refused = "refused, as this sink was told";
        let deferred = "deferred, as this sink was told";
        Some(match (action, self) {
            (Action::Hang, _) => return None,
            (Action::Refuse, Stage::Connect) => Reply::new(554, (5, subject, detail), refused),
            (Action::Refuse, _) => Reply::new(550, (5, subject, detail), refused),
            (Action::Defer, Stage::Connect) => Reply::new(421, (4, subject, detail), deferred),
            (Action::Defer, _) => Reply::new(451, (4, subject, detail), deferred),
        })
    }
}

/// Whether a pattern is found in a text, both in lower case.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return text.contains(first);
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    // The leftmost place for each part leaves the most room for those behind it.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn patterns_match_a_part_or_the_whole_with_stars() {
        for (pattern, matched, other) in [
            ("bad", "a.bad.one@a.example", "good@a.example"),
            ("@a.example", "x@a.example", "x@b.example"),
            ("*@a.example", "x@a.example", "x@a.example.org"),
            ("no*@a.*", "no.reply@a.example", "ano@a.example"),
            ("a*b*c", "aXbXbXc", "acb"),
            ("*", "", "?"),
        ] {
            assert!(matches(pattern, matched), "{pattern} {matched}");
            assert!(
                pattern == "*" || !matches(pattern, other),
                "{pattern} {other}"
            );
        }
        assert!(!matches("ab*ba", "aba"), "parts do not share letters");
    }

    #[test]
    fn stages_and_recipients_are_told_apart() {
        assert_eq!("dot".parse(), Ok(Trigger::Stage(Stage::Dot)));
        assert_eq!(
            "Dot@A.example".parse(),
            Ok(Trigger::Recipient("dot@a.example".to_owned()))
        );
        assert_eq!("".parse::<Trigger>(), Err(NotATrigger));
    }
}
