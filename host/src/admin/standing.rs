//! Why a delivery is where it is, over HTTP.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::message::wording::{self, Activity};
use crate::message::{Class, Delivery, Reason, Standing, Timestamp};

/// Where a delivery stands in the queue, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandingDocument {
    /// Its number among those that wait, in the order in which they will start: 1 is the next one. None for what is
    /// being delivered or does not wait for its turn, and where it is too far behind to be counted.
    pub position: Option<u64>,
    /// How many of each class start before it, class 1 first; none where it has no position.
    pub ahead: Option<[u64; 5]>,
    /// Why it is where it is; none when the queue does not say.
    pub reason: Option<ReasonName>,
    /// The pause that it is in; none when it is not paused.
    pub paused: Option<PauseDocument>,
    /// The class that it is being delivered in, where its message has been given another one since, which counts from its next
    /// attempt on; else none.
    pub attempt_class: Option<u8>,
    /// Octets of the content that have been sent; none before the first one, and when it is not being delivered.
    pub octets_sent: Option<u64>,
    /// Seconds until it is started, as the queue goes at present; 0 when it is under way, none when that cannot be said: as
    /// long as very-high mail that is being sent holds it back, for one.
    pub estimate_seconds: Option<u64>,
    /// Why it is where it is, in words.
    pub standing: String,
}

/// A delivery is paused while a very-high message is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseDocument {
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// The id of the very-high message.
    pub cause: String,
}

/// Why a delivery is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonName {
    /// It is being delivered.
    Sending,
    /// It is being delivered, and is paused while a very-high message is sent.
    Paused,
    /// It is the next to start.
    Next,
    /// Others are ahead of it.
    InLine,
    /// A very-high message is being sent, and nothing below very high starts meanwhile.
    VeryHighFirst,
    /// As many deliveries are under way as may be.
    RelayFull,
    /// As many are under way to its next hop as may be.
    NextHopFull,
    /// Deliveries to its next hop start one after the other, in the configured pace.
    NextHopPaced,
    /// There was no room at the host of its next hop.
    NextHopCrowded,
    /// Its next hop cannot be reached, and is tried again in a while.
    NextHopUnreachable,
    /// It waits for the time that its sender chose.
    Scheduled,
    /// It waits for its next try.
    Deferred,
    /// An operator has stopped everything, its next hop, its user or its list.
    Stopped,
    /// An operator keeps it back.
    Held,
}

impl From<&Reason> for ReasonName {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::Sending(_) => Self::Sending,
            Reason::Paused { .. } => Self::Paused,
            Reason::Next => Self::Next,
            Reason::InLine => Self::InLine,
            Reason::VeryHighFirst => Self::VeryHighFirst,
            Reason::RelayFull(_) => Self::RelayFull,
            Reason::NextHopFull(_) => Self::NextHopFull,
            Reason::NextHopPaced(_) => Self::NextHopPaced,
            Reason::NextHopCrowded(_) => Self::NextHopCrowded,
            Reason::NextHopUnreachable(_) => Self::NextHopUnreachable,
            Reason::Scheduled => Self::Scheduled,
            Reason::Deferred => Self::Deferred,
            Reason::Stopped(_) => Self::Stopped,
            Reason::Held => Self::Held,
        }
    }
}

/// What is known of the standing of a delivery, of a message of that class; where nothing is, what it says itself.
pub(super) fn shown(
    standing: Option<&Standing>,
    delivery: &Delivery,
    class: Class,
    activity: Activity<'_>,
    now: Timestamp,
) -> StandingDocument {
    let Some(standing) = standing else {
        return StandingDocument {
            standing: wording::why(delivery, activity, now),
            ..StandingDocument::default()
        };
    };
    let paused = match &standing.reason {
        Reason::Paused { cause, took, .. } => Some(PauseDocument {
            since_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            cause: cause.to_string(),
        }),
        _ => None,
    };
    StandingDocument {
        position: standing.place.map(|place| place.number()),
        ahead: standing.place.map(|place| place.ahead),
        reason: Some((&standing.reason).into()),
        paused,
        attempt_class: standing.reason.attempt_class(class).map(Class::number),
        octets_sent: standing.reason.octets_sent(),
        estimate_seconds: standing
            .estimate
            .map(|estimate| estimate.as_secs() + u64::from(estimate.subsec_millis() >= 500)),
        standing: standing.text(delivery, class, now),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::message::{DeliveryId, DeliveryState, MessageId, NextHop, Progress};

    #[test]
    fn reasons_have_the_same_names_on_every_surface() {
        let at = Timestamp::EPOCH;
        let progress = Progress {
            delivery: DeliveryId {
                message: MessageId::from_bits(1),
                number: 0,
            },
            class: Class::Normal,
            octets: 2,
            sent: 1,
            paused: None,
        };
        let all = [
            Reason::Sending(None),
            Reason::Paused {
                progress,
                cause: MessageId::from_bits(2),
                took: Duration::ZERO,
            },
            Reason::Next,
            Reason::InLine,
            Reason::VeryHighFirst,
            Reason::RelayFull(1),
            Reason::NextHopFull(1),
            Reason::NextHopPaced(at),
            Reason::NextHopCrowded(at),
            Reason::NextHopUnreachable(at),
            Reason::Scheduled,
            Reason::Deferred,
            Reason::Stopped("user app".to_owned()),
            Reason::Held,
        ];
        let named = all.iter().map(|reason| {
            let name = serde_json::to_value(ReasonName::from(reason)).unwrap();
            assert_eq!(name, reason.name());
            reason.name()
        });
        assert!(named.eq(Reason::NAMES));
    }

    #[test]
    fn what_is_paused_says_for_which_message_and_how_far_it_has_come() {
        let delivery = Delivery {
            id: DeliveryId {
                message: MessageId::from_bits(1),
                number: 0,
            },
            next_hop: NextHop::Domain("b.example".into()),
            recipients: vec![0],
            attempts: 0,
            due: Timestamp::EPOCH,
            sequence: 0,
            state: DeliveryState::Waiting,
            delay_reported: false,
            lateness_reported: false,
            moved_from: None,
            changed: None,
            last_reply: String::new(),
        };
        let cause = MessageId::from_bits(2);
        let standing = Standing {
            place: None,
            reason: Reason::Paused {
                progress: Progress {
                    delivery: delivery.id,
                    class: Class::Normal,
                    octets: 100,
                    sent: 12,
                    paused: None,
                },
                cause,
                took: Duration::from_millis(3_210),
            },
            estimate: Some(Duration::ZERO),
        };
        let activity = Activity::Active;
        let document = shown(
            Some(&standing),
            &delivery,
            Class::VeryHigh,
            activity,
            Timestamp::EPOCH,
        );
        assert_eq!(
            serde_json::to_value(document).unwrap(),
            serde_json::json!({
                "position": null, "ahead": null, "reason": "paused",
                "paused": { "since_ms": 3210, "cause": cause.to_string() },
                "attempt_class": 3, "octets_sent": 12, "estimate_seconds": 0,
                "standing": format!("paused for very-high message {cause} for 3.2 s, 12 % sent; sent in class 3 \
                    (normal), in class 1 (very high) from its next attempt on"),
            })
        );
        // Before its content has begun there is nothing to count.
        let begun = Standing {
            place: None,
            reason: Reason::Sending(Some(Progress {
                delivery: delivery.id,
                class: Class::Normal,
                octets: 100,
                sent: 0,
                paused: None,
            })),
            estimate: Some(Duration::ZERO),
        };
        let begun = shown(
            Some(&begun),
            &delivery,
            Class::Normal,
            activity,
            Timestamp::EPOCH,
        );
        assert_eq!(
            (begun.octets_sent, begun.standing.as_str()),
            (None, "being delivered")
        );
        // Where the queue does not say, the delivery says what it can.
        let unknown = shown(None, &delivery, Class::Normal, activity, Timestamp::EPOCH);
        assert_eq!(unknown.standing, "being delivered");
        assert_eq!((unknown.reason, unknown.position), (None, None));
    }
}
