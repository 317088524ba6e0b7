//! What the writer does while nothing is asked of it: it shows what it has, forgets what is old, rolls up hours that are over,
//! and leaves a checkpoint, so that a start has nothing to do.

use std::time::Duration;

use tokio::time::Instant;

use super::Writer;
use crate::message::Timestamp;
use crate::spool::inbox::{Beside, kept_since};
use crate::spool::rows;

/// How often an idle writer looks for records that are older than they are kept.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

impl Writer {
    /// Nothing to do: time for what can wait.
    pub(super) fn idle(&mut self) {
        self.common.metrics.show(&self.common.board().counters);
        if self.mend().is_err() {
            return;
        }
        self.see_whether_there_is_room();
        self.look_for_room();
        if !self.common.board().writable {
            // Forgetting writes too, and what it gives back is of no use to others before a checkpoint.
            return;
        }
        let is_rolling = self.rolling.is_due(self.common.clock.now());
        if self.sweep_waits || is_rolling || self.swept.elapsed() >= SWEEP_EVERY {
            self.swept = Instant::now();
            if self.sweep_is_due() {
                self.commit(Vec::new(), Vec::new(), Beside::default());
                return;
            }
        }
        if !self.is_dirty {
            return;
        }
        let tidied = self.room.tidy(&self.common);
        let result = tidied.and_then(|()| self.common.store.checkpoint());
        self.is_dirty = false;
        match result {
            Ok(()) => self.common.board().commits += 1,
            Err(error) => self.failed(error, Vec::new(), Vec::new()),
        }
    }

    /// Whether finished messages are to be forgotten now, or cancelled ones removed. Looking costs no commit.
    fn sweep_is_due(&mut self) -> bool {
        let settings = &self.common.settings;
        let since = kept_since(self.common.clock.now(), settings.history_kept);
        let surplus = self.common.board().counters.finished > settings.history_records_max;
        let oldest = self.common.store.read(rows::oldest_finished);
        let is_due = surplus || matches!(oldest, Ok(Some(at)) if at < since);
        let now = self.common.clock.now();
        self.sweep_waits = is_due || self.remove_from <= now;
        self.rolling_waits = self.is_to_be_rolled_up(now);
        self.sweep_waits || self.rolling_waits
    }

    /// Whether there is something of the statistics to roll up, or to remove.
    pub(super) fn is_to_be_rolled_up(&mut self, now: Timestamp) -> bool {
        let rolling = &mut self.rolling;
        let found = self.common.store.read(|rows| rolling.finds(rows, now));
        // A read that failed is looked into by those who need it.
        self.rolling.is_due(now) && found.unwrap_or(false)
    }
}
