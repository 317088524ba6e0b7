//! Which queued mail is meant, and what is done to it: query strings and documents, read and checked.
//!
//! Everything that is wrong is told at once, field by field.

mod filter;
mod names;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::given;
use super::problem::{FieldError, Problem};
use crate::message::{Class, Timestamp, WantedStanding};
use crate::spool::{ChangeAction, ROWS_MAX, Selection};

use filter::{Filter, TIME, class_error, noted};
pub(super) use filter::{message_id, moment};
pub use names::{DeliveryStateName, QueueAction, StateFilter};

/// Mail is moved no further than this: beyond it a year was mistyped, more likely than meant.
const RESCHEDULED_WITHIN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Who asks for what starts later than that asks for all that has an estimate.
const ESTIMATE_SECONDS_MAX: u64 = 365 * 24 * 60 * 60;

/// Rows of a page when nothing is said: what a person looks at.
const ROWS_DEFAULT: usize = 100;

/// Which part of the queue. Everything given must match; an empty value counts as not given.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct QueueQuery {
    /// This message.
    pub id: Option<String>,
    /// Messages of this list.
    pub list: Option<String>,
    /// Messages of this user.
    pub user: Option<String>,
    /// This class, 1 (very high) to 5 (very low).
    #[param(value_type = Option<u8>, minimum = 1, maximum = 5)]
    pub class: Option<String>,
    /// This state.
    #[param(value_type = Option<StateFilter>)]
    pub state: Option<String>,
    /// The Subject contains this, without regard to case.
    pub subject: Option<String>,
    /// The reverse-path contains this, without regard to case.
    pub sender: Option<String>,
    /// A pending recipient contains this, without regard to case.
    pub recipient: Option<String>,
    /// The next hop is this, as the queue shows it (a domain, or `smarthost host:port`), or a pending recipient is at this
    /// domain.
    pub domain: Option<String>,
    /// So many attempts have failed, or more.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000000)]
    pub attempts: Option<String>,
    /// What the last failed attempt was told contains this, without regard to case.
    pub last_reply: Option<String>,
    /// Its time, or its next try, is then or later (RFC 3339).
    #[param(value_type = Option<String>, example = "2026-11-27T08:00:00Z")]
    pub due_from: Option<String>,
    /// Its time, or its next try, is before then (RFC 3339).
    #[param(value_type = Option<String>, example = "2026-11-27T09:00:00Z")]
    pub due_before: Option<String>,
    /// It starts within so many seconds, by the estimate, a year at most. What has none is left out.
    #[param(value_type = Option<u32>, maximum = 31536000)]
    pub estimate_seconds: Option<String>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows at most, 1 to 1000; 100 when left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
}

/// What to change: one message by its id, all that match, or everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    pub state: Option<StateFilter>,
    /// The Subject contains this, without regard to case.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub subject: Option<String>,
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
    /// So many attempts have failed, or more.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, minimum = 1, maximum = 1000000)]
    pub attempts: Option<u32>,
    /// What the last failed attempt was told contains this, without regard to case.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub last_reply: Option<String>,
    /// Its time, or its next try, is then or later: a date with a time and an offset (RFC 3339).
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, example = "2026-11-27T08:00:00Z")]
    pub due_from: Option<String>,
    /// Its time, or its next try, is before then (RFC 3339).
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, example = "2026-11-27T09:00:00Z")]
    pub due_before: Option<String>,
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
    /// What an action has changed, by the `undo` of its answer; for `undo` only, and nothing else goes with it.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, example = "19ac4bd2f00-1")]
    pub undo: Option<String>,
    /// Only count what it would concern.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Which page of the queue is asked for.
pub(super) struct Asked {
    pub(super) selection: Selection,
    pub(super) standing: WantedStanding,
    pub(super) cursor: Option<String>,
    pub(super) rows_max: usize,
}

impl QueueQuery {
    pub(super) fn read(self) -> Result<Asked, Problem> {
        let set = |value: Option<String>| value.filter(|value| !value.is_empty());
        let mut errors = Vec::new();
        let state = set(self.state).map(|text| StateFilter::parse(&text));
        let only_paused = matches!(state, Some(Ok(StateFilter::Paused)));
        let filter = Filter {
            id: set(self.id),
            list: set(self.list),
            user: set(self.user),
            class: set(self.class).map(|text| text.parse().ok()),
            state,
            subject: set(self.subject),
            sender: set(self.sender),
            recipient: set(self.recipient),
            domain: set(self.domain),
            attempts: set(self.attempts).map(|text| text.parse().ok()),
            last_reply: set(self.last_reply),
            due_from: set(self.due_from),
            due_before: set(self.due_before),
        };
        let selection = filter.read(&mut errors);
        let estimate = set(self.estimate_seconds).map(|text| {
            let seconds = text.parse().ok();
            let seconds = seconds.filter(|seconds| *seconds <= ESTIMATE_SECONDS_MAX);
            seconds.map(Duration::from_secs).ok_or_else(|| {
                let text = format!("must be a number of seconds, {ESTIMATE_SECONDS_MAX} at most");
                FieldError::new("estimate_seconds", text)
            })
        });
        let estimate_max = noted(estimate, &mut errors);
        let limit = set(self.limit).map_or(Some(ROWS_DEFAULT), |text| {
            text.parse()
                .ok()
                .filter(|rows| (1..=ROWS_MAX).contains(rows))
        });
        if limit.is_none() {
            errors.push(FieldError::new("limit", format!("must be 1 to {ROWS_MAX}")));
        }
        let Some(rows_max) = limit.filter(|_| errors.is_empty()) else {
            return Err(Problem::fields(errors));
        };
        Ok(Asked {
            selection,
            standing: WantedStanding {
                estimate_max,
                only_paused,
            },
            cursor: set(self.cursor),
            rows_max,
        })
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
        let selection = self.filter().read(&mut errors);
        let one = self.id.is_some();
        let texts = [
            ("list", &self.list),
            ("user", &self.user),
            ("subject", &self.subject),
            ("sender", &self.sender),
            ("recipient", &self.recipient),
            ("domain", &self.domain),
            ("last_reply", &self.last_reply),
        ];
        // Everything contains nothing: a script's variable that is not set would be all mail.
        for (field, _) in texts.iter().filter(|(_, text)| text.as_deref() == Some("")) {
            let text = "is empty: say what is to match, or leave it out";
            errors.push(FieldError::new(*field, text));
        }
        let matching = texts.iter().any(|(_, text)| text.is_some())
            || self.class.is_some()
            || self.state.is_some()
            || self.attempts.is_some()
            || self.due_from.is_some()
            || self.due_before.is_some();
        let ways = [one, matching, self.all].into_iter();
        let problem = match ways.filter(|given| *given).count() {
            0 => Some(
                "say what is meant: one message by `id`, those that match by `list`, `user`, `class`, `state`, \
                 `subject`, `sender`, `recipient`, `domain`, `attempts`, `last_reply`, `due_from` or `due_before`, or \
                 everything by `all`",
            ),
            1 => None,
            _ => Some(
                "say only one of these: one message by `id`, those that match by `list`, `user`, `class`, `state`, \
                 `subject`, `sender`, `recipient`, `domain`, `attempts`, `last_reply`, `due_from` and `due_before`, or \
                 everything by `all`",
            ),
        };
        errors.extend(problem.map(|text| FieldError::new("id", text)));
        errors.extend(self.state.and_then(|state| state_error(action, state)));
        let change = self.change(action, now, &mut errors);
        let Some(change) = change.filter(|_| errors.is_empty()) else {
            return Err(Problem::fields(errors));
        };
        Ok((selection, change, self.dry_run))
    }

    /// Which action is undone.
    pub(super) fn undone(&self) -> Result<&str, Problem> {
        let Some(name) = &self.undo else {
            let text = "is needed: the `undo` of the answer to what is to be undone";
            return Err(Problem::field("undo", text));
        };
        let alone = Self {
            undo: Some(name.clone()),
            ..Self::default()
        };
        match *self == alone {
            true => Ok(name),
            false => {
                let text = "goes alone: an undo is about what the action has changed";
                Err(Problem::field("undo", text))
            }
        }
    }

    fn filter(&self) -> Filter {
        Filter {
            id: self.id.clone(),
            list: self.list.clone(),
            user: self.user.clone(),
            class: self.class.map(Some),
            state: self.state.map(Ok),
            subject: self.subject.clone(),
            sender: self.sender.clone(),
            recipient: self.recipient.clone(),
            domain: self.domain.clone(),
            attempts: self.attempts.map(Some),
            last_reply: self.last_reply.clone(),
            due_from: self.due_from.clone(),
            due_before: self.due_before.clone(),
        }
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
        if self.undo.is_some() {
            errors.push(FieldError::new("undo", "only goes with undo"));
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
                let Some(number) = self.priority else {
                    let text = "is needed: 1 (very high) to 5 (very low)";
                    errors.push(FieldError::new("priority", text));
                    return None;
                };
                let class = Class::from_number(number);
                if class.is_none() {
                    errors.push(class_error("priority"));
                }
                ChangeAction::SetClass(class?)
            }
            QueueAction::Reschedule => {
                let at = time(self.at.as_deref(), self.after_seconds, now);
                ChangeAction::Reschedule(at.map_err(|error| errors.push(error)).ok()?)
            }
            // It is about what another action has changed, and does what that calls for.
            QueueAction::Undo => return None,
        })
    }
}

/// The time that mail is moved to.
fn time(
    at: Option<&str>,
    after_seconds: Option<u64>,
    now: Timestamp,
) -> Result<Timestamp, FieldError> {
    let (field, at) = match (at, after_seconds) {
        (Some(text), None) => ("at", Timestamp::from_rfc3339(text)),
        (None, Some(seconds)) => (
            "after_seconds",
            Some(now.plus(Duration::from_secs(seconds))),
        ),
        (None, None) => {
            let text = format!("is needed, {TIME}, or `after_seconds`");
            return Err(FieldError::new("at", text));
        }
        (Some(_), Some(_)) => {
            let text = "says the same as `at`: one of the two is needed";
            return Err(FieldError::new("after_seconds", text));
        }
    };
    let at = at.ok_or_else(|| FieldError::new(field, format!("must be {TIME}")))?;
    match at <= now.plus(RESCHEDULED_WITHIN) {
        true => Ok(at),
        false => Err(FieldError::new(field, "is more than 365 days away")),
    }
}

/// What was cancelled can be restored, and nothing else can: who names another state has something else in mind. What is
/// paused is another thing at the next moment, before an action has come to it.
fn state_error(action: QueueAction, state: StateFilter) -> Option<FieldError> {
    let text = match (action, state) {
        (QueueAction::Restore, StateFilter::Cancelled) => return None,
        (QueueAction::Restore, _) => "can only be cancelled here: nothing else is restored",
        (_, StateFilter::Cancelled) => {
            "cannot be cancelled here: what was cancelled can be restored, and nothing else"
        }
        (_, StateFilter::Paused) => {
            "cannot be paused here: a pause comes and goes by the millisecond, so what is paused can be listed and not \
             acted on; active means all that is being delivered, paused or not"
        }
        _ => return None,
    };
    Some(FieldError::new("state", text))
}
