//! Rerouting: what follows for a delivery whose routes lead elsewhere than to its lane.
//!
//! It is not tried there: its parts take its place in the lanes where they go, as they were. They are due when it was and
//! keep what is known of earlier attempts and of what their sender has been told, so a move costs nobody anything.
//! Arithmetic only; where it goes is for others to know.

use crate::message::{Delivery, Event, NextHop, Timestamp, TrailEntry};
use crate::spool::NewDelivery;

/// The deliveries that take the place of one, and what the trail says of that.
pub(super) fn moved(
    delivery: &Delivery,
    parts: Vec<(NextHop, Vec<u32>)>,
    at: Timestamp,
) -> (Vec<NewDelivery>, TrailEntry) {
    let count = |recipients: &Vec<u32>| u32::try_from(recipients.len()).unwrap_or(u32::MAX);
    let to = parts
        .iter()
        .map(|(next_hop, recipients)| (next_hop.clone(), count(recipients)));
    let event = Event::Rerouted {
        from: delivery.next_hop.clone(),
        to: to.collect(),
    };
    let parts = parts.into_iter().map(|(next_hop, recipients)| NewDelivery {
        next_hop,
        recipients,
        due: delivery.due,
        attempts: delivery.attempts,
        delay_reported: delivery.delay_reported,
        lateness_reported: delivery.lateness_reported,
        last_reply: delivery.last_reply.clone(),
    });
    (parts.collect(), TrailEntry { at, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::rehearsal::{START, delivery, message, seconds};

    #[test]
    fn parts_are_as_the_whole_was() {
        let message = message(1, START, &["a@a.example", "b@b.example", "c@a.example"]);
        let whole = Delivery {
            attempts: 3,
            due: START.plus(seconds(7)),
            delay_reported: true,
            lateness_reported: true,
            last_reply: "421 Busy".to_owned(),
            ..delivery(&message)
        };
        let [hub, own] = [
            NextHop::Smarthost("hub.example:25".into()),
            whole.next_hop.clone(),
        ];
        let now = START.plus(seconds(9));
        let parts = vec![(hub.clone(), vec![0, 2]), (own.clone(), vec![1])];
        let (parts, entry) = moved(&whole, parts, now);
        let part = |next_hop: &NextHop, recipients: &[u32]| NewDelivery {
            next_hop: next_hop.clone(),
            recipients: recipients.to_vec(),
            due: whole.due,
            attempts: 3,
            delay_reported: true,
            lateness_reported: true,
            last_reply: "421 Busy".to_owned(),
        };
        assert_eq!(parts, [part(&hub, &[0, 2]), part(&own, &[1])]);
        let event = Event::Rerouted {
            from: own.clone(),
            to: vec![(hub, 2), (own, 1)],
        };
        assert_eq!(entry, TrailEntry { at: now, event });
    }
}
