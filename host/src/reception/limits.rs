//! How many clients may be connected at once, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use outpost_smtp::Reply;

use super::{Settings, replies};

/// Counts connections. Memory grows with the number of connected addresses only.
#[derive(Debug)]
pub struct Connections {
    connections_max: AtomicUsize,
    per_address_max: AtomicUsize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among the connections; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// As many are connected as there may be at all.
    InAll,
    /// As many are connected from that address as there may be.
    FromThere,
}

impl TooMany {
    /// What the client is greeted with.
    pub(super) fn reply(self) -> Reply {
        match self {
            TooMany::InAll => replies::too_many_connections(),
            TooMany::FromThere => replies::too_many_connections_from_you(),
        }
    }

    /// The limit as the metrics call it.
    pub(super) fn limit(self) -> &'static str {
        match self {
            TooMany::InAll => "all",
            TooMany::FromThere => "address",
        }
    }
}

impl Connections {
    /// None yet, and so many at most.
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            connections_max: AtomicUsize::new(settings.connections_max),
            per_address_max: AtomicUsize::new(settings.connections_per_address_max),
            open: Mutex::default(),
        })
    }

    /// So many at most from now on. Those that are open stay, also where they are more.
    pub fn limit(&self, settings: &Settings) {
        let store = |max: &AtomicUsize, value| max.store(value, Ordering::Relaxed);
        store(&self.connections_max, settings.connections_max);
        store(&self.per_address_max, settings.connections_per_address_max);
    }

    /// Takes a place for a client.
    ///
    /// # Errors
    /// The limit that there are too many for.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, TooMany> {
        let address = site(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= self.connections_max.load(Ordering::Relaxed) {
            return Err(TooMany::InAll);
        }
        let from_there = open.by_address.entry(address).or_default();
        if *from_there >= self.per_address_max.load(Ordering::Relaxed) {
            return Err(TooMany::FromThere);
        }
        *from_there += 1;
        open.count += 1;
        Ok(Place {
            connections: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.count -= 1;
        if let Some(from_there) = open.by_address.get_mut(&self.address) {
            *from_there -= 1;
            if *from_there == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: an IPv6 host has a whole /64 to itself.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_per_address_and_come_back() {
        let limits = |connections_max, connections_per_address_max| Settings {
            connections_max,
            connections_per_address_max,
            ..Settings::default()
        };
        let connections = Connections::new(&limits(3, 2));
        let admit = |address: &str| connections.admit(address.parse().unwrap());
        let first = admit("2001:db8::1").unwrap();
        let _second = admit("2001:db8::2").unwrap();
        assert_eq!(admit("2001:db8::3").unwrap_err(), TooMany::FromThere);
        let _third = admit("192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.2").unwrap_err(), TooMany::InAll);
        drop(first);
        assert!(admit("2001:db8::3").is_ok());
        assert_eq!(connections.open.lock().unwrap().by_address.len(), 2);
        // Other limits hold for those who come, not for those who are there.
        connections.limit(&limits(1, 1));
        assert_eq!(admit("192.0.2.3").unwrap_err(), TooMany::InAll);
        connections.limit(&limits(4, 2));
        assert!(admit("192.0.2.3").is_ok());
    }
}
