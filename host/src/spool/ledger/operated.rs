//! What an operator's change does to the rows of queued deliveries.

use std::time::Duration;

use crate::message::{
    Class, Delivery, DeliveryId, DeliveryState, Event, Line, MessageId, Timestamp, TrailEntry,
};

use super::{Effect, Ledger};
use crate::spool::change::{Told, cancelled, moved, restored, scheduled};
use crate::spool::redb::StoreError;
use crate::spool::rows::{self, Fault, Standing};
use crate::spool::sheet::Sheet;
use crate::spool::stored::{self, MessageRecord};
use crate::spool::work::Asked;
use crate::spool::{Change, ChangeAction, Concerned};

/// What a change has to know beside the rows.
pub(in crate::spool) struct Known<'a> {
    /// For how long what is cancelled can be restored.
    pub(in crate::spool) cancelled_kept: Duration,
    /// Whether an attempt is under way.
    pub(in crate::spool) is_leased: &'a dyn Fn(DeliveryId) -> bool,
    /// Whether an operator has stopped it.
    pub(in crate::spool) is_stopped: &'a dyn Fn(&Line) -> bool,
    /// Whether one may have been when a process ended, for a delivery of a message that was accepted then.
    pub(in crate::spool) was_left_by_another: &'a dyn Fn(&Delivery, Timestamp) -> bool,
}

impl Ledger<'_, '_> {
    /// Applies an operator's change to deliveries; how many of the queue it changed. Those that are gone meanwhile, or
    /// that it does not concern any more, are left out.
    pub(in crate::spool) fn change(
        &mut self,
        deliveries: &[DeliveryId],
        change: &Change,
        known: &Known<'_>,
    ) -> Result<Concerned, StoreError> {
        let mut told = Told::default();
        let mut changed = Concerned::default();
        for id in deliveries {
            match self.change_one(*id, change, known, &mut told) {
                Ok(deliveries) => changed += deliveries,
                Err(Fault::Store(error)) => return Err(error),
                Err(Fault::Damaged(damage)) => {
                    tracing::error!(message_id = %id.message, delivery = %id, %damage, "a queued delivery cannot be changed");
                }
            }
        }
        Ok(changed)
    }

    fn change_one(
        &mut self,
        id: DeliveryId,
        change: &Change,
        known: &Known<'_>,
        told: &mut Told,
    ) -> Result<Concerned, Fault> {
        let mut changed = Concerned::default();
        let Some(standing) = rows::standing(self.rows, id)? else {
            return Ok(changed);
        };
        if !change.concerns(&standing.delivery, standing.place.line.class) {
            return Ok(changed);
        }
        self.counts_of_kept(id.message)?;
        let (is_leased, cancelled_kept) = ((known.is_leased)(id), known.cancelled_kept);
        let during_attempt = is_leased
            || matches!(change.action, ChangeAction::SetClass(_))
                && self.is_any_leased(id.message, known)?;
        let mut trail =
            Vec::from_iter(change.trail_entry(id, during_attempt, told, cancelled_kept));
        changed.add_one(is_leased, (known.is_stopped)(&standing.place.line));
        changed.named.add(id, standing.place.line.class);
        match change.action {
            ChangeAction::Cancel => {
                if self.was_left_by_another(&standing.delivery, known)? {
                    // Nobody tries it, who would say so.
                    let next_hop = standing.delivery.next_hop.clone();
                    let event = Event::Interrupted { next_hop };
                    trail.insert(
                        0,
                        TrailEntry {
                            at: change.at,
                            event,
                        },
                    );
                }
                let until = change.cancelled_until(cancelled_kept);
                // What is under way has its row until it is settled.
                let until = until.or(is_leased.then_some(change.at));
                self.cancel(standing, until, &trail)?;
            }
            ChangeAction::SetClass(class) => {
                changed = self.set_class(id.message, class, change.at, known)?;
                self.add_trail(id.message, &trail, None)?;
            }
            ChangeAction::Retry if is_leased => {
                let asked = Asked::Retry(change.at);
                self.effects.push(Effect::Asked(id, asked));
                self.add_trail(id.message, &trail, None)?;
            }
            ChangeAction::Reschedule(to) => {
                let mut standing = standing;
                if is_leased || self.was_left_by_another(&standing.delivery, known)? {
                    let due = standing.delivery.due;
                    standing.delivery.moved_from.get_or_insert(due);
                }
                let at = scheduled(&standing.delivery, is_leased, to, change.at);
                // Its place says it too, so that it is not lost with the lease.
                let asked = Asked::Reschedule(moved(standing.delivery.due, to, change.at));
                self.restate(standing, change.action, change.at)?;
                self.effects.push(Effect::Asked(id, asked));
                if let Some(at) = at {
                    self.change_message(id.message, |record| record.set_scheduled(at))?;
                }
                self.add_trail(id.message, &trail, None)?;
            }
            action => {
                self.restate(standing, action, change.at)?;
                self.add_trail(id.message, &trail, None)?;
            }
        }
        self.effects.push(Effect::Changed(id.message));
        Ok(changed)
    }

    /// Whether somebody has a delivery of a message: its class is that of all of them.
    fn is_any_leased(&self, message: MessageId, known: &Known<'_>) -> Result<bool, Fault> {
        let standings = rows::standings(self.rows, message)?;
        let mut deliveries = standings.iter().map(|standing| standing.delivery.id);
        Ok(deliveries.any(|id| (known.is_leased)(id)))
    }

    fn was_left_by_another(&self, delivery: &Delivery, known: &Known<'_>) -> Result<bool, Fault> {
        let message = rows::message(self.rows, delivery.id.message)?;
        Ok(message.is_some_and(|message| (known.was_left_by_another)(delivery, message.accepted)))
    }

    /// Takes a delivery out of the queue: until that time it can be restored.
    fn cancel(
        &mut self,
        standing: Standing,
        until: Option<Timestamp>,
        trail: &[TrailEntry],
    ) -> Result<(), Fault> {
        let id = standing.delivery.id;
        self.effects.push(Effect::Cancelled(id));
        let mut kept = standing.clone();
        self.leave(standing)?;
        let Some(until) = until else {
            self.count_removed(id.message, &kept.delivery.recipients);
            return self.end_or_add_trail(id.message, trail, None);
        };
        kept.delivery.state = cancelled(kept.delivery.state, until);
        self.place(kept)?;
        self.add_trail(id.message, trail, None)
    }

    fn restate(
        &mut self,
        standing: Standing,
        action: ChangeAction,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let line = standing.place.line.clone();
        let mut delivery = standing.delivery.clone();
        self.leave(standing)?;
        delivery.changed = Some(at);
        match action {
            ChangeAction::Hold => delivery.state = DeliveryState::Held,
            ChangeAction::Release => delivery.state = DeliveryState::Waiting,
            ChangeAction::Retry => delivery.due = delivery.due.min(at),
            ChangeAction::Reschedule(to) => delivery.due = moved(delivery.due, to, at),
            ChangeAction::Restore => delivery.state = restored(delivery.state),
            ChangeAction::Cancel | ChangeAction::SetClass(_) => {}
        }
        self.place(Standing::of(delivery, line.class, &line.user))
    }

    fn change_message(
        &mut self,
        id: MessageId,
        change: impl FnOnce(&mut MessageRecord<'_>),
    ) -> Result<(), Fault> {
        let key = rows::message_key(id);
        if let Some(record) = self.rows.get(Sheet::Messages, &key)? {
            let mut record: MessageRecord<'_> = stored::read(&record)?;
            change(&mut record);
            let record = stored::write(&record)?;
            self.rows.put(Sheet::Messages, &key, &record);
        }
        Ok(())
    }

    /// Gives a message another class; how many queued deliveries that changes.
    fn set_class(
        &mut self,
        id: MessageId,
        class: Class,
        at: Timestamp,
        known: &Known<'_>,
    ) -> Result<Concerned, Fault> {
        let standings = rows::standings(self.rows, id)?;
        let mut changed = Concerned::default();
        self.change_message(id, |record| record.set_class(class))?;
        for standing in standings {
            changed
                .named
                .add(standing.delivery.id, standing.place.line.class);
            if !standing.is_cancelled() {
                let is_stopped = (known.is_stopped)(&standing.place.line);
                changed.add_one((known.is_leased)(standing.delivery.id), is_stopped);
            }
            let user = standing.place.line.user.clone();
            let mut delivery = standing.delivery.clone();
            delivery.changed = Some(at);
            self.leave(standing)?;
            self.place(Standing::of(delivery, class, &user))?;
        }
        Ok(changed)
    }
}
