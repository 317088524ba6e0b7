//! The header section of a message: its fields, who its authors are, how urgent it asks to be.
//!
//! Strict where a decision depends on it: what two readers could read differently is refused, since
//! the reader that shows the message to a person need not be ours. Nothing is ever altered.

mod api;
mod author;
mod campaign;
mod carrier;
mod charset;
mod field;
mod schedule;
mod tunnel;
mod words;

pub use author::{AuthorProblem, Authors};
pub use campaign::{CAMPAIGN_CHARACTERS_MAX, campaign};
pub use carrier::{Carrier, Requested, overruled, repeated_priorities, requested_priorities};
pub use field::{Field, Fields, HeaderProblem, header_end};
pub use schedule::{RequestedTime, repeated_time, requested_time};
pub use tunnel::{Tunnel, tunnelled, tunnelled_priority};
pub use words::subject;
