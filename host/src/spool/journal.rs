//! The journal: commits on stable storage before the database has them there.
//!
//! A commit of the database writes a page for every few rows that it changes, all over the file, and
//! what is delivered at once is written only to be removed. So a commit appends its row changes here
//! as one frame, with one write and one sync. When the journal is full, or when there is time, the
//! database syncs what remains of it all at once and the journal begins anew at
//! its front. After a crash the frames behind the database's mark are done again.
//!
//! A frame is believed when its digest fits. The digest begins with a salt that nobody outside knows,
//! since a frame may lie over the rest of an older one, which holds octets of somebody's choice. The
//! sequence tells the frames of this round from those of the last. Frames begin at the edge of a
//! sector: should a power cut damage the sector that it met, no older frame loses its end.

use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::BoxError;
use super::entries::{self, Entries, Entry};
use crate::stable::File;
use crate::stable::is_full;

/// The frames begin at multiples of this, and are filled up to one: whole sectors go to the disk past the
/// page cache.
pub(super) const SECTOR_OCTETS: u64 = 512;

/// The file grows by so much: a sync of a file that keeps its length costs half.
const GROWTH_OCTETS: u64 = 1 << 20;

/// What a frame begins with. Another form of frames is another form of the store as well (`stored::FORM`), which is
/// looked at before: to this reader it would be no frame, and an empty journal.
const MAGIC: [u8; 4] = *b"opj1";

/// Magic, length of the entries, sequence and digest.
const HEAD_OCTETS: usize = 4 + 4 + 8 + DIGEST_OCTETS;

const DIGEST_OCTETS: usize = 16;

const SALT_OCTETS: usize = 16;

/// Where the database stands beside the journal: a row that every checkpoint changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The last commit that the database has.
    pub(super) sequence: u64,
    /// What the digests begin with.
    salt: [u8; SALT_OCTETS],
}

impl Mark {
    /// The mark of a new database.
    pub(super) fn new() -> io::Result<Self> {
        let mut salt = [0; SALT_OCTETS];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        Ok(Self { sequence: 0, salt })
    }

    fn next(self) -> Self {
        Self {
            sequence: self.sequence + 1,
            ..self
        }
    }

    pub(super) fn to_row(self) -> [u8; 8 + SALT_OCTETS] {
        let mut row = [0; 8 + SALT_OCTETS];
        row[..8].copy_from_slice(&self.sequence.to_le_bytes());
        row[8..].copy_from_slice(&self.salt);
        row
    }

    /// The mark in a row; none when it is none.
    pub(super) fn from_row(row: &[u8]) -> Option<Self> {
        let (sequence, salt) = row.split_first_chunk()?;
        Some(Self {
            sequence: u64::from_le_bytes(*sequence),
            salt: salt.try_into().ok()?,
        })
    }

    fn digest(self, entries: &[u8]) -> [u8; DIGEST_OCTETS] {
        let length = (entries.len() as u64).to_le_bytes();
        let digest = Sha256::new()
            .chain_update(self.salt)
            .chain_update(self.sequence.to_le_bytes())
            .chain_update(length)
            .chain_update(entries)
            .finalize();
        *digest.first_chunk().expect("longer than that")
    }
}

/// Why the journal could not be read to its end.
#[derive(Debug)]
pub(super) enum ReplayFailure<E> {
    /// The disk.
    Disk(io::Error),
    /// There are frames behind one that cannot be read.
    Damaged(BoxError),
    /// Who did the entries again.
    Other(E),
}

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: Arc<dyn File>,
    octets_max: u64,
    /// Octets of the file.
    octets: u64,
    /// Where the next frame begins.
    end: u64,
    mark: Mark,
    /// Whether a frame whose sync failed may stand at the end.
    is_doubtful: bool,
    /// Whether the last frame is another process's, which may not have lived to see its sync fail.
    is_inherited: bool,
}

impl Journal {
    /// The journal in `file`, which takes up to `octets_max`. To be [replayed](Self::replay) first.
    pub(super) fn open(file: Arc<dyn File>, octets_max: u64, mark: Mark) -> io::Result<Self> {
        Ok(Self {
            octets: file.len()?,
            file,
            octets_max,
            end: 0,
            mark,
            is_doubtful: false,
            is_inherited: true,
        })
    }

    /// Takes back a frame whose sync failed, and does those behind `mark` again with `apply`, which
    /// gets the entries of one commit each time. How many there were.
    pub(super) fn replay<E>(
        &mut self,
        mark: Mark,
        mut apply: impl FnMut(&mut dyn Iterator<Item = Option<Entry<'_>>>) -> Result<(), E>,
    ) -> Result<u64, ReplayFailure<E>> {
        self.take_back().map_err(ReplayFailure::Disk)?;
        self.mark = mark;
        self.end = 0;
        let file = Arc::clone(&self.file);
        let mut frames = Frames::new(&*file, self.octets, mark);
        // The frame at the front may be one that the database has: it is brought up between two
        // rounds, and when it is closed in the middle of one.
        let is_first = |found| (1..=mark.sequence + 1).contains(&found);
        if let Some((first, _)) = frames.read(0, is_first).map_err(ReplayFailure::Disk)? {
            self.mark.sequence = first - 1;
        }
        let mut last = None;
        loop {
            let next = self.mark.next();
            let frame = frames.read(self.end, |found| found == next.sequence);
            let Some((_, entries)) = frame.map_err(ReplayFailure::Disk)? else {
                break;
            };
            last = Some((self.end, entries.len()));
            self.end += frame_octets(HEAD_OCTETS + entries.len());
            self.mark = next;
            if next.sequence > mark.sequence {
                apply(&mut entries::read(entries)).map_err(ReplayFailure::Other)?;
            }
        }
        if self.mark.sequence <= mark.sequence {
            self.mark = mark;
            self.end = 0;
        } else if let Some((at, octets)) = last {
            self.confirm(at, HEAD_OCTETS + octets)
                .map_err(ReplayFailure::Disk)?;
        }
        self.is_inherited = false;
        self.refuse_gap(&mut frames)?;
        Ok(self.mark.sequence - mark.sequence)
    }

    /// An error when a frame stands behind the end that was written after those before it. A power cut
    /// leaves none, since each waits for the sync of the one before.
    fn refuse_gap<E>(&self, frames: &mut Frames<'_>) -> Result<(), ReplayFailure<E>> {
        let mut at = self.end;
        while at < self.octets {
            // Those that fit behind it. A content that looks like frames without end is not digested.
            let most = self.octets / SECTOR_OCTETS;
            let is_later = |found: u64| {
                let behind = found.saturating_sub(self.mark.sequence);
                (1..=most).contains(&behind)
            };
            let later = frames.read(at, is_later);
            if later.map_err(ReplayFailure::Disk)?.is_some() {
                return Err(ReplayFailure::Damaged(
                    format!(
                        "the journal cannot be read at octet {}, and there is mail behind it at {at}",
                        self.end
                    )
                    .into(),
                ));
            }
            at += SECTOR_OCTETS;
        }
        Ok(())
    }

    /// Begins the entries of the next commit.
    pub(super) fn begin(&self, entries: &mut Entries) {
        entries.begin(HEAD_OCTETS);
    }

    /// Takes room from the beginning: that tells the next process whether this one has closed it. Where there is
    /// none, it is not told before the first commit.
    pub(super) fn come_into_use(&mut self) {
        let has_room = self.has_room(SECTOR_OCTETS).and_then(|_| self.file.sync());
        if let Err(error) = has_room {
            tracing::debug!(%error, "the journal has no room yet");
        }
    }

    /// Whether it takes room on the disk, which it gives back when it is closed.
    pub(super) fn is_in_use(&self) -> bool {
        self.octets > 0
    }

    /// The mark of the last commit.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// The mark of the next commit.
    pub(super) fn next_mark(&self) -> Mark {
        self.mark.next()
    }

    /// Puts the entries on stable storage; false when the journal has no room, and the database is to
    /// sync instead. After an error the journal is to be [replayed](Self::replay).
    pub(super) fn append(&mut self, entries: &mut Entries) -> io::Result<bool> {
        let size = frame_octets(entries.octets().len());
        if !self.has_room(size)? {
            return Ok(false);
        }
        let mark = self.mark.next();
        let frame = entries.octets_mut();
        write_head(frame, mark);
        frame.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
        self.is_doubtful = true;
        self.file.write(self.end, frame)?;
        self.file.sync()?;
        self.is_doubtful = false;
        self.mark = mark;
        self.end += size;
        Ok(true)
    }

    /// The database has synced the next commit, which is not here.
    pub(super) fn skip(&mut self) {
        self.mark = self.mark.next();
        self.begin_anew();
    }

    /// The database has synced all that is here.
    pub(super) fn begin_anew(&mut self) {
        self.end = 0;
    }

    /// Gives the room of the file back to the disk. Only when the database has everything.
    pub(super) fn give_room_back(&mut self) -> io::Result<()> {
        self.begin_anew();
        self.octets = 0;
        self.file.set_len(0)
    }

    /// Makes the file longer when that is needed; false when it may not or cannot be.
    fn has_room(&mut self, size: u64) -> io::Result<bool> {
        let end = self.end + size;
        if end <= self.octets {
            return Ok(true);
        }
        if end > self.octets_max {
            return Ok(false);
        }
        let octets = end.next_multiple_of(GROWTH_OCTETS).min(self.octets_max);
        let more = usize::try_from(octets - self.octets).map_err(io::Error::other)?;
        match self.file.write(self.octets, &vec![0; more]) {
            Ok(()) => {
                self.octets = octets;
                Ok(true)
            }
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes an inherited last frame once more. It is read from the system's cache, which keeps what a
    /// failed sync did not bring to the disk and takes it for written; and the next frame's sync is to
    /// mean that all before it are there.
    fn confirm(&self, at: u64, octets: usize) -> io::Result<()> {
        if !self.is_inherited {
            return Ok(());
        }
        let mut frame = vec![0; octets];
        self.file.read(at, &mut frame)?;
        self.file.write(at, &frame)?;
        self.file.sync()
    }

    fn take_back(&mut self) -> io::Result<()> {
        if self.is_doubtful {
            self.file.write(self.end, &[0; HEAD_OCTETS])?;
            self.file.sync()?;
            self.is_doubtful = false;
        }
        Ok(())
    }
}

/// Reads frames, front to back.
struct Frames<'a> {
    file: &'a dyn File,
    octets: u64,
    mark: Mark,
    /// What was read last, and where it begins.
    window: Vec<u8>,
    from: u64,
}

/// So much is read at once.
const WINDOW_OCTETS: u64 = 256 << 10;

impl<'a> Frames<'a> {
    fn new(file: &'a dyn File, octets: u64, mark: Mark) -> Self {
        Self {
            file,
            octets,
            mark,
            window: Vec::new(),
            from: 0,
        }
    }

    /// The sequence and the entries of the frame at `at`; none where no frame is whole, or not one
    /// whose sequence is wanted.
    fn read(
        &mut self,
        at: u64,
        is_wanted: impl FnOnce(u64) -> bool,
    ) -> io::Result<Option<(u64, &[u8])>> {
        let Some(room) = self
            .octets
            .saturating_sub(at)
            .checked_sub(HEAD_OCTETS as u64)
        else {
            return Ok(None);
        };
        let head: [u8; HEAD_OCTETS] = *self
            .octets(at, HEAD_OCTETS)?
            .first_chunk()
            .expect("as many as asked for");
        let (sequence, length, digest) = read_head(&head);
        if head[..4] != MAGIC || u64::from(length) > room || !is_wanted(sequence) {
            return Ok(None);
        }
        let mark = Mark {
            sequence,
            ..self.mark
        };
        let entries = self.octets(at + HEAD_OCTETS as u64, length as usize)?;
        Ok((mark.digest(entries) == digest).then_some((sequence, entries)))
    }

    fn octets(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let is_there =
            at >= self.from && at + length as u64 <= self.from + self.window.len() as u64;
        if !is_there {
            let octets = (length as u64).max(WINDOW_OCTETS).min(self.octets - at);
            self.window.resize(octets as usize, 0);
            self.from = at;
            if let Err(error) = self.file.read(at, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
        }
        let start = (at - self.from) as usize;
        Ok(&self.window[start..start + length])
    }
}

/// Room that a frame takes.
fn frame_octets(octets: usize) -> u64 {
    (octets as u64).next_multiple_of(SECTOR_OCTETS)
}

fn write_head(frame: &mut [u8], mark: Mark) {
    let (head, entries) = frame.split_at_mut(HEAD_OCTETS);
    let length = u32::try_from(entries.len()).expect("shorter than the journal");
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[8..16].copy_from_slice(&mark.sequence.to_le_bytes());
    head[16..].copy_from_slice(&mark.digest(entries));
}

/// Sequence, length and digest.
fn read_head(head: &[u8; HEAD_OCTETS]) -> (u64, u32, [u8; DIGEST_OCTETS]) {
    let [
        _,
        _,
        _,
        _,
        l0,
        l1,
        l2,
        l3,
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
        s6,
        s7,
        digest @ ..,
    ] = *head;
    (
        u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        u32::from_le_bytes([l0, l1, l2, l3]),
        digest,
    )
}

#[cfg(test)]
mod tests;
