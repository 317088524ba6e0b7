//! A delivery in its stored form.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::message::{Cancelled, Class, Delivery, DeliveryId, DeliveryState, Timestamp};

use super::{Damage, Hop, Stored, behind, class, take};

/// A delivery, with what its line is called besides the lane.
#[derive(Serialize)]
pub(in crate::spool) struct DeliveryRecord<'a> {
    first: First<'a>,
    third: Third,
}

/// What the record has had from the first form on.
#[derive(Serialize, Deserialize)]
struct First<'a> {
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

/// What the third form has behind that.
#[derive(Default, Serialize, Deserialize)]
struct Third {
    lateness_reported: bool,
    /// Until when it can be restored, when it was cancelled; `held` says whether it was held before.
    cancelled_until: Option<u64>,
    /// When it was due before it was moved, where an attempt may have been under way then.
    moved_from: Option<u64>,
    /// When an operator changed it last.
    changed: Option<u64>,
}

impl<'a> Stored<'a> for DeliveryRecord<'a> {
    fn take(form: u8, octets: &'a [u8]) -> Result<(Self, &'a [u8]), Damage> {
        let (first, rest) = take(octets)?;
        let (third, rest) = behind(3, form, rest)?;
        Ok((Self { first, third }, rest))
    }
}

impl<'a> DeliveryRecord<'a> {
    pub(in crate::spool) fn of(delivery: &'a Delivery, class: Class, user: &'a str) -> Self {
        let first = First {
            next_hop: Hop::of(&delivery.next_hop),
            class: class.number(),
            user: Cow::Borrowed(user),
            recipients: delivery.recipients.clone(),
            attempts: delivery.attempts,
            due: delivery.due.unix_milliseconds(),
            sequence: delivery.sequence,
            held: match delivery.state {
                DeliveryState::Waiting => false,
                DeliveryState::Held => true,
                DeliveryState::Cancelled(cancelled) => cancelled.was_held,
            },
            delay_reported: delivery.delay_reported,
            last_reply: Cow::Borrowed(&delivery.last_reply),
        };
        let third = Third {
            lateness_reported: delivery.lateness_reported,
            cancelled_until: match delivery.state {
                DeliveryState::Cancelled(cancelled) => Some(cancelled.until.unix_milliseconds()),
                DeliveryState::Waiting | DeliveryState::Held => None,
            },
            moved_from: delivery.moved_from.map(Timestamp::unix_milliseconds),
            changed: delivery.changed.map(Timestamp::unix_milliseconds),
        };
        Self { first, third }
    }

    /// The delivery, which is stored under `id`, and the class and user of its line.
    pub(in crate::spool) fn read(
        self,
        id: DeliveryId,
    ) -> Result<(Delivery, Class, String), Damage> {
        let Self { first, third } = self;
        let class = class(first.class)?;
        let delivery = Delivery {
            id,
            next_hop: first.next_hop.read(),
            recipients: first.recipients,
            attempts: first.attempts,
            due: Timestamp::from_unix_milliseconds(first.due),
            moved_from: third.moved_from.map(Timestamp::from_unix_milliseconds),
            changed: third.changed.map(Timestamp::from_unix_milliseconds),
            sequence: first.sequence,
            state: match (third.cancelled_until, first.held) {
                (Some(until), was_held) => DeliveryState::Cancelled(Cancelled {
                    until: Timestamp::from_unix_milliseconds(until),
                    was_held,
                }),
                (None, true) => DeliveryState::Held,
                (None, false) => DeliveryState::Waiting,
            },
            delay_reported: first.delay_reported,
            lateness_reported: third.lateness_reported,
            last_reply: first.last_reply.into_owned(),
        };
        Ok((delivery, class, first.user.into_owned()))
    }
}
