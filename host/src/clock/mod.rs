//! The time: the only module that reads it.
//!
//! Everything else is handed a [`Timestamp`] or asks a [`Clock`]. Tests use one that they set, or
//! one that goes as the runtime's timers go, which may be paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::message::Timestamp;

/// Tells the time. Cheap to clone; clones of a set clock share its hands.
#[derive(Clone, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Debug)]
enum Hands {
    System,
    Set(Arc<AtomicU64>),
    Timers { at: Timestamp, since: Instant },
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

    /// A clock that shows `at` now and goes as the runtime's timers go: where those are paused, it
    /// stands still, and where they are advanced, it follows.
    pub fn with_timers(at: Timestamp) -> Self {
        Self(Hands::Timers {
            at,
            since: Instant::now(),
        })
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
            Hands::Timers { at, since } => at.plus(since.elapsed()),
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
            _ => self.now().unix_milliseconds().saturating_mul(1_000),
        }
    }

    /// Sets a standing clock; others are not ours to set and stay as they are.
    pub fn set(&self, at: Timestamp) {
        if let Hands::Set(hands) = &self.0 {
            hands.store(at.unix_milliseconds(), Ordering::Relaxed);
        }
    }
}
