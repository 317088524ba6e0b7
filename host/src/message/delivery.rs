//! Deliveries: the unit of work, and the lines in which they wait.

use std::fmt;
use std::sync::Arc;

use super::{Class, MessageId, Timestamp};

/// The name of a delivery: the message, and a number that is unique in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The message.
    pub message: MessageId,
    /// Counts from 0; a delivery that is split or moved to another lane takes new numbers.
    pub number: u32,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.message, self.number)
    }
}

/// One message on its way to one next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// The lane that it waits in.
    pub next_hop: NextHop,
    /// Those still pending, as indexes into the envelope's recipients.
    pub recipients: Vec<u32>,
    /// Attempts that have failed so far.
    pub attempts: u32,
    /// Not to be tried before this.
    pub due: Timestamp,
    /// When it was due before an operator moved it to another time; none where no attempt can have been under way
    /// then. Should the relay have ended without a word since, this says whether it may come twice.
    pub moved_from: Option<Timestamp>,
    /// When an operator changed it last, since it was tried.
    pub changed: Option<Timestamp>,
    /// Order of acceptance over the whole spool, given by the spool.
    pub sequence: u64,
    /// Waiting, or kept back by an operator.
    pub state: DeliveryState,
    /// Whether a delay warning has been sent for it.
    pub delay_reported: bool,
    /// Whether its sender has been told that it is later than he wanted (RFC 2852 §4.1.3).
    pub lateness_reported: bool,
    /// The reply or reason of the last failed attempt; empty before the first.
    pub last_reply: String,
}

/// Whether a delivery takes part in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Goes when it is due and its turn has come.
    Waiting,
    /// Kept back until an operator releases it.
    Held,
    /// Taken out of the queue by an operator, who may still want it back.
    Cancelled(Cancelled),
}

/// A delivery that was cancelled and can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cancelled {
    /// From then on it is removed for good.
    pub until: Timestamp,
    /// Whether it was held before, and is again when it is restored.
    pub was_held: bool,
}

/// Where a delivery goes; all deliveries to one next hop form a lane. A copy shares its name: there are many of each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// The hosts that the MX records of this domain name, in lower-case A-labels or as an address literal.
    Domain(Arc<str>),
    /// A smarthost of the configuration: `host:port`, as written there.
    Smarthost(Arc<str>),
}

/// The printed form, which [`NextHop::parse`] reads back: `example.com`, `smarthost 127.0.0.1:2500`.
impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHop::Domain(domain) => f.write_str(domain),
            NextHop::Smarthost(host) => write!(f, "smarthost {host}"),
        }
    }
}

impl NextHop {
    /// Reads the printed form. A domain has no blank in it, so the two never meet.
    pub fn parse(text: &str) -> NextHop {
        match text.strip_prefix("smarthost ") {
            Some(host) => NextHop::Smarthost(host.into()),
            None => NextHop::Domain(text.into()),
        }
    }

    /// Whether this is its printed form, without regard to case.
    pub fn is_named(&self, text: &str) -> bool {
        match (self, text.strip_prefix("smarthost ")) {
            (NextHop::Smarthost(host), Some(named)) => host.eq_ignore_ascii_case(named),
            (NextHop::Domain(domain), None) => domain.eq_ignore_ascii_case(text),
            _ => false,
        }
    }
}

/// Where deliveries wait in order of due time and sequence: one line per lane, class and user.
/// Memory grows with the lanes and users that have mail, never with the mail in them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    /// The lane.
    pub next_hop: NextHop,
    /// The class.
    pub class: Class,
    /// The user; empty for the relay's own mail.
    pub user: Arc<str>,
}
