//! Sockets: listening on the configured set, connecting to next hops.

mod listen;

pub use listen::{Listener, PortSet, Settings, Unbound, bind, raise_file_limit};
