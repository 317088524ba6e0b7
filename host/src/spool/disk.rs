//! What the spool asks of a folder on a disk, so that tests can give it one that fails or loses power. What it
//! asks of a file is `stable`'s.
//!
//! Two kinds of files: those that are read and written anywhere (the database and its journal), and
//! contents that are written once from front to back. What was written survives a power cut only after a sync of
//! the file, and its name only after a sync of the names.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use crate::stable::File;

/// A folder of the spool.
pub(super) trait Disk: Debug + Send + Sync {
    /// The database's file, locked against other processes; none where there is none, or an empty one.
    fn database(&self) -> io::Result<Option<Arc<dyn File>>>;

    /// An empty file for a new database, locked as well. It is none before it is [named](Self::name_database), and
    /// what a process that was cut off has left of one is gone.
    fn new_database(&self) -> io::Result<Arc<dyn File>>;

    /// Makes the file that is new the database's, on stable storage when this returns.
    fn name_database(&self) -> io::Result<()>;

    /// The journal's file, made when it does not exist. The lock of the database is its lock.
    fn journal(&self) -> io::Result<Arc<dyn File>>;

    /// Octets in the journal's file; none where there is no such file.
    fn journal_octets(&self) -> io::Result<Option<u64>>;

    /// A new file for a content.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// A content, for reading.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Gives a content another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a content; one that is not there is no error.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all contents.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Returns when all changes of names so far are on stable storage.
    fn sync_names(&self) -> io::Result<()>;

    /// Room for this process on the disk, in octets.
    fn free_octets(&self) -> io::Result<u64>;

    /// Sets room aside that [`give_up_reserve`](Self::give_up_reserve) gives back when nothing
    /// else is left; nothing happens when it is set aside already.
    fn keep_reserve(&self) -> io::Result<()>;

    /// Gives the reserve back; false when there was none.
    fn give_up_reserve(&self) -> bool;
}

/// Whether an error says that the disk takes no writes.
pub(super) fn is_read_only(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ReadOnlyFilesystem
}
