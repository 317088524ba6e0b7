//! What the scheduler knows beside the heads of lines, copied at one moment: what a forecast begins with.
//!
//! The copy is made while the driver waits, so it leaves out the lines, which the spool knows as well, and the lanes of
//! which nothing is to be said.

use std::collections::HashMap;

use super::{Active, Lane, Limits, Rest, Scheduler};
use crate::message::{Class, Line, NextHop, Timestamp};
use crate::queue::order::Order;
use crate::queue::rate::Rate;
use crate::queue::reach::Reach;

/// What decides, beside the heads of lines, over what goes next.
#[derive(Clone, Debug)]
pub(in crate::queue) struct Situation {
    pub(in crate::queue) limits: Limits,
    order: Order,
    active: Active,
    /// Nothing below very high starts, since something very high is being sent.
    pub(in crate::queue) is_held: bool,
    lanes: HashMap<NextHop, LaneSituation>,
    /// How fast deliveries end over all lanes.
    pub(in crate::queue) rate: Rate,
}

/// What is under way in a lane, and what keeps it closed.
#[derive(Clone, Copy, Debug)]
struct LaneSituation {
    active: Active,
    reach: Reach,
    paced_until: Option<Timestamp>,
    rest: Option<Rest>,
    rate: Rate,
}

/// Why no delivery of a lane can start at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::queue) enum Closed {
    /// Its next hop cannot be reached.
    Unreachable,
    /// One has just begun.
    Paced,
    /// There was no room at its host.
    Resting(Timestamp),
    /// As many are under way as may be.
    Full(usize),
}

impl LaneSituation {
    fn of(lane: &Lane) -> Option<Self> {
        let says_something = lane.active.all > 0
            || !lane.reach.is_open()
            || lane.paced_until.is_some()
            || lane.rest.is_some();
        says_something.then_some(Self {
            active: lane.active,
            reach: lane.reach,
            paced_until: lane.paced_until,
            rest: lane.rest,
            rate: lane.rate,
        })
    }
}

impl Situation {
    /// Why no delivery of a line can start at the moment, as far as that is a matter of its lane.
    pub(in crate::queue) fn closed(&self, line: &Line) -> Option<Closed> {
        let lane = self.lanes.get(&line.next_hop)?;
        let limits = &self.limits;
        let kept = match line.class {
            Class::VeryHigh => 0,
            _ => limits.very_high_slots_per_next_hop,
        };
        let room = (limits.per_next_hop_max, limits.very_high_slots_per_next_hop);
        let is_kept_back = |rest: &Rest| rest.keeps_back(line.class, lane.active.all);
        if !lane.reach.is_open() {
            Some(Closed::Unreachable)
        } else if let Some(rest) = lane.rest.filter(is_kept_back) {
            Some(Closed::Resting(rest.until))
        } else if lane.paced_until.is_some() {
            Some(Closed::Paced)
        } else if !lane.active.has_room(line.class, room.0, room.1) {
            Some(Closed::Full(limits.per_next_hop_max - kept))
        } else {
            None
        }
    }

    /// How many may be under way of a class, when there are so many that none of it can start.
    pub(in crate::queue) fn full(&self, class: Class) -> Option<usize> {
        let limits = &self.limits;
        let kept = match class {
            Class::VeryHigh => 0,
            _ => limits.very_high_slots,
        };
        let (max, slots) = (limits.simultaneous_max, limits.very_high_slots);
        (!self.active.has_room(class, max, slots)).then(|| max.saturating_sub(kept))
    }

    /// How fast deliveries of a lane end.
    pub(in crate::queue) fn rate_of(&self, next_hop: &NextHop) -> Option<&Rate> {
        self.lanes.get(next_hop).map(|lane| &lane.rate)
    }
}

impl Scheduler {
    /// What is so now.
    pub(in crate::queue) fn situation(&self) -> Situation {
        let lanes = self.lanes.iter();
        let lanes = lanes.filter_map(|(next_hop, lane)| {
            LaneSituation::of(lane).map(|lane| (next_hop.clone(), lane))
        });
        Situation {
            limits: self.limits,
            order: self.order.clone(),
            active: self.active,
            is_held: self.is_held,
            lanes: lanes.collect(),
            rate: self.rate,
        }
    }

    /// One that goes on from there as if all that is under way had ended, and each trial that is under way
    /// had failed. No lane rests then, since there is room at every host. It knows no lines yet.
    pub(in crate::queue) fn from_situation(situation: &Situation, now: Timestamp) -> Self {
        let mut scheduler = Self::new(situation.limits);
        scheduler.order = situation.order.clone();
        for (next_hop, known) in &situation.lanes {
            let lane = Lane {
                reach: known.reach.foreseen(known.active.all > 0, now),
                paced_until: known.paced_until,
                ..Lane::default()
            };
            if !lane.reach.is_open() {
                scheduler.unreachable += 1;
            }
            let entry = |until: Timestamp| (until, next_hop.clone());
            scheduler.shut.extend(lane.reach.shut_until().map(entry));
            scheduler.paced.extend(lane.paced_until.map(entry));
            scheduler.lanes.insert(next_hop.clone(), Box::new(lane));
        }
        scheduler
    }
}
