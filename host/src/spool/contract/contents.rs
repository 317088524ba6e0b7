//! What was enqueued comes back as it was, and what does not fit together is refused.

#![allow(clippy::unwrap_used)]

use super::*;

pub(super) async fn what_was_enqueued_is_claimed_and_read_as_it_was(mut subject: Subject) {
    let mut message = full_message(1);
    let new = NewMessage {
        trail: trail(),
        ..new_message(message.clone())
    };
    enqueue(&*subject.spool, new, b"Subject: x\r\n\r\n")
        .await
        .unwrap();
    message.content_octets = 14;
    for round in 0..2 {
        let record = subject.record(1).await;
        assert_eq!(*record.message, message);
        assert_eq!(record.trail, trail());
        assert_eq!(record.finished, None);
        assert_eq!(record.deliveries.len(), 2);
        let line = line("b.example", Class::High, "üser\0");
        let claimed = subject.spool.claim(&line, at(NOW)).await.unwrap();
        let claim = claimed.claim.unwrap();
        assert_eq!(claimed.head, None);
        assert_eq!(*claim.message, message);
        assert_eq!(claim.delivery.recipients, [1]);
        assert_eq!(claim.delivery.next_hop, domain("b.example"));
        assert_eq!((claim.delivery.attempts, claim.delivery.due), (0, at(1)));
        assert_eq!(claim.delivery.state, DeliveryState::Waiting);
        let content = subject.spool.content(id(1)).await.unwrap();
        assert_eq!(
            gather(content).await.unwrap(),
            b"Subject: x\r\n\r\n",
            "round {round}"
        );
        subject.spool.release(claim.lease);
        subject.restart().await;
    }
    assert!(subject.spool.message(id(2)).await.unwrap().is_none());
}

pub(super) async fn a_content_comes_out_as_it_went_in_whatever_its_size(mut subject: Subject) {
    let limit = subject.settings.inline_octets_max;
    let sizes = [0, 1, limit - 1, limit, limit + 1, 300_000, 5_000_000];
    for (size, number) in sizes.into_iter().zip(1..) {
        enqueue(&*subject.spool, new_message(normal(number)), &octets(size))
            .await
            .unwrap();
    }
    for _ in 0..2 {
        for (size, number) in sizes.into_iter().zip(1..) {
            let content = subject.spool.content(id(number)).await.unwrap();
            assert!(
                gather(content).await.unwrap() == octets(size),
                "{size} octets"
            );
        }
        subject.restart().await;
    }
    assert_eq!(subject.drain(&normal_line()).await, [1, 2, 3, 4, 5, 6, 7]);
    for number in 1..=7 {
        let content = subject.spool.content(id(number)).await;
        assert!(
            matches!(content, Err(SpoolError::Unknown)),
            "the content of {number} is gone"
        );
    }
}

pub(super) async fn a_content_under_way_survives_its_message(subject: Subject) {
    enqueue(&*subject.spool, new_message(normal(1)), &octets(1_000_000))
        .await
        .unwrap();
    let content = subject.spool.content(id(1)).await.unwrap();
    subject.drain(&normal_line()).await;
    assert!(gather(content).await.unwrap() == octets(1_000_000));
}

pub(super) async fn what_does_not_fit_together_is_refused(subject: Subject) {
    subject.enqueue(normal(1)).await;
    // An id that is taken.
    let taken = enqueue(&*subject.spool, new_message(normal(1)), b"other").await;
    assert!(matches!(taken, Err(SpoolError::Unavailable(_))));
    let taken = enqueue(&*subject.spool, new_message(normal(1)), &octets(100_000)).await;
    assert!(matches!(taken, Err(SpoolError::Unavailable(_))));
    let content = subject.spool.content(id(1)).await.unwrap();
    assert_eq!(gather(content).await.unwrap(), b"content\r\n");
    // A content of another length.
    let mut new = new_message(normal(2));
    new.message.content_octets = 3;
    let content = intake(&*subject.spool, b"four").await.unwrap();
    let refused = subject.spool.enqueue(new, content).await;
    assert!(matches!(refused, Err(SpoolError::Unavailable(_))));
    // A content of another spool.
    let clock = Clock::standing_at(at(NOW));
    let other = Memory::new(Settings::default(), clock);
    let foreign: Box<dyn Intake> = match subject.is_durable() {
        true => intake(&*other, b"content").await.unwrap(),
        false => Box::new(Foreign),
    };
    let mut new = new_message(normal(2));
    new.message.content_octets = 7;
    let refused = subject.spool.enqueue(new, foreign).await;
    assert!(matches!(refused, Err(SpoolError::Unavailable(_))));
    assert_eq!(subject.drain(&normal_line()).await, [1]);
    assert!(subject.spool.message(id(2)).await.unwrap().is_none());
}

struct Foreign;

impl Intake for Foreign {
    fn write<'a>(&'a mut self, _: &'a [u8]) -> Pending<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn octets(&self) -> u64 {
        7
    }
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}
