//! The queue over HTTP: what waits and why, and what an operator does about it.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::{Operator, Reader};
use super::extract::{Json, QueryString, Segment, given};
use super::openapi::{Missing, Refused, RefusedBody};
use super::problem::{FieldError, Kind, Problem};
use super::{Api, spool_problem};
use crate::message::wording::{self, Activity};
use crate::message::{Class, MessageId, Timestamp};
use crate::spool::{
    Change, ChangeAction, PageRequest, QueueState, ROWS_MAX, Row, Selection, SpoolError,
};

/// Rows of a page when nothing is said: what a person looks at.
const ROWS_DEFAULT: usize = 100;
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
    /// The next hop is this domain, or a pending recipient is at it.
    pub domain: Option<String>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows at most, 1 to 1000; 100 when left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
}

/// A page of the queue, in the order lane, class, user, due time. There may be fewer rows than asked
/// for, even none, before the end: only a page without `cursor` is the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuePage {
    /// The deliveries.
    pub deliveries: Vec<QueuedDelivery>,
    /// To be sent for the next page; none at the end.
    pub cursor: Option<String>,
}

/// A delivery that is queued: one message to one next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuedDelivery {
    /// The id of the message.
    pub id: String,
    /// Which delivery of the message it is.
    pub delivery: u32,
    /// Where it goes.
    #[schema(example = "example.com")]
    pub next_hop: String,
    /// The list of the message.
    pub list: String,
    /// The user that submitted it; empty for the relay's own mail.
    pub user: String,
    /// The effective priority, 1 (very high) to 5 (very low).
    pub class: u8,
    /// The user's priority when the message was accepted.
    pub user_priority: u8,
    /// What the message asked for; none when it asked for nothing.
    pub message_priority: Option<u8>,
    /// Its state.
    pub state: DeliveryStateName,
    /// The Subject field.
    pub subject: String,
    /// The reverse-path; empty when it is null.
    pub sender: String,
    /// The pending recipients.
    pub recipients: Vec<String>,
    /// Octets of the content.
    pub content_octets: u64,
    /// When the message was accepted.
    pub accepted: String,
    /// Not to be tried before this.
    pub due: String,
    /// Attempts that have failed.
    pub attempts: u32,
    /// What the last failed attempt was told; empty before the first.
    pub last_reply: String,
    /// Why it is where it is, in words.
    pub standing: String,
}

/// States of queued deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStateName {
    /// Due, waits for its turn.
    Waiting,
    /// Waits for its next try or its time.
    Deferred,
    /// Kept back by an operator.
    Held,
    /// Being delivered.
    Active,
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
    #[schema(nullable = false)]
    pub list: Option<String>,
    /// Messages of this user.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
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
    #[schema(nullable = false)]
    pub sender: Option<String>,
    /// A pending recipient contains this.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub recipient: Option<String>,
    /// The next hop is this domain, or a pending recipient is at it.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// Everything that is queued; has to be said when nothing else is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
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

/// What a change concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueChanged {
    /// What was done.
    pub action: QueueAction,
    /// Whether it was only counted.
    pub dry_run: bool,
    /// How many deliveries it concerned.
    pub count: u64,
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
    /// Remove; nobody is told.
    Cancel,
    /// Give another priority.
    SetPriority,
}

impl QueueAction {
    /// All of them.
    pub const ALL: [QueueAction; 5] = [
        QueueAction::Hold,
        QueueAction::Release,
        QueueAction::Retry,
        QueueAction::Cancel,
        QueueAction::SetPriority,
    ];

    /// The name in the path.
    pub const fn name(self) -> &'static str {
        match self {
            QueueAction::Hold => "hold",
            QueueAction::Release => "release",
            QueueAction::Retry => "retry",
            QueueAction::Cancel => "cancel",
            QueueAction::SetPriority => "set-priority",
        }
    }

    fn parse(name: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == name)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
                Problem::new(
                    Kind::NotFound,
                    format!(
                        "`{}` is no action on the queue; there are {}",
                        wording::printable(name),
                        known.join(", ")
                    ),
                )
            })
    }
}

impl DeliveryStateName {
    const ALL: [DeliveryStateName; 4] = [
        DeliveryStateName::Waiting,
        DeliveryStateName::Deferred,
        DeliveryStateName::Held,
        DeliveryStateName::Active,
    ];

    /// The name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            DeliveryStateName::Waiting => "waiting",
            DeliveryStateName::Deferred => "deferred",
            DeliveryStateName::Held => "held",
            DeliveryStateName::Active => "active",
        }
    }
}

impl From<QueueState> for DeliveryStateName {
    fn from(state: QueueState) -> Self {
        match state {
            QueueState::Waiting => DeliveryStateName::Waiting,
            QueueState::Deferred => DeliveryStateName::Deferred,
            QueueState::Held => DeliveryStateName::Held,
            QueueState::Active => DeliveryStateName::Active,
        }
    }
}

impl From<DeliveryStateName> for QueueState {
    fn from(state: DeliveryStateName) -> Self {
        match state {
            DeliveryStateName::Waiting => QueueState::Waiting,
            DeliveryStateName::Deferred => QueueState::Deferred,
            DeliveryStateName::Held => QueueState::Held,
            DeliveryStateName::Active => QueueState::Active,
        }
    }
}

/// Whether an attempt is going on in that state.
pub(super) fn activity(state: QueueState) -> Activity {
    match state {
        QueueState::Active => Activity::Active,
        QueueState::Waiting | QueueState::Deferred | QueueState::Held => Activity::Resting,
    }
}

impl QueueQuery {
    fn read(self) -> Result<(Selection, Option<String>, usize), Problem> {
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
        };
        Ok((selection, set(self.cursor), limit))
    }
}

impl QueueChange {
    fn read(self, action: QueueAction) -> Result<(Selection, ChangeAction, bool), Problem> {
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
        let matching = [
            &self.list,
            &self.user,
            &self.sender,
            &self.recipient,
            &self.domain,
        ]
        .into_iter()
        .any(Option::is_some)
            || self.class.is_some()
            || self.state.is_some();
        if [one, matching, self.all]
            .into_iter()
            .filter(|given| *given)
            .count()
            != 1
        {
            errors.push(FieldError::new(
                "id",
                "say what is meant: one message by `id`, those that match by `list`, `user`, `class`, `state`, \
                 `sender`, `recipient` or `domain`, or everything by `all`",
            ));
        }
        let change = self.change(action, &mut errors);
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
        };
        Ok((selection, change, self.dry_run))
    }

    fn change(&self, action: QueueAction, errors: &mut Vec<FieldError>) -> Option<ChangeAction> {
        let change = match action {
            QueueAction::Hold => ChangeAction::Hold,
            QueueAction::Release => ChangeAction::Release,
            QueueAction::Retry => ChangeAction::Retry,
            QueueAction::Cancel => ChangeAction::Cancel,
            QueueAction::SetPriority => {
                let class = self.priority.and_then(Class::from_number);
                if class.is_none() {
                    errors.push(class_error("priority"));
                }
                return class.map(ChangeAction::SetClass);
            }
        };
        if self.priority.is_some() {
            errors.push(FieldError::new("priority", "only goes with set-priority"));
        }
        Some(change)
    }
}

fn class_error(field: &str) -> FieldError {
    FieldError::new(field, "must be 1 (very high) to 5 (very low)")
}

fn shown(row: Row, now: Timestamp) -> QueuedDelivery {
    let Row {
        delivery,
        message,
        state,
    } = row;
    let recipients = delivery
        .recipients
        .iter()
        .filter_map(|index| message.envelope.recipients.get(*index as usize))
        .map(|recipient| recipient.mailbox.to_string())
        .collect();
    QueuedDelivery {
        id: message.id.to_string(),
        delivery: delivery.id.number,
        next_hop: delivery.next_hop.to_string(),
        list: message.origin.list().to_owned(),
        user: message.origin.user().to_owned(),
        class: message.class.number(),
        user_priority: message.priorities.user.number(),
        message_priority: message.priorities.message.map(Class::number),
        state: state.into(),
        subject: message.subject.clone(),
        sender: super::messages::reverse_path(&message),
        recipients,
        content_octets: message.content_octets,
        accepted: message.accepted.to_string(),
        due: delivery.due.to_string(),
        attempts: delivery.attempts,
        last_reply: delivery.last_reply.clone(),
        standing: wording::standing(&delivery, activity(state), now),
    }
}

/// Shows what is queued, page by page.
#[utoipa::path(get, path = "/api/v1/queue", operation_id = "list_queue", tag = "queue", params(QueueQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "A page of the queue.", body = QueuePage), Refused))]
pub(super) async fn list(
    _: Reader,
    State(api): State<Arc<Api>>,
    QueryString(query): QueryString<QueueQuery>,
) -> Result<axum::Json<QueuePage>, Problem> {
    let (selection, cursor, rows_max) = query.read()?;
    let now = api.clock.now();
    let page = api
        .spool
        .list(
            selection,
            PageRequest {
                cursor,
                rows_max,
                now,
            },
        )
        .await
        .map_err(|error| match error {
            // The only thing in a listing that can be unknown is where it goes on.
            SpoolError::Unknown => Problem::field("cursor", "is not a cursor of this listing"),
            error => spool_problem(&error),
        })?;
    let deliveries = page.rows.into_iter().map(|row| shown(row, now)).collect();
    Ok(axum::Json(QueuePage {
        deliveries,
        cursor: page.cursor,
    }))
}

/// Changes queued mail: one message, or all that match. With `dry_run` it only counts.
#[utoipa::path(post, path = "/api/v1/queue/{action}", operation_id = "change_queue", tag = "queue",
    params(("action" = QueueAction, Path, description = "What to do.")),
    request_body = QueueChange,
    security(("token" = ["operate"])),
    responses((status = 200, description = "How many deliveries it concerned.", body = QueueChanged),
        Refused, RefusedBody, Missing, super::openapi::Conflicts))]
pub(super) async fn change(
    Operator(caller): Operator,
    State(api): State<Arc<Api>>,
    Segment(action): Segment,
    Json(request): Json<QueueChange>,
) -> Result<axum::Json<QueueChanged>, Problem> {
    let action = QueueAction::parse(&action)?;
    let (selection, change, dry_run) = request.read(action)?;
    let message = selection.message;
    let change = Change {
        action: change,
        by: caller.name,
        at: api.clock.now(),
    };
    let count = api
        .spool
        .change(selection, change, dry_run)
        .await
        .map_err(|error| spool_problem(&error))?;
    if count == 0
        && let Some(id) = message
    {
        still_queued(&api, id).await?;
    }
    Ok(axum::Json(QueueChanged {
        action,
        dry_run,
        count,
    }))
}

/// Why nothing of that message was concerned, unless it is queued after all.
async fn still_queued(api: &Api, id: MessageId) -> Result<(), Problem> {
    let record = api
        .spool
        .message(id)
        .await
        .map_err(|error| spool_problem(&error))?;
    match record {
        None => Err(Problem::not_found(format!("message {id}"))),
        Some(record) => match record.finished {
            None => Ok(()),
            Some(at) => Err(Problem::new(
                Kind::Conflict,
                format!("message {id} was finished at {at}: nothing of it is queued"),
            )),
        },
    }
}
