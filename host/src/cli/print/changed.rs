//! What became of a change to queued mail, and what would: how much it is about, and what of that does not do at once as it is told.

use crate::admin::queue::QueueChanged;
use crate::admin::selection::QueueAction;
use crate::cli::text::deliveries;

/// What a change would do, as a question.
pub(in crate::cli) fn question(counted: &QueueChanged) -> String {
    format!("{}. Go on? [y/N] ", concerned(counted))
}

/// What it did, or would do, to some deliveries.
pub(super) fn concerned(document: &QueueChanged) -> String {
    let QueueChanged {
        action,
        dry_run,
        count,
        under_way,
        stopped,
        ..
    } = *document;
    let would = if dry_run { "would be " } else { "" };
    let (led, done) = match action {
        QueueAction::Hold => (count, "held"),
        QueueAction::Release => (count, "released"),
        // The others say for themselves what becomes of them.
        QueueAction::Retry => (count.saturating_sub(under_way + stopped), "tried again now"),
        QueueAction::Cancel => (count, "cancelled"),
        QueueAction::Restore => (count, "restored"),
        QueueAction::Reschedule => (count, "moved to the new time"),
        QueueAction::SetPriority => (count, "given the new priority"),
        QueueAction::Undo => (count, "put back"),
    };
    let mut parts = Vec::new();
    if led > 0 {
        parts.push(format!("{} {would}{done}", deliveries(led)));
    }
    let some = |some: u64| match (action, count, some) {
        (QueueAction::Retry, ..) => deliveries(some),
        (_, 1, _) => "it".to_owned(),
        _ => format!("{some} of them"),
    };
    if under_way > 0 {
        parts.push(format!(
            "{} {} being delivered{}",
            some(under_way),
            is(under_way),
            goes_on(action, under_way)
        ));
    }
    if stopped > 0 && waits_for_a_start(action) {
        let (some, is) = (some(stopped), is(stopped));
        let does = if stopped == 1 { "does" } else { "do" };
        parts.push(format!(
            "{some} {is} stopped, and {does} not go before that is started"
        ));
    }
    parts.join("; ")
}

fn is(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// What becomes of that which is being delivered.
fn goes_on(action: QueueAction, under_way: u64) -> String {
    let left = match under_way {
        1 => "what is left of it then",
        _ => "what is left of them then",
    };
    match action {
        QueueAction::Retry => format!(" already: {left} is tried again at once"),
        QueueAction::Hold => format!(": that goes on, and {left} stays back"),
        QueueAction::Release => format!(": {left} goes on"),
        QueueAction::Reschedule => format!(": that goes on, and {left} waits for that time"),
        QueueAction::SetPriority => {
            ": that goes on as it began, and the next attempt has the new one".to_owned()
        }
        QueueAction::Cancel => ": that is broken off unless the end of it has left".to_owned(),
        QueueAction::Restore | QueueAction::Undo => ": that goes on".to_owned(),
    }
}

/// Whether it makes a difference that something is stopped: it would go otherwise.
fn waits_for_a_start(action: QueueAction) -> bool {
    match action {
        QueueAction::Release
        | QueueAction::Retry
        | QueueAction::Restore
        | QueueAction::Undo
        | QueueAction::Reschedule => true,
        QueueAction::Hold | QueueAction::Cancel | QueueAction::SetPriority => false,
    }
}
