//! What is counted of mail in memory.

use super::Shelf;
use crate::message::{DeliveryId, Timestamp};
use crate::spool::SpoolError;
use crate::spool::statistics::{Answer, Question, Unanswerable};

impl Shelf {
    /// Counts what has come into the queue, or with -1 leaves it.
    pub(super) fn count_queued(&mut self, id: DeliveryId, times: i64) {
        let kept = &self.messages[&id.message];
        let recipients = &kept.deliveries[&id.number].recipients;
        let message = &kept.message;
        self.tally.queued(message, message.class, recipients, times);
    }

    /// Writes down what was counted. Rows in memory do not fail.
    pub(super) fn count(&mut self, now: Timestamp) {
        let tally = std::mem::take(&mut self.tally);
        let mut counted = tally.write(&mut self.statistics, now);
        while counted.is_ok() && self.rolling.is_due(now) {
            counted = self.rolling.step(&mut self.statistics, now);
        }
        debug_assert!(counted.is_ok(), "{counted:?}");
    }

    /// What was counted.
    pub(super) fn answer(
        &self,
        question: &Question,
        now: Timestamp,
    ) -> Result<Result<Answer, Unanswerable>, SpoolError> {
        Ok(question.answer(&self.statistics, now)?)
    }
}
