//! One message over HTTP: what it is, where it stands, and its whole trail.
//!
//! The trail is given twice: as values for programs, and as lines for people, which are worded in
//! one place for all surfaces.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Reader;
use super::extract::{NoQuery, Segment};
use super::openapi::{Missing, Refused};
use super::problem::{Kind, Problem};
use super::queue::activity;
use super::selection::{DeliveryStateName, message_id};
use super::standing::{self, StandingDocument};
use super::trail::{TlsDocument, TrailDocument, tls, trail};
use super::{Api, spool_problem};
use crate::message::wording;
use crate::message::{Class, Delivery, Message, MessageId, Origin, Protocol, Standing};
use crate::spool::{Record, Stop, Stops};
use outpost_smtp::ReversePath;

/// A message with its whole trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageDocument {
    /// Its id.
    pub id: String,
    /// The list that it belongs to.
    pub list: String,
    /// The user that submitted it; empty for the relay's own mail.
    pub user: String,
    /// Where it came from.
    pub origin: OriginDocument,
    /// The Subject field.
    pub subject: String,
    /// The name under which its sender wants it counted: its `X-Campaign`, `X-Campaign-ID`, or the `category` of
    /// X-SMTPAPI.
    pub campaign: Option<String>,
    /// The reverse-path; empty when it is null.
    pub sender: String,
    /// Everyone that it was accepted for.
    pub recipients: Vec<String>,
    /// The effective priority, 1 (very high) to 5 (very low).
    pub class: u8,
    /// The user's priority when the message was accepted.
    pub user_priority: u8,
    /// What the message asked for; none when it asked for nothing.
    pub message_priority: Option<u8>,
    /// Octets of the content.
    pub content_octets: u64,
    /// When it was accepted.
    pub accepted: String,
    /// When nothing of it was left to deliver; none while it is queued.
    pub finished: Option<String>,
    /// What is still to be delivered.
    pub deliveries: Vec<DeliveryDocument>,
    /// What happened to it, in order.
    pub trail: Vec<TrailDocument>,
    /// The whole story, a line each, as every surface shows it.
    pub text: Vec<String>,
}

/// Where a message came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OriginDocument {
    /// A client submitted it after a login.
    Submission {
        /// Address and port of the client.
        client: String,
        /// The port that the client connected to.
        listener_port: u16,
        /// What it was submitted by.
        protocol: ProtocolName,
        /// What the client called itself; over HTTP its address stands for that.
        ehlo: String,
        /// The SASL mechanism of the login, or the scheme of HTTP.
        mechanism: String,
        /// The protection of the connection; none in clear.
        tls: Option<TlsDocument>,
    },
    /// The relay wrote it.
    Relay {
        /// The message that it reports on.
        about: Option<String>,
    },
}

/// What a message was submitted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolName {
    /// A mail transaction.
    Smtp,
    /// A request that had it as its body.
    Http,
}

/// What is still to be delivered to one next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryDocument {
    /// Which delivery of the message it is.
    pub delivery: u32,
    /// Where it goes.
    pub next_hop: String,
    /// The pending recipients.
    pub recipients: Vec<String>,
    /// Its state.
    pub state: DeliveryStateName,
    /// Not to be tried before this.
    pub due: String,
    /// Attempts that have failed.
    pub attempts: u32,
    /// What the last failed attempt was told.
    pub last_reply: String,
    /// What it is stopped with, so that it is not claimed; none when it is not stopped.
    pub stopped: Option<String>,
    /// Where it stands, and why.
    #[serde(flatten)]
    pub standing: StandingDocument,
}

/// The reverse-path; empty when it is null.
pub(super) fn reverse_path(message: &Message) -> String {
    match &message.envelope.reverse_path {
        ReversePath::Null => String::new(),
        ReversePath::Mailbox(mailbox) => mailbox.to_string(),
    }
}

/// Nothing is known of that message.
pub(super) fn unknown(id: MessageId) -> Problem {
    Problem::not_found(format!(
        "message {id}: it may have been delivered, bounced or cancelled longer ago than trails are kept \
         (spool.history), or the id is mistyped"
    ))
}

fn origin(origin: &Origin) -> OriginDocument {
    match origin {
        Origin::Submission(submission) => OriginDocument::Submission {
            client: submission.client.to_string(),
            listener_port: submission.listener_port,
            protocol: match submission.protocol {
                Protocol::Smtp => ProtocolName::Smtp,
                Protocol::Http => ProtocolName::Http,
            },
            ehlo: submission.ehlo.clone(),
            mechanism: submission.mechanism.clone(),
            tls: submission.tls.as_ref().map(tls),
        },
        Origin::Relay { about, .. } => OriginDocument::Relay {
            about: about.map(|id| id.to_string()),
        },
    }
}

fn shown(
    record: &Record,
    standings: &[Option<Standing>],
    stops: &Stops,
    now: crate::message::Timestamp,
) -> MessageDocument {
    let message = &record.message;
    let stop = |delivery: &Delivery| stops.on(&delivery.next_hop, message.origin.user());
    let stopped: Vec<Option<Stop>> = record.deliveries.iter().map(|(d, _)| stop(d)).collect();
    let known = standings.iter().map(Option::as_ref);
    let known = known.chain(std::iter::repeat(None));
    let standings: Vec<StandingDocument> = record
        .deliveries
        .iter()
        .zip(&stopped)
        .zip(known)
        .map(|(((delivery, state), stop), known)| {
            let stop = stop.as_ref().map(Stop::to_string);
            let activity = activity(*state, stop.as_deref());
            standing::shown(known, delivery, message.class, activity, now)
        })
        .collect();
    let why: Vec<_> = record
        .deliveries
        .iter()
        .zip(&standings)
        .map(|((delivery, _), standing)| (delivery, standing.standing.clone()))
        .collect();
    let recipient = |index: &u32| {
        let recipient = message.envelope.recipients.get(*index as usize)?;
        Some(recipient.mailbox.to_string())
    };
    MessageDocument {
        id: message.id.to_string(),
        list: message.origin.list().to_owned(),
        user: message.origin.user().to_owned(),
        origin: origin(&message.origin),
        subject: message.subject.clone(),
        campaign: message.campaign.clone(),
        sender: reverse_path(message),
        recipients: message
            .envelope
            .recipients
            .iter()
            .map(|recipient| recipient.mailbox.to_string())
            .collect(),
        class: message.class.number(),
        user_priority: message.priorities.user.number(),
        message_priority: message.priorities.message.map(Class::number),
        content_octets: message.content_octets,
        accepted: message.accepted.to_string(),
        finished: record.finished.map(|at| at.to_string()),
        deliveries: record
            .deliveries
            .iter()
            .zip(standings)
            .zip(&stopped)
            .map(|(((delivery, state), standing), stop)| DeliveryDocument {
                delivery: delivery.id.number,
                next_hop: delivery.next_hop.to_string(),
                recipients: delivery.recipients.iter().filter_map(recipient).collect(),
                state: (*state).into(),
                due: delivery.due.to_string(),
                attempts: delivery.attempts,
                last_reply: delivery.last_reply.clone(),
                stopped: stop.as_ref().map(|stop| stop.of.to_string()),
                standing,
            })
            .collect(),
        trail: record.trail.iter().map(trail).collect(),
        text: wording::story(message, &record.trail, &why, record.finished, now),
    }
}

/// Shows a message with its whole trail, queued or finished within the retention.
#[utoipa::path(get, path = "/api/v1/messages/{id}", operation_id = "show_message", tag = "queue",
    params(("id" = String, Path, description = "The id of the message.")),
    security(("token" = ["read"])),
    responses((status = 200, description = "The message.", body = MessageDocument), Refused, Missing))]
pub(super) async fn show(
    _: Reader,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(id): Segment,
) -> Result<axum::Json<MessageDocument>, Problem> {
    // Nothing is at such a path.
    let id = message_id(&id).map_err(|error| Problem::new(Kind::NotFound, error.detail))?;
    let record = api
        .spool
        .message(id)
        .await
        .map_err(|error| spool_problem(&error))?;
    let record = record.ok_or_else(|| unknown(id))?;
    let standings = match record.finished {
        // A message is shown all the same.
        None => api.order.standings(&record).await.unwrap_or_default(),
        Some(_) => Vec::new(),
    };
    Ok(axum::Json(shown(
        &record,
        &standings,
        api.spool.stops(),
        api.clock.now(),
    )))
}
