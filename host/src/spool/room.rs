//! Room on the disk: when mail is refused so that what is queued can still be delivered.
//!
//! Settling a delivery writes before it gives room back. So new mail stops while there is still some
//! room, and a reserve is set aside for when somebody else has taken that: it is given up for
//! settlements, and no mail is taken before it stands again.

use std::time::Duration;

use tokio::time::Instant;

use super::common::Common;
use super::redb::StoreError;
use super::stored::Counters;

/// A file that takes less than this is not worth making smaller.
const COMPACT_OCTETS_MIN: u64 = 64 << 20;

/// A file is made smaller when no more than one in so many of its octets is in use.
const COMPACT_SHARE: u64 = 4;

/// No more than this is moved to make a file smaller: about a second, in which nobody can write.
const COMPACT_MOVED_MAX: u64 = 64 << 20;

/// What the writer knows about room.
#[derive(Debug, Default)]
pub(super) struct Room {
    has_reserve: bool,
    /// A write found no room: nobody tries before then, since each try costs opening again.
    full_until: Option<Instant>,
    /// Nothing has left since the file was made smaller for want of room.
    is_compact: bool,
}

impl Room {
    /// Whether new mail may be taken. Makes room first where the file has more than it needs.
    pub(super) fn admits_mail(&mut self, common: &Common) -> Result<bool, StoreError> {
        if self.is_out() {
            return Ok(false);
        }
        if self.is_enough(common) {
            return Ok(true);
        }
        if !self.can_be_smaller(common) {
            return Ok(false);
        }
        self.is_compact = compact(common)?;
        Ok(self.is_enough(common))
    }

    /// Whether there is room for new mail as things are. Sets the reserve aside where there is none.
    pub(super) fn is_enough(&mut self, common: &Common) -> bool {
        // A disk that does not tell is asked to write.
        let min = common.settings.disk_free_octets_min;
        let is_free = common.disk.free_octets().map_or(true, |free| free >= min);
        if !self.has_reserve && is_free {
            self.has_reserve = match common.disk.keep_reserve() {
                Ok(()) => true,
                Err(error) if crate::stable::is_full(&error) => false,
                Err(error) => {
                    tracing::warn!(%error, "no room can be set aside for a full disk");
                    true
                }
            };
        }
        is_free && self.has_reserve
    }

    /// Whether a write found no room a moment ago.
    fn is_out(&self) -> bool {
        self.full_until.is_some_and(|until| until > Instant::now())
    }

    /// A write found no room.
    pub(super) fn ran_out(&mut self, retry_after: Duration) {
        self.full_until = Some(Instant::now() + retry_after);
    }

    /// Gives the reserve up; false when there is none left.
    pub(super) fn give_up_reserve(&mut self, common: &Common) -> bool {
        self.has_reserve = false;
        common.disk.give_up_reserve()
    }

    /// Whether mail that has no room would have some if finished messages were forgotten and the file made
    /// smaller.
    pub(super) fn is_taken_by_history(&self, common: &Common) -> bool {
        // Making it smaller as it is comes first; somebody may read, and it is done later.
        if self.is_out() || self.can_be_smaller(common) {
            return false;
        }
        let counters = common.board().counters.clone();
        let (Ok(octets), Ok(free)) = (common.store.octets(), common.disk.free_octets()) else {
            return false;
        };
        let rest = in_use(&Counters {
            finished: 0,
            ..counters
        });
        counters.finished > 0
            && rest <= COMPACT_MOVED_MAX
            && rest <= octets / 2
            && free.saturating_add(octets - 2 * rest) >= common.settings.disk_free_octets_min
    }

    /// Something has left the spool.
    pub(super) fn gave_back(&mut self) {
        self.full_until = None;
        self.is_compact = false;
    }

    /// Time to spare: makes a file smaller that was large and is nearly empty again.
    pub(super) fn tidy(&self, common: &Common) -> Result<(), StoreError> {
        let octets = common.store.octets().unwrap_or(0);
        if octets < COMPACT_OCTETS_MIN || !is_loose(common, COMPACT_SHARE) {
            return Ok(());
        }
        compact(common).map(drop)
    }

    fn can_be_smaller(&self, common: &Common) -> bool {
        !self.is_compact && is_loose(common, 2)
    }
}

/// Whether no more than one in `share` octets of the file is in use, and those are soon moved.
fn is_loose(common: &Common, share: u64) -> bool {
    let Ok(octets) = common.store.octets() else {
        return false;
    };
    let in_use = in_use(&common.board().counters);
    in_use <= COMPACT_MOVED_MAX && in_use <= octets / share
}

/// Octets that the rows take, about.
fn in_use(counters: &Counters) -> u64 {
    /// A message's rows with its deliveries and its trail.
    const RECORD_OCTETS: u64 = 1 << 10;
    let records = counters.queued.iter().sum::<u64>() + counters.finished;
    counters.inline_octets + RECORD_OCTETS * records
}

/// False where somebody reads, so that nothing could be done.
fn compact(common: &Common) -> Result<bool, StoreError> {
    let before = common.store.octets().unwrap_or(0);
    let began = Instant::now();
    let has_moved = common.store.compact()?;
    let now = common.store.octets().unwrap_or(0);
    if now < before {
        tracing::info!(before, now, took = ?began.elapsed(), "the spool's file was made smaller");
    }
    Ok(has_moved)
}
