//! Which lines have another head than their reader knows.
//!
//! Coalesced per line: a line that changes a thousand times before the reader looks is told once,
//! with the head that it has then. They are told in their own order, so that the same mail takes the same course.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::message::Line;

/// Collects the lines that changed. One reader.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    changed: Mutex<BTreeSet<Line>>,
    /// Whether there may be lanes in which hidden lines have to be shown.
    are_lanes_wanting: AtomicBool,
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

    /// Announces that there are lanes in which hidden lines may have to be shown.
    pub(super) fn announce_lanes(&self) {
        if !self.are_lanes_wanting.swap(true, Ordering::AcqRel) {
            self.arrived.notify_one();
        }
    }

    /// Takes that announcement.
    pub(super) fn take_lanes(&self) {
        self.are_lanes_wanting.store(false, Ordering::Release);
    }

    /// Whether it has been made and not been taken yet.
    pub(super) fn are_lanes_wanting(&self) -> bool {
        self.are_lanes_wanting.load(Ordering::Acquire)
    }

    /// Waits until something is announced.
    pub(super) async fn wait(&self) {
        while self.changed().is_empty() && !self.are_lanes_wanting() {
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
