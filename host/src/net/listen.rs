//! Listening sockets: the configured set of addresses and ports, bound all at once, or taken from the service
//! manager that has bound them.
//!
//! What cannot be bound is named, never skipped in silence. Accepting is reception's.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::passed::{Passed, Unused};

/// Clients that wait to be accepted, per port. A short backlog loses clients that connect at the
/// same moment; the kernel cuts this to its own limit.
const BACKLOG: i32 = 4_096;

/// What `raise_file_limit` aims at: the most that machines allow by themselves.
const FILES_WANTED: u64 = 1 << 20;

/// Open files that optional ports leave to the stores, clients and next hops: a port more is worth
/// less than clients that can be served. Of a small limit it is half.
const FILES_SPARED: u64 = 1_024;

/// Open files that ports leave where all of them are wanted: what the relay needs to run at all.
const FILES_SPARED_LEAST: u64 = 64;

/// Which sockets listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// On these addresses.
    pub addresses: Vec<IpAddr>,
    /// On these ports, in clear with STARTTLS.
    pub ports: PortSet,
    /// On these ports, with TLS from the first octet (RFC 8314 §3.3).
    pub implicit_tls_ports: PortSet,
    /// Whether a port that cannot be bound is reported and skipped.
    pub optional: bool,
}

/// A set of ports, written as single ports and ranges: `25,587,1025-5000`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSet(Vec<RangeInclusive<u16>>);

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether TLS begins with the first octet.
    pub implicit_tls: bool,
}

/// A socket that could not be bound.
#[derive(Debug)]
pub struct Unbound {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// Why it does not.
    pub error: io::Error,
}

/// What came of binding.
#[derive(Debug)]
pub struct Bound {
    /// What listens.
    pub listeners: Vec<Listener>,
    /// What does not.
    pub unbound: Vec<Unbound>,
    /// Sockets that the service manager has passed in vain.
    pub unused: Vec<Unused>,
}

/// Binds every configured socket that was not passed, as far as `files_max`, the limit on open files, leaves
/// room. What is unbound stands beside what is bound; whether that is an error is the caller's decision by
/// [`Settings::optional`].
///
/// Ports with TLS come first and then the lower ports, each on all addresses: where there is not room for
/// all of them, these are the ones that clients know.
///
/// A machine without IPv6 does not fail at the IPv6 forms of "any" and "loopback".
///
/// Must be called within a runtime.
pub fn bind(settings: &Settings, mut passed: Passed, files_max: u64) -> Bound {
    let mut listeners = Vec::new();
    let mut unbound = Vec::new();
    let mut absent = Vec::new();
    let room = files_max.saturating_sub(spared(settings.optional, files_max));
    passed.keep(|address| settings.names(address));
    for (address, implicit_tls) in settings.sockets() {
        if absent.contains(&address.ip()) {
            continue;
        }
        let opened = if let Some(socket) = passed.socket(address) {
            socket.and_then(listen_on)
        } else if (listeners.len() as u64) < room {
            bind_one(address)
        } else {
            Err(io::Error::other(NoRoom(files_max)))
        };
        match opened {
            // Port 0 in a test is the port that the kernel chose.
            Ok(socket) if address.port() == 0 => listeners.push(Listener {
                address: socket.local_addr().unwrap_or(address),
                socket,
                implicit_tls,
            }),
            Ok(socket) => listeners.push(Listener {
                address,
                socket,
                implicit_tls,
            }),
            Err(error) if has_no_ipv6(address.ip(), &error) => absent.push(address.ip()),
            Err(error) => unbound.push(Unbound { address, error }),
        }
    }
    Bound {
        listeners,
        unbound,
        unused: passed.unused(),
    }
}

impl Settings {
    /// Whether a socket there is wanted.
    fn names(&self, address: &SocketAddr) -> bool {
        let port = address.port();
        let is_named = self.ports.contains(port) || self.implicit_tls_ports.contains(port);
        is_named && self.addresses.contains(&address.ip())
    }

    /// What is to be bound, in order, and whether TLS begins there at once.
    fn sockets(&self) -> impl Iterator<Item = (SocketAddr, bool)> + '_ {
        [(&self.implicit_tls_ports, true), (&self.ports, false)]
            .into_iter()
            .flat_map(|(ports, implicit_tls)| ports.iter().map(move |port| (port, implicit_tls)))
            .flat_map(move |(port, implicit_tls)| {
                let at = move |&ip| (SocketAddr::new(ip, port), implicit_tls);
                self.addresses.iter().map(at)
            })
    }
}

/// Why a socket is not opened though the system might.
#[derive(Debug, thiserror::Error)]
#[error("the limit of {0} open files (ulimit -n, LimitNOFILE) leaves no room")]
struct NoRoom(u64);

fn spared(optional: bool, files_max: u64) -> u64 {
    let wanted = if optional {
        FILES_SPARED
    } else {
        FILES_SPARED_LEAST
    };
    wanted.min(files_max / 2)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // Each address is configured by itself: "::" does not take IPv4 along.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Takes over a socket that listens already. How many clients may wait there is the choice of who opened it.
fn listen_on(socket: std::net::TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

fn has_no_ipv6(ip: IpAddr, error: &io::Error) -> bool {
    let general = ip.is_ipv6() && (ip.is_unspecified() || ip.is_loopback());
    // EAFNOSUPPORT has no kind of its own.
    let unsupported =
        error.raw_os_error() == Some(97) || error.kind() == io::ErrorKind::Unsupported;
    general && (unsupported || error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// Raises this process's limit on open files as far as the machine allows; returns the limit.
///
/// # Errors
/// When the limit cannot be read or raised.
pub fn raise_file_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(FILES_WANTED)
}

impl PortSet {
    /// The ports, each once, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().cloned().flatten()
    }

    /// How many ports there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether the port is in the set.
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

/// Joins overlapping and touching ranges, so that each port stands once.
impl FromIterator<RangeInclusive<u16>> for PortSet {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.sort_by_key(|range| *range.start());
        let mut joined: Vec<RangeInclusive<u16>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => joined.push(range),
            }
        }
        Self(joined)
    }
}

impl PortSet {
    /// Reads `25,587,1025-5000`; blanks don't matter and an empty text is the empty set.
    ///
    /// # Errors
    /// Every item that is wrong, in words.
    pub fn read(text: &str) -> Result<Self, Vec<String>> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let mut ranges = Vec::new();
        let mut wrong = Vec::new();
        for item in items {
            match range(item) {
                Ok(range) => ranges.push(range),
                Err(text) => wrong.push(text),
            }
        }
        if wrong.is_empty() {
            Ok(ranges.into_iter().collect())
        } else {
            Err(wrong)
        }
    }
}

impl FromStr for PortSet {
    type Err = String;

    /// As [`PortSet::read`], with all that is wrong in one text.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text).map_err(|wrong| wrong.join("; "))
    }
}

fn range(item: &str) -> Result<RangeInclusive<u16>, String> {
    let port = |text: &str| {
        let digits = text.bytes().all(|octet| octet.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let wrong = || format!("`{item}` is neither a port (1 to 65535) nor a range such as 1025-5000");
    match item.split_once('-') {
        None => port(item).map(|port| port..=port).ok_or_else(wrong),
        Some((first, last)) => match (port(first.trim()), port(last.trim())) {
            (Some(first), Some(last)) if first <= last => Ok(first..=last),
            (Some(_), Some(_)) => Err(format!("the range `{item}` ends before it begins")),
            _ => Err(wrong()),
        },
    }
}

/// As it is written in the configuration.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_sets_are_read_and_written_in_normal_form() {
        for (text, normal, count) in [
            ("23,25,26,587,1025-5000", "23,25-26,587,1025-5000", 3_980),
            (" 587 , 25 ,", "25,587", 2),
            ("1-3,2-5,6", "1-6", 6),
            ("65535,1-65535", "1-65535", 65_535),
            ("", "", 0),
        ] {
            let ports: PortSet = text.parse().unwrap();
            assert_eq!(
                (ports.to_string().as_str(), ports.count()),
                (normal, count),
                "{text}"
            );
            assert_eq!(ports.iter().count(), count);
        }
    }

    #[test]
    fn a_wrong_port_is_named() {
        for text in [
            "x",
            "0",
            "25;26",
            "70000",
            "-5",
            "5-",
            "1-2-3",
            "0-5",
            "+25",
            "1025-70000",
            "smtp",
        ] {
            let error = text.parse::<PortSet>().unwrap_err();
            assert!(error.contains(text), "{text}: {error}");
        }
        assert!(
            "9-5"
                .parse::<PortSet>()
                .unwrap_err()
                .contains("ends before it begins")
        );
    }

    #[tokio::test]
    async fn what_cannot_be_bound_is_named_beside_what_can() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let settings = Settings {
            addresses: vec!["127.0.0.1".parse().unwrap()],
            ports: [0..=0, port..=port].into_iter().collect(),
            implicit_tls_ports: PortSet::default(),
            optional: false,
        };
        let Bound {
            listeners, unbound, ..
        } = bind(&settings, Passed::default(), u64::MAX);
        assert_eq!(listeners.len(), 1);
        assert_eq!(unbound.len(), 1);
        assert_eq!(unbound[0].address, taken.local_addr().unwrap());
        assert_eq!(unbound[0].error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn ports_leave_room_for_other_files() {
        let settings = |optional| Settings {
            addresses: vec!["127.0.0.1".parse().unwrap()],
            ports: [0..=0].into_iter().collect(),
            implicit_tls_ports: [0..=0].into_iter().collect(),
            optional,
        };
        for (optional, files_max, open) in [
            (true, 1, 1),
            (false, 1, 1),
            (true, 2, 1),
            (true, 4_096, 2),
            (false, 66, 2),
        ] {
            let Bound {
                listeners, unbound, ..
            } = bind(&settings(optional), Passed::default(), files_max);
            assert_eq!(listeners.len(), open, "{optional} {files_max}");
            assert!(listeners[0].implicit_tls, "the ports with TLS come first");
            assert_eq!(listeners.len() + unbound.len(), 2);
            for unbound in unbound {
                let said = unbound.error.to_string();
                let limit = format!("the limit of {files_max} open files");
                assert!(said.contains(&limit), "{said}");
            }
        }
        assert_eq!(spared(true, 4_096), 1_024);
        assert_eq!(spared(true, 1_024), 512);
        assert_eq!(spared(false, 4_096), 64);
    }
}
