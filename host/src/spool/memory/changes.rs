//! What an operator's change does to what is in memory.

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;

use crate::message::{Delivery, DeliveryId, DeliveryState, Line, Message, Timestamp};

use super::{Memory, Shelf};
use crate::spool::change::{Among, Told, cancelled, moved, restored, scheduled};
use crate::spool::work::Asked;
use crate::spool::{
    Change, ChangeAction, Concerned, Lease, Named, NewRefusals, QueueState, RefusalId, STOPS_MAX,
    Selection, SpoolError, Stop, StopOf, Stopped,
};

impl Memory {
    pub(super) fn changed(
        &self,
        selection: &Selection,
        change: &Change,
        dry_run: bool,
    ) -> Result<Concerned, SpoolError> {
        let mut shelf = self.open_shelf()?;
        let concerned: Vec<DeliveryId> = shelf
            .behind(Among::of_change(change.action), None)
            .map(|(id, _)| id)
            .filter(|id| {
                let (kept, delivery) = shelf.delivery(*id);
                let state = QueueState::of(delivery, shelf.leases.is_leased(*id), change.at);
                selection.matches(delivery, &kept.message, state, &self.stops)
                    && change.concerns(delivery, kept.message.class)
            })
            .collect();
        let mut count = Concerned::default();
        let mut add = |delivery: &Delivery, message: &Message| {
            let is_leased = shelf.leases.is_leased(delivery.id);
            let stop = self.stops.on(&delivery.next_hop, message.origin.user());
            count.add_one(is_leased, stop.is_some());
        };
        match change.action {
            ChangeAction::SetClass(_) => {
                let messages: BTreeSet<_> = concerned.iter().map(|id| id.message).collect();
                for kept in messages.iter().map(|id| &shelf.messages[id]) {
                    let queued = kept.deliveries.values();
                    let queued = queued.filter(|delivery| Among::Queued.has(delivery));
                    queued.for_each(|delivery| add(delivery, &kept.message));
                }
            }
            _ => {
                for id in &concerned {
                    let (kept, delivery) = shelf.delivery(*id);
                    add(delivery, &kept.message);
                }
            }
        }
        if dry_run || count.deliveries == 0 {
            return Ok(count);
        }
        let now = self.clock.now();
        let mut told = Told::default();
        count.named = named(&shelf, &concerned, change.action);
        for id in concerned {
            let mut during_attempt = shelf.leases.is_leased(id);
            if let ChangeAction::SetClass(_) = change.action {
                // A class is that of all of its deliveries.
                let mut leased = shelf.leases.deliveries();
                during_attempt = leased.any(|leased| leased.message == id.message);
            }
            let kept = self.settings.cancelled_kept;
            let entry = change.trail_entry(id, during_attempt, &mut told, kept);
            shelf.kept_mut(id.message).trail.extend(entry);
            let lines = shelf.apply(id, change, change.cancelled_until(kept), now);
            self.announce(lines);
        }
        shelf.committed(&self.settings, now);
        drop(shelf);
        if change.action == ChangeAction::Cancel {
            self.cancels.tell();
        }
        Ok(count)
    }
}

/// Which deliveries are changed.
fn named(shelf: &Shelf, concerned: &[DeliveryId], action: ChangeAction) -> Named {
    let mut named = Named::default();
    if !matches!(action, ChangeAction::SetClass(_)) {
        for id in concerned {
            named.add(*id, shelf.delivery(*id).0.message.class);
        }
        return named;
    }
    let messages: BTreeSet<_> = concerned.iter().map(|id| id.message).collect();
    for kept in messages.iter().map(|id| &shelf.messages[id]) {
        for delivery in kept.deliveries.values() {
            named.add(delivery.id, kept.message.class);
        }
    }
    named
}

impl Memory {
    pub(super) fn stopped(&self, stop: Stop) -> Result<Stopped, SpoolError> {
        let shelf = self.open_shelf()?;
        if let Some(already) = self.stops.of(&stop.of) {
            return Ok(Stopped::Already(already));
        }
        if self.stops.count() >= STOPS_MAX {
            return Ok(Stopped::TooMany);
        }
        let lines = shelf.lines_of(&stop.of);
        self.stops.add(stop);
        self.announce(lines);
        Ok(Stopped::Now)
    }

    pub(super) fn started(&self, of: &StopOf) -> Result<Option<Stop>, SpoolError> {
        let shelf = self.open_shelf()?;
        let stop = self.stops.of(of);
        let lines = shelf.lines_of(of);
        self.stops.remove(of, self.clock.now());
        self.announce(lines);
        Ok(stop)
    }

    pub(super) fn noted_refusals(&self, new: &NewRefusals) -> Result<(), SpoolError> {
        let mut shelf = self.open_shelf()?;
        let now = self.clock.now();
        let (plan, _) = self.refusals.plan(iter::empty(), new.rows(), now);
        self.refusals.apply(plan);
        for (list, user, times) in new.messages() {
            shelf.tally.refused(list, user, times, now);
        }
        shelf.count(now);
        Ok(())
    }

    pub(super) fn dismissed_refusals(
        &self,
        ids: &[RefusalId],
    ) -> Result<Vec<RefusalId>, SpoolError> {
        let shelf = self.open_shelf()?;
        let now = self.clock.now();
        let (plan, found) = self.refusals.plan(iter::once(ids), iter::empty(), now);
        self.refusals.apply(plan);
        drop(shelf);
        Ok(found.into_iter().flatten().collect())
    }

    pub(super) fn waiting_behind(&self, of: &StopOf) -> Result<u64, SpoolError> {
        let shelf = self.open_shelf()?;
        let waits = |id: DeliveryId| {
            let (_, delivery) = shelf.delivery(id);
            delivery.state == DeliveryState::Waiting && !shelf.leases.is_leased(id)
        };
        let queued = shelf.queue.iter();
        let behind =
            queued.filter(|(place, id)| self.stops.is_about(of, &place.line) && waits(**id));
        Ok(behind.count() as u64)
    }
}

impl Shelf {
    /// Whether what somebody has was cancelled meanwhile.
    pub(super) fn is_cancelled(&self, lease: Lease) -> bool {
        let is_good = self.leases.get(lease).is_some();
        is_good && Among::Cancelled.has(self.delivery(lease.delivery).1)
    }

    /// The lines that a stop is about.
    pub(super) fn lines_of(&self, of: &StopOf) -> Vec<Line> {
        let mut lines: Vec<Line> = self.queue.keys().map(|place| place.line.clone()).collect();
        lines.dedup();
        lines.retain(|line| self.stops.is_about(of, line));
        lines
    }

    /// Applies a change to one delivery; the lines that it touches.
    fn apply(
        &mut self,
        id: DeliveryId,
        change: &Change,
        cancelled_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Line> {
        if let Some(leased) = self.leases.on(id)
            && change.action == ChangeAction::Retry
        {
            leased.asked = Some(Asked::Retry(change.at));
            return Vec::new();
        }
        if let ChangeAction::Reschedule(to) = change.action {
            let is_leased = self.leases.is_leased(id);
            let (_, delivery) = self.delivery(id);
            let due = moved(delivery.due, to, change.at);
            let at = scheduled(delivery, is_leased, to, change.at);
            if let Some(leased) = self.leases.on(id) {
                leased.asked = Some(Asked::Reschedule(due));
            }
            if let Some(at) = at {
                Arc::make_mut(&mut self.kept_mut(id.message).message).scheduled = Some(at);
            }
        }
        if let ChangeAction::SetClass(class) = change.action {
            let numbers: Vec<u32> = self
                .kept_mut(id.message)
                .deliveries
                .keys()
                .copied()
                .collect();
            let (removed, mut lines): (Vec<Delivery>, Vec<Line>) = numbers
                .into_iter()
                .map(|number| {
                    self.remove(DeliveryId {
                        message: id.message,
                        number,
                    })
                })
                .unzip();
            Arc::make_mut(&mut self.kept_mut(id.message).message).class = class;
            let changed = removed.into_iter().map(|delivery| Delivery {
                changed: Some(change.at),
                ..delivery
            });
            lines.extend(changed.map(|delivery| self.insert(delivery)));
            return lines;
        }
        let (mut delivery, line) = self.remove(id);
        delivery.changed = Some(change.at);
        match change.action {
            ChangeAction::Hold => delivery.state = DeliveryState::Held,
            ChangeAction::Release => delivery.state = DeliveryState::Waiting,
            ChangeAction::Retry => delivery.due = delivery.due.min(change.at),
            ChangeAction::Cancel => {
                let is_leased = self.leases.is_leased(id);
                let Some(until) = cancelled_until.or(is_leased.then_some(change.at)) else {
                    let message = Arc::clone(&self.messages[&id.message].message);
                    self.tally.removed(&message, &delivery.recipients, now);
                    self.finish_if_done(id.message, now);
                    return vec![line];
                };
                delivery.state = cancelled(delivery.state, until);
            }
            ChangeAction::Reschedule(to) => delivery.due = moved(delivery.due, to, change.at),
            ChangeAction::Restore => delivery.state = restored(delivery.state),
            ChangeAction::SetClass(_) => {}
        }
        vec![line, self.insert(delivery)]
    }
}
