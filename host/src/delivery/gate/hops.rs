//! The next hops that very-high mail is being sent to, and those of them that are stalled.
//!
//! A very-high send holds others from its MAIL on, before its host has said a word: in advance, and for a moment only where the
//! host says none. A next hop at which one has stopped holding for want of progress is *stalled* until something very high moves
//! there, and nothing that begins there holds others in advance: a host that hangs costs them that moment once, however much
//! very-high mail there is for it. What holds already in advance there stops with the first. Arithmetic only; who is under way
//! is known to `traffic`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::message::NextHop;

/// How long a very-high send that does not move holds others. Less than the two seconds that are promised, by the
/// time that timers and tasks take.
pub(super) const PATIENCE: Duration = Duration::from_millis(1_500);

/// For so long a next hop is known to be stalled when nothing very high is under way there any more: longer than the first
/// waits before something is tried again, so that each trial of a host that goes on hanging costs nobody anything. Where it is
/// remembered for too long, others are held from the first reply of the host on and not from MAIL.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// Stalled next hops that are remembered with nothing under way. A user who writes to more hosts that hang holds others for a
/// moment with each of them anyway.
const REMEMBERED_MAX: usize = 1_000;

/// How a very-high send stands that is in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    /// Its next hop was stalled when it began, and its host has said nothing since: it holds nobody.
    Idle,
    /// It began then, and holds others in advance: its host has said nothing yet.
    Ahead(Instant),
    /// It moved last then.
    Moved(Instant),
}

/// What is known of a next hop.
#[derive(Debug)]
struct Hop {
    /// When something very high moved there last. Where nothing has, when the first began that held others in advance.
    moved: Instant,
    is_stalled: bool,
    /// Very-high sends in a transaction.
    under_way: usize,
    /// When it is forgotten, should nothing be under way.
    forgotten_at: Instant,
}

/// Next hops with very-high mail in a transaction, and a few where it hung.
#[derive(Debug, Default)]
pub(super) struct Hops(BTreeMap<Arc<NextHop>, Hop>);

impl Hops {
    /// A very-high send begins a transaction. `others` are those that are in one there already.
    pub(super) fn begin(
        &mut self,
        next_hop: &Arc<NextHop>,
        others: impl Iterator<Item = Motion>,
        now: Instant,
    ) -> Motion {
        let Some(hop) = self.0.get_mut(next_hop) else {
            let hop = Hop {
                moved: now,
                is_stalled: false,
                under_way: 1,
                forgotten_at: now,
            };
            self.0.insert(Arc::clone(next_hop), hop);
            return Motion::Ahead(now);
        };
        if hop.under_way == 0 && hop.forgotten_at <= now {
            hop.is_stalled = false;
        }
        hop.under_way += 1;
        if !hop.is_stalled {
            let stops = others.filter_map(|motion| hop.stops(motion)).min();
            match stops {
                // Whatever hangs there, something else has moved since.
                None => hop.moved = now,
                Some(stops) => hop.is_stalled = stops <= now,
            }
        }
        match hop.is_stalled {
            true => Motion::Idle,
            false => Motion::Ahead(now),
        }
    }

    /// A very-high send moves there.
    pub(super) fn moved(&mut self, next_hop: &NextHop, now: Instant) {
        if let Some(hop) = self.0.get_mut(next_hop) {
            hop.moved = now;
            hop.is_stalled = false;
        }
    }

    /// A very-high send that stood so is in no transaction any more.
    pub(super) fn end(&mut self, next_hop: &NextHop, motion: Motion, now: Instant) {
        let Some(hop) = self.0.get_mut(next_hop) else {
            return;
        };
        hop.under_way -= 1;
        hop.is_stalled |= hop.stops(motion).is_some_and(|stops| stops <= now);
        if hop.under_way > 0 {
            return;
        }
        if !hop.is_stalled {
            self.0.remove(next_hop);
            return;
        }
        hop.forgotten_at = now + REMEMBERED;
        self.forget(now);
    }

    /// Until when a very-high send holds others that stands so, if it may.
    pub(super) fn holds_until(&self, next_hop: &NextHop, motion: Motion) -> Option<Instant> {
        self.0.get(next_hop)?.holds_until(motion)
    }

    /// Leaves out those whose time is over, and those that are too many.
    fn forget(&mut self, now: Instant) {
        self.0
            .retain(|_, hop| hop.under_way > 0 || hop.forgotten_at > now);
        let remembered = || self.0.iter().filter(|(_, hop)| hop.under_way == 0);
        if remembered().count() > REMEMBERED_MAX
            && let Some((first, _)) = remembered().min_by_key(|(_, hop)| hop.forgotten_at)
        {
            let first = Arc::clone(first);
            self.0.remove(&first);
        }
    }
}

impl Hop {
    /// Until when a send holds others that stands so. One that has not moved has no more credit than the hop has.
    fn holds_until(&self, motion: Motion) -> Option<Instant> {
        match motion {
            Motion::Idle => None,
            Motion::Ahead(begun) => Some(begun.min(self.moved) + PATIENCE),
            Motion::Moved(moved) => Some(moved + PATIENCE),
        }
    }

    /// The same, unless something has moved here since: then it says nothing of the hop.
    fn stops(&self, motion: Motion) -> Option<Instant> {
        let stops = self.holds_until(motion);
        stops.filter(|stops| *stops > self.moved)
    }
}

#[cfg(test)]
mod tests;
