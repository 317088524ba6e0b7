//! A delivery in its stored form.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::message::{Class, Delivery, DeliveryId, DeliveryState, Timestamp};

use super::{Damage, Hop, class};

/// A delivery, with what its line is called besides the lane.
#[derive(Serialize, Deserialize)]
pub(in crate::spool) struct DeliveryRecord<'a> {
    #[serde(borrow)]
    next_hop: Hop<'a>,
    class: u8,
    #[serde(borrow)]
    user: Cow<'a, str>,
    recipients: Vec<u32>,
    attempts: u32,
    due: u64,
    sequence: u64,
    held: bool,
    delay_reported: bool,
    #[serde(borrow)]
    last_reply: Cow<'a, str>,
}

impl<'a> DeliveryRecord<'a> {
    pub(in crate::spool) fn of(delivery: &'a Delivery, class: Class, user: &'a str) -> Self {
        Self {
            next_hop: Hop::of(&delivery.next_hop),
            class: class.number(),
            user: Cow::Borrowed(user),
            recipients: delivery.recipients.clone(),
            attempts: delivery.attempts,
            due: delivery.due.unix_milliseconds(),
            sequence: delivery.sequence,
            held: delivery.state == DeliveryState::Held,
            delay_reported: delivery.delay_reported,
            last_reply: Cow::Borrowed(&delivery.last_reply),
        }
    }

    /// The delivery, which is stored under `id`, and the class and user of its line.
    pub(in crate::spool) fn read(
        self,
        id: DeliveryId,
    ) -> Result<(Delivery, Class, String), Damage> {
        let class = class(self.class)?;
        let delivery = Delivery {
            id,
            next_hop: self.next_hop.read(),
            recipients: self.recipients,
            attempts: self.attempts,
            due: Timestamp::from_unix_milliseconds(self.due),
            sequence: self.sequence,
            state: if self.held {
                DeliveryState::Held
            } else {
                DeliveryState::Waiting
            },
            delay_reported: self.delay_reported,
            last_reply: self.last_reply.into_owned(),
        };
        Ok((delivery, class, self.user.into_owned()))
    }
}
