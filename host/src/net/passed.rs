//! Sockets that a service manager has opened for this process and passes on (systemd's socket activation,
//! sd_listen_fds(3)).
//!
//! They are matched to the configuration by address and port, and by nothing else: what listens where, and with
//! which encryption, stands in one place. One that the configuration does not name is told, and not served.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use listenfd::ListenFd;
use socket2::SockRef;

/// More sockets than can be of use: every port of sixteen addresses. A larger number in the environment is not
/// a service manager's.
const SOCKETS_MAX: usize = 16 << 16;

/// The first descriptor that is passed.
const FIRST: usize = 3;

/// The sockets of this process that somebody else has opened.
#[derive(Debug, Default)]
pub struct Passed {
    sockets: Vec<PassedSocket>,
    unused: Vec<Unused>,
}

/// A socket that listens already.
#[derive(Debug)]
struct PassedSocket {
    listener: TcpListener,
    /// Where it listens. One for IPv6 may take IPv4 along.
    addresses: Vec<SocketAddr>,
    is_taken: bool,
}

/// What was passed and is not served.
#[derive(Debug)]
pub struct Unused {
    /// The socket: its address, else its number.
    socket: String,
    /// Why it is of no use.
    reason: String,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { socket, reason } = self;
        write!(f, "{socket}: {reason}")
    }
}

impl Passed {
    /// Takes what was passed to this process; once, before it has threads, since the environment is changed.
    pub fn take() -> Self {
        let mut passed = Self::default();
        let mut descriptors = ListenFd::from_env();
        for index in 0..descriptors.len().min(SOCKETS_MAX) {
            match descriptors.take_tcp_listener(index) {
                Ok(Some(listener)) => passed.add(listener),
                Ok(None) => {}
                Err(error) => {
                    passed.refuse(format!("descriptor {}", FIRST + index), error.to_string())
                }
            }
        }
        passed
    }

    fn add(&mut self, listener: TcpListener) {
        match addresses(&listener) {
            Ok(addresses) => self.sockets.push(PassedSocket {
                listener,
                addresses,
                is_taken: false,
            }),
            Err((socket, reason)) => self.refuse(socket, reason),
        }
    }

    fn refuse(&mut self, socket: String, reason: String) {
        self.unused.push(Unused { socket, reason });
    }

    /// Leaves out what listens anywhere that is not configured.
    pub(super) fn keep(&mut self, is_configured: impl Fn(&SocketAddr) -> bool) {
        let (kept, others) = std::mem::take(&mut self.sockets)
            .into_iter()
            .partition(|socket| socket.addresses.iter().all(&is_configured));
        self.sockets = kept;
        for PassedSocket { addresses, .. } in others {
            let unnamed = addresses.iter().find(|address| !is_configured(address));
            let reason = match unnamed {
                Some(unnamed) if addresses[0] != *unnamed => format!(
                    "it takes {} too, which [submission] does not name; BindIPv6Only=ipv6-only keeps it to IPv6",
                    unnamed.ip()
                ),
                _ => "not among the addresses and ports of [submission]".to_owned(),
            };
            self.refuse(addresses[0].to_string(), reason);
        }
    }

    /// The socket that listens there.
    pub(super) fn socket(&mut self, address: SocketAddr) -> Option<io::Result<TcpListener>> {
        let found = |socket: &&mut PassedSocket| socket.addresses.contains(&address);
        let socket = self.sockets.iter_mut().find(found)?;
        socket.is_taken = true;
        Some(socket.listener.try_clone())
    }

    /// How many sockets wait to be used.
    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    /// What nobody has taken, and why.
    pub(super) fn unused(mut self) -> Vec<Unused> {
        for socket in std::mem::take(&mut self.sockets) {
            if !socket.is_taken {
                let reason = "another socket that was passed listens there".to_owned();
                self.refuse(socket.addresses[0].to_string(), reason);
            }
        }
        self.unused
    }
}

/// Where a socket listens; what it is and why it is of no use where it does not.
fn addresses(listener: &TcpListener) -> Result<Vec<SocketAddr>, (String, String)> {
    let address = listener
        .local_addr()
        .map_err(|error| ("a socket".to_owned(), error.to_string()))?;
    // Configured addresses have no scope, and IPv4 is IPv4.
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let told = |reason: String| (address.to_string(), reason);
    let socket = SockRef::from(listener);
    // With Accept=yes systemd passes connections.
    if !socket
        .is_listener()
        .map_err(|error| told(error.to_string()))?
    {
        return Err(told("it does not listen; Accept=no is needed".to_owned()));
    }
    let takes_ipv4 = address.ip().is_ipv6()
        && address.ip().is_unspecified()
        && !socket.only_v6().map_err(|error| told(error.to_string()))?;
    let mut addresses = vec![address];
    if takes_ipv4 {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        addresses.push(SocketAddr::new(any, address.port()));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use socket2::{Domain, Socket, Type};

    use super::*;

    fn passed(sockets: Vec<TcpListener>) -> Passed {
        let mut passed = Passed::default();
        for socket in sockets {
            passed.add(socket);
        }
        passed
    }

    fn on_ipv6(only_v6: bool) -> TcpListener {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        socket.set_only_v6(only_v6).unwrap();
        let any: SocketAddr = "[::]:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(1).unwrap();
        socket.into()
    }

    fn told(passed: Passed) -> Vec<String> {
        passed.unused().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_socket_is_found_by_where_it_listens() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut passed = passed(vec![socket]);
        passed.keep(|_| true);
        let other = SocketAddr::new(address.ip(), address.port() ^ 1);
        assert!(passed.socket(other).is_none());
        let found = passed.socket(address).unwrap().unwrap();
        assert_eq!(found.local_addr().unwrap(), address);
        assert!(told(passed).is_empty());
    }

    #[test]
    fn a_socket_for_both_families_is_found_by_either_and_used_where_both_are_configured() {
        let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
        for (only_v6, ipv4_is_configured, found) in [
            (false, true, (true, true)),
            (false, false, (false, false)),
            (true, true, (true, false)),
            (true, false, (true, false)),
        ] {
            let socket = on_ipv6(only_v6);
            let port = port(&socket);
            let mut passed = passed(vec![socket]);
            passed.keep(|address| address.is_ipv6() || ipv4_is_configured);
            let mut is_found = |ip: &str| {
                let address = SocketAddr::new(ip.parse().unwrap(), port);
                passed.socket(address).is_some()
            };
            assert_eq!((is_found("::"), is_found("0.0.0.0")), found);
            let told = told(passed).join("\n");
            assert_eq!(told.contains("takes 0.0.0.0 too"), !found.0, "{told}");
        }
    }

    #[test]
    fn what_is_of_no_use_is_told() {
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = there.local_addr().unwrap();
        let twice = there.try_clone().unwrap();
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        let unnamed = elsewhere.local_addr().unwrap();
        let connected = std::net::TcpStream::connect(unnamed).unwrap();
        let connected: TcpListener = Socket::from(connected).into();
        let mut passed = passed(vec![there, twice, elsewhere, connected]);
        passed.keep(|configured| *configured == address);
        passed.socket(address).unwrap().unwrap();
        let told = told(passed);
        assert!(
            told[0].ends_with(": it does not listen; Accept=no is needed"),
            "{told:?}"
        );
        let expected = format!("{unnamed}: not among the addresses and ports of [submission]");
        assert_eq!(told[1], expected);
        let expected = format!("{address}: another socket that was passed listens there");
        assert_eq!(told[2], expected);
    }
}
