//! What is cancelled while it is being delivered.

use outpost_smtp::ByMode;

use super::*;
use crate::message::{DeliverBy, Outcome};
use crate::queue::rehearsal::CONTENT;
use crate::spool::{QueueState, Record, SpoolError};

async fn change(stage: &Stage, action: ChangeAction) -> u64 {
    let change = Change {
        action,
        by: "admin".to_owned(),
        at: stage.clock.now(),
    };
    let all = Selection::default();
    let changed = stage.memory.change(all, change, false).await;
    changed.unwrap().deliveries
}

fn attempts(record: &Record) -> usize {
    let events = record.trail.iter().map(|entry| &entry.event);
    events
        .filter(|event| matches!(event, Event::Attempted { .. }))
        .count()
}

/// A message that is cancelled after a second of an attempt of five.
async fn cancelled_during(outcome: Outcome) -> (Arc<Stage>, Arc<Script>, MessageId) {
    let stage = Stage::new();
    let id = stage.accept_to("you@b.example", Class::Normal).await;
    let script = Script::new([Act::End(seconds(5), outcome)]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(1)).await;
    assert_eq!(change(&stage, ChangeAction::Cancel).await, 1);
    pass(seconds(60)).await;
    queue.stop().await;
    (stage, script, id)
}

#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_done_though_it_was_cancelled_and_nobody_is_told() {
    for outcome in [delivered(), bounced()] {
        let (stage, script, id) = cancelled_during(outcome).await;
        let record = stage.record(id).await;
        assert_eq!(attempts(&record), 1);
        assert!(record.finished.is_some());
        assert_eq!(change(&stage, ChangeAction::Restore).await, 0);
        assert_eq!((script.seen().len(), stage.queued()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_deferred_stays_cancelled_and_can_be_restored() {
    let (stage, script, id) = cancelled_during(deferred()).await;
    let record = stage.record(id).await;
    assert_eq!(attempts(&record), 1);
    let is_told = |entry: &TrailEntry| matches!(entry.event, Event::Deferred { .. });
    assert!(
        !record.trail.iter().any(is_told),
        "nothing is tried again by itself"
    );
    let (delivery, state) = &record.deliveries[0];
    assert_eq!((delivery.attempts, *state), (1, QueueState::Cancelled));
    assert_eq!(change(&stage, ChangeAction::Restore).await, 1);
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(3_600)).await;
    assert_eq!((script.seen().len(), stage.queued()), (2, 0));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_restored_during_its_attempt_goes_on_as_if_nothing_had_been() {
    for (outcome, reports) in [(delivered(), 0), (bounced(), 1)] {
        let stage = Stage::new();
        let id = stage.accept_to("you@b.example", Class::Normal).await;
        let script = Script::new([Act::End(seconds(5), outcome)]);
        let queue = stage.start(Settings::default(), script.clone());
        pass(seconds(1)).await;
        change(&stage, ChangeAction::Cancel).await;
        change(&stage, ChangeAction::Restore).await;
        pass(seconds(60)).await;
        assert_eq!(script.seen().len(), 1 + reports, "no second attempt");
        let record = stage.record(id).await;
        assert_eq!(attempts(&record), 1);
        assert!(record.finished.is_some());
        queue.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_is_over_when_the_spool_answers_that_a_delivery_is_cancelled() {
    let stage = Stage::new();
    let now = stage.clock.now();
    let mut late = message(1, now, &["you@b.example"]);
    late.envelope.deliver_by = Some(DeliverBy {
        until: now,
        mode: ByMode::Return,
        trace: false,
    });
    stage.accept(late).await;
    let failure = SpoolError::Unavailable("as the test says".into());
    stage.memory.fail_next_settlement(failure);
    let script = Script::new([]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(Duration::from_millis(10)).await;
    assert_eq!(change(&stage, ChangeAction::Cancel).await, 1);
    pass(seconds(1)).await;
    let other = stage.accept_to("you@c.example", Class::Normal).await;
    pass(seconds(1)).await;
    assert_eq!(ids(&script.seen()), [other]);
    queue.stop().await;
}

/// Opens the content, and goes on reading it when it is told to.
#[derive(Default)]
struct Reader {
    goes_on: Arc<Notify>,
    read: Arc<Mutex<Vec<Result<usize, SpoolError>>>>,
}

impl Deliver for Reader {
    fn deliver(
        &self,
        _message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
        _at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        let (goes_on, read) = (Arc::clone(&self.goes_on), Arc::clone(&self.read));
        Box::pin(async move {
            let mut content = content().await.unwrap();
            loop {
                let next = content.next().await;
                let next = next.map(|piece| piece.map_or(0, |piece| piece.len()));
                let is_end = !matches!(next, Ok(1..));
                read.lock().unwrap().push(next);
                if is_end {
                    return attempt_with(&delivery, &[deferred()]);
                }
                goes_on.notified().await;
            }
        })
    }
}

/// Opens the content and waits until that says that it breaks off.
struct Waiter;

impl Deliver for Waiter {
    fn deliver(
        &self,
        _message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
        _at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        Box::pin(async move {
            let broken_off = content().await.unwrap().broken_off();
            assert!(matches!(broken_off.await, SpoolError::Cancelled));
            attempt_with(&delivery, &[deferred()])
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_content_says_that_it_was_cancelled_though_nobody_asks_for_more_of_it() {
    let stage = Stage::new();
    let id = stage.accept_to("you@b.example", Class::Normal).await;
    let queue = stage.start(Settings::default(), Arc::new(Waiter));
    pass(seconds(1)).await;
    change(&stage, ChangeAction::Cancel).await;
    pass(Duration::from_millis(10)).await;
    let record = stage.record(id).await;
    assert_eq!(attempts(&record), 1);
    assert_eq!(record.deliveries[0].1, QueueState::Cancelled);
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_content_ends_before_its_end_when_it_is_cancelled() {
    for is_cancelled in [false, true] {
        let stage = Stage::new();
        stage.accept_to("you@b.example", Class::Normal).await;
        let reader = Arc::new(Reader::default());
        let queue = stage.start(Settings::default(), reader.clone());
        pass(seconds(1)).await;
        if is_cancelled {
            change(&stage, ChangeAction::Cancel).await;
        }
        reader.goes_on.notify_one();
        pass(seconds(1)).await;
        let read = std::mem::take(&mut *reader.read.lock().unwrap());
        assert!(matches!(read[0], Ok(octets) if octets == CONTENT.len()));
        match is_cancelled {
            false => assert!(matches!(read[1], Ok(0))),
            true => assert!(matches!(read[1], Err(SpoolError::Cancelled))),
        }
        queue.stop().await;
    }
}
