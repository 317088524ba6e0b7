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

pub(super) async fn a_cancelled_delivery_is_out_of_the_queue_and_its_lease_with_it(
    mut subject: Subject,
) {
    let domains = ["a.example", "b.example"];
    subject
        .enqueue(message(1, "user", Class::Normal, &domains))
        .await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    assert_eq!(
        subject.change(to("A.example"), ChangeAction::Cancel).await,
        1
    );
    assert_eq!(
        last_event(&subject.record(1).await),
        was_cancelled(&subject, true)
    );
    let lost = subject
        .settle(claim.lease, vec![later(&claim.delivery, 1)])
        .await;
    assert!(matches!(lost, Err(SpoolError::LeaseLost)));
    subject.spool.release(claim.lease);
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
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    subject
        .change(Selection::default(), ChangeAction::Cancel)
        .await;
    let lost = subject.settle(claim.lease, Vec::new()).await;
    assert!(matches!(lost, Err(SpoolError::LeaseLost)));
    subject.restart().await;
    let record = subject.record(1).await;
    assert_eq!(record.finished, Some(at(NOW)));
    assert_eq!(last_event(&record), was_cancelled(&subject, true));
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
