//! What the queue's tests share: messages to deliver, and a next hop that follows a script.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outpost_smtp::{Body, Mailbox, Notify, Reply, ReversePath};
use tokio_util::sync::CancellationToken;

use super::deliver::{AtMail, Deliver, OpenContent};
use crate::message::{
    Attempt, Class, Contact, Delivery, DeliveryId, DeliveryState, Dialogue, Envelope, Message,
    MessageId, NextHop, Origin, Outcome, Party, Priorities, Protocol, Recipient, RecipientOutcome,
    RemoteHost, Submission, Timestamp, Transcript, Visit,
};
use crate::spool::{NewDelivery, NewMessage};

/// When every test begins.
pub(super) const START: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn mailbox(address: &str) -> Mailbox {
    Mailbox::parse(address, true).expect("a test's address is valid")
}

pub(super) fn notify(success: bool, failure: bool, delay: bool) -> Option<Notify> {
    let never = !(success || failure || delay);
    Some(Notify {
        never,
        success,
        failure,
        delay,
    })
}

/// A message of class 3 by `user`, accepted at `accepted`.
pub(super) fn message(number: u128, accepted: Timestamp, recipients: &[&str]) -> Message {
    let recipients = recipients.iter().map(|address| Recipient {
        mailbox: mailbox(address),
        notify: None,
        orcpt: None,
    });
    Message {
        id: MessageId::new(accepted, number),
        origin: Origin::Submission(Submission {
            list: "default".to_owned(),
            user: "user".to_owned(),
            client: ([192, 0, 2, 9], 50_000).into(),
            listener_port: 587,
            protocol: Protocol::Smtp,
            ehlo: "client.example".to_owned(),
            mechanism: "PLAIN".to_owned(),
            tls: None,
        }),
        envelope: Envelope {
            reverse_path: ReversePath::Mailbox(mailbox("me@a.example")),
            recipients: recipients.collect(),
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            mt_priority: None,
            deliver_by: None,
            hold: None,
            require_tls: false,
        },
        class: Class::Normal,
        priorities: Priorities {
            user: Class::Normal,
            message: None,
        },
        accepted,
        deliver_until: None,
        scheduled: None,
        content_octets: CONTENT.len() as u64,
        eight_bit: false,
        subject: "Hello".to_owned(),
        campaign: None,
    }
}

pub(super) const CONTENT: &str = "From: me@a.example\r\nSubject: Hello\r\n\r\nThe body.\r\n";

/// The delivery of all recipients of a message to one lane, before its first attempt.
pub(super) fn delivery(message: &Message) -> Delivery {
    let recipients = 0..message.envelope.recipients.len() as u32;
    Delivery {
        id: DeliveryId {
            message: message.id,
            number: 0,
        },
        next_hop: NextHop::Domain("b.example".into()),
        recipients: recipients.collect(),
        attempts: 0,
        due: message.released(),
        sequence: 0,
        state: DeliveryState::Waiting,
        delay_reported: false,
        lateness_reported: false,
        moved_from: None,
        changed: None,
        last_reply: String::new(),
    }
}

/// A message as it enters the spool, one delivery per domain of its recipients.
pub(super) fn submission(message: Message) -> NewMessage {
    let mut deliveries: Vec<NewDelivery> = Vec::new();
    for (index, recipient) in (0..).zip(&message.envelope.recipients) {
        let next_hop = next_hop(&recipient.mailbox);
        match deliveries
            .iter_mut()
            .find(|delivery| delivery.next_hop == next_hop)
        {
            Some(delivery) => delivery.recipients.push(index),
            None => deliveries.push(NewDelivery {
                next_hop,
                recipients: vec![index],
                due: message.released(),
                attempts: 0,
                delay_reported: false,
                lateness_reported: false,
                last_reply: String::new(),
            }),
        }
    }
    NewMessage {
        message,
        deliveries,
        trail: Vec::new(),
    }
}

pub(super) fn next_hop(mailbox: &Mailbox) -> NextHop {
    NextHop::Domain(mailbox.domain.as_str().into())
}

pub(super) fn host(dsn: bool) -> RemoteHost {
    RemoteHost {
        name: "mx.b.example".to_owned(),
        address: [192, 0, 2, 1].into(),
        port: 25,
        tls: None,
        dsn,
        deliver_by: false,
    }
}

pub(super) fn delivered() -> Outcome {
    Outcome::Delivered(Reply::new(250, (2, 0, 0), "Ok"))
}

pub(super) fn deferred() -> Outcome {
    Outcome::Deferred(Reply::new(451, (4, 7, 1), "Try again later"))
}

pub(super) fn bounced() -> Outcome {
    Outcome::Bounced(Reply::new(550, (5, 1, 1), "No such user"))
}

/// An attempt that reached a host, with these outcomes for the recipients of the delivery in order.
pub(super) fn attempt(delivery: &Delivery, outcomes: &[Outcome]) -> Attempt {
    let outcomes = delivery.recipients.iter().zip(outcomes);
    let outcomes = outcomes.map(|(recipient, outcome)| RecipientOutcome {
        recipient: *recipient,
        outcome: outcome.clone(),
        remote: true,
    });
    Attempt {
        visits: vec![Visit {
            host: Some(host(false)),
            took: seconds(1),
            outcomes: outcomes.collect(),
            unknown: false,
        }],
        contact: Contact::Ready,
        pauses: Vec::new(),
        mail_ago: Some(Duration::ZERO),
        dialogues: Vec::new(),
    }
}

/// An attempt that was cut off in a transaction.
fn cut_off(delivery: &Delivery, is_unknown: bool) -> Attempt {
    let mut attempt = attempt(delivery, &vec![deferred(); delivery.recipients.len()]);
    attempt.contact = Contact::CutOff;
    attempt.mail_ago = Some(Duration::ZERO);
    attempt.visits[0].unknown = is_unknown;
    let with = Party::Host {
        next_hop: delivery.next_hop.clone(),
        name: "mx.b.example".to_owned(),
        address: ([192, 0, 2, 1], 25).into(),
    };
    let dialogue = Dialogue {
        with,
        is_continued: false,
        transcript: Transcript::default(),
    };
    attempt.dialogues = vec![(Duration::ZERO, dialogue)];
    attempt
}

/// What a scripted next hop does with a delivery.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Comes to MAIL after this time, and ends with this outcome for every recipient.
    End(Duration, Outcome),
    /// Comes to MAIL, and never ends.
    Hang,
    /// Opens the content and never ends.
    HangInContent,
    /// Ends when it is cut off: behind the end of the content, of which no more is known then, or before it.
    CutOff { is_unknown: bool },
    /// Panics.
    Panic,
}

/// A next hop that follows a script, and keeps a record of what came when.
#[derive(Default)]
pub(super) struct Script {
    acts: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
    cut: CancellationToken,
}

/// An attempt that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) message: MessageId,
    pub(super) class: Class,
    /// Since the runtime's clock began.
    pub(super) at: tokio::time::Instant,
    pub(super) attempts: u32,
    pub(super) recipients: Vec<u32>,
    /// The recipient, when it is a report.
    pub(super) reverse_path: ReversePath,
}

impl Script {
    /// Follows `acts`; afterwards every delivery ends well and at once.
    pub(super) fn new(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::new(acts.into_iter().collect()),
            seen: Mutex::default(),
            cut: CancellationToken::new(),
        })
    }

    /// The attempts so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn next_act(&self) -> Act {
        let act = self
            .acts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        act.unwrap_or_else(|| Act::End(Duration::ZERO, delivered()))
    }
}

impl Deliver for Script {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
        at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Seen {
                message: message.id,
                class: message.class,
                at: tokio::time::Instant::now(),
                attempts: delivery.attempts,
                recipients: delivery.recipients.clone(),
                reverse_path: message.envelope.reverse_path.clone(),
            });
        let act = self.next_act();
        let cut = self.cut.clone();
        Box::pin(async move {
            match act {
                Act::End(after, outcome) => {
                    tokio::time::sleep(after).await;
                    at_mail();
                    attempt(&delivery, &vec![outcome; delivery.recipients.len()])
                }
                Act::Hang => {
                    at_mail();
                    std::future::pending().await
                }
                Act::HangInContent => {
                    let opened = content().await;
                    assert!(opened.is_ok(), "the content of what was claimed is there");
                    std::future::pending().await
                }
                Act::CutOff { is_unknown } => {
                    at_mail();
                    cut.cancelled().await;
                    cut_off(&delivery, is_unknown)
                }
                Act::Panic => panic!("as the script says"),
            }
        })
    }

    fn cut_off(&self) {
        self.cut.cancel();
    }
}
