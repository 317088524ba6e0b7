//! Order: which class goes next, whose turn it is in it, and which place a delivery has among those of its user.
//!
//! The scheduler knows what is due and where there is room; this file alone says who goes first among them. Very
//! high goes first, in order of acceptance. The other classes share what it leaves, and inside each the users take
//! turns: each delivery that starts is one turn. Inside a user, due time counts, then acceptance.

use std::sync::Arc;

use crate::message::{Class, ClassRule, ClassShares, Line, Timestamp, Turns};
use crate::spool::Head;

/// A place among the due deliveries of one user in one class: due time, then acceptance.
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

/// A rank among the due deliveries of one class. It may fall while its user is served elsewhere, and never rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rank {
    /// The turn of its user.
    turn: u64,
    /// Its place among those of its user.
    pub(super) place: Place,
}

/// Decides between classes and between users.
#[derive(Clone, Debug)]
pub(super) struct Order {
    classes: ClassShares,
    /// By class; those of very high take no turns.
    users: [Turns<Arc<str>>; Class::ALL.len()],
}

impl Order {
    pub(super) fn new(rule: ClassRule) -> Self {
        Self {
            classes: ClassShares::new(rule),
            users: Default::default(),
        }
    }

    /// The class to serve next among those that have a delivery which can go now.
    pub(super) fn choose(&self, can_go: impl Fn(Class) -> bool) -> Option<Class> {
        self.classes.choose(can_go)
    }

    /// The rank that a head of a line has now.
    pub(super) fn rank(&self, line: &Line, place: Place) -> Rank {
        let turn = match line.class {
            Class::VeryHigh => 0,
            class => self.users[class.index()].start(&*line.user),
        };
        Rank { turn, place }
    }

    /// A delivery of that line starts.
    pub(super) fn serve(&mut self, line: &Line) {
        self.classes.serve(line.class, 1);
        if line.class != Class::VeryHigh {
            self.users[line.class.index()].serve(&line.user, 1);
        }
    }
}
