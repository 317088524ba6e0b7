//! Sockets: listening on the configured set, connecting to next hops.

mod connect;
mod listen;

pub use connect::{Dialer, Stream, is_own_address};
pub use listen::{Listener, PortSet, Settings, Unbound, bind, raise_file_limit};
