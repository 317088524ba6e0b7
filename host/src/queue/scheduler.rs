//! The scheduler: which line's delivery is claimed next, and when to look again.
//!
//! Arithmetic only: no async, no clock (`now` is an argument), no storage. It knows the head of
//! each line, which the spool tells it, and how many deliveries are under way in each lane.
//! Memory grows with the lines that it is told of and their lanes, never with the mail in them, and a
//! decision costs the logarithm of their number, whatever the backlog.
//!
//! A line *waits* until its head is due; then it is *due* in its lane; and as long as the lane has room its due
//! lines are *ready*, or the first of each class where very many users wait (`ready`). A lane without room has nothing
//! among the ready ones, so it costs the others nothing; so has one that is shut, since its next hop
//! cannot be reached, and one that is *paced*: where deliveries to one next hop begin at most so often, it is
//! closed for a moment behind each. One that gave way, since there was no room at its host, *rests*: for a moment no
//! more go there at once than had room, but for what is more urgent than whatever gave way. Some places, in a lane and over all lanes, are only for very-high mail,
//! so that a full house of slow sends cannot keep it out. What is moved elsewhere takes none; when the routes have changed each
//! lane is *looked through* for it, room or not, up to the first delivery that stays and has none. What comes first is the business of `order`, when a lane is shut
//! that of `reach`; what is done with a decision is the driver's.
//!
//! A rank falls when its user is served, in whatever lane. Whoever looks at the first line of a lane where very many wait
//! brings it up to date; the others keep one that is at least as good as what they should have.

mod lane;
mod ready;
mod rerouting;
mod situation;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::order::{Order, Place, Rank};
use super::rate::Rate;
use super::reach::{Answer, FIRST_WAIT, LONGEST_WAIT, Turn};
use crate::message::{Class, ClassRule, Line, NextHop, Roster, Timestamp};
use crate::spool::LineChange;
use lane::{Active, Lane, Offer, Rest, first_due};
use ready::{First, Ready};

pub(super) use situation::{Closed, Situation};

/// Lines of a lane and class that are ready at once. So many are offered and withdrawn each time the lane has room and has
/// none any more, and so many times fewer are looked at anew where it is the first one only.
const OFFERED_MAX: usize = 32;

/// A lane that gave way does not rest for longer.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How many deliveries may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Over all lanes.
    pub simultaneous_max: usize,
    /// In one lane.
    pub per_next_hop_max: usize,
    /// How many of all are kept free for very-high mail.
    pub very_high_slots: usize,
    /// How many of those in one lane are.
    pub very_high_slots_per_next_hop: usize,
    /// From one start to the next in one lane; zero: they may follow at once.
    pub per_next_hop_interval: Duration,
    /// How the classes below very high share what very high leaves.
    pub classes: ClassRule,
}

/// A line whose head is not known to be due, in the order in which they fall due.
type Placed = (Place, Arc<Line>);

/// A due line, in the order in which those of one class are served.
type Ranked = (Rank, Arc<Line>);

/// Chooses the next line to claim from.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    order: Order,
    /// Deliveries under way.
    active: Active,
    /// Nothing below very high starts.
    is_held: bool,
    /// Every line that has a head, and where it stands.
    lines: HashMap<Arc<Line>, Standing>,
    /// The lines whose head is not known to be due.
    waiting: BTreeSet<Placed>,
    /// Lanes with due lines or deliveries under way, and those of which something is to be known for a while.
    lanes: HashMap<NextHop, Box<Lane>>,
    /// Lanes that may have become idle since the last look.
    idle: Vec<NextHop>,
    /// Lanes that are closed until a time, since a delivery has just begun there.
    paced: BTreeSet<(Timestamp, NextHop)>,
    /// Lanes that rest until a time, since a delivery there gave way.
    resting: BTreeSet<(Timestamp, NextHop)>,
    /// Lanes whose last attempt reached nothing, and until when that is remembered though nothing else is there.
    remembered: BTreeSet<(Timestamp, NextHop)>,
    /// What lanes with room offer, by class.
    ready: ByClass<Ready>,
    /// Where more lines than that are due in a lane and class, only the first is offered.
    offered_max: usize,
    /// Lanes that are shut, by when they are tried again.
    shut: BTreeSet<(Timestamp, NextHop)>,
    /// Lanes that are not open, whether they are shut or just tried.
    unreachable: usize,
    /// Deliveries that went elsewhere.
    moves: u32,
    /// How fast deliveries end.
    rate: Rate,
}

/// One value per class; index 0 is class 1.
type ByClass<T> = [T; Class::ALL.len()];

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
enum Standing {
    Waiting(Place),
    Due(Rank),
}

impl Scheduler {
    /// A scheduler that knows of no mail yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            order: Order::new(limits.classes),
            active: Active::default(),
            is_held: false,
            lines: HashMap::new(),
            waiting: BTreeSet::new(),
            lanes: HashMap::new(),
            idle: Vec::new(),
            paced: BTreeSet::new(),
            resting: BTreeSet::new(),
            remembered: BTreeSet::new(),
            ready: ByClass::default(),
            offered_max: OFFERED_MAX,
            shut: BTreeSet::new(),
            unreachable: 0,
            moves: 0,
            rate: Rate::default(),
        }
    }

    /// Takes note of a line's head.
    pub fn update(&mut self, change: LineChange) {
        if let Some((known, standing)) = self.lines.remove_entry(&change.line) {
            self.take_out(&known, standing);
        }
        if let Some(head) = change.head {
            let place = Place::from(head);
            // As whoever told it has it, so that both have it once.
            let line = change.line;
            self.lines
                .insert(Arc::clone(&line), Standing::Waiting(place));
            self.waiting.insert((place, line));
        }
    }

    /// The line to claim from now; none when nothing is due where there is room.
    ///
    /// Says the same until something changes: the claim is followed by [`Self::update`] with the
    /// line's next head, and by [`Self::started`] when it gave a delivery.
    pub fn next(&mut self, now: Timestamp) -> Option<Arc<Line>> {
        self.reopen(now);
        self.promote(now);
        self.forget_idle();
        let class = self
            .order
            .choose(|class| self.has_room(class) && !self.ready[class.index()].is_empty())?;
        loop {
            let next_hop = match self.ready[class.index()].first(&self.order)? {
                First::Line(line) => return Some(Arc::clone(line)),
                First::Front(rank, line) => {
                    let lane = self.lanes.get(&line.next_hop);
                    if lane.is_some_and(|lane| lane.reach.is_telling())
                        || rank == self.order.rank(line, rank.place)
                    {
                        return Some(Arc::clone(line));
                    }
                    line.next_hop.clone()
                }
            };
            // Its user has been served in another lane since.
            self.refresh(&next_hop, class);
        }
    }

    /// From now on nothing below very high starts, or does again.
    pub fn hold_below(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// When the first of the heads that are not due yet falls due, a shut lane is to be tried, a paced one
    /// opens or one has rested; none when there is none. Those that wait for room need no timer: a delivery that ends makes it.
    /// Nor does what may be forgotten.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.waiting.first().map(|(place, _)| place.due);
        let trial = self.shut.first().map(|(until, _)| *until);
        let open = self.paced.first().map(|(opens, _)| *opens);
        let rested = self.resting.first().map(|(until, _)| *until);
        let all = [due, trial, open, rested];
        all.into_iter().flatten().min()
    }

    /// A delivery of `line` that has been due since `due` is under way since `now`. Where an answer is returned it needs
    /// no attempt: it would be told just that.
    pub fn started(&mut self, line: &Line, due: Timestamp, now: Timestamp) -> Option<Arc<Answer>> {
        let next_hop = &line.next_hop;
        self.active.begins(line.class);
        let lane = self.lanes.entry(next_hop.clone()).or_default();
        lane.active.begins(line.class);
        let is_told = lane.reach.is_told(due);
        let answer = lane.answer.as_ref().filter(|_| is_told).cloned();
        if answer.is_none() {
            self.order.serve(line);
        }
        let interval = self.limits.per_next_hop_interval;
        // Nobody dials for an answer that is known.
        match interval.is_zero() || answer.is_some() {
            true => self.refresh_lane(next_hop),
            false => self.pace(next_hop, now.plus(interval)),
        }
        answer
    }

    /// A delivery of `line` was not tried after all, for want of room at its host. Until then no more of its class or
    /// below go there at once than are left: they would fare no better. Whoever says the soonest time says until when: those
    /// who gave way for the same reason do not make it longer.
    pub fn gave_way(&mut self, line: &Line, until: Timestamp) {
        let next_hop = &line.next_hop;
        self.active.ends(line.class);
        if let Some(lane) = self.lanes.get_mut(next_hop) {
            lane.active.ends(line.class);
            let before = lane.rest;
            let until = before.map_or(until, |rest| rest.until.min(until));
            lane.rest = Some(Rest {
                until,
                active_max: lane.active.all,
                from: before.map_or(line.class, |rest| rest.from.min(line.class)),
            });
            if let Some(before) = before {
                self.resting.remove(&(before.until, next_hop.clone()));
            }
            self.resting.insert((until, next_hop.clone()));
        }
        self.refresh_lane(next_hop);
    }

    /// Closes a lane until then, if it is not closed for longer.
    fn pace(&mut self, next_hop: &NextHop, until: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(next_hop)
            && lane.paced_until < Some(until)
        {
            if let Some(before) = lane.paced_until.replace(until) {
                self.paced.remove(&(before, next_hop.clone()));
            }
            self.paced.insert((until, next_hop.clone()));
        }
        self.refresh_lane(next_hop);
    }

    /// A delivery of `line` is over, however it ended; if it reached nothing, with what it was told.
    pub fn finished(
        &mut self,
        line: &Line,
        missed: Option<Arc<Answer>>,
        now: Timestamp,
    ) -> Option<Turn> {
        let next_hop = &line.next_hop;
        self.active.ends(line.class);
        // Nobody may have looked since the heads behind those under way were told.
        self.promote(now);
        let others_wait = !self.ready.iter().all(Ready::is_empty);
        let lane = self.lanes.get_mut(next_hop)?;
        lane.active.ends(line.class);
        let was_until = lane.reach.shut_until();
        let was_open = lane.reach.is_open();
        let is_known =
            |of: &Arc<Answer>| lane.answer.as_ref().is_some_and(|it| Arc::ptr_eq(it, of));
        // For what is only told nobody dials.
        if !missed.as_ref().is_some_and(is_known) {
            let has_backlog = lane.reach.is_open() && !lane.due.iter().all(Roster::is_empty);
            self.rate.ended(now, has_backlog || others_wait);
            lane.rate.ended(now, has_backlog);
        }
        let turn = match &missed {
            None => lane.reach.hit(),
            // It was told what is known; the next trial may be due already.
            Some(answer) if is_known(answer) && !lane.reach.is_telling() => None,
            Some(_) => lane.reach.miss(now, || first_due(&lane.due)),
        };
        lane.answer = missed;
        match (was_open, lane.reach.is_open()) {
            (true, false) => self.unreachable += 1,
            (false, true) => self.unreachable -= 1,
            _ => {}
        }
        let until = lane.reach.shut_until();
        if was_until != until {
            let entry = |until| (until, next_hop.clone());
            was_until.map(|until| self.shut.remove(&entry(until)));
            self.shut.extend(until.map(entry));
        }
        self.remember(next_hop, now);
        self.refresh_lane(next_hop);
        turn
    }

    /// Keeps in mind for a while that the last attempts of a lane reached nothing, if they did. So it is shut as well when its
    /// mail comes in no faster than it learns that nobody is there.
    fn remember(&mut self, next_hop: &NextHop, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(next_hop) else {
            return;
        };
        let until = lane.reach.has_missed().then(|| now.plus(FIRST_WAIT));
        let before = std::mem::replace(&mut lane.remembered_until, until);
        if before != until {
            let entry = |until| (until, next_hop.clone());
            before.map(|before| self.remembered.remove(&entry(before)));
            self.remembered.extend(until.map(entry));
        }
    }

    /// Has every lane that is shut tried now, not when its wait is over, nor when all that is overdue has been
    /// told.
    pub fn try_shut(&mut self) {
        self.shut.clear();
        let unreachable = self.lanes.iter().filter(|(_, lane)| !lane.reach.is_open());
        let next_hops: Vec<NextHop> = unreachable.map(|(next_hop, _)| next_hop.clone()).collect();
        for next_hop in next_hops {
            self.try_lane(&next_hop);
        }
    }

    fn try_lane(&mut self, next_hop: &NextHop) {
        if let Some(lane) = self.lanes.get_mut(next_hop) {
            lane.reach.try_again();
        }
        self.refresh_lane(next_hop);
    }

    /// Lanes whose next hop cannot be reached, as far as is known.
    pub fn unreachable(&self) -> usize {
        self.unreachable
    }

    /// Deliveries under way.
    pub fn active(&self) -> usize {
        self.active.all
    }

    /// Whether another delivery of `class` may start at all.
    fn has_room(&self, class: Class) -> bool {
        let Limits {
            simultaneous_max,
            very_high_slots,
            ..
        } = self.limits;
        (class == Class::VeryHigh || !self.is_held)
            && self
                .active
                .has_room(class, simultaneous_max, very_high_slots)
    }

    /// Opens the paced lanes whose time has come, and those that have rested; what need not be remembered any more is not.
    fn reopen(&mut self, now: Timestamp) {
        let interval = self.limits.per_next_hop_interval;
        while let Some(next_hop) = pop_due(&mut self.paced, now, interval) {
            if let Some(lane) = self.lanes.get_mut(&next_hop) {
                lane.paced_until = None;
            }
            self.refresh_lane(&next_hop);
        }
        while let Some(next_hop) = pop_due(&mut self.resting, now, LONGEST_REST) {
            if let Some(lane) = self.lanes.get_mut(&next_hop) {
                lane.rest = None;
            }
            self.refresh_lane(&next_hop);
        }
        while let Some(next_hop) = pop_due(&mut self.remembered, now, FIRST_WAIT) {
            if let Some(lane) = self.lanes.get_mut(&next_hop) {
                lane.remembered_until = None;
            }
            self.note_if_idle(&next_hop);
        }
    }

    /// Moves the lines whose heads have fallen due into their lanes, each head once, and has shut lanes
    /// tried whose time has come.
    fn promote(&mut self, now: Timestamp) {
        while let Some(next_hop) = pop_due(&mut self.shut, now, LONGEST_WAIT) {
            self.try_lane(&next_hop);
        }
        while self
            .waiting
            .first()
            .is_some_and(|(place, _)| place.due <= now)
        {
            let Some((place, line)) = self.waiting.pop_first() else {
                break;
            };
            let rank = self.order.rank(&line, place);
            self.lines.insert(line.clone(), Standing::Due(rank));
            let class = line.class;
            let next_hop = line.next_hop.clone();
            let lane = self.lanes.entry(next_hop.clone()).or_default();
            if lane.offers[class.index()] == Offer::All {
                self.ready[class.index()].offer(&self.order, &line, place);
            }
            lane.due[class.index()].insert((rank, line), ());
            self.refresh(&next_hop, class);
        }
    }

    fn take_out(&mut self, line: &Arc<Line>, standing: Standing) {
        match standing {
            Standing::Waiting(place) => {
                self.waiting.remove(&(place, line.clone()));
            }
            Standing::Due(rank) => {
                let index = line.class.index();
                let Some(lane) = self.lanes.get_mut(&line.next_hop) else {
                    return;
                };
                if lane.offers[index] == Offer::All {
                    self.ready[index].withdraw(&self.order, line, rank.place);
                }
                lane.due[index].remove(&(rank, line.clone()));
                if lane.reach.is_telling() {
                    // Whether other classes have room depends on what is due first.
                    return self.refresh_lane(&line.next_hop);
                }
                self.refresh(&line.next_hop, line.class);
                self.note_if_idle(&line.next_hop);
            }
        }
    }

    fn refresh_lane(&mut self, next_hop: &NextHop) {
        for class in Class::ALL {
            self.refresh(next_hop, class);
        }
        self.note_if_idle(next_hop);
    }

    /// Brings what a lane offers of a class up to date.
    fn refresh(&mut self, next_hop: &NextHop, class: Class) {
        let Some(lane) = self.lanes.get_mut(next_hop) else {
            return;
        };
        let index = class.index();
        let offer = lane.offer(
            class,
            &self.order,
            &self.limits,
            self.offered_max,
            |line, rank| {
                self.lines.insert(line, Standing::Due(rank));
            },
        );
        if lane.offers[index] == offer {
            return;
        }
        let ready = &mut self.ready[index];
        match &lane.offers[index] {
            Offer::Nothing => {}
            Offer::Front(front) => ready.withdraw_front(front),
            Offer::All => {
                for (rank, line) in lane.due[index].keys() {
                    ready.withdraw(&self.order, line, rank.place);
                }
            }
        }
        match &offer {
            Offer::Nothing => {}
            Offer::Front(front) => ready.offer_front(front),
            Offer::All => {
                for (rank, line) in lane.due[index].keys() {
                    ready.offer(&self.order, line, rank.place);
                }
            }
        }
        lane.offers[index] = offer;
    }

    /// Notes that a lane may be forgotten. Whether it is shows when all heads that have fallen due are in
    /// their lanes: the next head of a line that was claimed from is not yet, and what is known of its next
    /// hop must outlive that.
    fn note_if_idle(&mut self, next_hop: &NextHop) {
        if self.lanes.get(next_hop).is_some_and(|lane| lane.is_idle()) {
            self.idle.push(next_hop.clone());
        }
    }

    fn forget_idle(&mut self) {
        for next_hop in std::mem::take(&mut self.idle) {
            if self.lanes.get(&next_hop).is_some_and(|lane| lane.is_idle())
                && let Some(lane) = self.lanes.remove(&next_hop)
                && !lane.reach.is_open()
            {
                self.unreachable -= 1;
            }
        }
    }
}

/// Takes out a lane whose time has come: also one that is longer away than any wait, and was closed before
/// the clock was set back. Those are the last ones.
fn pop_due(
    waits: &mut BTreeSet<(Timestamp, NextHop)>,
    now: Timestamp,
    longest: Duration,
) -> Option<NextHop> {
    let (first, last) = (waits.first()?.0, waits.last()?.0);
    let (_, next_hop) = if first <= now {
        waits.pop_first()?
    } else if last.since(now) > longest {
        waits.pop_last()?
    } else {
        return None;
    };
    Some(next_hop)
}

#[cfg(test)]
mod tests;
