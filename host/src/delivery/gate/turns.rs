//! Who gets capacity next: those who wait in order, and in turn with them those who have been kept waiting long enough.
//!
//! Very-high mail comes first in the queue, and while it wants all that there is nobody else gets any. That has an end
//! as a pause has one: whoever was paused for as long as it may be is *let through*, and waits in a queue of its own. Each
//! of the two queues gets an octet for one of the other, whatever stands in it. Arithmetic only.

use std::sync::Arc;

use super::queue::{Asking, Queue, SendId};
use crate::message::{Class, ClassRule, Turns};

/// All who wait for capacity.
#[derive(Debug)]
pub(super) struct InTurn {
    ordinary: Queue,
    let_through: Queue,
    /// Of the two, by whether it is that of those who are let through.
    turns: Turns<bool>,
}

impl InTurn {
    /// Nobody waits, and classes share by that rule.
    pub(super) fn new(rule: ClassRule) -> Self {
        Self {
            ordinary: Queue::new(rule),
            let_through: Queue::new(rule),
            turns: Turns::default(),
        }
    }

    /// Goes on by another rule.
    pub(super) fn follow(&mut self, rule: ClassRule) {
        self.ordinary.follow(rule);
        self.let_through.follow(rule);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ordinary.is_empty() && self.let_through.is_empty()
    }

    /// Whether a send waits.
    pub(super) fn has(&self, id: SendId) -> bool {
        self.ordinary.has(id) || self.let_through.has(id)
    }

    /// Whether a send waits there.
    pub(super) fn has_in(&self, id: SendId, is_let_through: bool) -> bool {
        match is_let_through {
            true => self.let_through.has(id),
            false => self.ordinary.has(id),
        }
    }

    /// A send waits from now on, and nowhere else.
    pub(super) fn join(&mut self, asking: Asking, is_let_through: bool) {
        self.leave(asking.id);
        self.of(is_let_through).join(asking);
    }

    /// A send waits no longer.
    pub(super) fn leave(&mut self, id: SendId) {
        self.ordinary.leave(id);
        self.let_through.leave(id);
    }

    /// Who is next.
    pub(super) fn first(&mut self) -> Option<SendId> {
        let (ordinary, let_through) = (self.ordinary.first(), self.let_through.first());
        match (ordinary, let_through) {
            (Some(ordinary), Some(let_through)) => {
                let is_behind = self.turns.start(&true) <= self.turns.start(&false);
                Some(if is_behind { let_through } else { ordinary })
            }
            (ordinary, let_through) => ordinary.or(let_through),
        }
    }

    /// Somebody sends so much, whether he has waited or not.
    pub(super) fn serve(
        &mut self,
        class: Class,
        user: &Arc<str>,
        octets: usize,
        is_let_through: bool,
    ) {
        let amount = u64::try_from(octets).unwrap_or(u64::MAX);
        self.turns.serve(&is_let_through, amount);
        self.of(is_let_through).serve(class, user, octets);
    }

    fn of(&mut self, is_let_through: bool) -> &mut Queue {
        match is_let_through {
            true => &mut self.let_through,
            false => &mut self.ordinary,
        }
    }
}
