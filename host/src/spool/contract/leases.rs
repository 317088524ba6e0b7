//! A delivery has one owner at a time.

#![allow(clippy::unwrap_used)]

use super::*;

pub(super) async fn a_delivery_has_one_lease_at_a_time(subject: Subject) {
    subject.enqueue(normal(1)).await;
    let first = subject.claim(&normal_line()).await.unwrap();
    assert!(subject.claim(&normal_line()).await.is_none());
    subject.spool.release(first.lease);
    let second = subject.claim(&normal_line()).await.unwrap();
    assert_eq!(second.delivery, first.delivery);
    assert_ne!(second.lease, first.lease);
    // The first lease is worth nothing any more, in either way of ending it.
    subject.spool.release(first.lease);
    assert!(subject.claim(&normal_line()).await.is_none());
    let lost = subject.settle(first.lease, Vec::new()).await;
    assert!(matches!(lost, Err(SpoolError::LeaseLost)));
    subject.settle(second.lease, Vec::new()).await.unwrap();
    let lost = subject.settle(second.lease, Vec::new()).await;
    assert!(matches!(lost, Err(SpoolError::LeaseLost)));
}

pub(super) async fn two_settlements_with_one_lease_count_once(subject: Subject) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    let remaining = || vec![later(&claim.delivery, 5)];
    let (one, other) = tokio::join!(
        subject.settle(claim.lease, remaining()),
        subject.settle(claim.lease, remaining()),
    );
    assert!(one.is_ok());
    assert!(matches!(other, Err(SpoolError::LeaseLost)));
    assert_eq!(subject.record(1).await.deliveries.len(), 1);
}

pub(super) async fn a_lease_dies_with_the_process(mut subject: Subject) {
    subject.enqueue(normal(1)).await;
    let claim = subject.claim(&normal_line()).await.unwrap();
    subject.restart().await;
    if subject.is_durable() {
        let again = subject.claim(&normal_line()).await.unwrap();
        assert_eq!(again.delivery, claim.delivery);
    }
}

pub(super) async fn a_claim_that_nobody_waits_for_takes_no_lease(mut subject: Subject) {
    subject.enqueue(normal(1)).await;
    // After a restart nothing is remembered: the claim has to read.
    subject.restart().await;
    for _ in 0..3 {
        is_ready(subject.spool.claim(&normal_line(), Timestamp::EPOCH)).await;
        drop(subject.spool.claim(&normal_line(), at(NOW)));
        let line = normal_line();
        let started = subject.spool.claim(&line, at(NOW));
        let given_up = tokio::time::timeout(Duration::ZERO, started).await;
        if let Ok(claimed) = given_up {
            subject.spool.release(claimed.unwrap().claim.unwrap().lease);
        }
    }
    assert!(subject.claim(&normal_line()).await.is_some());
}
