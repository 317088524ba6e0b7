//! What stays in memory is bounded, whatever is asked.

use super::*;
use crate::spool::rows::trail_key;
use crate::spool::sheet::Sheet;
use crate::spool::store::{CHANGED_ROWS_MAX, Store};

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
