//! The heads of lines, in memory.
//!
//! A line that is *shown* has its window here. Others are *hidden*: they are on disk only, and take the place of a line of
//! their lane and class when that has had its turn. While there are few lines nobody is hidden. When there are many, of each
//! lane and class at least one line is shown, and of each user and class one that has just come to have mail. So memory grows
//! with lanes and users that have mail, neither with the mail nor with the number of lanes times that of users. Very-high
//! mail is not hidden for what is less urgent: its lines are counted apart.
//!
//! Where lines are hidden, one that is shown and due is claimed from, hidden, and the next one is looked for on disk, from
//! one user to the next, passing over those of whom nothing is due. Where none is due the line that falls due first is shown,
//! so that whoever waits for its time looks again then.

mod lane;
mod lanes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::message::{Class, DeliveryId, Line, MessageId, NextHop, Timestamp};

use super::heads::Heads;
use super::place::{Place, Spot};
use super::window::{self, Behind, First, Horizon, WINDOW_MAX, WINDOW_MAX_OF_MANY, Window};

use lane::Hidden;
pub(super) use lane::{Found, Lane, Search};
use lanes::Lanes;

/// How many lines are shown.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// While there are fewer that are not very high, none of those is hidden.
    lines_max: usize,
    /// While there are fewer that are very high, none of those is.
    very_high_max: usize,
    /// While fewer of their deliveries are in memory, each line keeps as many as are worth a read.
    spots_max: usize,
    /// So many lines of a lane are looked for at once.
    found_max: usize,
}

impl Bounds {
    fn new(lines_max: usize) -> Self {
        Self {
            lines_max,
            // A backlog of that is for many users and next hops at once, and its order is by acceptance alone. Half as many
            // as of all others: where there are very many of every class they come on top of those.
            very_high_max: 10_000,
            spots_max: 100_000,
            found_max: 64,
        }
    }
}

/// So many are quickly looked at.
const FEW: usize = 8;

/// Lines with waiting deliveries that are not leased.
#[derive(Debug)]
pub(super) struct Lines {
    bounds: Bounds,
    /// Those that are shown, and what of the others.
    lanes: Lanes,
    /// How many are shown of very high and of all others.
    very_high: usize,
    others: usize,
    /// How many are shown of a user, by class. Nobody has an entry of whom none is.
    of_users: HashMap<Arc<str>, [u32; Class::ALL.len()]>,
    /// Deliveries in all windows.
    spots: usize,
    /// Lanes in which hidden lines may have to be shown.
    wanting: BTreeSet<Lane>,
    /// How often anything was touched: no two states of a line or a lane have the same count.
    touches: u64,
}

/// Lines that are shown where they were not, or the other way round.
#[derive(Debug, Default)]
pub(super) struct Changed(Vec<Arc<Line>>);

impl Changed {
    pub(super) fn lines(self) -> impl Iterator<Item = Line> {
        self.0.into_iter().map(Arc::unwrap_or_clone)
    }
}

impl Lines {
    /// None yet. While there are fewer than so many, all are shown.
    pub(super) fn new(lines_max: usize) -> Self {
        Self::within(Bounds::new(lines_max))
    }

    fn within(bounds: Bounds) -> Self {
        Self {
            bounds,
            lanes: Lanes::default(),
            very_high: 0,
            others: 0,
            of_users: HashMap::new(),
            spots: 0,
            wanting: BTreeSet::new(),
            touches: 0,
        }
    }

    /// What is known of the first delivery of a line.
    pub(super) fn first(&self, line: &Line) -> First {
        let window = self.lanes.window(line);
        window.map_or(First::Nothing, Window::first)
    }

    /// A line, as it is kept here if it is shown; else with the names that others of its lane and user have.
    pub(super) fn kept(&self, line: Line) -> Arc<Line> {
        if let Some(kept) = self.lanes.kept(&line) {
            return Arc::clone(kept);
        }
        let user = self.of_users.get_key_value(&line.user);
        Arc::new(Line {
            next_hop: self
                .lanes
                .name(&line.next_hop)
                .unwrap_or(&line.next_hop)
                .clone(),
            class: line.class,
            user: user.map_or(&line.user, |(user, _)| user).clone(),
        })
    }

    /// Shows a line that may be hidden, for whoever knows of it.
    pub(super) fn look_for(&mut self, line: &Line) {
        if self.lanes.window(line).is_none() && self.hidden_of(&Lane::of(line)).is_some() {
            self.touches += 1;
            self.add(self.kept(line.clone()), Window::unread(self.touches));
        }
    }

    /// Takes the first delivery out when it is known and due; it is leased then. Its line has had its turn: where others
    /// that may be due are hidden, it is from now on.
    pub(super) fn take_due(&mut self, line: &Line, now: Timestamp) -> Option<(Spot, DeliveryId)> {
        let window = self.lanes.window_mut(line)?;
        let First::At(spot, id) = window.first() else {
            return None;
        };
        if spot.due > now {
            return None;
        }
        window.take_first();
        self.spots -= 1;
        if window.first() == First::Nothing {
            self.drop_line(line);
        } else {
            let lane = Lane::of(line);
            let hidden = self.hidden_of(&lane);
            match hidden.is_some_and(|hidden| hidden.not_before <= now) {
                true => self.hide(line),
                false => self.look(&lane),
            }
        }
        Some((spot, id))
    }

    /// A delivery waits there now; true when what is known of the first one of its line changed. What is stopped is not
    /// shown.
    pub(super) fn insert(&mut self, place: &Place, message: MessageId, is_stopped: bool) -> bool {
        if self.lanes.window(&place.line).is_none() && !self.show_new(place, is_stopped) {
            return false;
        }
        let most = self.window_max();
        let Some(window) = self.lanes.window_mut(&place.line) else {
            return false;
        };
        self.touches += 1;
        let before = window.len();
        let is_unread = matches!(window.first(), First::Behind(_));
        let is_first = window.insert(place.spot, message, most, self.touches);
        self.spots = self.spots + window.len() - before;
        is_first || is_unread
    }

    fn window_max(&self) -> usize {
        match self.spots < self.bounds.spots_max {
            true => WINDOW_MAX,
            false => WINDOW_MAX_OF_MANY,
        }
    }

    /// Shows a line that has come to have a delivery there, or hides it.
    fn show_new(&mut self, place: &Place, is_stopped: bool) -> bool {
        let line = &place.line;
        let lane = Lane::of(line);
        self.touches += 1;
        let touched = self.touches;
        let known = self.lanes.get(&lane);
        let may_be_on_disk = known.is_some_and(|shown| shown.hidden.is_some());
        let has_place =
            known.is_none() || self.has_room(line.class, 1) || self.shown_of_user(line) == 0;
        if has_place && !is_stopped {
            let window = match may_be_on_disk {
                true => Window::unread(touched),
                false => Window::empty(touched),
            };
            self.add(self.kept(line.clone()), window);
            return true;
        }
        let due = match is_stopped {
            true => Timestamp::NEVER,
            false => place.spot.due,
        };
        self.comes_hidden(&lane, due);
        false
    }

    /// Something that can be shown, and is due then, is hidden from now on.
    fn comes_hidden(&mut self, lane: &Lane, due: Timestamp) {
        let shown = self.lanes.entry(&lane.next_hop, lane.class);
        let hidden = shown.hidden.get_or_insert_with(Hidden::nobody);
        hidden.comes(due, self.touches);
        self.look(lane);
    }

    /// Whether so many more lines of a class can be shown, whoever's they are.
    fn has_room(&self, class: Class, more: usize) -> bool {
        let (shown, most) = self.shown_of(class);
        shown + more <= most
    }

    /// How many are shown beside a line of a class, and how many may be.
    fn shown_of(&self, class: Class) -> (usize, usize) {
        match class {
            Class::VeryHigh => (self.very_high, self.bounds.very_high_max),
            _ => (self.others, self.bounds.lines_max),
        }
    }

    fn shown_of_user(&self, line: &Line) -> u32 {
        let shown = self.of_users.get(&line.user);
        shown.map_or(0, |shown| shown[line.class.index()])
    }

    /// No delivery waits there any more; true when it was the first of its line.
    pub(super) fn remove(&mut self, place: &Place) -> bool {
        self.touches += 1;
        let lane = Lane::of(&place.line);
        let Some(window) = self.lanes.window_mut(&place.line) else {
            let touched = self.touches;
            if let Some(hidden) = self.hidden_of(&lane) {
                hidden.touched = touched;
                // Perhaps nothing is left there.
                self.wanting.insert(lane);
            }
            return false;
        };
        let before = window.len();
        let was_first = window.remove(place.spot, self.touches);
        self.spots = self.spots + window.len() - before;
        match window.first() {
            First::Nothing => self.drop_line(&place.line),
            _ => self.look(&lane),
        }
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
        let most = self.window_max();
        let Some(window) = self.lanes.window_mut(line) else {
            return true;
        };
        let before = window.len();
        if !window.extend(horizon, behind, most, is_leased) {
            return false;
        }
        self.spots = self.spots + window.len() - before;
        match window.first() {
            First::Nothing => self.drop_line(line),
            _ => self.look(&Lane::of(line)),
        }
        true
    }

    /// Starts anew from the first delivery of each line, or of one of each lane and class, of which no more is known. Claims
    /// may have gone on since it was read, so it counts whether it is leased now; what stands behind it is read later, and so
    /// are the other lines.
    pub(super) fn rebuild(
        &mut self,
        heads: Heads,
        is_leased: impl Fn(DeliveryId) -> bool,
        is_stopped: impl Fn(&Line) -> bool,
    ) {
        *self = Self {
            touches: self.touches,
            ..Self::within(self.bounds)
        };
        for (place, message) in heads.heads {
            self.touches += 1;
            let lane = Lane::of(&place.line);
            let line = self.kept(place.line);
            let is_stopped = is_stopped(&line);
            if !heads.are_all {
                let hidden = Hidden::unknown(&line, self.touches);
                self.lanes.entry(&lane.next_hop, lane.class).hidden = Some(hidden);
                self.wanting.insert(lane);
            } else if is_stopped {
                self.comes_hidden(&lane, Timestamp::NEVER);
            }
            if !is_stopped {
                let waiting = !is_leased(window::name(message, place.spot));
                let waiting = waiting.then_some(message);
                let window = Window::up_to(place.spot, waiting, self.touches);
                self.add(line, window);
            }
        }
    }

    /// All lines that are shown.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Line> {
        self.lanes.lines().map(|(line, _)| line.as_ref())
    }

    /// All lines that are shown, with what is known of the first delivery of each.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (&Arc<Line>, First)> {
        let lines = self.lanes.lines();
        lines.map(|(line, window)| (line, window.first()))
    }

    /// Lanes of which lines may be hidden.
    pub(super) fn hiding(&self) -> impl Iterator<Item = (&NextHop, Class)> {
        let hiding = self.lanes.iter();
        hiding.filter_map(|(next_hop, class, shown)| {
            shown.hidden.is_some().then_some((next_hop, class))
        })
    }

    /// Whether there are lanes in which hidden lines may have to be shown.
    pub(super) fn is_wanting(&self) -> bool {
        !self.wanting.is_empty()
    }

    /// What is to be read of such lanes, at most so many, the more urgent classes first.
    pub(super) fn searches(&mut self, now: Timestamp, lanes_max: usize) -> Vec<Search> {
        let mut searches = Vec::new();
        while searches.len() < lanes_max
            && let Some(lane) = self.wanting.pop_first()
        {
            let Some(shown) = self.lanes.get(&lane) else {
                continue;
            };
            let Some(hidden) = &shown.hidden else {
                continue;
            };
            let has_due = || {
                let mut windows = shown.lines.values();
                windows.any(|window| window.may_be_due(now))
            };
            let most = match self.has_room(lane.class, self.bounds.found_max) {
                true => self.bounds.found_max,
                false if has_due() => continue,
                false => 1,
            };
            searches.push(Search {
                after: hidden.after.clone().unwrap_or_default(),
                most,
                shown: shown.lines.keys().map(|line| line.user.clone()).collect(),
                now,
                touched: hidden.touched,
                lane,
            });
        }
        searches
    }

    /// Has a lane searched again.
    pub(super) fn want(&mut self, search: Search) {
        self.wanting.insert(search.lane);
    }

    /// Takes in what was read of hidden lines; which lines are shown or hidden now.
    pub(super) fn show(
        &mut self,
        search: &Search,
        found: Found,
        is_leased: impl Fn(DeliveryId) -> bool,
        is_stopped: impl Fn(&Line) -> bool,
    ) -> Changed {
        let mut changed = Changed::default();
        let lane = &search.lane;
        let Some(hidden) = self.hidden_of(lane) else {
            return changed;
        };
        // Whatever happened meanwhile, those that were found are looked at, and the others again.
        let is_stale = hidden.touched != search.touched;
        hidden.not_before = match is_stale {
            true => Timestamp::EPOCH,
            false => found.others_due,
        };
        let mut last = None;
        for (place, message) in found.heads {
            let line = self.kept(place.line);
            last = Some(Arc::clone(&line.user));
            if self.lanes.window(&line).is_some() || is_stopped(&line) {
                continue;
            }
            self.touches += 1;
            let waiting = !is_leased(window::name(message, place.spot));
            let window = match is_stale {
                true => Window::unread(self.touches),
                false => Window::up_to(place.spot, waiting.then_some(message), self.touches),
            };
            changed.0.push(Arc::clone(&line));
            self.add(line, window);
        }
        if let Some(hidden) = self.hidden_of(lane) {
            hidden.after = last.or(hidden.after.take());
        }
        self.hide_surplus(search, &mut changed);
        if found.is_all
            && !is_stale
            && let Some(shown) = self.lanes.get_mut(lane)
            && shown
                .hidden
                .as_ref()
                .is_some_and(|hidden| hidden.touched == search.touched)
        {
            shown.hidden = None;
        }
        self.lanes.remove_if_empty(lane);
        self.look(lane);
        changed
    }

    /// Where there is no room for more, beside those that are due only the one that falls due first stays shown.
    fn hide_surplus(&mut self, search: &Search, changed: &mut Changed) {
        let shown = match self.lanes.get(&search.lane) {
            Some(shown) if shown.hidden.is_some() => shown,
            _ => return,
        };
        let lines = shown.lines.iter();
        let lines = lines.map(|(line, window)| (window.due(), line));
        let later = lines.filter(|(due, _)| *due > search.now);
        let mut later: Vec<_> = later.map(|(due, line)| (due, Arc::clone(line))).collect();
        later.sort();
        while later.len() > 1
            && !self.has_room(search.lane.class, 0)
            && let Some((_, line)) = later.pop()
        {
            self.hide(&line);
            changed.0.push(line);
        }
    }

    /// Hides those that are stopped from now on.
    pub(super) fn stop(&mut self, is_stopped: impl Fn(&Line) -> bool) -> Changed {
        let lines = self.lanes.lines().map(|(line, _)| line);
        let stopped: Vec<_> = lines.filter(|line| is_stopped(line)).cloned().collect();
        for line in &stopped {
            self.take_away(line);
            self.touches += 1;
            self.comes_hidden(&Lane::of(line), Timestamp::NEVER);
        }
        Changed(stopped)
    }

    /// What is stopped is another thing now: every lane that hides lines is looked at again.
    pub(super) fn reconsider(&mut self) {
        for (next_hop, class, shown) in self.lanes.iter_mut() {
            if let Some(hidden) = &mut shown.hidden {
                self.touches += 1;
                hidden.not_before = Timestamp::EPOCH;
                hidden.touched = self.touches;
                let next_hop = next_hop.clone();
                self.wanting.insert(Lane { class, next_hop });
            }
        }
    }

    /// Looks whether hidden lines of a lane may have to be shown: when there is room, none is shown, or none that is due
    /// before them.
    fn look(&mut self, lane: &Lane) {
        let Some(shown) = self.lanes.get(lane) else {
            return;
        };
        let Some(hidden) = &shown.hidden else {
            return;
        };
        // Where many are shown a closer look is for whoever searches.
        let mut windows = shown.lines.values().take(FEW);
        let may_be_shown = hidden.not_before < Timestamp::NEVER;
        if may_be_shown
            && (self.has_room(lane.class, self.bounds.found_max)
                || windows.all(|window| window.due() > hidden.not_before))
        {
            self.wanting.insert(lane.clone());
        }
    }

    fn hidden_of(&mut self, lane: &Lane) -> Option<&mut Hidden> {
        self.lanes.get_mut(lane)?.hidden.as_mut()
    }

    fn add(&mut self, line: Arc<Line>, window: Window) {
        *self.count_of(line.class) += 1;
        match self.of_users.get_mut(&line.user) {
            Some(shown) => shown[line.class.index()] += 1,
            None => {
                let mut shown = [0; Class::ALL.len()];
                shown[line.class.index()] = 1;
                self.of_users.insert(line.user.clone(), shown);
            }
        }
        self.spots += window.len();
        let shown = self.lanes.entry(&line.next_hop, line.class);
        shown.lines.insert(line, window);
    }

    fn count_of(&mut self, class: Class) -> &mut usize {
        match class {
            Class::VeryHigh => &mut self.very_high,
            _ => &mut self.others,
        }
    }

    /// Shows a line no more.
    fn take_away(&mut self, line: &Line) -> Option<Window> {
        let (line, window) = self.lanes.take_out(line)?;
        self.spots -= window.len();
        *self.count_of(line.class) -= 1;
        let (shown, most) = self.shown_of(line.class);
        if shown == most / 2 {
            self.has_room_again(line.class);
        }
        if let Some(shown) = self.of_users.get_mut(&line.user) {
            shown[line.class.index()] -= 1;
            if shown.iter().all(|shown| *shown == 0) {
                self.of_users.remove(&line.user);
            }
        }
        Some(window)
    }

    /// Lines are few again: those that are hidden may be shown.
    fn has_room_again(&mut self, class: Class) {
        let is_very_high = |class| class == Class::VeryHigh;
        let lanes = self.lanes.iter().filter(|(_, of, shown)| {
            is_very_high(*of) == is_very_high(class) && shown.hidden.is_some()
        });
        let lanes = lanes.map(|(next_hop, class, _)| Lane {
            class,
            next_hop: next_hop.clone(),
        });
        self.wanting.extend(lanes);
    }

    /// Hides a line: what waits in it is on disk only.
    fn hide(&mut self, line: &Line) {
        let Some(window) = self.take_away(line) else {
            return;
        };
        self.touches += 1;
        self.comes_hidden(&Lane::of(line), window.due());
    }

    /// Nothing waits in a line any more.
    fn drop_line(&mut self, line: &Line) {
        self.take_away(line);
        let lane = Lane::of(line);
        self.lanes.remove_if_empty(&lane);
        self.look(&lane);
    }
}

#[cfg(test)]
mod tests;
