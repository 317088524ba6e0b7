//! Which lines have another head than their reader knows.
//!
//! Coalesced per line: a line that changes a thousand times before the reader looks is told once,
//! with the head that it has then. They are told in their own order, so that the same mail takes the same course.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::message::Line;

/// Collects the lines that changed. One reader.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    changed: Mutex<BTreeSet<Line>>,
    arrived: Notify,
}

impl Announcements {
    /// Announces a line.
    pub(super) fn announce(&self, line: Line) {
        if self.changed().insert(line) {
            self.arrived.notify_one();
        }
    }

    /// Takes an announcement back.
    pub(super) fn withdraw(&self, line: &Line) {
        self.changed().remove(line);
    }

    /// Waits until a line is announced.
    pub(super) async fn wait(&self) {
        while self.changed().is_empty() {
            self.arrived.notified().await;
        }
    }

    /// The lines announced since they were last taken.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.changed().iter().cloned().collect()
    }

    /// Takes them.
    pub(super) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.changed()).into_iter().collect()
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<Line>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
