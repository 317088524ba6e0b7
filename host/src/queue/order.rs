//! Order: which class goes next, and which place a delivery has inside its class.
//!
//! The scheduler knows what is due and where there is room; this file alone says who goes first
//! among them. Classes are served strictly by urgency. Shares between the classes below very
//! high, and turns between users, are two more answers of the same questions and belong here.

use crate::message::{Class, Timestamp};
use crate::spool::Head;

/// A place among the due deliveries of one class: due time, then acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// When it fell due.
    pub(super) due: Timestamp,
    /// Its place among those of the same due time.
    pub(super) sequence: u64,
}

impl From<Head> for Place {
    fn from(head: Head) -> Self {
        Self {
            due: head.due,
            sequence: head.sequence,
        }
    }
}

/// Decides between classes.
#[derive(Debug, Default)]
pub(super) struct Order;

impl Order {
    /// The class to serve next among those that have a delivery which can go now.
    pub(super) fn choose(&self, can_go: impl Fn(Class) -> bool) -> Option<Class> {
        Class::ALL.into_iter().find(|class| can_go(*class))
    }
}
