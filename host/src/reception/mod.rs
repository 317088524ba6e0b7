//! Reception: takes mail from clients, from the first octet to the 250 that makes it ours.
//!
//! The protocol is the core's (`outpost_smtp`); who may do what is the components' answer. Here is
//! what stands between: the driver that moves octets and keeps deadlines (`connection`), the
//! answers to what the core asks (`dialogue`), who comes by HTTP (`posting`), the content on its way to the spool (`content`), what an
//! account allows of urgency (`allowance`), and what a refused sender raises (`refusal`). Reception never waits for delivery.

mod acceptor;
mod allowance;
mod connection;
mod content;
mod dialogue;
mod handshake;
mod limits;
mod metrics;
mod minutes;
mod posting;
mod refusal;
mod replies;
mod shares;
mod sparing;
mod stated;
#[cfg(test)]
mod tests;
mod timing;
mod trace;
mod trail;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use outpost_smtp::server;

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::message::Routes;
use crate::plugin::Plugins;
use crate::spool::Spool;
use crate::tls;

pub use acceptor::{Acceptor, Drained, accept};
pub use limits::Connections;
pub use metrics::Metrics;
pub use posting::Entrance;
pub use refusal::{Notifier, Settings as NotificationSettings, Tally};
pub use shares::Shares;
pub use sparing::Spared;

/// What the operator chooses about reception, beside what the protocol core needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Client connections at once, over all ports.
    pub connections_max: usize,
    /// Client connections at once from one address (one /64 for IPv6).
    pub connections_per_address_max: usize,
    /// For the client to take a reply.
    pub send_within: Duration,
    /// Octets of a header section.
    pub header_octets_max: usize,
    /// Whether the MT-Priority field of a message is believed where MAIL says no priority (RFC 6758 §3.1).
    pub mt_priority_field: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Idle connections cost some 10 KB each.
            connections_max: 10_000,
            // A site behind one address translation has many clients.
            connections_per_address_max: 1_000,
            send_within: Duration::from_secs(120),
            // The largest honest headers (signatures, seals, trace) are some 60 KB.
            header_octets_max: 256 * 1024,
            mt_priority_field: false,
        }
    }
}

/// A good source of random numbers; none when the system has none to give.
pub type Random = dyn Fn() -> Option<u128> + Send + Sync;

/// What reception works with.
pub struct Reception {
    /// Its own settings.
    pub settings: Settings,
    /// Counts and limits clients.
    pub connections: Arc<Connections>,
    /// Counts and limits what open transactions hold.
    pub shares: Shares,
    /// Those of the protocol core, for ports in clear and for ports with implicit TLS alike. A connection
    /// keeps those that it began with.
    pub protocol: ArcSwap<server::Settings>,
    /// The certificate in force.
    pub tls: tls::Server,
    /// Users and lists.
    pub directory: Directory,
    /// Checks passwords.
    pub authenticator: Authenticator,
    /// Decides who may send as whom, and how urgent.
    pub plugins: Arc<Plugins>,
    /// Keeps what is accepted.
    pub spool: Arc<dyn Spool>,
    /// Splits an envelope by next hop.
    pub routes: Arc<ArcSwap<Routes>>,
    /// Spares the log where clients can cause lines without end.
    pub spared: Spared,
    /// Told of refused senders.
    pub notifier: Arc<Notifier>,
    /// Counts them.
    pub tally: Arc<Tally>,
    /// The time.
    pub clock: Clock,
    /// Random numbers, for the ids of messages.
    pub random: Arc<Random>,
    /// Figures.
    pub metrics: Metrics,
}
