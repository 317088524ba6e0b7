//! What a message is: identity, envelope, class, deliveries, outcomes and its trail.
//!
//! Plain values and pure functions. Time is an argument; nothing here reads a clock, a socket or a
//! disk. How a message is stored, shown by the API or handed to a component are conversions that
//! belong to the spool, the admin surface and the plugin host.

mod address;
mod class;
mod counts;
mod delivery;
mod dialogue;
mod envelope;
pub mod header;
mod id;
mod line_ends;
mod origin;
mod outcome;
pub mod own;
mod post;
pub mod report;
mod roster;
mod route;
pub mod seven_bit;
mod share;
mod standing;
mod time;
mod trail;
mod transcript;
pub mod wording;

pub use address::{Address, AddressProblem, comparable_domain, mapped_domain};
pub use class::Class;
pub use counts::{Counts, Latency};
pub use delivery::{Cancelled, Delivery, DeliveryId, DeliveryState, Line, NextHop};
pub use dialogue::{Dialogue, Party};
pub use envelope::{DeliverBy, Envelope, Recipient};
pub use id::MessageId;
pub use line_ends::{LineEnds, MixedLineEnds};
pub use origin::{Message, Origin, Priorities, Protocol, RELAY, Submission, TlsParameters};
pub use outcome::{
    Attempt, Contact, Outcome, Pause, PauseEnd, RecipientOutcome, RemoteHost, Visit,
};
pub use post::{NotPosted, Post, PostedContent, Receipt, Unreadable};
pub use roster::Roster;
pub use route::{
    HostPort, NotAHostPort, NotAPattern, NotSenders, Pattern, Route, Routes, SMTP_PORT, Senders,
    Source,
};
pub use share::{ClassRule, ClassShares, Turns, WEIGHT_MAX, kept_for_very_high};
pub use standing::{PlaceInLine, Progress, Reason, Standing, WantedStanding};
pub use time::Timestamp;
pub use trail::{Demotion, Event, TrailEntry};
pub use transcript::{Said, Scribe, Speaker, Transcript};
