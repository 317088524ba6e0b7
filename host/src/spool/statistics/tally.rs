//! The tally: what a transaction counts, gathered for each cell and written once.
//!
//! Written in the transaction of what it counts, so that both are there after a crash or neither. A commit of many
//! requests changes each row once. What is queued is a balance, kept with what else is counted in the hour and gathered
//! with it, so that it costs no rows of its own.

use std::collections::BTreeMap;

use crate::message::{Class, Counts, Message, MessageId, RELAY, Timestamp, comparable_domain};
use crate::spool::redb::StoreError;
use crate::spool::sheet::Sheet;
use crate::spool::stored::{self, CountsRecord, HourRecord, NumberRecord};
use crate::spool::work::Outcomes;

use super::cell::{Cell, Dimension};
use super::period::hour_of;
use super::rows::{Read, Write};

/// What is to be counted.
#[derive(Debug, Default)]
pub(in crate::spool) struct Tally {
    /// By the keys of cells.
    cells: BTreeMap<Vec<u8>, More>,
    /// Those of the message that was counted last: what becomes of one is counted in several steps, one after the other.
    last: Option<Named>,
    /// The domain that was counted last, as it was written, and its key.
    last_domain: Option<(String, Vec<u8>)>,
}

/// The keys of a message's cells in a class, but those of its destinations.
#[derive(Debug)]
struct Named {
    message: MessageId,
    class: Class,
    keys: Vec<Vec<u8>>,
}

/// A part of what is counted.
type Part = fn(&mut Counts) -> &mut i64;

/// What more a cell has.
#[derive(Debug, Default)]
struct More {
    /// Recipients that are queued.
    queued: i64,
    /// By the hour.
    hours: Vec<(u32, Counts)>,
}

impl More {
    fn at(&mut self, hour: u32) -> &mut Counts {
        let at = match self.hours.iter().position(|(known, _)| *known == hour) {
            Some(at) => at,
            None => {
                self.hours.push((hour, Counts::default()));
                self.hours.len() - 1
            }
        };
        &mut self.hours[at].1
    }
}

impl Tally {
    /// A message was accepted.
    pub(in crate::spool) fn accepted(&mut self, message: &Message) {
        self.take_in(message, 1);
    }

    /// A message that was counted as accepted is taken out: it never was.
    pub(in crate::spool) fn take_back(&mut self, message: &Message) {
        self.take_in(message, -1);
    }

    fn take_in(&mut self, message: &Message, times: i64) {
        // By its own time, so that it can be taken back.
        let hour = hour_of(message.accepted);
        self.each(
            message,
            message.class,
            every(message),
            |more, recipients| {
                let counts = more.at(hour);
                counts.accepted += times;
                counts.recipients += times * recipients;
            },
        );
    }

    /// An attempt has ended, or a delivery came to its end without one.
    pub(in crate::spool) fn settled(&mut self, outcomes: &Outcomes) {
        let Outcomes { message, at, fates } = outcomes;
        let at = *at;
        let took = at.since(message.released());
        let ends: [(&[u32], Part); 4] = [
            (&fates.delivered, |counts| &mut counts.sent),
            (&fates.deferred, |counts| &mut counts.deferred),
            (&fates.bounced, |counts| &mut counts.bounced),
            (&fates.expired, |counts| &mut counts.expired),
        ];
        for (recipients, part) in ends {
            self.add(message, recipients, at, part);
        }
        if fates.delivered.is_empty() {
            return;
        }
        // How long mail takes is counted for its class and its list.
        let timed = [Dimension::Class, Dimension::List].map(Dimension::octet);
        let named = named(&mut self.last, message, message.class);
        let keys = named.keys.iter().filter(|key| timed.contains(&key[0]));
        for key in keys {
            let counts = more(&mut self.cells, key).at(hour_of(at));
            for _ in &fates.delivered {
                counts.latency.note(took);
            }
        }
    }

    /// What was cancelled cannot be restored any more.
    pub(in crate::spool) fn removed(
        &mut self,
        message: &Message,
        recipients: &[u32],
        at: Timestamp,
    ) {
        self.add(message, recipients, at, |counts| &mut counts.removed);
    }

    /// A user was refused, since it may not send as somebody.
    pub(in crate::spool) fn refused(&mut self, list: &str, user: &str, times: u64, at: Timestamp) {
        let hour = hour_of(at);
        let cells = [
            Cell::Class(None),
            Cell::List(list.to_owned(), None),
            Cell::User(user.to_owned(), list.to_owned()),
        ];
        for cell in cells {
            let times = i64::try_from(times).unwrap_or(i64::MAX);
            more(&mut self.cells, &cell.to_key()).at(hour).refused += times;
        }
    }

    /// Recipients of a message have come to be queued in a class, or with -1 have left.
    pub(in crate::spool) fn queued(
        &mut self,
        message: &Message,
        class: Class,
        recipients: &[u32],
        times: i64,
    ) {
        let recipients = recipients.iter().copied();
        self.each(message, class, recipients, |more, recipients| {
            more.queued += times * recipients;
        });
    }

    fn add(&mut self, message: &Message, recipients: &[u32], at: Timestamp, part: Part) {
        if recipients.is_empty() {
            return;
        }
        let (hour, recipients) = (hour_of(at), recipients.iter().copied());
        self.each(message, message.class, recipients, |more, recipients| {
            *part(more.at(hour)) += recipients;
        });
    }

    /// Counts for each cell of a message in that class; how many of these recipients it has is told.
    fn each(
        &mut self,
        message: &Message,
        class: Class,
        recipients: impl ExactSizeIterator<Item = u32>,
        note: impl Fn(&mut More, i64),
    ) {
        let all = count(recipients.len());
        for key in &named(&mut self.last, message, class).keys {
            note(more(&mut self.cells, key), all);
        }
        let domains = recipients.filter_map(|index| domain_of(message, index));
        let mut runs: Vec<(&str, i64)> = Vec::new();
        for domain in domains {
            match runs.last_mut() {
                Some((last, count)) if *last == domain => *count += 1,
                _ => runs.push((domain, 1)),
            }
        }
        if let [(domain, recipients)] = runs.as_slice() {
            let key = destination(&mut self.last_domain, domain);
            note(more(&mut self.cells, key), *recipients);
            return;
        }
        // A domain that comes twice is one destination.
        let mut found: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for (domain, recipients) in runs {
            let key = destination(&mut self.last_domain, domain).to_vec();
            *found.entry(key).or_default() += recipients;
        }
        for (key, recipients) in found {
            note(more(&mut self.cells, &key), recipients);
        }
    }

    /// Writes it. What has come to be queued and has left stands with the hour that goes on.
    pub(in crate::spool) fn write(
        self,
        rows: &mut impl Write,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.cells.is_empty() && !knows_the_queue(rows)? {
            put(rows, Sheet::QueuedCounts, QUEUE_IS_KNOWN, &NumberRecord(1));
        }
        let hour = hour_of(now);
        for (cell, mut more) in self.cells {
            if more.queued != 0 {
                more.at(hour);
            }
            for (at, counts) in more.hours {
                let queued = if at == hour { more.queued } else { 0 };
                if queued != 0 || !counts.is_nothing() {
                    add_to_hour(rows, at, &cell, &counts, queued)?;
                }
            }
        }
        Ok(())
    }
}

/// The key of the row that says that all that is queued is counted. No cell begins with this octet.
const QUEUE_IS_KNOWN: &[u8] = &[COUNTER];

/// Whether what is queued has been counted from the beginning. It has not in a spool of an older release.
pub(in crate::spool) fn knows_the_queue(rows: &impl Read) -> Result<bool, StoreError> {
    Ok(rows.get(Sheet::QueuedCounts, QUEUE_IS_KNOWN)?.is_some())
}

/// Adds to what was queued in a cell when the hours that are not rolled up began.
pub(super) fn add_queued(rows: &mut impl Write, cell: &[u8], more: i64) -> Result<(), StoreError> {
    let known = rows.record::<NumberRecord>(Sheet::QueuedCounts, cell)?;
    match known
        .map_or(0, |NumberRecord(known)| known)
        .saturating_add(more)
    {
        // Nobody is queued there any more.
        0 => rows.remove(Sheet::QueuedCounts, cell),
        queued => put(rows, Sheet::QueuedCounts, cell, &NumberRecord(queued)),
    }
    Ok(())
}

/// Adds to what was counted in an hour, in the cell itself or, where it would be one too many, in that of the others. What is
/// queued is that of the cell all the same: it leaves in an hour in which there may be room.
fn add_to_hour(
    rows: &mut impl Write,
    hour: u32,
    cell: &[u8],
    more: &Counts,
    mut queued: i64,
) -> Result<(), StoreError> {
    let mut key = hour_key(hour, cell);
    let mut known = rows.record::<HourRecord>(Sheet::HourCounts, &key)?;
    if known.is_none() {
        let prefix = hour.to_be_bytes();
        if let Some(others) = room_for(rows, Sheet::HourCounts, &prefix, cell)? {
            if queued != 0 {
                add_queued(rows, cell, queued)?;
                queued = 0;
            }
            if more.is_nothing() {
                return Ok(());
            }
            key = hour_key(hour, &others);
            known = rows.record(Sheet::HourCounts, &key)?;
        }
    }
    let (mut counts, before) = match known {
        Some(HourRecord { counts, queued }) => (counts.read(), queued),
        None => (Counts::default(), 0),
    };
    counts += more;
    let record = HourRecord {
        counts: CountsRecord::of(&counts),
        queued: before.saturating_add(queued),
    };
    put(rows, Sheet::HourCounts, &key, &record);
    Ok(())
}

/// Makes room for one more cell in an hour or a block, which is counted under `prefix`; where there is none, the key of
/// the cell that it is counted in.
pub(super) fn room_for(
    rows: &mut impl Write,
    sheet: Sheet,
    prefix: &[u8],
    cell: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some((read, _)) = Cell::from_key(cell) else {
        return Ok(None);
    };
    let dimension = read.dimension();
    let others = read.others().to_key();
    if others == cell {
        return Ok(None);
    }
    let counter = [prefix, &[COUNTER, dimension.octet()]].concat();
    let count = rows.record::<NumberRecord>(sheet, &counter)?;
    let count = count.map_or(0, |NumberRecord(count)| count);
    if count >= dimension.cells_max() {
        return Ok(Some(others));
    }
    put(rows, sheet, &counter, &NumberRecord(count + 1));
    Ok(None)
}

/// The octet that stands in place of a dimension in the key of how many cells there are.
pub(super) const COUNTER: u8 = 0;

/// The key of a cell in an hour: hours stand together, so that a commit changes few pages.
pub(super) fn hour_key(hour: u32, cell: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + cell.len());
    key.extend_from_slice(&hour.to_be_bytes());
    key.extend_from_slice(cell);
    key
}

pub(super) fn put(rows: &mut impl Write, sheet: Sheet, key: &[u8], record: &impl serde::Serialize) {
    match stored::write(record) {
        Ok(row) => rows.put(sheet, key, &row),
        Err(damage) => {
            tracing::error!(?sheet, %damage, "a row of the statistics cannot be written")
        }
    }
}

fn count(recipients: usize) -> i64 {
    i64::try_from(recipients).unwrap_or(i64::MAX)
}

/// What more the cell of that key has.
fn more<'a>(cells: &'a mut BTreeMap<Vec<u8>, More>, key: &[u8]) -> &'a mut More {
    // Most are there already, and the key need not be copied for those.
    if !cells.contains_key(key) {
        cells.insert(key.to_vec(), More::default());
    }
    cells.get_mut(key).expect("it is there now")
}

/// The keys of a message's cells in that class.
fn named<'a>(last: &'a mut Option<Named>, message: &Message, class: Class) -> &'a Named {
    let is_known = |last: &Named| last.message == message.id && last.class == class;
    if !last.as_ref().is_some_and(is_known) {
        *last = Some(Named {
            message: message.id,
            class,
            keys: keys(message, class).collect(),
        });
    }
    last.as_ref().expect("it is there now")
}

fn keys(message: &Message, class: Class) -> impl Iterator<Item = Vec<u8>> {
    let list = message.origin.list();
    let user = match message.origin.user() {
        "" => RELAY,
        user => user,
    };
    let campaign = message.campaign.as_ref();
    let campaign = campaign.map(|campaign| Cell::Campaign(campaign.clone(), list.to_owned()));
    [
        Cell::Class(Some(class)),
        Cell::List(list.to_owned(), Some(class)),
        Cell::User(user.to_owned(), list.to_owned()),
    ]
    .into_iter()
    .chain(campaign)
    .map(|cell| cell.to_key())
}

/// The key of a destination.
fn destination<'a>(last: &'a mut Option<(String, Vec<u8>)>, written: &str) -> &'a [u8] {
    if last.as_ref().is_none_or(|(domain, _)| domain != written) {
        let domain = comparable_domain(written);
        let domain = domain.unwrap_or_else(|_| written.to_lowercase());
        *last = Some((written.to_owned(), Cell::Destination(domain).to_key()));
    }
    let (_, key) = last.as_ref().expect("it is there now");
    key
}

fn domain_of(message: &Message, recipient: u32) -> Option<&str> {
    let index = usize::try_from(recipient).ok()?;
    let recipient = message.envelope.recipients.get(index)?;
    Some(recipient.mailbox.domain.as_str())
}

fn every(message: &Message) -> std::ops::Range<u32> {
    0..u32::try_from(message.envelope.recipients.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::spool::sample::{at, message};
    use crate::spool::statistics::{Filter, MemoryRows, Name, Question};

    #[test]
    fn what_was_refused_has_no_class_and_counts_for_its_user() {
        let mut rows = MemoryRows::default();
        for times in [1, 4] {
            let mut tally = Tally::default();
            tally.refused("shop", "news", times, at(7));
            tally.write(&mut rows, at(7)).unwrap();
        }
        for (by, name) in [
            (Dimension::Class, Name::Class(None)),
            (Dimension::List, Name::Text("shop".to_owned())),
            (Dimension::User, Name::Text("news".to_owned())),
        ] {
            let question = Question {
                since: at(0),
                until: at(9),
                period: None,
                by: Some(by),
                filter: Filter::default(),
                most: None,
                cursor: None,
                rows_max: 10,
            };
            let answer = question.answer(&rows, at(9)).unwrap().unwrap();
            assert_eq!(answer.rows.len(), 1, "{by:?}");
            assert_eq!(answer.rows[0].name, Some(name));
            assert_eq!(answer.rows[0].counts.refused, 5);
            assert_eq!(answer.total.refused, 5);
        }
    }

    #[test]
    fn a_message_counts_once_at_a_destination_however_its_recipients_are_ordered() {
        let mut rows = MemoryRows::default();
        let mut tally = Tally::default();
        for number in [1, 2] {
            let domains = ["a.example", "b.example", "A.example", "b.example"];
            let message = message(number, "ann", Class::Normal, &domains);
            tally.accepted(&message);
            tally.queued(&message, Class::Low, &[0, 2, 3], 1);
        }
        tally.write(&mut rows, at(0)).unwrap();
        let question = Question {
            since: at(0),
            until: at(9),
            period: None,
            by: Some(Dimension::Destination),
            filter: Filter::default(),
            most: None,
            cursor: None,
            rows_max: 10,
        };
        let answer = question.answer(&rows, at(9)).unwrap().unwrap();
        let figures = answer.rows.into_iter().map(|row| {
            let counts = row.counts;
            (row.name, counts.accepted, counts.recipients, row.queued)
        });
        let name = |name: &str| Some(Name::Text(name.to_owned()));
        let expected = [
            (name("a.example"), 2, 4, Some(4)),
            (name("b.example"), 2, 4, Some(2)),
        ];
        assert_eq!(figures.collect::<Vec<_>>(), expected);
    }
}
