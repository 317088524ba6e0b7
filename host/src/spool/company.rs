//! Company: which messages are about to come, and whether waiting for them is worth it.
//!
//! A sync that several messages share costs what one message's costs. Whoever is about to come is known:
//! its content is being taken in. But that may take a slow client minutes, so that nobody waits long for it,
//! and after waits in vain not at all for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A message waits for others no longer than this: short beside what its client waits anyway.
pub(super) const COMPANY_PATIENCE: Duration = Duration::from_millis(2);

/// After a wait in vain so many messages are committed without one; each time twice as many, up to
/// two to the power of this.
const DOUBLINGS_MAX: u32 = 6;

/// How many messages are coming in. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(super) struct Coming(Arc<AtomicUsize>);

/// One message that is coming in.
#[derive(Debug)]
pub(super) struct OnItsWay(Arc<AtomicUsize>);

impl Coming {
    pub(super) fn one_more(&self) -> OnItsWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        OnItsWay(Arc::clone(&self.0))
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there is a point in waiting for others.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Waits in vain, one after the other.
    in_vain: u32,
    /// So many messages are committed without a wait.
    hurried: u32,
}

impl Patience {
    pub(super) fn has_any(&self) -> bool {
        self.hurried == 0
    }

    /// A batch had several messages.
    pub(super) fn had_company(&mut self) {
        *self = Self::default();
    }

    /// A batch had one message.
    pub(super) fn was_alone(&mut self) {
        self.hurried = self.hurried.saturating_sub(1);
    }

    /// A message has waited and nobody came. It is about to be committed alone.
    pub(super) fn was_in_vain(&mut self) {
        self.in_vain = (self.in_vain + 1).min(DOUBLINGS_MAX);
        self.hurried = (1 << self.in_vain) + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages are committed without a wait before the next one waits.
    fn hurried(patience: &mut Patience) -> u32 {
        let mut times = 0;
        while !patience.has_any() {
            patience.was_alone();
            times += 1;
        }
        times
    }

    /// A message waits, nobody comes, and it is committed alone.
    fn wait_in_vain(patience: &mut Patience) {
        assert!(patience.has_any());
        patience.was_in_vain();
        patience.was_alone();
    }

    #[test]
    fn waits_in_vain_become_rare_and_company_makes_up_for_them() {
        let mut patience = Patience::default();
        for times in [2, 4, 8, 16, 32, 64, 64, 64] {
            wait_in_vain(&mut patience);
            assert_eq!(hurried(&mut patience), times);
        }
        wait_in_vain(&mut patience);
        patience.had_company();
        assert_eq!(hurried(&mut patience), 0);
    }

    #[test]
    fn what_comes_no_more_is_not_waited_for() {
        let coming = Coming::default();
        let messages = [coming.one_more(), coming.one_more()];
        assert_eq!(coming.count(), 2);
        drop(messages);
        assert_eq!(coming.count(), 0);
    }
}
