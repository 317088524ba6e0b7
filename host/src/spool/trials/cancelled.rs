//! What was cancelled is removed for good in time, or before it where the disk has no room.

use super::super::sample::enqueue;
use super::*;
use crate::message::{Event, Timestamp};

fn start_then(disk: &Simulated, settings: Settings, now: Timestamp) -> Embedded {
    start_at(disk, settings, Clock::standing_at(now)).unwrap()
}

async fn change(
    spool: &Embedded,
    selection: Selection,
    action: ChangeAction,
    at: Timestamp,
) -> u64 {
    let change = Change {
        action,
        by: "trial".to_owned(),
        at,
    };
    let changed = spool.change(selection, change, false).await;
    changed.unwrap().deliveries
}

/// More than one transaction removes, so that the power is cut between two of them.
const MESSAGES: u64 = 150;

/// The power is cut while what was cancelled is removed: each message is there whole, or finished.
async fn cut_while_it_is_removed(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = Simulated::new(seed);
    let settings = || Settings {
        history_records_max: 1_000,
        ..settings()
    };
    let spool = start_then(&disk, settings(), at(NOW));
    for number in 1..=MESSAGES {
        let size = if number % 10 == 0 { 9_000 } else { 100 };
        let new = new_message(message(number, "user", Class::Normal, &LANES[..1]));
        enqueue(&spool, new, &octets(size)).await.unwrap();
    }
    let all = Selection::default;
    assert_eq!(
        change(&spool, all(), ChangeAction::Cancel, at(NOW)).await,
        MESSAGES
    );
    spool.close().await.unwrap();
    let until = at(NOW).plus(settings().cancelled_kept);
    disk.cut_power_after(dice.below(40));
    if let Ok(spool) = start_at(&disk, settings(), Clock::standing_at(until)) {
        while spool.figures().cancelled > 0 && !disk.is_out() {
            tokio::task::yield_now().await;
        }
    }
    disk.cut_power_after(0);
    let disk = disk.after_power_cut();
    // By a clock that was put back nothing more is to be removed.
    let spool = start_then(&disk, settings(), at(NOW));
    let left = spool.figures().cancelled;
    let mut cancelled = 0;
    for number in 1..=MESSAGES {
        let record = spool.message(id(number)).await.unwrap().unwrap();
        let last = record.trail.last().map(|entry| entry.event.clone());
        match record.finished {
            Some(at) => {
                assert_eq!(at, until);
                assert_eq!(last, Some(Event::Removed { for_room: false }));
                assert!(record.deliveries.is_empty());
            }
            None => {
                cancelled += 1;
                assert_eq!(record.deliveries[0].1, QueueState::Cancelled);
                let content = spool.content(id(number)).await.unwrap();
                gather(content).await.unwrap();
            }
        }
    }
    assert_eq!(cancelled, left);
    assert_eq!(
        change(&spool, all(), ChangeAction::Restore, at(NOW)).await,
        left
    );
    assert_eq!(spool.figures().queued, [0, 0, left, 0, 0]);
    spool.close().await.unwrap();
}

#[test]
fn what_was_cancelled_is_whole_or_finished_when_the_power_is_cut_while_it_is_removed() {
    with_seeds(0..20, cut_while_it_is_removed);
}

#[tokio::test]
async fn what_was_cancelled_is_removed_though_nothing_else_happens() {
    let disk = Simulated::new(6);
    let spool = start_then(&disk, settings(), at(NOW));
    for number in 1..=MESSAGES {
        let new = new_message(message(number, "user", Class::Normal, &LANES[..1]));
        enqueue(&spool, new, b"").await.unwrap();
    }
    let all = Selection::default();
    change(&spool, all, ChangeAction::Cancel, at(NOW)).await;
    spool.close().await.unwrap();
    let until = at(NOW).plus(settings().cancelled_kept);
    let spool = start_then(&disk, settings(), until);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while spool.figures().cancelled > 0 {
        assert!(std::time::Instant::now() < deadline, "it stays");
        tokio::task::yield_now().await;
    }
}

/// Large contents are refused before the writer knows of them.
#[tokio::test]
async fn a_disk_that_somebody_else_fills_is_seen_without_any_small_mail() {
    let disk = Simulated::new(7);
    let settings = Settings {
        disk_free_octets_min: 256 << 10,
        ..settings()
    };
    let spool = start_with(&disk, settings).unwrap();
    let new = |number| new_message(message(number, "user", Class::Normal, &LANES[..1]));
    for number in 1..=20 {
        enqueue(&spool, new(number), &octets(50_000)).await.unwrap();
    }
    let all = Selection::default();
    change(&spool, all, ChangeAction::Cancel, at(NOW)).await;
    disk.set_capacity(Some(disk.octets_used() + (200 << 10)), true);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let mut number = 21;
    while enqueue(&spool, new(number), &octets(50_000)).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "it stays full");
        number += 1;
        tokio::task::yield_now().await;
    }
}

/// A disk that is full, most of it with what was cancelled.
#[tokio::test]
async fn what_was_cancelled_goes_first_and_the_oldest_of_it_where_new_mail_has_no_room() {
    let disk = Simulated::new(5);
    let settings = Settings {
        disk_free_octets_min: 256 << 10,
        history_records_max: 1_000,
        ..settings()
    };
    let spool = start_with(&disk, settings).unwrap();
    disk.set_capacity(Some(4 << 20), true);
    let new = |number| new_message(message(number, "user", Class::Normal, &LANES[..1]));
    let mut number = 1;
    while enqueue(&spool, new(number), &octets(20_000)).await.is_ok() {
        // One after the other, so that they go in this order.
        let one = Selection::of_message(id(number));
        change(&spool, one, ChangeAction::Cancel, at(NOW + number)).await;
        number += 1;
        assert!(number < 1_000, "the disk is never full");
    }
    let (full_at, mut tries) = (number, 0);
    while enqueue(&spool, new(number), &octets(20_000)).await.is_err() {
        number += 1;
        tries += 1;
        assert!(tries < 1_000, "no mail is taken any more");
    }
    let figures = spool.figures();
    assert!(figures.writable);
    assert!(figures.cancelled > 0, "no more than is needed goes");
    let mut left = 0;
    for number in 1..full_at {
        let record = spool.message(id(number)).await.unwrap().unwrap();
        let is_left = record.finished.is_none();
        left += u64::from(is_left);
        assert!(
            is_left || left == 0,
            "{number} is gone, and an older one is not"
        );
        let last = record.trail.last().map(|entry| entry.event.clone());
        assert_eq!(is_left, last != Some(Event::Removed { for_room: true }));
    }
    assert_eq!(left, figures.cancelled);
    let all = Selection::default();
    assert_eq!(
        change(&spool, all, ChangeAction::Restore, at(NOW)).await,
        left
    );
}

/// Whoever gets a delivery while a commit cancels it must be in that commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_claimed_while_it_is_cancelled_says_that_there_was_an_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::default();
    let (settings, clock) = (Settings::default(), Clock::standing_at(at(NOW)));
    let spool = super::super::open(folder.path(), settings, clock, &mut registry).unwrap();
    let messages = 2_000;
    let new = (1..=messages).map(|number| {
        let spool = Arc::clone(&spool);
        let new = new_message(message(number, "user", Class::Normal, &LANES[..1]));
        tokio::spawn(async move { enqueue(&*spool, new, b"").await.unwrap() })
    });
    for enqueued in Vec::from_iter(new) {
        enqueued.await.unwrap();
    }
    let claimer = Arc::clone(&spool);
    let claiming = tokio::spawn(async move {
        let line = super::super::sample::line(LANES[0], Class::Normal, "user");
        let mut claimed = Vec::new();
        while claimer.figures().cancelled == 0 || claimed.is_empty() {
            let claim = claimer.claim(&line, at(NOW)).await.unwrap().claim;
            claimed.extend(claim.map(|claim| claim.message.id));
            tokio::task::yield_now().await;
        }
        claimed
    });
    let cancel = Change {
        action: ChangeAction::Cancel,
        by: "ops".to_owned(),
        at: at(NOW),
    };
    let all = Selection::default();
    spool.change(all, cancel, false).await.unwrap();
    let claimed = claiming.await.unwrap();
    for id in claimed {
        let trail = spool.message(id).await.unwrap().unwrap().trail;
        let is_said = trail.iter().any(|entry| {
            matches!(
                entry.event,
                Event::Cancelled {
                    during_attempt: true,
                    ..
                }
            )
        });
        assert!(is_said, "{id}: {trail:?}");
    }
    spool.close().await.unwrap();
}

#[tokio::test]
async fn what_may_have_been_under_way_when_the_process_ended_says_so_when_it_is_cancelled() {
    let disk = Simulated::new(8);
    let spool = start(&disk).unwrap();
    let new = |number| new_message(message(number, "user", Class::Normal, &LANES[..1]));
    enqueue(&spool, new(1), b"").await.unwrap();
    let disk = disk.after_kill();
    let spool = start(&disk).unwrap();
    enqueue(&spool, new(2), b"").await.unwrap();
    let all = Selection::default();
    change(&spool, all, ChangeAction::Cancel, at(NOW)).await;
    for (number, is_said) in [(1, true), (2, false)] {
        let trail = spool.message(id(number)).await.unwrap().unwrap().trail;
        let mut events = trail.iter().map(|entry| &entry.event);
        let said = events.any(|event| matches!(event, Event::Interrupted { .. }));
        assert_eq!(said, is_said, "{number}");
    }
}
