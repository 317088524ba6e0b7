//! The octets in flight: one bound over all sessions.
//!
//! A counter, not a queue: whoever finds it full is refused and tells its client to come back,
//! because waiting would hold the octets that it already has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::SpoolError;
use super::settings::RESERVED_OCTETS_MAX;

/// A bound on octets that everybody shares. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Octets>);

#[derive(Debug)]
struct Octets {
    taken: AtomicU64,
    max: u64,
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    reserved: u64,
}

/// Octets that are set aside for a content when it begins to come in, of the size that was declared.
pub fn set_aside(octets_expected: Option<u64>) -> u64 {
    octets_expected.unwrap_or(0).min(RESERVED_OCTETS_MAX)
}

impl Budget {
    pub(super) fn new(octets_max: u64) -> Self {
        Self(Arc::new(Octets {
            taken: AtomicU64::new(0),
            max: octets_max,
        }))
    }

    /// The share of a content that begins to come in, of the size that was declared.
    pub(super) fn begin(&self, octets_expected: Option<u64>) -> Result<Share, SpoolError> {
        let expected = octets_expected.unwrap_or(0);
        if !self.has_room_for(expected) {
            return Err(SpoolError::Full);
        }
        self.share(set_aside(octets_expected))
    }

    /// A share of `octets` to begin with.
    fn share(&self, octets: u64) -> Result<Share, SpoolError> {
        self.take(octets)?;
        Ok(Share {
            budget: self.clone(),
            reserved: octets,
        })
    }

    fn has_room_for(&self, octets: u64) -> bool {
        self.taken()
            .checked_add(octets)
            .is_some_and(|sum| sum <= self.0.max)
    }

    pub(super) fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    pub(super) fn max(&self) -> u64 {
        self.0.max
    }

    fn take(&self, octets: u64) -> Result<(), SpoolError> {
        self.0
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                taken.checked_add(octets).filter(|sum| *sum <= self.0.max)
            })
            .map(drop)
            .map_err(|_| SpoolError::Full)
    }
}

impl Share {
    /// Grows to hold `octets` in all, if it does not yet.
    pub(super) fn cover(&mut self, octets: u64) -> Result<(), SpoolError> {
        if let Some(more) = octets.checked_sub(self.reserved).filter(|more| *more > 0) {
            self.budget.take(more)?;
            self.reserved = octets;
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget
            .0
            .taken
            .fetch_sub(self.reserved, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn shares_never_exceed_the_bound_and_come_back_when_dropped() {
        let budget = Budget::new(100);
        let mut first = budget.share(40).unwrap();
        first.cover(30).unwrap();
        assert_eq!(budget.taken(), 40, "what was reserved is kept");
        first.cover(70).unwrap();
        assert!(budget.share(31).is_err());
        let second = budget.share(30).unwrap();
        assert!(first.cover(71).is_err());
        assert_eq!(budget.taken(), 100, "a refusal takes nothing");
        drop((first, second));
        assert_eq!(budget.taken(), 0);
        assert!(budget.share(u64::MAX).is_err());
    }
}
