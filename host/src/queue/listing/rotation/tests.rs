//! Listings of a spool that hides lines.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::{Entry, Listing, Parts, Stand};
use super::*;
use crate::message::{DeliveryId, MessageId};
use crate::queue::Settings;
use crate::queue::scheduler::Scheduler;
use crate::spool::{Head, Row, Selection};

/// What waits, by line; of each lane and class some lines are shown, those that are due before the others.
struct Fake {
    waiting: BTreeMap<Line, Vec<Waiting>>,
    shown_max: usize,
    stopped: BTreeSet<String>,
}

impl Fake {
    fn shown(&self) -> BTreeSet<&Line> {
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        let mut shown = BTreeSet::new();
        let mut lines: Vec<&Line> = self.waiting.keys().collect();
        lines.sort_by_key(|line| {
            self.waiting[*line]
                .first()
                .map(|first| first.head.due.max(NOW))
        });
        lines.retain(|line| !self.stopped.contains(&*line.user));
        for line in lines {
            let count = counts.entry((&line.next_hop, line.class)).or_default();
            *count += 1;
            if *count <= self.shown_max {
                shown.insert(line);
            }
        }
        shown
    }
}

impl Survey for Fake {
    fn lines(&mut self) -> Vec<(Arc<Line>, Option<Waiting>)> {
        let shown = self.shown().into_iter();
        let known = |line: &Line| self.waiting[line].first().copied();
        // Of some the first one is not known.
        let known = |line: &Line| known(line).filter(|first| first.id.number % 2 == 0);
        shown
            .map(|line| (Arc::new(line.clone()), known(line)))
            .collect()
    }

    fn hiding(&mut self) -> Vec<(NextHop, Class)> {
        let shown = self.shown();
        let hidden = self.waiting.keys().filter(|line| !shown.contains(line));
        let hidden: BTreeSet<_> = hidden
            .map(|line| (line.next_hop.clone(), line.class))
            .collect();
        hidden.into_iter().collect()
    }

    fn next_line(&self, from: LinesFrom<'_>) -> Result<Option<Line>, SpoolError> {
        let is_there = |line: &&Line| match from {
            LinesFrom::Start => true,
            LinesFrom::Lane(next_hop, class) => (&line.next_hop, line.class) >= (next_hop, class),
            LinesFrom::Behind(other) => *line > other,
        };
        Ok(self.waiting.keys().find(is_there).cloned())
    }

    fn leased(&mut self) -> Vec<DeliveryId> {
        Vec::new()
    }

    fn waiting(
        &self,
        line: &Line,
        after: Option<Waiting>,
        most: usize,
    ) -> Result<Vec<Waiting>, SpoolError> {
        let of_line = self.waiting.get(line).into_iter().flatten();
        let behind = of_line.filter(|one| after.is_none_or(|after| one.head > after.head));
        Ok(behind.take(most).copied().collect())
    }

    fn held(
        &self,
        _after: Option<&(Line, Waiting)>,
        _most: usize,
    ) -> Result<Vec<(Line, Waiting)>, SpoolError> {
        Ok(Vec::new())
    }

    fn row(&self, _id: DeliveryId, _now: Timestamp) -> Result<Option<Row>, SpoolError> {
        Ok(None)
    }
}

/// Lane, class, user and due time of one that waits.
type Drawn = (u8, u8, u8, u64);

const NOW: Timestamp = Timestamp::from_unix_milliseconds(500);

fn fake(drawn: &[Drawn], shown_max: usize, stopped: &BTreeSet<u8>) -> Fake {
    let mut waiting: BTreeMap<Line, Vec<Waiting>> = BTreeMap::new();
    for (number, (lane, class, user, due)) in (0..).zip(drawn) {
        let line = Line {
            next_hop: NextHop::Domain(format!("{lane}.example").into()),
            class: Class::from_number(*class).unwrap(),
            user: format!("user{user}").into(),
        };
        let id = DeliveryId {
            message: MessageId::from_bits(1),
            number,
        };
        let head = Head {
            due: Timestamp::from_unix_milliseconds(*due),
            sequence: u64::from(number),
        };
        waiting.entry(line).or_default().push(Waiting { id, head });
    }
    for of_line in waiting.values_mut() {
        of_line.sort_by_key(|one| one.head);
    }
    Fake {
        waiting,
        shown_max,
        stopped: stopped.iter().map(|user| format!("user{user}")).collect(),
    }
}

fn listed(fake: Fake) -> Vec<Entry> {
    let situation = Scheduler::new(Settings::default().limits()).situation();
    let stopped = fake.stopped.clone();
    let stop_of = (!stopped.is_empty()).then(|| {
        let stop_of = move |line: &Line| stopped.get(&*line.user).cloned();
        Box::new(stop_of) as Box<StopOf>
    });
    let all = Parts::of(&Selection::default());
    let mut listing = Listing::new(Box::new(fake), situation, all, stop_of, NOW).unwrap();
    let mut found = Vec::new();
    while let Some(entry) = listing.next().unwrap() {
        found.push(entry);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_comes_once_and_those_of_a_user_in_order(
        drawn in prop::collection::vec((0..3u8, 2..4u8, 0..8u8, 0..1_000u64), 0..120),
        shown_max in 0..4usize,
        stopped in prop::collection::btree_set(0..8u8, 0..3),
    ) {
        let waiting = fake(&drawn, shown_max, &stopped).waiting;
        let found = listed(fake(&drawn, shown_max, &stopped));
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
    let found = listed(fake(&drawn, 1, &BTreeSet::new()));
    let users: Vec<u32> = found.iter().map(|entry| entry.id.number % 5).collect();
    for round in users.chunks(5) {
        let all: BTreeSet<_> = round.iter().collect();
        assert_eq!(all.len(), 5, "{users:?}");
    }
}
