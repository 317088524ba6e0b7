//! The spool's files in the data folder: `spool.redb`, `spool.journal`, `content/` and
//! `spool.reserve`. How a new database gets its name is `stable`'s.
//!
//! Readable by the relay's own user only (0600, folders 0700): they hold mail.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::stable::{File, naming};

use super::direct::DirectFile;
use super::disk::Disk;

/// Name of the database in the data folder.
pub(super) const DATABASE: &str = "spool.redb";
/// Name of the journal in the data folder.
pub(super) const JOURNAL: &str = "spool.journal";
/// Name of the folder of large contents.
const CONTENTS: &str = "content";
/// Name of the room that is set aside.
const RESERVE: &str = "spool.reserve";

/// Octets set aside for settling deliveries on a disk that somebody else has filled: what a full
/// journal has to bring into the database fits in it, and each settlement gives room back.
const RESERVE_OCTETS: usize = 24 << 20;

/// The data folder of a relay.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The spool's place in the data folder, made when it does not exist.
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = Self {
            path: data_dir.to_owned(),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder.contents())?;
        Ok(folder)
    }

    fn contents(&self) -> PathBuf {
        self.path.join(CONTENTS)
    }

    fn content(&self, name: &str) -> PathBuf {
        self.contents().join(name)
    }
}

impl Disk for Folder {
    fn database(&self) -> io::Result<Option<Arc<dyn File>>> {
        let file = naming::open(&self.path.join(DATABASE))?;
        Ok(file.map(|file| Arc::new(file) as Arc<dyn File>))
    }

    fn new_database(&self) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(naming::begin(&self.path.join(DATABASE))?))
    }

    fn name_database(&self) -> io::Result<()> {
        naming::give_name(&self.path.join(DATABASE))
    }

    fn journal(&self) -> io::Result<Arc<dyn File>> {
        let path = self.path.join(JOURNAL);
        let is_new = !path.try_exists()?;
        let cached = private_file().read(true).create(true).open(&path)?;
        if is_new {
            naming::sync_folder_of(&path)?;
        }
        let direct = open_directly(&path)?;
        Ok(Arc::new(DirectFile::new(cached, direct)))
    }

    fn journal_octets(&self) -> io::Result<Option<u64>> {
        match fs::metadata(self.path.join(JOURNAL)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = private_file()
            .read(true)
            .create_new(true)
            .open(self.content(name))?;
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::File::open(self.content(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.content(from), self.content(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.content(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.contents())? {
            // A name that is not UTF-8 is not one of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_names(&self) -> io::Result<()> {
        fs::File::open(self.contents())?.sync_all()
    }

    fn free_octets(&self) -> io::Result<u64> {
        let figures = rustix::fs::statvfs(&self.path)?;
        Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
    }

    fn keep_reserve(&self) -> io::Result<()> {
        let path = self.path.join(RESERVE);
        let reserve = RESERVE_OCTETS as u64;
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == reserve) {
            return Ok(());
        }
        // Written, not only made long: a file with holes sets nothing aside.
        private_file()
            .create(true)
            .truncate(true)
            .open(&path)
            .and_then(|file| file.write_all_at(&vec![0; RESERVE_OCTETS], 0))
            .inspect_err(|_| drop(fs::remove_file(&path)))
    }

    fn give_up_reserve(&self) -> bool {
        fs::remove_file(self.path.join(RESERVE)).is_ok()
    }
}

/// A file that is there, for writing around the page cache; none where the file system has no such way.
pub(super) fn open_directly(path: &Path) -> io::Result<Option<fs::File>> {
    let around = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    match private_file().custom_flags(around).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

fn private_file() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
