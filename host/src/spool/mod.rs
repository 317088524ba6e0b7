//! The spool: where accepted mail is kept until its last recipient is settled.
//!
//! [`Spool`] has one method per moment of a message's life, each one atomic and durable when it
//! returns. No transaction, cursor, key or table crosses it. Backends: redb (embedded, the default)
//! and memory (tests, can be told to fail); one contract suite runs on all. The spool knows nothing
//! about schedules, hosts or policies: it keeps what it is given in the order that it is given.

mod ages;
mod announcements;
mod aside;
mod board;
mod budget;
mod cancels;
mod change;
mod changing;
mod chunks;
mod claims;
mod common;
mod company;
mod contents;
#[cfg(test)]
mod contract;
mod cursor;
mod direct;
mod disk;
mod embedded;
mod entries;
mod error;
mod figures;
mod folder;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod heads;
mod inbox;
mod intake;
mod journal;
mod leases;
mod ledger;
mod lines;
mod listing;
mod memory;
mod memtable;
mod metrics;
mod own_mail;
mod pieces;
mod place;
mod queries;
mod recent;
mod redb;
mod refusals;
mod room;
mod rows;
#[cfg(test)]
mod sample;
mod selection;
mod settings;
mod sheet;
#[cfg(test)]
pub(crate) mod stage;
pub mod statistics;
mod stops;
mod store;
mod stored;
mod survey;
mod trails;
mod transaction;
#[cfg(test)]
mod trials;
mod view;
mod walk;
mod window;
mod work;
mod writer;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::message::{Line, MessageId, Timestamp};

pub use budget::set_aside;
pub use change::{Change, ChangeAction, Concerned, NAMED_MAX, Named};
pub use embedded::open;
pub use error::{BoxError, OpenError, SpoolError};
pub use figures::Figures;
pub use listing::{
    PAGE_RECIPIENTS_MAX, Page, PageRequest, ROWS_EXAMINED_MAX, ROWS_MAX, Record, Row,
};
pub use memory::Memory;
pub use own_mail::{OwnMailer, OwnMessage};
pub use refusals::{
    KeptRefusal, NamedIn, NewRefusals, REFUSAL_ROWS_MAX, REFUSALS_KEPT, REFUSALS_MAX,
    REFUSALS_OF_USER_MAX, Refusal, RefusalFilter, RefusalId, RefusalPage, Refusals, RefusedMessage,
};
pub use selection::{QueueState, Selection};
pub use settings::{PIECE_OCTETS_MAX, Settings};
pub use stops::{ListOf, STOPS_MAX, Stop, StopOf, Stopped, Stops};
pub use survey::{LinesFrom, Survey, Waiting};
pub use work::{
    Claim, Claimed, Fates, Head, Lease, LineChange, NewDelivery, NewMessage, Outcomes, Settlement,
};

/// A future that a backend returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, SpoolError>> + Send + 'a>>;

/// A future that says why a content ends before its end, when it does.
pub type BrokenOff = Pin<Box<dyn Future<Output = SpoolError> + Send>>;

/// Keeps mail safe between reception and delivery.
pub trait Spool: Send + Sync + 'static {
    /// Begins to take in a content. Its octets count against the budget of octets in flight until
    /// the [`Intake`] is enqueued or dropped.
    ///
    /// `octets_expected` is what the client declared: one that does not fit now is refused at once.
    ///
    /// # Errors
    /// [`SpoolError::Full`] when the budget or the disk has no room.
    fn intake(&self, octets_expected: Option<u64>) -> Result<Box<dyn Intake>, SpoolError>;

    /// Puts a message and its deliveries on stable storage; when this returns, they survive a
    /// power cut. An intake of another backend, a `content_octets` that is not what the intake
    /// counted and an id that is taken are refused as unavailable. A message without deliveries
    /// is finished at once.
    fn enqueue(&self, message: NewMessage, content: Box<dyn Intake>) -> Pending<'_, ()>;

    /// Takes the first delivery of `line` that is due at `now`, waiting (not held) and not leased.
    /// The lease lives in this process only: after a crash the delivery is due again.
    ///
    /// The head in the answer is true when the future is ready. A reader that has claims and
    /// [`changes`](Self::changes) under way at once cannot tell which of the two is newer; await
    /// the claim before asking for changes again.
    fn claim<'a>(&'a self, line: &'a Line, now: Timestamp) -> Pending<'a, Claimed>;

    /// The content of a message, from its first octet.
    fn content(&self, message: MessageId) -> Pending<'_, Box<dyn Content>>;

    /// Records how an attempt ended: outcomes, what remains to be done, reports and trail in one
    /// transaction. A message whose last delivery is settled is finished: its content goes, its
    /// record and trail stay for the retention. After [`SpoolError::Full`] and
    /// [`SpoolError::Unavailable`] the lease is still good: settle again, with the same reports, so
    /// that one that had happened after all is told by them and does not happen twice. After
    /// [`SpoolError::Cancelled`] and [`SpoolError::Restored`] it is, too: settle as the delivery stands now.
    fn settle(&self, settlement: Settlement) -> Pending<'_, ()>;

    /// Whether a claimed delivery has been cancelled meanwhile: nobody wants it any more. Cheap.
    fn is_cancelled(&self, lease: Lease) -> bool;

    /// Waits until that is so; for ever where the lease ends before.
    fn cancelled(&self, lease: Lease) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Gives a claimed delivery back untouched (shutdown, no connection slot).
    fn release(&self, lease: Lease);

    /// The heads of lines that changed since the last call, and of all lines on the first call. Where there are very many
    /// lines some are not told of before others of their lane and class have been claimed from, and one that was claimed from
    /// may be told to have no head until its turn comes again.
    /// Waits until there is at least one; a future that is dropped before it is ready loses
    /// nothing. Coalesced per line, so that a slow reader costs nothing. What a claim changes is
    /// told in its answer only. One reader: the queue.
    fn changes(&self) -> Pin<Box<dyn Future<Output = Vec<LineChange>> + Send + '_>>;

    /// Applies an operator's change to all deliveries that the selection names and that it
    /// [concerns](ChangeAction::concerns). On a leased delivery it takes effect when that is
    /// settled. Returns how many queued deliveries it changed, which they were, and how many of them are leased or stopped; with another class
    /// all those of the messages that it concerned. With `dry_run` nothing changes.
    ///
    /// What was [cancelled](ChangeAction::Cancel) leaves the queue at once and stays, with its content, for as long as
    /// the settings say, unless the disk has no room: then the oldest goes first. [Restore](ChangeAction::Restore)
    /// selects among that, every other action among what is queued. A lease outlives a cancel: the outcome is settled
    /// as that of a delivery that is [cancelled](Settlement::is_cancelled), and until then nothing of it is removed, and
    /// what is restored is not claimed. Whether there was an attempt when it was cancelled is said in the trail: nothing
    /// is claimed between that and the change.
    ///
    /// A change of many deliveries is applied in parts, each one atomic, so that mail that arrives
    /// meanwhile does not wait for all of it; a failure leaves the rest as it was.
    fn change(&self, selection: Selection, change: Change, dry_run: bool)
    -> Pending<'_, Concerned>;

    /// Stops something. When this returns, nothing of it is claimed any more, also by a later process; what is under
    /// way goes on. A line that is stopped has no head: none is told of it, and a claim of it finds nothing.
    fn stop(&self, stop: Stop) -> Pending<'_, Stopped>;

    /// Ends the stop of just this, and returns it; none when there is none. What another stop is about stays stopped.
    fn start(&self, of: StopOf) -> Pending<'_, Option<Stop>>;

    /// What is stopped.
    fn stops(&self) -> &Stops;

    /// How many deliveries wait, for their turn or for their time, of what a stop of this is about, be it in force or
    /// not. What is held or under way waits for no stop. Looks at the keys of all that waits, or of one lane.
    fn count_behind(&self, of: StopOf) -> Pending<'_, u64>;

    /// Has a user's list asked of `list_of` from now on. It must not wait. Without it no user has a list.
    fn know_lists(&self, list_of: Box<ListOf>) {
        self.stops().know_lists(list_of);
        self.lists_changed();
    }

    /// A user may be in another list now: who was stopped with a list may not be any more, or the other way around.
    fn lists_changed(&self);

    /// Notes senders that were refused since the last time, all of it or nothing: those of one user and one sender are one
    /// row. Rows that were seen longest ago go where there would be too many, and those that are older than
    /// [`REFUSALS_KEPT`]. [`SpoolError::Full`] while there is no room for mail.
    fn note_refusals(&self, new: NewRefusals) -> Pending<'_, ()>;

    /// Forgets refused senders, all of them at once; which of them were there. What was refused up to now does not bring them
    /// back, though it be noted later.
    fn dismiss_refusals(&self, ids: Vec<RefusalId>) -> Pending<'_, Vec<RefusalId>>;

    /// The refused senders that are known.
    fn refusals(&self) -> &Refusals;

    /// A page of queued deliveries, or of cancelled ones where the selection names that state. Looks at no more than
    /// [`ROWS_EXAMINED_MAX`] of them.
    fn list(&self, selection: Selection, page: PageRequest) -> Pending<'_, Page>;

    /// The queue as it is now, to be read in the order in which it will leave.
    fn survey(&self) -> Pending<'_, Box<dyn Survey>>;

    /// A message with its deliveries and its trail, queued or finished within the retention.
    fn message(&self, id: MessageId) -> Pending<'_, Option<Record>>;

    /// Figures for metrics and health; cheap.
    fn figures(&self) -> Figures;

    /// When the transaction of the oldest queued delivery of each class began (index 0 is class 1), leased and
    /// held ones included: to a second, and in a queue of days to some minutes. Counts the whole queue when it is
    /// asked first, and after a failure.
    fn oldest(&self) -> Pending<'_, [Option<Timestamp>; 5]>;

    /// How many deliveries of each of these users are queued, leased and held ones included. Counts the whole queue when it is
    /// asked first, as [`oldest`](Self::oldest) does.
    fn queued_of<'a>(&'a self, users: &'a [&'a str]) -> Pending<'a, Vec<u64>>;

    /// What was counted of mail, up to the last commit. Reads as many rows as the question has names and months.
    fn statistics(
        &self,
        question: statistics::Question,
    ) -> Pending<'_, Result<statistics::Answer, statistics::Unanswerable>>;

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
    /// The next piece (at most [`PIECE_OCTETS_MAX`]), none at the end.
    fn next(&mut self) -> Pending<'_, Option<Bytes>>;

    /// Waits until it is known that the content ends before its last piece, and says why: for whoever does not ask for the
    /// next one at the moment. For ever where that does not happen.
    fn broken_off(&self) -> BrokenOff {
        Box::pin(std::future::pending())
    }
}
