//! The order of a line, and what its reader is told of its head.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

pub(super) async fn a_line_is_served_by_due_time_and_then_by_acceptance(mut subject: Subject) {
    for (number, due) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        let mut new = new_message(normal(number));
        new.deliveries[0].due = at(due);
        enqueue(&*subject.spool, new, b"").await.unwrap();
    }
    subject.restart().await;
    assert_eq!(subject.drain(&normal_line()).await, [2, 4, 3, 1]);
}

pub(super) async fn a_long_line_is_served_in_order_across_restarts(mut subject: Subject) {
    for number in 1..=300 {
        let mut new = new_message(normal(number));
        // The second half is due before the first.
        new.deliveries[0].due = at(if number <= 150 { 500 } else { 400 });
        enqueue(&*subject.spool, new, b"").await.unwrap();
    }
    let mut served = Vec::new();
    let mut kept = Vec::new();
    for step in 0..300 {
        if step % 70 == 69 {
            kept.clear();
            subject.restart().await;
        }
        let claimed = subject.spool.claim(&normal_line(), at(NOW)).await.unwrap();
        let Some(claim) = claimed.claim else { break };
        served.push(claim.message.accepted.unix_milliseconds());
        if step % 2 == 0 {
            subject.settle(claim.lease, Vec::new()).await.unwrap();
        } else {
            kept.push(claim.lease);
        }
    }
    if !subject.is_durable() {
        let expected: Vec<u64> = (151..=300).chain(1..=150).collect();
        assert_eq!(served, expected);
        return;
    }
    // What was leased at a restart comes again, before what had not come yet.
    assert_eq!(served[..69], (151..220).collect::<Vec<u64>>()[..]);
    let mut unsettled = served[..69].iter().skip(1).step_by(2);
    assert!(
        served[69..]
            .iter()
            .take(34)
            .all(|number| unsettled.next() == Some(number))
    );
}

pub(super) async fn lines_of_other_lanes_classes_and_users_are_apart(subject: Subject) {
    subject
        .enqueue(message(1, "user", Class::Normal, &["a.example"]))
        .await;
    subject
        .enqueue(message(2, "user", Class::Low, &["a.example"]))
        .await;
    subject
        .enqueue(message(3, "other", Class::Normal, &["a.example"]))
        .await;
    subject
        .enqueue(message(4, "user", Class::Normal, &["b.example"]))
        .await;
    let mut relay = message(5, "", Class::Normal, &["a.example"]);
    relay.origin = Origin::Relay {
        list: "default".to_owned(),
        about: Some(id(1)),
    };
    subject.enqueue(relay).await;
    let mut smarthost = new_message(message(6, "user", Class::Normal, &["a.example"]));
    smarthost.deliveries[0].next_hop = NextHop::Smarthost("a.example".into());
    enqueue(&*subject.spool, smarthost, b"").await.unwrap();
    for (line, number) in [
        (line("a.example", Class::Normal, "user"), 1),
        (line("a.example", Class::Low, "user"), 2),
        (line("a.example", Class::Normal, "other"), 3),
        (line("b.example", Class::Normal, "user"), 4),
        (line("a.example", Class::Normal, ""), 5),
        (
            Line {
                next_hop: NextHop::Smarthost("a.example".into()),
                ..normal_line()
            },
            6,
        ),
    ] {
        assert_eq!(subject.drain(&line).await, [number]);
    }
    assert_eq!(
        subject
            .drain(&line("c.example", Class::Normal, "user"))
            .await,
        [0; 0]
    );
}

pub(super) async fn what_is_not_due_is_not_claimed_but_is_the_head(mut subject: Subject) {
    let mut new = new_message(normal(1));
    new.deliveries[0].due = at(NOW + 1);
    enqueue(&*subject.spool, new, b"").await.unwrap();
    subject.restart().await;
    let claimed = subject.spool.claim(&normal_line(), at(NOW)).await.unwrap();
    assert!(claimed.claim.is_none());
    assert_eq!(claimed.head.unwrap().due, at(NOW + 1));
    let claimed = subject
        .spool
        .claim(&normal_line(), at(NOW + 1))
        .await
        .unwrap();
    assert!(claimed.claim.is_some());
    assert_eq!(claimed.head, None);
}

pub(super) async fn the_heads_of_all_lines_come_first_and_then_what_changed(mut subject: Subject) {
    assert!(!is_ready(subject.spool.changes()).await, "nothing to tell");
    subject.enqueue(normal(1)).await;
    subject.enqueue(normal(2)).await;
    subject
        .enqueue(message(3, "user", Class::Normal, &["b.example"]))
        .await;
    let b = line("b.example", Class::Normal, "user");
    subject.restart().await;
    // A future that is dropped loses nothing.
    drop(subject.spool.changes());
    let heads: BTreeMap<_, _> = subject
        .spool
        .changes()
        .await
        .into_iter()
        .map(|c| ((*c.line).clone(), c.head))
        .collect();
    assert_eq!(
        heads.keys().cloned().collect::<Vec<_>>(),
        [normal_line(), b.clone()]
    );
    assert_eq!(heads[&normal_line()].unwrap().due, at(1));
    assert_eq!(heads[&b].unwrap().due, at(3));
    assert!(!is_ready(subject.spool.changes()).await, "told once");
    // A claim tells in its answer.
    let claimed = subject.spool.claim(&b, at(NOW)).await.unwrap();
    assert_eq!(claimed.head, None);
    assert!(!is_ready(subject.spool.changes()).await);
    let claim = claimed.claim.unwrap();
    subject.spool.release(claim.lease);
    let changed = subject.spool.changes().await;
    assert_eq!(changed.len(), 1);
    assert_eq!(*changed[0].line, b);
    assert_eq!(changed[0].head.unwrap().due, at(3));
    // What is cancelled leaves the next one, or none, as the head.
    subject
        .change(Selection::of_message(id(1)), ChangeAction::Cancel)
        .await;
    subject
        .change(Selection::of_message(id(3)), ChangeAction::Cancel)
        .await;
    let changed: BTreeMap<_, _> = subject
        .spool
        .changes()
        .await
        .into_iter()
        .map(|c| ((*c.line).clone(), c.head))
        .collect();
    assert_eq!(changed[&normal_line()].unwrap().due, at(2));
    assert_eq!(changed[&b], None);
}

pub(super) async fn changes_wake_their_reader(subject: Subject) {
    let changes = subject.spool.changes();
    let (changes, ()) = tokio::join!(changes, subject.enqueue(normal(1)));
    assert_eq!(changes.len(), 1);
    assert_eq!(*changes[0].line, normal_line());
}

pub(super) async fn a_hundred_changes_of_a_line_are_told_as_one(subject: Subject) {
    for number in 1..=100 {
        let mut new = new_message(normal(number));
        new.deliveries[0].due = at(500 - number);
        enqueue(&*subject.spool, new, b"").await.unwrap();
    }
    let changed = subject.spool.changes().await;
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].head.unwrap().due, at(400));
}

pub(super) async fn every_line_has_its_head_after_a_restart(mut subject: Subject) {
    for number in 0..200 {
        let user = format!("user {}", number % 50);
        subject
            .enqueue(message(number, &user, Class::Normal, &["a.example"]))
            .await;
    }
    subject.restart().await;
    let mut lines = BTreeSet::new();
    // All at once, or where there is not room for all of them, one when another one has had its turn.
    while lines.len() < 50 {
        for change in subject.spool.changes().await {
            let Some(head) = change.head else { continue };
            let numbers = subject.drain(&change.line).await;
            assert_eq!(numbers.len(), 4);
            assert!(numbers.is_sorted());
            assert_eq!(head.due, at(numbers[0]));
            assert!(lines.insert(change.line));
        }
    }
    assert_eq!(subject.spool.figures().queued[2], 0);
}
