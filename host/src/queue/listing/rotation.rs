//! Lines that are hidden while others of their lane and class have their turn: which comes next in a listing.
//!
//! The spool shows the queue some lines of a lane where there are very many, and another one when one of them has had its
//! turn. A listing does as the spool would, so that it comes past every delivery once and in about the order in which they
//! leave.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::message::{Class, Line, NextHop, Timestamp};
use crate::spool::{LinesFrom, SpoolError, Survey, Waiting};

use super::StopOf;

/// The lines of one lane and class, some of which are not known yet.
#[derive(Debug)]
pub(super) struct Rotation {
    next_hop: NextHop,
    class: Class,
    /// The one that was looked at last.
    last: Option<Line>,
    /// Users whose lines are known, or have ended.
    known: HashSet<Arc<str>>,
    /// Up to where those have come that had their turn and are to come back.
    gone: HashMap<Arc<str>, Waiting>,
    /// All lines are known.
    is_over: bool,
}

/// What comes of a turn.
#[derive(Debug)]
pub(super) enum Next {
    /// This line, from this delivery on. Others remain.
    Line(Arc<Line>, Waiting),
    /// Nothing: all lines are known.
    End,
}

impl Rotation {
    /// Of these users the lines are known.
    pub(super) fn beside(
        (next_hop, class): (NextHop, Class),
        known: impl IntoIterator<Item = Arc<str>>,
    ) -> Self {
        Self {
            next_hop,
            class,
            last: None,
            known: known.into_iter().collect(),
            gone: HashMap::new(),
            is_over: false,
        }
    }

    /// Whether all lines of the lane are stopped.
    pub(super) fn is_stopped(&self, stop_of: Option<&StopOf>) -> bool {
        // Of the relay's own mail only what stops all mail or all of the lane is a stop.
        stop_of.is_some_and(|of| of(&self.line_of(Arc::default())).is_some())
    }

    /// A line comes back later, from behind a delivery on.
    pub(super) fn goes(&mut self, line: &Line, after: Waiting) {
        self.known.remove(&line.user);
        self.gone.insert(line.user.clone(), after);
    }

    /// The last one of a line that came before it went; none when it comes from its beginning.
    pub(super) fn come_to(&self, line: &Line) -> Option<Waiting> {
        self.gone.get(&line.user).copied()
    }

    /// The next line whose first delivery is due by `now`; without one, the one that falls due first. It is known from
    /// now on.
    pub(super) fn bring(
        &mut self,
        survey: &dyn Survey,
        stop_of: Option<&StopOf>,
        now: Timestamp,
    ) -> Result<Next, SpoolError> {
        if self.is_over {
            return Ok(Next::End);
        }
        let mut first_later: Option<(Line, Waiting)> = None;
        let began = self.last.clone();
        let mut is_round = false;
        loop {
            let line = match self.look_on(survey)? {
                Some(line) => line,
                None if is_round => break,
                None => {
                    is_round = true;
                    self.last = None;
                    if began.is_none() {
                        break;
                    }
                    continue;
                }
            };
            if is_round && began.as_ref().is_some_and(|began| line > *began) {
                break;
            }
            self.last = Some(line.clone());
            if self.known.contains(&line.user) || stop_of.is_some_and(|of| of(&line).is_some()) {
                continue;
            }
            let after = self.come_to(&line);
            let Some(first) = survey.waiting(&line, after, 1)?.first().copied() else {
                self.known.insert(line.user);
                continue;
            };
            if first.head.due <= now {
                return Ok(self.knows(line, first));
            }
            let is_first = |(_, known): &(Line, Waiting)| first.head < known.head;
            if first_later.as_ref().is_none_or(is_first) {
                first_later = Some((line, first));
            }
        }
        Ok(match first_later {
            Some((line, first)) => self.knows(line, first),
            None => {
                self.is_over = true;
                Next::End
            }
        })
    }

    fn knows(&mut self, line: Line, first: Waiting) -> Next {
        self.known.insert(line.user.clone());
        Next::Line(Arc::new(line), first)
    }

    /// The line behind the one that was looked at last.
    fn look_on(&self, survey: &dyn Survey) -> Result<Option<Line>, SpoolError> {
        let from = match &self.last {
            Some(line) => LinesFrom::Behind(line),
            None => LinesFrom::Lane(&self.next_hop, self.class),
        };
        let line = survey.next_line(from)?;
        Ok(line.filter(|line| (&line.next_hop, line.class) == (&self.next_hop, self.class)))
    }

    fn line_of(&self, user: Arc<str>) -> Line {
        Line {
            next_hop: self.next_hop.clone(),
            class: self.class,
            user,
        }
    }
}

#[cfg(test)]
mod tests;
