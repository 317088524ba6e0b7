//! What the trail of a message begins with: what was decided about it, and what it asked for.

use crate::message::header::{Requested, overruled};
use crate::message::{Class, Event, Timestamp, TrailEntry, wording};
use crate::policy::DecisionRecord;

/// The entries of a message that is accepted in a class. `timed` is what came of the times that it asked for.
pub(super) fn trail(
    records: Vec<DecisionRecord>,
    requested: &[Requested],
    timed: Vec<Event>,
    class: Class,
    at: Timestamp,
) -> Vec<TrailEntry> {
    let malformed = requested
        .iter()
        .filter(|requested| requested.class.is_none())
        .map(|requested| Event::MalformedPriority {
            carrier: requested.carrier.to_owned(),
        });
    let overruled = overruled(requested).into_iter().map(|(other, first)| {
        let asked = other.class.map(wording::class_text).unwrap_or_default();
        Event::Overruled {
            carrier: other.carrier.to_owned(),
            asked: format!("class {asked}"),
            by: first.carrier.to_owned(),
        }
    });
    let events = records
        .into_iter()
        .map(Event::from)
        .chain(malformed)
        .chain(overruled)
        .chain([Event::Accepted { class }])
        .chain(timed);
    events.map(|event| TrailEntry { at, event }).collect()
}
