//! The command line: what can be typed, and how it is read.
//!
//! The forms are a contract: scripts rely on them. `serve`, `check`, `route`, `sink` and `demo` are carried out by
//! whoever assembles the relay, `restore` by [`restore`] where no relay runs; everything else is asked of
//! the running relay over its admin API, by [`administer`].

mod alert_options;
mod aside;
mod asks;
mod audit;
mod backup;
mod demo;
mod options;
mod plugin_options;
mod print;
mod queue_options;
mod queue_table;
mod remote;
mod route;
mod sender_options;
mod sink;
mod stats_options;
#[cfg(test)]
mod tests;
mod text;
mod transfer;
mod user_options;

pub use backup::{BackupCommand, RestoreCommand, RestoreError, print_configuration, restore};
pub use demo::{DemoCommand, demonstrate};
pub use options::{Cli, Command, Remote};
pub use remote::{Access, administer};
pub use route::RouteCommand;
pub use sink::{SinkCommand, receive};
