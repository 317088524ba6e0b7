//! What follows when the time is over: case by case, and by the driver on paused time.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::message::{Attempt, Class, DeliverBy, MessageId};
use crate::queue::Settings;
use crate::queue::rehearsal::{
    Act, START, Script, attempt, bounced, deferred, delivered, delivery, host, message, notify,
    seconds,
};
use crate::queue::retry::Schedule;
use crate::queue::settle::Ended;
use crate::queue::stage::Stage;

const HOUR: u64 = 3_600;

/// When the message of each test was to be delivered, in seconds behind its acceptance.
const BY: u64 = 100;

fn rules() -> Rules {
    Rules {
        schedule: Schedule {
            waits: vec![seconds(60), seconds(HOUR)],
            expire_after: seconds(48 * HOUR),
        },
        delay_warning_after: seconds(4 * HOUR),
        delay_warning_unasked: false,
    }
}

fn after(time: u64) -> Timestamp {
    START.plus(seconds(time))
}

/// A message that is to be delivered within [`BY`].
fn timed(mode: ByMode, trace: bool, recipients: &[&str]) -> Message {
    let mut message = message(1, START, recipients);
    message.envelope.deliver_by = Some(DeliverBy {
        until: after(BY),
        mode,
        trace,
    });
    message
}

fn settle(time: u64, message: &Message, delivery: &Delivery, attempt: &Attempt) -> Plan {
    let ended = Ended {
        message,
        delivery,
        attempt,
        begun: after(time),
        at: after(time),
        interrupted: false,
    };
    rules().settle(&ended, 0)
}

/// Each report: what it says, of whom, and with which status.
fn reports(plan: &Plan) -> Vec<(&'static str, Vec<(u32, String)>)> {
    let named = |wanted: &Wanted| {
        let recipients = wanted.recipients.iter();
        let recipients =
            recipients.map(|affected| (affected.recipient, affected.status.to_string()));
        (wanted.kind.name(), recipients.collect())
    };
    plan.reports.iter().map(named).collect()
}

fn late(plan: &Plan) -> Vec<bool> {
    let late = plan.trail.iter().filter_map(|entry| match entry.event {
        Event::Late { is_returned, .. } => Some(is_returned),
        _ => None,
    });
    late.collect()
}

#[test]
fn what_is_to_come_back_is_tried_until_then_and_no_longer() {
    let message = timed(ByMode::Return, false, &["a@b.example"]);
    let delivery = delivery(&message);
    let attempt = attempt(&delivery, &[deferred()]);
    let plan = settle(10, &message, &delivery, &attempt);
    assert_eq!(plan.remaining.unwrap().due, after(70));
    // It is woken when the time is over, though it was to be tried later.
    let plan = settle(90, &message, &delivery, &attempt);
    assert_eq!(plan.remaining.as_ref().unwrap().due, after(BY));
    assert_eq!((reports(&plan), late(&plan)), (vec![], vec![]));
    let plan = settle(BY, &message, &delivery, &attempt);
    assert_eq!(plan.remaining, None);
    assert_eq!(reports(&plan), [("failure", vec![(0, "5.4.7".to_owned())])]);
    assert_eq!(late(&plan), [true]);
    assert_eq!(plan.tally.expired, 1);
}

#[test]
fn what_is_late_is_returned_without_another_attempt() {
    let mut message = timed(ByMode::Return, false, &["a@b.example", "b@b.example"]);
    message.envelope.recipients[1].notify = notify(false, false, true);
    let mut delivery = delivery(&message);
    assert_eq!(
        rules().overdue(&message, &delivery, false, after(BY - 1)),
        None
    );
    delivery.last_reply = "451 4.2.0 Busy".to_owned();
    let plan = rules()
        .overdue(&message, &delivery, true, after(BY))
        .unwrap();
    assert_eq!((plan.remaining.clone(), plan.tally.expired), (None, 2));
    assert!(!plan.reports[0].was_tried);
    assert_eq!(reports(&plan), [("failure", vec![(0, "5.4.7".to_owned())])]);
    assert_eq!(
        plan.reports[0].recipients[0].reply.to_string(),
        "554 5.4.7 It was not delivered by the time that its sender gave; the last attempt failed: \
         451 4.2.0 Busy"
    );
    assert!(matches!(plan.trail[0].event, Event::Interrupted { .. }));
    assert_eq!(late(&plan), [true]);
}

#[test]
fn what_an_operator_moved_behind_the_time_is_tried_and_returned_when_that_fails() {
    let message = timed(ByMode::Return, false, &["a@b.example"]);
    let mut delivery = delivery(&message);
    delivery.due = after(3 * BY);
    let plan = rules().overdue(&message, &delivery, false, after(4 * BY));
    assert_eq!(plan, None);
    let attempt = attempt(&delivery, &[deferred()]);
    let plan = settle(4 * BY, &message, &delivery, &attempt);
    assert_eq!((plan.remaining.clone(), late(&plan)), (None, vec![true]));
    assert_eq!(reports(&plan), [("failure", vec![(0, "5.4.7".to_owned())])]);
    // Who is only told hears of it then, and it is tried as ever.
    let message = timed(ByMode::Notify, false, &["a@b.example"]);
    let plan = rules().overdue(&message, &delivery, false, after(4 * BY));
    assert_eq!(late(&plan.unwrap()), [false]);
}

#[test]
fn nobody_is_told_about_a_report_that_is_late() {
    for mode in [ByMode::Return, ByMode::Notify] {
        let mut message = timed(mode, false, &["a@b.example"]);
        message.envelope.reverse_path = ReversePath::Null;
        let delivery = delivery(&message);
        let plan = rules()
            .overdue(&message, &delivery, false, after(BY))
            .unwrap();
        assert_eq!(reports(&plan), []);
        let unreported = |entry: &TrailEntry| matches!(entry.event, Event::Unreported { .. });
        let is_returned = mode == ByMode::Return;
        assert_eq!(plan.trail.iter().any(unreported), is_returned);
    }
}

#[test]
fn a_sender_is_told_once_and_the_message_goes_on_at_once() {
    let message = timed(ByMode::Notify, false, &["a@b.example"]);
    let mut delivery = delivery(&message);
    delivery.attempts = 3;
    assert_eq!(
        rules().overdue(&message, &delivery, false, after(BY - 1)),
        None
    );
    let plan = rules()
        .overdue(&message, &delivery, false, after(BY))
        .unwrap();
    assert_eq!(reports(&plan), [("delay", vec![(0, "4.4.7".to_owned())])]);
    let retry_until = after(48 * HOUR);
    assert_eq!(plan.reports[0].kind, Kind::Delay { retry_until });
    assert_eq!(late(&plan), [false]);
    let remaining = plan.remaining.unwrap();
    assert_eq!((remaining.due, remaining.attempts), (after(BY), 3));
    assert!(remaining.lateness_reported && !remaining.delay_reported);
    delivery.lateness_reported = true;
    assert_eq!(rules().overdue(&message, &delivery, false, after(BY)), None);
    // From here on it is mail like any other.
    let attempt = attempt(&delivery, &[deferred()]);
    let plan = settle(BY + 1, &message, &delivery, &attempt);
    assert_eq!((reports(&plan), late(&plan)), (vec![], vec![]));
    assert_eq!(plan.remaining.unwrap().due, after(BY + 1 + HOUR));
}

#[test]
fn an_attempt_that_ends_behind_the_time_tells_it_too() {
    let message = timed(ByMode::Notify, false, &["a@b.example", "b@b.example"]);
    let delivery = delivery(&message);
    let in_time = attempt(&delivery, &[deferred(), delivered()]);
    let plan = settle(90, &message, &delivery, &in_time);
    assert_eq!(plan.remaining.unwrap().due, after(BY));
    let plan = settle(BY + 5, &message, &delivery, &in_time);
    assert_eq!(reports(&plan)[0], ("delay", vec![(0, "4.4.7".to_owned())]));
    assert_eq!(late(&plan), [false]);
    let remaining = plan.remaining.unwrap();
    assert_eq!(remaining.due, after(BY + 5 + 60));
    assert!(remaining.lateness_reported);
}

#[test]
fn who_wants_no_word_of_a_delay_gets_none_and_who_said_nothing_does() {
    for (wishes, is_told) in [
        (None, true),
        (notify(false, false, true), true),
        (notify(true, true, false), false),
        (notify(false, false, false), false),
    ] {
        let mut message = timed(ByMode::Notify, false, &["a@b.example"]);
        message.envelope.recipients[0].notify = wishes;
        let delivery = delivery(&message);
        let plan = rules()
            .overdue(&message, &delivery, false, after(BY))
            .unwrap();
        assert_eq!(!plan.reports.is_empty(), is_told, "{wishes:?}");
        assert!(plan.remaining.unwrap().lateness_reported);
    }
}

#[test]
fn a_relay_is_told_where_it_was_asked_for_or_the_host_does_not_know_the_time() {
    let (notified, returned) = (ByMode::Notify, ByMode::Return);
    for (mode, trace, wishes, knows, expected) in [
        (notified, false, None, false, Some("relay")),
        (notified, false, None, true, None),
        (notified, true, None, true, Some("relay")),
        (returned, false, None, true, None),
        (returned, true, None, true, Some("relay")),
        (
            notified,
            true,
            notify(false, true, false),
            true,
            Some("relay"),
        ),
        (notified, true, notify(false, false, false), false, None),
        // A confirmation says more, and one report is enough.
        (
            notified,
            true,
            notify(true, false, false),
            false,
            Some("success"),
        ),
    ] {
        let mut message = timed(mode, trace, &["a@b.example"]);
        message.envelope.recipients[0].notify = wishes;
        let delivery = delivery(&message);
        let mut attempt = attempt(&delivery, &[delivered()]);
        attempt.visits[0].host = Some(RemoteHost {
            deliver_by: knows,
            ..host(false)
        });
        let kinds = settle(10, &message, &delivery, &attempt).reports;
        let kinds: Vec<_> = kinds.iter().map(|wanted| wanted.kind.name()).collect();
        assert_eq!(
            kinds,
            Vec::from_iter(expected),
            "{mode:?} {trace} {wishes:?} {knows}"
        );
    }
    // He has been told that it is late, when it came or before the attempt; or has not, since it was on its way.
    let without_delays = notify(false, true, false);
    for (trace, is_told, wishes, expected) in [
        (false, true, None, None),
        (true, true, None, Some("relay")),
        (false, false, None, Some("relay")),
        // It was late before, and he did not want to hear of that.
        (false, true, without_delays, Some("relay")),
        (false, true, notify(false, false, true), None),
        (false, true, notify(false, false, false), None),
    ] {
        let mut message = timed(notified, trace, &["a@b.example"]);
        message.envelope.recipients[0].notify = wishes;
        let mut delivery = delivery(&message);
        delivery.lateness_reported = is_told;
        let plan = settle(BY, &message, &delivery, &attempt(&delivery, &[delivered()]));
        let kinds = plan.reports.iter().map(|wanted| wanted.kind.name());
        assert_eq!(kinds.collect::<Vec<_>>(), Vec::from_iter(expected));
    }
    let message = timed(notified, true, &["a@b.example"]);
    let delivery = delivery(&message);
    let plan = settle(10, &message, &delivery, &attempt(&delivery, &[bounced()]));
    assert_eq!(plan.reports[0].kind.name(), "failure");
}

/// Has the queue deliver a message, and says when each attempt began and when the message was finished.
async fn run(message: Message, acts: Vec<Act>, within: Duration) -> (Vec<u64>, Vec<String>) {
    let stage = Stage::new();
    let id = message.id;
    stage.accept(message).await;
    let script = Script::new(acts);
    let settings = Settings {
        retry: vec![seconds(HOUR)],
        delay_warning_unasked: false,
        ..Settings::default()
    };
    let begun = tokio::time::Instant::now();
    let queue = stage.start(settings, script.clone());
    tokio::time::sleep(within).await;
    queue.stop().await;
    let seen = script.seen().into_iter();
    let tried = seen.filter(|seen| seen.message == id);
    let tried = tried.map(|seen| (seen.at - begun).as_secs()).collect();
    (tried, words(&stage, id).await)
}

async fn words(stage: &Stage, id: MessageId) -> Vec<String> {
    let record = stage.record(id).await;
    let words = record.trail.iter().map(|entry| {
        let word = match &entry.event {
            Event::Attempted { .. } => "attempted",
            Event::Deferred { .. } => "deferred",
            Event::Late { .. } => "late",
            Event::Reported { report, .. } => report,
            _ => "other",
        };
        format!("{} {word}", entry.at.since(START).as_secs())
    });
    words.collect()
}

fn put_off() -> Act {
    Act::End(Duration::ZERO, deferred())
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_woken_when_its_time_is_over_though_it_was_to_be_tried_later() {
    let returned = timed(ByMode::Return, false, &["you@b.example"]);
    let (tried, words) = run(returned, vec![put_off()], seconds(2 * HOUR)).await;
    assert_eq!(tried, [0]);
    assert_eq!(
        words,
        ["0 attempted", "0 deferred", "100 late", "100 failure"]
    );
    let told = timed(ByMode::Notify, false, &["you@b.example"]);
    // The report is put off too, whichever of them is tried first.
    let acts = vec![put_off(), put_off(), put_off()];
    let (tried, words) = run(told, acts, seconds(2 * HOUR)).await;
    let again = BY + HOUR;
    assert_eq!(tried[..2], [0, BY]);
    assert!((again..=again + HOUR / 5).contains(&tried[2]), "{tried:?}");
    assert_eq!(
        words[..6],
        [
            "0 attempted",
            "0 deferred",
            "100 late",
            "100 delay",
            "100 attempted",
            "100 deferred"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_its_turn_for_too_long_is_returned_unsent() {
    let stage = Stage::new();
    stage.accept_to("you@b.example", Class::VeryHigh).await;
    let message = timed(ByMode::Return, false, &["you@b.example"]);
    let id = message.id;
    stage.accept(message).await;
    let slow = Act::End(seconds(BY + 50), delivered());
    let script = Script::new([slow]);
    let settings = Settings {
        per_next_hop_max: 1,
        ..Settings::default()
    };
    let queue = stage.start(settings, script.clone());
    tokio::time::sleep(seconds(2 * BY)).await;
    queue.stop().await;
    assert!(script.seen().iter().all(|seen| seen.message != id));
    assert_eq!(words(&stage, id).await, ["150 late", "150 failure"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_scheduled_is_sent_at_its_time_and_its_clocks_begin_there() {
    let mut scheduled = message(1, START, &["you@b.example"]);
    scheduled.scheduled = Some(after(10 * HOUR));
    scheduled.envelope.recipients[0].notify = notify(false, true, true);
    let acts = std::iter::repeat_n(put_off(), 500).collect();
    let (tried, words) = run(scheduled, acts, seconds(200 * HOUR)).await;
    assert_eq!(tried[0], 10 * HOUR);
    let hours = |word: &str| {
        let found = words.iter().find(|line| line.ends_with(word)).unwrap();
        let at: u64 = found.split(' ').next().unwrap().parse().unwrap();
        at / HOUR
    };
    // Four hours and five days behind its time, not behind its acceptance; the next attempt tells it.
    assert!((14..=15).contains(&hours("delay")), "{words:?}");
    assert_eq!(hours("failure"), 10 + 5 * 24);
}
