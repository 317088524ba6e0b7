//! The spool in memory, listed.

use std::ops::Bound;
use std::sync::Arc;

use super::{Memory, Shelf};
use crate::message::{DeliveryId, MessageId};
use crate::spool::change::Among;
use crate::spool::cursor::Cursor;
use crate::spool::listing::Filling;
use crate::spool::{
    Page, PageRequest, QueueState, ROWS_EXAMINED_MAX, Record, Row, Selection, SpoolError,
};

impl Memory {
    pub(super) fn page(
        &self,
        selection: &Selection,
        request: &PageRequest,
    ) -> Result<Page, SpoolError> {
        let shelf = self.open_shelf()?;
        let among = Among::of_listing(selection);
        let after = match &request.cursor {
            Some(text) => Some(Cursor::from_text(text, among).ok_or(SpoolError::Unknown)?),
            None => None,
        };
        let mut page = Filling::of(request);
        let mut rows = shelf.behind(among, after.as_ref()).peekable();
        let mut examined = 0;
        while let Some((id, cursor)) = rows.next() {
            examined += 1;
            let (kept, delivery) = shelf.delivery(id);
            let state = QueueState::of(delivery, shelf.leases.is_leased(id), request.now);
            if selection.matches(delivery, &kept.message, state, &self.stops) {
                page.push(Row {
                    delivery: delivery.clone(),
                    message: Arc::clone(&kept.message),
                    state,
                });
            }
            if page.is_full() || examined == ROWS_EXAMINED_MAX {
                let cursor = rows.peek().map(|_| cursor.to_text());
                let rows = page.end();
                return Ok(Page { rows, cursor });
            }
        }
        Ok(Page {
            rows: page.end(),
            cursor: None,
        })
    }

    pub(super) fn record(&self, id: MessageId) -> Result<Option<Record>, SpoolError> {
        let shelf = self.open_shelf()?;
        let now = self.clock.now();
        Ok(shelf.messages.get(&id).map(|kept| Record {
            message: Arc::clone(&kept.message),
            deliveries: kept
                .deliveries
                .values()
                .map(|delivery| {
                    let leased = shelf.leases.is_leased(delivery.id);
                    (delivery.clone(), QueueState::of(delivery, leased, now))
                })
                .collect(),
            trail: kept.trail.clone(),
            finished: kept.finished,
        }))
    }
}

impl Shelf {
    /// How many deliveries of a user are queued.
    pub(super) fn queued_of(&self, user: &str) -> u64 {
        let queued = self.queue.keys();
        let of_user = queued.filter(|place| place.line.user.eq_ignore_ascii_case(user));
        of_user.count() as u64
    }

    /// The deliveries among these, behind that one, each with the cursor behind it.
    pub(super) fn behind(
        &self,
        among: Among,
        after: Option<&Cursor>,
    ) -> Box<dyn Iterator<Item = (DeliveryId, Cursor)> + '_> {
        match among {
            Among::Queued => {
                let from = match after {
                    Some(Cursor::Queued(place)) => Bound::Excluded(place.clone()),
                    _ => Bound::Unbounded,
                };
                let rows = self.queue.range((from, Bound::Unbounded));
                Box::new(rows.map(|(place, id)| (*id, Cursor::Queued(place.clone()))))
            }
            Among::Cancelled => {
                let from = match after {
                    Some(Cursor::Cancelled(until, id)) => Bound::Excluded((*until, *id)),
                    _ => Bound::Unbounded,
                };
                let rows = self.cancelled.range((from, Bound::Unbounded));
                Box::new(rows.map(|(until, id)| (*id, Cursor::Cancelled(*until, *id))))
            }
        }
    }
}
