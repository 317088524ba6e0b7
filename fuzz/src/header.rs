//! Header sections: fields are found without losing an octet, and what is read of them is bounded.

use std::time::Duration;

use outpost::message::Timestamp;
use outpost::message::header::{
    Field, Fields, RequestedTime, Tunnel, header_end, repeated_priorities, repeated_time,
    requested_priorities, requested_time, subject,
};
use serde_json::Value;

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
    let _ = repeated_time(&fields);
    check_api(&fields);
    check_tunnel(content, &fields, *seed);
}

/// What counts of the X-SMTPAPI field stands in it for another reader too, and a number that is ahead of all is no time to
/// leave at once.
fn check_api(fields: &Fields<'_>) {
    let Some(body) = fields.first("X-SMTPAPI") else {
        return;
    };
    // It counts as out of range what nobody asks of it, and does not go as deep.
    let Ok(json) = serde_json::from_str::<Value>(&body) else {
        return;
    };
    // In any case; where a key is there more than once this reader has one of them.
    let keys = || json.as_object().into_iter().flatten();
    let of = |name: &str| {
        let mut found = keys().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    };
    let requested = requested_priorities(None, false, None, fields);
    let priority = requested.iter().find(|one| one.carrier == "X-SMTPAPI");
    if let Some(class) = priority.and_then(|one| one.class) {
        let asked = match of("Priority") {
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        };
        assert_eq!(asked, class.number().to_string(), "{body}");
    }
    let time = requested_time(fields);
    if !json.is_object() {
        assert!(
            priority.is_some() && time.is_none(),
            "only an object counts: {body}"
        );
    }
    let is_there_once =
        !body.contains('\\') && body.to_ascii_lowercase().matches("schedule").count() == 1;
    match of("Schedule") {
        Some(Value::Number(number)) if is_there_once => check_time(number, time, &body),
        Some(Value::Number(_) | Value::String(_)) => assert!(time.is_some(), "{body}"),
        Some(Value::Null) | None => assert!(
            !matches!(time, Some(RequestedTime::At(_))),
            "nothing asks for a time: {body}"
        ),
        Some(_) => assert_eq!(time, Some(RequestedTime::Malformed), "{body}"),
    }
}

/// A number is a time, and that of the number that it is for the other reader, which may have rounded it.
fn check_time(number: &serde_json::Number, time: Option<RequestedTime>, body: &str) {
    let Some(RequestedTime::At(at)) = time else {
        panic!("a number is a time: {body}");
    };
    let exact = number.as_u64().map(Duration::from_secs);
    if let Some(since_epoch) = exact {
        assert_eq!(at, Timestamp::EPOCH.plus(since_epoch), "{body}");
    }
    let Some(seconds) = number.as_f64() else {
        return;
    };
    // Further than that nobody counts.
    let beyond = Timestamp::NEVER.unix_milliseconds() as f64 / 1_000.0;
    let seconds = seconds.clamp(0.0, beyond);
    let found = at.unix_milliseconds() as f64 / 1_000.0;
    let rounded = 1.0 + seconds * f64::EPSILON * 4.0;
    assert!((found - seconds).abs() <= rounded, "{found}: {body}");
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
