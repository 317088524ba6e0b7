//! What open transactions hold, of all users together and of each one: nobody's mail takes all of the room.
//!
//! Contents that come in are bounded by the spool's budget, whoever they are of. A client may be as slow as it
//! likes, so one user with a few dozen connections could hold all of it for hours; of a full budget one
//! user has three quarters at most, what the spool sets aside for contents that do not come included. Envelopes stand in memory until their content has come, and have a
//! bound of the same kind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::message::Recipient;

/// Octets of all envelopes that are open at once: some two hundred transactions with a thousand recipients.
const ENVELOPES_OCTETS_MAX: u64 = 128 << 20;

/// What a recipient costs beside the octets of its address: strings, and places in a list and a set.
const RECIPIENT_OCTETS: usize = 512;

/// A recipient's address stands in the envelope, and in two forms for the components and for comparison, and an
/// ORCPT in no more of them.
const COPIES: usize = 4;

/// The room for open transactions.
#[derive(Debug)]
pub struct Shares {
    contents: Arc<Room>,
    envelopes: Arc<Room>,
}

/// Room that users share.
#[derive(Debug)]
struct Room {
    all_max: u64,
    user_max: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: u64,
    by_user: HashMap<String, u64>,
}

/// A part of the room; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    user: String,
    octets: u64,
}

impl Shares {
    /// For a spool that takes in so many octets at once.
    pub fn new(octets_in_flight_max: u64) -> Self {
        let room = |all_max, shared: u64| {
            Arc::new(Room {
                all_max,
                user_max: shared / 4 * 3,
                held: Mutex::default(),
            })
        };
        Self {
            // All contents together are the spool's business.
            contents: room(u64::MAX, octets_in_flight_max),
            envelopes: room(ENVELOPES_OCTETS_MAX, ENVELOPES_OCTETS_MAX),
        }
    }

    /// For a content of that user.
    pub(super) fn content(&self, user: &str) -> Share {
        Share::of(&self.contents, user)
    }

    /// For an envelope of that user.
    pub(super) fn envelope(&self, user: &str) -> Share {
        Share::of(&self.envelopes, user)
    }
}

impl Room {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    fn of(room: &Arc<Room>, user: &str) -> Self {
        Self {
            room: Arc::clone(room),
            user: user.to_owned(),
            octets: 0,
        }
    }

    /// Grows, if there is room. One thing of `least` octets always has room for its user, whatever the
    /// user's part is.
    pub(super) fn grow(&mut self, octets: u64, least: u64) -> bool {
        let mut held = self.room.held();
        let of_user = held.by_user.get(&self.user).copied().unwrap_or_default();
        let (all, of_user) = (
            held.all.saturating_add(octets),
            of_user.saturating_add(octets),
        );
        if all > self.room.all_max || of_user > self.room.user_max.max(least) {
            return false;
        }
        held.all = all;
        match held.by_user.get_mut(&self.user) {
            Some(octets) => *octets = of_user,
            None => {
                held.by_user.insert(self.user.clone(), of_user);
            }
        }
        self.octets += octets;
        true
    }

    /// Grows to hold `octets` in all, if it does not yet and there is room; `least` as for [`Self::grow`].
    pub(super) fn cover(&mut self, octets: u64, least: u64) -> bool {
        octets <= self.octets || self.grow(octets - self.octets, least)
    }

    /// Gives back all that it has.
    pub(super) fn give_back(&mut self) {
        if self.octets == 0 {
            return;
        }
        let mut held = self.room.held();
        held.all -= self.octets;
        if let Some(of_user) = held.by_user.get_mut(&self.user) {
            *of_user -= self.octets;
            if *of_user == 0 {
                held.by_user.remove(&self.user);
            }
        }
        self.octets = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// What a recipient takes in memory, about.
pub(super) fn octets_of(recipient: &Recipient) -> u64 {
    let mailbox = &recipient.mailbox;
    let address = mailbox.local.len() + mailbox.domain.len();
    let orcpt = recipient
        .orcpt
        .as_ref()
        .map_or(0, |orcpt| orcpt.address_type.len() + orcpt.address.len());
    (RECIPIENT_OCTETS + COPIES * (address + orcpt)) as u64
}

#[cfg(test)]
impl Shares {
    /// What a user holds: of contents, and of envelopes.
    pub(super) fn held_by(&self, user: &str) -> (u64, u64) {
        let held = |room: &Room| room.held().by_user.get(user).copied().unwrap_or_default();
        (held(&self.contents), held(&self.envelopes))
    }
}

#[cfg(test)]
mod tests {
    use outpost_smtp::{Mailbox, Orcpt};

    use super::*;

    #[test]
    fn a_user_has_three_quarters_at_most_and_all_comes_back() {
        let shares = Shares::new(1_000);
        let mut first = shares.content("greedy");
        let mut second = shares.content("greedy");
        assert!(first.grow(500, 0) && second.grow(250, 0));
        assert!(!second.grow(1, 0) && !first.grow(1, 0));
        let mut other = shares.content("other");
        assert!(other.grow(750, 0));
        assert!(first.cover(500, 0) && !first.cover(501, 0));
        drop(first);
        assert!(second.grow(500, 0));
        drop((second, other));
        let held = shares.contents.held();
        assert_eq!((held.all, held.by_user.len()), (0, 0));
    }

    #[test]
    fn the_largest_message_has_room_where_three_quarters_are_less() {
        let shares = Shares::new(1_000);
        let mut share = shares.content("one");
        assert!(!share.grow(900, 800));
        assert!(share.grow(900, 1_000));
        share.give_back();
        share.give_back();
        assert!(share.grow(750, 0));
    }

    #[test]
    fn all_that_a_recipient_names_counts() {
        let recipient = |address_type: &str| Recipient {
            mailbox: Mailbox::parse("a@b.example", false).unwrap(),
            notify: None,
            orcpt: Some(Orcpt {
                address_type: address_type.to_owned(),
                address: "c".into(),
            }),
        };
        let more = octets_of(&recipient(&"x".repeat(400))) - octets_of(&recipient("x"));
        assert_eq!(more, 399 * COPIES as u64);
    }

    #[test]
    fn envelopes_are_bounded_for_one_user_and_for_all() {
        let shares = Shares::new(0);
        let part = ENVELOPES_OCTETS_MAX / 4 * 3;
        let (mut one, mut other) = (shares.envelope("one"), shares.envelope("other"));
        assert!(!one.grow(part + 1, 0) && one.grow(part, 0));
        assert!(!other.grow(part, 0) && other.grow(ENVELOPES_OCTETS_MAX - part, 0));
        assert!(!other.grow(1, 0));
    }
}
