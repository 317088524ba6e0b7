//! The secrets of a first start: one admin token in a file, one console password on the screen.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{StartError, file_error};
use crate::account::Scope;
use crate::auth::{Authenticator, generate_password};
use crate::directory::Directory;
use crate::message::Timestamp;

/// The name of the token of a first start.
const FIRST_TOKEN: &str = "first-start";

/// What a first start made.
pub(super) struct FirstStart {
    /// Where the admin token is.
    pub token_file: PathBuf,
    /// The console's password, to be shown once.
    pub console_password: Zeroizing<String>,
}

/// Makes the secrets where there are none yet.
pub(super) async fn first_start(
    directory: &Directory,
    authenticator: &Authenticator,
    data_dir: &Path,
    now: Timestamp,
) -> Result<Option<FirstStart>, StartError> {
    if directory.console_password_hash().is_some() {
        return Ok(None);
    }
    let token_file = data_dir.join("admin-token");
    // A start that was cut short after the token left one whose secret nobody may have.
    if directory
        .tokens()
        .iter()
        .any(|token| token.name == FIRST_TOKEN)
    {
        directory
            .delete_token(FIRST_TOKEN)
            .await
            .map_err(StartError::one)?;
    }
    let issued = directory
        .create_token(FIRST_TOKEN, Scope::Admin, now)
        .await
        .map_err(StartError::one)?;
    write_private(&token_file, issued.secret.as_bytes())?;
    let console_password = generate_password().map_err(StartError::one)?;
    let hash = authenticator
        .hash(&console_password)
        .await
        .map_err(StartError::one)?;
    directory
        .set_console_password_hash(hash)
        .await
        .map_err(StartError::one)?;
    Ok(Some(FirstStart {
        token_file,
        console_password,
    }))
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
