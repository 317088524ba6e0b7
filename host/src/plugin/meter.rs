//! How much CPU time a component has used, told apart from the time on the wall.
//!
//! A question may begin on one thread and go on on another, so each poll is measured on its own: the
//! thread's CPU time at its begin, and again at a tick. Reading that costs a system call, and nearly
//! every question is answered within its first poll and before the first tick. So the first poll is
//! not measured from its begin: what it used up to its first tick counts as one tick.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::ticker::TICK;

/// CPU time used for one question. Written by the thread that polls, so never by two at once.
#[derive(Debug)]
pub struct Meter {
    /// Used before `since`, in nanoseconds.
    before: AtomicU64,
    /// The present thread's CPU time at a moment of the present poll, in nanoseconds.
    since: AtomicU64,
}

/// The first poll has not seen a tick.
const NO_TICK_YET: u64 = u64::MAX;

impl Meter {
    /// A meter that has measured nothing.
    pub fn new() -> Self {
        Self {
            before: AtomicU64::new(0),
            since: AtomicU64::new(NO_TICK_YET),
        }
    }

    /// Begins a new question.
    pub fn reset(&self) {
        self.before.store(0, Ordering::Relaxed);
        self.since.store(NO_TICK_YET, Ordering::Relaxed);
    }

    /// CPU time used so far; asked at a tick, inside a poll.
    pub fn used(&self) -> Duration {
        let now = thread_cpu_nanoseconds();
        let poll = match self.since.swap(now, Ordering::Relaxed) {
            NO_TICK_YET => u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX),
            since => now.saturating_sub(since),
        };
        let before = self.before.load(Ordering::Relaxed).saturating_add(poll);
        self.before.store(before, Ordering::Relaxed);
        Duration::from_nanos(before)
    }

    /// Runs a call and measures its polls.
    pub async fn measure<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut is_first = true;
        poll_fn(|context| {
            if !is_first {
                // Perhaps another thread than the last time.
                self.since
                    .store(thread_cpu_nanoseconds(), Ordering::Relaxed);
            }
            is_first = false;
            let poll = call.as_mut().poll(context);
            if poll.is_pending() {
                self.used();
            }
            poll
        })
        .await
    }
}

fn thread_cpu_nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the thread busy for that much of its CPU time.
    fn work(duration: Duration) {
        let end = thread_cpu_nanoseconds() + duration.as_nanos() as u64;
        while thread_cpu_nanoseconds() < end {}
    }

    #[tokio::test]
    async fn counts_what_the_call_uses_and_not_what_others_use_between_its_polls() {
        let (meter, millisecond) = (Meter::new(), Duration::from_millis(1));
        let call = async {
            meter.used();
            work(2 * millisecond);
            tokio::task::yield_now().await;
            work(2 * millisecond);
            meter.used()
        };
        let other = async { work(100 * millisecond) };
        let (used, ()) = tokio::join!(meter.measure(call), other);
        assert!(used >= 4 * millisecond, "{used:?}");
        assert!(used < 50 * millisecond, "{used:?}");
    }

    #[tokio::test]
    async fn begins_anew_with_each_question() {
        let meter = Meter::new();
        meter
            .measure(async {
                meter.used();
                work(Duration::from_millis(20));
                tokio::task::yield_now().await;
            })
            .await;
        meter.reset();
        let used = meter.measure(async { meter.used() }).await;
        assert!(used < Duration::from_millis(10), "{used:?}");
    }
}
