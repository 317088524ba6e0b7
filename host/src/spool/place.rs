//! The place of a delivery in the order of the queue, and its form as a key.
//!
//! Keys order as places do, octet by octet: lane, class, user, due time, sequence, number. So the
//! next delivery of a line is the first key after the line's prefix, whatever the backlog.

use std::sync::Arc;

use crate::message::{Class, Delivery, Line, NextHop, Timestamp};

use super::Head;

/// Where a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Its line.
    pub(super) line: Line,
    /// Its spot in the line.
    pub(super) spot: Spot,
}

/// Where a delivery stands in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// When it is due.
    pub(super) due: Timestamp,
    /// Order of acceptance.
    pub(super) sequence: u64,
    /// The delivery's number, which tells the parts of a split from one another.
    pub(super) number: u32,
}

/// Octets of a spot in a key.
const SPOT_OCTETS: usize = 8 + 8 + 4;

impl Spot {
    pub(super) fn of(delivery: &Delivery) -> Self {
        Self {
            due: delivery.due,
            sequence: delivery.sequence,
            number: delivery.id.number,
        }
    }

    /// What the head of a line tells of its spot.
    pub(super) fn head(self) -> Head {
        Head {
            due: self.due,
            sequence: self.sequence,
        }
    }
}

impl Place {
    /// The place of a delivery of a message of this class and user.
    pub(super) fn of(delivery: &Delivery, class: Class, user: &str) -> Self {
        Self {
            line: Line {
                next_hop: delivery.next_hop.clone(),
                class,
                user: user.into(),
            },
            spot: Spot::of(delivery),
        }
    }

    pub(super) fn to_key(&self) -> Vec<u8> {
        key(&self.line, self.spot)
    }

    /// The place with that key; none when it is not the key of a place.
    pub(super) fn from_key(key: &[u8]) -> Option<Self> {
        let (hop_kind, rest) = key.split_first()?;
        let (hop, rest) = take_text(rest)?;
        let next_hop = match hop_kind {
            0 => NextHop::Domain(hop),
            1 => NextHop::Smarthost(hop),
            _ => return None,
        };
        let (class, rest) = rest.split_first()?;
        let class = Class::from_number(*class)?;
        let (user, rest) = take_text(rest)?;
        let spot: &[u8; SPOT_OCTETS] = rest.try_into().ok()?;
        let (due, rest) = spot.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let number = rest.first_chunk()?;
        Some(Self {
            line: Line {
                next_hop,
                class,
                user,
            },
            spot: Spot {
                due: Timestamp::from_unix_milliseconds(u64::from_be_bytes(*due)),
                sequence: u64::from_be_bytes(*sequence),
                number: u32::from_be_bytes(*number),
            },
        })
    }
}

/// The key of a spot in a line.
pub(super) fn key(line: &Line, spot: Spot) -> Vec<u8> {
    let mut key = line_prefix(line);
    key.extend_from_slice(&spot.due.unix_milliseconds().to_be_bytes());
    key.extend_from_slice(&spot.sequence.to_be_bytes());
    key.extend_from_slice(&spot.number.to_be_bytes());
    key
}

/// What the keys of a line begin with, and of no other line.
pub(super) fn line_prefix(line: &Line) -> Vec<u8> {
    let mut prefix = lane_prefix(
        &line.next_hop,
        line.class,
        line.user.len() + 2 + SPOT_OCTETS,
    );
    push_text(&mut prefix, &line.user);
    prefix
}

/// What the keys of a lane and class begin with, and of no other one; with room for so many octets more.
pub(super) fn lane_prefix(next_hop: &NextHop, class: Class, more: usize) -> Vec<u8> {
    let (kind, hop) = match next_hop {
        NextHop::Domain(domain) => (0, domain),
        NextHop::Smarthost(host) => (1, host),
    };
    let mut prefix = Vec::with_capacity(hop.len() + 4 + more);
    prefix.push(kind);
    push_text(&mut prefix, hop);
    prefix.push(class.number());
    prefix
}

/// A key after all keys with the prefix of a line, or of a lane and class, and before any other: no due time begins with
/// 0xFF, because no time is after [`Timestamp::NEVER`], and no octet of UTF-8 is 0xFF.
pub(super) fn after_all(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    key.push(0xFF);
    key
}

/// The number of the delivery whose place has that key; none when it is not the key of a place.
pub(super) fn number(key: &[u8]) -> Option<u32> {
    key.last_chunk().copied().map(u32::from_be_bytes)
}

// A text in a key: 0x00 becomes 0x00 0xFF, and 0x00 0x00 ends it, so that a text sorts before
// every text that it is the beginning of.
pub(super) fn push_text(key: &mut Vec<u8>, text: &str) {
    for octet in text.bytes() {
        key.push(octet);
        if octet == 0 {
            key.push(0xFF);
        }
    }
    key.extend_from_slice(&[0, 0]);
}

pub(super) fn take_text(key: &[u8]) -> Option<(Arc<str>, &[u8])> {
    // Behind the zero of a text stands 0xFF, so the first two in a row are its end.
    let end = key.windows(2).position(|pair| pair == [0, 0])?;
    let (text, rest) = (&key[..end], &key[end + 2..]);
    if !text.contains(&0) {
        return Some((str::from_utf8(text).ok()?.into(), rest));
    }
    let mut plain = Vec::with_capacity(end);
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        if *octet == 0 && *octets.next()? != 0xFF {
            return None;
        }
        plain.push(*octet);
    }
    Some((str::from_utf8(&plain).ok()?.into(), rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ab\u{0}\u{ff}é]{0,4}",
            Just("example.com".to_owned()),
            Just("example.co".to_owned()),
        ]
    }

    fn place() -> impl Strategy<Value = Place> {
        let next_hop = (text(), any::<bool>()).prop_map(|(text, smarthost)| match smarthost {
            true => NextHop::Smarthost(text.into()),
            false => NextHop::Domain(text.into()),
        });
        let time = prop_oneof![0..4u64, Just(Timestamp::NEVER.unix_milliseconds())];
        (next_hop, 1..=5u8, text(), time, 0..3u64, 0..3u32).prop_map(
            |(next_hop, class, user, due, sequence, number)| Place {
                line: Line {
                    next_hop,
                    class: Class::from_number(class).unwrap(),
                    user: user.into(),
                },
                spot: Spot {
                    due: Timestamp::from_unix_milliseconds(due),
                    sequence,
                    number,
                },
            },
        )
    }

    proptest! {
        #[test]
        fn keys_order_as_places_do_and_read_back(a in place(), b in place()) {
            prop_assert_eq!(a.cmp(&b), a.to_key().cmp(&b.to_key()));
            prop_assert_eq!(Place::from_key(&a.to_key()), Some(a));
        }

        #[test]
        fn a_line_is_what_lies_between_its_prefix_and_its_end(a in place(), b in place()) {
            let prefix = line_prefix(&a.line);
            let key = b.to_key();
            let inside = key.as_slice() > prefix.as_slice() && key < after_all(&prefix);
            prop_assert_eq!(inside, a.line == b.line);
        }

        #[test]
        fn a_lane_and_class_is_what_lies_between_its_prefix_and_its_end(a in place(), b in place()) {
            let prefix = lane_prefix(&a.line.next_hop, a.line.class, 0);
            let key = b.to_key();
            let inside = key.as_slice() > prefix.as_slice() && key < after_all(&prefix);
            let is_same = a.line.next_hop == b.line.next_hop && a.line.class == b.line.class;
            prop_assert_eq!(inside, is_same);
        }

        #[test]
        fn other_octets_are_no_key_and_no_panic(octets in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(place) = Place::from_key(&octets) {
                prop_assert_eq!(Place::from_key(&place.to_key()), Some(place));
            }
        }
    }
}
