//! A file that is there whole, or not at all: written beside its name, private, then renamed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why a file is not written. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum AsideError {
    /// The file is there.
    #[error("{0} is there already: name another file, or replace it with --force")]
    Exists(PathBuf),
    /// The system refused.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A file that has not got its name yet; it is removed when it never gets it.
pub(super) struct Aside {
    file: PathBuf,
    aside: PathBuf,
    out: File,
    is_kept: bool,
}

impl Aside {
    /// Begins a file that its owner alone can read; one of that name is replaced only by `force`.
    pub(super) fn begin(file: &Path, force: bool) -> Result<Self, AsideError> {
        if !force && fs::symlink_metadata(file).is_ok() {
            return Err(AsideError::Exists(file.to_owned()));
        }
        let mut aside = OsString::from(file);
        aside.push(".part");
        let aside = PathBuf::from(aside);
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let out = match options.open(&aside) {
            // One that was cut off has left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&aside).and_then(|()| options.open(&aside))
            }
            opened => opened,
        };
        match out {
            Ok(out) => Ok(Self {
                file: file.to_owned(),
                aside,
                out,
                is_kept: false,
            }),
            Err(source) => Err(AsideError::File {
                path: at_fault(file, &source),
                source,
            }),
        }
    }

    /// Where it is until it gets its name.
    pub(super) fn path(&self) -> &Path {
        &self.aside
    }

    /// What is written to.
    pub(super) fn out(&mut self) -> &mut File {
        &mut self.out
    }

    /// Puts it on stable storage, then under its name; returns how many octets it has.
    pub(super) fn keep(mut self) -> Result<u64, AsideError> {
        let kept = self.rename();
        self.is_kept = kept.is_ok();
        kept.map_err(|source| self.failed(source))
    }

    /// The system refused to write it.
    pub(super) fn failed(&self, source: io::Error) -> AsideError {
        AsideError::File {
            path: self.file.clone(),
            source,
        }
    }

    fn rename(&self) -> io::Result<u64> {
        self.out.sync_all()?;
        let octets = self.out.metadata()?.len();
        fs::rename(&self.aside, &self.file)?;
        File::open(folder_of(&self.file))?.sync_all()?;
        Ok(octets)
    }
}

/// What keeps a file from being made beside that one: mostly the folder.
fn at_fault(file: &Path, error: &io::Error) -> PathBuf {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    let path = match error.kind() {
        NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem => folder_of(file),
        _ => file,
    };
    path.to_owned()
}

fn folder_of(file: &Path) -> &Path {
    let folder = file.parent();
    let folder = folder.filter(|path| !path.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.is_kept {
            // When even that fails, the next one of that name replaces it.
            drop(fs::remove_file(&self.aside));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_folder_that_takes_no_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let refused = Aside::begin(&missing.join("f"), false).err().unwrap();
        assert!(
            refused
                .to_string()
                .starts_with(&format!("{}: ", missing.display())),
            "{refused}"
        );
    }

    #[test]
    fn a_file_keeps_its_content_until_another_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        let read = || fs::read_to_string(&file).unwrap();
        // As a process that was killed leaves it.
        fs::write(folder.path().join("f.part"), "half").unwrap();
        let mut first = Aside::begin(&file, false).unwrap();
        first.out().write_all(b"first").unwrap();
        assert!(!file.exists());
        assert_eq!(first.keep().unwrap(), 5);
        assert_eq!(read(), "first");
        assert!(matches!(
            Aside::begin(&file, false),
            Err(AsideError::Exists(_))
        ));
        let mut second = Aside::begin(&file, true).unwrap();
        second.out().write_all(b"second").unwrap();
        assert_eq!(read(), "first");
        drop(second);
        assert_eq!(read(), "first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let third = Aside::begin(&file, true).unwrap();
        third.keep().unwrap();
        assert_eq!(read(), "");
    }
}
