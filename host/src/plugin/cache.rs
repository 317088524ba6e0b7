//! Compiled components on disk, so that a start costs a mapping instead of a compilation.
//!
//! A compiled component is machine code that the relay runs unchecked, so this is the one place of
//! the relay that needs `unsafe`, and it only ever loads what the relay itself wrote:
//!
//! - the folder belongs to the relay's user and nobody else may enter it (mode 0700);
//! - a file belongs to the same user, is a plain file with one name and mode 0600;
//! - its name carries the SHA-256 of its content, of the component and of the engine's settings, and
//!   the content is hashed again before it is mapped. Anything torn, stale or foreign is removed and
//!   compiled anew, never trusted.
//!
//! Whoever can write files as the relay's user can run code as that user without us.

#![allow(unsafe_code)]

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::Engine;
use wasmtime::component::Component;

use super::digest;

/// Files kept: some versions of every component of a long chain; the oldest go first.
const FILES_MAX: usize = 64;
/// Octets of a compiled component that are looked at: Python's is 35 MB.
const FILE_OCTETS_MAX: u64 = 512 << 20;
const SUFFIX: &str = ".cwasm";

/// The folder of compiled components.
#[derive(Debug)]
pub struct Cache {
    /// None: nothing is kept.
    folder: Option<PathBuf>,
    /// The user that the relay runs as.
    owner: u32,
    compilations: AtomicU64,
}

/// Why a component could not be had in compiled form.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder cannot be used.
    #[error("the folder for compiled components cannot be used: {0}")]
    Folder(io::Error),
    /// It is not a component, or the compiler refuses it.
    #[error("{0}")]
    Compile(String),
}

impl Cache {
    /// Opens the folder, and makes it when it is missing.
    ///
    /// # Errors
    /// It cannot be made or written, or belongs to another user.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(CacheError::Folder)?;
        // A file that we just made tells who we are.
        let (probe, file) = new_file(folder).map_err(CacheError::Folder)?;
        let owner = file.metadata().map(|metadata| metadata.uid());
        fs::remove_file(probe).map_err(CacheError::Folder)?;
        let owner = owner.map_err(CacheError::Folder)?;

        let metadata = fs::symlink_metadata(folder).map_err(CacheError::Folder)?;
        if !metadata.is_dir() || metadata.uid() != owner {
            return Err(CacheError::Folder(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is not a folder of the relay's own user",
            )));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(folder, Permissions::from_mode(0o700))
                .map_err(CacheError::Folder)?;
        }
        Ok(Self {
            folder: Some(folder.to_owned()),
            owner,
            compilations: AtomicU64::new(0),
        })
    }

    /// One that keeps nothing and needs no folder, for whoever only looks whether components load.
    pub fn nowhere() -> Self {
        Self {
            folder: None,
            owner: 0,
            compilations: AtomicU64::new(0),
        }
    }

    /// The component in the form that runs: from the folder, or compiled and put there. Blocks for
    /// as long as the compiler takes.
    ///
    /// # Errors
    /// [`CacheError::Compile`] when it does not compile. A folder that cannot be written costs the
    /// next start a compilation, nothing else.
    pub fn component(
        &self,
        engine: &Engine,
        octets: &[u8],
        component_digest: &str,
    ) -> Result<Component, CacheError> {
        let engine_digest = digest::of_value(&engine.precompile_compatibility_hash());
        let key = format!("{component_digest}-{}-", &engine_digest[..16]);
        if let Some(component) = self.find(engine, &key) {
            return Ok(component);
        }
        self.compilations.fetch_add(1, Ordering::Relaxed);
        let code = engine
            .precompile_component(octets)
            .map_err(|error| CacheError::Compile(format!("{error:#}")))?;
        let kept = self.folder.as_deref().and_then(|folder| {
            let stored = store(folder, &key, &code);
            stored
                .inspect_err(|error| {
                    tracing::warn!(%error, "a compiled component could not be kept");
                })
                .ok()
        });
        let loaded = match kept {
            Some(path) => map(engine, &path),
            // SAFETY: the compiler of this very engine made these octets, in this process.
            None => unsafe { Component::deserialize(engine, &code) },
        };
        loaded.map_err(|error| CacheError::Compile(format!("{error:#}")))
    }

    /// Removes the oldest files beyond a fixed number.
    pub fn prune(&self) {
        let Some(Ok(folder)) = self.folder.as_ref().map(fs::read_dir) else {
            return;
        };
        let mut files: Vec<_> = folder
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let surplus = files.len().saturating_sub(FILES_MAX);
        for (_, path) in files.into_iter().take(surplus) {
            discard(&path);
        }
    }

    /// How often the compiler ran.
    #[cfg(test)]
    pub fn compilations(&self) -> u64 {
        self.compilations.load(Ordering::Relaxed)
    }

    fn find(&self, engine: &Engine, key: &str) -> Option<Component> {
        for entry in fs::read_dir(self.folder.as_ref()?).ok()?.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(code_digest) = name
                .strip_prefix(key)
                .and_then(|rest| rest.strip_suffix(SUFFIX))
            else {
                continue;
            };
            let path = entry.path();
            if !self.is_ours_and_whole(&path, code_digest) {
                tracing::warn!(
                    file = name,
                    "a compiled component was not ours or not whole"
                );
                discard(&path);
                continue;
            }
            match map(engine, &path) {
                Ok(component) => return Some(component),
                Err(error) => {
                    tracing::warn!(%error, file = name, "a compiled component did not load");
                    discard(&path);
                }
            }
        }
        None
    }

    fn is_ours_and_whole(&self, path: &Path, code_digest: &str) -> bool {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return false;
        };
        let is_ours = metadata.is_file()
            && metadata.uid() == self.owner
            && metadata.mode() & 0o077 == 0
            && metadata.nlink() == 1
            && metadata.len() <= FILE_OCTETS_MAX;
        let mut code = Vec::new();
        is_ours
            && File::open(path)
                .and_then(|file| file.take(FILE_OCTETS_MAX).read_to_end(&mut code))
                .is_ok()
            && digest::of_octets(&code) == code_digest
    }
}

/// Writes beside and renames, so that a file with a final name is never half a file of ours.
fn store(folder: &Path, key: &str, code: &[u8]) -> io::Result<PathBuf> {
    let (beside, mut file) = new_file(folder)?;
    let written = file.write_all(code).and_then(|()| file.sync_all());
    let path = folder.join(format!("{key}{}{SUFFIX}", digest::of_octets(code)));
    let renamed = written.and_then(|()| fs::rename(&beside, &path));
    if renamed.is_err() {
        discard(&beside);
    }
    renamed.map(|()| path)
}

fn new_file(folder: &Path) -> io::Result<(PathBuf, File)> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".{}-{serial}.new", process::id()));
    // Left over by a process that had our number and was killed.
    discard(&path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    Ok((path, file))
}

/// Maps a file that [`Cache::is_ours_and_whole`] has looked at, or that was written a moment ago.
fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file holds what `Engine::precompile_component` wrote for an engine with these
    // settings: its digest was verified, and only the relay's own user can write to it or to its
    // folder. The relay never changes such a file in place; it only renames and unlinks, which
    // leaves a mapping intact.
    unsafe { Component::deserialize_file(engine, path) }
}

fn discard(path: &Path) {
    // What cannot be removed is not trusted either; the next start tries again.
    drop(fs::remove_file(path));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// The smallest component there is.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    struct Bench {
        folder: TempDir,
        engine: Engine,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                engine: Engine::default(),
            }
        }

        fn open(&self) -> Cache {
            Cache::open(self.folder.path()).unwrap()
        }

        /// How often the compiler runs for the component at the next start.
        fn compilations(&self) -> u64 {
            let cache = self.open();
            cache.component(&self.engine, EMPTY, "digest").unwrap();
            cache.compilations()
        }

        /// The one file of the folder.
        fn file(&self) -> PathBuf {
            let mut files = fs::read_dir(self.folder.path()).unwrap();
            let file = files.next().unwrap().unwrap().path();
            assert!(files.next().is_none());
            file
        }
    }

    #[test]
    fn a_component_is_compiled_once() {
        let bench = Bench::new();
        assert_eq!(bench.compilations(), 1);
        assert_eq!(bench.compilations(), 0);
    }

    #[test]
    fn folder_and_files_are_the_relay_s_alone() {
        let bench = Bench::new();
        fs::set_permissions(bench.folder.path(), Permissions::from_mode(0o777)).unwrap();
        bench.compilations();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(bench.folder.path()), 0o700);
        assert_eq!(mode(&bench.file()), 0o600);
    }

    #[test]
    fn a_torn_file_is_compiled_anew() {
        let bench = Bench::new();
        bench.compilations();
        let mut code = fs::read(bench.file()).unwrap();
        let middle = code.len() / 2;
        code[middle] ^= 1;
        fs::write(bench.file(), &code).unwrap();
        assert_eq!(bench.compilations(), 1);
        fs::write(bench.file(), &code[..middle]).unwrap();
        assert_eq!(bench.compilations(), 1);
        fs::write(bench.file(), b"").unwrap();
        assert_eq!(bench.compilations(), 1);
        assert_eq!(bench.compilations(), 0);
    }

    #[test]
    fn a_file_that_others_could_write_is_compiled_anew() {
        let bench = Bench::new();
        bench.compilations();
        fs::set_permissions(bench.file(), Permissions::from_mode(0o666)).unwrap();
        assert_eq!(bench.compilations(), 1);
    }

    #[test]
    fn a_file_that_is_also_elsewhere_is_compiled_anew() {
        let bench = Bench::new();
        bench.compilations();
        let elsewhere = tempfile::tempdir().unwrap();
        let other = elsewhere.path().join("other");
        fs::hard_link(bench.file(), &other).unwrap();
        assert_eq!(bench.compilations(), 1);

        let file = bench.file();
        fs::rename(&file, &other).unwrap();
        symlink(&other, &file).unwrap();
        assert_eq!(bench.compilations(), 1);
    }

    #[test]
    fn a_file_of_another_user_is_compiled_anew() {
        let bench = Bench::new();
        bench.compilations();
        let mut cache = bench.open();
        cache.owner += 1;
        cache.component(&bench.engine, EMPTY, "digest").unwrap();
        assert_eq!(cache.compilations(), 1);
    }

    #[test]
    fn a_file_of_another_engine_is_not_loaded() {
        let bench = Bench::new();
        bench.compilations();
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = Engine::new(&config).unwrap();
        let cache = bench.open();
        cache.component(&other, EMPTY, "digest").unwrap();
        assert_eq!(cache.compilations(), 1);
    }

    #[test]
    fn what_the_relay_did_not_compile_is_not_loaded_under_any_name() {
        let bench = Bench::new();
        bench.compilations();
        let file = bench.file();
        let key = file.file_name().unwrap().to_str().unwrap();
        let key = key.rsplit_once('-').unwrap().0.to_owned();
        fs::remove_file(&file).unwrap();
        let planted = b"not what a compiler writes";
        let name = format!("{key}-{}{SUFFIX}", digest::of_octets(planted));
        let path = bench.folder.path().join(name);
        fs::write(&path, planted).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(bench.compilations(), 1);
        assert!(!path.exists());
    }

    #[test]
    fn the_folder_does_not_grow_without_end() {
        let bench = Bench::new();
        let cache = bench.open();
        for n in 0..FILES_MAX + 10 {
            fs::write(bench.folder.path().join(format!("{n}{SUFFIX}")), "").unwrap();
        }
        cache.prune();
        assert_eq!(
            fs::read_dir(bench.folder.path()).unwrap().count(),
            FILES_MAX
        );
    }

    #[test]
    fn without_a_folder_a_component_is_compiled_and_nothing_is_kept() {
        let bench = Bench::new();
        let cache = Cache::nowhere();
        for _ in 0..2 {
            cache.component(&bench.engine, EMPTY, "digest").unwrap();
        }
        cache.prune();
        assert_eq!(cache.compilations(), 2);
    }

    #[test]
    fn what_is_no_component_does_not_compile() {
        let bench = Bench::new();
        let cache = bench.open();
        let error = cache
            .component(&bench.engine, b"text", "digest")
            .unwrap_err();
        assert!(matches!(error, CacheError::Compile(_)), "{error}");
    }
}
