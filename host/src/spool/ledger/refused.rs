//! Refused senders as rows: one for each user and sender.

use super::Ledger;
use crate::spool::redb::StoreError;
use crate::spool::refusals::Plan;
use crate::spool::sheet::Sheet;
use crate::spool::stored::{self, RefusalRecord};

impl Ledger<'_, '_> {
    /// Makes the changes of a plan.
    pub(in crate::spool) fn refused(&mut self, plan: &Plan) -> Result<(), StoreError> {
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
