//! What stays in memory is bounded, whatever is asked.

use super::super::sample::enqueue;
use super::*;
use crate::spool::store::Store;

#[tokio::test]
async fn pages_that_wait_for_a_sync_are_bounded_while_a_whole_queue_is_changed() {
    let disk = Simulated::new(1);
    let settings = Settings {
        page_cache_octets: 8 << 10,
        journal_octets_max: 32 << 10,
        ..settings()
    };
    {
        let spool = start_with(&disk, settings.clone()).unwrap();
        for number in 1..=200 {
            let new = new_message(message(number, "user", Class::Normal, &LANES[..1]));
            enqueue(&spool, new, &octets(200)).await.unwrap();
        }
        spool.close().await.unwrap();
    }
    let store = Store::open(&disk, &settings).unwrap();
    let mut most = 0;
    for number in 1..=200_u64 {
        // One row in each page that is met.
        let key = crate::spool::rows::message_key(id(number * 89 % 200 + 1));
        store
            .write(|rows| rows.put(crate::spool::sheet::Sheet::Rests, &key, &[0; 40]))
            .unwrap();
        most = most.max(store.unsynced_octets());
    }
    let one_commit = 64 << 10;
    assert!(most <= 4 * (32 << 10) + one_commit, "{most}");
}
