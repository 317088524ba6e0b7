//! A dialogue about a message: with whom, and what was said.

use std::net::SocketAddr;

use super::{NextHop, Transcript};

/// What was said about a message over one connection: by the client in the transaction that brought it, or with a
/// host in one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialogue {
    /// Who was at the other end.
    pub with: Party,
    /// The connection had been used for other mail before, and what was said then is not told again.
    pub is_continued: bool,
    /// What was said.
    pub transcript: Transcript,
}

/// Who speaks with the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// Whoever submitted the message.
    Client,
    /// A host of a next hop.
    Host {
        /// The lane.
        next_hop: NextHop,
        /// Its name.
        name: String,
        /// Where it was reached.
        address: SocketAddr,
    },
}
