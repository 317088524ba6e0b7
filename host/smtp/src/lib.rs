//! The SMTP protocol core: server and client sessions that never touch a socket.
//!
//! Octets go in with [`server::Session::feed`] or [`client::Session::feed`], and
//! `next` says what has to happen now: send, receive within a time, ask the relay a question, hand
//! over content, start TLS, close. Who drives a session owns the socket, the clock and every
//! decision; this crate owns the grammar, the order of commands, the limits and the reply codes.
//!
//! Promises: the replies and the content depend on the octets only, never on how they were cut;
//! nothing that a peer sends can panic or make a session grow beyond [`Limits`]; only CRLF ends a
//! line and only CRLF.CRLF ends the content of DATA.
//!
//! Left to others: deadlines (the numbers are in [`Timeouts`]), who may log in, who may send, header
//! fields, and where a message is kept.

pub mod address;
pub mod auth;
pub mod client;
pub mod content;
pub mod dialogue;
pub mod limits;
pub mod parameter;
pub mod reply;
pub mod server;
pub mod time;

pub use address::{AddressError, ForwardPath, Mailbox, ReversePath};
pub use auth::{Credentials, Mechanism};
pub use limits::{Limits, Timeouts};
pub use parameter::{
    AuthIdentity, Body, By, ByMode, Hold, MailParameters, Notify, Orcpt, ParameterError,
    RcptParameters, Ret,
};
pub use reply::{EnhancedStatus, Reply};
