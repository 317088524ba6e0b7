//! A connection to a next hop as the relay holds it, counted for as long as it does.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Connections that are open at a time, by host.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Arc<Mutex<BTreeMap<SocketAddr, usize>>>);

/// One of them.
pub(super) struct Line {
    stream: DuplexStream,
    lines: Lines,
    host: SocketAddr,
}

impl Lines {
    /// One more to that host; with how many there are now.
    pub(super) fn open(&self, stream: DuplexStream, host: SocketAddr) -> (Line, usize) {
        let open = self.change(host, |open| open + 1);
        let lines = self.clone();
        (
            Line {
                stream,
                lines,
                host,
            },
            open,
        )
    }

    fn change(&self, host: SocketAddr, change: impl FnOnce(usize) -> usize) -> usize {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.entry(host).or_default();
        *open = change(*open);
        *open
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.change(self.host, |open| open - 1);
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
