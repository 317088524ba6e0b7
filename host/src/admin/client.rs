//! A client of the admin API: one request, one answer.
//!
//! For the command line. It speaks to the relay on this machine or next to it, so it is HTTP/1.1
//! without a pool, under TLS where the admin address has it; what is asked and how answers are shown is the caller's business.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, IF_MATCH};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::tls;

/// Largest answer that is taken: a page of a thousand rows with long recipients is below 8 MiB.
const ANSWER_OCTETS_MAX: usize = 64 * 1024 * 1024;

/// Longest time for a request; somewhat more than the server gives it.
const WITHIN: Duration = Duration::from_secs(40);

/// The same for a component, which the server gives more.
const COMPONENT_WITHIN: Duration = Duration::from_secs(310);

/// Talks to one relay with one token.
pub struct Client {
    address: SocketAddr,
    token: Zeroizing<String>,
    /// The certificate of the relay, where it is spoken to under TLS.
    tls: Option<tls::Own>,
}

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    method: Method,
    path: String,
    body: Option<Content>,
    /// The revision that what is changed is to have.
    revision: Option<String>,
}

/// What is sent along.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Document(serde_json::Value),
    Component(Bytes),
}

impl Ask {
    fn new(method: Method, path: impl Into<String>, body: Option<serde_json::Value>) -> Self {
        Self {
            method,
            path: path.into(),
            body: body.map(Content::Document),
            revision: None,
        }
    }

    /// To be shown what is at `path`, which may have a query.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, None)
    }

    /// To do what is at `path`, perhaps with a document.
    pub fn post(path: impl Into<String>, body: Option<serde_json::Value>) -> Self {
        Self::new(Method::POST, path, body)
    }

    /// To have what is at `path` be as the document says.
    pub fn put(path: impl Into<String>, body: serde_json::Value) -> Self {
        Self::new(Method::PUT, path, Some(body))
    }

    /// To put a component at `path`; it is added by [`Ask::with_component`].
    pub fn send(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path, None)
    }

    /// To change what is at `path`.
    pub fn patch(path: impl Into<String>, body: serde_json::Value) -> Self {
        Self::new(Method::PATCH, path, Some(body))
    }

    /// To remove what is at `path`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, None)
    }

    /// With a component.
    pub fn with_component(self, component: Vec<u8>) -> Self {
        Self {
            body: Some(Content::Component(component.into())),
            ..self
        }
    }

    /// Only when what there is has this revision.
    pub fn only_if(self, revision: &str) -> Self {
        Self {
            revision: Some(revision.to_owned()),
            ..self
        }
    }

    fn within(&self) -> Duration {
        match self.body {
            Some(Content::Component(_)) => COMPONENT_WITHIN,
            _ => WITHIN,
        }
    }
}

/// Method, path and document: `PATCH /api/v1/users/x {"priority":1}`.
impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        if let Some(revision) = &self.revision {
            write!(f, " If-Match: \"{revision}\"")?;
        }
        match &self.body {
            Some(Content::Document(body)) => write!(f, " {body}"),
            Some(Content::Component(octets)) => write!(f, " ({} octets)", octets.len()),
            None => Ok(()),
        }
    }
}

/// What the relay answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Whether it did what was asked.
    pub is_success: bool,
    /// The document: what was asked for, or a problem.
    pub document: serde_json::Value,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no relay answers at {address} ({source})")]
    NotRunning {
        /// The address that was tried.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Somebody listens there, but does not answer in time.
    #[error("the relay at {0} does not answer")]
    Silent(SocketAddr),
    /// The connection ended while an answer was waited for.
    #[error("the connection to the relay at {0} ended before its answer was there")]
    Ended(SocketAddr),
    /// What answers there is not a relay's admin API.
    #[error("what answers at {address} is not the admin API of a relay: {problem}")]
    NotOurs {
        /// The address that was tried.
        address: SocketAddr,
        /// What is wrong with the answer.
        problem: String,
    },
    /// What was asked for cannot be written.
    #[error("the answer cannot be written: {0}")]
    Out(#[source] io::Error),
    /// The token cannot be sent in a header.
    #[error("the token has characters that no token has")]
    Token,
}

impl Client {
    /// A client for the relay at that admin address. An unspecified address, which a relay may
    /// listen on, is reached over loopback. With `tls` it is spoken to under TLS, and has to show that certificate.
    pub fn new(address: SocketAddr, token: Zeroizing<String>, tls: Option<tls::Own>) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        Self {
            address: SocketAddr::new(ip, address.port()),
            token,
            tls,
        }
    }

    /// The address that is talked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a relay answers at the address, whatever the token.
    ///
    /// # Errors
    /// There is no answer, or none of a relay.
    pub async fn knock(&self) -> Result<(), ClientError> {
        self.ask(&Ask::get("/api/v1/connection")).await.map(drop)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// There is no answer, or none of a relay. A refusal is an answer.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, ClientError> {
        let request = self.request(ask)?;
        tokio::time::timeout(ask.within(), self.exchange(request))
            .await
            .map_err(|_| ClientError::Silent(self.address))?
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, ClientError> {
        let bearer = Zeroizing::new(format!("Bearer {}", self.token.as_str()));
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| ClientError::Token)?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header(HOST, self.address.to_string())
            .header(ACCEPT, "application/json, application/problem+json")
            .header(AUTHORIZATION, bearer);
        let request = match &ask.revision {
            Some(revision) => request.header(IF_MATCH, format!("\"{revision}\"")),
            None => request,
        };
        let request = match &ask.body {
            None => request.body(Full::default()),
            Some(Content::Component(octets)) => request
                .header(CONTENT_TYPE, "application/wasm")
                .body(Full::from(octets.clone())),
            Some(Content::Document(document)) => request
                .header(CONTENT_TYPE, "application/json")
                .body(Full::from(document.to_string())),
        };
        request.map_err(|error| self.not_ours(error))
    }

    /// Asks for what is not a document, and writes it to `out` as it arrives. A refusal is returned.
    ///
    /// # Errors
    /// There is no answer, none of a relay, or one that breaks off; [`ClientError::Out`].
    pub async fn fetch(
        &self,
        ask: &Ask,
        out: &mut (dyn Write + Send),
    ) -> Result<Option<Answer>, ClientError> {
        let request = self.request(ask)?;
        let silent = |_| ClientError::Silent(self.address);
        let opened = tokio::time::timeout(WITHIN, self.open(request)).await;
        let (response, _driver) = opened.map_err(silent)??;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let refused = tokio::time::timeout(WITHIN, self.answer(status, body)).await;
            return refused.map_err(silent)?.map(Some);
        }
        // Each piece has that long, not the whole: how large it is nobody knows.
        while let Some(frame) = tokio::time::timeout(WITHIN, body.frame())
            .await
            .map_err(silent)?
        {
            let frame = frame.map_err(|error| self.cut_off(&error))?;
            if let Some(octets) = frame.data_ref() {
                out.write_all(octets).map_err(ClientError::Out)?;
            }
        }
        Ok(None)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let (response, _driver) = self.open(request).await?;
        self.answer(response.status(), response.into_body()).await
    }

    /// Connects and sends the request; the answer's body is read while the driver is kept.
    async fn open(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Driver), ClientError> {
        let stream =
            TcpStream::connect(self.address)
                .await
                .map_err(|source| ClientError::NotRunning {
                    address: self.address,
                    source,
                })?;
        match &self.tls {
            None => self.send(stream, request).await,
            Some(tls) => {
                let handshake = tls.handshake(stream, WITHIN).await;
                let stream = handshake.map_err(|error| self.not_ours(error))?;
                self.send(stream, request).await
            }
        }
    }

    async fn send(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Driver), ClientError> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.not_ours(error))?;
        let driver = Driver(tokio::spawn(async move {
            // What went wrong is told to whoever waits for the answer.
            drop(connection.await);
        }));
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| self.cut_off(&error))?;
        Ok((response, driver))
    }

    async fn answer(&self, status: StatusCode, body: Incoming) -> Result<Answer, ClientError> {
        let body = Limited::new(body, ANSWER_OCTETS_MAX)
            .collect()
            .await
            .map_err(|error| match error.downcast_ref::<hyper::Error>() {
                Some(error) => self.cut_off(error),
                None => self.not_ours(error),
            })?;
        self.read(status, &body.to_bytes())
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ClientError> {
        let document = serde_json::from_slice(body).map_err(|_| {
            self.not_ours(format!(
                "it answered {} without a JSON document",
                status.as_u16()
            ))
        })?;
        Ok(Answer {
            is_success: status.is_success(),
            document,
        })
    }

    /// Hyper's own words are about its insides.
    fn cut_off(&self, error: &hyper::Error) -> ClientError {
        match error.is_parse() {
            true => self.not_ours("it does not speak HTTP"),
            false => ClientError::Ended(self.address),
        }
    }

    fn not_ours(&self, problem: impl ToString) -> ClientError {
        ClientError::NotOurs {
            address: self.address,
            problem: problem.to_string(),
        }
    }
}

/// Moves the octets of one connection, as long as it is kept.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn ask() -> Ask {
        Ask::get("/api/v1/lists")
    }

    fn client(address: SocketAddr) -> Client {
        Client::new(address, Zeroizing::new("secret".to_owned()), None)
    }

    async fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let octets = stream.read(&mut request).await.unwrap();
            assert!(octets > 0);
            stream.write_all(text.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn where_nobody_listens_no_relay_runs() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = client(address).ask(&ask()).await.unwrap_err();
        assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let address = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}").await;
        let answer = client(address).ask(&ask()).await.unwrap();
        assert!(!answer.is_success);
    }

    #[tokio::test]
    async fn what_is_fetched_is_whole_or_said_to_have_broken_off() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let whole = answering(format!("{head}0\r\n\r\n").leak()).await;
        let mut out = Vec::new();
        let refused = client(whole).fetch(&ask(), &mut out).await.unwrap();
        assert_eq!((refused, out.as_slice()), (None, b"abc".as_slice()));
        let broken = client(answering(head).await).fetch(&ask(), &mut out).await;
        let error = broken.unwrap_err();
        assert!(matches!(error, ClientError::Ended(_)), "{error}");
    }

    #[tokio::test]
    async fn a_relay_that_ends_before_its_answer_is_not_taken_for_another_program() {
        for text in [
            "",
            "HTTP/1.1 20",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}",
        ] {
            let address = answering(text).await;
            let error = client(address).ask(&ask()).await.unwrap_err();
            assert!(
                matches!(error, ClientError::Ended(at) if at == address),
                "{text}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_not_an_admin_api_is_told_apart() {
        for text in [
            "220 mail.example ESMTP\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml",
        ] {
            let address = answering(text).await;
            let error = client(address).ask(&ask()).await.unwrap_err();
            assert!(matches!(error, ClientError::NotOurs { .. }), "{error}");
        }
    }

    #[test]
    fn an_unspecified_address_is_reached_over_loopback() {
        let reached = |address: &str| client(address.parse().unwrap()).address.to_string();
        assert_eq!(reached("0.0.0.0:8025"), "127.0.0.1:8025");
        assert_eq!(reached("[::]:8025"), "[::1]:8025");
        assert_eq!(reached("192.0.2.1:8025"), "192.0.2.1:8025");
    }
}
