//! What the spool knows without asking the disk: heads of lines, leases, what is recent, counters.
//!
//! Changed only by what a good commit has made durable, and by claims, which are not durable at
//! all. Behind one lock that is held for moments, never while the disk works.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::message::{Delivery, DeliveryId, DeliveryState, Line, Message, MessageId, Timestamp};

use super::ages::Ages;
use super::heads::Heads;
use super::leases::{Leases, StaysBack};
use super::ledger::{Effect, Stowed};
use super::lines::{Changed, Found, Lines, Search};
use super::place::Place;
use super::recent::Recent;
use super::rows::Standing;
use super::stops::Stops;
use super::stored::Counters;
use super::window::{Behind, First, Horizon};
use super::{Head, Lease, Settings, Stop};

/// What is in memory.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) lines: Lines,
    pub(super) leases: Leases<Place>,
    /// What an operator's change is about whose commit is under way: not claimed before memory knows of it, since
    /// whether an attempt is under way has been decided for it. With the place of each that had its turn meanwhile.
    barred: HashMap<DeliveryId, Option<Place>>,
    pub(super) recent: Recent,
    pub(super) counters: Counters,
    pub(super) ages: Ages,
    /// What is stopped. Lines of it have no head for whoever asks.
    pub(super) stops: Stops,
    pub(super) commits: u64,
    pub(super) writable: bool,
}

/// What a commit leaves to do for others.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// Lines that may have another head.
    pub(super) lines: Vec<Line>,
    /// Messages whose content files are to be removed.
    pub(super) files: Vec<MessageId>,
    /// Something that somebody has was cancelled.
    pub(super) is_cancel: bool,
}

/// The answer of memory to a claim.
#[derive(Debug)]
pub(super) enum Taken {
    /// Nothing is due.
    Nothing(Option<Head>),
    /// Where the line goes on is to be read first.
    Behind(Horizon),
    /// A delivery was leased; what is not remembered of it is to be read.
    Delivery {
        lease: Lease,
        remembered: Option<Box<(Delivery, Arc<Message>)>>,
    },
}

impl Board {
    pub(super) fn new(settings: &Settings, stops: Stops) -> Self {
        Self {
            lines: Lines::new(settings.lines_max),
            leases: Leases::default(),
            recent: Recent::new(settings.recent_octets_max),
            counters: Counters::default(),
            ages: Ages::default(),
            stops,
            commits: 0,
            writable: true,
            barred: HashMap::new(),
        }
    }

    /// Lets nobody claim these before [`unbar`](Self::unbar); which of them somebody has.
    pub(super) fn bar(
        &mut self,
        deliveries: impl Iterator<Item = DeliveryId>,
    ) -> HashSet<DeliveryId> {
        let (leased, free): (Vec<_>, Vec<_>) =
            deliveries.partition(|id| self.leases.is_leased(*id));
        self.barred.extend(free.into_iter().map(|id| (id, None)));
        leased.into_iter().collect()
    }

    /// They may be claimed from where they stand; the lines that may have another head.
    pub(super) fn unbar(&mut self) -> Vec<Line> {
        let mut changed = Vec::new();
        for (id, place) in std::mem::take(&mut self.barred) {
            if let Some(place) = place {
                let is_stopped = self.stops.has(&place.line);
                if self.lines.insert(&place, id.message, is_stopped) {
                    changed.push(place.line);
                }
            }
        }
        changed
    }

    /// Starts anew from what is on the disk. Who has a lease keeps it.
    pub(super) fn rebuild(&mut self, counters: Counters, heads: Heads, stops: Vec<Stop>) {
        self.stops.replace(stops);
        let (leases, barred, stops) = (&self.leases, &self.barred, &self.stops);
        let is_out = |id| is_out_of_line(leases, barred, id);
        self.lines.rebuild(heads, is_out, |line| stops.has(line));
        self.recent.forget_all();
        self.counters = counters;
        self.ages.forget();
    }

    /// Applies what a commit has made durable, in order.
    pub(super) fn apply(&mut self, counters: Counters, effects: Vec<Effect>) -> Aftermath {
        self.counters = counters;
        let mut aftermath = Aftermath::default();
        for effect in effects {
            match effect {
                Effect::Enqueued(message, Stowed::Inline(content)) => {
                    self.recent.add(message, Some(content));
                }
                Effect::Enqueued(message, Stowed::File) => self.recent.add(message, None),
                Effect::Placed(standing) => {
                    let line = &standing.place.line;
                    self.ages.came(line, standing.delivery.id.message);
                    self.placed(&standing.place, &standing.delivery, &mut aftermath);
                    self.recent.put(standing.delivery);
                }
                Effect::Stands(standing) => {
                    self.placed(&standing.place, &standing.delivery, &mut aftermath);
                    self.recent.put(standing.delivery);
                }
                Effect::Left(standing) => {
                    let line = &standing.place.line;
                    self.ages.left(line, standing.delivery.id.message);
                    if self.lines.remove(&standing.place) {
                        aftermath.lines.push(standing.place.line);
                    }
                    self.recent.take(standing.delivery.id);
                }
                Effect::LeaseEnded(lease) => {
                    self.leases.end(lease);
                }
                Effect::Cancelled(id) => {
                    if let Some(leased) = self.leases.on(id) {
                        leased.stays_back = Some(StaysBack::Cancelled);
                        aftermath.is_cancel = true;
                    }
                }
                Effect::Asked(id, asked) => {
                    if let Some(leased) = self.leases.on(id) {
                        leased.asked = Some(asked);
                    }
                }
                Effect::Stopped(stop) => {
                    self.stops.add(stop);
                    aftermath.lines.extend(self.look_at_stops());
                }
                Effect::Started(of, at) => {
                    // Those that it was not known to be about, as long as the lists were not.
                    let shown = self.lines.iter();
                    let about = shown.filter(|line| self.stops.is_about(&of, line));
                    aftermath.lines.extend(about.cloned());
                    self.stops.remove(&of, at);
                    aftermath.lines.extend(self.look_at_stops());
                }
                Effect::Changed(id) => self.recent.forget(id),
                Effect::Finished { id, has_file } => {
                    self.recent.forget(id);
                    if has_file {
                        aftermath.files.push(id);
                    }
                }
            }
        }
        aftermath
    }

    /// What is stopped, or who is in a list, is another thing now; the lines that are shown no more.
    pub(super) fn look_at_stops(&mut self) -> Vec<Line> {
        let stops = &self.stops;
        let stopped = self.lines.stop(|line| stops.has(line));
        self.lines.reconsider();
        stopped.lines().collect()
    }

    /// Takes in what was read of hidden lines; the lines that are shown now and were not, or the other way round.
    pub(super) fn show(&mut self, search: &Search, found: Found) -> Changed {
        let (leases, barred, stops) = (&self.leases, &self.barred, &self.stops);
        let is_out = |id| is_out_of_line(leases, barred, id);
        self.lines
            .show(search, found, is_out, |line| stops.has(line))
    }

    fn placed(&mut self, place: &Place, delivery: &Delivery, aftermath: &mut Aftermath) {
        if let Some(leased) = self.leases.on(delivery.id) {
            leased.kept = place.clone();
            leased.stays_back = StaysBack::of(delivery.state);
        } else if delivery.state == DeliveryState::Waiting
            && self
                .lines
                .insert(place, delivery.id.message, self.stops.has(&place.line))
        {
            aftermath.lines.push(place.line.clone());
        }
    }

    /// Shows a line that may be hidden, for whoever knows of it. What is stopped is not shown.
    pub(super) fn look_for(&mut self, line: &Line) {
        if !self.stops.has(line) {
            self.lines.look_for(line);
        }
    }

    /// Leases the first delivery of a line that is due.
    pub(super) fn take_due(&mut self, line: &Line, now: Timestamp) -> Taken {
        if self.stops.has(line) {
            return Taken::Nothing(None);
        }
        loop {
            if let First::Behind(horizon) = self.lines.first(line) {
                return Taken::Behind(horizon);
            }
            let Some((spot, id)) = self.lines.take_due(line, now) else {
                return Taken::Nothing(self.head(line));
            };
            let place = Place {
                line: line.clone(),
                spot,
            };
            if let Some(waits) = self.barred.get_mut(&id) {
                *waits = Some(place);
                continue;
            }
            return Taken::Delivery {
                lease: self.leases.lease(id, place),
                remembered: self.recent.delivery(id).map(Box::new),
            };
        }
    }

    /// Ends a lease as if it had never been; the line whose head may be another one then.
    pub(super) fn give_back(&mut self, lease: Lease) -> Option<Line> {
        let leased = self.leases.end(lease)?;
        if leased.stays_back.is_some() {
            return None;
        }
        let is_stopped = self.stops.has(&leased.kept.line);
        self.lines
            .insert(&leased.kept, lease.delivery.message, is_stopped)
            .then_some(leased.kept.line)
    }

    /// Takes in what was read of a line; false when it is to be read again.
    pub(super) fn extend(&mut self, line: &Line, horizon: Horizon, behind: &Behind) -> bool {
        let (leases, barred) = (&self.leases, &self.barred);
        let is_out = |id| is_out_of_line(leases, barred, id);
        self.lines.extend(line, horizon, behind, is_out)
    }

    /// The head of a line, as far as memory knows it; none when it is stopped.
    pub(super) fn head(&self, line: &Line) -> Option<Head> {
        if self.stops.has(line) {
            return None;
        }
        match self.lines.first(line) {
            First::At(spot, _) => Some(spot.head()),
            First::Behind(_) | First::Nothing => None,
        }
    }

    /// Where a leased delivery stands.
    pub(super) fn place_of(&self, lease: Lease) -> Option<Place> {
        self.leases.get(lease).map(|leased| leased.kept.clone())
    }

    pub(super) fn is_leased(&self, id: DeliveryId) -> bool {
        self.leases.is_leased(id)
    }

    /// Whether a delivery that waits on the disk has been taken out of its line: by whoever has it, or as one that is barred.
    pub(super) fn is_out_of_line(&self, id: DeliveryId) -> bool {
        is_out_of_line(&self.leases, &self.barred, id)
    }

    /// Whether what somebody has was cancelled meanwhile.
    pub(super) fn is_cancelled(&self, lease: Lease) -> bool {
        let leased = self.leases.get(lease);
        leased.is_some_and(|leased| leased.stays_back == Some(StaysBack::Cancelled))
    }

    /// Brings a lease in line with where its delivery stands on the disk.
    pub(super) fn stands(&mut self, standing: Standing) {
        if let Some(leased) = self.leases.on(standing.delivery.id) {
            leased.stays_back = StaysBack::of(standing.delivery.state);
            leased.kept = standing.place;
        }
    }
}

fn is_out_of_line(
    leases: &Leases<Place>,
    barred: &HashMap<DeliveryId, Option<Place>>,
    id: DeliveryId,
) -> bool {
    leases.is_leased(id) || barred.get(&id).is_some_and(Option::is_some)
}
