//! What an operator does to queued deliveries.

#![allow(clippy::unwrap_used)]

use super::*;

pub(super) async fn a_held_delivery_stays_back_until_it_is_released(mut subject: Subject) {
    subject.enqueue(normal(1)).await;
    subject.enqueue(normal(2)).await;
    assert_eq!(
        subject
            .change(Selection::of_message(id(1)), ChangeAction::Hold)
            .await,
        1
    );
    assert_eq!(
        subject
            .change(Selection::of_message(id(1)), ChangeAction::Hold)
            .await,
        0
    );
    subject.restart().await;
    assert_eq!(subject.drain(&normal_line()).await, [2]);
    let record = subject.record(1).await;
    assert_eq!(record.deliveries[0].1, QueueState::Held);
    assert_eq!(record.deliveries[0].0.state, DeliveryState::Held);
    assert_eq!(
        subject
            .change(Selection::default(), ChangeAction::Release)
            .await,
        1
    );
    assert_eq!(subject.drain(&normal_line()).await, [1]);
    let operated: Vec<String> = subject
        .record(1)
        .await
        .trail
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Operated {
                action,
                by,
                during_attempt: false,
            } if by == "ops" && entry.at == at(NOW) => Some(action),
            _ => None,
        })
        .collect();
    assert_eq!(operated, ["held", "released"]);
}

pub(super) async fn a_hold_on_a_leased_delivery_holds_what_remains(mut subject: Subject) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    assert_eq!(
        subject
            .change(Selection::of_message(id(1)), ChangeAction::Hold)
            .await,
        1
    );
    assert_eq!(subject.record(1).await.deliveries[0].1, QueueState::Active);
    subject
        .settle(claim.lease, vec![later(&claim.delivery, 1)])
        .await
        .unwrap();
    subject.restart().await;
    assert!(subject.claim(&normal_line()).await.is_none());
    assert_eq!(subject.record(1).await.deliveries[0].1, QueueState::Held);
    subject
        .change(Selection::default(), ChangeAction::Release)
        .await;
    // Given back instead of settled, it is held just as well.
    let claim = subject.claim(&normal_line()).await.unwrap();
    subject
        .change(Selection::default(), ChangeAction::Hold)
        .await;
    subject.spool.release(claim.lease);
    assert!(subject.claim(&normal_line()).await.is_none());
    subject
        .change(Selection::default(), ChangeAction::Release)
        .await;
    assert!(subject.claim(&normal_line()).await.is_some());
}

pub(super) async fn a_release_of_a_leased_delivery_lets_what_remains_go(subject: Subject) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    subject
        .change(Selection::default(), ChangeAction::Hold)
        .await;
    subject
        .change(Selection::default(), ChangeAction::Release)
        .await;
    assert!(
        subject.claim(&normal_line()).await.is_none(),
        "it is still leased"
    );
    subject
        .settle(claim.lease, vec![later(&claim.delivery, 1)])
        .await
        .unwrap();
    assert!(subject.claim(&normal_line()).await.is_some());
}

pub(super) async fn a_retried_delivery_is_due_now(mut subject: Subject) {
    let mut new = new_message(normal(1));
    new.deliveries[0].due = at(NOW + 100);
    enqueue(&*subject.spool, new, b"").await.unwrap();
    assert_eq!(
        subject
            .change(Selection::default(), ChangeAction::Retry)
            .await,
        1
    );
    subject.restart().await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    // While it is leased, a retry takes effect when it is settled, or given back.
    assert_eq!(
        subject
            .change(Selection::default(), ChangeAction::Retry)
            .await,
        1
    );
    let remaining = vec![later(&claim.delivery, NOW + 100)];
    subject.settle(claim.lease, remaining).await.unwrap();
    let claim = subject.claim(&normal_line()).await.unwrap();
    assert_eq!((claim.delivery.attempts, claim.delivery.due), (1, at(NOW)));
    subject
        .settle(claim.lease, vec![later(&claim.delivery, NOW + 100)])
        .await
        .unwrap();
    assert!(
        subject.claim(&normal_line()).await.is_none(),
        "a retry counts once"
    );
    subject
        .change(Selection::default(), ChangeAction::Hold)
        .await;
    assert_eq!(
        subject
            .change(Selection::default(), ChangeAction::Retry)
            .await,
        0
    );
}

pub(super) async fn another_class_moves_all_of_a_message(mut subject: Subject) {
    subject
        .enqueue(message(
            1,
            "user",
            Class::Normal,
            &["a.example", "b.example", "c.example"],
        ))
        .await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let held = Selection {
        domain: Some("c.example".to_owned()),
        ..Selection::default()
    };
    subject.change(held, ChangeAction::Hold).await;
    let changed = ChangeAction::SetClass(Class::VeryHigh);
    assert_eq!(
        subject.change(Selection::of_message(id(1)), changed).await,
        3
    );
    assert_eq!(
        subject.change(Selection::of_message(id(1)), changed).await,
        0
    );
    subject
        .settle(claim.lease, vec![later(&claim.delivery, 1)])
        .await
        .unwrap();
    subject.restart().await;
    assert_eq!(subject.record(1).await.message.class, Class::VeryHigh);
    assert_eq!(subject.spool.figures().queued, [3, 0, 0, 0, 0]);
    assert_eq!(subject.drain(&normal_line()).await, [0; 0]);
    let claim = subject
        .claim(&line("a.example", Class::VeryHigh, "user"))
        .await
        .unwrap();
    assert_eq!(claim.message.class, Class::VeryHigh);
    assert_eq!(
        subject
            .drain(&line("b.example", Class::VeryHigh, "user"))
            .await,
        [1]
    );
    subject
        .change(Selection::default(), ChangeAction::Release)
        .await;
    assert_eq!(
        subject
            .drain(&line("c.example", Class::VeryHigh, "user"))
            .await,
        [1]
    );
}

pub(super) async fn the_trail_says_that_an_attempt_was_under_way_at_each_change(subject: Subject) {
    let domains = ["b.example", "a.example"];
    subject
        .enqueue(message(1, "user", Class::Normal, &domains))
        .await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    assert_eq!(claim.delivery.id.number, 1, "the other one waits");
    let one = |domain: &str| Selection {
        domain: Some(domain.to_owned()),
        ..Selection::default()
    };
    for action in [
        ChangeAction::Hold,
        ChangeAction::Release,
        ChangeAction::Retry,
    ] {
        for domain in domains {
            assert_eq!(subject.change(one(domain), action).await, 1);
        }
    }
    // A class is the message's, whichever delivery is named.
    let class = ChangeAction::SetClass(Class::High);
    assert_eq!(subject.change(one("b.example"), class).await, 2);
    let class = ChangeAction::SetClass(Class::Low);
    assert_eq!(subject.change(Selection::default(), class).await, 2);
    for action in [ChangeAction::Cancel, ChangeAction::Restore] {
        subject.change(one("a.example"), action).await;
    }
    let operated: Vec<(String, bool)> = subject
        .record(1)
        .await
        .trail
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Operated {
                action,
                by,
                during_attempt,
            } if by == "ops" && entry.at == at(NOW) => Some((action, during_attempt)),
            _ => None,
        })
        .collect();
    let expected = [
        ("held", false),
        ("held", true),
        ("released", false),
        ("released", true),
        ("retried", false),
        ("retried", true),
        ("class 2", true),
        ("class 4", true),
        ("restored", true),
    ];
    let expected = expected.map(|(action, during)| (action.to_owned(), during));
    assert_eq!(operated, expected);
}

pub(super) async fn a_change_says_what_of_it_is_leased_or_stopped(subject: Subject) {
    for (number, domain) in [(1, "a.example"), (2, "b.example"), (3, "c.example")] {
        subject
            .enqueue(message(
                number,
                "user",
                Class::Normal,
                &[domain, "d.example"],
            ))
            .await;
    }
    let claim = subject.claim(&normal_line()).await.unwrap();
    let stop = Stop {
        of: StopOf::NextHop(NextHop::Domain("b.example".into())),
        by: "ops".to_owned(),
        at: at(NOW),
    };
    subject.spool.stop(stop).await.unwrap();
    let count = |deliveries, under_way, stopped| Concerned {
        deliveries,
        under_way,
        stopped,
        named: Named::default(),
    };
    let one = |number| Selection::of_message(id(number));
    let to_a = Selection {
        domain: Some("a.example".to_owned()),
        ..Selection::default()
    };
    for (selection, action, expected) in [
        (Selection::default(), ChangeAction::Hold, count(6, 1, 1)),
        (Selection::default(), ChangeAction::Release, count(6, 1, 1)),
        (one(1), ChangeAction::Retry, count(2, 1, 0)),
        (one(2), ChangeAction::Retry, count(2, 0, 1)),
        (one(3), ChangeAction::Retry, count(2, 0, 0)),
        (Selection::default(), ChangeAction::Cancel, count(6, 1, 1)),
        (Selection::default(), ChangeAction::Restore, count(6, 1, 1)),
        (
            to_a.clone(),
            ChangeAction::SetClass(Class::Low),
            count(2, 1, 0),
        ),
        (
            Selection::default(),
            ChangeAction::SetClass(Class::High),
            count(6, 1, 1),
        ),
    ] {
        for dry_run in [true, false] {
            let change = Change {
                action,
                by: "ops".to_owned(),
                at: at(NOW),
            };
            let changed = subject.spool.change(selection.clone(), change, dry_run);
            let changed = changed.await.unwrap();
            let Named::These(named) = &changed.named else {
                panic!()
            };
            let named_expected = if dry_run { 0 } else { expected.deliveries };
            assert_eq!(named.len() as u64, named_expected, "{action:?}, {dry_run}");
            let counted = Concerned {
                named: Named::default(),
                ..changed
            };
            assert_eq!(counted, expected, "{action:?}, {dry_run}");
        }
    }
    // What somebody has is under way, and its stop is about what remains.
    let all = StopOf::All;
    let stop = Stop {
        of: all,
        by: "ops".to_owned(),
        at: at(NOW),
    };
    subject.spool.stop(stop).await.unwrap();
    let change = Change {
        action: ChangeAction::Hold,
        by: "ops".to_owned(),
        at: at(NOW),
    };
    let held = subject.spool.change(to_a, change, false).await.unwrap();
    let held = (held.deliveries, held.under_way, held.stopped);
    assert_eq!(held, (1, 1, 0));
    subject.spool.release(claim.lease);
}

pub(super) async fn another_class_counts_all_that_it_moves(subject: Subject) {
    let domains = ["a.example", "b.example", "c.example"];
    for number in 1..=2 {
        subject
            .enqueue(message(number, "user", Class::Normal, &domains))
            .await;
    }
    let only = |domain: &str| Selection {
        domain: Some(domain.to_owned()),
        ..Selection::default()
    };
    let low = ChangeAction::SetClass(Class::Low);
    assert_eq!(subject.change(only("b.example"), low).await, 6);
    assert_eq!(subject.spool.figures().queued, [0, 0, 0, 6, 0]);
    // What was cancelled is of that class too when it is restored, and is not in the queue.
    subject
        .change(only("a.example"), ChangeAction::Cancel)
        .await;
    let high = ChangeAction::SetClass(Class::High);
    assert_eq!(subject.change(only("c.example"), high).await, 4);
    assert_eq!(subject.change(Selection::default(), low).await, 4);
}

pub(super) async fn a_released_lease_of_a_moved_delivery_waits_where_it_stands_now(
    subject: Subject,
) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    subject
        .change(Selection::default(), ChangeAction::SetClass(Class::Low))
        .await;
    subject.spool.release(claim.lease);
    assert!(subject.claim(&normal_line()).await.is_none());
    assert_eq!(
        subject.drain(&line("a.example", Class::Low, "user")).await,
        [1]
    );
}

fn moved(to: u64) -> ChangeAction {
    ChangeAction::Reschedule(at(to))
}

pub(super) async fn a_delivery_is_moved_to_another_time(mut subject: Subject) {
    let domains = ["a.example", "b.example"];
    subject
        .enqueue(message(1, "user", Class::Normal, &domains))
        .await;
    subject.enqueue(normal(2)).await;
    let one = Selection::of_message(id(1));
    assert_eq!(subject.change(one.clone(), moved(NOW + 100)).await, 2);
    for _ in 0..2 {
        let record = subject.record(1).await;
        assert_eq!(record.message.scheduled, Some(at(NOW + 100)));
        for (delivery, state) in &record.deliveries {
            assert_eq!(
                (delivery.due, *state),
                (at(NOW + 100), QueueState::Scheduled)
            );
        }
        let told = Event::Rescheduled {
            by: "ops".to_owned(),
            until: at(NOW + 100),
            during_attempt: false,
        };
        assert_eq!(record.trail.last().unwrap().event, told);
        subject.restart().await;
    }
    assert_eq!(subject.drain(&normal_line()).await, [2]);
    // A time that is over means now, and who is due keeps its place in the line.
    subject.enqueue(normal(3)).await;
    let only_b = Selection {
        domain: Some("b.example".to_owned()),
        ..Selection::default()
    };
    assert_eq!(subject.change(only_b, moved(NOW - 500)).await, 1);
    let only_a = Selection {
        domain: Some("a.example".to_owned()),
        ..Selection::default()
    };
    assert_eq!(subject.change(only_a, moved(1)).await, 2);
    subject.restart().await;
    assert_eq!(subject.record(1).await.message.scheduled, Some(at(NOW)));
    assert_eq!(subject.drain(&normal_line()).await, [3, 1]);
    let b = line("b.example", Class::Normal, "user");
    assert_eq!(subject.drain(&b).await, [1]);
}

pub(super) async fn what_is_held_is_not_moved(subject: Subject) {
    subject.enqueue(normal(1)).await;
    subject
        .change(Selection::default(), ChangeAction::Hold)
        .await;
    assert_eq!(
        subject.change(Selection::default(), moved(NOW + 9)).await,
        0
    );
}

pub(super) async fn a_leased_delivery_is_moved_when_it_is_settled_or_given_back(
    mut subject: Subject,
) {
    let all = Selection::default;
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    subject.change(all(), ChangeAction::Retry).await;
    assert_eq!(subject.change(all(), moved(NOW + 100)).await, 1);
    let record = subject.record(1).await;
    assert_eq!(record.message.scheduled, None, "it is being tried");
    let told = Event::Rescheduled {
        by: "ops".to_owned(),
        until: at(NOW + 100),
        during_attempt: true,
    };
    assert_eq!(record.trail.last().unwrap().event, told);
    subject
        .settle(claim.lease, vec![later(&claim.delivery, 1)])
        .await
        .unwrap();
    subject.restart().await;
    assert!(subject.claim(&normal_line()).await.is_none());
    let (delivery, state) = subject.record(1).await.deliveries.remove(0);
    assert_eq!((delivery.due, state), (at(NOW + 100), QueueState::Deferred));
    assert_eq!(delivery.attempts, 1);
    // Given back, it waits for its new time as well; and also when its owner has died.
    for dies in [false, true] {
        subject.change(all(), moved(NOW)).await;
        let claim = subject.claim(&normal_line()).await.unwrap();
        subject.change(all(), moved(NOW + 100)).await;
        match dies {
            false => subject.spool.release(claim.lease),
            true if subject.is_durable() => subject.restart().await,
            true => subject.spool.release(claim.lease),
        }
        assert!(subject.claim(&normal_line()).await.is_none());
    }
}

pub(super) async fn what_is_moved_during_an_attempt_says_so_whichever_delivery_it_is(
    subject: Subject,
) {
    let domains = ["a.example", "b.example", "c.example"];
    subject
        .enqueue(message(1, "user", Class::Normal, &domains))
        .await;
    for domain in &domains[1..] {
        let line = line(domain, Class::Normal, "user");
        assert!(subject.claim(&line).await.is_some());
    }
    assert_eq!(
        subject.change(Selection::default(), moved(NOW + 100)).await,
        3
    );
    let trail = subject.record(1).await.trail;
    let told = trail.iter().filter_map(|entry| match entry.event {
        Event::Rescheduled { during_attempt, .. } => Some(during_attempt),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [false, true], "once each");
}

pub(super) async fn what_a_change_names_is_changed_back_and_nothing_else(subject: Subject) {
    for (number, class) in [(1, Class::Normal), (2, Class::Low), (3, Class::High)] {
        let to = ["a.example", "b.example"];
        subject.enqueue(message(number, "user", class, &to)).await;
    }
    let change = async |selection, action| {
        let change = Change {
            action,
            by: "ops".to_owned(),
            at: at(NOW),
        };
        let changed = subject.spool.change(selection, change, false).await;
        let Named::These(named) = changed.unwrap().named else {
            panic!()
        };
        named
    };
    let these = |named: &[(DeliveryId, Class)]| {
        Selection::of_these(named.iter().map(|(id, _)| *id).collect())
    };
    let held = async || {
        let selection = Selection {
            state: Some(QueueState::Held),
            ..Selection::default()
        };
        subject.rows(selection, 10).await.len()
    };
    let to_a = Selection {
        domain: Some("a.example".to_owned()),
        ..Selection::default()
    };
    change(Selection::of_message(id(1)), ChangeAction::Hold).await;
    let named = change(to_a, ChangeAction::Hold).await;
    assert_eq!(named.len(), 2);
    assert_eq!(held().await, 4);
    assert_eq!(change(these(&named), ChangeAction::Release).await, named);
    assert_eq!(held().await, 2, "what was held before stays held");

    let all = ChangeAction::SetClass(Class::VeryLow);
    let mut named = change(Selection::default(), all).await;
    named.sort();
    assert_eq!(named.len(), 6);
    let (normal, others): (Vec<_>, Vec<_>) = named
        .into_iter()
        .partition(|(_, before)| *before == Class::Normal);
    assert_eq!(normal.len(), 2);
    assert!(others[..2].iter().all(|(_, before)| *before == Class::Low));
    // One delivery stands for its message.
    let back = ChangeAction::SetClass(Class::Normal);
    assert_eq!(change(these(&normal[..1]), back).await.len(), 2);
    let rows = subject.rows(Selection::default(), 10).await;
    let normal = rows.iter().filter(|row| row.message.class == Class::Normal);
    assert_eq!(normal.count(), 2);
    // Those of one message are found by it, and are no others.
    let only = these(&others[..1]);
    assert_eq!(only.message, Some(others[0].0.message));
    assert_eq!(change(only, ChangeAction::Cancel).await.len(), 1);
    assert_eq!(subject.rows(Selection::default(), 10).await.len(), 5);
}
