//! A survey of the spool in memory: a copy of all that is queued.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::message::{
    Class, Delivery, DeliveryId, DeliveryState, Line, Message, NextHop, Timestamp,
};

use super::super::place::{Place, Spot};
use super::super::survey::{LinesFrom, Survey, Waiting};
use super::super::{QueueState, Row, SpoolError};
use super::Shelf;

/// What is queued, in order of places.
struct Surveyed {
    queue: BTreeMap<Place, DeliveryId>,
    found: BTreeMap<DeliveryId, Found>,
}

struct Found {
    delivery: Delivery,
    message: Arc<Message>,
    is_leased: bool,
}

impl Shelf {
    pub(super) fn survey(&self) -> Box<dyn Survey> {
        let cancelled = self.cancelled.iter().map(|(_, id)| id);
        let cancelled = cancelled.filter(|id| self.leases.is_leased(**id));
        let found = self.queue.values().chain(cancelled).map(|id| {
            let (kept, delivery) = self.delivery(*id);
            let found = Found {
                delivery: delivery.clone(),
                message: Arc::clone(&kept.message),
                is_leased: self.leases.is_leased(*id),
            };
            (*id, found)
        });
        Box::new(Surveyed {
            found: found.collect(),
            queue: self.queue.clone(),
        })
    }
}

impl Surveyed {
    fn unleased(
        &self,
        after: Bound<Place>,
        state: DeliveryState,
    ) -> impl Iterator<Item = (&Place, Waiting)> {
        let rows = self.queue.range((after, Bound::Unbounded));
        rows.filter(move |(_, id)| {
            let found = &self.found[*id];
            found.delivery.state == state && !found.is_leased
        })
        .map(|(place, id)| (place, Waiting::at(place.spot, id.message)))
    }
}

impl Survey for Surveyed {
    fn lines(&mut self) -> Vec<(Arc<Line>, Option<Waiting>)> {
        let mut lines: Vec<(Arc<Line>, Option<Waiting>)> = Vec::new();
        for (place, waiting) in self.unleased(Bound::Unbounded, DeliveryState::Waiting) {
            if lines.last().is_none_or(|(line, _)| **line != place.line) {
                lines.push((Arc::new(place.line.clone()), Some(waiting)));
            }
        }
        lines
    }

    fn hiding(&mut self) -> Vec<(NextHop, Class)> {
        Vec::new()
    }

    fn next_line(&self, from: LinesFrom<'_>) -> Result<Option<Line>, SpoolError> {
        let is_behind = |line: &Line| match from {
            LinesFrom::Start => true,
            LinesFrom::Lane(next_hop, class) => (&line.next_hop, line.class) >= (next_hop, class),
            LinesFrom::Line(other) => line >= other,
            LinesFrom::Behind(other) => line > other,
        };
        let mut waiting = self
            .queue
            .iter()
            .filter(|(_, id)| self.found[*id].delivery.state == DeliveryState::Waiting);
        let found = waiting.find(|(place, _)| is_behind(&place.line));
        Ok(found.map(|(place, _)| place.line.clone()))
    }

    fn leased(&mut self) -> Vec<DeliveryId> {
        let leased = self.found.iter().filter(|(_, found)| found.is_leased);
        let mut leased: Vec<_> = leased
            .map(|(id, found)| (found.message.class, found.delivery.sequence, *id))
            .collect();
        leased.sort_unstable();
        leased.into_iter().map(|(.., id)| id).collect()
    }

    fn waiting(
        &self,
        line: &Line,
        after: Option<Waiting>,
        most: usize,
    ) -> Result<Vec<Waiting>, SpoolError> {
        let place = |spot| Place {
            line: line.clone(),
            spot,
        };
        let from = match after {
            Some(after) => Bound::Excluded(place(after.spot())),
            None => Bound::Included(place(Spot {
                due: Timestamp::EPOCH,
                sequence: 0,
                number: 0,
            })),
        };
        let rows = self.unleased(from, DeliveryState::Waiting);
        let rows = rows.take_while(|(place, _)| place.line == *line);
        Ok(rows.take(most).map(|(_, waiting)| waiting).collect())
    }

    fn held(
        &self,
        after: Option<&(Line, Waiting)>,
        most: usize,
    ) -> Result<Vec<(Line, Waiting)>, SpoolError> {
        let from = after.map(|(line, waiting)| Place {
            line: line.clone(),
            spot: waiting.spot(),
        });
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.unleased(from, DeliveryState::Held);
        let rows = rows.map(|(place, waiting)| (place.line.clone(), waiting));
        Ok(rows.take(most).collect())
    }

    fn row(&self, id: DeliveryId, now: Timestamp) -> Result<Option<Row>, SpoolError> {
        Ok(self.found.get(&id).map(|found| Row {
            delivery: found.delivery.clone(),
            message: Arc::clone(&found.message),
            state: match found.is_leased {
                true => QueueState::Active,
                false => QueueState::of(&found.delivery, false, now),
            },
        }))
    }
}
