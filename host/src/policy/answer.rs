//! What a component may answer. A value of these types keeps the rules of the contract.
//!
//! A broken rule in what machines act on (a reply, a priority, a note, the name of a rule) makes
//! the whole answer invalid, and the component at fault. The sentences that people read are cut
//! and cleaned instead: a sender may have chosen part of them, and must not be able to make a
//! component look broken.

use std::time::Duration;

use outpost_smtp::Reply;

use crate::message::Class;

/// Reasons per answer; the rest is dropped. One per author of a message with room to spare.
pub const REASONS_MAX: usize = 32;
/// Notes per answer: a handful of facts for the components behind, not a database.
pub const NOTES_MAX: usize = 16;
/// Octets of a rule's name or an attribute's key.
const NAME_OCTETS_MAX: usize = 64;
/// Octets of a reason's sentence: it stands in trails, which live as long as the message.
const DETAIL_OCTETS_MAX: usize = 512;
/// Octets of a note's value.
const NOTE_OCTETS_MAX: usize = 1024;
/// Octets of a reply's sentence: one reply line has 512 with codes and CRLF (RFC 5321 §4.5.3.1.5).
const REPLY_OCTETS_MAX: usize = 400;

/// An answer that breaks a rule of the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// 4yz for `defer`, 5yz for `refuse`, and the enhanced code of the same class (RFC 3463).
    #[error("the reply {code} {enhanced_class}.x.x does not have the class of its verdict")]
    ReplyClass {
        /// The code that was answered.
        code: u16,
        /// The class of its enhanced code.
        enhanced_class: u8,
    },
    /// An enhanced code has three digits at most in each part (RFC 3463 §2).
    #[error("the reply's enhanced code has more than three digits in one part")]
    EnhancedCode,
    /// The sentence is empty, too long, or has something else than printable ASCII.
    #[error("the reply's text is not one line of 1 to 400 printable ASCII characters")]
    ReplyText,
    /// 1 to 5.
    #[error("there is no priority {0}")]
    Priority(u8),
    /// The name of a rule is empty, too long, or has control characters.
    #[error("a reason's rule is not a name of 1 to 64 octets")]
    Rule,
    /// An attribute's key is no key.
    #[error("a note's key is not 1 to 64 octets of a-z, 0-9, \"-\" and \".\"")]
    Key,
    /// More than [`NOTES_MAX`], or one that is too large.
    #[error("more than 16 notes, or one of more than 1024 octets")]
    Notes,
}

/// Whether a sender may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No opinion.
    Pass,
    /// Authorized; a later component may still object.
    Permit,
    /// Not now.
    Defer(Option<PolicyReply>),
    /// No.
    Refuse(Option<PolicyReply>),
}

/// Which verdict a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyReplyKind {
    /// 4yz.
    Defer,
    /// 5yz.
    Refuse,
}

/// A reply that a component worded: of its verdict's class, one line, safe to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReply(Reply);

/// Why an answer fell, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    rule: String,
    detail: String,
}

/// A fact that a component leaves to those behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    key: String,
    value: AttributeValue,
}

/// The value of an [`Attribute`].
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Truth(bool),
    /// Anything.
    Octets(Vec<u8>),
}

/// The answer of one component about a sender.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// At most [`REASONS_MAX`].
    pub reasons: Vec<Reason>,
    /// At most [`NOTES_MAX`].
    pub notes: Vec<Attribute>,
}

/// The answer of one component about urgency.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The effective priority.
    pub class: Class,
    /// How long from now delivery makes sense; none: the relay's own expiry counts.
    pub deliver_within: Option<Duration>,
    /// At most [`REASONS_MAX`].
    pub reasons: Vec<Reason>,
    /// At most [`NOTES_MAX`].
    pub notes: Vec<Attribute>,
}

impl PolicyReply {
    /// A component's reply, when it keeps the rules.
    ///
    /// # Errors
    /// [`AnswerProblem::ReplyClass`], [`AnswerProblem::EnhancedCode`] or
    /// [`AnswerProblem::ReplyText`].
    pub fn new(
        kind: PolicyReplyKind,
        code: u16,
        enhanced: (u8, u16, u16),
        text: String,
    ) -> Result<Self, AnswerProblem> {
        let (class, codes) = match kind {
            PolicyReplyKind::Defer => (4, 400..=499),
            PolicyReplyKind::Refuse => (5, 500..=599),
        };
        if !codes.contains(&code) || enhanced.0 != class {
            return Err(AnswerProblem::ReplyClass {
                code,
                enhanced_class: enhanced.0,
            });
        }
        if enhanced.1 > 999 || enhanced.2 > 999 {
            return Err(AnswerProblem::EnhancedCode);
        }
        let printable = text.bytes().all(|octet| (0x20..=0x7e).contains(&octet));
        if text.is_empty() || text.len() > REPLY_OCTETS_MAX || !printable {
            return Err(AnswerProblem::ReplyText);
        }
        Ok(Self(Reply::new(code, enhanced, text)))
    }

    /// The reply as the protocol sends it.
    pub fn into_reply(self) -> Reply {
        self.0
    }
}

impl Reason {
    /// A reason; its sentence is cut and cleaned.
    ///
    /// # Errors
    /// [`AnswerProblem::Rule`] when the name of the rule is none.
    pub fn new(rule: String, detail: &str) -> Result<Self, AnswerProblem> {
        if rule.is_empty() || rule.len() > NAME_OCTETS_MAX || rule.chars().any(is_unfit) {
            return Err(AnswerProblem::Rule);
        }
        Ok(Self {
            rule,
            detail: clean_text(detail, DETAIL_OCTETS_MAX),
        })
    }

    /// A reason that the relay itself gives; both texts are its own.
    pub(super) fn of_relay(rule: &str, detail: &str) -> Self {
        Self {
            rule: rule.to_owned(),
            detail: clean_text(detail, DETAIL_OCTETS_MAX),
        }
    }

    /// The stable short name of the rule that decided.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// One sentence for a person.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl Attribute {
    /// A note.
    ///
    /// # Errors
    /// [`AnswerProblem::Key`] or [`AnswerProblem::Notes`].
    pub fn new(key: String, value: AttributeValue) -> Result<Self, AnswerProblem> {
        let fits = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        if key.is_empty() || key.len() > NAME_OCTETS_MAX || !key.bytes().all(fits) {
            return Err(AnswerProblem::Key);
        }
        let octets = match &value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Octets(octets) => octets.len(),
            AttributeValue::Number(_) | AttributeValue::Truth(_) => 0,
        };
        if octets > NOTE_OCTETS_MAX {
            return Err(AnswerProblem::Notes);
        }
        Ok(Self { key, value })
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its value.
    pub fn value(&self) -> &AttributeValue {
        &self.value
    }
}

impl Decision {
    /// An answer about a sender; reasons beyond the limit are dropped.
    ///
    /// # Errors
    /// [`AnswerProblem::Notes`] when there are too many.
    pub fn new(
        verdict: Verdict,
        reasons: Vec<Reason>,
        notes: Vec<Attribute>,
    ) -> Result<Self, AnswerProblem> {
        let (reasons, notes) = bounded(reasons, notes)?;
        Ok(Self {
            verdict,
            reasons,
            notes,
        })
    }
}

impl Placement {
    /// An answer about urgency; reasons beyond the limit are dropped.
    ///
    /// # Errors
    /// [`AnswerProblem::Priority`] for a number that is no class, [`AnswerProblem::Notes`] when
    /// there are too many.
    pub fn new(
        priority: u8,
        deliver_within_seconds: Option<u32>,
        reasons: Vec<Reason>,
        notes: Vec<Attribute>,
    ) -> Result<Self, AnswerProblem> {
        let class = Class::from_number(priority).ok_or(AnswerProblem::Priority(priority))?;
        let (reasons, notes) = bounded(reasons, notes)?;
        Ok(Self {
            class,
            deliver_within: deliver_within_seconds.map(|s| Duration::from_secs(s.into())),
            reasons,
            notes,
        })
    }

    /// The component's reasons, and what else the trail should tell.
    pub fn all_reasons(&self) -> Vec<Reason> {
        let within = self.deliver_within.map(|within| {
            let detail = format!("delivery makes sense for {within:?}");
            Reason::of_relay("deliver-within", &detail)
        });
        self.reasons.iter().cloned().chain(within).collect()
    }
}

fn bounded(
    mut reasons: Vec<Reason>,
    notes: Vec<Attribute>,
) -> Result<(Vec<Reason>, Vec<Attribute>), AnswerProblem> {
    reasons.truncate(REASONS_MAX);
    if notes.len() > NOTES_MAX {
        return Err(AnswerProblem::Notes);
    }
    Ok((reasons, notes))
}

/// Foreign text made fit for a log line or a trail: cut to `octets_max` between characters, and
/// what steers a terminal (control characters, line separators, changes of writing direction)
/// replaced by U+FFFD.
pub fn clean_text(text: &str, octets_max: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(octets_max));
    for character in text.chars() {
        let character = if is_unfit(character) {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        };
        if clean.len() + character.len_utf8() > octets_max {
            break;
        }
        clean.push(character);
    }
    clean
}

fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn reply(kind: PolicyReplyKind, code: u16, class: u8, text: &str) -> Option<AnswerProblem> {
        PolicyReply::new(kind, code, (class, 7, 1), text.to_owned()).err()
    }

    #[test]
    fn a_reply_has_the_class_of_its_verdict() {
        use PolicyReplyKind::{Defer, Refuse};
        assert_eq!(reply(Refuse, 550, 5, "no"), None);
        assert_eq!(reply(Defer, 451, 4, "later"), None);
        for (kind, code, class) in [
            (Refuse, 250, 2),
            (Refuse, 451, 4),
            (Refuse, 550, 4),
            (Refuse, 600, 5),
            (Defer, 550, 5),
            (Defer, 451, 5),
            (Defer, 354, 4),
        ] {
            assert!(
                matches!(
                    reply(kind, code, class, "x"),
                    Some(AnswerProblem::ReplyClass { .. })
                ),
                "{kind:?} {code} {class}"
            );
        }
    }

    #[test]
    fn a_reply_is_one_printable_line() {
        use PolicyReplyKind::Refuse;
        let long = "x".repeat(401);
        for text in ["", "a\r\n250 ok", "tab\t", "\u{7f}", "nul\0", "é", &long] {
            assert_eq!(
                reply(Refuse, 550, 5, text),
                Some(AnswerProblem::ReplyText),
                "{text:?}"
            );
        }
        assert_eq!(
            PolicyReply::new(Refuse, 550, (5, 1000, 1), "x".into()),
            Err(AnswerProblem::EnhancedCode)
        );
        // RFC 6710 §4.1, §5: a priority that is too low, and a message that is too large for its priority.
        for (code, detail) in [(550, 15), (552, 16)] {
            let reply = PolicyReply::new(Refuse, code, (5, 7, detail), "no".into()).unwrap();
            assert_eq!(
                reply.into_reply().to_string(),
                format!("{code} 5.7.{detail} no")
            );
        }
        let fits = PolicyReply::new(Refuse, 554, (5, 7, 0), "y".repeat(400)).unwrap();
        assert_eq!(
            fits.into_reply(),
            Reply::new(554, (5, 7, 0), "y".repeat(400))
        );
    }

    #[test]
    fn a_priority_is_one_to_five() {
        for priority in [0, 6, 255] {
            assert_eq!(
                Placement::new(priority, None, vec![], vec![]),
                Err(AnswerProblem::Priority(priority))
            );
        }
        let placement = Placement::new(1, Some(60), vec![], vec![]).unwrap();
        assert_eq!(placement.class, Class::VeryHigh);
        assert_eq!(placement.deliver_within, Some(Duration::from_secs(60)));
    }

    #[test]
    fn reasons_are_cut_and_cleaned() {
        let reason = Reason::new("rule".into(), "a\r\nb\u{202e}").unwrap();
        assert_eq!(reason.detail(), "a\u{fffd}\u{fffd}b\u{fffd}");
        let long = Reason::new("rule".into(), &"ü".repeat(1000)).unwrap();
        assert_eq!(long.detail().len(), 512);
        let many = vec![reason; 100];
        let decision = Decision::new(Verdict::Pass, many, vec![]).unwrap();
        assert_eq!(decision.reasons.len(), REASONS_MAX);
    }

    #[test]
    fn a_rule_has_a_name() {
        for rule in ["", "two\nlines", &"x".repeat(65)] {
            assert_eq!(
                Reason::new(rule.into(), ""),
                Err(AnswerProblem::Rule),
                "{rule:?}"
            );
        }
    }

    #[test]
    fn notes_are_few_small_and_named() {
        let note =
            |key: &str, size| Attribute::new(key.into(), AttributeValue::Octets(vec![0; size]));
        for key in ["", "Upper", "a b", "ü", &"x".repeat(65)] {
            assert_eq!(note(key, 0), Err(AnswerProblem::Key), "{key:?}");
        }
        assert_eq!(note("key", 1025), Err(AnswerProblem::Notes));
        let notes = vec![note("key.a-1", 1024).unwrap(); 17];
        assert_eq!(
            Decision::new(Verdict::Pass, vec![], notes),
            Err(AnswerProblem::Notes)
        );
    }

    proptest! {
        #[test]
        fn cleaned_text_is_short_and_without_control_characters(text: String, max in 0_usize..64) {
            let clean = clean_text(&text, max);
            prop_assert!(clean.len() <= max);
            prop_assert!(!clean.chars().any(is_unfit));
        }

        #[test]
        fn an_accepted_reply_never_ends_a_line(code: u16, class: u8, text: String) {
            for kind in [PolicyReplyKind::Defer, PolicyReplyKind::Refuse] {
                if let Ok(reply) = PolicyReply::new(kind, code, (class, 7, 1), text.clone()) {
                    let reply = reply.into_reply();
                    prop_assert!(!reply.text.contains(['\r', '\n', '\0']));
                    prop_assert_eq!(reply.code / 100, u16::from(class));
                }
            }
        }
    }
}
