//! Refused senders as rows: one for each user and sender.

use super::Ledger;
use crate::spool::redb::StoreError;
use crate::spool::refusals::Plan;
use crate::spool::sheet::Sheet;
use crate::spool::stored::{self, RefusalRecord};

impl Ledger<'_, '_> {
    /// Makes the changes of a plan, and counts the messages of lists and users that it comes from.
    pub(in crate::spool) fn refused<'m>(
        &mut self,
        plan: &Plan,
        messages: impl Iterator<Item = (&'m str, &'m str, u64)>,
    ) -> Result<(), StoreError> {
        for (list, user, times) in messages {
            self.tally.refused(list, user, times, self.now);
        }
        for (key, row) in &plan.rows {
            let key = key.octets();
            match row {
                Some(row) => {
                    let row = stored::write(&RefusalRecord::of(row));
                    let row = row.map_err(|damage| StoreError::Failed(damage.into()))?;
                    self.rows.put(Sheet::Refusals, &key, &row);
                }
                None => self.rows.remove(Sheet::Refusals, &key),
            }
        }
        Ok(())
    }
}
