//! The rows as they were at one moment: what the database has, and above it what changed since the
//! last checkpoint.

use std::ops::Bound;
use std::sync::Arc;

use super::memtable::{Memtable, Row};
use super::redb::{Base, StoreError};
use super::sheet::{ID_OCTETS, Range, Sheet};

/// The rows at one moment. The pages of its base are kept for as long as it is.
#[derive(Clone, Debug)]
pub(super) struct View {
    base: Arc<Base>,
    pub(super) changes: Memtable,
}

/// Whether a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// To the next row.
    On,
    /// No further.
    Stop,
}

impl View {
    pub(super) fn of(base: Base, changes: Memtable) -> Self {
        Self {
            base: Arc::new(base),
            changes,
        }
    }

    /// The row with that key.
    pub(super) fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.row(sheet.table().0, &sheet.key(key))
    }

    /// The row with that key in its table.
    pub(super) fn row(&self, table: usize, key: &[u8]) -> Result<Option<Row>, StoreError> {
        match self.changes.get(table, key) {
            Some(row) => Ok(row.cloned()),
            None => self.base.row(table, key),
        }
    }

    /// Visits rows of the queue in order of their keys, until `visit` says that it has seen enough.
    pub(super) fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        let (from, to) = sheet.range(range);
        let range = (
            from.as_ref().map(Vec::as_slice),
            to.as_ref().map(Vec::as_slice),
        );
        // The octet that tells the sheet is the first one.
        self.visit(sheet.table().0, range, &mut |key, row| {
            visit(&key[1..], row)
        })
    }

    /// Visits the rows of one message, with what stands in their keys behind its id.
    pub(super) fn scan_message(
        &self,
        sheet: Sheet,
        id: &[u8; ID_OCTETS],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        let (from, to) = sheet.message_range(id);
        let range = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
        self.visit(sheet.table().0, range, &mut |key, row| {
            visit(&key[from.len()..], row)
        })
    }

    /// Visits all rows of one message beside its chunks, in the order of their sheets' names in keys:
    /// deliveries, its record, the rest of its content, its trail.
    pub(super) fn scan_mail(
        &self,
        id: &[u8; ID_OCTETS],
        visit: &mut dyn FnMut(Sheet) -> Scan,
    ) -> Result<(), StoreError> {
        let (from, to) = Sheet::mail_range(id);
        let range = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
        let (table, _) = Sheet::Messages.table();
        self.visit(table, range, &mut |key, _| match key
            .get(ID_OCTETS)
            .and_then(|name| Sheet::of_mail(*name))
        {
            Some(sheet) => visit(sheet),
            None => Scan::On,
        })
    }

    /// Visits rows of a table, those that changed as they are now.
    fn visit(
        &self,
        table: usize,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        let mut changes = self.changes.range(table, range).peekable();
        let mut scan = Scan::On;
        self.base.visit(table, range, &mut |key, row| {
            let mut is_changed = false;
            while let Some((changed, row)) = changes.next_if(|(changed, _)| *changed <= key) {
                is_changed = changed == key;
                scan = row.map_or(Scan::On, |row| visit(changed, row));
                if scan == Scan::Stop {
                    return scan;
                }
            }
            if !is_changed {
                scan = visit(key, row);
            }
            scan
        })?;
        while scan == Scan::On
            && let Some((key, row)) = changes.next()
        {
            scan = row.map_or(Scan::On, |row| visit(key, row));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
