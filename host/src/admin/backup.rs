//! A backup over HTTP: everything that a new machine needs, streamed while the relay runs.
//!
//! Accounts and tokens come from one moment of the directory; they are copied aside before the
//! answer begins, so that a failure is told as a problem and not as an answer that breaks off. What
//! the file looks like is `backup`'s business.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Api;
use super::access::Administrator;
use super::audit::Deed;
use super::extract::NoQuery;
use super::openapi::Refused;
use super::pieces::{Outlet, PIECE_OCTETS, outlet};
use super::problem::{Kind, Problem};
use crate::backup::{FORM, FORM_WITHOUT_DEPLOYED, Header, Part, Writer, spare_file};
use crate::directory::{BoxError, Copied, DirectoryError};
use crate::stable;

/// What a backup is made of besides the directory.
#[derive(Clone, Debug)]
pub struct BackupSources {
    /// The data folder, where the copy of the directory is put together.
    data_dir: PathBuf,
    in_force: Arc<ArcSwap<InForce>>,
    /// One at a time: each takes as much room on the disk as the directory.
    turn: Arc<Semaphore>,
}

/// What a reload may change of it.
#[derive(Debug)]
struct InForce {
    /// The configuration file as it was read; none where there was no file.
    configuration: Option<Arc<[u8]>>,
    /// The same without its secrets, to be shown.
    shown_configuration: Option<String>,
    /// The certificate that the relay made for itself and its key, where it has made one.
    files: Vec<(Part, PathBuf)>,
}

impl BackupSources {
    /// What a backup is made of.
    pub fn new(
        data_dir: PathBuf,
        configuration: Option<Arc<[u8]>>,
        shown_configuration: Option<String>,
        files: Vec<(Part, PathBuf)>,
    ) -> Self {
        let in_force = InForce {
            configuration,
            shown_configuration,
            files,
        };
        Self {
            data_dir,
            in_force: Arc::new(ArcSwap::from_pointee(in_force)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// The data folder.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The configuration file in force without its secrets; none where there is no file.
    pub(super) fn shown_configuration(&self) -> Option<String> {
        self.in_force.load().shown_configuration.clone()
    }

    /// The configuration has been read again; all clones follow.
    pub fn follow(
        &self,
        configuration: Option<Arc<[u8]>>,
        shown_configuration: Option<String>,
        files: Vec<(Part, PathBuf)>,
    ) {
        self.in_force.store(Arc::new(InForce {
            configuration,
            shown_configuration,
            files,
        }));
    }
}

/// Makes a backup: lists, users with their password hashes, token hashes, the self-signed certificate
/// with its key, the configuration file, and the policy components that were deployed at run time. Queued mail is not in it.
#[utoipa::path(get, path = "/api/v1/backup", operation_id = "make_backup", tag = "backup",
    security(("token" = ["admin"])),
    responses((status = 200, description = "A tar archive; `outpost restore` reads it.",
        content((String = "application/x-tar"))), Refused))]
pub(super) async fn make(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> Result<Response, Problem> {
    deed.note(|noted| noted.action = Some("backup"));
    let turn = Arc::clone(&api.backup.turn).try_acquire_owned();
    let turn = turn.map_err(|_| {
        Problem::new(
            Kind::Unavailable,
            "another backup is being made: try again when it is done",
        )
    })?;
    let prepared = tokio::task::spawn_blocking(move || Prepared::of(&api)).await;
    let prepared = prepared
        .map_err(|error| NotPrepared::from(io::Error::other(error)))
        .and_then(|prepared| prepared)
        .map_err(|error| match error {
            NotPrepared::NoRoom => Problem::new(Kind::Unavailable, error.to_string()),
            NotPrepared::Failed(error) => Problem::internal("making a backup", &error),
        })?;
    let (outlet, body) = outlet();
    tokio::task::spawn_blocking(move || send(prepared, outlet, turn));
    let says = [
        (CONTENT_TYPE, "application/x-tar"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"outpost-backup.tar\"",
        ),
    ];
    Ok((says, body).into_response())
}

/// Everything that a backup holds, read and ready to be written.
struct Prepared {
    header: Header,
    directory: File,
    parts: Vec<(Part, Vec<u8>)>,
    /// Components that were deployed. They are open, so that what is removed meanwhile is there.
    components: Vec<(Part, File)>,
}

/// Why there is nothing to send.
#[derive(Debug, thiserror::Error)]
enum NotPrepared {
    /// Neither folder takes a copy of the directory.
    #[error(
        "the disk of the data folder is full, and the system's folder for temporary files takes no copy of the \
         accounts either: make room in one of them, then try again"
    )]
    NoRoom,
    /// Anything else; for the log.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl Prepared {
    fn of(api: &Api) -> Result<Self, NotPrepared> {
        let sources = &api.backup;
        let mut parts = Vec::new();
        let in_force = sources.in_force.load();
        if let Some(configuration) = &in_force.configuration {
            parts.push((Part::Configuration, configuration.to_vec()));
        }
        for (part, path) in &in_force.files {
            parts.push((*part, fs::read(path)?));
        }
        let mut components = Vec::new();
        if let Some(kept) = api.deploy.kept()? {
            parts.push((Part::Deployed, kept.state));
            for (digest, file) in kept.components {
                let part = Part::component(&digest);
                let part = part.ok_or_else(|| io::Error::other("a component has no digest"))?;
                components.push((part, file));
            }
        }
        let has_deployed = parts.iter().any(|(part, _)| *part == Part::Deployed);
        let folders = [sources.data_dir.clone(), env::temp_dir()];
        let (mut directory, copied) = aside(&folders, |file| api.directory.copy(file))?;
        directory.rewind()?;
        Ok(Self {
            header: Header {
                form: match has_deployed {
                    true => FORM,
                    false => FORM_WITHOUT_DEPLOYED,
                },
                release: env!("CARGO_PKG_VERSION").to_owned(),
                made: api.clock.now().to_string(),
                hostname: api.connection.load().hostname.clone(),
                users: copied.users,
                lists: copied.lists,
                tokens: copied.tokens,
                components: components.len(),
            },
            directory,
            parts,
            components,
        })
    }

    fn write(self, out: impl Write) -> io::Result<()> {
        let mut writer = Writer::begin(out, &self.header)?;
        for (part, octets) in &self.parts {
            writer.add(*part, octets.len() as u64, octets.as_slice())?;
        }
        for (part, file) in &self.components {
            writer.add(*part, file.metadata()?.len(), file)?;
        }
        let octets = self.directory.metadata()?.len();
        writer.add(Part::Directory, octets, &self.directory)?;
        writer.end().map(drop)
    }
}

/// Copies the directory into a file of the first folder that has room for it. A full disk is no reason to have no
/// backup.
fn aside(
    folders: &[PathBuf],
    copy: impl Fn(File) -> Result<Copied, DirectoryError>,
) -> Result<(File, Copied), NotPrepared> {
    for (number, folder) in folders.iter().enumerate() {
        let copied = spare_file(folder)
            .map_err(BoxError::from)
            .and_then(|file| Ok((file.try_clone()?, copy(file)?)));
        let error = match copied {
            Ok(copied) => return Ok(copied),
            Err(error) => error,
        };
        // What is wrong with the other folder is no more than a reason to have none.
        if number == 0 && !is_no_room(&error) {
            return Err(io::Error::other(error).into());
        }
        let folder = folder.display();
        tracing::warn!(%folder, %error, "no copy of the accounts for a backup there");
    }
    Err(NotPrepared::NoRoom)
}

fn is_no_room(error: &BoxError) -> bool {
    let of_directory = error.downcast_ref();
    matches!(of_directory, Some(DirectoryError::NoRoom)) || stable::is_no_room(&**error)
}

/// Writes the backup to whoever reads the answer. One that stops reading ends it.
fn send(prepared: Prepared, outlet: Outlet, turn: OwnedSemaphorePermit) {
    let out = BufWriter::with_capacity(PIECE_OCTETS, outlet.clone());
    if let Err(error) = prepared.write(out)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tracing::error!(%error, "a backup broke off");
        outlet.clone().break_off(error);
    }
    // Before the answer ends, so that whoever has read it may ask again.
    drop(turn);
    drop(outlet);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;

    #[test]
    fn where_one_folder_has_no_room_for_a_copy_the_next_one_is_asked() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let paths = folders.each_ref().map(|folder| folder.path().to_owned());
        let copied = Copied {
            users: 1,
            lists: 1,
            tokens: 1,
        };
        let asked = Cell::new(0);
        let room_at = |wanted: usize| {
            asked.set(0);
            let asked = &asked;
            move |_: File| {
                asked.set(asked.get() + 1);
                (asked.get() == wanted)
                    .then_some(copied)
                    .ok_or(DirectoryError::NoRoom)
            }
        };
        assert_eq!(aside(&paths, room_at(1)).unwrap().1, copied);
        assert_eq!(aside(&paths, room_at(2)).unwrap().1, copied);
        let nowhere = aside(&paths, room_at(3)).err().unwrap();
        assert!(matches!(nowhere, NotPrepared::NoRoom));
        let missing = [paths[0].clone(), paths[1].join("missing")];
        let nowhere = aside(&missing, room_at(2)).err().unwrap();
        assert!(matches!(nowhere, NotPrepared::NoRoom));
        // That is no matter of room.
        let failed = aside(&[missing[1].clone(), paths[0].clone()], room_at(1));
        assert!(matches!(failed, Err(NotPrepared::Failed(_))));
        assert!(
            folders
                .iter()
                .all(|folder| fs::read_dir(folder).unwrap().count() == 0),
            "nothing is left there"
        );
    }
}
