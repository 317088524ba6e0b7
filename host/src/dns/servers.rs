//! Whom questions go to: known from the start, or read anew when there was nobody or somebody wants it.
//!
//! A relay may start before its machine has name servers, and a machine may get others. Reading is the
//! resolver library's; here stands when.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Problem, Source};

/// While there is nobody to ask, the system is looked at again this often at most: mail waits longer anyway.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Finds out whom to ask, or why nobody can be.
pub(super) type Read = dyn Fn() -> Result<Source, String> + Send + Sync;

/// Whom to ask, at present.
pub(super) struct Servers {
    read: Box<Read>,
    known: Mutex<Known>,
}

struct Known {
    source: Result<Source, Arc<str>>,
    read_at: Instant,
}

impl Servers {
    /// Those that are found now.
    pub(super) fn new(read: Box<Read>) -> Self {
        let source = read().map_err(|reason| {
            tracing::warn!(%reason, "there is no usable name server: mail that needs one waits");
            reason.into()
        });
        let read_at = Instant::now();
        Self {
            known: Mutex::new(Known { source, read_at }),
            read,
        }
    }

    /// Whom to ask.
    ///
    /// # Errors
    /// [`Problem::Temporary`], when there is nobody, and was nobody a moment ago.
    pub(super) fn source(&self) -> Result<Source, Problem> {
        let mut known = self.lock();
        if known.source.is_err() && known.read_at.elapsed() >= READ_AGAIN_AFTER {
            self.read_again(&mut known);
        }
        let source = known.source.as_ref();
        source
            .cloned()
            .map_err(|reason| Problem::Temporary(reason.to_string()))
    }

    /// Reads anew. Where nobody is found, those that are known stay.
    pub(super) fn refresh(&self) {
        self.read_again(&mut self.lock());
    }

    fn read_again(&self, known: &mut Known) {
        known.read_at = Instant::now();
        match (self.read)() {
            Ok(source) => {
                if known.source.is_err() {
                    tracing::info!("there are usable name servers now");
                }
                known.source = Ok(source);
            }
            Err(reason) if known.source.is_ok() => {
                tracing::warn!(%reason, "no usable name server was found: those of before are asked");
            }
            Err(reason) => known.source = Err(reason.into()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing inside can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers")
            .field("source", &self.lock().source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::{Resolver, Table};
    use super::*;

    /// What is found at each reading, and how often was read.
    fn resolver(found: Vec<Option<Table>>) -> (Resolver, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let read = move || {
            let at = counted.fetch_add(1, Ordering::Relaxed);
            match &found[at.min(found.len() - 1)] {
                Some(table) => Ok(Source::Table(Arc::new(table.clone()))),
                None => Err("nothing is written down".to_owned()),
            }
        };
        (Resolver::that_asks(Servers::new(Box::new(read))), count)
    }

    fn table(address: &str) -> Option<Table> {
        Some(Table::new().address("a.example", address))
    }

    #[tokio::test(start_paused = true)]
    async fn name_servers_that_appear_later_are_asked_within_a_minute() {
        let (resolver, read) = resolver(vec![None, None, table("192.0.2.1")]);
        for second in 0..59 {
            let answer = resolver.addresses("a.example").await;
            assert!(matches!(answer, Err(Problem::Temporary(_))), "{second}");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(read.load(Ordering::Relaxed), 1);
        for _ in 0..61 {
            let _ = resolver.addresses("a.example").await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(read.load(Ordering::Relaxed), 2);
        assert_eq!(resolver.addresses("a.example").await.unwrap().len(), 1);
        // Who is known is not looked for again.
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert!(resolver.addresses("a.example").await.is_ok());
        assert_eq!(read.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn others_are_asked_after_a_refresh_if_there_are_any() {
        let (resolver, _) = resolver(vec![None, table("192.0.2.1"), None, table("192.0.2.2")]);
        let clone = resolver.clone();
        let mut found = Vec::new();
        for _ in 0..4 {
            let answer = clone.addresses("a.example").await;
            found.push(answer.ok().map(|addresses| addresses[0].to_string()));
            resolver.refresh();
        }
        let found: Vec<_> = found.iter().map(Option::as_deref).collect();
        let (first, second) = (Some("192.0.2.1"), Some("192.0.2.2"));
        assert_eq!(found, [None, first, first, second]);
    }
}
