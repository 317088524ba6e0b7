//! The file as redb takes it, and what the system said in the errors that redb makes of it.

use std::error::Error;
use std::io;
use std::ops::Bound;

use redb::{
    BackendError, CommitError, DatabaseError, StorageBackend, StorageError, TableError,
    TransactionError,
};

use super::{File, Remembered};

/// Whoever opened the file has locked it as a whole, and it stays so between a failure and the reopening: redb's own
/// locks have nothing left to do.
impl StorageBackend for Remembered {
    fn len(&self) -> io::Result<u64> {
        File::len(self)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        File::read(self, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync(self)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        File::write(self, offset, data)
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

/// Whether the error, or what caused it, is that the disk has no room.
pub(crate) fn is_no_room(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>();
        if system.or_else(|| beneath(error)).is_some_and(is_full) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the system says that the disk has no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// What the system said to redb, whose errors name no source.
fn beneath<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let storage = if let Some(CommitError::Storage(storage)) = error.downcast_ref() {
        storage
    } else if let Some(TableError::Storage(storage)) = error.downcast_ref() {
        storage
    } else if let Some(TransactionError::Storage(storage)) = error.downcast_ref() {
        storage
    } else if let Some(DatabaseError::Storage(storage)) = error.downcast_ref() {
        storage
    } else {
        error.downcast_ref()?
    };
    match storage {
        StorageError::Io(error) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_in_whatever_was_made_of_it() {
        let storage = |kind: io::ErrorKind| StorageError::Io(kind.into());
        let made = |kind| -> [Box<dyn Error>; 5] {
            [
                Box::new(storage(kind)),
                Box::new(CommitError::Storage(storage(kind))),
                Box::new(TableError::Storage(storage(kind))),
                Box::new(TransactionError::Storage(storage(kind))),
                Box::new(DatabaseError::Storage(storage(kind))),
            ]
        };
        let all = |kind, is_full| made(kind).iter().all(|e| is_no_room(&**e) == is_full);
        assert!(all(io::ErrorKind::StorageFull, true));
        assert!(all(io::ErrorKind::QuotaExceeded, true));
        assert!(all(io::ErrorKind::PermissionDenied, false));
    }
}
