//! Lines in the relay's log, marked by the relay with the component and the message.
//!
//! The relay replaces control characters, cuts long texts and drops lines beyond 32 a question.

use crate::relay;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever develops the policy.
    Debug,
    /// For whoever wants to follow it.
    Info,
    /// Something is odd.
    Warn,
    /// Something does not work.
    Error,
}

/// Whether a line of that level would be written; ask before building a costly one.
pub fn is_enabled(level: Level) -> bool {
    relay::log::is_enabled(level)
}

/// Writes one line with fields.
pub fn write(level: Level, text: &str, fields: &[(&str, &str)]) {
    relay::log::write(level, text, fields);
}

/// Writes one line of level `Debug`.
pub fn debug(text: &str) {
    write(Level::Debug, text, &[]);
}

/// Writes one line of level `Info`.
pub fn info(text: &str) {
    write(Level::Info, text, &[]);
}

/// Writes one line of level `Warn`.
pub fn warn(text: &str) {
    write(Level::Warn, text, &[]);
}

/// Writes one line of level `Error`.
pub fn error(text: &str) {
    write(Level::Error, text, &[]);
}
