//! The spool on one thread, as simulations of the whole relay have it: its writer is a task, its disk takes the time of
//! timers, and nothing depends on anything but the seed.

use std::sync::Mutex;

use super::*;
use crate::spool::stage;

/// What many callers at once come to: how much the disk did, and when all was done.
fn work(seed: u64) -> (u64, Duration, [u64; 5]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let begun = tokio::time::Instant::now();
        let disk = Simulated::new(seed);
        let dice = Arc::new(Mutex::new(Dice::new(seed)));
        let wait = move || Duration::from_millis(dice.lock().unwrap().below(20));
        let (clock, takes) = (Clock::with_timers(at(NOW)), wait.clone());
        let spool = stage::open(&disk, settings(), clock, takes).unwrap();
        let mut senders = tokio::task::JoinSet::new();
        for number in 1..=40 {
            let (spool, wait) = (Arc::clone(&spool), wait.clone());
            senders.spawn(async move {
                tokio::time::sleep(wait()).await;
                let octets = octets(number as usize * 300);
                let mut new = new_message(message(number, "user", Class::Normal, &LANES));
                new.message.content_octets = octets.len() as u64;
                let mut intake = spool.intake(None).unwrap();
                intake.write(&octets).await.unwrap();
                spool.enqueue(new, intake).await.unwrap();
                let content = spool.content(id(number)).await.unwrap();
                assert!(gather(content).await.unwrap() == octets);
            });
        }
        while let Some(sent) = senders.join_next().await {
            sent.unwrap();
        }
        let queued = spool.figures().queued;
        spool.close().await.unwrap();
        (disk.operations(), begun.elapsed(), queued)
    })
}

#[test]
fn on_one_thread_a_seed_does_the_same_each_time() {
    for seed in 0..5 {
        let (operations, took, queued) = work(seed);
        assert_eq!(queued, [0, 0, 120, 0, 0]);
        assert!(
            took < Duration::from_secs(2),
            "no real time passes: {took:?}"
        );
        assert_eq!(work(seed), (operations, took, queued), "seed {seed}");
    }
}
