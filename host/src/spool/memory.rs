//! The spool in memory: for tests, and told by them when to fail.
//!
//! Keeps the same contract as the embedded backend but the survival of a restart. Everything
//! happens at once, under one lock and without a thread of its own, so that it fits a runtime
//! whose time stands still.

mod changes;
mod counting;
mod intake;
mod listing;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::clock::Clock;
use crate::message::{
    Cancelled, Delivery, DeliveryId, DeliveryState, Line, Message, MessageId, Timestamp, TrailEntry,
};

use self::intake::MemoryIntake;
use super::announcements::Announcements;
use super::budget::Budget;
use super::cancels::Cancels;
use super::change::{Among, is_over, removed};
use super::figures::class_index;
use super::leases::Leases;
use super::pieces::Pieces;
use super::place::{Place, Spot};
use super::refusals::Refusals;
use super::statistics::{self, MemoryRows, RollUp, Tally};
use super::work::{keeps_name, remaining_deliveries};
use super::{
    Change, Claim, Claimed, Concerned, Content, Figures, Head, Intake, Lease, LineChange,
    NewMessage, NewRefusals, Outcomes, Page, PageRequest, Pending, Record, RefusalId, Selection,
    Settings, Settlement, Spool, SpoolError, Stop, StopOf, Stopped, Stops, Survey,
};

/// A spool that forgets everything when it is dropped.
#[derive(Debug)]
pub struct Memory {
    settings: Settings,
    clock: Clock,
    budget: Budget,
    shelf: Mutex<Shelf>,
    stops: Stops,
    refusals: Refusals,
    announcements: Announcements,
    cancels: Cancels,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Shelf {
    messages: BTreeMap<MessageId, Kept>,
    /// Waiting and held deliveries alike, in the order of the queue.
    queue: BTreeMap<Place, DeliveryId>,
    /// What can be restored, by the time until then.
    cancelled: BTreeSet<(Timestamp, DeliveryId)>,
    leases: Leases<()>,
    stops: Stops,
    finished: BTreeSet<(Timestamp, MessageId)>,
    next_sequence: u64,
    commits: u64,
    queued: [u64; 5],
    statistics: MemoryRows,
    tally: Tally,
    rolling: RollUp,
    enqueue_fails: Option<SpoolError>,
    settle_fails: Option<SpoolError>,
}

#[derive(Debug)]
struct Kept {
    message: Arc<Message>,
    trail: Vec<TrailEntry>,
    deliveries: BTreeMap<u32, Delivery>,
    next_number: u32,
    content: Option<Bytes>,
    finished: Option<Timestamp>,
}

impl Memory {
    /// An empty spool.
    pub fn new(settings: Settings, clock: Clock) -> Arc<Self> {
        let stops = Stops::default();
        Arc::new(Self {
            budget: Budget::new(settings.octets_in_flight_max),
            settings,
            clock,
            shelf: Mutex::new(Shelf {
                stops: stops.clone(),
                ..Shelf::default()
            }),
            stops,
            refusals: Refusals::default(),
            announcements: Announcements::default(),
            cancels: Cancels::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Makes the next enqueue fail, as a backend does that failed to commit it.
    pub fn fail_next_enqueue(&self, error: SpoolError) {
        self.shelf().enqueue_fails = Some(error);
    }

    /// Makes the next settlement fail; its lease stays good.
    pub fn fail_next_settlement(&self, error: SpoolError) {
        self.shelf().settle_fails = Some(error);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shelf of a spool that is open.
    fn open_shelf(&self) -> Result<MutexGuard<'_, Shelf>, SpoolError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(SpoolError::unavailable("the spool is closed"));
        }
        Ok(self.shelf())
    }

    fn announce(&self, lines: impl IntoIterator<Item = Line>) {
        for line in lines {
            self.announcements.announce(line);
        }
    }

    fn take_in(&self, new: NewMessage, content: Box<dyn Intake>) -> Result<(), SpoolError> {
        let intake = content
            .into_any()
            .downcast::<MemoryIntake>()
            .map_err(|_| SpoolError::unavailable("an intake of another spool"))?;
        let mut shelf = self.open_shelf()?;
        if let Some(error) = shelf.enqueue_fails.take() {
            return Err(error);
        }
        if intake.octets() != new.message.content_octets {
            return Err(SpoolError::unavailable(
                "the content is not as long as its message says",
            ));
        }
        shelf.free_id(new.message.id)?;
        let lines = shelf.add(new, Bytes::from(intake.octets), self.clock.now());
        shelf.committed(&self.settings, self.clock.now());
        self.announce(lines);
        Ok(())
    }

    fn settled(&self, settlement: Settlement) -> Result<(), SpoolError> {
        let mut shelf = self.open_shelf()?;
        shelf
            .leases
            .get(settlement.lease)
            .ok_or(SpoolError::LeaseLost)?;
        if let Some(error) = shelf.settle_fails.take() {
            return Err(error);
        }
        let (_, claimed) = shelf.delivery(settlement.lease.delivery);
        match (Among::Cancelled.has(claimed), settlement.is_cancelled) {
            (true, false) => return Err(SpoolError::Cancelled),
            (false, true) => return Err(SpoolError::Restored),
            _ => {}
        }
        for (report, _) in &settlement.reports {
            shelf.free_id(report.message.id)?;
        }
        let now = self.clock.now();
        let mut lines = shelf.settle(
            settlement.lease,
            settlement.remaining,
            settlement.trail,
            settlement.outcomes.as_ref(),
            now,
        );
        for (report, content) in settlement.reports {
            lines.extend(shelf.add(report, content, now));
        }
        shelf.committed(&self.settings, now);
        self.announce(lines);
        Ok(())
    }
}

impl Shelf {
    fn free_id(&self, id: MessageId) -> Result<(), SpoolError> {
        if self.messages.contains_key(&id) {
            return Err(SpoolError::unavailable(format!(
                "the message id {id} is taken"
            )));
        }
        Ok(())
    }

    fn kept_mut(&mut self, id: MessageId) -> &mut Kept {
        self.messages
            .get_mut(&id)
            .expect("a queued delivery has its message")
    }

    fn delivery(&self, id: DeliveryId) -> (&Kept, &Delivery) {
        let kept = &self.messages[&id.message];
        (kept, &kept.deliveries[&id.number])
    }

    /// Adds a message; the lines that it stands in.
    fn add(&mut self, new: NewMessage, content: Bytes, now: Timestamp) -> Vec<Line> {
        let id = new.message.id;
        let count = u32::try_from(new.deliveries.len()).unwrap_or(u32::MAX);
        self.tally.accepted(&new.message);
        self.messages.insert(
            id,
            Kept {
                message: Arc::new(new.message),
                trail: new.trail,
                deliveries: BTreeMap::new(),
                next_number: count,
                content: Some(content),
                finished: None,
            },
        );
        let lines = (0..)
            .zip(new.deliveries)
            .map(|(number, delivery)| {
                let sequence = self.next_sequence;
                self.next_sequence += 1;
                let id = DeliveryId {
                    message: id,
                    number,
                };
                self.insert(delivery.into_delivery(id, sequence, DeliveryState::Waiting))
            })
            .collect();
        self.finish_if_done(id, now);
        lines
    }

    fn insert(&mut self, delivery: Delivery) -> Line {
        let kept = self.kept_mut(delivery.id.message);
        let class = kept.message.class;
        let place = Place::of(&delivery, class, kept.message.origin.user());
        let line = place.line.clone();
        let (id, state) = (delivery.id, delivery.state);
        kept.deliveries.insert(id.number, delivery);
        match state {
            DeliveryState::Cancelled(Cancelled { until, .. }) => {
                self.cancelled.insert((until, id));
            }
            DeliveryState::Waiting | DeliveryState::Held => {
                self.queue.insert(place, id);
                self.queued[class_index(class)] += 1;
                self.count_queued(id, 1);
            }
        }
        line
    }

    fn remove(&mut self, id: DeliveryId) -> (Delivery, Line) {
        if Among::Queued.has(self.delivery(id).1) {
            self.count_queued(id, -1);
        }
        let kept = self.kept_mut(id.message);
        let class = kept.message.class;
        let delivery = kept
            .deliveries
            .remove(&id.number)
            .expect("the delivery is queued");
        let place = Place::of(&delivery, class, kept.message.origin.user());
        match delivery.state {
            DeliveryState::Cancelled(Cancelled { until, .. }) => {
                self.cancelled.remove(&(until, id));
            }
            DeliveryState::Waiting | DeliveryState::Held => {
                self.queue.remove(&place);
                self.queued[class_index(class)] -= 1;
            }
        }
        (delivery, place.line)
    }

    fn settle(
        &mut self,
        lease: Lease,
        remaining: Vec<super::NewDelivery>,
        trail: Vec<TrailEntry>,
        outcomes: Option<&Outcomes>,
        now: Timestamp,
    ) -> Vec<Line> {
        if let Some(outcomes) = outcomes {
            self.tally.settled(outcomes);
        }
        let asked = self.leases.end(lease).and_then(|leased| leased.asked);
        let (claimed, line) = self.remove(lease.delivery);
        let kept = self.kept_mut(claimed.id.message);
        kept.trail.extend(trail);
        let first_number = kept.next_number;
        if !keeps_name(&claimed, &remaining) {
            kept.next_number += u32::try_from(remaining.len()).unwrap_or(u32::MAX);
        }
        let mut deliveries = remaining_deliveries(&claimed, remaining, asked, first_number);
        if is_over(claimed.state, now) && !deliveries.is_empty() {
            kept.trail.push(removed(now, false));
            let message = Arc::clone(&kept.message);
            for delivery in deliveries.drain(..) {
                self.tally.removed(&message, &delivery.recipients, now);
            }
        }
        let mut lines = vec![line];
        lines.extend(deliveries.into_iter().map(|delivery| self.insert(delivery)));
        self.finish_if_done(claimed.id.message, now);
        lines
    }

    fn finish_if_done(&mut self, id: MessageId, now: Timestamp) {
        let kept = self.kept_mut(id);
        if kept.deliveries.is_empty() {
            kept.finished = Some(now);
            kept.content = None;
            self.finished.insert((now, id));
        }
    }

    /// Counts a commit, removes what was cancelled too long ago, and forgets what was finished too long ago.
    fn committed(&mut self, settings: &Settings, now: Timestamp) {
        self.commits += 1;
        let cancelled = self.cancelled.iter().copied();
        let over: Vec<_> = cancelled
            .take_while(|(until, _)| *until <= now)
            .filter(|(_, id)| !self.leases.is_leased(*id))
            .collect();
        for (_, id) in over {
            let (delivery, _) = self.remove(id);
            let message = Arc::clone(&self.messages[&id.message].message);
            self.tally.removed(&message, &delivery.recipients, now);
            self.kept_mut(id.message).trail.push(removed(now, false));
            self.finish_if_done(id.message, now);
        }
        while let Some((at, id)) = self.finished.first().copied() {
            let count = u64::try_from(self.finished.len()).unwrap_or(u64::MAX);
            if now.since(at) <= settings.history_kept && count <= settings.history_records_max {
                break;
            }
            self.finished.remove(&(at, id));
            self.messages.remove(&id);
        }
        self.count(now);
    }

    /// The first delivery of a line that waits and is not leased.
    fn first(&self, line: &Line) -> Option<(Spot, DeliveryId)> {
        if self.stops.has(line) {
            return None;
        }
        let start = Place {
            line: line.clone(),
            spot: Spot {
                due: Timestamp::EPOCH,
                sequence: 0,
                number: 0,
            },
        };
        self.queue
            .range(start..)
            .take_while(|(place, _)| place.line == *line)
            .find(|(_, id)| {
                self.delivery(**id).1.state == DeliveryState::Waiting
                    && !self.leases.is_leased(**id)
            })
            .map(|(place, id)| (place.spot, *id))
    }

    fn head(&self, line: &Line) -> Option<Head> {
        self.first(line).map(|(spot, _)| spot.head())
    }

    fn claim(&mut self, line: &Line, now: Timestamp) -> Claimed {
        let claim = self
            .first(line)
            .filter(|(spot, _)| spot.due <= now)
            .map(|(_, id)| {
                let (kept, delivery) = self.delivery(id);
                let (message, delivery) = (Arc::clone(&kept.message), delivery.clone());
                Claim {
                    lease: self.leases.lease(id, ()),
                    let_go: delivery.changed.max(self.stops.ended(line)),
                    delivery,
                    message,
                    // What another process left is not here.
                    interrupted: false,
                }
            });
        Claimed {
            claim,
            head: self.head(line),
        }
    }
}

impl Spool for Memory {
    fn intake(&self, octets_expected: Option<u64>) -> Result<Box<dyn Intake>, SpoolError> {
        drop(self.open_shelf()?);
        Ok(Box::new(MemoryIntake {
            share: self.budget.begin(octets_expected)?,
            octets: Vec::new(),
        }))
    }

    fn enqueue(&self, message: NewMessage, content: Box<dyn Intake>) -> Pending<'_, ()> {
        Box::pin(async move { self.take_in(message, content) })
    }

    fn claim<'a>(&'a self, line: &'a Line, now: Timestamp) -> Pending<'a, Claimed> {
        Box::pin(async move { Ok(self.open_shelf()?.claim(line, now)) })
    }

    fn content(&self, message: MessageId) -> Pending<'_, Box<dyn Content>> {
        Box::pin(async move {
            let shelf = self.open_shelf()?;
            let kept = shelf.messages.get(&message).ok_or(SpoolError::Unknown)?;
            let octets = kept.content.clone().ok_or(SpoolError::Unknown)?;
            Ok(Box::new(Pieces::of(octets)) as Box<dyn Content>)
        })
    }

    fn settle(&self, settlement: Settlement) -> Pending<'_, ()> {
        Box::pin(async move { self.settled(settlement) })
    }

    fn is_cancelled(&self, lease: Lease) -> bool {
        self.shelf().is_cancelled(lease)
    }

    fn cancelled(&self, lease: Lease) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.cancels.wait_until(move || self.is_cancelled(lease)))
    }

    fn release(&self, lease: Lease) {
        let mut shelf = self.shelf();
        if shelf.leases.end(lease).is_some() {
            let (kept, delivery) = shelf.delivery(lease.delivery);
            let message = &kept.message;
            let line = Place::of(delivery, message.class, message.origin.user()).line;
            self.announce([line]);
        }
    }

    fn changes(&self) -> Pin<Box<dyn Future<Output = Vec<LineChange>> + Send + '_>> {
        Box::pin(async {
            if self.closed.load(Ordering::Acquire) {
                return pending().await;
            }
            self.announcements.wait().await;
            let shelf = self.shelf();
            self.announcements
                .take()
                .into_iter()
                .map(|line| LineChange {
                    head: shelf.head(&line),
                    line: Arc::new(line),
                })
                .collect()
        })
    }

    fn change(
        &self,
        selection: Selection,
        change: Change,
        dry_run: bool,
    ) -> Pending<'_, Concerned> {
        Box::pin(async move { self.changed(&selection, &change, dry_run) })
    }

    fn stop(&self, stop: Stop) -> Pending<'_, Stopped> {
        Box::pin(async move { self.stopped(stop) })
    }

    fn start(&self, of: StopOf) -> Pending<'_, Option<Stop>> {
        Box::pin(async move { self.started(&of) })
    }

    fn stops(&self) -> &Stops {
        &self.stops
    }

    fn count_behind(&self, of: StopOf) -> Pending<'_, u64> {
        Box::pin(async move { self.waiting_behind(&of) })
    }

    fn lists_changed(&self) {
        if self.stops.are_about_lists() {
            self.announce(self.shelf().lines_of(&StopOf::All));
        }
    }

    fn note_refusals(&self, new: NewRefusals) -> Pending<'_, ()> {
        Box::pin(async move { self.noted_refusals(&new) })
    }

    fn dismiss_refusals(&self, ids: Vec<RefusalId>) -> Pending<'_, Vec<RefusalId>> {
        Box::pin(async move { self.dismissed_refusals(&ids) })
    }

    fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    fn list(&self, selection: Selection, page: PageRequest) -> Pending<'_, Page> {
        Box::pin(async move { self.page(&selection, &page) })
    }

    fn survey(&self) -> Pending<'_, Box<dyn Survey>> {
        Box::pin(async move { Ok(self.open_shelf()?.survey()) })
    }

    fn message(&self, id: MessageId) -> Pending<'_, Option<Record>> {
        Box::pin(async move { self.record(id) })
    }

    fn figures(&self) -> Figures {
        let shelf = self.shelf();
        Figures {
            queued: shelf.queued,
            cancelled: shelf.cancelled.len() as u64,
            octets_in_flight: self.budget.taken(),
            octets_in_flight_max: self.budget.max(),
            commits: shelf.commits,
            writable: !self.closed.load(Ordering::Acquire),
        }
    }

    fn oldest(&self) -> Pending<'_, [Option<Timestamp>; 5]> {
        Box::pin(async {
            let mut oldest: [Option<Timestamp>; 5] = [None; 5];
            for (place, id) in &self.open_shelf()?.queue {
                let oldest = &mut oldest[class_index(place.line.class)];
                let begun = id.message.begun();
                *oldest = Some(oldest.map_or(begun, |oldest| oldest.min(begun)));
            }
            Ok(oldest)
        })
    }

    fn queued_of<'a>(&'a self, users: &'a [&'a str]) -> Pending<'a, Vec<u64>> {
        Box::pin(async move {
            let shelf = self.open_shelf()?;
            Ok(users.iter().map(|user| shelf.queued_of(user)).collect())
        })
    }

    fn statistics(
        &self,
        question: statistics::Question,
    ) -> Pending<'_, Result<statistics::Answer, statistics::Unanswerable>> {
        Box::pin(async move {
            let now = self.clock.now();
            self.open_shelf()?.answer(&question, now)
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.closed.store(true, Ordering::Release);
            Ok(())
        })
    }
}
