//! Whether a next hop can be reached, and what may go there while it cannot.
//!
//! A lane whose attempts all reach nothing, one after the other, is shut: a hundred thousand messages for a host
//! that is down would otherwise be tried one by one, again and again, to learn the same. One that answers and lets
//! nobody in, since it is busy or the login is wrong, counts as not reached. While it is shut its mail
//! waits as it is. After a wait one delivery is tried, the most urgent; when that reaches a host the lane is open,
//! else the wait begins anew and is longer. Before it does, mail that has been due for long is told what the trial
//! was told, without an attempt of its own: so its sender hears in time that it waits, and that it never arrived,
//! however many wait and however long it takes to learn that nobody answers.
//!
//! When the routes have changed, mail that waits may go elsewhere, which shows when it is claimed; it is moved then and says
//! nothing of the next hop. So a trial begins at once, and what comes before it moves. Should the trial fail, all that was
//! due at the change is told, and what goes elsewhere among it moves: only so it is found behind what stays.
//!
//! Arithmetic only. When a trial is due is the scheduler's business.

use std::time::Duration;

use crate::message::{Outcome, RemoteHost, Timestamp};

/// Attempts in a row that reached nothing, until the lane is shut. Few mails are simply tried on their schedule.
const MISSES_MAX: u32 = 20;

/// The wait before the first trial; each further one is twice as long. Attempts are in a row though nothing is to be sent
/// in between, if that takes no longer.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A host that is back is noticed within this.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What has been due for longer is told after each trial: short beside the times after which senders are told.
const OVERDUE_AFTER: Duration = Duration::from_secs(300);

/// What is known of a lane's next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Deliveries go. So many attempts in a row, the last ones, reached nothing.
    Open { misses: u32 },
    /// None goes before that time.
    Shut { until: Timestamp, trials: u32 },
    /// One goes. If it reaches nothing, what was overdue at `tells`, or then if that is later, is told so.
    Trial {
        trials: u32,
        tells: Option<Timestamp>,
    },
    /// It has reached nothing, and what was overdue then is told so.
    Telling { since: Timestamp, trials: u32 },
}

/// What an attempt that reached nothing was told, by a host or by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) host: Option<RemoteHost>,
    pub(super) outcome: Outcome,
    pub(super) is_remote: bool,
}

/// How what is known of a next hop has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is left alone from now on.
    Shut,
    /// It can be reached again.
    Open,
}

impl Default for Reach {
    fn default() -> Self {
        Self::Open { misses: 0 }
    }
}

impl Reach {
    /// An attempt reached a host.
    pub(super) fn hit(&mut self) -> Option<Turn> {
        let was_open = matches!(self, Self::Open { .. });
        *self = Self::default();
        (!was_open).then_some(Turn::Open)
    }

    /// An attempt reached nothing. `first_due`: since when the first of those that are due has been.
    pub(super) fn miss(
        &mut self,
        now: Timestamp,
        first_due: impl FnOnce() -> Option<Timestamp>,
    ) -> Option<Turn> {
        match *self {
            Self::Open { misses } if misses + 1 < MISSES_MAX => {
                *self = Self::Open { misses: misses + 1 };
                None
            }
            Self::Open { .. } => {
                *self = Self::shut(now, 0);
                Some(Turn::Shut)
            }
            // Begun before it was shut.
            Self::Shut { .. } => None,
            Self::Trial { trials, tells } => {
                let since = tells.map_or(now, |since| since.max(now));
                self.tell(since, trials, now, first_due());
                None
            }
            Self::Telling { since, trials } => {
                self.tell(since, trials, now, first_due());
                None
            }
        }
    }

    /// Has those told who were overdue at `since`, or the next wait begin when there are none.
    fn tell(
        &mut self,
        since: Timestamp,
        trials: u32,
        now: Timestamp,
        first_due: Option<Timestamp>,
    ) {
        *self = match first_due.is_some_and(|due| is_overdue(due, since)) {
            true => Self::Telling { since, trials },
            false => Self::shut(now, trials + 1),
        };
    }

    /// The wait is over. Who was to be told and has not been is told after the trial.
    pub(super) fn try_again(&mut self) {
        if let Self::Shut { trials, .. } | Self::Telling { trials, .. } = *self {
            let tells = None;
            *self = Self::Trial { trials, tells };
        }
    }

    /// What is due now may go elsewhere. It is looked at, all of it: what stays is told, should the trial fail.
    pub(super) fn look_through(&mut self, now: Timestamp) {
        if let Self::Shut { trials, .. }
        | Self::Telling { trials, .. }
        | Self::Trial { trials, .. } = *self
        {
            let tells = Some(now.plus(OVERDUE_AFTER));
            *self = Self::Trial { trials, tells };
        }
    }

    /// What it is for somebody who wants to know when mail may go: a trial that is under way may fail, and those who
    /// are told so are not on their way.
    pub(super) fn foreseen(self, is_under_way: bool, now: Timestamp) -> Self {
        match self {
            Self::Trial { trials, .. } if is_under_way => Self::shut(now, trials + 1),
            Self::Telling { trials, .. } => Self::shut(now, trials + 1),
            Self::Open { .. } | Self::Shut { .. } | Self::Trial { .. } => self,
        }
    }

    /// Whether deliveries go, and the last one reached nothing.
    pub(super) fn has_missed(&self) -> bool {
        matches!(self, Self::Open { misses: 1.. })
    }

    /// Whether deliveries go: nothing says that it cannot be reached.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether some are only told what the last attempt was told.
    pub(super) fn is_telling(&self) -> bool {
        matches!(self, Self::Telling { .. })
    }

    /// Whether a delivery that has been due since `due` is only told what the last attempt was told.
    pub(super) fn is_told(&self, due: Timestamp) -> bool {
        matches!(*self, Self::Telling { since, .. } if is_overdue(due, since))
    }

    /// Until when nothing goes; at most [`LONGEST_WAIT`] from when it was shut.
    pub(super) fn shut_until(&self) -> Option<Timestamp> {
        match *self {
            Self::Shut { until, .. } => Some(until),
            Self::Open { .. } | Self::Trial { .. } | Self::Telling { .. } => None,
        }
    }

    /// Whether a delivery that has been due since `due`, the first one since `first_due`, may go beside so many
    /// under way, of `active_max`.
    pub(super) fn has_room(
        &self,
        active: usize,
        active_max: usize,
        due: Timestamp,
        first_due: impl FnOnce() -> Option<Timestamp>,
    ) -> bool {
        match *self {
            Self::Open { .. } => active < active_max,
            Self::Shut { .. } => false,
            Self::Trial { .. } => active == 0,
            Self::Telling { .. } if self.is_told(due) => active < active_max,
            // Those who were to be told may be gone.
            Self::Telling { .. } => {
                active == 0 && !first_due().is_some_and(|due| self.is_told(due))
            }
        }
    }

    fn shut(now: Timestamp, trials: u32) -> Self {
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(trials));
        let until = now.plus(wait.min(LONGEST_WAIT));
        Self::Shut { until, trials }
    }
}

fn is_overdue(due: Timestamp, now: Timestamp) -> bool {
    now.since(due) >= OVERDUE_AFTER
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(seconds * 1_000)
    }

    fn shut(now: Timestamp) -> Reach {
        let mut reach = Reach::default();
        for _ in 1..MISSES_MAX {
            assert_eq!(reach.miss(now, || None), None);
            assert!(reach.has_room(3, 4, now, || None));
        }
        assert_eq!(reach.miss(now, || None), Some(Turn::Shut));
        reach
    }

    #[test]
    fn a_next_hop_that_is_never_reached_is_left_alone_ever_longer() {
        let mut now = at(1_000);
        let mut reach = shut(now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let until = reach.shut_until().unwrap();
            assert!(!reach.has_room(0, 4, at(0), || None));
            assert_eq!(reach.miss(now, || None), None, "begun before");
            waits.push(until.since(now).as_secs());
            now = until;
            reach.try_again();
            assert!(reach.has_room(0, 4, now, || None) && !reach.has_room(1, 4, now, || None));
            assert_eq!(reach.miss(now, || Some(now)), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(reach.hit(), Some(Turn::Open));
        assert!(reach.has_room(3, 4, now, || None));
        assert_eq!(reach.hit(), None);
    }

    #[test]
    fn one_that_is_reached_now_and_then_stays_open() {
        let mut reach = Reach::default();
        for _ in 0..3 {
            for _ in 1..MISSES_MAX {
                assert_eq!(reach.miss(at(1_000), || None), None);
            }
            assert_eq!(reach.hit(), None);
        }
        assert_eq!(reach, Reach::default());
    }

    #[test]
    fn what_is_overdue_is_told_before_the_next_wait() {
        let mut reach = shut(at(10_000));
        reach.try_again();
        // The trial goes alone, and may take long.
        let overdue = at(10_100 - OVERDUE_AFTER.as_secs());
        assert!(reach.has_room(0, 4, overdue, || None) && !reach.has_room(1, 4, overdue, || None));
        assert!(!reach.is_told(overdue));
        assert_eq!(reach.miss(at(10_100), || Some(overdue)), None);
        assert!(reach.is_told(overdue) && !reach.is_told(at(10_000)));
        assert!(reach.has_room(3, 4, overdue, || None) && !reach.has_room(4, 4, overdue, || None));
        let not_yet = overdue.plus(Duration::from_secs(1));
        assert!(!reach.has_room(0, 4, not_yet, || Some(overdue)));
        assert!(
            reach.has_room(0, 4, not_yet, || Some(not_yet)),
            "none is left"
        );
        assert_eq!(reach.miss(at(10_101), || Some(overdue)), None);
        assert!(reach.has_room(3, 4, overdue, || None));
        assert_eq!(reach.miss(at(10_102), || Some(at(10_000))), None);
        assert_eq!(reach.shut_until(), Some(at(10_104)));
    }
}
