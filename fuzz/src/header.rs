//! Header sections: fields are found without losing an octet, and what is read of them is bounded.

use outpost::message::header::{Fields, header_end, requested_priorities, requested_time, subject};

use crate::cut::pieces;

/// The first octet says how the others are cut; they are a content.
pub fn header(octets: &[u8]) {
    let Some((seed, content)) = octets.split_first() else {
        return;
    };
    let end = header_end(content, 0);
    assert_eq!(found_in_pieces(content, *seed), end);
    let section = end.map_or(content, |end| &content[..end]);
    let Ok(fields) = Fields::parse(section) else {
        return;
    };
    let mut joined = Vec::new();
    for field in fields.iter() {
        assert!(field.name.bytes().all(|octet| octet.is_ascii_graphic()));
        joined.extend_from_slice(field.name.as_bytes());
        joined.push(b':');
        joined.extend_from_slice(field.body);
        joined.extend_from_slice(b"\r\n");
    }
    assert!(joined == section || joined.strip_suffix(b"\r\n") == Some(section));
    let subject = subject(&fields);
    assert!(subject.chars().count() <= 200 && !subject.contains(char::is_control));
    let requested = requested_priorities(None, true, &fields);
    assert!(requested.iter().all(|one| one.value.chars().count() <= 64));
    let _ = requested_time(&fields);
}

/// Where the header ends, as reception looks for it while the content arrives.
fn found_in_pieces(content: &[u8], seed: u8) -> Option<usize> {
    let (mut arrived, mut searched) = (0, 0);
    for piece in pieces(content, seed) {
        arrived += piece.len();
        if let Some(end) = header_end(&content[..arrived], searched) {
            return Some(end);
        }
        searched = arrived;
    }
    None
}
