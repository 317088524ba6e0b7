//! A transaction: the rows as it sees and changes them, with its changes noted for the journal.

use std::ops::Deref;

use super::entries::{Entries, Entry};
use super::memtable::Row;
use super::redb::StoreError;
use super::sheet::Sheet;
use super::view::View;

/// Rows under change. Nobody else sees what it does before it is durable.
#[derive(Debug)]
pub(super) struct Transaction<'e> {
    rows: View,
    entries: &'e mut Entries,
}

impl<'e> Transaction<'e> {
    pub(super) fn begin(rows: View, entries: &'e mut Entries) -> Self {
        Self { rows, entries }
    }

    /// Adds a row with a key that has none.
    pub(super) fn add(&mut self, sheet: Sheet, key: &[u8], row: &[u8]) {
        debug_assert!(
            matches!(self.rows.get(sheet, key), Ok(None) | Err(_)),
            "{sheet:?} has a row with that key"
        );
        let ((table, _), key) = (sheet.table(), &sheet.key(key)[..]);
        let entry = Entry {
            table,
            key,
            row: Some(row),
        };
        self.entries.push(entry);
        self.rows.changes.add(table, key, row.into());
    }

    /// Puts a row in place of the one with that key, if there is one.
    pub(super) fn put(&mut self, sheet: Sheet, key: &[u8], row: &[u8]) {
        self.set(sheet, &sheet.key(key), Some(row));
    }

    /// Removes a row, whatever is in it: one that is known to be there need not be read.
    pub(super) fn remove(&mut self, sheet: Sheet, key: &[u8]) {
        self.set(sheet, &sheet.key(key), None);
    }

    /// Removes a row and gives it out.
    pub(super) fn take(&mut self, sheet: Sheet, key: &[u8]) -> Result<Option<Row>, StoreError> {
        let key = sheet.key(key);
        let row = self.rows.row(sheet.table().0, &key)?;
        if row.is_some() {
            self.set(sheet, &key, None);
        }
        Ok(row)
    }

    fn set(&mut self, sheet: Sheet, key: &[u8], row: Option<&[u8]>) {
        let (table, _) = sheet.table();
        self.entries.push(Entry { table, key, row });
        self.rows.changes.set(table, key, row.map(Row::from));
    }

    /// The rows as it leaves them.
    pub(super) fn end(self) -> View {
        self.rows
    }
}

impl Deref for Transaction<'_> {
    type Target = View;

    fn deref(&self) -> &View {
        &self.rows
    }
}
