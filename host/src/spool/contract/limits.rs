//! The budget, the figures and the end.

#![allow(clippy::unwrap_used)]

use super::*;

pub(super) async fn beyond_the_budget_a_content_is_refused(subject: Subject) {
    let max = subject.settings.octets_in_flight_max;
    let spool = &subject.spool;
    assert!(matches!(spool.intake(Some(max + 1)), Err(SpoolError::Full)));
    assert!(matches!(
        spool.intake(Some(u64::MAX)),
        Err(SpoolError::Full)
    ));
    let mut first = spool.intake(None).unwrap();
    let half = octets(usize::try_from(max / 2).unwrap());
    first.write(&half).await.unwrap();
    let mut second = spool.intake(Some(max / 2)).unwrap();
    second.write(&half).await.unwrap();
    assert_eq!(spool.figures().octets_in_flight, max);
    assert_eq!(spool.figures().octets_in_flight_max, max);
    assert!(matches!(second.write(b"x").await, Err(SpoolError::Full)));
    assert!(matches!(spool.intake(Some(1)), Err(SpoolError::Full)));
    // What is refused is not lost: the content may be enqueued as far as it came.
    assert_eq!(second.octets(), max / 2);
    drop(first);
    second.write(b"x").await.unwrap();
    drop(second);
    assert_eq!(spool.figures().octets_in_flight, 0);
    enqueue(&**spool, new_message(normal(1)), &half)
        .await
        .unwrap();
    assert_eq!(spool.figures().octets_in_flight, 0);
}

pub(super) async fn a_declared_size_sets_only_a_part_aside(subject: Subject) {
    let max = subject.settings.octets_in_flight_max;
    let intakes: Vec<_> = (0..3)
        .map(|_| subject.spool.intake(Some(max / 2)).unwrap())
        .collect();
    assert!(subject.spool.figures().octets_in_flight < max);
    drop(intakes);
}

pub(super) async fn figures_count_what_is_queued(mut subject: Subject) {
    for (number, class) in (1..).zip([Class::VeryHigh, Class::Low, Class::Low]) {
        subject
            .enqueue(message(number, "user", class, &["a.example", "b.example"]))
            .await;
    }
    let claim = subject
        .claim(&line("a.example", Class::Low, "user"))
        .await
        .unwrap();
    subject
        .change(Selection::of_message(id(1)), ChangeAction::Hold)
        .await;
    assert_eq!(subject.spool.figures().queued, [2, 0, 0, 4, 0]);
    subject.settle(claim.lease, Vec::new()).await.unwrap();
    assert!(subject.spool.figures().commits > 0);
    assert!(subject.spool.figures().writable);
    subject.restart().await;
    assert_eq!(subject.spool.figures().queued, [2, 0, 0, 3, 0]);
}

pub(super) async fn the_oldest_of_each_class_is_told_whatever_becomes_of_it(mut subject: Subject) {
    let seconds = |number: u64| number * 1_024;
    for (number, class) in [
        (seconds(3), Class::Low),
        (seconds(5), Class::Low),
        (seconds(4), Class::High),
    ] {
        let message = message(number, "user", class, &["a.example", "b.example"]);
        subject.enqueue(message).await;
    }
    let low = [
        line("a.example", Class::Low, "user"),
        line("b.example", Class::Low, "user"),
    ];
    let told = async |subject: &Subject| {
        let oldest = subject.spool.oldest().await.unwrap();
        oldest.map(|at| at.map_or(0, |at| at.unix_milliseconds() / 1_024))
    };
    assert_eq!(told(&subject).await, [0, 4, 0, 3, 0]);
    let claims = [
        subject.claim(&low[0]).await.unwrap(),
        subject.claim(&low[1]).await.unwrap(),
    ];
    assert_eq!(told(&subject).await, [0, 4, 0, 3, 0], "under way");
    let [one, other] = claims.map(|claim| claim.lease);
    subject.settle(one, Vec::new()).await.unwrap();
    assert_eq!(
        told(&subject).await,
        [0, 4, 0, 3, 0],
        "one of two recipients"
    );
    subject.settle(other, Vec::new()).await.unwrap();
    assert_eq!(told(&subject).await, [0, 4, 0, 5, 0]);
    subject
        .change(Selection::of_message(id(seconds(4))), ChangeAction::Hold)
        .await;
    assert_eq!(told(&subject).await, [0, 4, 0, 5, 0], "held");
    subject
        .change(
            Selection::of_message(id(seconds(4))),
            ChangeAction::SetClass(Class::VeryLow),
        )
        .await;
    assert_eq!(told(&subject).await, [0, 0, 0, 5, 4]);
    subject.restart().await;
    assert_eq!(told(&subject).await, [0, 0, 0, 5, 4]);
    subject
        .change(Selection::default(), ChangeAction::Cancel)
        .await;
    assert_eq!(told(&subject).await, [0; 5]);
}

pub(super) async fn after_its_end_a_spool_does_nothing(subject: Subject) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let content = intake(&*subject.spool, b"").await.unwrap();
    subject.spool.close().await.unwrap();
    subject.spool.close().await.unwrap();
    let spool = &subject.spool;
    fn is_closed<T>(result: Result<T, SpoolError>) -> bool {
        matches!(result, Err(SpoolError::Unavailable(_)))
    }
    let change = Change {
        action: ChangeAction::Hold,
        by: String::new(),
        at: at(NOW),
    };
    let request = PageRequest {
        cursor: None,
        rows_max: 1,
        now: at(NOW),
    };
    assert!(is_closed(spool.intake(None)));
    assert!(is_closed(
        spool.enqueue(new_message(normal(2)), content).await
    ));
    assert!(is_closed(spool.claim(&normal_line(), at(NOW)).await));
    assert!(is_closed(spool.content(id(1)).await));
    assert!(is_closed(subject.settle(claim.lease, Vec::new()).await));
    assert!(is_closed(
        spool
            .change(Selection::default(), change.clone(), false)
            .await
    ));
    assert!(is_closed(
        spool.change(Selection::default(), change, true).await
    ));
    assert!(is_closed(spool.list(Selection::default(), request).await));
    assert!(is_closed(spool.message(id(1)).await));
    let stop = Stop {
        of: StopOf::All,
        by: String::new(),
        at: at(NOW),
    };
    assert!(is_closed(spool.stop(stop).await));
    assert!(is_closed(spool.start(StopOf::All).await));
    assert!(!is_ready(spool.changes()).await);
    assert!(!spool.figures().writable);
}
