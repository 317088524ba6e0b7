//! Next hops as very-high mail finds them, from outside: where it may hold others from MAIL on and for how long, and where it
//! may not for now, since something very high has hung there.
//!
//! The relay knows when it looked; from outside that is known within bounds, and some messages are of a class that nobody
//! knows. So there are two answers: what may be so, and what is surely so.

use std::time::Duration;

use tokio::time::Instant;

use super::road::{HOLDS_AT_MOST, HOLDS_SURELY, Rank};

/// The relay remembers for a quarter of an hour that something hung; and it may have ended a little before its connection.
const SURELY_REMEMBERED: Duration = Duration::from_secs(14 * 60);
const REMEMBERED_AT_MOST: Duration = Duration::from_secs(16 * 60);

/// A transaction of what is, or may be, very high.
#[derive(Clone, Copy, Debug)]
pub(super) struct Urgent {
    pub(super) rank: Rank,
    /// When octets came or went since the first reply; before that, when it began.
    pub(super) moved: Instant,
    /// The longest time in which nothing moved.
    pub(super) stood: Duration,
    /// The host has refused something: it may be over.
    pub(super) is_refused: bool,
    /// It may hold nobody before its host answers, and has not been answered.
    pub(super) may_be_idle: bool,
}

/// How a transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// It surely holds others, for no longer than if it had begun then.
    Holding(Instant),
    /// It may hold others.
    Unknown,
    /// It surely holds nobody before its host answers, and for half as long at most as one of which nothing is known.
    Idle,
}

/// What is known of a next hop.
#[derive(Debug)]
pub(super) struct Standing {
    /// Something very high moved there last then, or later.
    moved_from: Instant,
    /// Then, or sooner; none: nothing was surely very high.
    moved_to: Option<Instant>,
    /// Something very high passed there last then, or later.
    passed_from: Instant,
    /// Something may have hung, and nothing has surely passed since.
    may_be_stalled: bool,
    /// Something has surely hung, and nothing can have passed since.
    is_stalled: bool,
    /// When nothing of the kind is under way there any more.
    ended: Option<Instant>,
}

impl Standing {
    /// Nothing was known of it until now.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            moved_from: now,
            moved_to: None,
            passed_from: now,
            may_be_stalled: false,
            is_stalled: false,
            ended: None,
        }
    }

    /// Something of that rank begins beside others.
    pub(super) fn begins(&mut self, rank: Rank, others: &[Urgent], now: Instant) -> Begins {
        if let Some(ended) = self.ended.take() {
            self.may_be_stalled &= now < ended + REMEMBERED_AT_MOST;
            self.is_stalled &= now < ended + SURELY_REMEMBERED;
            if !self.may_be_stalled {
                self.moved_from = now;
                self.passed_from = now;
            }
        }
        for other in others {
            self.may_be_stalled |= self.may_stall(other, now);
            self.is_stalled |= self.surely_stalls(other, now);
        }
        if !self.is_stalled && !others.iter().any(|other| self.counts(other)) {
            // Its own beginning may be taken for a movement.
            self.moved_to = (rank == Rank::VeryHigh || self.moved_to.is_some()).then_some(now);
        }
        match (self.is_stalled, self.may_be_stalled) {
            (true, _) => Begins::Idle,
            (false, true) => Begins::Unknown,
            (false, false) => Begins::Holding(self.moved_from),
        }
    }

    /// Something of that rank moves.
    pub(super) fn moves(&mut self, rank: Rank, now: Instant) {
        if rank == Rank::VeryHigh {
            self.moved_from = now;
        }
        self.may_move(now);
    }

    /// Something of any rank may move before its end is seen.
    pub(super) fn may_move(&mut self, now: Instant) {
        self.moved_to = self.moved_to.map(|_| now);
        self.is_stalled = false;
    }

    /// One has come to its end with a reply, and so many others have not.
    pub(super) fn passes(&mut self, passed: &Urgent, others: usize, now: Instant) {
        self.ends(passed, others, now);
        if passed.rank == Rank::VeryHigh && !passed.may_hang(now) {
            self.passed_from = now;
            self.may_be_stalled = false;
        }
    }

    /// One is cut off, and so many others are not. When the relay learns that is not known, so it may have hung.
    pub(super) fn is_cut_off(&mut self, ended: &Urgent, others: usize, now: Instant) {
        self.may_be_stalled = true;
        self.ends(ended, others, now);
    }

    fn ends(&mut self, ended: &Urgent, others: usize, now: Instant) {
        self.may_be_stalled |= self.may_stall(ended, now);
        self.is_stalled |= self.surely_stalls(ended, now);
        if others == 0 {
            self.ended = Some(now);
        }
        if !self.is_stalled && ended.rank == Rank::VeryHigh {
            // It may have been the last that was surely there.
            self.moved_to = None;
        }
    }

    fn may_stall(&self, one: &Urgent, now: Instant) -> bool {
        one.may_hang(now)
            && (one.stood >= HOLDS_SURELY || one.moved + HOLDS_AT_MOST > self.passed_from)
    }

    fn surely_stalls(&self, one: &Urgent, now: Instant) -> bool {
        self.counts(one) && one.moved + HOLDS_AT_MOST <= now
    }

    /// Whether it is surely very high, and nothing has moved since it stopped holding others, if it has.
    fn counts(&self, one: &Urgent) -> bool {
        let is_sure = one.rank == Rank::VeryHigh && !one.is_refused && !one.may_be_idle;
        is_sure
            && self
                .moved_to
                .is_some_and(|moved| one.moved + HOLDS_SURELY > moved)
    }
}

impl Urgent {
    /// Whether it may have said nothing for too long, until now.
    fn may_hang(&self, now: Instant) -> bool {
        self.stood.max(now - self.moved) >= HOLDS_SURELY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_nobody_does_not_say_that_its_hop_is_stalled() {
        let now = Instant::now();
        let later = |milliseconds| now + Duration::from_millis(milliseconds);
        for (may_be_idle, begins) in [(true, false), (false, true)] {
            let mut standing = Standing::new(now);
            let first = Urgent {
                rank: Rank::VeryHigh,
                moved: now,
                stood: Duration::ZERO,
                is_refused: false,
                may_be_idle,
            };
            standing.begins(Rank::VeryHigh, &[], now);
            let next = standing.begins(Rank::VeryHigh, &[first], later(1_700));
            assert_eq!(next == Begins::Idle, begins, "{next:?}");
        }
    }
}
