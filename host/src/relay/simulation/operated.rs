//! What the operator has done and what therefore must not begin, over all lives of the relay.
//!
//! What was answered is in force, and stays so across crashes until the operator takes it back. What was asked for and
//! never answered may be or not: of that nothing is demanded.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::World;
use super::witness::Moment;
use crate::message::{Class, Message, MessageId, NextHop, Timestamp};
use crate::spool::StopOf;

/// An attempt may have been about to begin when something was done to its message.
const ABOUT_TO_BEGIN: Duration = Duration::from_secs(1);

/// What was done, and when.
#[derive(Debug, Default)]
pub(super) struct Operated(Mutex<Done>);

#[derive(Debug, Default)]
struct Done {
    held: BTreeMap<MessageId, Moment>,
    /// Some of the deliveries of a message may be held, and the others not.
    are_some_held: bool,
    removed: BTreeMap<MessageId, Moment>,
    /// Until when it is not to be tried.
    moved: BTreeMap<MessageId, (Timestamp, Moment)>,
    classes: BTreeMap<MessageId, (Class, Moment)>,
    /// What is stopped, and since when; none: it may be.
    stops: BTreeMap<StopOf, Option<Moment>>,
}

impl Operated {
    fn done(&self) -> MutexGuard<'_, Done> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The relay's clock is about to be set. What it has come to may go, though what is claimed begins only then.
    pub(super) fn clock_is_set(&self, clock: Timestamp) {
        self.done().moved.retain(|_, (to, _)| *to > clock);
    }

    /// Why an attempt must not begin at `now`, when the relay's clock says `clock`.
    pub(super) fn forbids(
        &self,
        world: &World,
        message: &Message,
        next_hop: &NextHop,
        (now, clock): (Moment, Timestamp),
    ) -> Option<String> {
        let mut done = self.done();
        // Once its time has come it goes by the schedule of retries, and the clock may be set back then. It need not have
        // begun: where a next hop cannot be reached it is told what another one was told.
        done.moved.retain(|_, (to, _)| *to > clock);
        let is_in_force = |at: Moment| at + ABOUT_TO_BEGIN < now;
        let has = |of: &BTreeMap<MessageId, Moment>| {
            of.get(&message.id).is_some_and(|at| is_in_force(*at))
        };
        if has(&done.removed) {
            return Some("removed".to_owned());
        }
        if has(&done.held) {
            return Some("held".to_owned());
        }
        if let Some((to, at)) = done.moved.get(&message.id)
            && is_in_force(*at)
            && clock.plus(ABOUT_TO_BEGIN) < *to
        {
            return Some(format!("rescheduled to {to}, and it is {clock}"));
        }
        if let Some((class, at)) = done.classes.get(&message.id)
            && is_in_force(*at)
            && *class != message.class
        {
            return Some(format!("given {class:?}, and is of {:?}", message.class));
        }
        let user = message.origin.user();
        let mut stops = done.stops.iter();
        let stop = stops
            .find(|(of, at)| at.is_some_and(is_in_force) && is_about(world, of, user, next_hop));
        stop.map(|(of, _)| format!("stopped with {of}"))
    }

    pub(super) fn holds(&self, id: MessageId, now: Moment) {
        self.done().held.insert(id, now);
    }

    pub(super) fn releases(&self, id: MessageId) {
        self.done().held.remove(&id);
    }

    /// Something is being held or released; whether something may have been before.
    pub(super) fn holds_some(&self) -> bool {
        std::mem::replace(&mut self.done().are_some_held, true)
    }

    /// What was being held or released is.
    pub(super) fn has_held(&self, did_before: bool) {
        self.done().are_some_held = did_before;
    }

    pub(super) fn releases_all(&self) {
        self.done().held.clear();
    }

    /// Nothing is held any more.
    pub(super) fn has_released_all(&self) {
        self.done().are_some_held = false;
    }

    pub(super) fn removes(&self, id: MessageId, now: Moment) {
        self.done().removed.insert(id, now);
    }

    pub(super) fn restores(&self, id: MessageId) {
        self.done().removed.remove(&id);
    }

    /// What was removed, the latest last.
    pub(super) fn removed(&self) -> Vec<MessageId> {
        let done = self.done();
        let mut removed: Vec<_> = done.removed.iter().map(|(id, at)| (*at, *id)).collect();
        removed.sort();
        removed.into_iter().map(|(_, id)| id).collect()
    }

    /// A message, or each, is due whenever the relay says.
    pub(super) fn hurries(&self, id: Option<MessageId>) {
        let mut done = self.done();
        match id {
            Some(id) => drop(done.moved.remove(&id)),
            None => done.moved.clear(),
        }
    }

    /// All that is queued of a message was moved. What is held was not.
    pub(super) fn moves(&self, id: MessageId, to: Timestamp, now: Moment) {
        let mut done = self.done();
        if !done.are_some_held && !done.held.contains_key(&id) {
            done.moved.insert(id, (to, now));
        }
    }

    /// Nobody knows of which class a message is.
    pub(super) fn may_rank(&self, id: MessageId) {
        self.done().classes.remove(&id);
    }

    pub(super) fn ranks(&self, id: MessageId, class: Class, now: Moment) {
        self.done().classes.insert(id, (class, now));
    }

    /// It is asked for, or it is asked that it ends.
    pub(super) fn may_stop(&self, of: StopOf) {
        self.done().stops.insert(of, None);
    }

    pub(super) fn stops(&self, of: StopOf, now: Moment) {
        self.done().stops.insert(of, Some(now));
    }

    pub(super) fn starts(&self, of: &StopOf) {
        self.done().stops.remove(of);
    }

    /// What is stopped, or may be.
    pub(super) fn stopped(&self) -> Vec<StopOf> {
        self.done().stops.keys().cloned().collect()
    }

    /// Whether mail of a user to a next hop is stopped, or may be.
    pub(super) fn may_be_stopped(&self, world: &World, user: &str, next_hop: &NextHop) -> bool {
        let done = self.done();
        let mut stops = done.stops.keys();
        stops.any(|of| is_about(world, of, user, next_hop))
    }

    /// A life of the relay begins with these stops: those that were answered are there, and none that was ended.
    pub(super) fn look_back(&self, found: Vec<StopOf>, now: Moment) -> Vec<String> {
        let mut done = self.done();
        let mut wrong = Vec::new();
        for (of, at) in &done.stops {
            if at.is_some() && !found.contains(of) {
                wrong.push(format!("the stop of {of} was forgotten"));
            }
        }
        for of in &found {
            if !done.stops.contains_key(of) {
                wrong.push(format!("{of} is stopped, and nobody has asked for that"));
            }
        }
        done.stops = found.into_iter().map(|of| (of, Some(now))).collect();
        wrong
    }
}

/// Whether a stop is about mail of a user to a next hop.
fn is_about(world: &World, of: &StopOf, user: &str, next_hop: &NextHop) -> bool {
    match of {
        StopOf::All => true,
        StopOf::NextHop(of) => of == next_hop,
        StopOf::User(of) => of == user,
        StopOf::List(of) => {
            let mut users = world.house.users.iter();
            users.any(|known| known.name == user && known.list == *of)
        }
    }
}
