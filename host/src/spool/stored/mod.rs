//! The stored form of messages, deliveries and trails.
//!
//! Apart from the types of the relay, so that either can change alone: a record begins with the
//! number of its form, and this module reads every form that a release has written. Reading never
//! trusts what it reads: a damaged record is an error, never a panic.

mod counts;
mod delivery;
mod dialogue;
mod message;
mod pause;
mod refusal;
mod stop;
mod trail;

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};

use crate::message::{Class, NextHop, TlsParameters};

pub(super) use counts::{CountsRecord, HourRecord, NumberRecord, PartsRecord};
pub(super) use delivery::DeliveryRecord;
pub(super) use message::MessageRecord;
pub(super) use refusal::RefusalRecord;
pub(super) use stop::StopRecord;
pub(super) use trail::TrailRecord;

/// The form that this release writes, and the newest that it reads: of records, of the rows around them and of the
/// journal. A database says which one it has ([`Sheet::Form`](super::sheet::Sheet::Form)), so that an older release leaves
/// it alone.
///
/// 1: the first. 2: behind the record of a finished message stands the end of its trail, where nothing else of it
/// is kept. 3: messages and deliveries say more, behind what they have always said. 4: messages say how they were to be
/// held, and what came by HTTP says so. 5: messages say their campaign, and there are statistics.
pub(super) const FORM: u8 = 5;

/// The first form, which is read as well.
const FORM_MIN: u8 = 1;

/// A record in any of its forms.
pub(super) trait Stored<'a>: Sized {
    /// A record of that form, and the octets behind it.
    fn take(form: u8, octets: &'a [u8]) -> Result<(Self, &'a [u8]), Damage>;
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// Written by a newer release.
    #[error("form {0} is not known to this release")]
    Form(u8),
    /// Cut short, too long, or not a record at all.
    #[error("the record is damaged: {0}")]
    Octets(String),
}

impl Damage {
    fn of(what: &str) -> Self {
        Self::Octets(what.to_owned())
    }
}

/// A record in its stored form.
pub(super) fn write(record: &impl Serialize) -> Result<Vec<u8>, Damage> {
    postcard::to_extend(record, vec![FORM]).map_err(|error| Damage::Octets(error.to_string()))
}

/// The record that was stored.
pub(super) fn read<'a, T: Stored<'a>>(octets: &'a [u8]) -> Result<T, Damage> {
    let (form, octets) = form(octets)?;
    match T::take(form, octets)? {
        (record, []) => Ok(record),
        _ => Err(Damage::of("more octets than a record")),
    }
}

/// The row of a finished message: its record as it stands in `row`, and behind it the end of its trail.
pub(super) fn with_end(row: &[u8], end: &TrailRecord<'_>) -> Result<Vec<u8>, Damage> {
    // Room for a usual end.
    let mut octets = Vec::with_capacity(row.len() + 512);
    octets.extend_from_slice(row);
    if form(row)?.0 < FORM {
        let (record, _) = MessageRecord::take(row[0], &row[1..])?;
        octets = write(&record)?;
    }
    postcard::to_extend(end, octets).map_err(|error| Damage::Octets(error.to_string()))
}

/// The record of a message, and the end of its trail where that stands behind it.
pub(super) fn read_message(
    row: &[u8],
) -> Result<(MessageRecord<'_>, Option<TrailRecord<'_>>), Damage> {
    let (form, octets) = form(row)?;
    let (record, rest) = MessageRecord::take(form, octets)?;
    let end = match rest {
        [] => None,
        rest => match take(rest)? {
            (end, []) => Some(end),
            _ => {
                return Err(Damage::of(
                    "more octets than a record and the end of a trail",
                ));
            }
        },
    };
    Ok((record, end))
}

/// The number of the form, and what stands behind it.
fn form(octets: &[u8]) -> Result<(u8, &[u8]), Damage> {
    match octets.split_first() {
        Some((form @ FORM_MIN..=FORM, record)) => Ok((*form, record)),
        Some((form, _)) => Err(Damage::Form(*form)),
        None => Err(Damage::of("empty")),
    }
}

/// What a record has had `since` a form, where it is of that form or a later one.
fn behind<'a, T: Deserialize<'a> + Default>(
    since: u8,
    form: u8,
    octets: &'a [u8],
) -> Result<(T, &'a [u8]), Damage> {
    match form < since {
        true => Ok((T::default(), octets)),
        false => take(octets),
    }
}

/// Octets that are read alike in every form, and those behind them.
fn take<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> Result<(T, &'a [u8]), Damage> {
    postcard::take_from_bytes(octets).map_err(|error| Damage::Octets(error.to_string()))
}

/// The counters of a spool: one small row that every commit writes anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// The next sequence number.
    pub(super) next_sequence: u64,
    /// Deliveries queued, by class.
    pub(super) queued: [u64; 5],
    /// Records of finished messages, large ones counted as several.
    pub(super) finished: u64,
    /// Octets of content in the database.
    pub(super) inline_octets: u64,
    /// Deliveries that were cancelled and can be restored. Since the third form.
    pub(super) cancelled: u64,
}

/// What the counters have had from the first form on.
type FirstCounters = (u64, [u64; 5], u64, u64);

impl Serialize for Counters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let first: FirstCounters = (
            self.next_sequence,
            self.queued,
            self.finished,
            self.inline_octets,
        );
        (first, self.cancelled).serialize(serializer)
    }
}

impl Stored<'_> for Counters {
    fn take(form: u8, octets: &[u8]) -> Result<(Self, &[u8]), Damage> {
        let ((next_sequence, queued, finished, inline_octets), rest): (FirstCounters, _) =
            take(octets)?;
        let (cancelled, rest) = behind(3, form, rest)?;
        let counters = Self {
            next_sequence,
            queued,
            finished,
            inline_octets,
            cancelled,
        };
        Ok((counters, rest))
    }
}

/// What a process that did not close the spool may have been at: all that was due by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Interruption {
    /// When the spool was opened again, in milliseconds since the epoch.
    pub(super) opened: u64,
    /// What was placed since then has this sequence or a later one.
    pub(super) next_sequence: u64,
}

impl Stored<'_> for Interruption {
    fn take(_form: u8, octets: &[u8]) -> Result<(Self, &[u8]), Damage> {
        take(octets)
    }
}

fn class(number: u8) -> Result<Class, Damage> {
    Class::from_number(number).ok_or_else(|| Damage::of("no such class"))
}

#[derive(Serialize, Deserialize)]
struct Tls<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    cipher: Cow<'a, str>,
}

impl<'a> Tls<'a> {
    fn of(tls: &'a TlsParameters) -> Self {
        Self {
            version: Cow::Borrowed(&tls.version),
            cipher: Cow::Borrowed(&tls.cipher),
        }
    }

    fn read(&self) -> TlsParameters {
        TlsParameters {
            version: self.version.to_string(),
            cipher: self.cipher.to_string(),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Hop<'a> {
    Domain(#[serde(borrow)] Cow<'a, str>),
    Smarthost(#[serde(borrow)] Cow<'a, str>),
}

impl<'a> Hop<'a> {
    fn of(next_hop: &'a NextHop) -> Self {
        match next_hop {
            NextHop::Domain(domain) => Self::Domain(Cow::Borrowed(domain)),
            NextHop::Smarthost(host) => Self::Smarthost(Cow::Borrowed(host)),
        }
    }

    fn read(&self) -> NextHop {
        match self {
            Self::Domain(domain) => NextHop::Domain((**domain).into()),
            Self::Smarthost(host) => NextHop::Smarthost((**host).into()),
        }
    }
}

#[cfg(test)]
mod tests;
