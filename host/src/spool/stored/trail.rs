//! A part of a trail in its stored form.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use outpost_smtp::{EnhancedStatus, Reply};
use serde::{Deserialize, Serialize};

use crate::message::{self, Demotion, MessageId, RemoteHost, Timestamp, TrailEntry};

use super::dialogue::Dialogue;
use super::pause::{Pause, PauseEnd};
use super::{Damage, Hop, Stored, Tls, class, take};

/// What was added to the trail of a message at once.
#[derive(Serialize, Deserialize)]
pub(in crate::spool) struct TrailRecord<'a> {
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
    /// When the last delivery was settled, if this was it.
    finished: Option<u64>,
    /// The next number for a delivery of the message, when numbers were taken.
    pub(in crate::spool) next_number: Option<u32>,
}

impl<'a> Stored<'a> for TrailRecord<'a> {
    fn take(_form: u8, octets: &'a [u8]) -> Result<(Self, &'a [u8]), Damage> {
        take(octets)
    }
}

impl<'a> TrailRecord<'a> {
    pub(in crate::spool) fn of(
        entries: &'a [TrailEntry],
        finished: Option<Timestamp>,
        next_number: Option<u32>,
    ) -> Self {
        Self {
            entries: entries.iter().map(Entry::of).collect(),
            finished: finished.map(Timestamp::unix_milliseconds),
            next_number,
        }
    }

    pub(in crate::spool) fn finished(&self) -> Option<Timestamp> {
        self.finished.map(Timestamp::from_unix_milliseconds)
    }

    pub(in crate::spool) fn entries(&self) -> Result<Vec<TrailEntry>, Damage> {
        self.entries.iter().map(Entry::read).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct StoredReply<'a> {
    code: u16,
    enhanced: Option<(u8, u16, u16)>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl<'a> StoredReply<'a> {
    fn of(reply: &'a Reply) -> Self {
        Self {
            code: reply.code,
            enhanced: reply
                .enhanced
                .map(|status| (status.class, status.subject, status.detail)),
            text: Cow::Borrowed(&reply.text),
        }
    }

    fn read(&self) -> Reply {
        Reply {
            code: self.code,
            enhanced: self
                .enhanced
                .map(|(class, subject, detail)| EnhancedStatus {
                    class,
                    subject,
                    detail,
                }),
            text: self.text.to_string(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Host<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    address: IpAddr,
    port: u16,
    #[serde(borrow)]
    tls: Option<Tls<'a>>,
    dsn: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    at: u64,
    #[serde(borrow)]
    event: Event<'a>,
}

#[derive(Serialize, Deserialize)]
enum Event<'a> {
    Decided {
        #[serde(borrow)]
        component: Cow<'a, str>,
        #[serde(borrow)]
        digest: Cow<'a, str>,
        #[serde(borrow)]
        question: Cow<'a, str>,
        #[serde(borrow)]
        answer: Cow<'a, str>,
        #[serde(borrow)]
        reasons: Vec<(Cow<'a, str>, Cow<'a, str>)>,
        took: Duration,
    },
    Accepted {
        class: u8,
    },
    MalformedPriority {
        #[serde(borrow)]
        carrier: Cow<'a, str>,
    },
    Attempted {
        #[serde(borrow)]
        next_hop: Hop<'a>,
        #[serde(borrow)]
        host: Option<Host<'a>>,
        took: Duration,
        #[serde(borrow)]
        recipients: Vec<(Cow<'a, str>, Cow<'a, str>, StoredReply<'a>)>,
        unknown: bool,
    },
    Deferred {
        #[serde(borrow)]
        next_hop: Hop<'a>,
        until: u64,
    },
    Expired {
        #[serde(borrow)]
        next_hop: Hop<'a>,
    },
    Reported {
        #[serde(borrow)]
        report: Cow<'a, str>,
        id: u128,
    },
    Operated {
        #[serde(borrow)]
        action: Cow<'a, str>,
        #[serde(borrow)]
        by: Cow<'a, str>,
    },
    Unreported {
        #[serde(borrow)]
        report: Cow<'a, str>,
    },
    Interrupted {
        #[serde(borrow)]
        next_hop: Hop<'a>,
    },
    Paused(#[serde(borrow)] Pause<'a>),
    Cancelled {
        #[serde(borrow)]
        by: Cow<'a, str>,
        during_attempt: bool,
        until: Option<u64>,
    },
    Removed {
        for_room: bool,
    },
    Rescheduled {
        #[serde(borrow)]
        by: Cow<'a, str>,
        until: u64,
        during_attempt: bool,
    },
    UntrustedPriority {
        #[serde(borrow)]
        carrier: Cow<'a, str>,
    },
    Demoted {
        from: u8,
        to: u8,
        #[serde(borrow)]
        reason: Cow<'a, str>,
    },
    Scheduled {
        until: u64,
        #[serde(borrow)]
        carrier: Cow<'a, str>,
    },
    MalformedSchedule {
        #[serde(borrow)]
        carrier: Cow<'a, str>,
    },
    Overruled {
        #[serde(borrow)]
        carrier: Cow<'a, str>,
        #[serde(borrow)]
        asked: Cow<'a, str>,
        #[serde(borrow)]
        by: Cow<'a, str>,
    },
    Late {
        #[serde(borrow)]
        next_hop: Hop<'a>,
        is_returned: bool,
    },
    Dialogue(#[serde(borrow)] Dialogue<'a>),
    Rerouted {
        #[serde(borrow)]
        from: Hop<'a>,
        #[serde(borrow)]
        to: Vec<(Hop<'a>, u32)>,
    },
    /// As [`Paused`](Event::Paused), for so many others as well.
    PausedForSeveral(#[serde(borrow)] Pause<'a>, u32),
    /// As [`Operated`](Event::Operated), during an attempt.
    OperatedDuringAttempt {
        #[serde(borrow)]
        action: Cow<'a, str>,
        #[serde(borrow)]
        by: Cow<'a, str>,
    },
}

impl<'a> Host<'a> {
    fn of(host: &'a RemoteHost) -> Self {
        Self {
            name: Cow::Borrowed(&host.name),
            address: host.address,
            port: host.port,
            tls: host.tls.as_ref().map(Tls::of),
            dsn: host.dsn,
        }
    }

    fn read(&self) -> RemoteHost {
        RemoteHost {
            name: self.name.to_string(),
            address: self.address,
            port: self.port,
            tls: self.tls.as_ref().map(Tls::read),
            dsn: self.dsn,
            // Settled by then, and told to nobody later.
            deliver_by: false,
        }
    }
}

impl<'a> Entry<'a> {
    pub(super) fn of(entry: &'a TrailEntry) -> Self {
        Self {
            at: entry.at.unix_milliseconds(),
            event: Event::of(&entry.event),
        }
    }

    pub(super) fn read(&self) -> Result<TrailEntry, Damage> {
        Ok(TrailEntry {
            at: Timestamp::from_unix_milliseconds(self.at),
            event: self.event.read()?,
        })
    }
}

impl<'a> Event<'a> {
    fn of(event: &'a message::Event) -> Self {
        match event {
            message::Event::Decided {
                component,
                digest,
                question,
                answer,
                reasons,
                took,
            } => Self::Decided {
                component: Cow::Borrowed(component),
                digest: Cow::Borrowed(digest),
                question: Cow::Borrowed(question),
                answer: Cow::Borrowed(answer),
                reasons: reasons
                    .iter()
                    .map(|(rule, detail)| (rule.into(), detail.into()))
                    .collect(),
                took: *took,
            },
            message::Event::Accepted { class } => Self::Accepted {
                class: class.number(),
            },
            message::Event::MalformedPriority { carrier } => Self::MalformedPriority {
                carrier: Cow::Borrowed(carrier),
            },
            message::Event::Attempted {
                next_hop,
                host,
                took,
                recipients,
                unknown,
            } => Self::Attempted {
                next_hop: Hop::of(next_hop),
                host: host.as_ref().map(Host::of),
                took: *took,
                recipients: recipients
                    .iter()
                    .map(|(recipient, outcome, reply)| {
                        (recipient.into(), (*outcome).into(), StoredReply::of(reply))
                    })
                    .collect(),
                unknown: *unknown,
            },
            message::Event::Paused {
                next_hop,
                cause,
                others,
                times,
                took,
                end,
            } => {
                let pause = Pause {
                    next_hop: Hop::of(next_hop),
                    cause: cause.to_bits(),
                    times: *times,
                    took: *took,
                    end: PauseEnd::of(*end),
                };
                match *others {
                    0 => Self::Paused(pause),
                    others => Self::PausedForSeveral(pause, others),
                }
            }
            message::Event::Interrupted { next_hop } => Self::Interrupted {
                next_hop: Hop::of(next_hop),
            },
            message::Event::Deferred { next_hop, until } => Self::Deferred {
                next_hop: Hop::of(next_hop),
                until: until.unix_milliseconds(),
            },
            message::Event::Expired { next_hop } => Self::Expired {
                next_hop: Hop::of(next_hop),
            },
            message::Event::Reported { report, id } => Self::Reported {
                report: Cow::Borrowed(report),
                id: id.to_bits(),
            },
            message::Event::Unreported { report } => Self::Unreported {
                report: Cow::Borrowed(report),
            },
            message::Event::Operated {
                action,
                by,
                during_attempt,
            } => {
                let (action, by) = (Cow::Borrowed(&action[..]), Cow::Borrowed(&by[..]));
                match during_attempt {
                    false => Self::Operated { action, by },
                    true => Self::OperatedDuringAttempt { action, by },
                }
            }
            message::Event::Cancelled {
                by,
                during_attempt,
                until,
            } => Self::Cancelled {
                by: Cow::Borrowed(by),
                during_attempt: *during_attempt,
                until: until.map(Timestamp::unix_milliseconds),
            },
            message::Event::Removed { for_room } => Self::Removed {
                for_room: *for_room,
            },
            message::Event::Rescheduled {
                by,
                until,
                during_attempt,
            } => Self::Rescheduled {
                by: Cow::Borrowed(by),
                until: until.unix_milliseconds(),
                during_attempt: *during_attempt,
            },
            message::Event::UntrustedPriority { carrier } => Self::UntrustedPriority {
                carrier: Cow::Borrowed(carrier),
            },
            message::Event::Demoted { from, to, reason } => Self::Demoted {
                from: from.number(),
                to: to.number(),
                reason: Cow::Borrowed(reason.name()),
            },
            message::Event::Scheduled { until, carrier } => Self::Scheduled {
                until: until.unix_milliseconds(),
                carrier: Cow::Borrowed(carrier),
            },
            message::Event::MalformedSchedule { carrier } => Self::MalformedSchedule {
                carrier: Cow::Borrowed(carrier),
            },
            message::Event::Overruled { carrier, asked, by } => Self::Overruled {
                carrier: Cow::Borrowed(carrier),
                asked: Cow::Borrowed(asked),
                by: Cow::Borrowed(by),
            },
            message::Event::Late {
                next_hop,
                is_returned,
            } => Self::Late {
                next_hop: Hop::of(next_hop),
                is_returned: *is_returned,
            },
            message::Event::Rerouted { from, to } => Self::Rerouted {
                from: Hop::of(from),
                to: to.iter().map(|(to, count)| (Hop::of(to), *count)).collect(),
            },
            message::Event::Dialogue(dialogue) => Self::Dialogue(Dialogue::of(dialogue)),
        }
    }

    fn read(&self) -> Result<message::Event, Damage> {
        Ok(match self {
            Self::Decided {
                component,
                digest,
                question,
                answer,
                reasons,
                took,
            } => message::Event::Decided {
                component: component.to_string(),
                digest: digest.to_string(),
                question: question.to_string(),
                answer: answer.to_string(),
                reasons: reasons
                    .iter()
                    .map(|(rule, detail)| (rule.to_string(), detail.to_string()))
                    .collect(),
                took: *took,
            },
            Self::Accepted { class: number } => message::Event::Accepted {
                class: class(*number)?,
            },
            Self::MalformedPriority { carrier } => message::Event::MalformedPriority {
                carrier: carrier.to_string(),
            },
            Self::Attempted {
                next_hop,
                host,
                took,
                recipients,
                unknown,
            } => message::Event::Attempted {
                next_hop: next_hop.read(),
                host: host.as_ref().map(Host::read),
                took: *took,
                recipients: recipients
                    .iter()
                    .map(|(recipient, outcome, reply)| {
                        let outcome = word(outcome, &OUTCOMES)?;
                        Ok((recipient.to_string(), outcome, reply.read()))
                    })
                    .collect::<Result<_, Damage>>()?,
                unknown: *unknown,
            },
            Self::Paused(pause) => pause.read(0),
            Self::PausedForSeveral(pause, others) => pause.read(*others),
            Self::Interrupted { next_hop } => message::Event::Interrupted {
                next_hop: next_hop.read(),
            },
            Self::Deferred { next_hop, until } => message::Event::Deferred {
                next_hop: next_hop.read(),
                until: Timestamp::from_unix_milliseconds(*until),
            },
            Self::Expired { next_hop } => message::Event::Expired {
                next_hop: next_hop.read(),
            },
            Self::Reported { report, id } => message::Event::Reported {
                report: word(report, &REPORTS)?,
                id: MessageId::from_bits(*id),
            },
            Self::Unreported { report } => message::Event::Unreported {
                report: word(report, &REPORTS)?,
            },
            Self::Operated { action, by } => operated(action, by, false),
            Self::OperatedDuringAttempt { action, by } => operated(action, by, true),
            Self::Cancelled {
                by,
                during_attempt,
                until,
            } => message::Event::Cancelled {
                by: by.to_string(),
                during_attempt: *during_attempt,
                until: until.map(Timestamp::from_unix_milliseconds),
            },
            Self::Removed { for_room } => message::Event::Removed {
                for_room: *for_room,
            },
            Self::Rescheduled {
                by,
                until,
                during_attempt,
            } => message::Event::Rescheduled {
                by: by.to_string(),
                until: Timestamp::from_unix_milliseconds(*until),
                during_attempt: *during_attempt,
            },
            Self::UntrustedPriority { carrier } => message::Event::UntrustedPriority {
                carrier: carrier.to_string(),
            },
            Self::Demoted { from, to, reason } => message::Event::Demoted {
                from: class(*from)?,
                to: class(*to)?,
                reason: Demotion::ALL
                    .into_iter()
                    .find(|known| known.name() == reason)
                    .ok_or_else(|| Damage::of("a word that is not known"))?,
            },
            Self::Scheduled { until, carrier } => message::Event::Scheduled {
                until: Timestamp::from_unix_milliseconds(*until),
                carrier: carrier.to_string(),
            },
            Self::MalformedSchedule { carrier } => message::Event::MalformedSchedule {
                carrier: carrier.to_string(),
            },
            Self::Overruled { carrier, asked, by } => message::Event::Overruled {
                carrier: carrier.to_string(),
                asked: asked.to_string(),
                by: by.to_string(),
            },
            Self::Late {
                next_hop,
                is_returned,
            } => message::Event::Late {
                next_hop: next_hop.read(),
                is_returned: *is_returned,
            },
            Self::Rerouted { from, to } => message::Event::Rerouted {
                from: from.read(),
                to: to.iter().map(|(to, count)| (to.read(), *count)).collect(),
            },
            Self::Dialogue(dialogue) => message::Event::Dialogue(dialogue.read()),
        })
    }
}

fn operated(action: &str, by: &str, during_attempt: bool) -> message::Event {
    message::Event::Operated {
        action: action.to_owned(),
        by: by.to_owned(),
        during_attempt,
    }
}

const OUTCOMES: [&str; 3] = ["delivered", "deferred", "bounced"];
const REPORTS: [&str; 4] = ["failure", "delay", "success", "relay"];

/// A word of a fixed list, as the relay's own.
fn word(text: &str, known: &[&'static str]) -> Result<&'static str, Damage> {
    known
        .iter()
        .find(|word| **word == text)
        .copied()
        .ok_or_else(|| Damage::of("a word that is not known"))
}
