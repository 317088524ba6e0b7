//! All lanes in which a line is shown or may be hidden, by next hop and class.
//!
//! There may be tens of thousands, most with one line or two that are shown: so a next hop stands here once, whatever its
//! classes, and the window of a line stands beside it in its lane.

use std::collections::HashMap;
use std::sync::Arc;

use super::lane::{Lane, Shown};
use crate::message::{Class, Line, NextHop};
use crate::spool::window::Window;

/// One value per class; index 0 is class 1.
type ByClass<T> = [T; Class::ALL.len()];

/// Lanes by next hop and class.
#[derive(Debug, Default)]
pub(super) struct Lanes(HashMap<NextHop, ByClass<Option<Box<Shown>>>>);

impl Lanes {
    pub(super) fn get(&self, lane: &Lane) -> Option<&Shown> {
        self.of(&lane.next_hop, lane.class)
    }

    pub(super) fn get_mut(&mut self, lane: &Lane) -> Option<&mut Shown> {
        self.of_mut(&lane.next_hop, lane.class)
    }

    fn of(&self, next_hop: &NextHop, class: Class) -> Option<&Shown> {
        self.0.get(next_hop)?[class.index()].as_deref()
    }

    fn of_mut(&mut self, next_hop: &NextHop, class: Class) -> Option<&mut Shown> {
        self.0.get_mut(next_hop)?[class.index()].as_deref_mut()
    }

    /// A lane, in which nothing is shown nor hidden if there is none yet.
    pub(super) fn entry(&mut self, next_hop: &NextHop, class: Class) -> &mut Shown {
        let classes = self.0.entry(next_hop.clone()).or_default();
        classes[class.index()].get_or_insert_default()
    }

    /// Forgets a lane of which nothing is shown nor hidden.
    pub(super) fn remove_if_empty(&mut self, lane: &Lane) {
        let Some(classes) = self.0.get_mut(&lane.next_hop) else {
            return;
        };
        let of_class = &mut classes[lane.class.index()];
        if of_class.as_ref().is_some_and(|shown| shown.is_empty()) {
            *of_class = None;
        }
        if classes.iter().all(Option::is_none) {
            self.0.remove(&lane.next_hop);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NextHop, Class, &Shown)> {
        self.0.iter().flat_map(|(next_hop, classes)| {
            let shown = Class::ALL.into_iter().zip(classes);
            shown.filter_map(move |(class, shown)| Some((next_hop, class, shown.as_deref()?)))
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&NextHop, Class, &mut Shown)> {
        self.0.iter_mut().flat_map(|(next_hop, classes)| {
            let shown = Class::ALL.into_iter().zip(classes);
            shown.filter_map(move |(class, shown)| Some((next_hop, class, shown.as_deref_mut()?)))
        })
    }

    /// The window of a line that is shown.
    pub(super) fn window(&self, line: &Line) -> Option<&Window> {
        self.of(&line.next_hop, line.class)?.lines.get(line)
    }

    pub(super) fn window_mut(&mut self, line: &Line) -> Option<&mut Window> {
        self.of_mut(&line.next_hop, line.class)?.lines.get_mut(line)
    }

    /// A line that is shown, as it is kept here.
    pub(super) fn kept(&self, line: &Line) -> Option<&Arc<Line>> {
        self.of(&line.next_hop, line.class)?.lines.key(line)
    }

    /// A next hop, as it is kept here if there is a lane of it.
    pub(super) fn name(&self, next_hop: &NextHop) -> Option<&NextHop> {
        self.0.get_key_value(next_hop).map(|(kept, _)| kept)
    }

    /// All lines that are shown.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&Arc<Line>, &Window)> {
        self.iter().flat_map(|(_, _, shown)| shown.lines.iter())
    }

    /// Takes a line out that is shown.
    pub(super) fn take_out(&mut self, line: &Line) -> Option<(Arc<Line>, Window)> {
        let shown = self.of_mut(&line.next_hop, line.class)?;
        shown.lines.remove_entry(line)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
