//! A file whose whole sectors are written past the system's page cache, where its file system allows it.
//!
//! What is synced at once gains nothing from the cache: a commit of one message takes two thirds of the
//! time without it, and half the processor's. Writes of other shapes, and those that a file system or a
//! disk with larger sectors refuses, go through the cache; the kernel keeps both in agreement.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::journal::SECTOR_OCTETS;
use crate::stable::File;

/// Memory is handed to the disk at multiples of this: a page, which suits every disk.
const ALIGNMENT: usize = 4 << 10;

/// At most so much is written at once, for the sake of the memory that is kept for it.
const PIECE_OCTETS_MAX: usize = 1 << 20;

/// A file, and the way around the cache if there is one.
#[derive(Debug)]
pub(super) struct DirectFile {
    cached: fs::File,
    direct: Option<fs::File>,
    /// The file system took the file and refuses the writes.
    is_refused: AtomicBool,
    piece: Mutex<Vec<u8>>,
}

impl DirectFile {
    /// `direct` is the same file, opened for writing without the cache; none where that cannot be.
    pub(super) fn new(cached: fs::File, direct: Option<fs::File>) -> Self {
        Self {
            cached,
            direct,
            is_refused: AtomicBool::new(false),
            piece: Mutex::default(),
        }
    }

    /// False when nothing was written, because it has to go another way.
    fn write_directly(&self, offset: u64, octets: &[u8]) -> io::Result<bool> {
        let sector = SECTOR_OCTETS as usize;
        let is_whole = offset.is_multiple_of(SECTOR_OCTETS) && octets.len().is_multiple_of(sector);
        let file = self.direct.as_ref().filter(|_| is_whole);
        let Some(file) = file.filter(|_| !self.is_refused.load(Ordering::Relaxed)) else {
            return Ok(false);
        };
        let mut memory = self.piece.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = offset;
        for piece in octets.chunks(PIECE_OCTETS_MAX) {
            match file.write_all_at(aligned(&mut memory, piece), at) {
                Ok(()) => at += piece.len() as u64,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && at == offset => {
                    self.is_refused.store(true, Ordering::Relaxed);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// A copy of `octets` that begins where the disk wants memory to begin.
fn aligned<'a>(memory: &'a mut Vec<u8>, octets: &[u8]) -> &'a [u8] {
    if memory.len() < octets.len() + ALIGNMENT {
        memory.resize(octets.len() + ALIGNMENT, 0);
    }
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    let copy = &mut memory[start..start + octets.len()];
    copy.copy_from_slice(octets);
    copy
}

impl File for DirectFile {
    fn len(&self) -> io::Result<u64> {
        File::len(&self.cached)
    }

    fn read(&self, offset: u64, octets: &mut [u8]) -> io::Result<()> {
        File::read(&self.cached, offset, octets)
    }

    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()> {
        if self.write_directly(offset, octets)? {
            return Ok(());
        }
        File::write(&self.cached, offset, octets)
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        File::set_len(&self.cached, octets)
    }

    fn sync(&self) -> io::Result<()> {
        File::sync(&self.cached)
    }

    fn release(&self) -> io::Result<()> {
        File::release(&self.cached)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(file: &DirectFile, offset: u64, octets: usize) -> Vec<u8> {
        let mut found = vec![0; octets];
        File::read(file, offset, &mut found).unwrap();
        found
    }

    /// Writes of all shapes, one over the other, read back and read by another reader.
    fn write_and_read(file: &DirectFile, path: &std::path::Path) {
        let sectors = (0..3 << 20_u32)
            .map(|at| (at >> 9) as u8)
            .collect::<Vec<_>>();
        File::write(file, 0, &sectors).unwrap();
        assert_eq!(read(file, 0, sectors.len()), sectors);
        File::write(file, 700, b"in the midst of a sector").unwrap();
        File::write(file, 1_024, &[7; 512]).unwrap();
        let mut expected = sectors;
        expected[700..724].copy_from_slice(b"in the midst of a sector");
        expected[1_024..1_536].fill(7);
        assert_eq!(read(file, 0, expected.len()), expected);
        File::sync(file).unwrap();
        assert_eq!(fs::read(path).unwrap(), expected);
    }

    fn open(path: &std::path::Path) -> fs::File {
        let mut options = fs::File::options();
        options.read(true).write(true).create(true).truncate(false);
        options.open(path).unwrap()
    }

    #[test]
    fn what_is_written_around_the_cache_and_through_it_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let cached = open(&path);
        let direct = super::super::folder::open_directly(&path).unwrap();
        write_and_read(&DirectFile::new(cached, direct), &path);
    }

    #[test]
    fn without_a_way_around_the_cache_all_goes_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_and_read(&DirectFile::new(open(&path), None), &path);
    }
}
