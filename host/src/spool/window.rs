//! The window of a line: the first few of its waiting deliveries, in memory.
//!
//! Behind its horizon the rest is on disk, and is read when those are used up. So a claim takes from memory, and one read
//! in many finds the next few with one seek, whatever the backlog.

use std::collections::VecDeque;

use crate::message::{DeliveryId, MessageId, Timestamp};

use super::place::Spot;

/// So many deliveries of a line are read at once: enough that the read is a small part of what
/// delivering them costs.
pub(super) const WINDOW: usize = 64;

/// A line that is fed faster than it is claimed from keeps at most twice as many.
pub(super) const WINDOW_MAX: usize = 2 * WINDOW;

/// As many where there are very many lines, whose deliveries are to take a few megabytes together. A line that is claimed
/// from is read on, mostly for more: those of others that have gone left room.
pub(super) const WINDOW_MAX_OF_MANY: usize = 2;

/// The first few of a line.
#[derive(Debug)]
pub(super) struct Window {
    /// The first waiting deliveries that are not leased, in order: all up to the edge. Mostly few, so that they take
    /// less room, and no more time, than in a tree.
    spots: VecDeque<(Spot, MessageId)>,
    edge: Edge,
    /// When the line changed last, so that a read from disk can tell that it is stale.
    touched: u64,
}

/// How far a line is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// Nothing of it is.
    Unread,
    /// What stands behind this spot is on disk only. Spelt out, since a spot leaves no room for which of the three it is.
    At {
        due: Timestamp,
        sequence: u64,
        number: u32,
    },
    /// All of it is.
    End,
}

impl Edge {
    fn at(spot: Spot) -> Self {
        let Spot {
            due,
            sequence,
            number,
        } = spot;
        Self::At {
            due,
            sequence,
            number,
        }
    }

    /// The spot behind which the rest is on disk only, if that is known.
    fn spot(self) -> Option<Spot> {
        match self {
            Self::Unread | Self::End => None,
            Self::At {
                due,
                sequence,
                number,
            } => Some(Spot {
                due,
                sequence,
                number,
            }),
        }
    }
}

/// What is known of the first delivery of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing waits, as far as is shown.
    Nothing,
    /// It is to be read from disk.
    Behind(Horizon),
    /// It stands there.
    At(Spot, DeliveryId),
}

/// From where a line is to be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Horizon {
    /// Read what stands behind this spot; from the beginning where there is none.
    pub(super) after: Option<Spot>,
    touched: u64,
}

/// What was read of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Behind {
    /// At most [`WINDOW`] waiting deliveries, leased ones among them.
    pub(super) spots: Vec<(Spot, MessageId)>,
    /// Whether these were the last ones.
    pub(super) is_all: bool,
}

impl Window {
    /// Of a line in which nothing waits.
    pub(super) fn empty(touched: u64) -> Self {
        Self {
            spots: VecDeque::new(),
            edge: Edge::End,
            touched,
        }
    }

    /// Of a line of which nothing is known.
    pub(super) fn unread(touched: u64) -> Self {
        Self {
            spots: VecDeque::new(),
            edge: Edge::Unread,
            touched,
        }
    }

    /// Of a line that was read up to that spot, its first one, where that delivery waits unless it is leased.
    pub(super) fn up_to(spot: Spot, waiting: Option<MessageId>, touched: u64) -> Self {
        Self {
            spots: waiting.map(|message| (spot, message)).into_iter().collect(),
            edge: Edge::at(spot),
            touched,
        }
    }

    pub(super) fn first(&self) -> First {
        let after = match (self.spots.front(), self.edge) {
            (Some((spot, message)), _) => return First::At(*spot, name(*message, *spot)),
            (None, Edge::End) => return First::Nothing,
            (None, edge @ (Edge::At { .. } | Edge::Unread)) => edge.spot(),
        };
        First::Behind(Horizon {
            after,
            touched: self.touched,
        })
    }

    /// None of the line is due before then, as far as is known.
    pub(super) fn due(&self) -> Timestamp {
        match self.first() {
            First::At(spot, _) => spot.due,
            First::Behind(horizon) => horizon.after.map_or(Timestamp::EPOCH, |spot| spot.due),
            First::Nothing => Timestamp::NEVER,
        }
    }

    /// Whether the first one may be due, as far as is known.
    pub(super) fn may_be_due(&self, now: Timestamp) -> bool {
        match self.first() {
            First::At(spot, _) => spot.due <= now,
            First::Behind(_) => true,
            First::Nothing => false,
        }
    }

    /// Takes the first one out.
    pub(super) fn take_first(&mut self) {
        self.spots.pop_front();
        self.give_room_back();
    }

    /// What is in all windows is counted, so they take room for it and not for what has been in them.
    fn give_room_back(&mut self) {
        if self.spots.len() <= self.spots.capacity() / 4 {
            self.spots.shrink_to(2 * self.spots.len());
        }
    }

    /// A delivery waits there now; true when what is known of the first one changed. At most so many are kept.
    pub(super) fn insert(
        &mut self,
        spot: Spot,
        message: MessageId,
        most: usize,
        touched: u64,
    ) -> bool {
        self.touched = touched;
        let is_beyond = match self.edge {
            Edge::End => false,
            edge => edge.spot().is_none_or(|edge| spot > edge),
        };
        if is_beyond {
            return false;
        }
        let index = match self.spots.binary_search_by(|(known, _)| known.cmp(&spot)) {
            // It stands there already.
            Ok(index) => return index == 0,
            Err(index) => index,
        };
        // Twice as many, from one on.
        if self.spots.len() == self.spots.capacity() {
            self.spots.reserve_exact(self.spots.len().max(1));
        }
        self.spots.insert(index, (spot, message));
        if self.spots.len() > most {
            self.keep(most / 2);
        }
        index == 0
    }

    /// No delivery waits there any more; true when it was the first one.
    pub(super) fn remove(&mut self, spot: Spot, touched: u64) -> bool {
        self.touched = touched;
        match self.spots.binary_search_by(|(known, _)| known.cmp(&spot)) {
            Ok(index) => {
                self.spots.remove(index);
                self.give_room_back();
                index == 0
            }
            Err(_) => false,
        }
    }

    /// Keeps the first few only.
    fn keep(&mut self, most: usize) {
        self.spots.truncate(most.max(1));
        self.spots.shrink_to_fit();
        if let Some((last, _)) = self.spots.back() {
            self.edge = Edge::at(*last);
        }
    }

    /// Takes in what was read behind a horizon, at most so many. False when the line was touched meanwhile: read again.
    pub(super) fn extend(
        &mut self,
        horizon: Horizon,
        behind: &Behind,
        most: usize,
        is_leased: impl Fn(DeliveryId) -> bool,
    ) -> bool {
        let edge = horizon.after.map_or(Edge::Unread, Edge::at);
        if self.touched != horizon.touched || self.edge != edge {
            return false;
        }
        let waiting = behind.spots.iter();
        let waiting = waiting.filter(|(spot, message)| !is_leased(name(*message, *spot)));
        self.spots.extend(waiting.copied());
        self.edge = match behind.spots.last() {
            Some((spot, _)) if !behind.is_all => Edge::at(*spot),
            _ => Edge::End,
        };
        match self.spots.len() > most {
            true => self.keep(most),
            false => self.give_room_back(),
        }
        true
    }

    /// For how many there is room.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.spots.capacity()
    }

    /// How many are in memory.
    pub(super) fn len(&self) -> usize {
        self.spots.len()
    }
}

/// The name of the delivery of a message at a spot.
pub(super) fn name(message: MessageId, spot: Spot) -> DeliveryId {
    DeliveryId {
        message,
        number: spot.number,
    }
}
