//! A file that is there whole, or not at all: written beside its name, private, then renamed.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::regular;

/// Why a file is not written. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum AsideError {
    /// The file is there.
    #[error("{0} is there already: name another file, or replace it with --force")]
    Exists(PathBuf),
    /// Something other than a regular file is there, and what it is. The name is somebody else's.
    #[error("{path} is {what}: only a regular file is replaced; name another file")]
    NotAFile {
        /// The name.
        path: PathBuf,
        /// What has it.
        what: &'static str,
    },
    /// As other programs call standard output.
    #[error("- is no file: name one; ./- where it is to have that name")]
    Dash,
    /// Somebody else is at it.
    #[error("another command is writing {0}")]
    Busy(PathBuf),
    /// The system refused.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A file that has not got its name yet; it is removed when it never gets it. It is locked until then, and whoever
/// removes or renames what stands beside a name has it locked: so of two that write the same file one is told.
pub(super) struct Aside {
    file: PathBuf,
    aside: PathBuf,
    out: File,
    is_kept: bool,
}

impl Aside {
    /// Begins a file that its owner alone can read; one of that name is replaced only by `force`. Where the name is a
    /// symbolic link the link stays, and the file that it leads to is replaced.
    pub(super) fn begin(file: &Path, force: bool) -> Result<Self, AsideError> {
        if file == Path::new("-") {
            return Err(AsideError::Dash);
        }
        let file = &replaceable(file, force)?;
        let mut aside = OsString::from(file);
        aside.push(".part");
        let aside = PathBuf::from(aside);
        let refused = |source| AsideError::File {
            path: at_fault(file, &source),
            source,
        };
        for _ in 0..TURNS_MAX {
            let out = match File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&aside)
            {
                Ok(out) => out,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    remove_left(&aside, file)?;
                    continue;
                }
                Err(error) => return Err(refused(error)),
            };
            // It had no lock for a moment, and may have been taken for one that was left.
            lock(&out, file)?;
            if !has_name(&out, &aside).map_err(refused)? {
                continue;
            }
            let begun = Self {
                file: file.to_owned(),
                aside,
                out,
                is_kept: false,
            };
            // Who was at it before may have just given it its name.
            replaceable(file, force)?;
            return Ok(begun);
        }
        Err(AsideError::Busy(file.to_owned()))
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

/// How often a name is tried for: each turn is lost to another command that came and went at that moment.
const TURNS_MAX: u32 = 10;

/// Removes what a command that was killed has left beside the name of a file.
fn remove_left(aside: &Path, file: &Path) -> Result<(), AsideError> {
    let failed = |source| AsideError::File {
        path: aside.to_owned(),
        source,
    };
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let left = match fs::symlink_metadata(aside) {
        Ok(found) if !found.is_file() => {
            return Err(AsideError::NotAFile {
                path: aside.to_owned(),
                what: regular::named(found.file_type()),
            });
        }
        Ok(_) => File::open(aside),
        Err(error) => Err(error),
    };
    let left = match left {
        Ok(left) => left,
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    lock(&left, file)?;
    if !has_name(&left, aside).map_err(failed)? {
        return Ok(());
    }
    fs::remove_file(aside).map_err(failed)
}

fn lock(out: &File, file: &Path) -> Result<(), AsideError> {
    match out.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(AsideError::Busy(file.to_owned())),
        // A file system without locks takes files all the same.
        Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Whether the open file is the one of that name.
fn has_name(open: &File, path: &Path) -> io::Result<bool> {
    let own = open.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The name that the file will have, links followed; none where something has it that must stay.
fn replaceable(file: &Path, force: bool) -> Result<PathBuf, AsideError> {
    let Ok(own) = fs::symlink_metadata(file) else {
        return Ok(file.to_owned());
    };
    let not_a_file = |what| AsideError::NotAFile {
        path: file.to_owned(),
        what,
    };
    let found = fs::metadata(file).map_err(|_| not_a_file("a symbolic link that leads nowhere"))?;
    if !found.is_file() {
        return Err(not_a_file(regular::named(found.file_type())));
    }
    if !force {
        return Err(AsideError::Exists(file.to_owned()));
    }
    if !own.is_symlink() {
        return Ok(file.to_owned());
    }
    fs::canonicalize(file).map_err(|source| AsideError::File {
        path: file.to_owned(),
        source,
    })
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
    fn a_dash_is_no_name() {
        let refused = Aside::begin(Path::new("-"), true).err().unwrap();
        assert!(matches!(refused, AsideError::Dash), "{refused}");
    }

    #[test]
    fn only_a_regular_file_is_replaced_and_a_link_stays_one() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        use std::os::unix::net::UnixListener;

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _listener = UnixListener::bind(at("socket")).unwrap();
        symlink(at("socket"), at("to-socket")).unwrap();
        symlink(at("nothing"), at("to-nothing")).unwrap();
        for (name, what) in [
            ("socket", "a socket"),
            ("to-socket", "a socket"),
            ("to-nothing", "a symbolic link that leads nowhere"),
            ("", "a folder"),
        ] {
            for force in [false, true] {
                let refused = Aside::begin(&at(name), force).err().unwrap().to_string();
                let expected = format!("{} is {what}: ", at(name).display());
                assert!(refused.starts_with(&expected), "{refused}");
            }
        }
        assert!(
            fs::metadata(at("socket")).unwrap().file_type().is_socket(),
            "it is what it was"
        );
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/f"), "before").unwrap();
        symlink("elsewhere/f", at("link")).unwrap();
        assert!(matches!(
            Aside::begin(&at("link"), false),
            Err(AsideError::Exists(_))
        ));
        let mut new = Aside::begin(&at("link"), true).unwrap();
        new.out().write_all(b"after").unwrap();
        new.keep().unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::read(at("elsewhere/f")).unwrap(), b"after");
        assert_eq!(fs::read_dir(at("elsewhere")).unwrap().count(), 1);
    }

    #[test]
    fn of_two_that_write_the_same_file_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "good").unwrap();
        // As a process that was killed leaves it.
        fs::write(folder.path().join("f.part"), "half").unwrap();
        let mut first = Aside::begin(&file, true).unwrap();
        first.out().write_all(b"first").unwrap();
        for _ in 0..2 {
            let refused = Aside::begin(&file, true).err().unwrap().to_string();
            let expected = format!("another command is writing {}", file.display());
            assert_eq!(refused, expected);
        }
        assert_eq!(first.keep().unwrap(), 5);
        assert_eq!(fs::read_to_string(&file).unwrap(), "first");
        drop(Aside::begin(&file, true).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
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
