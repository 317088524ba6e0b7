//! Lateness: what follows when the time is over by which a message was to be delivered (RFC 2852 §4.1).
//!
//! Its sender wants it back, or wants to be told while it is tried on. A delivery that waits is woken at that time,
//! whenever it was to be tried again, and what is due then is settled before anything is sent. Only what an operator has
//! moved behind that time is tried then, and returned when that fails. Arithmetic only, as
//! in `settle`, which comes here for attempts that end behind that time.

use outpost_smtp::{ByMode, EnhancedStatus, Reply, ReversePath};

use super::settle::{Affected, Plan, Rules, Tally, Wanted, asks_for_failure, recipient};
use crate::message::report::Kind;
use crate::message::{
    DeliverBy, Delivery, Event, Message, Recipient, RemoteHost, Timestamp, TrailEntry,
};
use crate::spool::{Fates, NewDelivery};

/// RFC 2852 §4.1.3: delivery time expired, and nothing more is done.
pub(super) const RETURNED: EnhancedStatus = EnhancedStatus {
    class: 5,
    subject: 4,
    detail: 7,
};

/// RFC 2852 §4.1.3: delivery time expired, and delivery goes on.
pub(super) const TOLD: EnhancedStatus = EnhancedStatus {
    class: 4,
    subject: 4,
    detail: 7,
};

/// Whether the message goes back to its sender because the time is over. An attempt that fails then is the last one.
pub(super) fn is_returned(message: &Message, at: Timestamp) -> bool {
    let by = message.envelope.deliver_by;
    by.and_then(|by| by.returned_at())
        .is_some_and(|until| at >= until)
}

/// Whether the time is over, and the sender has not been told and wants to be.
pub(super) fn is_to_be_told(message: &Message, delivery: &Delivery, at: Timestamp) -> bool {
    let by = message.envelope.deliver_by;
    by.is_some_and(|by| by.mode == ByMode::Notify && at >= by.until) && !delivery.lateness_reported
}

/// When a delivery is to be woken since its sender is to be told then.
pub(super) fn waking(message: &Message, delivery: &Delivery, at: Timestamp) -> Option<Timestamp> {
    let by = message.envelope.deliver_by?;
    let is_ahead = by.mode == ByMode::Notify && at < by.until;
    (is_ahead && !delivery.lateness_reported).then_some(by.until)
}

/// Without NOTIFY a sender who gave a time wants to be told that it is over.
pub(super) fn asks_to_be_told(recipient: &Recipient) -> bool {
    recipient
        .notify
        .is_none_or(|notify| !notify.never && notify.delay)
}

/// Whether the sender of the message hears of its relay to that host, for a recipient: he wants to hear of each, or is told that
/// the host does not know by when it is to be delivered (RFC 2852 §4.1.4, §4.1.4.2). Who has been told that it is late
/// already knows more. It may have become late on its way to the host, and nobody would tell him else.
pub(super) fn is_relay_told(
    message: &Message,
    delivery: &Delivery,
    recipient: &Recipient,
    host: Option<&RemoteHost>,
) -> bool {
    let knows = host.is_some_and(|host| host.deliver_by);
    let is_told = delivery.lateness_reported && asks_to_be_told(recipient);
    let is_watched_by_nobody = |by: DeliverBy| by.mode == ByMode::Notify && !knows && !is_told;
    let by = message.envelope.deliver_by;
    by.is_some_and(|by| by.trace || is_watched_by_nobody(by))
}

/// Only NEVER keeps somebody from hearing of it.
pub(super) fn asks_for_relays(recipient: &Recipient) -> bool {
    recipient.notify.is_none_or(|notify| !notify.never)
}

impl Rules {
    /// What follows for a delivery that is claimed when the time is over, before it is tried; none when it is in
    /// time, an operator has moved it behind that, or nothing is left to be told. `interrupted`: an attempt may have been under way when the relay ended.
    pub fn overdue(
        &self,
        message: &Message,
        delivery: &Delivery,
        interrupted: bool,
        at: Timestamp,
    ) -> Option<Plan> {
        let by = message.envelope.deliver_by;
        let is_overruled = by.is_some_and(|by| by.is_overruled(delivery.due));
        let is_returned = is_returned(message, at) && !is_overruled;
        if !is_returned && !is_to_be_told(message, delivery, at) {
            return None;
        }
        let (kind, status) = match is_returned {
            true => (Kind::Failure, RETURNED),
            false => {
                let retry_until = self.schedule.expires(message);
                (Kind::Delay { retry_until }, TOLD)
            }
        };
        let asks = |recipient: &Recipient| match is_returned {
            true => asks_for_failure(recipient),
            false => asks_to_be_told(recipient),
        };
        let recipients = message_recipients(message, delivery, &asks);
        let entry = |event| TrailEntry { at, event };
        let next_hop = &delivery.next_hop;
        let mut trail = Vec::new();
        if interrupted {
            let next_hop = next_hop.clone();
            trail.push(entry(Event::Interrupted { next_hop }));
        }
        trail.push(entry(Event::Late {
            next_hop: next_hop.clone(),
            is_returned,
        }));
        let has_reports = !recipients.is_empty();
        let is_null = message.envelope.reverse_path == ReversePath::Null;
        if is_null && is_returned && has_reports {
            let report = kind.name();
            trail.push(entry(Event::Unreported { report }));
        }
        let affected = recipients.into_iter().map(|recipient| Affected {
            recipient,
            status,
            reply: reply(delivery, status),
            host: None,
        });
        let wanted = Wanted {
            kind,
            was_tried: false,
            recipients: affected.collect(),
        };
        let count = u64::try_from(delivery.recipients.len()).unwrap_or(u64::MAX);
        Some(Plan {
            remaining: (!is_returned).then(|| told(delivery, at)),
            reports: Vec::from_iter((has_reports && !is_null).then_some(wanted)),
            trail,
            tally: Tally {
                expired: if is_returned { count } else { 0 },
                ..Tally::default()
            },
            fates: Fates {
                expired: match is_returned {
                    true => delivery.recipients.clone(),
                    false => Vec::new(),
                },
                ..Fates::default()
            },
        })
    }
}

/// The pending recipients of whom somebody wants to hear.
fn message_recipients(
    message: &Message,
    delivery: &Delivery,
    asks: &dyn Fn(&Recipient) -> bool,
) -> Vec<u32> {
    let all = &message.envelope.recipients;
    let pending = delivery.recipients.iter().copied();
    pending
        .filter(|index| recipient(all, *index).is_some_and(asks))
        .collect()
}

/// The same delivery, which is tried at once: now or never is when its sender wants it.
fn told(delivery: &Delivery, at: Timestamp) -> NewDelivery {
    NewDelivery {
        next_hop: delivery.next_hop.clone(),
        recipients: delivery.recipients.clone(),
        due: at,
        attempts: delivery.attempts,
        delay_reported: delivery.delay_reported,
        lateness_reported: true,
        last_reply: delivery.last_reply.clone(),
    }
}

fn reply(delivery: &Delivery, status: EnhancedStatus) -> Reply {
    let code = if status.class == 5 { 554 } else { 451 };
    let text = "It was not delivered by the time that its sender gave";
    let text = match delivery.last_reply.as_str() {
        "" => text.to_owned(),
        last => format!("{text}; the last attempt failed: {last}"),
    };
    Reply::new(code, status, text)
}

#[cfg(test)]
mod tests;
