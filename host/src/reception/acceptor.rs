//! Accepting connections on every listening socket, and letting them end at a shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outpost_smtp::server::{Security, Session};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::Reception;
use super::connection::{self, Connection};
use super::posting::{Entrance, Posting};
use crate::net::Listener;

/// How long a listener waits after the system would not give it a connection (no descriptors
/// left): long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long sessions that were told to end at the end of the grace may take over it: for the reply
/// to leave, and for a message whose content had come in whole to be answered.
const FAREWELL_WITHIN: Duration = Duration::from_secs(5);

/// The running acceptor.
pub struct Acceptor {
    tasks: TaskTracker,
    ending: watch::Sender<Ending>,
}

/// Which sessions have to end now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// None.
    Nobody,
    /// Those without an open transaction.
    Idle,
    /// All.
    Everybody,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every transaction came to its end within the grace.
    InTime,
    /// Transactions were still open at the end of the grace; their clients have been told so.
    CutShort,
    /// Connections are left that cannot be told anything.
    Dropped,
}

/// Accepts clients on all the listeners, each on a task of its own.
pub fn accept(reception: &Arc<Reception>, listeners: Vec<Listener>) -> Acceptor {
    let (sender, ending) = watch::channel(Ending::Nobody);
    let tasks = TaskTracker::new();
    for listener in listeners {
        let door = Door {
            reception: Arc::clone(reception),
            tasks: tasks.clone(),
            ending: ending.clone(),
            port: listener.address.port(),
            implicit_tls: listener.implicit_tls,
        };
        tasks.spawn(Port { door, listener }.run());
    }
    tasks.close();
    Acceptor {
        tasks,
        ending: sender,
    }
}

impl Acceptor {
    /// Serves a client that is connected by something else than a socket, on a port in clear.
    #[cfg(test)]
    pub(crate) fn serve<S>(&self, reception: &Arc<Reception>, stream: S, client: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let door = Door {
            reception: Arc::clone(reception),
            tasks: self.tasks.clone(),
            ending: self.ending.subscribe(),
            port: 587,
            implicit_tls: false,
        };
        door.begin(stream, client, None);
    }

    /// Where messages come in that are handed over by HTTP, at that port. Its sessions are told of an end like those
    /// of the ports, and waited for.
    pub fn entrance(&self, reception: &Arc<Reception>, port: u16) -> Entrance {
        Entrance::new(Door {
            reception: Arc::clone(reception),
            tasks: self.tasks.clone(),
            ending: self.ending.subscribe(),
            port,
            implicit_tls: false,
        })
    }

    /// Stops accepting, closes idle sessions with 421, lets transactions end. After `grace` those
    /// that are left are closed with 421 as well. Returns when the last connection has ended, or a
    /// few seconds after the grace, when those left are dropped.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.ending.send_replace(Ending::Idle);
        if timeout(grace, self.tasks.wait()).await.is_ok() {
            return Drained::InTime;
        }
        self.ending.send_replace(Ending::Everybody);
        match timeout(FAREWELL_WITHIN, self.tasks.wait()).await {
            Ok(()) => Drained::CutShort,
            Err(_) => Drained::Dropped,
        }
    }
}

/// One listening socket at work.
struct Port {
    door: Door,
    listener: Listener,
}

/// Where clients of one port come in.
pub(super) struct Door {
    reception: Arc<Reception>,
    tasks: TaskTracker,
    ending: watch::Receiver<Ending>,
    port: u16,
    implicit_tls: bool,
}

impl Port {
    async fn run(mut self) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.socket.accept() => accepted,
                _ = self.door.ending.wait_for(|ending| *ending > Ending::Nobody) => return,
            };
            match accepted {
                Ok((stream, mut client)) => {
                    // A socket that takes both families shows IPv4 as a part of IPv6.
                    client.set_ip(client.ip().to_canonical());
                    // Replies are written whole; waiting for more to send would only delay them.
                    let _ = stream.set_nodelay(true);
                    self.door.begin(stream, client, None);
                }
                Err(error) => {
                    tracing::warn!(port = self.door.port, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Door {
    /// Serves a client on a task of its own; with a posting, one that has come by HTTP.
    pub(super) fn begin<S>(&self, stream: S, client: SocketAddr, posting: Option<Arc<Posting>>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let reception = Arc::clone(&self.reception);
        reception.metrics.connected.inc();
        let place = reception.connections.admit(client.ip());
        let implicit_tls = self.implicit_tls;
        // What came from this machine has crossed no network, and the rest of its way is inside the relay.
        let is_secret = implicit_tls || posting.is_some() && client.ip().is_loopback();
        let (place, session) = match place {
            Ok(place) => {
                let security = if is_secret {
                    Security::Tls
                } else {
                    Security::Plain
                };
                (
                    Some(place),
                    Session::new(reception.protocol.load_full(), security),
                )
            }
            Err(too_many) => {
                reception.metrics.turned_away(too_many.limit());
                // Nobody pays a handshake for being told to come back later.
                if implicit_tls {
                    return;
                }
                let reply = too_many.reply();
                (None, Session::refuse(reception.protocol.load_full(), reply))
            }
        };
        let whom = connection::Client {
            address: client,
            listener_port: self.port,
            implicit_tls,
            posting,
        };
        let ending = self.ending.clone();
        self.tasks.spawn(async move {
            let gauge = reception.metrics.connections.clone();
            gauge.inc();
            Connection::new(reception, stream, session, whom, ending)
                .run()
                .await;
            gauge.dec();
            drop(place);
        });
    }
}
