//! What the relay itself adds to the audit log: that it started and stopped, that it read its configuration again because of a
//! signal, and that it made a token or an admin. What is asked for over the admin surface is written there.
//!
//! Mail does not depend on it: an entry that cannot be written is told in the log.

use crate::admin::Reloaded;
use crate::directory::{Directory, Entry, Terms, Touched};
use crate::message::Timestamp;

/// It has started.
pub(super) fn started(now: Timestamp) -> Entry {
    of_release("start", now)
}

/// It stops.
pub(super) fn stopped(now: Timestamp) -> Entry {
    of_release("stop", now)
}

fn of_release(action: &str, now: Timestamp) -> Entry {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Entry {
        about: vec![("version".to_owned(), version)],
        ..Entry::new(action, now)
    }
}

/// It has read its configuration again, since a signal said so.
pub(super) fn reloaded(reloaded: &Reloaded, now: Timestamp) -> Entry {
    let after = serde_json::json!({
        "changed": reloaded.changed,
        "needs_restart": reloaded.needs_restart,
    });
    Entry {
        after: Some(after.to_string()),
        ..Entry::new("reload", now)
    }
}

/// With a token or an admin that it makes by itself, when it starts.
pub(super) fn of_start(now: Timestamp) -> Terms {
    let tell = move |touched: Touched<'_>| {
        let (action, kind, name) = match touched {
            Touched::Token(_, Some(token)) => ("add-token", "token", &token.name),
            Touched::Admin(_, Some(admin)) => ("add-admin", "admin", &admin.name),
            _ => return None,
        };
        Some(Entry {
            about: vec![(kind.to_owned(), name.clone())],
            ..Entry::new(action, now)
        })
    };
    Terms {
        tell: Some(Box::new(tell)),
        ..Terms::default()
    }
}

/// Writes it.
pub(super) async fn note(directory: &Directory, entry: Entry) {
    let action = entry.action.clone();
    if let Err(error) = directory.record(vec![entry]).await {
        tracing::error!(action, %error, "the audit log cannot be written");
    }
}
