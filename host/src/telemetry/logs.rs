//! Where the log goes and in which form.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use super::human::Human;

/// What the operator chooses about logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For people or for machines.
    pub format: LogFormat,
    /// What is logged, in the syntax of tracing's directives: `info`, `outpost=debug`.
    pub filter: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable lines.
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            filter: "info".to_owned(),
        }
    }
}

impl Settings {
    /// Whether the filter is one that can be used.
    ///
    /// # Errors
    /// The reason in words, when it is not.
    pub fn check(&self) -> Result<(), String> {
        EnvFilter::try_new(&self.filter)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

/// Starts logging to standard error; what cannot be written there is lost, and nothing else. A second call changes nothing: the first one stays.
pub fn start_logs(settings: &Settings) {
    let filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // To tell that standard error cannot be written to, by standard error, would end the relay.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let started = match settings.format {
        LogFormat::Human => builder.fmt_fields(Human).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // Only tests start more than one relay in a process; they share the first one's log.
    drop(started);
}
