//! The driver on paused time, with a spool in memory and next hops that follow a script.

#![allow(clippy::unwrap_used)]

mod cancelled;
mod cut_off;
mod holds;
mod latency;
mod rerouted;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use outpost_smtp::ReversePath;

use super::*;
use crate::message::{Attempt, Class, Contact, Delivery, Event, Message, MessageId, TrailEntry};
use crate::queue::deliver::{AtMail, OpenContent};
use crate::queue::rehearsal::{
    Act, START, Script, Seen, attempt as attempt_with, bounced, deferred, delivered, message,
    seconds,
};
use crate::queue::stage::Stage;
use crate::spool::{Change, ChangeAction, Selection, Stop, StopOf, Stopped};

fn one_at_a_time() -> Settings {
    Settings {
        simultaneous_max: 1,
        ..Settings::default()
    }
}

/// An attempt that takes a second and ends well.
fn slow() -> Act {
    Act::End(seconds(1), delivered())
}

fn ids(seen: &[Seen]) -> Vec<MessageId> {
    seen.iter().map(|seen| seen.message).collect()
}

/// Lets the queue do all that it can do within that time.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_very_high_message_is_next_though_a_thousand_wait() {
    let stage = Stage::new();
    for number in 0..1_000 {
        stage
            .accept_to(&format!("you@{}.example", number % 7), Class::Normal)
            .await;
    }
    let script = Script::new(std::iter::repeat_n(slow(), 2_000));
    let queue = stage.start(one_at_a_time(), script.clone());
    pass(Duration::from_millis(10_500)).await;
    let urgent = stage.accept_to("you@1.example", Class::VeryHigh).await;
    pass(seconds(1)).await;
    let seen = script.seen();
    assert_eq!((seen.len(), seen[11].message), (12, urgent));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn very_high_messages_go_in_the_order_of_their_acceptance() {
    let stage = Stage::new();
    let mut accepted = Vec::new();
    for number in 0..50 {
        accepted.push(
            stage
                .accept_to(&format!("you@{}.example", number % 7), Class::VeryHigh)
                .await,
        );
        stage.accept_to("you@b.example", Class::High).await;
    }
    let script = Script::new(std::iter::repeat_n(slow(), 200));
    let queue = stage.start(one_at_a_time(), script.clone());
    pass(seconds(60)).await;
    assert_eq!(ids(&script.seen())[..50], accepted);
    queue.stop().await;
}

/// A next hop that cannot be reached until it is back, and which messages were tried how often.
#[derive(Default)]
struct Gone {
    /// How long it takes to learn that nobody answers.
    silence: Duration,
    is_back: AtomicBool,
    tried: Mutex<HashMap<MessageId, usize>>,
}

impl Deliver for Gone {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        _content: OpenContent,
        _at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        *self.tried.lock().unwrap().entry(message.id).or_default() += 1;
        let is_back = self.is_back.load(Ordering::Relaxed);
        let outcome = if is_back { delivered() } else { deferred() };
        let mut attempt = attempt_with(&delivery, &[outcome]);
        if !is_back {
            attempt.contact = Contact::Missed;
        }
        let took = if is_back {
            Duration::ZERO
        } else {
            self.silence
        };
        Box::pin(async move {
            tokio::time::sleep(took).await;
            attempt
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_next_hop_that_cannot_be_reached_is_tried_now_and_then_and_gets_all_when_it_is_back() {
    let stage = Stage::new();
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(stage.accept_to("you@b.example", Class::Normal).await);
    }
    let gone = Arc::new(Gone::default());
    let queue = stage.start(Settings::default(), gone.clone());
    let tried = || {
        let tried = gone.tried.lock().unwrap();
        (tried.len(), tried.values().sum::<usize>())
    };
    // Each by its own schedule would have been three times a hundred.
    pass(seconds(200)).await;
    let (messages, attempts) = tried();
    assert!(messages < 50 && attempts < 50, "{messages}, {attempts}");
    // Who waits for long is told, and nobody dials for that.
    pass(seconds(200)).await;
    for id in ids {
        let (delivery, _) = stage.record(id).await.deliveries.pop().unwrap();
        assert!(delivery.attempts > 0);
        assert!(delivery.last_reply.starts_with("451 4.7.1"));
    }
    let (messages, attempts) = tried();
    assert!(messages < 60 && attempts < 70, "{messages}, {attempts}");
    gone.is_back.store(true, Ordering::Relaxed);
    pass(seconds(31)).await;
    let left = stage.queued();
    pass(seconds(600)).await;
    assert!(left < 100 && stage.queued() == 0, "{left}");
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn senders_hear_of_the_delay_in_time_however_many_wait_and_however_long_nobody_answers() {
    const HOUR: u64 = 3_600;
    let stage = Stage::new();
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(stage.accept_to("you@b.example", Class::Normal).await);
    }
    let gone = Arc::new(Gone {
        silence: seconds(240),
        ..Gone::default()
    });
    let settings = Settings {
        retry: vec![seconds(30), seconds(120), seconds(600)],
        delay_warning_after: seconds(HOUR),
        expire_after: seconds(2 * HOUR),
        ..Settings::default()
    };
    let queue = stage.start(settings, gone.clone());
    // The last wait and its jitter, and what it takes until the next trial has failed.
    let grace = 720 + 300 + 30 + 240;
    for (hours, report) in [(1, "delay"), (2, "failure")] {
        pass(seconds(hours * HOUR + grace) - stage.clock.now().since(START)).await;
        for id in &ids {
            let trail = stage.record(*id).await.trail;
            let is_told =
                |event: &Event| matches!(event, Event::Reported { report: r, .. } if *r == report);
            assert!(trail.iter().any(|entry| is_told(&entry.event)), "{report}");
        }
    }
    // Twenty at once until it was shut, and then one after the other.
    let attempts: usize = gone.tried.lock().unwrap().values().sum();
    assert!(attempts < 200, "{attempts}");
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_next_hop_that_could_not_be_reached_is_tried_at_once_when_an_operator_wants_it() {
    let stage = Stage::new();
    for _ in 0..100 {
        stage.accept_to("you@b.example", Class::Normal).await;
    }
    let gone = Arc::new(Gone::default());
    let queue = stage.start(Settings::default(), gone.clone());
    // Tried at 1, 3, 7, 15, 31 s, and every 30 s from then on.
    pass(seconds(35)).await;
    gone.is_back.store(true, Ordering::Relaxed);
    pass(seconds(5)).await;
    assert_eq!(stage.queued(), 100);
    queue.impatience.notify_one();
    pass(seconds(1)).await;
    let deferred = gone.tried.lock().unwrap().len() as u64;
    assert!(stage.queued() < deferred, "all others are delivered");
    queue.stop().await;
}

/// A next hop without room, and when it was tried.
#[derive(Default)]
struct Crowded(Mutex<Vec<Instant>>);

impl Deliver for Crowded {
    fn deliver(
        &self,
        _message: Arc<Message>,
        delivery: Delivery,
        _content: OpenContent,
        _at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        self.0.lock().unwrap().push(Instant::now());
        let mut attempt = attempt_with(&delivery, &[deferred()]);
        attempt.contact = Contact::Crowded;
        Box::pin(async { attempt })
    }
}

#[tokio::test(start_paused = true)]
async fn mail_for_which_there_is_no_room_comes_again_in_a_moment_and_is_not_charged() {
    for (class, least) in [(Class::Normal, 1_000), (Class::VeryHigh, 250)] {
        comes_again(class, Duration::from_millis(least)).await;
    }
}

async fn comes_again(class: Class, least: Duration) {
    let stage = Stage::new();
    let id = stage.accept_to("you@b.example", class).await;
    let crowded = Arc::new(Crowded::default());
    let settings = Settings {
        delay_warning_after: seconds(60),
        ..Settings::default()
    };
    let queue = stage.start(settings, crowded.clone());
    pass(seconds(59)).await;
    let tried = crowded.0.lock().unwrap().clone();
    let rests = tried.windows(2).map(|two| two[1] - two[0]);
    for rest in rests {
        assert!(rest >= least && rest < 3 * least, "{rest:?}");
    }
    let record = stage.record(id).await;
    assert_eq!((record.deliveries[0].0.attempts, record.trail), (0, vec![]));
    // Its sender hears of the delay all the same.
    pass(seconds(4)).await;
    let record = stage.record(id).await;
    assert_eq!(record.deliveries[0].0.attempts, 1);
    let is_warning = |event: &Event| {
        matches!(
            event,
            Event::Reported {
                report: "delay",
                ..
            }
        )
    };
    assert!(record.trail.iter().any(|entry| is_warning(&entry.event)));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_deferred_very_high_message_delays_nobody() {
    let stage = Stage::new();
    let urgent = stage.accept_to("you@b.example", Class::VeryHigh).await;
    let normal = stage.accept_to("you@b.example", Class::Normal).await;
    let script = Script::new([Act::End(Duration::ZERO, deferred()), slow()]);
    let queue = stage.start(one_at_a_time(), script.clone());
    pass(seconds(40)).await;
    let seen = script.seen();
    assert_eq!(ids(&seen), [urgent, normal, urgent]);
    let waited = seen[2].at - seen[0].at;
    assert!(waited >= seconds(30) && waited <= seconds(36), "{waited:?}");
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_delays_only_its_own_mail() {
    let stage = Stage::new();
    let settings = Settings {
        per_next_hop_max: 2,
        ..Settings::default()
    };
    for _ in 0..5 {
        stage.accept_to("you@slow.example", Class::VeryHigh).await;
    }
    let script = Script::new([Act::Hang, Act::Hang]);
    let queue = stage.start(settings, script.clone());
    pass(seconds(1)).await;
    let other = stage.accept_to("you@fast.example", Class::VeryLow).await;
    pass(Duration::from_millis(1)).await;
    let seen = script.seen();
    assert_eq!((seen.len(), seen[2].message), (3, other));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_follow_the_schedule_and_end_in_a_bounce() {
    let stage = Stage::new();
    let settings = Settings {
        retry: vec![seconds(10), seconds(100)],
        expire_after: seconds(300),
        ..Settings::default()
    };
    let id = stage.accept_to("you@b.example", Class::Normal).await;
    let acts = std::iter::repeat_n(Act::End(Duration::ZERO, deferred()), 5);
    let script = Script::new(acts);
    let queue = stage.start(settings, script.clone());
    pass(seconds(400)).await;
    let seen = script.seen();
    let (report, attempts) = seen.split_last().unwrap();
    let waits: Vec<_> = attempts
        .windows(2)
        .map(|two| (two[1].at - two[0].at).as_secs())
        .collect();
    assert_eq!(waits.len(), 4, "{waits:?}");
    assert!(
        (10..=12).contains(&waits[0]) && (100..=120).contains(&waits[1]),
        "{waits:?}"
    );
    let last = attempts.last().unwrap().at - attempts[0].at;
    assert_eq!(last, seconds(300), "the last attempt is at the expiry");
    assert_eq!(report.reverse_path, ReversePath::Null);
    assert_eq!(report.at, attempts.last().unwrap().at);
    let record = stage.record(id).await;
    assert!(record.finished.is_some());
    assert!(ends_with_a_bounce(&record.trail));
    assert_eq!(stage.queued(), 0);
    queue.stop().await;
}

fn ends_with_a_bounce(trail: &[crate::message::TrailEntry]) -> bool {
    let events: Vec<&Event> = trail.iter().map(|entry| &entry.event).collect();
    matches!(
        events[..],
        [
            ..,
            Event::Expired { .. },
            Event::Reported {
                report: "failure",
                ..
            }
        ]
    )
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reaches_the_sender_and_a_refused_report_reaches_nobody() {
    let stage = Stage::new();
    let id = stage.accept_to("you@b.example", Class::Normal).await;
    let refused = Act::End(Duration::ZERO, bounced());
    let script = Script::new([refused.clone(), refused]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(1)).await;
    let seen = script.seen();
    assert_eq!(seen.len(), 2);
    let Event::Reported { id: report, .. } = stage.record(id).await.trail.pop().unwrap().event
    else {
        panic!("no report");
    };
    assert_eq!(seen[1].message, report);
    let record = stage.record(report).await;
    assert!(record.finished.is_some());
    assert_eq!(
        record.trail.last().unwrap().event,
        Event::Unreported { report: "failure" }
    );
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_settlement_that_fails_is_tried_again_and_nothing_is_sent_twice() {
    let stage = Stage::new();
    let first = stage.accept_to("you@b.example", Class::Normal).await;
    let failure = SpoolError::Unavailable("as the test says".into());
    stage.memory.fail_next_settlement(failure);
    let script = Script::new([]);
    let queue = stage.start(one_at_a_time(), script.clone());
    pass(Duration::from_millis(50)).await;
    let second = stage.accept_to("you@b.example", Class::Normal).await;
    pass(Duration::from_millis(40)).await;
    assert_eq!(
        ids(&script.seen()),
        [first],
        "nothing is claimed while nothing can be recorded"
    );
    pass(seconds(5)).await;
    assert_eq!(ids(&script.seen()), [first, second]);
    assert_eq!(stage.queued(), 0);
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_settlement_without_room_does_not_keep_others_from_making_room() {
    let stage = Stage::new();
    stage.memory.fail_next_settlement(SpoolError::Full);
    let first = stage.accept_to("you@b.example", Class::Normal).await;
    let second = stage.accept_to("you@b.example", Class::Normal).await;
    let script = Script::new([]);
    let queue = stage.start(one_at_a_time(), script.clone());
    pass(Duration::from_millis(50)).await;
    assert_eq!(ids(&script.seen()), [first, second]);
    assert_eq!(stage.queued(), 1);
    pass(Duration::from_millis(100)).await;
    assert_eq!(stage.queued(), 0);
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn claims_that_fail_are_tried_again() {
    let stage = Stage::new();
    stage.accept_to("you@b.example", Class::Normal).await;
    stage.fail_claims(4);
    let script = Script::new([]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(Duration::from_millis(1_450)).await;
    assert_eq!(script.seen(), []);
    pass(Duration::from_millis(100)).await;
    assert_eq!(script.seen().len(), 1);
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_a_failed_attempt() {
    let stage = Stage::new();
    let id = stage.accept_to("you@b.example", Class::Normal).await;
    let script = Script::new([Act::Panic]);
    let queue = stage.start(one_at_a_time(), script.clone());
    pass(seconds(1)).await;
    let (delivery, _) = stage.record(id).await.deliveries.pop().unwrap();
    assert_eq!(delivery.attempts, 1);
    pass(seconds(60)).await;
    assert_eq!(script.seen().len(), 2);
    assert_eq!(stage.queued(), 0);
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_attempts_end_and_gives_back_those_that_do_not() {
    let stage = Stage::new();
    for _ in 0..2 {
        stage.accept_to("you@b.example", Class::Normal).await;
    }
    let script = Script::new([slow(), Act::Hang]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(Duration::from_millis(100)).await;
    let late = stage.accept_to("you@c.example", Class::VeryHigh);
    let begun = Instant::now();
    let (_, id) = tokio::join!(queue.stop(), async {
        pass(Duration::from_millis(1)).await;
        late.await
    });
    assert_eq!(begun.elapsed(), Settings::default().stop_within);
    assert_eq!(script.seen().len(), 2, "nothing new is begun");
    assert_eq!(stage.queued(), 2);
    stage.reopen();
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(1)).await;
    assert_eq!(stage.queued(), 0);
    assert_eq!(script.seen()[2].message, id);
    assert_eq!(
        script.seen()[3].attempts,
        0,
        "an attempt that was cut off is not charged"
    );
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_moved_beyond_its_expiry_is_tried_then_and_given_up_only_when_that_fails() {
    let settings = Settings::default();
    for (outcome, report) in [(delivered(), false), (deferred(), true)] {
        let stage = Stage::new();
        let id = stage.accept_to("you@b.example", Class::Normal).await;
        let script = Script::new([
            Act::End(Duration::ZERO, deferred()),
            Act::End(Duration::ZERO, outcome),
        ]);
        let queue = stage.start(settings.clone(), script.clone());
        pass(seconds(1)).await;
        let to = stage.clock.now().plus(settings.expire_after * 2);
        let change = Change {
            action: ChangeAction::Reschedule(to),
            by: "admin".to_owned(),
            at: stage.clock.now(),
        };
        let all = Selection::default();
        stage.memory.change(all, change, false).await.unwrap();
        pass(settings.expire_after * 2 - seconds(1)).await;
        assert_eq!(script.seen().len(), 1, "nothing happens at its expiry");
        assert_eq!(stage.queued(), 1);
        pass(seconds(2)).await;
        let record = stage.record(id).await;
        assert!(record.finished.is_some());
        let is_reported = |entry: &TrailEntry| matches!(entry.event, Event::Reported { .. });
        assert_eq!(record.trail.iter().any(is_reported), report);
        queue.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_what_is_stopped_nothing_is_tried_until_it_is_started() {
    let stage = Stage::new();
    let mut accepted = Vec::new();
    for recipient in ["a@b.example", "b@b.example", "c@c.example"] {
        accepted.push(stage.accept_to(recipient, Class::Normal).await);
    }
    let script = Script::new(std::iter::repeat_n(slow(), 9));
    let queue = stage.start(one_at_a_time(), script.clone());
    pass(Duration::from_millis(500)).await;
    let of = StopOf::NextHop(NextHop::Domain("b.example".into()));
    let stop = Stop {
        of: of.clone(),
        by: "admin".to_owned(),
        at: stage.clock.now(),
    };
    assert_eq!(stage.memory.stop(stop).await.unwrap(), Stopped::Now);
    pass(seconds(60)).await;
    let under_way = ids(&script.seen())[0];
    assert_ne!(under_way, accepted[2]);
    assert_eq!(
        ids(&script.seen())[1..],
        accepted[2..],
        "what was under way ended"
    );
    assert_eq!(stage.queued(), 1);
    stage.memory.start(of).await.unwrap().unwrap();
    pass(seconds(2)).await;
    assert_eq!((script.seen().len(), stage.queued()), (3, 0));
    queue.stop().await;
}

#[tokio::test(start_paused = true)]
async fn recipients_of_one_message_may_end_differently() {
    let stage = Stage::new();
    let message = message(
        1,
        stage.clock.now(),
        &["a@b.example", "a@c.example", "b@c.example"],
    );
    let id = message.id;
    stage.accept(message).await;
    let script = Script::new([Act::End(Duration::ZERO, bounced()), slow()]);
    let queue = stage.start(Settings::default(), script.clone());
    pass(seconds(2)).await;
    let seen = script.seen();
    assert_eq!(
        (&seen[0].recipients[..], &seen[1].recipients[..]),
        (&[0][..], &[1, 2][..])
    );
    let record = stage.record(id).await;
    assert!(record.finished.is_some() && record.deliveries.is_empty());
    queue.stop().await;
}
