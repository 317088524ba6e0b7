//! A stop in its stored form.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::message::Timestamp;
use crate::spool::{Stop, StopOf};

use super::{Damage, Hop, Stored, take};

/// What was stopped, by whom and when.
#[derive(Serialize, Deserialize)]
pub(in crate::spool) struct StopRecord<'a> {
    #[serde(borrow)]
    of: Of<'a>,
    #[serde(borrow)]
    by: Cow<'a, str>,
    at: u64,
}

#[derive(Serialize, Deserialize)]
enum Of<'a> {
    All,
    NextHop(#[serde(borrow)] Hop<'a>),
    User(#[serde(borrow)] Cow<'a, str>),
    List(#[serde(borrow)] Cow<'a, str>),
}

impl<'a> Stored<'a> for StopRecord<'a> {
    fn take(_form: u8, octets: &'a [u8]) -> Result<(Self, &'a [u8]), Damage> {
        take(octets)
    }
}

impl<'a> StopRecord<'a> {
    pub(in crate::spool) fn of(stop: &'a Stop) -> Self {
        Self {
            of: match &stop.of {
                StopOf::All => Of::All,
                StopOf::NextHop(next_hop) => Of::NextHop(Hop::of(next_hop)),
                StopOf::User(name) => Of::User(Cow::Borrowed(name)),
                StopOf::List(name) => Of::List(Cow::Borrowed(name)),
            },
            by: Cow::Borrowed(&stop.by),
            at: stop.at.unix_milliseconds(),
        }
    }

    pub(in crate::spool) fn read(self) -> Stop {
        Stop {
            of: match self.of {
                Of::All => StopOf::All,
                Of::NextHop(next_hop) => StopOf::NextHop(next_hop.read()),
                Of::User(name) => StopOf::User(name.into_owned()),
                Of::List(name) => StopOf::List(name.into_owned()),
            },
            by: self.by.into_owned(),
            at: Timestamp::from_unix_milliseconds(self.at),
        }
    }
}
