//! A refused sender in its stored form.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::message::{Address, Timestamp};
use crate::spool::{KeptRefusal, NamedIn, Refusal, RefusalId};

use super::{Damage, Stored, take};

/// Who was refused as whom, how often and when.
#[derive(Serialize, Deserialize)]
pub(in crate::spool) struct RefusalRecord<'a> {
    id: u64,
    #[serde(borrow)]
    list: Cow<'a, str>,
    #[serde(borrow)]
    user: Cow<'a, str>,
    /// Local part and domain; none for the null reverse-path.
    #[serde(borrow)]
    sender: Option<(Cow<'a, str>, Cow<'a, str>)>,
    is_in_header: bool,
    count: u64,
    first: u64,
    last: u64,
    clients: Cow<'a, [IpAddr]>,
    reasons: Cow<'a, [String]>,
}

impl<'a> Stored<'a> for RefusalRecord<'a> {
    fn take(_form: u8, octets: &'a [u8]) -> Result<(Self, &'a [u8]), Damage> {
        take(octets)
    }
}

impl<'a> RefusalRecord<'a> {
    pub(in crate::spool) fn of(row: &'a KeptRefusal) -> Self {
        let refusal = &row.refusal;
        let sender = refusal.sender.as_ref();
        Self {
            id: row.id.to_bits(),
            list: Cow::Borrowed(&refusal.list),
            user: Cow::Borrowed(&refusal.user),
            sender: sender.map(|sender| (sender.local().into(), sender.domain().into())),
            is_in_header: refusal.named_in == NamedIn::Header,
            count: refusal.count,
            first: refusal.first.unix_milliseconds(),
            last: refusal.last.unix_milliseconds(),
            clients: Cow::Borrowed(&refusal.clients),
            reasons: Cow::Borrowed(&refusal.reasons),
        }
    }

    pub(in crate::spool) fn read(self) -> Result<KeptRefusal, Damage> {
        let address = |(local, domain): (Cow<'_, str>, Cow<'_, str>)| {
            Address::new(&local, &domain).map_err(|_| Damage::of("no address"))
        };
        let named_in = match self.is_in_header {
            true => NamedIn::Header,
            false => NamedIn::Envelope,
        };
        Ok(KeptRefusal {
            id: RefusalId::from_bits(self.id),
            refusal: Refusal {
                list: self.list.into_owned(),
                user: self.user.into_owned(),
                sender: self.sender.map(address).transpose()?,
                named_in,
                count: self.count,
                first: Timestamp::from_unix_milliseconds(self.first),
                last: Timestamp::from_unix_milliseconds(self.last),
                clients: self.clients.into_owned(),
                reasons: self.reasons.into_owned(),
            },
        })
    }
}
