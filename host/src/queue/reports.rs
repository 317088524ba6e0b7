//! Reports as messages of the relay's own: addressed, routed and ready for the spool.
//!
//! What a report says is composed by `message::report`; that one is due was decided by `settle`.

use bytes::Bytes;
use outpost_smtp::{Mailbox, ReversePath};

use super::run::NextHopOf;
use super::settle::{Wanted, recipient};
use crate::message::report::{Report, Reported};
use crate::message::{
    Address, Class, Envelope, Event, Message, MessageId, Origin, Priorities, Recipient, Source,
    Timestamp, TrailEntry,
};
use crate::spool::{NewDelivery, NewMessage};

/// What all reports about one attempt have in common.
pub(super) struct Writer<'a> {
    /// The name of this relay.
    pub(super) hostname: &'a str,
    /// Where mail goes.
    pub(super) next_hop: &'a NextHopOf,
    /// Now.
    pub(super) at: Timestamp,
    /// The message that the reports are about.
    pub(super) about: &'a Message,
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
                host: affected.host.as_ref(),
            })
        });
        let composed = Report {
            kind: wanted.kind,
            id,
            at: self.at,
            was_tried: wanted.was_tried,
            hostname: self.hostname,
            to: &to,
            about: self.about,
            recipients: reported.collect(),
            content: self.content,
        }
        .compose();

        // A report is no more urgent than ordinary mail, and no more urgent than what it is about:
        // very high is for what a policy found to be so.
        let class = self.about.class.max(Class::Normal);
        // RFC 5321 §4.5.5: it has no reverse-path itself.
        let source = Source {
            reverse_path: &ReversePath::Null,
            list: self.about.origin.list(),
        };
        let next_hop = (self.next_hop)(source, &to);
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
                mt_priority: None,
                deliver_by: None,
                hold: None,
                // RFC 8689 §5: it has the header of the message.
                require_tls: self.about.envelope.require_tls,
            },
            class,
            priorities: Priorities {
                user: class,
                message: None,
            },
            accepted: self.at,
            deliver_until: None,
            scheduled: None,
            content_octets: u64::try_from(composed.content.len()).unwrap_or(u64::MAX),
            eight_bit: !composed.content.is_ascii(),
            subject: composed.subject.to_owned(),
            campaign: None,
        };
        let report = NewMessage {
            message,
            deliveries: vec![NewDelivery {
                next_hop,
                recipients: vec![0],
                due: self.at,
                attempts: 0,
                delay_reported: false,
                lateness_reported: false,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use outpost_smtp::Body;

    use super::*;
    use crate::message::NextHop;
    use crate::message::report::Kind;
    use crate::queue::rehearsal::{CONTENT, START, mailbox, message, next_hop};
    use crate::queue::settle::Affected;

    fn write(about: &Message) -> Option<(NewMessage, Bytes)> {
        let wanted = Wanted {
            kind: Kind::Failure,
            was_tried: true,
            recipients: vec![Affected {
                recipient: 0,
                status: (5, 1, 1).into(),
                reply: outpost_smtp::Reply::new(550, (5, 1, 1), "No such user"),
                host: None,
            }],
        };
        Writer {
            hostname: "relay.example.com",
            next_hop: &|_, mailbox| next_hop(mailbox),
            at: START,
            about,
            content: CONTENT.as_bytes(),
        }
        .write(&wanted, MessageId::new(START, 9))
    }

    #[test]
    fn a_report_goes_to_the_reverse_path_and_is_never_reported_on() {
        let about = message(1, START, &["you@b.example"]);
        let (report, content) = write(&about).unwrap();
        assert_eq!(report.message.envelope.reverse_path, ReversePath::Null);
        assert_eq!(
            report.message.envelope.recipients[0].mailbox,
            mailbox("me@a.example")
        );
        assert_eq!(report.message.envelope.body, Body::SevenBit);
        assert_eq!(report.message.content_octets, content.len() as u64);
        assert_eq!(
            report.deliveries[0].next_hop,
            NextHop::Domain("a.example".into())
        );
        let origin = Origin::Relay {
            list: "default".to_owned(),
            about: Some(about.id),
        };
        assert_eq!(report.message.origin, origin);
    }

    #[test]
    fn there_is_no_report_for_a_null_reverse_path() {
        let mut about = message(1, START, &["you@b.example"]);
        about.envelope.reverse_path = ReversePath::Null;
        assert!(write(&about).is_none());
    }

    #[test]
    fn a_report_is_no_more_urgent_than_ordinary_mail_and_what_it_is_about() {
        for (about_class, class) in [
            (Class::VeryHigh, Class::Normal),
            (Class::Normal, Class::Normal),
            (Class::VeryLow, Class::VeryLow),
        ] {
            let mut about = message(1, START, &["you@b.example"]);
            about.class = about_class;
            assert_eq!(write(&about).unwrap().0.message.class, class);
        }
    }

    #[test]
    fn a_domain_beyond_ascii_does_not_need_smtputf8_but_a_local_part_does() {
        for (reverse_path, to, smtputf8) in [
            ("me@b\u{fc}cher.example", "me@xn--bcher-kva.example", false),
            (
                "m\u{fc}@b\u{fc}cher.example",
                "m\u{fc}@b\u{fc}cher.example",
                true,
            ),
        ] {
            let mut about = message(1, START, &["you@b.example"]);
            about.envelope.reverse_path = ReversePath::Mailbox(mailbox(reverse_path));
            let envelope = write(&about).unwrap().0.message.envelope;
            assert_eq!(envelope.recipients[0].mailbox, mailbox(to));
            assert_eq!(envelope.smtputf8, smtputf8);
        }
    }
}
