//! What stays in memory is bounded, whatever is asked.

use super::super::sample::{accepted, enqueue, line};
use super::*;
use crate::spool::rows::trail_key;
use crate::spool::sheet::Sheet;
use crate::spool::store::{CHANGED_ROWS_MAX, Store};

/// A message for many that is put off again and again: its trail grows no further, and begins and ends as it did.
#[tokio::test]
async fn the_trail_of_a_message_is_bounded_however_often_it_is_put_off() {
    let disk = Simulated::new(2);
    let spool = start_with(
        &disk,
        Settings {
            journal_octets_max: 4 << 20,
            ..settings()
        },
    )
    .unwrap();
    let domains = vec![LANES[0]; 300];
    let mut new = new_message(message(1, "user", CLASSES[1], &domains));
    new.deliveries = vec![NewDelivery::first(
        domain(LANES[0]),
        (0..300).collect(),
        at(NOW),
    )];
    enqueue(&spool, new, b"").await.unwrap();
    let line = line(LANES[0], CLASSES[1], "user");
    let long = || {
        trail()
            .into_iter()
            .take(10)
            .cycle()
            .take(600)
            .collect::<Vec<_>>()
    };
    let mut most = 0;
    for attempt in 1..=200 {
        let claim = spool.claim(&line, at(NOW)).await.unwrap().claim.unwrap();
        // In halves at first: each takes a number that no later delivery may have.
        let ends: &[u32] = if attempt == 1 {
            &[0, 150, 300]
        } else {
            &[0, 150]
        };
        let remaining = ends.windows(2).map(|ends| NewDelivery {
            attempts: attempt,
            ..NewDelivery::first(domain(LANES[0]), (ends[0]..ends[1]).collect(), at(NOW))
        });
        let settlement = Settlement {
            lease: claim.lease,
            remaining: remaining.collect(),
            reports: Vec::new(),
            trail: long(),
            outcomes: None,
            is_cancelled: false,
        };
        spool.settle(settlement).await.unwrap();
        if attempt % 10 != 0 {
            continue;
        }
        let record = spool.message(id(1)).await.unwrap().unwrap();
        assert_eq!(record.trail[..1], [accepted(&record.message)]);
        assert_eq!(record.trail[record.trail.len() - 600..], long());
        most = most.max(record.trail.len());
    }
    assert!(most < 120 * 600, "{most}");
}

#[test]
fn rows_that_wait_for_a_checkpoint_are_bounded_though_the_journal_has_room() {
    const ROWS_AT_ONCE: u64 = 1_000;
    let disk = Simulated::new(1);
    let settings = Settings {
        journal_octets_max: 64 << 20,
        ..settings()
    };
    let store = Store::open(&disk, &settings).unwrap();
    let mut most = 0;
    for commit in 0..40 {
        store
            .write(|rows| {
                for number in 0..ROWS_AT_ONCE {
                    rows.put(Sheet::Trails, &trail_key(id(commit), number), &[]);
                }
                Ok(())
            })
            .unwrap();
        most = most.max(store.view().unwrap().changes.len());
    }
    assert!(most < CHANGED_ROWS_MAX, "{most}");
    assert!(most + ROWS_AT_ONCE as usize >= CHANGED_ROWS_MAX, "{most}");
}
