//! Joins the queue to delivery: the attempt follows the routes that are configured now.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::delivery::Deliverer;
use crate::message::{Attempt, Delivery, Message, Routes, Source};
use crate::queue::{Deliver, OpenContent};

/// Delivers along the routes.
struct Along {
    routes: Arc<Routes>,
    deliverer: Arc<Deliverer>,
}

/// What makes the queue's attempts.
pub(super) fn along(routes: Arc<Routes>, deliverer: Arc<Deliverer>) -> Arc<dyn Deliver> {
    Arc::new(Along { routes, deliverer })
}

impl Deliver for Along {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        let deliverer = Arc::clone(&self.deliverer);
        if self.routes.lead_to(
            &delivery.next_hop,
            Source::of(&message),
            &message.envelope.recipients,
            &delivery.recipients,
        ) {
            return Box::pin(async move { deliverer.deliver(&message, &delivery, &content).await });
        }
        // The configuration has changed since the message was accepted. Its lane keeps its old
        // name; the mail goes where the routes lead now.
        let parts = self.routes.split_pending(
            Source::of(&message),
            &message.envelope.recipients,
            delivery.recipients.iter().copied(),
        );
        Box::pin(async move {
            let mut attempt = Attempt::default();
            for (next_hop, recipients) in parts {
                let part = Delivery {
                    next_hop,
                    recipients,
                    ..delivery.clone()
                };
                let made = deliverer.deliver(&message, &part, &content).await;
                attempt.visits.extend(made.visits);
            }
            attempt
        })
    }
}
