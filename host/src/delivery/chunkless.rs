//! Hosts that list CHUNKING and do not take BDAT, remembered so that their mail goes with DATA from the start.
//!
//! By address, for a while. That a host does not take it is found out by the protocol core, at the cost of a
//! connection; what a forgotten host costs is that once more.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a host is remembered: one that was mended gets chunks again soon enough, and one that was not
/// costs one connection in that time.
const TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// Hosts remembered. They are rare; with a thousand of them it is no more than that connection for each
/// message to one more.
const HOSTS_MAX: usize = 1_000;

/// The hosts, and since when they are known.
#[derive(Debug, Default)]
pub(super) struct Chunkless(Mutex<HashMap<SocketAddr, Instant>>);

impl Chunkless {
    /// Remembers a host. Where there are too many, the one that has been known for longest is forgotten.
    pub(super) fn remember(&self, host: SocketAddr) {
        let mut hosts = self.lock();
        hosts.retain(|_, since| is_known(*since));
        if hosts.len() >= HOSTS_MAX && !hosts.contains_key(&host) {
            let oldest = hosts.iter().min_by_key(|(_, since)| **since);
            if let Some(oldest) = oldest.map(|(host, _)| *host) {
                hosts.remove(&oldest);
            }
        }
        hosts.insert(host, Instant::now());
    }

    /// Whether a host is remembered.
    pub(super) fn contains(&self, host: SocketAddr) -> bool {
        self.lock().get(&host).is_some_and(|since| is_known(*since))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Instant>> {
        // Whatever stands in it is true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_known(since: Instant) -> bool {
    since.elapsed() < TIME_MAX
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::time::advance;

    use super::*;

    fn host(number: u32) -> SocketAddr {
        let address = Ipv4Addr::from_bits(0xc633_6400 + number);
        SocketAddr::new(IpAddr::V4(address), 25)
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_remembered_for_an_hour() {
        let chunkless = Chunkless::default();
        chunkless.remember(host(1));
        assert!(chunkless.contains(host(1)) && !chunkless.contains(host(2)));
        advance(TIME_MAX - Duration::from_secs(1)).await;
        assert!(chunkless.contains(host(1)));
        advance(Duration::from_secs(1)).await;
        assert!(!chunkless.contains(host(1)));
        chunkless.remember(host(2));
        assert_eq!(chunkless.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_a_thousand_are_remembered_and_the_oldest_gives_way() {
        let chunkless = Chunkless::default();
        for number in 0..1_001 {
            advance(Duration::from_millis(1)).await;
            chunkless.remember(host(number));
        }
        assert_eq!(chunkless.lock().len(), 1_000);
        assert!(!chunkless.contains(host(0)) && chunkless.contains(host(1)));
        chunkless.remember(host(1));
        assert!(
            chunkless.contains(host(2)),
            "nobody gives way to one who is known"
        );
    }
}
