//! A survey: the queue as it is at one moment, to be read in whatever order its reader works out.
//!
//! What waits in which line, what is leased and what is held belong together: they are of the same moment, so that
//! each queued delivery is found once, however the queue goes on meanwhile. Reads a few rows at a time, so that a
//! reader of the first hundred of a million pays for a hundred. In which order mail leaves is for the queue to say.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use crate::message::{Class, DeliveryId, Line, MessageId, NextHop, Timestamp};

use super::common::Common;
use super::heads::first_line;
use super::place::{self, Place, Spot};
use super::redb::StoreError;
use super::rows::{self, Fault};
use super::sheet::Sheet;
use super::view::{Scan, View};
use super::window::First;
use super::{Head, QueueState, Row, SpoolError};

/// The queue at one moment. Its methods may wait for the disk, so they are called on threads that may. As long as it
/// is kept, the room of what leaves the queue is not given back to the disk.
pub trait Survey: Send {
    /// The lines that may be claimed from as things stand, with the first of their deliveries as far as that is known
    /// without a look at the disk.
    fn lines(&mut self) -> Vec<(Arc<Line>, Option<Waiting>)>;

    /// Lanes and classes that may have other lines besides, which take the place of those when they have had their turn.
    fn hiding(&mut self) -> Vec<(NextHop, Class)>;

    /// The next line in which something waits, leased or not, in the order of lane, class and user.
    ///
    /// # Errors
    /// The backend failed.
    fn next_line(&self, from: LinesFrom<'_>) -> Result<Option<Line>, SpoolError>;

    /// What is leased, cancelled meanwhile or not: more urgent classes first, inside a class by acceptance.
    fn leased(&mut self) -> Vec<DeliveryId>;

    /// The next waiting deliveries of a line that are not leased, in order: those behind another one, at most so many.
    ///
    /// # Errors
    /// The backend failed.
    fn waiting(
        &self,
        line: &Line,
        after: Option<Waiting>,
        most: usize,
    ) -> Result<Vec<Waiting>, SpoolError>;

    /// The next held deliveries that are not leased, by lane, class, user and due time: those behind another one, at
    /// most so many.
    ///
    /// # Errors
    /// The backend failed.
    fn held(
        &self,
        after: Option<&(Line, Waiting)>,
        most: usize,
    ) -> Result<Vec<(Line, Waiting)>, SpoolError>;

    /// All that is known of a delivery; none when it cannot be read.
    ///
    /// # Errors
    /// The backend failed.
    fn row(&self, id: DeliveryId, now: Timestamp) -> Result<Option<Row>, SpoolError>;
}

/// From where on lines are looked for.
#[derive(Clone, Copy, Debug)]
pub enum LinesFrom<'a> {
    /// From the first one on.
    Start,
    /// From the first one of a lane and class on.
    Lane(&'a NextHop, Class),
    /// From this one on.
    Line(&'a Line),
    /// From behind this one on.
    Behind(&'a Line),
}

/// A delivery in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub id: DeliveryId,
    /// Where it stands.
    pub head: Head,
}

impl Waiting {
    pub(super) fn at(spot: Spot, message: MessageId) -> Self {
        Self {
            id: DeliveryId {
                message,
                number: spot.number,
            },
            head: spot.head(),
        }
    }

    pub(super) fn spot(self) -> Spot {
        Spot {
            due: self.head.due,
            sequence: self.head.sequence,
            number: self.id.number,
        }
    }
}

/// A survey of the database.
struct Surveyed {
    common: Arc<Common>,
    view: View,
    leased: HashSet<DeliveryId>,
    /// Taken once.
    in_order: Vec<DeliveryId>,
    lines: Vec<(Arc<Line>, Option<Waiting>)>,
    hiding: Vec<(NextHop, Class)>,
}

/// What is in the database and in memory now. Waits for a commit that is under way.
pub(super) fn survey(common: &Arc<Common>) -> Result<Box<dyn Survey>, SpoolError> {
    let (view, mut leased, lines, hiding) = {
        let _step = common.step();
        let view = common.store.view()?;
        let board = common.board();
        let leased: Vec<_> = board
            .leases
            .kept()
            .map(|(id, place)| (place.line.class, place.spot.sequence, id))
            .collect();
        let lines: Vec<_> = board
            .lines
            .firsts()
            .map(|(line, first)| {
                let first = match first {
                    First::At(spot, id) => Some(Waiting::at(spot, id.message)),
                    First::Behind(_) | First::Nothing => None,
                };
                (Arc::clone(line), first)
            })
            .collect();
        let hiding = board.lines.hiding();
        let hiding = hiding.map(|(next_hop, class)| (next_hop.clone(), class));
        (view, leased, lines, hiding.collect())
    };
    leased.sort_unstable();
    let in_order: Vec<DeliveryId> = leased.into_iter().map(|(.., id)| id).collect();
    Ok(Box::new(Surveyed {
        common: Arc::clone(common),
        view,
        leased: in_order.iter().copied().collect(),
        in_order,
        lines,
        hiding,
    }))
}

impl Surveyed {
    fn read<R>(&self, work: impl FnOnce(&View) -> Result<R, StoreError>) -> Result<R, SpoolError> {
        let read = self.common.store.read_in(&self.view, work);
        Ok(read.inspect_err(|_| self.common.inbox.suspect())?)
    }

    /// The deliveries of a sheet that are not leased.
    fn unleased(
        &self,
        sheet: Sheet,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        most: usize,
    ) -> Result<Vec<(Line, Waiting)>, SpoolError> {
        self.read(|rows| {
            let mut found = Vec::new();
            rows.scan(sheet, range, &mut |key, row| {
                let read = Place::from_key(key).zip(rows::read_message_key(row));
                match read {
                    Some((place, message)) => {
                        let waiting = Waiting::at(place.spot, message);
                        if !self.leased.contains(&waiting.id) {
                            found.push((place.line, waiting));
                        }
                    }
                    None => {
                        tracing::error!("a row of the queue is damaged and is passed over");
                    }
                }
                match found.len() < most {
                    true => Scan::On,
                    false => Scan::Stop,
                }
            })?;
            Ok(found)
        })
    }
}

impl Survey for Surveyed {
    fn lines(&mut self) -> Vec<(Arc<Line>, Option<Waiting>)> {
        std::mem::take(&mut self.lines)
    }

    fn hiding(&mut self) -> Vec<(NextHop, Class)> {
        std::mem::take(&mut self.hiding)
    }

    fn next_line(&self, from: LinesFrom<'_>) -> Result<Option<Line>, SpoolError> {
        self.read(|rows| first_line(rows, from))
    }

    fn leased(&mut self) -> Vec<DeliveryId> {
        std::mem::take(&mut self.in_order)
    }

    fn waiting(
        &self,
        line: &Line,
        after: Option<Waiting>,
        most: usize,
    ) -> Result<Vec<Waiting>, SpoolError> {
        let prefix = place::line_prefix(line);
        let from = match after {
            Some(after) => place::key(line, after.spot()),
            None => prefix.clone(),
        };
        let end = place::after_all(&prefix);
        let range = (Bound::Excluded(&from[..]), Bound::Excluded(&end[..]));
        let found = self.unleased(Sheet::Waiting, range, most)?;
        Ok(found.into_iter().map(|(_, waiting)| waiting).collect())
    }

    fn held(
        &self,
        after: Option<&(Line, Waiting)>,
        most: usize,
    ) -> Result<Vec<(Line, Waiting)>, SpoolError> {
        let after = after.map(|(line, waiting)| place::key(line, waiting.spot()));
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.unleased(Sheet::Held, (from, Bound::Unbounded), most)
    }

    fn row(&self, id: DeliveryId, now: Timestamp) -> Result<Option<Row>, SpoolError> {
        let read = self.read(|rows| {
            Fault::apart((|| {
                let standing = rows::standing(rows, id)?;
                Ok(standing.zip(rows::message(rows, id.message)?))
            })())
        })?;
        let found = read.unwrap_or_else(|damage| {
            tracing::error!(message_id = %id.message, %damage, "a queued message cannot be read");
            None
        });
        Ok(found.map(|(standing, message)| {
            let delivery = standing.delivery;
            let state = match self.leased.contains(&id) {
                true => QueueState::Active,
                false => QueueState::of(&delivery, false, now),
            };
            Row {
                delivery,
                message: Arc::new(message),
                state,
            }
        }))
    }
}
