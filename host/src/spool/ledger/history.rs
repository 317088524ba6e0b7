//! Forgetting finished messages: which, and how many at once.
//!
//! How much is kept is the writer's to say, and what a message counts for stands in its row.

use std::ops::Bound;

use crate::message::{MessageId, Timestamp};

use super::Ledger;
use crate::spool::redb::StoreError;
use crate::spool::rows::{self, Kept};
use crate::spool::settings::SWEEP_MORE_MAX;
use crate::spool::sheet::Sheet;
use crate::spool::trails;
use crate::spool::view::Scan;

/// What forgetting finished messages came to.
#[derive(Debug)]
pub(in crate::spool) struct Swept {
    /// Whether there is more to do.
    pub(in crate::spool) waits: bool,
    /// There is none before this key.
    pub(in crate::spool) up_to: Vec<u8>,
}

impl Ledger<'_, '_> {
    /// Forgets finished messages: those finished before `kept_since`, and the oldest of more than
    /// `records_max`, large ones counted as several. At most `at_once_max`, and some for each that this
    /// transaction finishes. Begins at the key up to which the last sweep found none: what it removed is still in
    /// the memtable.
    pub(in crate::spool) fn sweep(
        &mut self,
        from: &[u8],
        kept_since: Timestamp,
        records_max: u64,
        at_once_max: usize,
    ) -> Result<Swept, StoreError> {
        let more = (2 * self.finished).min(SWEEP_MORE_MAX);
        let at_once_max = at_once_max + usize::try_from(more).unwrap_or(0);
        let surplus = self.counters.finished.saturating_sub(records_max);
        let mut old: Vec<(Vec<u8>, Option<MessageId>, Kept)> = Vec::new();
        let mut weight = 0;
        let mut waits = false;
        // A clock that was put back finishes messages before those that are forgotten.
        let from = match &self.finished_first {
            Some(first) if first[..] < *from => first,
            _ => from,
        };
        let range = (Bound::Included(from), Bound::Unbounded);
        self.rows.scan(Sheet::Finished, range, &mut |key, row| {
            let finished = rows::read_finished_key(key);
            let is_old = finished.is_none_or(|(at, _)| at < kept_since);
            if !is_old && weight >= surplus {
                return Scan::Stop;
            }
            if old.len() == at_once_max || weight >= SWEEP_MORE_MAX {
                waits = true;
                return Scan::Stop;
            }
            let kept = Kept::from_row(row);
            weight += u64::from(kept.weight);
            old.push((key.to_vec(), finished.map(|(_, id)| id), kept));
            Scan::On
        })?;
        let mut up_to = from.to_vec();
        for (key, id, kept) in old {
            self.rows.remove(Sheet::Finished, &key);
            match id {
                Some(id) if kept.is_one_row => {
                    self.rows.remove(Sheet::Messages, &rows::message_key(id));
                }
                Some(id) => self.forget(id)?,
                None => {}
            }
            up_to = key;
        }
        self.counters.finished = self.counters.finished.saturating_sub(weight);
        Ok(Swept { waits, up_to })
    }

    /// Forgets what is kept of a message.
    pub(super) fn forget(&mut self, id: MessageId) -> Result<(), StoreError> {
        self.rows.remove(Sheet::Messages, &rows::message_key(id));
        trails::remove(self.rows, id)
    }
}
