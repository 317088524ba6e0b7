//! Which lines have another head than their reader knows.
//!
//! Coalesced per line: a line that changes a thousand times before the reader looks is told once,
//! with the head that it has then.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::message::Line;

/// Collects the lines that changed. One reader.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    changed: Mutex<HashSet<Line>>,
    arrived: Notify,
}

impl Announcements {
    /// Announces a line.
    pub(super) fn announce(&self, line: Line) {
        if self.changed().insert(line) {
            self.arrived.notify_one();
        }
    }

    /// The lines announced since the last call, waiting for the first one. Nothing is lost when
    /// the future is dropped before it is ready.
    pub(super) async fn taken(&self) -> Vec<Line> {
        loop {
            let lines: Vec<Line> = self.changed().drain().collect();
            if !lines.is_empty() {
                return lines;
            }
            self.arrived.notified().await;
        }
    }

    fn changed(&self) -> MutexGuard<'_, HashSet<Line>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
