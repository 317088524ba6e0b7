//! How an attempt ended, for each recipient.
//!
//! Temporary or permanent is a type. What follows from an outcome (a retry, a bounce) is the
//! queue's decision.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use outpost_smtp::Reply;

use super::{Dialogue, MessageId, TlsParameters};

/// What became of one recipient in one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took responsibility (RFC 5321 §4.2.5); its reply.
    Delivered(Reply),
    /// Try again later. A reply of the next hop, or one in our words when it never spoke.
    Deferred(Reply),
    /// Never try again: a bounce is due.
    Bounced(Reply),
}

impl Outcome {
    /// The reply behind it.
    pub fn reply(&self) -> &Reply {
        match self {
            Outcome::Delivered(reply) | Outcome::Deferred(reply) | Outcome::Bounced(reply) => reply,
        }
    }

    /// The reply behind it, to be changed.
    pub fn reply_mut(&mut self) -> &mut Reply {
        match self {
            Outcome::Delivered(reply) | Outcome::Deferred(reply) | Outcome::Bounced(reply) => reply,
        }
    }
}

/// An outcome and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientOutcome {
    /// Index into the envelope's recipients.
    pub recipient: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether the reply came from the remote host (reports name it as their source, RFC 3464 §2.3.5).
    pub remote: bool,
}

/// The host that an attempt spoke to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteHost {
    /// Its name: an MX host, a smarthost.
    pub name: String,
    /// The address that was connected to.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// How the connection was protected; none in clear.
    pub tls: Option<TlsParameters>,
    /// Whether the peer offers DSN, so that success reports are its business (RFC 3461 §5.2.2).
    pub dsn: bool,
    /// Whether the peer offers DELIVERBY, so that it is told by when mail is to be delivered, and tells its sender
    /// when it is not (RFC 2852 §4.1.4). Counts for the settlement only, and is not kept.
    pub deliver_by: bool,
}

/// One attempt, as the trail keeps it and the queue settles it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// What came of it at each host that decided over somebody, in the order in which they were asked.
    pub visits: Vec<Visit>,
    /// How far it got, whatever came of it.
    pub contact: Contact,
    /// When it was paused for more urgent mail, in their order.
    pub pauses: Vec<Pause>,
    /// How long before the end of the attempt the first MAIL was written; none where it did not get so far.
    pub mail_ago: Option<Duration>,
    /// What was said, connection by connection, each with how long before the end of the attempt it began.
    pub dialogues: Vec<(Duration, Dialogue)>,
}

/// A time in which an attempt was paused for very-high mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The very-high message that was being sent when it began, or the first of those that were; of several pauses
    /// that of the last.
    pub cause: MessageId,
    /// So many others were being sent then, or came to be before it ended; of several pauses of the last.
    pub others: u32,
    /// How many pauses are told together.
    pub times: u32,
    /// How long before the end of the attempt it ended; of several pauses the last.
    pub ago: Duration,
    /// How long it took; of several pauses all together.
    pub took: Duration,
    /// How it ended; of several pauses the last.
    pub end: PauseEnd,
}

impl Pause {
    /// Tells another pause together with this one.
    pub fn merge(&mut self, next: &Pause) {
        self.cause = next.cause;
        self.others = next.others;
        self.ago = next.ago;
        self.times = self.times.saturating_add(next.times);
        self.took += next.took;
        self.end = next.end;
    }
}

/// How a pause ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseEnd {
    /// Nothing more urgent was being sent any more.
    Resumed,
    /// It had been paused for as long as it may be, or what paused it had held others for so long.
    Ceiling,
    /// The attempt ended in it.
    Broken,
    /// The content ended in it: what leaves in a pause was all that was left.
    Finished,
}

/// How far an attempt got with the hosts of its next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// No host was ready for mail: none was found or answered, or none that did let us in.
    Missed,
    /// No host was asked about the mail, since one has as many connections from here as it may, and enough that
    /// wait for one. It is no failure: the attempt may be made again in a moment.
    Crowded,
    /// A host was, or may have been.
    #[default]
    Ready,
    /// The relay has cut it off, since it stops. Who was deferred in our own words has not been sent to, but for those
    /// of whom nothing is known: it is no failure, and the attempt may be made again at once.
    CutOff,
    /// No host was asked about the mail, since something very high moved when it was to be begun. It is no failure: the
    /// attempt may be made again once that has ended.
    GaveWay,
    /// No host was asked, since the routes have changed in the moment before: it is to be seen anew where the mail goes.
    Elsewhere,
}

/// What came of an attempt at one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// The host; none when no host could be reached.
    pub host: Option<RemoteHost>,
    /// How long it took, with the way there.
    pub took: Duration,
    /// At most one per pending recipient.
    pub outcomes: Vec<RecipientOutcome>,
    /// Whether the connection broke after the final dot, so that a retry may deliver twice.
    pub unknown: bool,
}

impl Visit {
    /// Whether it is not known what became of that recipient: not of one who was refused before the
    /// connection broke, which the host has said.
    pub fn is_unknown_of(&self, outcome: &RecipientOutcome) -> bool {
        self.unknown && !outcome.remote && matches!(outcome.outcome, Outcome::Deferred(_))
    }
}

impl Attempt {
    /// What became of each recipient in the end, and where, in the order of their indexes. When several
    /// hosts were asked for one recipient, the last one decides.
    pub fn outcomes(&self) -> Vec<(&RecipientOutcome, Option<&RemoteHost>)> {
        let all = self.visits.iter().flat_map(|visit| {
            let outcomes = visit.outcomes.iter();
            outcomes.map(|outcome| (outcome.recipient, (outcome, visit.host.as_ref())))
        });
        all.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// Whether the outcome at one of the hosts is unknown.
    pub fn is_unknown(&self) -> bool {
        self.visits.iter().any(|visit| visit.unknown)
    }
}
