//! The forecast beside the real scheduler.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::message::{Class, ClassRule, NextHop};
use crate::queue::scheduler::Limits;
use crate::spool::LineChange;

/// What waits: by line, in its order.
type Mail = BTreeMap<Line, VecDeque<Head>>;

/// What started, in order.
type Started = Vec<(Line, u64)>;

const START: u64 = 1_000_000;

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(START + milliseconds)
}

fn limits() -> Limits {
    Limits {
        simultaneous_max: 1,
        per_next_hop_max: 1,
        very_high_slots: 0,
        very_high_slots_per_next_hop: 0,
        per_next_hop_interval: Duration::ZERO,
        classes: ClassRule::default(),
    }
}

/// Deliveries in few lanes, of few users; those of one line in order.
fn mail(due_max: u64) -> impl Strategy<Value = Mail> {
    let one = (0..4u8, 1..=5u8, 0..3u8, 0..=due_max);
    prop::collection::vec(one, 1..120).prop_map(|all| {
        let mut mail = Mail::new();
        for (sequence, (lane, class, user, due)) in (0..).zip(all) {
            let line = Line {
                next_hop: NextHop::Domain(format!("{lane}.example").into()),
                class: Class::from_number(class).unwrap(),
                user: format!("user{user}").into(),
            };
            let due = at(due);
            mail.entry(line)
                .or_default()
                .push_back(Head { due, sequence });
        }
        for line in mail.values_mut() {
            line.make_contiguous().sort();
        }
        mail
    })
}

fn told(scheduler: &mut Scheduler, line: &Line, head: Option<Head>) {
    let line = Arc::new(line.clone());
    scheduler.update(LineChange { line, head });
}

fn scheduler(limits: Limits, mail: &Mail) -> Scheduler {
    let mut scheduler = Scheduler::new(limits);
    for (line, heads) in mail {
        told(&mut scheduler, line, heads.front().copied());
    }
    scheduler
}

/// The real scheduler starts one, which ends after some time: as the driver does it.
fn step(
    scheduler: &mut Scheduler,
    mail: &mut Mail,
    now: &mut Timestamp,
    takes: Duration,
) -> Option<(Line, u64)> {
    loop {
        let Some(line) = scheduler.next(*now) else {
            *now = scheduler.next_due()?;
            continue;
        };
        let heads = mail.get_mut(&line).unwrap();
        let head = heads.pop_front().unwrap();
        assert!(head.due <= *now);
        told(scheduler, &line, heads.front().copied());
        scheduler.started(&line, head.due, *now);
        *now = now.plus(takes);
        scheduler.finished(&line, None, *now);
        return Some(((*line).clone(), head.sequence));
    }
}

fn forecast(scheduler: &Scheduler, mail: &Mail, now: Timestamp) -> Started {
    let heads = mail.iter().filter_map(|(line, heads)| {
        let head = heads.front()?;
        Some((Arc::new(line.clone()), *head))
    });
    let mut forecast = Forecast::new(&scheduler.situation(), heads, now);
    let mut mail = mail.clone();
    let mut started = Started::new();
    let mut before = now;
    while let Some((line, soonest)) = forecast.next() {
        assert!(soonest >= before);
        before = soonest;
        let heads = mail.get_mut(&line).unwrap();
        let head = heads.pop_front().unwrap();
        forecast.started(&line, head.due, heads.front().copied());
        started.push(((*line).clone(), head.sequence));
    }
    started
}

fn count(mail: &Mail) -> usize {
    mail.values().map(VecDeque::len).sum()
}

/// So many start before somebody asks; then the forecast is what happens.
fn check(limits: Limits, mut mail: Mail, served: usize, takes: Duration) {
    let mut real = scheduler(limits, &mail);
    let mut now = at(0);
    for _ in 0..served {
        step(&mut real, &mut mail, &mut now, takes);
    }
    let expected = forecast(&real, &mail, now);
    assert_eq!(expected.len(), count(&mail), "each is told once");
    let mut happened = Started::new();
    while let Some(one) = step(&mut real, &mut mail, &mut now, takes) {
        happened.push(one);
    }
    assert_eq!(expected, happened);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_a_quiet_relay_with_one_slot_mail_leaves_in_the_order_that_is_forecast(
        mail in mail(0), served in 0..60usize, strict in any::<bool>(),
    ) {
        let classes = if strict { ClassRule::Strict } else { ClassRule::default() };
        check(Limits { classes, ..limits() }, mail, served, Duration::from_millis(7));
    }

    #[test]
    fn mail_that_is_not_due_yet_comes_when_it_is_and_a_paced_lane_when_it_opens(
        mail in mail(5_000), served in 0..60usize, interval in 0..400u64,
    ) {
        let limits = Limits {
            per_next_hop_interval: Duration::from_millis(interval),
            ..limits()
        };
        check(limits, mail, served, Duration::ZERO);
    }
}

#[test]
fn a_lane_that_is_shut_comes_at_its_next_trial_and_all_of_it_then() {
    let one = |lane: &str, sequence| {
        let line = Line {
            next_hop: NextHop::Domain(lane.into()),
            class: Class::High,
            user: "user".into(),
        };
        let heads = (sequence..sequence + 2).map(|sequence| Head {
            due: at(0),
            sequence,
        });
        (line, heads.collect::<VecDeque<_>>())
    };
    let later = (
        one("later.example", 9).0,
        VecDeque::from([Head {
            due: at(60_000),
            sequence: 9,
        }]),
    );
    let mail = Mail::from([one("down.example", 1), one("up.example", 3), later]);
    let down = one("down.example", 1).0;
    let mut real = scheduler(limits(), &mail);
    let answer = Arc::new(crate::queue::reach::Answer {
        host: None,
        outcome: crate::message::Outcome::Deferred(outpost_smtp::Reply::new(
            421,
            (4, 4, 1),
            "Nobody answers",
        )),
        is_remote: false,
    });
    for _ in 0..20 {
        real.next(at(0));
        real.started(&down, at(0), at(0));
        // Each learns it anew.
        real.finished(&down, Some(Arc::new((*answer).clone())), at(0));
    }
    assert_eq!(real.unreachable(), 1);
    let order: Vec<u64> = forecast(&real, &mail, at(1))
        .into_iter()
        .map(|(_, sequence)| sequence)
        .collect();
    assert_eq!(order, [3, 4, 1, 2, 9]);
}
