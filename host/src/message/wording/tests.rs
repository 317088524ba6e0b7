//! One text per event and per standing.

use super::*;
use crate::message::{DeliveryId, MessageId, NextHop};

const AT: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_123);

fn delivery() -> Delivery {
    Delivery {
        id: DeliveryId {
            message: MessageId::from_bits(0),
            number: 0,
        },
        next_hop: NextHop::Domain("b.example".into()),
        recipients: vec![0, 1],
        attempts: 0,
        due: AT,
        sequence: 0,
        state: DeliveryState::Waiting,
        delay_reported: false,
        lateness_reported: false,
        moved_from: None,
        changed: None,
        last_reply: String::new(),
    }
}

#[test]
fn every_event_reads_as_one_line() {
    let lane = || NextHop::Smarthost("127.0.0.1:2500".into());
    let host = || RemoteHost {
        name: "mx1.b.example".to_owned(),
        address: "192.0.2.1".parse().unwrap(),
        port: 25,
        tls: Some(TlsParameters {
            version: "TLSv1.3".into(),
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
        }),
        dsn: true,
        deliver_by: false,
    };
    let cases = [
        (
            Event::Decided {
                component: "authorized-senders".into(),
                digest: "3f2a91b0c4d5e6f7".into(),
                question: "sender".into(),
                answer: "permit".into(),
                reasons: vec![
                    ("domain".into(), "a.example".into()),
                    ("listed".into(), String::new()),
                ],
                took: Duration::from_micros(212),
            },
            "authorized-senders (3f2a91b0c4d5) was asked about the sender and said permit in 212 µs: \
             domain (a.example); listed",
        ),
        (
            Event::Accepted {
                class: Class::VeryHigh,
            },
            "accepted in class 1 (very high)",
        ),
        (
            Event::UntrustedPriority {
                carrier: "X-Priority".into(),
            },
            "X-Priority does not count for this user",
        ),
        (
            Event::Demoted {
                from: Class::High,
                to: Class::Low,
                reason: Demotion::Ceiling,
            },
            "class 2 (high) is above the ceiling of this user: class 4 (low) is used",
        ),
        (
            Event::Demoted {
                from: Class::VeryHigh,
                to: Class::High,
                reason: Demotion::Budget,
            },
            "this user has no very-high messages left for now: class 2 (high) is used",
        ),
        (
            Event::Demoted {
                from: Class::VeryHigh,
                to: Class::High,
                reason: Demotion::Uncounted,
            },
            "the very-high messages of this user could not be counted: class 2 (high) is used",
        ),
        (
            Event::MalformedPriority {
                carrier: "X-Priority".into(),
            },
            "X-Priority is malformed and did not count",
        ),
        (
            Event::Attempted {
                next_hop: lane(),
                host: Some(host()),
                took: Duration::from_millis(1_250),
                recipients: vec![
                    (
                        "x@b.example".into(),
                        "delivered",
                        Reply::new(250, (2, 0, 0), "queued as 1"),
                    ),
                    (
                        "y@b.example".into(),
                        "deferred",
                        Reply::new(450, (4, 7, 1), "come\nback"),
                    ),
                ],
                unknown: false,
            },
            "attempt to smarthost 127.0.0.1:2500 at mx1.b.example [192.0.2.1]:25, \
             TLSv1.3 TLS13_AES_256_GCM_SHA384, took 1.2 s: \
             x@b.example delivered (250 2.0.0 queued as 1); y@b.example deferred (450 4.7.1 come back)",
        ),
        (
            Event::Attempted {
                next_hop: lane(),
                host: None,
                took: Duration::from_millis(20),
                recipients: Vec::new(),
                unknown: true,
            },
            "attempt to smarthost 127.0.0.1:2500, no host could be reached, took 20.0 ms; the connection \
             broke after the final dot, so a later attempt may deliver twice",
        ),
        (
            Event::Deferred {
                next_hop: lane(),
                until: AT,
            },
            "deferred: smarthost 127.0.0.1:2500 is tried again at 2023-11-14T22:13:20.123Z",
        ),
        (
            Event::Paused {
                next_hop: lane(),
                cause: MessageId::from_bits(0),
                others: 0,
                times: 1,
                took: Duration::from_millis(12_340),
                end: PauseEnd::Resumed,
            },
            "sending to smarthost 127.0.0.1:2500 was paused for 12.3 s by very-high message \
             00000000000000000000000000, and went on at the same octet",
        ),
        (
            Event::Paused {
                next_hop: lane(),
                cause: MessageId::from_bits(0),
                others: 2,
                times: 31,
                took: Duration::from_millis(60_000),
                end: PauseEnd::Ceiling,
            },
            "sending to smarthost 127.0.0.1:2500 was paused 31 more times, for 60.0 s in all, the last time \
             by very-high message 00000000000000000000000000 and 2 others; it went on when the ceiling of pauses was reached",
        ),
        (
            Event::Paused {
                next_hop: lane(),
                cause: MessageId::from_bits(0),
                others: 1,
                times: 1,
                took: Duration::from_millis(1_200),
                end: PauseEnd::Finished,
            },
            "sending to smarthost 127.0.0.1:2500 was paused for 1.2 s by very-high message \
             00000000000000000000000000 and another one, and trickled to its end meanwhile",
        ),
        (
            Event::Paused {
                next_hop: lane(),
                cause: MessageId::from_bits(0),
                others: 0,
                times: 1,
                took: Duration::from_micros(19),
                end: PauseEnd::Resumed,
            },
            "sending to smarthost 127.0.0.1:2500 was paused for less than 1 ms by very-high message \
             00000000000000000000000000, and went on at the same octet",
        ),
        (
            Event::Interrupted { next_hop: lane() },
            "the relay had ended without being told to, perhaps in the middle of an attempt: smarthost 127.0.0.1:2500 may get it twice",
        ),
        (
            Event::Expired { next_hop: lane() },
            "expired: smarthost 127.0.0.1:2500 did not take it within the time allowed",
        ),
        (
            Event::Reported {
                report: "failure",
                id: MessageId::from_bits(0),
            },
            "a failure report was written to the sender: message 00000000000000000000000000",
        ),
        (
            Event::Operated {
                action: "held".into(),
                by: "admin".into(),
                during_attempt: false,
            },
            "held by admin",
        ),
        (
            Event::Operated {
                action: "held".into(),
                by: "admin".into(),
                during_attempt: true,
            },
            "held by admin, during an attempt: what remains of it stays back",
        ),
        (
            Event::Operated {
                action: "released".into(),
                by: "admin".into(),
                during_attempt: true,
            },
            "released by admin, during an attempt",
        ),
        (
            Event::Operated {
                action: "retried".into(),
                by: "admin".into(),
                during_attempt: true,
            },
            "retried by admin, during an attempt: what remains of it is tried again at once",
        ),
        (
            Event::Operated {
                action: "class 1".into(),
                by: "admin".into(),
                during_attempt: true,
            },
            "moved to class 1 by admin, during an attempt, which goes on in the class that it began in",
        ),
        (
            Event::Operated {
                action: "class 2".into(),
                by: "admin".into(),
                during_attempt: false,
            },
            "moved to class 2 by admin",
        ),
        (
            Event::Cancelled {
                by: "admin".into(),
                during_attempt: false,
                until: Some(AT),
            },
            "cancelled by admin; can be restored until 2023-11-14T22:13:20.123Z",
        ),
        (
            Event::Cancelled {
                by: "admin".into(),
                during_attempt: true,
                until: None,
            },
            "cancelled by admin, during an attempt, which may have delivered it",
        ),
        (
            Event::Rescheduled {
                by: "admin".into(),
                until: AT,
                during_attempt: false,
            },
            "moved to 2023-11-14T22:13:20.123Z by admin",
        ),
        (
            Event::Rescheduled {
                by: "admin".into(),
                until: AT,
                during_attempt: true,
            },
            "moved to 2023-11-14T22:13:20.123Z by admin, during an attempt: what remains of it waits until then",
        ),
        (
            Event::Removed { for_room: false },
            "what was cancelled is removed for good: nobody restored it in time",
        ),
        (
            Event::Removed { for_room: true },
            "what was cancelled is removed for good, before its time: the disk had no room for new mail",
        ),
        (
            Event::Scheduled {
                until: AT,
                carrier: "HOLDFOR".into(),
            },
            "waits for its time: not to be sent before 2023-11-14T22:13:20.123Z, as HOLDFOR asks",
        ),
        (
            Event::MalformedSchedule {
                carrier: "X-SMTPAPI".into(),
            },
            "the schedule of X-SMTPAPI is malformed and did not count",
        ),
        (
            Event::Overruled {
                carrier: "X-Priority".into(),
                asked: "class 5 (very low)".into(),
                by: "MT-PRIORITY".into(),
            },
            "X-Priority asks for class 5 (very low), and MT-PRIORITY comes before it",
        ),
        (
            Event::Overruled {
                carrier: "X-Priority".into(),
                asked: "class 5 (very low)".into(),
                by: "X-Priority".into(),
            },
            "a later X-Priority asks for class 5 (very low), and only the first one counts",
        ),
        (
            Event::Late {
                next_hop: lane(),
                is_returned: true,
            },
            "late: it was not delivered to smarthost 127.0.0.1:2500 by the time that its sender gave; \
             its recipients bounced",
        ),
        (
            Event::Late {
                next_hop: lane(),
                is_returned: false,
            },
            "late: it was not delivered to smarthost 127.0.0.1:2500 by the time that its sender gave; \
             it is tried on",
        ),
        (
            Event::Rerouted {
                from: NextHop::Domain("b.example".into()),
                to: vec![(lane(), 2), (NextHop::Domain("c\u{1b}".into()), 1)],
            },
            "the routes lead elsewhere now: moved from b.example to smarthost 127.0.0.1:2500 (2 recipients), \
             c\u{fffd} (1 recipient)",
        ),
    ];
    for (event, line) in cases {
        assert_eq!(event.to_string(), line);
    }
}

#[test]
fn a_standing_says_why() {
    let later = AT.plus(Duration::from_secs(60));
    let cases = [
        (
            delivery(),
            Activity::Stopped("user app, by ops since then"),
            "due, waits for its turn; stopped, goes on when that is started: user app, by ops since then",
        ),
        (delivery(), Activity::Active, "being delivered"),
        (delivery(), Activity::Resting, "due, waits for its turn"),
        (
            Delivery {
                state: DeliveryState::Held,
                ..delivery()
            },
            Activity::Resting,
            "held by an operator, goes on when it is released",
        ),
        (
            Delivery {
                state: DeliveryState::Cancelled(Cancelled {
                    until: later,
                    was_held: true,
                }),
                ..delivery()
            },
            Activity::Resting,
            "cancelled by an operator, can be restored until 2023-11-14T22:14:20.123Z",
        ),
        (
            Delivery {
                state: DeliveryState::Cancelled(Cancelled {
                    until: AT,
                    was_held: false,
                }),
                ..delivery()
            },
            Activity::Resting,
            "cancelled by an operator, can be restored no more",
        ),
        (
            Delivery {
                due: later,
                ..delivery()
            },
            Activity::Resting,
            "waits for its time, 2023-11-14T22:14:20.123Z",
        ),
        (
            Delivery {
                due: later,
                attempts: 1,
                last_reply: "450 4.7.1 later".into(),
                ..delivery()
            },
            Activity::Resting,
            "deferred after 1 attempt, tried again at 2023-11-14T22:14:20.123Z; last reply: 450 4.7.1 later",
        ),
    ];
    for (delivery, activity, text) in cases {
        assert_eq!(why(&delivery, activity, AT), text);
        assert_eq!(what(&delivery), "2 recipients to b.example");
    }
}

#[test]
fn what_a_peer_said_cannot_steer_a_terminal() {
    let entry = TrailEntry {
        at: AT,
        event: Event::MalformedPriority {
            carrier: "\u{1b}[2J\r\n\u{202e}X".into(),
        },
    };
    assert_eq!(
        entry.to_string(),
        "2023-11-14T22:13:20.123Z  \u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}X is malformed and did not count"
    );
    let reply = Reply::new(550, (5, 1, 1), "\u{1b}[2Jgone\r\u{202e}");
    let text = reply_text(&reply);
    assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text}");
}
