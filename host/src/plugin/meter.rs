//! How much CPU time a component has used, told apart from the time on the wall.
//!
//! A question may be polled on one thread and go on on another, so each poll is measured on its
//! own: CPU time of the thread at its begin, and again at a tick or at its end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time used for one question. Written by the thread that polls, so never by two at once.
#[derive(Debug, Default)]
pub struct Meter {
    /// By the polls that have ended, in nanoseconds.
    ended_polls: AtomicU64,
    /// The thread's CPU time when the present poll began, in nanoseconds.
    poll_began: AtomicU64,
}

impl Meter {
    /// Begins a new question.
    pub fn reset(&self) {
        self.ended_polls.store(0, Ordering::Relaxed);
    }

    /// CPU time used so far; asked from inside a poll.
    pub fn used(&self) -> Duration {
        let poll = thread_cpu_nanoseconds().saturating_sub(self.poll_began.load(Ordering::Relaxed));
        Duration::from_nanos(
            self.ended_polls
                .load(Ordering::Relaxed)
                .saturating_add(poll),
        )
    }

    /// Runs a call and measures each of its polls.
    pub async fn measure<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        poll_fn(|context| {
            self.poll_began
                .store(thread_cpu_nanoseconds(), Ordering::Relaxed);
            let poll = call.as_mut().poll(context);
            if poll.is_pending() {
                let used = u64::try_from(self.used().as_nanos()).unwrap_or(u64::MAX);
                self.ended_polls.store(used, Ordering::Relaxed);
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
        let (meter, millisecond) = (Meter::default(), Duration::from_millis(1));
        let call = async {
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
        let meter = Meter::default();
        meter
            .measure(async {
                work(Duration::from_millis(20));
                tokio::task::yield_now().await;
            })
            .await;
        meter.reset();
        let used = meter.measure(async { meter.used() }).await;
        assert!(used < Duration::from_millis(10), "{used:?}");
    }
}
