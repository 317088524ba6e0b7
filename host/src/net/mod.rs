//! Sockets: listening on the configured set, connecting to next hops.

mod connect;
mod listen;
mod passed;

pub use connect::{Dialer, Stream, is_own_address};
pub use listen::{Bound, Listener, PortSet, Settings, Unbound, bind, raise_file_limit};
pub use passed::{Passed, Unused};
