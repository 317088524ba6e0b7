//! The envelope: where a message comes from, where it goes, and which reports are wanted.

use outpost_smtp::{Body, ByMode, Mailbox, Notify, Orcpt, Ret, ReversePath};

use super::Timestamp;

/// The envelope as it was accepted (RFC 5321 §2.3.1, RFC 3461).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where reports go; null for reports themselves.
    pub reverse_path: ReversePath,
    /// Everyone the message was accepted for, in the order of the RCPT commands. Deliveries name
    /// them by their index here.
    pub recipients: Vec<Recipient>,
    /// How the content was declared (RFC 6152).
    pub body: Body,
    /// Whether the next hop must offer SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// How much of the message a report returns (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// The sender's own name for this message in reports, decoded (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// The priority that MAIL asked for, as it is handed on (RFC 6710 §4): -9 to 9.
    pub mt_priority: Option<i8>,
    /// By when it was to be delivered (RFC 2852).
    pub deliver_by: Option<DeliverBy>,
}

/// By when a message is to be delivered, and what follows when it is not (RFC 2852 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliverBy {
    /// The time.
    pub until: Timestamp,
    /// What follows.
    pub mode: ByMode,
    /// Whether the sender wants to hear of each relay that takes it on.
    pub trace: bool,
}

/// One accepted recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where to.
    pub mailbox: Mailbox,
    /// Which reports are wanted (RFC 3461 §4.1); none given means failure, and delay at our choice.
    pub notify: Option<Notify>,
    /// The recipient as its sender first knew it (RFC 3461 §4.2).
    pub orcpt: Option<Orcpt>,
}
