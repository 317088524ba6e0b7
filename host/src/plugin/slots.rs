//! Room for instances: how many may live at once, and how many may be kept by waiting transactions.
//!
//! A transaction would like to keep its instances from MAIL to the end, but its client decides how
//! long that is. So only some may be kept; whoever comes later gets a fresh one for each question.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::settings::PoolSettings;

/// Room for instances.
#[derive(Debug)]
pub struct Slots {
    live: Arc<Semaphore>,
    held: Arc<Semaphore>,
    wait: Duration,
    settings: PoolSettings,
}

/// Room for one instance; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// Leave to keep an instance until its next question; given back when dropped.
#[derive(Debug)]
pub struct Leave {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    /// As many as the settings say; at least one, and at least one that nobody may keep.
    pub fn new(settings: PoolSettings) -> Self {
        let live = settings.instances.max(1);
        let held = settings.instances_held.min(live - 1);
        Self {
            live: Arc::new(Semaphore::new(live as usize)),
            held: Arc::new(Semaphore::new(held as usize)),
            wait: settings.wait,
            settings,
        }
    }

    /// Room for one instance, after a bounded wait; none is overload.
    pub async fn take(&self) -> Option<Slot> {
        if let Some(slot) = self.try_take() {
            return Some(slot);
        }
        let permit = Arc::clone(&self.live).acquire_owned();
        let permit = tokio::time::timeout(self.wait, permit).await.ok()?.ok()?;
        Some(Slot { _permit: permit })
    }

    /// Room for one instance, when there is some now.
    pub fn try_take(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.live).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit })
    }

    /// Room for one instance that nobody needs yet: when half of it is free.
    pub fn take_spare(&self) -> Option<Slot> {
        let live = self.settings.instances.max(1) as usize;
        let is_to_spare = self.live.available_permits() > live / 2;
        self.try_take().filter(|_| is_to_spare)
    }

    /// Leave to keep an instance, when there is some left.
    pub fn leave(&self) -> Option<Leave> {
        let permit = Arc::clone(&self.held).try_acquire_owned().ok()?;
        Some(Leave { _permit: permit })
    }

    /// How many instances live, and how many of them are kept.
    pub fn in_use(&self) -> (usize, usize) {
        let live = self.settings.instances.max(1) as usize;
        let held = self.settings.instances_held as usize;
        (
            live.saturating_sub(self.live.available_permits()),
            held.min(live - 1)
                .saturating_sub(self.held.available_permits()),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn slots(instances: u32, instances_held: u32) -> Slots {
        Slots::new(PoolSettings {
            instances,
            instances_held,
            wait: Duration::from_secs(2),
            ..PoolSettings::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_room_within_a_bound() {
        let slots = slots(1, 0);
        let first = slots.take().await.unwrap();
        assert!(slots.take().await.is_none());
        drop(first);
        assert!(slots.take().await.is_some());
    }

    #[test]
    fn what_nobody_needs_yet_leaves_half_of_the_room() {
        let slots = slots(4, 0);
        let spare = (slots.take_spare(), slots.take_spare());
        assert!(spare.0.is_some() && spare.1.is_some());
        assert!(slots.take_spare().is_none());
        assert_eq!(slots.in_use(), (2, 0));
    }

    #[test]
    fn keepers_never_take_all_the_room() {
        let slots = slots(2, 9);
        let leave = slots.leave();
        assert!(leave.is_some());
        assert!(slots.leave().is_none());
        assert_eq!(slots.in_use(), (0, 1));
        drop(leave);
        assert!(slots.leave().is_some());
    }
}
