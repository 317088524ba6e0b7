//! Stops as rows: one for each, under what it is of.

use super::{Effect, Ledger, Step, own};
use crate::spool::rows::{self, Fault};
use crate::spool::sheet::Sheet;
use crate::spool::stored::{self, StopRecord};
use crate::spool::{STOPS_MAX, SpoolError, Stop, StopOf, Stopped};

impl Ledger<'_, '_> {
    /// Stops something, unless it is stopped already.
    pub(in crate::spool) fn stop(&mut self, stop: &Stop) -> Step<Stopped> {
        own(self.try_stop(stop))
    }

    fn try_stop(&mut self, stop: &Stop) -> Result<Result<Stopped, SpoolError>, Fault> {
        let key = stop.of.key();
        if let Some(row) = self.rows.get(Sheet::Stops, &key)? {
            let already = stored::read::<StopRecord<'_>>(&row)?.read();
            return Ok(Ok(Stopped::Already(already)));
        }
        if rows::stops(self.rows)?.len() >= STOPS_MAX {
            return Ok(Ok(Stopped::TooMany));
        }
        let row = stored::write(&StopRecord::of(stop))?;
        self.rows.add(Sheet::Stops, &key, &row);
        self.effects.push(Effect::Stopped(stop.clone()));
        Ok(Ok(Stopped::Now))
    }

    /// Ends the stop of just this, if there is one.
    pub(in crate::spool) fn start(&mut self, of: &StopOf) -> Step<Option<Stop>> {
        own(self.try_start(of))
    }

    fn try_start(&mut self, of: &StopOf) -> Result<Result<Option<Stop>, SpoolError>, Fault> {
        let Some(row) = self.rows.take(Sheet::Stops, &of.key())? else {
            return Ok(Ok(None));
        };
        self.effects.push(Effect::Started(of.clone(), self.now));
        // What cannot be read is gone now.
        let stop = stored::read::<StopRecord<'_>>(&row).ok();
        Ok(Ok(stop.map(StopRecord::read)))
    }
}
