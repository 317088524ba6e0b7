//! A message as it stands on the spool: who submitted it, what it is, how urgent.

use std::net::SocketAddr;

use super::{Class, Envelope, MessageId, Timestamp};

/// What was accepted, apart from its content and its trail. Immutable but for the class, which an
/// operator may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The name of the message everywhere.
    pub id: MessageId,
    /// Where it came from.
    pub origin: Origin,
    /// Reverse-path, recipients and what they asked for.
    pub envelope: Envelope,
    /// The effective priority.
    pub class: Class,
    /// The numbers that the class came from.
    pub priorities: Priorities,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// From when on delivery makes no sense any more, as a policy component said; none: the queue's own
    /// expiry counts.
    pub deliver_until: Option<Timestamp>,
    /// Not to be sent before this, as its sender asked (RFC 4865, or the `Schedule` of X-SMTPAPI).
    pub scheduled: Option<Timestamp>,
    /// Octets of the content, trace header included.
    pub content_octets: u64,
    /// Whether the content has octets above 127 (it needs 8BITMIME at the next hop).
    pub eight_bit: bool,
    /// The Subject field for the queue's lists: unfolded, decoded, cut to 200 characters.
    pub subject: String,
    /// The name under which its sender wants it counted, as its header says it.
    pub campaign: Option<String>,
}

impl Message {
    /// From when on it may be sent. Expiry and delay warnings count from here: what waits as its sender wanted is
    /// not delayed.
    pub fn released(&self) -> Timestamp {
        self.scheduled
            .map_or(self.accepted, |scheduled| scheduled.max(self.accepted))
    }

    /// The priority that next hops are told, where MAIL asked for one: just that, since what makes a message more urgent
    /// here need not count elsewhere. Where the message has a less urgent class it is the nearest value of that class (RFC
    /// 6710 §4.2), or what a component, a limit of the account or an operator has decided would be worth nothing behind
    /// the next hop.
    pub fn mt_priority(&self) -> Option<i8> {
        let asked = self.envelope.mt_priority?;
        Some(asked.min(self.class.mt_priority_nearest(asked)))
    }
}

/// What stands in the place of a user in the figures of the relay's own mail, and of a list where it belongs to none: a
/// letter about the relay. No user and no list can have this name.
pub const RELAY: &str = "(relay)";

/// Where a message came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client submitted it after a login.
    Submission(Submission),
    /// The relay itself wrote it: a bounce, a delay warning or a notification, on behalf of a list.
    Relay {
        /// The list that it belongs to.
        list: String,
        /// The message that it reports on, when there is one.
        about: Option<MessageId>,
    },
}

/// Who submitted a message, from where and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The list of the user.
    pub list: String,
    /// The user that was logged in.
    pub user: String,
    /// Address and port of the client.
    pub client: SocketAddr,
    /// The port that the client connected to.
    pub listener_port: u16,
    /// How it came in.
    pub protocol: Protocol,
    /// What the client called itself in EHLO or HELO; over HTTP its address stands for that.
    pub ehlo: String,
    /// The SASL mechanism of the login, or the scheme of HTTP.
    pub mechanism: String,
    /// The protection of the connection; none in clear.
    pub tls: Option<TlsParameters>,
}

/// What a message was submitted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A mail transaction (RFC 6409).
    Smtp,
    /// A request to the admin surface that has the message as its body.
    Http,
}

/// What a TLS handshake agreed on, in the names of the IANA registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsParameters {
    /// `TLSv1.3`.
    pub version: String,
    /// `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
}

/// Where a class came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priorities {
    /// The user's priority when the message was accepted.
    pub user: Class,
    /// What the message itself asked for; none when it carried nothing well-formed.
    pub message: Option<Class>,
}

impl Origin {
    /// The list that the message belongs to.
    pub fn list(&self) -> &str {
        match self {
            Origin::Submission(submission) => &submission.list,
            Origin::Relay { list, .. } => list,
        }
    }

    /// The user that submitted the message; empty for the relay's own mail, which takes its turn
    /// as a user of its own.
    pub fn user(&self) -> &str {
        match self {
            Origin::Submission(submission) => &submission.user,
            Origin::Relay { .. } => "",
        }
    }
}
