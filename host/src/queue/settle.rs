//! Settlement: what follows from an attempt, for each recipient.
//!
//! A pure function of the delivery, the attempt, the rules and the time. Recipients that failed for
//! now stay together in one delivery that is tried again; when the message has waited as long as it
//! may, they fail for good. Each kind of report that is due is one report over all recipients that
//! it concerns. What follows when the time is over by which a message was to be delivered stands in `lateness`.
//! Writing the reports down and recording it all is left to others.

mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use outpost_smtp::{EnhancedStatus, Notify, Reply, ReversePath};

use self::told::what_happened;
use super::lateness;
use super::retry::{Next, Schedule};
use crate::message::report::Kind;
use crate::message::{
    Attempt, Class, Contact, Delivery, Event, Message, Outcome, Recipient, RecipientOutcome,
    RemoteHost, Timestamp, TrailEntry,
};
use crate::spool::{Fates, NewDelivery};

/// RFC 3463 §3.5: delivery time expired. Class 4, since nobody refused the message for good.
const EXPIRED: EnhancedStatus = EnhancedStatus {
    class: 4,
    subject: 4,
    detail: 7,
};

/// A reply is kept on the delivery for the queue's lists; longer ones are cut.
const LAST_REPLY_CHARACTERS_MAX: usize = 500;

/// What the operator decided about failed attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// When a deferred delivery is tried again.
    pub schedule: Schedule,
    /// How long after its release the sender is told that a message still waits.
    pub delay_warning_after: Duration,
    /// Whether that holds for senders who did not say which reports they want.
    pub delay_warning_unasked: bool,
}

/// An attempt that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The message.
    pub message: &'a Message,
    /// The delivery as it was claimed.
    pub delivery: &'a Delivery,
    /// What became of it.
    pub attempt: &'a Attempt,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// An earlier attempt may have been under way when the relay ended.
    pub interrupted: bool,
}

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is to be tried again; none when every recipient is finished.
    pub remaining: Option<NewDelivery>,
    /// The reports that are due.
    pub reports: Vec<Wanted>,
    /// What to add to the trail.
    pub trail: Vec<TrailEntry>,
    /// Recipients by what became of them.
    pub tally: Tally,
    /// The same, one by one, but for those who were given back at a stop: nothing is counted of them.
    pub fates: Fates,
}

/// A report that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it says.
    pub kind: Kind,
    /// Whether it follows an attempt that has just ended.
    pub was_tried: bool,
    /// Of whom.
    pub recipients: Vec<Affected>,
}

/// A recipient of whom a report speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// Index into the envelope's recipients.
    pub recipient: u32,
    /// The state of the delivery.
    pub status: EnhancedStatus,
    /// The reply behind it.
    pub reply: Reply,
    /// The host that gave the reply; none when it is our own.
    pub host: Option<RemoteHost>,
}

/// Recipients by what became of them in an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The next hop took responsibility.
    pub delivered: u64,
    /// Will be tried again.
    pub deferred: u64,
    /// Refused for good.
    pub bounced: u64,
    /// Given up after waiting as long as they may.
    pub expired: u64,
}

impl Rules {
    /// What follows from an attempt. `random` draws the jitter of the next one.
    pub fn settle(&self, ended: &Ended<'_>, random: u64) -> Plan {
        let mut sorted = Sorted::from(ended);
        let mut trail = what_happened(ended, &sorted);
        let mut tally = sorted.tally();
        let remaining = self.retry(ended, &mut sorted, &mut trail, &mut tally, random);
        let reports = self.reports(ended, &sorted, remaining.as_ref(), &mut trail);
        Plan {
            remaining,
            reports,
            trail,
            tally,
            fates: sorted.fates(ended.attempt),
        }
    }

    /// What follows from an attempt at what an operator cancelled meanwhile: who has it, or was refused for good, is
    /// done, and the others stay cancelled. Nobody is told of it, as of all that is cancelled.
    pub fn settle_cancelled(&self, ended: &Ended<'_>, random: u64) -> Plan {
        let sorted = Sorted::from(ended);
        let remaining = sorted.deferred.first().map(|first| {
            let recipients = sorted.deferred.iter().map(Fate::recipient).collect();
            let as_it_was = given_back(ended, recipients, first);
            if is_given_back(ended.attempt) {
                return as_it_was;
            }
            let attempts = ended.delivery.attempts.saturating_add(1);
            let expires = self.schedule.expires(ended.message);
            let due = match self.schedule.next(attempts, expires, ended.at, random) {
                Next::Retry(until) => until,
                // Should it be restored it is tried once more, and its sender is told then.
                Next::GiveUp => ended.at,
            };
            NewDelivery {
                due,
                attempts,
                last_reply: last_reply(first),
                ..as_it_was
            }
        });
        Plan {
            remaining,
            reports: Vec::new(),
            trail: what_happened(ended, &sorted),
            tally: sorted.tally(),
            fates: sorted.fates(ended.attempt),
        }
    }

    /// Whether an attempt that fails now would be told to the sender: as a delay, or as the end.
    pub fn is_worth_telling(&self, message: &Message, delivery: &Delivery, at: Timestamp) -> bool {
        let delayed = message.released().plus(self.delay_warning_after);
        at >= self.schedule.expires(message)
            || (at >= delayed && !delivery.delay_reported)
            || lateness::is_to_be_told(message, delivery, at)
    }

    /// Whether the sender hears of a delay from here on.
    fn is_delayed(&self, ended: &Ended<'_>) -> bool {
        ended.at >= ended.message.released().plus(self.delay_warning_after)
    }

    /// The delivery of those that are tried again; those that are given up join the bounced ones.
    fn retry(
        &self,
        ended: &Ended<'_>,
        sorted: &mut Sorted<'_>,
        trail: &mut Vec<TrailEntry>,
        tally: &mut Tally,
        random: u64,
    ) -> Option<NewDelivery> {
        let first = sorted.deferred.first()?;
        if is_given_back(ended.attempt) {
            let event = Event::Deferred {
                next_hop: ended.delivery.next_hop.clone(),
                until: ended.at,
            };
            trail.push(entry(ended, event));
            let recipients = sorted.deferred.iter().map(Fate::recipient).collect();
            return Some(given_back(ended, recipients, first));
        }
        let last_reply = last_reply(first);
        let delivery = ended.delivery;
        let attempts = delivery.attempts.saturating_add(1);
        let next = self.schedule.next(
            attempts,
            self.schedule.expires(ended.message),
            ended.at,
            random,
        );
        match next {
            Next::GiveUp => {
                let next_hop = delivery.next_hop.clone();
                let event = match lateness::is_returned(ended.message, ended.at) {
                    true => Event::Late {
                        next_hop,
                        is_returned: true,
                    },
                    false => Event::Expired { next_hop },
                };
                trail.push(entry(ended, event));
                tally.expired = std::mem::take(&mut tally.deferred);
                sorted.expired = std::mem::take(&mut sorted.deferred);
                None
            }
            Next::Retry(until) => {
                let next_hop = delivery.next_hop.clone();
                let is_told = lateness::is_to_be_told(ended.message, delivery, ended.at);
                if is_told {
                    let event = Event::Late {
                        next_hop: next_hop.clone(),
                        is_returned: false,
                    };
                    trail.push(entry(ended, event));
                }
                // Sooner when the sender is to be told then.
                let waking = lateness::waking(ended.message, delivery, ended.at);
                let until = waking.map_or(until, |waking| waking.min(until));
                // It waits for no step: it may come twice, and must not come late.
                let is_urgent = ended.message.class == Class::VeryHigh;
                let until = match ended.attempt.contact {
                    Contact::CutOff if is_urgent => ended.at,
                    _ => until,
                };
                trail.push(entry(
                    ended,
                    Event::Deferred {
                        next_hop: next_hop.clone(),
                        until,
                    },
                ));
                Some(NewDelivery {
                    next_hop,
                    recipients: sorted.deferred.iter().map(Fate::recipient).collect(),
                    due: until,
                    attempts,
                    delay_reported: delivery.delay_reported || self.is_delayed(ended),
                    lateness_reported: delivery.lateness_reported || is_told,
                    last_reply,
                })
            }
        }
    }

    /// The reports that are due; one that is withheld is noted in the trail.
    fn reports(
        &self,
        ended: &Ended<'_>,
        sorted: &Sorted<'_>,
        remaining: Option<&NewDelivery>,
        trail: &mut Vec<TrailEntry>,
    ) -> Vec<Wanted> {
        let recipients = &ended.message.envelope.recipients;
        let asking = |fates: &[Fate<'_>], class: u8, asks: &dyn Fn(&Recipient) -> bool| {
            fates
                .iter()
                .filter(|fate| recipient(recipients, fate.recipient()).is_some_and(asks))
                .map(|fate| Affected::new(fate, class))
                .collect::<Vec<_>>()
        };

        let mut failed = asking(&sorted.bounced, 5, &asks_for_failure);
        let expired = asking(&sorted.expired, 4, &asks_for_failure);
        let status = match lateness::is_returned(ended.message, ended.at) {
            true => lateness::RETURNED,
            false => EXPIRED,
        };
        failed.extend(
            expired
                .into_iter()
                .map(|affected| Affected { status, ..affected }),
        );
        failed.sort_by_key(|affected| affected.recipient);
        if ended.message.envelope.reverse_path == ReversePath::Null {
            // RFC 5321 §4.5.5: never a report about a report.
            if !failed.is_empty() {
                let report = Kind::Failure.name();
                trail.push(entry(ended, Event::Unreported { report }));
            }
            return Vec::new();
        }

        let mut wanted = vec![Wanted {
            kind: Kind::Failure,
            was_tried: true,
            recipients: failed,
        }];
        if remaining.is_some() && !is_given_back(ended.attempt) {
            let is_delayed = !ended.delivery.delay_reported && self.is_delayed(ended);
            let is_late = lateness::is_to_be_told(ended.message, ended.delivery, ended.at);
            let mut recipients = asking(&sorted.deferred, 4, &|recipient| {
                (is_delayed && self.asks_for_delay(recipient))
                    || (is_late && lateness::asks_to_be_told(recipient))
            });
            if is_late {
                recipients
                    .iter_mut()
                    .for_each(|affected| affected.status = lateness::TOLD);
            }
            wanted.push(Wanted {
                kind: Kind::Delay {
                    retry_until: self.schedule.expires(ended.message),
                },
                was_tried: true,
                recipients,
            });
        }
        // RFC 3461 §5.2.2: a host that offers DSN was told to report success itself.
        let asks = |fate: &Fate<'_>, asks: &dyn Fn(&Recipient) -> bool| {
            recipient(recipients, fate.recipient()).is_some_and(asks)
        };
        let (confirmed, others): (Vec<_>, Vec<_>) =
            sorted.delivered.iter().cloned().partition(|fate| {
                asks(fate, &asks_for_success) && !fate.host.is_some_and(|host| host.dsn)
            });
        let (watched, _): (Vec<_>, Vec<_>) = others.into_iter().partition(|fate| {
            asks(fate, &|recipient| {
                lateness::is_relay_told(ended.message, ended.delivery, recipient, fate.host)
                    && lateness::asks_for_relays(recipient)
            })
        });
        for (kind, fates) in [(Kind::Success, confirmed), (Kind::Relay, watched)] {
            let recipients = fates.iter().map(|fate| Affected::new(fate, 2)).collect();
            wanted.push(Wanted {
                kind,
                was_tried: true,
                recipients,
            });
        }
        wanted.retain(|wanted| !wanted.recipients.is_empty());
        wanted
    }

    fn asks_for_delay(&self, recipient: &Recipient) -> bool {
        match recipient.notify {
            Some(notify) => !notify.never && notify.delay,
            None => self.delay_warning_unasked,
        }
    }
}

fn last_reply(fate: &Fate<'_>) -> String {
    let reply = fate.outcome.outcome.reply().to_string();
    reply.chars().take(LAST_REPLY_CHARACTERS_MAX).collect()
}

/// RFC 3461 §4.1: without NOTIFY a failure is reported.
pub(super) fn asks_for_failure(recipient: &Recipient) -> bool {
    let is_asked = |notify: Notify| !notify.never && notify.failure;
    recipient.notify.is_none_or(is_asked)
}

fn asks_for_success(recipient: &Recipient) -> bool {
    let is_asked = |notify: Notify| !notify.never && notify.success;
    recipient.notify.is_some_and(is_asked)
}

/// What became of a recipient, and where.
#[derive(Clone, Debug)]
struct Fate<'a> {
    outcome: RecipientOutcome,
    host: Option<&'a RemoteHost>,
}

impl Fate<'_> {
    fn recipient(&self) -> u32 {
        self.outcome.recipient
    }
}

/// The fates of the recipients of a delivery.
#[derive(Debug, Default)]
struct Sorted<'a> {
    delivered: Vec<Fate<'a>>,
    deferred: Vec<Fate<'a>>,
    bounced: Vec<Fate<'a>>,
    expired: Vec<Fate<'a>>,
    /// Those among the deferred of whom the attempt said nothing.
    forgotten: Vec<RecipientOutcome>,
}

impl<'a> From<&Ended<'a>> for Sorted<'a> {
    /// One outcome for each pending recipient, whatever the attempt says: one that it forgot is
    /// deferred, and what it says of others does not count.
    fn from(ended: &Ended<'a>) -> Self {
        let outcomes = ended.attempt.outcomes().into_iter();
        let outcomes: BTreeMap<u32, _> = outcomes
            .map(|(outcome, host)| (outcome.recipient, (outcome, host)))
            .collect();
        let mut sorted = Self::default();
        for recipient in &ended.delivery.recipients {
            let fate = match outcomes.get(recipient) {
                Some((outcome, host)) => Fate {
                    outcome: (*outcome).clone(),
                    host: *host,
                },
                None => {
                    let outcome = forgotten(*recipient);
                    sorted.forgotten.push(outcome.clone());
                    Fate {
                        outcome,
                        host: None,
                    }
                }
            };
            match fate.outcome.outcome {
                Outcome::Delivered(_) => sorted.delivered.push(fate),
                Outcome::Deferred(_) => sorted.deferred.push(fate),
                Outcome::Bounced(_) => sorted.bounced.push(fate),
            }
        }
        sorted
    }
}

impl Sorted<'_> {
    fn tally(&self) -> Tally {
        let count = |fates: &Vec<_>| u64::try_from(fates.len()).unwrap_or(u64::MAX);
        Tally {
            delivered: count(&self.delivered),
            deferred: count(&self.deferred),
            bounced: count(&self.bounced),
            expired: 0,
        }
    }

    fn fates(&self, attempt: &Attempt) -> Fates {
        let of = |fates: &[Fate<'_>]| fates.iter().map(Fate::recipient).collect();
        Fates {
            delivered: of(&self.delivered),
            deferred: match is_given_back(attempt) {
                true => Vec::new(),
                false => of(&self.deferred),
            },
            bounced: of(&self.bounced),
            expired: of(&self.expired),
        }
    }
}

/// Whether the relay has cut the attempt off at its stop before any host had got the whole of the content without an
/// answer: who is deferred is as if there had been no attempt.
fn is_given_back(attempt: &Attempt) -> bool {
    attempt.contact == Contact::CutOff && !attempt.is_unknown()
}

/// What remains of a delivery that nobody is charged for: it keeps its place. That it has been begun shows in its reply
/// alone.
fn given_back(ended: &Ended<'_>, recipients: Vec<u32>, first: &Fate<'_>) -> NewDelivery {
    let delivery = ended.delivery;
    let last_reply = match ended.attempt.mail_ago {
        Some(_) => last_reply(first),
        None => delivery.last_reply.clone(),
    };
    NewDelivery {
        next_hop: delivery.next_hop.clone(),
        recipients,
        due: delivery.due,
        attempts: delivery.attempts,
        delay_reported: delivery.delay_reported,
        lateness_reported: delivery.lateness_reported,
        last_reply,
    }
}

fn forgotten(recipient: u32) -> RecipientOutcome {
    let reply = Reply::new(451, (4, 3, 0), "The attempt ended without an outcome");
    RecipientOutcome {
        recipient,
        outcome: Outcome::Deferred(reply),
        remote: false,
    }
}

impl Affected {
    /// The status is the reply's enhanced code where it has one of the class that the outcome
    /// means, and the bare class otherwise (RFC 3464 §2.3.4).
    fn new(fate: &Fate<'_>, class: u8) -> Self {
        let outcome = &fate.outcome;
        let reply = outcome.outcome.reply().clone();
        let status = reply.enhanced.filter(|status| status.class == class);
        Self {
            recipient: outcome.recipient,
            status: status.unwrap_or(EnhancedStatus {
                class,
                subject: 0,
                detail: 0,
            }),
            reply,
            host: fate.host.filter(|_| outcome.remote).cloned(),
        }
    }
}

fn entry(ended: &Ended<'_>, event: Event) -> TrailEntry {
    TrailEntry {
        at: ended.at,
        event,
    }
}

/// The recipient of that index, if the envelope has one.
pub(super) fn recipient(recipients: &[Recipient], index: u32) -> Option<&Recipient> {
    recipients.get(usize::try_from(index).ok()?)
}

#[cfg(test)]
mod tests;
