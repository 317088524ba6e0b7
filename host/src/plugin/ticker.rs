//! The one thread that moves the engine's epoch, once a millisecond while a component runs.
//!
//! An idle relay has no ticks: the thread parks itself when nobody has run for a while, and the
//! next question wakes it. It ends with the [`Ticker`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// One tick: the precision of CPU and wall time budgets.
pub const TICK: Duration = Duration::from_millis(1);
/// Ticks without anybody running before the thread parks, so that a busy relay need not wake it
/// for every message.
const IDLE_TICKS_MAX: u32 = 100;

/// Owns the thread.
#[derive(Debug)]
pub struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// While it exists, the epoch moves.
#[derive(Debug)]
pub struct Running<'a>(&'a Shared);

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    is_parked: AtomicBool,
    has_ended: AtomicBool,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(engine: Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new()
            .name("policy-ticks".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || tick(&shared, &engine)
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Keeps the epoch moving for as long as the answer lives.
    pub fn run(&self) -> Running<'_> {
        // The thread sets `is_parked` and then looks at `running`; this is the other way round, so
        // one of the two always sees the other.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.is_parked.load(Ordering::SeqCst) {
            self.unpark();
        }
        Running(&self.shared)
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::SeqCst);
        self.unpark();
        if let Some(thread) = self.thread.take() {
            // It neither panics nor waits for anything but a tick.
            drop(thread.join());
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    let mut idle_ticks = 0;
    while !shared.has_ended.load(Ordering::SeqCst) {
        if idle_ticks >= IDLE_TICKS_MAX {
            shared.is_parked.store(true, Ordering::SeqCst);
            if shared.running.load(Ordering::SeqCst) == 0
                && !shared.has_ended.load(Ordering::SeqCst)
            {
                thread::park();
            }
            shared.is_parked.store(false, Ordering::SeqCst);
            idle_ticks = 0;
        }
        #[allow(clippy::disallowed_methods, reason = "this thread exists to sleep")]
        thread::sleep(TICK);
        engine.increment_epoch();
        if shared.running.load(Ordering::Relaxed) == 0 {
            idle_ticks += 1;
        } else {
            idle_ticks = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Waits, without a bound of its own: the test runner has one.
    fn until(ticker: &Ticker, is_parked: bool) {
        while ticker.shared.is_parked.load(Ordering::SeqCst) != is_parked {
            thread::yield_now();
        }
    }

    #[test]
    fn parks_when_nobody_runs_and_wakes_when_somebody_does() {
        let ticker = Ticker::start(Engine::default()).unwrap();
        until(&ticker, true);
        let running = ticker.run();
        until(&ticker, false);
        drop(running);
        until(&ticker, true);
    }
}
