//! How a question is answered.
//!
//! It reads the cells of one dimension. What is read is bounded by how many cells there are and by how long they are
//! kept; whoever asks waits for the disk, on a thread that may.

use std::collections::{BTreeMap, BTreeSet};
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
        for key in reader.cells(&self.filter.prefix(source))? {
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
            reader.read(&key, &mut group)?;
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

/// Reads cells over a span of time.
struct Reader<'a, R> {
    rows: &'a R,
    span: Span,
    period: Option<Period>,
    open_hours: Vec<u32>,
}

impl<R: Read> Reader<'_, R> {
    /// The keys of the cells with this prefix in which anything was counted or is queued, in their order.
    fn cells(&self, prefix: &[u8]) -> Result<BTreeSet<Vec<u8>>, StoreError> {
        let mut cells = BTreeSet::new();
        let mut behind = prefix.to_vec();
        while let Some(key) = next(self.rows, Sheet::BlockCounts, &behind)? {
            match key.split_last_chunk::<4>() {
                Some((cell, _)) if cell.starts_with(prefix) => {
                    behind = behind_all(cell);
                    cells.insert(cell.to_vec());
                }
                _ => break,
            }
        }
        for hour in &self.open_hours {
            let begin = hour_key(*hour, prefix);
            self.visit(Sheet::HourCounts, &begin, |key| {
                cells.insert(key[4..].to_vec());
            })?;
        }
        self.visit(Sheet::QueuedCounts, prefix, |key| {
            cells.insert(key.to_vec());
        })?;
        Ok(cells)
    }

    /// Visits all keys that begin so.
    fn visit(
        &self,
        sheet: Sheet,
        begin: &[u8],
        mut visit: impl FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        let range = (Bound::Included(begin), Bound::Unbounded);
        self.rows.scan(sheet, range, &mut |key, _| {
            if !key.starts_with(begin) {
                return Scan::Stop;
            }
            visit(key);
            Scan::On
        })
    }

    /// Adds what was counted in a cell.
    fn read(&self, cell: &[u8], group: &mut Group) -> Result<(), StoreError> {
        let Span { since, until } = self.span;
        if since < until {
            match self.period.filter(|_| group.is_told) {
                Some(Period::Hour) => self.read_hours(cell, self.span, group)?,
                Some(Period::Day) | None => {
                    // Whole days stand in blocks, and what is left at both ends in days.
                    let whole = since.div_ceil(DAY_HOURS)..until / DAY_HOURS;
                    let (begin, end) = (whole.start * DAY_HOURS, whole.end * DAY_HOURS);
                    if whole.is_empty() {
                        self.read_hours(cell, self.span, group)?;
                    } else {
                        let before = Span {
                            since,
                            until: begin,
                        };
                        let after = Span { since: end, until };
                        self.read_hours(cell, before, group)?;
                        self.read_days(cell, whole.start, whole.end, group)?;
                        self.read_hours(cell, after, group)?;
                    }
                }
            }
        }
        for hour in &self.open_hours {
            let key = hour_key(*hour, cell);
            let record = self.rows.record::<HourRecord>(Sheet::HourCounts, &key)?;
            if let Some(HourRecord { counts, queued }) = record {
                group.queued += queued;
                if self.span.has(*hour) {
                    self.add(*hour, &counts.read(), group);
                }
            }
        }
        let queued = self
            .rows
            .record::<NumberRecord>(Sheet::QueuedCounts, cell)?;
        group.queued += queued.map_or(0, |NumberRecord(queued)| queued);
        Ok(())
    }

    fn read_hours(&self, cell: &[u8], span: Span, group: &mut Group) -> Result<(), StoreError> {
        if span.since >= span.until {
            return Ok(());
        }
        let days = (span.since / DAY_HOURS, (span.until - 1) / DAY_HOURS);
        self.read_parts(Sheet::DayCounts, cell, days, |day, part, counts| {
            let hour = day * DAY_HOURS + u32::from(part);
            if span.has(hour) {
                self.add(hour, counts, group);
            }
        })
    }

    fn read_days(
        &self,
        cell: &[u8],
        from: u32,
        before: u32,
        group: &mut Group,
    ) -> Result<(), StoreError> {
        let (first, _) = block_and_part(from);
        let (last, _) = block_and_part(before - 1);
        self.read_parts(
            Sheet::BlockCounts,
            cell,
            (first, last),
            |block, part, counts| {
                let day = block * BLOCK_DAYS + u32::from(part);
                if (from..before).contains(&day) {
                    self.add(day * DAY_HOURS, counts, group);
                }
            },
        )
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
            self.rows.push(Row {
                at: has_period.then(|| begin_of(at)),
                name: group.name.clone(),
                counts,
                queued,
            });
        }
    }

    fn end(mut self, span: Span) -> Answer {
        if let Some(figure) = self.question.most {
            let of = |row: &Row| figure.of(&row.counts, row.queued.unwrap_or(0));
            // Those of the same figure stay in the order of their names.
            self.rows.sort_by_key(|row| std::cmp::Reverse(of(row)));
            self.rows.truncate(self.question.rows_max);
        }
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
