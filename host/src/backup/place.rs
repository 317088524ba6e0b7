//! Putting a backup in place: a data folder that is there whole, or not at all.
//!
//! Everything is written into a folder beside it, synced, looked at, and only then given the name. A folder that is a
//! disk of its own cannot be replaced: there it is a folder within, whose files are moved up, and the relay does not
//! start on it before the last one is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use super::{Backup, Part};

/// The folder within one that is a mount point, from which files are moved up.
const RESTORING: &str = ".restoring";

/// What the system makes on a disk of its own.
const LOST_AND_FOUND: &str = "lost+found";

/// Links that are followed one after the other, as many as Linux follows.
const LINKS_MAX: usize = 40;

/// Why a backup is not put in place. The data folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// There is something in the data folder.
    #[error(
        "the data folder {folder} holds {entry}: a backup is restored into an empty folder or a missing one. Stop the relay, move the folder aside, and try again"
    )]
    Occupied {
        /// The data folder.
        folder: PathBuf,
        /// Something that is in it.
        entry: String,
    },
    /// A restore did not come to its end, or is under way.
    #[error("{0} is there: another restore is under way, or one was cut off; then remove it")]
    Begun(PathBuf),
    /// The path ends in no name.
    #[error("the data folder {0} has no name of its own")]
    Nameless(PathBuf),
    /// What came out of the backup cannot be used.
    #[error("what is in the backup cannot be used: {0}")]
    Unusable(String),
    /// The system refused.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Puts the backup's files into `data_dir`, which must be empty or missing; where it is a symbolic link, into the folder
/// that it leads to. `is_usable` looks at the folder before it gets its name. Files are 0600 and the folder 0700; those that replace an empty
/// folder belong to its owner. On stable storage when this returns.
///
/// # Errors
/// See [`PlaceError`].
pub fn place(
    backup: &mut Backup,
    data_dir: &Path,
    is_usable: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), PlaceError> {
    let data_dir = &followed(data_dir);
    let is_mount_point = is_mount_point(data_dir);
    if let Some(begun) = unfinished(data_dir) {
        return Err(PlaceError::Begun(begun));
    }
    let owner = owner_of_empty(data_dir, is_mount_point)?;
    if is_mount_point {
        return place_within(backup, data_dir, owner, is_usable);
    }
    let (parent, beside) = beside(data_dir)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PlaceError::File { path, source }
    };
    let mut private = fs::DirBuilder::new();
    private.mode(0o700);
    private
        .recursive(true)
        .create(&parent)
        .map_err(failed(&parent))?;
    match private.recursive(false).create(&beside) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(PlaceError::Begun(beside));
        }
        made => made.map_err(failed(&beside))?,
    }
    let placed = fill(backup, &beside, owner, is_usable).and_then(|()| {
        // Over an empty folder, or none: one that was filled meanwhile stays.
        fs::rename(&beside, data_dir).map_err(failed(data_dir))
    });
    if placed.is_err() {
        // It was made above; what cannot be removed is told by the next try.
        drop(fs::remove_dir_all(&beside));
    }
    placed?;
    sync_folder(&parent).map_err(failed(&parent))
}

/// What a restore has left in a data folder that is a mount point, and that is not whole until it is gone.
pub fn unfinished(data_dir: &Path) -> Option<PathBuf> {
    let within = data_dir.join(RESTORING);
    within.exists().then_some(within)
}

/// The folder itself, missing or not: a link to it cannot be replaced by a folder.
fn followed(data_dir: &Path) -> PathBuf {
    // Without the slash behind a name, with which a link would be the folder.
    let mut folder: PathBuf = data_dir.components().collect();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&folder) {
            Ok(target) => folder = folder.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => break,
        }
    }
    folder
}

/// Whether the folder is there, and a disk of its own or a folder of another one. Where the system does not say, it is
/// not.
fn is_mount_point(folder: &Path) -> bool {
    let found = statx(CWD, folder, AtFlags::empty(), StatxFlags::BASIC_STATS);
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Fills a folder that cannot be replaced.
fn place_within(
    backup: &mut Backup,
    data_dir: &Path,
    owner: Option<(u32, u32)>,
    is_usable: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), PlaceError> {
    let within = data_dir.join(RESTORING);
    let failed = |source| PlaceError::File {
        path: within.clone(),
        source,
    };
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&within)
        .map_err(failed)?;
    let names = names(backup);
    let placed = fill(backup, &within, owner, is_usable)
        .and_then(|()| move_up(&within, data_dir, &names).map_err(failed));
    if placed.is_err() {
        // As it was. What cannot be removed is told by the next try.
        for name in &names {
            let path = data_dir.join(name);
            drop(fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)));
        }
        drop(fs::remove_dir_all(&within));
    }
    placed
}

fn move_up(within: &Path, data_dir: &Path, names: &[PathBuf]) -> io::Result<()> {
    fs::set_permissions(data_dir, fs::Permissions::from_mode(0o700))?;
    for name in names {
        fs::rename(within.join(name), data_dir.join(name))?;
    }
    sync_folder(data_dir)?;
    fs::remove_dir(within)?;
    sync_folder(data_dir)
}

/// The files and folders that a backup puts into a data folder.
fn names(backup: &Backup) -> Vec<PathBuf> {
    let paths = backup.parts().filter_map(Part::path);
    let names = paths.filter_map(|path| path.iter().next().map(PathBuf::from));
    let mut names: Vec<PathBuf> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// User and group of a data folder that is there and empty; none of one that is missing.
fn owner_of_empty(data_dir: &Path, is_mount_point: bool) -> Result<Option<(u32, u32)>, PlaceError> {
    let failed = |source| PlaceError::File {
        path: data_dir.to_owned(),
        source,
    };
    let entries = match fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?.file_name();
        if is_mount_point && entry == LOST_AND_FOUND {
            continue;
        }
        return Err(PlaceError::Occupied {
            folder: data_dir.to_owned(),
            entry: entry.to_string_lossy().into_owned(),
        });
    }
    let metadata = fs::metadata(data_dir).map_err(failed)?;
    Ok(Some((metadata.uid(), metadata.gid())))
}

/// The folder above, and the one beside that is filled.
fn beside(data_dir: &Path) -> Result<(PathBuf, PathBuf), PlaceError> {
    let Some(name) = data_dir.file_name() else {
        return Err(PlaceError::Nameless(data_dir.to_owned()));
    };
    let parent = match data_dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut aside = OsString::from(name);
    aside.push(".restoring");
    Ok((parent.clone(), parent.join(aside)))
}

fn fill(
    backup: &mut Backup,
    folder: &Path,
    owner: Option<(u32, u32)>,
    is_usable: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), PlaceError> {
    for part in backup.parts().collect::<Vec<Part>>() {
        let Some(path) = part.path() else {
            continue;
        };
        let path = folder.join(path);
        write(backup, part, &path).map_err(|source| PlaceError::File { path, source })?;
    }
    is_usable(folder).map_err(PlaceError::Unusable)?;
    settle(folder, owner).map_err(|source| PlaceError::File {
        path: folder.to_owned(),
        source,
    })
}

fn write(backup: &mut Backup, part: Part, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        fs::DirBuilder::new().mode(0o700).create(folder)?;
    }
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    if let Some(mut content) = backup.content(part)? {
        io::copy(&mut content, &mut file)?;
    }
    file.sync_all()
}

/// Gives everything in the folder, and itself, to the owner, and syncs it.
fn settle(folder: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut paths = vec![folder.to_owned()];
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let mode = match entry.file_type()?.is_dir() {
                true => {
                    folders.push(path.clone());
                    0o700
                }
                false => 0o600,
            };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            paths.push(path);
        }
    }
    for path in paths.iter().rev() {
        let metadata = fs::metadata(path)?;
        if let Some((user, group)) = owner
            && (metadata.uid(), metadata.gid()) != (user, group)
        {
            chown(path, Some(user), Some(group))?;
        }
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{FORM, Header, Writer};
    use super::*;

    fn backup(folder: &Path) -> Backup {
        let header = Header {
            form: FORM,
            release: String::new(),
            made: String::new(),
            hostname: String::new(),
            users: 0,
            lists: 0,
            tokens: 0,
            components: 1,
        };
        let path = folder.join("b.tar");
        let mut writer = Writer::begin(File::create(&path).unwrap(), &header).unwrap();
        for (part, text) in [
            (Part::Configuration, "c"),
            (Part::Directory, "d"),
            (Part::Key, "key"),
            (Part::Deployed, "chain"),
            (Part::Component([0xab; 32]), "wasm"),
        ] {
            writer
                .add(part, text.len() as u64, text.as_bytes())
                .unwrap();
        }
        writer.end().unwrap();
        Backup::open(&path).unwrap()
    }

    /// What stands in a data folder that was restored.
    const PLACED: [&str; 3] = ["deployed", "directory.redb", "self-signed-key.pem"];

    fn found(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_missing_folder_and_an_empty_one_are_filled_for_the_owner_only() {
        let top = tempfile::tempdir().unwrap();
        let mut backup = backup(top.path());
        let empty = top.path().join("empty");
        fs::create_dir(&empty).unwrap();
        for data in [top.path().join("new/data"), empty] {
            place(&mut backup, &data, |_| Ok(())).unwrap();
            assert_eq!(found(&data), PLACED);
            assert_eq!(fs::read(data.join("self-signed-key.pem")).unwrap(), b"key");
            assert_eq!(mode(&data), 0o700);
            assert_eq!(mode(&data.join("directory.redb")), 0o600);
            let component = format!("{}.wasm", "ab".repeat(32));
            let deployed = data.join("deployed");
            assert_eq!(found(&deployed), [component.as_str(), "chain.json"]);
            assert_eq!(fs::read(deployed.join(&component)).unwrap(), b"wasm");
            assert_eq!(mode(&deployed), 0o700);
            assert_eq!(mode(&deployed.join(component)), 0o600);
        }
        assert_eq!(found(top.path()), ["b.tar", "empty", "new"]);
    }

    #[test]
    fn where_the_folder_is_a_link_what_it_leads_to_is_filled() {
        let top = tempfile::tempdir().unwrap();
        let mut backup = backup(top.path());
        let disk = top.path().join("disk");
        fs::create_dir_all(disk.join("empty")).unwrap();
        for target in ["empty", "missing"] {
            let link = top.path().join(target);
            std::os::unix::fs::symlink(disk.join(target), &link).unwrap();
            place(&mut backup, &link, |_| Ok(())).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(found(&link), PLACED);
        }
        assert_eq!(found(&disk), ["empty", "missing"]);
        assert_eq!(found(top.path()), ["b.tar", "disk", "empty", "missing"]);
    }

    #[test]
    fn what_replaces_an_empty_folder_belongs_to_its_owner() {
        let top = tempfile::tempdir().unwrap();
        let mut backup = backup(top.path());
        let data = top.path().join("data");
        fs::create_dir(&data).unwrap();
        // Only root can give files away; for anybody else the owner is the same.
        let owner = match fs::metadata(&data).unwrap().uid() {
            0 => 65_534,
            own => own,
        };
        chown(&data, Some(owner), None).unwrap();
        place(&mut backup, &data, |_| Ok(())).unwrap();
        for path in [
            data.join("directory.redb"),
            data.join("deployed/chain.json"),
            data,
        ] {
            assert_eq!(fs::metadata(path).unwrap().uid(), owner);
        }
    }

    #[test]
    fn a_folder_that_holds_anything_is_left_as_it_is() {
        let top = tempfile::tempdir().unwrap();
        let mut backup = backup(top.path());
        let data = top.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("spool.redb"), "mail").unwrap();
        let error = place(&mut backup, &data, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("holds spool.redb"), "{error}");
        assert_eq!(found(&data), ["spool.redb"]);
        assert_eq!(found(top.path()), ["b.tar", "data"]);
    }

    #[test]
    fn nothing_is_left_of_what_cannot_be_used() {
        let top = tempfile::tempdir().unwrap();
        let mut backup = backup(top.path());
        let data = top.path().join("data");
        let error = place(&mut backup, &data, |folder| {
            assert_eq!(found(folder), PLACED, "it is looked at when it is filled");
            Err("no".to_owned())
        });
        assert!(matches!(error, Err(PlaceError::Unusable(_))));
        assert_eq!(found(top.path()), ["b.tar"]);
    }

    #[test]
    fn a_folder_that_cannot_be_replaced_is_filled_within_and_is_not_whole_before() {
        let top = tempfile::tempdir().unwrap();
        let mut backup = backup(top.path());
        let data = top.path().join("data");
        fs::create_dir(&data).unwrap();
        let error = place_within(&mut backup, &data, None, |_| Err("no".to_owned()));
        assert!(matches!(error, Err(PlaceError::Unusable(_))));
        assert!(found(&data).is_empty(), "{:?}", found(&data));
        let looked_at = |_: &Path| {
            assert_eq!(found(&data), [RESTORING], "nothing is in its place yet");
            assert!(unfinished(&data).is_some());
            Ok(())
        };
        place_within(&mut backup, &data, None, looked_at).unwrap();
        assert_eq!(found(&data), PLACED);
        assert_eq!(mode(&data), 0o700);
        assert_eq!(unfinished(&data), None);
    }

    #[test]
    fn one_restore_at_a_time() {
        let top = tempfile::tempdir().unwrap();
        let mut backup = backup(top.path());
        let data = top.path().join("data");
        fs::create_dir(top.path().join("data.restoring")).unwrap();
        let error = place(&mut backup, &data, |_| Ok(()));
        assert!(matches!(error, Err(PlaceError::Begun(_))));
        assert_eq!(found(top.path()), ["b.tar", "data.restoring"]);
    }
}
