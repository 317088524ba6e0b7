//! Why the spool could not do what was asked, or could not be opened.

use std::path::PathBuf;

/// A cause for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the spool could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// No room within the configured limits or on the disk: the client should come back later.
    #[error("the spool has no room")]
    Full,
    /// The disk takes no writes at all: somebody mounted it so, or the system did after a fault.
    #[error("the disk of the spool takes no writes")]
    ReadOnly,
    /// The backend failed; the source is for the log, not for the peer. It is not known to have
    /// happened, and it may be asked for again.
    #[error("the spool failed: {0}")]
    Unavailable(#[source] BoxError),
    /// The lease is no longer valid: the delivery was settled meanwhile.
    #[error("the lease on this delivery is lost")]
    LeaseLost,
    /// The delivery was cancelled while it was leased: it is to be settled as one that is cancelled.
    #[error("the delivery was cancelled meanwhile")]
    Cancelled,
    /// A delivery that was cancelled while it was leased is back in the queue: it is to be settled as any other.
    #[error("the delivery was restored meanwhile")]
    Restored,
    /// There is no such message or delivery.
    #[error("there is no such message")]
    Unknown,
}

impl SpoolError {
    /// The failure of a backend, in words.
    pub(crate) fn unavailable(reason: impl Into<BoxError>) -> Self {
        Self::Unavailable(reason.into())
    }
}

/// Why a spool could not be opened, in words that an operator can act on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{}: the spool is in use by another process; is a relay running on this data folder already?", path.display())]
    InUse {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The folder or a file in it cannot be reached with the rights of this process.
    #[error("{}: permission denied; the relay's user must own the data folder", path.display())]
    PermissionDenied {
        /// What could not be reached.
        path: PathBuf,
    },
    /// The disk takes no writes.
    #[error("{}: the disk is mounted read-only", path.display())]
    ReadOnly {
        /// What could not be written.
        path: PathBuf,
    },
    /// The disk has no room for a new spool.
    #[error("{}: no room on the disk", path.display())]
    NoRoom {
        /// The data folder.
        path: PathBuf,
    },
    /// The file is not a spool, or is damaged beyond what opening repairs.
    #[error("{}: damaged, or not a spool: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: BoxError,
    },
    /// The database is not there, and what belongs to it is.
    #[error(
        "{}: there is no queue in it, though spool.journal or content/ beside it has mail. Put back the file that belongs \
         to them, or move all three aside to start with an empty queue",
        path.display()
    )]
    DatabaseMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The journal is not there, and the database that belongs to it is.
    #[error(
        "{}: the file is not there, and it may have what was accepted or delivered last. Put it back; or copy content/ \
         away and make an empty file of that name, to do without",
        path.display()
    )]
    JournalMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Written by a newer release.
    #[error("{}: written by a newer release (form {found}, this release knows up to {known})", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The form of the file.
        found: u32,
        /// The newest form that this release reads.
        known: u32,
    },
    /// Anything else that the system reports.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: BoxError,
    },
}
