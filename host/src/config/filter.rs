//! What a filter of the log can say.
//!
//! The log library reads it; here stands what it would take for something else than was meant.

use crate::telemetry;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Reads directives with commas between.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    let levels = || LEVELS.join(", ");
    let directives = text.split(',').map(str::trim);
    let directives: Vec<&str> = directives.filter(|one| !one.is_empty()).collect();
    if directives.is_empty() {
        // The library would log nothing then.
        return Err(format!("says nothing: one of {} is expected", levels()));
    }
    for directive in &directives {
        if directive.contains(char::is_whitespace) {
            return Err(format!(
                "`{directive}` has a blank in it: commas stand between directives, as in \"info,outpost=debug\""
            ));
        }
        // It takes any word for the name of a module, and would log nothing else then.
        let level = directive.rsplit('=').next().unwrap_or_default();
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(format!(
                "`{level}` is not one of {}; for a part of the relay write \"info,outpost=debug\"",
                levels()
            ));
        }
    }
    let settings = telemetry::Settings {
        filter: directives.join(","),
        ..telemetry::Settings::default()
    };
    settings.check().map(|()| settings.filter)
}
