//! A test receiver: takes mail from anybody, shows or keeps it, and misbehaves when told to.
//!
//! Built on the protocol core's server side, so that what it takes is what the relay would take. It
//! delivers nothing and keeps nothing safe: its 250 promises only that the message was seen.

mod connection;
mod envelope;
mod options;
mod record;
mod store;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outpost_smtp::server::Settings;
use outpost_smtp::{Limits, Timeouts};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use options::{Action, Misdeed, NotATrigger, SinkOptions, Stage, Trigger};

use crate::clock::Clock;
use connection::Connection;
use record::Recorder;
use store::Store;

/// Connections at once. Enough for every bench; beyond it clients wait in the backlog.
const CONNECTIONS_MAX: usize = 20_000;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;

/// Octets of a message. A sink has nothing to lose but time.
const CONTENT_OCTETS_MAX: u64 = 4 << 30;

/// The receive buffer of the connections of a slow sink, in octets. The usual megabytes would take
/// in whole messages at once, however slowly they are read then.
const SLOW_BUFFER_OCTETS: u32 = 16 * 1024;

/// How long nothing is accepted after the system had no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Why a sink cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What all connections share.
struct Sink {
    options: SinkOptions,
    store: Option<Store>,
    recorder: Option<Recorder>,
    messages: AtomicU64,
}

/// Runs a sink until `shutdown` is done; connections end with it. Tells the address that it listens
/// on through `bound`, and returns how many messages were taken.
///
/// # Errors
/// [`SinkError`] when it cannot start.
pub async fn run(
    options: SinkOptions,
    clock: Clock,
    bound: oneshot::Sender<SocketAddr>,
    shutdown: impl Future<Output = ()>,
) -> Result<u64, SinkError> {
    let address = options.listen;
    let cannot_listen = |source| SinkError::Listen { address, source };
    let listener = listen(&options).map_err(cannot_listen)?;
    let sink = Arc::new(Sink::new(options, clock)?);
    let settings = Arc::new(settings(&sink.options));
    // Nobody may be waiting for it.
    let _ = bound.send(listener.local_addr().map_err(cannot_listen)?);

    let mut connections = JoinSet::new();
    let mut number = 0;
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, client)) => {
                    number += 1;
                    // Replies are gathered before they are written: waiting for more delays them.
                    let _ = stream.set_nodelay(true);
                    let settings = Arc::clone(&settings);
                    let connection =
                        Connection::new(Arc::clone(&sink), Arc::clone(&settings), stream, client, number);
                    connections.spawn(async move {
                        if let Err(error) = connection.serve(settings).await {
                            tracing::warn!(connection = number, %error, "a connection broke");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(EXHAUSTED_PAUSE).await;
                }
            },
        }
    }
    connections.shutdown().await;
    Ok(sink.messages.load(Ordering::Relaxed))
}

fn listen(options: &SinkOptions) -> io::Result<TcpListener> {
    let socket = if options.listen.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    if options.bytes_per_second.is_some() {
        socket.set_recv_buffer_size(SLOW_BUFFER_OCTETS)?;
    }
    socket.bind(options.listen)?;
    socket.listen(BACKLOG)
}

fn settings(options: &SinkOptions) -> Settings {
    Settings {
        hostname: options.hostname.clone(),
        limits: Limits {
            recipients_max: 100_000,
            content_octets_max: CONTENT_OCTETS_MAX,
            errors_max: u32::MAX,
            ..Limits::default()
        },
        timeouts: Timeouts::default(),
        plaintext_auth: false,
        starttls: false,
    }
}

impl Sink {
    fn new(options: SinkOptions, clock: Clock) -> Result<Self, SinkError> {
        let store = match &options.store {
            Some(path) => Some(Store::open(path).map_err(cannot_write(path))?),
            None => None,
        };
        let recorder = match &options.record {
            Some(path) => Some(Recorder::create(path, clock).map_err(cannot_write(path))?),
            None => None,
        };
        Ok(Self {
            options,
            store,
            recorder,
            messages: AtomicU64::new(0),
        })
    }

    /// Whether somebody reads the digests of messages.
    fn wants_digests(&self) -> bool {
        self.store.is_some() || self.recorder.is_some()
    }

    fn count(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> SinkError + use<> {
    let path = path.to_owned();
    move |source| SinkError::Write { path, source }
}
