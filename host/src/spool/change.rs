//! What an operator does to queued deliveries.

use crate::message::{Class, Delivery, DeliveryState, Event, Timestamp, TrailEntry};

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

/// The operations on queued deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// Keep back.
    Hold,
    /// Let go on.
    Release,
    /// Make due now.
    Retry,
    /// Remove; the message is finished when nothing of it remains. No report is sent.
    Cancel,
    /// Give another class: to the whole message, since a class is a message's.
    SetClass(Class),
}

impl ChangeAction {
    /// Whether it concerns a delivery that was selected, of a message of this class: a hold and a
    /// retry those that are not held, a release those that are, a class those of another class.
    pub fn concerns(self, delivery: &Delivery, class: Class) -> bool {
        match self {
            Self::Hold | Self::Retry => delivery.state == DeliveryState::Waiting,
            Self::Release => delivery.state == DeliveryState::Held,
            Self::Cancel => true,
            Self::SetClass(wanted) => wanted != class,
        }
    }
}

impl Change {
    /// What the trail of a message says of it, once for all of its deliveries: `is_told` already. But where an
    /// attempt was under way, whose outcome comes too late to be written down, that is said.
    pub(super) fn trail_entry(&self, is_leased: bool, is_told: bool) -> Option<TrailEntry> {
        let is_cut_off = is_leased && self.action == ChangeAction::Cancel;
        if is_told && !is_cut_off {
            return None;
        }
        let action = match self.action {
            ChangeAction::Cancel if is_cut_off => {
                "cancelled during an attempt, which may have delivered it".to_owned()
            }
            ChangeAction::Hold => "held".to_owned(),
            ChangeAction::Release => "released".to_owned(),
            ChangeAction::Retry => "retried".to_owned(),
            ChangeAction::Cancel => "cancelled".to_owned(),
            ChangeAction::SetClass(class) => format!("class {}", class.number()),
        };
        Some(TrailEntry {
            at: self.at,
            event: Event::Operated {
                action,
                by: self.by.clone(),
            },
        })
    }
}
