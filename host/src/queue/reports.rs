//! Reports as messages of the relay's own: addressed, routed and ready for the spool.
//!
//! What a report says is composed by `message::report`; that one is due was decided by `settle`.

use bytes::Bytes;
use outpost_smtp::{Mailbox, ReversePath};

use super::settle::{Wanted, recipient};
use crate::message::report::{Report, Reported};
use crate::message::{
    Address, Class, Envelope, Event, Message, MessageId, NextHop, Origin, Priorities, Recipient,
    RemoteHost, Timestamp, TrailEntry,
};
use crate::spool::{NewDelivery, NewMessage};

/// What all reports about one attempt have in common.
pub(super) struct Writer<'a> {
    /// The name of this relay.
    pub(super) hostname: &'a str,
    /// Where mail for a mailbox goes.
    pub(super) next_hop: &'a dyn Fn(&Mailbox) -> NextHop,
    /// Now.
    pub(super) at: Timestamp,
    /// The message that the reports are about.
    pub(super) about: &'a Message,
    /// The host of the attempt.
    pub(super) host: Option<&'a RemoteHost>,
    /// The content of the message from its start, as much as may be returned.
    pub(super) content: &'a [u8],
}

impl Writer<'_> {
    /// Writes a report under the name `id`; none for a null reverse-path.
    pub(super) fn write(&self, wanted: &Wanted, id: MessageId) -> Option<(NewMessage, Bytes)> {
        let ReversePath::Mailbox(reverse_path) = &self.about.envelope.reverse_path else {
            return None;
        };
        let to = plainest(reverse_path);
        let recipients = &self.about.envelope.recipients;
        let reported = wanted.recipients.iter().filter_map(|affected| {
            Some(Reported {
                recipient: recipient(recipients, affected.recipient)?,
                status: affected.status,
                reply: &affected.reply,
                remote: affected.remote,
            })
        });
        let composed = Report {
            kind: wanted.kind,
            id,
            at: self.at,
            hostname: self.hostname,
            to: &to,
            about: self.about,
            host: self.host,
            recipients: reported.collect(),
            content: self.content,
        }
        .compose();

        // A report is no more urgent than ordinary mail, and no more urgent than what it is about:
        // very high is for what a policy found to be so.
        let class = self.about.class.max(Class::Normal);
        let next_hop = (self.next_hop)(&to);
        let message = Message {
            id,
            origin: Origin::Relay {
                list: self.about.origin.list().to_owned(),
                about: Some(self.about.id),
            },
            envelope: Envelope {
                reverse_path: ReversePath::Null,
                recipients: vec![Recipient {
                    mailbox: to,
                    notify: None,
                    orcpt: None,
                }],
                body: composed.body,
                smtputf8: composed.smtputf8,
                ret: None,
                envid: None,
            },
            class,
            priorities: Priorities {
                user: class,
                message: None,
            },
            accepted: self.at,
            content_octets: u64::try_from(composed.content.len()).unwrap_or(u64::MAX),
            eight_bit: !composed.content.is_ascii(),
            subject: composed.subject.to_owned(),
        };
        let report = NewMessage {
            message,
            deliveries: vec![NewDelivery {
                next_hop,
                recipients: vec![0],
                due: self.at,
                attempts: 0,
                delay_reported: false,
                last_reply: String::new(),
            }],
            trail: vec![TrailEntry {
                at: self.at,
                event: Event::Accepted { class },
            }],
        };
        Some((report, Bytes::from(composed.content)))
    }
}

/// The mailbox with its domain in A-labels when that alone makes it ASCII, so that the report can
/// reach hosts without SMTPUTF8.
fn plainest(mailbox: &Mailbox) -> Mailbox {
    if mailbox.is_ascii() || !mailbox.local.is_ascii() {
        return mailbox.clone();
    }
    match Address::from_mailbox(mailbox) {
        Ok(address) => Mailbox {
            local: address.local().to_owned(),
            domain: address.domain().to_owned(),
        },
        Err(_) => mailbox.clone(),
    }
}
