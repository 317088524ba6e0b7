//! Looking at the queue.

#![allow(clippy::unwrap_used)]

use super::*;

pub(super) async fn a_selection_means_what_matches_all_of_it(subject: Subject) {
    let mut first = message(1, "ann", Class::High, &["a.example", "b.example"]);
    first.envelope.recipients[0].mailbox = mailbox("Paul", "A.example");
    subject.enqueue(first).await;
    subject
        .enqueue(message(2, "bob", Class::Low, &["b.example"]))
        .await;
    let mut third = message(3, "bob", Class::High, &["c.example"]);
    third.envelope.reverse_path = outpost_smtp::ReversePath::Null;
    let mut third = new_message(third);
    third.deliveries[0].next_hop = NextHop::Smarthost("relay.example:2500".into());
    enqueue(&*subject.spool, third, b"content\r\n")
        .await
        .unwrap();
    let none = Selection::default;
    let text = |text: &str| Some(text.to_owned());
    for (selection, expected) in [
        (none(), vec![(1, 0), (1, 1), (2, 0), (3, 0)]),
        (Selection::of_message(id(1)), vec![(1, 0), (1, 1)]),
        (Selection::of_message(id(9)), vec![]),
        (
            Selection {
                list: text("default"),
                ..none()
            },
            vec![(1, 0), (1, 1), (2, 0), (3, 0)],
        ),
        (
            Selection {
                list: text("Default"),
                user: text("BOB"),
                ..none()
            },
            vec![(2, 0), (3, 0)],
        ),
        (
            Selection {
                list: text("other"),
                ..none()
            },
            vec![],
        ),
        (
            Selection {
                user: text("bob"),
                ..none()
            },
            vec![(2, 0), (3, 0)],
        ),
        (
            Selection {
                class: Some(Class::High),
                ..none()
            },
            vec![(1, 0), (1, 1), (3, 0)],
        ),
        (
            Selection {
                user: text("bob"),
                class: Some(Class::High),
                ..none()
            },
            vec![(3, 0)],
        ),
        (
            Selection {
                sender: text("ME@sender"),
                ..none()
            },
            vec![(1, 0), (1, 1), (2, 0)],
        ),
        (
            Selection {
                sender: text("<>"),
                ..none()
            },
            vec![(3, 0)],
        ),
        (
            Selection {
                recipient: text("pAUL@"),
                ..none()
            },
            vec![(1, 0)],
        ),
        (
            Selection {
                recipient: text("you@b"),
                ..none()
            },
            vec![(1, 1), (2, 0)],
        ),
        (
            Selection {
                domain: text("a.EXAMPLE"),
                ..none()
            },
            vec![(1, 0)],
        ),
        (
            Selection {
                domain: text("smarthost RELAY.example:2500"),
                ..none()
            },
            vec![(3, 0)],
        ),
        (
            Selection {
                domain: text("relay.example:2500"),
                ..none()
            },
            vec![],
        ),
        (
            Selection {
                domain: text("example"),
                ..none()
            },
            vec![],
        ),
        (
            Selection {
                state: Some(QueueState::Waiting),
                ..none()
            },
            vec![(1, 0), (1, 1), (2, 0), (3, 0)],
        ),
        (
            Selection {
                state: Some(QueueState::Held),
                ..none()
            },
            vec![],
        ),
    ] {
        let mut found: Vec<(u64, u32)> = subject
            .rows(selection.clone(), 2)
            .await
            .into_iter()
            .map(|row| {
                (
                    row.message.accepted.unix_milliseconds(),
                    row.delivery.id.number,
                )
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{selection:?}");
    }
}

pub(super) async fn states_are_told_apart(subject: Subject) {
    for number in 1..=5 {
        let mut new = new_message(normal(number));
        new.deliveries[0].due = at(if number == 4 { NOW + 1 } else { number });
        enqueue(&*subject.spool, new, b"").await.unwrap();
    }
    let failed = subject.claim(&normal_line()).await.unwrap();
    let again = later(&failed.delivery, NOW + 1);
    subject.settle(failed.lease, vec![again]).await.unwrap();
    subject
        .change(Selection::of_message(id(2)), ChangeAction::Hold)
        .await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    assert_eq!(subject.rows(Selection::default(), 10).await.len(), 5);
    let expected = [
        (QueueState::Deferred, 1),
        (QueueState::Held, 2),
        (QueueState::Active, 3),
        (QueueState::Scheduled, 4),
        (QueueState::Waiting, 5),
    ];
    for (state, number) in expected {
        let selection = Selection {
            state: Some(state),
            ..Selection::default()
        };
        let rows = subject.rows(selection, 10).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].message.id, id(number));
    }
    subject.spool.release(claim.lease);
}

pub(super) async fn what_has_failed_is_meant_by_its_attempts_its_reply_and_its_time(
    subject: Subject,
) {
    for number in 1..=3 {
        subject.enqueue(normal(number)).await;
    }
    for (number, attempts) in [(1, 1), (2, 3)] {
        let failed = subject.claim(&normal_line()).await.unwrap();
        assert_eq!(failed.delivery.id.message, id(number));
        let again = NewDelivery {
            attempts,
            ..later(&failed.delivery, NOW + 10 * number)
        };
        subject.settle(failed.lease, vec![again]).await.unwrap();
    }
    let none = Selection::default;
    let text = |text: &str| Some(text.to_owned());
    let meant = |attempts_min| Selection {
        attempts_min,
        ..none()
    };
    let due = |from: Option<u64>, before: Option<u64>| Selection {
        due_from: from.map(at),
        due_before: before.map(at),
        ..none()
    };
    let told = |reply| Selection {
        last_reply: text(reply),
        ..none()
    };
    let about = |part| Selection {
        subject: text(part),
        ..none()
    };
    for (selection, expected) in [
        (meant(Some(1)), &[1, 2][..]),
        (meant(Some(2)), &[2]),
        (meant(Some(4)), &[]),
        (told("451 LATER"), &[1, 2]),
        (told("550"), &[]),
        (due(Some(NOW + 10), None), &[1, 2]),
        (due(Some(NOW + 11), None), &[2]),
        (due(None, Some(NOW + 20)), &[1, 3]),
        (due(Some(NOW + 10), Some(NOW + 20)), &[1]),
        (about("MESSAGE 3"), &[3]),
        (about("message"), &[1, 2, 3]),
    ] {
        let rows = subject.rows(selection.clone(), 10).await;
        let mut found: Vec<MessageId> = rows.iter().map(|row| row.message.id).collect();
        found.sort_unstable();
        let expected: Vec<MessageId> = expected.iter().map(|number| id(*number)).collect();
        assert_eq!(found, expected, "{selection:?}");
    }
    let count = subject.change(meant(Some(3)), ChangeAction::Hold).await;
    assert_eq!(count, 1);
}

pub(super) async fn a_listing_has_each_delivery_once_in_the_order_of_the_queue(
    mut subject: Subject,
) {
    let classes = [Class::Low, Class::VeryHigh, Class::Normal];
    let (users, lanes) = (["x", "y"], ["b.example", "a.example", "c.example"]);
    for number in 0..120 {
        let pick = number as usize;
        let mut new = new_message(message(
            number,
            users[pick % 2],
            classes[pick % 3],
            &[lanes[pick % 3]],
        ));
        new.deliveries[0].due = at(1_000 - number * 7 % 50);
        enqueue(&*subject.spool, new, b"").await.unwrap();
        if number % 5 == 0 {
            subject
                .change(Selection::of_message(id(number)), ChangeAction::Hold)
                .await;
        }
    }
    subject.restart().await;
    let key = |row: &Row| {
        let (delivery, message) = (&row.delivery, &row.message);
        let user = message.origin.user().to_owned();
        (
            delivery.next_hop.clone(),
            message.class,
            user,
            delivery.due,
            delivery.sequence,
        )
    };
    let all = subject.rows(Selection::default(), 1_000).await;
    assert_eq!(all.len(), 120);
    assert!(all.is_sorted_by_key(key));
    for rows_max in [1, 7, 119, 120, 121] {
        let paged = subject.rows(Selection::default(), rows_max).await;
        assert!(
            paged.iter().map(key).eq(all.iter().map(key)),
            "pages of {rows_max}"
        );
    }
    let selection = Selection {
        user: Some("x".to_owned()),
        ..Selection::default()
    };
    assert_eq!(subject.rows(selection, 9).await.len(), 60);
}

pub(super) async fn a_page_ends_before_it_has_too_many_recipients(subject: Subject) {
    let recipients = 3_000_u32;
    let domains = vec!["a.example"; recipients as usize];
    for number in 1..=9 {
        let mut new = new_message(message(number, "user", Class::Normal, &domains));
        new.deliveries = vec![NewDelivery::first(
            domain("a.example"),
            (0..recipients).collect(),
            at(NOW),
        )];
        super::super::sample::enqueue(&*subject.spool, new, b"")
            .await
            .unwrap();
    }
    let request = PageRequest {
        cursor: None,
        rows_max: 1_000,
        now: at(NOW),
    };
    let page = subject.spool.list(Selection::default(), request).await;
    let page = page.unwrap();
    assert_eq!(page.rows.len(), PAGE_RECIPIENTS_MAX.div_ceil(6_000));
    assert!(page.cursor.is_some());
    assert_eq!(subject.rows(Selection::default(), 1_000).await.len(), 9);
}

pub(super) async fn a_page_goes_on_where_the_queue_changed_meanwhile(subject: Subject) {
    for number in 1..=6 {
        subject.enqueue(normal(number)).await;
    }
    let request = |cursor| PageRequest {
        cursor,
        rows_max: 2,
        now: at(NOW),
    };
    let page = subject
        .spool
        .list(Selection::default(), request(None))
        .await
        .unwrap();
    // The last row of the page and the one after it leave.
    for number in [2, 3] {
        subject
            .change(Selection::of_message(id(number)), ChangeAction::Cancel)
            .await;
    }
    let page = subject
        .spool
        .list(Selection::default(), request(page.cursor))
        .await
        .unwrap();
    let numbers: Vec<_> = page.rows.iter().map(|row| row.message.id).collect();
    assert_eq!(numbers, [id(4), id(5)]);
}

pub(super) async fn a_cursor_of_somebody_else_is_refused(subject: Subject) {
    for cursor in ["", "x", "AAAA", "ü", "////"] {
        let request = PageRequest {
            cursor: Some(cursor.to_owned()),
            rows_max: 2,
            now: at(NOW),
        };
        let page = subject.spool.list(Selection::default(), request).await;
        assert!(matches!(page, Err(SpoolError::Unknown)), "{cursor:?}");
    }
}
