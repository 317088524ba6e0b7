//! Reading lines from the disk: all of them at start, or where there are very many one of each lane and class; those of a
//! lane that are hidden; and the next few deliveries of one.

use std::ops::Bound;
use std::sync::Arc;

use crate::message::{DeliveryId, Line, MessageId, Timestamp};

use super::lines::{Found, Search};
use super::place::{self, Place};
use super::redb::StoreError;
use super::rows;
use super::sheet::Sheet;
use super::survey::LinesFrom;
use super::view::{Scan, View};
use super::window::{Behind, Horizon, WINDOW, name};

/// The first deliveries of lines, leased or not.
#[derive(Debug)]
pub(super) struct Heads {
    /// In order.
    pub(super) heads: Vec<(Place, MessageId)>,
    /// Whether these are all lines; else they are one of each lane and class.
    pub(super) are_all: bool,
}

/// The heads of all lines, if there are at most so many; else of one of each lane and class. One seek for each, whatever
/// waits in it.
pub(super) fn heads(rows: &View, lines_max: usize) -> Result<Heads, StoreError> {
    let line = |place: &Place| place::line_prefix(&place.line);
    let lane = |place: &Place| place::lane_prefix(&place.line.next_hop, place.line.class, 1);
    let all = firsts(rows, line, lines_max)?;
    let are_all = all.len() <= lines_max;
    let heads = match are_all {
        true => all,
        false => firsts(rows, lane, usize::MAX)?,
    };
    Ok(Heads { heads, are_all })
}

/// The first row of each group of rows that have a prefix in common; no more than one beyond so many.
fn firsts(
    rows: &View,
    prefix: impl Fn(&Place) -> Vec<u8>,
    most: usize,
) -> Result<Vec<(Place, MessageId)>, StoreError> {
    let mut firsts = Vec::new();
    let mut from = Vec::new();
    while firsts.len() <= most
        && let Some((place, message)) = first_from(rows, &from, None, |_| false)?
    {
        from = place::after_all(&prefix(&place));
        firsts.push((place, message));
    }
    Ok(firsts)
}

/// The first line from there on in which something waits, leased or not.
pub(super) fn first_line(rows: &View, from: LinesFrom<'_>) -> Result<Option<Line>, StoreError> {
    let from = match from {
        LinesFrom::Start => Vec::new(),
        LinesFrom::Lane(next_hop, class) => place::lane_prefix(next_hop, class, 0),
        LinesFrom::Line(line) => place::line_prefix(line),
        LinesFrom::Behind(line) => place::after_all(&place::line_prefix(line)),
    };
    let first = first_from(rows, &from, None, |_| false)?;
    Ok(first.map(|(place, _)| place.line))
}

/// Hidden lines of a lane in which something waits that is not leased: from behind one user on, and round to him. One seek
/// for each that is found or passed over.
pub(super) fn hidden(
    rows: &View,
    search: &Search,
    is_leased: impl Fn(DeliveryId) -> bool,
    is_stopped: impl Fn(&Line) -> bool,
) -> Result<Found, StoreError> {
    let lane = place::lane_prefix(&search.lane.next_hop, search.lane.class, 1);
    let middle = place::line_prefix(&search.lane.line_of(Arc::clone(&search.after)));
    let middle = place::after_all(&middle);
    let end = place::after_all(&lane);
    let mut due = Vec::new();
    let mut later = Later::new(search.most);
    let mut is_all = true;
    for (mut from, to) in [(middle.clone(), end), (lane, middle)] {
        while let Some((place, message)) = first_from(rows, &from, Some(&to), &is_leased)? {
            from = place::after_all(&place::line_prefix(&place.line));
            if search.shown.contains(&place.line.user) {
                continue;
            }
            if due.len() == search.most {
                // Those behind it were not looked at.
                return Ok(Found {
                    heads: due,
                    others_due: Timestamp::EPOCH,
                    is_all: false,
                });
            }
            if is_stopped(&place.line) {
                is_all = false;
            } else if place.spot.due <= search.now {
                due.push((place, message));
            } else {
                later.add(place, message);
            }
        }
    }
    later.cut(search.most - due.len());
    due.extend(later.heads);
    Ok(Found {
        heads: due,
        others_due: later.others_due.unwrap_or(Timestamp::NEVER),
        is_all: is_all && later.others_due.is_none(),
    })
}

/// Lines that fall due later, the first few of them.
struct Later {
    heads: Vec<(Place, MessageId)>,
    most: usize,
    /// When the first of the others falls due, if there are any.
    others_due: Option<Timestamp>,
}

impl Later {
    fn new(most: usize) -> Self {
        Self {
            heads: Vec::new(),
            most,
            others_due: None,
        }
    }

    fn add(&mut self, place: Place, message: MessageId) {
        self.heads.push((place, message));
        if self.heads.len() > 2 * self.most {
            self.cut(self.most);
        }
    }

    /// Leaves out all but the first few.
    fn cut(&mut self, most: usize) {
        self.heads.sort_by_key(|(place, _)| place.spot);
        let others = self.heads.split_off(most.min(self.heads.len()));
        let first = others.first().map(|(place, _)| place.spot.due);
        self.others_due = self.others_due.into_iter().chain(first).min();
    }
}

/// The first row from one key on and before another, but for those that are passed over.
fn first_from(
    rows: &View,
    from: &[u8],
    to: Option<&[u8]>,
    is_passed: impl Fn(DeliveryId) -> bool,
) -> Result<Option<(Place, MessageId)>, StoreError> {
    let mut first = None;
    let to = to.map_or(Bound::Unbounded, Bound::Excluded);
    let range = (Bound::Included(from), to);
    rows.scan(Sheet::Waiting, range, &mut |key, row| {
        let read = read(key, row);
        first = read.filter(|(place, message)| !is_passed(name(*message, place.spot)));
        match first {
            Some(_) => Scan::Stop,
            None => Scan::On,
        }
    })?;
    Ok(first)
}

/// What stands in a line behind a horizon.
pub(super) fn behind(rows: &View, line: &Line, horizon: Horizon) -> Result<Behind, StoreError> {
    let prefix = place::line_prefix(line);
    let after = match horizon.after {
        Some(spot) => place::key(line, spot),
        None => prefix.clone(),
    };
    let end = place::after_all(&prefix);
    let range = (Bound::Excluded(&after[..]), Bound::Excluded(&end[..]));
    let mut behind = Behind {
        spots: Vec::with_capacity(WINDOW),
        is_all: true,
    };
    rows.scan(Sheet::Waiting, range, &mut |key, row| {
        if behind.spots.len() == WINDOW {
            behind.is_all = false;
            return Scan::Stop;
        }
        if let Some((place, message)) = read(key, row) {
            behind.spots.push((place.spot, message));
        }
        Scan::On
    })?;
    Ok(behind)
}

/// A row of the queue; none, and a word in the log, for what is no such row.
fn read(key: &[u8], row: &[u8]) -> Option<(Place, MessageId)> {
    let read = Place::from_key(key).zip(rows::read_message_key(row));
    if read.is_none() {
        tracing::error!("a row of the queue is damaged and is passed over");
    }
    read
}
