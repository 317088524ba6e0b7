//! A message whose priority goes with it in its header, to a host that does not list MT-PRIORITY (RFC 6758 §3.3).
//!
//! How the header changes is said in `message::header`; here are the content that changes while it is read, and its
//! octets, which MAIL declares.

use std::future::pending;

use bytes::Bytes;

use super::connection::OpenContent;
use crate::message::header::Tunnel;
use crate::spool::{BrokenOff, Content, PIECE_OCTETS_MAX, Pending, SpoolError};

/// Opens the content as it goes through the tunnel.
pub(super) fn through(
    open: &OpenContent<'_>,
    priority: Option<i8>,
) -> impl Fn() -> Pending<'static, Box<dyn Content>> + Send + Sync {
    move || {
        let opening = open();
        Box::pin(async move {
            let (tunnel, field) = Tunnel::new(priority);
            Ok(Box::new(Tunnelled {
                content: Some(opening.await?),
                tunnel,
                ready: field.into(),
            }) as Box<dyn Content>)
        })
    }
}

/// The octets that come out of a content of `octets`. Its header is read for that.
///
/// # Errors
/// It cannot be read.
pub(super) async fn tunnelled_octets(
    octets: u64,
    priority: Option<i8>,
    open: &OpenContent<'_>,
) -> Result<u64, SpoolError> {
    let (mut tunnel, _) = Tunnel::new(priority);
    let mut content = open().await?;
    while !tunnel.is_through()
        && let Some(piece) = content.next().await?
    {
        tunnel.feed(&piece);
    }
    Ok(tunnel.octets(octets))
}

struct Tunnelled {
    /// None at its end.
    content: Option<Box<dyn Content>>,
    tunnel: Tunnel,
    /// What has come out and was not handed on yet.
    ready: Bytes,
}

impl Content for Tunnelled {
    fn next(&mut self) -> Pending<'_, Option<Bytes>> {
        Box::pin(async move {
            while self.ready.is_empty() {
                let Some(content) = &mut self.content else {
                    return Ok(None);
                };
                self.ready = match content.next().await? {
                    Some(piece) if self.tunnel.is_through() => piece,
                    Some(piece) => self.tunnel.feed(&piece).into(),
                    None => {
                        self.content = None;
                        self.tunnel.finish().into()
                    }
                };
            }
            let octets = self.ready.len().min(PIECE_OCTETS_MAX);
            Ok(Some(self.ready.split_to(octets)))
        })
    }

    fn broken_off(&self) -> BrokenOff {
        match &self.content {
            Some(content) => content.broken_off(),
            None => Box::pin(pending()),
        }
    }
}
