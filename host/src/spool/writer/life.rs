//! The writer's life: from batch to batch, and how it ends.
//!
//! What is done with a batch is the writer's own business.

use std::ops::ControlFlow;
use std::sync::Arc;

#[cfg(test)]
use super::super::aside::DiskTime;
use super::super::common::Common;
use super::super::inbox::Batch;
use super::super::rows::{self, Fault};
use super::super::sheet::Sheet;
use super::super::stored;
use super::Writer;

impl Writer {
    /// Works until the inbox is closed and empty.
    pub(in crate::spool) fn run(mut self) {
        let _lifeline = Lifeline(Arc::clone(&self.common));
        loop {
            let is_busy = self.is_busy();
            let batch = self.common.inbox.next(self.pace.checkpoint_after, is_busy);
            if self.turn(batch, is_busy).is_break() {
                break;
            }
        }
        self.end();
    }

    /// The same as a task, for simulations: between a batch and its commit it sleeps for as long as the disk takes.
    #[cfg(test)]
    pub(in crate::spool) async fn run_as_task(mut self, takes: Arc<DiskTime>) {
        let common = Arc::clone(&self.common);
        let _lifeline = Lifeline(Arc::clone(&common));
        loop {
            let is_busy = self.is_busy();
            let next = common
                .inbox
                .next_for_task(self.pace.checkpoint_after, is_busy);
            let batch = next.await;
            tokio::time::sleep(takes()).await;
            if self.turn(batch, is_busy).is_break() {
                break;
            }
        }
        self.end();
    }

    /// Whether there is work that is done with the next batch, or without one.
    fn is_busy(&self) -> bool {
        self.changing.is_some()
            || self.history_max.is_some()
            || self.removal_waits
            || self.removes_for_room
            || self.rolling_waits
    }

    /// Does what a batch asks for; a break after the last one.
    fn turn(&mut self, batch: Batch, is_busy: bool) -> ControlFlow<()> {
        let is_last = batch.is_last;
        if batch.is_empty() && !is_busy && !is_last {
            self.idle();
            return ControlFlow::Continue(());
        }
        self.work(batch);
        match is_last && self.changing.is_none() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Leaves the files so that the next start has nothing to repair.
    fn end(mut self) {
        for (_, file) in self.doubtful.drain(..) {
            // The next start knows whether its message is there.
            if let Some(file) = file {
                file.keep();
            }
        }
        if let Err(error) = self.note_interruption() {
            tracing::warn!(
                ?error,
                "what a process before this one may have sent twice is not told at the next start"
            );
        }
        if let Err(error) = self.common.store.close() {
            tracing::error!(%error, "the spool could not be closed; the next start repairs it");
        }
        self.common.inbox.end();
    }

    /// Closing the spool takes away the sign that it was not closed before. Mail that was due then and has not
    /// had its turn is still to be told apart, so what was known of it is written down.
    fn note_interruption(&self) -> Result<(), Fault> {
        let store = &self.common.store;
        let Some(interruption) = self.common.interruption.filter(|_| store.was_interrupted())
        else {
            return Ok(());
        };
        let row = stored::write(&interruption)?;
        store.write(|rows| {
            rows.put(Sheet::Interruption, rows::INTERRUPTION, &row);
            Ok(())
        })?;
        Ok(())
    }
}

/// Ends with the writer, however it ends. Should it panic, whoever waits for it learns that there is no
/// answer, and the spool is closed.
struct Lifeline(Arc<Common>);

impl Drop for Lifeline {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the writer of the spool has failed; the relay takes no mail any more");
            self.0.inbox.abandon();
        }
    }
}
