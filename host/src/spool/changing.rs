//! An operator's change under way: applied in parts, so that mail does not wait for all of it.
//!
//! What it concerns is what stood in the queue when it began, so nothing that it moves is met
//! twice.

use std::collections::BTreeSet;

use crate::message::DeliveryId;

use super::change::{Among, Concerned};
use super::common::Common;
use super::inbox::{ChangeRequest, send};
use super::rows::{self, Fault};
use super::settings::{CHANGE_SLICE_MAX, CHANGE_STRIDE_MAX};
use super::view::{Scan, View};
use super::walk::Walk;
use super::{ChangeAction, SpoolError};

/// A change that is not done yet.
pub(super) struct Changing {
    pub(super) request: ChangeRequest,
    view: View,
    after: Option<Vec<u8>>,
    changed: Concerned,
}

/// One part of a change.
pub(super) struct Slice {
    pub(super) deliveries: Vec<DeliveryId>,
    /// All deliveries of their messages, where those change with them.
    pub(super) beside: Vec<DeliveryId>,
    after: Option<Vec<u8>>,
}

impl Changing {
    /// Begins a change, or refuses it.
    pub(super) fn begin(common: &Common, request: ChangeRequest) -> Option<Self> {
        match common.store.view() {
            Ok(view) => Some(Self {
                request,
                view,
                after: None,
                changed: Concerned::default(),
            }),
            Err(error) => {
                send(request.reply, Err(error.into()));
                None
            }
        }
    }

    /// The next deliveries that it concerns.
    pub(super) fn next_slice(&self, common: &Common) -> Result<Slice, SpoolError> {
        let ChangeRequest {
            selection, change, ..
        } = &self.request;
        let walk = Walk {
            selection,
            among: Among::of_change(change.action),
            now: change.at,
            is_leased: &|id| common.is_leased(id),
            stops: &common.stops,
        };
        let mut deliveries = Vec::new();
        let mut beside = Vec::new();
        let after = common.store.read_in(&self.view, |rows| {
            let after = walk.on(rows, self.after.clone(), CHANGE_STRIDE_MAX, &mut |found| {
                let class = found.standing.place.line.class;
                if change.concerns(&found.standing.delivery, class) {
                    deliveries.push(found.standing.delivery.id);
                }
                if deliveries.len() == CHANGE_SLICE_MAX {
                    Scan::Stop
                } else {
                    Scan::On
                }
            })?;
            if let ChangeAction::SetClass(_) = change.action {
                let messages: BTreeSet<_> = deliveries.iter().map(|id| id.message).collect();
                for message in messages {
                    // What cannot be read is told when it is to be changed.
                    let standings = Fault::apart(rows::standings(rows, message))?;
                    let standings = standings.unwrap_or_default().into_iter();
                    beside.extend(standings.map(|standing| standing.delivery.id));
                }
            }
            Ok(after)
        })?;
        Ok(Slice {
            deliveries,
            beside,
            after,
        })
    }

    /// A part of it is durable, and has changed so many deliveries; it answers when that was the last one.
    pub(super) fn done_with(mut self, slice: Slice, changed: Concerned) -> Option<Self> {
        self.changed += changed;
        self.after = slice.after;
        if self.after.is_some() {
            return Some(self);
        }
        send(self.request.reply, Ok(self.changed));
        None
    }

    /// It ends here: what is durable stays, the rest is as it was.
    pub(super) fn fail(self, error: SpoolError) {
        send(self.request.reply, Err(error));
    }
}
