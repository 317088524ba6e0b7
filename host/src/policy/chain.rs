//! How the answers of a chain become one, and what stands in for an answer that never came.
//!
//! Senders: the first `defer` or `refuse` ends the chain, and otherwise at least one `permit` is
//! needed; when all pass, the answer is no. Priority: the first opinion counts; without one it is
//! the user's priority. A component that fails is a value like any other answer, and the operator
//! chose beforehand what it means. Overload is nobody's fault, so it never becomes a permanent
//! refusal.

use std::fmt;
use std::time::Duration;

use outpost_smtp::Reply;

use super::{AnswerProblem, Decision, Placement, Reason, Verdict};
use crate::message::Class;

/// What the failure of a component means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// The client is asked to come back: 451 4.3.0.
    Defer,
    /// The answer is no.
    Refuse,
    /// No opinion.
    Skip,
}

/// Why a component gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It trapped: a panic, an access out of bounds, memory that it was refused.
    Trap(String),
    /// It used up its CPU time.
    CpuTime(Duration),
    /// It wanted more memory than it may have, and gave up when it was refused.
    Memory(usize),
    /// It called the relay more often than it may.
    HostCalls(u64),
    /// Its answer breaks the contract.
    Answer(AnswerProblem),
    /// It failed again and again, and is not called until it has been probed.
    Suspended,
    /// The machine did not get round to it in time.
    WallTime(Duration),
    /// All instances that the relay may have were in use.
    Overload,
}

/// The answer of a whole chain about a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderRuling {
    /// May send.
    Permitted,
    /// Not now.
    Deferred(Reply),
    /// May not send.
    Refused {
        /// What the client is told.
        reply: Reply,
        /// Why, for the operator.
        reasons: Vec<Reason>,
    },
}

/// The answer of a whole chain about urgency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementRuling {
    /// How urgent it is.
    Placed {
        /// The effective priority.
        class: Class,
        /// How long from now delivery makes sense; none: the relay's own expiry counts.
        deliver_within: Option<Duration>,
    },
    /// Not accepted now: a component failed whose failure defers.
    Deferred(Reply),
    /// Not accepted: a component failed whose failure refuses.
    Refused(Reply),
}

/// Collects the answers of a chain about a sender.
#[derive(Debug, Default)]
pub struct SenderVote {
    permitted: bool,
    overloaded: bool,
}

/// Collects the answers of a chain about urgency.
#[derive(Debug)]
pub struct PriorityVote {
    user_priority: Class,
}

impl SenderVote {
    /// Takes the next component's answer; a ruling ends the chain.
    pub fn take(&mut self, decision: &Decision) -> Option<SenderRuling> {
        match &decision.verdict {
            Verdict::Pass => None,
            Verdict::Permit => {
                self.permitted = true;
                None
            }
            Verdict::Defer(reply) => Some(SenderRuling::Deferred(
                reply
                    .clone()
                    .map_or_else(deferral_reply, |r| r.into_reply()),
            )),
            Verdict::Refuse(reply) => Some(SenderRuling::Refused {
                reply: reply.clone().map_or_else(refusal_reply, |r| r.into_reply()),
                reasons: decision.reasons.clone(),
            }),
        }
    }

    /// Takes the next component's failure; a ruling ends the chain.
    pub fn take_failure(
        &mut self,
        component: &str,
        failure: &Failure,
        on_failure: OnFailure,
    ) -> Option<SenderRuling> {
        match on_failure {
            OnFailure::Skip => {
                self.overloaded |= !failure.may_refuse();
                None
            }
            OnFailure::Refuse if failure.may_refuse() => Some(SenderRuling::Refused {
                reply: refusal_reply(),
                reasons: vec![Reason::of_relay(
                    "component-failed",
                    &format!("the policy component {component} failed: {failure}"),
                )],
            }),
            OnFailure::Refuse | OnFailure::Defer => Some(SenderRuling::Deferred(failure_reply())),
        }
    }

    /// The ruling when the chain has come to its end.
    pub fn close(self) -> SenderRuling {
        match self {
            Self {
                permitted: true, ..
            } => SenderRuling::Permitted,
            // Whoever was skipped might have permitted it.
            Self {
                overloaded: true, ..
            } => SenderRuling::Deferred(failure_reply()),
            Self { .. } => SenderRuling::Refused {
                reply: refusal_reply(),
                reasons: vec![Reason::of_relay(
                    "no-permit",
                    "no policy component permits this sender",
                )],
            },
        }
    }
}

impl PriorityVote {
    /// A vote that ends with the user's priority when nobody has an opinion.
    pub fn new(user_priority: Class) -> Self {
        Self { user_priority }
    }

    /// Takes the next component's answer; a ruling ends the chain.
    pub fn take(&mut self, placement: Option<&Placement>) -> Option<PlacementRuling> {
        placement.map(|placement| PlacementRuling::Placed {
            class: placement.class,
            deliver_within: placement.deliver_within,
        })
    }

    /// Takes the next component's failure; a ruling ends the chain.
    pub fn take_failure(
        &mut self,
        failure: &Failure,
        on_failure: OnFailure,
    ) -> Option<PlacementRuling> {
        match on_failure {
            OnFailure::Skip => None,
            OnFailure::Refuse if failure.may_refuse() => {
                Some(PlacementRuling::Refused(rejection_reply()))
            }
            OnFailure::Refuse | OnFailure::Defer => {
                Some(PlacementRuling::Deferred(failure_reply()))
            }
        }
    }

    /// The ruling when the chain has come to its end.
    pub fn close(self) -> PlacementRuling {
        PlacementRuling::Placed {
            class: self.user_priority,
            deliver_within: None,
        }
    }
}

impl Failure {
    /// Whether the component is to blame, so that its breaker counts it.
    pub fn is_fault(&self) -> bool {
        match self {
            Failure::Suspended | Failure::WallTime(_) | Failure::Overload => false,
            Failure::Trap(_)
            | Failure::CpuTime(_)
            | Failure::Memory(_)
            | Failure::HostCalls(_)
            | Failure::Answer(_) => true,
        }
    }

    /// Whether `on_failure = refuse` may turn it into a permanent refusal: never for what the
    /// machine's load caused.
    fn may_refuse(&self) -> bool {
        !matches!(self, Failure::WallTime(_) | Failure::Overload)
    }

    /// A short stable name, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Trap(_) => "trap",
            Failure::CpuTime(_) => "cpu-time",
            Failure::Memory(_) => "memory",
            Failure::HostCalls(_) => "host-calls",
            Failure::Answer(_) => "answer",
            Failure::Suspended => "suspended",
            Failure::WallTime(_) => "wall-time",
            Failure::Overload => "overload",
        }
    }
}

/// For the log and the trail, never for a peer.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Trap(cause) => write!(f, "trap: {cause}"),
            Failure::CpuTime(limit) => write!(f, "used more than {limit:?} of CPU time"),
            Failure::Memory(limit) => write!(f, "wanted more than {limit} octets of memory"),
            Failure::HostCalls(limit) => write!(f, "called the relay more than {limit} times"),
            Failure::Answer(problem) => write!(f, "invalid answer: {problem}"),
            Failure::Suspended => f.write_str("not called after repeated failures"),
            Failure::WallTime(limit) => write!(f, "no answer within {limit:?}"),
            Failure::Overload => f.write_str("no free instance"),
        }
    }
}

impl OnFailure {
    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            OnFailure::Defer => "defer",
            OnFailure::Refuse => "refuse",
            OnFailure::Skip => "skip",
        }
    }

    /// The one that is spelled so.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = [Self::Defer, Self::Refuse, Self::Skip].into_iter();
        all.find(|one| one.name() == name)
    }
}

/// What a refused sender is told when the component worded nothing.
pub fn refusal_reply() -> Reply {
    Reply::new(
        550,
        (5, 7, 1),
        "You are not authorized to send as this sender",
    )
}

/// What a deferred sender is told when the component worded nothing.
fn deferral_reply() -> Reply {
    Reply::new(
        451,
        (4, 7, 1),
        "This sender cannot be accepted now, please try again later",
    )
}

/// What the client is told when a component gave no answer.
pub fn failure_reply() -> Reply {
    Reply::new(451, (4, 3, 0), "Temporary failure, please try again later")
}

/// What the client is told when a component about urgency failed and its failure refuses.
fn rejection_reply() -> Reply {
    Reply::new(554, (5, 3, 0), "The message cannot be accepted")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{PolicyReply, PolicyReplyKind};

    fn decision(verdict: Verdict) -> Decision {
        Decision::new(verdict, vec![], vec![]).unwrap()
    }

    fn rule(verdicts: &[Verdict]) -> SenderRuling {
        let mut vote = SenderVote::default();
        for verdict in verdicts {
            if let Some(ruling) = vote.take(&decision(verdict.clone())) {
                return ruling;
            }
        }
        vote.close()
    }

    fn code(ruling: &SenderRuling) -> u16 {
        match ruling {
            SenderRuling::Permitted => 250,
            SenderRuling::Deferred(reply) | SenderRuling::Refused { reply, .. } => reply.code,
        }
    }

    #[test]
    fn the_first_objection_wins_and_one_permit_is_needed() {
        use Verdict::{Defer, Pass, Permit, Refuse};
        for (verdicts, expected) in [
            (vec![], 550),
            (vec![Pass], 550),
            (vec![Pass, Pass], 550),
            (vec![Permit], 250),
            (vec![Pass, Permit, Pass], 250),
            (vec![Permit, Refuse(None)], 550),
            (vec![Permit, Defer(None), Refuse(None)], 451),
            (vec![Refuse(None), Defer(None)], 550),
        ] {
            assert_eq!(code(&rule(&verdicts)), expected, "{verdicts:?}");
        }
    }

    #[test]
    fn a_worded_reply_is_the_one_that_is_sent() {
        let reply =
            PolicyReply::new(PolicyReplyKind::Refuse, 553, (5, 7, 2), "Not here".into()).unwrap();
        assert_eq!(
            rule(&[Verdict::Refuse(Some(reply))]),
            SenderRuling::Refused {
                reply: Reply::new(553, (5, 7, 2), "Not here"),
                reasons: vec![]
            }
        );
    }

    #[test]
    fn the_operator_chooses_what_a_failure_means() {
        let trap = Failure::Trap("unreachable".into());
        for (on_failure, expected) in [
            (OnFailure::Defer, Some(451)),
            (OnFailure::Refuse, Some(550)),
            (OnFailure::Skip, None),
        ] {
            let ruling = SenderVote::default().take_failure("x", &trap, on_failure);
            assert_eq!(ruling.as_ref().map(code), expected, "{on_failure:?}");
        }
        // A skipped component is one that passes, and when all pass the answer is no.
        let mut vote = SenderVote::default();
        assert_eq!(vote.take_failure("x", &trap, OnFailure::Skip), None);
        assert_eq!(code(&vote.close()), 550);
    }

    #[test]
    fn overload_is_never_a_permanent_refusal() {
        for failure in [Failure::Overload, Failure::WallTime(Duration::from_secs(1))] {
            for on_failure in [OnFailure::Defer, OnFailure::Refuse, OnFailure::Skip] {
                let mut vote = SenderVote::default();
                let ruling = vote.take_failure("x", &failure, on_failure);
                let ruling = ruling.unwrap_or_else(|| vote.close());
                assert_eq!(
                    ruling,
                    SenderRuling::Deferred(failure_reply()),
                    "{on_failure:?}"
                );

                let mut vote = PriorityVote::new(Class::Low);
                let ruling = vote.take_failure(&failure, on_failure);
                let ruling = ruling.unwrap_or_else(|| vote.close());
                assert!(
                    !matches!(ruling, PlacementRuling::Refused(_)),
                    "{on_failure:?}"
                );
            }
        }
    }

    #[test]
    fn the_first_opinion_about_urgency_counts_and_the_user_s_is_the_last() {
        let mut vote = PriorityVote::new(Class::Low);
        assert_eq!(vote.take(None), None);
        let placement = Placement::new(2, None, vec![], vec![]).unwrap();
        let placed = |class| PlacementRuling::Placed {
            class,
            deliver_within: None,
        };
        assert_eq!(vote.take(Some(&placement)), Some(placed(Class::High)));
        assert_eq!(vote.close(), placed(Class::Low));
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Pass),
            Just(Verdict::Permit),
            Just(Verdict::Defer(None)),
            Just(Verdict::Refuse(None)),
        ]
    }

    proptest! {
        #[test]
        fn nobody_sends_without_a_permit_or_past_an_objection(
            verdicts in prop::collection::vec(any_verdict(), 0..8)
        ) {
            let objects = |v: &Verdict| matches!(v, Verdict::Defer(_) | Verdict::Refuse(_));
            let allowed = verdicts.contains(&Verdict::Permit) && !verdicts.iter().any(objects);
            prop_assert_eq!(rule(&verdicts) == SenderRuling::Permitted, allowed);
        }

        #[test]
        fn passing_components_change_nothing(
            verdicts in prop::collection::vec(any_verdict(), 0..8)
        ) {
            let mut opinions = verdicts.clone();
            opinions.retain(|verdict| *verdict != Verdict::Pass);
            prop_assert_eq!(rule(&verdicts), rule(&opinions));
        }
    }
}
