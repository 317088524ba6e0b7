//! A client that does nothing wrong, beside those that do, and how long it has to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::mail;
use super::relay::Relay;

/// The objective: an honest client's message is accepted in this time while others do their worst, on a
/// machine that is busy with other tests and with a program that is not optimised.
pub const SERVED_WITHIN: Duration = Duration::from_secs(3);

/// An honest client that sends one message after the other until it is told to end.
pub struct Honest {
    goes_on: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Honest {
    /// Makes a user of that name, and begins to send as it.
    pub fn begin(relay: &Relay, name: &str) -> Honest {
        let password = relay.user(name, "a.example");
        let mut client = relay.logged_in(name, &password);
        let goes_on = Arc::new(AtomicBool::new(true));
        let (until, from) = (Arc::clone(&goes_on), format!("{name}@a.example"));
        let thread = thread::spawn(move || {
            let mut took = Vec::new();
            while until.load(Ordering::Relaxed) || took.is_empty() {
                let began = Instant::now();
                let reply = client.message(&from, "bob@d.example", &mail(&from, "honest"));
                assert!(reply.starts_with("250 2.0.0 "), "{reply}");
                took.push(began.elapsed());
            }
            took
        });
        Honest { goes_on, thread }
    }

    /// Ends it; every message was accepted, and in time.
    #[track_caller]
    pub fn end(self, what: &str) {
        self.goes_on.store(false, Ordering::Relaxed);
        let mut took = self.thread.join().unwrap();
        took.sort();
        let (count, median, longest) = (took.len(), took[took.len() / 2], took[took.len() - 1]);
        println!("{what}: {count} messages, median {median:?}, longest {longest:?}");
        assert!(longest < SERVED_WITHIN, "{what}: {took:?}");
    }
}
