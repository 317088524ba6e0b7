//! How a question is answered.
//!
//! It reads the cells of one dimension, many at once: what stands by itself for each of them in one pass, the days of those
//! that have any one by one, and hours of a day only where that day has something. What is read is bounded by how many
//! cells there are and by how long they are kept, and memory by neither; whoever asks waits for the disk, on a thread that may.

use std::collections::BTreeMap;
use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::message::{Class, Counts, Timestamp};
use crate::spool::redb::StoreError;
use crate::spool::sheet::Sheet;
use crate::spool::stored::{HourRecord, NumberRecord, PartsRecord};
use crate::spool::view::Scan;

use super::cell::{Cell, Dimension};
use super::period::{
    BLOCK_DAYS, DAY_HOURS, DAYS_KEPT_DAYS, HOURS_KEPT_DAYS, begin_of, block_and_part, day_and_part,
    hour_from, hour_of,
};
use super::question::{Answer, Name, Period, Question, Row, Unanswerable};
use super::rollup::{behind_all, next, part_key};
use super::rows::{Read, readable};
use super::tally::hour_key;

/// Cells that are read at once, of each kind of rows that they stand in: a megabyte or two. Everybody of whom mail is queued
/// has one.
const CELLS_AT_ONCE: usize = 2_048;

/// Half of the rows among which those with the most are looked for at once.
const MOST_AMONG: usize = 1_024;

impl Question {
    /// The answer, by what was counted until `now`.
    pub(in crate::spool) fn answer(
        &self,
        rows: &impl Read,
        now: Timestamp,
    ) -> Result<Result<Answer, Unanswerable>, StoreError> {
        let source = match self.check().and_then(|()| self.source()) {
            Ok(source) => source,
            Err(why) => return Ok(Err(why)),
        };
        let span = self.span(now);
        let reader = Reader {
            rows,
            span,
            period: self.period,
            open_hours: open_hours(rows)?,
        };
        let behind = self.cursor.as_deref().and_then(Behind::from_text);
        let mut found = Found {
            question: self,
            behind,
            rows: Vec::new(),
            total: Counts::default(),
            queued: 0,
            is_cut: false,
        };
        let mut group = Group::default();
        let prefix = self.filter.prefix(source);
        let mut behind = None;
        loop {
            let portion = reader.portion(&prefix, behind.as_deref())?;
            for (key, standing) in portion.cells {
                let Some((cell, _)) = Cell::from_key(&key) else {
                    continue;
                };
                if !self.filter.is_met_by(&cell) {
                    continue;
                }
                let name = self.by.and_then(|by| name_of(&cell, by));
                if self.by.is_some() && name != group.name {
                    found.take(std::mem::take(&mut group));
                    group.name = name;
                    // What is on no page is summed as fast as can be.
                    group.is_told = found.has_room_for(group.name.as_ref());
                }
                reader.read(&key, &standing, &mut group)?;
            }
            if portion.up_to.is_none() {
                break;
            }
            behind = portion.up_to;
        }
        found.take(group);
        Ok(Ok(found.end(span)))
    }

    /// The hours that are asked for and are there.
    fn span(&self, now: Timestamp) -> Span {
        let (today, _) = day_and_part(hour_of(now));
        let from_day = |hour: u32| hour / DAY_HOURS * DAY_HOURS;
        let kept_from = |days: u32| today.saturating_sub(days) * DAY_HOURS;
        let since = hour_of(self.since);
        let until = hour_from(self.until);
        match self.period {
            Some(Period::Hour) => Span {
                since: since.max(kept_from(HOURS_KEPT_DAYS)),
                until,
            },
            Some(Period::Day) => Span {
                since: from_day(since).max(kept_from(DAYS_KEPT_DAYS)),
                until: until.div_ceil(DAY_HOURS).saturating_mul(DAY_HOURS),
            },
            None => {
                let since = since.max(kept_from(DAYS_KEPT_DAYS));
                // Before that only whole days are known.
                let is_old = |hour| hour < kept_from(HOURS_KEPT_DAYS);
                Span {
                    since: if is_old(since) {
                        from_day(since)
                    } else {
                        since
                    },
                    until: if is_old(until) {
                        from_day(until)
                    } else {
                        until
                    },
                }
            }
        }
    }
}

/// From one hour to before another.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: u32,
    until: u32,
}

impl Span {
    fn has(self, hour: u32) -> bool {
        (self.since..self.until).contains(&hour)
    }
}

/// The hours that are not rolled up: mostly the one that goes on.
fn open_hours(rows: &impl Read) -> Result<Vec<u32>, StoreError> {
    let mut hours = Vec::new();
    let mut behind = Vec::new();
    while let Some(key) = next(rows, Sheet::HourCounts, &behind)? {
        let Some((at, _)) = key.split_first_chunk::<4>() else {
            break;
        };
        let hour = u32::from_be_bytes(*at);
        hours.push(hour);
        // No cell begins with this octet.
        behind = hour_key(hour, &[u8::MAX]);
    }
    Ok(hours)
}

/// What was counted in the cells of one name.
#[derive(Debug)]
struct Group {
    name: Option<Name>,
    /// Whether it may have rows on this page; else only its sum counts.
    is_told: bool,
    /// By the hour in which the period begins; all under 0 without a period.
    counts: BTreeMap<u32, Counts>,
    queued: i64,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            name: None,
            is_told: true,
            counts: BTreeMap::new(),
            queued: 0,
        }
    }
}

/// What stands for a cell beside its days.
#[derive(Debug, Default)]
struct Standing {
    /// Whether it has days, in blocks.
    has_days: bool,
    /// What was counted in hours that are not rolled up and are asked for.
    open: Vec<(u32, Counts)>,
    queued: i64,
}

/// Some cells, in the order of their keys.
#[derive(Debug, Default)]
struct Portion {
    cells: BTreeMap<Vec<u8>, Standing>,
    /// The last one for which everything has been read; none where that is all there are.
    up_to: Option<Vec<u8>>,
}

impl Portion {
    /// Whether a cell is left to the next portion.
    fn leaves(&self, cell: &[u8]) -> bool {
        self.up_to.as_deref().is_some_and(|up_to| cell > up_to)
    }

    fn standing(&mut self, cell: &[u8]) -> &mut Standing {
        self.cells.entry(cell.to_vec()).or_default()
    }

    /// Leaves out what another kind of rows had before it was known how far this portion reaches.
    fn end(mut self) -> Self {
        if let Some(up_to) = &self.up_to {
            let first_left = [up_to, &[0][..]].concat();
            self.cells.split_off(&first_left);
        }
        self
    }
}

/// Reads cells over a span of time.
struct Reader<'a, R> {
    rows: &'a R,
    span: Span,
    period: Option<Period>,
    open_hours: Vec<u32>,
}

impl<R: Read> Reader<'_, R> {
    /// The next cells with this prefix in which anything was counted or is queued, behind that one. What takes a seek for
    /// each comes last: the others say how far it goes.
    fn portion(&self, prefix: &[u8], behind: Option<&[u8]>) -> Result<Portion, StoreError> {
        let mut portion = Portion::default();
        let wanted = (prefix, behind);
        self.visit(
            Sheet::QueuedCounts,
            &[],
            wanted,
            &mut portion,
            |standing, row| {
                if let Some(NumberRecord(queued)) = readable(Sheet::QueuedCounts, row) {
                    standing.queued += queued;
                }
            },
        )?;
        for hour in &self.open_hours {
            let at = hour.to_be_bytes();
            self.visit(
                Sheet::HourCounts,
                &at,
                wanted,
                &mut portion,
                |standing, row| {
                    if let Some(record) = readable::<HourRecord>(Sheet::HourCounts, row) {
                        standing.queued += record.queued;
                        if self.span.has(*hour) {
                            standing.open.push((*hour, record.counts.read()));
                        }
                    }
                },
            )?;
        }
        self.visit_blocks(wanted, &mut portion)?;
        Ok(portion.end())
    }

    /// Visits the rows of cells in a sheet where they stand behind `front`.
    fn visit(
        &self,
        sheet: Sheet,
        front: &[u8],
        (prefix, behind): (&[u8], Option<&[u8]>),
        portion: &mut Portion,
        mut note: impl FnMut(&mut Standing, &[u8]),
    ) -> Result<(), StoreError> {
        let begin = [front, prefix].concat();
        let from = [front, behind.unwrap_or(prefix)].concat();
        let from = match behind {
            Some(_) => Bound::Excluded(&from[..]),
            None => Bound::Included(&from[..]),
        };
        let mut count = 0;
        self.rows
            .scan(sheet, (from, Bound::Unbounded), &mut |key, row| {
                let cell = key.get(front.len()..).unwrap_or_default();
                if !key.starts_with(&begin) || portion.leaves(cell) {
                    return Scan::Stop;
                }
                note(portion.standing(cell), row);
                count += 1;
                if count < CELLS_AT_ONCE {
                    return Scan::On;
                }
                portion.up_to = Some(cell.to_vec());
                Scan::Stop
            })
    }

    /// Visits the cells that have days.
    fn visit_blocks(
        &self,
        (prefix, behind): (&[u8], Option<&[u8]>),
        portion: &mut Portion,
    ) -> Result<(), StoreError> {
        let mut from = behind.map_or_else(|| prefix.to_vec(), behind_all);
        for count in 1..=CELLS_AT_ONCE {
            let Some(key) = next(self.rows, Sheet::BlockCounts, &from)? else {
                break;
            };
            let Some((cell, _)) = key.split_last_chunk::<4>() else {
                break;
            };
            if !cell.starts_with(prefix) || portion.leaves(cell) {
                break;
            }
            portion.standing(cell).has_days = true;
            from = behind_all(cell);
            if count == CELLS_AT_ONCE {
                portion.up_to = Some(cell.to_vec());
            }
        }
        Ok(())
    }

    /// Adds what was counted in a cell.
    fn read(&self, cell: &[u8], standing: &Standing, group: &mut Group) -> Result<(), StoreError> {
        let Span { since, until } = self.span;
        if since < until && standing.has_days {
            match self.period.filter(|_| group.is_told) {
                Some(Period::Hour) => self.read_hours(cell, self.span, group)?,
                Some(Period::Day) | None => self.read_days(cell, group)?,
            }
        }
        for (hour, counts) in &standing.open {
            self.add(*hour, counts, group);
        }
        group.queued += standing.queued;
        Ok(())
    }

    fn read_hours(&self, cell: &[u8], span: Span, group: &mut Group) -> Result<(), StoreError> {
        let days = (span.since / DAY_HOURS, (span.until - 1) / DAY_HOURS);
        self.read_parts(Sheet::DayCounts, cell, days, |day, part, counts| {
            let hour = day * DAY_HOURS + u32::from(part);
            if span.has(hour) {
                self.add(hour, counts, group);
            }
        })
    }

    /// Whole days stand in blocks; of the first and the last day hours are read where they are not asked for whole.
    fn read_days(&self, cell: &[u8], group: &mut Group) -> Result<(), StoreError> {
        let Span { since, until } = self.span;
        let (first, last) = (since / DAY_HOURS, (until - 1) / DAY_HOURS);
        let whole = since.div_ceil(DAY_HOURS)..until / DAY_HOURS;
        let blocks = (block_and_part(first).0, block_and_part(last).0);
        let mut in_part = Vec::new();
        self.read_parts(Sheet::BlockCounts, cell, blocks, |block, part, counts| {
            let day = block * BLOCK_DAYS + u32::from(part);
            if whole.contains(&day) {
                self.add(day * DAY_HOURS, counts, group);
            } else if (first..=last).contains(&day) {
                in_part.push(day);
            }
        })?;
        for day in in_part {
            let begin = day * DAY_HOURS;
            let span = Span {
                since: since.max(begin),
                until: until.min(begin + DAY_HOURS),
            };
            self.read_hours(cell, span, group)?;
        }
        Ok(())
    }

    fn read_parts(
        &self,
        sheet: Sheet,
        cell: &[u8],
        (first, last): (u32, u32),
        mut visit: impl FnMut(u32, u8, &Counts),
    ) -> Result<(), StoreError> {
        let (from, to) = (part_key(cell, first), part_key(cell, last));
        let range = (Bound::Included(&from[..]), Bound::Included(&to[..]));
        self.rows.scan(sheet, range, &mut |key, row| {
            if let Some((_, at)) = key.split_last_chunk::<4>()
                && let Some(parts) = readable::<PartsRecord>(sheet, row)
            {
                for (part, counts) in parts.read() {
                    visit(u32::from_be_bytes(*at), part, &counts);
                }
            }
            Scan::On
        })
    }

    fn add(&self, hour: u32, counts: &Counts, group: &mut Group) {
        let at = match self.period.filter(|_| group.is_told) {
            Some(Period::Hour) => hour,
            Some(Period::Day) => hour / DAY_HOURS * DAY_HOURS,
            None => 0,
        };
        *group.counts.entry(at).or_default() += counts;
    }
}

fn name_of(cell: &Cell, by: Dimension) -> Option<Name> {
    let text = |text: &str| Some(Name::Text(text.to_owned()));
    match (by, cell) {
        (Dimension::Class, Cell::Class(class) | Cell::List(_, class)) => Some(Name::Class(*class)),
        (Dimension::List, Cell::List(list, _) | Cell::User(_, list) | Cell::Campaign(_, list)) => {
            text(list)
        }
        (Dimension::User, Cell::User(user, _)) => text(user),
        (Dimension::Destination, Cell::Destination(domain)) => text(domain),
        (Dimension::Campaign, Cell::Campaign(campaign, _)) => text(campaign),
        _ => None,
    }
}

/// The answer while it grows.
struct Found<'a> {
    question: &'a Question,
    behind: Option<Behind>,
    rows: Vec<Row>,
    total: Counts,
    queued: i64,
    /// Whether there is more than this page.
    is_cut: bool,
}

impl Found<'_> {
    /// Whether rows of a name can be on this page.
    fn has_room_for(&self, name: Option<&Name>) -> bool {
        let behind = self.behind.as_ref();
        !self.is_cut && behind.is_none_or(|behind| behind.is_before(u32::MAX, name))
    }

    fn take(&mut self, group: Group) {
        for counts in group.counts.values() {
            self.total += counts;
        }
        self.queued += group.queued;
        if !group.is_told {
            let is_something = group.queued != 0 || !group.counts.is_empty();
            let is_later = self
                .behind
                .as_ref()
                .is_none_or(|behind| behind.is_before(u32::MAX, group.name.as_ref()));
            self.is_cut |= is_something && is_later;
            return;
        }
        let question = self.question;
        let has_period = question.period.is_some();
        let mut counts = group.counts;
        if !has_period {
            // What is queued alone has a row as well.
            if question.by.is_none() || group.name.is_none() {
                return;
            }
            counts.entry(0).or_default();
        }
        for (at, counts) in counts {
            let queued = (!has_period).then_some(group.queued);
            if counts.is_nothing() && queued.unwrap_or(0) == 0 {
                continue;
            }
            let is_behind = self
                .behind
                .as_ref()
                .is_none_or(|behind| behind.is_before(at, group.name.as_ref()));
            if !is_behind {
                continue;
            }
            if question.most.is_none() && self.rows.len() >= question.rows_max {
                self.is_cut = true;
                return;
            }
            if question.most.is_some() && self.rows.len() >= question.rows_max.max(MOST_AMONG) * 2 {
                self.keep_most();
            }
            self.rows.push(Row {
                at: has_period.then(|| begin_of(at)),
                name: group.name.clone(),
                counts,
                queued,
            });
        }
    }

    /// Keeps the rows with the most, the most first, where that is asked for.
    fn keep_most(&mut self) {
        if let Some(figure) = self.question.most {
            let of = |row: &Row| figure.of(&row.counts, row.queued.unwrap_or(0));
            // Those of the same figure stay in the order of their names.
            self.rows.sort_by_key(|row| std::cmp::Reverse(of(row)));
            self.rows.truncate(self.question.rows_max);
        }
    }

    fn end(mut self, span: Span) -> Answer {
        self.keep_most();
        let last = self.rows.last().filter(|_| self.is_cut);
        let cursor = last.map(|row| {
            let at = row.at.map_or(0, hour_of);
            let name = row.name.clone();
            Behind { at, name }.to_text()
        });
        Answer {
            since: begin_of(span.since),
            until: begin_of(span.until.max(span.since)),
            rows: self.rows,
            total: self.total,
            queued: self.queued,
            cursor,
        }
    }
}

/// The row that a page goes on behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    at: u32,
    name: Option<Name>,
}

impl Behind {
    /// Whether a row comes after it: rows come by their names, and those of one name by time.
    fn is_before(&self, at: u32, name: Option<&Name>) -> bool {
        (self.name.as_ref(), self.at) < (name, at)
    }

    fn to_text(&self) -> String {
        let mut octets = self.at.to_be_bytes().to_vec();
        match &self.name {
            None => octets.push(0),
            Some(Name::Class(class)) => octets.extend([1, class.map_or(0, Class::number)]),
            Some(Name::Text(text)) => {
                octets.push(2);
                octets.extend_from_slice(text.as_bytes());
            }
        }
        URL_SAFE_NO_PAD.encode(octets)
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (at, rest) = octets.split_first_chunk()?;
        let name = match rest.split_first()? {
            (0, []) => None,
            (1, [0]) => Some(Name::Class(None)),
            (1, [number]) => Some(Name::Class(Some(Class::from_number(*number)?))),
            (2, text) => Some(Name::Text(str::from_utf8(text).ok()?.to_owned())),
            _ => return None,
        };
        Some(Self {
            at: u32::from_be_bytes(*at),
            name,
        })
    }
}

#[cfg(test)]
mod tests;
