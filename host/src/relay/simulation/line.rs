//! A connection to a next hop as the relay holds it: counted for as long as it does, and watched for what goes over it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::World;
use super::road::WireId;

/// Connections that are open at a time, by host.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Arc<Mutex<BTreeMap<SocketAddr, usize>>>);

/// One of them.
pub(super) struct Line {
    stream: DuplexStream,
    world: Arc<World>,
    host: SocketAddr,
    wire: WireId,
}

impl Line {
    /// One more to that host; with how many there are now.
    pub(super) fn open(
        world: &Arc<World>,
        (stream, wire): (DuplexStream, WireId),
        host: SocketAddr,
    ) -> (Self, usize) {
        let open = world.lines.change(host, |open| open + 1);
        let line = Self {
            stream,
            world: Arc::clone(world),
            host,
            wire,
        };
        (line, open)
    }
}

impl Lines {
    fn change(&self, host: SocketAddr, change: impl FnOnce(usize) -> usize) -> usize {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.entry(host).or_default();
        *open = change(*open);
        *open
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.world.lines.change(self.host, |open| open - 1);
        self.world.road.hangs_up(self.wire);
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            let ceiling = self.world.rules().ceiling;
            self.world.road.read(self.wire, ceiling);
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, octets);
        let written = match &polled {
            Poll::Ready(Ok(written)) => *written,
            Poll::Ready(Err(_)) => return polled,
            Poll::Pending => 0,
        };
        let world = &self.world;
        let rank = |key| world.witness.seen().rank(key);
        let wrong = world
            .road
            .wrote(self.wire, octets, written, world.rules(), rank);
        if let Some(what) = wrong {
            world.witness.seen().wrong(what);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
