//! What the tests drive: a relay and a sink as programs, on addresses of their own, and a plain
//! SMTP client.

mod client;
mod program;
mod relay;
mod sink;

pub use client::{Client, base64};
pub use program::{Address, Program, outpost, run, top};
pub use relay::Relay;
pub use sink::{Received, Sink};
