//! Where a listing goes on: behind a place in the queue, or behind a cancelled delivery.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::message::{DeliveryId, Timestamp};

use super::change::Among;
use super::place::Place;
use super::rows;

/// Begins the cursor of a cancelled delivery; the key of a place begins with the kind of its next hop, which is less.
const CANCELLED: u8 = 2;

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// Behind this place.
    Queued(Place),
    /// Behind this delivery, which can be restored until then.
    Cancelled(Timestamp, DeliveryId),
}

impl Cursor {
    /// The cursor behind a row with that key; none when it is not the key of such a row.
    pub(super) fn behind(among: Among, key: &[u8]) -> Option<Self> {
        match among {
            Among::Queued => Place::from_key(key).map(Self::Queued),
            Among::Cancelled => {
                rows::read_cancelled_key(key).map(|(until, id)| Self::Cancelled(until, id))
            }
        }
    }

    /// The key of the row that it is behind.
    pub(super) fn key(&self) -> Vec<u8> {
        match self {
            Self::Queued(place) => place.to_key(),
            Self::Cancelled(until, id) => rows::cancelled_key(*until, *id).to_vec(),
        }
    }

    /// It as it can be printed.
    pub(super) fn to_text(&self) -> String {
        let key = self.key();
        URL_SAFE_NO_PAD.encode(match self {
            Self::Queued(_) => key,
            Self::Cancelled(..) => [&[CANCELLED][..], &key].concat(),
        })
    }

    /// The cursor that was printed so, of a listing among these; none when it is none.
    pub(super) fn from_text(text: &str, among: Among) -> Option<Self> {
        let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
        match (among, octets.split_first()?) {
            (Among::Cancelled, (&CANCELLED, key)) => Self::behind(among, key),
            (Among::Cancelled, _) => None,
            (Among::Queued, _) => Self::behind(among, &octets),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::message::Class;
    use crate::spool::place::Spot;
    use crate::spool::sample::{at, id, line};

    #[test]
    fn a_cursor_is_read_back_and_only_by_a_listing_of_its_kind() {
        let spot = Spot {
            due: at(7),
            sequence: 8,
            number: 9,
        };
        let line = line("a.example", Class::Low, "user");
        let delivery = DeliveryId {
            message: id(3),
            number: 4,
        };
        let queued = Cursor::Queued(Place { line, spot });
        let cancelled = Cursor::Cancelled(at(5), delivery);
        for (cursor, own, other) in [
            (queued, Among::Queued, Among::Cancelled),
            (cancelled, Among::Cancelled, Among::Queued),
        ] {
            let text = cursor.to_text();
            assert_eq!(Cursor::from_text(&text, own), Some(cursor.clone()));
            assert_eq!(Cursor::behind(own, &cursor.key()), Some(cursor));
            assert_eq!(Cursor::from_text(&text, other), None);
            assert_eq!(Cursor::from_text(&text[1..], own), None);
        }
        assert_eq!(Cursor::from_text("", Among::Cancelled), None);
        assert_eq!(Cursor::from_text("Ag", Among::Cancelled), None);
    }
}
