//! A search: what is sought and stands far behind, on a course of its own.
//!
//! A listing comes past everything that waits, and of a million that takes a while. Behind the first few thousand only those
//! lines go on in which something may be sought: the known ones, and the hidden ones lane by lane, a few at a time. They
//! come in their order among themselves, of very many lines a part at a time; how many others are ahead is not known then.

use std::collections::HashSet;
use std::sync::Arc;

use super::StopOf;
use super::course::{Course, LINES_MAX, Start};
use crate::account::next_spelling;
use crate::message::{Class, DeliveryId, Line, MessageId, NextHop, Timestamp};
use crate::queue::scheduler::Situation;
use crate::spool::{Head, LinesFrom, QueueState, Selection, SpoolError, Stops, Survey, Waiting};

/// Which lines are gone through, and from where on.
pub(in crate::queue) struct Sought {
    selection: Selection,
    stops: Stops,
    /// Only what is not due yet: what comes last in each line.
    only_later: bool,
}

impl Sought {
    /// What is worth a search; none where it could stand in any line.
    pub(in crate::queue) fn of(selection: &Selection, stops: &Stops) -> Option<Self> {
        let Selection {
            user,
            class,
            next_hop,
            domain,
            state,
            ..
        } = selection;
        let only_later = matches!(state, Some(QueueState::Scheduled | QueueState::Deferred));
        let is_of_lines =
            user.is_some() || class.is_some() || next_hop.is_some() || domain.is_some();
        (only_later || is_of_lines).then(|| Self {
            selection: selection.clone(),
            stops: stops.clone(),
            only_later,
        })
    }

    fn is_in(&self, line: &Line) -> bool {
        self.selection.admits(line, &self.stops)
    }

    fn user(&self) -> Option<&str> {
        self.selection.user.as_deref()
    }

    /// Behind it stands what is sought of a line; none where that is all of it.
    fn from(&self, now: Timestamp) -> Option<Waiting> {
        self.only_later.then_some(Waiting {
            id: DeliveryId {
                message: MessageId::from_bits(u128::MAX),
                number: u32::MAX,
            },
            head: Head {
                due: now,
                sequence: u64::MAX,
            },
        })
    }
}

/// What comes of one look.
pub(super) enum Look {
    /// This one starts next among what is sought.
    Start(Start),
    /// Nothing, but there may be more.
    On,
    /// There is no more.
    End,
}

/// A search under way.
pub(super) struct Search {
    sought: Sought,
    /// As many lines are on one course; of more they come a part at a time.
    pub(super) lines_max: usize,
    /// Known lines that are still to be looked at, with the first delivery of each.
    known: Vec<(Arc<Line>, Head)>,
    /// All known ones.
    shown: HashSet<Arc<Line>>,
    /// Lanes and classes with hidden lines that are still to be gone through.
    lanes: Vec<(NextHop, Class)>,
    /// How far the last of those has been gone through: the next line in it stands there or behind.
    next: Option<Line>,
    /// The lines in which something is, with the first of it, until they are on a course.
    heads: Vec<(Arc<Line>, Head)>,
    course: Option<Course>,
    /// What has come before the search began.
    seen: HashSet<DeliveryId>,
}

impl Search {
    pub(super) fn new(sought: Sought) -> Self {
        Self {
            sought,
            lines_max: LINES_MAX,
            known: Vec::new(),
            shown: HashSet::new(),
            lanes: Vec::new(),
            next: None,
            heads: Vec::new(),
            course: None,
            seen: HashSet::new(),
        }
    }

    /// A line that is shown, and its first delivery.
    pub(super) fn knows(&mut self, line: &Arc<Line>, first: Head) {
        if self.sought.is_in(line) {
            self.known.push((Arc::clone(line), first));
            self.shown.insert(Arc::clone(line));
        }
    }

    /// Lines of this lane and class are hidden.
    pub(super) fn hides(&mut self, (next_hop, class): &(NextHop, Class)) {
        let user = self.sought.user().unwrap_or_default();
        let line = Line {
            next_hop: next_hop.clone(),
            class: *class,
            user: user.into(),
        };
        if self.sought.is_in(&line) {
            self.lanes.push((line.next_hop, line.class));
        }
    }

    /// One comes before the search begins.
    pub(super) fn has_come(&mut self, line: &Line, id: DeliveryId) {
        if self.sought.is_in(line) {
            self.seen.insert(id);
        }
    }

    /// Looks for the next one, once.
    pub(super) fn look(
        &mut self,
        survey: &dyn Survey,
        situation: &Situation,
        stop_of: Option<&StopOf>,
        now: Timestamp,
    ) -> Result<Look, SpoolError> {
        let from = self.sought.from(now);
        if let Some(course) = &mut self.course {
            match course.next(survey, |_| from)? {
                Some(start) if self.seen.remove(&start.first.id) => {}
                Some(start) => return Ok(Look::Start(start)),
                None if self.known.is_empty() && self.lanes.is_empty() => return Ok(Look::End),
                None => self.course = None,
            }
            return Ok(Look::On);
        }
        while self.heads.len() < self.lines_max
            && let Some((line, first)) = self.known.pop()
        {
            if !self.sought.only_later || first.due > now {
                self.heads.push((line, first));
                continue;
            }
            self.look_into(survey, line, now)?;
            return Ok(Look::On);
        }
        if self.heads.len() < self.lines_max
            && let Some(lane) = self.lanes.last().cloned()
        {
            let goes = |line: &Line| stop_of.is_none_or(|of| of(line).is_none());
            if let Some(line) = self.next_hidden(survey, &lane)?.filter(goes) {
                self.look_into(survey, Arc::new(line), now)?;
            }
            return Ok(Look::On);
        }
        let heads = std::mem::take(&mut self.heads);
        self.course = Some(Course::new(situation, heads, now));
        Ok(Look::On)
    }

    /// Notes the first that is sought of a line, if there is one.
    fn look_into(
        &mut self,
        survey: &dyn Survey,
        line: Arc<Line>,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        let found = survey.waiting(&line, self.sought.from(now), 1)?;
        let first = found.first().map(|first| (line, first.head));
        self.heads.extend(first);
        Ok(())
    }

    /// The next line of a lane in which something may be sought. None where none has been found yet, or where the lane
    /// is gone through, which is then no more.
    fn next_hidden(
        &mut self,
        survey: &dyn Survey,
        lane: &(NextHop, Class),
    ) -> Result<Option<Line>, SpoolError> {
        let line_of = |user: &str| Line {
            next_hop: lane.0.clone(),
            class: lane.1,
            user: user.into(),
        };
        let from = match self.next.take() {
            Some(next) => next,
            None => line_of(&self.next_user("").unwrap_or_default()),
        };
        let found = survey.next_line(LinesFrom::Line(&from))?;
        let found = found.filter(|line| (&line.next_hop, line.class) == (&lane.0, lane.1));
        let Some(line) = found else {
            self.lanes.pop();
            return Ok(None);
        };
        let is_sought = self.sought.is_in(&line);
        let next = match is_sought {
            true => self.next_user(&format!("{}\0", line.user)),
            false => self.next_user(&line.user),
        };
        match next {
            Some(user) => self.next = Some(line_of(&user)),
            None => drop(self.lanes.pop()),
        }
        Ok((is_sought && !self.shown.contains(&line)).then_some(line))
    }

    /// The first name from that one on that may be sought.
    fn next_user(&self, from: &str) -> Option<String> {
        match self.sought.user() {
            Some(name) => next_spelling(name, from),
            None => Some(from.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
