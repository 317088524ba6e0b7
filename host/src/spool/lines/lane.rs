//! What is known of a lane and class: which of its lines are shown, and what of the others.

use std::collections::HashSet;
use std::sync::Arc;

use crate::message::{Class, Line, MessageId, NextHop, Roster, Timestamp};
use crate::spool::place::Place;
use crate::spool::window::Window;

/// A lane and a class, in the order in which they are looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::spool) struct Lane {
    pub(in crate::spool) class: Class,
    pub(in crate::spool) next_hop: NextHop,
}

impl Lane {
    pub(super) fn of(line: &Line) -> Self {
        Self {
            class: line.class,
            next_hop: line.next_hop.clone(),
        }
    }

    /// The line of a user.
    pub(in crate::spool) fn line_of(&self, user: Arc<str>) -> Line {
        Line {
            next_hop: self.next_hop.clone(),
            class: self.class,
            user,
        }
    }
}

/// The lines of a lane and class.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Those that are shown.
    pub(super) lines: Roster<Arc<Line>, Window>,
    /// Whether others may be on disk; none: all are shown that have something which is not leased.
    pub(super) hidden: Option<Hidden>,
}

impl Shown {
    /// Whether nothing is to be known of it.
    pub(super) fn is_empty(&self) -> bool {
        self.hidden.is_none() && self.lines.is_empty()
    }
}

/// Lines that are on disk only.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    /// They are read on behind this user, and from the first one when there is none behind him.
    pub(super) after: Option<Arc<str>>,
    /// None of those that can be shown is due before then.
    pub(super) not_before: Timestamp,
    /// When that changed last, so that a read from disk can tell that it is stale.
    pub(super) touched: u64,
}

impl Hidden {
    /// Nobody is hidden yet.
    pub(super) fn nobody() -> Self {
        Self {
            after: None,
            not_before: Timestamp::NEVER,
            touched: 0,
        }
    }

    /// Who is hidden beside this line is not known.
    pub(super) fn unknown(line: &Line, touched: u64) -> Self {
        Self {
            after: Some(Arc::clone(&line.user)),
            not_before: Timestamp::EPOCH,
            touched,
        }
    }

    /// Something that is due then is hidden from now on.
    pub(super) fn comes(&mut self, due: Timestamp, touched: u64) {
        self.not_before = self.not_before.min(due);
        self.touched = touched;
    }
}

/// Which hidden lines of a lane are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::spool) struct Search {
    pub(in crate::spool) lane: Lane,
    /// Behind this user first.
    pub(in crate::spool) after: Arc<str>,
    /// So many of those that are due; where there are fewer, those that fall due first.
    pub(in crate::spool) most: usize,
    /// Not those of these users, which are shown.
    pub(in crate::spool) shown: HashSet<Arc<str>>,
    /// For telling what is due.
    pub(in crate::spool) now: Timestamp,
    pub(super) touched: u64,
}

/// What was read of the hidden lines of a lane.
#[derive(Clone, Debug)]
pub(in crate::spool) struct Found {
    /// The first delivery of each, leased or not, in the order in which they were found.
    pub(in crate::spool) heads: Vec<(Place, MessageId)>,
    /// None of the others that are not stopped is due before then.
    pub(in crate::spool) others_due: Timestamp,
    /// Whether there are no others, stopped ones among them.
    pub(in crate::spool) is_all: bool,
}

impl Found {
    /// All that there may be is stopped.
    pub(in crate::spool) fn stopped() -> Self {
        Self {
            heads: Vec::new(),
            others_due: Timestamp::NEVER,
            is_all: false,
        }
    }
}
