//! What the road finds wrong, and what it lets pass.

use super::*;

const RULES: Rules = Rules {
    ceiling: Duration::from_secs(60),
    trickle: 600,
    has_capacity: false,
    disk: Duration::from_millis(1),
};

/// A road on which messages 1 and 4 are very high and the others are not, with a connection each.
fn road() -> Road {
    let road = Road::default();
    for key in 1..5 {
        road.begins_attempt(key, 0);
        road.connect(0);
    }
    road
}

fn write(road: &Road, wire: WireId, octets: &[u8], written: usize) -> Option<String> {
    road.wrote(wire, octets, written, RULES, |key| match key {
        1 | 4 => (Rank::VeryHigh, 1_000),
        _ => (Rank::Below, 1_000),
    })
}

fn mail(road: &Road, wire: WireId, key: usize) -> Option<String> {
    let mail = format!("MAIL FROM:<user+k{key}@home.example>\r\n");
    write(road, wire, mail.as_bytes(), mail.len())
}

async fn pass(milliseconds: u64) {
    tokio::time::advance(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_being_written_and_the_trickle_may_leave_while_something_very_high_moves() {
    let road = road();
    assert_eq!(mail(&road, 1, 2), None);
    // The host takes a fourth of it.
    assert_eq!(write(&road, 1, &[b'x'; 8_000], 2_000), None);
    assert_eq!(mail(&road, 0, 1), None);
    assert_eq!(write(&road, 1, &[b'x'; 6_000], 6_000), None);
    assert_eq!(write(&road, 1, &[b'x'; 600], 600), None);
    assert_eq!(road.tally(), (1, 1));
    let wrong = write(&road, 1, &[b'x'; 1_000], 1_000);
    assert!(wrong.is_some_and(|wrong| wrong.contains("left in 0ns")));
    pass(1_390).await;
    assert_eq!(write(&road, 1, b"x", 1), None);
    assert!(write(&road, 1, &[b'x'; 1_000], 1_000).is_some());
    // Nothing very high has moved for longer than it may hold others.
    pass(20).await;
    assert_eq!(write(&road, 1, &[b'x'; 50_000], 50_000), None);
}

#[tokio::test(start_paused = true)]
async fn who_holds_others_does_so_until_its_last_reply_a_refusal_or_the_ceiling() {
    let road = road();
    assert_eq!(mail(&road, 1, 2), None);
    assert_eq!(mail(&road, 0, 1), None);
    assert!(write(&road, 1, &[b'x'; 3_000], 3_000).is_some());
    road.ends(0);
    road.read(0, RULES.ceiling);
    assert_eq!(write(&road, 1, &[b'x'; 3_000], 3_000), None);
    assert_eq!(mail(&road, 0, 1), None);
    assert!(write(&road, 1, &[b'x'; 3_000], 3_000).is_some());
    road.refuses(0);
    assert_eq!(write(&road, 1, &[b'x'; 3_000], 3_000), None);
    road.hangs_up(0);
    road.connect(0);
    // When the relay learned of that is not known, so the next one may hold nobody.
    assert_eq!(mail(&road, 3, 1), None);
    road.read(3, RULES.ceiling);
    assert_eq!(write(&road, 1, &[b'x'; 3_000], 3_000), None);
    road.ends(3);
    road.read(3, RULES.ceiling);
    assert_eq!(mail(&road, 3, 1), None);
    // It stands still, and another one begins.
    pass(1_450).await;
    assert_eq!(mail(&road, 2, 3), None);
    for _ in 0..58 {
        road.read(3, RULES.ceiling);
        pass(1_000).await;
    }
    road.read(3, RULES.ceiling);
    // A minute of trickles, and more.
    assert!(write(&road, 2, &[b'x'; 60_000], 60_000).is_some());
    pass(600).await;
    road.read(3, RULES.ceiling);
    assert_eq!(write(&road, 2, &[b'x'; 3_000], 3_000), None);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_comes_to_its_first_mail_while_something_very_high_moves() {
    let road = road();
    assert_eq!(mail(&road, 0, 1), None);
    assert_eq!(mail(&road, 1, 2), None, "in the same moment");
    pass(10).await;
    assert_eq!(mail(&road, 1, 2), None, "for its next recipients");
    assert!(mail(&road, 2, 3).is_some_and(|wrong| wrong.contains("came to MAIL")));
    road.ends(0);
    road.begins_attempt(3, 0);
    assert_eq!(mail(&road, 2, 3), None);
}

#[tokio::test(start_paused = true)]
async fn who_stands_still_though_nothing_holds_it_is_told() {
    let road = road();
    assert_eq!(mail(&road, 1, 2), None);
    let since = Instant::now();
    assert_eq!(mail(&road, 0, 1), None);
    pass(1_600).await;
    assert_eq!(road.has_waited(1, since, RULES), None);
    pass(100).await;
    let wrong = road.has_waited(1, since, RULES);
    assert!(wrong.is_some_and(|wrong| wrong.contains("stood still for 100ms")));
    road.read(0, RULES.ceiling);
    pass(1_000).await;
    assert_eq!(road.has_waited(1, since, RULES), None);
    road.ends(0);
    pass(60).await;
    assert!(road.has_waited(1, since, RULES).is_some());
    let since = Instant::now();
    assert_eq!(road.has_waited(1, since, RULES), None);
}

#[tokio::test(start_paused = true)]
async fn where_one_hangs_another_holds_others_for_less_and_the_next_one_as_ever_when_that_has_passed()
 {
    let road = road();
    assert_eq!(mail(&road, 1, 2), None);
    assert_eq!(mail(&road, 0, 1), None);
    pass(2_000).await;
    let since = Instant::now();
    assert_eq!(mail(&road, 3, 4), None);
    assert_eq!(write(&road, 1, &[b'x'; 3_000], 3_000), None);
    pass(100).await;
    let wrong = road.has_waited(1, since, RULES);
    assert!(wrong.is_some_and(|wrong| wrong.contains("stood still for 100ms")));
    // From its answer on it may hold others, for half of the time.
    road.read(3, RULES.ceiling);
    pass(850).await;
    assert_eq!(road.has_waited(1, since, RULES), None);
    pass(100).await;
    let wrong = road.has_waited(1, since, RULES);
    assert!(wrong.is_some_and(|wrong| wrong.contains("stood still for 100ms")));
    assert_eq!(write(&road, 1, &[b'x'; 9_000], 9_000), None);
    road.ends(3);
    road.read(3, RULES.ceiling);
    // The first goes on hanging, and that says no more of the hop.
    assert_eq!(mail(&road, 3, 4), None);
    assert!(write(&road, 1, &[b'x'; 9_000], 9_000).is_some());
}
