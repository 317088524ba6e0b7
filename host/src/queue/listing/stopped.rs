//! What is stopped, in the order in which it would go if it were started now.
//!
//! A line that is stopped has no head, so the queue knows nothing of it: its lines are looked for on the disk when a listing has come
//! to them. They are on a course of their own, which begins with what is so now. Of very many lines that is the course of
//! a part at a time.

use std::collections::HashMap;
use std::sync::Arc;

use super::StopOf;
use super::course::{Course, LINES_MAX};
use crate::message::{DeliveryId, Line, Timestamp};
use crate::queue::scheduler::Situation;
use crate::spool::{LinesFrom, SpoolError, Survey};

/// What is stopped, from wherever it has come to.
pub(super) struct Stopped {
    /// As many lines are on one course.
    lines_max: usize,
    /// None before the first line is looked for.
    course: Option<Course>,
    /// What the lines of the course are stopped by.
    stops: HashMap<Arc<Line>, String>,
    /// The line that was looked at last.
    last: Option<Line>,
    /// All lines have been looked at.
    is_over: bool,
}

/// A delivery that is stopped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoppedDelivery {
    pub(super) id: DeliveryId,
    pub(super) line: Arc<Line>,
    pub(super) due: Timestamp,
    /// By whom or what.
    pub(super) stop: String,
}

impl Default for Stopped {
    fn default() -> Self {
        Self::with_lines(LINES_MAX)
    }
}

impl Stopped {
    /// From the first one on, so many lines on a course.
    fn with_lines(lines_max: usize) -> Self {
        Self {
            lines_max,
            course: None,
            stops: HashMap::new(),
            last: None,
            is_over: false,
        }
    }

    /// The next one; none at the end.
    pub(super) fn next(
        &mut self,
        survey: &dyn Survey,
        situation: &Situation,
        stop_of: &StopOf,
        now: Timestamp,
    ) -> Result<Option<StoppedDelivery>, SpoolError> {
        loop {
            let course = self.course.as_mut();
            let start = course.map(|course| course.next(survey, |_| None));
            if let Some(start) = start.transpose()?.flatten() {
                return Ok(Some(StoppedDelivery {
                    id: start.first.id,
                    due: start.first.head.due,
                    stop: self.stops.get(&start.line).cloned().unwrap_or_default(),
                    line: start.line,
                }));
            }
            if self.is_over {
                return Ok(None);
            }
            self.look_on(survey, situation, stop_of, now)?;
        }
    }

    /// Begins the course of the lines that come next.
    fn look_on(
        &mut self,
        survey: &dyn Survey,
        situation: &Situation,
        stop_of: &StopOf,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        self.stops.clear();
        let mut heads = Vec::new();
        while heads.len() < self.lines_max {
            let from = match &self.last {
                Some(line) => LinesFrom::Behind(line),
                None => LinesFrom::Start,
            };
            let Some(line) = survey.next_line(from)? else {
                self.is_over = true;
                break;
            };
            if let Some(stop) = stop_of(&line)
                && let Some(first) = survey.waiting(&line, None, 1)?.first()
            {
                let line = Arc::new(line.clone());
                heads.push((Arc::clone(&line), first.head));
                self.stops.insert(line, stop);
            }
            self.last = Some(line);
        }
        self.course = Some(Course::new(situation, heads, now));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::message::Class;
    use crate::queue::Settings;
    use crate::queue::scheduler::Scheduler;
    use crate::queue::stage::Stage;
    use crate::spool::Spool as _;

    #[tokio::test(start_paused = true)]
    async fn of_many_lines_each_delivery_comes_once_a_part_of_the_lines_at_a_time() {
        let stage = Stage::new();
        let mut accepted = Vec::new();
        for domain in ["a", "b", "c", "d", "e", "a", "b", "c", "d", "e"] {
            let recipient = format!("you@{domain}.example");
            let id = stage.accept_to(&recipient, Class::Normal).await;
            accepted.push((domain, id));
        }
        let survey = stage.memory.survey().await.unwrap();
        let situation = Scheduler::new(Settings::default().limits()).situation();
        let stop_of = |line: &Line| {
            let is_free = line.next_hop.to_string() == "c.example";
            (!is_free).then(|| line.next_hop.to_string())
        };
        let found = |lines_max| {
            let mut stopped = Stopped::with_lines(lines_max);
            let mut found = Vec::new();
            let mut next = || stopped.next(&*survey, &situation, &stop_of, stage.clock.now());
            while let Some(delivery) = next().unwrap() {
                assert!(delivery.stop.ends_with(".example"));
                found.push(delivery.id.message);
            }
            found
        };
        let of = |domains: &str| -> Vec<_> {
            let found = accepted.iter().filter(|(of, _)| domains.contains(of));
            found.map(|(_, id)| *id).collect()
        };
        assert_eq!(found(100), of("abde"), "all in turn");
        assert_eq!(found(2), [of("ab"), of("de")].concat());
        assert_eq!(found(1), [of("a"), of("b"), of("d"), of("e")].concat());
    }
}
