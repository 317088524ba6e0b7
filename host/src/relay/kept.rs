//! What is kept of a configuration for backups and for who looks at it.

use std::path::PathBuf;

use crate::admin::BackupSources;
use crate::backup::Part;
use crate::config::{Config, without_secrets};
use crate::tls;

/// The configuration file as it may be shown.
pub(super) fn shown_configuration(config: &Config) -> Option<String> {
    let text = String::from_utf8_lossy(config.as_read.as_deref()?);
    Some(without_secrets(&text))
}

/// What a backup holds besides the accounts. A configured certificate is not in it: whoever renews it
/// keeps it.
pub(super) fn backup_sources(config: &Config) -> BackupSources {
    let files = backup_files(config);
    let shown = shown_configuration(config);
    BackupSources::new(
        config.data_dir.clone(),
        config.as_read.clone(),
        shown,
        files,
    )
}

/// The certificate that the relay made for itself and its key, where it has made one.
pub(super) fn backup_files(config: &Config) -> Vec<(Part, PathBuf)> {
    match tls::self_signed_files(&config.tls) {
        Some((certificate, key)) => vec![(Part::Certificate, certificate), (Part::Key, key)],
        None => Vec::new(),
    }
}
