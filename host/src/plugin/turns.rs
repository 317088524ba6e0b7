//! Turns: how many questions may compute at once when they take long.
//!
//! Nearly every question is answered within its first milliseconds and never comes here. One that is
//! not goes on only with a turn, and there are fewer turns than threads: however many sessions set
//! components computing, the relay has threads left for everybody else. Whoever has a turn keeps it
//! until the question ends, so that a component that computes for ever uses up its CPU time soon. That is a
//! fault, and its breaker counts it; with all of them going on at once each would run out of time on
//! the wall, which is nobody's fault, again and again.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// CPU time from which a question needs a turn: the interpreters of slow languages answer in less.
pub const LONG: Duration = Duration::from_millis(3);

/// How often one that waits looks whether there is a point in it.
const LOOK: Duration = Duration::from_millis(50);

/// The turns that there are.
#[derive(Debug)]
pub struct Turns(Arc<Semaphore>);

/// The turn of one instance's question, when it has one.
#[derive(Debug, Default)]
pub struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turns {
    /// So many, and at least one.
    pub fn new(turns: u32) -> Self {
        Self(Arc::new(Semaphore::new(turns.max(1) as usize)))
    }
}

impl Turn {
    /// Whether the question has one.
    pub fn is_held(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Waits for one, no longer than that, and not when there is no point in it any more. Whoever waits
    /// longest is the next. Without one the next tick sees why.
    pub fn wait(
        &self,
        turns: &Turns,
        within: Duration,
        is_pointless: impl Fn() -> bool + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (turns, turn) = (Arc::clone(&turns.0), Arc::clone(&self.0));
        async move {
            let end = Instant::now() + within;
            let mut taken = pin!(turns.acquire_owned());
            loop {
                let until = end.min(Instant::now() + LOOK);
                if let Ok(Ok(permit)) = tokio::time::timeout_at(until, taken.as_mut()).await {
                    *lock(&turn) = Some(permit);
                    return;
                }
                if Instant::now() >= end || is_pointless() {
                    return;
                }
            }
        }
    }

    /// The question has ended.
    pub fn give_back(&self) {
        drop(lock(&self.0).take());
    }
}

fn lock(
    turn: &Mutex<Option<OwnedSemaphorePermit>>,
) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
    // Nothing panics while it is locked.
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_in_order_and_within_a_bound() {
        let turns = Turns::new(1);
        let (first, second, third) = (Turn::default(), Turn::default(), Turn::default());
        let bound = Duration::from_secs(1);
        first.wait(&turns, bound, || false).await;
        assert!(first.is_held());
        second.wait(&turns, bound, || false).await;
        assert!(!second.is_held());

        tokio::join!(
            second.wait(&turns, bound, || false),
            third.wait(&turns, bound, || false),
            async { first.give_back() },
        );
        assert!(!first.is_held() && second.is_held() && !third.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn what_became_pointless_waits_no_longer() {
        let turns = Turns::new(1);
        let (first, second) = (Turn::default(), Turn::default());
        let bound = Duration::from_secs(1000);
        first.wait(&turns, bound, || false).await;
        let began = Instant::now();
        let is_pointless = move || began.elapsed() >= Duration::from_secs(1);
        second.wait(&turns, bound, is_pointless).await;
        assert!(!second.is_held());
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_turn_of_what_was_given_up_comes_back() {
        let turns = Turns::new(1);
        let turn = Turn::default();
        turn.wait(&turns, Duration::from_secs(1), || false).await;
        drop(turn);
        let next = Turn::default();
        next.wait(&turns, Duration::ZERO, || false).await;
        assert!(next.is_held());
    }
}
