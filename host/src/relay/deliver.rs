//! Joins the queue to delivery: the attempt follows the routes that are in force when it is made.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::delivery::{Deliverer, Gate};
use crate::message::{Attempt, Contact, Delivery, Message, Progress, Routes, Source};
use crate::queue::{Deliver, OpenContent};

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
            let (mut visits, mut contacts, mut pauses) = (Vec::new(), Vec::new(), Vec::new());
            let (mut mail_at, mut dialogues) = (None, Vec::new());
            for (next_hop, recipients) in parts {
                let part = Delivery {
                    next_hop,
                    recipients,
                    ..delivery.clone()
                };
                let made = deliverer.deliver(&message, &part, &content).await;
                visits.extend(made.visits);
                contacts.push(made.contact);
                pauses.extend(made.pauses);
                let ended = Instant::now();
                let written = made.mail_ago.and_then(|ago| ended.checked_sub(ago));
                mail_at = mail_at.or(written);
                let begun = made.dialogues.into_iter();
                dialogues.extend(begun.map(|(ago, said)| (ended.checked_sub(ago), said)));
            }
            let contact = contact_elsewhere(&contacts);
            let ago = |at: Instant| at.elapsed();
            let dialogues = dialogues.into_iter();
            Attempt {
                visits,
                contact,
                pauses,
                mail_ago: mail_at.map(ago),
                dialogues: dialogues
                    .map(|(begun, said)| (begun.map(ago).unwrap_or_default(), said))
                    .collect(),
            }
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

/// What attempts at other next hops than that of the lane say of it: nothing, so that no mail waits for a host that
/// it does not go to. They may be made again in a moment when none of them has asked anybody.
fn contact_elsewhere(contacts: &[Contact]) -> Contact {
    if contacts.contains(&Contact::CutOff) {
        return Contact::CutOff;
    }
    let is_crowded = |contact: &Contact| *contact == Contact::Crowded;
    match !contacts.is_empty() && contacts.iter().all(is_crowded) {
        true => Contact::Crowded,
        false => Contact::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_elsewhere_says_nothing_of_the_lane_s_next_hop() {
        use Contact::{Crowded, CutOff, Missed, Ready};
        for (contacts, expected) in [
            (&[Missed, Missed][..], Ready),
            (&[Missed, Ready], Ready),
            // One was told something, perhaps for good: that is not forgotten.
            (&[Missed, Crowded], Ready),
            (&[Crowded, Ready], Ready),
            (&[Crowded, Crowded], Crowded),
            (&[Ready, CutOff], CutOff),
            (&[], Ready),
        ] {
            assert_eq!(contact_elsewhere(contacts), expected, "{contacts:?}");
        }
    }
}
