//! Lines: the commands in octets are those that a reader finds who sees all octets at once.

use outpost_smtp::server::fuzzing::{Line, lines};

use crate::cut::pieces;

/// Limits that short inputs reach.
const OCTETS_MAX: usize = 16;
const AUTH_OCTETS_MAX: usize = 24;

/// The first octet says how the others are cut.
pub fn line(octets: &[u8]) {
    let Some((seed, octets)) = octets.split_first() else {
        return;
    };
    let expected = whole(octets);
    for found in [
        lines([octets], OCTETS_MAX, AUTH_OCTETS_MAX),
        lines(pieces(octets, *seed), OCTETS_MAX, AUTH_OCTETS_MAX),
        lines(octets.chunks(1), OCTETS_MAX, AUTH_OCTETS_MAX),
    ] {
        assert_eq!(found, expected);
    }
}

/// The rule, written down for octets that are all there.
fn whole(octets: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = octets;
    loop {
        let is_auth = rest
            .get(..4)
            .is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"));
        let octets_max = if is_auth { AUTH_OCTETS_MAX } else { OCTETS_MAX };
        let line_end = find_line_end(rest);
        let searched = line_end.map_or(rest, |end| &rest[..end]);
        // Only a bare LF within the limit is told as one: what is too long is that.
        if let Some(at) = searched.iter().position(|octet| *octet == b'\n')
            && at < octets_max
        {
            lines.push(Line::BareLf);
            // Up to the next line end, of which both octets stand behind that LF.
            let Some(end) = find_line_end(&rest[at + 1..]) else {
                return lines;
            };
            rest = &rest[at + 1 + end + 2..];
            continue;
        }
        let Some(end) = line_end else {
            return lines;
        };
        lines.push(if end + 2 <= octets_max {
            Line::Octets(rest[..end].to_vec())
        } else if is_auth {
            Line::AuthTooLong
        } else {
            Line::TooLong
        });
        rest = &rest[end + 2..];
    }
}

fn find_line_end(octets: &[u8]) -> Option<usize> {
    octets.windows(2).position(|pair| pair == b"\r\n")
}
