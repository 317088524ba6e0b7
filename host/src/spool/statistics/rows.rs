//! The rows that statistics stand in, whichever backend keeps them.
//!
//! Counting, rolling up and reading are the same for all of them, so that they are written once.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::spool::memtable::Row;
use crate::spool::redb::StoreError;
use crate::spool::sheet::{Range, Sheet};
use crate::spool::stored::{self, Stored};
use crate::spool::transaction::Transaction;
use crate::spool::view::{Scan, View};

/// Rows to be read.
pub(in crate::spool) trait Read {
    /// The row with that key.
    fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Row>, StoreError>;

    /// Visits rows in the order of their keys, until `visit` says that it has seen enough.
    fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError>;

    /// The record in the row with that key. One that cannot be read is told and counts as none: statistics must not
    /// keep mail from going on.
    fn record<T: for<'a> Stored<'a>>(
        &self,
        sheet: Sheet,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        let row = self.get(sheet, key)?;
        Ok(row.and_then(|row| readable(sheet, &row)))
    }
}

/// The record in a row; none, and a word to the operator, where it cannot be read.
pub(super) fn readable<T: for<'a> Stored<'a>>(sheet: Sheet, row: &[u8]) -> Option<T> {
    match stored::read(row) {
        Ok(record) => Some(record),
        Err(damage) => {
            tracing::error!(?sheet, %damage, "a row of the statistics cannot be read, and counts as none");
            None
        }
    }
}

/// Rows to be changed.
pub(in crate::spool) trait Write: Read {
    /// Puts a row in place of the one with that key, if there is one.
    fn put(&mut self, sheet: Sheet, key: &[u8], row: &[u8]);

    /// Removes a row, if there is one.
    fn remove(&mut self, sheet: Sheet, key: &[u8]);
}

impl Read for View {
    fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Row>, StoreError> {
        View::get(self, sheet, key)
    }

    fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        View::scan(self, sheet, range, visit)
    }
}

impl Read for Transaction<'_> {
    fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Row>, StoreError> {
        View::get(self, sheet, key)
    }

    fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        View::scan(self, sheet, range, visit)
    }
}

impl Write for Transaction<'_> {
    fn put(&mut self, sheet: Sheet, key: &[u8], row: &[u8]) {
        Transaction::put(self, sheet, key, row);
    }

    fn remove(&mut self, sheet: Sheet, key: &[u8]) {
        Transaction::remove(self, sheet, key);
    }
}

/// Rows in memory, for the backend that has no others.
#[derive(Debug, Default)]
pub(in crate::spool) struct MemoryRows(BTreeMap<Vec<u8>, Row>);

impl Read for MemoryRows {
    fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Row>, StoreError> {
        Ok(self.0.get(&sheet.key(key)).cloned())
    }

    fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        let (from, to) = sheet.range(range);
        let is_empty = match (&from, &to) {
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
            (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        };
        if is_empty {
            return Ok(());
        }
        for (key, row) in self.0.range((from, to)) {
            if visit(&key[1..], row) == Scan::Stop {
                break;
            }
        }
        Ok(())
    }
}

impl Write for MemoryRows {
    fn put(&mut self, sheet: Sheet, key: &[u8], row: &[u8]) {
        self.0.insert(sheet.key(key), row.into());
    }

    fn remove(&mut self, sheet: Sheet, key: &[u8]) {
        self.0.remove(&sheet.key(key));
    }
}
