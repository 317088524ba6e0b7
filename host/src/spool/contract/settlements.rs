//! How a claimed delivery goes on, and what stays of a finished message.

#![allow(clippy::unwrap_used)]

use super::*;

pub(super) async fn a_deferred_delivery_keeps_its_name_and_its_place_in_the_order(
    mut subject: Subject,
) {
    subject.enqueue(normal(1)).await;
    subject.enqueue(normal(2)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let settlement = Settlement {
        lease: claim.lease,
        remaining: vec![later(&claim.delivery, 2)],
        reports: Vec::new(),
        trail: trail(),
        outcomes: None,
        is_cancelled: false,
    };
    subject.spool.settle(settlement).await.unwrap();
    subject.restart().await;
    let record = subject.record(1).await;
    assert_eq!(record.trail.len(), 1 + trail().len());
    assert_eq!(record.trail[1..], trail());
    let claim = subject.claim(&normal_line()).await.unwrap();
    assert_eq!(
        claim.delivery.id,
        DeliveryId {
            message: id(1),
            number: 0
        }
    );
    assert_eq!((claim.delivery.attempts, claim.delivery.due), (1, at(2)));
    assert!(claim.delivery.delay_reported);
    assert_eq!(claim.delivery.last_reply, "451 later");
    assert_eq!(subject.drain(&normal_line()).await, [2]);
}

pub(super) async fn parts_of_a_split_and_moved_deliveries_take_new_numbers(mut subject: Subject) {
    subject
        .enqueue(message(
            1,
            "user",
            Class::Normal,
            &["a.example", "b.example"],
        ))
        .await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let sequence = claim.delivery.sequence;
    let part = |next_hop: &str, recipients: &[u32]| NewDelivery {
        recipients: recipients.to_vec(),
        next_hop: domain(next_hop),
        ..later(&claim.delivery, 7)
    };
    let parts = vec![
        part("a.example", &[0]),
        part("a.example", &[1]),
        part("c.example", &[2]),
    ];
    subject.settle(claim.lease, parts).await.unwrap();
    subject.restart().await;
    let numbers = |record: Record| -> Vec<u32> {
        record
            .deliveries
            .iter()
            .map(|(delivery, _)| delivery.id.number)
            .collect()
    };
    assert_eq!(numbers(subject.record(1).await), [1, 2, 3, 4]);
    let moved = subject
        .claim(&line("c.example", Class::Normal, "user"))
        .await
        .unwrap();
    assert_eq!(moved.delivery.recipients, [2]);
    assert_eq!(
        moved.delivery.sequence, sequence,
        "acceptance does not change"
    );
    let elsewhere = vec![part("d.example", &[2])];
    subject.settle(moved.lease, elsewhere).await.unwrap();
    assert_eq!(numbers(subject.record(1).await), [1, 2, 3, 5]);
    assert_eq!(subject.drain(&normal_line()).await, [1, 1]);
    assert_eq!(
        subject
            .drain(&line("d.example", Class::Normal, "user"))
            .await,
        [1]
    );
    assert_eq!(subject.record(1).await.finished, None);
    assert_eq!(
        subject
            .drain(&line("b.example", Class::Normal, "user"))
            .await,
        [1]
    );
    assert!(subject.record(1).await.finished.is_some());
}

pub(super) async fn a_report_enters_with_the_settlement_that_caused_it(mut subject: Subject) {
    subject.enqueue(normal(1)).await;
    subject.enqueue(normal(2)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let report = |number: u64| {
        let mut message = message(number, "", Class::Normal, &["sender.example"]);
        message.content_octets = 6;
        message.origin = Origin::Relay {
            list: "default".to_owned(),
            about: Some(id(1)),
        };
        (new_message(message), Bytes::from_static(b"report"))
    };
    let settlement = |reports| Settlement {
        lease: claim.lease,
        remaining: Vec::new(),
        reports,
        trail: Vec::new(),
        outcomes: None,
        is_cancelled: false,
    };
    // One of the two cannot be taken in: nothing of it happens, and the lease is still good.
    let refused = subject
        .spool
        .settle(settlement(vec![report(10), report(2)]))
        .await;
    assert!(matches!(refused, Err(SpoolError::Unavailable(_))));
    assert!(subject.spool.message(id(10)).await.unwrap().is_none());
    assert_eq!(subject.record(1).await.finished, None);
    subject
        .spool
        .settle(settlement(vec![report(10), report(11)]))
        .await
        .unwrap();
    subject.restart().await;
    assert!(subject.record(1).await.finished.is_some());
    let line = line("sender.example", Class::Normal, "");
    let claim = subject.claim(&line).await.unwrap();
    let content = subject.spool.content(claim.message.id).await.unwrap();
    assert_eq!(gather(content).await.unwrap(), b"report");
    assert_eq!(subject.drain(&line).await, [11]);
}

pub(super) async fn a_finished_message_is_remembered_without_its_content(mut subject: Subject) {
    subject.enqueue(normal(1)).await;
    subject.clock.set(at(NOW + 5));
    let claim = subject.claim(&normal_line()).await.unwrap();
    let settlement = Settlement {
        lease: claim.lease,
        remaining: Vec::new(),
        reports: Vec::new(),
        trail: trail(),
        outcomes: None,
        is_cancelled: false,
    };
    subject.spool.settle(settlement).await.unwrap();
    for _ in 0..2 {
        let record = subject.record(1).await;
        assert_eq!(record.finished, Some(at(NOW + 5)));
        assert!(record.deliveries.is_empty());
        assert_eq!(record.trail[1..], trail());
        assert!(matches!(
            subject.spool.content(id(1)).await,
            Err(SpoolError::Unknown)
        ));
        assert!(subject.rows(Selection::default(), 10).await.is_empty());
        subject.restart().await;
    }
}

pub(super) async fn a_message_without_deliveries_is_finished_at_once(subject: Subject) {
    let mut new = new_message(normal(1));
    new.deliveries.clear();
    enqueue(&*subject.spool, new, b"content").await.unwrap();
    let record = subject.record(1).await;
    assert_eq!(record.finished, Some(at(NOW)));
    assert_eq!(record.trail.len(), 1);
    assert!(matches!(
        subject.spool.content(id(1)).await,
        Err(SpoolError::Unknown)
    ));
}

pub(super) async fn records_are_forgotten_by_time(mut subject: Subject) {
    subject.enqueue(normal(1)).await;
    subject.drain(&normal_line()).await;
    subject
        .clock
        .set(at(NOW).plus(subject.settings.history_kept));
    subject.enqueue(normal(2)).await;
    subject.drain(&normal_line()).await;
    assert!(subject.spool.message(id(1)).await.unwrap().is_some());
    subject.restart().await;
    subject
        .clock
        .set(at(NOW + 1).plus(subject.settings.history_kept));
    subject.enqueue(normal(3)).await;
    assert!(subject.spool.message(id(1)).await.unwrap().is_none());
    assert!(subject.spool.message(id(2)).await.unwrap().is_some());
    assert!(subject.spool.message(id(3)).await.unwrap().is_some());
}

pub(super) async fn records_are_forgotten_by_count(subject: Subject) {
    let kept = subject.settings.history_records_max;
    for number in 1..=kept + 20 {
        subject.clock.set(at(NOW + number));
        subject.enqueue(normal(number)).await;
        subject.drain(&normal_line()).await;
    }
    for number in 1..=kept + 20 {
        let is_known = subject.spool.message(id(number)).await.unwrap().is_some();
        assert_eq!(is_known, number > 20, "message {number}");
    }
}

pub(super) async fn records_are_forgotten_though_the_clock_was_put_back(subject: Subject) {
    let kept = subject.settings.history_records_max;
    let numbers = 1..=kept + 40;
    for number in numbers.clone() {
        let is_put_back = number > kept + 20;
        let now = if is_put_back { number } else { NOW + number };
        subject.clock.set(at(now));
        let message = Message {
            accepted: at(0),
            ..normal(number)
        };
        subject.enqueue(message).await;
        subject.drain(&normal_line()).await;
    }
    for number in numbers {
        let is_known = subject.spool.message(id(number)).await.unwrap().is_some();
        // The oldest go first, also when they came last.
        let is_latest = (21..=kept + 20).contains(&number);
        assert_eq!(is_known, is_latest, "message {number}");
    }
}
