//! What was enqueued lately, in memory.
//!
//! Most mail leaves within moments of its arrival: it is claimed, sent and settled without being
//! read back. Bounded in octets; the oldest goes first. Only what a commit has made durable
//! stands here, and a change by an operator drops what it touches.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use crate::message::{Delivery, DeliveryId, Message, MessageId};

/// What a remembered message takes besides its content and its texts.
const MESSAGE_OCTETS: usize = 512;
/// What a remembered delivery takes.
const DELIVERY_OCTETS: usize = 256;
/// What a recipient takes.
const RECIPIENT_OCTETS: usize = 160;

/// The messages that are remembered.
#[derive(Debug)]
pub(super) struct Recent {
    messages: HashMap<MessageId, Remembered>,
    /// Ages of messages, the oldest first.
    ages: BTreeMap<u64, MessageId>,
    next_age: u64,
    octets: usize,
    octets_max: usize,
}

#[derive(Debug)]
struct Remembered {
    age: u64,
    octets: usize,
    /// None for a content that was read back by itself.
    message: Option<Arc<Message>>,
    deliveries: Vec<Delivery>,
    content: Option<Bytes>,
}

impl Recent {
    pub(super) fn new(octets_max: usize) -> Self {
        Self {
            messages: HashMap::new(),
            ages: BTreeMap::new(),
            next_age: 0,
            octets: 0,
            octets_max,
        }
    }

    /// Remembers a message that is durable now.
    pub(super) fn add(&mut self, message: Arc<Message>, content: Option<Bytes>) {
        let octets = MESSAGE_OCTETS
            + RECIPIENT_OCTETS * message.envelope.recipients.len()
            + message.subject.len()
            + content.as_ref().map_or(0, Bytes::len);
        self.insert(message.id, octets, Some(message), content);
    }

    /// Remembers a content that was read back, for who will ask for it next.
    pub(super) fn add_content(&mut self, id: MessageId, content: Bytes) {
        if !self.messages.contains_key(&id) {
            let octets = MESSAGE_OCTETS + content.len();
            self.insert(id, octets, None, Some(content));
        }
    }

    fn insert(
        &mut self,
        id: MessageId,
        octets: usize,
        message: Option<Arc<Message>>,
        content: Option<Bytes>,
    ) {
        self.forget(id);
        let age = self.next_age;
        self.next_age += 1;
        self.ages.insert(age, id);
        self.octets += octets;
        self.messages.insert(
            id,
            Remembered {
                age,
                octets,
                message,
                deliveries: Vec::new(),
                content,
            },
        );
        self.shrink();
    }

    /// Remembers a delivery as it stands now, if its message is remembered.
    pub(super) fn put(&mut self, delivery: Delivery) {
        if let Some(remembered) = self.messages.get_mut(&delivery.id.message)
            && remembered.message.is_some()
        {
            let octets =
                DELIVERY_OCTETS + 4 * delivery.recipients.len() + delivery.last_reply.len();
            remembered
                .deliveries
                .retain(|known| known.id != delivery.id);
            remembered.deliveries.push(delivery);
            remembered.octets += octets;
            self.octets += octets;
            self.shrink();
        }
    }

    /// Forgets a delivery that stands as it did no more.
    pub(super) fn take(&mut self, id: DeliveryId) {
        if let Some(remembered) = self.messages.get_mut(&id.message) {
            remembered.deliveries.retain(|known| known.id != id);
        }
    }

    /// Forgets all of a message.
    pub(super) fn forget(&mut self, id: MessageId) {
        if let Some(remembered) = self.messages.remove(&id) {
            self.ages.remove(&remembered.age);
            self.octets -= remembered.octets;
        }
    }

    pub(super) fn forget_all(&mut self) {
        *self = Self {
            next_age: self.next_age,
            ..Self::new(self.octets_max)
        };
    }

    /// A delivery and its message, when both are remembered.
    pub(super) fn delivery(&self, id: DeliveryId) -> Option<(Delivery, Arc<Message>)> {
        let remembered = self.messages.get(&id.message)?;
        let message = remembered.message.as_ref()?;
        let delivery = remembered.deliveries.iter().find(|known| known.id == id)?;
        Some((delivery.clone(), Arc::clone(message)))
    }

    /// A content.
    pub(super) fn content(&self, id: MessageId) -> Option<Bytes> {
        self.messages.get(&id)?.content.clone()
    }

    fn shrink(&mut self) {
        while self.octets > self.octets_max
            && let Some((_, oldest)) = self.ages.first_key_value()
        {
            self.forget(*oldest);
        }
    }
}
