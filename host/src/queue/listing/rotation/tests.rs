//! Listings of a spool that hides lines.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::fake::{Drawn, fake, listed, listing};
use super::super::{Entry, Stand};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_comes_once_and_those_of_a_user_in_order(
        drawn in prop::collection::vec((0..3u8, 2..4u8, 0..8u8, 0..1_000u64), 0..120),
        shown_max in 0..4usize,
        stopped in prop::collection::btree_set(0..8u8, 0..3),
    ) {
        let waiting = fake(&drawn, shown_max, &stopped).waiting;
        let found = listed(listing(fake(&drawn, shown_max, &stopped), None));
        let ids: BTreeSet<u32> = found.iter().map(|entry| entry.id.number).collect();
        prop_assert_eq!(found.len(), drawn.len());
        prop_assert_eq!(ids.len(), drawn.len());
        let place: BTreeMap<u32, usize> = (0..)
            .zip(&found)
            .map(|(place, entry)| (entry.id.number, place))
            .collect();
        for of_line in waiting.values() {
            let places: Vec<usize> = of_line.iter().map(|one| place[&one.id.number]).collect();
            prop_assert!(places.is_sorted());
        }
        for entry in &found {
            let (_, _, user, _) = drawn[entry.id.number as usize];
            let is_stopped = matches!(entry.at, Stand::Stopped(..));
            prop_assert_eq!(is_stopped, stopped.contains(&user));
        }
        // What is due comes before what is not.
        let is_due = |entry: &Entry| drawn[entry.id.number as usize].3 <= 500;
        let waits = |entry: &&Entry| matches!(entry.at, Stand::Waiting(_));
        let due: Vec<bool> = found.iter().filter(waits).map(is_due).collect();
        prop_assert!(due.is_sorted_by(|one, next| one >= next));
    }
}

/// One line at a time is shown, and each user has his turn.
#[test]
fn users_take_turns_also_where_they_are_hidden() {
    let drawn: Vec<Drawn> = (0..30).map(|number| (0, 3, number % 5, 0)).collect();
    let found = listed(listing(fake(&drawn, 1, &BTreeSet::new()), None));
    let users: Vec<u32> = found.iter().map(|entry| entry.id.number % 5).collect();
    for round in users.chunks(5) {
        let all: BTreeSet<_> = round.iter().collect();
        assert_eq!(all.len(), 5, "{users:?}");
    }
}
