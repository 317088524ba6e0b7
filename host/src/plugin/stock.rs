//! Fresh instances that wait for their transaction.
//!
//! An instance serves one transaction, so each transaction needs new ones. They are made beforehand, while a
//! message is on its way to the disk and its client waits anyway: what a client would wait for at the next
//! MAIL is there then. Nobody has used them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Workshop;
use super::component::{Component, Instance};

/// As many as a few processors can use at once.
const WAITING_MAX: usize = 4;

/// The fresh instances of one component.
#[derive(Default)]
pub struct Stock {
    waiting: Mutex<Vec<Instance>>,
    is_being_filled: AtomicBool,
}

impl Stock {
    /// One of them.
    pub fn take(&self) -> Option<Instance> {
        self.waiting().pop()
    }

    /// Gives their room in the pool back.
    pub fn clear(&self) {
        drop(std::mem::take(&mut *self.waiting()));
    }

    fn is_full(&self) -> bool {
        self.waiting().len() >= WAITING_MAX
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Instance>> {
        // Nothing panics while it is locked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes one more of each component that misses one, on a task of its own, while there is room to spare. What
/// goes wrong is left for a transaction to meet, which can tell somebody.
pub(super) fn refill(workshop: &Arc<Workshop>, chain: &Arc<Vec<Arc<Component>>>) {
    if !chain.iter().any(|component| component.misses_one()) {
        return;
    }
    let (workshop, chain) = (Arc::clone(workshop), Arc::clone(chain));
    tokio::spawn(async move {
        for component in chain.iter().filter(|component| component.misses_one()) {
            component.make_one(&workshop).await;
        }
    });
}

impl Component {
    fn misses_one(&self) -> bool {
        // One that serves several transactions comes back by itself.
        let is_reused = self.settings.transactions_max > 1;
        let is_being_filled = self.stock.is_being_filled.load(Ordering::Relaxed);
        !is_reused && !is_being_filled && !self.stock.is_full()
    }

    async fn make_one(&self, workshop: &Workshop) {
        if self.stock.is_being_filled.swap(true, Ordering::Acquire) {
            return;
        }
        let filling = Filling(&self.stock.is_being_filled);
        if let Some(slot) = workshop.slots.take_spare()
            && let Ok(instance) = self.instantiate(&workshop.ticker, slot).await
        {
            self.stock.waiting().push(instance);
        }
        drop(filling);
    }
}

/// Ends with the filling, however it ends.
struct Filling<'a>(&'a AtomicBool);

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
