//! What a transaction counts for the statistics.
//!
//! What has come into the queue and left it is told by the effects of the transaction, whatever step made them; of whose
//! message they are has to be known by then, since its record may be gone.

use std::sync::Arc;

use super::{Effect, Ledger};
use crate::message::{Message, MessageId};
use crate::spool::redb::StoreError;
use crate::spool::rows::{self, Fault};
use crate::spool::statistics::RollUp;

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
