//! The next hops that very-high mail is being sent to, and those of them where it has hung.
//!
//! A very-high send holds others from its MAIL on, before its host has said a word, and for a while after each time that it
//! has moved. Where its host then says nothing for as long as others are held at all, it *hangs*: others have waited for
//! nothing. A next hop where one has hung is not trusted until another has ended there without: what begins there holds nobody
//! before its host answers, and after it has moved for half as long with each that hung. So a host that hangs costs others
//! some seconds in all, however much very-high mail there is for it and wherever in a transaction it hangs. Arithmetic only;
//! who is under way is known to `traffic`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::message::NextHop;

/// How long a very-high send that does not move holds others, unless some have hung there. Less than the two seconds that are
/// promised, by the time that timers and tasks take.
pub(super) const PATIENCE: Duration = Duration::from_millis(1_500);

/// Whoever is cut off after so long a silence has hung as well, only that the host, or the relay, did not wait for longer. More
/// than a reply takes on most ways, or until it is told.
const SILENCE: Duration = Duration::from_millis(250);

/// For so long it is known that something has hung when nothing very high is under way there any more: longer than the first
/// waits before something is tried again, so that each trial of a host that goes on hanging costs nobody anything. Where it is
/// remembered for too long, others are held from the first reply of the host on and not from MAIL.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// Next hops that are remembered with nothing under way. A user who writes to more hosts that hang holds others for a
/// moment with each of them anyway.
const REMEMBERED_MAX: usize = 1_000;

/// How a very-high send stands that is in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Motion {
    /// When it moved last. Before it has, when it began.
    since: Instant,
    has_moved: bool,
    /// How many had hung at its next hop, and nothing had passed, when it began.
    hung_before: u32,
    /// It has said nothing for as long as it may hold others.
    has_hung: bool,
}

/// What is known of a next hop.
#[derive(Debug)]
struct Hop {
    /// When something very high moved there last. Where nothing has, when the first began that held others in advance.
    moved: Instant,
    /// When something very high ended there last that had not hung, or the first began.
    passed: Instant,
    /// How many have hung since, and are over.
    hung: u32,
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
        others: impl Iterator<Item = Motion> + Clone,
        now: Instant,
    ) -> Motion {
        let hop = self.0.entry(Arc::clone(next_hop)).or_insert(Hop {
            moved: now,
            passed: now,
            hung: 0,
            under_way: 0,
            forgotten_at: now,
        });
        if hop.under_way == 0 && hop.forgotten_at <= now {
            hop.hung = 0;
        }
        hop.under_way += 1;
        let hanging = others.clone().filter(|other| hop.counts(*other, now));
        let hanging = u32::try_from(hanging.count()).unwrap_or(u32::MAX);
        let hung_before = hop.hung.saturating_add(hanging);
        if !others.map(Motion::hangs_at).any(|at| at > now) {
            // What hangs here, others have passed since.
            hop.moved = now;
        }
        Motion {
            since: now,
            has_moved: false,
            hung_before,
            has_hung: false,
        }
    }

    /// A very-high send moves there.
    pub(super) fn moved(&mut self, next_hop: &NextHop, motion: &mut Motion, now: Instant) {
        *motion = Motion {
            since: now,
            has_moved: true,
            has_hung: motion.has_hung || motion.hangs_at() <= now,
            ..*motion
        };
        if let Some(hop) = self.0.get_mut(next_hop) {
            hop.moved = now;
        }
    }

    /// A very-high send that stood so is in no transaction any more.
    pub(super) fn end(&mut self, next_hop: &NextHop, motion: Motion, now: Instant) {
        let Some(hop) = self.0.get_mut(next_hop) else {
            return;
        };
        hop.under_way -= 1;
        let is_silent = motion.since + SILENCE <= now;
        if hop.counts(motion, now) || is_silent && motion.hangs_at() > now {
            hop.hung = hop.hung.saturating_add(1);
        } else if motion.has_moved && !is_silent {
            hop.hung = 0;
            hop.passed = now;
        }
        if hop.under_way > 0 {
            return;
        }
        if hop.hung == 0 {
            self.0.remove(next_hop);
            return;
        }
        hop.forgotten_at = now + REMEMBERED;
        self.forget(now);
    }

    /// Until when a very-high send holds others that stands so, if it may.
    pub(super) fn holds_until(&self, next_hop: &NextHop, motion: Motion) -> Option<Instant> {
        let hop = self.0.get(next_hop)?;
        if motion.has_moved {
            return Some(motion.since + motion.patience());
        }
        // One that has not moved has no more credit than its next hop has.
        motion
            .holds_in_advance()
            .then(|| motion.since.min(hop.moved) + PATIENCE)
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

impl Motion {
    /// Whether it may hold others before its host has said something.
    pub(super) fn holds_in_advance(self) -> bool {
        self.hung_before == 0
    }

    /// How long it holds others after it has moved.
    fn patience(self) -> Duration {
        let halves = 1_u32.checked_shl(self.hung_before).unwrap_or(u32::MAX);
        PATIENCE / halves
    }

    /// When it hangs, should it not move.
    fn hangs_at(self) -> Instant {
        self.since + PATIENCE
    }
}

impl Hop {
    /// Whether a send that stands so has hung here, and nothing has passed since.
    fn counts(&self, motion: Motion, now: Instant) -> bool {
        let hangs_at = motion.hangs_at();
        motion.has_hung || hangs_at <= now && hangs_at > self.passed
    }
}

#[cfg(test)]
mod tests;
