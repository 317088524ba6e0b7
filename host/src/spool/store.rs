//! The store: rows on stable storage, in a journal first and in the database in time.
//!
//! A commit is on stable storage by one append to the journal and stands in the memtable from then on,
//! which everybody reads above the database. A checkpoint brings the database up with what the memtable
//! holds by then, and lets both begin anew: mail that left before it costs the database next to
//! nothing. Where the journal cannot take a commit, that commit is the checkpoint. Opening fills the
//! memtable with what the journal has beyond the database's mark, which is a row like any other and so
//! always of the same checkpoint.
//!
//! What rows mean is `ledger`'s, who commits when is `writer`'s.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use crate::message::MessageId;
use crate::stable::{File, Remembered};

use super::disk::Disk;
use super::entries::{Entries, Entry};
use super::journal::{Journal, Mark, ReplayFailure};
use super::memtable::Memtable;
use super::redb::{Database, OpenFailure, StoreError, discard, from_io, guarded};
use super::settings::Settings;
use super::sheet::Sheet;
use super::stored::FORM;
use super::transaction::Transaction;
use super::view::View;
use crate::stable::is_full;

/// A checkpoint is due when so many rows have changed, though the journal has room: bringing a row up
/// writes a page in the worst case, and all pages are remembered until their sync.
pub(super) const CHANGED_ROWS_MAX: usize = 16 << 10;

/// The open store.
#[derive(Debug)]
pub(super) struct Store {
    file: Remembered,
    page_cache_octets: usize,
    /// What is read. None while the store is closed: after the end, or after a failure until it is open
    /// again.
    view: RwLock<Option<View>>,
    /// The writer's.
    commits: Mutex<Commits>,
    was_interrupted: bool,
}

/// What a commit goes through. None in place of the database while the store is closed.
#[derive(Debug)]
struct Commits {
    database: Option<Database>,
    journal: Journal,
    entries: Entries,
}

impl Store {
    /// Opens the files of a disk with everything that was committed, also when the last process did
    /// not close them, and when the disk is full.
    pub(super) fn open(disk: &dyn Disk, settings: &Settings) -> Result<Self, OpenFailure> {
        match Self::open_files(disk, settings) {
            // Where the last process ended without closing it, the database may need room to open.
            Err(OpenFailure::Disk(error)) if is_full(&error) && disk.give_up_reserve() => {
                Self::open_files(disk, settings)
            }
            opened => opened,
        }
    }

    fn open_files(disk: &dyn Disk, settings: &Settings) -> Result<Self, OpenFailure> {
        let file = match disk.database().map_err(OpenFailure::Disk)? {
            Some(file) => Remembered::new(file),
            None => make(disk, settings)?,
        };
        let database = Database::open(&file, settings.page_cache_octets)?;
        // The last process may have ended before its sync did: what is read is not yet what a power
        // cut would leave, and the journal is written over as far as the database has it.
        file.sync().map_err(OpenFailure::Disk)?;
        let found = first_look(&database)?;
        refuse_incomplete(disk, &found)?;
        let journal = disk.journal().map_err(OpenFailure::Disk)?;
        let mark = make_ready(&database, &found)?;
        let mut journal =
            Journal::open(journal, settings.journal_octets_max, mark).map_err(OpenFailure::Disk)?;
        let was_interrupted = journal.is_in_use();
        let view = replay(&database, &mut journal, mark)?;
        journal.come_into_use();
        Ok(Self {
            was_interrupted,
            file,
            page_cache_octets: settings.page_cache_octets,
            view: RwLock::new(Some(view)),
            commits: Mutex::new(Commits {
                database: Some(database),
                journal,
                entries: Entries::default(),
            }),
        })
    }

    /// Whether the process that had it open before did not close it.
    pub(super) fn was_interrupted(&self) -> bool {
        self.was_interrupted
    }

    /// The rows as they are now. Their pages are kept for as long as this is.
    pub(super) fn view(&self) -> Result<View, StoreError> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.clone().ok_or_else(closed)
    }

    /// Runs `work` on what the rows are now. Whoever asks waits for the disk when pages have to be
    /// read.
    pub(super) fn read<R>(
        &self,
        work: impl FnOnce(&View) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        guarded(|| work(&self.view()?))
    }

    /// Runs `work` on what the rows were.
    pub(super) fn read_in<R>(
        &self,
        view: &View,
        work: impl FnOnce(&View) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        guarded(|| work(view))
    }

    /// Runs `work` in a transaction and returns when its changes are on stable storage. After an
    /// error of `work` nothing has changed. After any other one the store is to be
    /// [reopened](Self::reopen).
    pub(super) fn write(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        guarded(|| {
            let mut commits = self.commits();
            let Commits {
                database,
                journal,
                entries,
            } = &mut *commits;
            let database = database.as_ref().ok_or_else(closed)?;
            journal.begin(entries);
            let mut rows = Transaction::begin(self.view()?, entries);
            work(&mut rows)?;
            let view = rows.end();
            if entries.is_empty() {
                return Ok(());
            }
            let can_wait = view.changes.len() < CHANGED_ROWS_MAX;
            if can_wait && journal.append(entries).map_err(from_io)? {
                self.show(view);
                return Ok(());
            }
            bring_up(database, &view.changes, journal.next_mark())?;
            journal.skip();
            self.show(View::of(database.base()?, Memtable::default()));
            Ok(())
        })
    }

    /// An error when the database answers nothing any more, after a read or a write of it that failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        guarded(|| self.commits().database.as_ref().ok_or_else(closed)?.check())
    }

    /// Brings the database up, so that the next start has nothing to do, should this process end
    /// without closing it. The next write undoes that.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        guarded(|| {
            let view = self.commits().checkpoint(&self.view()?.changes)?;
            self.show(view);
            Ok(())
        })
    }

    /// Gives the room between rows back to the disk. Takes as long as moving all rows, and nobody
    /// reads or writes meanwhile. False where somebody who has read for longer keeps the rows where they are.
    pub(super) fn compact(&self) -> Result<bool, StoreError> {
        guarded(|| {
            let mut commits = self.commits();
            let mut view = self.view_mut();
            // Its base keeps pages where they are.
            let changes = view.take().ok_or_else(closed)?.changes;
            commits.checkpoint(&changes)?;
            let database = commits.database.as_mut().ok_or_else(closed)?;
            let has_moved = database.compact()?;
            *view = Some(View::of(database.base()?, Memtable::default()));
            Ok(has_moved)
        })
    }

    /// Octets of the database's file.
    pub(super) fn octets(&self) -> io::Result<u64> {
        self.file.len()
    }

    /// Opens everything again after a failure, with all that was written confirmed. Everything that
    /// a transaction wrote is there or nothing of it.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut commits = self.commits();
        let mut view = self.view_mut();
        *view = None;
        if let Some(failed) = commits.database.take() {
            discard(failed);
        }
        self.file.confirm().map_err(from_io)?;
        let opened = Database::open(&self.file, self.page_cache_octets).map_err(from_open)?;
        let mark = mark(&opened)?.ok_or_else(no_mark)?;
        *view = Some(replay(&opened, &mut commits.journal, mark).map_err(from_open)?);
        commits.database = Some(opened);
        Ok(())
    }

    /// Closes the files and lets others have them; everything after this fails.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        let mut commits = self.commits();
        let view = self.view_mut().take();
        let brought_up = match view {
            Some(view) => guarded(|| commits.checkpoint(&view.changes)).map(drop),
            None => Ok(()),
        };
        let closed = match (commits.database.take(), brought_up) {
            (Some(database), Ok(())) => guarded(|| {
                database.close()?;
                commits.journal.give_room_back().map_err(from_io)
            }),
            (Some(database), Err(error)) => {
                discard(database);
                Err(error)
            }
            (None, brought_up) => brought_up,
        };
        let released = self.file.release().map_err(from_io);
        closed.and(released)
    }

    /// From now on this is read.
    fn show(&self, view: View) {
        *self.view_mut() = Some(view);
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, Option<View>> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    /// Brings the database up with all that the journal has. What is read then.
    fn checkpoint(&mut self, changes: &Memtable) -> Result<View, StoreError> {
        let database = self.database.as_ref().ok_or_else(closed)?;
        bring_up(database, changes, self.journal.mark())?;
        self.journal.begin_anew();
        Ok(View::of(database.base()?, Memtable::default()))
    }
}

/// Does again what the journal has beyond the mark. Needs no room on the disk.
fn replay(database: &Database, journal: &mut Journal, mark: Mark) -> Result<View, OpenFailure> {
    let mut changes = Memtable::default();
    let replayed = journal.replay(mark, |frame| {
        for entry in frame {
            changes.apply(entry.ok_or_else(|| failed("an entry is not whole"))?);
        }
        Ok(())
    });
    match replayed {
        Ok(0) => {}
        Ok(commits) => {
            tracing::info!(commits, "commits were taken from the spool's journal");
        }
        Err(ReplayFailure::Disk(error)) => return Err(OpenFailure::Disk(error)),
        Err(ReplayFailure::Damaged(error)) => return Err(OpenFailure::JournalDamaged(error)),
        Err(ReplayFailure::Other(error)) => return Err(from_store(error)),
    }
    let base = guarded(|| database.base()).map_err(from_store)?;
    Ok(View::of(base, changes))
}

/// Brings changes and the mark that belongs to them into the database.
fn bring_up(database: &Database, changes: &Memtable, mark: Mark) -> Result<(), StoreError> {
    let (table, _) = Sheet::Mark.table();
    database.write(
        changes,
        Entry {
            table,
            key: &Sheet::Mark.key(&[]),
            row: Some(&mark.to_row()),
        },
    )
}

/// The mark of a database; none in one that was never written beside a journal.
fn mark(database: &Database) -> Result<Option<Mark>, StoreError> {
    let (table, _) = Sheet::Mark.table();
    let row = guarded(|| database.base()?.row(table, &Sheet::Mark.key(&[])))?;
    row.map(|row| Mark::from_row(&row).ok_or_else(no_mark))
        .transpose()
}

/// What a database says of itself.
struct Found {
    form: Option<u8>,
    mark: Option<Mark>,
}

impl Found {
    /// Whether nobody has written anything into it.
    fn is_bare(&self) -> bool {
        self.form.is_none() && self.mark.is_none()
    }
}

/// Looks at the form of a database before anything else of it is read or changed.
fn first_look(database: &Database) -> Result<Found, OpenFailure> {
    let (table, key) = (Sheet::Form.table().0, Sheet::Form.key(&[]));
    let row = guarded(|| database.base()?.row(table, &key)).map_err(from_store)?;
    let form = row.and_then(|row| row.first().copied());
    if let Some(newer) = form.filter(|form| *form > FORM) {
        return Err(OpenFailure::TooNew(newer));
    }
    let mark = mark(database).map_err(from_store)?;
    Ok(Found { form, mark })
}

/// Makes a database where there is nothing of a spool. It has its form and no mark: the mark comes when the journal is
/// there, so that a journal that has gone is told from one that was never made.
fn make(disk: &dyn Disk, settings: &Settings) -> Result<Remembered, OpenFailure> {
    let journal_octets = disk.journal_octets().map_err(OpenFailure::Disk)?;
    if journal_octets.is_some() || has_contents(disk)? {
        return Err(OpenFailure::DatabaseMissing);
    }
    let file = Remembered::new(disk.new_database().map_err(OpenFailure::Disk)?);
    let database = Database::open(&file, settings.page_cache_octets)?;
    let (table, key) = (Sheet::Form.table().0, Sheet::Form.key(&[]));
    let form = Entry {
        table,
        key: &key,
        row: Some(&[FORM]),
    };
    if let Err(error) = guarded(|| database.write(&Memtable::default(), form)) {
        discard(database);
        return Err(from_store(error));
    }
    guarded(|| database.close()).map_err(from_store)?;
    disk.name_database().map_err(OpenFailure::Disk)?;
    Ok(file)
}

/// Refuses what is left of a spool when one of its files has gone: the others would be taken for what a crash has
/// left, and mail would be gone in silence.
fn refuse_incomplete(disk: &dyn Disk, found: &Found) -> Result<(), OpenFailure> {
    match disk.journal_octets().map_err(OpenFailure::Disk)? {
        None if found.mark.is_some() => Err(OpenFailure::JournalMissing),
        // Of another database: this one has never been written beside one.
        Some(1..) if found.mark.is_none() => Err(OpenFailure::DatabaseMissing),
        _ if found.is_bare() && has_contents(disk)? => Err(OpenFailure::DatabaseMissing),
        _ => Ok(()),
    }
}

/// Whether there are contents of messages.
fn has_contents(disk: &dyn Disk) -> Result<bool, OpenFailure> {
    let names = disk.names().map_err(OpenFailure::Disk)?;
    Ok(names.iter().any(|name| name.parse::<MessageId>().is_ok()))
}

/// Marks a database that is new, or of an older form, with the form of this release: from here on records of that
/// form are written. The journal's file is there by then.
fn make_ready(database: &Database, found: &Found) -> Result<Mark, OpenFailure> {
    if let (Some(mark), Some(FORM)) = (found.mark, found.form) {
        return Ok(mark);
    }
    let (table, key) = (Sheet::Form.table().0, Sheet::Form.key(&[]));
    let mark = found
        .mark
        .map_or_else(Mark::new, Ok)
        .map_err(OpenFailure::Disk)?;
    let mut changes = Memtable::default();
    changes.set(table, &key, Some([FORM].as_slice().into()));
    guarded(|| bring_up(database, &changes, mark)).map_err(from_store)?;
    Ok(mark)
}

fn closed() -> StoreError {
    failed("the database is closed")
}

fn no_mark() -> StoreError {
    failed("the database does not say where its journal stands")
}

fn failed(why: &'static str) -> StoreError {
    StoreError::Failed(why.into())
}

fn from_open(failure: OpenFailure) -> StoreError {
    match failure {
        OpenFailure::Disk(error) => from_io(error),
        OpenFailure::Damaged(error) | OpenFailure::JournalDamaged(error) => {
            StoreError::Failed(error)
        }
        OpenFailure::DatabaseMissing | OpenFailure::JournalMissing => {
            failed("a file of the spool has gone")
        }
        OpenFailure::TooNew(_) => failed("a newer release has written to it meanwhile"),
    }
}

fn from_store(error: StoreError) -> OpenFailure {
    match error {
        StoreError::Full => OpenFailure::Disk(io::ErrorKind::StorageFull.into()),
        StoreError::ReadOnly => OpenFailure::Disk(io::ErrorKind::ReadOnlyFilesystem.into()),
        StoreError::Failed(error) => OpenFailure::Damaged(error),
    }
}
