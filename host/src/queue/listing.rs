//! The queue in the order in which it leaves: what is under way, what waits in its turn, what is held.
//!
//! Goes on from one delivery to the next as far as somebody wants to know, and reads no more of a line than that takes.
//! Waits for the disk, so it is used on threads that may. What decides over the order is the forecast's; who reads
//! which part of it is the business of `outlook`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

mod course;
#[cfg(test)]
mod fake;
mod rotation;
mod search;
mod stopped;

use super::scheduler::{Closed, Situation};
use crate::message::{
    Class, Delivery, DeliveryId, Line, NextHop, PlaceInLine, Progress, Reason, Standing, Timestamp,
};
use crate::spool::{QueueState, Row, Selection, SpoolError, Survey, Waiting};
use course::{Course, Start};
use rotation::{Next, Rotations};
pub(super) use search::Sought;
use search::{Look, Search};
use stopped::{Stopped, StoppedDelivery};

/// Held deliveries that are read at once.
const HELD_READ_AHEAD: usize = 256;

/// Whoever has more ahead of it than is done in this time waits for that, whatever very-high mail holds back just now:
/// one such message holds others for no longer, by default.
const HOLD_MATTERS_WITHIN: Duration = Duration::from_secs(60);

/// So many that wait come in their order before what is sought is searched for, if something is: a place that is farther behind
/// says little.
const NEAR: usize = 4_000;

/// What a line is stopped by; none when it is not.
pub(super) type StopOf = dyn Fn(&Line) -> Option<String> + Send;

/// What is under way, by delivery.
pub(super) type Sends = HashMap<DeliveryId, Progress>;

/// The queue in order, from wherever it has come to.
pub(super) struct Listing {
    survey: Box<dyn Survey>,
    situation: Situation,
    now: Timestamp,
    leased: VecDeque<DeliveryId>,
    course: Course,
    rotations: Rotations,
    /// How many lines were known when it began: what it holds grows with them.
    lines: usize,
    /// None where nothing is stopped.
    stop_of: Option<Box<StopOf>>,
    stopped: Stopped,
    /// None where nothing is sought.
    search: Option<Search>,
    /// How many still come before it.
    near: usize,
    held: VecDeque<(Line, Waiting)>,
    /// The last held one that was read; none before the first.
    held_after: Option<(Line, Waiting)>,
    parts: Parts,
    /// How many that wait have come, by class.
    ahead: [u64; Class::ALL.len()],
    /// How many of them were due, and how many by lane.
    due_ahead: u64,
    ahead_in_lanes: HashMap<NextHop, u64>,
}

/// Which parts are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    active: bool,
    waiting: bool,
    stopped: bool,
    held: bool,
}

impl Parts {
    /// Those in which there may be something that is selected.
    pub(super) fn of(selection: &Selection) -> Self {
        let state = selection.state;
        let is_any =
            |of: QueueState| !selection.only_stopped && state.is_none_or(|state| state == of);
        let is_waiting = state.is_none_or(QueueState::is_waiting);
        Self {
            active: is_any(QueueState::Active),
            waiting: is_waiting && !selection.only_stopped,
            stopped: is_waiting,
            held: is_any(QueueState::Held),
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Came {
    /// This one.
    Entry(Entry),
    /// None yet: it was looked for in vain, once.
    Nothing,
    /// No other one.
    End,
}

/// A delivery in its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) id: DeliveryId,
    at: Stand,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq)]
enum Stand {
    Active,
    Waiting(InLine),
    Stopped(StoppedDelivery),
    Held(Arc<Line>),
}

/// The place of one that waits.
#[derive(Clone, Debug, PartialEq)]
struct InLine {
    line: Arc<Line>,
    due: Timestamp,
    /// It starts at this time at the soonest.
    soonest: Timestamp,
    closed: Option<Closed>,
    /// None where that was not counted.
    ahead: Option<[u64; Class::ALL.len()]>,
    estimate: Option<Duration>,
}

impl Entry {
    /// Whether its time has come, or does not matter.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        match &self.at {
            Stand::Waiting(in_line) => in_line.due <= now,
            Stand::Stopped(stopped) => stopped.due <= now,
            Stand::Active | Stand::Held(_) => true,
        }
    }

    /// The line in which it stands; none while it is under way.
    pub(super) fn line(&self) -> Option<&Line> {
        match &self.at {
            Stand::Waiting(in_line) => Some(&in_line.line),
            Stand::Stopped(stopped) => Some(&stopped.line),
            Stand::Held(line) => Some(line),
            Stand::Active => None,
        }
    }
}

impl Listing {
    /// From the first one on, of these parts; places are told all the same. Where something is `sought`, what is not may be
    /// left out, and places that are far behind are not told.
    pub(super) fn new(
        mut survey: Box<dyn Survey>,
        situation: Situation,
        parts: Parts,
        sought: Option<Sought>,
        stop_of: Option<Box<StopOf>>,
        now: Timestamp,
    ) -> Result<Self, SpoolError> {
        let mut search = sought.map(Search::new);
        let parts = Parts {
            stopped: stop_of.is_some() && parts.stopped,
            ..parts
        };
        let leased = survey.leased().into();
        let mut rotations = Rotations::default();
        let mut heads = Vec::new();
        if parts.waiting {
            let is_stopped = |line: &Line| stop_of.as_ref().is_some_and(|of| of(line).is_some());
            rotations = Rotations::of(survey.hiding());
            for (line, first) in survey.lines() {
                if is_stopped(&line) {
                    continue;
                }
                let first = match first {
                    Some(first) => Some(first),
                    None => survey.waiting(&line, None, 1)?.first().copied(),
                };
                if let Some(first) = first {
                    rotations.knows(&line);
                    if let Some(search) = &mut search {
                        search.knows(&line, first.head);
                    }
                    heads.push((line, first.head));
                }
            }
            let shown = rotations.begin(&*survey, stop_of.as_deref(), now)?;
            heads.extend(shown.into_iter().map(|(line, first)| (line, first.head)));
            if let Some(search) = &mut search {
                rotations.lanes().for_each(|lane| search.hides(lane));
            }
        }
        Ok(Self {
            lines: heads.len(),
            course: Course::new(&situation, heads, now),
            survey,
            rotations,
            stop_of,
            situation,
            now,
            leased,
            stopped: Stopped::default(),
            search,
            near: NEAR,
            held: VecDeque::new(),
            held_after: None,
            parts,
            ahead: Default::default(),
            due_ahead: 0,
            ahead_in_lanes: HashMap::new(),
        })
    }

    /// When it was begun: the queue is shown as it was then.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Of how many lines it knows, by and large.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// What comes next.
    pub(super) fn next(&mut self) -> Result<Came, SpoolError> {
        if self.parts.active {
            if let Some(id) = self.leased.pop_front() {
                let at = Stand::Active;
                return Ok(Came::Entry(Entry { id, at }));
            }
            self.parts.active = false;
        }
        if self.parts.waiting {
            match self.next_waiting()? {
                Came::End => self.parts.waiting = false,
                came => return Ok(came),
            }
        }
        if self.parts.stopped {
            let stop_of = self.stop_of.as_deref();
            let next = stop_of.map(|of| {
                let (survey, situation) = (&*self.survey, &self.situation);
                self.stopped.next(survey, situation, of, self.now)
            });
            if let Some(stopped) = next.transpose()?.flatten() {
                let id = stopped.id;
                let at = Stand::Stopped(stopped);
                return Ok(Came::Entry(Entry { id, at }));
            }
            self.parts.stopped = false;
        }
        if self.parts.held {
            if let Some((line, id)) = self.next_held()? {
                let at = Stand::Held(Arc::new(line));
                return Ok(Came::Entry(Entry { id, at }));
            }
            self.parts.held = false;
        }
        Ok(Came::End)
    }

    /// The row of a delivery, and why it is where it is. None where it cannot be read.
    pub(super) fn row(
        &self,
        entry: &Entry,
        sends: &Sends,
    ) -> Result<Option<(Row, Standing)>, SpoolError> {
        let row = self.survey.row(entry.id, self.now)?;
        Ok(row.map(|row| {
            let standing = self.standing(entry, &row.delivery, sends);
            (row, standing)
        }))
    }

    /// Why a delivery is where it is.
    pub(super) fn standing(&self, entry: &Entry, delivery: &Delivery, sends: &Sends) -> Standing {
        match &entry.at {
            Stand::Active => under_way(sends.get(&entry.id)),
            Stand::Stopped(stopped) => Standing {
                place: None,
                reason: Reason::Stopped(stopped.stop.clone()),
                estimate: None,
            },
            Stand::Held(_) => Standing {
                place: None,
                reason: Reason::Held,
                estimate: None,
            },
            Stand::Waiting(in_line) => Standing {
                place: in_line.ahead.map(|ahead| PlaceInLine {
                    class: in_line.line.class,
                    ahead,
                }),
                reason: self.reason(in_line, delivery),
                estimate: in_line.estimate,
            },
        }
    }

    fn reason(&self, in_line: &InLine, delivery: &Delivery) -> Reason {
        if in_line.due > self.now {
            return match delivery.attempts {
                0 => Reason::Scheduled,
                _ => Reason::Deferred,
            };
        }
        match in_line.closed {
            Some(Closed::Unreachable) => return Reason::NextHopUnreachable(in_line.soonest),
            Some(Closed::Resting(until)) => return Reason::NextHopCrowded(until),
            Some(Closed::Paced) => return Reason::NextHopPaced(in_line.soonest),
            Some(Closed::Full(most)) => return Reason::NextHopFull(most),
            None => {}
        }
        // Where the next hop takes one after the other, its lane is open for the first one only.
        if in_line.soonest > self.now {
            return Reason::NextHopPaced(in_line.soonest);
        }
        if self.situation.is_held && in_line.line.class != Class::VeryHigh {
            return Reason::VeryHighFirst;
        }
        let is_first = in_line.ahead == Some(Default::default());
        match (self.situation.full(in_line.line.class), is_first) {
            (Some(most), true) => Reason::RelayFull(most),
            (None, true) => Reason::Next,
            (_, false) => Reason::InLine,
        }
    }

    fn next_waiting(&mut self) -> Result<Came, SpoolError> {
        if self.near == 0 && self.search.is_some() {
            return self.search_on();
        }
        let rotations = &self.rotations;
        let next = self
            .course
            .next(&*self.survey, |line| rotations.come_to(line))?;
        let Some(start) = next else {
            return Ok(Came::End);
        };
        self.rotate(&start)?;
        if let Some(search) = &mut self.search {
            self.near -= 1;
            search.has_come(&start.line, start.first.id);
        }
        Ok(Came::Entry(self.placed(&start)))
    }

    /// Goes on with what is sought alone.
    fn search_on(&mut self) -> Result<Came, SpoolError> {
        let Some(search) = &mut self.search else {
            return Ok(Came::End);
        };
        let stop_of = self.stop_of.as_deref();
        let look = search.look(&*self.survey, &self.situation, stop_of, self.now)?;
        Ok(match look {
            Look::Start(start) => Came::Entry(Entry {
                id: start.first.id,
                at: Stand::Waiting(InLine {
                    closed: self.situation.closed(&start.line),
                    due: start.first.head.due,
                    soonest: start.soonest,
                    line: start.line,
                    ahead: None,
                    estimate: None,
                }),
            }),
            Look::On => Came::Nothing,
            Look::End => Came::End,
        })
    }

    /// A line has had its turn: where others are hidden, one of them comes now, and it goes itself, if it can come back.
    fn rotate(&mut self, start: &Start) -> Result<(), SpoolError> {
        let now = start.soonest;
        let Some(rotation) = self.rotations.of_lane(&start.line) else {
            return Ok(());
        };
        match rotation.bring(&*self.survey, self.stop_of.as_deref(), now)? {
            Next::Line(next, first) => {
                if start.has_more && first.head.due <= now {
                    rotation.goes(&start.line, start.first);
                    self.course.leaves(&start.line);
                }
                self.course.brings(&next, first);
            }
            Next::End => {}
        }
        Ok(())
    }

    /// Its place, behind all that have come.
    fn placed(&mut self, start: &Start) -> Entry {
        let (line, soonest) = (&start.line, start.soonest);
        let ahead_in_lane = match self.ahead_in_lanes.get_mut(&line.next_hop) {
            Some(ahead) => {
                *ahead += 1;
                *ahead - 1
            }
            None => {
                self.ahead_in_lanes.insert(line.next_hop.clone(), 1);
                0
            }
        };
        let closed = self.situation.closed(line);
        let in_line = InLine {
            line: Arc::clone(line),
            due: start.first.head.due,
            soonest,
            closed,
            ahead: Some(self.ahead),
            estimate: self.estimate(line, closed, ahead_in_lane, soonest),
        };
        self.ahead[usize::from(line.class.number() - 1)] += 1;
        self.due_ahead += u64::from(soonest <= self.now);
        Entry {
            id: start.first.id,
            at: Stand::Waiting(in_line),
        }
    }

    /// How long until it starts: as long as what is ahead of it takes, overall or in its lane, whichever takes longer,
    /// and not before its time. Where there is no room one of those under way has to end first. None where that is not known,
    /// and as long as very-high mail holds it back.
    fn estimate(
        &self,
        line: &Line,
        closed: Option<Closed>,
        ahead_in_lane: u64,
        soonest: Timestamp,
    ) -> Option<Duration> {
        let now = self.now;
        let is_due = soonest <= now;
        let to_end = |ahead: u64, is_full: bool| ahead + u64::from(is_full && is_due);
        let is_full = self.situation.full(line.class).is_some();
        let is_lane_full = matches!(closed, Some(Closed::Full(_)));
        let rested = match closed {
            Some(Closed::Resting(until)) => until,
            _ => soonest,
        };
        let at_least = soonest.max(rested).since(now);
        let in_lane = self.situation.rate_of(&line.next_hop);
        let in_lane =
            in_lane.and_then(|rate| rate.time_for(to_end(ahead_in_lane, is_lane_full), now));
        if in_lane.is_none() && is_lane_full && is_due {
            return None;
        }
        let ahead = self.ahead.iter().sum();
        let overall = match self.situation.rate.time_for(to_end(ahead, is_full), now) {
            Some(time) => time,
            // Nothing has to end before it: it starts when its time has come.
            None if self.due_ahead == 0 && !is_full => Duration::ZERO,
            None => in_lane.filter(|_| self.due_ahead == ahead_in_lane)?,
        };
        let ahead_takes = overall.max(in_lane.unwrap_or_default());
        // How long a very-high message takes nobody knows.
        let is_held = self.situation.is_held && line.class != Class::VeryHigh && is_due;
        if is_held && ahead_takes < HOLD_MATTERS_WITHIN {
            return None;
        }
        Some(at_least.max(ahead_takes))
    }

    fn next_held(&mut self) -> Result<Option<(Line, DeliveryId)>, SpoolError> {
        if self.held.is_empty() {
            let after = self.held_after.as_ref();
            self.held = self.survey.held(after, HELD_READ_AHEAD)?.into();
        }
        let Some(first) = self.held.pop_front() else {
            return Ok(None);
        };
        let next = (first.0.clone(), first.1.id);
        self.held_after = Some(first);
        Ok(Some(next))
    }
}

/// Why one that is leased is where it is.
pub(super) fn under_way(progress: Option<&Progress>) -> Standing {
    let reason = match progress {
        Some(progress) => match progress.paused {
            Some((took, cause)) => Reason::Paused {
                progress: progress.clone(),
                cause,
                took,
            },
            None => Reason::Sending(Some(progress.clone())),
        },
        None => Reason::Sending(None),
    };
    Standing {
        place: None,
        reason,
        estimate: Some(Duration::ZERO),
    }
}

#[cfg(test)]
mod tests;
