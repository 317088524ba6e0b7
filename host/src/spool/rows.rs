//! Rows of the database and their keys: how messages, deliveries and trails are found and read.

use std::ops::Bound;

use crate::message::{
    Cancelled, Class, Delivery, DeliveryId, DeliveryState, Message, MessageId, Timestamp,
    TrailEntry,
};

use super::place::Place;
use super::redb::StoreError;
use super::settings::HISTORY_RECORD_OCTETS;
use super::sheet::Sheet;
use super::stored::{
    self, Counters, Damage, DeliveryRecord, Interruption, RefusalRecord, StopRecord, TrailRecord,
};
use super::view::{Scan, View};
use super::{KeptRefusal, SpoolError, Stop};

/// Why a row could not be had.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database failed: nothing more can be asked of this transaction.
    Store(StoreError),
    /// This record cannot be read; others can.
    Damaged(Damage),
}

impl Fault {
    /// Tells what the database could not read from what nobody can: trying again helps the first.
    pub(super) fn apart<T>(read: Result<T, Self>) -> Result<Result<T, Damage>, StoreError> {
        match read {
            Ok(read) => Ok(Ok(read)),
            Err(Self::Damaged(damage)) => Ok(Err(damage)),
            Err(Self::Store(error)) => Err(error),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Damage> for Fault {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl From<StoreError> for SpoolError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => SpoolError::Full,
            StoreError::ReadOnly => SpoolError::ReadOnly,
            StoreError::Failed(error) => SpoolError::Unavailable(error),
        }
    }
}

impl From<Fault> for SpoolError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error.into(),
            Fault::Damaged(damage) => SpoolError::unavailable(damage),
        }
    }
}

/// The key of the only row of [`Sheet::Counters`].
pub(super) const COUNTERS: &[u8] = b"counters";
/// The key of the interruption.
pub(super) const INTERRUPTION: &[u8] = b"last";

pub(super) fn message_key(id: MessageId) -> [u8; 16] {
    id.to_bits().to_be_bytes()
}

pub(super) fn delivery_key(id: DeliveryId) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&message_key(id.message));
    key[16..].copy_from_slice(&id.number.to_be_bytes());
    key
}

pub(super) fn chunk_key(id: MessageId, number: u16) -> [u8; 18] {
    let mut key = [0; 18];
    key[..16].copy_from_slice(&message_key(id));
    key[16..].copy_from_slice(&number.to_be_bytes());
    key
}

pub(super) fn trail_key(id: MessageId, sequence: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&message_key(id));
    key[16..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// Octets of a key of [`Sheet::Cancelled`].
pub(super) const CANCELLED_KEY_OCTETS: usize = 28;

pub(super) fn cancelled_key(until: Timestamp, id: DeliveryId) -> [u8; CANCELLED_KEY_OCTETS] {
    let mut key = [0; CANCELLED_KEY_OCTETS];
    key[..8].copy_from_slice(&until.unix_milliseconds().to_be_bytes());
    key[8..].copy_from_slice(&delivery_key(id));
    key
}

/// Until when which delivery can be restored; none for what is no key.
pub(super) fn read_cancelled_key(key: &[u8]) -> Option<(Timestamp, DeliveryId)> {
    let (until, id) = key.split_first_chunk()?;
    let (message, number) = id.split_first_chunk::<16>()?;
    let id = DeliveryId {
        message: read_message_key(message)?,
        number: u32::from_be_bytes(number.try_into().ok()?),
    };
    let until = u64::from_be_bytes(*until);
    Some((Timestamp::from_unix_milliseconds(until), id))
}

/// Octets of a key of [`Sheet::Finished`].
pub(super) const FINISHED_KEY_OCTETS: usize = 24;

pub(super) fn finished_key(at: Timestamp, id: MessageId) -> [u8; FINISHED_KEY_OCTETS] {
    let mut key = [0; FINISHED_KEY_OCTETS];
    key[..8].copy_from_slice(&at.unix_milliseconds().to_be_bytes());
    key[8..].copy_from_slice(&message_key(id));
    key
}

/// What is kept of a finished message, as its row in [`Sheet::Finished`] says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// What it counts for in the history.
    pub(super) weight: u32,
    /// Its row in [`Sheet::Messages`] is all of it. False in rows of the first form.
    pub(super) is_one_row: bool,
}

impl Kept {
    pub(super) fn of(octets: usize, is_one_row: bool) -> Self {
        let more = octets / HISTORY_RECORD_OCTETS;
        Self {
            weight: u32::try_from(more).unwrap_or(u32::MAX).saturating_add(1),
            is_one_row,
        }
    }

    /// The weight where it is not one, then an octet where the record is one row.
    pub(super) fn to_row(self) -> Vec<u8> {
        let weight = self.weight.to_le_bytes();
        let mut row = match self.weight {
            1 => Vec::new(),
            _ => weight.to_vec(),
        };
        if self.is_one_row {
            row.push(1);
        }
        row
    }

    pub(super) fn from_row(row: &[u8]) -> Self {
        Self {
            weight: row
                .first_chunk()
                .map_or(1, |octets| u32::from_le_bytes(*octets)),
            is_one_row: row.len() % 4 == 1,
        }
    }
}

/// When a message was finished, and which; none for what is no key.
pub(super) fn read_finished_key(key: &[u8]) -> Option<(Timestamp, MessageId)> {
    let (at, id) = key.split_first_chunk()?;
    Some((
        Timestamp::from_unix_milliseconds(u64::from_be_bytes(*at)),
        read_message_key(id)?,
    ))
}

/// The message with that key; none for what is no key.
pub(super) fn read_message_key(key: &[u8]) -> Option<MessageId> {
    Some(MessageId::from_bits(u128::from_be_bytes(
        key.try_into().ok()?,
    )))
}

/// A delivery and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) delivery: Delivery,
    pub(super) place: Place,
}

impl Standing {
    /// Its key among those that stand as it does.
    pub(super) fn key(&self) -> Vec<u8> {
        match self.delivery.state {
            DeliveryState::Cancelled(Cancelled { until, .. }) => {
                cancelled_key(until, self.delivery.id).to_vec()
            }
            DeliveryState::Waiting | DeliveryState::Held => self.place.to_key(),
        }
    }

    /// Whether it was cancelled: it stands in no line then.
    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self.delivery.state, DeliveryState::Cancelled(_))
    }

    pub(super) fn of(delivery: Delivery, class: Class, user: &str) -> Self {
        Self {
            place: Place::of(&delivery, class, user),
            delivery,
        }
    }

    fn read(record: &[u8], id: DeliveryId) -> Result<Self, Damage> {
        let (delivery, class, user) = stored::read::<DeliveryRecord<'_>>(record)?.read(id)?;
        Ok(Self::of(delivery, class, &user))
    }
}

/// A message and how its trail began.
pub(super) struct Begun {
    pub(super) message: Message,
    pub(super) trail: Vec<TrailEntry>,
    /// How many deliveries it was enqueued with.
    pub(super) deliveries: u32,
    /// How its trail ended and when it was finished, where that stands with it.
    pub(super) end: Option<Ending>,
}

/// Entries of a trail, and when the message was finished if they are the last.
pub(super) type Ending = (Vec<TrailEntry>, Option<Timestamp>);

pub(super) fn counters(rows: &View) -> Result<Counters, Fault> {
    match rows.get(Sheet::Counters, COUNTERS)? {
        Some(record) => Ok(stored::read(&record)?),
        None => Ok(Counters::default()),
    }
}

/// What a process that did not close the spool may have been at, the last one that did not; none where each has.
pub(super) fn interruption(rows: &View) -> Result<Option<Interruption>, Fault> {
    match rows.get(Sheet::Interruption, INTERRUPTION)? {
        Some(record) => Ok(Some(stored::read(&record)?)),
        None => Ok(None),
    }
}

pub(super) fn message(rows: &View, id: MessageId) -> Result<Option<Message>, Fault> {
    let Some(record) = rows.get(Sheet::Messages, &message_key(id))? else {
        return Ok(None);
    };
    let (record, _) = stored::read_message(&record)?;
    Ok(Some(record.message(id)?))
}

/// A content that is kept in the database; none when it is not.
pub(super) fn content(rows: &View, id: MessageId) -> Result<Option<Vec<u8>>, Fault> {
    let Some(row) = rows.get(Sheet::Rests, &message_key(id))? else {
        return Ok(None);
    };
    let (chunks, rest) = read_rest(&row)?;
    if chunks == 0 {
        return Ok(Some(rest.to_vec()));
    }
    let mut content = Vec::new();
    for number in 0..chunks {
        let chunk = rows
            .get(Sheet::Chunks, &chunk_key(id, number))?
            .ok_or_else(|| Damage::Octets("a chunk of a content is missing".to_owned()))?;
        content.extend_from_slice(&chunk);
    }
    content.extend_from_slice(rest);
    Ok(Some(content))
}

/// The row of a rest.
pub(super) fn rest_row(chunks: u16, rest: &[u8]) -> Vec<u8> {
    [&chunks.to_be_bytes()[..], rest].concat()
}

/// How many chunks stand before a rest, and the rest.
pub(super) fn read_rest(row: &[u8]) -> Result<(u16, &[u8]), Damage> {
    row.split_first_chunk()
        .map(|(chunks, rest)| (u16::from_be_bytes(*chunks), rest))
        .ok_or_else(|| Damage::Octets("the rest of a content is cut short".to_owned()))
}

pub(super) fn begun(rows: &View, id: MessageId) -> Result<Option<Begun>, Fault> {
    let Some(record) = rows.get(Sheet::Messages, &message_key(id))? else {
        return Ok(None);
    };
    let (record, end) = stored::read_message(&record)?;
    let end = match end {
        Some(end) => Some((end.entries()?, end.finished())),
        None => None,
    };
    Ok(Some(Begun {
        message: record.message(id)?,
        trail: record.trail()?,
        deliveries: record.deliveries(),
        end,
    }))
}

pub(super) fn standing(rows: &View, id: DeliveryId) -> Result<Option<Standing>, Fault> {
    match rows.get(Sheet::Deliveries, &delivery_key(id))? {
        Some(record) => Ok(Some(Standing::read(&record, id)?)),
        None => Ok(None),
    }
}

/// The deliveries of a message, by number.
pub(super) fn standings(rows: &View, id: MessageId) -> Result<Vec<Standing>, Fault> {
    let mut found = Ok(Vec::new());
    rows.scan_message(Sheet::Deliveries, &message_key(id), &mut |key, record| {
        let read = key
            .try_into()
            .map(u32::from_be_bytes)
            .map_err(|_| Damage::Octets("the key of a delivery".to_owned()))
            .and_then(|number| {
                let id = DeliveryId {
                    message: id,
                    number,
                };
                Standing::read(record, id)
            });
        match (&mut found, read) {
            (Ok(standings), Ok(standing)) => {
                standings.push(standing);
                Scan::On
            }
            (_, Err(damage)) => {
                found = Err(damage);
                Scan::Stop
            }
            (Err(_), _) => Scan::Stop,
        }
    })?;
    Ok(found?)
}

/// Whether there is a record of a message, queued or finished.
pub(super) fn is_known(rows: &View, id: MessageId) -> Result<bool, StoreError> {
    Ok(rows.get(Sheet::Messages, &message_key(id))?.is_some())
}

/// What there is of a message beside its record and its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beside {
    /// Whether any of its deliveries is queued, or can be restored.
    pub(super) is_queued: bool,
    /// Whether its trail has later parts. Not looked for while any is queued.
    pub(super) has_trail: bool,
}

/// What there is of a message beside its record and its content, by one look at all of its rows.
pub(super) fn beside(rows: &View, id: MessageId) -> Result<Beside, StoreError> {
    let mut found = Beside::default();
    rows.scan_mail(&message_key(id), &mut |sheet| {
        found.is_queued = sheet == Sheet::Deliveries;
        found.has_trail = sheet == Sheet::Trails;
        match found == Beside::default() {
            true => Scan::On,
            false => Scan::Stop,
        }
    })?;
    Ok(found)
}

/// Whether any delivery of a message is queued, or can be restored: its content is kept then.
pub(super) fn is_queued(rows: &View, id: MessageId) -> Result<bool, StoreError> {
    Ok(beside(rows, id)?.is_queued)
}

/// What was added to the trail of a message after it was enqueued, and when it was finished.
pub(super) fn later_trail(rows: &View, id: MessageId) -> Result<Ending, Fault> {
    let (mut entries, mut finished) = (Vec::new(), None);
    for record in trail_records(rows, id)? {
        let part: TrailRecord<'_> = stored::read(&record)?;
        entries.extend(part.entries()?);
        finished = part.finished().or(finished);
    }
    Ok((entries, finished))
}

/// The next number for a delivery of a message.
pub(super) fn next_number(rows: &View, id: MessageId) -> Result<u32, Fault> {
    let mut next = begun(rows, id)?.map_or(0, |begun| begun.deliveries);
    for record in trail_records(rows, id)? {
        let part: TrailRecord<'_> = stored::read(&record)?;
        next = part.next_number.unwrap_or(next);
    }
    Ok(next)
}

fn trail_records(rows: &View, id: MessageId) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut records = Vec::new();
    rows.scan_message(Sheet::Trails, &message_key(id), &mut |_, record| {
        records.push(record.to_vec());
        Scan::On
    })?;
    Ok(records)
}

/// The stops. One that cannot be read is told and passed over: nobody would know of what it is.
pub(super) fn stops(rows: &View) -> Result<Vec<Stop>, StoreError> {
    let mut stops = Vec::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    rows.scan(Sheet::Stops, everything, &mut |_, row| {
        match stored::read::<StopRecord<'_>>(row) {
            Ok(record) => stops.push(record.read()),
            Err(damage) => tracing::error!(%damage, "a stop cannot be read, and is not in force"),
        }
        Scan::On
    })?;
    Ok(stops)
}

/// The refused senders. One that cannot be read is told and passed over.
pub(super) fn refusals(rows: &View) -> Result<Vec<KeptRefusal>, StoreError> {
    let mut refusals = Vec::new();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    rows.scan(Sheet::Refusals, everything, &mut |_, row| {
        match stored::read::<RefusalRecord<'_>>(row).and_then(RefusalRecord::read) {
            Ok(refusal) => refusals.push(refusal),
            Err(damage) => {
                tracing::error!(%damage, "a refused sender cannot be read, and is not shown")
            }
        }
        Scan::On
    })?;
    Ok(refusals)
}

/// When the message was finished that was finished first, of those that are remembered.
pub(super) fn oldest_finished(rows: &View) -> Result<Option<Timestamp>, StoreError> {
    let mut oldest = None;
    let everything = (Bound::Unbounded, Bound::Unbounded);
    rows.scan(Sheet::Finished, everything, &mut |key, _| {
        oldest = read_finished_key(key).map(|(at, _)| at);
        Scan::Stop
    })?;
    Ok(oldest)
}
