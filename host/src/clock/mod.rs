//! The time: the only module that reads it.
//!
//! Everything else is handed a [`Timestamp`] or asks a [`Clock`]. Tests use one that they set, or
//! one that goes as the runtime's timers go, which may be paused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::message::Timestamp;

/// Tells the time. Cheap to clone; clones of a set clock share its hands.
#[derive(Clone, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Debug)]
enum Hands {
    System,
    Set(Arc<AtomicU64>),
    Timers(Arc<Mutex<Shown>>),
}

/// What a clock showed at a moment of the timers.
#[derive(Clone, Copy, Debug)]
struct Shown {
    at: Timestamp,
    since: Instant,
}

/// The time of day and the day of the week, somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Minutes since midnight, 0 to 1439.
    pub minute_of_day: u16,
    /// 1 Monday to 7 Sunday.
    pub weekday: u8,
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
        Self(Hands::Timers(Arc::new(Mutex::new(Shown::now(at)))))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Hands::System => Timestamp::from_unix_milliseconds(
                u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX),
            ),
            Hands::Timers(shown) => lock(shown).time(),
            Hands::Set(at) => Timestamp::from_unix_milliseconds(at.load(Ordering::Relaxed)),
        }
    }

    /// Microseconds since the Unix epoch, where milliseconds are too coarse to tell an order.
    pub fn unix_microseconds(&self) -> u64 {
        match &self.0 {
            Hands::System => u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX),
            _ => self.now().unix_milliseconds().saturating_mul(1_000),
        }
    }

    /// That moment in the operator's time zone; clocks of tests are in UTC.
    pub fn local(&self, at: Timestamp) -> LocalTime {
        let zone = match &self.0 {
            Hands::System => jiff::tz::TimeZone::system(),
            _ => jiff::tz::TimeZone::UTC,
        };
        let milliseconds = i64::try_from(at.unix_milliseconds()).unwrap_or(i64::MAX);
        let at = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
        let local = at.to_zoned(zone);
        LocalTime {
            minute_of_day: u16::from(local.hour().unsigned_abs()) * 60
                + u16::from(local.minute().unsigned_abs()),
            weekday: local.weekday().to_monday_one_offset().unsigned_abs(),
        }
    }

    /// Sets a clock of tests, which stands or goes on from there; the machine's is not ours to set and stays as it
    /// is.
    pub fn set(&self, at: Timestamp) {
        match &self.0 {
            Hands::System => {}
            Hands::Set(hands) => hands.store(at.unix_milliseconds(), Ordering::Relaxed),
            Hands::Timers(shown) => *lock(shown) = Shown::now(at),
        }
    }
}

impl Shown {
    fn now(at: Timestamp) -> Self {
        let since = Instant::now();
        Self { at, since }
    }

    fn time(self) -> Timestamp {
        self.at.plus(self.since.elapsed())
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the Unix epoch is ago, by the machine's clock; zero when it stands before it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the time"
)]
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_goes_with_the_timers_can_be_set_and_goes_on() {
        let at = Timestamp::from_unix_milliseconds;
        let clock = Clock::with_timers(at(5_000));
        let same = clock.clone();
        tokio::time::sleep(Duration::from_millis(70)).await;
        assert_eq!(clock.now(), at(5_070));
        clock.set(at(1_000));
        tokio::time::sleep(Duration::from_millis(70)).await;
        assert_eq!(same.now(), at(1_070));
    }

    #[test]
    fn a_standing_clock_stands_in_utc() {
        // Tuesday, 14 November 2023, 22:13:20.
        let at = Timestamp::from_unix_milliseconds(1_700_000_000_123);
        let local = Clock::standing_at(at).local(at);
        assert_eq!(
            local,
            LocalTime {
                minute_of_day: 22 * 60 + 13,
                weekday: 2
            }
        );
    }
}
