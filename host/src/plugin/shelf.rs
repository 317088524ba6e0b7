//! Instances that wait for another transaction, of the components whose operator asked for that.
//!
//! By default an instance serves one transaction. Some language runtimes need so long to come up that
//! an operator may let theirs serve several. What the instance remembers then passes from one user's
//! transaction to another's, so nobody may count on it: how many it serves is drawn anew for each
//! instance, and one that failed or was given up in the middle never comes here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::component::Instance;
use super::slots::Leave;

/// Instances that wait: as many as a few processors can use at once.
const WAITING_MAX: usize = 4;

/// An instance that is kept until the next question.
pub struct Seat {
    /// The instance; its last question was answered.
    pub instance: Instance,
    /// Leave to keep it.
    pub leave: Leave,
}

/// The waiting instances of one component.
#[derive(Default)]
pub struct Shelf(Mutex<Vec<Seat>>);

impl Shelf {
    /// One that waits, for a new transaction.
    pub fn take(&self) -> Option<Instance> {
        self.lock().pop().map(|seat| seat.instance)
    }

    /// Keeps an instance whose transaction has ended, if it may serve another one.
    pub fn put(&self, mut seat: Seat) {
        let Some(left) = seat.instance.transactions_left.checked_sub(1) else {
            return;
        };
        seat.instance.transactions_left = left;
        let mut waiting = self.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push(seat);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seat>> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many transactions a new instance serves after its first: any number below `transactions_max`.
pub fn draw(transactions_max: u32) -> u32 {
    if transactions_max <= 1 {
        return 0;
    }
    // Without random numbers there is no reuse.
    getrandom::u32().map_or(0, |random| random % transactions_max)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nobody_knows_how_many_transactions_an_instance_serves() {
        assert_eq!((draw(0), draw(1)), (0, 0));
        let drawn: HashSet<u32> = (0..1000).map(|_| draw(8)).collect();
        assert_eq!(drawn, (0..8).collect());
    }
}
