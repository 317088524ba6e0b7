//! The writer: the one thread that changes the database.
//!
//! It takes every request that waits into one transaction and one sync, applies to memory what is
//! durable, and answers. After a failure nothing is believed: everybody in the batch gets the
//! error, and nothing else is written before the database has been opened again and memory
//! rebuilt from it. How it goes from batch to batch, and how it ends, stands in `life`, and what it does
//! when nothing is asked of it in `idle`.

mod idle;
mod life;
mod shortage;
mod stopping;

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard};

use tokio::time::Instant;

use crate::message::{DeliveryId, MessageId, Timestamp};

use self::stopping::{StoppingDone, refuse_beside, refuse_refused};
use super::changing::{Changing, Slice};
use super::common::Common;
use super::contents::Named;
use super::inbox::{Batch, Beside, Enqueue, Settle, Stopping, kept_since, send};
use super::ledger::{Effect, Known, Ledger, Removed, Swept};
use super::redb::StoreError;
use super::refusals::Plan;
use super::room::Room;
use super::rows::{self, Fault};
use super::settings::{Pace, REMOVED_MAX, SWEEP_MAX};
use super::statistics::RollUp;
use super::stored::Counters;
use super::{Concerned, Lease, RefusalId, SpoolError};

/// The thread's own state.
pub(super) struct Writer {
    common: Arc<Common>,
    pace: Pace,
    /// A change that is applied in parts.
    changing: Option<Changing>,
    /// Why nothing can be written, and when to try again.
    broken: Option<Broken>,
    /// Messages whose commit failed: should one be there after all, it is taken out again, since
    /// its client was told that it is not.
    doubtful: Vec<(MessageId, Option<Named>)>,
    room: Room,
    /// Whether something was written since the last checkpoint.
    is_dirty: bool,
    /// Whether finished messages wait to be forgotten.
    sweep_waits: bool,
    /// So many are kept while there is no room for mail, fewer than configured.
    history_max: Option<u64>,
    /// Up to which key there are none.
    swept_up_to: Vec<u8>,
    swept: Instant,
    /// Nothing that was cancelled is to be removed before then.
    remove_from: Timestamp,
    /// More of what was cancelled is to be removed than one transaction did.
    removal_waits: bool,
    /// Cancelled mail is removed before its time, for the room that new mail needs.
    removes_for_room: bool,
    rolling: RollUp,
    /// There is more to roll up, and nothing else to do: it goes on at once.
    rolling_waits: bool,
}

/// The state after a failure.
struct Broken {
    retry_at: Instant,
    error: SpoolError,
}

/// The answers of a transaction, request by request, and what to do once it is durable.
#[derive(Default)]
struct Done {
    enqueued: Vec<Result<(), SpoolError>>,
    settled: Vec<Result<(), SpoolError>>,
    stopping: Vec<StoppingDone>,
    counters: Counters,
    effects: Vec<Effect>,
    /// Queued deliveries that an operator's change changed.
    changed: Concerned,
    swept: Option<Swept>,
    removed: Option<Removed>,
    /// What becomes of refused senders, and which of those that were dismissed were there.
    refused: Option<Plan>,
    dismissed: Vec<Vec<RefusalId>>,
    /// Until when the first of what was cancelled can be restored.
    cancelled_first: Option<Timestamp>,
}

/// A part of an operator's change.
struct Part<'a> {
    deliveries: &'a [DeliveryId],
    /// Those of them at which an attempt is under way.
    leased: HashSet<DeliveryId>,
}

impl Writer {
    pub(super) fn new(common: Arc<Common>, pace: Pace) -> Self {
        Self {
            common,
            pace,
            changing: None,
            broken: None,
            doubtful: Vec::new(),
            room: Room::default(),
            is_dirty: true,
            sweep_waits: true,
            history_max: None,
            swept_up_to: Vec::new(),
            swept: Instant::now(),
            remove_from: Timestamp::EPOCH,
            removal_waits: false,
            removes_for_room: false,
            rolling: RollUp::default(),
            rolling_waits: false,
        }
    }

    fn work(&mut self, batch: Batch) {
        let Batch {
            enqueues,
            settles,
            changes,
            mut beside,
            is_suspect,
            is_last: _,
        } = batch;
        if is_suspect && self.broken.is_none() {
            self.broken = self.common.store.check().err().map(Broken::now);
            if self.broken.is_none() {
                self.common.opening.is_good();
            }
        }
        if let Err(error) = self.mend() {
            self.history_max = None;
            self.removal_waits = false;
            self.removes_for_room = false;
            self.rolling_waits = false;
            refuse_all(enqueues, settles, &error);
            self.fail_change(&error);
            for change in changes {
                send(change.reply, Err(error_again(&error)));
            }
            refuse_beside(beside, &error);
            return;
        }
        let mut waiting = changes.into_iter();
        if self.changing.is_none() {
            self.changing = waiting
                .next()
                .and_then(|request| Changing::begin(&self.common, request));
        }
        for change in waiting {
            // One at a time; the others wait for their turn.
            self.common.inbox.change(change);
        }
        let enqueues = self.with_room(enqueues);
        let settles = self.with_leases(settles);
        if !self.common.board().writable {
            // What room there is is for settling.
            refuse_refused(std::mem::take(&mut beside.refused), &SpoolError::Full);
        }
        self.commit(enqueues, settles, beside);
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
                    settle.settled.asked = leased.asked;
                    good.push(settle);
                }
                None => send(settle.reply, Err(SpoolError::LeaseLost)),
            }
        }
        good
    }

    /// Commits all of it; when there is no room for all, at least the settlements.
    fn commit(&mut self, enqueues: Vec<Enqueue>, settles: Vec<Settle>, beside: Beside) {
        let slice = match &self.changing {
            Some(changing) => match changing.next_slice(&self.common) {
                Ok(slice) => Some(slice),
                Err(error) => {
                    self.fail_change(&error);
                    None
                }
            },
            None => None,
        };
        let deliveries = slice.as_ref().map_or(&[][..], |slice| &slice.deliveries);
        let beside_them = slice.as_ref().map_or(&[][..], |slice| &slice.beside);
        let requests = enqueues.len() + settles.len() + usize::from(!deliveries.is_empty());
        let has_time = !self.rolling.is_due(self.common.clock.now())
            && !self.sweep_waits
            && !self.removal_waits
            && !self.removes_for_room;
        if requests == 0 && beside.is_empty() && has_time {
            self.end_slice(slice, Concerned::default());
            return;
        }
        let began = Instant::now();
        let mut done = Done::default();
        let common = Arc::clone(&self.common);
        let step = common.step();
        // Whether an attempt is under way stays as it is told until memory has what is told.
        let part = Part {
            deliveries,
            leased: common
                .board()
                .bar(deliveries.iter().chain(beside_them).copied()),
        };
        match self.transact(&enqueues, &settles, &part, &beside, &mut done) {
            Ok(()) => {
                let metrics = &self.common.metrics;
                metrics.committed(began.elapsed(), requests, &done.counters);
                let changed = std::mem::take(&mut done.changed);
                // Where there is mail, each of its transactions does a portion.
                self.rolling_waits &= requests == 0 && self.is_to_be_rolled_up(common.clock.now());
                self.durable(enqueues, settles, beside, done, step);
                self.end_slice(slice, changed);
            }
            Err(error) => {
                self.unbar();
                drop(step);
                let enqueues = self.doubt(enqueues, &done);
                let told = match &error {
                    StoreError::Full => SpoolError::Full,
                    StoreError::ReadOnly => SpoolError::ReadOnly,
                    StoreError::Failed(error) => SpoolError::unavailable(error.to_string()),
                };
                refuse_beside(beside, &told);
                self.failed(error, enqueues, settles);
            }
        }
    }

    /// Runs one transaction. What it came to is in `done`, also when the commit failed.
    fn transact(
        &mut self,
        enqueues: &[Enqueue],
        settles: &[Settle],
        part: &Part<'_>,
        beside: &Beside,
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
            for key in &beside.set_aside {
                ledger.set_aside(key)?;
            }
            for stopping in &beside.stopping {
                done.stopping.push(match stopping {
                    Stopping::Stop(stop, _) => StoppingDone::Stop(ledger.stop(stop)?),
                    Stopping::Start(of, _) => StoppingDone::Start(ledger.start(of)?),
                });
            }
            if !(beside.refused.is_empty() && beside.dismissed.is_empty()) {
                let ids = beside.dismissed.iter().map(|(ids, _)| ids.as_slice());
                let new = beside.refused.iter().flat_map(|(new, _)| new.rows());
                let (plan, dismissed) = common.refusals.plan(ids, new, now);
                let messages = beside.refused.iter().flat_map(|(new, _)| new.messages());
                ledger.refused(&plan, messages)?;
                (done.refused, done.dismissed) = (Some(plan), dismissed);
            }
            if let Some(changing) = &self.changing {
                let settled: HashSet<DeliveryId> = settles
                    .iter()
                    .zip(&done.settled)
                    .filter(|(_, result)| result.is_ok())
                    .map(|(settle, _)| settle.settled.lease.delivery)
                    .collect();
                let is_leased = |id| !settled.contains(&id) && part.leased.contains(&id);
                let known = Known {
                    cancelled_kept: common.settings.cancelled_kept,
                    is_leased: &is_leased,
                    is_stopped: &|line| common.stops.has(line),
                    was_left_by_another: &|delivery, accepted| {
                        common.was_left_by_another(delivery, accepted)
                    },
                };
                done.changed = ledger.change(part.deliveries, &changing.request.change, &known)?;
            }
            if self.removes_for_room || self.remove_from <= now {
                let is_leased = |id| common.is_leased(id);
                let for_room = self.removes_for_room;
                let removed = ledger.remove_cancelled(for_room, REMOVED_MAX, &is_leased)?;
                done.removed = Some(removed);
            }
            done.cancelled_first = Some(ledger.cancelled_first());
            done.swept = Some(
                ledger.sweep(
                    &self.swept_up_to,
                    kept_since(now, common.settings.history_kept),
                    self.history_max
                        .unwrap_or(common.settings.history_records_max),
                    SWEEP_MAX,
                )?,
            );
            if self.rolling.is_due(now) {
                ledger.roll_up(&mut self.rolling)?;
            }
            (done.counters, done.effects) = ledger.end()?;
            Ok(())
        })
    }

    /// Applies to memory what is on stable storage, and answers.
    fn durable(
        &mut self,
        enqueues: Vec<Enqueue>,
        settles: Vec<Settle>,
        beside: Beside,
        done: Done,
        step: MutexGuard<'_, ()>,
    ) {
        self.is_dirty = true;
        if let Some(swept) = done.swept {
            self.sweep_waits = swept.waits;
            self.swept_up_to = swept.up_to;
            if !swept.waits && self.history_max.take().is_some() {
                self.room.gave_back();
            }
        }
        self.has_removed(done.removed, done.cancelled_first);
        if !settles.is_empty() || self.changing.is_some() {
            self.room.gave_back();
        }
        let mut board = self.common.board();
        let unbarred = board.unbar();
        let aftermath = board.apply(done.counters, done.effects);
        board.commits += 1;
        board.writable |= !enqueues.is_empty();
        for (settle, result) in settles.iter().zip(&done.settled) {
            if matches!(result, Err(SpoolError::LeaseLost)) {
                board.leases.end(settle.settled.lease);
            }
        }
        drop(board);
        drop(step);
        // Who waits for a 250 comes before who delivers: where both wait for one processor, that is the
        // order in which they get it.
        for (enqueue, result) in enqueues.into_iter().zip(done.enqueued) {
            enqueue.answer(result);
        }
        for line in unbarred.into_iter().chain(aftermath.lines) {
            self.common.announcements.announce(line);
        }
        self.common.announce_lanes();
        if aftermath.is_cancel {
            self.common.cancels.tell();
        }
        for (settle, result) in settles.into_iter().zip(done.settled) {
            send(settle.reply, result);
        }
        for (stopping, result) in beside.stopping.into_iter().zip(done.stopping) {
            result.answer(stopping);
        }
        if let Some(plan) = done.refused {
            self.common.refusals.apply(plan);
        }
        for (_, reply) in beside.refused {
            send(reply, Ok(()));
        }
        for ((_, reply), found) in beside.dismissed.into_iter().zip(done.dismissed) {
            send(reply, Ok(found));
        }
        for id in aftermath.files {
            self.common.contents.remove(id);
        }
        self.look_for_room();
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
        let is_full = matches!(error, StoreError::Full);
        if is_full {
            self.room.ran_out(self.pace.reopen_after);
        }
        let was_alone = enqueues.is_empty() && self.changing.is_none();
        let error = SpoolError::from(error);
        self.broken = Some(Broken::now(error_again(&error)));
        self.swept_up_to.clear();
        self.rolling.begin_anew();
        self.rolling_waits = false;
        self.history_max = None;
        self.remove_from = Timestamp::EPOCH;
        self.removal_waits = false;
        self.removes_for_room = false;
        self.fail_change(&error);
        refuse_all(enqueues, Vec::new(), &error);
        let can_retry = is_full && (!was_alone || self.room.give_up_reserve(&self.common));
        match self.mend() {
            Ok(()) if can_retry && !settles.is_empty() => {
                let settles = self.with_leases(settles);
                self.commit(Vec::new(), settles, Beside::default());
            }
            _ => refuse_all(Vec::new(), settles, &error),
        }
    }

    /// Opens a broken database again, if it is time to.
    fn mend(&mut self) -> Result<(), SpoolError> {
        let Some(broken) = &self.broken else {
            return Ok(());
        };
        if broken.retry_at > Instant::now() {
            return Err(error_again(&broken.error));
        }
        match self.reopen() {
            Ok(()) => {
                tracing::info!("the spool has been opened again");
                self.broken = None;
                Ok(())
            }
            Err(fault) => {
                self.common.opening.gives_up();
                let error = SpoolError::from(fault);
                self.broken = Some(Broken {
                    retry_at: Instant::now() + self.pace.reopen_after,
                    error: error_again(&error),
                });
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
            let mut there = Vec::new();
            for (id, _) in &self.doubtful {
                if common.store.read(|rows| rows::is_known(rows, *id))? {
                    there.push(*id);
                }
            }
            self.take_out(&there, counters)?;
            self.doubtful.clear();
        }
        common.rebuild()
    }

    /// Takes messages out that were refused and are there all the same.
    fn take_out(&self, messages: &[MessageId], counters: Counters) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        let common = &self.common;
        common.store.write(|rows| {
            let mut ledger = Ledger::begin(rows, counters, common.clock.now());
            for id in messages {
                match ledger.take_out(*id) {
                    Ok(()) => {}
                    Err(Fault::Store(error)) => return Err(error),
                    Err(Fault::Damaged(damage)) => {
                        tracing::error!(message_id = %id, %damage, "a refused message stays queued");
                    }
                }
            }
            ledger.end().map(drop)
        })
    }

    fn end_slice(&mut self, slice: Option<Slice>, changed: Concerned) {
        if let (Some(slice), Some(changing)) = (slice, self.changing.take()) {
            self.changing = changing.done_with(slice, changed);
        }
    }

    /// What was kept from being claimed may be again.
    fn unbar(&self) {
        let lines = self.common.board().unbar();
        for line in lines {
            self.common.announcements.announce(line);
        }
    }

    fn fail_change(&mut self, error: &SpoolError) {
        if let Some(changing) = self.changing.take() {
            changing.fail(error_again(error));
        }
    }
}

impl Broken {
    /// To be opened again at once.
    fn now(error: impl Into<SpoolError>) -> Self {
        Self {
            retry_at: Instant::now(),
            error: error.into(),
        }
    }
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
        SpoolError::ReadOnly => SpoolError::ReadOnly,
        SpoolError::LeaseLost => SpoolError::LeaseLost,
        SpoolError::Cancelled => SpoolError::Cancelled,
        SpoolError::Restored => SpoolError::Restored,
        SpoolError::Unknown => SpoolError::Unknown,
        SpoolError::Unavailable(source) => SpoolError::unavailable(source.to_string()),
    }
}
