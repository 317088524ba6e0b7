//! What the scheduler does when mail goes elsewhere than to the lane that it waits in, which shows when it is claimed.
//!
//! A move takes no place, so it needs none: when the routes have changed each lane is looked through, room or not, up to
//! the first delivery that stays and has no room. Behind that one, mail moves as deliveries end.

use super::Scheduler;
use crate::message::{Line, NextHop, Timestamp};

/// So many moves count as one delivery: they open no connection, and take that many times less.
const MOVES_A_TURN: u32 = 64;

impl Scheduler {
    /// What is due may go elsewhere than it did: has every lane looked through now, and those that are shut tried.
    pub fn rerouted(&mut self, now: Timestamp) {
        self.shut.clear();
        let next_hops: Vec<NextHop> = self.lanes.keys().cloned().collect();
        for next_hop in next_hops {
            if let Some(lane) = self.lanes.get_mut(&next_hop) {
                lane.is_looked_through = true;
                lane.reach.look_through(now);
            }
            self.refresh_lane(&next_hop);
        }
    }

    /// Whether a delivery of `line` that has been due since `due`, was claimed and does not go elsewhere may start. One that
    /// may not was only looked at, and is put back.
    pub fn may_start(&mut self, line: &Line, due: Timestamp) -> bool {
        let Some(lane) = self.lanes.get_mut(&line.next_hop) else {
            return true;
        };
        if !lane.is_looked_through || lane.has_free_place(line.class, due, &self.limits) {
            return true;
        }
        lane.is_looked_through = false;
        self.refresh_lane(&line.next_hop);
        false
    }

    /// A delivery of `line` goes elsewhere and is not tried here: it takes no place. Now and then it is a turn of its user,
    /// so that whoever has very much to be moved does not keep others waiting.
    pub fn moved(&mut self, line: &Line) {
        self.moves = self.moves.wrapping_add(1);
        if self.moves.is_multiple_of(MOVES_A_TURN) {
            self.order.serve(line);
        }
    }
}
