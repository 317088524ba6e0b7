//! Reading a file that an operator named: a regular one, and no more of it than has sense.
//!
//! What is read while the relay runs must come to an end: a pipe may never answer, and a device never ends.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Something else has the name, and what it is.
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    /// It has more octets than anything of its kind.
    #[error("it has more than {0} octets")]
    TooLarge(u64),
    /// The system refused.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotRegular(_) => io::Error::new(io::ErrorKind::InvalidInput, error),
            ReadError::TooLarge(_) => io::Error::new(io::ErrorKind::FileTooLarge, error),
            ReadError::System(error) => error,
        }
    }
}

/// Reads a regular file of at most so many octets; links are followed.
pub(crate) fn read(path: &Path, octets_max: u64) -> Result<Vec<u8>, ReadError> {
    let mut options = OpenOptions::new();
    // To open a pipe that nobody writes to would wait for somebody who does.
    let without_waiting = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = options
        .read(true)
        .custom_flags(without_waiting)
        .open(path)
        // A socket cannot be opened at all, and the system does not say why.
        .map_err(|error| match std::fs::metadata(path) {
            Ok(found) if found.file_type().is_socket() => ReadError::NotRegular("a socket"),
            _ => ReadError::System(error),
        })?;
    let kind = opened.metadata()?.file_type();
    if !kind.is_file() {
        return Err(ReadError::NotRegular(named(kind)));
    }
    within(opened, octets_max)
}

/// Reads all that there is, at most so many octets.
pub(crate) fn within(file: File, octets_max: u64) -> Result<Vec<u8>, ReadError> {
    let mut octets = Vec::new();
    file.take(octets_max + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > octets_max {
        return Err(ReadError::TooLarge(octets_max));
    }
    Ok(octets)
}

/// What is no regular file, in words.
pub(crate) fn named(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_symlink() => "a symbolic link",
        _ => "a device",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{FileType, Mode, mknodat};

    use super::*;

    /// Makes a pipe that nobody writes to.
    pub(crate) fn pipe(path: &Path) {
        let private = Mode::RUSR | Mode::WUSR;
        mknodat(rustix::fs::CWD, path, FileType::Fifo, private, 0).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        pipe(&at("pipe"));
        symlink(at("pipe"), at("to-pipe")).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        for (path, what) in [
            (at("pipe"), "a pipe"),
            (at("to-pipe"), "a pipe"),
            (at("socket"), "a socket"),
            (at(""), "a folder"),
            ("/dev/zero".into(), "a device"),
        ] {
            let refused = read(&path, 100).unwrap_err().to_string();
            assert_eq!(refused, format!("it is {what}, not a regular file"));
        }
    }

    #[test]
    fn no_more_is_read_than_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"12345");
        assert!(matches!(read(&file, 4), Err(ReadError::TooLarge(4))));
    }
}
