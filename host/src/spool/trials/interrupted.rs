//! The process ends without closing the spool: what may have been under way is told apart.

use super::super::sample::{enqueue, line};
use super::*;

async fn claim(spool: &Embedded, lane: &str) -> Claim {
    let line = line(lane, Class::Normal, "user");
    spool.claim(&line, at(NOW)).await.unwrap().claim.unwrap()
}

/// Moves whatever is queued to another time, at a time.
async fn reschedule(spool: &Embedded, to: u64, now: u64) {
    let change = Change {
        action: ChangeAction::Reschedule(at(to)),
        by: "ops".to_owned(),
        at: at(now),
    };
    let changed = spool.change(Selection::default(), change, false).await;
    assert_eq!(changed.unwrap().deliveries, 1);
}

async fn take_in(spool: &Embedded, number: u64, lane: &'static str) {
    let new = new_message(message(number, "user", Class::Normal, &[lane]));
    enqueue(spool, new, b"content").await.unwrap();
}

#[tokio::test]
async fn a_process_that_ends_before_its_first_commit_may_have_sent_something_too() {
    let disk = Simulated::new(2);
    let spool = start(&disk).unwrap();
    take_in(&spool, 1, LANES[0]).await;
    spool.close().await.unwrap();
    let spool = start(&disk).unwrap();
    let claimed = claim(&spool, LANES[0]).await;
    assert!(!claimed.interrupted && !claimed.may_have_begun());
    let spool = start(&disk.after_kill()).unwrap();
    let claimed = claim(&spool, LANES[0]).await;
    assert!(claimed.interrupted && claimed.may_have_begun());
}

#[tokio::test]
async fn what_may_have_been_under_way_when_the_process_ended_is_told_apart() {
    let disk = Simulated::new(1);
    let spool = start(&disk).unwrap();
    for (number, lane) in (1..).zip(&LANES[..2]) {
        take_in(&spool, number, lane).await;
    }
    assert!(!claim(&spool, LANES[0]).await.interrupted);
    let disk = disk.after_kill();
    let spool = start(&disk).unwrap();
    let claimed = claim(&spool, LANES[0]).await;
    assert!(claimed.interrupted);
    take_in(&spool, 3, LANES[2]).await;
    assert!(!claim(&spool, LANES[2]).await.interrupted, "it came later");
    // It is settled, and tried again later: that is another attempt.
    let settlement = Settlement {
        lease: claimed.lease,
        remaining: vec![NewDelivery {
            attempts: 1,
            ..NewDelivery::first(domain(LANES[0]), vec![0], at(NOW + 1))
        }],
        reports: Vec::new(),
        trail: Vec::new(),
        outcomes: None,
        is_cancelled: false,
    };
    spool.settle(settlement).await.unwrap();
    let line = line(LANES[0], Class::Normal, "user");
    let again = spool
        .claim(&line, at(NOW + 1))
        .await
        .unwrap()
        .claim
        .unwrap();
    assert!(!again.interrupted);
    spool.close().await.unwrap();
    let spool = start(&disk).unwrap();
    let waiting = claim(&spool, LANES[1]).await;
    assert!(waiting.interrupted, "its turn has not come since then");
    assert!(!claim(&spool, LANES[2]).await.interrupted, "it came later");
}

#[tokio::test]
async fn a_clock_that_was_set_back_hides_no_first_attempt() {
    let disk = Simulated::new(3);
    let spool = start(&disk).unwrap();
    take_in(&spool, 5_000, LANES[0]).await;
    assert!(!claim(&spool, LANES[0]).await.interrupted);
    // The machine comes back without knowing what time it is.
    let clock = Clock::standing_at(at(1_000));
    let spool = start_at(&disk.after_kill(), settings(), clock).unwrap();
    assert!(claim(&spool, LANES[0]).await.interrupted);
}

#[tokio::test]
async fn what_an_operator_moves_hides_no_attempt() {
    // Moved while it was under way, and after the relay had ended; or only then.
    for is_moved_meanwhile in [true, false] {
        let disk = Simulated::new(4);
        let spool = start(&disk).unwrap();
        take_in(&spool, 1, LANES[0]).await;
        assert!(!claim(&spool, LANES[0]).await.interrupted);
        if is_moved_meanwhile {
            reschedule(&spool, NOW + 1_000, NOW).await;
        }
        // Once more without its turn having come.
        let disk = disk.after_kill();
        let clock = || Clock::standing_at(at(NOW + 10));
        let spool = start_at(&disk, settings(), clock()).unwrap();
        reschedule(&spool, NOW + 2_000, NOW + 20).await;
        spool.close().await.unwrap();
        let spool = start_at(&disk, settings(), clock()).unwrap();
        reschedule(&spool, NOW, NOW + 30).await;
        let line = line(LANES[0], Class::Normal, "user");
        let claimed = spool.claim(&line, at(NOW + 30)).await.unwrap();
        assert!(claimed.claim.unwrap().interrupted, "{is_moved_meanwhile}");
    }
}

#[tokio::test]
async fn what_was_moved_before_it_was_due_was_not_under_way() {
    let disk = Simulated::new(5);
    let spool = start(&disk).unwrap();
    take_in(&spool, 1, LANES[0]).await;
    reschedule(&spool, NOW + 1_000, NOW).await;
    let clock = Clock::standing_at(at(NOW + 10));
    let spool = start_at(&disk.after_kill(), settings(), clock).unwrap();
    reschedule(&spool, NOW, NOW + 20).await;
    let line = line(LANES[0], Class::Normal, "user");
    let claimed = spool.claim(&line, at(NOW + 20)).await.unwrap();
    assert!(!claimed.claim.unwrap().interrupted);
}

#[tokio::test]
async fn what_moves_to_another_lane_untried_hides_no_attempt_and_nothing_that_an_operator_did() {
    let disk = Simulated::new(6);
    let spool = start(&disk).unwrap();
    take_in(&spool, 1, LANES[0]).await;
    let clock = Clock::standing_at(at(NOW + 10));
    let spool = start_at(&disk.after_kill(), settings(), clock).unwrap();
    reschedule(&spool, NOW + 2_000, NOW + 20).await;
    let due = at(NOW + 2_000);
    for (from, to) in [(LANES[0], Some(LANES[1])), (LANES[1], None)] {
        let line = line(from, Class::Normal, "user");
        let claim = spool.claim(&line, due).await.unwrap().claim.unwrap();
        assert!(claim.interrupted, "{from}");
        assert_eq!(claim.let_go, Some(at(NOW + 20)), "{from}");
        if let Some(to) = to {
            let settlement = Settlement {
                lease: claim.lease,
                remaining: vec![NewDelivery::first(domain(to), vec![0], due)],
                reports: Vec::new(),
                trail: Vec::new(),
                outcomes: None,
                is_cancelled: false,
            };
            spool.settle(settlement).await.unwrap();
        }
    }
}
