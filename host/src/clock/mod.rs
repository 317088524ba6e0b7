//! The time: the only module that reads it.
//!
//! Everything else is handed a [`Timestamp`] or asks a [`Clock`]. Tests use one that they set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::message::Timestamp;

/// Tells the time. Cheap to clone; clones of a set clock share its hands.
#[derive(Clone, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Debug)]
enum Hands {
    System,
    Set(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Hands::System)
    }

    /// A clock that stands still at `at` until it is set: for tests and replays.
    pub fn standing_at(at: Timestamp) -> Self {
        Self(Hands::Set(Arc::new(AtomicU64::new(at.unix_milliseconds()))))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Hands::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp::from_unix_milliseconds(
                    u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
                )
            }
            Hands::Set(at) => Timestamp::from_unix_milliseconds(at.load(Ordering::Relaxed)),
        }
    }

    /// Microseconds since the Unix epoch, where milliseconds are too coarse to tell an order.
    pub fn unix_microseconds(&self) -> u64 {
        match &self.0 {
            Hands::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
            }
            Hands::Set(_) => self.now().unix_milliseconds().saturating_mul(1_000),
        }
    }

    /// Sets a standing clock; the machine's clock is not ours to set and stays as it is.
    pub fn set(&self, at: Timestamp) {
        if let Hands::Set(hands) = &self.0 {
            hands.store(at.unix_milliseconds(), Ordering::Relaxed);
        }
    }
}
