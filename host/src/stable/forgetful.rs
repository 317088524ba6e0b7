//! A file for tests that does what kernels do: after a sync that failed it reads as if all were well, and what
//! was to be synced never reaches the disk. Reads and syncs can be made to fail once.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::File;

/// The file. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forgetful(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cache: Vec<u8>,
    disk: Vec<u8>,
    /// Offset and octets of each write since the last sync, and lengths that were set.
    pending: Vec<Change>,
    /// What was on the disk after each sync that nobody has asked for yet.
    synced: Vec<Vec<u8>>,
    syncs_to_failure: Option<u64>,
    reads_to_failure: Option<u64>,
}

#[derive(Debug)]
enum Change {
    Written(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Written(offset, written) => {
                let end = offset + written.len();
                octets.resize(octets.len().max(end), 0);
                octets[*offset..end].copy_from_slice(written);
            }
            Self::Length(length) => octets.resize(*length, 0),
        }
    }
}

/// Counts down to a failure; true when it is now, once.
fn is_now(to_failure: &mut Option<u64>) -> bool {
    match to_failure {
        Some(0) => {
            *to_failure = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Forgetful {
    /// What a power cut would leave.
    pub(crate) fn on_disk(&self) -> Vec<u8> {
        self.state().disk.clone()
    }

    /// The file as power cuts since the last call would have left it, one for each sync.
    pub(crate) fn after_power_cuts(&self) -> impl Iterator<Item = Self> {
        let synced = std::mem::take(&mut self.state().synced);
        synced.into_iter().map(|disk| {
            Self(Arc::new(Mutex::new(State {
                cache: disk.clone(),
                disk,
                ..State::default()
            })))
        })
    }

    /// The sync after so many good ones fails.
    pub(crate) fn fail_sync_after(&self, syncs: u64) {
        self.state().syncs_to_failure = Some(syncs);
    }

    /// The read after so many good ones fails.
    pub(crate) fn fail_read_after(&self, reads: u64) {
        self.state().reads_to_failure = Some(reads);
    }

    /// Whether a failure is still to come.
    pub(crate) fn is_failure_ahead(&self) -> bool {
        let state = self.state();
        state.syncs_to_failure.is_some() || state.reads_to_failure.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn change(&self, change: Change) {
        let mut state = self.state();
        change.apply(&mut state.cache);
        state.pending.push(change);
    }
}

impl File for Forgetful {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().cache.len() as u64)
    }

    fn read(&self, offset: u64, octets: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        if is_now(&mut state.reads_to_failure) {
            return Err(io::Error::other("a read failed"));
        }
        let offset = usize::try_from(offset).unwrap();
        let found = state.cache.get(offset..offset + octets.len());
        octets.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()> {
        self.change(Change::Written(
            usize::try_from(offset).unwrap(),
            octets.to_vec(),
        ));
        Ok(())
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(octets).unwrap()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        let pending = std::mem::take(&mut state.pending);
        if is_now(&mut state.syncs_to_failure) {
            // A length is the file system's, whose journal goes on; the pages are lost.
            for change in pending {
                if matches!(change, Change::Length(_)) {
                    change.apply(&mut state.disk);
                }
            }
            let disk = state.disk.clone();
            state.synced.push(disk);
            return Err(io::Error::other("a sync failed"));
        }
        for change in &pending {
            change.apply(&mut state.disk);
        }
        let disk = state.disk.clone();
        state.synced.push(disk);
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        Ok(())
    }
}
