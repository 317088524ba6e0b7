//! Large contents: one file each, written while they arrive.
//!
//! A content comes in under a passing name and takes the id of its message when it is whole and on
//! stable storage; then the message is committed. So a file without a queued message is left over
//! from a crash and is removed at start, and space is given back the moment a message is finished.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::message::MessageId;

use super::aside::Aside;
use super::disk::{Disk, is_read_only};
use super::{Content, PIECE_OCTETS_MAX, Pending, SpoolError};
use crate::stable::File;
use crate::stable::is_full;

/// Octets that are written at once: large enough that the disk, not the hand-over, sets the pace.
const WRITTEN_OCTETS: usize = 256 << 10;

/// Octets that are read at once. Held for each delivery in progress, so not larger.
const READ_OCTETS: usize = 2 * PIECE_OCTETS_MAX;

/// Most threads that wait for the disk at once on behalf of readers. More would only wait longer.
const READERS_MAX: usize = 16;

/// Begins the names of contents that are not whole yet.
const INCOMING: &str = "incoming-";

/// The folder of contents.
#[derive(Debug)]
pub(super) struct Contents {
    disk: Arc<dyn Disk>,
    /// With less room than this on the disk, no content is begun.
    free_octets_min: u64,
    next_incoming: AtomicU64,
    readers: Semaphore,
    aside: Aside,
}

impl Contents {
    pub(super) fn new(disk: Arc<dyn Disk>, free_octets_min: u64, aside: Aside) -> Arc<Self> {
        Arc::new(Self {
            disk,
            free_octets_min,
            next_incoming: AtomicU64::new(0),
            readers: Semaphore::new(READERS_MAX),
            aside,
        })
    }

    /// Removes what a crash has left: all but the contents of messages that `is_queued`.
    pub(super) fn remove_orphans<E: From<io::Error>>(
        &self,
        is_queued: impl Fn(MessageId) -> Result<bool, E>,
    ) -> Result<usize, E> {
        let mut removed = 0;
        for name in self.disk.names()? {
            let is_orphan = match name.parse() {
                Ok(id) => !is_queued(id)?,
                Err(_) => name.starts_with(INCOMING),
            };
            if is_orphan {
                self.disk.remove(&name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes the content of a finished message.
    pub(super) fn remove(&self, id: MessageId) {
        if let Err(error) = self.disk.remove(&id.to_string()) {
            // The next start removes it.
            tracing::warn!(message_id = %id, %error, "a content that is not needed any more stays on the disk");
        }
    }

    /// Runs `work` where it may wait for the disk.
    pub(super) async fn off_runtime<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, SpoolError> + Send + 'static,
    ) -> Result<R, SpoolError> {
        let _turn = self
            .readers
            .acquire()
            .await
            .map_err(SpoolError::unavailable)?;
        joined(self.aside.begin(work).await)
    }

    /// The content of a message from its file, which must have `octets`.
    pub(super) async fn open(
        self: &Arc<Self>,
        id: MessageId,
        octets: u64,
    ) -> Result<Outgoing, SpoolError> {
        let disk = Arc::clone(&self.disk);
        let file = self
            .off_runtime(move || {
                let file = disk.open(&id.to_string()).map_err(from_io)?;
                if file.len().map_err(from_io)? == octets {
                    Ok(file)
                } else {
                    Err(SpoolError::unavailable(format!(
                        "the content of {id} is not as long as it was"
                    )))
                }
            })
            .await?;
        Ok(Outgoing {
            contents: Arc::clone(self),
            file,
            read: Bytes::new(),
            offset: 0,
            octets,
        })
    }
}

/// A content that is being written to a file. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Incoming {
    file: Arc<dyn File>,
    name: Named,
    gathered: BytesMut,
    offset: u64,
    under_way: Option<JoinHandle<io::Result<BytesMut>>>,
}

impl Incoming {
    /// Begins a file with what has been gathered so far.
    pub(super) async fn begin(
        contents: &Arc<Contents>,
        gathered: BytesMut,
    ) -> Result<Self, SpoolError> {
        let (contents, aside) = (Arc::clone(contents), contents.aside.clone());
        let begun = aside.begin(move || {
            let free = contents.disk.free_octets().unwrap_or(u64::MAX);
            if free < contents.free_octets_min {
                return Err(SpoolError::Full);
            }
            let number = contents.next_incoming.fetch_add(1, Ordering::Relaxed);
            let name = format!("{INCOMING}{number}");
            let file = contents.disk.create(&name).map_err(from_io)?;
            Ok((file, Named { contents, name }))
        });
        let (file, name) = joined(begun.await)?;
        Ok(Self {
            file,
            name,
            gathered,
            offset: 0,
            under_way: None,
        })
    }

    /// Takes octets. While they are written the next ones are gathered; who is faster than the disk
    /// waits.
    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.gathered.extend_from_slice(octets);
        if self.gathered.len() < WRITTEN_OCTETS {
            return Ok(());
        }
        let mut spare = self.settle_under_way().await?;
        spare.clear();
        let full = std::mem::replace(&mut self.gathered, spare);
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        self.offset += full.len() as u64;
        self.under_way = Some(self.name.contents.aside.begin(move || {
            file.write(offset, &full)?;
            Ok(full)
        }));
        Ok(())
    }

    /// Brings all of it to stable storage under the id of its message, and runs `then` before
    /// anybody can give up waiting. The name is for the committer to sync.
    pub(super) async fn finish<R: Send + 'static>(
        mut self,
        id: MessageId,
        then: impl FnOnce(Named) -> R + Send + 'static,
    ) -> Result<R, SpoolError> {
        self.settle_under_way().await?;
        let aside = self.name.contents.aside.clone();
        let finished = aside.begin(move || {
            self.file
                .write(self.offset, &self.gathered)
                .map_err(from_io)?;
            self.file.sync().map_err(from_io)?;
            let name = id.to_string();
            self.name
                .contents
                .disk
                .rename(&self.name.name, &name)
                .map_err(from_io)?;
            self.name.name = name;
            Ok(then(self.name))
        });
        joined(finished.await)
    }

    async fn settle_under_way(&mut self) -> Result<BytesMut, SpoolError> {
        match self.under_way.as_mut() {
            Some(task) => {
                let written = joined(task.await.map(|written| written.map_err(from_io)));
                self.under_way = None;
                written
            }
            None => Ok(BytesMut::with_capacity(WRITTEN_OCTETS + PIECE_OCTETS_MAX)),
        }
    }
}

/// A file that goes when nobody keeps it.
#[derive(Debug)]
pub(super) struct Named {
    contents: Arc<Contents>,
    name: String,
}

impl Named {
    /// Its message is durable: the file stays.
    pub(super) fn keep(mut self) {
        self.name.clear();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        if let Err(error) = self.contents.disk.remove(&self.name) {
            // The next start removes it.
            tracing::warn!(name = self.name, %error, "a content that was given up stays on the disk");
        }
    }
}

/// A content that is read from its file piece by piece.
#[derive(Debug)]
pub(super) struct Outgoing {
    contents: Arc<Contents>,
    file: Arc<dyn File>,
    /// Read, and not handed out yet.
    read: Bytes,
    offset: u64,
    octets: u64,
}

impl Outgoing {
    async fn fill(&mut self) -> Result<(), SpoolError> {
        let left = usize::try_from(self.octets - self.offset).unwrap_or(usize::MAX);
        let offset = self.offset;
        let mut read = vec![0; left.min(READ_OCTETS)];
        // What came in lately is in the page cache: copying it takes less than another thread.
        if !self.file.read_at_hand(offset, &mut read) {
            let file = Arc::clone(&self.file);
            read = self
                .contents
                .off_runtime(move || {
                    file.read(offset, &mut read).map_err(from_io)?;
                    Ok(read)
                })
                .await?;
        }
        self.offset += read.len() as u64;
        self.read = Bytes::from(read);
        Ok(())
    }
}

impl Content for Outgoing {
    fn next(&mut self) -> Pending<'_, Option<Bytes>> {
        Box::pin(async move {
            if self.read.is_empty() {
                if self.offset == self.octets {
                    return Ok(None);
                }
                self.fill().await?;
            }
            let octets = self.read.len().min(PIECE_OCTETS_MAX);
            Ok(Some(self.read.split_to(octets)))
        })
    }
}

fn joined<R>(
    result: Result<Result<R, SpoolError>, tokio::task::JoinError>,
) -> Result<R, SpoolError> {
    result.unwrap_or_else(|error| Err(SpoolError::unavailable(error)))
}

fn from_io(error: io::Error) -> SpoolError {
    if is_full(&error) {
        SpoolError::Full
    } else if is_read_only(&error) {
        SpoolError::ReadOnly
    } else {
        SpoolError::unavailable(error)
    }
}
