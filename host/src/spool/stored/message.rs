//! A message in its stored form, with what had happened to it when it was enqueued.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use outpost_smtp::{Body, ByMode, Mailbox, Notify, Orcpt, Ret, ReversePath};
use serde::{Deserialize, Serialize};

use crate::message::{self, Class, MessageId, Protocol, Timestamp};

use super::trail::Entry;
use super::{Damage, Stored, Tls, behind, class, take};

/// A message and what had happened to it when it was enqueued.
#[derive(Serialize)]
pub(in crate::spool) struct MessageRecord<'a> {
    first: First<'a>,
    third: Third,
    fourth: Fourth,
    fifth: Fifth<'a>,
}

/// What the record has had from the first form on.
#[derive(Serialize, Deserialize)]
struct First<'a> {
    #[serde(borrow)]
    origin: Origin<'a>,
    #[serde(borrow)]
    envelope: Envelope<'a>,
    class: u8,
    user_class: u8,
    message_class: Option<u8>,
    accepted: u64,
    deliver_until: Option<u64>,
    content_octets: u64,
    eight_bit: bool,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    #[serde(borrow)]
    trail: Vec<Entry<'a>>,
    /// How many deliveries it was enqueued with.
    deliveries: u32,
}

/// What the third form has behind that.
#[derive(Default, Serialize, Deserialize)]
struct Third {
    mt_priority: Option<i8>,
    scheduled: Option<u64>,
    deliver_by: Option<DeliverBy>,
}

/// What the fourth form has behind that.
#[derive(Default, Serialize, Deserialize)]
struct Fourth {
    hold: Option<Hold>,
    require_tls: bool,
}

/// What the fifth form has behind that.
#[derive(Default, Serialize, Deserialize)]
struct Fifth<'a> {
    #[serde(borrow)]
    campaign: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Hold {
    /// In seconds.
    For(u64),
    /// In milliseconds since the epoch.
    Until(u64),
}

#[derive(Serialize, Deserialize)]
struct DeliverBy {
    until: u64,
    is_returned: bool,
    is_traced: bool,
}

impl<'a> Stored<'a> for MessageRecord<'a> {
    fn take(form: u8, octets: &'a [u8]) -> Result<(Self, &'a [u8]), Damage> {
        let (first, rest) = take(octets)?;
        let (third, rest) = behind(3, form, rest)?;
        let (fourth, rest) = behind(4, form, rest)?;
        let (fifth, rest) = behind(5, form, rest)?;
        let record = Self {
            first,
            third,
            fourth,
            fifth,
        };
        Ok((record, rest))
    }
}

impl<'a> MessageRecord<'a> {
    pub(in crate::spool) fn of(
        message: &'a message::Message,
        trail: &'a [message::TrailEntry],
        deliveries: u32,
    ) -> Self {
        let first = First {
            origin: Origin::of(&message.origin),
            envelope: Envelope::of(&message.envelope),
            class: message.class.number(),
            user_class: message.priorities.user.number(),
            message_class: message.priorities.message.map(Class::number),
            accepted: message.accepted.unix_milliseconds(),
            deliver_until: message.deliver_until.map(Timestamp::unix_milliseconds),
            content_octets: message.content_octets,
            eight_bit: message.eight_bit,
            subject: Cow::Borrowed(&message.subject),
            trail: trail.iter().map(Entry::of).collect(),
            deliveries,
        };
        let third = Third {
            mt_priority: message.envelope.mt_priority,
            scheduled: message.scheduled.map(Timestamp::unix_milliseconds),
            deliver_by: message.envelope.deliver_by.map(DeliverBy::of),
        };
        let fourth = Fourth {
            hold: message.envelope.hold.map(Hold::of),
            require_tls: message.envelope.require_tls,
        };
        let fifth = Fifth {
            campaign: message.campaign.as_deref().map(Cow::Borrowed),
        };
        Self {
            first,
            third,
            fourth,
            fifth,
        }
    }

    /// The message, which is stored under `id`.
    pub(in crate::spool) fn message(&self, id: MessageId) -> Result<message::Message, Damage> {
        let Self {
            first,
            third,
            fourth,
            fifth,
        } = self;
        Ok(message::Message {
            id,
            origin: first.origin.read(),
            envelope: first.envelope.read(third, fourth),
            class: class(first.class)?,
            priorities: message::Priorities {
                user: class(first.user_class)?,
                message: first.message_class.map(class).transpose()?,
            },
            accepted: Timestamp::from_unix_milliseconds(first.accepted),
            deliver_until: first.deliver_until.map(Timestamp::from_unix_milliseconds),
            scheduled: third.scheduled.map(Timestamp::from_unix_milliseconds),
            content_octets: first.content_octets,
            eight_bit: first.eight_bit,
            subject: first.subject.to_string(),
            campaign: fifth.campaign.as_ref().map(Cow::to_string),
        })
    }

    pub(in crate::spool) fn trail(&self) -> Result<Vec<message::TrailEntry>, Damage> {
        self.first.trail.iter().map(Entry::read).collect()
    }

    /// How many octets stand in this form behind what an older one has.
    #[cfg(test)]
    pub(super) fn behind(&self, form: u8) -> usize {
        let fifth = postcard::to_stdvec(&self.fifth).map_or(0, |octets| octets.len());
        let fourth = postcard::to_stdvec(&self.fourth).map_or(0, |octets| octets.len());
        let third = postcard::to_stdvec(&self.third).map_or(0, |octets| octets.len());
        match form {
            1 | 2 => third + fourth + fifth,
            3 => fourth + fifth,
            4 => fifth,
            _ => 0,
        }
    }

    /// How many deliveries it was enqueued with.
    pub(in crate::spool) fn deliveries(&self) -> u32 {
        self.first.deliveries
    }

    pub(in crate::spool) fn set_scheduled(&mut self, at: Timestamp) {
        self.third.scheduled = Some(at.unix_milliseconds());
    }

    pub(in crate::spool) fn set_class(&mut self, class: Class) {
        self.first.class = class.number();
    }
}

impl Hold {
    fn of(hold: outpost_smtp::Hold) -> Self {
        match hold {
            outpost_smtp::Hold::For(interval) => Self::For(interval.as_secs()),
            outpost_smtp::Hold::Until(time) => {
                Self::Until(Timestamp::EPOCH.plus(time).unix_milliseconds())
            }
        }
    }

    fn read(self) -> outpost_smtp::Hold {
        match self {
            Self::For(seconds) => outpost_smtp::Hold::For(Duration::from_secs(seconds)),
            Self::Until(time) => outpost_smtp::Hold::Until(Duration::from_millis(time)),
        }
    }
}

impl DeliverBy {
    fn of(by: message::DeliverBy) -> Self {
        Self {
            until: by.until.unix_milliseconds(),
            is_returned: by.mode == ByMode::Return,
            is_traced: by.trace,
        }
    }

    fn read(&self) -> message::DeliverBy {
        message::DeliverBy {
            until: Timestamp::from_unix_milliseconds(self.until),
            mode: match self.is_returned {
                true => ByMode::Return,
                false => ByMode::Notify,
            },
            trace: self.is_traced,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Origin<'a> {
    /// By SMTP.
    Submission(#[serde(borrow)] Submission<'a>),
    Relay {
        #[serde(borrow)]
        list: Cow<'a, str>,
        about: Option<u128>,
    },
    /// By HTTP.
    Posted(#[serde(borrow)] Submission<'a>),
}

#[derive(Serialize, Deserialize)]
struct Submission<'a> {
    #[serde(borrow)]
    list: Cow<'a, str>,
    #[serde(borrow)]
    user: Cow<'a, str>,
    client: SocketAddr,
    listener_port: u16,
    #[serde(borrow)]
    ehlo: Cow<'a, str>,
    #[serde(borrow)]
    mechanism: Cow<'a, str>,
    #[serde(borrow)]
    tls: Option<Tls<'a>>,
}

impl<'a> Origin<'a> {
    fn of(origin: &'a message::Origin) -> Self {
        match origin {
            message::Origin::Submission(submission) => match submission.protocol {
                Protocol::Smtp => Self::Submission(Submission::of(submission)),
                Protocol::Http => Self::Posted(Submission::of(submission)),
            },
            message::Origin::Relay { list, about } => Self::Relay {
                list: Cow::Borrowed(list),
                about: about.map(MessageId::to_bits),
            },
        }
    }

    fn read(&self) -> message::Origin {
        match self {
            Self::Submission(submission) => {
                message::Origin::Submission(submission.read(Protocol::Smtp))
            }
            Self::Posted(submission) => {
                message::Origin::Submission(submission.read(Protocol::Http))
            }
            Self::Relay { list, about } => message::Origin::Relay {
                list: list.to_string(),
                about: about.map(MessageId::from_bits),
            },
        }
    }
}

impl<'a> Submission<'a> {
    fn of(submission: &'a message::Submission) -> Self {
        Self {
            list: Cow::Borrowed(&submission.list),
            user: Cow::Borrowed(&submission.user),
            client: submission.client,
            listener_port: submission.listener_port,
            ehlo: Cow::Borrowed(&submission.ehlo),
            mechanism: Cow::Borrowed(&submission.mechanism),
            tls: submission.tls.as_ref().map(Tls::of),
        }
    }

    fn read(&self, protocol: Protocol) -> message::Submission {
        message::Submission {
            list: self.list.to_string(),
            user: self.user.to_string(),
            client: self.client,
            listener_port: self.listener_port,
            protocol,
            ehlo: self.ehlo.to_string(),
            mechanism: self.mechanism.to_string(),
            tls: self.tls.as_ref().map(Tls::read),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    reverse_path: Option<Address<'a>>,
    #[serde(borrow)]
    recipients: Vec<Recipient<'a>>,
    eight_bit_mime: bool,
    smtputf8: bool,
    /// Whether reports return the whole message.
    ret_full: Option<bool>,
    #[serde(borrow)]
    envid: Option<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    fn of(envelope: &'a message::Envelope) -> Self {
        Self {
            reverse_path: match &envelope.reverse_path {
                ReversePath::Null => None,
                ReversePath::Mailbox(mailbox) => Some(Address::of(mailbox)),
            },
            recipients: envelope.recipients.iter().map(Recipient::of).collect(),
            eight_bit_mime: envelope.body == Body::EightBitMime,
            smtputf8: envelope.smtputf8,
            ret_full: envelope.ret.map(|ret| ret == Ret::Full),
            envid: envelope.envid.as_deref().map(Cow::Borrowed),
        }
    }

    fn read(&self, third: &Third, fourth: &Fourth) -> message::Envelope {
        message::Envelope {
            reverse_path: match &self.reverse_path {
                None => ReversePath::Null,
                Some(address) => ReversePath::Mailbox(address.read()),
            },
            recipients: self.recipients.iter().map(Recipient::read).collect(),
            body: if self.eight_bit_mime {
                Body::EightBitMime
            } else {
                Body::SevenBit
            },
            smtputf8: self.smtputf8,
            ret: self
                .ret_full
                .map(|full| if full { Ret::Full } else { Ret::Headers }),
            envid: self.envid.as_ref().map(Cow::to_string),
            mt_priority: third.mt_priority,
            deliver_by: third.deliver_by.as_ref().map(DeliverBy::read),
            hold: fourth.hold.map(Hold::read),
            require_tls: fourth.require_tls,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    local: Cow<'a, str>,
    #[serde(borrow)]
    domain: Cow<'a, str>,
}

impl<'a> Address<'a> {
    fn of(mailbox: &'a Mailbox) -> Self {
        Self {
            local: Cow::Borrowed(&mailbox.local),
            domain: Cow::Borrowed(&mailbox.domain),
        }
    }

    fn read(&self) -> Mailbox {
        Mailbox {
            local: self.local.to_string(),
            domain: self.domain.to_string(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Recipient<'a> {
    #[serde(borrow)]
    mailbox: Address<'a>,
    notify: Option<Wanted>,
    #[serde(borrow)]
    orcpt: Option<(Cow<'a, str>, Cow<'a, str>)>,
}

#[derive(Serialize, Deserialize)]
struct Wanted {
    never: bool,
    success: bool,
    failure: bool,
    delay: bool,
}

impl<'a> Recipient<'a> {
    fn of(recipient: &'a message::Recipient) -> Self {
        Self {
            mailbox: Address::of(&recipient.mailbox),
            notify: recipient.notify.map(|notify| Wanted {
                never: notify.never,
                success: notify.success,
                failure: notify.failure,
                delay: notify.delay,
            }),
            orcpt: recipient.orcpt.as_ref().map(|orcpt| {
                (
                    Cow::Borrowed(orcpt.address_type.as_str()),
                    Cow::Borrowed(orcpt.address.as_str()),
                )
            }),
        }
    }

    fn read(&self) -> message::Recipient {
        message::Recipient {
            mailbox: self.mailbox.read(),
            notify: self.notify.as_ref().map(|wanted| Notify {
                never: wanted.never,
                success: wanted.success,
                failure: wanted.failure,
                delay: wanted.delay,
            }),
            orcpt: self.orcpt.as_ref().map(|(address_type, address)| Orcpt {
                address_type: address_type.to_string(),
                address: address.to_string(),
            }),
        }
    }
}
