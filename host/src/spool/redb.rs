//! redb: the only file of the spool that names it.
//!
//! Offers the rows of sheets, read in snapshots and changed in transactions, whose commits wait for
//! the disk or stay in memory until a later one does. What stands in the sheets is `ledger`'s; when
//! a commit waits for the disk is `store`'s.
//!
//! redb commits with one sync (its checksums tell a torn commit apart) and refuses to go on after
//! any failed read or write; then it is to be closed and opened again. After a crash it walks the
//! whole file, unless its last commit was a [checkpoint](Commit::Checkpoint).

use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{
    BackendError, Builder, CommitError, CompactionError, DatabaseError, Durability, ReadOnlyTable,
    ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, StorageError, Table,
    TableDefinition, TableError, TransactionError,
};

use super::BoxError;
use super::disk::{File, is_full, is_read_only};
use super::entries::{Entries, Entry};
use super::sheet::{self, ID_OCTETS, Range, Sheet};
use super::unsynced::Remembered;

type Octets = &'static [u8];

const TABLES: [TableDefinition<'static, Octets, Octets>; sheet::TABLES.len()] = {
    let [mail, contents, queue] = sheet::TABLES;
    [
        TableDefinition::new(mail),
        TableDefinition::new(contents),
        TableDefinition::new(queue),
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

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commit {
    /// Changes nothing.
    Nothing,
    /// Changes the database in memory; the next checkpoint brings that to the disk.
    InMemory,
    /// Returns when the disk has this and all before it, in such a form that the next start has
    /// nothing to walk, should this process end without closing the file. Two syncs.
    Checkpoint,
}

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
                .create_with_backend(Backend(file.clone()))
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

    /// The database as it is now. Its pages are kept for as long as this is.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot {
            transaction: self.0.begin_read().map_err(from_transaction)?,
            tables: Default::default(),
        })
    }

    /// Runs `work` in a transaction, which notes its changes in `entries`, and ends it as `work`
    /// says. After an error of `work` nothing has changed; after any other one the database is to be
    /// opened again.
    pub(super) fn write(
        &self,
        entries: &mut Entries,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<Commit, StoreError>,
    ) -> Result<Commit, StoreError> {
        let mut transaction = self.0.begin_write().map_err(from_transaction)?;
        let commit = {
            let [mail, contents, queue] =
                TABLES.map(|table| transaction.open_table(table).map_err(from_table));
            work(&mut Transaction {
                tables: [mail?, contents?, queue?],
                entries,
            })?
        };
        let durability = match commit {
            Commit::Nothing => {
                transaction.abort().map_err(from_storage)?;
                return Ok(commit);
            }
            Commit::InMemory => Durability::None,
            Commit::Checkpoint => Durability::Immediate,
        };
        transaction
            .set_durability(durability)
            .map_err(|error| StoreError::Failed(error.into()))?;
        transaction.set_quick_repair(commit == Commit::Checkpoint);
        transaction.commit().map_err(from_commit)?;
        Ok(commit)
    }

    /// Gives the room between rows back to the disk. Takes as long as moving all rows.
    pub(super) fn compact(&mut self) -> Result<(), StoreError> {
        while self.0.compact().map_err(from_compaction)? {}
        Ok(())
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

/// Reading, in a snapshot and in a transaction alike.
pub(super) trait Reading {
    /// The row with that key.
    fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits rows of the queue in order of their keys, until `visit` says that it has seen enough.
    fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError>;

    /// Visits the rows of one message, with what stands in their keys behind its id.
    fn scan_message(
        &self,
        sheet: Sheet,
        id: &[u8; ID_OCTETS],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError>;
}

/// Whether a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// To the next row.
    On,
    /// No further.
    Stop,
}

/// The database as it was at one moment.
pub(super) struct Snapshot {
    transaction: ReadTransaction,
    /// Opened when first asked for; none in a database that was never written.
    tables: [OnceCell<Option<ReadOnlyTable<Octets, Octets>>>; TABLES.len()],
}

impl Snapshot {
    fn table(&self, sheet: Sheet) -> Result<Option<&ReadOnlyTable<Octets, Octets>>, StoreError> {
        let (index, _) = sheet.table();
        let cell = &self.tables[index];
        if cell.get().is_none() {
            let table = match self.transaction.open_table(TABLES[index]) {
                Ok(table) => Some(table),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(from_table(error)),
            };
            drop(cell.set(table));
        }
        Ok(cell.get().and_then(Option::as_ref))
    }
}

impl Reading for Snapshot {
    fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.table(sheet)? {
            Some(table) => get(table, sheet, key),
            None => Ok(None),
        }
    }

    fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        match self.table(sheet)? {
            Some(table) => scan(table, sheet, range, visit),
            None => Ok(()),
        }
    }

    fn scan_message(
        &self,
        sheet: Sheet,
        id: &[u8; ID_OCTETS],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        match self.table(sheet)? {
            Some(table) => scan_message(table, sheet, id, visit),
            None => Ok(()),
        }
    }
}

/// The database as a transaction sees and changes it.
pub(super) struct Transaction<'t> {
    tables: [Table<'t, Octets, Octets>; TABLES.len()],
    entries: &'t mut Entries,
}

impl<'t> Transaction<'t> {
    fn table(&self, sheet: Sheet) -> &Table<'t, Octets, Octets> {
        &self.tables[sheet.table().0]
    }

    /// What was changed so far.
    pub(super) fn entries(&mut self) -> &mut Entries {
        self.entries
    }

    /// Makes a change that was noted before, and does not note it again.
    pub(super) fn apply(&mut self, entry: Entry<'_>) -> Result<(), StoreError> {
        let table = &mut self.tables[entry.table];
        match entry.row {
            Some(row) => table.insert(entry.key, row).map(drop),
            None => table.remove(entry.key).map(drop),
        }
        .map_err(from_storage)
    }

    /// Puts a row in place of the one with that key, if there is one.
    pub(super) fn put(&mut self, sheet: Sheet, key: &[u8], row: &[u8]) -> Result<(), StoreError> {
        let key = &sheet.key(key)[..];
        let (table, _) = sheet.table();
        self.tables[table].insert(key, row).map_err(from_storage)?;
        let row = Some(row);
        self.entries.push(Entry { table, key, row });
        Ok(())
    }

    /// Removes a row and gives it out.
    pub(super) fn take(&mut self, sheet: Sheet, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.remove_as(sheet, key, <[u8]>::to_vec)
    }

    /// Removes a row; the length of it, none when there was none.
    pub(super) fn remove(&mut self, sheet: Sheet, key: &[u8]) -> Result<Option<usize>, StoreError> {
        self.remove_as(sheet, key, <[u8]>::len)
    }

    fn remove_as<R>(
        &mut self,
        sheet: Sheet,
        key: &[u8],
        give: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, StoreError> {
        let key = &sheet.key(key)[..];
        let (table, _) = sheet.table();
        let removed = self.tables[table].remove(key).map_err(from_storage)?;
        let given = removed.map(|row| give(row.value()));
        if given.is_some() {
            let row = None;
            self.entries.push(Entry { table, key, row });
        }
        Ok(given)
    }

    /// Whether there is a row with that key.
    pub(super) fn contains(&self, sheet: Sheet, key: &[u8]) -> Result<bool, StoreError> {
        let row = self.table(sheet).get(&sheet.key(key)[..]);
        Ok(row.map_err(from_storage)?.is_some())
    }
}

impl Reading for Transaction<'_> {
    fn get(&self, sheet: Sheet, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(self.table(sheet), sheet, key)
    }

    fn scan(
        &self,
        sheet: Sheet,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        scan(self.table(sheet), sheet, range, visit)
    }

    fn scan_message(
        &self,
        sheet: Sheet,
        id: &[u8; ID_OCTETS],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        scan_message(self.table(sheet), sheet, id, visit)
    }
}

fn get(
    table: &impl ReadableTable<Octets, Octets>,
    sheet: Sheet,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let row = table.get(&sheet.key(key)[..]).map_err(from_storage)?;
    Ok(row.map(|row| row.value().to_vec()))
}

fn scan(
    table: &impl ReadableTable<Octets, Octets>,
    sheet: Sheet,
    range: Range<'_>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
) -> Result<(), StoreError> {
    let (from, to) = sheet.range(range);
    let range = (
        from.as_ref().map(Vec::as_slice),
        to.as_ref().map(Vec::as_slice),
    );
    for row in table.range::<&[u8]>(range).map_err(from_storage)? {
        let (key, row) = row.map_err(from_storage)?;
        // The octet that tells the sheet is the first one.
        if visit(&key.value()[1..], row.value()) == Scan::Stop {
            break;
        }
    }
    Ok(())
}

fn scan_message(
    table: &impl ReadableTable<Octets, Octets>,
    sheet: Sheet,
    id: &[u8; ID_OCTETS],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Scan,
) -> Result<(), StoreError> {
    let prefix = sheet.key(id);
    for row in table.range::<&[u8]>(&prefix[..]..).map_err(from_storage)? {
        let (key, row) = row.map_err(from_storage)?;
        match key.value().strip_prefix(&prefix[..]) {
            Some(rest) if visit(rest, row.value()) == Scan::On => {}
            _ => break,
        }
    }
    Ok(())
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

/// The file as redb sees it. It stays locked by [`Disk::database`] for as long as it is open, also
/// between a failure and the reopening, so redb's own locks have nothing left to do.
#[derive(Debug)]
struct Backend(Remembered);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}
