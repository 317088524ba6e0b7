//! What an operator does to deliveries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::AddAssign;
use std::time::Duration;

use crate::message::{
    Cancelled, Class, Delivery, DeliveryId, DeliveryState, Event, MessageId, Timestamp, TrailEntry,
};

use super::{QueueState, Selection};

/// What an operator can do to deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub action: ChangeAction,
    /// By whom, for the trail.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The operations on deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// Keep back.
    Hold,
    /// Let go on.
    Release,
    /// Make due now.
    Retry,
    /// Take out of the queue; the message is finished when nothing of it remains that is queued or can be restored. No
    /// report is sent.
    Cancel,
    /// Put what was cancelled back where it was.
    Restore,
    /// Make due then; a time that is over means now. What has not been tried counts as scheduled for it.
    Reschedule(Timestamp),
    /// Give another class: to the whole message, since a class is a message's.
    SetClass(Class),
}

/// Deliveries that a change names one by one at most: 32 octets each, for who wants to take it back.
pub const NAMED_MAX: usize = 100_000;

/// The deliveries that a change has changed, each with the class that it had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// These; none where it was only counted.
    These(Vec<(DeliveryId, Class)>),
    /// More than [`NAMED_MAX`].
    TooMany,
}

impl Default for Named {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl Named {
    /// One more.
    pub(super) fn add(&mut self, id: DeliveryId, before: Class) {
        match self {
            Self::These(these) if these.len() < NAMED_MAX => these.push((id, before)),
            _ => *self = Self::TooMany,
        }
    }
}

impl AddAssign for Named {
    fn add_assign(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::These(these), Self::These(more)) if these.len() + more.len() <= NAMED_MAX => {
                these.extend(more);
            }
            _ => *self = Self::TooMany,
        }
    }
}

/// How many queued deliveries a change concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// All of them.
    pub deliveries: u64,
    /// Those that somebody has: the attempt goes on as it began, and the change is about what remains then.
    pub under_way: u64,
    /// Those of the others that are stopped.
    pub stopped: u64,
    /// Which they were, where they were changed; with another class also what is cancelled of their messages.
    pub named: Named,
}

impl Concerned {
    /// One more.
    pub(super) fn add_one(&mut self, is_leased: bool, is_stopped: bool) {
        self.deliveries += 1;
        self.under_way += u64::from(is_leased);
        self.stopped += u64::from(is_stopped && !is_leased);
    }
}

impl AddAssign for Concerned {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.under_way += other.under_way;
        self.stopped += other.stopped;
        self.named += other.named;
    }
}

/// What the trails of messages say of a change already: for each, whether that an attempt was under way.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<MessageId, bool>);

impl Told {
    /// Whether something is still to be said, which is said now.
    fn is_new(&mut self, id: MessageId, during_attempt: bool) -> bool {
        match self.0.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(during_attempt);
                true
            }
            Entry::Occupied(mut entry) => {
                let was_told = *entry.get();
                *entry.get_mut() |= during_attempt;
                during_attempt && !was_told
            }
        }
    }
}

/// Among which deliveries is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// Those that wait, are held or are being delivered.
    Queued,
    /// Those that were cancelled and can be restored.
    Cancelled,
}

impl Among {
    /// Where a listing looks.
    pub(super) fn of_listing(selection: &Selection) -> Self {
        match selection.state {
            Some(QueueState::Cancelled) => Self::Cancelled,
            _ => Self::Queued,
        }
    }

    /// Where a change looks.
    pub(super) fn of_change(action: ChangeAction) -> Self {
        match action {
            ChangeAction::Restore => Self::Cancelled,
            ChangeAction::Hold
            | ChangeAction::Release
            | ChangeAction::Retry
            | ChangeAction::Cancel
            | ChangeAction::Reschedule(_)
            | ChangeAction::SetClass(_) => Self::Queued,
        }
    }

    /// Whether a delivery is among them.
    pub(super) fn has(self, delivery: &Delivery) -> bool {
        let is_cancelled = matches!(delivery.state, DeliveryState::Cancelled(_));
        is_cancelled == (self == Self::Cancelled)
    }
}

impl ChangeAction {
    /// Whether it concerns a delivery that was selected, of a message of this class: a hold, a
    /// retry and another time those that are not held, a release those that are, a class those of another class, a restore those that
    /// were cancelled for as long as they can be, and nothing else any of these.
    pub fn concerns(self, delivery: &Delivery, class: Class, at: Timestamp) -> bool {
        Among::of_change(self).has(delivery)
            && match self {
                Self::Hold | Self::Retry | Self::Reschedule(_) => {
                    delivery.state == DeliveryState::Waiting
                }
                Self::Release => delivery.state == DeliveryState::Held,
                Self::Cancel => true,
                Self::Restore => !is_over(delivery.state, at),
                Self::SetClass(wanted) => wanted != class,
            }
    }
}

impl Change {
    /// Whether it [concerns](ChangeAction::concerns) a delivery.
    pub(super) fn concerns(&self, delivery: &Delivery, class: Class) -> bool {
        self.action.concerns(delivery, class, self.at)
    }

    /// Until when what it cancels can be restored, where it is kept for so long; none when it is gone at once.
    pub(super) fn cancelled_until(&self, cancelled_kept: Duration) -> Option<Timestamp> {
        (!cancelled_kept.is_zero()).then(|| self.at.plus(cancelled_kept))
    }

    /// What the trail of a message says of it when a delivery of it is changed: once for all of them. But where an attempt
    /// was under way, that is said, once too, whichever delivery it was of.
    pub(super) fn trail_entry(
        &self,
        id: DeliveryId,
        during_attempt: bool,
        told: &mut Told,
        cancelled_kept: Duration,
    ) -> Option<TrailEntry> {
        if !told.is_new(id.message, during_attempt) {
            return None;
        }
        let operated = |action: &str| Event::Operated {
            action: action.to_owned(),
            by: self.by.clone(),
            during_attempt,
        };
        let event = match self.action {
            ChangeAction::Hold => operated("held"),
            ChangeAction::Release => operated("released"),
            ChangeAction::Retry => operated("retried"),
            ChangeAction::Restore => operated("restored"),
            ChangeAction::SetClass(class) => operated(&format!("class {}", class.number())),
            ChangeAction::Reschedule(to) => Event::Rescheduled {
                by: self.by.clone(),
                until: to.max(self.at),
                during_attempt,
            },
            ChangeAction::Cancel => Event::Cancelled {
                by: self.by.clone(),
                during_attempt,
                until: self.cancelled_until(cancelled_kept),
            },
        };
        Some(TrailEntry { at: self.at, event })
    }
}

/// When a delivery is due that is moved to a time: one that is over means now, and what is due keeps its place.
pub(super) fn moved(due: Timestamp, to: Timestamp, now: Timestamp) -> Timestamp {
    match to > now {
        true => to,
        false => due.min(now),
    }
}

/// When a message counts as scheduled for, one delivery of which is moved to a time before its first attempt; none
/// where that stays as it is.
pub(super) fn scheduled(
    delivery: &Delivery,
    is_leased: bool,
    to: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let is_untried = delivery.attempts == 0 && !is_leased;
    is_untried.then(|| to.max(now))
}

/// What a delivery is when it is cancelled, and can be restored until then.
pub(super) fn cancelled(state: DeliveryState, until: Timestamp) -> DeliveryState {
    DeliveryState::Cancelled(Cancelled {
        until,
        was_held: state == DeliveryState::Held,
    })
}

/// Whether a delivery was cancelled and can be restored no more.
pub(super) fn is_over(state: DeliveryState, now: Timestamp) -> bool {
    matches!(state, DeliveryState::Cancelled(Cancelled { until, .. }) if until <= now)
}

/// What a delivery is when it is restored.
pub(super) fn restored(state: DeliveryState) -> DeliveryState {
    match state {
        DeliveryState::Cancelled(cancelled) if cancelled.was_held => DeliveryState::Held,
        DeliveryState::Cancelled(_) => DeliveryState::Waiting,
        state => state,
    }
}

/// What the trail says when cancelled deliveries of a message are removed for good.
pub(super) fn removed(at: Timestamp, for_room: bool) -> TrailEntry {
    TrailEntry {
        at,
        event: Event::Removed { for_room },
    }
}
