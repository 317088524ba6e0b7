//! The spool: where accepted mail is kept until its last recipient is settled.
//!
//! [`Spool`] has one method per moment of a message's life, each one atomic and durable when it
//! returns. No transaction, cursor, key or table crosses it. Backends: redb (embedded, the default)
//! and memory (tests, can be told to fail); one contract suite runs on all. The spool knows nothing
//! about schedules, hosts or policies: it keeps what it is given in the order that it is given.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::message::{
    Class, Delivery, DeliveryId, Line, Message, MessageId, NextHop, Timestamp, TrailEntry,
};

/// A future that a backend returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, SpoolError>> + Send + 'a>>;

/// Why the spool could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// No room within the configured limits or on the disk: the client should come back later.
    #[error("the spool has no room")]
    Full,
    /// The backend failed; the source is for the log, not for the peer.
    #[error("the spool failed: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The lease is no longer valid: the delivery was settled, cancelled or changed meanwhile.
    #[error("the lease on this delivery is lost")]
    LeaseLost,
    /// There is no such message or delivery.
    #[error("there is no such message")]
    Unknown,
}

/// Keeps mail safe between reception and delivery.
pub trait Spool: Send + Sync + 'static {
    /// Begins to take in a content. Its octets count against the budget of octets in flight until
    /// the [`Intake`] is enqueued or dropped.
    ///
    /// `octets_expected` is what the client declared, for reserving early.
    ///
    /// # Errors
    /// [`SpoolError::Full`] when the budget or the disk has no room.
    fn intake(&self, octets_expected: Option<u64>) -> Result<Box<dyn Intake>, SpoolError>;

    /// Puts a message and its deliveries on stable storage; when this returns, they survive a
    /// power cut. An intake of another backend is refused as unavailable.
    fn enqueue(&self, message: NewMessage, content: Box<dyn Intake>) -> Pending<'_, ()>;

    /// Takes the first delivery of `line` that is due at `now`, waiting (not held) and not leased.
    /// The lease lives in this process only: after a crash the delivery is due again.
    fn claim<'a>(&'a self, line: &'a Line, now: Timestamp) -> Pending<'a, Claimed>;

    /// The content of a message, from its first octet.
    fn content(&self, message: MessageId) -> Pending<'_, Box<dyn Content>>;

    /// Records how an attempt ended: outcomes, what remains to be done, reports and trail in one
    /// transaction. A message whose last delivery is settled is finished: its content goes, its
    /// record and trail stay for the retention.
    fn settle(&self, settlement: Settlement) -> Pending<'_, ()>;

    /// Gives a claimed delivery back untouched (shutdown, no connection slot).
    fn release(&self, lease: Lease);

    /// The heads of lines that changed since the last call, and of all lines on the first call. Waits until there
    /// is at least one. Coalesced per line, so that a slow reader costs nothing. One reader: the queue.
    fn changes(&self) -> Pin<Box<dyn Future<Output = Vec<LineChange>> + Send + '_>>;

    /// Applies an operator's change to all deliveries that the selection names (held back while
    /// leased: a change to a leased delivery takes effect when it is settled, cancel excepted).
    /// Returns how many deliveries it concerned; with `dry_run` nothing changes.
    fn change(&self, selection: Selection, change: Change, dry_run: bool) -> Pending<'_, u64>;

    /// A page of queued deliveries.
    fn list(&self, selection: Selection, page: PageRequest) -> Pending<'_, Page>;

    /// A message with its deliveries and its trail, queued or finished within the retention.
    fn message(&self, id: MessageId) -> Pending<'_, Option<Record>>;

    /// Figures for metrics and health; cheap.
    fn figures(&self) -> Figures;

    /// Commits what is waiting and stops; later calls are [`SpoolError::Unavailable`].
    fn close(&self) -> Pending<'_, ()>;
}

/// A content on its way in. Dropping it forgets the content.
pub trait Intake: Send {
    /// Takes the next octets. Waits while the disk is slower than the client.
    ///
    /// # Errors
    /// [`SpoolError::Full`] when the budget or the disk has no room.
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> Pending<'a, ()>;

    /// Octets taken so far.
    fn octets(&self) -> u64;

    /// For the backend that made it, at enqueue.
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send>;
}

/// A content on its way out.
pub trait Content: Send {
    /// The next piece (at most 64 KiB), none at the end.
    fn next(&mut self) -> Pending<'_, Option<Bytes>>;
}

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
    /// The reply or reason of the last failed attempt.
    pub last_reply: String,
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
}

/// The answer to a claim.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The delivery; none when nothing in the line is due.
    pub claim: Option<Claim>,
    /// The head of the line after it; none when nothing is waiting.
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
    /// The line.
    pub line: Line,
    /// Its head; none when nothing is waiting in it.
    pub head: Option<Head>,
}

/// How a claimed delivery goes on.
#[derive(Debug)]
pub struct Settlement {
    /// The claim's lease.
    pub lease: Lease,
    /// What remains to be done, in place of the claimed delivery; empty when all its recipients are finished.
    pub remaining: Vec<NewDelivery>,
    /// Reports that follow from it, with their content (small, made here).
    pub reports: Vec<(NewMessage, Bytes)>,
    /// What to add to the trail.
    pub trail: Vec<TrailEntry>,
}

/// Which deliveries are meant. Everything given must match.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// This message.
    pub message: Option<MessageId>,
    /// Messages of this list.
    pub list: Option<String>,
    /// Messages of this user.
    pub user: Option<String>,
    /// This class.
    pub class: Option<Class>,
    /// This state.
    pub state: Option<QueueState>,
    /// Reverse-path contains this, without regard to case.
    pub sender: Option<String>,
    /// A pending recipient contains this, without regard to case.
    pub recipient: Option<String>,
    /// The lane's domain, or a pending recipient's domain, is this.
    pub domain: Option<String>,
}

/// States as the queue's lists show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// Waits for its turn, due now.
    Waiting,
    /// Waits for its next try after a failed attempt, or for its time.
    Deferred,
    /// Kept back by an operator.
    Held,
    /// Being delivered.
    Active,
}

/// What an operator can do to deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub action: ChangeAction,
    /// By whom, for the trail.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The operations on queued deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// Keep back.
    Hold,
    /// Let go on.
    Release,
    /// Make due now.
    Retry,
    /// Remove; the message is finished when nothing of it remains. No report is sent.
    Cancel,
    /// Give another class.
    SetClass(Class),
}

/// Which part of a listing.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The cursor of the page before; none for the first page.
    pub cursor: Option<String>,
    /// At most this many rows (1 to 1,000).
    pub rows_max: usize,
    /// For telling waiting from deferred.
    pub now: Timestamp,
}

/// A part of a listing, in the order lane, class, user, due, sequence.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// For the next page; none at the end.
    pub cursor: Option<String>,
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

/// Figures of a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Deliveries queued, by class (index 0 is class 1), leased ones included.
    pub queued: [u64; 5],
    /// Octets of content in flight: being taken in, or waiting to be committed.
    pub octets_in_flight: u64,
    /// The limit for them.
    pub octets_in_flight_max: u64,
    /// Transactions committed with a sync since start.
    pub commits: u64,
    /// Whether the last write succeeded.
    pub writable: bool,
}
