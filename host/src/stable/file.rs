//! Files of the operating system.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;

use super::File;

impl File for fs::File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, offset: u64, octets: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(octets, offset)
    }

    #[cfg(target_os = "linux")]
    fn read_at_hand(&self, offset: u64, octets: &mut [u8]) -> bool {
        let length = octets.len();
        let cached_only = rustix::io::ReadWriteFlags::NOWAIT;
        let space = &mut [io::IoSliceMut::new(octets)];
        // Whatever is wrong is told by the read that waits.
        rustix::io::preadv2(self, space, offset, cached_only).is_ok_and(|read| read == length)
    }

    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()> {
        self.write_all_at(octets, offset)
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        fs::File::set_len(self, octets)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn release(&self) -> io::Result<()> {
        self.unlock()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_was_just_written_is_at_hand_and_what_is_not_there_is_not() {
        let file = tempfile::tempfile().unwrap();
        File::write(&file, 0, b"0123456789").unwrap();
        let mut read = [0; 4];
        // A file system may be without such reads; then the other way is always taken.
        if file.read_at_hand(3, &mut read) {
            assert_eq!(read, *b"3456");
        }
        assert!(!file.read_at_hand(8, &mut read), "beyond the end");
    }
}
