//! What each moment of a message's life does to the rows, inside one transaction.
//!
//! Nothing in memory changes here: every step leaves its effects in a list, and whoever commits the
//! transaction applies them once it is durable. A request that cannot be met (an id that is taken, a
//! lost lease, a damaged record) touches no row and spares the others of its batch.

mod cancelled;
mod counting;
mod history;
mod operated;
mod refused;
mod stopping;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::message::{
    Cancelled, Delivery, DeliveryId, DeliveryState, Message, MessageId, Timestamp, TrailEntry,
};

use super::change::{is_over, removed};
use super::chunks;
use super::figures::class_index;
use super::redb::StoreError;
use super::rows::{self, FINISHED_KEY_OCTETS, Fault, Kept, Standing};
use super::settings::{HISTORY_RECORD_OCTETS, TRAIL_LOOKS};
use super::sheet::Sheet;
use super::statistics::Tally;
use super::stored::{self, Counters, Damage, DeliveryRecord, MessageRecord, TrailRecord};
use super::trails;
use super::transaction::Transaction;
use super::work::{Asked, Outcomes, keeps_name, remaining_deliveries};
use super::{Lease, NewDelivery, NewMessage, SpoolError, Stop, StopOf};

pub(super) use cancelled::Removed;
pub(super) use counting::count_queue;
pub(super) use history::Swept;
pub(super) use operated::Known;

/// A message ready to be enqueued: what does not need the transaction is done.
#[derive(Debug)]
pub(super) struct Prepared {
    message: Arc<Message>,
    record: Vec<u8>,
    deliveries: Vec<NewDelivery>,
    content: Stowed,
}

/// Where a content is kept.
#[derive(Clone, Debug)]
pub(super) enum Stowed {
    /// In the database.
    Inline(Bytes),
    /// In a file under the id of the message, on stable storage already.
    File,
}

/// How a claimed delivery goes on, ready for the transaction.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) lease: Lease,
    /// What an operator asked while it was leased.
    pub(super) asked: Option<Asked>,
    pub(super) remaining: Vec<NewDelivery>,
    pub(super) reports: Vec<Prepared>,
    pub(super) trail: Vec<TrailEntry>,
    pub(super) outcomes: Option<Outcomes>,
    pub(super) is_cancelled: bool,
}

/// What a transaction does beyond its rows, in order.
#[derive(Debug)]
pub(super) enum Effect {
    /// A message is new.
    Enqueued(Arc<Message>, Stowed),
    /// A delivery stands there now, waiting or held.
    Placed(Standing),
    /// A delivery stands there, as it has since a commit that was thought to have failed.
    Stands(Standing),
    /// A delivery stands there no more.
    Left(Standing),
    /// A lease has served.
    LeaseEnded(Lease),
    /// A delivery was cancelled: what remains when whoever has it is done stays back.
    Cancelled(DeliveryId),
    /// What is asked of a leased delivery, for when it is settled.
    Asked(DeliveryId, Asked),
    /// Something is stopped.
    Stopped(Stop),
    /// Its stop is over since then.
    Started(StopOf, Timestamp),
    /// An operator changed a message or its deliveries.
    Changed(MessageId),
    /// The last delivery of a message is gone, and its content with it.
    Finished {
        /// The message.
        id: MessageId,
        /// Whether its content was in a file, which is to go now.
        has_file: bool,
    },
}

impl Prepared {
    pub(super) fn new(new: NewMessage, content: Stowed) -> Result<Self, Damage> {
        let deliveries = u32::try_from(new.deliveries.len()).unwrap_or(u32::MAX);
        Ok(Self {
            record: stored::write(&MessageRecord::of(&new.message, &new.trail, deliveries))?,
            message: Arc::new(new.message),
            deliveries: new.deliveries,
            content,
        })
    }

    pub(super) fn id(&self) -> MessageId {
        self.message.id
    }

    /// Octets that it adds to a transaction.
    pub(super) fn octets(&self) -> usize {
        match &self.content {
            Stowed::Inline(octets) => self.record.len() + octets.len(),
            Stowed::File => self.record.len(),
        }
    }
}

/// The rows in a transaction.
pub(super) struct Ledger<'a, 't> {
    rows: &'a mut Transaction<'t>,
    counters: Counters,
    now: Timestamp,
    effects: Vec<Effect>,
    /// What was finished here counts for so much in the history.
    finished: u64,
    /// The first key under which a message was finished here.
    finished_first: Option<[u8; FINISHED_KEY_OCTETS]>,
    /// Nothing that is cancelled here is to be removed before then.
    cancelled_first: Timestamp,
    /// What is counted here.
    tally: Tally,
    /// The messages that something is counted of.
    counted: HashMap<MessageId, Arc<Message>>,
}

/// What a request comes to: its own answer, or a fault that ends the transaction.
pub(super) type Step<T> = Result<Result<T, SpoolError>, StoreError>;

impl<'a, 't> Ledger<'a, 't> {
    pub(super) fn begin(rows: &'a mut Transaction<'t>, counters: Counters, now: Timestamp) -> Self {
        Self {
            rows,
            counters,
            now,
            effects: Vec::new(),
            finished: 0,
            finished_first: None,
            cancelled_first: Timestamp::NEVER,
            tally: Tally::default(),
            counted: HashMap::new(),
        }
    }

    /// Writes the counters and what was counted; what is to be done once the transaction is durable.
    pub(super) fn end(mut self) -> Result<(Counters, Vec<Effect>), StoreError> {
        self.count_queued();
        self.tally.write(self.rows, self.now)?;
        let record =
            stored::write(&self.counters).map_err(|damage| StoreError::Failed(damage.into()))?;
        self.rows.put(Sheet::Counters, rows::COUNTERS, &record);
        Ok((self.counters, self.effects))
    }

    /// Adds a message with its deliveries and its content.
    pub(super) fn enqueue(&mut self, new: &Prepared) -> Step<()> {
        own(self.try_enqueue(new))
    }

    fn try_enqueue(&mut self, new: &Prepared) -> Result<Result<(), SpoolError>, Fault> {
        if !self.is_free(new.id())? {
            return Ok(Err(id_is_taken(new.id())));
        }
        self.add(new)?;
        Ok(Ok(()))
    }

    /// Puts what remains in place of the claimed delivery, and adds reports and trail.
    pub(super) fn settle(&mut self, settled: &Settled) -> Step<()> {
        own(self.try_settle(settled))
    }

    fn try_settle(&mut self, settled: &Settled) -> Result<Result<(), SpoolError>, Fault> {
        let Some(claimed) = rows::standing(self.rows, settled.lease.delivery)? else {
            return Ok(Err(SpoolError::LeaseLost));
        };
        let id = claimed.delivery.id.message;
        let mut known = Vec::new();
        for report in &settled.reports {
            if !self.is_free(report.id())? {
                known.push(report.id());
            }
        }
        match known.first() {
            Some(_) if known.len() == settled.reports.len() => {
                self.settled_before(settled.lease, claimed);
                return Ok(Ok(()));
            }
            Some(id) => return Ok(Err(id_is_taken(*id))),
            None => {}
        }
        match (claimed.is_cancelled(), settled.is_cancelled) {
            (true, false) => return Ok(Err(SpoolError::Cancelled)),
            (false, true) => return Ok(Err(SpoolError::Restored)),
            _ => {}
        }
        let keeps_name = keeps_name(&claimed.delivery, &settled.remaining);
        let first_number = if keeps_name {
            0
        } else {
            rows::next_number(self.rows, id)?
        };
        let mut remaining = remaining_deliveries(
            &claimed.delivery,
            settled.remaining.clone(),
            settled.asked,
            first_number,
        );
        let next_number = (!keeps_name).then(|| {
            first_number.saturating_add(u32::try_from(remaining.len()).unwrap_or(u32::MAX))
        });
        self.effects.push(Effect::LeaseEnded(settled.lease));
        let line = claimed.place.line.clone();
        let is_over = is_over(claimed.delivery.state, self.now);
        match &settled.outcomes {
            Some(outcomes) => {
                self.tally.settled(outcomes);
                self.counts_of(&outcomes.message);
            }
            None => self.counts_of_kept(id)?,
        }
        self.leave(claimed)?;
        if is_over && !remaining.is_empty() {
            // Nobody can restore it any more.
            for delivery in std::mem::take(&mut remaining) {
                self.count_removed(id, &delivery.recipients);
            }
            let removed = [removed(self.now, false)];
            let trail = [&settled.trail[..], &removed].concat();
            self.end_or_add_trail(id, &trail, next_number)?;
        } else if remaining.is_empty() {
            self.end_or_add_trail(id, &settled.trail, next_number)?;
        } else {
            self.add_trail(id, &settled.trail, next_number)?;
        }
        for delivery in remaining {
            self.place(Standing::of(delivery, line.class, &line.user))?;
        }
        for report in &settled.reports {
            self.add(report)?;
        }
        Ok(Ok(()))
    }

    /// A settlement whose commit failed and is there all the same is asked for again: its reports are
    /// known, and what it left stands there already.
    fn settled_before(&mut self, lease: Lease, standing: Standing) {
        self.effects.push(Effect::LeaseEnded(lease));
        self.effects.push(Effect::Stands(standing));
    }

    /// A delivery is gone: with the last one the message is finished.
    fn end_or_add_trail(
        &mut self,
        id: MessageId,
        trail: &[TrailEntry],
        next_number: Option<u32>,
    ) -> Result<(), Fault> {
        let beside = rows::beside(self.rows, id)?;
        if beside.is_queued {
            self.add_trail(id, trail, next_number)
        } else {
            self.finish(id, trail, beside.has_trail)
        }
    }

    /// Takes a message out as if it had never been enqueued, its deliveries with it.
    pub(super) fn take_out(&mut self, id: MessageId) -> Result<(), Fault> {
        let standings = rows::standings(self.rows, id)?;
        let was_queued = !standings.is_empty();
        self.count_taken_back(id)?;
        for standing in standings {
            self.leave(standing)?;
        }
        if was_queued {
            self.remove_content(id)?;
        }
        Ok(self.forget(id)?)
    }

    /// Keeps a delivery that cannot be read out of its line: it is held, so that it is not come
    /// upon again and again.
    pub(super) fn set_aside(&mut self, key: &[u8]) -> Result<(), StoreError> {
        if let Some(id) = self.rows.get(Sheet::Waiting, key)? {
            self.rows.take(Sheet::Waiting, key)?;
            self.rows.put(Sheet::Held, key, &id);
        }
        Ok(())
    }

    fn is_free(&self, id: MessageId) -> Result<bool, StoreError> {
        Ok(!rows::is_known(self.rows, id)?)
    }

    fn add(&mut self, new: &Prepared) -> Result<(), Fault> {
        let id = new.id();
        let key = rows::message_key(id);
        self.rows.add(Sheet::Messages, &key, &new.record);
        if let Stowed::Inline(octets) = &new.content {
            self.put_content(id, octets)?;
        }
        self.tally.accepted(&new.message);
        self.counts_of(&new.message);
        self.effects.push(Effect::Enqueued(
            Arc::clone(&new.message),
            new.content.clone(),
        ));
        for (number, delivery) in (0..).zip(&new.deliveries) {
            let sequence = self.next_sequence();
            let delivery_id = DeliveryId {
                message: id,
                number,
            };
            let delivery =
                delivery
                    .clone()
                    .into_delivery(delivery_id, sequence, DeliveryState::Waiting);
            let (class, user) = (new.message.class, new.message.origin.user());
            self.place(Standing::of(delivery, class, user))?;
        }
        if new.deliveries.is_empty() {
            self.finish(id, &[], false)?;
        }
        Ok(())
    }

    /// Puts a delivery where its state has it stand: no other one with that id stands anywhere.
    fn place(&mut self, standing: Standing) -> Result<(), Fault> {
        let Delivery { id, state, .. } = standing.delivery;
        let line = &standing.place.line;
        let record = DeliveryRecord::of(&standing.delivery, line.class, &line.user);
        self.rows.add(
            Sheet::Deliveries,
            &rows::delivery_key(id),
            &stored::write(&record)?,
        );
        let key = standing.key();
        let sheet = match state {
            DeliveryState::Waiting => Sheet::Waiting,
            DeliveryState::Held => Sheet::Held,
            DeliveryState::Cancelled(Cancelled { until, .. }) => {
                self.rows.add(Sheet::Cancelled, &key, &[]);
                self.counters.cancelled += 1;
                self.cancelled_first = self.cancelled_first.min(until);
                return Ok(());
            }
        };
        self.rows.add(sheet, &key, &rows::message_key(id.message));
        self.counters.queued[class_index(line.class)] += 1;
        self.effects.push(Effect::Placed(standing));
        Ok(())
    }

    fn leave(&mut self, standing: Standing) -> Result<(), Fault> {
        let Delivery { id, state, .. } = standing.delivery;
        self.rows.take(Sheet::Deliveries, &rows::delivery_key(id))?;
        let key = standing.key();
        match state {
            DeliveryState::Cancelled(_) => {
                self.rows.take(Sheet::Cancelled, &key)?;
                self.counters.cancelled = self.counters.cancelled.saturating_sub(1);
                return Ok(());
            }
            DeliveryState::Waiting => {
                if self.rows.take(Sheet::Waiting, &key)?.is_none() {
                    // One that was set aside stands among the held ones, whatever its record says.
                    self.rows.take(Sheet::Held, &key)?;
                }
            }
            DeliveryState::Held => {
                self.rows.take(Sheet::Held, &key)?;
            }
        }
        let queued = &mut self.counters.queued[class_index(standing.place.line.class)];
        *queued = queued.saturating_sub(1);
        self.effects.push(Effect::Left(standing));
        Ok(())
    }

    /// Nothing of a message is queued any more. `has_trail`: its trail has later parts.
    fn finish(
        &mut self,
        id: MessageId,
        trail: &[TrailEntry],
        has_trail: bool,
    ) -> Result<(), Fault> {
        let key = rows::message_key(id);
        let record = self.rows.get(Sheet::Messages, &key)?;
        let kept = match record {
            // Nearly all mail. What is one row is written, found and forgotten with half the work.
            Some(row) if !has_trail && row.len() < HISTORY_RECORD_OCTETS => {
                let end = TrailRecord::of(trail, Some(self.now), None);
                let row = stored::with_end(&row, &end)?;
                self.rows.put(Sheet::Messages, &key, &row);
                Kept::of(row.len(), true)
            }
            record => {
                self.put_trail(id, trail, Some(self.now), None)?;
                let octets = record.map_or(0, |row| row.len());
                Kept::of(octets + trails::shorten(self.rows, id)?, false)
            }
        };
        let key = rows::finished_key(self.now, id);
        self.rows.add(Sheet::Finished, &key, &kept.to_row());
        let weight = u64::from(kept.weight);
        self.counters.finished += weight;
        self.finished += weight;
        self.finished_first = self.finished_first.or(Some(key)).min(Some(key));
        Ok(self.remove_content(id)?)
    }

    fn put_content(&mut self, id: MessageId, octets: &[u8]) -> Result<(), StoreError> {
        let (chunks, rest) = chunks::cuts(octets.len());
        let mut count = 0;
        for chunk in chunks {
            self.rows
                .add(Sheet::Chunks, &rows::chunk_key(id, count), &octets[chunk]);
            count += 1;
        }
        let row = rows::rest_row(count, &octets[rest]);
        self.rows.add(Sheet::Rests, &rows::message_key(id), &row);
        self.counters.inline_octets += octets.len() as u64;
        Ok(())
    }

    fn remove_content(&mut self, id: MessageId) -> Result<(), StoreError> {
        let row = self.rows.take(Sheet::Rests, &rows::message_key(id))?;
        if let Some((chunks, rest)) = row.as_deref().and_then(|row| rows::read_rest(row).ok()) {
            let mut octets = rest.len();
            for number in 0..chunks {
                let chunk = self
                    .rows
                    .take(Sheet::Chunks, &rows::chunk_key(id, number))?;
                octets += chunk.map_or(0, |chunk| chunk.len());
            }
            let stored = &mut self.counters.inline_octets;
            *stored = stored.saturating_sub(octets as u64);
        }
        self.effects.push(Effect::Finished {
            id,
            has_file: row.is_none(),
        });
        Ok(())
    }

    fn add_trail(
        &mut self,
        id: MessageId,
        trail: &[TrailEntry],
        next_number: Option<u32>,
    ) -> Result<(), Fault> {
        if trail.is_empty() && next_number.is_none() {
            return Ok(());
        }
        let octets = self.put_trail(id, trail, None, next_number)?;
        let (parts, large) = TRAIL_LOOKS;
        if octets >= large || self.counters.next_sequence.is_multiple_of(parts) {
            trails::shorten(self.rows, id)?;
        }
        Ok(())
    }

    /// Adds a part to a trail; its octets.
    fn put_trail(
        &mut self,
        id: MessageId,
        trail: &[TrailEntry],
        finished: Option<Timestamp>,
        next_number: Option<u32>,
    ) -> Result<usize, Fault> {
        let sequence = self.next_sequence();
        let record = stored::write(&TrailRecord::of(trail, finished, next_number))?;
        self.rows
            .add(Sheet::Trails, &rows::trail_key(id, sequence), &record);
        Ok(record.len())
    }

    fn next_sequence(&mut self) -> u64 {
        let sequence = self.counters.next_sequence;
        self.counters.next_sequence += 1;
        sequence
    }
}

fn id_is_taken(id: MessageId) -> SpoolError {
    SpoolError::unavailable(format!("the message id {id} is taken"))
}

/// A damaged record is the answer to the request that needs it; a fault of the database is not.
fn own<T>(result: Result<Result<T, SpoolError>, Fault>) -> Step<T> {
    match result {
        Ok(answer) => Ok(answer),
        Err(Fault::Damaged(damage)) => Ok(Err(SpoolError::unavailable(damage))),
        Err(Fault::Store(error)) => Err(error),
    }
}
