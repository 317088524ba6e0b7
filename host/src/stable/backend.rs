//! The file as redb takes it.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

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
