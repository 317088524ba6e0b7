//! A forecast: the order in which what waits would start, if nothing more came in and each delivery that starts ended
//! at once.
//!
//! Arithmetic only. It asks a scheduler that goes on from where the real one is, so that the order is made of its own
//! decisions: classes by their shares, users in turn, lanes that are paced, rest or cannot be reached. Time goes on as
//! far as nothing can start: to when the next delivery falls due, or a lane opens.

use std::sync::Arc;

use super::scheduler::{Scheduler, Situation};
use crate::message::{Line, Timestamp};
use crate::spool::{Head, LineChange};

/// Replays what the scheduler would decide.
#[derive(Debug)]
pub(super) struct Forecast {
    scheduler: Scheduler,
    /// The time to which it has come.
    now: Timestamp,
}

impl Forecast {
    /// What would start from now on.
    pub(super) fn new(
        situation: &Situation,
        heads: impl IntoIterator<Item = (Arc<Line>, Head)>,
        now: Timestamp,
    ) -> Self {
        let mut scheduler = Scheduler::from_situation(situation, now);
        for (line, head) in heads {
            let head = Some(head);
            scheduler.update(LineChange { line, head });
        }
        Self { scheduler, now }
    }

    /// The line whose first delivery starts next, and not before when. None at the end.
    pub(super) fn next(&mut self) -> Option<(Arc<Line>, Timestamp)> {
        loop {
            if let Some(line) = self.scheduler.next(self.now) {
                return Some((line, self.now));
            }
            let next = self.scheduler.next_due()?;
            if next <= self.now {
                // Whatever was to come about by now has.
                return None;
            }
            self.now = next;
        }
    }

    /// The first delivery of a line, due since then, has started and ended; what waits behind it is the first one now.
    pub(super) fn started(&mut self, line: &Arc<Line>, due: Timestamp, next: Option<Head>) {
        self.correct(line, next);
        self.scheduler.started(line, due, self.now);
        self.scheduler.finished(line, None, self.now);
    }

    /// The first delivery of a line is another one than was known.
    pub(super) fn correct(&mut self, line: &Arc<Line>, first: Option<Head>) {
        self.scheduler.update(LineChange {
            line: Arc::clone(line),
            head: first,
        });
    }
}

#[cfg(test)]
mod tests;
