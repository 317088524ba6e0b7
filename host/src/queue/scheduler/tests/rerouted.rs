//! Lanes that cannot be reached, from which mail goes elsewhere.

use super::*;

/// A scheduler with a lane that is shut since then, of which that line is due.
fn shut(line: &Line, now: u64) -> Scheduler {
    let mut scheduler = scheduler(10, 10);
    scheduler.update(change(line, Some((now, 1))));
    while scheduler.unreachable() == 0 {
        assert_eq!(*scheduler.next(at(now)).unwrap(), *line);
        scheduler.started(line, at(now), at(now));
        scheduler.finished(line, answer(), at(now));
    }
    assert_eq!(scheduler.next(at(now)), None);
    scheduler
}

/// The head of a line was claimed and moved; behind it stands that one.
fn moves(scheduler: &mut Scheduler, line: &Line, behind: Option<(u64, u64)>, now: u64) {
    assert_eq!(*scheduler.next(at(now)).unwrap(), *line);
    scheduler.update(change(line, behind));
    scheduler.moved(line);
}

#[test]
fn a_lane_from_which_all_has_moved_is_forgotten_with_what_was_known_of_it() {
    let down = line(1, Class::Normal, 1);
    let mut scheduler = shut(&down, 1_000);
    scheduler.rerouted(at(1_100));
    for sequence in 2..=50 {
        moves(&mut scheduler, &down, Some((1_000, sequence)), 1_100);
    }
    moves(&mut scheduler, &down, None, 1_100);
    assert_eq!(
        (scheduler.next(at(1_100)), scheduler.next_due()),
        (None, None)
    );
    assert_eq!((scheduler.active(), scheduler.unreachable()), (0, 0));
    assert!(scheduler.lanes.is_empty() && scheduler.shut.is_empty());
}

#[test]
fn what_stays_is_tried_once_and_told_and_the_lane_stays_shut() {
    let down = line(1, Class::Normal, 1);
    let mut scheduler = shut(&down, 1_000);
    scheduler.rerouted(at(1_100));
    moves(&mut scheduler, &down, Some((1_000, 2)), 1_100);
    // This one stays, so it is the trial; what is behind it waits for that.
    assert_eq!(*scheduler.next(at(1_100)).unwrap(), down);
    scheduler.update(change(&down, Some((1_000, 3))));
    assert!(scheduler.may_start(&down, at(1_000)));
    assert_eq!(scheduler.started(&down, at(1_000), at(1_100)), None);
    assert_eq!(*scheduler.next(at(1_100)).unwrap(), down);
    assert!(!scheduler.may_start(&down, at(1_000)));
    assert_eq!(scheduler.next(at(1_100)), None);
    scheduler.finished(&down, answer(), at(1_200));
    // All that was due at the change is looked at, and what stays is told.
    moves(&mut scheduler, &down, Some((1_050, 4)), 1_200);
    assert_eq!(*scheduler.next(at(1_200)).unwrap(), down);
    let told = scheduler.started(&down, at(1_050), at(1_200));
    assert_eq!(told, answer());
    scheduler.update(change(&down, Some((1_150, 5))));
    scheduler.finished(&down, told, at(1_200));
    // What fell due since waits as it is.
    assert_eq!(
        (scheduler.next(at(1_200)), scheduler.unreachable()),
        (None, 1)
    );
    assert_eq!(scheduler.next_due(), Some(at(3_200)));
}

#[test]
fn what_goes_elsewhere_waits_for_no_trial_that_is_under_way_and_what_stays_does() {
    let down = line(1, Class::Normal, 1);
    let mut scheduler = shut(&down, 1_000);
    assert_eq!(*scheduler.next(at(2_000)).unwrap(), down);
    scheduler.started(&down, at(1_000), at(2_000));
    scheduler.rerouted(at(2_100));
    for sequence in 3..9 {
        moves(&mut scheduler, &down, Some((1_000, sequence)), 2_100);
    }
    assert_eq!(*scheduler.next(at(2_100)).unwrap(), down);
    assert!(!scheduler.may_start(&down, at(1_000)));
    assert_eq!(scheduler.next(at(2_100)), None, "it is put back");
    assert_eq!(scheduler.finished(&down, None, at(2_200)), Some(Turn::Open));
    assert_eq!(*scheduler.next(at(2_200)).unwrap(), down);
    assert!(scheduler.may_start(&down, at(1_000)));
}

#[test]
fn what_goes_elsewhere_waits_for_no_place_pace_or_rest() {
    let mut scheduler = Scheduler::new(Limits {
        simultaneous_max: 9,
        per_next_hop_max: 2,
        per_next_hop_interval: Duration::from_millis(100),
        ..limits()
    });
    let [full, paced, rests] = [1, 2, 3].map(|lane| line(lane, Class::Normal, lane));
    let mut now = 1_000;
    for line in [&full, &paced, &rests] {
        scheduler.update(change(line, Some((now, 1))));
    }
    let goes = |scheduler: &mut Scheduler, line: &Line, now: u64| {
        scheduler.started(line, at(now), at(now));
    };
    goes(&mut scheduler, &full, now);
    goes(&mut scheduler, &rests, now);
    now += 200;
    goes(&mut scheduler, &full, now);
    goes(&mut scheduler, &paced, now);
    scheduler.gave_way(&rests, at(now + 900));
    assert_eq!(scheduler.next(at(now)), None);
    scheduler.rerouted(at(now));
    for line in [&full, &paced, &rests] {
        scheduler.update(change(line, None));
    }
    for line in [&full, &paced, &rests] {
        for sequence in 2..5 {
            scheduler.update(change(line, Some((1_000, sequence))));
            moves(&mut scheduler, line, None, now);
        }
        // What stays has no place.
        scheduler.update(change(line, Some((1_000, 7))));
        assert_eq!(*scheduler.next(at(now)).unwrap(), *line);
        assert!(!scheduler.may_start(line, at(1_000)));
        assert_eq!(scheduler.next(at(now)), None);
    }
    assert_eq!(scheduler.active(), 3);
}
