//! Writes, syncs and reads fail now and then.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::simulated::Faults;
use super::*;

async fn fail_and_recover(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = Simulated::new(seed);
    let mut trial = Trial::on(&disk, seed);
    let rate = 10 << dice.below(6);
    let faults = Faults {
        write: rate,
        sync: rate,
        read: if dice.one_in(2) { rate } else { 0 },
        name: rate,
    };
    disk.set_faults(faults);
    for _ in 0..120 {
        trial.step().await;
    }
    disk.set_faults(Faults::default());
    // The first requests may still meet what failed before.
    while trial.spool.message(id(1)).await.is_err() || !trial.spool.figures().writable {
        trial.enqueue().await;
    }
    trial.check(&trial.spool, false).await;
    trial.spool.close().await.unwrap();
    let spool = start(&disk.after_power_cut()).unwrap();
    trial.check(&spool, false).await;
    trial.claims.clear();
    trial.drain(&spool).await;
}

#[test]
fn a_failed_commit_is_an_error_and_nothing_else_is_lost() {
    with_seeds(0..100, fail_and_recover);
}

#[tokio::test]
async fn a_failed_sync_is_never_taken_for_one_that_succeeded() {
    let disk = Simulated::new(1);
    let mut trial = Trial::on(&disk, 1);
    trial.enqueue().await;
    disk.set_faults(Faults {
        sync: 1,
        ..Faults::default()
    });
    for _ in 0..3 {
        trial.enqueue().await;
        assert!(!trial.known[&(trial.next - 1)].is_acknowledged);
        assert!(!trial.spool.figures().writable);
    }
    disk.set_faults(Faults::default());
    trial.enqueue().await;
    assert!(trial.known[&(trial.next - 1)].is_acknowledged);
    assert!(trial.spool.figures().writable);
    trial.check(&trial.spool, false).await;
    // Everything that later commits built on is on the disk, not only in its cache.
    disk.cut_power_after(0);
    let spool = start(&disk.after_power_cut()).unwrap();
    trial.check(&spool, false).await;
}

#[tokio::test]
async fn a_settlement_that_failed_can_be_settled_again() {
    let disk = Simulated::new(2);
    let trial = Trial::on(&disk, 2);
    let spool = &trial.spool;
    super::super::sample::enqueue(
        spool,
        new_message(message(1, "user", Class::Normal, &LANES[..1])),
        b"",
    )
    .await
    .unwrap();
    let line = super::super::sample::line(LANES[0], Class::Normal, "user");
    let claim = spool.claim(&line, at(NOW)).await.unwrap().claim.unwrap();
    let settlement = || Settlement {
        lease: claim.lease,
        remaining: Vec::new(),
        reports: Vec::new(),
        trail: Vec::new(),
        outcomes: None,
        is_cancelled: false,
    };
    disk.set_faults(Faults {
        write: 1,
        ..Faults::default()
    });
    let failed = spool.settle(settlement()).await;
    assert!(
        matches!(failed, Err(SpoolError::Unavailable(_))),
        "{failed:?}"
    );
    disk.set_faults(Faults::default());
    spool.settle(settlement()).await.unwrap();
    assert_eq!(spool.figures().queued, [0; 5]);
}

/// A settlement that leaves one recipient and reports the other one, while the disk fails once.
async fn settle_in_part(fault: u64, journal_octets_max: u64) -> bool {
    let disk = Simulated::new(fault);
    let settings = Settings {
        // Pages go to the file in the middle of a checkpoint.
        page_cache_octets: 8 << 10,
        journal_octets_max,
        ..settings()
    };
    let spool = start_with(&disk, settings).unwrap();
    let mut new = new_message(message(1, "user", Class::Normal, &LANES[..2]));
    new.deliveries = vec![NewDelivery::first(domain(LANES[0]), vec![0, 1], at(NOW))];
    super::super::sample::enqueue(&spool, new, &octets(3_000))
        .await
        .unwrap();
    let line = super::super::sample::line(LANES[0], Class::Normal, "user");
    let claim = spool.claim(&line, at(NOW)).await.unwrap().claim.unwrap();
    let mut report = message(2, "user", Class::Normal, &LANES[2..]);
    report.content_octets = 6;
    let settlement = Settlement {
        lease: claim.lease,
        remaining: vec![NewDelivery {
            attempts: 1,
            ..NewDelivery::first(domain(LANES[0]), vec![0], at(NOW))
        }],
        reports: vec![(new_message(report), Bytes::from_static(b"report"))],
        trail: trail(),
        outcomes: None,
        is_cancelled: false,
    };
    disk.fail_once_after(fault);
    for time in 0.. {
        match spool.settle(settlement.clone()).await {
            Ok(()) => break,
            Err(error) => assert!(time < 3, "fault {fault}: {error}"),
        }
    }
    let came = !disk.is_fault_ahead();
    let again = spool.claim(&line, at(NOW)).await.unwrap().claim.unwrap();
    assert_eq!(again.delivery.recipients, [0], "fault {fault}");
    assert_eq!(spool.figures().queued, [0, 0, 2, 0, 0], "fault {fault}");
    let spool = start(&disk.after_power_cut()).unwrap();
    let record = spool.message(id(1)).await.unwrap().unwrap();
    assert_eq!(record.deliveries.len(), 1);
    assert_eq!(record.deliveries[0].0.attempts, 1);
    let reported = spool.content(id(2)).await.unwrap();
    assert_eq!(gather(reported).await.unwrap(), b"report");
    came
}

#[tokio::test]
async fn a_settlement_that_happened_though_it_failed_is_not_refused_when_it_is_asked_for_again() {
    // Without a journal each commit is a checkpoint.
    for (journal_octets_max, operations_min) in [(0, 10), (settings().journal_octets_max, 2)] {
        let mut fault = 0;
        while settle_in_part(fault, journal_octets_max).await {
            fault += 1;
        }
        assert!(fault >= operations_min, "it failed only {fault} times");
    }
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_is_told_apart_and_used_again_when_it_does() {
    let disk = Simulated::new(3);
    let spool = start(&disk).unwrap();
    let message = |number| new_message(message(number, "user", Class::Normal, &LANES[..1]));
    let enqueue = async |number, size| {
        super::super::sample::enqueue(&spool, message(number), &octets(size)).await
    };
    enqueue(1, 100).await.unwrap();
    disk.set_read_only(true);
    // The first one meets it, the next ones meet a spool that waits to be opened again.
    for size in [100, 100, 60_000] {
        let refused = enqueue(2, size).await;
        assert!(matches!(refused, Err(SpoolError::ReadOnly)), "{refused:?}");
    }
    assert!(!spool.figures().writable);
    disk.set_read_only(false);
    while enqueue(2, 100).await.is_err() {
        std::thread::yield_now();
    }
    assert!(spool.figures().writable);
    assert!(spool.message(id(1)).await.unwrap().is_some());
}

/// Claims of many lines and gives some back until it is told to end; what it has twice is told.
async fn claim_and_release(spool: &Embedded, users: u64, is_over: &AtomicBool) -> u64 {
    let (mut dice, mut held, mut claimed) = (Dice::new(7), HashMap::new(), 0);
    while !is_over.load(Ordering::Relaxed) {
        let user = format!("user{}", dice.below(users));
        let line = super::super::sample::line(LANES[0], Class::Normal, &user);
        if let Ok(found) = spool.claim(&line, at(NOW)).await
            && let Some(claim) = found.claim
        {
            claimed += 1;
            let before = held.insert(claim.delivery.id, claim.lease);
            assert_eq!(before, None, "claimed twice, after {claimed} claims");
        }
        if held.len() > 200 {
            let id = *held.keys().next().unwrap();
            spool.release(held.remove(&id).unwrap());
        }
        tokio::task::yield_now().await;
    }
    claimed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_claimed_twice_while_memory_is_built_anew() {
    const USERS: u64 = 400;
    let disk = Simulated::new(3);
    let spool = Arc::new(start(&disk).unwrap());
    let enqueue = async |number: u64| {
        let user = format!("user{}", number % USERS);
        let new = new_message(message(number, &user, Class::Normal, &LANES[..1]));
        super::super::sample::enqueue(&*spool, new, b"").await
    };
    for number in 0..USERS {
        enqueue(number).await.unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let (claimer, ends) = (Arc::clone(&spool), Arc::clone(&is_over));
    let claimer = tokio::spawn(async move { claim_and_release(&claimer, USERS, &ends).await });
    let mut number = 1_000;
    for _ in 0..100 {
        disk.set_faults(Faults {
            sync: 1,
            ..Faults::default()
        });
        number += 1;
        enqueue(number).await.unwrap_err();
        disk.set_faults(Faults::default());
        number += 1;
        while enqueue(number).await.is_err() {
            number += 1;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(claimer.await.unwrap() > 0);
}
