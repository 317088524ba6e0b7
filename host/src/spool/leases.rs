//! Who has which delivery. In memory only: no lease outlives its owner.

use std::collections::HashMap;

use crate::message::{DeliveryId, DeliveryState};

use super::Lease;
use super::work::Asked;

/// The leases that are out, with what a backend keeps beside each.
#[derive(Debug)]
pub(super) struct Leases<T> {
    out: HashMap<DeliveryId, Leased<T>>,
    next_number: u64,
}

/// A lease that is out.
#[derive(Debug)]
pub(super) struct Leased<T> {
    number: u64,
    /// What an operator asked meanwhile, at last; it takes effect at the settlement.
    pub(super) asked: Option<Asked>,
    /// An operator held or cancelled it meanwhile: what remains of it stays back.
    pub(super) stays_back: Option<StaysBack>,
    /// What the backend keeps.
    pub(super) kept: T,
}

/// Why what remains of a delivery stays back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StaysBack {
    Held,
    Cancelled,
}

impl StaysBack {
    /// Of a delivery in that state.
    pub(super) fn of(state: DeliveryState) -> Option<Self> {
        match state {
            DeliveryState::Waiting => None,
            DeliveryState::Held => Some(Self::Held),
            DeliveryState::Cancelled(_) => Some(Self::Cancelled),
        }
    }
}

impl<T> Default for Leases<T> {
    fn default() -> Self {
        Self {
            out: HashMap::new(),
            next_number: 1,
        }
    }
}

impl<T> Leases<T> {
    /// Leases a delivery that is not leased.
    pub(super) fn lease(&mut self, delivery: DeliveryId, kept: T) -> Lease {
        let number = self.next_number;
        self.next_number += 1;
        let before = self.out.insert(
            delivery,
            Leased {
                number,
                asked: None,
                stays_back: None,
                kept,
            },
        );
        debug_assert!(before.is_none(), "{delivery} is leased twice");
        Lease { delivery, number }
    }

    /// What is kept beside a lease; none when it is lost.
    pub(super) fn get(&self, lease: Lease) -> Option<&Leased<T>> {
        self.out
            .get(&lease.delivery)
            .filter(|leased| leased.number == lease.number)
    }

    /// Ends a lease; none when it is lost already.
    pub(super) fn end(&mut self, lease: Lease) -> Option<Leased<T>> {
        self.get(lease)?;
        self.out.remove(&lease.delivery)
    }

    /// Takes the lease away from whoever has it: its delivery is gone.
    pub(super) fn revoke(&mut self, delivery: DeliveryId) {
        self.out.remove(&delivery);
    }

    /// What is kept beside the lease on a delivery, whoever has it.
    pub(super) fn on(&mut self, delivery: DeliveryId) -> Option<&mut Leased<T>> {
        self.out.get_mut(&delivery)
    }

    /// The deliveries that are leased, with what is kept beside each.
    pub(super) fn kept(&self) -> impl Iterator<Item = (DeliveryId, &T)> {
        self.out.iter().map(|(id, leased)| (*id, &leased.kept))
    }

    /// The deliveries that are leased.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = DeliveryId> {
        self.out.keys().copied()
    }

    pub(super) fn is_leased(&self, delivery: DeliveryId) -> bool {
        self.out.contains_key(&delivery)
    }
}
