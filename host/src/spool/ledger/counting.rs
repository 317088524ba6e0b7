//! What a transaction counts for the statistics.
//!
//! What has come into the queue and left it is told by the effects of the transaction, whatever step made them; of whose
//! message they are has to be known by then, since its record may be gone.

use std::ops::Bound;
use std::sync::Arc;

use super::{Effect, Ledger};
use crate::message::{DeliveryId, Message, MessageId, Timestamp};
use crate::spool::place;
use crate::spool::redb::StoreError;
use crate::spool::rows::{self, Fault};
use crate::spool::sheet::Sheet;
use crate::spool::statistics::{RollUp, Tally};
use crate::spool::transaction::Transaction;
use crate::spool::view::Scan;

/// Counts what is queued in a spool of a release that did not: each delivery once, before anything else is done. With a
/// million of them that takes some ten seconds, once.
pub(in crate::spool) fn count_queue(
    rows: &mut Transaction<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut queued = Vec::new();
    for sheet in [Sheet::Waiting, Sheet::Held] {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        rows.scan(sheet, everything, &mut |key, row| {
            if let (Some(message), Some(number)) = (rows::read_message_key(row), place::number(key))
            {
                queued.push(DeliveryId { message, number });
            }
            Scan::On
        })?;
    }
    // Those of one message together, whose record is read once then.
    queued.sort_unstable();
    let mut tally = Tally::default();
    let mut last: Option<Message> = None;
    for id in queued {
        if last.as_ref().is_none_or(|last| last.id != id.message) {
            // What cannot be read is told by those who need it.
            last = Fault::apart(rows::message(rows, id.message))?
                .ok()
                .flatten();
        }
        let standing = Fault::apart(rows::standing(rows, id))?.ok().flatten();
        if let (Some(message), Some(standing)) = (&last, standing) {
            let class = standing.place.line.class;
            tally.queued(message, class, &standing.delivery.recipients, 1);
        }
    }
    tally.write(rows, now)
}

impl Ledger<'_, '_> {
    /// Something is counted of a message.
    pub(super) fn counts_of(&mut self, message: &Arc<Message>) {
        let known = self.counted.entry(message.id);
        known.or_insert_with(|| Arc::clone(message));
    }

    /// Something is counted of a message that is kept.
    pub(super) fn counts_of_kept(&mut self, id: MessageId) -> Result<(), Fault> {
        if !self.counted.contains_key(&id)
            && let Some(message) = rows::message(self.rows, id)?
        {
            self.counts_of(&Arc::new(message));
        }
        Ok(())
    }

    /// Recipients cannot be restored any more.
    pub(super) fn count_removed(&mut self, id: MessageId, recipients: &[u32]) {
        if let Some(message) = self.counted.get(&id) {
            self.tally.removed(message, recipients, self.now);
        }
    }

    /// A message that was counted when it was enqueued never was.
    pub(super) fn count_taken_back(&mut self, id: MessageId) -> Result<(), Fault> {
        self.counts_of_kept(id)?;
        if let Some(message) = self.counted.get(&id) {
            self.tally.take_back(message);
        }
        Ok(())
    }

    /// Counts what has come into the queue, and what has left it.
    pub(super) fn count_queued(&mut self) {
        for effect in &self.effects {
            let (standing, times) = match effect {
                Effect::Placed(standing) => (standing, 1),
                Effect::Left(standing) => (standing, -1),
                _ => continue,
            };
            let (delivery, class) = (&standing.delivery, standing.place.line.class);
            if let Some(message) = self.counted.get(&delivery.id.message) {
                self.tally
                    .queued(message, class, &delivery.recipients, times);
            }
        }
    }

    /// Rolls up and removes a portion of what was counted before.
    pub(in crate::spool) fn roll_up(&mut self, rolling: &mut RollUp) -> Result<(), StoreError> {
        rolling.step(self.rows, self.now)
    }
}
