//! The writer: the one thread that changes the database.
//!
//! It takes every request that waits into one transaction and one sync, applies to memory what is
//! durable, and answers. After a failure nothing is believed: everybody in the batch gets the
//! error, and nothing else is written before the database has been opened again and memory
//! rebuilt from it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::message::{DeliveryId, MessageId};

use super::announcements::Announcements;
use super::board::Board;
use super::contents::{Contents, Named};
use super::disk::Disk;
use super::heads::heads;
use super::inbox::{Batch, ChangeRequest, Enqueue, Inbox, Settle, kept_since, send};
use super::ledger::{Effect, Ledger};
use super::metrics::Metrics;
use super::redb::{Scan, Snapshot, Store, StoreError};
use super::rows::{self, Fault};
use super::settings::{CHANGE_SLICE_MAX, CHANGE_STRIDE_MAX, SWEEP_MAX};
use super::stored::Counters;
use super::walk::Walk;
use super::{Lease, Settings, SpoolError};

/// Without mail for so long, the writer leaves the file so that a start after a crash is quick.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(2);

/// How often an idle writer looks for records that are older than they are kept.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How long a failed database is left alone before it is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// A file that takes less than this is not worth making smaller.
const COMPACT_OCTETS_MIN: u64 = 64 << 20;

/// A file is made smaller when no more than one in so many of its octets is in use.
const COMPACT_SHARE: u64 = 8;

/// What the parts of the backend share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) contents: Arc<Contents>,
    pub(super) store: Store,
    pub(super) inbox: Inbox,
    pub(super) board: Mutex<Board>,
    pub(super) announcements: Announcements,
    /// How often memory was built from the database.
    pub(super) opened: AtomicU64,
    pub(super) metrics: Metrics,
}

impl Common {
    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from the database. A failure is the writer's to look into: after a failed read the
    /// database answers nothing any more until it is opened again.
    pub(super) fn read<R>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.store.read(work).inspect_err(|_| self.inbox.suspect())
    }

    pub(super) fn is_leased(&self, id: DeliveryId) -> bool {
        self.board().is_leased(id)
    }

    pub(super) fn times_opened(&self) -> u64 {
        self.opened.load(Ordering::Acquire)
    }

    /// Brings memory in line with the disk. Leases stay with those who have them, as far as their
    /// deliveries are still there.
    pub(super) fn rebuild(&self) -> Result<(), Fault> {
        let leased: HashSet<DeliveryId> = self.board().leases.deliveries().collect();
        let (counters, heads, gone) = self.store.read(|rows| {
            let mut gone = Vec::new();
            for id in &leased {
                if !rows::is_delivery(rows, *id)? {
                    gone.push(*id);
                }
            }
            let heads = heads(rows, &|id| leased.contains(&id))?;
            Ok((rows::counters(rows), heads, gone))
        })?;
        let counters = counters?;
        self.metrics.show_queued(&counters.queued);
        let mut board = self.board();
        let mut changed: HashSet<_> = board.lines.iter().cloned().collect();
        changed.extend(heads.iter().map(|(place, _)| place.line.clone()));
        board.lines.rebuild(heads);
        board.recent.forget_all();
        board.counters = counters;
        for id in gone {
            board.leases.revoke(id);
        }
        drop(board);
        self.opened.fetch_add(1, Ordering::AcqRel);
        for line in changed {
            self.announcements.announce(line);
        }
        Ok(())
    }
}

/// The thread's own state.
pub(super) struct Writer {
    common: Arc<Common>,
    /// A change that is applied in parts.
    changing: Option<Changing>,
    /// Why nothing can be written, and when to try again.
    broken: Option<Instant>,
    /// Messages whose commit failed: should one be there after all, it is taken out again, since
    /// its client was told that it is not.
    doubtful: Vec<(MessageId, Option<Named>)>,
    /// Whether something was written since the last checkpoint.
    is_dirty: bool,
    /// Whether finished messages wait to be forgotten.
    sweep_waits: bool,
    swept: Instant,
}

/// An operator's change under way: what it concerns is what stood in the queue when it began.
struct Changing {
    request: ChangeRequest,
    snapshot: Snapshot,
    after: Option<Vec<u8>>,
    concerned: u64,
}

/// One part of a change.
struct Slice {
    deliveries: Vec<DeliveryId>,
    after: Option<Vec<u8>>,
}

/// The answers of a transaction, request by request, and what to do once it is durable.
#[derive(Default)]
struct Done {
    enqueued: Vec<Result<(), SpoolError>>,
    settled: Vec<Result<(), SpoolError>>,
    counters: Counters,
    effects: Vec<Effect>,
    sweep_waits: bool,
}

impl Writer {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self {
            common,
            changing: None,
            broken: None,
            doubtful: Vec::new(),
            is_dirty: true,
            sweep_waits: true,
            swept: Instant::now(),
        }
    }

    /// Works until the inbox is closed and empty.
    pub(super) fn run(mut self) {
        loop {
            let is_busy = self.changing.is_some();
            let batch = self.common.inbox.next(CHECKPOINT_AFTER, is_busy);
            let is_last = batch.is_last;
            if batch.is_empty() && !is_busy && !is_last {
                self.idle();
                continue;
            }
            self.work(batch);
            if is_last && self.changing.is_none() {
                break;
            }
        }
        for (_, file) in self.doubtful.drain(..) {
            // The next start knows whether its message is there.
            if let Some(file) = file {
                file.keep();
            }
        }
        if let Err(error) = self.common.store.close() {
            tracing::error!(%error, "the spool could not be closed; the next start repairs it");
        }
        self.common.inbox.end();
    }

    fn work(&mut self, batch: Batch) {
        let Batch {
            enqueues,
            settles,
            changes,
            set_aside,
            is_suspect,
            is_last: _,
        } = batch;
        if is_suspect && self.broken.is_none() {
            let still_reads = self.common.store.read(|rows| Ok(rows::counters(rows)));
            self.broken = still_reads.is_err().then(Instant::now);
        }
        if let Err(error) = self.mend() {
            refuse_all(enqueues, settles, &error);
            self.fail_change(&error);
            for change in changes {
                send(change.reply, Err(error_again(&error)));
            }
            return;
        }
        let mut waiting = changes.into_iter();
        if self.changing.is_none() {
            self.changing = waiting
                .next()
                .and_then(|request| self.begin_change(request));
        }
        for change in waiting {
            // One at a time; the others wait for their turn.
            self.common.inbox.change(change);
        }
        let enqueues = self.with_room(enqueues);
        let settles = self.with_leases(settles);
        self.commit(enqueues, settles, set_aside);
    }

    /// Refuses new messages when the disk is nearly full: what is left is for settling.
    fn with_room(&self, enqueues: Vec<Enqueue>) -> Vec<Enqueue> {
        if enqueues.is_empty() {
            return enqueues;
        }
        let disk = &self.common.disk;
        // A disk that does not tell is asked to write.
        let has_room = disk.free_octets().map_or(true, |free| {
            free >= self.common.settings.disk_free_octets_min
        });
        if !has_room {
            self.common.board().writable = false;
            for enqueue in enqueues {
                self.common.metrics.refused();
                enqueue.answer(Err(SpoolError::Full));
            }
            return Vec::new();
        }
        if enqueues.iter().all(|enqueue| enqueue.file.is_none()) {
            return enqueues;
        }
        match disk.sync_names() {
            Ok(()) => enqueues,
            Err(error) => {
                let (large, small) = enqueues
                    .into_iter()
                    .partition::<Vec<_>, _>(|enqueue| enqueue.file.is_some());
                let error = SpoolError::unavailable(error);
                refuse_all(large, Vec::new(), &error);
                small
            }
        }
    }

    /// Refuses settlements whose leases are lost, and tells the others what happened meanwhile.
    fn with_leases(&self, settles: Vec<Settle>) -> Vec<Settle> {
        let board = self.common.board();
        let mut served: HashSet<Lease> = HashSet::new();
        let mut good = Vec::with_capacity(settles.len());
        for mut settle in settles {
            let lease = settle.settled.lease;
            match board.leases.get(lease).filter(|_| served.insert(lease)) {
                Some(leased) => {
                    settle.settled.retry_at = leased.retry_at;
                    good.push(settle);
                }
                None => send(settle.reply, Err(SpoolError::LeaseLost)),
            }
        }
        good
    }

    /// Commits all of it; when there is no room for all, at least the settlements.
    fn commit(&mut self, enqueues: Vec<Enqueue>, settles: Vec<Settle>, set_aside: Vec<Vec<u8>>) {
        let slice = match self.next_slice() {
            Ok(slice) => slice,
            Err(error) => {
                self.fail_change(&error);
                None
            }
        };
        let deliveries = slice.as_ref().map_or(&[][..], |slice| &slice.deliveries);
        let requests = enqueues.len() + settles.len() + usize::from(!deliveries.is_empty());
        if requests == 0 && set_aside.is_empty() && !self.sweep_waits {
            self.end_slice(slice);
            return;
        }
        let began = Instant::now();
        let mut done = Done::default();
        match self.transact(&enqueues, &settles, deliveries, &set_aside, &mut done) {
            Ok(()) => {
                let metrics = &self.common.metrics;
                metrics.committed(began.elapsed(), requests, &done.counters.queued);
                self.durable(enqueues, settles, done);
                self.end_slice(slice);
            }
            Err(error) => {
                let enqueues = self.doubt(enqueues, &done);
                self.failed(error, enqueues, settles);
            }
        }
    }

    /// Runs one transaction. What it came to is in `done`, also when the commit failed.
    fn transact(
        &self,
        enqueues: &[Enqueue],
        settles: &[Settle],
        change: &[DeliveryId],
        set_aside: &[Vec<u8>],
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let common = &self.common;
        let counters = common.board().counters.clone();
        let now = common.clock.now();
        common.store.write(|rows| {
            let mut ledger = Ledger::begin(rows, counters, now);
            for settle in settles {
                done.settled.push(ledger.settle(&settle.settled)?);
            }
            for enqueue in enqueues {
                done.enqueued.push(ledger.enqueue(&enqueue.new)?);
            }
            for key in set_aside {
                ledger.set_aside(key)?;
            }
            if let Some(changing) = &self.changing {
                let settled: HashSet<DeliveryId> = settles
                    .iter()
                    .map(|settle| settle.settled.lease.delivery)
                    .collect();
                let is_leased = |id| !settled.contains(&id) && common.is_leased(id);
                ledger.change(change, &changing.request.change, &is_leased)?;
            }
            done.sweep_waits = ledger.sweep(
                kept_since(now, common.settings.history_kept),
                common.settings.history_records_max,
                SWEEP_MAX,
            )?;
            (done.counters, done.effects) = ledger.end()?;
            Ok(())
        })
    }

    /// Applies to memory what is on stable storage, and answers.
    fn durable(&mut self, enqueues: Vec<Enqueue>, settles: Vec<Settle>, done: Done) {
        self.is_dirty = true;
        self.sweep_waits = done.sweep_waits;
        let mut board = self.common.board();
        let aftermath = board.apply(done.counters, done.effects);
        board.commits += 1;
        board.writable = true;
        for (settle, result) in settles.iter().zip(&done.settled) {
            if matches!(result, Err(SpoolError::LeaseLost)) {
                board.leases.end(settle.settled.lease);
            }
        }
        drop(board);
        for line in aftermath.lines {
            self.common.announcements.announce(line);
        }
        for (enqueue, result) in enqueues.into_iter().zip(done.enqueued) {
            enqueue.answer(result);
        }
        for (settle, result) in settles.into_iter().zip(done.settled) {
            send(settle.reply, result);
        }
        for id in aftermath.files {
            self.common.contents.remove(id);
        }
    }

    /// Notes the messages of a failed commit that may be there after all. Their files stay until
    /// that is known.
    fn doubt(&mut self, mut enqueues: Vec<Enqueue>, done: &Done) -> Vec<Enqueue> {
        for (enqueue, result) in enqueues.iter_mut().zip(&done.enqueued) {
            if result.is_ok() {
                self.doubtful.push((enqueue.new.id(), enqueue.file.take()));
            }
        }
        enqueues
    }

    /// A commit failed. New messages are refused; when only the room was missing, settlements are
    /// tried again by themselves, with the reserve if need be, because they give room back.
    fn failed(&mut self, error: StoreError, enqueues: Vec<Enqueue>, settles: Vec<Settle>) {
        self.common.metrics.failed();
        self.common.board().writable = false;
        tracing::error!(%error, "the spool could not be written");
        self.broken = Some(Instant::now());
        let is_full = matches!(error, StoreError::Full);
        let was_alone = enqueues.is_empty() && self.changing.is_none();
        let error = SpoolError::from(error);
        self.fail_change(&error);
        refuse_all(enqueues, Vec::new(), &error);
        let can_retry = is_full && (!was_alone || self.common.disk.give_up_reserve());
        match self.mend() {
            Ok(()) if can_retry && !settles.is_empty() => {
                let settles = self.with_leases(settles);
                self.commit(Vec::new(), settles, Vec::new());
            }
            _ => refuse_all(Vec::new(), settles, &error),
        }
    }

    /// Opens a broken database again, if it is time to.
    fn mend(&mut self) -> Result<(), SpoolError> {
        let Some(since) = self.broken else {
            return Ok(());
        };
        if since > Instant::now() {
            return Err(SpoolError::unavailable(
                "the spool failed a moment ago and is to be opened again",
            ));
        }
        match self.reopen() {
            Ok(()) => {
                tracing::info!("the spool has been opened again");
                self.broken = None;
                Ok(())
            }
            Err(fault) => {
                self.broken = Some(Instant::now() + REOPEN_AFTER);
                let error = SpoolError::from(fault);
                tracing::error!(%error, "the spool could not be opened again");
                Err(error)
            }
        }
    }

    fn reopen(&mut self) -> Result<(), Fault> {
        let common = &self.common;
        common.store.reopen()?;
        if !self.doubtful.is_empty() {
            let counters = common.store.read(|rows| Ok(rows::counters(rows)))??;
            common.store.write(|rows| {
                let mut ledger = Ledger::begin(rows, counters, common.clock.now());
                for (id, _) in &self.doubtful {
                    match ledger.take_out(*id) {
                        Ok(()) => {}
                        Err(Fault::Store(error)) => return Err(error),
                        Err(Fault::Damaged(damage)) => {
                            tracing::error!(message_id = %id, %damage, "a refused message stays queued");
                        }
                    }
                }
                ledger.end().map(drop)
            })?;
            self.doubtful.clear();
        }
        common.rebuild()
    }

    /// Nothing to do: time for what can wait.
    fn idle(&mut self) {
        self.common
            .metrics
            .show_queued(&self.common.board().counters.queued);
        if self.mend().is_err() {
            return;
        }
        if self.sweep_waits || self.swept.elapsed() >= SWEEP_EVERY {
            self.swept = Instant::now();
            if self.sweep_is_due() {
                self.commit(Vec::new(), Vec::new(), Vec::new());
                return;
            }
        }
        if !self.is_dirty {
            return;
        }
        if self
            .common
            .disk
            .free_octets()
            .is_ok_and(|free| free > self.common.settings.disk_free_octets_min)
            && let Err(error) = self.common.disk.keep_reserve()
        {
            tracing::warn!(%error, "no room could be set aside for a full disk");
        }
        let store = &self.common.store;
        let result = self.compact_if_worth_it().and_then(|()| store.checkpoint());
        self.is_dirty = false;
        match result {
            Ok(()) => self.common.board().commits += 1,
            Err(error) => self.failed(error, Vec::new(), Vec::new()),
        }
    }

    /// Whether finished messages are to be forgotten now. Looking costs no commit.
    fn sweep_is_due(&mut self) -> bool {
        let settings = &self.common.settings;
        let since = kept_since(self.common.clock.now(), settings.history_kept);
        let surplus = self.common.board().counters.finished > settings.history_records_max;
        let oldest = self.common.store.read(rows::oldest_finished);
        let is_due = surplus || matches!(oldest, Ok(Some(at)) if at < since);
        self.sweep_waits = is_due;
        is_due
    }

    /// Makes a file smaller that was large and is nearly empty again.
    fn compact_if_worth_it(&self) -> Result<(), StoreError> {
        let Ok(octets) = self.common.store.octets() else {
            return Ok(());
        };
        let counters = self.common.board().counters.clone();
        if octets < COMPACT_OCTETS_MIN || in_use(&counters) > octets / COMPACT_SHARE {
            return Ok(());
        }
        let began = Instant::now();
        self.common.store.compact()?;
        let now = self.common.store.octets().unwrap_or(octets);
        tracing::info!(before = octets, now, took = ?began.elapsed(), "the spool's file was made smaller");
        Ok(())
    }

    fn begin_change(&self, request: ChangeRequest) -> Option<Changing> {
        match self.common.store.snapshot() {
            Ok(snapshot) => Some(Changing {
                request,
                snapshot,
                after: None,
                concerned: 0,
            }),
            Err(error) => {
                send(request.reply, Err(error.into()));
                None
            }
        }
    }

    /// The next deliveries that the change under way concerns.
    fn next_slice(&self) -> Result<Option<Slice>, SpoolError> {
        let Some(changing) = &self.changing else {
            return Ok(None);
        };
        let ChangeRequest {
            selection, change, ..
        } = &changing.request;
        let walk = Walk {
            selection,
            now: change.at,
            is_leased: &|id| self.common.is_leased(id),
        };
        let mut deliveries = Vec::new();
        let after = self.common.store.read_in(&changing.snapshot, |rows| {
            walk.on(
                rows,
                changing.after.clone(),
                CHANGE_STRIDE_MAX,
                &mut |found| {
                    let class = found.standing.place.line.class;
                    if change.action.concerns(&found.standing.delivery, class) {
                        deliveries.push(found.standing.delivery.id);
                    }
                    if deliveries.len() == CHANGE_SLICE_MAX {
                        Scan::Stop
                    } else {
                        Scan::On
                    }
                },
            )
        })?;
        Ok(Some(Slice { deliveries, after }))
    }

    /// A part of the change under way is durable; the answer when it was the last one.
    fn end_slice(&mut self, slice: Option<Slice>) {
        let (Some(slice), Some(mut changing)) = (slice, self.changing.take()) else {
            return;
        };
        changing.concerned += slice.deliveries.len() as u64;
        changing.after = slice.after;
        if changing.after.is_some() {
            self.changing = Some(changing);
        } else {
            send(changing.request.reply, Ok(changing.concerned));
        }
    }

    fn fail_change(&mut self, error: &SpoolError) {
        if let Some(changing) = self.changing.take() {
            send(changing.request.reply, Err(error_again(error)));
        }
    }
}

/// Octets that the rows may take, at most.
fn in_use(counters: &Counters) -> u64 {
    /// A generous guess at a message's row with its deliveries and its trail.
    const RECORD_OCTETS: u64 = 4 << 10;
    let records = counters.queued.iter().sum::<u64>() + counters.finished;
    // A content takes up to twice its octets in pages of powers of two.
    2 * counters.inline_octets + RECORD_OCTETS * records
}

fn refuse_all(enqueues: Vec<Enqueue>, settles: Vec<Settle>, error: &SpoolError) {
    for enqueue in enqueues {
        enqueue.answer(Err(error_again(error)));
    }
    for settle in settles {
        send(settle.reply, Err(error_again(error)));
    }
}

/// The same error for one more waiter.
fn error_again(error: &SpoolError) -> SpoolError {
    match error {
        SpoolError::Full => SpoolError::Full,
        SpoolError::LeaseLost => SpoolError::LeaseLost,
        SpoolError::Unknown => SpoolError::Unknown,
        SpoolError::Unavailable(source) => SpoolError::unavailable(source.to_string()),
    }
}
