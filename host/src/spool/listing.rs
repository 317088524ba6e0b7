//! Looking at the queue: pages of deliveries, and a message with all that is known of it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::message::{Delivery, Message, MessageId, Timestamp, TrailEntry};

use super::QueueState;

/// Most rows of one page: what one answer of the admin surface can carry and a reader can use.
pub const ROWS_MAX: usize = 1_000;

/// Most deliveries that are looked at for one page: a tenth of a second. A selection that matches few of many gets
/// short pages and a cursor instead of a call that takes as long as the queue is deep.
pub const ROWS_EXAMINED_MAX: usize = 4_000;

/// Recipients that one page carries, of its deliveries and of their messages; it ends with the row that reaches
/// it. A message may have thousands.
pub const PAGE_RECIPIENTS_MAX: usize = 20_000;

/// Which part of a listing.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The cursor of the page before; none for the first page. One that was not given out by this
    /// spool is refused as [`Unknown`](super::SpoolError::Unknown).
    pub cursor: Option<String>,
    /// At most this many rows (1 to [`ROWS_MAX`]; others are brought into that range).
    pub rows_max: usize,
    /// For telling waiting from deferred.
    pub now: Timestamp,
}

impl PageRequest {
    pub(super) fn rows(&self) -> usize {
        self.rows_max.clamp(1, ROWS_MAX)
    }
}

/// A part of a listing, in the order lane, class, user, due, sequence.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows; there may be fewer than asked for, even none, before the end.
    pub rows: Vec<Row>,
    /// For the next page; none at the end.
    pub cursor: Option<String>,
}

/// The rows of a page that is being made.
#[derive(Debug)]
pub(super) struct Filling {
    rows: Vec<Row>,
    rows_max: usize,
    recipients: usize,
    /// Whose recipients are counted.
    messages: HashSet<MessageId>,
}

impl Filling {
    pub(super) fn of(request: &PageRequest) -> Self {
        Self {
            rows: Vec::new(),
            rows_max: request.rows(),
            recipients: 0,
            messages: HashSet::new(),
        }
    }

    pub(super) fn push(&mut self, row: Row) {
        self.recipients += row.delivery.recipients.len();
        if self.messages.insert(row.message.id) {
            self.recipients += row.message.envelope.recipients.len();
        }
        self.rows.push(row);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= self.rows_max || self.recipients >= PAGE_RECIPIENTS_MAX
    }

    pub(super) fn end(self) -> Vec<Row> {
        self.rows
    }
}

/// A row of a listing.
#[derive(Clone, Debug)]
pub struct Row {
    /// The delivery.
    pub delivery: Delivery,
    /// Its message.
    pub message: Arc<Message>,
    /// Its state.
    pub state: QueueState,
}

/// A message with all that is known of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The message.
    pub message: Arc<Message>,
    /// What is still to be delivered, with its state.
    pub deliveries: Vec<(Delivery, QueueState)>,
    /// What happened to it.
    pub trail: Vec<TrailEntry>,
    /// When its last delivery was settled; none while it is queued.
    pub finished: Option<Timestamp>,
}
