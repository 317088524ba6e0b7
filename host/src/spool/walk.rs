//! Walking through the queue in its order, or through what was cancelled: for listings, and for changes by an operator.

use std::ops::Bound;

use crate::message::{DeliveryId, Message, MessageId, Timestamp};

use super::change::{Among, Concerned};
use super::cursor::Cursor;
use super::redb::StoreError;
use super::rows::{self, Fault, Standing};
use super::sheet::Sheet;
use super::view::{Scan, View};
use super::{QueueState, Selection, Stops};

/// A row's key and the message that it belongs to.
type Keyed = (Vec<u8>, MessageId);

/// Rows that are looked up at once.
const STRIDE: usize = 256;

/// What is looked for, and with which eyes.
pub(super) struct Walk<'a> {
    pub(super) selection: &'a Selection,
    /// Among what.
    pub(super) among: Among,
    /// For telling waiting from deferred.
    pub(super) now: Timestamp,
    /// For telling who is active.
    pub(super) is_leased: &'a dyn Fn(DeliveryId) -> bool,
    /// For telling what is stopped.
    pub(super) stops: &'a Stops,
}

/// A delivery that was found.
pub(super) struct Found {
    pub(super) standing: Standing,
    pub(super) message: Message,
    pub(super) state: QueueState,
}

impl Walk<'_> {
    /// Shows `visit` the deliveries that are meant, in order, from behind the key `after` on, until
    /// it has seen enough or `examined_max` have been looked at. Where to go on; none at the end.
    pub(super) fn on(
        &self,
        rows: &View,
        after: Option<Vec<u8>>,
        examined_max: usize,
        visit: &mut dyn FnMut(Found) -> Scan,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut after = after;
        let mut examined = 0;
        loop {
            let (stride, is_end) = self.stride(rows, after.as_deref())?;
            for (index, (key, message)) in stride.iter().enumerate() {
                let scan = match self.look_at(rows, key, *message) {
                    Ok(Some(found)) => visit(found),
                    Ok(None) => Scan::On,
                    Err(Fault::Store(error)) => return Err(error),
                    Err(Fault::Damaged(damage)) => {
                        tracing::error!(message_id = %message, %damage, "a queued message cannot be read");
                        Scan::On
                    }
                };
                examined += 1;
                if scan == Scan::Stop || examined == examined_max {
                    let is_last = is_end && index + 1 == stride.len();
                    return Ok((!is_last).then(|| key.clone()));
                }
            }
            match stride.into_iter().next_back() {
                Some((key, _)) if !is_end => after = Some(key),
                _ => return Ok(None),
            }
        }
    }

    /// The next rows in order, and whether they are the last ones.
    fn stride(&self, rows: &View, after: Option<&[u8]>) -> Result<(Vec<Keyed>, bool), StoreError> {
        if let Some(id) = self.selection.message {
            return Ok((of_message(rows, self.among, id, after)?, true));
        }
        if self.among == Among::Cancelled {
            let stride = after_key(rows, Sheet::Cancelled, after)?;
            let is_end = stride.len() < STRIDE;
            return Ok((stride, is_end));
        }
        let waiting = after_key(rows, Sheet::Waiting, after)?;
        let held = after_key(rows, Sheet::Held, after)?;
        // Behind the last row of a full stride there may be more of that sheet: up to the nearer
        // of the two ends the order is known.
        let end = [&waiting, &held]
            .into_iter()
            .filter(|stride| stride.len() == STRIDE)
            .filter_map(|stride| stride.last())
            .map(|(key, _)| key.clone())
            .min();
        let mut stride = waiting;
        stride.extend(held);
        stride.sort();
        if let Some(end) = &end {
            stride.retain(|(key, _)| key <= end);
        }
        Ok((stride, end.is_none()))
    }

    /// What is found, as one that a change concerns.
    pub(super) fn one(&self, found: &Found) -> Concerned {
        let mut concerned = Concerned::default();
        self.count(&found.standing, &mut concerned);
        concerned
    }

    fn count(&self, standing: &Standing, concerned: &mut Concerned) {
        let is_leased = (self.is_leased)(standing.delivery.id);
        concerned.add_one(is_leased, self.stops.has(&standing.place.line));
    }

    /// The deliveries of its message that are queued, when it is the first of them that is meant; none otherwise.
    pub(super) fn of_message(&self, rows: &View, found: &Found) -> Result<Concerned, Fault> {
        let id = found.standing.delivery.id;
        let mut queued = Concerned::default();
        for standing in rows::standings(rows, id.message)? {
            let delivery = &standing.delivery;
            if !Among::Queued.has(delivery) {
                continue;
            }
            let state = QueueState::of(delivery, (self.is_leased)(delivery.id), self.now);
            let is_meant = self
                .selection
                .matches(delivery, &found.message, state, self.stops);
            if delivery.id < id && is_meant {
                return Ok(Concerned::default());
            }
            self.count(&standing, &mut queued);
        }
        Ok(queued)
    }

    fn look_at(&self, rows: &View, key: &[u8], message: MessageId) -> Result<Option<Found>, Fault> {
        let number = match Cursor::behind(self.among, key) {
            Some(Cursor::Queued(place)) => {
                if !self.selection.admits(&place.line, self.stops) {
                    return Ok(None);
                }
                place.spot.number
            }
            Some(Cursor::Cancelled(_, id)) => id.number,
            None => return Ok(None),
        };
        let id = DeliveryId { message, number };
        if !self.selection.names(id) {
            return Ok(None);
        }
        let Some(standing) = rows::standing(rows, id)? else {
            return Ok(None);
        };
        let Some(message) = rows::message(rows, message)? else {
            return Ok(None);
        };
        let state = QueueState::of(&standing.delivery, (self.is_leased)(id), self.now);
        let is_meant = self
            .selection
            .matches(&standing.delivery, &message, state, self.stops);
        Ok(is_meant.then_some(Found {
            standing,
            message,
            state,
        }))
    }
}

fn of_message(
    rows: &View,
    among: Among,
    id: MessageId,
    after: Option<&[u8]>,
) -> Result<Vec<(Vec<u8>, MessageId)>, StoreError> {
    let standings = match rows::standings(rows, id) {
        Ok(standings) => standings,
        Err(Fault::Store(error)) => return Err(error),
        Err(Fault::Damaged(damage)) => {
            tracing::error!(message_id = %id, %damage, "a queued message cannot be read");
            Vec::new()
        }
    };
    let mut keys: Vec<_> = standings
        .iter()
        .filter(|standing| among.has(&standing.delivery))
        .map(|standing| (standing.key(), id))
        .filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after))
        .collect();
    keys.sort();
    Ok(keys)
}

fn after_key(
    rows: &View,
    sheet: Sheet,
    after: Option<&[u8]>,
) -> Result<Vec<(Vec<u8>, MessageId)>, StoreError> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut found = Vec::new();
    rows.scan(sheet, (from, Bound::Unbounded), &mut |key, row| {
        let message = match sheet {
            Sheet::Cancelled => rows::read_cancelled_key(key).map(|(_, id)| id.message),
            _ => rows::read_message_key(row),
        };
        found.extend(message.map(|message| (key.to_vec(), message)));
        if found.len() == STRIDE {
            Scan::Stop
        } else {
            Scan::On
        }
    })?;
    Ok(found)
}
