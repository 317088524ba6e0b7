//! The command line: what can be typed, and how it is read.

mod options;
mod sink;

pub use options::{Cli, Command};
pub use sink::{SinkOptions, SinkPattern, SinkPatternError, SinkStage};
