//! From what a component says to what it may say: the contract's records into the types of `policy`,
//! which keep the contract's rules.

use super::bindings::exports::outpost::policy::priority_policy as priority;
use super::bindings::exports::outpost::policy::sender_authorization as sender;
use super::bindings::outpost::policy::types;
use crate::policy::{
    AnswerProblem, Attribute, AttributeValue, Decision, Placement, PolicyReply, PolicyReplyKind,
    REASONS_MAX, Reason, Verdict,
};

/// A component's answer about a sender.
///
/// # Errors
/// The rule of the contract that it breaks.
pub fn decision(answer: sender::Decision) -> Result<Decision, AnswerProblem> {
    let reply = |kind, reply: Option<types::Reply>| reply.map(|r| self::reply(kind, r)).transpose();
    let verdict = match answer.verdict {
        sender::Verdict::Pass => Verdict::Pass,
        sender::Verdict::Permit => Verdict::Permit,
        sender::Verdict::Defer(worded) => Verdict::Defer(reply(PolicyReplyKind::Defer, worded)?),
        sender::Verdict::Refuse(worded) => Verdict::Refuse(reply(PolicyReplyKind::Refuse, worded)?),
    };
    Decision::new(verdict, reasons(answer.reasons)?, notes(answer.notes)?)
}

/// A component's answer about urgency.
///
/// # Errors
/// The rule of the contract that it breaks.
pub fn placement(answer: priority::Placement) -> Result<Placement, AnswerProblem> {
    Placement::new(
        answer.priority,
        answer.deliver_within_s,
        reasons(answer.reasons)?,
        notes(answer.notes)?,
    )
}

fn reply(kind: PolicyReplyKind, reply: types::Reply) -> Result<PolicyReply, AnswerProblem> {
    let enhanced = reply.enhanced;
    PolicyReply::new(
        kind,
        reply.code,
        (enhanced.class, enhanced.subject, enhanced.detail),
        reply.text,
    )
}

fn reasons(reasons: Vec<types::Reason>) -> Result<Vec<Reason>, AnswerProblem> {
    reasons
        .into_iter()
        .take(REASONS_MAX)
        .map(|reason| Reason::new(reason.rule, &reason.detail))
        .collect()
}

fn notes(notes: Vec<types::Attribute>) -> Result<Vec<Attribute>, AnswerProblem> {
    let note = |note: types::Attribute| {
        let value = match note.value {
            types::AttributeValue::Text(text) => AttributeValue::Text(text),
            types::AttributeValue::Number(number) => AttributeValue::Number(number),
            types::AttributeValue::Truth(truth) => AttributeValue::Truth(truth),
            types::AttributeValue::Octets(octets) => AttributeValue::Octets(octets),
        };
        Attribute::new(note.key, value)
    };
    notes.into_iter().map(note).collect()
}
