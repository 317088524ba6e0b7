//! Which queued mail is meant, and what is done to it: query strings and documents, read and checked.
//!
//! Everything that is wrong is told at once, field by field.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::given;
use super::problem::{FieldError, Kind, Problem};
use crate::message::wording::printable;
use crate::message::{Class, MessageId, Timestamp};
use crate::spool::{ChangeAction, QueueState, ROWS_MAX, Selection};

/// Mail is moved no further than this: beyond it a year was mistyped, more likely than meant.
const RESCHEDULED_WITHIN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Rows of a page when nothing is said: what a person looks at.
const ROWS_DEFAULT: usize = 100;

/// Actions on the queue with a path and a document of their own.
const ELSEWHERE: [&str; 2] = ["stop", "start"];

/// Which part of the queue. Everything given must match; an empty value counts as not given.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct QueueQuery {
    /// Messages of this list.
    pub list: Option<String>,
    /// Messages of this user.
    pub user: Option<String>,
    /// This class, 1 (very high) to 5 (very low).
    #[param(value_type = Option<u8>, minimum = 1, maximum = 5)]
    pub class: Option<String>,
    /// This state.
    #[param(value_type = Option<DeliveryStateName>)]
    pub state: Option<String>,
    /// The reverse-path contains this, without regard to case.
    pub sender: Option<String>,
    /// A pending recipient contains this, without regard to case.
    pub recipient: Option<String>,
    /// The next hop is this, as the queue shows it (a domain, or `smarthost host:port`), or a pending recipient is at this
    /// domain.
    pub domain: Option<String>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows at most, 1 to 1000; 100 when left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
}

/// What to change: one message by its id, all that match, or everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueChange {
    /// One message.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Messages of this list.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub list: Option<String>,
    /// Messages of this user.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub user: Option<String>,
    /// This class.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, minimum = 1, maximum = 5)]
    pub class: Option<u8>,
    /// This state.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub state: Option<DeliveryStateName>,
    /// The reverse-path contains this.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub sender: Option<String>,
    /// A pending recipient contains this.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub recipient: Option<String>,
    /// The next hop is this, as the queue shows it (a domain, or `smarthost host:port`), or a pending recipient is at this
    /// domain.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub domain: Option<String>,
    /// Everything that is queued, or everything that can be restored; has to be said when nothing else is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// When to try, for `reschedule` only: a date with a time and an offset (RFC 3339), within 365 days. One that is
    /// over means now.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, example = "2026-11-27T08:00:00Z")]
    pub at: Option<String>,
    /// In so many seconds to try, for `reschedule` only, in place of `at`; within 365 days.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, minimum = 0, maximum = 31536000)]
    pub after_seconds: Option<u64>,
    /// The new priority, for `set-priority` only.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, minimum = 1, maximum = 5)]
    pub priority: Option<u8>,
    /// Only count what it would concern.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

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
}

impl QueueAction {
    /// All of them.
    pub const ALL: [QueueAction; 7] = [
        QueueAction::Hold,
        QueueAction::Release,
        QueueAction::Retry,
        QueueAction::Cancel,
        QueueAction::Restore,
        QueueAction::SetPriority,
        QueueAction::Reschedule,
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
        }
    }

    pub(super) fn parse(name: &str) -> Result<Self, Problem> {
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
    /// Being delivered.
    Active,
    /// Taken out of the queue, can be restored; listed only when it is asked for.
    Cancelled,
}

impl DeliveryStateName {
    const ALL: [DeliveryStateName; 6] = [
        DeliveryStateName::Waiting,
        DeliveryStateName::Scheduled,
        DeliveryStateName::Deferred,
        DeliveryStateName::Held,
        DeliveryStateName::Active,
        DeliveryStateName::Cancelled,
    ];

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
    pub fn is_waiting(self) -> bool {
        QueueState::from(self).is_waiting()
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

impl From<DeliveryStateName> for QueueState {
    fn from(state: DeliveryStateName) -> Self {
        match state {
            DeliveryStateName::Waiting => QueueState::Waiting,
            DeliveryStateName::Scheduled => QueueState::Scheduled,
            DeliveryStateName::Deferred => QueueState::Deferred,
            DeliveryStateName::Held => QueueState::Held,
            DeliveryStateName::Active => QueueState::Active,
            DeliveryStateName::Cancelled => QueueState::Cancelled,
        }
    }
}

impl QueueQuery {
    pub(super) fn read(self) -> Result<(Selection, Option<String>, usize), Problem> {
        let set = |value: Option<String>| value.filter(|value| !value.is_empty());
        let mut errors = Vec::new();
        let mut kept =
            |found: Result<_, FieldError>| found.map_err(|error| errors.push(error)).ok();
        let class = set(self.class).map(|text| {
            text.parse()
                .ok()
                .and_then(Class::from_number)
                .ok_or_else(|| class_error("class"))
        });
        let class = class.and_then(&mut kept);
        let state = set(self.state).and_then(|text| {
            let found = DeliveryStateName::ALL
                .into_iter()
                .find(|state| state.name() == text);
            if found.is_none() {
                let names = DeliveryStateName::ALL
                    .map(DeliveryStateName::name)
                    .join(", ");
                errors.push(FieldError::new("state", format!("must be one of {names}")));
            }
            found
        });
        let limit = set(self.limit).map_or(Some(ROWS_DEFAULT), |text| {
            text.parse()
                .ok()
                .filter(|rows| (1..=ROWS_MAX).contains(rows))
        });
        if limit.is_none() {
            errors.push(FieldError::new("limit", format!("must be 1 to {ROWS_MAX}")));
        }
        let Some(limit) = limit.filter(|_| errors.is_empty()) else {
            return Err(Problem::fields(errors));
        };
        let selection = Selection {
            message: None,
            list: set(self.list),
            user: set(self.user),
            class,
            state: state.map(QueueState::from),
            sender: set(self.sender),
            recipient: set(self.recipient),
            domain: set(self.domain),
            next_hop: None,
        };
        Ok((selection, set(self.cursor), limit))
    }
}

impl QueueChange {
    /// Which deliveries are meant, what is done to them, and whether it is only counted.
    pub(super) fn read(
        self,
        action: QueueAction,
        now: Timestamp,
    ) -> Result<(Selection, ChangeAction, bool), Problem> {
        let mut errors = Vec::new();
        let message = self.id.as_deref().map(str::parse::<MessageId>);
        let message = message.and_then(|found| {
            found
                .map_err(|error| errors.push(FieldError::new("id", error.to_string())))
                .ok()
        });
        let class = self.class.and_then(|number| {
            let class = Class::from_number(number);
            if class.is_none() {
                errors.push(class_error("class"));
            }
            class
        });
        let one = self.id.is_some();
        let texts = [
            ("list", &self.list),
            ("user", &self.user),
            ("sender", &self.sender),
            ("recipient", &self.recipient),
            ("domain", &self.domain),
        ];
        // Everything contains nothing: a script's variable that is not set would be all mail.
        for (field, _) in texts.iter().filter(|(_, text)| text.as_deref() == Some("")) {
            let text = "is empty: say what is to match, or leave it out";
            errors.push(FieldError::new(*field, text));
        }
        let matching = texts.iter().any(|(_, text)| text.is_some())
            || self.class.is_some()
            || self.state.is_some();
        let ways = [one, matching, self.all].into_iter();
        let problem = match ways.filter(|given| *given).count() {
            0 => Some(
                "say what is meant: one message by `id`, those that match by `list`, `user`, `class`, `state`, \
                 `sender`, `recipient` or `domain`, or everything by `all`",
            ),
            1 => None,
            _ => Some(
                "say only one of these: one message by `id`, those that match by `list`, `user`, `class`, `state`, \
                 `sender`, `recipient` and `domain`, or everything by `all`",
            ),
        };
        errors.extend(problem.map(|text| FieldError::new("id", text)));
        errors.extend(self.state.and_then(|state| state_error(action, state)));
        let change = self.change(action, now, &mut errors);
        let Some(change) = change.filter(|_| errors.is_empty()) else {
            return Err(Problem::fields(errors));
        };
        let selection = Selection {
            message,
            list: self.list,
            user: self.user,
            class,
            state: self.state.map(QueueState::from),
            sender: self.sender,
            recipient: self.recipient,
            domain: self.domain,
            next_hop: None,
        };
        Ok((selection, change, self.dry_run))
    }

    fn change(
        &self,
        action: QueueAction,
        now: Timestamp,
        errors: &mut Vec<FieldError>,
    ) -> Option<ChangeAction> {
        if self.priority.is_some() && action != QueueAction::SetPriority {
            errors.push(FieldError::new("priority", "only goes with set-priority"));
        }
        for (field, is_given) in [
            ("at", self.at.is_some()),
            ("after_seconds", self.after_seconds.is_some()),
        ] {
            if is_given && action != QueueAction::Reschedule {
                errors.push(FieldError::new(field, "only goes with reschedule"));
            }
        }
        Some(match action {
            QueueAction::Hold => ChangeAction::Hold,
            QueueAction::Release => ChangeAction::Release,
            QueueAction::Retry => ChangeAction::Retry,
            QueueAction::Cancel => ChangeAction::Cancel,
            QueueAction::Restore => ChangeAction::Restore,
            QueueAction::SetPriority => {
                let class = self.priority.and_then(Class::from_number);
                if class.is_none() {
                    errors.push(class_error("priority"));
                }
                ChangeAction::SetClass(class?)
            }
            QueueAction::Reschedule => {
                let at = time(self.at.as_deref(), self.after_seconds, now);
                ChangeAction::Reschedule(at.map_err(|error| errors.push(error)).ok()?)
            }
        })
    }
}

/// The time that mail is moved to.
fn time(
    at: Option<&str>,
    after_seconds: Option<u64>,
    now: Timestamp,
) -> Result<Timestamp, FieldError> {
    const EXAMPLE: &str = "a date with a time and an offset such as 2026-11-27T08:00:00Z";
    let (field, at) = match (at, after_seconds) {
        (Some(text), None) => ("at", Timestamp::from_rfc3339(text)),
        (None, Some(seconds)) => (
            "after_seconds",
            Some(now.plus(Duration::from_secs(seconds))),
        ),
        (None, None) => {
            let text = format!("is needed, {EXAMPLE}, or `after_seconds`");
            return Err(FieldError::new("at", text));
        }
        (Some(_), Some(_)) => {
            let text = "says the same as `at`: one of the two is needed";
            return Err(FieldError::new("after_seconds", text));
        }
    };
    let at = at.ok_or_else(|| FieldError::new(field, format!("must be {EXAMPLE}")))?;
    match at <= now.plus(RESCHEDULED_WITHIN) {
        true => Ok(at),
        false => Err(FieldError::new(field, "is more than 365 days away")),
    }
}

/// What was cancelled can be restored, and nothing else can: who names another state has something else in mind.
fn state_error(action: QueueAction, state: DeliveryStateName) -> Option<FieldError> {
    let text = match (action, state) {
        (QueueAction::Restore, DeliveryStateName::Cancelled) => return None,
        (QueueAction::Restore, _) => "can only be cancelled here: nothing else is restored",
        (_, DeliveryStateName::Cancelled) => {
            "cannot be cancelled here: what was cancelled can be restored, and nothing else"
        }
        _ => return None,
    };
    Some(FieldError::new("state", text))
}

fn class_error(field: &str) -> FieldError {
    FieldError::new(field, "must be 1 (very high) to 5 (very low)")
}
