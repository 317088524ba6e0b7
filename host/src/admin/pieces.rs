//! An answer that is written while it is sent: one end for whoever writes, on a thread of its own, the other for the
//! client. One that reads slowly keeps a few pieces in memory, whatever the length.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Octets that are sent at a time, and how many such pieces wait for a slow reader.
pub(super) const PIECE_OCTETS: usize = 64 * 1024;
const PIECES_WAITING_MAX: usize = 4;

/// Both ends.
pub(super) fn outlet() -> (Outlet, Body) {
    let (sender, receiver) = channel(PIECES_WAITING_MAX);
    (Outlet(sender), Body::new(Pieces(receiver)))
}

/// The writing end of an answer.
#[derive(Clone)]
pub(super) struct Outlet(Sender<io::Result<Bytes>>);

impl Outlet {
    /// The answer breaks off, so that its reader sees that it has no end. Blocks.
    pub(super) fn break_off(self, error: io::Error) {
        let _ = self.0.blocking_send(Err(error));
    }
}

impl Write for Outlet {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(octets);
        let sent = self.0.blocking_send(Ok(piece));
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reading end of an answer.
struct Pieces(Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
