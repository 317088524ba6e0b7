//! Figures of a spool.

use crate::message::Class;

/// Figures for metrics and health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Deliveries queued, by class (index 0 is class 1), leased and held ones included.
    pub queued: [u64; 5],
    /// Deliveries that were cancelled and can be restored; they are not queued.
    pub cancelled: u64,
    /// Octets of content in flight: being taken in, or waiting to be committed.
    pub octets_in_flight: u64,
    /// The limit for them.
    pub octets_in_flight_max: u64,
    /// Transactions committed with a sync since start.
    pub commits: u64,
    /// Whether the last write succeeded.
    pub writable: bool,
}

/// The place of a class in [`Figures::queued`].
pub(super) fn class_index(class: Class) -> usize {
    usize::from(class.number() - 1)
}
