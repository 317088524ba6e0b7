//! Tells whoever has a delivery that it was cancelled, though nobody asks.
//!
//! Cancels of what is under way are rare, so all who wait are woken by each, and look whether it was about theirs.

use std::pin::pin;

use tokio::sync::Notify;

/// Wakes those who have deliveries.
#[derive(Debug, Default)]
pub(super) struct Cancels(Notify);

impl Cancels {
    /// Something that somebody has was cancelled.
    pub(super) fn tell(&self) {
        self.0.notify_waiters();
    }

    /// Waits until `is_cancelled`.
    pub(super) async fn wait_until(&self, is_cancelled: impl Fn() -> bool) {
        loop {
            let mut told = pin!(self.0.notified());
            // What is told behind the look is not missed.
            told.as_mut().enable();
            if is_cancelled() {
                return;
            }
            told.await;
        }
    }
}
