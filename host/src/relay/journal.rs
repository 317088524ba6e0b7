//! Whether what is printed goes to the journal of the system, where many may read it and where it is
//! kept for long.
//!
//! A terminal, a pipe and a file belong to whoever started the relay, and a secret that is shown once may
//! be shown there. A service manager collects the output of its services: systemd says so by
//! `JOURNAL_STREAM`, with the device and inode of the stream (systemd.exec(5)).

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Whether standard output is the stream that `JOURNAL_STREAM` names.
pub(super) fn is_journal() -> bool {
    let declared = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    is_declared(&std::io::stdout(), &declared)
}

/// Whether `declared` names that stream. A variable that was inherited names another one.
fn is_declared(stream: &impl AsFd, declared: &str) -> bool {
    let metadata = stream
        .as_fd()
        .try_clone_to_owned()
        .and_then(|descriptor| File::from(descriptor).metadata());
    metadata.is_ok_and(|metadata| declared == format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_stream_that_is_named_is_the_journal() {
        let (journal, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let metadata = journal.metadata().unwrap();
        let declared = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(is_declared(&journal, &declared));
        assert!(!is_declared(&other, &declared));
        assert!(!is_declared(&journal, ""));
    }
}
