//! The breaker of one component: stops calling it when it fails again and again.
//!
//! Counts faults without a success between them, so that the one user whose mail makes a component
//! trap cannot take it away from everybody else. While open, the component is not called and its
//! `on_failure` answers. After a pause one question is let through as a probe.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Faults in a row that open the breaker: one is an accident, five are a broken component.
pub const FAULTS_MAX: u32 = 5;
/// How long an open breaker waits before a probe: mail that was deferred comes back later anyway.
pub const PAUSE: Duration = Duration::from_secs(10);
/// When a probe was never heard of again (its session ended), the next question is one.
const PROBE_WITHIN: Duration = Duration::from_secs(5);

/// Whether a component is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It is; so many faults in a row so far.
    Closed {
        /// Faults since the last success.
        faults: u32,
    },
    /// It is not, until the pause is over.
    Open {
        /// When the pause began.
        since: Instant,
    },
    /// One question is out to see whether it works again.
    Probing {
        /// When that question was let through.
        since: Instant,
    },
}

/// How a call ended, as far as the breaker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// An answer.
    Answer,
    /// The component's fault.
    Fault,
    /// Neither: the machine was busy.
    Neither,
}

/// The breaker. Time is an argument, asked for only when it matters: while all is well, nobody reads
/// a clock for it.
#[derive(Debug)]
pub struct Breaker(Mutex<BreakerState>);

impl Breaker {
    /// A closed breaker.
    pub fn new() -> Self {
        Self(Mutex::new(BreakerState::Closed { faults: 0 }))
    }

    /// Whether the component may be called now. A yes of an open breaker is the probe.
    pub fn admits(&self, now: impl FnOnce() -> Instant) -> bool {
        let mut state = self.lock();
        let (since, pause) = match *state {
            BreakerState::Closed { .. } => return true,
            BreakerState::Open { since } => (since, PAUSE),
            BreakerState::Probing { since } => (since, PROBE_WITHIN),
        };
        let now = now();
        let is_probe = now.saturating_duration_since(since) >= pause;
        if is_probe {
            *state = BreakerState::Probing { since: now };
        }
        is_probe
    }

    /// Takes note of how a call ended; true when that opened or closed the breaker.
    pub fn note(&self, end: CallEnd, now: impl FnOnce() -> Instant) -> bool {
        let mut state = self.lock();
        let next = match (*state, end) {
            (BreakerState::Closed { faults }, CallEnd::Fault) if faults + 1 < FAULTS_MAX => {
                BreakerState::Closed { faults: faults + 1 }
            }
            (BreakerState::Closed { .. } | BreakerState::Probing { .. }, CallEnd::Fault) => {
                BreakerState::Open { since: now() }
            }
            (BreakerState::Closed { .. } | BreakerState::Probing { .. }, CallEnd::Answer) => {
                BreakerState::Closed { faults: 0 }
            }
            // A call that began before it opened proves nothing.
            (open @ BreakerState::Open { .. }, _) => open,
            (other, CallEnd::Neither) => other,
        };
        let is_closed = |state: &BreakerState| matches!(state, BreakerState::Closed { .. });
        let changed = is_closed(&state) != is_closed(&next);
        *state = next;
        changed
    }

    /// Closes it, whatever it knows.
    pub fn reset(&self) {
        *self.lock() = BreakerState::Closed { faults: 0 };
    }

    /// What it knows.
    pub fn state(&self) -> BreakerState {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        // The state is whole at every moment: it is only ever replaced.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(breaker: &Breaker, now: Instant) {
        for _ in 0..FAULTS_MAX {
            assert!(breaker.admits(|| now));
            breaker.note(CallEnd::Fault, || now);
        }
    }

    #[test]
    fn opens_after_faults_in_a_row_only() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        for _ in 0..100 {
            for _ in 1..FAULTS_MAX {
                assert!(!breaker.note(CallEnd::Fault, || now));
            }
            breaker.note(CallEnd::Answer, || now);
        }
        assert!(breaker.admits(|| now));
        open(&breaker, now);
        assert!(!breaker.admits(|| now));
        assert_eq!(breaker.state(), BreakerState::Open { since: now });
    }

    #[test]
    fn overload_is_no_fault() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        for _ in 0..100 {
            breaker.note(CallEnd::Neither, || now);
        }
        assert!(breaker.admits(|| now));
    }

    #[test]
    fn probes_once_after_the_pause_and_closes_on_success() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        open(&breaker, now);
        assert!(!breaker.admits(|| now + PAUSE - Duration::from_millis(1)));
        let later = now + PAUSE;
        assert!(breaker.admits(|| later));
        assert!(!breaker.admits(|| later), "one probe at a time");
        assert!(breaker.note(CallEnd::Answer, || later));
        assert_eq!(breaker.state(), BreakerState::Closed { faults: 0 });
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        open(&breaker, now);
        let later = now + PAUSE;
        assert!(breaker.admits(|| later));
        breaker.note(CallEnd::Fault, || later);
        assert!(!breaker.admits(|| later + PAUSE / 2));
        assert!(breaker.admits(|| later + PAUSE));
    }

    #[test]
    fn a_lost_probe_does_not_keep_it_open() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        open(&breaker, now);
        assert!(breaker.admits(|| now + PAUSE));
        assert!(breaker.admits(|| now + PAUSE + PROBE_WITHIN));
    }

    #[test]
    fn can_be_reset() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        open(&breaker, now);
        breaker.reset();
        assert!(breaker.admits(|| now));
    }
}
