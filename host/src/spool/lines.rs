//! The heads of all lines, in memory.
//!
//! Each line keeps the first few of its waiting deliveries; the rest is on disk, behind its
//! horizon, and is read when those are used up. So a claim takes from memory, and one read in
//! many finds the next few with one seek, whatever the backlog. Memory grows with the number of
//! lines that have mail, not with the mail in them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::message::{DeliveryId, Line, MessageId, Timestamp};

use super::place::{Place, Spot};

/// So many deliveries of a line are read at once: enough that the read is a small part of what
/// delivering them costs.
pub(super) const WINDOW: usize = 64;

/// A line that is fed faster than it is claimed from keeps at most twice as many.
const WINDOW_MAX: usize = 2 * WINDOW;

/// All lines with waiting deliveries that are not leased.
#[derive(Debug, Default)]
pub(super) struct Lines {
    windows: HashMap<Arc<Line>, Window>,
    /// Begins the counts of a rebuilt line where no earlier count has been.
    rebuilt: u64,
}

#[derive(Debug, Default)]
struct Window {
    /// The first waiting deliveries that are not leased: all up to the horizon.
    spots: BTreeMap<Spot, MessageId>,
    /// What stands behind this spot is on disk only; without one, nothing is.
    horizon: Option<Spot>,
    /// Counts what was done to the line, so that a read from disk can tell that it is stale.
    touched: u64,
}

/// What is known of the first delivery of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing waits.
    Nothing,
    /// It is to be read from disk.
    Behind(Horizon),
    /// It stands there.
    At(Spot, DeliveryId),
}

/// From where a line is to be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Horizon {
    /// Read what stands behind this spot.
    pub(super) after: Spot,
    touched: u64,
}

/// What was read of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Behind {
    /// At most [`WINDOW`] waiting deliveries, leased ones among them.
    pub(super) spots: Vec<(Spot, MessageId)>,
    /// Whether these were the last ones.
    pub(super) is_all: bool,
}

impl Lines {
    /// What is known of the first delivery of a line.
    pub(super) fn first(&self, line: &Line) -> First {
        self.windows.get(line).map_or(First::Nothing, Window::first)
    }

    /// Takes the first delivery out when it is known and due; it is leased then.
    pub(super) fn take_due(&mut self, line: &Line, now: Timestamp) -> Option<(Spot, DeliveryId)> {
        let window = self.windows.get_mut(line)?;
        let First::At(spot, id) = window.first() else {
            return None;
        };
        if spot.due > now {
            return None;
        }
        window.spots.remove(&spot);
        self.drop_if_empty(line);
        Some((spot, id))
    }

    /// A delivery waits there now; true when it is the first of its line.
    pub(super) fn insert(&mut self, place: &Place, message: MessageId) -> bool {
        let window = match self.windows.get_mut(&place.line) {
            Some(window) => window,
            None => {
                let line = Arc::new(place.line.clone());
                self.windows.entry(line).or_default()
            }
        };
        window.touched += 1;
        if window.horizon.is_some_and(|horizon| place.spot > horizon) {
            return false;
        }
        window.spots.insert(place.spot, message);
        if window.spots.len() > WINDOW_MAX
            && let Some(first_beyond) = window.spots.keys().nth(WINDOW).copied()
        {
            window.spots.split_off(&first_beyond);
            window.horizon = window.spots.last_key_value().map(|(spot, _)| *spot);
        }
        window.spots.first_key_value().map(|(spot, _)| *spot) == Some(place.spot)
    }

    /// No delivery waits there any more; true when it was the first of its line.
    pub(super) fn remove(&mut self, place: &Place) -> bool {
        let Some(window) = self.windows.get_mut(&place.line) else {
            return false;
        };
        window.touched += 1;
        let was_first = window.spots.first_key_value().map(|(spot, _)| *spot) == Some(place.spot);
        window.spots.remove(&place.spot);
        self.drop_if_empty(&place.line);
        was_first
    }

    /// Takes in what was read behind a horizon. False when the line was touched meanwhile: read again.
    pub(super) fn extend(
        &mut self,
        line: &Line,
        horizon: Horizon,
        behind: &Behind,
        is_leased: impl Fn(DeliveryId) -> bool,
    ) -> bool {
        let Some(window) = self.windows.get_mut(line) else {
            return true;
        };
        if window.touched != horizon.touched || window.horizon != Some(horizon.after) {
            return false;
        }
        window.spots.extend(
            behind
                .spots
                .iter()
                .filter(|(spot, message)| !is_leased(name(*message, *spot)))
                .copied(),
        );
        window.horizon = match behind.spots.last() {
            Some((spot, _)) if !behind.is_all => Some(*spot),
            _ => None,
        };
        self.drop_if_empty(line);
        true
    }

    /// Starts anew from the first delivery of each line, of which no more is known. Claims may have gone on
    /// since it was read, so it counts whether it is leased now; what stands behind it is read later.
    pub(super) fn rebuild(
        &mut self,
        heads: impl IntoIterator<Item = (Place, MessageId)>,
        is_leased: impl Fn(DeliveryId) -> bool,
    ) {
        self.rebuilt += 1 << 32;
        self.windows = heads
            .into_iter()
            .map(|(place, message)| {
                let head = (place.spot, message);
                let waits = !is_leased(name(message, place.spot));
                let window = Window {
                    spots: waits.then_some(head).into_iter().collect(),
                    horizon: Some(place.spot),
                    touched: self.rebuilt,
                };
                (Arc::new(place.line), window)
            })
            .collect();
    }

    /// All lines.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Line> {
        self.windows.keys().map(Arc::as_ref)
    }

    /// All lines, with what is known of the first delivery of each.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (&Arc<Line>, First)> {
        let windows = self.windows.iter();
        windows.map(|(line, window)| (line, window.first()))
    }

    fn drop_if_empty(&mut self, line: &Line) {
        if self
            .windows
            .get(line)
            .is_some_and(|window| window.first() == First::Nothing)
        {
            self.windows.remove(line);
        }
    }
}

impl Window {
    fn first(&self) -> First {
        match (self.spots.first_key_value(), self.horizon) {
            (Some((spot, message)), _) => First::At(*spot, name(*message, *spot)),
            (None, Some(after)) => First::Behind(Horizon {
                after,
                touched: self.touched,
            }),
            (None, None) => First::Nothing,
        }
    }
}

fn name(message: MessageId, spot: Spot) -> DeliveryId {
    DeliveryId {
        message,
        number: spot.number,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::message::{Class, NextHop};

    /// A line as the disk has it, beside the one in memory.
    #[derive(Default)]
    struct Model {
        lines: Lines,
        disk: BTreeMap<Spot, MessageId>,
        leased: BTreeSet<Spot>,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Remove(usize),
        Take,
        GiveBack(usize),
        Restart,
        /// Memory is built anew from a head that was read before a step of somebody else.
        StaleRestart(Box<Step>),
        /// A read that a step of somebody else overtakes.
        StaleRead(u64),
    }

    fn line() -> Line {
        Line {
            next_hop: NextHop::Domain("a.example".to_owned()),
            class: Class::Normal,
            user: "user".to_owned(),
        }
    }

    fn place(spot: Spot) -> Place {
        Place { line: line(), spot }
    }

    impl Model {
        fn read(&self, after: Spot) -> Behind {
            let mut rows = self.disk.range(after..).filter(|(spot, _)| **spot > after);
            let spots: Vec<_> = rows.by_ref().take(WINDOW).map(|(s, m)| (*s, *m)).collect();
            Behind {
                is_all: rows.next().is_none(),
                spots,
            }
        }

        fn know_first(&mut self) {
            while let First::Behind(horizon) = self.lines.first(&line()) {
                let behind = self.read(horizon.after);
                let leased = &self.leased;
                assert!(self.lines.extend(&line(), horizon, &behind, |id| {
                    leased.iter().any(|spot| spot.number == id.number)
                }));
            }
        }

        fn insert(&mut self, due: u64) {
            let number = self
                .disk
                .keys()
                .map(|spot| spot.number + 1)
                .max()
                .unwrap_or(0);
            let spot = Spot {
                due: Timestamp::from_unix_milliseconds(due),
                sequence: 0,
                number,
            };
            self.disk.insert(spot, MessageId::from_bits(1));
            self.lines.insert(&place(spot), MessageId::from_bits(1));
        }

        fn restart(&mut self, meanwhile: impl FnOnce(&mut Self)) {
            let head = self.disk.first_key_value().map(|(s, m)| (place(*s), *m));
            meanwhile(self);
            let leased = &self.leased;
            self.lines.rebuild(head, |id| {
                leased.iter().any(|spot| spot.number == id.number)
            });
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Insert(due) => self.insert(due),
                Step::Remove(index) => {
                    let spot = self
                        .disk
                        .keys()
                        .nth(index % self.disk.len().max(1))
                        .copied();
                    if let Some(spot) = spot.filter(|spot| !self.leased.contains(spot)) {
                        self.disk.remove(&spot);
                        self.lines.remove(&place(spot));
                    }
                }
                Step::Take => {
                    self.know_first();
                    if let Some((spot, _)) = self.lines.take_due(&line(), Timestamp::NEVER) {
                        self.leased.insert(spot);
                    }
                }
                Step::GiveBack(index) => {
                    let spot = self
                        .leased
                        .iter()
                        .nth(index % self.leased.len().max(1))
                        .copied();
                    if let Some(spot) = spot {
                        self.leased.remove(&spot);
                        self.lines.insert(&place(spot), MessageId::from_bits(1));
                    }
                }
                Step::Restart => self.restart(|_| {}),
                Step::StaleRestart(meanwhile) => self.restart(|model| model.step(*meanwhile)),
                Step::StaleRead(due) => {
                    if let First::Behind(horizon) = self.lines.first(&line()) {
                        let behind = self.read(horizon.after);
                        self.insert(due);
                        assert!(!self.lines.extend(&line(), horizon, &behind, |_| false));
                    }
                }
            }
        }

        fn expected_first(&self) -> Option<Spot> {
            self.disk
                .keys()
                .find(|spot| !self.leased.contains(spot))
                .copied()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_first_in_memory_is_the_first_on_disk_that_is_not_leased(
            steps in prop::collection::vec(prop_oneof![
                6 => (0..1_000u64).prop_map(Step::Insert),
                2 => any::<usize>().prop_map(Step::Remove),
                3 => Just(Step::Take),
                1 => any::<usize>().prop_map(Step::GiveBack),
                1 => Just(Step::Restart),
                1 => Just(Step::StaleRestart(Box::new(Step::Take))),
                1 => any::<usize>().prop_map(|index| Step::StaleRestart(Box::new(Step::GiveBack(index)))),
                1 => (0..1_000u64).prop_map(Step::StaleRead),
            ], 0..400),
        ) {
            let mut model = Model::default();
            for step in steps {
                model.step(step);
                prop_assert!(model.lines.windows.values().all(|w| w.spots.len() <= WINDOW_MAX));
            }
            // Every one comes out, in order, until nothing is left.
            loop {
                model.know_first();
                let taken = model.lines.take_due(&line(), Timestamp::NEVER).map(|(spot, _)| spot);
                prop_assert_eq!(taken, model.expected_first());
                match taken {
                    Some(spot) => model.leased.insert(spot),
                    None => break,
                };
            }
            prop_assert!(model.lines.windows.is_empty());
        }
    }
}
