//! What can be chosen about the spool, and the limits that stand beside it.

use std::time::Duration;

/// What the operator chooses, with what is right for most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Octets of content that may be in flight at once: being taken in, or waiting for their commit.
    pub octets_in_flight_max: u64,
    /// Contents up to this many octets are kept in the database, in the same transaction as their
    /// message; larger ones in a file of their own.
    pub inline_octets_max: usize,
    /// How long a delivery that was cancelled can be restored, while the disk has room; zero: it is gone at once.
    pub cancelled_kept: Duration,
    /// How long the record and the trail of a finished message are kept.
    pub history_kept: Duration,
    /// At most this many records of finished messages are kept, the latest ones; one of more than 4 KiB counts
    /// as several. Fewer while they take the room that new mail needs.
    pub history_records_max: u64,
    /// Mail is refused while the disk has less room than this, so that deliveries can still be
    /// settled, which gives room back.
    pub disk_free_octets_min: u64,
    /// Memory for the database's pages.
    pub page_cache_octets: usize,
    /// The journal takes up to this many octets of commits before the database is brought up.
    pub journal_octets_max: u64,
    /// Memory for what was enqueued lately, so that mail that leaves at once is never read back.
    pub recent_octets_max: usize,
    /// While there are fewer lines than this that are not very high, all of them are in memory. Each takes about half a kilobyte, here and with whoever
    /// chooses between them.
    pub lines_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Five of the largest messages at once, or tens of thousands of usual ones.
            octets_in_flight_max: 256 << 20,
            // Most mail that is not a report or an attachment. Beyond it a file of its own costs
            // less than carrying the octets through the database's pages.
            inline_octets_max: 32 << 10,
            // A mistake is seen by the next working day, mostly.
            cancelled_kept: Duration::from_secs(24 * 60 * 60),
            history_kept: Duration::from_secs(7 * 24 * 60 * 60),
            // About 130 MB on disk, and a tenth of a second more at a start after a crash.
            history_records_max: 100_000,
            // More than a full journal has to bring into the database.
            disk_free_octets_min: 32 << 20,
            // Half of it is for pages that wait for a checkpoint. The system's cache has the rest: more of it
            // here makes nothing faster.
            page_cache_octets: 6 << 20,
            // More than a thousand usual messages: a checkpoint takes tens of milliseconds, and
            // there are a few in a second of the heaviest traffic.
            journal_octets_max: 8 << 20,
            recent_octets_max: 4 << 20,
            // Ten megabytes.
            lines_max: 20_000,
        }
    }
}

/// How long the writer waits for this and that. Tests are less patient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// A settlement waits so long for a new message to share its commit with: short beside any
    /// delivery, long beside the time between two messages of a busy client.
    pub(super) settlement_patience: Duration,
    /// Without mail for so long, the file is left so that a start after a crash is quick.
    pub(super) checkpoint_after: Duration,
    /// A database that could not be opened again is left alone for so long.
    pub(super) reopen_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            settlement_patience: Duration::from_millis(5),
            checkpoint_after: Duration::from_secs(2),
            reopen_after: Duration::from_secs(1),
        }
    }
}

/// So many waiting settlements are worth a commit of their own.
pub(super) const SETTLEMENTS_WAITING_MAX: usize = 128;

/// Most requests in one transaction: what a commit takes stays within some tens of milliseconds.
pub(super) const BATCH_REQUESTS_MAX: usize = 1_024;

/// Most octets of content in one transaction, for the same reason.
pub(super) const BATCH_OCTETS_MAX: usize = 8 << 20;

/// Most deliveries that one transaction changes for an operator, so that mail that arrives
/// meanwhile waits for a part of the change, not for all of it.
pub(super) const CHANGE_SLICE_MAX: usize = 1_000;

/// Most deliveries that are looked at for one part of such a change.
pub(super) const CHANGE_STRIDE_MAX: usize = 5_000;

/// Most records of finished messages that one transaction forgets, and two for each that it adds.
pub(super) const SWEEP_MAX: usize = 64;

/// Most that it forgets for those that it adds, and what the records that it forgets count for at most: a large one
/// has rows by the thousand.
pub(super) const SWEEP_MORE_MAX: u64 = 1_024;

/// Most cancelled deliveries that one transaction removes for good. Each may be the last of its message, whose
/// content goes with it.
pub(super) const REMOVED_MAX: usize = 64;

/// A record of a finished message beyond this many octets counts as several: one with a thousand recipients or
/// hundreds of attempts takes hundreds of times what a usual one does.
pub(super) const HISTORY_RECORD_OCTETS: usize = 4 << 10;

/// What the later parts of a message's trail take at most, in octets: thousands of attempts for one recipient, or
/// some for thousands. Beyond it the oldest go.
pub(super) const TRAIL_OCTETS_MAX: usize = 1 << 20;

/// Whether the trail is too long is looked at with every so many parts of all trails, and with each part of so many
/// octets: to look takes longer the more parts there are.
pub(super) const TRAIL_LOOKS: (u64, usize) = (64, 16 << 10);

/// A declared size is set aside up to this; an empty promise does not keep room from others.
pub(super) const RESERVED_OCTETS_MAX: u64 = 1 << 20;

/// Largest piece of a content on its way out.
pub const PIECE_OCTETS_MAX: usize = 64 << 10;
