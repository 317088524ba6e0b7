//! The queue over HTTP: what waits and why, and what an operator does about it.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Caller, Operator, Reader};
use super::audit::{self, Deed};
use super::extract::{Json, NoQuery, QueryString, Segment};
use super::messages::unknown;
use super::once::KeyHeader;
use super::openapi::{Missing, Refused, RefusedBody};
use super::problem::{Kind, Problem};
use super::selection::{Asked, DeliveryStateName, QueueAction, QueueChange, QueueQuery};
use super::standing::StandingDocument;
use super::stops::{self, StopDocument};
use super::{Api, OrderedPage, spool_problem};
use crate::message::wording::Activity;
use crate::message::{Class, DeliveryState, MessageId, Standing, Timestamp, WantedStanding};
use crate::spool::{
    Change, ChangeAction, Concerned, PageRequest, QueueState, Record, Row, Selection, SpoolError,
    Stop, Stops,
};

/// A page of the queue, in the order in which it leaves: what is being delivered, then what waits, the next one
/// first, then what is held. There may be fewer rows than asked for, even none, before the end: only a page without
/// `cursor` is the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuePage {
    /// The deliveries.
    pub deliveries: Vec<QueuedDelivery>,
    /// To be sent for the next page; none at the end.
    pub cursor: Option<String>,
    /// All that is stopped, whatever page this is.
    pub stops: Vec<StopDocument>,
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
    /// The name under which its sender wants it counted: its `X-Campaign`, `X-Campaign-ID`, or the `category` of
    /// X-SMTPAPI.
    pub campaign: Option<String>,
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
    /// What it is stopped with, `user app` for one, so that it is not claimed; none when it is not stopped.
    pub stopped: Option<String>,
    /// Where it stands, and why.
    #[serde(flatten)]
    pub standing: StandingDocument,
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
    /// How many of them are being delivered: that goes on as it began, but that what is cancelled is broken off where it can
    /// be, and the change is about what is left of them then.
    pub under_way: u64,
    /// How many of the others are stopped, so that nothing of them is sent before that is started.
    pub stopped: u64,
    /// What `undo` takes to put just these back, within the hour and until the relay is restarted; left out where nothing was
    /// changed, for `retry` and `reschedule`, and for more than 100,000 deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "19ac4bd2f00-1")]
    pub undo: Option<String>,
}

/// Whether an attempt is going on in that state.
pub(super) fn activity(state: QueueState, stop: Option<&str>) -> Activity<'_> {
    match state {
        QueueState::Active => Activity::Active,
        state if state.is_waiting() => stop.map_or(Activity::Resting, Activity::Stopped),
        _ => Activity::Resting,
    }
}

fn shown(row: Row, standing: Option<&Standing>, stops: &Stops, now: Timestamp) -> QueuedDelivery {
    let Row {
        delivery,
        message,
        state,
    } = row;
    let stop = stops.on(&delivery.next_hop, message.origin.user());
    let why = stop.as_ref().map(Stop::to_string);
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
        campaign: message.campaign.clone(),
        sender: super::messages::reverse_path(&message),
        recipients,
        content_octets: message.content_octets,
        accepted: message.accepted.to_string(),
        due: delivery.due.to_string(),
        attempts: delivery.attempts,
        last_reply: delivery.last_reply.clone(),
        stopped: stop.map(|stop| stop.of.to_string()),
        standing: super::standing::shown(
            standing,
            &delivery,
            message.class,
            activity(state, why.as_deref()),
            now,
        ),
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
    let page = page(&api, query.read()?, Next::MayBeAsked).await;
    let page = page.map_err(|error| match error {
        // The only thing in a listing that can be unknown is where it goes on.
        SpoolError::Unknown => Problem::field("cursor", "is not a cursor of this listing"),
        error => spool_problem(&error),
    })?;
    Ok(axum::Json(page))
}

/// Its first page, for who looks again and again at the beginning and asks for no next page.
pub(super) async fn beginning(api: &Api, query: QueueQuery) -> Result<QueuePage, Problem> {
    let asked = Asked {
        cursor: None,
        ..query.read()?
    };
    let page = page(api, asked, Next::IsNotAsked).await;
    page.map_err(|error| spool_problem(&error))
}

/// Whether who asks for a page may ask for the next one.
enum Next {
    MayBeAsked,
    IsNotAsked,
}

async fn page(api: &Api, asked: Asked, next: Next) -> Result<QueuePage, SpoolError> {
    let Asked {
        selection,
        standing,
        cursor,
        rows_max,
    } = asked;
    let now = api.clock.now();
    let request = PageRequest {
        cursor,
        rows_max,
        now,
    };
    let page = match (selection.state, next) {
        (Some(QueueState::Cancelled), _) => cancelled(api, selection, standing, request).await,
        (_, Next::MayBeAsked) => api.order.page(selection, standing, request).await,
        (_, Next::IsNotAsked) => api.order.beginning(selection, standing, rows_max).await,
    }?;
    let rows = page.rows.into_iter();
    let deliveries = rows
        .map(|(row, standing)| shown(row, standing.as_ref(), api.spool.stops(), now))
        .collect();
    Ok(QueuePage {
        deliveries,
        cursor: page.cursor,
        stops: stops::in_force(api),
    })
}

/// What was cancelled is in no order in which the queue leaves: the spool lists it.
async fn cancelled(
    api: &Api,
    selection: Selection,
    standing: WantedStanding,
    request: PageRequest,
) -> Result<OrderedPage, SpoolError> {
    if standing.estimate_max.is_some() {
        // Of none of it anybody knows when it starts.
        return Ok(OrderedPage {
            rows: Vec::new(),
            cursor: None,
        });
    }
    let page = api.spool.list(selection, request).await?;
    Ok(OrderedPage {
        rows: page.rows.into_iter().map(|row| (row, None)).collect(),
        cursor: page.cursor,
    })
}

/// Changes queued mail: one message, or all that match. With `dry_run` it only counts.
#[utoipa::path(post, path = "/api/v1/queue/{action}", operation_id = "change_queue", tag = "queue",
    params(("action" = QueueAction, Path, description = "What to do."), KeyHeader),
    request_body = QueueChange,
    security(("token" = ["operate"])),
    responses((status = 200, description = "How many deliveries it concerned.", body = QueueChanged),
        Refused, RefusedBody, Missing, super::openapi::Conflicts))]
pub(super) async fn change(
    Operator(caller): Operator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(action): Segment,
    Json(request): Json<QueueChange>,
) -> Result<axum::Json<QueueChanged>, Problem> {
    let action = QueueAction::parse(&action)?;
    if action == QueueAction::Undo {
        return undo(&api, &caller, &deed, &request).await.map(axum::Json);
    }
    let priority = request.priority;
    let now = api.clock.now();
    let (selection, change, dry_run) = request.read(action, now)?;
    let message = selection.message;
    deed.note(|noted| {
        noted.action = Some(action.name());
        noted.message_id = message.map(|id| id.to_string());
        noted.filter = message.is_none().then(|| audit::filter(&selection));
        noted.priority = priority;
        noted.until = match change {
            ChangeAction::Reschedule(until) => Some(until.to_string()),
            _ => None,
        };
        noted.dry_run = dry_run.then_some(true);
    });
    let is_to_be_tried = match change {
        ChangeAction::Retry => true,
        ChangeAction::Reschedule(at) => at <= now,
        _ => false,
    };
    let done = change;
    let change = Change {
        action: change,
        by: caller.name,
        at: now,
    };
    let concerned = api
        .spool
        .change(selection, change, dry_run)
        .await
        .map_err(|error| spool_problem(&error))?;
    let Concerned {
        deliveries: count,
        under_way,
        stopped,
        named,
    } = concerned;
    let undo = api.undos.remember(done, named, now);
    deed.note(|noted| noted.deliveries = Some(count));
    if is_to_be_tried && !dry_run && count > 0 {
        (api.retried)();
    }
    if count == 0
        && let Some(id) = message
    {
        still_there(&api, id, action).await?;
    }
    Ok(axum::Json(QueueChanged {
        action,
        dry_run,
        count,
        under_way,
        stopped,
        undo,
    }))
}

/// Puts back what an action has changed.
async fn undo(
    api: &Api,
    caller: &Caller,
    deed: &Deed,
    request: &QueueChange,
) -> Result<QueueChanged, Problem> {
    let name = request.undone()?;
    deed.note(|noted| {
        noted.action = Some(QueueAction::Undo.name());
        noted.filter = Some(format!("changed_by={}", audit::shown(name)));
    });
    let now = api.clock.now();
    let steps = api.undos.find(name, now).ok_or_else(|| {
        let text = "what this action has changed is not known any more: it was undone already, it was more than an hour \
                    ago, the relay was restarted since, or too much else was changed";
        Problem::new(Kind::NotFound, text)
    })?;
    let mut concerned = Concerned::default();
    for step in &steps {
        let change = Change {
            action: step.action,
            by: caller.name.clone(),
            at: now,
        };
        concerned += api
            .spool
            .change(step.selection.clone(), change, false)
            .await
            .map_err(|error| spool_problem(&error))?;
    }
    api.undos.forget(name);
    let Concerned {
        deliveries: count,
        under_way,
        stopped,
        named,
    } = concerned;
    deed.note(|noted| noted.deliveries = Some(count));
    let undo = match steps.as_slice() {
        [only] => api.undos.remember(only.action, named, now),
        // Of classes that were different before there is no one action that gives them again.
        _ => None,
    };
    Ok(QueueChanged {
        action: QueueAction::Undo,
        dry_run: false,
        count,
        under_way,
        stopped,
        undo,
    })
}

/// Why nothing of that message was concerned, unless it is where that is looked for.
async fn still_there(api: &Api, id: MessageId, action: QueueAction) -> Result<(), Problem> {
    let record = api
        .spool
        .message(id)
        .await
        .map_err(|error| spool_problem(&error))?;
    match record {
        None => Err(unknown(id)),
        Some(record) => match record.finished {
            None if !is_about_cancelled(action) && is_all_cancelled(&record) => Err(Problem::new(
                Kind::Conflict,
                format!("message {id} was cancelled: restore it first"),
            )),
            None => match restorable_until(&record) {
                Some(until) if action == QueueAction::Restore && until <= api.clock.now() => {
                    Err(Problem::new(
                        Kind::Conflict,
                        format!("message {id} could be restored until {until}"),
                    ))
                }
                _ => Ok(()),
            },
            Some(at) => Err(Problem::new(
                Kind::Conflict,
                format!(
                    "message {id} was finished at {at}: nothing of it is queued or can be restored"
                ),
            )),
        },
    }
}

/// Whether an action leaves what is cancelled as it is, or is about nothing else.
fn is_about_cancelled(action: QueueAction) -> bool {
    matches!(action, QueueAction::Cancel | QueueAction::Restore)
}

/// Until when the last of what was cancelled of it can be restored.
fn restorable_until(record: &Record) -> Option<Timestamp> {
    let states = record.deliveries.iter().map(|(delivery, _)| delivery.state);
    let until = states.filter_map(|state| match state {
        DeliveryState::Cancelled(cancelled) => Some(cancelled.until),
        DeliveryState::Waiting | DeliveryState::Held => None,
    });
    until.max()
}

fn is_all_cancelled(record: &Record) -> bool {
    let mut states = record.deliveries.iter().map(|(_, state)| *state);
    states.all(|state| state == QueueState::Cancelled)
}
