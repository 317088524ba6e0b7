//! What the scheduler decides, one case at a time, and beside a scheduler that looks at everything.

#![allow(clippy::unwrap_used)]

mod rerouted;

use proptest::prelude::*;

use super::*;
use crate::spool::Head;

fn line(lane: u8, class: Class, user: u8) -> Line {
    Line {
        next_hop: NextHop::Domain(format!("{lane}.example").into()),
        class,
        user: format!("user{user}").into(),
    }
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(milliseconds)
}

fn change(line: &Line, head: Option<(u64, u64)>) -> LineChange {
    LineChange {
        line: Arc::new(line.clone()),
        head: head.map(|(due, sequence)| Head {
            due: at(due),
            sequence,
        }),
    }
}

/// A host that lets nobody in.
fn answer() -> Option<Arc<Answer>> {
    let reply = outpost_smtp::Reply::new(421, (4, 3, 2), "Busy");
    Some(Arc::new(Answer {
        host: None,
        outcome: crate::message::Outcome::Deferred(reply),
        is_remote: true,
    }))
}

/// One delivery at a time; no place is kept for anybody.
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

fn scheduler(simultaneous_max: usize, per_next_hop_max: usize) -> Scheduler {
    Scheduler::new(Limits {
        simultaneous_max,
        per_next_hop_max,
        ..limits()
    })
}

#[test]
fn a_paced_lane_opens_in_time_and_delays_only_itself() {
    let mut scheduler = Scheduler::new(Limits {
        simultaneous_max: 10,
        per_next_hop_max: 10,
        per_next_hop_interval: Duration::from_millis(100),
        ..limits()
    });
    let (paced, other) = (line(1, Class::VeryHigh, 1), line(2, Class::VeryLow, 1));
    scheduler.update(change(&paced, Some((1, 1))));
    scheduler.update(change(&other, Some((1, 2))));
    assert_eq!(*scheduler.next(at(5)).unwrap(), paced);
    scheduler.started(&paced, at(1), at(5));
    assert_eq!(*scheduler.next(at(5)).unwrap(), other);
    scheduler.update(change(&other, None));
    // That the delivery ends opens nothing.
    scheduler.finished(&paced, None, at(6));
    assert_eq!(scheduler.next(at(104)), None);
    assert_eq!(scheduler.next_due(), Some(at(105)));
    assert_eq!(*scheduler.next(at(105)).unwrap(), paced);
    // A lane without mail is forgotten when its time has come, and not before.
    scheduler.started(&paced, at(1), at(105));
    scheduler.update(change(&paced, None));
    scheduler.finished(&paced, None, at(106));
    assert_eq!(scheduler.lanes.len(), 1);
    assert_eq!(scheduler.next(at(205)), None);
    assert!(scheduler.lanes.is_empty() && scheduler.paced.is_empty());
}

#[test]
fn a_lane_that_gave_way_is_closed_until_then_and_delays_only_itself() {
    let mut scheduler = scheduler(10, 10);
    let (full, other) = (line(1, Class::VeryHigh, 1), line(2, Class::VeryLow, 1));
    scheduler.update(change(&full, Some((1, 1))));
    for _ in 0..2 {
        assert_eq!(*scheduler.next(at(5)).unwrap(), full);
        scheduler.started(&full, at(1), at(5));
    }
    scheduler.update(change(&other, Some((1, 2))));
    // The rest does not grow with those who give way.
    scheduler.gave_way(&full, at(1_100));
    scheduler.gave_way(&full, at(1_150));
    assert_eq!(scheduler.active(), 0);
    assert_eq!(*scheduler.next(at(1_099)).unwrap(), other);
    scheduler.update(change(&other, None));
    assert_eq!(scheduler.next_due(), Some(at(1_100)));
    assert_eq!(*scheduler.next(at(1_100)).unwrap(), full);
    scheduler.update(change(&full, None));
    assert_eq!(scheduler.next(at(1_100)), None);
    assert!(scheduler.lanes.is_empty() && scheduler.resting.is_empty());
}

#[test]
fn a_lane_that_gave_way_goes_on_with_as_many_as_had_room() {
    let mut scheduler = scheduler(10, 10);
    let full = line(1, Class::Normal, 1);
    scheduler.update(change(&full, Some((1, 1))));
    for _ in 0..4 {
        assert_eq!(*scheduler.next(at(5)).unwrap(), full);
        scheduler.started(&full, at(1), at(5));
    }
    scheduler.gave_way(&full, at(1_100));
    scheduler.gave_way(&full, at(1_100));
    // Where two had room, one that ends makes it for another one.
    for now in [10, 20, 30] {
        assert_eq!(scheduler.next(at(now)), None);
        scheduler.finished(&full, None, at(now));
        assert_eq!(*scheduler.next(at(now)).unwrap(), full);
        scheduler.started(&full, at(1), at(now));
    }
    assert_eq!(scheduler.next(at(1_099)), None);
    assert_eq!(*scheduler.next(at(1_100)).unwrap(), full);
}

#[test]
fn a_lane_that_gave_way_with_one_class_is_open_for_what_is_more_urgent() {
    let mut scheduler = scheduler(10, 10);
    let [high, normal, low] = [Class::High, Class::Normal, Class::Low].map(|of| line(1, of, 1));
    for (line, sequence) in [(&low, 1), (&normal, 2), (&high, 3)] {
        scheduler.started(line, at(1), at(5));
        scheduler.update(change(line, Some((1, sequence))));
    }
    scheduler.gave_way(&low, at(1_300));
    assert_eq!(*scheduler.next(at(6)).unwrap(), high);
    scheduler.gave_way(&high, at(1_100));
    scheduler.gave_way(&normal, at(1_200));
    scheduler.update(change(&high, None));
    assert_eq!(scheduler.next(at(6)), None, "nor what is between the two");
    scheduler.update(change(&high, Some((1, 3))));
    assert_eq!(*scheduler.next(at(1_100)).unwrap(), high);
}

#[test]
fn what_was_closed_before_the_clock_was_set_back_opens_behind_what_was_closed_since() {
    let mut scheduler = scheduler(10, 10);
    let lines = [line(1, Class::Normal, 1), line(2, Class::Normal, 1)];
    for line in &lines {
        scheduler.update(change(line, Some((1, 1))));
        assert_eq!(*scheduler.next(at(1_000_000)).unwrap(), *line);
        scheduler.started(line, at(1), at(1_000_000));
        scheduler.update(change(line, None));
    }
    scheduler.gave_way(&lines[0], at(1_001_000));
    scheduler.gave_way(&lines[1], at(501_000));
    scheduler.update(change(&lines[0], Some((1, 1))));
    assert_eq!(*scheduler.next(at(500_001)).unwrap(), lines[0]);
}

#[test]
fn what_is_told_waits_for_no_pace_and_a_wish_ends_it() {
    let mut scheduler = Scheduler::new(Limits {
        simultaneous_max: 10,
        per_next_hop_max: 10,
        per_next_hop_interval: Duration::from_secs(1),
        classes: ClassRule::Strict,
        ..limits()
    });
    let (down, fresh) = (line(1, Class::Normal, 1), line(1, Class::Low, 1));
    let mut now = 1_000_000;
    scheduler.update(change(&down, Some((1, 1))));
    scheduler.update(change(&fresh, Some((now, 2))));
    while scheduler.unreachable() == 0 {
        now += 1_000;
        scheduler.next(at(now)).unwrap();
        scheduler.started(&down, at(1), at(now));
        scheduler.finished(&down, answer(), at(now));
    }
    now += 1_000;
    assert_eq!(*scheduler.next(at(now)).unwrap(), down);
    assert_eq!(scheduler.started(&down, at(1), at(now)), None);
    scheduler.finished(&down, answer(), at(now));
    assert_eq!(scheduler.unreachable(), 1);
    let tell = |scheduler: &mut Scheduler| {
        assert_eq!(*scheduler.next(at(now)).unwrap(), down);
        let told = scheduler.started(&down, at(1), at(now));
        assert_eq!(told, answer());
        told
    };
    for _ in 0..3 {
        let told = tell(&mut scheduler);
        scheduler.finished(&down, told, at(now));
    }
    // Somebody wants it to be tried now; that one is told meanwhile says nothing of the trial.
    let told = tell(&mut scheduler);
    scheduler.try_shut();
    assert_eq!(
        scheduler.next(at(now + 1_000)),
        None,
        "the trial goes alone"
    );
    scheduler.finished(&down, told, at(now + 1_000));
    assert_eq!(*scheduler.next(at(now + 1_000)).unwrap(), down);
    let answer = scheduler.started(&down, at(1), at(now + 1_000));
    assert_eq!((answer, scheduler.unreachable()), (None, 1));
    scheduler.finished(&down, None, at(now + 1_000));
    assert_eq!(scheduler.unreachable(), 0);
}

#[test]
fn the_most_urgent_class_goes_first_and_then_the_earlier_due() {
    let mut scheduler = scheduler(10, 10);
    let (low, high, higher) = (
        line(1, Class::Low, 1),
        line(2, Class::High, 1),
        line(3, Class::High, 2),
    );
    scheduler.update(change(&low, Some((1, 1))));
    scheduler.update(change(&high, Some((3, 2))));
    scheduler.update(change(&higher, Some((2, 3))));
    for expected in [&higher, &high, &low] {
        let next = scheduler.next(at(5)).unwrap();
        assert_eq!(*next, *expected);
        scheduler.update(change(expected, None));
    }
    assert_eq!(scheduler.next(at(5)), None);
}

#[test]
fn what_is_not_due_waits_and_says_when() {
    let mut scheduler = scheduler(10, 10);
    scheduler.update(change(&line(1, Class::VeryHigh, 1), Some((500, 1))));
    scheduler.update(change(&line(1, Class::Normal, 1), Some((100, 2))));
    assert_eq!(scheduler.next(at(99)), None);
    assert_eq!(scheduler.next_due(), Some(at(100)));
    assert_eq!(scheduler.next(at(100)).unwrap().class, Class::Normal);
    assert_eq!(scheduler.next_due(), Some(at(500)));
}

#[test]
fn a_full_lane_delays_only_itself_and_a_finished_delivery_makes_room() {
    let mut scheduler = scheduler(10, 1);
    let (urgent, other) = (line(1, Class::VeryHigh, 1), line(2, Class::VeryLow, 1));
    scheduler.update(change(&urgent, Some((1, 1))));
    scheduler.update(change(&other, Some((1, 2))));
    scheduler.started(&urgent, at(1), at(5));
    assert_eq!(*scheduler.next(at(5)).unwrap(), other);
    assert_eq!(scheduler.next_due(), None, "a full lane needs no timer");
    scheduler.finished(&urgent, None, at(5));
    assert_eq!(*scheduler.next(at(5)).unwrap(), urgent);
}

#[test]
fn nothing_starts_beyond_the_limit_over_all_lanes() {
    let mut scheduler = scheduler(2, 2);
    for lane in 1..=3 {
        scheduler.update(change(
            &line(lane, Class::Normal, 1),
            Some((1, lane.into())),
        ));
    }
    scheduler.started(&line(1, Class::Normal, 1), at(1), at(5));
    scheduler.started(&line(2, Class::Normal, 1), at(1), at(5));
    assert_eq!(scheduler.next(at(5)), None);
    scheduler.finished(&line(2, Class::Normal, 1), None, at(5));
    assert!(scheduler.next(at(5)).is_some());
}

#[test]
fn lanes_and_lines_without_mail_are_forgotten() {
    let mut scheduler = scheduler(10, 10);
    for lane in 0..=255 {
        let line = line(lane, Class::Normal, lane);
        scheduler.update(change(&line, Some((1, 1))));
        scheduler.next(at(5)).unwrap();
        scheduler.started(&line, at(1), at(5));
        scheduler.update(change(&line, None));
        scheduler.finished(&line, None, at(5));
        assert_eq!(scheduler.next(at(5)), None);
        assert!(scheduler.lanes.is_empty() && scheduler.idle.is_empty());
    }
    assert!(scheduler.lanes.is_empty() && scheduler.lines.is_empty());
    assert!(scheduler.waiting.is_empty());
    assert!(scheduler.ready.iter().all(Ready::is_empty));
}

#[test]
fn a_lane_whose_next_hop_is_never_reached_is_shut_and_tried_now_and_then() {
    let mut scheduler = scheduler(10, 3);
    let (down, up) = (line(1, Class::VeryHigh, 1), line(2, Class::VeryLow, 1));
    scheduler.update(change(&down, Some((1, 1))));
    let mut now = 100_000;
    let mut misses = 0;
    while scheduler.unreachable() == 0 {
        assert_eq!(*scheduler.next(at(now)).unwrap(), down);
        scheduler.started(&down, at(1), at(0));
        misses += 1;
        let turn = scheduler.finished(&down, answer(), at(now));
        assert_eq!(
            turn.is_some(),
            scheduler.unreachable() == 1,
            "after {misses}"
        );
    }
    scheduler.update(change(&up, Some((2, 2))));
    assert_eq!(*scheduler.next(at(now)).unwrap(), up, "others go on");
    scheduler.update(change(&up, None));
    assert_eq!(scheduler.next(at(now)), None);

    // One goes at the end of the wait, and no second beside it.
    now += 1_000;
    assert_eq!(scheduler.next_due(), Some(at(now)));
    assert_eq!(*scheduler.next(at(now)).unwrap(), down);
    scheduler.started(&down, at(1), at(0));
    assert_eq!(scheduler.next(at(now)), None);
    assert_eq!(scheduler.next_due(), None);
    assert_eq!(scheduler.finished(&down, answer(), at(now)), None);
    assert_eq!(scheduler.next_due(), Some(at(now + 2_000)));

    // What is overdue behind the next trial is told, and the wait begins when all are.
    let overdue = line(1, Class::VeryLow, 7);
    scheduler.update(change(&down, Some((now, 3))));
    scheduler.update(change(&overdue, Some((1, 4))));
    now += 400_000;
    scheduler.update(change(&down, Some((now, 3))));
    assert_eq!(*scheduler.next(at(now)).unwrap(), down);
    assert_eq!(scheduler.started(&down, at(now), at(now)), None);
    assert_eq!(scheduler.next(at(now)), None, "the trial goes alone");
    scheduler.finished(&down, answer(), at(now));
    for _ in 0..3 {
        assert_eq!(*scheduler.next(at(now)).unwrap(), overdue);
        let told = scheduler.started(&down, at(1), at(now));
        assert_eq!(told, answer());
    }
    assert_eq!(scheduler.next(at(now)), None, "the limit of the lane");
    scheduler.update(change(&overdue, None));
    for _ in 0..3 {
        scheduler.finished(&down, answer(), at(now));
    }
    assert_eq!(scheduler.next_due(), Some(at(now + 4_000)));

    // The clock is put back by more than any wait: it is tried at once, not in a while.
    assert_eq!(*scheduler.next(at(5)).unwrap(), down);
    scheduler.started(&down, at(1), at(0));
    let turn = scheduler.finished(&down, None, at(5));
    assert_eq!(turn, Some(Turn::Open));
    for _ in 0..3 {
        assert_eq!(*scheduler.next(at(5)).unwrap(), down);
        scheduler.started(&down, at(1), at(0));
    }
    assert_eq!(scheduler.next(at(5)), None, "the limit of the lane");
}

#[test]
fn a_shut_lane_without_mail_is_forgotten_when_its_wait_is_over() {
    let mut scheduler = scheduler(10, 3);
    let line = line(1, Class::Normal, 1);
    scheduler.update(change(&line, Some((1, 1))));
    while scheduler.unreachable() == 0 {
        scheduler.next(at(10)).unwrap();
        scheduler.started(&line, at(1), at(0));
        scheduler.finished(&line, answer(), at(10));
    }
    // What comes in one by one waits for the trial too.
    scheduler.update(change(&line, None));
    assert_eq!(scheduler.next(at(10)), None);
    scheduler.update(change(&line, Some((20, 2))));
    assert_eq!(scheduler.next(at(20)), None);
    scheduler.update(change(&line, None));
    assert_eq!(scheduler.next(at(1_009)), None);
    assert_eq!(scheduler.next_due(), Some(at(1_010)));
    assert_eq!(
        (scheduler.next(at(1_010)), scheduler.unreachable()),
        (None, 0)
    );
    assert!(scheduler.lanes.is_empty() && scheduler.shut.is_empty());
    assert_eq!(scheduler.next_due(), None);
}

#[test]
fn a_lane_to_which_mail_comes_one_by_one_is_shut_as_well() {
    let mut scheduler = scheduler(10, 3);
    let line = line(1, Class::Normal, 1);
    let mut misses = 0;
    let mut miss = |scheduler: &mut Scheduler, now: u64| {
        misses += 1;
        scheduler.update(change(&line, Some((now, misses))));
        assert_eq!(*scheduler.next(at(now)).unwrap(), line);
        scheduler.started(&line, at(now), at(now));
        scheduler.update(change(&line, None));
        scheduler.finished(&line, answer(), at(now));
        assert_eq!(scheduler.next(at(now)), None);
        scheduler.unreachable() == 1
    };
    // Few are tried on their schedule, for as long as it takes, and it is forgotten in between.
    for one in 1..=100 {
        assert!(!miss(&mut scheduler, one * 1_000));
        assert_eq!(scheduler.lanes.len(), 1);
        assert_eq!(scheduler.next_due(), None, "nothing wakes for that");
        assert_eq!(scheduler.next(at(one * 1_000 + 1_000)), None);
        assert!(scheduler.lanes.is_empty() && scheduler.remembered.is_empty());
    }
    let mut now = 1_000_000;
    for one in 1..=20 {
        now += 999;
        assert_eq!(miss(&mut scheduler, now), one == 20, "{one}");
    }
    assert!(scheduler.remembered.is_empty());
    assert_eq!(scheduler.next_due(), Some(at(now + 1_000)));
}

#[test]
fn a_full_house_of_others_leaves_room_for_very_high() {
    let mut scheduler = Scheduler::new(Limits {
        simultaneous_max: 10,
        per_next_hop_max: 4,
        very_high_slots: 1,
        very_high_slots_per_next_hop: 1,
        ..limits()
    });
    for lane in 1..=4 {
        scheduler.update(change(
            &line(lane, Class::Normal, 1),
            Some((1, lane.into())),
        ));
    }
    let mut started = 0;
    while let Some(next) = scheduler.next(at(5)) {
        scheduler.started(&next, at(1), at(5));
        started += 1;
    }
    assert_eq!(started, 9, "three in each of three lanes");
    let urgent = line(1, Class::VeryHigh, 1);
    scheduler.update(change(&urgent, Some((5, 9))));
    assert_eq!(*scheduler.next(at(5)).unwrap(), urgent);
    scheduler.started(&urgent, at(5), at(5));
    assert_eq!(scheduler.next(at(5)), None);
    assert_eq!(scheduler.active(), 10);
}

#[test]
fn while_others_are_held_only_very_high_starts() {
    let mut scheduler = scheduler(10, 10);
    let (high, urgent) = (line(1, Class::High, 1), line(2, Class::VeryHigh, 1));
    scheduler.update(change(&high, Some((1, 1))));
    scheduler.hold_below(true);
    assert_eq!(scheduler.next(at(5)), None);
    scheduler.update(change(&urgent, Some((2, 2))));
    assert_eq!(*scheduler.next(at(5)).unwrap(), urgent);
    scheduler.update(change(&urgent, None));
    scheduler.hold_below(false);
    assert_eq!(*scheduler.next(at(5)).unwrap(), high);
}

#[test]
fn very_high_goes_by_acceptance_whoever_sends_it() {
    let mut scheduler = scheduler(100, 100);
    let lines: Vec<Line> = (0..4)
        .map(|user| line(user, Class::VeryHigh, user))
        .collect();
    let mut waiting: Vec<u64> = vec![3, 1, 2, 4];
    for (line, sequence) in lines.iter().zip(&waiting) {
        scheduler.update(change(line, Some((1, *sequence))));
    }
    waiting.sort_unstable();
    for sequence in waiting {
        let next = scheduler.next(at(5)).unwrap();
        let user = [3, 1, 2, 4].iter().position(|it| *it == sequence).unwrap();
        assert_eq!(*next, lines[user]);
        scheduler.started(&next, at(1), at(5));
        scheduler.update(change(&next, None));
    }
}

#[test]
fn a_backlog_of_one_user_does_not_delay_another_one_beyond_its_turn() {
    let mut scheduler = scheduler(1_000, 1_000);
    let bulk = line(1, Class::Normal, 1);
    scheduler.update(change(&bulk, Some((1, 1))));
    for _ in 0..500 {
        scheduler.started(&bulk, at(1), at(5));
    }
    // Accepted long after the backlog, in a lane of its own or in the same one.
    for single in [line(2, Class::Normal, 2), line(1, Class::Normal, 3)] {
        scheduler.update(change(&single, Some((4, 20_000))));
        assert_eq!(*scheduler.next(at(5)).unwrap(), single);
        scheduler.started(&single, at(4), at(5));
        scheduler.update(change(&single, None));
        assert_eq!(*scheduler.next(at(5)).unwrap(), bulk);
        scheduler.started(&bulk, at(1), at(5));
    }
}

#[test]
fn under_load_each_class_keeps_its_share_and_the_last_is_never_starved() {
    let mut scheduler = scheduler(1, 1);
    let lines = Class::ALL.map(|class| line(1, class, 1));
    for line in &lines[1..] {
        scheduler.update(change(line, Some((1, line.class.number().into()))));
    }
    let mut served = [0; 5];
    for _ in 0..1_500 {
        let next = scheduler.next(at(5)).unwrap();
        scheduler.started(&next, at(1), at(5));
        scheduler.finished(&next, None, at(5));
        served[next.class.index()] += 1;
    }
    assert_eq!(served, [0, 800, 400, 200, 100]);
}

/// The same decisions, made by looking at everything.
struct Naive {
    limits: Limits,
    order: Order,
    heads: Vec<(Line, Place)>,
    active: Vec<Line>,
    is_held: bool,
}

impl Naive {
    fn has_room(&self, line: &Line, in_lane: bool) -> bool {
        let (max, kept) = match in_lane {
            true => (
                self.limits.per_next_hop_max,
                self.limits.very_high_slots_per_next_hop,
            ),
            false => (self.limits.simultaneous_max, self.limits.very_high_slots),
        };
        let among = |active: &&Line| !in_lane || active.next_hop == line.next_hop;
        let all = self.active.iter().filter(among);
        let below = all.clone().filter(|active| active.class != Class::VeryHigh);
        all.count() < max
            && (line.class == Class::VeryHigh || below.count() < max.saturating_sub(kept))
    }

    fn next(&self, now: Timestamp) -> Option<Line> {
        let can_go = |line: &Line| {
            (line.class == Class::VeryHigh || !self.is_held)
                && self.has_room(line, false)
                && self.has_room(line, true)
        };
        let ready = self
            .heads
            .iter()
            .filter(|(line, place)| place.due <= now && can_go(line));
        let ready: Vec<_> = ready.collect();
        let class = self
            .order
            .choose(|class| ready.iter().any(|(line, _)| line.class == class))?;
        let of_class = ready.into_iter().filter(|(line, _)| line.class == class);
        let first =
            of_class.min_by_key(|(line, place)| (self.order.rank(line, *place), line.clone()));
        first.map(|(line, _)| line.clone())
    }

    fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.heads.iter().map(|(_, place)| place.due);
        due.filter(|due| *due > now).min()
    }
}

/// How long a thousand deliveries take to start, one after the other, with a line in each of so many lanes.
fn thousand_starts(lanes: u16, user: impl Fn(u16) -> String) -> Duration {
    let mut scheduler = scheduler(10, 10);
    for lane in 0..lanes {
        let line = Line {
            next_hop: NextHop::Domain(format!("{lane}.example").into()),
            class: Class::Normal,
            user: user(lane).into(),
        };
        scheduler.update(change(&line, Some((1, lane.into()))));
    }
    scheduler.next(at(1));
    let began = std::time::Instant::now();
    for _ in 0..1_000 {
        let line = scheduler.next(at(1)).unwrap();
        scheduler.started(&line, at(1), at(1));
        scheduler.update(change(&line, None));
        scheduler.finished(&line, None, at(1));
    }
    began.elapsed()
}

#[test]
fn a_user_with_lines_in_thousands_of_lanes_costs_no_more_than_thousands_of_users() {
    // It takes less; a machine may be busy with something else in one of the two.
    let (one, many) = (
        thousand_starts(5_000, |_| "news".to_owned()),
        thousand_starts(5_000, |lane| lane.to_string()),
    );
    assert!(one < 10 * many, "{one:?}, and with many {many:?}");
}

#[derive(Clone, Debug)]
enum Step {
    Head {
        lane: u8,
        class: Class,
        user: u8,
        head: Option<u64>,
    },
    Claim {
        then: Option<u64>,
    },
    Finish {
        which: prop::sample::Index,
    },
    Hold(bool),
    Pass {
        milliseconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop::sample::select(Class::ALL.to_vec());
    prop_oneof![
        3 => (0..4u8, class, 0..3u8, prop::option::weighted(0.8, 0..200u64))
            .prop_map(|(lane, class, user, head)| Step::Head { lane, class, user, head }),
        4 => prop::option::weighted(0.7, 0..200u64).prop_map(|then| Step::Claim { then }),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Finish { which }),
        1 => any::<bool>().prop_map(Step::Hold),
        1 => (0..40u64).prop_map(|milliseconds| Step::Pass { milliseconds }),
    ]
}

proptest! {
    #[test]
    fn decides_as_looking_at_everything_would(
        (simultaneous_max, per_next_hop_max) in (1..6usize, 1..4usize),
        (very_high_slots, very_high_slots_per_next_hop) in (0..3usize, 0..2usize),
        (is_strict, offered_max) in (any::<bool>(), 0..4usize),
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let limits = Limits {
            simultaneous_max,
            per_next_hop_max,
            very_high_slots,
            very_high_slots_per_next_hop,
            per_next_hop_interval: Duration::ZERO,
            classes: if is_strict { ClassRule::Strict } else { ClassRule::default() },
        };
        let mut scheduler = Scheduler::new(limits);
        // All lines of a lane are ready, or one, or now these and then that.
        scheduler.offered_max = offered_max;
        let order = Order::new(limits.classes);
        let mut naive = Naive { limits, order, heads: Vec::new(), active: Vec::new(), is_held: false };
        let mut now = 0;
        let mut sequence = 0;
        let mut set = |scheduler: &mut Scheduler, naive: &mut Naive, line: &Line, due: Option<u64>| {
            sequence += 1;
            let new = change(line, due.map(|due| (due, sequence)));
            naive.heads.retain(|(known, _)| known != line);
            naive.heads.extend(new.head.map(|head| (line.clone(), head.into())));
            scheduler.update(new);
        };
        for step in steps {
            match step {
                Step::Head { lane, class, user, head } => {
                    set(&mut scheduler, &mut naive, &line(lane, class, user), head);
                }
                Step::Claim { then } => {
                    let next = scheduler.next(at(now)).map(|line| (*line).clone());
                    prop_assert_eq!(&next, &naive.next(at(now)));
                    prop_assert_eq!(scheduler.next_due(), naive.next_due(at(now)));
                    if let Some(line) = next {
                        scheduler.started(&line, at(1), at(now));
                        naive.order.serve(&line);
                        naive.active.push(line.clone());
                        set(&mut scheduler, &mut naive, &line, then);
                    }
                }
                Step::Finish { which } if !naive.active.is_empty() => {
                    let line = naive.active.swap_remove(which.index(naive.active.len()));
                    scheduler.finished(&line, None, at(now));
                }
                Step::Hold(is_held) => {
                    naive.is_held = is_held;
                    scheduler.hold_below(is_held);
                }
                Step::Finish { .. } => {}
                Step::Pass { milliseconds } => now += milliseconds,
            }
            prop_assert_eq!(scheduler.active(), naive.active.len());
        }
    }
}
