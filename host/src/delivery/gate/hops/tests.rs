//! What is known of next hops, and for how long.

#![allow(clippy::unwrap_used)]

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn next_hop(number: usize) -> Arc<NextHop> {
    Arc::new(NextHop::Domain(format!("{number}.example")))
}

/// One send hangs there, from then on, for so long: how it stood.
fn hangs(hops: &mut Hops, number: usize, now: Instant, time: Duration) -> Motion {
    let next_hop = next_hop(number);
    let motion = hops.begin(&next_hop, [].into_iter(), now);
    hops.end(&next_hop, motion, now + time);
    motion
}

#[test]
fn where_mail_moves_nothing_is_remembered() {
    let (mut hops, now) = (Hops::default(), Instant::now());
    for number in 0..10 {
        let next_hop = next_hop(number);
        let motion = hops.begin(&next_hop, [].into_iter(), now);
        assert_eq!(motion, Motion::Ahead(now));
        hops.moved(&next_hop, now + 5 * SECOND);
        hops.end(&next_hop, Motion::Moved(now + 5 * SECOND), now + 6 * SECOND);
    }
    assert!(hops.0.is_empty());
}

#[test]
fn what_ends_before_it_is_known_to_hang_leaves_nothing() {
    let (mut hops, now) = (Hops::default(), Instant::now());
    hangs(&mut hops, 1, now, SECOND);
    assert!(hops.0.is_empty());
}

#[test]
fn hosts_that_hang_are_remembered_for_a_while_and_a_thousand_of_them() {
    let (mut hops, mut now) = (Hops::default(), Instant::now());
    for number in 0..REMEMBERED_MAX + 10 {
        hangs(&mut hops, number, now, 2 * SECOND);
        now += SECOND / 100;
    }
    assert_eq!(hops.0.len(), REMEMBERED_MAX);
    assert_eq!(hangs(&mut hops, 10, now, SECOND), Motion::Idle);
    assert_eq!(
        hangs(&mut hops, 9, now, SECOND),
        Motion::Ahead(now),
        "the first went first"
    );
    now += REMEMBERED + 2 * SECOND;
    let motion = hangs(&mut hops, 10, now, 2 * SECOND);
    assert_eq!(motion, Motion::Ahead(now), "it is forgotten");
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
    assert_eq!(
        hops.begin(&hop, [first, second].into_iter(), late),
        Motion::Idle
    );
    // It has its own again when something moves there.
    hops.moved(&hop, late);
    let own = Some(now + SECOND + PATIENCE);
    assert_eq!(hops.holds_until(&hop, second), own);
}
