//! What delivery needs to know from the configuration.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use outpost_smtp::Timeouts;

/// How mail is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our name in EHLO, by which we know ourselves among MX hosts where we listen on their port.
    pub hostname: String,
    /// How to speak to the smarthosts of the routes, by `host:port` as next hops name them.
    pub smarthosts: HashMap<String, Smarthost>,
    /// How long each step of a conversation may take.
    pub timeouts: Timeouts,
    /// How long a connection may take to open.
    pub connect_time_max: Duration,
    /// The port of MX hosts: 25, but in tests.
    pub mx_port: u16,
    /// Whether this relay itself listens on that port. If it does, an MX host of our name or at one of this
    /// machine's addresses is this relay; if not, it is another server on the same machine.
    pub listens_on_mx_port: bool,
    /// Whether a host that does not list MT-PRIORITY gets the priority in the header (RFC 6758).
    pub mt_priority_tunnel: bool,
    /// Which family of addresses is tried first.
    pub address_order: AddressOrder,
    /// Addresses tried in one attempt.
    pub addresses_tried_max: usize,
    /// Recipients of one transaction; more are sent in several.
    pub recipients_per_transaction_max: usize,
    /// How long a connection is kept open for the next message.
    pub idle_time_max: Duration,
    /// Connections kept open for the next message, to all next hops together.
    pub idle_connections_max: usize,
    /// Connections at a time to one host of MX records, over all domains whose mail it takes.
    pub connections_per_host_max: usize,
    /// Transactions on one connection, after which it is closed.
    pub transactions_per_connection_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            smarthosts: HashMap::new(),
            timeouts: Timeouts::default(),
            // Shorter than the two minutes that TCP itself takes: the next address is tried sooner.
            connect_time_max: Duration::from_secs(30),
            mx_port: 25,
            listens_on_mx_port: false,
            mt_priority_tunnel: false,
            address_order: AddressOrder::Ipv4First,
            // With the time above, a dead domain holds a delivery slot for four minutes at most.
            addresses_tried_max: 8,
            // What every server takes (RFC 5321 §4.5.3.1.8).
            recipients_per_transaction_max: 100,
            idle_time_max: Duration::from_secs(5),
            // A few file descriptors and buffers: as many as deliveries are made at once.
            idle_connections_max: 500,
            // As many as deliveries to one domain: a host does not get more because it serves many.
            connections_per_host_max: 20,
            // Load spreads over the hosts of a next hop again from time to time.
            transactions_per_connection_max: 1_000,
        }
    }
}

/// How to speak to one smarthost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Smarthost {
    /// The login, when it wants one.
    pub login: Option<Login>,
    /// Whether the connection is protected.
    pub tls: TlsPolicy,
    /// Whether this relay itself listens there: its mail waits until the operator has mended that.
    pub is_this_relay: bool,
}

/// A login at a smarthost.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password. Never printed.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Whether a connection is protected by TLS. On port 465 the handshake comes first (RFC 8314
/// §3.3), on other ports STARTTLS is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsPolicy {
    /// When the host offers it, with any certificate; in clear otherwise. A login is sent in clear
    /// only over loopback.
    #[default]
    Opportunistic,
    /// Always, with a certificate that is valid for the host's name; mail waits otherwise.
    Required,
    /// Never, even for the login.
    None,
}

/// Which addresses of a host are tried first; the families take turns from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressOrder {
    /// IPv4: large receivers refuse IPv6 senders whose address has no name, and many machines
    /// have an IPv6 address that nobody has named.
    #[default]
    Ipv4First,
    /// IPv6.
    Ipv6First,
}
