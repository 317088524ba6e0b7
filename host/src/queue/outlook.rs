//! The outlook: in which order the queue leaves and why each delivery is where it is, for whoever looks at it.
//!
//! Asks the driver what it knows beside the mail, and the spool what waits, each at one moment, and works the rest out
//! on threads that may wait. A listing that is under way is kept for a moment, so that its next page goes on where
//! this one ended; one that was forgotten is worked out anew up to there. How many look at once is bounded, since
//! nobody is to wait for them who delivers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::deliver::Deliver;
use super::listing::{Came, Entry, Listing, Parts, Sends, Sought, StopOf, under_way};
use super::scheduler::Situation;
use crate::clock::Clock;
use crate::message::{Delivery, Line, MessageId, Reason, Standing, WantedStanding};
use crate::spool::{
    PAGE_RECIPIENTS_MAX, PageRequest, QueueState, ROWS_MAX, Record, Row, Selection, Spool,
    SpoolError, Stops,
};

/// Who waits for the driver at once: more would only wait behind those.
pub(super) const ASKING_MAX: usize = 4;

/// Who looks at the queue at once. Each occupies a thread.
const LOOKING_MAX: usize = 2;

/// How long the driver may take to answer. It answers between two claims, and not while the relay stops.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Listings that are kept for their next page. Each holds what is known of the lines, and pages of the database.
const KEPT_MAX: usize = 4;

/// Lines of which they know together, beside those of the last one: half a kilobyte each. Who comes back to another one waits for it to
/// be worked out anew.
const KEPT_LINES_MAX: usize = 20_000;

/// How long one is kept: as long as a program takes for a page, or a person to press a key.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// Deliveries that are passed for one page: with the beginning of a listing of a million it is then there in an eighth of a
/// second. Where few of many are meant, pages are short.
const STEPS_MAX: usize = 3_000;

/// A delivery that is looked at counts as so many that are passed: its row and its message are read.
const LOOK_STEPS: usize = 3;

/// So many looks in vain of a search count as one that is passed: each is a seek or two.
const LOOKS_PER_STEP: usize = 8;

/// Deliveries that are passed at once to come again to where a forgotten listing had come.
const CATCH_UP_MAX: u64 = 16_000;

/// Deliveries that are passed to find the places of a message.
const PLACES_MAX: usize = 3_000;

/// Whoever wants to know what the driver knows.
pub(super) type Asking = oneshot::Sender<Situation>;

/// Looks at the queue. Clones look at the same one.
#[derive(Clone)]
pub struct Outlook(Arc<Shared>);

struct Shared {
    spool: Arc<dyn Spool>,
    deliver: Arc<dyn Deliver>,
    clock: Clock,
    driver: mpsc::Sender<Asking>,
    looking: Semaphore,
    kept: Mutex<Kept>,
    bounds: Bounds,
}

/// How much is passed for one page, and kept for the next.
#[derive(Clone, Copy)]
struct Bounds {
    steps_max: usize,
    catch_up_max: u64,
    kept_lines_max: usize,
}

/// Listings that may be gone on with, the one that was used last at the end.
#[derive(Default)]
struct Kept {
    listings: VecDeque<KeptListing>,
    /// Names the next one. Those of an earlier process have other names.
    next_id: u64,
}

struct KeptListing {
    mark: Mark,
    selection: Selection,
    begun: Begun,
}

/// A listing that is under way.
struct Begun {
    listing: Listing,
    /// How many are still to be passed to come to its mark.
    behind: u64,
}

/// Where a listing goes on: which one it was, and how many have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    id: u64,
    passed: u64,
}

/// A part of the queue in the order in which it leaves.
#[derive(Clone, Debug)]
pub struct OrderedPage {
    /// The deliveries, and why each is where it is. There may be fewer than asked for, even none, before the end.
    pub rows: Vec<(Row, Standing)>,
    /// For the next page; none at the end.
    pub cursor: Option<String>,
}

impl Outlook {
    pub(super) fn new(
        spool: Arc<dyn Spool>,
        deliver: Arc<dyn Deliver>,
        clock: Clock,
        driver: mpsc::Sender<Asking>,
    ) -> Self {
        let kept = Kept {
            next_id: clock.now().unix_milliseconds(),
            ..Kept::default()
        };
        Self(Arc::new(Shared {
            spool,
            deliver,
            clock,
            driver,
            looking: Semaphore::new(LOOKING_MAX),
            kept: Mutex::new(kept),
            bounds: Bounds {
                steps_max: STEPS_MAX,
                catch_up_max: CATCH_UP_MAX,
                kept_lines_max: KEPT_LINES_MAX,
            },
        }))
    }

    /// A page of the queue: what is under way, then what waits in the order in which it will start, then what is held.
    /// Of that what is selected, and stands as is wanted.
    ///
    /// # Errors
    /// [`SpoolError::Unknown`] for a cursor that no page had, and whatever keeps the spool from being read.
    pub async fn page(
        &self,
        selection: Selection,
        standing: WantedStanding,
        request: PageRequest,
    ) -> Result<OrderedPage, SpoolError> {
        let mark = match &request.cursor {
            Some(cursor) => Some(Mark::parse(cursor).ok_or(SpoolError::Unknown)?),
            None => None,
        };
        let _turn = self.turn().await?;
        let kept = mark.and_then(|mark| self.kept().take(mark, &selection));
        let (begun, mut mark) = match (kept, mark) {
            (Some(begun), Some(mark)) => (begun, mark),
            (_, mark) => {
                let passed = mark.map_or(0, |mark| mark.passed);
                let begun = self.begin(&selection, standing, passed).await?;
                let id = self.kept().name();
                (begun, Mark { id, passed })
            }
        };
        let (begun, selection, part) = self
            .part(begun, selection, standing, request.rows_max)
            .await?;
        if begun.behind > 0 {
            // A page of nothing has a cursor of its own: it is not the one before once more.
            mark.id = self.kept().name();
        }
        mark.passed += part.passed;
        if !part.is_last {
            self.keep(mark, selection, begun);
        }
        Ok(OrderedPage {
            rows: part.rows,
            cursor: (!part.is_last).then(|| mark.to_string()),
        })
    }

    /// Its first page, for who does not ask for the next: nothing is kept for that. Where it is asked for all the same, it is
    /// worked out anew.
    ///
    /// # Errors
    /// Whatever keeps the spool from being read.
    pub async fn beginning(
        &self,
        selection: Selection,
        standing: WantedStanding,
        rows_max: usize,
    ) -> Result<OrderedPage, SpoolError> {
        let _turn = self.turn().await?;
        let begun = self.begin(&selection, standing, 0).await?;
        let (_, _, part) = self.part(begun, selection, standing, rows_max).await?;
        let cursor = (!part.is_last).then(|| {
            let id = self.kept().name();
            let passed = part.passed;
            Mark { id, passed }.to_string()
        });
        let rows = part.rows;
        Ok(OrderedPage { rows, cursor })
    }

    /// A listing of what is selected, from its beginning, of which so many have been seen.
    async fn begin(
        &self,
        selection: &Selection,
        standing: WantedStanding,
        behind: u64,
    ) -> Result<Begun, SpoolError> {
        let sought = match standing.estimate_max {
            None => Sought::of(selection, self.0.spool.stops()),
            // What is searched for has no estimate.
            Some(_) => None,
        };
        let listing = self.listing(Parts::of(selection), sought).await?;
        Ok(Begun { listing, behind })
    }

    /// Goes on with a listing for one page.
    async fn part(
        &self,
        mut begun: Begun,
        selection: Selection,
        standing: WantedStanding,
        rows_max: usize,
    ) -> Result<(Begun, Selection, Part), SpoolError> {
        let sends = self.sends();
        let stops = self.0.spool.stops().clone();
        let bounds = self.0.bounds;
        off_runtime(move || {
            let wanted = Wanted {
                selection: &selection,
                standing,
                stops: &stops,
                rows_max: rows_max.clamp(1, ROWS_MAX),
                steps_max: bounds.steps_max,
            };
            begun.catch_up(bounds.catch_up_max)?;
            let part = match begun.behind {
                0 => Part::of(&mut begun.listing, &wanted, &sends)?,
                _ => Part::default(),
            };
            Ok((begun, selection, part))
        })
        .await
    }

    /// Why each of a message's deliveries is where it is. One that waits for its turn far behind in the queue is not
    /// told its place.
    ///
    /// # Errors
    /// Whatever keeps the spool from being read.
    pub async fn standings(&self, record: &Record) -> Result<Vec<Standing>, SpoolError> {
        let sends = self.sends();
        let mut found: Vec<Option<Standing>> = record
            .deliveries
            .iter()
            .map(|(delivery, state)| {
                let stops = self.0.spool.stops();
                let stop = stops.on(&delivery.next_hop, record.message.origin.user());
                match stop.filter(|_| state.is_waiting()) {
                    Some(stop) => Some(Standing {
                        place: None,
                        reason: Reason::Stopped(stop.to_string()),
                        estimate: None,
                    }),
                    None => at_once(delivery, *state, &sends),
                }
            })
            .collect();
        if found.iter().any(Option::is_none) {
            let _turn = self.turn().await?;
            let waiting = Selection {
                state: Some(QueueState::Waiting),
                ..Selection::default()
            };
            let mut listing = self.listing(Parts::of(&waiting), None).await?;
            let deliveries: Vec<Delivery> =
                record.deliveries.iter().map(|(of, _)| of.clone()).collect();
            found = off_runtime(move || {
                for _ in 0..PLACES_MAX {
                    let Came::Entry(entry) = listing.next()? else {
                        break;
                    };
                    for (delivery, found) in deliveries.iter().zip(&mut found) {
                        if delivery.id == entry.id && found.is_none() {
                            *found = Some(listing.standing(&entry, delivery, &sends));
                        }
                    }
                    if found.iter().all(Option::is_some) {
                        break;
                    }
                }
                Ok(found)
            })
            .await?;
        }
        let behind = || Standing {
            place: None,
            reason: Reason::InLine,
            estimate: None,
        };
        Ok(found
            .into_iter()
            .map(|found| found.unwrap_or_else(behind))
            .collect())
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, SpoolError> {
        let turn = self.0.looking.acquire().await;
        turn.map_err(SpoolError::unavailable)
    }

    fn sends(&self) -> Sends {
        let sends = self.0.deliver.under_way().into_iter();
        sends.map(|send| (send.delivery, send)).collect()
    }

    /// A listing of these parts, from its beginning.
    async fn listing(&self, parts: Parts, sought: Option<Sought>) -> Result<Listing, SpoolError> {
        let situation = self.situation().await?;
        let survey = self.0.spool.survey().await?;
        let now = self.0.clock.now();
        let stops = self.0.spool.stops().clone();
        let are_stops = stops.count() > 0;
        off_runtime(move || {
            let stop_of = move |line: &Line| {
                let stop = stops.on(&line.next_hop, &line.user)?;
                Some(stop.to_string())
            };
            let stop_of = are_stops.then(|| Box::new(stop_of) as Box<StopOf>);
            Listing::new(survey, situation, parts, sought, stop_of, now)
        })
        .await
    }

    async fn situation(&self) -> Result<Situation, SpoolError> {
        let busy = || SpoolError::unavailable("the queue does not say what it is about to do");
        let (asking, answer) = oneshot::channel();
        let asked = async {
            self.0.driver.send(asking).await.ok()?;
            answer.await.ok()
        };
        match timeout(ANSWER_WITHIN, asked).await {
            Ok(Some(situation)) => Ok(situation),
            Ok(None) | Err(_) => Err(busy()),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept()
    }

    /// Keeps a listing for a moment.
    fn keep(&self, mark: Mark, selection: Selection, begun: Begun) {
        let listing = KeptListing {
            mark,
            selection,
            begun,
        };
        self.kept().put(listing, self.0.bounds.kept_lines_max);
        let shared: Weak<Shared> = Arc::downgrade(&self.0);
        let until = Instant::now() + KEPT_FOR;
        drop(tokio::spawn(async move {
            sleep_until(until).await;
            if let Some(shared) = shared.upgrade() {
                shared.kept().forget(mark);
            }
        }));
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun {
    /// Comes to its mark, or nearer to it.
    fn catch_up(&mut self, most: u64) -> Result<(), SpoolError> {
        for _ in 0..most.min(self.behind) {
            self.behind -= 1;
            if matches!(self.listing.next()?, Came::End) {
                self.behind = 0;
                break;
            }
        }
        Ok(())
    }
}

impl Kept {
    fn name(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn put(&mut self, listing: KeptListing, lines_max: usize) {
        while self.listings.len() >= KEPT_MAX || self.lines() > lines_max {
            self.listings.pop_front();
        }
        self.listings.push_back(listing);
    }

    fn lines(&self) -> usize {
        let kept = self.listings.iter();
        kept.map(|kept| kept.begun.listing.lines()).sum()
    }

    fn take(&mut self, mark: Mark, selection: &Selection) -> Option<Begun> {
        let is_meant = |kept: &KeptListing| kept.mark == mark && kept.selection == *selection;
        let place = self.listings.iter().position(is_meant)?;
        self.listings.remove(place).map(|kept| kept.begun)
    }

    fn forget(&mut self, mark: Mark) {
        self.listings.retain(|kept| kept.mark != mark);
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}.{}", self.id, self.passed)
    }
}

impl Mark {
    /// Reads what [`Display`](std::fmt::Display) writes.
    fn parse(text: &str) -> Option<Self> {
        let (id, passed) = text.split_once('.')?;
        let mark = Self {
            id: u64::from_str_radix(id, 16).ok()?,
            passed: passed.parse().ok()?,
        };
        (mark.to_string() == text).then_some(mark)
    }
}

/// What belongs on a page.
struct Wanted<'a> {
    selection: &'a Selection,
    standing: WantedStanding,
    stops: &'a Stops,
    rows_max: usize,
    steps_max: usize,
}

/// What of a listing belongs on a page.
#[derive(Default)]
struct Part {
    rows: Vec<(Row, Standing)>,
    passed: u64,
    is_last: bool,
}

impl Part {
    fn of(listing: &mut Listing, wanted: &Wanted<'_>, sends: &Sends) -> Result<Self, SpoolError> {
        let mut part = Part::default();
        let (mut steps, mut looks, mut recipients) = (0, 0, 0);
        while steps < wanted.steps_max {
            let entry = match listing.next()? {
                Came::Entry(entry) => Some(entry),
                Came::Nothing => None,
                Came::End => {
                    part.is_last = true;
                    break;
                }
            };
            part.passed += 1;
            let Some(entry) = entry else {
                looks += 1;
                steps += usize::from(looks % LOOKS_PER_STEP == 0);
                continue;
            };
            if !wanted.may_have(&entry, listing) {
                steps += 1;
                continue;
            }
            steps += LOOK_STEPS;
            if let Some((row, standing)) = listing.row(&entry, sends)?
                && wanted.has(&row, &standing)
            {
                recipients += row.delivery.recipients.len() + row.message.envelope.recipients.len();
                part.rows.push((row, standing));
            }
            if part.rows.len() >= wanted.rows_max || recipients >= PAGE_RECIPIENTS_MAX {
                break;
            }
        }
        Ok(part)
    }
}

impl Wanted<'_> {
    /// Whether a delivery can be meant: what can be said without a look at it.
    fn may_have(&self, entry: &Entry, listing: &Listing) -> bool {
        let is_due = entry.is_due(listing.now());
        let is_state = match self.selection.state {
            Some(QueueState::Waiting) => is_due,
            Some(QueueState::Scheduled | QueueState::Deferred) => !is_due,
            _ => true,
        };
        let is_message = |wanted: MessageId| wanted == entry.id.message;
        let is_line = |line: &Line| self.selection.admits(line, self.stops);
        is_state
            && self.selection.message.is_none_or(is_message)
            && entry.line().is_none_or(is_line)
    }

    fn has(&self, row: &Row, standing: &Standing) -> bool {
        self.standing.matches(standing)
            && self
                .selection
                .matches(&row.delivery, &row.message, row.state, self.stops)
    }
}

/// Why a delivery is where it is, where that takes no look at others.
fn at_once(delivery: &Delivery, state: QueueState, sends: &Sends) -> Option<Standing> {
    let waits = |reason| Standing {
        place: None,
        reason,
        estimate: None,
    };
    match state {
        QueueState::Active => Some(under_way(sends.get(&delivery.id))),
        // What was cancelled says so itself.
        QueueState::Held | QueueState::Cancelled => Some(waits(Reason::Held)),
        QueueState::Scheduled => Some(waits(Reason::Scheduled)),
        QueueState::Deferred => Some(waits(Reason::Deferred)),
        QueueState::Waiting => None,
    }
}

async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(SpoolError::unavailable(error)))
}

#[cfg(test)]
mod tests;
