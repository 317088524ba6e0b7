//! The first start is cut off, wherever it is: the next one starts, and nobody has to tidy up.

use super::super::sample::enqueue;
use super::simulated::Simulated;
use super::*;

/// Starts on what a first start has left, takes mail, and has it after one more start.
async fn serves(disk: &Simulated, after: &str) {
    let start = || start(disk).unwrap_or_else(|failure| panic!("{after}: {failure:?}"));
    let spool = start();
    let new = new_message(message(1, "user", Class::Normal, &LANES[..1]));
    enqueue(&spool, new, b"content").await.unwrap();
    spool.close().await.unwrap();
    let content = start().content(id(1)).await.unwrap();
    assert_eq!(gather(content).await.unwrap(), b"content", "{after}");
}

/// Ends the first start by a power cut, at one operation after the other; what the next one finds says `left`.
async fn cut_off(seed: u64, left: fn(&Simulated) -> Simulated) {
    for operations in 0.. {
        let disk = Simulated::new(seed);
        disk.cut_power_after(operations);
        let started = start(&disk);
        if started.is_ok() && !disk.is_out() {
            assert!(operations > 20, "it does more than that");
            return;
        }
        disk.cut_power_after(0);
        serves(&left(&disk), &format!("cut off at operation {operations}")).await;
    }
}

#[test]
fn a_first_start_that_a_power_cut_ends_is_followed_by_one_that_starts() {
    with_seeds(0..6, async |seed| {
        cut_off(seed, Simulated::after_power_cut).await;
    });
}

#[test]
fn a_first_start_that_is_killed_is_followed_by_one_that_starts() {
    with_seeds(0..1, async |seed| {
        cut_off(seed, Simulated::after_kill).await;
    });
}

#[tokio::test]
async fn a_first_start_that_the_disk_fails_is_followed_by_one_that_starts() {
    for operations in 0.. {
        let disk = Simulated::new(1);
        disk.fail_once_after(operations);
        let started = start(&disk);
        if started.is_ok() && disk.is_fault_ahead() {
            assert!(operations > 20, "it does more than that");
            return;
        }
        if let Ok(spool) = started {
            // Nobody else has the disk at the next start.
            drop(spool.close().await);
        }
        disk.fail_never();
        serves(&disk, &format!("a fault of operation {operations}")).await;
    }
}

#[tokio::test]
async fn a_first_start_on_a_full_disk_is_followed_by_one_that_starts() {
    for blocks in 0.. {
        let disk = Simulated::new(1);
        disk.set_capacity(Some(blocks << 12), true);
        let started = start(&disk);
        if started.is_ok() {
            assert!(blocks > 10, "it takes more than that");
            return;
        }
        disk.set_capacity(None, true);
        serves(&disk, &format!("{blocks} blocks")).await;
    }
}
