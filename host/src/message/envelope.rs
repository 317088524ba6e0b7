//! The envelope: where a message comes from, where it goes, and which reports are wanted.

use std::time::Duration;

use outpost_smtp::{Body, By, ByMode, Hold, Mailbox, Notify, Orcpt, Ret, ReversePath};

use super::Timestamp;

/// The largest time that BY can say (RFC 2852 §4).
const SECONDS_MAX: i32 = 999_999_999;

/// What makes a second that has begun a whole one, in the milliseconds that times are counted in.
const ALMOST_A_SECOND: Duration = Duration::from_millis(999);

/// The envelope as it was accepted (RFC 5321 §2.3.1, RFC 3461).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where reports go; null for reports themselves.
    pub reverse_path: ReversePath,
    /// Everyone the message was accepted for, in the order of the RCPT commands. Deliveries name
    /// them by their index here.
    pub recipients: Vec<Recipient>,
    /// How the content was declared (RFC 6152).
    pub body: Body,
    /// Whether the next hop must offer SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// How much of the message a report returns (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// The sender's own name for this message in reports, decoded (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// The priority that MAIL asked for (RFC 6710), -9 to 9; 0 where it does not count for the user. [`Message::mt_priority`](super::Message::mt_priority) says
    /// what is handed on.
    pub mt_priority: Option<i8>,
    /// By when it was to be delivered (RFC 2852).
    pub deliver_by: Option<DeliverBy>,
    /// How MAIL wanted it to be held (RFC 4865). Until when it is, is said by the message.
    pub hold: Option<Hold>,
    /// Whether it goes on under TLS only, to hosts that are known for who they are (RFC 8689).
    pub require_tls: bool,
}

/// By when a message is to be delivered, and what follows when it is not (RFC 2852 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliverBy {
    /// The time.
    pub until: Timestamp,
    /// What follows.
    pub mode: ByMode,
    /// Whether the sender wants to hear of each relay that takes it on.
    pub trace: bool,
}

impl DeliverBy {
    /// From when on it is returned; never when its sender is only told.
    pub fn returned_at(&self) -> Option<Timestamp> {
        (self.mode == ByMode::Return).then_some(self.until)
    }

    /// Whether a delivery that is due then was moved behind the time at which it was to be returned: nothing but an
    /// operator makes one due so late, and he wants it tried.
    pub fn is_overruled(&self, due: Timestamp) -> bool {
        self.returned_at().is_some_and(|until| due > until)
    }

    /// What a next hop is told of it `now` (RFC 2852 §4.1.4): the seconds that are left, the one that has begun with
    /// them, or for how many it is late.
    pub fn left(&self, now: Timestamp) -> By {
        let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(SECONDS_MAX);
        let seconds = match self.until > now {
            true => seconds(self.until.since(now) + ALMOST_A_SECOND),
            false => -seconds(now.since(self.until)),
        };
        By {
            seconds: seconds.clamp(-SECONDS_MAX, SECONDS_MAX),
            mode: self.mode,
            trace: self.trace,
        }
    }
}

/// One accepted recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where to.
    pub mailbox: Mailbox,
    /// Which reports are wanted (RFC 3461 §4.1); none given means failure, and delay at our choice.
    pub notify: Option<Notify>,
    /// The recipient as its sender first knew it (RFC 3461 §4.2).
    pub orcpt: Option<Orcpt>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_hop_is_told_what_is_left_of_the_time() {
        let at = Timestamp::from_unix_milliseconds;
        let by = DeliverBy {
            until: at(10_000_000),
            mode: ByMode::Notify,
            trace: true,
        };
        for (now, left) in [
            (0, 10_000),
            (9_000_000, 1_000),
            (9_998_001, 2),
            (9_999_000, 1),
            (9_999_999, 1),
            (10_000_000, 0),
            (10_001_999, -1),
            (u64::MAX, -999_999_999),
        ] {
            assert_eq!(by.left(at(now)).seconds, left, "{now}");
        }
        assert_eq!(by.left(at(0)).to_string(), "10000;NT");
        assert_eq!(by.returned_at(), None);
        assert!(!by.is_overruled(at(u64::MAX)));
        let mode = ByMode::Return;
        let by = DeliverBy { mode, ..by };
        assert!(!by.is_overruled(by.until));
        assert!(by.is_overruled(by.until.plus(Duration::from_millis(1))));
    }
}
