//! What goes into the spool, what is claimed from it, and how a claim ends.

use std::sync::Arc;

use bytes::Bytes;

use crate::message::{
    Delivery, DeliveryId, DeliveryState, Line, Message, NextHop, Timestamp, TrailEntry,
};

/// A message to be enqueued.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The message; its `content_octets` is what the intake counted.
    pub message: Message,
    /// The envelope split by next hop.
    pub deliveries: Vec<NewDelivery>,
    /// What has happened to it so far.
    pub trail: Vec<TrailEntry>,
}

/// A delivery to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// The lane.
    pub next_hop: NextHop,
    /// Indexes into the envelope's recipients.
    pub recipients: Vec<u32>,
    /// Not to be tried before this.
    pub due: Timestamp,
    /// Attempts that have failed so far (kept when a delivery is split or moved).
    pub attempts: u32,
    /// Whether a delay warning has been sent for these recipients.
    pub delay_reported: bool,
    /// Whether their sender has been told that they are later than he wanted.
    pub lateness_reported: bool,
    /// The reply or reason of the last failed attempt.
    pub last_reply: String,
}

impl NewDelivery {
    /// A delivery that has not been tried yet.
    pub fn first(next_hop: NextHop, recipients: Vec<u32>, due: Timestamp) -> Self {
        Self {
            next_hop,
            recipients,
            due,
            attempts: 0,
            delay_reported: false,
            lateness_reported: false,
            last_reply: String::new(),
        }
    }

    /// The delivery that it becomes.
    pub(super) fn into_delivery(
        self,
        id: DeliveryId,
        sequence: u64,
        state: DeliveryState,
    ) -> Delivery {
        Delivery {
            id,
            next_hop: self.next_hop,
            recipients: self.recipients,
            attempts: self.attempts,
            due: self.due,
            moved_from: None,
            changed: None,
            sequence,
            state,
            delay_reported: self.delay_reported,
            lateness_reported: self.lateness_reported,
            last_reply: self.last_reply,
        }
    }
}

/// The proof of having a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Tells this lease from earlier ones on the same delivery.
    pub number: u64,
}

/// A delivery that was claimed.
#[derive(Clone, Debug)]
pub struct Claim {
    /// To settle or release it with.
    pub lease: Lease,
    /// What to deliver.
    pub delivery: Delivery,
    /// The message that it belongs to.
    pub message: Arc<Message>,
    /// The process before this one ended in the middle of its work when this was due already: an attempt
    /// may have been under way.
    pub interrupted: bool,
    /// When an operator let it go or changed it last, or ended a stop that kept it back; none where that is not
    /// known. Until then it may have waited for him.
    pub let_go: Option<Timestamp>,
}

impl Claim {
    /// Whether MAIL may have been written for it before.
    pub fn may_have_begun(&self) -> bool {
        // An attempt that a stop cut off is charged to nobody, and leaves its reply.
        self.interrupted || self.delivery.attempts > 0 || !self.delivery.last_reply.is_empty()
    }
}

/// The answer to a claim.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The delivery; none when nothing in the line is due.
    pub claim: Option<Claim>,
    /// The head of the line after it; none when nothing is waiting, or when another line has its turn first.
    pub head: Option<Head>,
}

/// The first waiting delivery of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// When it is due.
    pub due: Timestamp,
    /// Its place among those of the same due time, over the whole spool.
    pub sequence: u64,
}

/// A line whose head is another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineChange {
    /// The line. Shared, since there may be very many.
    pub line: Arc<Line>,
    /// Its head; none when nothing is waiting in it.
    pub head: Option<Head>,
}

/// How a claimed delivery goes on.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The claim's lease.
    pub lease: Lease,
    /// What remains to be done, in place of the claimed delivery; empty when all its recipients are finished.
    pub remaining: Vec<NewDelivery>,
    /// Reports that follow from it, with their content (small, made here).
    pub reports: Vec<(NewMessage, Bytes)>,
    /// What to add to the trail.
    pub trail: Vec<TrailEntry>,
    /// What is counted of it; none where nothing was tried and nothing has ended.
    pub outcomes: Option<Outcomes>,
    /// Whether it is made for a delivery that an operator has cancelled meanwhile: what remains stays cancelled.
    pub is_cancelled: bool,
}

/// What became of a claimed delivery, for the statistics.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// The message as it was claimed: it counts in the class in which it was sent.
    pub message: Arc<Message>,
    /// When it was known.
    pub at: Timestamp,
    /// What became of whom.
    pub fates: Fates,
}

/// Recipients of a claimed delivery by what became of them: indexes into the envelope's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// A next hop took responsibility.
    pub delivered: Vec<u32>,
    /// Deferred by an attempt.
    pub deferred: Vec<u32>,
    /// Refused for good.
    pub bounced: Vec<u32>,
    /// Given up after waiting as long as they may.
    pub expired: Vec<u32>,
}

/// Whether what remains keeps the name of the claimed delivery: when it stays in its lane whole.
/// Parts of a split, and what moves to another lane, take new numbers.
pub(super) fn keeps_name(claimed: &Delivery, remaining: &[NewDelivery]) -> bool {
    match remaining {
        [] => true,
        [only] => only.next_hop == claimed.next_hop,
        _ => false,
    }
}

/// What an operator asked of a delivery while it was leased: it takes effect at the settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Due at that time, or sooner.
    Retry(Timestamp),
    /// Due at that time, whatever the settlement says.
    Reschedule(Timestamp),
}

/// What a settlement puts in place of the claimed delivery, numbered from `first_number` on when it
/// does not [keep its name](keeps_name).
///
/// All keep their place in the order of acceptance. What moves or is split without an attempt keeps what an operator did to
/// it too, and whether an attempt may have been under way when the relay ended. A hold that came while it was leased holds
/// what remains, and a cancel keeps it cancelled; what was `asked` then decides when it is due.
pub(super) fn remaining_deliveries(
    claimed: &Delivery,
    remaining: Vec<NewDelivery>,
    asked: Option<Asked>,
    first_number: u32,
) -> Vec<Delivery> {
    let keeps_name = keeps_name(claimed, &remaining);
    (first_number..)
        .zip(remaining)
        .map(|(number, mut new)| {
            let is_as_it_was =
                !keeps_name && (new.attempts, new.due) == (claimed.attempts, claimed.due);
            match asked {
                Some(Asked::Retry(at)) => new.due = new.due.min(at),
                Some(Asked::Reschedule(at)) => new.due = at,
                None => {}
            }
            let id = DeliveryId {
                message: claimed.id.message,
                number: if keeps_name {
                    claimed.id.number
                } else {
                    number
                },
            };
            let remains = new.into_delivery(id, claimed.sequence, claimed.state);
            match is_as_it_was {
                true => Delivery {
                    moved_from: claimed.moved_from,
                    changed: claimed.changed,
                    ..remains
                },
                false => remains,
            }
        })
        .collect()
}
