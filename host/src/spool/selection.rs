//! Which deliveries an operator means.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::account::same_name;
use crate::message::{
    Class, Delivery, DeliveryId, DeliveryState, Line, Message, MessageId, NextHop, Recipient,
    Timestamp, comparable_domain,
};
use outpost_smtp::ReversePath;

use super::Stops;

/// Which deliveries are meant. Everything given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// This message.
    pub message: Option<MessageId>,
    /// Just these deliveries.
    pub these: Option<Arc<BTreeSet<DeliveryId>>>,
    /// Messages of this list, without regard to case, which is no part of a name.
    pub list: Option<String>,
    /// Messages of this user, without regard to case.
    pub user: Option<String>,
    /// This class.
    pub class: Option<Class>,
    /// This state. What was cancelled is meant only where it is named.
    pub state: Option<QueueState>,
    /// Only what waits behind a stop that is in force, for its turn or for its time.
    pub only_stopped: bool,
    /// The Subject contains this, without regard to case.
    pub subject: Option<String>,
    /// Reverse-path contains this, without regard to case.
    pub sender: Option<String>,
    /// A pending recipient contains this, without regard to case.
    pub recipient: Option<String>,
    /// So many attempts have failed, or more.
    pub attempts_min: Option<u32>,
    /// The reply of the last failed attempt contains this, without regard to case.
    pub last_reply: Option<String>,
    /// Due then or later: its time, or its next try.
    pub due_from: Option<Timestamp>,
    /// Due before then.
    pub due_before: Option<Timestamp>,
    /// This lane.
    pub next_hop: Option<NextHop>,
    /// The lane is this as it is printed, a domain or `smarthost host:port`, or a pending recipient's domain is.
    pub domain: Option<String>,
}

/// States as the queue's lists show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// Waits for its turn, due now.
    Waiting,
    /// Not tried yet: waits for the time at which it is to be sent.
    Scheduled,
    /// Waits for its next try after a failed attempt.
    Deferred,
    /// Kept back by an operator.
    Held,
    /// Being delivered.
    Active,
    /// Taken out of the queue by an operator; it can still be restored.
    Cancelled,
}

impl QueueState {
    /// The state of a delivery at `now`. One that is leased is active, unless it has been cancelled meanwhile.
    pub fn of(delivery: &Delivery, leased: bool, now: Timestamp) -> Self {
        match delivery.state {
            DeliveryState::Cancelled(_) => Self::Cancelled,
            _ if leased => Self::Active,
            DeliveryState::Held => Self::Held,
            DeliveryState::Waiting if delivery.due <= now => Self::Waiting,
            DeliveryState::Waiting if delivery.attempts == 0 => Self::Scheduled,
            DeliveryState::Waiting => Self::Deferred,
        }
    }

    /// Whether it waits in its lane, for its turn or for its time.
    pub const fn is_waiting(self) -> bool {
        match self {
            Self::Waiting | Self::Scheduled | Self::Deferred => true,
            Self::Held | Self::Active | Self::Cancelled => false,
        }
    }
}

impl Selection {
    /// All deliveries of one message.
    pub fn of_message(id: MessageId) -> Self {
        Self {
            message: Some(id),
            ..Self::default()
        }
    }

    /// These deliveries and no other.
    pub fn of_these(these: BTreeSet<DeliveryId>) -> Self {
        let mut messages = these.iter().map(|id| id.message);
        let first = messages.next();
        Self {
            // Those of one message are found without a walk.
            message: first.filter(|first| messages.all(|message| message == *first)),
            these: Some(Arc::new(these)),
            ..Self::default()
        }
    }

    /// Whether a delivery can be meant, by its name alone.
    pub(super) fn names(&self, id: DeliveryId) -> bool {
        self.these.as_ref().is_none_or(|these| these.contains(&id))
    }

    /// Whether a delivery is meant, given its message, its state, and what is stopped.
    pub fn matches(
        &self,
        delivery: &Delivery,
        message: &Message,
        state: QueueState,
        stops: &Stops,
    ) -> bool {
        let is_stopped = || {
            let stop = stops.on(&delivery.next_hop, message.origin.user());
            state.is_waiting() && stop.is_some()
        };
        self.message.is_none_or(|id| id == message.id)
            && self.names(delivery.id)
            && self.class.is_none_or(|class| class == message.class)
            && self
                .next_hop
                .as_ref()
                .is_none_or(|lane| *lane == delivery.next_hop)
            && self.state.is_none_or(|wanted| wanted == state)
            && self.attempts_min.is_none_or(|min| delivery.attempts >= min)
            && self.due_from.is_none_or(|from| delivery.due >= from)
            && self.due_before.is_none_or(|before| delivery.due < before)
            && self
                .user
                .as_deref()
                .is_none_or(|user| same_name(user, message.origin.user()))
            && self
                .list
                .as_deref()
                .is_none_or(|list| same_name(list, message.origin.list()))
            && self
                .subject
                .as_deref()
                .is_none_or(|part| contains(&message.subject, part))
            && self
                .last_reply
                .as_deref()
                .is_none_or(|part| contains(&delivery.last_reply, part))
            && self
                .sender
                .as_deref()
                .is_none_or(|part| sender_contains(message, part))
            && self.recipient.as_deref().is_none_or(|part| {
                pending(delivery, message)
                    .any(|recipient| contains(&recipient.mailbox.to_string(), part))
            })
            && self.domain.as_deref().is_none_or(|domain| {
                delivery.next_hop.is_named(domain)
                    || pending(delivery, message)
                        .any(|recipient| recipient.mailbox.domain.eq_ignore_ascii_case(domain))
            })
            && (!self.only_stopped || is_stopped())
    }

    /// Whether a line can hold deliveries that are meant: what can be said without a look at them.
    pub(crate) fn admits(&self, line: &Line, stops: &Stops) -> bool {
        self.class.is_none_or(|wanted| wanted == line.class)
            && self
                .next_hop
                .as_ref()
                .is_none_or(|wanted| *wanted == line.next_hop)
            && self
                .user
                .as_deref()
                .is_none_or(|wanted| same_name(wanted, &line.user))
            && self
                .domain
                .as_deref()
                .is_none_or(|wanted| may_be_for(&line.next_hop, wanted))
            && (!self.only_stopped || stops.has(line))
    }
}

/// Whether a lane can have recipients in a domain, or is named like that. A smarthost's has those of many.
fn may_be_for(next_hop: &NextHop, domain: &str) -> bool {
    match next_hop {
        NextHop::Smarthost(_) => true,
        NextHop::Domain(of) => {
            next_hop.is_named(domain)
                || comparable_domain(domain).map_or(true, |domain| **of == *domain)
        }
    }
}

/// The envelope's recipients that a delivery still has to reach.
fn pending<'a>(
    delivery: &'a Delivery,
    message: &'a Message,
) -> impl Iterator<Item = &'a Recipient> + 'a {
    let recipients = &message.envelope.recipients;
    delivery
        .recipients
        .iter()
        .filter_map(move |index| recipients.get(usize::try_from(*index).ok()?))
}

fn sender_contains(message: &Message, part: &str) -> bool {
    match &message.envelope.reverse_path {
        ReversePath::Null => part.is_empty() || part == "<>",
        ReversePath::Mailbox(mailbox) => contains(&mailbox.to_string(), part),
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}
