//! What is left of a request that was answered before all of it was read.
//!
//! Whoever is refused has often not sent everything yet. When a connection is closed while octets still come,
//! the system resets it, and an answer that the client has not read by then is lost (RFC 9112 §9.6). So the rest
//! is read and forgotten before the answer goes out; beyond the bounds below the answer says that the
//! connection ends with it. What the answer is, is the business of others.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, EXPECT, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// Most octets that are read for nothing: sixteen times the largest body that is taken, which is a file in the
/// place of a request.
const OCTETS_MAX: u64 = 4 << 20;

/// Longest wait for them; a client that has them at hand needs a part of it.
const WITHIN: Duration = Duration::from_secs(1);

/// Has the request answered, and reads what that left unread.
pub(super) async fn read_away(request: Request, next: Next) -> Response {
    let awaits_consent = request.headers().contains_key(EXPECT);
    let (lender, mut given_back) = oneshot::channel();
    let request = request.map(|body| {
        Body::new(Lent {
            body,
            lender: Some(lender),
            is_begun: false,
        })
    });
    let mut response = next.run(request).await;
    let is_over = match given_back.try_recv() {
        // It was read to its end, or the answer goes on with it.
        Err(_) => true,
        // Nothing comes without a word from us (RFC 9110 §10.1.1), and the answer is that word.
        Ok(rest) if awaits_consent && !rest.is_begun => false,
        // It has been waited for long enough.
        Ok(_) if response.status() == StatusCode::REQUEST_TIMEOUT => false,
        Ok(rest) => ends_soon(rest.body).await,
    };
    if !is_over {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// Reads a body away; whether its end was seen.
async fn ends_soon(mut body: Body) -> bool {
    let reading = async {
        let mut left = OCTETS_MAX;
        while left > 0 && body.size_hint().lower() <= left {
            match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => {
                    let octets = frame.data_ref().map_or(0, Bytes::len);
                    left = left.saturating_sub(octets as u64);
                }
            }
        }
        false
    };
    tokio::time::timeout(WITHIN, reading).await.unwrap_or(false)
}

/// A body that is given back by whoever lets go of it before its end.
struct Lent {
    body: Body,
    /// None at the end of the body.
    lender: Option<oneshot::Sender<Rest>>,
    is_begun: bool,
}

/// What is left of a body.
struct Rest {
    body: Body,
    /// Whether any of it was asked for.
    is_begun: bool,
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_begun = true;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() {
            self.lender = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(lender) = self.lender.take()
            && !self.body.is_end_stream()
        {
            let rest = Rest {
                body: std::mem::take(&mut self.body),
                is_begun: self.is_begun,
            };
            // Where nobody waits for it any more, the connection is gone.
            let _ = lender.send(rest);
        }
    }
}
