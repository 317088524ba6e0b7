//! What a policy answers: decisions about the sender, placements by priority, and the reasons.
//!
//! Builders keep texts within the limits of the contract, so that an address in a reason or a reply
//! never makes an answer invalid: long texts are cut, characters that have no place in them are
//! replaced, and what would be empty is left out or gets a name. What they cannot mend, which are
//! the codes of a reply, [`testing::assert_valid`](crate::testing::assert_valid) finds in a test and
//! the relay finds for certain.

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
/// The rule of a reason that names none: the relay takes no reason without one.
const UNNAMED: &str = "unnamed";

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
    /// sentence that helps the sender; never echo what the client sent. What is not printable ASCII
    /// becomes a question mark; with an empty text the relay words the reply.
    pub fn saying(self, text: impl Into<String>) -> Self {
        let text = text.into();
        let reply = match self.verdict {
            Verdict::Defer(_) => Reply::new(451, (4, 7, 1), text),
            _ => Reply::new(550, (5, 7, 1), text),
        };
        self.replying(reply)
    }

    /// Tells the client that; the relay words a reply without text itself. Nothing happens to `pass`
    /// and `permit`, which have no reply.
    pub fn replying(mut self, reply: Reply) -> Self {
        let reply = Reply::new(reply.code, reply.enhanced, reply.text);
        match &mut self.verdict {
            Verdict::Defer(slot) | Verdict::Refuse(slot) => {
                *slot = (!reply.text.is_empty()).then_some(reply);
            }
            Verdict::Pass | Verdict::Permit => {}
        }
        self
    }

    /// Leaves a note for components later in the chain and for the trail; beyond [`NOTES_MAX`] none
    /// is added, nor is one without a key. Letters of the key become small ones, and what is not
    /// a-z, 0-9, `-` or `.` becomes `-`.
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

    /// Leaves a note, as [`Decision::noting`] does.
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
    /// A reply of those codes with that text, cut to [`REPLY_BYTES_MAX`] octets; what is not
    /// printable ASCII becomes a question mark.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Self {
        let is_printable = |c| matches!(c, ' '..='~');
        Self {
            code,
            enhanced,
            text: cut(mended(text.into(), is_printable, |_| '?'), REPLY_BYTES_MAX),
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
        let rule = if rule.is_empty() {
            UNNAMED.into()
        } else {
            rule
        };
        reasons.push(Reason {
            rule: tidy(rule, NAME_BYTES_MAX),
            detail: tidy(detail, DETAIL_BYTES_MAX),
        });
    }
}

fn push_note(notes: &mut Vec<Attribute>, key: String, value: Value) {
    if notes.len() < NOTES_MAX && !key.is_empty() {
        let value = match value {
            Value::Text(text) => Value::Text(cut(text, NOTE_BYTES_MAX)),
            Value::Octets(mut octets) => {
                octets.truncate(NOTE_BYTES_MAX);
                Value::Octets(octets)
            }
            other => other,
        };
        let in_small = |c: char| match c.to_ascii_lowercase() {
            c @ 'a'..='z' => c,
            _ => '-',
        };
        let key = mended(
            key,
            |c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'),
            in_small,
        );
        notes.push(Attribute {
            key: cut(key, NAME_BYTES_MAX),
            value,
        });
    }
}

/// The text within the limit and without what steers a terminal: the relay refuses the name of a
/// rule that has control characters, line separators or changes of writing direction.
fn tidy(text: String, bytes_max: usize) -> String {
    // A question mark and not U+FFFD, which takes more room than a control character.
    mended(cut(text, bytes_max), |c| !is_unfit(c), |_| '?')
}

pub(crate) fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with what does not fit replaced.
fn mended(text: String, fits: impl Fn(char) -> bool, instead: impl Fn(char) -> char) -> String {
    if text.chars().all(&fits) {
        return text;
    }
    text.chars()
        .map(|c| if fits(c) { c } else { instead(c) })
        .collect()
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
        assert_eq!(refuse("a\u{202e}b\0", "").reasons[0].rule, "a?b?");
        assert_eq!(refuse("", "why").reasons[0].rule, "unnamed");
        let decision = (0..40).fold(pass(), |decision, _| decision.noting("k", "v".repeat(2000)));
        assert_eq!(decision.notes.len(), NOTES_MAX);
        assert_eq!(
            decision.notes[0].value,
            Value::Text("v".repeat(NOTE_BYTES_MAX))
        );
        let decision = pass().noting("octets", vec![0; 2000]).noting("", 1);
        assert_eq!(decision.notes.len(), 1);
        assert_eq!(
            decision.notes[0].value,
            Value::Octets(vec![0; NOTE_BYTES_MAX])
        );
        for (key, kept) in [
            ("key.a-1", "key.a-1"),
            ("Bad Key", "bad-key"),
            ("a_b", "a-b"),
            ("ü\n", "--"),
        ] {
            assert_eq!(pass().noting(key, 1).notes[0].key, kept, "{key:?}");
        }
        let note = place(crate::Priority::Low, "r", "").noting("K".repeat(70), 1);
        assert_eq!(note.notes[0].key, "k".repeat(NAME_BYTES_MAX));
        let odd = "a".to_owned() + &"ü".repeat(300);
        assert_eq!(
            refuse("r", odd).reasons[0].detail.len(),
            DETAIL_BYTES_MAX - 1
        );
    }

    #[test]
    fn a_reply_is_one_line_of_printable_ascii_or_the_relay_s_own() {
        for (text, said) in [
            ("No.", Some("No.")),
            ("two\nlines", Some("two?lines")),
            ("a\tb\0c\u{7f}", Some("a?b?c?")),
            ("ünïcode", Some("?n?code")),
            ("", None),
        ] {
            let said = said.map(|text| Reply::new(550, (5, 7, 1), text));
            let decision = refuse("r", "").saying(text);
            assert_eq!(decision.verdict, Verdict::Refuse(said.clone()), "{text:?}");
            crate::testing::assert_valid(&decision);
            let reply = Reply {
                text: text.into(),
                ..Reply::new(550, (5, 7, 1), "")
            };
            assert_eq!(
                refuse("r", "").replying(reply).verdict,
                Verdict::Refuse(said)
            );
        }
        for text in ["x".repeat(500), "ü".repeat(500)] {
            let long = Reply::new(451, (4, 7, 1), text);
            assert_eq!(long.text.len(), REPLY_BYTES_MAX);
        }
    }
}
