//! What is sought, beside the listing of everything.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::fake::{Drawn, NOW, fake, listed, listing};
use super::super::{Entry, Stand};
use super::*;

/// The numbers of what is sought, in their order. As it is looked for behind the first `near`, or by passing everything.
fn sought(
    drawn: &[Drawn],
    shown_max: usize,
    stopped: &BTreeSet<u8>,
    selection: &Selection,
    near: Option<usize>,
    lines_max: usize,
) -> Vec<Entry> {
    let of = Sought::of(selection, &Stops::default());
    let mut listing = listing(
        fake(drawn, shown_max, stopped),
        of.filter(|_| near.is_some()),
    );
    listing.near = near.unwrap_or(listing.near);
    if let Some(search) = &mut listing.search {
        search.lines_max = lines_max;
    }
    let later = matches!(
        selection.state,
        Some(QueueState::Scheduled | QueueState::Deferred)
    );
    let mut found = listed(listing);
    found.retain(|entry| {
        let line = entry.line().unwrap();
        selection.admits(line, &Stops::default()) && !(later && entry.is_due(NOW))
    });
    found
}

fn numbers(entries: &[Entry]) -> Vec<u32> {
    entries.iter().map(|entry| entry.id.number).collect()
}

/// A few ways to mean some of what is drawn.
fn selections() -> impl Strategy<Value = Selection> {
    let user = prop::option::of((0..9u8, any::<bool>()).prop_map(
        |(user, is_large)| match is_large {
            true => format!("USER{user}"),
            false => format!("user{user}"),
        },
    ));
    let class = prop::option::of((2..5u8).prop_map(|class| Class::from_number(class).unwrap()));
    let domain = prop::option::of((0..4u8).prop_map(|lane| format!("{lane}.EXAMPLE")));
    let state = prop::sample::select(vec![None, Some(QueueState::Scheduled)]);
    (user, class, domain, state).prop_map(|(user, class, domain, state)| Selection {
        user,
        class,
        domain,
        state,
        ..Selection::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sought_is_what_passing_everything_finds(
        drawn in prop::collection::vec((0..3u8, 2..4u8, 0..8u8, 0..1_000u64), 0..120),
        shown_max in 0..4usize,
        stopped in prop::collection::btree_set(0..8u8, 0..2),
        selection in selections(),
        near in 0..40usize,
        lines_max in prop::sample::select(vec![1, 3, LINES_MAX]),
    ) {
        let searched = sought(&drawn, shown_max, &stopped, &selection, Some(near), lines_max);
        let passed = sought(&drawn, shown_max, &stopped, &selection, None, lines_max);
        let all: BTreeSet<u32> = numbers(&passed).into_iter().collect();
        prop_assert_eq!(numbers(&searched).into_iter().collect::<BTreeSet<_>>(), all);
        prop_assert_eq!(searched.len(), passed.len(), "each once");
        // What is near has its place, the rest of what waits has none.
        let has_place = |entry: &Entry| match &entry.at {
            Stand::Waiting(in_line) => Some(in_line.ahead.is_some()),
            _ => None,
        };
        let told: Vec<bool> = searched.iter().filter_map(has_place).collect();
        prop_assert!(told.is_sorted_by(|one, next| one >= next));
        if Sought::of(&selection, &Stops::default()).is_some() {
            prop_assert!(told.iter().filter(|is_told| **is_told).count() <= near);
        }
        // What is not due comes as it falls due.
        let later = searched.iter().filter(|entry| has_place(entry) == Some(false));
        let later: Vec<u64> = later
            .map(|entry| drawn[entry.id.number as usize].3)
            .filter(|due| *due > 500)
            .collect();
        prop_assert!(later.is_sorted() || lines_max < LINES_MAX, "of many lines a part at a time");
    }
}

/// A listing of many lines of which a user has one comes to it after a few looks.
#[test]
fn a_user_is_found_in_a_lane_of_many_after_a_few_looks() {
    let drawn: Vec<Drawn> = (0..200).map(|number| (0, 3, number, 0)).collect();
    let selection = Selection {
        user: Some("User150".to_owned()),
        ..Selection::default()
    };
    let of = Sought::of(&selection, &Stops::default());
    let mut listing = listing(fake(&drawn, 1, &BTreeSet::new()), of);
    listing.near = 0;
    let mut looks = 0;
    let found = loop {
        match listing.next().unwrap() {
            super::super::Came::Entry(entry) => break entry,
            super::super::Came::Nothing => looks += 1,
            super::super::Came::End => panic!("it waits"),
        }
    };
    assert_eq!(found.id.number, 150);
    assert!(looks < 20, "{looks}");
}
