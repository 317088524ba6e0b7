//! The queue: which delivery goes next, and what follows from how it ended.
//!
//! The spool says what waits, the scheduler says what goes, somebody who can [`Deliver`] makes the
//! attempt, and one settlement records what follows from it: finished, tried again, reported. Waits
//! for mail, for time and for attempts; knows nothing of hosts, connections or SMTP sessions.

mod attempt;
mod deliver;
mod forecast;
mod latency;
mod lateness;
mod listing;
mod metrics;
mod order;
mod outlook;
mod rate;
mod reach;
#[cfg(test)]
mod rehearsal;
mod reports;
mod rerouting;
mod retry;
mod run;
mod scheduler;
mod settings;
mod settle;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stage;
mod trouble;
mod unreached;

pub use deliver::{AtMail, Deliver, OpenContent};
pub use metrics::Metrics;
pub use outlook::{OrderedPage, Outlook};
pub use run::{NextHopOf, Parts, Queue};
pub use settings::{RulesInForce, Settings};
pub use unreached::{Unreached, UnreachedHop};
