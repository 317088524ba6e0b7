//! What the trail of a message begins with: what was decided about it, and what it asked for.

use super::allowance::{Allowed, Asked};
use crate::message::{Event, Timestamp, TrailEntry, wording};
use crate::policy::DecisionRecord;

/// The entries of a message that is accepted. `timed` is what came of the times that it asked for.
pub(super) fn trail(
    records: Vec<DecisionRecord>,
    asked: &Asked,
    allowed: &Allowed,
    timed: Vec<Event>,
    at: Timestamp,
) -> Vec<TrailEntry> {
    let overruled = asked.overruled().map(|(other, first)| {
        let class = other.class.map(wording::class_text).unwrap_or_default();
        Event::Overruled {
            carrier: other.carrier.to_owned(),
            asked: format!("class {class}"),
            by: first.to_owned(),
        }
    });
    let events = records
        .into_iter()
        .map(Event::from)
        .chain(asked.events())
        .chain(overruled)
        .chain(allowed.events())
        .chain(timed);
    events.map(|event| TrailEntry { at, event }).collect()
}
