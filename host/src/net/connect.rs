//! Opening connections to other hosts.
//!
//! A [`Dialer`] gives a stream of octets to an address, or says within its time why not. Tests and
//! simulations use one that is made of memory, so that no socket and no real time are needed.
//! Which address, what is spoken and how it is protected are decided elsewhere.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Octets that the system takes of a connection beyond what is on its way: with its usual megabytes a send that is to be
/// paused would go on for as long as those take.
#[cfg(target_os = "linux")]
const UNSENT_OCTETS_MAX: u32 = 16 * 1024;

/// A connection, whatever carries it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections. Clones share what is behind them.
#[derive(Clone)]
pub struct Dialer(Way);

#[derive(Clone)]
enum Way {
    Tcp,
    Memory(Arc<MemoryNetwork>),
}

type MemoryNetwork = dyn Fn(SocketAddr) -> io::Result<Box<dyn Stream>> + Send + Sync;

impl Dialer {
    /// Connects by TCP.
    pub fn tcp() -> Self {
        Self(Way::Tcp)
    }

    /// Connects by asking a function: a network for tests. An address that answers
    /// [`io::ErrorKind::WouldBlock`] is one that never answers.
    pub fn memory(
        network: impl Fn(SocketAddr) -> io::Result<Box<dyn Stream>> + Send + Sync + 'static,
    ) -> Self {
        Self(Way::Memory(Arc::new(network)))
    }

    /// Opens a connection to `address` within a time.
    ///
    /// # Errors
    /// What the network says; [`io::ErrorKind::TimedOut`] when it says nothing in time.
    pub async fn connect(
        &self,
        address: SocketAddr,
        within: Duration,
    ) -> io::Result<Box<dyn Stream>> {
        match timeout(within, self.open(address)).await {
            Ok(opened) => opened,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn open(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        match &self.0 {
            Way::Tcp => {
                let stream = TcpStream::connect(address).await?;
                // Commands are gathered before they are written: waiting for more only delays them.
                stream.set_nodelay(true)?;
                #[cfg(target_os = "linux")]
                {
                    let socket = socket2::SockRef::from(&stream);
                    // Without it mail goes as well, and pauses are less sharp: some sandboxes do not know it.
                    drop(socket.set_tcp_notsent_lowat(UNSENT_OCTETS_MAX));
                }
                Ok(Box::new(stream))
            }
            Way::Memory(network) => match network(address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::future::pending().await
                }
                opened => opened,
            },
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Way::Tcp => "Dialer::tcp",
            Way::Memory(_) => "Dialer::memory",
        })
    }
}

/// Whether `address` is one of this machine's own.
///
/// The kernel is asked which source address it would use to reach it: for an address of this
/// machine that is the address itself. Nothing is sent. When the kernel does not say, the answer is no.
pub fn is_own_address(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        // Connecting a datagram socket chooses a route and sends nothing; the port is of no matter.
        socket.connect((address, 25))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_tcp_connection_carries_octets() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut ours = Dialer::tcp()
            .connect(address, Duration::from_secs(5))
            .await
            .unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        ours.write_all(b"octets").await.unwrap();
        let mut got = [0; 6];
        theirs.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"octets");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_never_answers_is_given_up_in_time() {
        let dialer = Dialer::memory(|_| Err(io::ErrorKind::WouldBlock.into()));
        let address = "192.0.2.1:25".parse().unwrap();
        let begun = tokio::time::Instant::now();
        let error = dialer
            .connect(address, Duration::from_secs(30))
            .await
            .err()
            .unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), Duration::from_secs(30));
    }

    #[test]
    fn loopback_is_our_own_and_a_documentation_address_is_not() {
        assert!(is_own_address("127.0.0.2".parse().unwrap()));
        assert!(is_own_address("::1".parse().unwrap()));
        assert!(is_own_address("::ffff:127.0.0.1".parse().unwrap()));
        assert!(is_own_address("0.0.0.0".parse().unwrap()));
        assert!(!is_own_address("192.0.2.1".parse().unwrap()));
        assert!(!is_own_address("2001:db8::1".parse().unwrap()));
    }
}
