//! What a policy answers: decisions about the sender, placements by priority, and the reasons.
//!
//! Builders keep texts within the limits of the contract (control characters are replaced, long
//! texts cut), so that a long address in a reason never makes an answer invalid. What they cannot
//! mend, such as the class of a reply, [`testing::assert_valid`](crate::testing::assert_valid)
//! finds in a test and the relay finds for certain.

use crate::{Attribute, Priority, Value};

/// The most reasons that an answer may carry.
pub const REASONS_MAX: usize = 32;
/// The most notes that an answer may carry.
pub const NOTES_MAX: usize = 16;
/// The most octets of a reason's rule and of an attribute's key.
pub const NAME_BYTES_MAX: usize = 64;
/// The most octets of a reason's detail and of a problem's text.
pub const DETAIL_BYTES_MAX: usize = 512;
/// The most octets of a note's value.
pub const NOTE_BYTES_MAX: usize = 1024;
/// The most octets of a reply's text.
pub const REPLY_BYTES_MAX: usize = 400;

/// The answer to: may this user send as this sender?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Why, for the trail and the operator. The client never sees them.
    pub reasons: Vec<Reason>,
    /// For components later in the chain and for the trail.
    pub notes: Vec<Attribute>,
}

/// Yes, no, not now, or no opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No opinion: the next component decides. When all pass, the answer is no.
    Pass,
    /// Authorized; a later component may still defer or refuse.
    Permit,
    /// Not now: the client tries again. Without a reply the relay words one.
    Defer(Option<Reply>),
    /// No. Without a reply the relay words one.
    Refuse(Option<Reply>),
}

/// No opinion: the next component decides.
pub fn pass() -> Decision {
    Decision {
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        notes: Vec::new(),
    }
}

/// Authorized, by that rule, because of that.
pub fn permit(rule: impl Into<String>, detail: impl Into<String>) -> Decision {
    Decision {
        verdict: Verdict::Permit,
        ..pass()
    }
    .because(rule, detail)
}

/// Not now, by that rule, because of that; the relay words the reply unless one is given.
pub fn defer(rule: impl Into<String>, detail: impl Into<String>) -> Decision {
    Decision {
        verdict: Verdict::Defer(None),
        ..pass()
    }
    .because(rule, detail)
}

/// No, by that rule, because of that; the relay words the reply unless one is given.
pub fn refuse(rule: impl Into<String>, detail: impl Into<String>) -> Decision {
    Decision {
        verdict: Verdict::Refuse(None),
        ..pass()
    }
    .because(rule, detail)
}

impl Decision {
    /// Adds a reason; beyond [`REASONS_MAX`] none is added.
    pub fn because(mut self, rule: impl Into<String>, detail: impl Into<String>) -> Self {
        push_reason(&mut self.reasons, rule.into(), detail.into());
        self
    }

    /// Tells the client that sentence: 451 4.7.1 with `defer`, 550 5.7.1 with `refuse`. One general
    /// sentence that helps the sender; never echo what the client sent.
    pub fn saying(self, text: impl Into<String>) -> Self {
        let text = text.into();
        let reply = match self.verdict {
            Verdict::Defer(_) => Reply::new(451, (4, 7, 1), text),
            _ => Reply::new(550, (5, 7, 1), text),
        };
        self.replying(reply)
    }

    /// Tells the client that. Nothing happens to `pass` and `permit`, which have no reply.
    pub fn replying(mut self, reply: Reply) -> Self {
        match &mut self.verdict {
            Verdict::Defer(slot) | Verdict::Refuse(slot) => *slot = Some(reply),
            Verdict::Pass | Verdict::Permit => {}
        }
        self
    }

    /// Leaves a note for components later in the chain and for the trail; beyond [`NOTES_MAX`] none
    /// is added.
    pub fn noting(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        push_note(&mut self.notes, key.into(), value.into());
        self
    }
}

/// The answer to: how urgent is this message?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The effective priority.
    pub priority: Priority,
    /// Seconds from now within which delivery still makes sense. None: the relay's own expiry.
    pub deliver_within_s: Option<u32>,
    /// Why, for the trail.
    pub reasons: Vec<Reason>,
    /// For components later in the chain and for the trail.
    pub notes: Vec<Attribute>,
}

/// That urgent, by that rule, because of that.
pub fn place(priority: Priority, rule: impl Into<String>, detail: impl Into<String>) -> Placement {
    Placement {
        priority,
        deliver_within_s: None,
        reasons: Vec::new(),
        notes: Vec::new(),
    }
    .because(rule, detail)
}

impl Placement {
    /// Adds a reason; beyond [`REASONS_MAX`] none is added.
    pub fn because(mut self, rule: impl Into<String>, detail: impl Into<String>) -> Self {
        push_reason(&mut self.reasons, rule.into(), detail.into());
        self
    }

    /// Says within how many seconds delivery still makes sense.
    pub fn within_seconds(mut self, seconds: u32) -> Self {
        self.deliver_within_s = Some(seconds);
        self
    }

    /// Leaves a note; beyond [`NOTES_MAX`] none is added.
    pub fn noting(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        push_note(&mut self.notes, key.into(), value.into());
        self
    }
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 400 to 499 with `defer`, 500 to 599 with `refuse`.
    pub code: u16,
    /// The enhanced status code, RFC 3463: class, subject, detail.
    pub enhanced: (u8, u16, u16),
    /// One line of printable ASCII, 1 to [`REPLY_BYTES_MAX`] octets.
    pub text: String,
}

impl Reply {
    /// A reply of those codes with that text.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Self {
        Self {
            code,
            enhanced,
            text: text.into(),
        }
    }
}

/// Why a decision fell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A stable short name.
    pub rule: String,
    /// One sentence for a person.
    pub detail: String,
}

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting.
    pub key: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl Problem {
    /// That setting has that problem.
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            text: tidy(text.into(), DETAIL_BYTES_MAX),
        }
    }
}

fn push_reason(reasons: &mut Vec<Reason>, rule: String, detail: String) {
    if reasons.len() < REASONS_MAX {
        reasons.push(Reason {
            rule: tidy(rule, NAME_BYTES_MAX),
            detail: tidy(detail, DETAIL_BYTES_MAX),
        });
    }
}

fn push_note(notes: &mut Vec<Attribute>, key: String, value: Value) {
    if notes.len() < NOTES_MAX {
        let value = match value {
            Value::Text(text) => Value::Text(cut(text, NOTE_BYTES_MAX)),
            other => other,
        };
        notes.push(Attribute {
            key: tidy(key, NAME_BYTES_MAX),
            value,
        });
    }
}

/// The text without control characters and within the limit.
fn tidy(text: String, bytes_max: usize) -> String {
    let text = cut(text, bytes_max);
    if text.chars().any(char::is_control) {
        // A question mark and not U+FFFD, which takes more room than a control character.
        text.chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect()
    } else {
        text
    }
}

/// The text cut to that many octets, at the boundary of a character.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_gets_the_codes_of_its_verdict() {
        let reply = |decision: Decision| match decision.verdict {
            Verdict::Defer(reply) | Verdict::Refuse(reply) => reply,
            Verdict::Pass | Verdict::Permit => None,
        };
        assert_eq!(reply(refuse("a", "b")), None);
        assert_eq!(
            reply(refuse("a", "b").saying("No.")),
            Some(Reply::new(550, (5, 7, 1), "No."))
        );
        assert_eq!(
            reply(defer("a", "b").saying("Later.")),
            Some(Reply::new(451, (4, 7, 1), "Later."))
        );
        assert_eq!(permit("a", "b").saying("Yes."), permit("a", "b"));
        assert_eq!(pass().saying("?"), pass());
    }

    #[test]
    fn texts_are_kept_within_the_limits_of_the_contract() {
        let decision = (0..40).fold(pass(), |decision, _| {
            decision.because("r".repeat(70), "ü".repeat(300))
        });
        assert_eq!(decision.reasons.len(), REASONS_MAX);
        assert_eq!(decision.reasons[0].rule.len(), NAME_BYTES_MAX);
        assert_eq!(decision.reasons[0].detail, "ü".repeat(256));
        assert_eq!(refuse("r", "a\r\nb\u{85}c").reasons[0].detail, "a??b?c");
        let decision = (0..40).fold(pass(), |decision, _| decision.noting("k", "v".repeat(2000)));
        assert_eq!(decision.notes.len(), NOTES_MAX);
        assert_eq!(
            decision.notes[0].value,
            Value::Text("v".repeat(NOTE_BYTES_MAX))
        );
        let odd = "a".to_owned() + &"ü".repeat(300);
        assert_eq!(
            refuse("r", odd).reasons[0].detail.len(),
            DETAIL_BYTES_MAX - 1
        );
    }
}
