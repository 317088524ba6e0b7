//! What is known of next hops, and for how long.

#![allow(clippy::unwrap_used)]

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn next_hop(number: usize) -> Arc<NextHop> {
    Arc::new(NextHop::Domain(format!("{number}.example").into()))
}

/// One send says nothing there, from then on, for so long: how it began.
fn is_mute(hops: &mut Hops, number: usize, now: Instant, time: Duration) -> Motion {
    let next_hop = next_hop(number);
    let motion = hops.begin(&next_hop, [].into_iter(), now);
    hops.end(&next_hop, motion, now + time);
    motion
}

/// One moves there at once, and ends so long afterwards. For how long it held others.
fn hangs(hops: &mut Hops, number: usize, now: Instant, time: Duration) -> Duration {
    let next_hop = next_hop(number);
    let mut motion = hops.begin(&next_hop, [].into_iter(), now);
    hops.moved(&next_hop, &mut motion, now);
    let until = hops.holds_until(&next_hop, motion).unwrap();
    hops.end(&next_hop, motion, now + time);
    until - now
}

/// One passes there, with a second between each reply and the next.
fn passes(hops: &mut Hops, number: usize, now: Instant) {
    let next_hop = next_hop(number);
    let mut motion = hops.begin(&next_hop, [].into_iter(), now);
    for reply in 0..5 {
        hops.moved(&next_hop, &mut motion, now + reply * SECOND);
    }
    hops.end(&next_hop, motion, now + 4 * SECOND + BEAT);
}

/// How late a movement may be told.
const BEAT: Duration = Duration::from_millis(50);

#[test]
fn where_mail_passes_nothing_is_remembered() {
    let (mut hops, now) = (Hops::default(), Instant::now());
    for number in 0..10 {
        passes(&mut hops, number, now);
    }
    assert!(hops.0.is_empty());
    hangs(&mut hops, 1, now, SECOND / 10);
    is_mute(&mut hops, 1, now, SECOND / 10);
    assert!(hops.0.is_empty());
}

#[test]
fn each_that_hangs_leaves_half_of_the_patience_and_one_that_passes_brings_it_back() {
    let (mut hops, mut now) = (Hops::default(), Instant::now());
    for _ in 0..2 {
        for halves in [1, 2, 4, 8, 16] {
            assert_eq!(hangs(&mut hops, 1, now, 300 * SECOND), PATIENCE / halves);
            now += 600 * SECOND;
        }
        assert!(!is_mute(&mut hops, 1, now, SECOND / 10).holds_in_advance());
        passes(&mut hops, 1, now);
        assert!(is_mute(&mut hops, 1, now, SECOND / 10).holds_in_advance());
        now += 600 * SECOND;
    }
    for _ in 0..100 {
        hangs(&mut hops, 1, now, 2 * SECOND);
        now += 2 * SECOND;
    }
    assert_eq!(hangs(&mut hops, 1, now, SECOND).as_millis(), 0);
}

#[test]
fn one_that_went_on_late_or_was_cut_off_while_nothing_was_said_has_hung() {
    let (mut hops, now) = (Hops::default(), Instant::now());
    let hop = next_hop(1);
    let mut motion = hops.begin(&hop, [].into_iter(), now);
    hops.moved(&hop, &mut motion, now + PATIENCE);
    hops.moved(&hop, &mut motion, now + PATIENCE + SECOND / 10);
    hops.end(&hop, motion, now + PATIENCE + SECOND / 10);
    assert_eq!(hangs(&mut hops, 1, now, SECOND), PATIENCE / 2);
    assert_eq!(hangs(&mut hops, 1, now, SECOND), PATIENCE / 4);
}

#[test]
fn those_that_still_hang_count_unless_others_have_passed_since() {
    let (mut hops, now) = (Hops::default(), Instant::now());
    let hop = next_hop(1);
    let mut hanging = hops.begin(&hop, [].into_iter(), now);
    hops.moved(&hop, &mut hanging, now);
    let later = now + 2 * SECOND;
    let mut next = hops.begin(&hop, [hanging].into_iter(), later);
    assert!(!next.holds_in_advance());
    hops.moved(&hop, &mut next, later);
    assert_eq!(hops.holds_until(&hop, next), Some(later + PATIENCE / 2));
    hops.end(&hop, next, later);
    let next = hops.begin(&hop, [hanging].into_iter(), later + SECOND);
    assert!(next.holds_in_advance());
    assert_eq!(
        hops.holds_until(&hop, next),
        Some(later + SECOND + PATIENCE)
    );
    hops.end(&hop, next, later + SECOND);
    // Nor does it when it is over.
    hops.end(&hop, hanging, later + 60 * SECOND);
    assert!(hops.0.is_empty());
}

#[test]
fn hosts_that_hang_are_remembered_for_a_while_and_a_thousand_of_them() {
    let (mut hops, mut now) = (Hops::default(), Instant::now());
    for number in 0..REMEMBERED_MAX + 10 {
        is_mute(&mut hops, number, now, 2 * SECOND);
        now += SECOND / 100;
    }
    assert_eq!(hops.0.len(), REMEMBERED_MAX);
    assert!(!is_mute(&mut hops, 10, now, SECOND).holds_in_advance());
    let first = is_mute(&mut hops, 9, now, SECOND);
    assert!(first.holds_in_advance(), "the first went first");
    now += REMEMBERED + 2 * SECOND;
    let motion = is_mute(&mut hops, 10, now, 2 * SECOND);
    assert!(motion.holds_in_advance(), "it is forgotten");
    assert_eq!(hops.0.len(), 1, "and so are the others");
}

#[test]
fn one_that_holds_in_advance_has_no_more_credit_than_its_next_hop() {
    let (mut hops, now) = (Hops::default(), Instant::now());
    let hop = next_hop(1);
    let first = hops.begin(&hop, [].into_iter(), now);
    let second = hops.begin(&hop, [first].into_iter(), now + SECOND);
    assert_eq!(hops.holds_until(&hop, second), Some(now + PATIENCE));
    let late = now + 2 * SECOND;
    let mut third = hops.begin(&hop, [first, second].into_iter(), late);
    assert_eq!(hops.holds_until(&hop, third), None);
    // It has its own again when something moves there.
    hops.moved(&hop, &mut third, late);
    let own = Some(now + SECOND + PATIENCE);
    assert_eq!(hops.holds_until(&hop, second), own);
}
