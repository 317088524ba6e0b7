//! BDAT: a chunk is as long as it says, whatever is in it.

use outpost_smtp::Limits;
use outpost_smtp::server::Settings;

use crate::cut::pieces;
use crate::support::{Relay, settings};

/// More would run into the limit of errors when the first is refused.
const CHUNKS_MAX: usize = 12;

/// The first octet says how all is cut. Then chunks: an octet says how many more are in it.
pub fn bdat(octets: &[u8]) {
    let Some((seed, octets)) = octets.split_first() else {
        return;
    };
    let chunks = chunks(octets);
    let content = chunks.concat();
    let mut wire = b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n".to_vec();
    for (number, chunk) in chunks.iter().enumerate() {
        let is_last = number + 1 == chunks.len();
        let last = if is_last { " LAST" } else { "" };
        wire.extend_from_slice(format!("BDAT {}{last}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
    }
    wire.extend_from_slice(b"NOOP\r\n");
    for cut in [vec![wire.as_slice()], pieces(&wire, *seed).collect()] {
        check(&cut, chunks.len(), &content);
    }
}

/// The session stays in step, and takes the content if it is clean.
fn check(wire: &[&[u8]], chunks: usize, content: &[u8]) {
    let mut relay = Relay::logged_in(Settings {
        limits: Limits::default(),
        ..settings()
    });
    for piece in wire {
        relay.feed(piece);
    }
    let replies = relay.replies();
    let lines: Vec<&str> = replies.lines().collect();
    assert_eq!(lines.len(), 2 + chunks + 1, "{replies}");
    assert!(
        lines.last().is_some_and(|line| line.starts_with("250 ")),
        "{replies}"
    );
    let is_accepted = lines[lines.len() - 2].starts_with("250 ");
    assert_eq!(is_accepted, is_clean(content), "{replies}");
    let expected: &[&[u8]] = if is_accepted { &[content] } else { &[] };
    assert_eq!(relay.messages, expected);
}

fn chunks(mut octets: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    while chunks.len() < CHUNKS_MAX
        && let Some((length, rest)) = octets.split_first()
    {
        let (chunk, behind) = rest.split_at(usize::from(*length).min(rest.len()));
        chunks.push(chunk);
        octets = behind;
    }
    if chunks.is_empty() {
        chunks.push(octets);
    }
    chunks
}

/// Whether CR and LF stand in pairs only.
fn is_clean(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content).replace("\r\n", "");
    !text.contains(['\r', '\n'])
}
