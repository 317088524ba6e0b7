//! What follows from an attempt, case by case.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::message::{Dialogue, Party, Pause, PauseEnd, Transcript};
use crate::queue::rehearsal::{
    START, attempt, bounced, deferred, delivered, delivery, host, message, notify, seconds,
};

const HOUR: u64 = 3_600;

fn rules() -> Rules {
    Rules {
        schedule: Schedule {
            waits: vec![seconds(60), seconds(HOUR)],
            expire_after: seconds(48 * HOUR),
        },
        delay_warning_after: seconds(4 * HOUR),
        delay_warning_unasked: true,
    }
}

/// Settles an attempt that ended so long after the acceptance of its message.
fn settle(after: u64, message: &Message, delivery: &Delivery, attempt: &Attempt) -> Plan {
    let ended = Ended {
        message,
        delivery,
        attempt,
        begun: START.plus(seconds(after)),
        at: START.plus(seconds(after)),
        interrupted: false,
    };
    rules().settle(&ended, 0)
}

/// Which recipients are reported on, and how.
fn reports(plan: &Plan) -> Vec<(&'static str, Vec<u32>)> {
    let named = |wanted: &Wanted| {
        let recipients = wanted.recipients.iter().map(|affected| affected.recipient);
        (wanted.kind.name(), recipients.collect())
    };
    plan.reports.iter().map(named).collect()
}

fn words(plan: &Plan) -> Vec<&'static str> {
    let word = |entry: &TrailEntry| match &entry.event {
        Event::Attempted { .. } => "attempted",
        Event::Deferred { .. } => "deferred",
        Event::Expired { .. } => "expired",
        Event::Unreported { .. } => "unreported",
        _ => "other",
    };
    plan.trail.iter().map(word).collect()
}

#[test]
fn each_recipient_goes_its_own_way() {
    let message = message(1, START, &["a@b.example", "b@b.example", "c@b.example"]);
    let delivery = delivery(&message);
    let attempt = attempt(&delivery, &[bounced(), deferred(), delivered()]);
    let plan = settle(10, &message, &delivery, &attempt);
    let remaining = plan.remaining.as_ref().unwrap();
    assert_eq!(remaining.recipients, [1]);
    assert_eq!(remaining.attempts, 1);
    assert_eq!(remaining.due, START.plus(seconds(10 + 60)));
    assert_eq!(remaining.last_reply, "451 4.7.1 Try again later");
    assert_eq!(reports(&plan), [("failure", vec![0])]);
    assert_eq!(words(&plan), ["attempted", "deferred"]);
    let tally = Tally {
        delivered: 1,
        deferred: 1,
        bounced: 1,
        expired: 0,
    };
    assert_eq!(plan.tally, tally);
}

#[test]
fn of_what_was_cancelled_meanwhile_the_deferred_stay_and_nobody_is_told() {
    let message = message(1, START, &["a@b.example", "b@b.example", "c@b.example"]);
    let delivery = delivery(&message);
    let attempt = attempt(&delivery, &[bounced(), deferred(), delivered()]);
    let cut_off = Attempt {
        contact: Contact::CutOff,
        ..attempt.clone()
    };
    // Also when it would be given up otherwise; and what a stop cut off is charged to nobody here either.
    for (attempt, after, due, attempts) in [
        (&attempt, 10, 10 + 60, 1),
        (&attempt, 48 * HOUR, 48 * HOUR, 1),
        (&cut_off, 10, 0, 0),
    ] {
        let ended = Ended {
            message: &message,
            delivery: &delivery,
            attempt,
            begun: START.plus(seconds(after)),
            at: START.plus(seconds(after)),
            interrupted: false,
        };
        let plan = rules().settle_cancelled(&ended, 0);
        let remaining = plan.remaining.as_ref().unwrap();
        assert_eq!(
            (&remaining.recipients[..], remaining.attempts),
            (&[1][..], attempts)
        );
        assert_eq!(remaining.due, START.plus(seconds(due)));
        assert!(plan.reports.is_empty() && !remaining.delay_reported);
        assert_eq!(words(&plan), ["attempted"]);
        assert_eq!((plan.tally.delivered, plan.tally.bounced), (1, 1));
    }
}

#[test]
fn all_that_failed_stand_in_one_report() {
    let message = message(1, START, &["a@b.example", "b@b.example", "c@b.example"]);
    let delivery = delivery(&message);
    let attempt = attempt(&delivery, &[bounced(), deferred(), bounced()]);
    let plan = settle(48 * HOUR, &message, &delivery, &attempt);
    assert_eq!(plan.remaining, None);
    assert_eq!(reports(&plan), [("failure", vec![0, 1, 2])]);
    let statuses = plan.reports[0]
        .recipients
        .iter()
        .map(|affected| affected.status.to_string());
    assert_eq!(statuses.collect::<Vec<_>>(), ["5.1.1", "4.4.7", "5.1.1"]);
    assert_eq!(words(&plan), ["attempted", "expired"]);
}

#[test]
fn a_message_is_given_up_when_delivery_makes_no_sense_any_more() {
    let mut message = message(1, START, &["a@b.example"]);
    let delivery = delivery(&message);
    let attempt = attempt(&delivery, &[deferred()]);
    let due = |message: &Message, after| {
        let plan = settle(after, message, &delivery, &attempt);
        plan.remaining.map(|remaining| remaining.due)
    };
    message.deliver_until = Some(START.plus(seconds(30)));
    assert_eq!(due(&message, 10), Some(START.plus(seconds(30))));
    assert_eq!(due(&message, 30), None);
    // Nobody waits longer than the operator allows.
    message.deliver_until = Some(START.plus(seconds(96 * HOUR)));
    assert_eq!(due(&message, 48 * HOUR), None);
}

#[test]
fn a_trail_names_recipients_in_the_order_of_the_envelope() {
    let message = message(1, START, &["a@b.example", "b@b.example", "c@b.example"]);
    let delivery = delivery(&message);
    let attempt = attempt(&delivery, &[bounced(), deferred(), delivered()]);
    let plan = settle(10, &message, &delivery, &attempt);
    let Event::Attempted { recipients, .. } = &plan.trail[0].event else {
        panic!("an attempt comes first: {:?}", plan.trail);
    };
    let named: Vec<_> = recipients
        .iter()
        .map(|(name, word, _)| (name.as_str(), *word))
        .collect();
    assert_eq!(
        named,
        [
            ("a@b.example", "bounced"),
            ("b@b.example", "deferred"),
            ("c@b.example", "delivered"),
        ]
    );
}

#[test]
fn null_reverse_path_is_never_bounced_and_the_trail_says_so() {
    let mut message = message(1, START, &["a@b.example"]);
    message.envelope.reverse_path = ReversePath::Null;
    message.envelope.recipients[0].notify = notify(true, true, true);
    let delivery = delivery(&message);
    let plan = settle(10, &message, &delivery, &attempt(&delivery, &[bounced()]));
    assert_eq!((plan.remaining, plan.reports), (None, Vec::new()));
    let plan = settle(
        9 * HOUR,
        &message,
        &delivery,
        &attempt(&delivery, &[deferred()]),
    );
    assert_eq!(reports(&plan), []);
    let plan = settle(
        48 * HOUR,
        &message,
        &delivery,
        &attempt(&delivery, &[deferred()]),
    );
    assert_eq!(reports(&plan), []);
    assert_eq!(words(&plan), ["attempted", "expired", "unreported"]);
}

#[test]
fn senders_get_the_reports_that_they_asked_for() {
    let (none, relayed) = (None, Some("success"));
    let (failure, delay) = (Some("failure"), Some("delay"));
    for (notify, on_bounce, on_delay, on_delivery) in [
        (None, failure, delay, none),
        (notify(false, false, false), none, none, none),
        (notify(true, false, false), none, none, relayed),
        (notify(false, true, false), failure, none, none),
        (notify(false, false, true), none, delay, none),
        (notify(true, true, true), failure, delay, relayed),
    ] {
        let mut message = message(1, START, &["a@b.example"]);
        message.envelope.recipients[0].notify = notify;
        let delivery = delivery(&message);
        for (outcome, expected) in [
            (bounced(), on_bounce),
            (deferred(), on_delay),
            (delivered(), on_delivery),
        ] {
            let plan = settle(
                5 * HOUR,
                &message,
                &delivery,
                &attempt(&delivery, &[outcome]),
            );
            let kinds = plan.reports.iter().map(|wanted| wanted.kind.name());
            assert_eq!(
                kinds.collect::<Vec<_>>(),
                Vec::from_iter(expected),
                "{notify:?}"
            );
        }
    }
}

#[test]
fn a_delay_is_told_once_and_not_too_early() {
    let message = message(1, START, &["a@b.example"]);
    let mut delivery = delivery(&message);
    let attempt = attempt(&delivery, &[deferred()]);
    let plan = settle(4 * HOUR - 1, &message, &delivery, &attempt);
    assert_eq!(reports(&plan), []);
    assert!(!plan.remaining.unwrap().delay_reported);
    let plan = settle(4 * HOUR, &message, &delivery, &attempt);
    assert_eq!(reports(&plan), [("delay", vec![0])]);
    let retry_until = START.plus(seconds(48 * HOUR));
    assert_eq!(plan.reports[0].kind, Kind::Delay { retry_until });
    let remaining = plan.remaining.unwrap();
    assert!(remaining.delay_reported);
    delivery.delay_reported = remaining.delay_reported;
    let plan = settle(5 * HOUR, &message, &delivery, &attempt);
    assert_eq!(reports(&plan), []);
    assert!(plan.remaining.unwrap().delay_reported);
}

#[test]
fn delays_are_not_told_unasked_where_the_operator_wants_it_so() {
    let message = message(1, START, &["a@b.example"]);
    let delivery = delivery(&message);
    let attempt = attempt(&delivery, &[deferred()]);
    let ended = Ended {
        message: &message,
        delivery: &delivery,
        attempt: &attempt,
        begun: START.plus(seconds(5 * HOUR)),
        at: START.plus(seconds(5 * HOUR)),
        interrupted: false,
    };
    let rules = Rules {
        delay_warning_unasked: false,
        ..rules()
    };
    assert_eq!(reports(&rules.settle(&ended, 0)), []);
}

#[test]
fn success_is_reported_by_the_next_hop_where_it_can() {
    let mut message = message(1, START, &["a@b.example"]);
    message.envelope.recipients[0].notify = notify(true, false, false);
    let delivery = delivery(&message);
    let mut attempt = attempt(&delivery, &[delivered()]);
    attempt.visits[0].host = Some(host(true));
    assert_eq!(reports(&settle(1, &message, &delivery, &attempt)), []);
    attempt.visits[0].host = Some(host(false));
    assert_eq!(
        reports(&settle(1, &message, &delivery, &attempt)),
        [("success", vec![0])]
    );
}

/// An attempt at two hosts: the first delivers to `a`, puts off `b` and `c`; the second, which offers DSN,
/// takes `b` and refuses `c`.
fn two_visits(delivery: &Delivery) -> Attempt {
    let mut first = attempt(delivery, &[delivered(), deferred(), deferred()]);
    let mut second = attempt(delivery, &[delivered(), delivered(), bounced()]);
    let mut visit = second.visits.remove(0);
    visit.outcomes.remove(0);
    visit.host = Some(RemoteHost {
        name: "mx2.b.example".to_owned(),
        ..host(true)
    });
    first.visits.push(visit);
    first
}

#[test]
fn each_host_answers_for_what_it_decided_and_the_last_one_counts() {
    let mut message = message(1, START, &["a@b.example", "b@b.example", "c@b.example"]);
    for recipient in &mut message.envelope.recipients {
        recipient.notify = notify(true, true, false);
    }
    let delivery = delivery(&message);
    let plan = settle(1, &message, &delivery, &two_visits(&delivery));
    assert_eq!(plan.remaining, None);
    // The second host reports its success itself.
    assert_eq!(reports(&plan), [("failure", vec![2]), ("success", vec![0])]);
    let hosts = plan.reports.iter().map(|wanted| {
        let host = wanted.recipients[0].host.as_ref().unwrap();
        host.name.as_str()
    });
    assert_eq!(hosts.collect::<Vec<_>>(), ["mx2.b.example", "mx.b.example"]);
    let tally = Tally {
        delivered: 2,
        bounced: 1,
        ..Tally::default()
    };
    assert_eq!(plan.tally, tally);
}

#[test]
fn a_trail_has_an_entry_for_each_host_that_was_asked() {
    let message = message(1, START, &["a@b.example", "b@b.example", "c@b.example"]);
    let delivery = delivery(&message);
    let plan = settle(1, &message, &delivery, &two_visits(&delivery));
    let entries = plan.trail.iter().map(|entry| match &entry.event {
        Event::Attempted {
            host, recipients, ..
        } => {
            let words = recipients.iter().map(|(_, word, _)| *word);
            (host.clone().unwrap().name, words.collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(
        entries.collect::<Vec<_>>(),
        [
            (
                "mx.b.example".to_owned(),
                vec!["delivered", "deferred", "deferred"]
            ),
            ("mx2.b.example".to_owned(), vec!["delivered", "bounced"]),
        ]
    );
}

#[test]
fn an_attempt_without_outcomes_loses_nobody() {
    let message = message(1, START, &["a@b.example", "b@b.example"]);
    let delivery = delivery(&message);
    let mut attempt = attempt(&delivery, &[delivered()]);
    attempt.visits[0].outcomes[0].recipient = 7;
    let plan = settle(1, &message, &delivery, &attempt);
    let remaining = plan.remaining.unwrap();
    assert_eq!(remaining.recipients, [0, 1]);
    assert_eq!(
        remaining.last_reply,
        "451 4.3.0 The attempt ended without an outcome"
    );
    assert_eq!(plan.tally.deferred, 2);
}

#[test]
fn a_status_that_contradicts_the_outcome_is_not_passed_on() {
    let message = message(1, START, &["a@b.example"]);
    let delivery = delivery(&message);
    for (reply, status) in [
        (Reply::new(550, (5, 7, 1), "No"), "5.7.1"),
        (Reply::new(550, (4, 7, 1), "No"), "5.0.0"),
        (Reply::plain(550, "No"), "5.0.0"),
    ] {
        let attempt = attempt(&delivery, &[Outcome::Bounced(reply)]);
        let plan = settle(1, &message, &delivery, &attempt);
        assert_eq!(plan.reports[0].recipients[0].status.to_string(), status);
    }
}

#[test]
fn a_long_reply_is_cut_for_the_list() {
    let message = message(1, START, &["a@b.example"]);
    let delivery = delivery(&message);
    let reply = Reply::new(451, (4, 0, 0), "x".repeat(3_000));
    let attempt = attempt(&delivery, &[Outcome::Deferred(reply)]);
    let remaining = settle(1, &message, &delivery, &attempt).remaining.unwrap();
    assert_eq!(remaining.last_reply.len(), LAST_REPLY_CHARACTERS_MAX);
}

#[test]
fn what_may_come_twice_after_a_crash_is_told_in_order_of_time() {
    let message = message(1, START, &["a@b.example"]);
    let delivery = delivery(&message);
    let mut attempt = attempt(&delivery, &[deferred()]);
    attempt.pauses = vec![Pause {
        cause: message.id,
        others: 0,
        times: 1,
        ago: seconds(2),
        took: seconds(3),
        end: PauseEnd::Resumed,
    }];
    let ended = Ended {
        message: &message,
        delivery: &delivery,
        attempt: &attempt,
        begun: START,
        at: START.plus(seconds(9)),
        interrupted: true,
    };
    let plan = rules().settle(&ended, 0);
    assert_eq!(
        plan.trail[0],
        TrailEntry {
            at: START,
            event: Event::Interrupted {
                next_hop: delivery.next_hop.clone()
            }
        }
    );
    assert!(matches!(plan.trail[1].event, Event::Paused { .. }));
    assert!(matches!(plan.trail[2].event, Event::Attempted { .. }));
    assert!(plan.trail.is_sorted_by_key(|entry| entry.at));
}

#[test]
fn what_is_cut_off_before_its_end_is_as_if_there_had_been_no_attempt() {
    let mut message = message(1, START, &["a@b.example", "b@b.example"]);
    let mut delivery = delivery(&message);
    (delivery.attempts, delivery.last_reply) = (3, "451 4.2.0 Busy".to_owned());
    let mut attempt = attempt(&delivery, &[delivered(), deferred()]);
    attempt.contact = Contact::CutOff;
    attempt.mail_ago = None;
    // Not even the end of its time counts.
    for after in [10, 100 * HOUR] {
        let plan = settle(after, &message, &delivery, &attempt);
        let remaining = plan.remaining.as_ref().unwrap();
        assert_eq!((remaining.due, remaining.attempts), (delivery.due, 3));
        assert_eq!(remaining.last_reply, delivery.last_reply);
        assert_eq!(
            (&remaining.recipients[..], remaining.delay_reported),
            (&[1][..], false)
        );
        assert_eq!(reports(&plan), []);
        assert_eq!(words(&plan), ["attempted", "deferred"]);
        let until = START.plus(seconds(after));
        assert!(matches!(&plan.trail[1].event, Event::Deferred { until: at, .. } if *at == until));
    }
    // That it has come to MAIL shows in its reply.
    attempt.mail_ago = Some(seconds(1));
    let plan = settle(10, &message, &delivery, &attempt);
    let said = deferred().reply().to_string();
    assert_eq!(plan.remaining.unwrap().last_reply, said);
    // Behind its end it may come twice, and waits; but for what must not come late.
    attempt.visits[0].unknown = true;
    for (class, due) in [(Class::High, 10 + HOUR), (Class::VeryHigh, 10)] {
        message.class = class;
        let plan = settle(10, &message, &delivery, &attempt);
        let remaining = plan.remaining.unwrap();
        assert_eq!(remaining.due, START.plus(seconds(due)), "{class:?}");
        assert_eq!(remaining.attempts, 4);
    }
}

#[test]
fn what_was_said_is_told_when_it_began_and_before_what_came_of_it() {
    let message = message(1, START, &["a@b.example"]);
    let delivery = delivery(&message);
    let mut attempt = attempt(&delivery, &[delivered()]);
    let dialogue = |name: &str| Dialogue {
        with: Party::Host {
            next_hop: delivery.next_hop.clone(),
            name: name.to_owned(),
            address: "192.0.2.1:25".parse().unwrap(),
        },
        is_continued: false,
        transcript: Transcript::default(),
    };
    let pause = Pause {
        cause: message.id,
        others: 0,
        times: 1,
        ago: seconds(5),
        took: seconds(1),
        end: PauseEnd::Resumed,
    };
    attempt.pauses = vec![pause];
    attempt.dialogues = vec![
        (seconds(9), dialogue("mx1.b.example")),
        (seconds(3), dialogue("mx2.b.example")),
    ];
    let plan = settle(1, &message, &delivery, &attempt);
    let told = plan.trail.iter().map(|entry| {
        let what = match &entry.event {
            Event::Dialogue(Dialogue {
                with: Party::Host { name, .. },
                ..
            }) => name,
            Event::Paused { .. } => "paused",
            Event::Attempted { .. } => "attempted",
            other => panic!("{other:?}"),
        };
        (what.to_owned(), entry.at)
    });
    let told: Vec<_> = told.collect();
    let ended = told[3].1;
    for (told, (what, ago)) in told.iter().zip([
        ("mx1.b.example", 9),
        ("paused", 5),
        ("mx2.b.example", 3),
        ("attempted", 0),
    ]) {
        assert_eq!(*told, (what.to_owned(), ended.minus(seconds(ago))));
    }
    assert_eq!(told.len(), 4);
}
