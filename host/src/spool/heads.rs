//! Reading lines from the disk: all their heads at start, and the next few of one later.

use std::ops::Bound;

use crate::message::{Line, MessageId};

use super::lines::{Behind, Horizon, WINDOW};
use super::place::{self, Place};
use super::redb::StoreError;
use super::rows;
use super::sheet::Sheet;
use super::view::{Scan, View};

/// The first delivery of each line, leased or not. One seek for each line, whatever waits in it.
pub(super) fn heads(rows: &View) -> Result<Vec<(Place, MessageId)>, StoreError> {
    let mut heads = Vec::new();
    let mut from = Vec::new();
    loop {
        let mut head = None;
        let range = (Bound::Included(&from[..]), Bound::Unbounded);
        rows.scan(Sheet::Waiting, range, &mut |key, row| {
            head = read(key, row);
            if head.is_some() { Scan::Stop } else { Scan::On }
        })?;
        let Some((place, message)) = head else {
            return Ok(heads);
        };
        from = place::after_line(&place::line_prefix(&place.line));
        heads.push((place, message));
    }
}

/// What stands in a line behind a horizon.
pub(super) fn behind(rows: &View, line: &Line, horizon: Horizon) -> Result<Behind, StoreError> {
    let after = place::key(line, horizon.after);
    let end = place::after_line(&place::line_prefix(line));
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
