//! The disk is full.

use super::super::NewRefusals;
use super::super::disk::Disk;
use super::super::sample::{enqueue, line, refusal};
use super::*;

fn small(number: u64) -> NewMessage {
    new_message(message(number, "user", Class::Normal, &LANES[..1]))
}

/// Fills the disk; how many messages it took.
async fn fill(spool: &Embedded, from: u64, size: usize) -> u64 {
    for number in from.. {
        match enqueue(spool, small(number), &octets(size)).await {
            Ok(()) => {}
            Err(SpoolError::Full) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("a disk has an end")
}

async fn deliver_all(spool: &Embedded) -> u64 {
    let line = line(LANES[0], Class::Normal, "user");
    let mut delivered = 0;
    while let Some(claim) = spool.claim(&line, at(NOW)).await.unwrap().claim {
        let content = spool.content(claim.message.id).await.unwrap();
        gather(content).await.unwrap();
        let settlement = Settlement {
            lease: claim.lease,
            remaining: Vec::new(),
            reports: Vec::new(),
            trail: trail(),
            outcomes: None,
            is_cancelled: false,
        };
        let settled = spool.settle(settlement).await;
        settled.unwrap_or_else(|error| panic!("after {delivered} delivered: {error}"));
        delivered += 1;
    }
    delivered
}

async fn full_and_emptied(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = Simulated::new(seed);
    let size = [300, 4_000, 8_000, 60_000][dice.below(4) as usize];
    let tells_room = dice.one_in(2);
    let settings = Settings {
        disk_free_octets_min: 128 << 10,
        ..settings()
    };
    let spool = start_with(&disk, settings).unwrap();
    let capacity = (3 << 19) + dice.below(1 << 19);
    disk.set_capacity(Some(capacity), tells_room);
    disk.keep_reserve().unwrap();
    let mut next = 1;
    for round in 0..2 {
        let first = next;
        next = fill(&spool, first, size).await;
        assert!(next > first, "round {round}: there was room");
        if size <= 8_000 {
            assert!(!spool.figures().writable, "seen by the writer");
        }
        // Refused once more, and again: that changes nothing. What is known of finished mail may give way first.
        let mut refused = 0;
        while refused < 3 {
            match enqueue(&spool, small(next), &octets(size)).await {
                Ok(()) => next += 1,
                Err(SpoolError::Full) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let refused = spool.message(id(next)).await.unwrap();
        assert!(refused.is_none(), "what was refused is not there");
        assert!(deliver_all(&spool).await >= next - first);
        assert!(spool.figures().writable);
    }
    assert!(disk.octets_used() <= capacity);
    assert_eq!(spool.figures().queued, [0; 5]);
}

#[test]
fn a_full_disk_refuses_mail_while_deliveries_go_on_and_give_room_back() {
    with_seeds(0..8, full_and_emptied);
}

#[tokio::test]
async fn refused_senders_leave_what_room_there_is_and_are_noted_when_there_is_more() {
    let disk = Simulated::new(5);
    let settings = Settings {
        disk_free_octets_min: 128 << 10,
        ..settings()
    };
    let spool = start_with(&disk, settings).unwrap();
    disk.set_capacity(Some(2 << 20), true);
    disk.keep_reserve().unwrap();
    let note = |sender: &str| {
        let refused = [refusal("ann", sender, NOW)];
        spool.note_refusals(NewRefusals::of(&refused))
    };
    note("x@a.example").await.unwrap();
    fill(&spool, 1, 4_000).await;
    let commits = spool.figures().commits;
    for _ in 0..3 {
        assert!(matches!(note("y@a.example").await, Err(SpoolError::Full)));
    }
    assert_eq!(spool.figures().commits, commits, "nothing is tried");
    let ids = spool.refusals().of_user("ann", at(NOW)).into_iter();
    let ids: Vec<_> = ids.map(|row| row.id).collect();
    assert_eq!(spool.dismiss_refusals(ids.clone()).await.unwrap(), ids);
    deliver_all(&spool).await;
    note("y@a.example").await.unwrap();
    assert_eq!(spool.refusals().count(), 1);
}

/// Mail for a hundred recipients each, which leaves at once: what is known of it fills the disk, and gives way to
/// new mail.
#[tokio::test]
async fn what_is_known_of_finished_mail_leaves_room_for_new_mail() {
    let disk = Simulated::new(3);
    let settings = Settings {
        disk_free_octets_min: 512 << 10,
        history_records_max: 100_000,
        ..settings()
    };
    let spool = start_with(&disk, settings).unwrap();
    disk.set_capacity(Some(4 << 20), true);
    let recipients: Vec<String> = (0..100).map(|n| format!("host{n}.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let (mut accepted, mut refused) = (0, 0);
    for number in 1..=1_500 {
        let mut new = new_message(message(number, "user", Class::Normal, &recipients));
        let all = (0..100).collect();
        new.deliveries = vec![NewDelivery::first(domain(LANES[0]), all, at(NOW))];
        match enqueue(&spool, new, b"content").await {
            Ok(()) => accepted += 1,
            Err(SpoolError::Full) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        deliver_all(&spool).await;
    }
    assert!(refused > 0, "the history had filled the disk");
    assert!(
        accepted > 50 * refused,
        "{accepted} accepted, {refused} refused"
    );
    assert!(disk.octets_used() <= 4 << 20);
    let known = spool.message(id(1_400)).await.unwrap();
    assert!(known.is_some(), "the latest are still known");
}

/// A file that has room in it is made smaller before anything is forgotten, also by the next process.
#[tokio::test]
async fn a_file_that_has_room_in_it_is_made_smaller_and_nothing_is_forgotten() {
    let disk = Simulated::new(4);
    let settings = || Settings {
        disk_free_octets_min: 512 << 10,
        history_records_max: 100_000,
        journal_octets_max: 4 << 20,
        ..settings()
    };
    let spool = start_with(&disk, settings()).unwrap();
    for number in 1..=500 {
        enqueue(&spool, small(number), &octets(8_000))
            .await
            .unwrap();
    }
    deliver_all(&spool).await;
    spool.close().await.unwrap();
    let spool = start_with(&disk, settings()).unwrap();
    disk.set_capacity(Some(disk.octets_used() + (256 << 10)), true);
    let mut number = 501;
    while enqueue(&spool, small(number), b"").await.is_err() {
        assert!(number < 1_000, "no mail is taken");
        number += 1;
    }
    assert!(spool.message(id(1)).await.unwrap().is_some());
}

/// Mail is refused, and then there is room again, though nothing comes or goes: whoever sends it elsewhere
/// meanwhile has to be told.
#[tokio::test]
async fn room_that_is_made_is_seen_without_any_mail() {
    let disk = Simulated::new(1);
    let settings = Settings {
        disk_free_octets_min: 128 << 10,
        ..settings()
    };
    let spool = start_with(&disk, settings).unwrap();
    disk.set_capacity(Some(1 << 20), true);
    let refused = enqueue(&spool, small(1), b"").await;
    if refused.is_ok() {
        fill(&spool, 2, 4_000).await;
    }
    assert!(!spool.figures().writable);
    disk.set_capacity(None, true);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while !spool.figures().writable {
        assert!(std::time::Instant::now() < until, "it is never seen");
        std::thread::yield_now();
    }
    enqueue(&spool, small(0), b"").await.unwrap();
}

#[tokio::test]
async fn a_spool_that_is_opened_without_room_says_so_from_the_first_moment() {
    let disk = Simulated::new(5);
    let settings = || Settings {
        disk_free_octets_min: 128 << 10,
        ..settings()
    };
    for free in [256 << 10, 0] {
        disk.set_capacity(None, true);
        start(&disk).unwrap().close().await.unwrap();
        disk.keep_reserve().unwrap();
        // The journal takes its room first.
        let journal = settings().journal_octets_max;
        disk.set_capacity(Some(disk.octets_used() + journal + free), true);
        let spool = start_with(&disk, settings()).unwrap();
        assert_eq!(spool.figures().writable, free > 0);
        spool.close().await.unwrap();
    }
}

/// A crash on a disk that is full to the last block, with more in the journal than fits in memory.
async fn start_without_room(has_reserve: bool) {
    let disk = Simulated::new(2);
    // The first process has all changed pages in memory, the next one has room for a few.
    let with_memory = |page_cache_octets| Settings {
        page_cache_octets,
        journal_octets_max: 256 << 10,
        ..settings()
    };
    let spool = start_with(&disk, with_memory(1 << 20)).unwrap();
    for number in 1..=20 {
        enqueue(&spool, small(number), &octets(1_500))
            .await
            .unwrap();
    }
    disk.cut_power_after(0);
    drop(spool);
    let disk = disk.after_kill();
    if has_reserve {
        disk.keep_reserve().unwrap();
    }
    disk.set_capacity(Some(disk.octets_used()), true);
    let spool = start_with(&disk, with_memory(16 << 10)).unwrap();
    for number in 1..=20 {
        let content = spool.content(id(number)).await.unwrap();
        assert_eq!(gather(content).await.unwrap(), octets(1_500));
    }
    disk.set_capacity(None, true);
    assert_eq!(deliver_all(&spool).await, 20);
}

#[tokio::test]
async fn a_spool_is_opened_after_a_crash_on_a_full_disk() {
    start_without_room(true).await;
    start_without_room(false).await;
}
