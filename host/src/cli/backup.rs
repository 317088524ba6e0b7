//! `outpost backup` and `outpost restore`: the file on this side of the wire.
//!
//! A backup is read back and checked before it gets its name; a restore says what it put in place.
//! The form of the file is `backup`'s business, what is in it that of the relay that made it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::aside::{Aside, AsideError};
use super::options::Output;
use super::text::facts;
use crate::admin::client::{Answer, Ask, Client, ClientError};
use crate::backup::{self, Backup, BackupError, Header, Part, PlaceError};
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::{Directory, Entry};
use crate::plugin::deployed::Deployments;

/// `outpost backup …`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(
    after_help = "In it are lists, users with their password hashes, admin tokens as hashes, the self-signed \
    certificate with its key, the configuration file, and the policy components that were deployed at run time. Keep it as safe as the data folder."
)]
pub struct BackupCommand {
    /// The file; it is readable by its owner only
    pub file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
    /// How what was saved is printed.
    #[command(flatten)]
    pub output: Output,
}

/// `outpost restore …`
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(
    after_help = "The data folder is the one of the configuration; it must be empty or missing. Run it as the \
    user that the relay runs as."
)]
pub struct RestoreCommand {
    /// The file that `outpost backup` has written
    pub file: PathBuf,
    /// Print the configuration file that is in the backup, and restore nothing
    #[arg(long)]
    pub print_config: bool,
}

/// What was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    /// Where it is.
    file: PathBuf,
    /// Its size.
    octets: u64,
    /// Whether the configuration file is in it.
    has_configuration: bool,
    /// Whether a self-signed certificate is in it.
    has_certificate: bool,
    /// What it says about itself.
    #[serde(flatten)]
    header: Header,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] AsideError),
    /// What has arrived is not a backup, or not whole.
    #[error("what the relay sent is {0}; nothing was kept")]
    NotWhole(BackupError),
    /// The relay refused; its document.
    #[error("the relay refused")]
    Refused(Value),
    /// There is no answer.
    #[error(transparent)]
    Unanswered(ClientError),
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be read.
    #[error("{file}: {source}")]
    Backup {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: BackupError,
    },
    /// The data folder cannot be put in place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is none in the backup.
    #[error("the relay of this backup had no configuration file")]
    NoConfiguration,
    /// What is printed cannot be written.
    #[error("the configuration cannot be written: {0}")]
    Out(io::Error),
}

/// Asks for a backup and writes it, whole or not at all.
pub(super) async fn save(
    client: &Client,
    ask: &Ask,
    command: &BackupCommand,
) -> Result<Saved, SaveError> {
    let file = &command.file;
    let mut aside = Aside::begin(file, command.force)?;
    match client.fetch(ask, aside.out()).await {
        Ok(None) => {}
        Ok(Some(Answer { document, .. })) => return Err(SaveError::Refused(document)),
        Err(ClientError::Out(source)) => return Err(aside.failed(source).into()),
        Err(error) => return Err(SaveError::Unanswered(error)),
    }
    let backup = Backup::open(aside.path()).map_err(SaveError::NotWhole)?;
    let octets = aside.keep()?;
    Ok(Saved {
        file: file.to_owned(),
        octets,
        has_configuration: backup.parts().any(|part| part == Part::Configuration),
        has_certificate: backup.parts().any(|part| part == Part::Certificate),
        header: backup.header().clone(),
    })
}

/// What was saved, for a person.
pub(super) fn saved(saved: &Saved) -> String {
    let Saved { file, header, .. } = saved;
    let holds = holds(header, saved.has_configuration, saved.has_certificate);
    facts(&[
        ("file", file.display().to_string()),
        ("relay", relay(header)),
        ("made", header.made.clone()),
        ("holds", holds),
        ("without", "queued mail".to_owned()),
    ])
}

fn relay(header: &Header) -> String {
    format!("{}, release {}", header.hostname, header.release)
}

fn holds(header: &Header, has_configuration: bool, has_certificate: bool) -> String {
    let counted = |count: usize, what: &str| {
        let end = if count == 1 { "" } else { "s" };
        format!("{count} {what}{end}")
    };
    let mut holds = vec![
        counted(header.users, "user"),
        counted(header.lists, "list"),
        counted(header.tokens, "admin token"),
    ];
    if header.components > 0 {
        holds.push(counted(header.components, "deployed component"));
    }
    if has_certificate {
        holds.push("the self-signed certificate".to_owned());
    }
    if has_configuration {
        holds.push("the configuration file".to_owned());
    }
    holds.join(", ")
}

/// Puts a backup into the data folder of the configuration, and says so.
///
/// # Errors
/// See [`RestoreError`]; nothing was changed then.
pub fn restore(command: &RestoreCommand, config: &Config) -> Result<(), RestoreError> {
    let file = &command.file;
    let mut backup = opened(file)?;
    let header = backup.header().clone();
    backup::place(&mut backup, &config.data_dir, |folder| {
        is_usable(folder)?;
        note(folder, &header)
    })?;
    let has = |wanted| backup.parts().any(|part| part == wanted);
    let holds = holds(&header, false, has(Part::Certificate));
    let text = facts(&[
        ("restored", config.data_dir.display().to_string()),
        ("relay", relay(&header)),
        ("made", header.made.clone()),
        ("holds", holds),
    ]);
    // It is done, whether or not anybody reads that.
    drop(io::stdout().write_all(text.as_bytes()));
    let notes = [foreign(&config.data_dir), unnoticed(config.admin.address)];
    for note in notes.into_iter().flatten() {
        drop(writeln!(io::stderr(), "outpost: note: {note}"));
    }
    if has(Part::Configuration)
        && configuration(&mut backup, file)?.as_deref() != config.as_read.as_deref()
    {
        let file = file.display();
        let note = format!(
            "the configuration file in the backup is not the one in use: `outpost restore {file} --print-config` prints it"
        );
        drop(writeln!(io::stderr(), "outpost: note: {note}"));
    }
    Ok(())
}

/// What to know where a relay runs, as it seems, whose data folder has another name now.
fn unnoticed(admin: SocketAddr) -> Option<String> {
    let answers = TcpStream::connect_timeout(&admin, ANSWERED_WITHIN).is_ok();
    answers.then(|| {
        format!(
            "something answers at the admin address {admin}: a relay that runs goes on with the folder that it has \
             opened, so restart it"
        )
    })
}

/// A relay on the same machine answers in much less.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// What to know about a data folder that root has restored for somebody else, as it seems.
fn foreign(data_dir: &Path) -> Option<String> {
    let folder = data_dir.parent()?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let owner = |path: &Path| fs::metadata(path).ok().map(|found| found.uid());
    let is_foreign = owner(data_dir)? == 0 && owner(folder)? != 0;
    is_foreign.then(|| {
        format!(
            "{} belongs to root, and the folder that it is in to somebody else: give it to the user that the relay \
             runs as, with chown -R",
            data_dir.display()
        )
    })
}

/// Prints the configuration file that is in the backup.
///
/// # Errors
/// See [`RestoreError`].
pub fn print_configuration(command: &RestoreCommand) -> Result<(), RestoreError> {
    let mut backup = opened(&command.file)?;
    let configuration = configuration(&mut backup, &command.file)?;
    let configuration = configuration.ok_or(RestoreError::NoConfiguration)?;
    let mut out = io::stdout().lock();
    out.write_all(&configuration)
        .and_then(|()| out.flush())
        .map_err(RestoreError::Out)
}

fn opened(file: &Path) -> Result<Backup, RestoreError> {
    Backup::open(file).map_err(|source| RestoreError::Backup {
        file: file.to_owned(),
        source,
    })
}

fn configuration(backup: &mut Backup, file: &Path) -> Result<Option<Vec<u8>>, RestoreError> {
    let unreadable = |error: io::Error| RestoreError::Backup {
        file: file.to_owned(),
        source: error.into(),
    };
    let content = backup.content(Part::Configuration).map_err(unreadable)?;
    let Some(mut content) = content else {
        return Ok(None);
    };
    let mut octets = Vec::new();
    content.read_to_end(&mut octets).map_err(unreadable)?;
    Ok(Some(octets))
}

/// Whether a relay could start on the folder: its directory is opened, and every row of it read, and the components that
/// are in force.
fn is_usable(folder: &Path) -> Result<(), String> {
    let directory = folder.join("directory.redb");
    Directory::verify(&directory, Clock::system().now()).map_err(|error| error.to_string())?;
    Deployments::verify(folder)
}

/// Writes into the audit log that a backup was restored, and which one.
fn note(folder: &Path, header: &Header) -> Result<(), String> {
    let now = Clock::system().now();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let after = serde_json::json!({
        "hostname": header.hostname,
        "release": header.release,
        "made": header.made,
        "users": header.users,
        "lists": header.lists,
        "tokens": header.tokens,
    });
    let entry = Entry {
        after: Some(after.to_string()),
        ..Entry::new("restore-backup", now)
    };
    runtime.block_on(async {
        let path = folder.join("directory.redb");
        let directory = Directory::open(&path, now).map_err(|error| error.to_string())?;
        let noted = directory.record(vec![entry]).await;
        let closed = directory.close().await;
        noted.and(closed).map_err(|error| error.to_string())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_relay_that_runs_on_beside_a_restored_folder_is_noted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let note = unnoticed(admin).unwrap();
        let expected = format!("something answers at the admin address {admin}: ");
        assert!(note.starts_with(&expected), "{note}");
        drop(listener);
        assert_eq!(unnoticed(admin), None);
    }

    #[test]
    fn what_was_saved_is_counted() {
        let text = saved(&Saved {
            file: "b.tar".into(),
            octets: 1,
            has_configuration: true,
            has_certificate: true,
            header: Header {
                form: 1,
                release: "0.1.0".into(),
                made: "2023-11-14T22:13:20.123Z".into(),
                hostname: "relay.example".into(),
                users: 0,
                lists: 1,
                tokens: 2,
                components: 1,
            },
        });
        assert_eq!(
            text,
            "file     b.tar\n\
             relay    relay.example, release 0.1.0\n\
             made     2023-11-14T22:13:20.123Z\n\
             holds    0 users, 1 list, 2 admin tokens, 1 deployed component, the self-signed certificate, the configuration file\n\
             without  queued mail\n"
        );
    }
}
