//! Reports: what a sender is told about the fate of a message (RFC 3464, RFC 6522, RFC 6533).
//!
//! A report is a multipart/report of three parts: what happened in plain words, the same for
//! machines, and the message or its header. This module composes them and nothing else: whether
//! somebody wants a report, and where it goes, is decided elsewhere.
//!
//! What other hosts and senders wrote (replies, addresses, subjects) is hostile input here. It is
//! cut, stripped of control characters and encoded, so that it can neither add a header field nor
//! break a line limit. A report is 7-bit clean unless it returns an 8-bit message whole, or its
//! own recipient has an address beyond ASCII.

mod explain;
mod returned;
mod status;
mod text;

use outpost_smtp::{Body, EnhancedStatus, Mailbox, Reply};

use super::seven_bit::Survey;
use super::{Message, MessageId, Recipient, RemoteHost, Timestamp};
use returned::Returned;

/// What a report says about its recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The message will not reach them.
    Failure,
    /// The message has not reached them yet.
    Delay {
        /// When it is given up (Will-Retry-Until, RFC 3464 §2.3.9).
        retry_until: Timestamp,
    },
    /// The message was handed to a host that sends no reports itself (RFC 3461 §5.2.2). A relay
    /// delivers nothing to a mailbox, so it never claims more than that.
    Success,
    /// The message was handed to a host, and its sender wants to hear of each relay, or of those that do not know
    /// by when it is to be delivered (RFC 2852 §4.1.4).
    Relay,
}

impl Kind {
    /// The word for logs, metrics and the trail: `failure`, `delay`, `success` or `relay`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Failure => "failure",
            Kind::Delay { .. } => "delay",
            Kind::Success => "success",
            Kind::Relay => "relay",
        }
    }

    const fn subject(self) -> &'static str {
        match self {
            Kind::Failure => "Your message could not be delivered",
            Kind::Delay { .. } => "Your message is delayed",
            Kind::Success | Kind::Relay => "Your message was relayed",
        }
    }
}

/// A recipient that is reported on.
#[derive(Clone, Debug)]
pub struct Reported<'a> {
    /// The recipient as it was accepted.
    pub recipient: &'a Recipient,
    /// The state of the delivery (RFC 3463).
    pub status: EnhancedStatus,
    /// The reply behind it.
    pub reply: &'a Reply,
    /// The host that gave the reply; none when it is our own.
    pub host: Option<&'a RemoteHost>,
}

/// A report to be composed.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What it says.
    pub kind: Kind,
    /// Its own id.
    pub id: MessageId,
    /// Now: its date.
    pub at: Timestamp,
    /// Whether that is the date of the last attempt too; when earlier ones were is not known (RFC 3464 §2.3.7).
    pub was_tried: bool,
    /// The name of this relay.
    pub hostname: &'a str,
    /// Whom it is addressed to: the reverse-path of the message.
    pub to: &'a Mailbox,
    /// The message that it is about.
    pub about: &'a Message,
    /// Whom it is about.
    pub recipients: Vec<Reported<'a>>,
    /// The content of the message from its first octet, as much of it as may be returned. It counts
    /// as whole when it has `about.content_octets`; empty returns nothing.
    pub content: &'a [u8],
}

/// A report as it goes on the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// Header and body, lines ended by CRLF.
    pub content: Vec<u8>,
    /// How the content must be declared.
    pub body: Body,
    /// Whether it must travel with SMTPUTF8.
    pub smtputf8: bool,
    /// Its Subject.
    pub subject: &'static str,
}

impl Report<'_> {
    /// Composes the message.
    pub fn compose(&self) -> Composed {
        let smtputf8 = !self.to.is_ascii();
        let composed = self.compose_with(&Returned::choose(self, smtputf8), smtputf8);
        // A host without 8BITMIME would have it bounced, and nobody hears of a report that bounces.
        if composed.body == Body::EightBitMime && !smtputf8 && !is_convertible(&composed.content) {
            return self.compose_with(&Returned::header(self, smtputf8), smtputf8);
        }
        composed
    }

    fn compose_with(&self, returned: &Returned<'_>, smtputf8: bool) -> Composed {
        let eight_bit = smtputf8 || returned.is_eight_bit();
        // The id has 80 bits of randomness that nobody knew when the content was written, so the
        // content cannot contain the boundary.
        let boundary = format!("outpost-{}", self.id);

        let mut out = Vec::with_capacity(4 * 1024 + returned.octets());
        self.write_header(&mut out, &boundary, eight_bit);
        delimiter(&mut out, &boundary, "");
        self.write_explanation(&mut out);
        delimiter(&mut out, &boundary, "");
        self.write_status(&mut out, smtputf8);
        if returned.octets() > 0 {
            delimiter(&mut out, &boundary, "");
            returned.write(&mut out);
        }
        delimiter(&mut out, &boundary, "--");

        Composed {
            content: out,
            body: if eight_bit {
                Body::EightBitMime
            } else {
                Body::SevenBit
            },
            smtputf8,
            subject: self.kind.subject(),
        }
    }

    fn write_header(&self, out: &mut Vec<u8>, boundary: &str, eight_bit: bool) {
        let host = text::one_line(self.hostname, text::Script::Ascii);
        let to = text::exact(&self.to.to_string(), text::Script::Any);
        text::field(out, "Date", &self.at.to_rfc5322());
        text::field(
            out,
            "From",
            &format!("Mail Delivery System <postmaster@{host}>"),
        );
        text::field(out, "To", &format!("<{to}>"));
        text::field(out, "Subject", self.kind.subject());
        text::field(out, "Message-ID", &format!("<{}@{host}>", self.id));
        // RFC 3834 §5.2: no vacation notice answers a report.
        text::field(out, "Auto-Submitted", "auto-replied");
        text::field(out, "MIME-Version", "1.0");
        text::field(
            out,
            "Content-Type",
            &format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\""),
        );
        if eight_bit {
            text::field(out, "Content-Transfer-Encoding", "8bit");
        }
    }

    fn write_explanation(&self, out: &mut Vec<u8>) {
        let explanation = explain::explain(self);
        text::field(out, "Content-Type", "text/plain; charset=utf-8");
        if explanation.is_ascii() {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(explanation.as_bytes());
        } else {
            text::field(out, "Content-Transfer-Encoding", "quoted-printable");
            out.extend_from_slice(b"\r\n");
            text::quoted_printable(out, explanation.as_bytes());
        }
    }

    fn write_status(&self, out: &mut Vec<u8>, smtputf8: bool) {
        // RFC 6533 §4: UTF-8 in the fields has a media type of its own, and needs SMTPUTF8 all the way.
        if smtputf8 {
            text::field(out, "Content-Type", "message/global-delivery-status");
            text::field(out, "Content-Transfer-Encoding", "8bit");
        } else {
            text::field(out, "Content-Type", "message/delivery-status");
        }
        out.extend_from_slice(b"\r\n");
        let script = if smtputf8 {
            text::Script::Any
        } else {
            text::Script::Ascii
        };
        status::write(self, script, out);
    }
}

/// Whether the content can be made to have seven bits where a host takes no more.
fn is_convertible(content: &[u8]) -> bool {
    let mut survey = Survey::new();
    survey.feed(content);
    survey.finish().plan.is_ok()
}

/// RFC 2046 §5.1.1: the CRLF before a delimiter belongs to it.
fn delimiter(out: &mut Vec<u8>, boundary: &str, end: &str) {
    out.extend_from_slice(format!("\r\n--{boundary}{end}\r\n").as_bytes());
}

#[cfg(test)]
mod tests;
