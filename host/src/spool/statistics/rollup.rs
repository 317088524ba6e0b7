//! Rolling up: hours that are over are gathered into days, days into blocks, and what is too old is removed.
//!
//! Hours stand by their time while they are counted, so that commits change few pages, and by their names when they are
//! over, so that a year of one name is read in one go. All of it in small portions, each in a transaction of the writer.

use std::ops::Bound;

use crate::message::{Counts, Timestamp};
use crate::spool::redb::StoreError;
use crate::spool::sheet::Sheet;
use crate::spool::stored::{HourRecord, PartsRecord};
use crate::spool::view::Scan;

use super::period::{
    BLOCK_DAYS, DAYS_KEPT_DAYS, HOURS_KEPT_DAYS, block_and_part, day_and_part, hour_of,
};
use super::rows::{Read, Write, readable};
use super::tally::{COUNTER, add_queued, put, room_for};

/// Rows of hours that one transaction rolls up at most: a millisecond or two, which mail that arrives then waits.
const ROLLED_MAX: usize = 128;

/// Names that one transaction looks at for what is too old, and rows that it removes at most.
const LOOKED_AT_MAX: usize = 128;

/// How far it has come. What is known here is known in memory only: whoever begins anew finds nothing to do where all
/// was done.
#[derive(Debug, Default)]
pub(in crate::spool) struct RollUp {
    /// All that was counted before this hour is rolled up.
    rolled_before: u32,
    /// The day as of which what is too old was removed.
    removed_on: Option<u32>,
    /// Where removing goes on: in which sheet, and behind which key.
    removing: Option<(Sheet, Vec<u8>)>,
}

impl RollUp {
    /// Whether there may be something to do.
    pub(in crate::spool) fn is_due(&self, now: Timestamp) -> bool {
        let hour = hour_of(now);
        let (day, _) = day_and_part(hour);
        self.rolled_before < hour || self.removed_on.is_none_or(|done| done < day)
    }

    /// Whether there is: looks at a portion, and changes nothing.
    pub(in crate::spool) fn finds(
        &mut self,
        rows: &impl Read,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let hour = hour_of(now);
        if self.rolled_before < hour {
            if !hours_before(rows, hour, 1)?.is_empty() {
                return Ok(true);
            }
            self.rolled_before = hour;
        }
        let looked_up_to = self.removing.clone();
        let is_found = !self.old(rows, hour)?.is_empty();
        if is_found {
            self.removing = looked_up_to;
            self.removed_on = None;
        }
        Ok(is_found)
    }

    /// Begins anew: what the last transactions did may be undone.
    pub(in crate::spool) fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// Does a portion.
    pub(in crate::spool) fn step(
        &mut self,
        rows: &mut impl Write,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let hour = hour_of(now);
        if self.rolled_before < hour {
            let over = hours_before(rows, hour, ROLLED_MAX)?;
            if over.len() < ROLLED_MAX {
                self.rolled_before = hour;
            }
            for (key, record) in over {
                rows.remove(Sheet::HourCounts, &key);
                if let (Some(record), Some((at, cell))) = (record, key.split_first_chunk()) {
                    if record.queued != 0 {
                        add_queued(rows, cell, record.queued)?;
                    }
                    let counts = record.counts.read();
                    if !counts.is_nothing() {
                        gather(rows, u32::from_be_bytes(*at), cell, &counts)?;
                    }
                }
            }
            return Ok(());
        }
        for (sheet, key) in self.old(rows, hour)? {
            rows.remove(sheet, &key);
        }
        Ok(())
    }

    /// Looks at the next names for what is too old: its rows. Nothing when that is done for today.
    fn old(&mut self, rows: &impl Read, hour: u32) -> Result<Vec<(Sheet, Vec<u8>)>, StoreError> {
        let (today, _) = day_and_part(hour);
        let mut old = Vec::new();
        if self.removed_on.is_some_and(|done| done >= today) {
            return Ok(old);
        }
        let (sheet, mut behind) = match self.removing.take() {
            Some(going_on) => going_on,
            None => (Sheet::DayCounts, Vec::new()),
        };
        let kept_from = match sheet {
            Sheet::DayCounts => today.saturating_sub(HOURS_KEPT_DAYS),
            // A block is kept for as long as its last day is.
            _ => today.saturating_sub(DAYS_KEPT_DAYS + BLOCK_DAYS - 1) / BLOCK_DAYS,
        };
        for _ in 0..LOOKED_AT_MAX {
            let Some(key) = next(rows, sheet, &behind)? else {
                match sheet {
                    Sheet::DayCounts => self.removing = Some((Sheet::BlockCounts, Vec::new())),
                    _ => {
                        old.extend(old_counters(rows, kept_from)?);
                        self.removed_on = Some(today);
                    }
                }
                return Ok(old);
            };
            behind = match key.split_last_chunk::<4>() {
                // The oldest of this name is young enough.
                Some((name, at)) if u32::from_be_bytes(*at) >= kept_from => behind_all(name),
                Some(_) | None => {
                    old.push((sheet, key.clone()));
                    key
                }
            };
        }
        self.removing = Some((sheet, behind));
        Ok(old)
    }
}

/// How many cells old blocks had: a row for each dimension of a block.
fn old_counters(rows: &impl Read, kept_from: u32) -> Result<Vec<(Sheet, Vec<u8>)>, StoreError> {
    let before = block_prefix(kept_from);
    let mut old = Vec::new();
    let range = (Bound::Unbounded, Bound::Excluded(&before[..]));
    rows.scan(Sheet::CellCounts, range, &mut |key, _| {
        old.push((Sheet::CellCounts, key.to_vec()));
        Scan::On
    })?;
    Ok(old)
}

/// Rows of hours that are over, the oldest first; none in place of counts that cannot be read, and of how many cells an
/// hour has.
type Over = Vec<(Vec<u8>, Option<HourRecord>)>;

fn hours_before(rows: &impl Read, hour: u32, rows_max: usize) -> Result<Over, StoreError> {
    let mut over = Vec::new();
    let before = hour.to_be_bytes();
    let range = (Bound::Unbounded, Bound::Excluded(&before[..]));
    rows.scan(Sheet::HourCounts, range, &mut |key, row| {
        let is_counter = key.get(4) == Some(&COUNTER);
        let counts = match is_counter {
            true => None,
            false => readable(Sheet::HourCounts, row),
        };
        over.push((key.to_vec(), counts));
        match over.len() < rows_max {
            true => Scan::On,
            false => Scan::Stop,
        }
    })?;
    Ok(over)
}

/// Adds an hour of a cell to its day and its block. A cell that is one too many in the block is one of the others in
/// both.
fn gather(
    rows: &mut impl Write,
    hour: u32,
    cell: &[u8],
    counts: &Counts,
) -> Result<(), StoreError> {
    let (day, hour_of_day) = day_and_part(hour);
    let (block, day_of_block) = block_and_part(day);
    let mut cell = cell.to_vec();
    if rows
        .get(Sheet::BlockCounts, &part_key(&cell, block))?
        .is_none()
    {
        let prefix = block_prefix(block);
        if let Some(others) = room_for(rows, Sheet::CellCounts, &prefix, &cell)? {
            cell = others;
        }
    }
    add_part(
        rows,
        Sheet::DayCounts,
        &part_key(&cell, day),
        hour_of_day,
        counts,
    )?;
    let key = part_key(&cell, block);
    add_part(rows, Sheet::BlockCounts, &key, day_of_block, counts)
}

fn add_part(
    rows: &mut impl Write,
    sheet: Sheet,
    key: &[u8],
    part: u8,
    more: &Counts,
) -> Result<(), StoreError> {
    let known = rows.record::<PartsRecord>(sheet, key)?;
    let mut parts = known.map(PartsRecord::read).unwrap_or_default();
    match parts.binary_search_by_key(&part, |(part, _)| *part) {
        Ok(at) => parts[at].1 += more,
        Err(at) => parts.insert(at, (part, more.clone())),
    }
    put(rows, sheet, key, &PartsRecord::of(&parts));
    Ok(())
}

fn block_prefix(block: u32) -> [u8; 4] {
    block.to_be_bytes()
}

/// The key of a day or a block of a cell: those of one cell stand together.
pub(super) fn part_key(cell: &[u8], part: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(cell.len() + 4);
    key.extend_from_slice(cell);
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// A key behind all days or blocks of a cell, and before those of every other one.
pub(super) fn behind_all(cell: &[u8]) -> Vec<u8> {
    let mut key = part_key(cell, u32::MAX);
    key.push(u8::MAX);
    key
}

/// The first key behind that one.
pub(super) fn next(
    rows: &impl Read,
    sheet: Sheet,
    behind: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found = None;
    let range = (Bound::Excluded(behind), Bound::Unbounded);
    rows.scan(sheet, range, &mut |key, _| {
        found = Some(key.to_vec());
        Scan::Stop
    })?;
    Ok(found)
}
