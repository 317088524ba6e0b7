//! The memtable: what the rows became since the last checkpoint.
//!
//! A row that is gone leaves its key behind, since the database may still have it. Whoever reads keeps
//! the tables as they were at one moment while the writer goes on: both share what did not change.

use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::entries::Entry;
use super::sheet::TABLES;

/// Octets of a row, shared by those who read it.
pub(super) type Row = Arc<[u8]>;

/// Changed rows by table and key; none for a row that is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Memtable {
    tables: [RedBlackTreeMapSync<Row, Option<Row>>; TABLES.len()],
}

impl Memtable {
    /// Changes a row, or removes it.
    pub(super) fn set(&mut self, table: usize, key: &[u8], row: Option<Row>) {
        self.tables[table].insert_mut(key.into(), row);
    }

    /// Does again what was done once.
    pub(super) fn apply(&mut self, entry: Entry<'_>) {
        self.set(entry.table, entry.key, entry.row.map(Row::from));
    }

    /// What became of the row with that key; none when nothing did.
    pub(super) fn get(&self, table: usize, key: &[u8]) -> Option<Option<&Row>> {
        self.tables[table].get(key).map(Option::as_ref)
    }

    /// What changed in a part of a table, in the order of the keys.
    pub(super) fn range<'a>(
        &'a self,
        table: usize,
        range: (Bound<&'a [u8]>, Bound<&'a [u8]>),
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        // Asking the map for a range that ends before it begins is an error.
        let table = (!is_reversed(range)).then(|| &self.tables[table]);
        table
            .map(|table| table.range::<[u8], _>(range))
            .into_iter()
            .flatten()
            .map(|(key, row)| (&**key, row.as_deref()))
    }

    /// Everything that changed in a table, in the order of the keys.
    pub(super) fn table(&self, table: usize) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let rows = self.tables[table].iter();
        rows.map(|(key, row)| (&**key, row.as_deref()))
    }

    /// How many rows changed.
    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(RedBlackTreeMapSync::size).sum()
    }
}

fn is_reversed((from, to): (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
    }
}
