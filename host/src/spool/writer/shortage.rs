//! What the writer does when the disk has too little room for new mail.

use super::{Writer, refuse_all};
use crate::message::Timestamp;
use crate::spool::SpoolError;
use crate::spool::inbox::Enqueue;
use crate::spool::ledger::Removed;

impl Writer {
    /// Refuses new messages when the disk is nearly full: what is left is for settling.
    pub(super) fn with_room(&mut self, enqueues: Vec<Enqueue>) -> Vec<Enqueue> {
        if enqueues.is_empty() {
            return enqueues;
        }
        match self.room.admits_mail(&self.common) {
            Ok(true) => self.removes_for_room = false,
            Ok(false) => {
                self.common.board().writable = false;
                self.make_room();
                for enqueue in enqueues {
                    self.common.metrics.refused();
                    enqueue.answer(Err(SpoolError::Full));
                }
                return Vec::new();
            }
            Err(error) => {
                self.failed(error, enqueues, Vec::new());
                return Vec::new();
            }
        }
        if enqueues.iter().all(|enqueue| enqueue.file.is_none()) {
            return enqueues;
        }
        match self.common.disk.sync_names() {
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

    /// Says from the beginning whether mail would be taken: whoever asks before there is any is told.
    pub(in crate::spool) fn ask_for_room(&mut self) {
        let is_enough = self.room.is_enough(&self.common);
        self.common.board().writable = is_enough;
    }

    /// Sees whether mail would be refused, though none has come to the writer: a large one is refused before that.
    pub(super) fn see_whether_there_is_room(&mut self) {
        let has_room = self.broken.is_some() || self.room.is_enough(&self.common);
        self.common.board().writable &= has_room;
    }

    /// Sees whether mail that was refused would be taken again: whoever sends it elsewhere meanwhile
    /// waits to be told.
    pub(super) fn look_for_room(&mut self) {
        if self.common.board().writable || self.broken.is_some() {
            return;
        }
        match self.room.admits_mail(&self.common) {
            Ok(true) => {
                self.removes_for_room = false;
                self.common.board().writable = true;
            }
            Ok(false) => self.make_room(),
            Err(error) => self.failed(error, Vec::new(), Vec::new()),
        }
    }

    /// There is no room for mail: what was cancelled goes first, then what is known of finished messages.
    fn make_room(&mut self) {
        let cancelled = self.common.board().counters.cancelled;
        if cancelled == 0 {
            self.forget_for_room();
        } else if !self.removes_for_room {
            tracing::warn!(
                cancelled,
                "cancelled mail is removed before its time, the oldest first, for the room that new mail needs"
            );
            self.removes_for_room = true;
        }
    }

    /// Cancelled deliveries have been removed, or others were cancelled.
    pub(super) fn has_removed(&mut self, removed: Option<Removed>, cancelled: Option<Timestamp>) {
        if let Some(cancelled) = cancelled {
            self.remove_from = self.remove_from.min(cancelled);
        }
        let Some(removed) = removed else {
            return;
        };
        self.remove_from = removed.next;
        self.removal_waits = removed.deliveries > 0 && removed.next <= self.common.clock.now();
        if removed.deliveries == 0 {
            let was_for_room = std::mem::take(&mut self.removes_for_room);
            if was_for_room && removed.some_stay {
                self.forget_for_room();
            }
            return;
        }
        self.room.gave_back();
        let (deliveries, for_room) = (removed.deliveries, self.removes_for_room);
        tracing::info!(
            deliveries,
            for_room,
            "cancelled deliveries are removed for good"
        );
    }

    /// There is no room for mail: where finished messages take it, the older half of them is forgotten, and
    /// again, until there is.
    fn forget_for_room(&mut self) {
        if self.history_max.is_some() || !self.room.is_taken_by_history(&self.common) {
            return;
        }
        let finished = self.common.board().counters.finished;
        tracing::warn!(
            finished,
            "the older half of what is known of finished messages is forgotten, for the room that new mail needs"
        );
        self.history_max = Some(finished / 2);
        self.sweep_waits = true;
    }
}
