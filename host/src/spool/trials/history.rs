//! What is kept of finished messages, and that nothing is left of what is forgotten.

use std::ops::Bound;

use super::super::sample::{enqueue, line};
use super::*;
use crate::spool::disk::Disk;
use crate::spool::redb::Database;
use crate::spool::rows::Kept;
use crate::spool::settings::HISTORY_RECORD_OCTETS;
use crate::spool::sheet::{Sheet, TABLES};
use crate::spool::view::Scan;
use crate::stable::Remembered;

/// Rows of the tables of mail and of contents, and of finished messages.
fn kept_rows(disk: &Simulated) -> usize {
    let file = Remembered::new(disk.database().unwrap().unwrap());
    let database = Database::open(&file, 1 << 20).unwrap();
    let base = database.base().unwrap();
    let (queue, finished) = Sheet::Finished.table();
    let mut count = 0;
    let (statistics, _) = Sheet::HourCounts.table();
    for table in (0..TABLES.len()).filter(|table| *table != statistics) {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        base.visit(table, everything, &mut |key, _| {
            count += usize::from(table != queue || key[0] == finished);
            Scan::On
        })
        .unwrap();
    }
    count
}

async fn settle_next(spool: &Embedded, remaining: Vec<NewDelivery>) {
    let line = line(LANES[0], Class::Normal, "user");
    let claim = spool.claim(&line, at(NOW)).await.unwrap().claim.unwrap();
    let settlement = Settlement {
        lease: claim.lease,
        remaining,
        reports: Vec::new(),
        trail: trail(),
        outcomes: None,
        is_cancelled: false,
    };
    spool.settle(settlement).await.unwrap();
}

/// Messages that are finished in each way that there is. How many rows are kept of them.
async fn finish_in_all_ways(spool: &Embedded) -> usize {
    let new = |number, domains: &[&str]| {
        let mut new = new_message(message(number, "user", Class::Normal, domains));
        new.message.content_octets = 6_000;
        new
    };
    let operate = async |action| {
        let change = Change {
            action,
            by: "ann".to_owned(),
            at: at(NOW),
        };
        spool
            .change(Selection::default(), change, false)
            .await
            .unwrap();
    };
    let content = octets(6_000);
    // At the first attempt.
    enqueue(spool, new(1, &LANES[..1]), &content).await.unwrap();
    settle_next(spool, Vec::new()).await;
    // After it was put off.
    enqueue(spool, new(2, &LANES[..1]), &content).await.unwrap();
    let again = NewDelivery {
        attempts: 1,
        ..NewDelivery::first(domain(LANES[0]), vec![0], at(NOW))
    };
    settle_next(spool, vec![again]).await;
    settle_next(spool, Vec::new()).await;
    // After an operator's change, at the first attempt.
    enqueue(spool, new(3, &LANES[..1]), &content).await.unwrap();
    operate(ChangeAction::Hold).await;
    operate(ChangeAction::Release).await;
    settle_next(spool, Vec::new()).await;
    // With two deliveries.
    let mut two = new(4, &[LANES[0], LANES[0]]);
    let one = |recipient| NewDelivery::first(domain(LANES[0]), vec![recipient], at(NOW));
    two.deliveries = vec![one(0), one(1)];
    enqueue(spool, two, &content).await.unwrap();
    settle_next(spool, Vec::new()).await;
    settle_next(spool, Vec::new()).await;
    // With a large record.
    let mut many = new(5, &[LANES[0]; 400]);
    many.deliveries = vec![one(0)];
    enqueue(spool, many, &content).await.unwrap();
    settle_next(spool, Vec::new()).await;
    // By an operator.
    enqueue(spool, new(6, &LANES[..1]), &content).await.unwrap();
    operate(ChangeAction::Cancel).await;
    // Without deliveries.
    let mut none = new(7, &LANES[..1]);
    none.deliveries.clear();
    enqueue(spool, none, &content).await.unwrap();
    // Each has a record and stands among the finished; parts of trails stand beside 2, 3, 4 and 5.
    7 * 2 + 2 + 3 + 2 + 1
}

#[tokio::test]
async fn of_what_is_forgotten_no_row_is_left() {
    let keeping = || Settings {
        history_records_max: 1_000,
        cancelled_kept: Duration::ZERO,
        ..settings()
    };
    let forgetting = || Settings {
        history_records_max: 0,
        cancelled_kept: Duration::ZERO,
        ..settings()
    };
    // Before anything of it has reached the database, and behind a checkpoint.
    let disk = Simulated::new(1);
    let spool = start_with(&disk, forgetting()).unwrap();
    finish_in_all_ways(&spool).await;
    spool.close().await.unwrap();
    assert_eq!(kept_rows(&disk), 0);

    let disk = Simulated::new(1);
    let spool = start_with(&disk, keeping()).unwrap();
    let rows = finish_in_all_ways(&spool).await;
    for number in 1..=7 {
        let record = spool.message(id(number)).await.unwrap().unwrap();
        assert_eq!(record.finished, Some(at(NOW)), "message {number}");
    }
    spool.close().await.unwrap();
    assert_eq!(kept_rows(&disk), rows);
    let spool = start_with(&disk, forgetting()).unwrap();
    // Forgotten in the background: closing does not wait for it.
    while spool.message(id(7)).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    spool.close().await.unwrap();
    assert_eq!(kept_rows(&disk), 0);
}

#[test]
fn what_is_kept_is_read_from_its_row() {
    let large = usize::try_from(u32::MAX).unwrap() * HISTORY_RECORD_OCTETS;
    for octets in [0, HISTORY_RECORD_OCTETS - 1, HISTORY_RECORD_OCTETS, large] {
        for is_one_row in [false, true] {
            let kept = Kept::of(octets, is_one_row);
            assert_eq!(Kept::from_row(&kept.to_row()), kept);
        }
    }
    // The first form says the weight alone, and other rows may stand beside the record.
    for (row, weight) in [(vec![], 1), (vec![7, 0, 0, 0], 7)] {
        let is_one_row = false;
        assert_eq!(Kept::from_row(&row), Kept { weight, is_one_row });
    }
}
