//! Files that have their name when they are whole.
//!
//! What a process that was cut off has written of a new database is none, and under the database's name it would be
//! taken for one that is damaged. So a new one is made as NAME.new and renamed when it is on stable storage. What is
//! left under that name means nothing: the next process begins anew. One process at a time has either name: whoever
//! has locked the file under the first has it under the second.
//!
//! What makes a file whole is its owner's.

use std::ffi::OsString;
use std::fs::{self, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a file is called behind its name until it has that alone.
pub(crate) const ASIDE: &str = ".new";

/// Opens the file of that name and locks it against other processes; none where there is none, or an empty one.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] while another process has it.
pub(crate) fn open(path: &Path) -> io::Result<Option<fs::File>> {
    let file = match private_file().open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    lock(&file)?;
    Ok((file.metadata()?.len() > 0).then_some(file))
}

/// Makes an empty file, locked, that is to have that name. The file is its owner's alone.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] when another process makes one, or has made one meanwhile.
pub(crate) fn begin(path: &Path) -> io::Result<fs::File> {
    let aside = aside(path);
    let file = private_file().create(true).open(&aside)?;
    lock(&file)?;
    // Whoever had the lock before may have renamed what was opened here, or another one before this was made.
    let is_that = |found: fs::Metadata| -> io::Result<bool> {
        let ours = file.metadata()?;
        Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino()))
    };
    let is_ours = match metadata(&aside)? {
        Some(found) => is_that(found)?,
        None => false,
    };
    if !is_ours || metadata(path)?.is_some_and(|found| found.len() > 0) {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    file.set_len(0)?;
    Ok(file)
}

/// Gives the file that was begun its name; on stable storage when this returns. What was written to it is to be
/// there before.
pub(crate) fn give_name(path: &Path) -> io::Result<()> {
    fs::rename(aside(path), path)?;
    sync_folder_of(path)
}

/// Puts a file that is written at once in the place of the one before it, if there was one: after a crash it is either of
/// them, whole. The file is its owner's alone, and nobody else may write it meanwhile.
pub(crate) fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let aside = aside(path);
    let mut file = private_file().create(true).truncate(true).open(&aside)?;
    let written = file.write_all(octets).and_then(|()| file.sync_all());
    if written.is_err() {
        // It may be the room that is missing.
        drop(fs::remove_file(&aside));
    }
    written?;
    give_name(path)
}

/// Returns when all changes of names beside that one are on stable storage.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn aside(path: &Path) -> PathBuf {
    let mut aside = OsString::from(path);
    aside.push(ASIDE);
    aside.into()
}

fn metadata(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn lock(file: &fs::File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
        TryLockError::Error(error) => error,
    })
}

fn private_file() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::FileExt;

    use super::*;

    fn is_busy(opened: io::Result<impl Sized>) -> bool {
        opened.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
    }

    #[test]
    fn what_was_left_half_made_is_emptied_and_the_name_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        fs::write(folder.path().join("rows.new"), "half of it").unwrap();
        let file = begin(&path).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        file.write_all_at(b"all", 0).unwrap();
        assert!(open(&path).unwrap().is_none());
        give_name(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn whoever_begins_a_file_keeps_others_from_it_under_both_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let first = begin(&path).unwrap();
        assert!(is_busy(begin(&path)));
        first.write_all_at(b"all", 0).unwrap();
        give_name(&path).unwrap();
        assert!(is_busy(open(&path)));
        drop(first);
        // Nobody begins anew over what is there, whatever he saw before.
        assert!(is_busy(begin(&path)));
        assert!(open(&path).unwrap().is_some());
        assert_eq!(fs::read(&path).unwrap(), b"all");
    }

    #[test]
    fn a_file_that_is_replaced_is_whole_and_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        fs::write(
            folder.path().join("rows.new"),
            "what a crash left, and longer",
        )
        .unwrap();
        for text in ["first", "2nd"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), text.as_bytes());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(replace(&folder.path().join("none/rows"), b"x").is_err());
    }

    #[test]
    fn an_empty_file_is_none_and_gives_its_name_to_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        fs::write(&path, "").unwrap();
        assert!(open(&path).unwrap().is_none());
        begin(&path).unwrap().write_all_at(b"all", 0).unwrap();
        give_name(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all");
    }
}
