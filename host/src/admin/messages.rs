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
use super::problem::Problem;
use super::queue::activity;
use super::selection::DeliveryStateName;
use super::standing::{self, StandingDocument};
use super::{Api, spool_problem};
use crate::message::wording;
use crate::message::{
    Class, Delivery, Event, Message, MessageId, Origin, PauseEnd, Standing, TlsParameters,
    TrailEntry,
};
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
        /// What the client called itself.
        ehlo: String,
        /// The SASL mechanism of the login.
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

/// What a TLS handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TlsDocument {
    /// The protocol version.
    #[schema(example = "TLSv1.3")]
    pub version: String,
    /// The cipher suite.
    #[schema(example = "TLS13_AES_256_GCM_SHA384")]
    pub cipher: String,
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

/// Something that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrailDocument {
    /// When.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub event: EventDocument,
}

/// What happened, by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventDocument {
    /// A policy component answered a question.
    Decided {
        /// The name of the component.
        component: String,
        /// SHA-256 of the component, in hexadecimal.
        digest: String,
        /// `sender` or `priority`.
        question: String,
        /// What it said.
        answer: String,
        /// Why, in the component's words.
        reasons: Vec<ReasonDocument>,
        /// How long it took.
        took_microseconds: u64,
    },
    /// The message was accepted.
    Accepted {
        /// The effective priority.
        class: u8,
    },
    /// A carrier of a priority was malformed and did not count.
    MalformedPriority {
        /// The carrier.
        carrier: String,
    },
    /// An attempt ended.
    Attempted {
        /// Where it went.
        next_hop: String,
        /// The host; none when none could be reached.
        host: Option<HostDocument>,
        /// How long it took.
        took_microseconds: u64,
        /// What became of each recipient.
        recipients: Vec<OutcomeDocument>,
        /// The answer to the final dot never came.
        unknown: bool,
    },
    /// An attempt was paused for very-high mail.
    Paused {
        /// Where to.
        next_hop: String,
        /// The very-high message that was being sent; of several pauses that of the last.
        cause: String,
        /// How many pauses are told together.
        times: u32,
        /// How long they took.
        took_microseconds: u64,
        /// How the last of them ended: `resumed`, `ceiling` (it may be paused for no longer and goes on) or `broken`
        /// (the attempt ended in it).
        end: String,
    },
    /// The relay had ended without being told to when the delivery was due: an attempt may have been under
    /// way, so that the next one may deliver twice.
    Interrupted {
        /// Where it goes.
        next_hop: String,
    },
    /// A delivery was deferred.
    Deferred {
        /// Where it goes.
        next_hop: String,
        /// When it is tried again.
        until: String,
    },
    /// A delivery waited longer than allowed.
    Expired {
        /// Where it should have gone.
        next_hop: String,
    },
    /// A report was written to the reverse-path.
    Reported {
        /// `failure`, `delay`, `success` or `relay`.
        report: String,
        /// The id of the report.
        id: String,
    },
    /// A report was due and not written: the reverse-path is null.
    Unreported {
        /// `failure`.
        report: String,
    },
    /// An operator did something.
    Operated {
        /// What.
        action: String,
        /// The name of the token.
        by: String,
    },
    /// An operator cancelled deliveries.
    Cancelled {
        /// The name of the token.
        by: String,
        /// An attempt was under way, which may have delivered: its outcome is in the log only.
        during_attempt: bool,
        /// They can be restored before then; none when they are gone.
        until: Option<String>,
    },
    /// An operator moved deliveries to another time.
    Rescheduled {
        /// The name of the token.
        by: String,
        /// The time.
        until: String,
        /// An attempt was under way: what remains of it waits until then.
        during_attempt: bool,
    },
    /// Cancelled deliveries were removed for good.
    Removed {
        /// Before their time, for the room that new mail needs.
        for_room: bool,
    },
    /// A carrier of a priority did not count, since the user is not trusted with it.
    UntrustedPriority {
        /// The carrier.
        carrier: String,
    },
    /// The message was accepted in a less urgent class than policy components said.
    Demoted {
        /// What they said.
        from: u8,
        /// The class that it got.
        to: u8,
        /// The limit of the account: `ceiling`, `budget`, or `uncounted` where what is spent could not be written.
        reason: String,
    },
    /// It is not to be sent before a time, as its sender asked.
    Scheduled {
        /// The time.
        until: String,
        /// What asked for it: `HOLDFOR`, `HOLDUNTIL` or `X-SMTPAPI`.
        carrier: String,
    },
    /// Something that asked for a time to be sent at was malformed and did not count.
    MalformedSchedule {
        /// The carrier.
        carrier: String,
    },
    /// Two carriers ask for different things, and the order of carriers decides.
    Overruled {
        /// The one that comes later.
        carrier: String,
        /// What it asks for.
        asked: String,
        /// The one that comes before it.
        by: String,
    },
    /// The time is over by which a delivery was to be made.
    Late {
        /// Where it goes.
        next_hop: String,
        /// Whether it comes back, or goes on.
        is_returned: bool,
    },
}

/// Why a component said what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReasonDocument {
    /// The rule.
    pub rule: String,
    /// What it saw.
    pub detail: String,
}

/// The host that an attempt spoke to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostDocument {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The protection of the connection; none in clear.
    pub tls: Option<TlsDocument>,
}

/// What became of a recipient in an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutcomeDocument {
    /// The recipient.
    pub recipient: String,
    /// `delivered`, `deferred` or `bounced`.
    pub outcome: String,
    /// The reply behind it, in one line.
    pub reply: String,
}

/// The reverse-path; empty when it is null.
pub(super) fn reverse_path(message: &Message) -> String {
    match &message.envelope.reverse_path {
        ReversePath::Null => String::new(),
        ReversePath::Mailbox(mailbox) => mailbox.to_string(),
    }
}

fn tls(parameters: &TlsParameters) -> TlsDocument {
    TlsDocument {
        version: parameters.version.clone(),
        cipher: parameters.cipher.clone(),
    }
}

fn origin(origin: &Origin) -> OriginDocument {
    match origin {
        Origin::Submission(submission) => OriginDocument::Submission {
            client: submission.client.to_string(),
            listener_port: submission.listener_port,
            ehlo: submission.ehlo.clone(),
            mechanism: submission.mechanism.clone(),
            tls: submission.tls.as_ref().map(tls),
        },
        Origin::Relay { about, .. } => OriginDocument::Relay {
            about: about.map(|id| id.to_string()),
        },
    }
}

fn microseconds(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

fn trail(entry: &TrailEntry) -> TrailDocument {
    let event = match &entry.event {
        Event::Decided {
            component,
            digest,
            question,
            answer,
            reasons,
            took,
        } => EventDocument::Decided {
            component: component.clone(),
            digest: digest.clone(),
            question: question.clone(),
            answer: answer.clone(),
            reasons: reasons
                .iter()
                .map(|(rule, detail)| ReasonDocument {
                    rule: rule.clone(),
                    detail: detail.clone(),
                })
                .collect(),
            took_microseconds: microseconds(*took),
        },
        Event::Accepted { class } => EventDocument::Accepted {
            class: class.number(),
        },
        Event::MalformedPriority { carrier } => EventDocument::MalformedPriority {
            carrier: carrier.clone(),
        },
        Event::Attempted {
            next_hop,
            host,
            took,
            recipients,
            unknown,
        } => EventDocument::Attempted {
            next_hop: next_hop.to_string(),
            host: host.as_ref().map(|host| HostDocument {
                name: host.name.clone(),
                address: host.address.to_string(),
                port: host.port,
                tls: host.tls.as_ref().map(tls),
            }),
            took_microseconds: microseconds(*took),
            recipients: recipients
                .iter()
                .map(|(recipient, outcome, reply)| OutcomeDocument {
                    recipient: recipient.clone(),
                    outcome: (*outcome).to_owned(),
                    reply: wording::reply_text(reply),
                })
                .collect(),
            unknown: *unknown,
        },
        Event::Paused {
            next_hop,
            cause,
            times,
            took,
            end,
        } => EventDocument::Paused {
            next_hop: next_hop.to_string(),
            cause: cause.to_string(),
            times: *times,
            took_microseconds: microseconds(*took),
            end: match end {
                PauseEnd::Resumed => "resumed",
                PauseEnd::Ceiling => "ceiling",
                PauseEnd::Broken => "broken",
            }
            .to_owned(),
        },
        Event::Interrupted { next_hop } => EventDocument::Interrupted {
            next_hop: next_hop.to_string(),
        },
        Event::Deferred { next_hop, until } => EventDocument::Deferred {
            next_hop: next_hop.to_string(),
            until: until.to_string(),
        },
        Event::Expired { next_hop } => EventDocument::Expired {
            next_hop: next_hop.to_string(),
        },
        Event::Reported { report, id } => EventDocument::Reported {
            report: (*report).to_owned(),
            id: id.to_string(),
        },
        Event::Unreported { report } => EventDocument::Unreported {
            report: (*report).to_owned(),
        },
        Event::UntrustedPriority { carrier } => EventDocument::UntrustedPriority {
            carrier: carrier.clone(),
        },
        Event::Demoted { from, to, reason } => EventDocument::Demoted {
            from: from.number(),
            to: to.number(),
            reason: reason.name().to_owned(),
        },
        Event::Operated { action, by } => EventDocument::Operated {
            action: action.clone(),
            by: by.clone(),
        },
        Event::Cancelled {
            by,
            during_attempt,
            until,
        } => EventDocument::Cancelled {
            by: by.clone(),
            during_attempt: *during_attempt,
            until: until.map(|until| until.to_string()),
        },
        Event::Rescheduled {
            by,
            until,
            during_attempt,
        } => EventDocument::Rescheduled {
            by: by.clone(),
            until: until.to_string(),
            during_attempt: *during_attempt,
        },
        Event::Removed { for_room } => EventDocument::Removed {
            for_room: *for_room,
        },
        Event::Scheduled { until, carrier } => EventDocument::Scheduled {
            until: until.to_string(),
            carrier: carrier.clone(),
        },
        Event::MalformedSchedule { carrier } => EventDocument::MalformedSchedule {
            carrier: carrier.clone(),
        },
        Event::Overruled { carrier, asked, by } => EventDocument::Overruled {
            carrier: carrier.clone(),
            asked: asked.clone(),
            by: by.clone(),
        },
        Event::Late {
            next_hop,
            is_returned,
        } => EventDocument::Late {
            next_hop: next_hop.to_string(),
            is_returned: *is_returned,
        },
    };
    TrailDocument {
        at: entry.at.to_string(),
        event,
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
            standing::shown(known, delivery, activity(*state, stop.as_deref()), now)
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
    let unknown = || Problem::not_found(format!("message {}", wording::printable(&id)));
    let id: MessageId = id.parse().map_err(|_| unknown())?;
    let record = api
        .spool
        .message(id)
        .await
        .map_err(|error| spool_problem(&error))?;
    let record = record.ok_or_else(unknown)?;
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
