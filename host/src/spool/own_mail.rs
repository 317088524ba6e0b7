//! Mail of the relay itself that goes into the spool: notifications and alerts.
//!
//! Nobody submitted it, so its reverse-path is empty and no report comes of it. What it says is its writer's business.

use std::sync::Arc;

use arc_swap::ArcSwap;
use outpost_smtp::{Body, Mailbox, ReversePath};

use super::{NewDelivery, NewMessage, Spool, SpoolError};
use crate::clock::Clock;
use crate::message::own::OwnMail;
use crate::message::{
    Class, Envelope, Event, Message, MessageId, Origin, Priorities, Recipient, Routes, Source,
    Timestamp, TrailEntry,
};

/// Puts mail of the relay itself into the spool. Clones put it into the same one.
#[derive(Clone)]
pub struct OwnMailer {
    /// The name of the relay.
    pub hostname: String,
    /// Where it goes in.
    pub spool: Arc<dyn Spool>,
    /// Where it goes.
    pub routes: Arc<ArcSwap<Routes>>,
    /// The time.
    pub clock: Clock,
}

/// Mail to be put into the spool.
#[derive(Clone, Copy, Debug)]
pub struct OwnMessage<'a> {
    /// The list that it belongs to.
    pub list: &'a str,
    /// To whom.
    pub recipients: &'a [Mailbox],
    /// How urgent it is.
    pub class: Class,
    /// In US-ASCII, on one line.
    pub subject: &'a str,
    /// Lines that end with a line feed, in US-ASCII.
    pub body: &'a str,
}

impl OwnMailer {
    /// Puts it there. When this returns the message is on stable storage.
    ///
    /// # Errors
    /// What the spool says; there is nothing of it then.
    pub async fn send(&self, own: OwnMessage<'_>) -> Result<MessageId, SpoolError> {
        let now = self.clock.now();
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| SpoolError::Unavailable(error.into()))?;
        let id = MessageId::new(now, u128::from_ne_bytes(random));
        let mail = OwnMail {
            hostname: &self.hostname,
            id,
            at: now,
            recipients: own.recipients,
            subject: own.subject,
        };
        let content = mail.content(own.body);
        let mut intake = self.spool.intake(None)?;
        intake.write(content.as_bytes()).await?;
        let message = self.message(own, id, now, (intake.octets(), !content.is_ascii()));
        self.spool.enqueue(message, intake).await?;
        Ok(id)
    }

    fn message(
        &self,
        own: OwnMessage<'_>,
        id: MessageId,
        now: Timestamp,
        (content_octets, eight_bit): (u64, bool),
    ) -> NewMessage {
        let recipients = own.recipients.iter().cloned();
        let recipients: Vec<Recipient> = recipients
            .map(|mailbox| Recipient {
                mailbox,
                notify: None,
                orcpt: None,
            })
            .collect();
        let envelope = Envelope {
            reverse_path: ReversePath::Null,
            smtputf8: own.recipients.iter().any(|mailbox| !mailbox.is_ascii()),
            recipients,
            body: Body::SevenBit,
            ret: None,
            envid: None,
            mt_priority: None,
            deliver_by: None,
            hold: None,
            require_tls: false,
        };
        let source = Source {
            reverse_path: &envelope.reverse_path,
            list: own.list,
        };
        let lanes = self.routes.load().split(source, &envelope.recipients);
        let deliveries = lanes.into_iter();
        let class = own.class;
        NewMessage {
            deliveries: deliveries
                .map(|(next_hop, recipients)| NewDelivery::first(next_hop, recipients, now))
                .collect(),
            trail: vec![TrailEntry {
                at: now,
                event: Event::Accepted { class },
            }],
            message: Message {
                id,
                origin: Origin::Relay {
                    list: own.list.to_owned(),
                    about: None,
                },
                envelope,
                class,
                priorities: Priorities {
                    user: class,
                    message: None,
                },
                accepted: now,
                deliver_until: None,
                scheduled: None,
                content_octets,
                eight_bit,
                subject: own.subject.to_owned(),
                campaign: None,
            },
        }
    }
}
