//! What can be done to queued mail, and the states that it can be in: by their names on every surface.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::problem::{FieldError, Kind, Problem};
use crate::message::wording::printable;
use crate::spool::QueueState;

/// Actions on the queue with a path and a document of their own.
const ELSEWHERE: [&str; 2] = ["stop", "start"];

/// What can be done to queued mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QueueAction {
    /// Keep back until released.
    Hold,
    /// Let go on.
    Release,
    /// Try now.
    Retry,
    /// Take out of the queue; nobody is told. It can be restored for a while, `spool.cancelled_kept`.
    Cancel,
    /// Put what was cancelled back where it was: its class, its place, its time, held if it was held.
    Restore,
    /// Give another priority.
    SetPriority,
    /// Try at another time. The time a message may wait is extended to it: it is tried then, whatever its expiry.
    Reschedule,
    /// Put back what an action has changed, and nothing else: each in the class that it had, where it still is as the
    /// action has left it.
    Undo,
}

impl QueueAction {
    /// All of them.
    pub const ALL: [QueueAction; 8] = [
        QueueAction::Hold,
        QueueAction::Release,
        QueueAction::Retry,
        QueueAction::Cancel,
        QueueAction::Restore,
        QueueAction::SetPriority,
        QueueAction::Reschedule,
        QueueAction::Undo,
    ];

    /// The name in the path.
    pub const fn name(self) -> &'static str {
        match self {
            QueueAction::Hold => "hold",
            QueueAction::Release => "release",
            QueueAction::Retry => "retry",
            QueueAction::Cancel => "cancel",
            QueueAction::Restore => "restore",
            QueueAction::SetPriority => "set-priority",
            QueueAction::Reschedule => "reschedule",
            QueueAction::Undo => "undo",
        }
    }

    pub(in crate::admin) fn parse(name: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == name)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL
                    .into_iter()
                    .map(Self::name)
                    .chain(ELSEWHERE)
                    .collect();
                Problem::new(
                    Kind::NotFound,
                    format!(
                        "`{}` is no action on the queue; there are {}",
                        printable(name),
                        known.join(", ")
                    ),
                )
            })
    }
}

/// States that deliveries are selected by: those that a delivery is shown in, and two that it can be in besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateFilter {
    /// Due, waits for its turn.
    Waiting,
    /// Not tried yet, waits for its time.
    Scheduled,
    /// Waits for its next try.
    Deferred,
    /// Waiting, scheduled or deferred, and not sent until an operator starts what it is stopped with.
    Stopped,
    /// Kept back by an operator.
    Held,
    /// Being delivered, paused or not.
    Active,
    /// Active, and paused at this moment while a very-high message is sent.
    Paused,
    /// Taken out of the queue, can be restored; listed only when it is asked for.
    Cancelled,
}

impl StateFilter {
    /// All of them, in the order in which they are told.
    pub const ALL: [StateFilter; 8] = [
        StateFilter::Waiting,
        StateFilter::Scheduled,
        StateFilter::Deferred,
        StateFilter::Stopped,
        StateFilter::Held,
        StateFilter::Active,
        StateFilter::Paused,
        StateFilter::Cancelled,
    ];

    /// The name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            StateFilter::Stopped => "stopped",
            StateFilter::Paused => "paused",
            StateFilter::Waiting => DeliveryStateName::Waiting.name(),
            StateFilter::Scheduled => DeliveryStateName::Scheduled.name(),
            StateFilter::Deferred => DeliveryStateName::Deferred.name(),
            StateFilter::Held => DeliveryStateName::Held.name(),
            StateFilter::Active => DeliveryStateName::Active.name(),
            StateFilter::Cancelled => DeliveryStateName::Cancelled.name(),
        }
    }

    /// The one of that name.
    pub(super) fn parse(name: &str) -> Result<Self, FieldError> {
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            FieldError::new("state", format!("must be one of {names}"))
        })
    }

    /// The state that everything that is meant is in; none for what may be in several.
    pub(super) const fn state(self) -> Option<QueueState> {
        match self {
            StateFilter::Stopped => None,
            StateFilter::Waiting => Some(QueueState::Waiting),
            StateFilter::Scheduled => Some(QueueState::Scheduled),
            StateFilter::Deferred => Some(QueueState::Deferred),
            StateFilter::Held => Some(QueueState::Held),
            StateFilter::Active | StateFilter::Paused => Some(QueueState::Active),
            StateFilter::Cancelled => Some(QueueState::Cancelled),
        }
    }
}

/// States of queued deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStateName {
    /// Due, waits for its turn.
    Waiting,
    /// Not tried yet, waits for its time.
    Scheduled,
    /// Waits for its next try.
    Deferred,
    /// Kept back by an operator.
    Held,
    /// Being delivered, paused or not.
    Active,
    /// Taken out of the queue, can be restored; listed only when it is asked for.
    Cancelled,
}

impl DeliveryStateName {
    /// The name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            DeliveryStateName::Waiting => "waiting",
            DeliveryStateName::Scheduled => "scheduled",
            DeliveryStateName::Deferred => "deferred",
            DeliveryStateName::Held => "held",
            DeliveryStateName::Active => "active",
            DeliveryStateName::Cancelled => "cancelled",
        }
    }

    /// Whether it waits in its lane, for its turn or for its time.
    pub const fn is_waiting(self) -> bool {
        match self {
            DeliveryStateName::Waiting
            | DeliveryStateName::Scheduled
            | DeliveryStateName::Deferred => true,
            DeliveryStateName::Held | DeliveryStateName::Active | DeliveryStateName::Cancelled => {
                false
            }
        }
    }
}

impl From<QueueState> for DeliveryStateName {
    fn from(state: QueueState) -> Self {
        match state {
            QueueState::Waiting => DeliveryStateName::Waiting,
            QueueState::Scheduled => DeliveryStateName::Scheduled,
            QueueState::Deferred => DeliveryStateName::Deferred,
            QueueState::Held => DeliveryStateName::Held,
            QueueState::Active => DeliveryStateName::Active,
            QueueState::Cancelled => DeliveryStateName::Cancelled,
        }
    }
}
