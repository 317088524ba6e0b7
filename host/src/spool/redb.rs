//! redb: the only file of the spool that names it.
//!
//! Offers the rows of tables as the last checkpoint left them, and changes them in checkpoints. What
//! stands in the tables is `ledger`'s; when there is a checkpoint is `store`'s.
//!
//! redb refuses to go on after any failed read or write; then it is to be closed and opened again.
//! After a crash it walks the whole file, unless its last commit was a checkpoint.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{
    Builder, CommitError, CompactionError, DatabaseError, Durability, ReadOnlyTable,
    ReadableDatabase, StorageError, Table, TableDefinition, TableError, TransactionError,
};

use crate::stable::Remembered;

use super::BoxError;
use super::disk::is_read_only;
use super::entries::Entry;
use super::memtable::{Memtable, Row};
use super::sheet;
use super::view::Scan;
use crate::stable::is_full;

type Octets = &'static [u8];

const TABLES: [TableDefinition<'static, Octets, Octets>; sheet::TABLES.len()] = {
    let [mail, contents, queue, statistics] = sheet::TABLES;
    [
        TableDefinition::new(mail),
        TableDefinition::new(contents),
        TableDefinition::new(queue),
        TableDefinition::new(statistics),
    ]
};

/// Why the database did not do what was asked.
#[derive(Debug)]
pub(super) enum StoreError {
    /// The disk has no room.
    Full,
    /// The disk takes no writes.
    ReadOnly,
    /// It failed, or is closed after a failure.
    Failed(BoxError),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk has no room"),
            Self::ReadOnly => f.write_str("the disk takes no writes"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

/// The open database.
pub(super) struct Database(redb::Database);

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// Opens the database in a file, and repairs it when the last process did not close it.
    pub(super) fn open(file: &Remembered, page_cache_octets: usize) -> Result<Self, OpenFailure> {
        let opened = catch_unwind(AssertUnwindSafe(|| {
            Builder::new()
                .set_cache_size(page_cache_octets)
                .create_with_backend(file.clone())
        }));
        match opened {
            Ok(Ok(database)) => Ok(Self(database)),
            Ok(Err(DatabaseError::Storage(StorageError::Io(error)))) => {
                Err(OpenFailure::Disk(error))
            }
            Ok(Err(error)) => Err(OpenFailure::Damaged(error.into())),
            Err(_) => Err(OpenFailure::Damaged("the database cannot be read".into())),
        }
    }

    /// The rows as they are now, to be read while they change.
    pub(super) fn base(&self) -> Result<Base, StoreError> {
        let transaction = self.0.begin_read().map_err(from_transaction)?;
        let mut tables = TABLES.map(|_| None);
        for (opened, table) in tables.iter_mut().zip(TABLES) {
            *opened = match transaction.open_table(table) {
                Ok(table) => Some(table),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(from_table(error)),
            };
        }
        Ok(Base { tables })
    }

    /// Changes rows, and returns when the disk has this, in such a form that the next start has nothing
    /// to walk, should this process end without closing the file. Two syncs. After an error the
    /// database is to be opened again: all of it has happened, or nothing.
    pub(super) fn write(&self, changes: &Memtable, mark: Entry<'_>) -> Result<(), StoreError> {
        let mut transaction = self.0.begin_write().map_err(from_transaction)?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(|error| StoreError::Failed(error.into()))?;
        transaction.set_quick_repair(true);
        for (index, definition) in TABLES.into_iter().enumerate() {
            let mut table = transaction.open_table(definition).map_err(from_table)?;
            for (key, row) in changes.table(index) {
                apply(&mut table, key, row)?;
            }
            if index == mark.table {
                apply(&mut table, mark.key, mark.row)?;
            }
        }
        transaction.commit().map_err(from_commit)
    }

    /// An error after a read or a write that failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let transaction = self.0.begin_write().map_err(from_transaction)?;
        transaction.abort().map_err(from_storage)
    }

    /// Gives the room between rows back to the disk. Takes as long as moving all rows. Nothing happens
    /// while somebody reads: false then.
    pub(super) fn compact(&mut self) -> Result<bool, StoreError> {
        loop {
            match self.0.compact() {
                Ok(true) => {}
                Ok(false) => return Ok(true),
                Err(CompactionError::TransactionInProgress) => return Ok(false),
                Err(error) => return Err(from_compaction(error)),
            }
        }
    }

    /// Closes it, with everything on the disk.
    pub(super) fn close(self) -> Result<(), StoreError> {
        self.0
            .close()
            .map_err(|error| StoreError::Failed(error.into()))
    }
}

/// Why a database could not be opened.
#[derive(Debug)]
pub(super) enum OpenFailure {
    /// The system's answer.
    Disk(io::Error),
    /// What is in the database's file.
    Damaged(BoxError),
    /// What is in the journal's.
    JournalDamaged(BoxError),
    /// A newer release wrote it, in this form.
    TooNew(u8),
    /// There is no database beside a journal or contents that belong to one.
    DatabaseMissing,
    /// There is no journal beside a database that belongs to one.
    JournalMissing,
}

/// redb's own checks panic on some files that nothing but a broken disk writes.
pub(super) fn guarded<R>(work: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StoreError::Failed("the database is damaged".into())))
}

/// Lets a database go that cannot be closed well. On a damaged file redb may panic here too.
pub(super) fn discard(database: Database) {
    drop(catch_unwind(AssertUnwindSafe(|| drop(database))));
}

/// The rows of the database as they were at one moment.
pub(super) struct Base {
    /// None of a table in a database that was not written since there is such a table.
    tables: [Option<ReadOnlyTable<Octets, Octets>>; TABLES.len()],
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Base")
    }
}

impl Base {
    /// The row with that key.
    pub(super) fn row(&self, table: usize, key: &[u8]) -> Result<Option<Row>, StoreError> {
        let Some(table) = &self.tables[table] else {
            return Ok(None);
        };
        let row = table.get(key).map_err(from_storage)?;
        Ok(row.map(|row| row.value().into()))
    }

    /// Visits rows in order of their keys, until `visit` says that it has seen enough.
    pub(super) fn visit(
        &self,
        table: usize,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        let Some(table) = &self.tables[table] else {
            return Ok(());
        };
        for row in table.range::<&[u8]>(range).map_err(from_storage)? {
            let (key, row) = row.map_err(from_storage)?;
            if visit(key.value(), row.value()) == Scan::Stop {
                break;
            }
        }
        Ok(())
    }
}

fn apply(
    table: &mut Table<'_, Octets, Octets>,
    key: &[u8],
    row: Option<&[u8]>,
) -> Result<(), StoreError> {
    match row {
        Some(row) => table.insert(key, row).map(drop),
        None => table.remove(key).map(drop),
    }
    .map_err(from_storage)
}

pub(super) fn from_io(error: io::Error) -> StoreError {
    if is_full(&error) {
        StoreError::Full
    } else if is_read_only(&error) {
        StoreError::ReadOnly
    } else {
        StoreError::Failed(error.into())
    }
}

fn from_storage(error: StorageError) -> StoreError {
    match error {
        StorageError::Io(error) => from_io(error),
        error => StoreError::Failed(error.into()),
    }
}

fn from_table(error: TableError) -> StoreError {
    match error {
        TableError::Storage(error) => from_storage(error),
        error => StoreError::Failed(error.into()),
    }
}

fn from_transaction(error: TransactionError) -> StoreError {
    match error {
        TransactionError::Storage(error) => from_storage(error),
        error => StoreError::Failed(error.into()),
    }
}

fn from_compaction(error: CompactionError) -> StoreError {
    match error {
        CompactionError::Storage(error) => from_storage(error),
        error => StoreError::Failed(error.into()),
    }
}

fn from_commit(error: CommitError) -> StoreError {
    match error {
        CommitError::Storage(error) => from_storage(error),
        error => StoreError::Failed(error.into()),
    }
}
