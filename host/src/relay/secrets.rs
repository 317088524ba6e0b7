//! The secrets of a first start: one admin token in a file, the password of the first admin on the screen.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{StartError, audit, file_error};
use crate::account::{FIRST_ADMIN, Scope};
use crate::auth::{Authenticator, generate_password};
use crate::directory::Directory;
use crate::message::Timestamp;

/// The name of the token of a first start.
const FIRST_TOKEN: &str = "first-start";

/// What a first start made.
pub(super) struct FirstStart {
    /// Where the admin token is.
    pub token_file: PathBuf,
    /// The password of the first admin, to be shown once.
    pub console_password: Zeroizing<String>,
}

/// Makes the secrets where there are none yet. A token file that is missing, or that this relay does not
/// know, is written anew: whoever can restart the relay on its data folder may administer it.
pub(super) async fn first_start(
    directory: &Directory,
    authenticator: &Authenticator,
    data_dir: &Path,
    now: Timestamp,
) -> Result<Option<FirstStart>, StartError> {
    let token_file = data_dir.join("admin-token");
    let is_first = directory.admins().is_empty();
    if !is_first {
        if !opens(directory, &token_file) {
            renew_token(directory, &token_file, now).await;
        }
        return Ok(None);
    }
    issue_token(directory, &token_file, now).await?;
    let console_password = generate_password().map_err(StartError::one)?;
    let hash = authenticator
        .hash(&console_password)
        .await
        .map_err(StartError::one)?;
    directory
        .under(audit::of_start(now))
        .create_admin(FIRST_ADMIN, Scope::Admin, hash, now)
        .await
        .map_err(StartError::one)?;
    Ok(Some(FirstStart {
        token_file,
        console_password,
    }))
}

/// Whether the file holds a token that the directory knows.
fn opens(directory: &Directory, token_file: &Path) -> bool {
    fs::read_to_string(token_file)
        .is_ok_and(|secret| directory.check_token(secret.trim()).is_some())
}

/// Makes a token for the file of a relay that has served before. Mail does not depend on it: where that fails,
/// it is told and the relay serves all the same.
async fn renew_token(directory: &Directory, token_file: &Path, now: Timestamp) {
    let file = token_file.display();
    match issue_token(directory, token_file, now).await {
        Ok(()) => tracing::warn!(
            %file,
            "a new admin token was made: the file had none that is known"
        ),
        Err(error) => tracing::error!(
            %file,
            %error,
            "no admin token could be made: the file has none that is known"
        ),
    }
}

async fn issue_token(
    directory: &Directory,
    token_file: &Path,
    now: Timestamp,
) -> Result<(), StartError> {
    // One of that name has a secret that nobody has any more.
    let issued = directory
        .under(audit::of_start(now))
        .replace_token(FIRST_TOKEN, Scope::Admin, now)
        .await
        .map_err(StartError::one)?;
    write_private(token_file, issued.secret.as_bytes())
}

/// Writes a file that its owner alone can read, whole or not at all.
fn write_private(path: &Path, octets: &[u8]) -> Result<(), StartError> {
    use std::os::unix::fs::OpenOptionsExt;
    let aside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&aside).and_then(|mut file| {
        file.write_all(octets)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&aside, path)
    });
    written.map_err(|error| file_error(path.to_owned(), &error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::auth::{Parameters, Settings};

    #[tokio::test]
    async fn a_lost_token_is_made_anew_and_a_known_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, authenticator) = parts();
        let start = || first_start(&directory, &authenticator, folder.path(), Timestamp::EPOCH);
        let file = folder.path().join("admin-token");
        let token = || fs::read_to_string(&file).unwrap();

        assert!(start().await.unwrap().is_some());
        let first = token();
        assert!(start().await.unwrap().is_none());
        assert_eq!(token(), first);

        fs::remove_file(&file).unwrap();
        assert!(start().await.unwrap().is_none());
        assert_ne!(token(), first);
        assert!(opens(&directory, &file));
        assert!(directory.check_token(first.trim()).is_none());
    }

    #[tokio::test]
    async fn a_lost_token_is_made_anew_whatever_tokens_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, authenticator) = parts();
        let start = || first_start(&directory, &authenticator, folder.path(), Timestamp::EPOCH);
        let file = folder.path().join("admin-token");
        start().await.unwrap();
        // One of that name in other case, made by somebody else, and no room for more.
        let create = async |name: String| {
            let created = directory.create_token(&name, Scope::Admin, Timestamp::EPOCH);
            created.await.map(|_| ())
        };
        create("ops".to_owned()).await.unwrap();
        directory.delete_token(FIRST_TOKEN).await.unwrap();
        create(FIRST_TOKEN.to_uppercase()).await.unwrap();
        assert!(start().await.unwrap().is_none());
        assert!(opens(&directory, &file));

        directory.delete_token(FIRST_TOKEN).await.unwrap();
        let mut number = 0;
        while create(format!("t{number}")).await.is_ok() {
            number += 1;
        }
        assert!(start().await.unwrap().is_none());
        assert!(opens(&directory, &file));
    }

    #[tokio::test]
    async fn a_token_file_that_cannot_be_written_keeps_no_relay_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, authenticator) = parts();
        let start = || first_start(&directory, &authenticator, folder.path(), Timestamp::EPOCH);
        let file = folder.path().join("admin-token");
        start().await.unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(start().await.unwrap().is_none());
        fs::remove_dir(&file).unwrap();
        assert!(start().await.unwrap().is_none());
        assert!(opens(&directory, &file));
    }

    fn parts() -> (Directory, Authenticator) {
        let settings = Settings {
            parameters: Parameters::CHEAP,
            ..Settings::default()
        };
        (
            Directory::in_memory(Timestamp::EPOCH).unwrap(),
            Authenticator::new(&settings).unwrap(),
        )
    }
}
