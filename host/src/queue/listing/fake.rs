//! A survey that hides lines, for tests: what waits is drawn, and some of each lane are shown.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Came, Entry, Listing, Parts, Sought, StopOf};
use crate::message::{Class, DeliveryId, Line, MessageId, NextHop, Timestamp};
use crate::queue::Settings;
use crate::queue::scheduler::Scheduler;
use crate::spool::{Head, LinesFrom, Row, Selection, SpoolError, Survey, Waiting};

/// What waits, by line; of each lane and class some lines are shown, those that are due before the others.
pub(super) struct Fake {
    pub(super) waiting: BTreeMap<Line, Vec<Waiting>>,
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
            LinesFrom::Line(other) => *line >= other,
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
pub(super) type Drawn = (u8, u8, u8, u64);

pub(super) const NOW: Timestamp = Timestamp::from_unix_milliseconds(500);

pub(super) fn fake(drawn: &[Drawn], shown_max: usize, stopped: &BTreeSet<u8>) -> Fake {
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

pub(super) fn listing(fake: Fake, sought: Option<Sought>) -> Listing {
    let situation = Scheduler::new(Settings::default().limits()).situation();
    let stopped = fake.stopped.clone();
    let stop_of = (!stopped.is_empty()).then(|| {
        let stop_of = move |line: &Line| stopped.get(&*line.user).cloned();
        Box::new(stop_of) as Box<StopOf>
    });
    let all = Parts::of(&Selection::default());
    Listing::new(Box::new(fake), situation, all, sought, stop_of, NOW).unwrap()
}

/// All that comes.
pub(super) fn listed(mut listing: Listing) -> Vec<Entry> {
    let mut found = Vec::new();
    loop {
        match listing.next().unwrap() {
            Came::Entry(entry) => found.push(entry),
            Came::Nothing => {}
            Came::End => return found,
        }
    }
}
