//! What the commands about the queue ask of the relay.

use super::{Plan, document, with_query};
use crate::admin::client::Ask;
use crate::admin::selection::{QueueAction, QueueChange, StateFilter};
use crate::admin::stops::StopInput;
use crate::admin::within_path;
use crate::cli::queue_options::{Change, Filter, QueueCommand, State, Stoppable};

/// What `outpost queue …` comes to.
pub(super) fn plan(command: &QueueCommand) -> Plan {
    match command {
        QueueCommand::Ls {
            id,
            filter,
            estimate,
            limit,
            cursor,
            ..
        } => {
            let class = filter.class.map(|class| class.to_string());
            let limit = limit.to_string();
            let attempts = filter.attempts.map(|attempts| attempts.to_string());
            let due_from = filter.due_from.map(|from| from.to_string());
            let due_before = filter.due_before.map(|before| before.to_string());
            let estimate = estimate.map(|estimate| estimate.as_secs().to_string());
            let query = [
                ("id", id.as_deref()),
                ("list", filter.list.as_deref()),
                ("user", filter.user.as_deref()),
                ("class", class.as_deref()),
                (
                    "state",
                    filter.state.map(|state| state_filter(state).name()),
                ),
                ("subject", filter.subject.as_deref()),
                ("sender", filter.sender.as_deref()),
                ("recipient", filter.recipient.as_deref()),
                ("domain", filter.domain.as_deref()),
                ("attempts", attempts.as_deref()),
                ("last_reply", filter.last_reply.as_deref()),
                ("due_from", due_from.as_deref()),
                ("due_before", due_before.as_deref()),
                ("estimate_seconds", estimate.as_deref()),
                ("limit", Some(limit.as_str())),
                ("cursor", cursor.as_deref()),
            ];
            Plan::Ask(Ask::get(with_query("/api/v1/queue", &query)))
        }
        QueueCommand::Show { id, .. } => {
            Plan::Ask(Ask::get(format!("/api/v1/messages/{}", within_path(id))))
        }
        QueueCommand::Hold(how) => change(QueueAction::Hold, how, QueueChange::default()),
        QueueCommand::Release(how) => change(QueueAction::Release, how, QueueChange::default()),
        QueueCommand::Retry(how) => change(QueueAction::Retry, how, QueueChange::default()),
        QueueCommand::Cancel(how) => change(QueueAction::Cancel, how, QueueChange::default()),
        QueueCommand::Restore(how) => change(QueueAction::Restore, how, QueueChange::default()),
        QueueCommand::SetPriority {
            priority,
            change: how,
        } => {
            let priority = Some(*priority);
            let what = QueueChange {
                priority,
                ..QueueChange::default()
            };
            change(QueueAction::SetPriority, how, what)
        }
        QueueCommand::Undo { action, .. } => {
            let what = QueueChange {
                undo: Some(action.clone()),
                ..QueueChange::default()
            };
            let path = format!("/api/v1/queue/{}", QueueAction::Undo.name());
            Plan::Ask(Ask::post(path, Some(document(&what))))
        }
        QueueCommand::Stop(what) => Plan::Ask(stoppable("stop", what)),
        QueueCommand::Start(what) => Plan::Ask(stoppable("start", what)),
        QueueCommand::Reschedule {
            at,
            delay,
            change: how,
        } => {
            let what = QueueChange {
                at: at.map(|at| at.to_string()),
                after_seconds: delay.map(|delay| delay.as_secs()),
                ..QueueChange::default()
            };
            change(QueueAction::Reschedule, how, what)
        }
    }
}

fn stoppable(action: &str, what: &Stoppable) -> Ask {
    let input = StopInput {
        next_hop: what.next_hop.clone(),
        user: what.user.clone(),
        list: what.list.clone(),
        dry_run: what.dry_run,
    };
    let path = format!("/api/v1/queue/{action}");
    Ask::post(path, Some(document(&input)))
}

/// A change, with `what` goes with its action alone.
fn change(action: QueueAction, how: &Change, what: QueueChange) -> Plan {
    let Filter {
        list,
        user,
        class,
        state,
        subject,
        sender,
        recipient,
        domain,
        attempts,
        last_reply,
        due_from,
        due_before,
    } = how.target.filter.clone();
    let request = QueueChange {
        id: how.target.id.clone(),
        list,
        user,
        class,
        state: state.map(state_filter),
        subject,
        sender,
        recipient,
        domain,
        attempts,
        last_reply,
        due_from: due_from.map(|from| from.to_string()),
        due_before: due_before.map(|before| before.to_string()),
        all: how.target.all,
        dry_run: false,
        ..what
    };
    let path = format!("/api/v1/queue/{}", action.name());
    let counting = QueueChange {
        dry_run: true,
        ..request.clone()
    };
    Plan::Change {
        count: Ask::post(path.clone(), Some(document(&counting))),
        act: Ask::post(path, Some(document(&request))),
        is_bulk: how.target.id.is_none(),
    }
}

fn state_filter(state: State) -> StateFilter {
    match state {
        State::Waiting => StateFilter::Waiting,
        State::Scheduled => StateFilter::Scheduled,
        State::Deferred => StateFilter::Deferred,
        State::Stopped => StateFilter::Stopped,
        State::Held => StateFilter::Held,
        State::Active => StateFilter::Active,
        State::Paused => StateFilter::Paused,
        State::Cancelled => StateFilter::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::planned;
    use super::*;

    #[test]
    fn a_change_to_the_queue_is_counted_first() {
        let Plan::Change {
            count,
            act,
            is_bulk,
            ..
        } = planned(&[
            "queue",
            "set-priority",
            "--priority",
            "1",
            "--user",
            "app",
            "--class",
            "3",
        ])
        else {
            panic!()
        };
        assert_eq!(
            count.to_string(),
            r#"POST /api/v1/queue/set-priority {"class":3,"dry_run":true,"priority":1,"user":"app"}"#
        );
        assert_eq!(
            act.to_string(),
            r#"POST /api/v1/queue/set-priority {"class":3,"priority":1,"user":"app"}"#
        );
        assert!(is_bulk);
        let Plan::Change { act, is_bulk, .. } = planned(&["queue", "hold", "01ABC"]) else {
            panic!()
        };
        assert_eq!(act.to_string(), r#"POST /api/v1/queue/hold {"id":"01ABC"}"#);
        assert!(!is_bulk);
        let Plan::Change { act, .. } = planned(&["queue", "cancel", "--all"]) else {
            panic!()
        };
        assert_eq!(act.to_string(), r#"POST /api/v1/queue/cancel {"all":true}"#);
        let at = ["--at", "2026-11-27T09:00:00+01:00"];
        for (when, expected) in [
            (at, r#""at":"2026-11-27T08:00:00.000Z","id":"01ABC""#),
            (["--in", "90m"], r#""after_seconds":5400,"id":"01ABC""#),
        ] {
            let line = [&["queue", "reschedule", "01ABC"][..], &when].concat();
            let Plan::Change { act, .. } = planned(&line) else {
                panic!()
            };
            let expected = format!("POST /api/v1/queue/reschedule {{{expected}}}");
            assert_eq!(act.to_string(), expected);
        }
    }

    #[test]
    fn every_filter_goes_along_with_a_change() {
        let line = [
            "queue",
            "cancel",
            "--subject",
            "sale",
            "--attempts",
            "2",
            "--last-reply",
            "451",
            "--due-from",
            "2026-11-27T08:00:00Z",
            "--due-before",
            "2026-11-28T08:00:00Z",
        ];
        let Plan::Change { act, is_bulk, .. } = planned(&line) else {
            panic!()
        };
        assert_eq!(
            act.to_string(),
            "POST /api/v1/queue/cancel {\"attempts\":2,\"due_before\":\"2026-11-28T08:00:00.000Z\",\
             \"due_from\":\"2026-11-27T08:00:00.000Z\",\"last_reply\":\"451\",\"subject\":\"sale\"}"
        );
        assert!(is_bulk);
    }
}
