//! A file that remembers what it wrote since its last good sync.
//!
//! When a sync fails, the kernel may forget that those pages were never written, and a later sync
//! succeeds without them: what reads well from the page cache is then not on the disk. So after a
//! failed sync everything since the last good one is written again before anybody builds on it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::File;

/// So much is remembered at most. Before more is written it is synced, which a large batch has to be in any
/// case: what it writes before its last sync nobody reads who opens the file.
const UNSYNCED_OCTETS_MAX: usize = 4 << 20;

/// Memory kept for the next batch.
const KEPT_OCTETS_MAX: usize = 256 << 10;

/// The file beneath a database.
#[derive(Clone, Debug)]
pub(crate) struct Remembered(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Arc<dyn File>,
    unsynced: Mutex<Unsynced>,
}

#[derive(Debug, Default)]
struct Unsynced {
    /// Offset and length of each write, in order.
    writes: Vec<(u64, usize)>,
    octets: Vec<u8>,
}

impl Remembered {
    pub(crate) fn new(file: Arc<dyn File>) -> Self {
        Self(Arc::new(Inner {
            file,
            unsynced: Mutex::default(),
        }))
    }

    /// Writes again what no sync has confirmed, and syncs.
    pub(crate) fn confirm(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        let mut start = 0;
        for (offset, length) in &unsynced.writes {
            let end = start + length;
            self.0.file.write(*offset, &unsynced.octets[start..end])?;
            start = end;
        }
        self.0.file.sync()?;
        unsynced.forget();
        Ok(())
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.0
            .unsynced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unsynced {
    fn forget(&mut self) {
        self.writes.clear();
        self.octets.clear();
    }
}

impl File for Remembered {
    fn len(&self) -> io::Result<u64> {
        self.0.file.len()
    }

    fn read(&self, offset: u64, octets: &mut [u8]) -> io::Result<()> {
        self.0.file.read(offset, octets)
    }

    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        if unsynced.octets.len() + octets.len() > UNSYNCED_OCTETS_MAX {
            self.0.file.sync()?;
            unsynced.forget();
        }
        self.0.file.write(offset, octets)?;
        unsynced.writes.push((offset, octets.len()));
        unsynced.octets.extend_from_slice(octets);
        Ok(())
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        self.0.file.set_len(octets)
    }

    fn sync(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        self.0.file.sync()?;
        unsynced.forget();
        // A batch has ended.
        unsynced.octets.shrink_to(KEPT_OCTETS_MAX);
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        self.0.file.release()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::forgetful::Forgetful;
    use super::*;

    #[test]
    fn a_large_batch_is_synced_in_pieces_and_gives_its_memory_back() {
        let file = Remembered::new(Arc::new(Forgetful::default()));
        let page = vec![1; 64 << 10];
        let mut most = 0;
        for number in 0..256_u64 {
            file.write(number * page.len() as u64, &page).unwrap();
            most = most.max(file.unsynced().octets.len());
        }
        assert!(
            most > UNSYNCED_OCTETS_MAX / 2 && most <= UNSYNCED_OCTETS_MAX,
            "{most}"
        );
        file.sync().unwrap();
        assert!(file.unsynced().octets.capacity() <= KEPT_OCTETS_MAX);
    }

    #[test]
    fn what_a_failed_sync_may_have_lost_is_on_the_disk_once_it_is_confirmed() {
        let disk = Forgetful::default();
        let file = Remembered::new(Arc::new(disk.clone()));
        file.write(0, b"first").unwrap();
        file.sync().unwrap();
        file.write(5, b"second").unwrap();
        disk.fail_sync_after(0);
        file.sync().unwrap_err();
        file.confirm().unwrap();
        assert_eq!(disk.on_disk(), b"firstsecond");
    }
}
