//! What the database keeps: sheets of rows, and the table and key under which each row stands.
//!
//! A commit writes every page on the way to a row anew, so rows that are written together share a
//! table, and those of one message stand next to each other in it. Contents are apart, since each
//! fills pages of its own.

use std::ops::Bound;

/// Names of the tables under the sheets. Their order is part of the stored form: the journal knows
/// them by it.
pub(super) const TABLES: [&str; 4] = ["mail", "contents", "queue", "statistics"];

/// What the database keeps, each in the order of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sheet {
    /// Messages and how their trails began, by id.
    Messages,
    /// Deliveries, by message id and number.
    Deliveries,
    /// Later parts of trails, by message id and sequence.
    Trails,
    /// What small contents begin with, in chunks by message id and number.
    Chunks,
    /// The rest of small contents behind the number of their chunks, by message id.
    Rests,
    /// Message ids of waiting deliveries, by place.
    Waiting,
    /// Message ids of held deliveries, by place.
    Held,
    /// Deliveries that were cancelled and can be restored, by the time until then, message id and number. Its rows
    /// are empty.
    Cancelled,
    /// Finished messages, by time and id.
    Finished,
    /// Stops, by what they are of.
    Stops,
    /// Refused senders, by user and sender.
    Refusals,
    /// One row: the counters.
    Counters,
    /// One row: where the journal stands.
    Mark,
    /// One row: the form of everything here.
    Form,
    /// What was counted in hours that are not rolled up, by hour and cell; and how many cells each has.
    HourCounts,
    /// The hours of a day, by cell and day.
    DayCounts,
    /// The days of a block, by cell and block.
    BlockCounts,
    /// How many cells blocks have.
    CellCounts,
    /// Recipients that were queued when the hours that are not rolled up began, by cell.
    QueuedCounts,
    /// One row, once a process has ended without closing the spool: what it may have been at.
    Interruption,
}

const MAIL: usize = 0;
const CONTENTS: usize = 1;
const QUEUE: usize = 2;
/// Apart from the queue, whose index stays small.
const STATISTICS: usize = 3;

/// Octets of the message id that the keys of mail begin with.
pub(super) const ID_OCTETS: usize = 16;

impl Sheet {
    /// Its table, and the octet in a key that tells it from the other sheets of the table.
    pub(super) const fn table(self) -> (usize, u8) {
        match self {
            Self::Messages => (MAIL, b'm'),
            Self::Deliveries => (MAIL, b'd'),
            Self::Trails => (MAIL, b't'),
            Self::Rests => (MAIL, b'r'),
            Self::Chunks => (CONTENTS, b'c'),
            Self::Waiting => (QUEUE, b'w'),
            Self::Held => (QUEUE, b'h'),
            Self::Cancelled => (QUEUE, b'x'),
            Self::Stops => (QUEUE, b's'),
            Self::Refusals => (QUEUE, b'r'),
            Self::Finished => (QUEUE, b'f'),
            Self::Counters => (QUEUE, b'c'),
            // Beside the counters, so that a commit finds both in one page.
            Self::Mark => (QUEUE, b'd'),
            Self::Form => (QUEUE, b'e'),
            Self::Interruption => (QUEUE, b'i'),
            Self::HourCounts => (STATISTICS, b'h'),
            Self::DayCounts => (STATISTICS, b'd'),
            Self::BlockCounts => (STATISTICS, b'b'),
            Self::CellCounts => (STATISTICS, b'n'),
            Self::QueuedCounts => (STATISTICS, b'q'),
        }
    }

    /// How many octets of a key stand before the one that tells the sheet.
    const fn id_octets(self) -> usize {
        match self.table().0 {
            QUEUE | STATISTICS => 0,
            _ => ID_OCTETS,
        }
    }

    /// The key in its table.
    pub(super) fn key(self, key: &[u8]) -> Vec<u8> {
        let (id, rest) = key.split_at(self.id_octets().min(key.len()));
        let mut full = Vec::with_capacity(key.len() + 1);
        full.extend_from_slice(id);
        full.push(self.table().1);
        full.extend_from_slice(rest);
        full
    }

    /// From where to before where the rows of one message stand in its table.
    pub(super) fn message_range(
        self,
        id: &[u8; ID_OCTETS],
    ) -> ([u8; ID_OCTETS + 1], [u8; ID_OCTETS + 1]) {
        debug_assert_eq!(
            self.id_octets(),
            ID_OCTETS,
            "{self:?} has no rows of one message"
        );
        let mut from = [self.table().1; ID_OCTETS + 1];
        from[..ID_OCTETS].copy_from_slice(id);
        let mut to = from;
        to[ID_OCTETS] += 1;
        (from, to)
    }

    /// From where to before where all rows of one message stand in the table of mail.
    pub(super) fn mail_range(id: &[u8; ID_OCTETS]) -> ([u8; ID_OCTETS + 1], [u8; ID_OCTETS + 1]) {
        let (mut from, mut to) = ([0; ID_OCTETS + 1], [u8::MAX; ID_OCTETS + 1]);
        from[..ID_OCTETS].copy_from_slice(id);
        to[..ID_OCTETS].copy_from_slice(id);
        (from, to)
    }

    /// The sheet of the table of mail that this octet in a key tells.
    pub(super) fn of_mail(octet: u8) -> Option<Self> {
        const SHEETS: [Sheet; 4] = [
            Sheet::Deliveries,
            Sheet::Messages,
            Sheet::Rests,
            Sheet::Trails,
        ];
        SHEETS.into_iter().find(|sheet| sheet.table().1 == octet)
    }

    /// Bounds in its table; none given means the ends of the sheet. Only for sheets whose rows
    /// stand together.
    pub(super) fn range(self, (from, to): Range<'_>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        debug_assert_eq!(
            self.id_octets(),
            0,
            "the rows of {self:?} do not stand together"
        );
        let tag = self.table().1;
        let from = match from {
            Bound::Unbounded => Bound::Included(vec![tag]),
            from => from.map(|key| self.key(key)),
        };
        let to = match to {
            Bound::Unbounded => Bound::Excluded(vec![tag + 1]),
            to => to.map(|key| self.key(key)),
        };
        (from, to)
    }
}

/// From which key to which.
pub(super) type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
