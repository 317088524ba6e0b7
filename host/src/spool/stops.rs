//! What an operator has stopped: nothing of it is claimed until it is started again.
//!
//! A stop is of everything, of a next hop, of a user or of a list. All but the last is a property of a line, so a line that
//! is stopped has no head for whoever asks, and the queue is never offered any of it. A list is the list that a line's user is
//! in now, which whoever knows the users tells; the relay's own mail has no user and so no list here, and mail of a user that
//! was removed has none either. Stops are rows of the spool, durable when they are answered; this is what memory knows of
//! them. Without any, a claim pays for one look at a number.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::message::{Line, NextHop, Timestamp};

/// Stops at once: more than an operator can keep in mind, and each is in every answer about the queue.
pub const STOPS_MAX: usize = 200;

/// Ends of stops that are remembered, so that what waited for them is known: as many as there can be stops.
const ENDED_MAX: usize = STOPS_MAX;

/// What can be stopped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopOf {
    /// Everything.
    All,
    /// One lane.
    NextHop(NextHop),
    /// Mail of a user, without regard to case.
    User(String),
    /// Mail of the users that are in a list, without regard to case.
    List(String),
}

/// A stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Of what.
    pub of: StopOf,
    /// By whom: the name of the token.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// What became of a stop that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It is in force.
    Now,
    /// It was already, by this one.
    Already(Stop),
    /// There are as many as there can be.
    TooMany,
}

/// The list that the user of that name is in; none for nobody.
pub type ListOf = dyn Fn(&str) -> Option<String> + Send + Sync;

impl StopOf {
    /// What tells it from every other one, whatever the case of a name.
    pub(super) fn folded(&self) -> StopOf {
        match self {
            Self::All => Self::All,
            Self::NextHop(next_hop) => Self::NextHop(next_hop.clone()),
            Self::User(name) => Self::User(name.to_ascii_lowercase()),
            Self::List(name) => Self::List(name.to_ascii_lowercase()),
        }
    }

    /// The key of its row.
    pub(super) fn key(&self) -> Vec<u8> {
        let (kind, name) = match self.folded() {
            Self::All => (0, String::new()),
            Self::NextHop(NextHop::Domain(domain)) => (1, domain.to_string()),
            Self::NextHop(NextHop::Smarthost(host)) => (2, host.to_string()),
            Self::User(name) => (3, name),
            Self::List(name) => (4, name),
        };
        [&[kind][..], name.as_bytes()].concat()
    }
}

/// `everything`, `next hop example.com`, `user app`, `list news`.
impl fmt::Display for StopOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::NextHop(next_hop) => write!(f, "next hop {next_hop}"),
            Self::User(name) => write!(f, "user {name}"),
            Self::List(name) => write!(f, "list {name}"),
        }
    }
}

/// `user app, by night-shift since 2026-11-23T13:44:11.818Z`.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, by {} since {}", self.of, self.by, self.at)
    }
}

/// The stops in force. Clones share them.
#[derive(Clone, Default)]
pub struct Stops(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// How many there are: what a claim looks at where there is none.
    count: AtomicUsize,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// By what they are of, [folded](StopOf::folded).
    stops: BTreeMap<StopOf, Stop>,
    /// When the last ones ended since the relay is there, likewise.
    ended: BTreeMap<StopOf, Timestamp>,
    list_of: Option<Box<ListOf>>,
}

impl fmt::Debug for Stops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stops").field(&self.state().stops).finish()
    }
}

impl Stops {
    /// As [`Spool::know_lists`](super::Spool::know_lists), which has the consequences drawn as well.
    pub(super) fn know_lists(&self, list_of: Box<ListOf>) {
        self.state_mut().list_of = Some(list_of);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// All of them: of everything, of next hops, of users, of lists.
    pub fn all(&self) -> Vec<Stop> {
        self.state().stops.values().cloned().collect()
    }

    /// Why mail of this user to this next hop is not sent; none when it is.
    pub fn on(&self, next_hop: &NextHop, user: &str) -> Option<Stop> {
        if self.count() == 0 {
            return None;
        }
        self.state().on(next_hop, user).cloned()
    }

    /// Whether nothing of a line is claimed.
    pub(super) fn has(&self, line: &Line) -> bool {
        self.count() > 0 && self.state().on(&line.next_hop, &line.user).is_some()
    }

    /// Whether nothing of a lane is claimed, whoever's it is.
    pub(super) fn has_lane(&self, next_hop: &NextHop) -> bool {
        let stops = &self.state().stops;
        stops.contains_key(&StopOf::All) || stops.contains_key(&StopOf::NextHop(next_hop.clone()))
    }

    /// Whether a stop of this is about a line.
    pub(super) fn is_about(&self, of: &StopOf, line: &Line) -> bool {
        match of.folded() {
            StopOf::All => true,
            StopOf::NextHop(next_hop) => next_hop == line.next_hop,
            StopOf::User(name) => name == line.user.to_ascii_lowercase(),
            StopOf::List(name) => self.state().list_of(&line.user) == Some(name),
        }
    }

    /// Whether which list a user is in makes a difference.
    pub(super) fn are_about_lists(&self) -> bool {
        let state = self.state();
        let mut all = state.stops.keys();
        all.any(|of| matches!(of, StopOf::List(_)))
    }

    /// The one of just this.
    pub fn of(&self, of: &StopOf) -> Option<Stop> {
        self.state().stops.get(&of.folded()).cloned()
    }

    pub(super) fn add(&self, stop: Stop) {
        let mut state = self.state_mut();
        state.stops.insert(stop.of.folded(), stop);
        self.0.count.store(state.stops.len(), Ordering::Release);
    }

    pub(super) fn remove(&self, of: &StopOf, at: Timestamp) {
        let mut state = self.state_mut();
        if state.stops.remove(&of.folded()).is_some() {
            state.end(of.folded(), at);
        }
        self.0.count.store(state.stops.len(), Ordering::Release);
    }

    /// When the last stop of a line ended; none where none has since the relay is there, or too many others have
    /// since.
    pub(super) fn ended(&self, line: &Line) -> Option<Timestamp> {
        self.state().ended(line)
    }

    /// Starts anew from what is on the disk.
    pub(super) fn replace(&self, stops: Vec<Stop>) {
        let mut state = self.state_mut();
        state.stops = stops
            .into_iter()
            .map(|stop| (stop.of.folded(), stop))
            .collect();
        self.0.count.store(state.stops.len(), Ordering::Release);
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn on(&self, next_hop: &NextHop, user: &str) -> Option<&Stop> {
        self.stops
            .get(&StopOf::All)
            .or_else(|| self.stops.get(&StopOf::NextHop(next_hop.clone())))
            .or_else(|| self.stops.get(&StopOf::User(user.to_ascii_lowercase())))
            .or_else(|| {
                let is_list = |of: &StopOf| matches!(of, StopOf::List(_));
                // Sorted, so that lists are the last ones.
                let has_lists = self
                    .stops
                    .last_key_value()
                    .is_some_and(|(of, _)| is_list(of));
                let list = has_lists.then(|| self.list_of(user)).flatten()?;
                self.stops.get(&StopOf::List(list))
            })
    }

    /// Something was stopped until then.
    fn end(&mut self, of: StopOf, at: Timestamp) {
        self.ended.insert(of, at);
        if self.ended.len() > ENDED_MAX {
            let oldest = self.ended.iter().min_by_key(|(_, at)| **at);
            let oldest = oldest.map(|(of, _)| of.clone());
            oldest.map(|of| self.ended.remove(&of));
        }
    }

    fn ended(&self, line: &Line) -> Option<Timestamp> {
        if self.ended.is_empty() {
            return None;
        }
        let at = |of: StopOf| self.ended.get(&of).copied();
        let ends = [
            at(StopOf::All),
            at(StopOf::NextHop(line.next_hop.clone())),
            at(StopOf::User(line.user.to_ascii_lowercase())),
            self.list_of(&line.user)
                .and_then(|list| at(StopOf::List(list))),
        ];
        ends.into_iter().flatten().max()
    }

    /// The list of a user, folded.
    fn list_of(&self, user: &str) -> Option<String> {
        let list_of = self.list_of.as_ref().filter(|_| !user.is_empty())?;
        list_of(user).map(|list| list.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Class;
    use crate::spool::sample::{at, domain, line};

    fn stop(of: StopOf) -> Stop {
        Stop {
            of,
            by: "ops".to_owned(),
            at: at(7),
        }
    }

    #[test]
    fn a_line_is_stopped_by_what_is_about_it_and_by_nothing_else() {
        let stops = Stops::default();
        let list_of = |user: &str| (user == "App").then(|| "News".to_owned());
        stops.know_lists(Box::new(list_of));
        let mine = line("a.example", Class::Low, "App");
        let others = line("b.example", Class::Low, "web");
        let own = line("b.example", Class::Low, "");
        for (number, (of, about)) in (0..).zip([
            (StopOf::All, [true, true, true]),
            (StopOf::NextHop(domain("a.example")), [true, false, false]),
            (
                StopOf::NextHop(NextHop::Smarthost("a.example".into())),
                [false; 3],
            ),
            (StopOf::User("aPP".to_owned()), [true, false, false]),
            (StopOf::User("ap".to_owned()), [false; 3]),
            (StopOf::List("NEWS".to_owned()), [true, false, false]),
            (StopOf::List("default".to_owned()), [false; 3]),
        ]) {
            stops.add(stop(of.clone()));
            for (line, is_stopped) in [&mine, &others, &own].into_iter().zip(about) {
                assert_eq!(stops.has(line), is_stopped, "{of} {line:?}");
                assert_eq!(stops.is_about(&of, line), is_stopped, "{of} {line:?}");
                let why = stops.on(&line.next_hop, &line.user).map(|stop| stop.of);
                assert_eq!(why, is_stopped.then(|| of.clone()));
            }
            assert_eq!(stops.count(), 1);
            stops.remove(&of, at(100 + number));
            assert!(!stops.has(&mine));
            for (line, was_stopped) in [&mine, &others, &own].into_iter().zip(about) {
                let is_last = stops.ended(line) == Some(at(100 + number));
                assert_eq!(is_last, was_stopped, "{of} {line:?}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_last_stops_are_remembered() {
        let stops = Stops::default();
        let of = |number: usize| StopOf::User(number.to_string());
        for number in 0..=ENDED_MAX {
            stops.remove(&of(number), at(1));
            stops.add(stop(of(number)));
            stops.remove(&of(number), at(number as u64));
        }
        let ended = |number: usize| {
            let line = line("a.example", Class::Low, &number.to_string());
            stops.ended(&line)
        };
        assert_eq!((ended(0), ended(1)), (None, Some(at(1))));
        assert_eq!(ended(ENDED_MAX), Some(at(ENDED_MAX as u64)));
        assert_eq!(ended(ENDED_MAX + 1), None, "it was never stopped");
    }

    #[test]
    fn a_stop_says_what_it_is_of() {
        let since = "by ops since 1970-01-01T00:00:00.007Z";
        for (of, text) in [
            (StopOf::All, "everything"),
            (StopOf::NextHop(domain("a.example")), "next hop a.example"),
            (StopOf::User("app".to_owned()), "user app"),
            (StopOf::List("news".to_owned()), "list news"),
        ] {
            assert_eq!(stop(of).to_string(), format!("{text}, {since}"));
        }
    }
}
