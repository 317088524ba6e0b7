//! What is cancelled, restored, and removed for good.

#![allow(clippy::unwrap_used)]

use super::*;

fn cancelled() -> Selection {
    Selection {
        state: Some(QueueState::Cancelled),
        ..Selection::default()
    }
}

fn to(domain: &str) -> Selection {
    Selection {
        domain: Some(domain.to_owned()),
        ..Selection::default()
    }
}

fn last_event(record: &Record) -> Event {
    record.trail.last().unwrap().event.clone()
}

fn was_cancelled(subject: &Subject, during_attempt: bool) -> Event {
    let kept = subject.settings.cancelled_kept;
    Event::Cancelled {
        by: "ops".to_owned(),
        during_attempt,
        until: (!kept.is_zero()).then(|| at(NOW).plus(kept)),
    }
}

pub(super) async fn a_cancelled_delivery_is_out_of_the_queue(mut subject: Subject) {
    let domains = ["a.example", "b.example"];
    subject
        .enqueue(message(1, "user", Class::Normal, &domains))
        .await;
    assert_eq!(
        subject.change(to("A.example"), ChangeAction::Cancel).await,
        1
    );
    assert_eq!(
        last_event(&subject.record(1).await),
        was_cancelled(&subject, false)
    );
    assert!(subject.claim(&normal_line()).await.is_none());
    assert_eq!(
        subject
            .change(Selection::default(), ChangeAction::Cancel)
            .await,
        1,
        "what is cancelled is not cancelled again"
    );
    for action in [
        ChangeAction::Hold,
        ChangeAction::Release,
        ChangeAction::Retry,
        ChangeAction::SetClass(Class::Low),
    ] {
        let changed = subject.change(Selection::of_message(id(1)), action).await;
        assert_eq!(changed, 0, "{action:?} is about what is queued");
    }
    subject.restart().await;
    let record = subject.record(1).await;
    assert_eq!(record.finished, None);
    assert_eq!(last_event(&record), was_cancelled(&subject, false));
    assert_eq!(
        record
            .deliveries
            .iter()
            .map(|(_, s)| *s)
            .collect::<Vec<_>>(),
        [QueueState::Cancelled; 2]
    );
    assert!(subject.claim(&normal_line()).await.is_none());
    let figures = subject.spool.figures();
    assert_eq!((figures.queued, figures.cancelled), ([0; 5], 2));
    assert_eq!(subject.spool.oldest().await.unwrap(), [None; 5]);
    assert!(subject.rows(Selection::default(), 10).await.is_empty());
    assert_eq!(subject.rows(cancelled(), 10).await.len(), 2);
    let content = subject.spool.content(id(1)).await.unwrap();
    assert_eq!(gather(content).await.unwrap(), b"content\r\n");
}

pub(super) async fn who_has_what_is_cancelled_settles_it_and_what_remains_stays_cancelled(
    mut subject: Subject,
) {
    let two = ["a.example", "a.example"];
    let mut new = new_message(message(1, "user", Class::Normal, &two));
    new.deliveries = vec![NewDelivery::first(domain("a.example"), vec![0, 1], at(1))];
    enqueue(&*subject.spool, new, b"content\r\n").await.unwrap();
    let claim = subject.claim(&normal_line()).await.unwrap();
    assert!(!subject.spool.is_cancelled(claim.lease));
    let all = Selection::default;
    assert_eq!(subject.change(all(), ChangeAction::Cancel).await, 1);
    assert_eq!(
        last_event(&subject.record(1).await),
        was_cancelled(&subject, true)
    );
    assert!(subject.spool.is_cancelled(claim.lease));
    let remaining = NewDelivery {
        recipients: vec![1],
        ..later(&claim.delivery, NOW + 100)
    };
    let refused = subject.settle(claim.lease, vec![remaining.clone()]).await;
    assert!(matches!(refused, Err(SpoolError::Cancelled)));
    subject
        .settle_cancelled(claim.lease, vec![remaining])
        .await
        .unwrap();
    let again = subject.settle_cancelled(claim.lease, Vec::new()).await;
    assert!(matches!(again, Err(SpoolError::LeaseLost)));
    subject.restart().await;
    assert!(subject.claim(&normal_line()).await.is_none());
    let record = subject.record(1).await;
    let (delivery, state) = &record.deliveries[0];
    assert_eq!(*state, QueueState::Cancelled);
    assert_eq!(delivery.recipients, [1]);
    let trail = Vec::from_iter(record.trail.iter().rev().take(trail().len()).rev().cloned());
    assert_eq!(trail, super::trail());
    let figures = subject.spool.figures();
    assert_eq!((figures.queued, figures.cancelled), ([0; 5], 1));
    // It comes back as the attempt has left it.
    assert_eq!(subject.change(all(), ChangeAction::Restore).await, 1);
    assert!(subject.claim(&normal_line()).await.is_none(), "not due");
    let (delivery, state) = subject.record(1).await.deliveries.remove(0);
    assert_eq!((delivery.attempts, delivery.due), (1, at(NOW + 100)));
    assert_eq!(state, QueueState::Deferred);
}

pub(super) async fn with_the_last_of_what_was_cancelled_a_message_is_finished(
    mut subject: Subject,
) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let all = Selection::default;
    subject.change(all(), ChangeAction::Cancel).await;
    subject
        .settle_cancelled(claim.lease, Vec::new())
        .await
        .unwrap();
    subject.restart().await;
    assert_eq!(subject.change(all(), ChangeAction::Restore).await, 0);
    assert_eq!(subject.record(1).await.finished, Some(at(NOW)));
    let content = subject.spool.content(id(1)).await;
    assert!(matches!(content, Err(SpoolError::Unknown)));
    let figures = subject.spool.figures();
    assert_eq!((figures.queued, figures.cancelled), ([0; 5], 0));
}

pub(super) async fn what_is_restored_meanwhile_is_not_claimed_before_it_is_settled(
    subject: Subject,
) {
    subject.enqueue(normal(1)).await;
    let all = Selection::default;
    let line = normal_line();
    for ends in ["settled", "given back"] {
        let claim = subject.claim(&line).await.unwrap();
        subject.change(all(), ChangeAction::Cancel).await;
        assert_eq!(subject.change(all(), ChangeAction::Restore).await, 1);
        assert_eq!(subject.record(1).await.deliveries[0].1, QueueState::Active);
        assert!(subject.claim(&line).await.is_none(), "somebody has it");
        let refused = subject.settle_cancelled(claim.lease, Vec::new()).await;
        assert!(matches!(refused, Err(SpoolError::Restored)));
        match ends {
            "settled" => {
                let remaining = vec![later(&claim.delivery, 1)];
                subject.settle(claim.lease, remaining).await.unwrap();
            }
            _ => subject.spool.release(claim.lease),
        }
        let figures = subject.spool.figures();
        assert_eq!((figures.queued, figures.cancelled), ([0, 0, 1, 0, 0], 0));
    }
    assert_eq!(subject.drain(&line).await, [1]);
}

pub(super) async fn what_is_given_back_after_it_was_cancelled_stays_cancelled(subject: Subject) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let all = Selection::default;
    subject.change(all(), ChangeAction::Cancel).await;
    subject.spool.release(claim.lease);
    assert!(subject.claim(&normal_line()).await.is_none());
    subject.change(all(), ChangeAction::Restore).await;
    assert_eq!(subject.drain(&normal_line()).await, [1]);
}

pub(super) async fn what_was_cancelled_is_not_removed_before_it_is_settled(subject: Subject) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let all = Selection::default;
    subject.change(all(), ChangeAction::Cancel).await;
    let until = at(NOW).plus(subject.settings.cancelled_kept);
    subject.clock.set(until);
    for number in 2..5 {
        subject.enqueue(normal(number)).await;
    }
    assert_eq!(subject.spool.figures().cancelled, 1);
    let remaining = vec![later(&claim.delivery, NOW + 100)];
    subject
        .settle_cancelled(claim.lease, remaining)
        .await
        .unwrap();
    let record = subject.record(1).await;
    assert_eq!(record.finished, Some(until));
    assert_eq!(last_event(&record), Event::Removed { for_room: false });
    assert_eq!(subject.spool.figures().cancelled, 0);
}

pub(super) async fn what_is_under_way_is_listed_though_it_was_cancelled(subject: Subject) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let all = Selection::default;
    subject.change(all(), ChangeAction::Cancel).await;
    let mut survey = subject.spool.survey().await.unwrap();
    assert_eq!(survey.leased(), [claim.delivery.id]);
    let row = survey.row(claim.delivery.id, at(NOW)).unwrap().unwrap();
    assert_eq!(row.state, QueueState::Active);
    assert_eq!(subject.rows(cancelled(), 10).await.len(), 1);
    subject.spool.release(claim.lease);
    let mut survey = subject.spool.survey().await.unwrap();
    assert_eq!(survey.leased(), []);
}

pub(super) async fn a_cancel_is_told_to_whoever_has_the_delivery(subject: Subject) {
    for number in 1..=2 {
        subject.enqueue(normal(number)).await;
    }
    let mut told = Vec::new();
    for _ in 0..2 {
        let lease = subject.claim(&normal_line()).await.unwrap().lease;
        let mut cancelled = subject.spool.cancelled(lease);
        assert!(!is_ready(&mut cancelled).await);
        told.push((lease, cancelled));
    }
    let first = told.remove(0);
    assert_eq!(
        subject
            .change(Selection::of_message(id(1)), ChangeAction::Cancel)
            .await,
        1
    );
    first.1.await;
    let (lease, mut other) = told.remove(0);
    assert!(!is_ready(&mut other).await, "it was about another one");
    // Who asks when it has happened is told, and not when it is restored by then.
    subject.spool.cancelled(first.0).await;
    subject
        .change(Selection::default(), ChangeAction::Restore)
        .await;
    assert!(!is_ready(subject.spool.cancelled(first.0)).await);
    subject.spool.release(lease);
    assert!(!is_ready(subject.spool.cancelled(lease)).await);
}

pub(super) async fn what_cannot_be_restored_any_more_is_not(subject: Subject) {
    subject.enqueue(normal(1)).await;
    let all = Selection::default;
    subject.change(all(), ChangeAction::Cancel).await;
    let restore = |millisecond| {
        let change = Change {
            action: ChangeAction::Restore,
            by: "ops".to_owned(),
            at: at(millisecond),
        };
        subject.spool.change(all(), change, false)
    };
    let until = at(NOW).plus(subject.settings.cancelled_kept);
    let until = until.unix_milliseconds();
    assert_eq!(restore(until).await.unwrap().deliveries, 0);
    assert_eq!(restore(until - 1).await.unwrap().deliveries, 1);
}

pub(super) async fn what_was_cancelled_comes_back_as_it_was(mut subject: Subject) {
    // One that was tried and waits for its next try, one that is held, one that is due.
    let domains = ["a.example", "b.example", "c.example"];
    subject
        .enqueue(message(1, "user", Class::Normal, &domains))
        .await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let remaining = vec![later(&claim.delivery, NOW + 100)];
    subject.settle(claim.lease, remaining).await.unwrap();
    subject.change(to("b.example"), ChangeAction::Hold).await;
    let mut before = subject.record(1).await.deliveries;
    for (delivery, _) in &mut before {
        // But that an operator had to do with it.
        delivery.changed = Some(at(NOW));
    }
    assert_eq!(
        subject
            .change(Selection::of_message(id(1)), ChangeAction::Cancel)
            .await,
        3
    );
    subject.restart().await;
    assert_eq!(
        subject.change(to("x.example"), ChangeAction::Restore).await,
        0
    );
    assert_eq!(
        subject.change(to("c.example"), ChangeAction::Restore).await,
        1
    );
    assert_eq!(
        subject
            .change(Selection::of_message(id(1)), ChangeAction::Restore)
            .await,
        2
    );
    assert_eq!(
        subject
            .change(Selection::default(), ChangeAction::Restore)
            .await,
        0
    );
    let restored = Event::Operated {
        action: "restored".to_owned(),
        by: "ops".to_owned(),
        during_attempt: false,
    };
    for _ in 0..2 {
        let record = subject.record(1).await;
        assert_eq!(record.deliveries, before);
        assert_eq!(last_event(&record), restored);
        let figures = subject.spool.figures();
        assert_eq!((figures.queued, figures.cancelled), ([0, 0, 3, 0, 0], 0));
        assert!(subject.rows(cancelled(), 10).await.is_empty());
        subject.restart().await;
    }
    assert_eq!(
        subject
            .drain(&line("c.example", Class::Normal, "user"))
            .await,
        [1]
    );
    assert!(subject.claim(&normal_line()).await.is_none(), "not due");
    let line = line("b.example", Class::Normal, "user");
    assert!(subject.claim(&line).await.is_none(), "held");
}

pub(super) async fn a_class_is_a_message_s_also_of_what_was_cancelled(mut subject: Subject) {
    let domains = ["a.example", "b.example"];
    subject
        .enqueue(message(1, "user", Class::Normal, &domains))
        .await;
    subject.change(to("b.example"), ChangeAction::Cancel).await;
    let changed = subject
        .change(
            Selection::of_message(id(1)),
            ChangeAction::SetClass(Class::High),
        )
        .await;
    assert_eq!(changed, 1);
    subject.restart().await;
    subject
        .change(Selection::default(), ChangeAction::Restore)
        .await;
    assert_eq!(subject.spool.figures().queued, [0, 2, 0, 0, 0]);
    assert_eq!(
        subject.drain(&line("b.example", Class::High, "user")).await,
        [1]
    );
}

pub(super) async fn what_nobody_restores_is_removed_in_time(mut subject: Subject) {
    let domains = ["a.example", "b.example"];
    subject
        .enqueue(message(1, "user", Class::Normal, &domains))
        .await;
    subject.enqueue(normal(2)).await;
    subject.change(to("b.example"), ChangeAction::Cancel).await;
    subject
        .change(Selection::of_message(id(2)), ChangeAction::Cancel)
        .await;
    assert_eq!(subject.drain(&normal_line()).await, [1]);
    assert_eq!(
        subject.record(1).await.finished,
        None,
        "a part can be restored"
    );
    let until = at(NOW).plus(subject.settings.cancelled_kept);
    subject.clock.set(at(until.unix_milliseconds() - 1));
    subject.enqueue(normal(3)).await;
    assert_eq!(subject.spool.figures().cancelled, 2);
    subject.restart().await;
    subject.clock.set(until);
    // Its time is over, though nothing has come by that removes it.
    let late = |dry_run| {
        let change = Change {
            action: ChangeAction::Restore,
            by: "ops".to_owned(),
            at: until,
        };
        subject.spool.change(Selection::default(), change, dry_run)
    };
    assert_eq!(late(true).await.unwrap().deliveries, 0);
    assert_eq!(late(false).await.unwrap().deliveries, 0);
    subject.enqueue(normal(4)).await;
    assert_eq!(subject.spool.figures().cancelled, 0);
    for number in [1, 2] {
        let record = subject.record(number).await;
        assert_eq!(record.finished, Some(until));
        assert!(record.deliveries.is_empty());
        assert_eq!(last_event(&record), Event::Removed { for_room: false });
        assert!(matches!(
            subject.spool.content(id(number)).await,
            Err(SpoolError::Unknown)
        ));
    }
    assert_eq!(
        subject
            .change(Selection::default(), ChangeAction::Restore)
            .await,
        0
    );
    assert_eq!(subject.drain(&normal_line()).await, [3, 4]);
}

pub(super) async fn without_a_time_to_restore_it_what_is_cancelled_is_gone_at_once(
    subject: Subject,
) {
    let mut subject = subject.with(Settings {
        cancelled_kept: Duration::ZERO,
        ..settings()
    });
    for number in 1..=3 {
        subject.enqueue(normal(number)).await;
    }
    let all = Selection::default;
    let done = subject.claim(&normal_line()).await.unwrap();
    let deferred = subject.claim(&normal_line()).await.unwrap();
    subject.change(all(), ChangeAction::Cancel).await;
    assert_eq!(subject.record(3).await.finished, Some(at(NOW)));
    // What is under way has until that ends, and is not restored either.
    assert_eq!(subject.change(all(), ChangeAction::Restore).await, 0);
    for number in 1..=2 {
        let record = subject.record(number).await;
        assert_eq!(last_event(&record), was_cancelled(&subject, true));
        assert_eq!(record.finished, None);
    }
    let remaining = vec![later(&deferred.delivery, NOW + 100)];
    let settled = [(done.lease, Vec::new()), (deferred.lease, remaining)];
    for (lease, remaining) in settled {
        subject.settle_cancelled(lease, remaining).await.unwrap();
    }
    subject.restart().await;
    for number in 1..=2 {
        let record = subject.record(number).await;
        assert_eq!(record.finished, Some(at(NOW)));
    }
    let record = subject.record(3).await;
    assert_eq!(last_event(&record), was_cancelled(&subject, false));
    assert!(subject.spool.content(id(1)).await.is_err());
    let figures = subject.spool.figures();
    assert_eq!((figures.queued, figures.cancelled), ([0; 5], 0));
    assert_eq!(
        subject
            .change(Selection::default(), ChangeAction::Restore)
            .await,
        0
    );
}

pub(super) async fn what_was_cancelled_is_listed_in_the_order_in_which_it_goes(subject: Subject) {
    for number in 1..=7 {
        subject.enqueue(normal(number)).await;
    }
    // The later ones first, each a little later than the one before.
    for number in (1..=7).rev() {
        let change = Change {
            action: ChangeAction::Cancel,
            by: "ops".to_owned(),
            at: at(NOW + 10 - number),
        };
        let selection = Selection::of_message(id(number));
        subject
            .spool
            .change(selection, change, false)
            .await
            .unwrap();
    }
    let listed: Vec<u64> = subject
        .rows(cancelled(), 3)
        .await
        .iter()
        .map(|row| row.message.accepted.unix_milliseconds())
        .collect();
    assert_eq!(listed, [7, 6, 5, 4, 3, 2, 1]);
    let page = |selection, cursor| {
        let request = PageRequest {
            cursor,
            rows_max: 3,
            now: at(NOW),
        };
        subject.spool.list(selection, request)
    };
    let cursor = page(cancelled(), None).await.unwrap().cursor;
    assert!(cursor.is_some());
    let refused = page(Selection::default(), cursor).await;
    assert!(matches!(refused, Err(SpoolError::Unknown)));
}
