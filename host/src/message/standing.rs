//! Why a delivery is where it is: its place in the line, what it waits for, and how long that may take.
//!
//! Worded here for all surfaces. What decides over the order is known to the queue alone; here is what it says.

use std::fmt::Write as _;
use std::time::Duration;

use super::wording::{self, Activity};
use super::{Class, Delivery, DeliveryId, MessageId, Timestamp};

/// How far a delivery that is under way has come with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The class that it is sent in: that of its message when the attempt began.
    pub class: Class,
    /// Octets of the content.
    pub octets: u64,
    /// Octets of it that have been sent.
    pub sent: u64,
    /// For how long it has been paused, and for which very-high message, if it is paused.
    pub paused: Option<(Duration, MessageId)>,
}

/// Where a delivery stands, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its place among those that wait; none for one that does not, or where that is too far behind to be counted.
    pub place: Option<PlaceInLine>,
    /// What it waits for.
    pub reason: Reason,
    /// How long until it is started, as far as can be said.
    pub estimate: Option<Duration>,
}

/// Which deliveries are meant by where they stand. Everything given must match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedStanding {
    /// It starts within that time. One that has no estimate is not meant.
    pub estimate_max: Option<Duration>,
    /// Only what is paused at this moment.
    pub only_paused: bool,
}

impl WantedStanding {
    /// Whether a delivery that stands so is meant.
    pub fn matches(self, standing: &Standing) -> bool {
        let is_soon = |max| standing.estimate.is_some_and(|estimate| estimate <= max);
        let is_paused = matches!(standing.reason, Reason::Paused { .. });
        self.estimate_max.is_none_or(is_soon) && (is_paused || !self.only_paused)
    }
}

/// The place of a delivery among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceInLine {
    /// Its class.
    pub class: Class,
    /// How many of each class start before it; index 0 is class 1.
    pub ahead: [u64; Class::ALL.len()],
}

/// What a delivery waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing: it is being delivered. None where nothing is known of how far it has come.
    Sending(Option<Progress>),
    /// For a very-high message to be sent: it is being delivered, and is paused.
    Paused {
        /// How far it has come.
        progress: Progress,
        /// That message.
        cause: MessageId,
        /// For how long.
        took: Duration,
    },
    /// Nothing: it is the next to start.
    Next,
    /// For those that are ahead of it.
    InLine,
    /// For very-high mail to be sent: nothing below very high starts meanwhile.
    VeryHighFirst,
    /// For one of so many that are under way to end: there may be no more.
    RelayFull(usize),
    /// For one of so many that are under way to its next hop to end: there may be no more.
    NextHopFull(usize),
    /// For the time until which no other one may start to its next hop.
    NextHopPaced(Timestamp),
    /// For room at the host of its next hop, until then.
    NextHopCrowded(Timestamp),
    /// For its next hop to be reached, which is tried again then.
    NextHopUnreachable(Timestamp),
    /// For its time.
    Scheduled,
    /// For its next try.
    Deferred,
    /// For an operator to start what he has stopped: this.
    Stopped(String),
    /// For an operator.
    Held,
}

impl Reason {
    /// All names.
    pub const NAMES: [&'static str; 14] = [
        "sending",
        "paused",
        "next",
        "in-line",
        "very-high-first",
        "relay-full",
        "next-hop-full",
        "next-hop-paced",
        "next-hop-crowded",
        "next-hop-unreachable",
        "scheduled",
        "deferred",
        "stopped",
        "held",
    ];

    /// Its name on every surface.
    pub fn name(&self) -> &'static str {
        let number = match self {
            Self::Sending(_) => 0,
            Self::Paused { .. } => 1,
            Self::Next => 2,
            Self::InLine => 3,
            Self::VeryHighFirst => 4,
            Self::RelayFull(_) => 5,
            Self::NextHopFull(_) => 6,
            Self::NextHopPaced(_) => 7,
            Self::NextHopCrowded(_) => 8,
            Self::NextHopUnreachable(_) => 9,
            Self::Scheduled => 10,
            Self::Deferred => 11,
            Self::Stopped(_) => 12,
            Self::Held => 13,
        };
        Self::NAMES[number]
    }

    fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Sending(progress) => progress.as_ref(),
            Self::Paused { progress, .. } => Some(progress),
            _ => None,
        }
    }

    /// Octets of the content that have been sent; none before the first one.
    pub fn octets_sent(&self) -> Option<u64> {
        let sent = self.progress()?.sent;
        (sent > 0).then_some(sent)
    }

    /// The class that it is sent in, where that is not the one that its message has: an operator has given it another one,
    /// which counts from its next attempt on.
    pub fn attempt_class(&self, class: Class) -> Option<Class> {
        let sent_in = self.progress()?.class;
        (sent_in != class).then_some(sent_in)
    }
}

impl PlaceInLine {
    /// The first one has number 1.
    pub fn number(&self) -> u64 {
        self.ahead.iter().sum::<u64>() + 1
    }
}

impl Progress {
    /// How much of the content has been sent, in whole percent.
    pub fn percent(&self) -> u64 {
        match self.octets {
            0 => 0,
            octets => self.sent.min(octets).saturating_mul(100) / octets,
        }
    }
}

impl Standing {
    /// Why the delivery, of a message of that class, is where it is, in words.
    pub fn text(&self, delivery: &Delivery, class: Class, now: Timestamp) -> String {
        let mut text = self.reason_text(delivery, now);
        if let Some(sent_in) = self.reason.attempt_class(class) {
            write!(
                text,
                "; sent in class {}, in class {} from its next attempt on",
                wording::class_text(sent_in),
                wording::class_text(class)
            )
            .expect("writing to a string does not fail");
        }
        text
    }

    fn reason_text(&self, delivery: &Delivery, now: Timestamp) -> String {
        match &self.reason {
            Reason::Sending(Some(progress)) if progress.sent > 0 => format!(
                "being delivered: {} % sent{}",
                progress.percent(),
                wording::meanwhile(delivery, now)
            ),
            Reason::Sending(_) => wording::why(delivery, Activity::Active, now),
            Reason::Paused {
                progress,
                cause,
                took,
            } => format!(
                "paused for very-high message {cause} for {:.1} s, {} % sent{}",
                took.as_secs_f64(),
                progress.percent(),
                wording::meanwhile(delivery, now)
            ),
            Reason::Next => "next".to_owned(),
            Reason::InLine => self.place_text(),
            Reason::VeryHighFirst => self.with_place("waits while very-high mail is being sent"),
            Reason::RelayFull(most) => self.with_place(&format!(
                "as many deliveries are under way as may be ({most})"
            )),
            Reason::NextHopFull(most) => self.with_place(&format!(
                "its next hop has as many deliveries under way as it may ({most})"
            )),
            Reason::NextHopPaced(until) => self.with_place(&format!(
                "deliveries to its next hop start one after the other, this one not before {until}"
            )),
            Reason::NextHopCrowded(until) => self.with_place(&format!(
                "there was no room at the host of its next hop, tried again at {until}"
            )),
            Reason::NextHopUnreachable(until) => self.with_place(&format!(
                "the next hop cannot be reached, tried again at {until}"
            )),
            Reason::Stopped(stop) => wording::why(delivery, Activity::Stopped(stop), now),
            Reason::Scheduled | Reason::Deferred | Reason::Held => {
                wording::why(delivery, Activity::Resting, now)
            }
        }
    }

    fn with_place(&self, reason: &str) -> String {
        match self.place {
            Some(place) => format!("{reason}; number {} in line", place.number()),
            None => reason.to_owned(),
        }
    }

    /// `number 17 in line: 12 of more urgent classes are ahead, 4 of its class`
    fn place_text(&self) -> String {
        let Some(place) = self.place else {
            return "due, far behind in line".to_owned();
        };
        let own = usize::from(place.class.number() - 1);
        let (above, rest) = place.ahead.split_at(own);
        let below: u64 = rest.iter().skip(1).sum();
        let counts = [
            (above.iter().sum::<u64>(), "of more urgent classes"),
            (rest.first().copied().unwrap_or(0), "of its class"),
            (below, "of less urgent classes, by their shares"),
        ];
        let mut text = format!("number {} in line", place.number());
        let told = counts.into_iter().filter(|(count, _)| *count > 0);
        for (index, (count, of)) in told.enumerate() {
            let written = match (index, count) {
                (0, 1) => write!(text, ": 1 {of} is ahead"),
                (0, _) => write!(text, ": {count} {of} are ahead"),
                _ => write!(text, ", {count} {of}"),
            };
            written.expect("writing to a string does not fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Cancelled, DeliveryState, NextHop};

    const AT: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_123);

    fn delivery() -> Delivery {
        Delivery {
            id: DeliveryId {
                message: MessageId::from_bits(0),
                number: 0,
            },
            next_hop: NextHop::Domain("b.example".into()),
            recipients: vec![0],
            attempts: 2,
            due: AT.plus(Duration::from_secs(60)),
            sequence: 0,
            state: DeliveryState::Waiting,
            delay_reported: false,
            lateness_reported: false,
            moved_from: None,
            changed: None,
            last_reply: "450 4.7.1 later".to_owned(),
        }
    }

    fn progress() -> Progress {
        Progress {
            delivery: delivery().id,
            class: Class::Normal,
            octets: 1_000,
            sent: 429,
            paused: None,
        }
    }

    #[test]
    fn what_is_under_way_says_that_it_was_cancelled() {
        let until = AT.plus(Duration::from_millis(1));
        let cancelled = Delivery {
            state: DeliveryState::Cancelled(Cancelled {
                until,
                was_held: false,
            }),
            ..delivery()
        };
        for reason in [Reason::Sending(None), Reason::Sending(Some(progress()))] {
            let standing = Standing {
                place: None,
                reason,
                estimate: None,
            };
            let said = standing.text(&delivery(), Class::Normal, AT);
            for (now, remains) in [
                (AT, format!("can be restored until {until}")),
                (until, "goes when the attempt ends".to_owned()),
            ] {
                assert_eq!(
                    standing.text(&cancelled, Class::Normal, now),
                    format!(
                        "{said}; cancelled by an operator meanwhile, what remains of it {remains}"
                    )
                );
            }
        }
    }

    #[test]
    fn what_is_under_way_says_what_was_done_to_it_and_that_it_goes_on_as_it_began() {
        let later = AT.plus(Duration::from_secs(60));
        let waiting = Delivery {
            due: AT,
            ..delivery()
        };
        let held = Delivery {
            state: DeliveryState::Held,
            ..waiting.clone()
        };
        let moved = Delivery {
            moved_from: Some(AT),
            due: later,
            ..waiting.clone()
        };
        let moved_to_now = Delivery {
            moved_from: Some(later),
            ..waiting.clone()
        };
        let sent = "being delivered: 42 % sent";
        let paused = "paused for very-high message 00000000000000000000000000 for 1.0 s, 42 % sent";
        let reasons = [
            (Reason::Sending(Some(progress())), sent),
            (
                Reason::Paused {
                    progress: progress(),
                    cause: MessageId::from_bits(0),
                    took: Duration::from_secs(1),
                },
                paused,
            ),
            (Reason::Sending(None), "being delivered"),
        ];
        let changes = [
            (&waiting, String::new()),
            (&moved_to_now, String::new()),
            (
                &held,
                "; held by an operator meanwhile, what remains of it stays back".to_owned(),
            ),
            (
                &moved,
                format!("; moved by an operator meanwhile, what remains of it waits until {later}"),
            ),
        ];
        for (reason, text) in reasons {
            let standing = Standing {
                place: None,
                reason,
                estimate: None,
            };
            for (delivery, change) in &changes {
                let said = format!("{text}{change}");
                assert_eq!(standing.text(delivery, Class::Normal, AT), said);
                let class = match standing.reason {
                    Reason::Sending(None) => "",
                    _ => {
                        "; sent in class 3 (normal), in class 1 (very high) from its next attempt on"
                    }
                };
                let said = format!("{said}{class}");
                assert_eq!(standing.text(delivery, Class::VeryHigh, AT), said);
            }
        }
    }

    #[test]
    fn every_reason_is_told_in_words_and_by_name() {
        let none = [0; 5];
        let cases = [
            (Reason::Sending(None), none, "being delivered"),
            (
                Reason::Sending(Some(progress())),
                none,
                "being delivered: 42 % sent",
            ),
            (
                Reason::Sending(Some(Progress {
                    sent: 0,
                    ..progress()
                })),
                none,
                "being delivered",
            ),
            (
                Reason::Paused {
                    progress: progress(),
                    cause: MessageId::from_bits(0),
                    took: Duration::from_millis(3_210),
                },
                none,
                "paused for very-high message 00000000000000000000000000 for 3.2 s, 42 % sent",
            ),
            (Reason::Next, none, "next"),
            (
                Reason::InLine,
                [7, 5, 4, 0, 0],
                "number 17 in line: 12 of more urgent classes are ahead, 4 of its class",
            ),
            (
                Reason::InLine,
                [0, 0, 1, 2, 0],
                "number 4 in line: 1 of its class is ahead, 2 of less urgent classes, by their shares",
            ),
            (
                Reason::VeryHighFirst,
                [1, 0, 0, 0, 0],
                "waits while very-high mail is being sent; number 2 in line",
            ),
            (
                Reason::RelayFull(450),
                none,
                "as many deliveries are under way as may be (450); number 1 in line",
            ),
            (
                Reason::NextHopFull(18),
                none,
                "its next hop has as many deliveries under way as it may (18); number 1 in line",
            ),
            (
                Reason::NextHopPaced(AT),
                none,
                "deliveries to its next hop start one after the other, this one not before \
                 2023-11-14T22:13:20.123Z; number 1 in line",
            ),
            (
                Reason::NextHopCrowded(AT),
                none,
                "there was no room at the host of its next hop, tried again at 2023-11-14T22:13:20.123Z; \
                 number 1 in line",
            ),
            (
                Reason::NextHopUnreachable(AT),
                none,
                "the next hop cannot be reached, tried again at 2023-11-14T22:13:20.123Z; number 1 in line",
            ),
            (
                Reason::Deferred,
                none,
                "deferred after 2 attempts, tried again at 2023-11-14T22:14:20.123Z; last reply: 450 4.7.1 later",
            ),
        ];
        for (reason, ahead, text) in cases {
            assert!(Reason::NAMES.contains(&reason.name()));
            let class = Class::Normal;
            let standing = Standing {
                place: Some(PlaceInLine { class, ahead }),
                reason,
                estimate: None,
            };
            assert_eq!(standing.text(&delivery(), Class::Normal, AT), text);
        }
        let held = Delivery {
            state: DeliveryState::Held,
            ..delivery()
        };
        let standing = Standing {
            place: None,
            reason: Reason::Held,
            estimate: None,
        };
        assert_eq!(
            standing.text(&held, Class::Normal, AT),
            "held by an operator, goes on when it is released"
        );
    }

    #[test]
    fn what_starts_too_late_or_is_not_paused_is_not_meant() {
        let standing = |reason, seconds: Option<u64>| Standing {
            place: None,
            reason,
            estimate: seconds.map(Duration::from_secs),
        };
        let paused = Reason::Paused {
            progress: progress(),
            cause: MessageId::from_bits(1),
            took: Duration::ZERO,
        };
        let all = WantedStanding::default();
        let soon = WantedStanding {
            estimate_max: Some(Duration::from_secs(5)),
            ..all
        };
        let only_paused = WantedStanding {
            only_paused: true,
            ..all
        };
        for (standing, expected) in [
            (standing(Reason::Next, None), [true, false, false]),
            (standing(Reason::Next, Some(5)), [true, true, false]),
            (standing(Reason::Next, Some(6)), [true, false, false]),
            (
                standing(Reason::Sending(None), Some(0)),
                [true, true, false],
            ),
            (standing(paused, Some(0)), [true, true, true]),
        ] {
            let found = [all, soon, only_paused].map(|wanted| wanted.matches(&standing));
            assert_eq!(found, expected, "{standing:?}");
        }
    }

    #[test]
    fn more_is_never_sent_than_there_is() {
        let all = Progress {
            sent: 2_000,
            ..progress()
        };
        assert_eq!(all.percent(), 100);
        let nothing = Progress {
            octets: 0,
            ..progress()
        };
        assert_eq!(nothing.percent(), 0);
    }
}
