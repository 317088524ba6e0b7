//! Rows in memory: for tests, and for relays that are not meant to remember.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{BoxError, Kind, Row, RowChange, Rows};

/// Rows in memory. Clones share them, so that a directory can be opened again on the same rows, and
/// told to fail.
#[derive(Clone, Debug, Default)]
pub struct MemoryRows(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<(Kind, String), Vec<u8>>,
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

    fn write(&mut self, changes: &[RowChange]) -> Result<(), BoxError> {
        let mut inner = self.inner();
        inner.fail()?;
        for change in changes {
            let key = (change.kind, change.key.clone());
            match &change.octets {
                Some(octets) => inner.rows.insert(key, octets.clone()),
                None => inner.rows.remove(&key),
            };
        }
        Ok(())
    }
}
