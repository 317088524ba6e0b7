//! The breaker of one component: stops asking it where it fails again and again.
//!
//! Each stage of a transaction counts for itself, since a component may answer well at MAIL and fail
//! at every header. What one stage knows stands in `stage`.

mod stage;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use self::stage::Record;
use crate::policy::{Facts, Question};

/// When a component is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// About the sender at MAIL.
    Mail = 0,
    /// About the sender when the header is known.
    Header = 1,
    /// About urgency.
    Priority = 2,
}

/// Whether a component is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// It is.
    #[default]
    Closed,
    /// For nobody, but one question is out to see whether it answers again.
    Probing,
    /// For nobody, until the pause is over.
    Open,
}

/// What the breaker says about one question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Whether the component is asked, for anybody.
    pub state: BreakerState,
    /// Users for whom alone it is not asked.
    pub users: usize,
}

/// How a call ended, as far as the breaker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// An answer.
    Answer,
    /// The component's fault.
    Fault,
    /// Neither: the machine was busy.
    Neither,
}

/// What the end of a call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is not asked for this user for a while.
    OpenedForUser,
    /// It is asked for this user again.
    ClosedForUser,
    /// It is asked for nobody for a while.
    Opened,
    /// It is asked again.
    Closed,
}

/// The breaker. Time is an argument, asked for only when it matters: while all is well, nobody reads
/// a clock for it.
#[derive(Debug, Default)]
pub struct Breaker([Mutex<Record>; 3]);

impl Stage {
    const ALL: [Stage; 3] = [Stage::Mail, Stage::Header, Stage::Priority];

    /// Where a transaction with these facts stands when it asks that question.
    pub fn of(question: Question, facts: &Facts) -> Self {
        match question {
            Question::Sender if facts.is_header_known() => Stage::Header,
            Question::Sender => Stage::Mail,
            Question::Priority => Stage::Priority,
        }
    }

    /// What is asked there.
    pub fn question(self) -> Question {
        match self {
            Stage::Mail | Stage::Header => Question::Sender,
            Stage::Priority => Question::Priority,
        }
    }

    /// As the log spells it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Mail => "mail",
            Stage::Header => "header",
            Stage::Priority => "priority",
        }
    }
}

impl Breaker {
    /// Whether the component may be asked now for that user. A yes while it is open is the probe.
    pub fn admits(&self, stage: Stage, user: &str, now: impl FnOnce() -> Instant) -> bool {
        self.lock(stage).admits(user, now)
    }

    /// Whether the component is suspended for that user, or for everybody. Takes no probe.
    pub fn is_suspended(&self, stage: Stage, user: &str) -> bool {
        self.lock(stage).is_suspended(user)
    }

    /// Takes note of how a call for that user ended.
    pub fn note(
        &self,
        stage: Stage,
        user: &str,
        end: CallEnd,
        now: impl FnOnce() -> Instant,
    ) -> Option<Change> {
        self.lock(stage).note(user, end, now)
    }

    /// Closes it for everybody, whatever it knows.
    pub fn reset(&self) {
        for stage in Stage::ALL {
            *self.lock(stage) = Record::default();
        }
    }

    /// What it says about a question: the worse of its stages.
    pub fn status(&self, question: Question) -> BreakerStatus {
        let mut state = BreakerState::Closed;
        let mut users = HashSet::new();
        for stage in Stage::ALL {
            if stage.question() == question {
                let record = self.lock(stage);
                state = state.max(record.state());
                users.extend(record.users_suspended().cloned());
            }
        }
        BreakerStatus {
            state,
            users: users.len(),
        }
    }

    fn lock(&self, stage: Stage) -> MutexGuard<'_, Record> {
        // Nothing in a record panics, so it is whole at every moment.
        self.0[stage as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_counts_for_itself() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..stage::FAULTS_MAX {
            for user in ["a", "b", "c", "d", "e"] {
                breaker.note(Stage::Mail, user, CallEnd::Answer, || now);
                breaker.note(Stage::Header, user, CallEnd::Fault, || now);
            }
        }
        assert!(breaker.admits(Stage::Mail, "a", || now));
        assert!(!breaker.admits(Stage::Header, "a", || now));
        assert!(!breaker.admits(Stage::Header, "f", || now));
        assert_eq!(breaker.status(Question::Sender).state, BreakerState::Open);
        assert_eq!(breaker.status(Question::Priority), BreakerStatus::default());
        breaker.reset();
        assert!(breaker.admits(Stage::Header, "a", || now));
        assert_eq!(breaker.status(Question::Sender), BreakerStatus::default());
    }

    #[test]
    fn a_user_who_is_suspended_at_two_stages_is_one_user() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for stage in Stage::ALL {
            for _ in 0..stage::FAULTS_MAX {
                breaker.note(stage, "a", CallEnd::Fault, || now);
            }
        }
        let one = BreakerStatus {
            state: BreakerState::Closed,
            users: 1,
        };
        assert_eq!(breaker.status(Question::Sender), one);
        assert_eq!(breaker.status(Question::Priority), one);
    }
}
