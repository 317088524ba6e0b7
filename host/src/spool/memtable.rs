//! The memtable: what the rows became since the last checkpoint.
//!
//! A row that is gone leaves its key behind, since the database may still have it; but one that came since
//! then goes without a trace: of mail that leaves at once the database learns only what is remembered of it.
//! Whoever reads keeps the tables as they were at one moment while the writer goes on: both share what did not
//! change.

use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::entries::Entry;
use super::sheet::TABLES;

/// Octets of a row, shared by those who read it.
pub(super) type Row = Arc<[u8]>;

/// Changed rows by table and key.
#[derive(Clone, Debug, Default)]
pub(super) struct Memtable {
    tables: [RedBlackTreeMapSync<Row, Changed>; TABLES.len()],
}

/// What became of a row.
#[derive(Clone, Debug)]
struct Changed {
    /// None for a row that is gone.
    row: Option<Row>,
    /// The database has no row with this key.
    is_new: bool,
}

impl Memtable {
    /// Puts a row where there is none: neither here nor in the database.
    pub(super) fn add(&mut self, table: usize, key: &[u8], row: Row) {
        let table = &mut self.tables[table];
        // Where one is gone from here, the database has it.
        let is_new = !table.contains_key(key);
        let row = Some(row);
        table.insert_mut(key.into(), Changed { row, is_new });
    }

    /// Changes a row, or removes it.
    pub(super) fn set(&mut self, table: usize, key: &[u8], row: Option<Row>) {
        let table = &mut self.tables[table];
        let is_new = table.get(key).is_some_and(|changed| changed.is_new);
        if is_new && row.is_none() {
            table.remove_mut(key);
        } else {
            table.insert_mut(key.into(), Changed { row, is_new });
        }
    }

    /// Does again what was done once.
    pub(super) fn apply(&mut self, entry: Entry<'_>) {
        self.set(entry.table, entry.key, entry.row.map(Row::from));
    }

    /// What became of the row with that key; none when nothing did.
    pub(super) fn get(&self, table: usize, key: &[u8]) -> Option<Option<&Row>> {
        self.tables[table]
            .get(key)
            .map(|changed| changed.row.as_ref())
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
            .map(|(key, changed)| (&**key, changed.row.as_deref()))
    }

    /// Everything that changed in a table, in the order of the keys.
    pub(super) fn table(&self, table: usize) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let rows = self.tables[table].iter();
        rows.map(|(key, changed)| (&**key, changed.row.as_deref()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(memtable: &Memtable) -> Vec<&[u8]> {
        memtable.table(0).map(|(key, _)| key).collect()
    }

    #[test]
    fn a_row_that_came_and_went_leaves_nothing_behind() {
        let mut memtable = Memtable::default();
        memtable.add(0, b"new", Row::from(*b"a"));
        memtable.set(0, b"new", Some(Row::from(*b"b")));
        memtable.set(0, b"old", None);
        memtable.set(0, b"new", None);
        assert_eq!(keys(&memtable), [b"old"]);
        assert_eq!(memtable.len(), 1);
    }

    #[test]
    fn a_row_of_the_database_that_went_and_came_again_leaves_its_key_behind() {
        let mut memtable = Memtable::default();
        memtable.set(0, b"old", None);
        memtable.add(0, b"old", Row::from(*b"a"));
        memtable.set(0, b"old", None);
        assert_eq!(keys(&memtable), [b"old"]);
        assert_eq!(memtable.get(0, b"old"), Some(None));
    }
}
