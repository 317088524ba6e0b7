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

/// The lanes and classes in which lines are hidden. There may be tens of thousands, most of which no listing comes to.
#[derive(Debug, Default)]
pub(super) struct Rotations(HashMap<(NextHop, Class), Turning>);

#[derive(Debug, Default)]
struct Turning {
    /// Of these users the lines are known; none any more since a line has had its turn.
    known: Vec<Arc<str>>,
    /// In a box, so that those that have not begun take no room for it.
    begun: Option<Box<Rotation>>,
}

impl Rotations {
    /// Of these lanes and classes no line is known yet.
    pub(super) fn of(hiding: Vec<(NextHop, Class)>) -> Self {
        let lanes = hiding.into_iter();
        Self(lanes.map(|lane| (lane, Turning::default())).collect())
    }

    /// Each of them.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &(NextHop, Class)> {
        self.0.keys()
    }

    /// This line is known, wherever it is.
    pub(super) fn knows(&mut self, line: &Line) {
        // Mostly nothing is hidden, and no key has to be made.
        if self.0.is_empty() {
            return;
        }
        if let Some(turning) = self.0.get_mut(&lane_of(line)) {
            turning.known.push(line.user.clone());
        }
    }

    /// When all lines are known that are shown: of each lane in which none is, the first one comes. Lanes that are stopped
    /// are left out.
    pub(super) fn begin(
        &mut self,
        survey: &dyn Survey,
        stop_of: Option<&StopOf>,
        now: Timestamp,
    ) -> Result<Vec<(Arc<Line>, Waiting)>, SpoolError> {
        let mut shown = Vec::new();
        let mut over = Vec::new();
        for (lane, turning) in &mut self.0 {
            // Of the relay's own mail only what stops all mail or all of the lane is a stop.
            let is_stopped =
                || stop_of.is_some_and(|of| of(&line_of(lane, Arc::default())).is_some());
            if is_stopped() {
                over.push(lane.clone());
            } else if turning.known.is_empty() {
                match turning.begun(lane).bring(survey, stop_of, now)? {
                    Next::Line(line, first) => shown.push((line, first)),
                    Next::End => over.push(lane.clone()),
                }
            }
        }
        for lane in over {
            self.0.remove(&lane);
        }
        Ok(shown)
    }

    /// The last one of a line that came before it went; none when it comes from its beginning.
    pub(super) fn come_to(&self, line: &Line) -> Option<Waiting> {
        if self.0.is_empty() {
            return None;
        }
        let turning = self.0.get(&lane_of(line))?;
        turning.begun.as_ref()?.come_to(line)
    }

    /// That of the lane and class of a line which has its turn; none where no line is hidden.
    pub(super) fn of_lane(&mut self, line: &Line) -> Option<&mut Rotation> {
        if self.0.is_empty() {
            return None;
        }
        let lane = lane_of(line);
        Some(self.0.get_mut(&lane)?.begun(&lane))
    }
}

impl Turning {
    fn begun(&mut self, lane: &(NextHop, Class)) -> &mut Rotation {
        let known = &mut self.known;
        self.begun
            .get_or_insert_with(|| Box::new(Rotation::beside(lane.clone(), std::mem::take(known))))
    }
}

fn lane_of(line: &Line) -> (NextHop, Class) {
    (line.next_hop.clone(), line.class)
}

fn line_of((next_hop, class): &(NextHop, Class), user: Arc<str>) -> Line {
    Line {
        next_hop: next_hop.clone(),
        class: *class,
        user,
    }
}

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
}

#[cfg(test)]
mod tests;
