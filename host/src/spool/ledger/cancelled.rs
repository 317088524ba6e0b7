//! Removing for good what was cancelled and was not restored: which of it, and how much at once.

use std::ops::Bound;
use std::time::Duration;

use crate::message::{DeliveryId, Timestamp};

use super::Ledger;
use crate::spool::change::removed;
use crate::spool::redb::StoreError;
use crate::spool::rows::{self, Fault};
use crate::spool::sheet::Sheet;
use crate::spool::view::Scan;

/// What removing for good came to.
#[derive(Clone, Copy, Debug)]
pub(in crate::spool) struct Removed {
    /// How many deliveries were removed.
    pub(in crate::spool) deliveries: usize,
    /// Nothing more is to be removed before then, unless room is needed.
    pub(in crate::spool) next: Timestamp,
    /// Some stay until attempts at them have ended.
    pub(in crate::spool) some_stay: bool,
}

/// What cannot be removed since an attempt is under way is looked at again after this time. When the attempt is settled
/// it goes by itself; this is for one that was given back.
const STAYS_FOR: Duration = Duration::from_secs(60);

impl Ledger<'_, '_> {
    /// Removes at most `at_once_max` cancelled deliveries for good: those whose time is over, and where room is
    /// needed others too, each time those first whose time is over first. What is being attempted stays. A message of
    /// which nothing else is left is finished.
    pub(in crate::spool) fn remove_cancelled(
        &mut self,
        for_room: bool,
        at_once_max: usize,
        is_leased: &dyn Fn(DeliveryId) -> bool,
    ) -> Result<Removed, StoreError> {
        let mut found = Vec::new();
        let (mut next, mut some_stay) = (Timestamp::NEVER, false);
        let now = self.now;
        let everything = (Bound::Unbounded, Bound::Unbounded);
        self.rows
            .scan(Sheet::Cancelled, everything, &mut |key, _| {
                let read = rows::read_cancelled_key(key);
                let until = read.map_or(Timestamp::EPOCH, |(until, _)| until);
                if found.len() == at_once_max || (until > now && !for_room) {
                    next = until;
                    return Scan::Stop;
                }
                match read.is_some_and(|(_, id)| is_leased(id)) {
                    true => some_stay = true,
                    false => found.push((key.to_vec(), read)),
                }
                Scan::On
            })?;
        if some_stay {
            next = next.min(now.plus(STAYS_FOR));
        }
        for (key, read) in &found {
            let Some((until, id)) = read else {
                tracing::error!("a row of what was cancelled is damaged and is removed");
                self.rows.remove(Sheet::Cancelled, key);
                continue;
            };
            match self.remove_one(*id, for_room && *until > now) {
                Ok(()) => {}
                Err(Fault::Store(error)) => return Err(error),
                Err(Fault::Damaged(damage)) => {
                    tracing::error!(message_id = %id.message, delivery = %id, %damage, "a cancelled delivery cannot be read, and is not removed");
                    // Its message stays as it is; it is not come upon again and again.
                    self.rows.remove(Sheet::Cancelled, key);
                    self.counters.cancelled = self.counters.cancelled.saturating_sub(1);
                }
            }
        }
        Ok(Removed {
            deliveries: found.len(),
            next,
            some_stay,
        })
    }

    fn remove_one(&mut self, id: DeliveryId, for_room: bool) -> Result<(), Fault> {
        let Some(standing) = rows::standing(self.rows, id)? else {
            return Ok(());
        };
        self.counts_of_kept(id.message)?;
        self.count_removed(id.message, &standing.delivery.recipients);
        self.leave(standing)?;
        self.end_or_add_trail(id.message, &[removed(self.now, for_room)], None)
    }

    /// Until when the first of what was cancelled here can be restored.
    pub(in crate::spool) fn cancelled_first(&self) -> Timestamp {
        self.cancelled_first
    }
}
