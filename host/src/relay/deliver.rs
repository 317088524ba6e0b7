//! Joins the queue to delivery: the attempt follows the routes that are in force when it is made.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::delivery::Deliverer;
use crate::message::{Attempt, Delivery, Message, Routes, Source};
use crate::queue::{Deliver, OpenContent};

/// Routes, and who knows how to speak to their smarthosts: an attempt takes both from the same
/// configuration.
pub(super) struct Way {
    pub routes: Arc<Routes>,
    pub deliverer: Arc<Deliverer>,
}

/// What makes the queue's attempts: the way that is in force.
pub(super) struct Along(ArcSwap<Way>);

impl Along {
    pub(super) fn new(way: Way) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(way)))
    }

    /// The way that is in force.
    pub(super) fn way(&self) -> Arc<Way> {
        self.0.load_full()
    }

    /// Attempts that begin from now on take this way; those under way keep theirs.
    pub(super) fn change(&self, way: Way) {
        let before = self.0.swap(Arc::new(way));
        if !Arc::ptr_eq(&before.deliverer, &self.way().deliverer) {
            // Its idle connections; those of attempts that are under way close when they end.
            drop(tokio::spawn(async move { before.deliverer.close().await }));
        }
    }
}

impl Deliver for Along {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        let way = self.way();
        let deliverer = Arc::clone(&way.deliverer);
        if way.routes.lead_to(
            &delivery.next_hop,
            Source::of(&message),
            &message.envelope.recipients,
            &delivery.recipients,
        ) {
            return Box::pin(async move { deliverer.deliver(&message, &delivery, &content).await });
        }
        // The configuration has changed since the message was accepted. Its lane keeps its old
        // name; the mail goes where the routes lead now.
        let parts = way.routes.split_pending(
            Source::of(&message),
            &message.envelope.recipients,
            delivery.recipients.iter().copied(),
        );
        Box::pin(async move {
            let (mut visits, mut contact) = (Vec::new(), None);
            for (next_hop, recipients) in parts {
                let part = Delivery {
                    next_hop,
                    recipients,
                    ..delivery.clone()
                };
                let made = deliverer.deliver(&message, &part, &content).await;
                visits.extend(made.visits);
                contact = contact.max(Some(made.contact));
            }
            let contact = contact.unwrap_or_default();
            Attempt { visits, contact }
        })
    }
}
