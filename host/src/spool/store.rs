//! The store: rows on stable storage, in a journal first and in the database in time.
//!
//! Every commit changes the database in memory and is on stable storage by one append to the
//! journal; a checkpoint brings the database up and lets the journal begin anew. Where the journal
//! cannot take a commit, that commit is the checkpoint. Opening does again what the journal has
//! beyond the database's mark, which is a row like any other and so always of the same commit.
//!
//! What rows mean is `ledger`'s, who commits when is `writer`'s.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::disk::{Disk, File, is_full};
use super::entries::Entries;
use super::journal::{Journal, Mark, ReplayFailure};
use super::redb::{
    Commit, Database, OpenFailure, Reading, Snapshot, StoreError, Transaction, discard, from_io,
    guarded,
};
use super::settings::Settings;
use super::sheet::Sheet;
use super::unsynced::Remembered;

/// So many octets of pages may wait in memory for each octet of the journal, where the disk has no room
/// for them: half as many are changed in the worst case, and memory is for changed pages by half.
const PAGES_PER_JOURNAL_OCTET: usize = 16;

/// The database is brought up before the journal is full when so many octets of pages for each octet of
/// it were written and wait for a sync: they are remembered in memory. Mail that comes and goes stays
/// far below; a change of a whole queue, which touches pages all over, would not.
const UNSYNCED_PER_JOURNAL_OCTET: usize = 4;

/// The open store.
#[derive(Debug)]
pub(super) struct Store {
    file: Remembered,
    page_cache_octets: usize,
    unsynced_octets_max: usize,
    /// None while it is closed: after the end, or after a failure until it is open again.
    database: RwLock<Option<Database>>,
    /// The writer's.
    commits: Mutex<Commits>,
}

/// What a commit goes through.
#[derive(Debug)]
struct Commits {
    journal: Journal,
    entries: Entries,
}

impl Store {
    /// Opens the files of a disk with everything that was committed, also when the last process did
    /// not close them, and when the disk is full.
    pub(super) fn open(disk: &dyn Disk, settings: &Settings) -> Result<Self, OpenFailure> {
        let usual = settings.page_cache_octets;
        match Self::open_with(disk, settings, usual) {
            Err(OpenFailure::Disk(error)) if is_full(&error) => {}
            opened => return opened,
        }
        // Pages that the journal changes and that do not fit in memory find no room on the disk.
        if disk.give_up_reserve() {
            match Self::open_with(disk, settings, usual) {
                Err(OpenFailure::Disk(error)) if is_full(&error) => {}
                opened => return opened,
            }
        }
        let pages = journal_octets(settings).saturating_mul(PAGES_PER_JOURNAL_OCTET);
        let all = usual.saturating_add(pages);
        Self::open_with(disk, settings, all)
    }

    fn open_with(
        disk: &dyn Disk,
        settings: &Settings,
        page_cache_octets: usize,
    ) -> Result<Self, OpenFailure> {
        let file = Remembered::new(disk.database().map_err(OpenFailure::Disk)?);
        let journal = disk.journal().map_err(OpenFailure::Disk)?;
        let database = Database::open(&file, page_cache_octets)?;
        // The last process may have ended before its sync did: what is read is not yet what a power
        // cut would leave, and the journal is written over as far as the database has it.
        file.sync().map_err(OpenFailure::Disk)?;
        let mut entries = Entries::default();
        let mark = match mark(&database) {
            Ok(Some(mark)) => mark,
            Ok(None) => first_mark(&database, &mut entries).map_err(from_store)?,
            Err(error) => return Err(from_store(error)),
        };
        let journal =
            Journal::open(journal, settings.journal_octets_max, mark).map_err(OpenFailure::Disk)?;
        let mut commits = Commits { journal, entries };
        commits.replay(&database, mark)?;
        Ok(Self {
            file,
            page_cache_octets,
            unsynced_octets_max: journal_octets(settings)
                .saturating_mul(UNSYNCED_PER_JOURNAL_OCTET),
            database: RwLock::new(Some(database)),
            commits: Mutex::new(commits),
        })
    }

    /// The rows as they are now. Their pages are kept for as long as this is.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.database().as_ref().ok_or_else(closed)?.snapshot()
    }

    /// Runs `work` on what the rows are now. Whoever asks waits for the disk when pages have to be
    /// read.
    pub(super) fn read<R>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        guarded(|| work(&self.snapshot()?))
    }

    /// Runs `work` on what the rows were.
    pub(super) fn read_in<R>(
        &self,
        snapshot: &Snapshot,
        work: impl FnOnce(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        guarded(|| work(snapshot))
    }

    /// Runs `work` in a transaction and returns when its changes are on stable storage. After an
    /// error of `work` nothing has changed. After any other one the store is to be
    /// [reopened](Self::reopen).
    pub(super) fn write(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        guarded(|| {
            let database = self.database();
            let database = database.as_ref().ok_or_else(closed)?;
            let mut commits = self.commits();
            let Commits { journal, entries } = &mut *commits;
            journal.begin(entries);
            let commit = database.write(entries, |rows| {
                work(rows)?;
                if rows.entries().is_empty() {
                    return Ok(Commit::Nothing);
                }
                rows.put(Sheet::Mark, &[], &journal.next_mark().to_row())?;
                let can_wait = self.unsynced_octets() < self.unsynced_octets_max;
                if can_wait && journal.append(rows.entries()).map_err(from_io)? {
                    Ok(Commit::InMemory)
                } else {
                    Ok(Commit::Checkpoint)
                }
            })?;
            if commit == Commit::Checkpoint {
                journal.skip();
            }
            Ok(())
        })
    }

    /// Brings the database up, so that the next start has nothing to do, should this process end
    /// without closing it. The next write undoes that.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        guarded(|| {
            let database = self.database();
            let mut commits = self.commits();
            commits.checkpoint(database.as_ref().ok_or_else(closed)?)
        })
    }

    /// Gives the room between rows back to the disk. Takes as long as moving all rows, and nobody
    /// reads or writes meanwhile.
    pub(super) fn compact(&self) -> Result<(), StoreError> {
        guarded(|| {
            let mut database = self.database_mut();
            let database = database.as_mut().ok_or_else(closed)?;
            self.commits().checkpoint(database)?;
            database.compact()
        })
    }

    /// Octets that are in memory because no sync has confirmed them.
    pub(super) fn unsynced_octets(&self) -> usize {
        self.file.unsynced_octets()
    }

    /// Octets of the database's file.
    pub(super) fn octets(&self) -> io::Result<u64> {
        self.file.len()
    }

    /// Opens everything again after a failure, with all that was written confirmed. Everything that
    /// a transaction wrote is there or nothing of it.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database_mut();
        if let Some(failed) = database.take() {
            discard(failed);
        }
        self.file.confirm().map_err(from_io)?;
        let opened = Database::open(&self.file, self.page_cache_octets).map_err(from_open)?;
        let mark = mark(&opened)?.ok_or_else(no_mark)?;
        self.commits().replay(&opened, mark).map_err(from_open)?;
        *database = Some(opened);
        Ok(())
    }

    /// Closes the files and lets others have them; everything after this fails.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        let closed = match self.database_mut().take() {
            // Borrowed by what may panic: it is not to be dropped while that unwinds.
            Some(database) => match guarded(|| self.commits().checkpoint(&database)) {
                Ok(()) => guarded(|| {
                    database.close()?;
                    self.commits().journal.give_room_back().map_err(from_io)
                }),
                Err(error) => {
                    discard(database);
                    Err(error)
                }
            },
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

    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    fn checkpoint(&mut self, database: &Database) -> Result<(), StoreError> {
        database.write(&mut self.entries, |_| Ok(Commit::Checkpoint))?;
        self.journal.begin_anew();
        Ok(())
    }

    /// Does again what the journal has beyond the mark. Needs no room on the disk.
    fn replay(&mut self, database: &Database, mark: Mark) -> Result<(), OpenFailure> {
        let Self { journal, entries } = self;
        let replayed = journal.replay(mark, |frame| {
            guarded(|| {
                database.write(entries, |rows| {
                    for entry in frame {
                        let entry = entry.ok_or_else(|| failed("an entry is not whole"))?;
                        rows.apply(entry)?;
                    }
                    Ok(Commit::InMemory)
                })
            })
            .map(drop)
        });
        match replayed {
            Ok(0) => Ok(()),
            Ok(commits) => {
                tracing::info!(commits, "commits were taken from the spool's journal");
                Ok(())
            }
            Err(ReplayFailure::Disk(error)) => Err(OpenFailure::Disk(error)),
            Err(ReplayFailure::Damaged(error)) => Err(OpenFailure::JournalDamaged(error)),
            Err(ReplayFailure::Other(error)) => Err(from_store(error)),
        }
    }
}

/// The mark of a database; none in one that was never written beside a journal.
fn mark(database: &Database) -> Result<Option<Mark>, StoreError> {
    let row = guarded(|| database.snapshot()?.get(Sheet::Mark, &[]))?;
    row.map(|row| Mark::from_row(&row).ok_or_else(no_mark))
        .transpose()
}

fn first_mark(database: &Database, entries: &mut Entries) -> Result<Mark, StoreError> {
    let mark = Mark::new().map_err(from_io)?;
    guarded(|| {
        database.write(entries, |rows| {
            rows.put(Sheet::Mark, &[], &mark.to_row())?;
            Ok(Commit::Checkpoint)
        })
    })?;
    Ok(mark)
}

fn journal_octets(settings: &Settings) -> usize {
    usize::try_from(settings.journal_octets_max).unwrap_or(usize::MAX)
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
    }
}

fn from_store(error: StoreError) -> OpenFailure {
    match error {
        StoreError::Full => OpenFailure::Disk(io::ErrorKind::StorageFull.into()),
        StoreError::ReadOnly => OpenFailure::Disk(io::ErrorKind::ReadOnlyFilesystem.into()),
        StoreError::Failed(error) => OpenFailure::Damaged(error),
    }
}
