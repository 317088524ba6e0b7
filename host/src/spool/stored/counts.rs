//! Counts of mail in their stored form: of one hour, and of the hours of a day or the days of a block together.
//!
//! Most counts are small and most ranges of times are empty, so numbers take as many octets as they need.

use serde::{Deserialize, Serialize};

use crate::message::{Counts, Latency};

use super::{Damage, Stored, take};

/// Counts of one hour. Since the fifth form.
#[derive(Serialize, Deserialize)]
pub(in crate::spool) struct CountsRecord {
    accepted: i64,
    recipients: i64,
    sent: i64,
    deferred: i64,
    bounced: i64,
    expired: i64,
    removed: i64,
    refused: i64,
    latency: Vec<(u8, i64)>,
}

impl CountsRecord {
    pub(in crate::spool) fn of(counts: &Counts) -> Self {
        Self {
            accepted: counts.accepted,
            recipients: counts.recipients,
            sent: counts.sent,
            deferred: counts.deferred,
            bounced: counts.bounced,
            expired: counts.expired,
            removed: counts.removed,
            refused: counts.refused,
            latency: counts.latency.ranges().to_vec(),
        }
    }

    pub(in crate::spool) fn read(self) -> Counts {
        Counts {
            accepted: self.accepted,
            recipients: self.recipients,
            sent: self.sent,
            deferred: self.deferred,
            bounced: self.bounced,
            expired: self.expired,
            removed: self.removed,
            refused: self.refused,
            latency: Latency::of_ranges(self.latency),
        }
    }
}

/// Counts of an hour that goes on, and how many more recipients are queued since it began. Since the fifth form.
#[derive(Serialize, Deserialize)]
pub(in crate::spool) struct HourRecord {
    pub(in crate::spool) counts: CountsRecord,
    pub(in crate::spool) queued: i64,
}

impl Stored<'_> for HourRecord {
    fn take(_form: u8, octets: &[u8]) -> Result<(Self, &[u8]), Damage> {
        take(octets)
    }
}

/// Counts of several hours or days, each with which one it is, in their order. Since the fifth form.
#[derive(Serialize, Deserialize)]
pub(in crate::spool) struct PartsRecord(Vec<(u8, CountsRecord)>);

impl PartsRecord {
    pub(in crate::spool) fn of(parts: &[(u8, Counts)]) -> Self {
        let parts = parts.iter();
        Self(
            parts
                .map(|(which, counts)| (*which, CountsRecord::of(counts)))
                .collect(),
        )
    }

    pub(in crate::spool) fn read(self) -> Vec<(u8, Counts)> {
        let parts = self.0.into_iter();
        parts
            .map(|(which, counts)| (which, counts.read()))
            .collect()
    }
}

impl Stored<'_> for PartsRecord {
    fn take(_form: u8, octets: &[u8]) -> Result<(Self, &[u8]), Damage> {
        take(octets)
    }
}

/// A number that counts things. Since the fifth form.
#[derive(Serialize, Deserialize)]
pub(in crate::spool) struct NumberRecord(pub(in crate::spool) i64);

impl Stored<'_> for NumberRecord {
    fn take(_form: u8, octets: &[u8]) -> Result<(Self, &[u8]), Damage> {
        take(octets)
    }
}
