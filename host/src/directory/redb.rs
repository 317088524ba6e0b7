//! Rows in a redb file: one table per kind, one transaction per write.
//!
//! The only file of the directory that knows redb. After a failed read or write redb refuses to go on, and the
//! file is opened again, when what a failed sync may have lost has been written once more (`stable`).

use std::fs::{File, Permissions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::{
    Builder, Database, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, TableError, WriteTransaction,
};

use crate::stable::{self, Remembered, naming};

use super::audit::{Added, Entries, Visitor};
use super::{BoxError, Kind, OpenError, Row, RowChange, Rows};

/// Only the relay's own user may read the file: it holds password hashes and keys.
const MODE: u32 = 0o600;

/// Pages that redb keeps in memory. Everything is read once, at start; after that only the pages on
/// the way to a changed row are wanted.
const CACHE_OCTETS: usize = 8 << 20;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

const TABLES: [(Kind, Table); 5] = [
    (Kind::User, Table::new("users")),
    (Kind::List, Table::new("lists")),
    (Kind::Token, Table::new("tokens")),
    (Kind::Admin, Table::new("admins")),
    (Kind::Secrets, Table::new("secrets")),
];

/// The form of the whole file, in a table of its own. The rows have versions of their own; this one also covers what an
/// older release would not look at. 3: there are admins, and the console has no password of its own, so that an older
/// release would make one. 2: rows of users say how urgent their mail may be, which an older release would
/// take for damage.
const FORM: u8 = 3;

const FORM_TABLE: Table = Table::new("form");

/// The key of the only row of that table.
const FORM_KEY: &str = "form";

/// The entries of the audit log by their numbers. It is not among [`TABLES`], which are read whole; a directory that
/// is older than the log has none until the first entry.
const AUDIT: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("audit");

/// The rows in a file.
pub(super) struct RedbRows {
    file: Remembered,
    /// None after a failure: redb refuses to go on then, and the file has to be opened again.
    database: Option<Database>,
}

impl RedbRows {
    /// Opens the file, or makes it, and keeps others from opening it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        match naming::open(path).map_err(from_io)? {
            Some(file) => {
                narrow(&file).map_err(from_io)?;
                Self::over(Arc::new(file))
            }
            None => {
                let file = naming::begin(path).map_err(from_io)?;
                Self::make(Arc::new(file), || naming::give_name(path))
            }
        }
    }

    /// Makes a database in an empty file, which gets its name when a power cut would leave one.
    fn make(
        file: Arc<dyn stable::File>,
        give_name: impl FnOnce() -> io::Result<()>,
    ) -> Result<Self, OpenError> {
        let rows = Self::over(file)?;
        give_name().map_err(from_io)?;
        Ok(rows)
    }

    fn over(file: Arc<dyn stable::File>) -> Result<Self, OpenError> {
        let file = Remembered::new(file);
        let database = open(&file)?;
        Ok(Self {
            file,
            database: Some(database),
        })
    }

    /// Runs `work` on the database, opened again where that has to be.
    fn on_database<R>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<R, BoxError>,
    ) -> Result<R, BoxError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.file)?,
        };
        let result = guarded(|| work(&database));
        if result.is_ok() {
            self.database = Some(database);
        } else {
            discard(database);
        }
        result
    }
}

impl Rows for RedbRows {
    fn load(&mut self) -> Result<Vec<Row>, BoxError> {
        self.on_database(load)
    }

    fn write_with(&mut self, changes: &[RowChange], added: &Added) -> Result<(), BoxError> {
        self.on_database(|database| write(database, changes, added))
    }

    fn entries(&mut self) -> Result<Box<dyn Entries>, BoxError> {
        let moment = self.on_database(|database| Ok(Moment(entries(database)?)))?;
        Ok(Box::new(moment))
    }
}

/// The audit log at one moment; none where there is no table yet.
struct Moment(Option<ReadOnlyTable<u64, &'static [u8]>>);

impl Entries for Moment {
    fn visit(&self, before: u64, see: &mut Visitor<'_>) -> Result<(), BoxError> {
        let Some(table) = &self.0 else { return Ok(()) };
        guarded(|| {
            for entry in table.range(..before)?.rev() {
                let (number, row) = entry?;
                if see(number.value(), row.value())?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

fn entries(database: &Database) -> Result<Option<ReadOnlyTable<u64, &'static [u8]>>, BoxError> {
    match database.begin_read()?.open_table(AUDIT) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn from_io(error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::ResourceBusy => OpenError::InUse,
        _ => OpenError::Unavailable(error.into()),
    }
}

fn open(file: &Remembered) -> Result<Database, OpenError> {
    // What is read is to be what a power cut would leave, after a sync that failed or a process that ended
    // before its sync did.
    file.confirm().map_err(from_io)?;
    let database = guarded(|| create(file)).map_err(OpenError::Unavailable)?;
    match make_ready(&database) {
        Ok(()) => Ok(database),
        Err(error) => {
            discard(database);
            Err(error)
        }
    }
}

/// Looks at the form before anything is changed, and makes what is missing.
fn make_ready(database: &Database) -> Result<(), OpenError> {
    let form = guarded(|| form(database)).map_err(OpenError::Unavailable)?;
    if let Some(found) = form.filter(|form| *form > FORM) {
        return Err(OpenError::TooNew { found, known: FORM });
    }
    if form != Some(FORM) {
        guarded(|| create_tables(database)).map_err(OpenError::Unavailable)?;
    }
    Ok(())
}

fn create(file: &Remembered) -> Result<Database, BoxError> {
    Ok(Builder::new()
        .set_cache_size(CACHE_OCTETS)
        .create_with_backend(file.clone())?)
}

/// Begins a change of rows. Two syncs: what it changes is on the disk before anything leads to it.
fn begin(database: &Database) -> Result<WriteTransaction, BoxError> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// The form of a file; none of a new one.
fn form(database: &Database) -> Result<Option<u8>, BoxError> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(FORM_TABLE) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let row = table.get(FORM_KEY)?;
    Ok(row.and_then(|row| row.value().first().copied()))
}

/// redb's own checks panic on some files that nothing but a broken disk writes.
fn guarded<R>(work: impl FnOnce() -> Result<R, BoxError>) -> Result<R, BoxError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the file is damaged".into()))
}

/// Lets a database go that has failed. On a damaged file redb may panic here too.
fn discard(database: Database) {
    drop(catch_unwind(AssertUnwindSafe(|| drop(database))));
}

/// Takes wider permissions away: it may have been copied without care.
fn narrow(file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(())
}

fn create_tables(database: &Database) -> Result<(), BoxError> {
    let transaction = begin(database)?;
    for (_, table) in TABLES {
        transaction.open_table(table)?;
    }
    transaction
        .open_table(FORM_TABLE)?
        .insert(FORM_KEY, [FORM].as_slice())?;
    transaction.commit()?;
    Ok(())
}

/// Makes a database of these rows in an empty file; on stable storage when it returns.
pub(super) fn write_new(
    file: File,
    rows: impl Iterator<Item = Row>,
    entries: &dyn Entries,
) -> Result<(), BoxError> {
    let database = create(&Remembered::new(Arc::new(file)))?;
    create_tables(&database)?;
    let transaction = begin(&database)?;
    {
        let mut tables = Vec::new();
        for (kind, table) in TABLES {
            tables.push((kind, transaction.open_table(table)?));
        }
        for row in rows {
            for (_, table) in tables.iter_mut().filter(|(kind, _)| *kind == row.kind) {
                table.insert(row.key.as_str(), row.octets.as_slice())?;
            }
        }
        let mut table = transaction.open_table(AUDIT)?;
        entries.visit(u64::MAX, &mut |number, row| {
            table.insert(number, row)?;
            Ok(ControlFlow::Continue(()))
        })?;
    }
    transaction.commit()?;
    Ok(())
}

fn load(database: &Database) -> Result<Vec<Row>, BoxError> {
    let transaction = database.begin_read()?;
    let mut rows = Vec::new();
    for (kind, table) in TABLES {
        for entry in transaction.open_table(table)?.iter()? {
            let (key, octets) = entry?;
            rows.push(Row {
                kind,
                key: key.value().to_owned(),
                octets: octets.value().to_owned(),
            });
        }
    }
    Ok(rows)
}

fn write(database: &Database, changes: &[RowChange], added: &Added) -> Result<(), BoxError> {
    let transaction = begin(database)?;
    for (kind, table) in TABLES {
        let mut table = transaction.open_table(table)?;
        for change in changes.iter().filter(|change| change.kind == kind) {
            match &change.octets {
                Some(octets) => table.insert(change.key.as_str(), octets.as_slice())?,
                None => table.remove(change.key.as_str())?,
            };
        }
    }
    add(&transaction, added)?;
    transaction.commit()?;
    Ok(())
}

/// Adds entries to the audit log, and takes out what they push out.
fn add(transaction: &WriteTransaction, added: &Added) -> Result<(), BoxError> {
    if added.rows.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(AUDIT)?;
    let mut number = table.last()?.map_or(0, |(number, _)| number.value());
    for row in &added.rows {
        number += 1;
        table.insert(number, row.as_slice())?;
    }
    for _ in 0..added.pushed_out_max() {
        let count = table.len()?;
        let oldest = table.first()?;
        let goes = oldest.filter(|(_, row)| added.pushes_out(row.value(), count));
        let Some(number) = goes.map(|(number, _)| number.value()) else {
            break;
        };
        table.remove(number)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{ENTRIES_MAX, Entry};
    use super::*;
    use crate::message::Timestamp;
    use crate::stable::forgetful::Forgetful;

    fn change(key: &str, octets: Option<&[u8]>) -> RowChange {
        RowChange {
            kind: Kind::User,
            key: key.to_owned(),
            octets: octets.map(<[u8]>::to_vec),
        }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_read_the_file_whatever_it_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        drop(RedbRows::open(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(RedbRows::open(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
    }

    /// Opens a new file on a disk; what a power cut would have left when it got its name, if it did.
    fn made_on(disk: &Forgetful) -> Option<Forgetful> {
        let mut named = None;
        drop(RedbRows::make(Arc::new(disk.clone()), || {
            named = disk.after_power_cuts().last();
            Ok(())
        }));
        named
    }

    #[test]
    fn a_new_file_gets_its_name_when_a_power_cut_leaves_it_whole() {
        for syncs in 0.. {
            let disk = Forgetful::default();
            disk.fail_sync_after(syncs);
            let named = made_on(&disk);
            let is_failed = !disk.is_failure_ahead();
            assert!(named.is_some() || is_failed);
            if let Some(named) = named {
                let mut rows = RedbRows::over(Arc::new(named)).unwrap();
                let found = form(rows.database.as_ref().unwrap()).unwrap();
                assert_eq!(found, Some(FORM), "sync {syncs}");
                assert_eq!(keys(&mut rows), [""; 0]);
            }
            if !is_failed {
                assert!(syncs > 2, "it is synced more often than that");
                return;
            }
        }
    }

    #[test]
    fn what_a_first_start_that_was_cut_off_has_left_is_made_anew() {
        let disk = Forgetful::default();
        made_on(&disk).unwrap();
        let whole = disk.on_disk();
        // Its end never reached the disk, or its beginning, where redb says last that it is one.
        let half = |range: std::ops::Range<usize>| {
            let mut octets = whole.clone();
            octets[range].fill(0);
            octets
        };
        let end = whole.len();
        for left in [Vec::new(), half(0..4_096), half(4_096..end), half(0..end)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("directory.redb");
            std::fs::write(folder.path().join("directory.redb.new"), left).unwrap();
            let mut rows = RedbRows::open(&path).unwrap();
            rows.write(&[change("ann", Some(b"a user"))]).unwrap();
            drop(rows);
            assert_eq!(keys(&mut RedbRows::open(&path).unwrap()), ["ann"]);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_file_that_is_open_elsewhere_is_said_to_be_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        let _first = RedbRows::open(&path).unwrap();
        assert!(matches!(RedbRows::open(&path), Err(OpenError::InUse)));
    }

    #[test]
    fn a_file_that_is_damaged_inside_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        let mut rows = RedbRows::open(&path).unwrap();
        rows.write(&[change("ann", Some(b"a user"))]).unwrap();
        drop(rows);
        let mut octets = std::fs::read(&path).unwrap();
        octets[4_096..].fill(0xa5);
        std::fs::write(&path, octets).unwrap();
        assert!(matches!(
            RedbRows::open(&path),
            Err(OpenError::Unavailable(_))
        ));
    }

    #[test]
    fn one_of_a_newer_release_is_refused_and_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        let rows = RedbRows::open(&path).unwrap();
        let transaction = rows.database.as_ref().unwrap().begin_write().unwrap();
        transaction
            .open_table(FORM_TABLE)
            .unwrap()
            .insert(FORM_KEY, [FORM + 1].as_slice())
            .unwrap();
        transaction.commit().unwrap();
        drop(rows);
        // Once more, since redb itself writes when it closes a file.
        for _ in 0..2 {
            let refused = RedbRows::open(&path).err().unwrap();
            assert_eq!(
                refused.to_string(),
                "written by a newer release (form 4, this release knows up to 3)"
            );
        }
    }

    #[test]
    fn what_is_no_directory_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        std::fs::write(
            &path,
            "not a database, but long enough to look at".repeat(500),
        )
        .unwrap();
        assert!(matches!(
            RedbRows::open(&path),
            Err(OpenError::Unavailable(_))
        ));
        let missing = folder.path().join("missing").join("directory.redb");
        assert!(matches!(
            RedbRows::open(&missing),
            Err(OpenError::Unavailable(_))
        ));
    }

    #[test]
    fn after_a_failure_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        let mut rows = RedbRows::open(&path).unwrap();
        rows.write(&[change("a", Some(b"1"))]).unwrap();
        rows.database = None;
        rows.write(&[change("b", Some(b"2")), change("a", None)])
            .unwrap();
        let keys: Vec<String> = rows
            .load()
            .unwrap()
            .into_iter()
            .map(|row| row.key)
            .collect();
        assert_eq!(keys, ["b"]);
    }

    fn keys(rows: &mut RedbRows) -> Vec<String> {
        let rows = rows.load().unwrap();
        rows.into_iter().map(|row| row.key).collect()
    }

    #[test]
    fn a_sync_that_failed_takes_nothing_that_was_acknowledged_with_it() {
        // One good sync after the other until the failure comes too late.
        for syncs in 0.. {
            let disk = Forgetful::default();
            let mut rows = RedbRows::over(Arc::new(disk.clone())).unwrap();
            let mut acknowledged = Vec::new();
            let _ = disk.after_power_cuts().count();
            disk.fail_sync_after(syncs);
            for number in 0..12 {
                let key = format!("user{number:02}");
                let is_acknowledged = rows.write(&[change(&key, Some(&[7; 3_000]))]).is_ok();
                // The power may be cut between any two syncs, whatever the kernel believes.
                for cut in disk.after_power_cuts() {
                    let mut found = RedbRows::over(Arc::new(cut)).unwrap();
                    let found = keys(&mut found);
                    let lost = acknowledged.iter().find(|key| !found.contains(key));
                    assert_eq!(lost, None, "sync {syncs}, change {number}");
                }
                if is_acknowledged {
                    acknowledged.push(key);
                }
            }
            if disk.is_failure_ahead() {
                assert_eq!(acknowledged.len(), 12);
                return;
            }
            assert_eq!(acknowledged.len(), 11, "sync {syncs}");
        }
    }

    #[test]
    fn a_read_that_failed_is_no_end_to_changes() {
        let disk = Forgetful::default();
        let mut rows = RedbRows::over(Arc::new(disk.clone())).unwrap();
        rows.write(&[change("ann", Some(b"1"))]).unwrap();
        for reads in 0..40 {
            disk.fail_sync_after(0);
            rows.write(&[change("bob", Some(b"2"))]).unwrap_err();
            disk.fail_read_after(reads);
            // One of these meets it, at the latest.
            let changed = rows.load().is_ok() && rows.write(&[change("cyd", Some(b"3"))]).is_ok();
            if !changed {
                rows.write(&[change("cyd", Some(b"3"))]).unwrap();
            }
            assert!(keys(&mut rows).contains(&"cyd".to_owned()));
        }
    }

    fn numbers(rows: &mut RedbRows) -> Vec<u64> {
        let mut numbers = Vec::new();
        let seen = rows.entries().unwrap().visit(u64::MAX, &mut |number, _| {
            numbers.push(number);
            Ok(ControlFlow::Continue(()))
        });
        seen.unwrap();
        numbers
    }

    #[test]
    fn beyond_the_bound_the_oldest_entries_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = RedbRows::open(&folder.path().join("directory.redb")).unwrap();
        let entries = |count| vec![Entry::new("x", Timestamp::EPOCH); count];
        let max = usize::try_from(ENTRIES_MAX).unwrap();
        rows.write_with(&[], &Added::of(&entries(max))).unwrap();
        rows.write_with(&[], &Added::of(&entries(3))).unwrap();
        let numbers = numbers(&mut rows);
        assert_eq!(numbers.len(), max);
        assert_eq!((numbers[0], numbers[max - 1]), (ENTRIES_MAX + 3, 4));
    }

    #[test]
    fn a_directory_from_before_the_log_has_one_from_its_first_entry_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.redb");
        let mut rows = RedbRows::open(&path).unwrap();
        let database = rows.database.as_ref().unwrap();
        let before = database.begin_read().unwrap().open_table(AUDIT);
        assert!(matches!(before, Err(TableError::TableDoesNotExist(_))));
        assert_eq!(numbers(&mut rows), [0; 0]);
        let entry = Entry::new("x", Timestamp::EPOCH);
        rows.write_with(&[], &Added::of(&[entry])).unwrap();
        drop(rows);
        assert_eq!(numbers(&mut RedbRows::open(&path).unwrap()), [1]);
    }

    #[test]
    fn the_last_of_several_changes_to_a_row_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = RedbRows::open(&folder.path().join("directory.redb")).unwrap();
        let changes = [
            change("a", Some(b"1")),
            change("a", None),
            change("a", Some(b"3")),
        ];
        rows.write(&changes).unwrap();
        assert_eq!(rows.load().unwrap()[0].octets, b"3");
    }
}
