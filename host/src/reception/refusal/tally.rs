//! The tally of refused senders: what was refused since the spool was told last.
//!
//! A reply waits for no disk, so refusals are counted in memory and noted together, about once a second. A crash loses those
//! of the last second; a stop loses none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::spool::{NewRefusals, RefusedMessage, Spool, SpoolError};

/// From a refusal to when it is noted, with all that come meanwhile: what an operator waits for gladly, and one commit a
/// second whatever a client does.
const NOTED_AFTER: Duration = Duration::from_secs(1);

/// Counts refused senders until the spool notes them.
pub struct Tally {
    spool: Arc<dyn Spool>,
    new: Mutex<NewRefusals>,
    came: Notify,
    /// One batch at a time is on its way.
    noting: tokio::sync::Mutex<()>,
}

impl Tally {
    /// A tally; nothing is noted until [`Tally::run`] runs.
    pub fn new(spool: Arc<dyn Spool>) -> Arc<Self> {
        Arc::new(Self {
            spool,
            new: Mutex::default(),
            came: Notify::new(),
            noting: tokio::sync::Mutex::default(),
        })
    }

    /// Counts a message. Never waits.
    pub(super) fn add(&self, refused: RefusedMessage) {
        self.counted().add(refused);
        self.came.notify_one();
    }

    /// Notes what is counted for as long as it is polled.
    pub async fn run(&self) {
        loop {
            self.came.notified().await;
            sleep(NOTED_AFTER).await;
            if let Err(error) = self.note().await {
                // What could not be noted is tried again with the next second.
                tracing::debug!(%error, "refused senders could not be noted");
                self.came.notify_one();
            }
        }
    }

    /// Notes what is counted now.
    ///
    /// # Errors
    /// What the spool says; it stays counted.
    pub async fn note(&self) -> Result<(), SpoolError> {
        let _one = self.noting.lock().await;
        let new = std::mem::take(&mut *self.counted());
        if new.is_empty() {
            return Ok(());
        }
        let noted = self.spool.note_refusals(new.clone()).await;
        if noted.is_err() {
            self.counted().put_back(new);
        }
        noted
    }

    fn counted(&self) -> MutexGuard<'_, NewRefusals> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::clock::Clock;
    use crate::message::{Address, Timestamp};
    use crate::spool::{self, Memory, NamedIn};

    const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

    fn refused(sender: &str) -> RefusedMessage {
        RefusedMessage {
            list: "default".to_owned(),
            user: "ann".to_owned(),
            client: [192, 0, 2, 1].into(),
            at: NOW,
            senders: vec![Address::new(sender, "b.example").unwrap()],
            named_in: NamedIn::Envelope,
            reasons: Vec::new(),
        }
    }

    fn spool() -> Arc<Memory> {
        Memory::new(spool::Settings::default(), Clock::standing_at(NOW))
    }

    /// How often each sender was refused, as the spool has it.
    fn counts(spool: &Memory) -> Vec<u64> {
        let rows = spool.refusals().of_user("ann", NOW);
        rows.iter().map(|row| row.refusal.count).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_in_a_second_is_noted_together() {
        let spool = spool();
        let tally = Tally::new(spool.clone());
        let noting = Arc::clone(&tally);
        let running = tokio::spawn(async move { noting.run().await });
        for sender in ["x", "y", "x"] {
            tally.add(refused(sender));
        }
        sleep(NOTED_AFTER - Duration::from_millis(1)).await;
        assert_eq!(counts(&spool), [0; 0]);
        sleep(Duration::from_millis(2)).await;
        assert_eq!(counts(&spool), [2, 1]);
        tally.add(refused("y"));
        running.abort();
        tally.note().await.unwrap();
        assert_eq!(counts(&spool), [2, 2], "what is left at a stop");
        tally.note().await.unwrap();
        assert_eq!(counts(&spool), [2, 2], "each once");
    }

    #[tokio::test]
    async fn what_the_spool_does_not_take_stays_counted() {
        let spool = spool();
        let tally = Tally::new(spool.clone());
        spool.close().await.unwrap();
        tally.add(refused("x"));
        assert!(tally.note().await.is_err());
        tally.add(refused("x"));
        let counted = tally.counted();
        assert_eq!(counted.rows().next().unwrap().count, 2);
    }
}
