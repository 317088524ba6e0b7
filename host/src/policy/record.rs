//! What a component answered, kept for the trail.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Decision, Failure, Placement, Reason, Verdict};
use crate::message::{Class, Event};

/// What a component is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// May this user send as this sender? At MAIL, and again when the header is known.
    Sender,
    /// How urgent is this message?
    Priority,
}

/// What a component said, without its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No opinion.
    Pass,
    /// Authorized.
    Permit,
    /// Not now.
    Defer,
    /// No.
    Refuse,
    /// This urgent.
    Class(Class),
    /// None came.
    Failed(Failure),
}

/// One answer of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRecord {
    /// Name of the component in the configuration.
    pub component: Arc<str>,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: Arc<str>,
    /// What it was asked.
    pub question: Question,
    /// What it said.
    pub answer: Answer,
    /// Why.
    pub reasons: Vec<Reason>,
    /// How long it took, waiting included.
    pub took: Duration,
}

impl Question {
    /// All of them, in the order of their declaration.
    pub const ALL: [Question; 2] = [Question::Sender, Question::Priority];

    /// As metrics and the trail spell it.
    pub fn name(self) -> &'static str {
        match self {
            Question::Sender => "sender",
            Question::Priority => "priority",
        }
    }
}

impl Answer {
    /// A short stable name, for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Answer::Pass => "pass",
            Answer::Permit => "permit",
            Answer::Defer => "defer",
            Answer::Refuse => "refuse",
            Answer::Class(_) => "class",
            Answer::Failed(_) => "failed",
        }
    }
}

impl From<&Decision> for Answer {
    fn from(decision: &Decision) -> Self {
        match decision.verdict {
            Verdict::Pass => Answer::Pass,
            Verdict::Permit => Answer::Permit,
            Verdict::Defer(_) => Answer::Defer,
            Verdict::Refuse(_) => Answer::Refuse,
        }
    }
}

impl From<Option<&Placement>> for Answer {
    fn from(placement: Option<&Placement>) -> Self {
        placement.map_or(Answer::Pass, |placement| Answer::Class(placement.class))
    }
}

/// As the trail shows it: `permit`, `class 2`, `failed: …`.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Class(class) => write!(f, "class {}", class.number()),
            Answer::Failed(failure) => write!(f, "failed: {failure}"),
            other => f.write_str(other.name()),
        }
    }
}

impl From<DecisionRecord> for Event {
    fn from(record: DecisionRecord) -> Self {
        Event::Decided {
            component: record.component.as_ref().to_owned(),
            digest: record.digest.as_ref().to_owned(),
            question: record.question.name().to_owned(),
            answer: record.answer.to_string(),
            reasons: record
                .reasons
                .into_iter()
                .map(|reason| (reason.rule().to_owned(), reason.detail().to_owned()))
                .collect(),
            took: record.took,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_record_becomes_an_event_of_the_trail() {
        let record = DecisionRecord {
            component: "effective-priority".into(),
            digest: "ab12".into(),
            question: Question::Priority,
            answer: Answer::Class(Class::High),
            reasons: vec![Reason::new("own".into(), "X-Priority: 2").unwrap()],
            took: Duration::from_micros(17),
        };
        assert_eq!(
            Event::from(record),
            Event::Decided {
                component: "effective-priority".into(),
                digest: "ab12".into(),
                question: "priority".into(),
                answer: "class 2".into(),
                reasons: vec![("own".into(), "X-Priority: 2".into())],
                took: Duration::from_micros(17),
            }
        );
    }

    #[test]
    fn an_answer_reads_as_the_trail_shows_it() {
        for (answer, text) in [
            (Answer::Pass, "pass"),
            (Answer::Refuse, "refuse"),
            (Answer::Class(Class::VeryLow), "class 5"),
            (
                Answer::Failed(Failure::Overload),
                "failed: no free instance",
            ),
        ] {
            assert_eq!(answer.to_string(), text);
        }
    }
}
