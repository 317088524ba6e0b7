//! Rows in memory: for tests, and for relays that are not meant to remember.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::audit::{Added, Entries, Visitor};
use super::{BoxError, Kind, Row, RowChange, Rows};

/// Rows in memory. Clones share them, so that a directory can be opened again on the same rows, and
/// told to fail.
#[derive(Clone, Debug, Default)]
pub struct MemoryRows(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<(Kind, String), Vec<u8>>,
    /// Shared with whoever reads them as they were.
    audit: Arc<BTreeMap<u64, Vec<u8>>>,
    failure: Option<io::ErrorKind>,
}

impl MemoryRows {
    /// From now on, every read and write of the rows fails, or no longer does.
    pub fn set_failing(&self, is_failing: bool) {
        self.inner().failure = is_failing.then_some(io::ErrorKind::Other);
    }

    /// The same, with the failure of a disk that has no room.
    pub fn set_full(&self, is_full: bool) {
        self.inner().failure = is_full.then_some(io::ErrorKind::StorageFull);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn fail(&self) -> io::Result<()> {
        match self.failure {
            Some(kind) => Err(io::Error::new(kind, "told to fail")),
            None => Ok(()),
        }
    }
}

impl Rows for MemoryRows {
    fn load(&mut self) -> Result<Vec<Row>, BoxError> {
        let inner = self.inner();
        inner.fail()?;
        let row = |((kind, key), octets): (&(Kind, String), &Vec<u8>)| Row {
            kind: *kind,
            key: key.clone(),
            octets: octets.clone(),
        };
        Ok(inner.rows.iter().map(row).collect())
    }

    fn write_with(&mut self, changes: &[RowChange], added: &Added) -> Result<(), BoxError> {
        let mut inner = self.inner();
        inner.fail()?;
        for change in changes {
            let key = (change.kind, change.key.clone());
            match &change.octets {
                Some(octets) => inner.rows.insert(key, octets.clone()),
                None => inner.rows.remove(&key),
            };
        }
        if !added.rows.is_empty() {
            add(Arc::make_mut(&mut inner.audit), added);
        }
        Ok(())
    }

    fn entries(&mut self) -> Result<Box<dyn Entries>, BoxError> {
        let inner = self.inner();
        inner.fail()?;
        Ok(Box::new(Moment(Arc::clone(&inner.audit))))
    }
}

fn add(audit: &mut BTreeMap<u64, Vec<u8>>, added: &Added) {
    let last = audit.last_key_value().map_or(0, |(number, _)| *number);
    audit.extend((last + 1..).zip(added.rows.iter().cloned()));
    for _ in 0..added.pushed_out_max() {
        let count = audit.len() as u64;
        match audit.first_entry() {
            Some(oldest) if added.pushes_out(oldest.get(), count) => drop(oldest.remove()),
            _ => break,
        }
    }
}

/// The audit log at one moment.
struct Moment(Arc<BTreeMap<u64, Vec<u8>>>);

impl Entries for Moment {
    fn visit(&self, before: u64, see: &mut Visitor<'_>) -> Result<(), BoxError> {
        for (number, row) in self.0.range(..before).rev() {
            if see(*number, row)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
