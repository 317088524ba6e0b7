//! The trail of a message over HTTP: what happened to it, by kind, as values for programs.
//!
//! The same in words is made in one place for all surfaces.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dialogue::{DialogueDocument, dialogue};
use crate::message::wording;
use crate::message::{Event, PauseEnd, TlsParameters, TrailEntry};

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
        /// The very-high message that was being sent when it began, or the first of them; of several pauses that of the last.
        cause: String,
        /// How many others were being sent then or came to be before it ended; of several pauses of the last.
        others: u32,
        /// How many pauses are told together.
        times: u32,
        /// How long they took.
        took_microseconds: u64,
        /// How the last of them ended: `resumed`, `ceiling` (it may be paused for no longer and goes on), `broken`
        /// (the attempt ended in it) or `finished` (its content ended in it, at the rate of a pause).
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
        /// An attempt was under way, which went on as it began: it is about what remained then.
        during_attempt: bool,
    },
    /// An operator cancelled deliveries.
    Cancelled {
        /// The name of the token.
        by: String,
        /// An attempt was under way, which may have delivered: its outcome follows, unless the relay ended before it.
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
    /// Two carriers ask for different things, and the order of carriers decides; or one field comes more than once, and
    /// the first one counts.
    Overruled {
        /// The one that comes later.
        carrier: String,
        /// What it asks for.
        asked: String,
        /// The one that comes before it; of the same name when it is the first of that name.
        by: String,
    },
    /// The time is over by which a delivery was to be made.
    Late {
        /// Where it goes.
        next_hop: String,
        /// Whether it comes back, or goes on.
        is_returned: bool,
    },
    /// The routes lead elsewhere than where a delivery waited, so it has moved, without an attempt.
    Rerouted {
        /// Where it waited.
        from: String,
        /// Where it waits now.
        to: Vec<PartDocument>,
    },
    /// What was said over one connection: by the client that submitted the message, or with a host in one attempt.
    Dialogue(DialogueDocument),
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

/// A part of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartDocument {
    /// Where it goes.
    pub next_hop: String,
    /// How many recipients it has.
    pub recipients: u32,
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
/// What a handshake agreed on, as a document.
pub(super) fn tls(parameters: &TlsParameters) -> TlsDocument {
    TlsDocument {
        version: parameters.version.clone(),
        cipher: parameters.cipher.clone(),
    }
}

fn microseconds(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// An entry of the trail as a document.
pub(super) fn trail(entry: &TrailEntry) -> TrailDocument {
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
            others,
            times,
            took,
            end,
        } => EventDocument::Paused {
            next_hop: next_hop.to_string(),
            cause: cause.to_string(),
            others: *others,
            times: *times,
            took_microseconds: microseconds(*took),
            end: match end {
                PauseEnd::Resumed => "resumed",
                PauseEnd::Ceiling => "ceiling",
                PauseEnd::Broken => "broken",
                PauseEnd::Finished => "finished",
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
        Event::Operated {
            action,
            by,
            during_attempt,
        } => EventDocument::Operated {
            action: action.clone(),
            by: by.clone(),
            during_attempt: *during_attempt,
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
        Event::Rerouted { from, to } => EventDocument::Rerouted {
            from: from.to_string(),
            to: to
                .iter()
                .map(|(next_hop, recipients)| PartDocument {
                    next_hop: next_hop.to_string(),
                    recipients: *recipients,
                })
                .collect(),
        },
        Event::Dialogue(said) => EventDocument::Dialogue(dialogue(said)),
    };
    TrailDocument {
        at: entry.at.to_string(),
        event,
    }
}
