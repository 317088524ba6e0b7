//! The database's file is made smaller while the power is cut or the disk fails: no row is another one afterwards.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::*;
use crate::spool::redb::StoreError;
use crate::spool::sheet::Sheet;
use crate::spool::store::Store;
use crate::spool::view::Scan;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Rows of which most have gone: some stand in the database, some in the journal alone.
fn make_loose(store: &Store, dice: &mut Dice) -> Rows {
    let mut rows = Rows::new();
    let mut change = |rows: &mut Rows, from: u64, to: u64, kept_of: u64| {
        store
            .write(|transaction| {
                for number in from..to {
                    let key = number.to_be_bytes().to_vec();
                    let row = vec![number as u8; dice.below(1_500) as usize];
                    transaction.put(Sheet::Held, &key, &row);
                    rows.insert(key, row);
                }
                rows.retain(|key, _| {
                    let stays = dice.below(kept_of) == 0;
                    if !stays {
                        transaction.remove(Sheet::Held, key);
                    }
                    stays
                });
                Ok(())
            })
            .unwrap();
    };
    change(&mut rows, 0, 600, 1);
    store.checkpoint().unwrap();
    change(&mut rows, 600, 620, 12);
    change(&mut rows, 620, 640, 1);
    rows
}

fn all(store: &Store) -> Rows {
    let mut rows = Rows::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let mut note = |key: &[u8], row: &[u8]| {
        rows.insert(key.to_vec(), row.to_vec());
        Scan::On
    };
    store
        .read(|view| view.scan(Sheet::Held, everything, &mut note))
        .unwrap();
    rows
}

/// In some seeds among the first operations, in others among all that there are.
fn moment(dice: &mut Dice) -> u64 {
    let longest = 1 << dice.below(10);
    dice.below(longest)
}

#[test]
fn a_power_cut_while_the_file_is_made_smaller_changes_no_row() {
    let (cuts, whole) = (Cell::new(0), Cell::new(0));
    with_seeds(0..60, async |seed| {
        let mut dice = Dice::new(seed);
        let mut disk = Simulated::new(seed);
        let store = Store::open(&disk, &settings()).unwrap();
        let rows = make_loose(&store, &mut dice);
        let before = store.octets().unwrap();
        disk.cut_power_after(moment(&mut dice));
        let compacted = store.compact();
        match disk.is_out() {
            true => cuts.update(|cuts| cuts + 1),
            false => {
                disk.cut_power_after(u64::MAX);
                assert!(compacted.unwrap());
                assert!(store.octets().unwrap() < before / 2);
                whole.update(|whole| whole + 1);
            }
        }
        drop(store);
        // Also where the next process is cut off while it opens the file.
        loop {
            disk = disk.after_power_cut();
            disk.cut_power_after(10 + dice.below(200));
            if let Ok(store) = Store::open(&disk, &settings())
                && !disk.is_out()
            {
                disk.cut_power_after(u64::MAX);
                assert!(all(&store) == rows, "a row is another one");
                assert!(store.compact().unwrap());
                assert!(all(&store) == rows, "a row is another one");
                return;
            }
        }
    });
    let (cuts, whole) = (cuts.get(), whole.get());
    assert!(cuts > 0 && whole > 0, "{cuts} cuts, {whole} without one");
}

#[test]
fn a_disk_that_fails_while_the_file_is_made_smaller_changes_no_row() {
    let (failed, whole) = (Cell::new(0), Cell::new(0));
    with_seeds(0..60, async |seed| {
        let mut dice = Dice::new(seed);
        let disk = Simulated::new(seed);
        let store = Store::open(&disk, &settings()).unwrap();
        let rows = make_loose(&store, &mut dice);
        if dice.one_in(4) {
            disk.set_capacity(Some(disk.octets_used()), true);
        }
        disk.fail_once_after(moment(&mut dice));
        match store.compact() {
            Ok(has_moved) => {
                assert!(has_moved);
                whole.update(|whole| whole + 1);
            }
            Err(StoreError::Failed(_) | StoreError::Full | StoreError::ReadOnly) => {
                failed.update(|failed| failed + 1);
            }
        }
        disk.fail_once_after(u64::MAX);
        // Whatever became of it: opened again, as the writer does, and after a power cut.
        store.reopen().unwrap();
        assert!(all(&store) == rows, "a row is another one");
        let disk = disk.after_power_cut();
        disk.set_capacity(None, true);
        let store = Store::open(&disk, &settings()).unwrap();
        assert!(all(&store) == rows, "a row is another one");
    });
    let (failed, whole) = (failed.get(), whole.get());
    assert!(failed > 0 && whole > 0, "{failed} failed, {whole} did not");
}
