//! Webhooks: documents that are sent to an address of the operator's, signed, so that whoever takes them knows who wrote them.
//!
//! Signatures and headers are those of Standard Webhooks 1.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`), for
//! which there are libraries in every language. One request, one answer; when to try again is the caller's business.
//! Nobody is followed elsewhere: a redirect could lead what is signed to anybody.

mod secret;
mod url;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use self::secret::Secret;
pub use self::url::Url;
use crate::message::Timestamp;
use crate::tls::client::{Connector, HandshakeError, Trust};

/// Longest time for a request, from looking up the name to the end of the answer.
const WITHIN: Duration = Duration::from_secs(15);
/// Nobody reads the answer; so much is taken of it, so that the other side does not see its connection break.
const ANSWER_OCTETS_MAX: usize = 64 << 10;

/// Where documents are sent, and what they are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to.
    pub url: Url,
    /// What they are signed with; unsigned without.
    pub secret: Option<Secret>,
}

/// Sends documents to one address.
#[derive(Clone, Debug)]
pub struct Webhook {
    settings: Settings,
    connector: Arc<Connector>,
}

/// Why a document was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The name is not known, or nobody listens there.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, #[source] io::Error),
    /// There is no protected connection.
    #[error("no protected connection to {0}: {1}")]
    Unprotected(String, #[source] HandshakeError),
    /// What came is no answer.
    #[error("{0} gave no answer: {1}")]
    NoAnswer(String, String),
    /// It was not answered in time.
    #[error("{0} did not answer within {within} seconds", within = WITHIN.as_secs())]
    Silent(String),
    /// It was answered with something else than success.
    #[error("{0} answered {1}")]
    Refused(String, StatusCode),
}

impl Webhook {
    /// One that trusts the roots of this machine.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            connector: Arc::new(Connector::new(Vec::new())),
        }
    }

    /// Where it sends to.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a document (JSON). `id` names it: whoever has taken it once knows it by that when it comes again.
    ///
    /// # Errors
    /// It was not taken, as far as is known.
    pub async fn send(
        &self,
        id: &str,
        at: Timestamp,
        document: String,
    ) -> Result<(), WebhookError> {
        let sending = timeout(WITHIN, self.exchange(id, at, document));
        let host = || self.settings.url.host().to_owned();
        sending.await.map_err(|_| WebhookError::Silent(host()))?
    }

    async fn exchange(
        &self,
        id: &str,
        at: Timestamp,
        document: String,
    ) -> Result<(), WebhookError> {
        let url = &self.settings.url;
        let host = || url.host().to_owned();
        let request = self.request(id, at, document);
        let request = request.map_err(|error| WebhookError::NoAnswer(host(), error.to_string()))?;
        // A name has several addresses; the first that answers is it.
        let stream = TcpStream::connect((url.host(), url.port())).await;
        let stream = stream.map_err(|error| WebhookError::Unreachable(host(), error))?;
        let status = match url.is_protected() {
            false => exchange(stream, request).await,
            true => {
                let handshake =
                    self.connector
                        .handshake(stream, url.host(), Trust::Verified, WITHIN);
                let (stream, _) = handshake
                    .await
                    .map_err(|error| WebhookError::Unprotected(host(), error))?;
                exchange(stream, request).await
            }
        };
        match status.map_err(|error| WebhookError::NoAnswer(host(), error.to_string()))? {
            status if status.is_success() => Ok(()),
            status => Err(WebhookError::Refused(host(), status)),
        }
    }

    fn request(
        &self,
        id: &str,
        at: Timestamp,
        document: String,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let seconds = (at.unix_milliseconds() / 1_000).to_string();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.settings.url.path())
            .header(HOST, self.settings.url.authority())
            .header(USER_AGENT, concat!("outpost/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "*/*")
            .header("webhook-id", id)
            .header("webhook-timestamp", &seconds);
        if let Some(secret) = &self.settings.secret {
            let signature = secret.signature(id, &seconds, document.as_bytes());
            request = request.header("webhook-signature", signature);
        }
        request.body(Full::from(document))
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // That it is too long or breaks off changes nothing of what was said.
        drop(
            Limited::new(response.into_body(), ANSWER_OCTETS_MAX)
                .collect()
                .await,
        );
        Ok(status)
    };
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        biased;
        status = &mut answered => return status,
        ended = &mut connection => ended?,
    }
    // The other side has closed; what it has answered is known.
    answered.await
}

#[cfg(test)]
mod tests;
