//! Trouble with the spool: logged once when it begins and once when it ends, retried ever slower.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::spool::SpoolError;

/// Whether something fails at present.
#[derive(Debug)]
pub(super) struct Trouble {
    what: &'static str,
    is_on: AtomicBool,
}

impl Trouble {
    /// No trouble yet with `what`.
    pub(super) const fn with(what: &'static str) -> Self {
        Self {
            what,
            is_on: AtomicBool::new(false),
        }
    }

    /// It failed.
    pub(super) fn begins(&self, error: &SpoolError) {
        if !self.is_on.swap(true, Ordering::Relaxed) {
            tracing::error!(what = self.what, %error, "the queue waits for the spool");
        }
    }

    /// It worked.
    pub(super) fn ends(&self) {
        if self.is_on.swap(false, Ordering::Relaxed) {
            tracing::info!(what = self.what, "the queue goes on");
        }
    }

    /// Whether it failed when it was last tried.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }
}

/// How long to wait before the next try.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    /// A disk that was made room on is noticed within this.
    const LONGEST: Duration = Duration::from_secs(5);

    /// The wait after one more failure.
    pub(super) fn next_wait(&mut self) -> Duration {
        let wait = Self::FIRST.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        wait.min(Self::LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next_wait().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next_wait(), Backoff::LONGEST);
    }
}
