//! Lines in memory beside those on the disk, whatever happens to either.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::message::NextHop;
use crate::spool::window::WINDOW;

/// Of one lane and class, by user and spot.
type Key = (String, Spot);

/// A lane as the disk has it, beside what is in memory.
struct Model {
    lines: Lines,
    disk: BTreeMap<Key, MessageId>,
    leased: BTreeSet<Key>,
    stopped: HashSet<String>,
    now: Timestamp,
    next: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u64),
    Remove(usize),
    Take(usize),
    /// Claims from a line without having been told of it.
    TakeOf(u8),
    GiveBack(usize),
    Wait(u64),
    Stop(u8),
    Start(u8),
    Restart,
    /// Memory is built anew from heads that were read before a step of somebody else.
    StaleRestart(Box<Step>),
    /// A read of a line that a step of somebody else overtakes.
    StaleRead(Box<Step>),
    /// A search for hidden lines that a step of somebody else overtakes.
    StaleSearch(Box<Step>),
    Settle,
}

fn line(user: &str) -> Line {
    Line {
        next_hop: NextHop::Domain("a.example".into()),
        class: Class::Normal,
        user: user.into(),
    }
}

fn user(number: u8) -> String {
    format!("user{number}")
}

fn place((user, spot): &Key) -> Place {
    Place {
        line: line(user),
        spot: *spot,
    }
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(milliseconds)
}

impl Model {
    fn new(bounds: Bounds) -> Self {
        Self {
            lines: Lines::within(bounds),
            disk: BTreeMap::new(),
            leased: BTreeSet::new(),
            stopped: HashSet::new(),
            now: at(500),
            next: 0,
        }
    }

    /// The first delivery of each user, leased or not.
    fn heads(&self) -> Vec<Key> {
        let mut heads: Vec<Key> = Vec::new();
        for key in self.disk.keys() {
            if heads.last().is_none_or(|last| last.0 != key.0) {
                heads.push(key.clone());
            }
        }
        heads
    }

    /// The first delivery of a user that is not leased.
    fn first_of(&self, user: &str) -> Option<Key> {
        let mut keys = self.disk.keys().filter(|key| key.0 == user);
        keys.find(|key| !self.leased.contains(*key)).cloned()
    }

    fn is_leased(leased: &BTreeSet<Key>) -> impl Fn(DeliveryId) -> bool {
        |id| leased.iter().any(|(_, spot)| spot.number == id.number)
    }

    fn is_stopped(stopped: &HashSet<String>) -> impl Fn(&Line) -> bool {
        |line| stopped.contains(&*line.user)
    }

    fn read(&self, user: &str, after: Option<Spot>) -> Behind {
        let mut rows = self
            .disk
            .iter()
            .filter(|((of, spot), _)| of == user && after.is_none_or(|after| *spot > after));
        let spots = rows.by_ref().take(WINDOW);
        let spots: Vec<_> = spots
            .map(|((_, spot), message)| (*spot, *message))
            .collect();
        Behind {
            is_all: rows.next().is_none(),
            spots,
        }
    }

    /// As simply as it can be said.
    fn search(&self, search: &Search) -> Found {
        let (before, behind): (Vec<Key>, Vec<Key>) = self
            .heads()
            .into_iter()
            .partition(|(user, _)| user.as_str() <= &*search.after);
        let hidden = behind.into_iter().chain(before);
        let hidden = hidden.filter(|(user, _)| !search.shown.contains(user.as_str()));
        let first_of = |(user, _): Key| self.first_of(&user);
        let hidden: Vec<_> = hidden.filter_map(first_of).collect();
        let (stopped, hidden): (Vec<Key>, Vec<Key>) = hidden
            .into_iter()
            .partition(|(user, _)| self.stopped.contains(user));
        let (due, mut later): (Vec<Key>, Vec<Key>) = hidden
            .into_iter()
            .partition(|(_, spot)| spot.due <= search.now);
        later.sort_by_key(|(_, spot)| *spot);
        let mut all = due.into_iter().chain(later);
        let heads = all.by_ref().take(search.most);
        let heads: Vec<_> = heads.map(|key| (place(&key), self.disk[&key])).collect();
        let others_due = all.map(|(_, spot)| spot.due).min();
        Found {
            heads,
            others_due: others_due.unwrap_or(Timestamp::NEVER),
            is_all: others_due.is_none() && stopped.is_empty(),
        }
    }

    fn show(&mut self, search: &Search, found: Found) {
        let is_leased = Self::is_leased(&self.leased);
        let is_stopped = Self::is_stopped(&self.stopped);
        self.lines.show(search, found, is_leased, is_stopped);
    }

    /// Reads all that is to be read.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            for search in self.lines.searches(self.now, 1) {
                let found = self.search(&search);
                self.show(&search, found);
            }
            let lines: Vec<Line> = self.lines.iter().cloned().collect();
            for line in lines {
                while let First::Behind(horizon) = self.lines.first(&line) {
                    let behind = self.read(&line.user, horizon.after);
                    let is_leased = Self::is_leased(&self.leased);
                    assert!(self.lines.extend(&line, horizon, &behind, is_leased));
                }
            }
            if !self.lines.is_wanting() {
                return;
            }
        }
        panic!("there is always more to read");
    }

    fn put(&mut self, key: &Key) {
        let is_stopped = self.stopped.contains(&key.0);
        self.lines
            .insert(&place(key), MessageId::from_bits(1), is_stopped);
    }

    fn insert(&mut self, number: u8, due: u64) {
        let spot = Spot {
            due: at(due),
            sequence: 0,
            number: self.next,
        };
        self.next += 1;
        let key = (user(number), spot);
        self.disk.insert(key.clone(), MessageId::from_bits(1));
        self.put(&key);
    }

    /// Takes from a line; which delivery it was.
    fn take_of(&mut self, line: &Line) -> Option<Key> {
        if self.stopped.contains(&*line.user) {
            return None;
        }
        let (spot, _) = self.lines.take_due(line, self.now)?;
        let key = (line.user.to_string(), spot);
        assert!(self.leased.insert(key.clone()), "{key:?} is leased twice");
        Some(key)
    }

    /// Takes from one of the lines that are shown; which delivery it was.
    fn take(&mut self, which: usize) -> Option<Key> {
        let mut lines: Vec<Line> = self.lines.iter().cloned().collect();
        lines.sort();
        let first = which % lines.len().max(1);
        lines.rotate_left(first);
        lines.iter().find_map(|line| self.take_of(line))
    }

    fn restart(&mut self, meanwhile: impl FnOnce(&mut Self)) {
        let heads = self.heads();
        let are_all = heads.len() <= self.lines.bounds.lines_max;
        let most = if are_all { heads.len() } else { 1 };
        let heads = heads.iter().take(most);
        let heads = Heads {
            heads: heads.map(|key| (place(key), self.disk[key])).collect(),
            are_all,
        };
        meanwhile(self);
        let is_leased = Self::is_leased(&self.leased);
        let is_stopped = Self::is_stopped(&self.stopped);
        self.lines.rebuild(heads, is_leased, is_stopped);
    }

    fn step(&mut self, step: Step) {
        fn nth<'a>(mut keys: impl ExactSizeIterator<Item = &'a Key>, index: usize) -> Option<Key> {
            let count = keys.len();
            keys.nth(index % count.max(1)).cloned()
        }
        match step {
            Step::Insert(user, due) => self.insert(user, due),
            Step::Remove(index) => {
                let key = nth(self.disk.keys(), index);
                if let Some(key) = key.filter(|key| !self.leased.contains(key)) {
                    self.disk.remove(&key);
                    self.lines.remove(&place(&key));
                }
            }
            Step::Take(which) => {
                self.take(which);
            }
            Step::TakeOf(number) => {
                let line = line(&user(number));
                if !self.stopped.contains(&*line.user) {
                    self.lines.look_for(&line);
                    self.settle();
                }
                self.take_of(&line);
            }
            Step::GiveBack(index) => {
                if let Some(key) = nth(self.leased.iter(), index) {
                    self.leased.remove(&key);
                    self.put(&key);
                }
            }
            Step::Wait(milliseconds) => {
                self.now = self
                    .now
                    .plus(std::time::Duration::from_millis(milliseconds));
            }
            Step::Stop(number) => {
                self.stopped.insert(user(number));
                self.look_at_stops();
            }
            Step::Start(number) => {
                self.stopped.remove(&user(number));
                self.look_at_stops();
            }
            Step::Restart => self.restart(|_| {}),
            // Claims alone go on while heads are read at a start: the writer reads them.
            Step::StaleRestart(meanwhile) => match *meanwhile {
                Step::Take(_) | Step::GiveBack(_) => self.restart(|model| model.step(*meanwhile)),
                _ => self.restart(|_| {}),
            },
            Step::StaleRead(meanwhile) => {
                let mut lines: Vec<Line> = self.lines.iter().cloned().collect();
                lines.sort();
                let mut behind =
                    lines
                        .into_iter()
                        .filter_map(|line| match self.lines.first(&line) {
                            First::Behind(horizon) => Some((line, horizon)),
                            _ => None,
                        });
                let Some((line, horizon)) = behind.next() else {
                    return;
                };
                let read = self.read(&line.user, horizon.after);
                self.step(*meanwhile);
                let is_leased = Self::is_leased(&self.leased);
                self.lines.extend(&line, horizon, &read, is_leased);
            }
            Step::StaleSearch(meanwhile) => {
                let Some(search) = self.lines.searches(self.now, 1).pop() else {
                    return;
                };
                let found = self.search(&search);
                self.step(*meanwhile);
                self.show(&search, found);
            }
            Step::Settle => {
                self.settle();
                self.check();
            }
        }
    }

    fn look_at_stops(&mut self) {
        self.lines.stop(Self::is_stopped(&self.stopped));
        self.lines.reconsider();
    }

    /// What waits, is not leased and not stopped.
    fn waiting(&self) -> impl Iterator<Item = &Key> {
        let keys = self.disk.keys();
        keys.filter(|key| !self.leased.contains(*key) && !self.stopped.contains(&key.0))
    }

    /// What has to be true when everything has been read.
    fn check(&self) {
        let lines = &self.lines;
        let mut first_shown = None;
        for line in lines.iter() {
            let First::At(spot, _) = lines.first(line) else {
                panic!("{} is shown without anything", line.user);
            };
            let mut expected = self
                .waiting()
                .filter(|(user, _)| user.as_str() == &*line.user);
            assert_eq!(
                Some(spot),
                expected.next().map(|(_, spot)| *spot),
                "{}",
                line.user
            );
            first_shown =
                Some(first_shown.map_or(spot.due, |first: Timestamp| first.min(spot.due)));
        }
        // One that is due is shown, if there is one; else the one that falls due first.
        let first = self.waiting().map(|(_, spot)| spot.due).min();
        assert_eq!(
            first.map(|first| first.max(self.now)),
            first_shown.map(|first| first.max(self.now))
        );
        let users: HashSet<&String> = self.waiting().map(|(user, _)| user).collect();
        let shown = lines.lanes.lines().count();
        assert!(
            shown <= lines.bounds.lines_max.max(1) + users.len(),
            "{shown}"
        );
        let few = lines.bounds.lines_max / 2;
        if shown < few && lines.bounds.found_max <= few {
            assert_eq!(shown, users.len(), "nobody is hidden where there is room");
        }
        let spots: usize = lines.lanes.lines().map(|(_, window)| window.len()).sum();
        assert_eq!((lines.spots, lines.others), (spots, shown));
        assert_eq!(lines.of_users.len(), shown);
        assert!(
            lines
                .lanes
                .lines()
                .all(|(_, window)| window.len() <= WINDOW_MAX && window.room() <= 4 * window.len())
        );
    }
}

fn step() -> impl Strategy<Value = Step> {
    let simple = prop_oneof![
        8 => (0..8u8, 1..1_000u64).prop_map(|(user, due)| Step::Insert(user, due)),
        2 => any::<usize>().prop_map(Step::Remove),
        4 => any::<usize>().prop_map(Step::Take),
        1 => any::<usize>().prop_map(Step::GiveBack),
        1 => (0..200u64).prop_map(Step::Wait),
        1 => (0..8u8).prop_map(Step::Stop),
        1 => (0..8u8).prop_map(Step::Start),
    ];
    let simple = simple.boxed();
    prop_oneof![
        16 => simple.clone(),
        1 => (0..8u8).prop_map(Step::TakeOf),
        1 => Just(Step::Restart),
        1 => simple.clone().prop_map(|step| Step::StaleRestart(Box::new(step))),
        2 => simple.clone().prop_map(|step| Step::StaleRead(Box::new(step))),
        2 => simple.prop_map(|step| Step::StaleSearch(Box::new(step))),
        4 => Just(Step::Settle),
    ]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (0..12usize, 1..4usize, 0..300usize).prop_map(|(lines_max, found_max, spots_max)| Bounds {
        lines_max,
        very_high_max: 0,
        found_max,
        spots_max,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_first_in_memory_is_the_first_on_disk_that_is_not_leased_and_each_comes_in_time(
        bounds in bounds(),
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut model = Model::new(bounds);
        for step in steps {
            model.step(step);
        }
        // Every one comes out, of each user in order, until nothing is left.
        model.now = Timestamp::NEVER;
        model.stopped.clear();
        model.look_at_stops();
        for turn in 0.. {
            model.settle();
            model.check();
            let left = model.waiting().count();
            if model.take(turn).is_none() {
                prop_assert_eq!(left, 0);
                break;
            }
        }
        prop_assert!(model.lines.lanes.is_empty());
        prop_assert!(model.lines.of_users.is_empty());
    }

    /// Whoever takes from the lines that are shown in turn serves everybody in turn.
    #[test]
    fn nobody_is_hidden_for_longer_than_the_others_take_a_turn_each(
        bounds in bounds(),
        counts in prop::collection::vec(1..30usize, 1..20),
    ) {
        let mut model = Model::new(bounds);
        for (user, count) in (0..).zip(&counts) {
            for due in 1..=*count as u64 {
                model.insert(user, due);
            }
        }
        let mut last: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        let total: usize = counts.iter().sum();
        for turn in 0..total {
            model.settle();
            // Of those that are shown the one that was served longest ago.
            let shown = model.lines.iter();
            let next = shown.min_by_key(|line| (last.get(&line.user).copied(), line.user.clone()));
            let next = next.unwrap().clone();
            model.take_of(&next).unwrap();
            let before = last.insert(next.user.clone(), turn).unwrap_or(0);
            prop_assert!(turn - before <= 2 * counts.len(), "{} waited for {}", next.user, turn - before);
        }
        prop_assert_eq!(model.waiting().count(), 0);
    }
}

/// Very-high mail is shown though there is no room for what is less urgent.
#[test]
fn what_is_less_urgent_hides_nothing_very_high() {
    let mut lines = Lines::new(2);
    let mut insert = |class, user: &str, number| {
        let line = Line {
            class,
            ..line(user)
        };
        let spot = Spot {
            due: at(0),
            sequence: 0,
            number,
        };
        let place = Place { line, spot };
        lines.insert(&place, MessageId::from_bits(1), false)
    };
    // The first of a lane and class, and the first of a user in a class, are shown in any case.
    assert!(insert(Class::Normal, "a", 1) && insert(Class::Normal, "b", 2));
    assert!(insert(Class::Normal, "c", 3) && insert(Class::Low, "a", 4));
    assert!(insert(Class::VeryHigh, "a", 5) && insert(Class::VeryHigh, "b", 6));
    assert_eq!((lines.very_high, lines.others), (2, 4));
    // The second lane of a user is shown as the first of that lane, and hidden where another one is.
    let elsewhere = |user: &str, number| {
        let line = Line {
            next_hop: NextHop::Domain("b.example".into()),
            ..line(user)
        };
        let spot = Spot {
            due: at(0),
            sequence: 0,
            number,
        };
        Place { line, spot }
    };
    assert!(lines.insert(&elsewhere("a", 7), MessageId::from_bits(1), false));
    assert!(!lines.insert(&elsewhere("b", 8), MessageId::from_bits(1), false));
    assert_eq!((lines.very_high, lines.others), (2, 5));
    assert_eq!(lines.hiding().count(), 1);
}
