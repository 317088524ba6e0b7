//! Header sections: fields are found without losing an octet, and what is read of them is bounded.

use outpost::message::header::{
    Field, Fields, Tunnel, header_end, repeated_priorities, repeated_time, requested_priorities,
    requested_time, subject,
};

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
    let requested = requested_priorities(None, true, None, &fields);
    assert!(requested.iter().all(|one| one.value.chars().count() <= 64));
    // Five fields, each with the four classes that its first one does not ask for, or all five.
    assert!(repeated_priorities(&fields).len() <= 25);
    let _ = requested_time(&fields);
    let _ = repeated_time(&fields);
    check_tunnel(content, &fields, *seed);
}

/// Through the tunnel goes all but the fields of its name, and ours before it, however it is cut.
fn check_tunnel(content: &[u8], fields: &Fields<'_>, seed: u8) {
    let ends = content
        .iter()
        .filter(|octet| matches!(octet, b'\r' | b'\n'));
    if ends.count() != 2 * content.windows(2).filter(|two| two == b"\r\n").count() {
        // Nobody accepts such a content.
        return;
    }
    let stays = |field: &&Field<'_>| !field.name.eq_ignore_ascii_case("MT-Priority");
    let stayed: Vec<_> = fields.iter().filter(stays).collect();
    for (priority, ours) in [(Some(-9), Some(" -9")), (None, Some(" 0"))] {
        let (mut tunnel, mut out) = Tunnel::new(priority);
        for piece in pieces(content, seed) {
            out.extend(tunnel.feed(piece));
        }
        out.extend(tunnel.finish());
        let octets = |content: &[u8]| u64::try_from(content.len()).unwrap_or(u64::MAX);
        assert_eq!(tunnel.octets(octets(content)), octets(&out));
        let end = header_end(&out, 0).unwrap_or(out.len());
        let after = Fields::parse(&out[..end]).expect("what stays is well-formed");
        assert_eq!(after.iter().filter(stays).collect::<Vec<_>>(), stayed);
        // Nothing stands in the place of nothing.
        let ours = ours.filter(|_| priority.is_some() || fields.iter().any(|field| !stays(&field)));
        let found: Vec<_> = after.iter().filter(|field| !stays(field)).collect();
        let found: Vec<_> = found.iter().map(|field| field.body).collect();
        assert_eq!(found, Vec::from_iter(ours.map(str::as_bytes)));
    }
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
