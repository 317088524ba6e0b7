//! What was counted agrees with the mail, whatever the moment at which the power was cut.

use std::sync::Arc;

use super::*;
use crate::message::Counts;
use crate::spool::statistics::{Answer, Dimension, Filter, Question};
use crate::spool::{Fates, Outcomes, stage};

/// Those of a delivery that is done, or is tried again.
pub(super) fn fates(recipients: &[u32], is_done: bool) -> Fates {
    match is_done {
        true => Fates {
            delivered: recipients.to_vec(),
            ..Fates::default()
        },
        false => Fates {
            deferred: recipients.to_vec(),
            ..Fates::default()
        },
    }
}

pub(super) fn outcomes(claim: &Claim, fates: Fates) -> Outcomes {
    Outcomes {
        message: Arc::clone(&claim.message),
        at: at(NOW),
        fates,
    }
}

impl Trial {
    /// Each recipient that was counted in is queued, can be restored, or was counted out, in every dimension.
    pub(super) async fn check_statistics(&self, spool: &Embedded) {
        let queued = recipients(spool, None).await;
        let cancelled = recipients(spool, Some(QueueState::Cancelled)).await;
        let all = answer(spool, None).await;
        assert_eq!(all.queued, queued, "queued");
        let Counts {
            recipients,
            sent,
            removed,
            ..
        } = all.total;
        assert_eq!(recipients, sent + removed + queued + cancelled, "{all:?}");
        let acknowledged = self.known.values().filter(|known| known.is_acknowledged);
        let least = i64::try_from(acknowledged.count()).unwrap();
        let most = i64::try_from(self.known.len()).unwrap();
        assert!((least..=most).contains(&all.total.accepted), "{all:?}");
        for dimension in [
            Dimension::Class,
            Dimension::List,
            Dimension::User,
            Dimension::Destination,
        ] {
            let mut found = answer(spool, Some(dimension)).await;
            let of_rows: i64 = found.rows.iter().filter_map(|row| row.queued).sum();
            assert_eq!((of_rows, found.queued), (queued, queued), "{dimension:?}");
            if dimension == Dimension::Destination {
                // A message counts once for each of its domains.
                found.total.accepted = all.total.accepted;
            }
            if !matches!(dimension, Dimension::Class | Dimension::List) {
                found.total.latency = all.total.latency.clone();
            }
            assert_eq!(found.total, all.total, "{dimension:?}");
        }
    }
}

async fn answer(spool: &Embedded, by: Option<Dimension>) -> Answer {
    let question = Question {
        since: at(0),
        until: at(NOW),
        period: None,
        by,
        filter: Filter::default(),
        most: None,
        cursor: None,
        rows_max: 100,
    };
    spool.statistics(question).await.unwrap().unwrap()
}

/// Recipients of what is queued, or of what was cancelled.
async fn recipients(spool: &Embedded, state: Option<QueueState>) -> i64 {
    let (mut count, mut cursor) = (0, None);
    loop {
        let selection = Selection {
            state,
            ..Selection::default()
        };
        let request = PageRequest {
            cursor,
            rows_max: 100,
            now: at(NOW),
        };
        let page = spool.list(selection, request).await.unwrap();
        let rows = page.rows.iter();
        count += rows.map(|row| row.delivery.recipients.len()).sum::<usize>();
        cursor = page.cursor;
        if cursor.is_none() {
            return i64::try_from(count).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_that_is_over_is_rolled_up_at_once_when_there_is_nothing_else_to_do() {
    let disk = Simulated::new(1);
    let clock = Clock::with_timers(at(0));
    let takes = || Duration::from_millis(2);
    let spool = stage::open(&disk, settings(), clock, takes).unwrap();
    let domains: Vec<String> = (0..1_000).map(|n| format!("d{n}.example")).collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let mut new = new_message(message(1, "user", Class::Normal, &domains));
    new.deliveries.truncate(1);
    let intake = spool.intake(None).unwrap();
    spool.enqueue(new, intake).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_599)).await;
    let before = disk.operations();
    // Twice the time in which nothing happens: it is seen that the hour is over, and written to the database.
    tokio::time::sleep(Duration::from_secs(1 + 3 * 2)).await;
    let behind = disk.operations();
    assert!(behind > before, "{before}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(disk.operations(), behind);
    spool.close().await.unwrap();
}
