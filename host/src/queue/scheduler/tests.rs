//! What the scheduler decides, one case at a time, and beside a scheduler that looks at everything.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::spool::Head;

fn line(lane: u8, class: Class, user: u8) -> Line {
    Line {
        next_hop: NextHop::Domain(format!("{lane}.example")),
        class,
        user: format!("user{user}"),
    }
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(milliseconds)
}

fn change(line: &Line, head: Option<(u64, u64)>) -> LineChange {
    LineChange {
        line: line.clone(),
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

fn scheduler(simultaneous_max: usize, per_next_hop_max: usize) -> Scheduler {
    Scheduler::new(Limits {
        simultaneous_max,
        per_next_hop_max,
        per_next_hop_interval: Duration::ZERO,
    })
}

#[test]
fn a_paced_lane_opens_in_time_and_delays_only_itself() {
    let mut scheduler = Scheduler::new(Limits {
        simultaneous_max: 10,
        per_next_hop_max: 10,
        per_next_hop_interval: Duration::from_millis(100),
    });
    let (paced, other) = (line(1, Class::VeryHigh, 1), line(2, Class::VeryLow, 1));
    scheduler.update(change(&paced, Some((1, 1))));
    scheduler.update(change(&other, Some((1, 2))));
    assert_eq!(*scheduler.next(at(5)).unwrap(), paced);
    scheduler.started(&paced.next_hop, at(1), at(5));
    assert_eq!(*scheduler.next(at(5)).unwrap(), other);
    scheduler.update(change(&other, None));
    // That the delivery ends opens nothing.
    scheduler.finished(&paced.next_hop, None, at(6));
    assert_eq!(scheduler.next(at(104)), None);
    assert_eq!(scheduler.next_due(), Some(at(105)));
    assert_eq!(*scheduler.next(at(105)).unwrap(), paced);
    // A lane without mail is forgotten when its time has come, and not before.
    scheduler.started(&paced.next_hop, at(1), at(105));
    scheduler.update(change(&paced, None));
    scheduler.finished(&paced.next_hop, None, at(106));
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
        scheduler.started(&full.next_hop, at(1), at(5));
    }
    scheduler.update(change(&other, Some((1, 2))));
    // The rest does not grow with those who give way.
    scheduler.gave_way(&full.next_hop, at(1_100));
    scheduler.gave_way(&full.next_hop, at(1_150));
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
        scheduler.started(&full.next_hop, at(1), at(5));
    }
    scheduler.gave_way(&full.next_hop, at(1_100));
    scheduler.gave_way(&full.next_hop, at(1_100));
    // Where two had room, one that ends makes it for another one.
    for now in [10, 20, 30] {
        assert_eq!(scheduler.next(at(now)), None);
        scheduler.finished(&full.next_hop, None, at(now));
        assert_eq!(*scheduler.next(at(now)).unwrap(), full);
        scheduler.started(&full.next_hop, at(1), at(now));
    }
    assert_eq!(scheduler.next(at(1_099)), None);
    assert_eq!(*scheduler.next(at(1_100)).unwrap(), full);
}

#[test]
fn what_was_closed_before_the_clock_was_set_back_opens_behind_what_was_closed_since() {
    let mut scheduler = scheduler(10, 10);
    let lines = [line(1, Class::Normal, 1), line(2, Class::Normal, 1)];
    for line in &lines {
        scheduler.update(change(line, Some((1, 1))));
        assert_eq!(*scheduler.next(at(1_000_000)).unwrap(), *line);
        scheduler.started(&line.next_hop, at(1), at(1_000_000));
        scheduler.update(change(line, None));
    }
    scheduler.gave_way(&lines[0].next_hop, at(1_001_000));
    scheduler.gave_way(&lines[1].next_hop, at(501_000));
    scheduler.update(change(&lines[0], Some((1, 1))));
    assert_eq!(*scheduler.next(at(500_001)).unwrap(), lines[0]);
}

#[test]
fn what_is_told_waits_for_no_pace_and_a_wish_ends_it() {
    let mut scheduler = Scheduler::new(Limits {
        simultaneous_max: 10,
        per_next_hop_max: 10,
        per_next_hop_interval: Duration::from_secs(1),
    });
    let (down, fresh) = (line(1, Class::Normal, 1), line(1, Class::Low, 1));
    let mut now = 1_000_000;
    scheduler.update(change(&down, Some((1, 1))));
    scheduler.update(change(&fresh, Some((now, 2))));
    while scheduler.unreachable() == 0 {
        now += 1_000;
        scheduler.next(at(now)).unwrap();
        scheduler.started(&down.next_hop, at(1), at(now));
        scheduler.finished(&down.next_hop, answer(), at(now));
    }
    now += 1_000;
    assert_eq!(*scheduler.next(at(now)).unwrap(), down);
    assert_eq!(scheduler.started(&down.next_hop, at(1), at(now)), None);
    scheduler.finished(&down.next_hop, answer(), at(now));
    assert_eq!(scheduler.unreachable(), 1);
    let tell = |scheduler: &mut Scheduler| {
        assert_eq!(*scheduler.next(at(now)).unwrap(), down);
        let told = scheduler.started(&down.next_hop, at(1), at(now));
        assert_eq!(told, answer());
        told
    };
    for _ in 0..3 {
        let told = tell(&mut scheduler);
        scheduler.finished(&down.next_hop, told, at(now));
    }
    // Somebody wants it to be tried now; that one is told meanwhile says nothing of the trial.
    let told = tell(&mut scheduler);
    scheduler.try_shut();
    assert_eq!(
        scheduler.next(at(now + 1_000)),
        None,
        "the trial goes alone"
    );
    scheduler.finished(&down.next_hop, told, at(now + 1_000));
    assert_eq!(*scheduler.next(at(now + 1_000)).unwrap(), down);
    let answer = scheduler.started(&down.next_hop, at(1), at(now + 1_000));
    assert_eq!((answer, scheduler.unreachable()), (None, 1));
    scheduler.finished(&down.next_hop, None, at(now + 1_000));
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
    scheduler.started(&urgent.next_hop, at(1), at(5));
    assert_eq!(*scheduler.next(at(5)).unwrap(), other);
    assert_eq!(scheduler.next_due(), None, "a full lane needs no timer");
    scheduler.finished(&urgent.next_hop, None, at(5));
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
    scheduler.started(&line(1, Class::Normal, 1).next_hop, at(1), at(5));
    scheduler.started(&line(2, Class::Normal, 1).next_hop, at(1), at(5));
    assert_eq!(scheduler.next(at(5)), None);
    scheduler.finished(&line(2, Class::Normal, 1).next_hop, None, at(5));
    assert!(scheduler.next(at(5)).is_some());
}

#[test]
fn lanes_and_lines_without_mail_are_forgotten() {
    let mut scheduler = scheduler(10, 10);
    for lane in 0..=255 {
        let line = line(lane, Class::Normal, lane);
        scheduler.update(change(&line, Some((1, 1))));
        scheduler.next(at(5)).unwrap();
        scheduler.started(&line.next_hop, at(1), at(5));
        scheduler.update(change(&line, None));
        scheduler.finished(&line.next_hop, None, at(5));
        assert_eq!(scheduler.next(at(5)), None);
        assert!(scheduler.lanes.is_empty() && scheduler.idle.is_empty());
    }
    assert!(scheduler.lanes.is_empty() && scheduler.lines.is_empty());
    assert!(scheduler.waiting.is_empty());
    assert!(scheduler.ready.iter().all(BTreeSet::is_empty));
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
        scheduler.started(&down.next_hop, at(1), at(0));
        misses += 1;
        let turn = scheduler.finished(&down.next_hop, answer(), at(now));
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
    scheduler.started(&down.next_hop, at(1), at(0));
    assert_eq!(scheduler.next(at(now)), None);
    assert_eq!(scheduler.next_due(), None);
    assert_eq!(scheduler.finished(&down.next_hop, answer(), at(now)), None);
    assert_eq!(scheduler.next_due(), Some(at(now + 2_000)));

    // What is overdue behind the next trial is told, and the wait begins when all are.
    let overdue = line(1, Class::VeryLow, 7);
    scheduler.update(change(&down, Some((now, 3))));
    scheduler.update(change(&overdue, Some((1, 4))));
    now += 400_000;
    scheduler.update(change(&down, Some((now, 3))));
    assert_eq!(*scheduler.next(at(now)).unwrap(), down);
    assert_eq!(scheduler.started(&down.next_hop, at(now), at(now)), None);
    assert_eq!(scheduler.next(at(now)), None, "the trial goes alone");
    scheduler.finished(&down.next_hop, answer(), at(now));
    for _ in 0..3 {
        assert_eq!(*scheduler.next(at(now)).unwrap(), overdue);
        let told = scheduler.started(&down.next_hop, at(1), at(now));
        assert_eq!(told, answer());
    }
    assert_eq!(scheduler.next(at(now)), None, "the limit of the lane");
    scheduler.update(change(&overdue, None));
    for _ in 0..3 {
        scheduler.finished(&down.next_hop, answer(), at(now));
    }
    assert_eq!(scheduler.next_due(), Some(at(now + 4_000)));

    // The clock is put back by more than any wait: it is tried at once, not in a while.
    assert_eq!(*scheduler.next(at(5)).unwrap(), down);
    scheduler.started(&down.next_hop, at(1), at(0));
    let turn = scheduler.finished(&down.next_hop, None, at(5));
    assert_eq!(turn, Some(Turn::Open));
    for _ in 0..3 {
        assert_eq!(*scheduler.next(at(5)).unwrap(), down);
        scheduler.started(&down.next_hop, at(1), at(0));
    }
    assert_eq!(scheduler.next(at(5)), None, "the limit of the lane");
}

#[test]
fn a_shut_lane_without_mail_is_forgotten() {
    let mut scheduler = scheduler(10, 3);
    let line = line(1, Class::Normal, 1);
    scheduler.update(change(&line, Some((1, 1))));
    while scheduler.unreachable() == 0 {
        scheduler.next(at(10)).unwrap();
        scheduler.started(&line.next_hop, at(1), at(0));
        scheduler.finished(&line.next_hop, answer(), at(10));
    }
    scheduler.update(change(&line, None));
    assert_eq!(scheduler.next(at(10)), None);
    assert!(scheduler.lanes.is_empty() && scheduler.shut.is_empty());
    assert_eq!(scheduler.next_due(), None);
}

/// The same decisions, made by looking at everything.
struct Naive {
    limits: Limits,
    heads: Vec<(Line, Place)>,
    active: Vec<NextHop>,
}

impl Naive {
    fn next(&self, now: Timestamp) -> Option<Line> {
        if self.active.len() >= self.limits.simultaneous_max {
            return None;
        }
        let in_lane = |lane: &NextHop| self.active.iter().filter(|a| *a == lane).count();
        self.heads
            .iter()
            .filter(|(_, place)| place.due <= now)
            .filter(|(line, _)| in_lane(&line.next_hop) < self.limits.per_next_hop_max)
            .min_by_key(|(line, place)| (line.class, *place, line.clone()))
            .map(|(line, _)| line.clone())
    }

    fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.heads.iter().map(|(_, place)| place.due);
        due.filter(|due| *due > now).min()
    }
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
        1 => (0..40u64).prop_map(|milliseconds| Step::Pass { milliseconds }),
    ]
}

proptest! {
    #[test]
    fn decides_as_looking_at_everything_would(
        simultaneous_max in 1..6usize,
        per_next_hop_max in 1..4usize,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let per_next_hop_interval = Duration::ZERO;
        let limits = Limits { simultaneous_max, per_next_hop_max, per_next_hop_interval };
        let mut scheduler = Scheduler::new(limits);
        let mut naive = Naive { limits, heads: Vec::new(), active: Vec::new() };
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
                        scheduler.started(&line.next_hop, at(1), at(now));
                        naive.active.push(line.next_hop.clone());
                        set(&mut scheduler, &mut naive, &line, then);
                    }
                }
                Step::Finish { which } if !naive.active.is_empty() => {
                    let lane = naive.active.swap_remove(which.index(naive.active.len()));
                    scheduler.finished(&lane, None, at(now));
                }
                Step::Finish { .. } => {}
                Step::Pass { milliseconds } => now += milliseconds,
            }
            prop_assert_eq!(scheduler.active(), naive.active.len());
        }
    }
}
