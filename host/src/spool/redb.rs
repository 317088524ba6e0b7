//! The database under the embedded backend: the only file of the spool that names redb.
//!
//! Offers sheets of octets by octets, read in snapshots and written in transactions that one sync
//! makes durable. What stands in the sheets is `ledger`'s.
//!
//! redb commits with one sync (its checksums tell a torn commit apart) and refuses to go on after
//! any failed read or write; then [`Store::reopen`] confirms what was written and opens it again.
//! After a crash redb walks the whole file; [`Store::checkpoint`] spares the next start that walk.

use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{
    BackendError, Builder, CommitError, Database, DatabaseError, Durability, ReadOnlyTable,
    ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, StorageError, Table,
    TableDefinition, TableError, TransactionError,
};

use super::BoxError;
use super::disk::{Disk, File, is_full};
use super::unsynced::Remembered;

/// What the database keeps, each in the order of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sheet {
    /// Messages and how their trails began, by id.
    Messages,
    /// Deliveries, by message id and number.
    Deliveries,
    /// Later parts of trails, by message id and sequence.
    Trails,
    /// What small contents begin with, in chunks by message id and number.
    Chunks,
    /// The rest of small contents behind the number of their chunks, by message id.
    Rests,
    /// Message ids of waiting deliveries, by place.
    Waiting,
    /// Message ids of held deliveries, by place.
    Held,
    /// Finished messages, by time and id.
    Finished,
    /// One row: the counters.
    Counters,
}

/// The tables under the sheets. A commit writes every page on the way to a row anew, so rows that
/// are written together share a table, and those of one message stand next to each other in it.
/// Contents are apart, since each fills pages of its own.
const TABLES: [TableDefinition<'static, Octets, Octets>; 3] = [
    TableDefinition::new("mail"),
    TableDefinition::new("contents"),
    TableDefinition::new("queue"),
];

const MAIL: usize = 0;
const CONTENTS: usize = 1;
const QUEUE: usize = 2;

type Octets = &'static [u8];

/// Octets of the message id that the keys of mail begin with.
const ID_OCTETS: usize = 16;

impl Sheet {
    /// Its table, and the octet in a key that tells it from the other sheets of the table.
    const fn table(self) -> (usize, u8) {
        match self {
            Self::Messages => (MAIL, b'm'),
            Self::Deliveries => (MAIL, b'd'),
            Self::Trails => (MAIL, b't'),
            Self::Rests => (MAIL, b'r'),
            Self::Chunks => (CONTENTS, b'c'),
            Self::Waiting => (QUEUE, b'w'),
            Self::Held => (QUEUE, b'h'),
            Self::Finished => (QUEUE, b'f'),
            Self::Counters => (QUEUE, b'c'),
        }
    }

    /// How many octets of a key stand before the one that tells the sheet.
    const fn id_octets(self) -> usize {
        match self.table().0 {
            QUEUE => 0,
            _ => ID_OCTETS,
        }
    }

    /// The key in its table.
    fn key(self, key: &[u8]) -> Vec<u8> {
        let (id, rest) = key.split_at(self.id_octets().min(key.len()));
        let mut full = Vec::with_capacity(key.len() + 1);
        full.extend_from_slice(id);
        full.push(self.table().1);
        full.extend_from_slice(rest);
        full
    }

    /// Bounds in its table; none given means the ends of the sheet. Only for sheets whose rows
    /// stand together.
    fn range(self, (from, to): Range<'_>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        debug_assert_eq!(
            self.id_octets(),
            0,
            "the rows of {self:?} do not stand together"
        );
        let tag = self.table().1;
        let from = match from {
            Bound::Unbounded => Bound::Included(vec![tag]),
            from => from.map(|key| self.key(key)),
        };
        let to = match to {
            Bound::Unbounded => Bound::Excluded(vec![tag + 1]),
            to => to.map(|key| self.key(key)),
        };
        (from, to)
    }
}

/// From which key to which.
pub(super) type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Why the database did not do what was asked.
#[derive(Debug)]
pub(super) enum StoreError {
    /// The disk has no room.
    Full,
    /// It failed, or is closed after a failure.
    Failed(BoxError),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk has no room"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

/// The database.
pub(super) struct Store {
    file: Remembered,
    page_cache_octets: usize,
    /// None while it is closed: after the end, or after a failure until it is open again.
    database: RwLock<Option<Database>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("file", &self.file).finish()
    }
}

impl Store {
    /// Opens the database of a disk, and repairs it when the last process did not close it.
    pub(super) fn open(disk: &dyn Disk, page_cache_octets: usize) -> Result<Self, OpenFailure> {
        let file = Remembered::new(disk.database().map_err(OpenFailure::Disk)?);
        let database = open(&file, page_cache_octets)?;
        Ok(Self {
            file,
            page_cache_octets,
            database: RwLock::new(Some(database)),
        })
    }

    /// The database as it is now. Its pages are kept for as long as this is.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let database = self.database();
        let transaction = database
            .as_ref()
            .ok_or_else(closed)?
            .begin_read()
            .map_err(from_transaction)?;
        Ok(Snapshot {
            transaction,
            tables: Default::default(),
        })
    }

    /// Runs `work` on what the database is now. Whoever asks waits for the disk when pages have to
    /// be read.
    pub(super) fn read<R>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        guarded(|| work(&self.snapshot()?))
    }

    /// Runs `work` on what the database was.
    pub(super) fn read_in<R>(
        &self,
        snapshot: &Snapshot,
        work: impl FnOnce(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        guarded(|| work(snapshot))
    }

    /// Runs `work` in a transaction and commits it with one sync. After an error of `work` nothing
    /// has changed. After an error of the commit, or any error that is not `work`'s own, the
    /// database is to be [reopened](Self::reopen).
    pub(super) fn write(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        guarded(|| {
            let database = self.database();
            let transaction = database
                .as_ref()
                .ok_or_else(closed)?
                .begin_write()
                .map_err(from_transaction)?;
            {
                let [mail, contents, queue] =
                    TABLES.map(|table| transaction.open_table(table).map_err(from_table));
                work(&mut Transaction {
                    tables: [mail?, contents?, queue?],
                })?;
            }
            transaction.commit().map_err(from_commit)
        })
    }

    /// Leaves the file so that the next start has nothing to walk, should this process end
    /// without closing it. Two syncs; the next write undoes it.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        guarded(|| {
            let database = self.database();
            let mut transaction = database
                .as_ref()
                .ok_or_else(closed)?
                .begin_write()
                .map_err(from_transaction)?;
            transaction
                .set_durability(Durability::Immediate)
                .map_err(|error| StoreError::Failed(error.into()))?;
            transaction.set_quick_repair(true);
            transaction.commit().map_err(from_commit)
        })
    }

    /// Gives the room between rows back to the disk. Takes as long as moving all rows, and nobody
    /// reads or writes meanwhile.
    pub(super) fn compact(&self) -> Result<(), StoreError> {
        guarded(|| {
            let mut database = self.database_mut();
            let database = database.as_mut().ok_or_else(closed)?;
            while database
                .compact()
                .map_err(|error| StoreError::Failed(error.into()))?
            {}
            Ok(())
        })
    }

    /// Octets of the file.
    pub(super) fn octets(&self) -> io::Result<u64> {
        self.file.len()
    }

    /// Opens the database again after a failure, with all that was written confirmed. Everything
    /// that a transaction wrote is there or nothing of it.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database_mut();
        *database = None;
        self.file.confirm().map_err(from_io)?;
        *database = Some(open(&self.file, self.page_cache_octets).map_err(
            |failure| match failure {
                OpenFailure::Disk(error) => from_io(error),
                OpenFailure::Damaged(error) => StoreError::Failed(error),
            },
        )?);
        Ok(())
    }

    /// Closes the database and lets others have its file; everything after this fails.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        let closed = match self.database_mut().take() {
            Some(database) => guarded(|| {
                database
                    .close()
                    .map_err(|error| StoreError::Failed(error.into()))
            }),
            None => Ok(()),
        };
        let released = self.file.release().map_err(from_io);
        closed.and(released)
    }

    fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn database_mut(&self) -> RwLockWriteGuard<'_, Option<Database>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a database could not be opened.
#[derive(Debug)]
pub(super) enum OpenFailure {
    /// The system's answer.
    Disk(io::Error),
    /// What is in the file.
    Damaged(BoxError),
}

fn open(file: &Remembered, page_cache_octets: usize) -> Result<Database, OpenFailure> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        Builder::new()
            .set_cache_size(page_cache_octets)
            .create_with_backend(Backend(file.clone()))
    }));
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(DatabaseError::Storage(StorageError::Io(error)))) => Err(OpenFailure::Disk(error)),
        Ok(Err(error)) => Err(OpenFailure::Damaged(error.into())),
        Err(_) => Err(OpenFailure::Damaged("the database cannot be read".into())),
    }
}

/// redb's own checks panic on some files that nothing but a broken disk writes.
fn guarded<R>(work: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StoreError::Failed("the database is damaged".into())))
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
}

impl<'t> Transaction<'t> {
    fn table(&self, sheet: Sheet) -> &Table<'t, Octets, Octets> {
        &self.tables[sheet.table().0]
    }

    /// Puts a row in place of the one with that key, if there is one.
    pub(super) fn put(&mut self, sheet: Sheet, key: &[u8], row: &[u8]) -> Result<(), StoreError> {
        self.tables[sheet.table().0]
            .insert(&sheet.key(key)[..], row)
            .map(drop)
            .map_err(from_storage)
    }

    /// Removes a row and gives it out.
    pub(super) fn take(&mut self, sheet: Sheet, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let removed = self.tables[sheet.table().0]
            .remove(&sheet.key(key)[..])
            .map_err(from_storage)?;
        Ok(removed.map(|row| row.value().to_vec()))
    }

    /// Removes a row; the length of it, none when there was none.
    pub(super) fn remove(&mut self, sheet: Sheet, key: &[u8]) -> Result<Option<usize>, StoreError> {
        let removed = self.tables[sheet.table().0]
            .remove(&sheet.key(key)[..])
            .map_err(from_storage)?;
        Ok(removed.map(|row| row.value().len()))
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

fn closed() -> StoreError {
    StoreError::Failed("the database is closed".into())
}

fn from_io(error: io::Error) -> StoreError {
    if is_full(&error) {
        StoreError::Full
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
