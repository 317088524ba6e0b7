//! The files of what is deployed: one for each component, by its digest, and one that says which are in force.
//!
//! A file has its name when it is on stable storage whole, so a crash at any moment leaves the state before or the one
//! after. Components come first, then the file that names them; what no state names any more goes last, and what a crash
//! leaves of either is removed at the next change.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::super::digest;
use super::super::settings::Source;
use crate::regular;
use crate::stable::naming::{self, sync_folder_of};

/// The folder within the data folder.
const FOLDER: &str = "deployed";
/// The file that says what is in force.
const STATE: &str = "chain.json";
const COMPONENT: &str = ".wasm";
/// Octets of the file that says what is in force: 64 versions with settings as long as a request may be have an eighth.
const STATE_OCTETS_MAX: u64 = 8 << 20;

/// The folder. It is made by the first change.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The one within that data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(FOLDER))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the state stands.
    pub fn state(&self) -> PathBuf {
        self.0.join(STATE)
    }

    /// Where the component of that digest stands.
    pub fn component(&self, digest: &str) -> PathBuf {
        self.0.join(format!("{digest}{COMPONENT}"))
    }

    /// The same as a source.
    pub fn source(&self, digest: &str) -> Source {
        Source::Deployed {
            path: self.component(digest),
            digest: digest.to_owned(),
        }
    }

    /// What the state is; none when nothing was ever deployed.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_state(&self) -> io::Result<Option<Vec<u8>>> {
        match regular::read(&self.state(), STATE_OCTETS_MAX) {
            Ok(octets) => Ok(Some(octets)),
            Err(error) => match io::Error::from(error) {
                error if error.kind() == io::ErrorKind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Puts the state in the place of the one before it.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_state(&self, octets: &[u8]) -> io::Result<()> {
        self.make()?;
        naming::replace(&self.state(), octets)
    }

    /// Keeps a component, and returns its digest.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep(&self, component: &[u8]) -> io::Result<String> {
        self.make()?;
        let digest = digest::of_octets(component);
        let path = self.component(&digest);
        // One that is there may be damaged.
        let is_there = fs::read(&path).is_ok_and(|octets| octets == component);
        if !is_there {
            naming::replace(&path, component)?;
        }
        Ok(digest)
    }

    /// Removes what no state names. What cannot be removed is in nobody's way, and tried again at the next change.
    pub fn clear(&self, is_kept: impl Fn(&str) -> bool) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_idle = match name.strip_suffix(COMPONENT) {
                Some(digest) => !is_kept(digest),
                None => name.ends_with(naming::ASIDE),
            };
            if is_idle && let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(%error, file = name, "what is not deployed any more could not be removed");
            }
        }
    }

    fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Ok(()) => sync_folder_of(&self.0),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}
