//! The course of lines: their deliveries from the heads on, in the order in which a forecast has them start.
//!
//! Reads a few deliveries of a line at a time, those that come next.

use std::collections::HashMap;
use std::sync::Arc;

use crate::message::{Line, Timestamp};
use crate::queue::forecast::Forecast;
use crate::queue::scheduler::Situation;
use crate::spool::{Head, SpoolError, Survey, Waiting};

/// Lines of one course where they are looked for on the disk. As many as the spool tells the queue of where there are very many: a page
/// waits for a look at each, some hundredths of a millisecond, and a listing that is kept holds them.
pub(super) const LINES_MAX: usize = 20_000;

/// Deliveries of a line that are read at once: few, since a page shows few of each line where there are many lines.
const READ_AHEAD: usize = 16;

/// Steps that are looked for in vain: lines of which the survey knows nothing end, so this is never reached.
const EMPTY_STEPS_MAX: usize = 1_000_000;

/// What starts one after the other.
pub(super) struct Course {
    forecast: Forecast,
    /// Of lines that were looked into: what was read of them and has not come yet, from the head on.
    read: HashMap<Arc<Line>, Vec<Waiting>>,
}

/// One that starts.
pub(super) struct Start {
    pub(super) line: Arc<Line>,
    pub(super) first: Waiting,
    /// Whether anything of its line stands behind it.
    pub(super) has_more: bool,
    /// It starts at this time at the soonest.
    pub(super) soonest: Timestamp,
}

impl Course {
    /// What starts of these lines from now on.
    pub(super) fn new(
        situation: &Situation,
        heads: impl IntoIterator<Item = (Arc<Line>, Head)>,
        now: Timestamp,
    ) -> Self {
        Self {
            forecast: Forecast::new(situation, heads, now),
            read: HashMap::new(),
        }
    }

    /// The next one; none at the end. `come_to` says up to where a line that is not read yet has come.
    pub(super) fn next(
        &mut self,
        survey: &dyn Survey,
        come_to: impl Fn(&Line) -> Option<Waiting>,
    ) -> Result<Option<Start>, SpoolError> {
        for _ in 0..EMPTY_STEPS_MAX {
            let Some((line, soonest)) = self.forecast.next() else {
                return Ok(None);
            };
            let Some(first) = self.take_first(survey, &line, &come_to)? else {
                self.forecast.correct(&line, None);
                continue;
            };
            if first.head.due > soonest {
                // Memory knew of an earlier one, which is not there any more.
                self.forecast.correct(&line, Some(first.head));
                self.read.entry(line).or_default().push(first);
                continue;
            }
            let next = self.head_behind(survey, &line, first)?;
            self.forecast.started(&line, first.head.due, next);
            return Ok(Some(Start {
                line,
                first,
                has_more: next.is_some(),
                soonest,
            }));
        }
        Ok(None)
    }

    /// Another line belongs to it from now on, from this delivery on.
    pub(super) fn brings(&mut self, line: &Arc<Line>, first: Waiting) {
        self.forecast.correct(line, Some(first.head));
    }

    /// A line does not belong to it any more.
    pub(super) fn leaves(&mut self, line: &Arc<Line>) {
        self.read.remove(line);
        self.forecast.correct(line, None);
    }

    /// Takes the first delivery of a line.
    fn take_first(
        &mut self,
        survey: &dyn Survey,
        line: &Arc<Line>,
        come_to: impl Fn(&Line) -> Option<Waiting>,
    ) -> Result<Option<Waiting>, SpoolError> {
        if let Some(read) = self.read.get_mut(line)
            && let Some(first) = read.pop()
        {
            return Ok(Some(first));
        }
        self.read_on(survey, line, come_to(line))?;
        Ok(self.read.get_mut(line).and_then(Vec::pop))
    }

    /// What stands behind the one that has just been taken.
    fn head_behind(
        &mut self,
        survey: &dyn Survey,
        line: &Arc<Line>,
        taken: Waiting,
    ) -> Result<Option<Head>, SpoolError> {
        if self.read.get(line).is_none_or(Vec::is_empty) {
            self.read_on(survey, line, Some(taken))?;
        }
        let read = self.read.get(line).and_then(|read| read.last());
        let head = read.map(|first| first.head);
        if head.is_none() {
            self.read.remove(line);
        }
        Ok(head)
    }

    fn read_on(
        &mut self,
        survey: &dyn Survey,
        line: &Arc<Line>,
        after: Option<Waiting>,
    ) -> Result<(), SpoolError> {
        let mut read = survey.waiting(line, after, READ_AHEAD)?;
        // The first one is taken from the end.
        read.reverse();
        self.read.insert(Arc::clone(line), read);
        Ok(())
    }
}
