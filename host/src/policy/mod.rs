//! Policy: what components are told, what they may answer, and how a chain of answers becomes one.
//!
//! Plain values and pure functions, no engine: the plugin host turns what a component says into
//! these types, and everything that can be decided about an answer without running one is decided
//! here. The relay has no rule of its own; the rules here are about *answers*.

mod answer;
mod chain;
mod facts;
mod record;

pub use answer::{
    AnswerProblem, Attribute, AttributeValue, Decision, NOTES_MAX, Placement, PolicyReply,
    PolicyReplyKind, REASONS_MAX, Reason, Verdict, clean_text,
};
pub use chain::{
    Failure, OnFailure, PlacementRuling, PriorityVote, SenderRuling, SenderVote, failure_reply,
    refusal_reply,
};
pub use facts::{
    AccountFacts, EnvelopeFacts, Facts, HeaderFacts, HeaderField, RequestedPriority, SessionFacts,
};
pub use record::{Answer, DecisionRecord, Question};
