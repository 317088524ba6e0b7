//! The queue and its messages as people read them, and what is done to them.

use super::super::queue_options::{Change, Filter, State};
use super::super::queue_table;
use super::super::text::{deliveries, facts};
use super::{changed, more, null_or, priority};
use crate::admin::messages::MessageDocument;
use crate::admin::queue::{QueueChanged, QueuePage};
use crate::admin::selection::QueueAction;
use crate::admin::stops::{StopChanged, StopDocument};
use crate::message::wording::printable;

/// A page of the queue; of what the filter names only a part was asked for, where that is so.
pub(super) fn queue(page: &QueuePage, filter: &Filter, is_part: bool) -> String {
    let whole = |state| Filter {
        state,
        ..Filter::default()
    };
    let is_all = |state| !is_part && *filter == whole(state);
    let nothing = match filter.state {
        Some(State::Cancelled) => nothing_cancelled(is_all(filter.state)),
        _ => nothing(is_all(None)),
    };
    let mut text = queue_table::table(page, nothing, queue_table::columns());
    more(&mut text, page.cursor.as_deref());
    add_stops(&mut text, "stopped", &page.stops);
    text
}

fn add_stops(text: &mut String, how: &str, stops: &[StopDocument]) {
    for stop in stops {
        text.push_str(&format!("{how}: {}\n", printable(&stop.text)));
    }
}

/// What became of a stop.
pub(super) fn stopped(document: &StopChanged) -> String {
    let of = printable(&document.text);
    let waits = match document.count {
        Some(0) => "; nothing waits for it now, mail that comes for it will".to_owned(),
        Some(1) => "; 1 delivery waits for it".to_owned(),
        Some(count) => format!("; {} wait for it", deliveries(count)),
        None => String::new(),
    };
    match (&document.before, document.dry_run) {
        (Some(before), _) => {
            let before = printable(&before.text);
            format!("nothing is changed: it is stopped already: {before}{waits}\n")
        }
        (None, true) => format!("{of} would be stopped{waits}\n"),
        (None, false) => {
            format!("{of} is stopped: nothing more of it is sent until it is started{waits}\n")
        }
    }
}

/// What became of the end of a stop.
pub(super) fn started(document: &StopChanged) -> String {
    let of = printable(&document.text);
    let still = document.stops.iter().filter(|stop| stop.of != document.of);
    let still: Vec<_> = still.cloned().collect();
    let but = match still.is_empty() {
        true => "",
        false => ", but for what is still stopped",
    };
    let waited = match document.count {
        None | Some(0) => String::new(),
        Some(1) => "; 1 delivery waited for it".to_owned(),
        Some(count) => format!("; {} waited for it", deliveries(count)),
    };
    let mut text = match (&document.before, document.dry_run) {
        (None, _) => format!("nothing is changed: there is no stop of {of}\n"),
        (Some(_), true) => format!("{of} would go on{but}{waited}\n"),
        (Some(_), false) => format!("{of} goes on{but}{waited}\n"),
    };
    add_stops(&mut text, "still stopped", &still);
    text
}

pub(super) fn message(message: &MessageDocument) -> String {
    let asked = message
        .message_priority
        .map_or_else(|| "none".to_owned(), priority);
    let mut text = facts(&[
        ("id", message.id.clone()),
        ("list", message.list.clone()),
        (
            "user",
            if message.user.is_empty() {
                "(relay)".to_owned()
            } else {
                message.user.clone()
            },
        ),
        ("subject", message.subject.clone()),
        (
            "campaign",
            message
                .campaign
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
        ),
        ("sender", null_or(&message.sender)),
        ("recipients", message.recipients.join("\n")),
        ("octets", message.content_octets.to_string()),
        (
            "priority",
            format!(
                "{}: user {}, message {asked}",
                priority(message.class),
                priority(message.user_priority)
            ),
        ),
        ("accepted", message.accepted.clone()),
        (
            "finished",
            message
                .finished
                .clone()
                .unwrap_or_else(|| "not yet".to_owned()),
        ),
    ]);
    text.push('\n');
    for line in &message.text {
        text.push_str(&printable(line));
        text.push('\n');
    }
    text
}

/// What is said where there is nothing: of the whole queue, or of a part of it.
fn nothing(of_all: bool) -> &'static str {
    if of_all {
        "nothing is queued"
    } else {
        "nothing that is queued matches"
    }
}

/// The same of what was cancelled.
fn nothing_cancelled(of_all: bool) -> &'static str {
    if of_all {
        "nothing that was cancelled can be restored"
    } else {
        "nothing that was cancelled and can be restored matches"
    }
}

/// Why an action concerns nothing, though there may be mail that matches.
fn or_else(action: QueueAction) -> &'static str {
    match action {
        QueueAction::Hold => ", or it is held already",
        QueueAction::Release => ", or it is not held",
        QueueAction::Retry => ", or it is held: release it first",
        QueueAction::Cancel | QueueAction::Restore | QueueAction::Undo => "",
        QueueAction::Reschedule => ", or it is held: release it first",
        QueueAction::SetPriority => ", or it has this priority already",
    }
}

/// Why an action concerns nothing of a message that is queued.
fn why_not(action: QueueAction) -> &'static str {
    match action {
        QueueAction::Hold => "the message is held already",
        QueueAction::Release => "nothing of the message is held",
        QueueAction::Retry | QueueAction::Reschedule => "the message is held; release it first",
        QueueAction::Cancel => "the message is cancelled already",
        QueueAction::Restore => "nothing of the message is cancelled",
        QueueAction::SetPriority => "the message has this priority already",
        QueueAction::Undo => "nothing is as the action has left it",
    }
}

/// What became of a change, or would.
pub(super) fn changed(document: &QueueChanged, change: Option<&Change>) -> String {
    if document.count == 0
        && let Some(Change { target, .. }) = change
    {
        return match &target.id {
            None if document.action == QueueAction::Restore => {
                format!("{}\n", nothing_cancelled(target.all))
            }
            None => format!("{}{}\n", nothing(target.all), or_else(document.action)),
            Some(_) => format!("nothing is changed: {}\n", why_not(document.action)),
        };
    }
    if document.count == 0 {
        return format!("nothing is changed: {}\n", why_not(document.action));
    }
    format!("{}\n", changed::concerned(document))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::stops::StopTarget;

    #[test]
    fn what_could_not_be_counted_is_stopped_and_started_all_the_same() {
        let done = StopChanged {
            of: StopTarget::default(),
            text: "everything".to_owned(),
            dry_run: false,
            changed: true,
            count: None,
            before: None,
            stops: Vec::new(),
        };
        assert_eq!(
            stopped(&done),
            "everything is stopped: nothing more of it is sent until it is started\n"
        );
        let before = Some(StopDocument {
            of: StopTarget::default(),
            by: "ops".to_owned(),
            since: "1970-01-01T00:00:00.007Z".to_owned(),
            text: "everything, by ops since 1970-01-01T00:00:00.007Z".to_owned(),
        });
        assert_eq!(
            started(&StopChanged { before, ..done }),
            "everything goes on\n"
        );
    }
}
