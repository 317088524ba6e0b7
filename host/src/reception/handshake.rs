//! A connection in its TLS handshake: how much of it is read before it has proved that it can end one.
//!
//! The TLS library keeps a message of a handshake until it is whole, and takes up to 64 KiB for one. Nobody's
//! first message is a quarter of that, and whoever has shaken hands is counted no more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that a client sends in a handshake, at most. Usual ones have 2 KiB, with a ticket and the keys of
/// post-quantum groups.
const OCTETS_MAX: usize = 16 * 1024;

/// A stream that is read so far only until [`Self::is_over`] says that the handshake is.
#[derive(Debug)]
pub(super) struct Handshaking<S> {
    stream: S,
    /// None when the handshake is over.
    left: Option<usize>,
}

impl<S> Handshaking<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            left: Some(OCTETS_MAX),
        }
    }

    /// The handshake is over: there is no limit any more.
    pub(super) fn is_over(&mut self) {
        self.left = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Handshaking<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == Some(0) {
            let error = io::Error::new(io::ErrorKind::InvalidData, "the handshake is too large");
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        self.left = self.left.map(|left| left.saturating_sub(read));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Handshaking<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_handshake_is_read_up_to_its_limit_and_what_follows_without_one() {
        let endless = tokio::io::repeat(7);
        let mut stream = Handshaking::new(endless);
        let mut octets = vec![0; OCTETS_MAX];
        assert!(stream.read_exact(&mut octets).await.is_ok());
        let error = stream.read_u8().await.map_err(|error| error.kind());
        assert_eq!(error, Err(io::ErrorKind::InvalidData));
        stream.is_over();
        assert!(stream.read_exact(&mut octets).await.is_ok());
    }
}
