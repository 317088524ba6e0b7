//! A content that is in memory, on its way out.

use bytes::Bytes;

use super::{Content, PIECE_OCTETS_MAX, Pending};

/// Hands out octets piece by piece, without copying them.
#[derive(Debug)]
pub(super) struct Pieces(Bytes);

impl Pieces {
    pub(super) fn of(octets: Bytes) -> Self {
        Self(octets)
    }
}

impl Content for Pieces {
    fn next(&mut self) -> Pending<'_, Option<Bytes>> {
        let octets = self.0.len().min(PIECE_OCTETS_MAX);
        let piece = self.0.split_to(octets);
        Box::pin(std::future::ready(Ok((!piece.is_empty()).then_some(piece))))
    }
}
