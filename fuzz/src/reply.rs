//! Replies: what a peer says is read alike however it is cut, and what we write is well formed.

use outpost_smtp::Reply;
use outpost_smtp::reply::parser::ReplyParser;

use crate::cut::pieces;

/// The first octet says how the others are cut.
pub fn reply(octets: &[u8]) {
    let Some((seed, octets)) = octets.split_first() else {
        return;
    };
    let (replies, is_malformed) = read([octets]);
    assert_eq!(read(pieces(octets, *seed)), (replies.clone(), is_malformed));
    assert_eq!(read(octets.chunks(1)), (replies.clone(), is_malformed));
    for reply in &replies {
        check_written(reply);
    }
}

/// The replies in octets that arrive so, and whether what follows is none.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Reply>, bool) {
    let mut parser = ReplyParser::default();
    let mut input = Vec::new();
    let mut replies = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match parser.take(&input) {
                Ok((used, reply)) => {
                    input.drain(..used);
                    let Some(reply) = reply else { break };
                    replies.push(reply);
                }
                Err(_) => return (replies, true),
            }
        }
    }
    (replies, false)
}

/// A reply as we pass it on.
fn check_written(reply: &Reply) {
    let mut wire = Vec::new();
    reply.write_to(&mut wire);
    check_lines(&wire);
    let (again, is_malformed) = read([wire.as_slice()]);
    assert!(!is_malformed && again.len() == 1, "{again:?}");
    assert_eq!(again[0].code, reply.code);
    let mut twice = Vec::new();
    again[0].write_to(&mut twice);
    // A line that was broken at a blank keeps it at its end, where nobody reads it.
    assert_eq!(trimmed(&twice), trimmed(&wire));
}

fn trimmed(wire: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(wire);
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Lines that may leave: short, printable, ended by CRLF, with a code.
pub(crate) fn check_lines(wire: &[u8]) {
    let text = std::str::from_utf8(wire).expect("replies are ASCII");
    assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
    for line in text.split_terminator("\r\n") {
        let is_printable = line.bytes().all(|octet| (b' '..=b'~').contains(&octet));
        assert!(line.len() <= 510 && is_printable, "{line:?}");
        let (code, behind) = line.split_at(3);
        assert!(code.bytes().all(|octet| octet.is_ascii_digit()), "{line}");
        assert!(behind.starts_with([' ', '-']), "{line}");
    }
}
