//! The admin listener: connections in, requests to the router, within named limits.
//!
//! HTTP/1.1 with keep-alive. A client cannot hold a connection by being slow: headers have a
//! deadline that also ends idle connections, a request with its body and its answer has another, an answer that is
//! not read a third, and a connection as a whole a fourth. A message that is submitted and a component that
//! is deployed have longer ones of their own. What a request means is the router's business.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{Method, Version};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accounts;
use super::console;
use super::plugins;
use super::problem::{Kind, Problem};
use super::progress::Progress;
use super::submission;
use super::unread::read_away;
use crate::tls;

/// Where the admin surface listens, and within which limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address and port; loopback unless the operator says otherwise.
    pub address: SocketAddr,
    /// How connections are protected.
    pub protection: Protection,
    /// What clients may take.
    pub limits: Limits,
}

/// How connections to the admin surface are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// Not at all: on loopback, or behind a proxy that does it.
    #[default]
    None,
    /// By TLS from the first octet, with the certificate of the relay.
    Tls,
}

/// What a client of the admin surface may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue. A console, a few scripts and a scraper
    /// need a dozen.
    pub connections_max: usize,
    /// Longest time until a request's headers are complete; also how long a connection may idle. Those that
    /// take the last quarter of the places have a tenth of it.
    pub headers_within: Duration,
    /// Longest time for a request: its body, the work and the start of the answer.
    pub request_within: Duration,
    /// Longest time for a message that is submitted: 50 MiB over a line of 256 kbit/s take 27 minutes.
    pub submission_within: Duration,
    /// Longest time for a policy component that is deployed: 32 MiB over a line of 1 Mbit/s take 270 s.
    pub deployment_within: Duration,
    /// Longest time in which an answer does not get on since nobody reads it. Those that take the last quarter of the
    /// places have a tenth of it.
    pub read_within: Duration,
    /// Longest life of a connection, but for a message or a component that is coming in. Bounds what a client can hold that reads its
    /// answers slowly.
    pub connection_within: Duration,
    /// Octets of a request's headers; sixteen times what our own client sends.
    pub header_octets_max: usize,
}

impl Limits {
    /// For one that takes one of the last places: a tenth of the time for headers and for reading, so that who is
    /// served within seconds, as health checks are, is not kept waiting by connections that do nothing.
    fn among(mut self, places_left: usize) -> Self {
        if places_left < self.connections_max / 4 {
            self.headers_within /= 10;
            self.read_within /= 10;
        }
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            headers_within: Duration::from_secs(30),
            request_within: Duration::from_secs(30),
            submission_within: Duration::from_secs(1_800),
            deployment_within: Duration::from_secs(300),
            read_within: Duration::from_secs(30),
            connection_within: Duration::from_secs(600),
            header_octets_max: 16 * 1024,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8025)),
            protection: Protection::None,
            limits: Limits::default(),
        }
    }
}

/// The admin address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on the admin address {address}: {}",
    bind_reason(address, source)
)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

fn bind_reason(address: &SocketAddr, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => "it is in use already; is a relay running? If not, [admin] \
             address names another one"
            .to_owned(),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => source.to_string(),
    }
}

/// A bound admin address.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Listener {
    /// Binds the address of the settings.
    ///
    /// # Errors
    /// The address, and what the system said about it.
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        let failed = |source| BindError {
            address: settings.address,
            source,
        };
        let tcp = TcpListener::bind(settings.address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self {
            tcp,
            address,
            limits: settings.limits,
        })
    }

    /// The address that is bound; it has a port also when the settings said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then takes no more connections, lets requests in progress finish and
    /// returns. Takes no longer for that than a request may take.
    ///
    /// With `tls` every connection begins with a handshake; one that does not has as long as headers have.
    pub async fn serve(self, router: Router, tls: Option<tls::Server>, stop: CancellationToken) {
        let router = router
            .layer(from_fn_with_state(self.limits, in_time))
            .layer(from_fn(to_a_host))
            .layer(from_fn(read_away));
        let slots = Arc::new(Semaphore::new(self.limits.connections_max));
        let connections = TaskTracker::new();
        while let Some((stream, address, slot)) = self.accept(&slots, &stop).await {
            let limits = self.limits.among(slots.available_permits());
            let peer = Peer::new(address);
            let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
            connections.spawn(async move {
                match tls {
                    None => connection(stream, peer, router, limits, stop).await,
                    Some(tls) => protected(stream, &tls, peer, router, limits, stop).await,
                }
                drop(slot);
            });
        }
        drop(self.tcp);
        connections.close();
        connections.wait().await;
    }

    /// The next connection that there is a slot for; none when it is time to stop.
    async fn accept(
        &self,
        slots: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let accepted = async {
            let slot = Arc::clone(slots).acquire_owned().await.ok()?;
            loop {
                match self.tcp.accept().await {
                    Ok((stream, address)) => return Some((stream, address, slot)),
                    Err(error) => {
                        // No descriptors left, most likely: trying at once again would only spin.
                        tracing::warn!(%error, "the admin listener cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            accepted = accepted => accepted,
        }
    }
}

/// Refuses a request that does not say which host it is for, or says it twice (RFC 9112 §3.2): proxies on the way may
/// have taken it for another.
async fn to_a_host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts == 1 || hosts == 0 && request.version() < Version::HTTP_11 {
        return next.run(request).await;
    }
    let text = format!("a request has one field `Host`, and this one has {hosts}");
    Problem::new(Kind::Malformed, text).into_response()
}

/// Ends a request that takes too long, whatever it waits for: octet by octet it gets no further.
async fn in_time(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let submits = *request.method() == Method::POST && path == submission::PATH;
    let deploys = *request.method() == Method::PUT && path.starts_with(plugins::PATH)
        || *request.method() == Method::POST && path == console::UPLOAD_PATH;
    // Each new user has a password that is hashed.
    let imports =
        *request.method() == Method::POST && [accounts::PATH, console::IMPORT_PATH].contains(&path);
    let within = match (submits, deploys || imports) {
        (true, _) => limits.submission_within,
        (_, true) => limits.deployment_within,
        _ => limits.request_within,
    };
    let peer = request.extensions().get::<Peer>();
    let _submitting = peer.filter(|_| submits || deploys).map(Peer::submitting);
    match tokio::time::timeout(within, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let text = format!(
                "there was no answer within {} s; a change that was begun may come to its end all the same: look \
                 before you ask again",
                within.as_secs_f32()
            );
            Problem::new(Kind::TimedOut, text).into_response()
        }
    }
}

/// Octets of answers that wait in the system for a client to read them.
const UNREAD_OCTETS_MAX: usize = 128 << 10;

/// The client of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its address and port.
    pub(super) address: SocketAddr,
    /// Whether nobody on the way reads what it sends.
    pub(super) encrypted: bool,
    /// Whether it is submitting a message, or deploying a component.
    submits: Arc<AtomicBool>,
}

/// A message that is coming in.
struct Submitting(Arc<AtomicBool>);

impl Peer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            encrypted: false,
            submits: Arc::default(),
        }
    }

    fn submitting(&self) -> Submitting {
        self.submits.store(true, Ordering::Relaxed);
        Submitting(Arc::clone(&self.submits))
    }
}

impl Drop for Submitting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get().cloned();
        peer.ok_or_else(|| Problem::new(Kind::Internal, "it is not known whose request this is"))
    }
}

/// A connection behind its handshake; one that says something else than TLS is dropped.
async fn protected(
    stream: TcpStream,
    tls: &tls::Server,
    peer: Peer,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    small_answers(&stream);
    let handshake = tls.acceptor().accept(stream);
    match tokio::time::timeout(limits.headers_within, handshake).await {
        Ok(Ok(stream)) => {
            let peer = Peer {
                encrypted: true,
                ..peer
            };
            exchange(stream, peer, router, limits, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended in its handshake"),
        Err(_) => tracing::debug!("an admin connection did not end its handshake"),
    }
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    small_answers(&stream);
    exchange(stream, peer, router, limits, stop).await;
}

/// Says to the system how answers are sent.
fn small_answers(stream: &TcpStream) {
    // Answers are small and whole; waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "an admin connection stays without TCP_NODELAY");
    }
    // The system's own limit is some megabytes each, for answers that nobody reads.
    if let Err(error) = SockRef::from(stream).set_send_buffer_size(UNREAD_OCTETS_MAX) {
        tracing::debug!(%error, "an admin connection keeps the system's buffer");
    }
}

/// Requests and answers over a stream.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    peer: Peer,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let stream = Progress::new(stream, limits.read_within);
    let submits = Arc::clone(&peer.submits);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_within)
        .max_header_size(limits.header_octets_max)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => Some(ended),
        () = stop.cancelled() => None,
        () = tokio::time::sleep(limits.connection_within) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            served.as_mut().graceful_shutdown();
            let within = match submits.load(Ordering::Relaxed) {
                true => limits.submission_within,
                false => limits.request_within,
            };
            match tokio::time::timeout(within, served).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        // The client's doing in nearly all cases: a reset, a timeout, something that is not HTTP.
        tracing::debug!(%error, "an admin connection ended early");
    }
}

#[cfg(test)]
mod tests;
