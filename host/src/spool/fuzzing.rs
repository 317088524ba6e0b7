//! What fuzzing reaches of the stored forms, which are private otherwise.
//!
//! For the fuzz targets only, behind the feature `fuzzing`. Whatever octets stand where a record should
//! is an error or a record, and a record that was read is written and read back the same.

use crate::message::{DeliveryId, MessageId};

use super::change::Among;
use super::cursor::Cursor;
use super::entries::{self, Entries};
use super::journal::Mark;
use super::place::Place;
use super::stored::{
    self, Counters, DeliveryRecord, MessageRecord, RefusalRecord, StopRecord, TrailRecord,
};

/// Reads `octets` as the record that `kind` chooses.
///
/// # Panics
/// When a record does not come back as it was read.
pub fn check_stored(kind: u8, octets: &[u8]) {
    match kind % 6 {
        0 => check_message(octets),
        1 => check_delivery(octets),
        2 => check_trail(octets),
        3 => check_counters(octets),
        4 => check_entries(octets),
        _ => check_keys(octets),
    }
}

fn check_message(octets: &[u8]) {
    let id = MessageId::from_bits(1);
    let Ok((record, end)) = stored::read_message(octets) else {
        return;
    };
    let (Ok(message), Ok(trail)) = (record.message(id), record.trail()) else {
        return;
    };
    let written = stored::write(&MessageRecord::of(&message, &trail, record.deliveries()));
    let mut written = written.expect("what was read can be written");
    if let Some(end) = &end {
        written = stored::with_end(&written, end).expect("what was read can be written");
    }
    let (again, same_end) = stored::read_message(&written).expect("what was written can be read");
    assert_eq!(again.message(id), Ok(message));
    assert_eq!(again.trail(), Ok(trail));
    assert_eq!(again.deliveries(), record.deliveries());
    let parts = |end: Option<TrailRecord<'_>>| {
        end.map(|end| (end.entries(), end.finished(), end.next_number))
    };
    assert_eq!(parts(same_end), parts(end));
}

fn check_delivery(octets: &[u8]) {
    let id = DeliveryId {
        message: MessageId::from_bits(1),
        number: 1,
    };
    let read = |octets: &[u8]| stored::read::<DeliveryRecord<'_>>(octets)?.read(id);
    let Ok((delivery, class, user)) = read(octets) else {
        return;
    };
    let place = Place::of(&delivery, class, &user);
    assert_eq!(Place::from_key(&place.to_key()).as_ref(), Some(&place));
    let cursor = Cursor::Queued(place);
    let again = Cursor::from_text(&cursor.to_text(), Among::Queued);
    assert_eq!(again, Some(cursor));
    let written = stored::write(&DeliveryRecord::of(&delivery, class, &user));
    let again = read(&written.expect("what was read can be written"));
    assert_eq!(again, Ok((delivery, class, user)));
}

fn check_trail(octets: &[u8]) {
    let Ok(record) = stored::read::<TrailRecord<'_>>(octets) else {
        return;
    };
    let Ok(entries) = record.entries() else {
        return;
    };
    let finished = record.finished();
    let written = stored::write(&TrailRecord::of(&entries, finished, record.next_number));
    let written = written.expect("what was read can be written");
    let again: TrailRecord<'_> = stored::read(&written).expect("what was written can be read");
    assert_eq!(again.entries(), Ok(entries));
    assert_eq!(again.finished(), finished);
    assert_eq!(again.next_number, record.next_number);
}

fn check_counters(octets: &[u8]) {
    if let Ok(counters) = stored::read::<Counters>(octets) {
        let written = stored::write(&counters).expect("what was read can be written");
        assert_eq!(stored::read(&written), Ok(counters));
    }
    if let Ok(record) = stored::read::<StopRecord<'_>>(octets) {
        let stop = record.read();
        let written = stored::write(&StopRecord::of(&stop)).expect("what was read can be written");
        let again: StopRecord<'_> = stored::read(&written).expect("what was written can be read");
        assert_eq!(again.read(), stop);
    }
    if let Ok(row) = stored::read::<RefusalRecord<'_>>(octets).and_then(RefusalRecord::read) {
        let written =
            stored::write(&RefusalRecord::of(&row)).expect("what was read can be written");
        let again: RefusalRecord<'_> =
            stored::read(&written).expect("what was written can be read");
        assert_eq!(again.read(), Ok(row));
    }
    if let Some(mark) = Mark::from_row(octets) {
        assert_eq!(mark.to_row(), octets);
    }
}

fn check_entries(octets: &[u8]) {
    let mut written = Entries::default();
    written.begin(0);
    for entry in entries::read(octets) {
        let Some(entry) = entry else { return };
        written.push(entry);
    }
    assert_eq!(written.octets(), octets);
}

fn check_keys(octets: &[u8]) {
    if let Some(place) = Place::from_key(octets) {
        assert_eq!(Place::from_key(&place.to_key()), Some(place));
    }
    if let Ok(text) = std::str::from_utf8(octets) {
        for among in [Among::Queued, Among::Cancelled] {
            if let Some(cursor) = Cursor::from_text(text, among) {
                let again = Cursor::from_text(&cursor.to_text(), among);
                assert_eq!(again, Some(cursor));
            }
        }
    }
}
