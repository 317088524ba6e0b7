//! Joins the queue to delivery: the routes that are in force say whether a delivery is in the lane of its next hop.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::delivery::{Deliverer, Gate};
use crate::message::{Attempt, Contact, Delivery, Message, NextHop, Progress, Routes, Source};
use crate::queue::{AtMail, Deliver, OpenContent};

/// Routes, and who knows how to speak to their smarthosts: an attempt takes both from the same
/// configuration.
pub(super) struct Way {
    pub routes: Arc<Routes>,
    pub deliverer: Arc<Deliverer>,
}

/// What makes the queue's attempts: the way that is in force.
pub(super) struct Along {
    way: ArcSwap<Way>,
    gate: Gate,
}

impl Along {
    pub(super) fn new(way: Way, gate: Gate) -> Arc<Self> {
        let way = ArcSwap::from_pointee(way);
        Arc::new(Self { way, gate })
    }

    /// The gate that all sends pass, whatever way they take.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The way that is in force.
    pub(super) fn way(&self) -> Arc<Way> {
        self.way.load_full()
    }

    /// Attempts that begin from now on take this way; those under way keep theirs.
    pub(super) fn change(&self, way: Way) {
        let before = self.way.swap(Arc::new(way));
        if !Arc::ptr_eq(&before.deliverer, &self.way().deliverer) {
            // Its idle connections; those of attempts that are under way close when they end.
            drop(tokio::spawn(async move { before.deliverer.close().await }));
        }
    }
}

impl Deliver for Along {
    fn led_elsewhere(
        &self,
        message: &Message,
        delivery: &Delivery,
    ) -> Option<Vec<(NextHop, Vec<u32>)>> {
        self.way.load().routes.led_elsewhere(
            &delivery.next_hop,
            Source::of(message),
            &message.envelope.recipients,
            &delivery.recipients,
        )
    }

    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
        at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        let way = self.way();
        if !way.routes.lead_to(
            &delivery.next_hop,
            Source::of(&message),
            &message.envelope.recipients,
            &delivery.recipients,
        ) {
            // The way has changed since it was claimed. The next claim of it leads to where it goes now.
            return Box::pin(async {
                Attempt {
                    contact: Contact::Elsewhere,
                    ..Attempt::default()
                }
            });
        }
        let deliverer = Arc::clone(&way.deliverer);
        Box::pin(async move {
            let attempting = deliverer.deliver_telling(&message, &delivery, &content, at_mail);
            attempting.await
        })
    }

    fn held_until(&self) -> Option<Instant> {
        self.gate.held_until()
    }

    fn under_way(&self) -> Vec<Progress> {
        let sends = self.gate.under_way().into_iter();
        sends
            .map(|send| Progress {
                delivery: send.delivery,
                class: send.class,
                octets: send.octets,
                sent: send.sent,
                paused: send.paused,
            })
            .collect()
    }

    fn eased(&self) -> Arc<Notify> {
        self.gate.eased()
    }

    fn cut_off(&self) {
        self.gate.close();
    }
}
