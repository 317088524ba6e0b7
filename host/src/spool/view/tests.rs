//! A view beside a plain map of rows: whatever was stored and changed, both read alike, before a checkpoint and behind it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use proptest::prelude::*;

use crate::spool::disk::Disk;
use crate::spool::entries::{Entries, Entry};
use crate::spool::memtable::Memtable;
use crate::spool::redb::Database;
use crate::spool::sheet::Sheet;
use crate::spool::transaction::Transaction;
use crate::spool::trials::simulated::Simulated;
use crate::stable::Remembered;

use super::{Scan, View};

const SHEETS: [Sheet; 3] = [Sheet::Waiting, Sheet::Held, Sheet::Finished];

type Change = (u8, u8, Option<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((0..3_u8, 0..12_u8, prop::option::of(any::<u8>())), 0..40)
}

/// The rows as a transaction leaves them, and what they are expected to be.
fn changed(view: &View, expected: &mut BTreeMap<(u8, Vec<u8>), u8>, changes: &[Change]) -> View {
    let mut entries = Entries::default();
    let mut rows = Transaction::begin(view.clone(), &mut entries);
    for (sheet, key, row) in changes {
        let (key, at) = (vec![*key; usize::from(*key % 3)], usize::from(*sheet));
        match row {
            Some(row) => match expected.insert((*sheet, key.clone()), *row) {
                Some(_) => rows.put(SHEETS[at], &key, &[*row]),
                None => rows.add(SHEETS[at], &key, &[*row]),
            },
            None => {
                let taken = rows.take(SHEETS[at], &key).unwrap().map(|row| row[0]);
                assert_eq!(taken, expected.remove(&(*sheet, key)));
            }
        }
    }
    rows.end()
}

fn all(
    view: &View,
    sheet: u8,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
    most: usize,
) -> Vec<(Vec<u8>, u8)> {
    let mut found = Vec::new();
    view.scan(SHEETS[usize::from(sheet)], (from, to), &mut |key, row| {
        found.push((key.to_vec(), row[0]));
        if found.len() == most {
            Scan::Stop
        } else {
            Scan::On
        }
    })
    .unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_view_reads_as_one_map_of_rows_does(
        stored in changes(),
        later in changes(),
        key in 0..12_u8,
        end in 0..12_u8,
        most in 1..20_usize,
    ) {
        let disk = Simulated::new(1);
        let file = Remembered::new(disk.new_database().unwrap());
        let database = Database::open(&file, 1 << 20).unwrap();
        let mut expected = BTreeMap::new();
        let nothing = View::of(database.base().unwrap(), Memtable::default());
        let view = changed(&nothing, &mut expected, &stored);
        let mark = Entry { table: Sheet::Mark.table().0, key: &Sheet::Mark.key(&[]), row: None };
        database.write(&view.changes, mark).unwrap();
        let before = View::of(database.base().unwrap(), Memtable::default());
        let as_before = expected.clone();
        let changed = changed(&before, &mut expected, &later);
        database.write(&changed.changes, mark).unwrap();
        let after = View::of(database.base().unwrap(), Memtable::default());
        let key = vec![key; usize::from(key % 3)];
        let end = vec![end; usize::from(end % 3)];
        for (view, expected) in [(&changed, &expected), (&after, &expected), (&before, &as_before)] {
            for sheet in 0..3 {
                let wanted = |from: Bound<&[u8]>, to: Bound<&[u8]>| -> Vec<(Vec<u8>, u8)> {
                    let is_after = |key: &[u8]| match from {
                        Bound::Included(from) => key >= from,
                        Bound::Excluded(from) => key > from,
                        Bound::Unbounded => true,
                    };
                    let is_before = |key: &[u8]| match to {
                        Bound::Included(to) => key <= to,
                        Bound::Excluded(to) => key < to,
                        Bound::Unbounded => true,
                    };
                    expected
                        .iter()
                        .filter(|((at, key), _)| *at == sheet && is_after(key) && is_before(key))
                        .map(|((_, key), row)| (key.clone(), *row))
                        .take(most)
                        .collect()
                };
                let ends = [Bound::Unbounded, Bound::Included(&end[..]), Bound::Excluded(&end[..])];
                for from in [Bound::Unbounded, Bound::Included(&key[..]), Bound::Excluded(&key[..])] {
                    for to in ends {
                        prop_assert_eq!(all(view, sheet, from, to, most), wanted(from, to));
                    }
                }
                let row = view.get(SHEETS[usize::from(sheet)], &key).unwrap();
                prop_assert_eq!(row.map(|row: Arc<[u8]>| row[0]), expected.get(&(sheet, key.clone())).copied());
            }
        }
    }
}
