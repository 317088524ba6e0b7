//! Where the log goes and in which form.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;

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
    // Only tests start more than one relay in a process; they share the first one's log.
    match settings.format {
        LogFormat::Human => {
            let builder = builder.fmt_fields(Human).with_filter_reloading();
            let filter = changing(builder.reload_handle());
            if builder.finish().try_init().is_ok() {
                drop(CHANGE_FILTER.set(filter));
            }
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let filter = changing(builder.reload_handle());
            if builder.finish().try_init().is_ok() {
                drop(CHANGE_FILTER.set(filter));
            }
        }
    }
}

/// Puts another filter in the place of that in force.
type ChangeFilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// That of the log of this process, once it has one.
static CHANGE_FILTER: OnceLock<ChangeFilter> = OnceLock::new();

fn changing<S: 'static>(handle: Handle<EnvFilter, S>) -> ChangeFilter {
    // It fails only when the log is gone.
    Box::new(move |filter| drop(handle.reload(filter)))
}

/// Logs what this filter lets through from now on. One that cannot be used changes nothing: see
/// [`Settings::check`].
pub fn change_filter(settings: &Settings) {
    if let (Some(change), Ok(filter)) = (CHANGE_FILTER.get(), EnvFilter::try_new(&settings.filter))
    {
        change(filter);
    }
}
