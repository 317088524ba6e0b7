//! Files that what was acknowledged stands in: what the spool and the directory ask of one, how a new one gets its
//! name, and how they get over a sync that failed.
//!
//! What is written into them and when is the owners'.

mod backend;
mod file;
#[cfg(test)]
pub(crate) mod forgetful;
pub(crate) mod naming;
mod remembered;

use std::fmt::Debug;
use std::io;

pub(crate) use backend::{is_full, is_no_room};
pub(crate) use remembered::Remembered;

/// An open file.
pub(crate) trait File: Debug + Send + Sync {
    /// Octets in it.
    fn len(&self) -> io::Result<u64>;

    /// Fills `octets` from `offset` on; fewer octets in the file are an error.
    fn read(&self, offset: u64, octets: &mut [u8]) -> io::Result<()>;

    /// As [`read`](Self::read) where that needs no waiting for the disk. False when it may, and then `octets`
    /// may be filled in part.
    fn read_at_hand(&self, _offset: u64, _octets: &mut [u8]) -> bool {
        false
    }

    /// Writes all of `octets` at `offset`.
    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()>;

    /// Cuts or extends it; what is new reads as zero.
    fn set_len(&self, octets: u64) -> io::Result<()>;

    /// Returns when everything written so far is on stable storage. After an error nothing is
    /// known about what was written since the last success.
    fn sync(&self) -> io::Result<()>;

    /// Lets other processes have it. Nothing is read or written after that.
    fn release(&self) -> io::Result<()>;
}
