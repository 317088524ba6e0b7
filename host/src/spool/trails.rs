//! What the later parts of a message's trail take, and their bound.
//!
//! How a trail began stands with the message and stays. Each settlement adds a part, and with a short schedule and
//! many recipients there are many large ones: then the oldest go.

use crate::message::MessageId;

use super::redb::StoreError;
use super::rows;
use super::settings::TRAIL_OCTETS_MAX;
use super::sheet::Sheet;
use super::stored::{self, TrailRecord};
use super::transaction::Transaction;
use super::view::Scan;

/// Takes the oldest parts away where all of them take more than they may, but never the last one. The numbers
/// that stand with a part stay. Octets of what remains.
pub(super) fn shorten(rows: &mut Transaction<'_>, id: MessageId) -> Result<usize, StoreError> {
    let mut parts = parts(rows, id)?;
    let mut octets: usize = parts.iter().map(|part| part.1).sum();
    if octets <= TRAIL_OCTETS_MAX {
        return Ok(octets);
    }
    parts.pop();
    for (key, part_octets) in parts {
        // A quarter at once, so that the next part has room.
        if octets <= TRAIL_OCTETS_MAX / 4 * 3 {
            break;
        }
        let key = [&rows::message_key(id)[..], &key].concat();
        let Some(row) = rows.take(Sheet::Trails, &key)? else {
            continue;
        };
        octets -= part_octets;
        let numbers = stored::read::<TrailRecord<'_>>(&row)
            .ok()
            .and_then(|part| part.next_number);
        if numbers.is_some()
            && let Ok(rest) = stored::write(&TrailRecord::of(&[], None, numbers))
        {
            octets += rest.len();
            rows.put(Sheet::Trails, &key, &rest);
        }
    }
    Ok(octets)
}

/// Takes all parts away.
pub(super) fn remove(rows: &mut Transaction<'_>, id: MessageId) -> Result<(), StoreError> {
    for (key, _) in parts(rows, id)? {
        let key = [&rows::message_key(id)[..], &key].concat();
        rows.remove(Sheet::Trails, &key);
    }
    Ok(())
}

/// The later parts of a trail: the rest of each key, and octets.
fn parts(rows: &Transaction<'_>, id: MessageId) -> Result<Vec<(Vec<u8>, usize)>, StoreError> {
    let mut parts = Vec::new();
    rows.scan_message(Sheet::Trails, &rows::message_key(id), &mut |rest, row| {
        parts.push((rest.to_vec(), row.len()));
        Scan::On
    })?;
    Ok(parts)
}
