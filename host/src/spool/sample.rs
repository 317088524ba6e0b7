//! Messages for tests.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use outpost_smtp::{
    Body, ByMode, EnhancedStatus, Hold, Mailbox, Notify, Orcpt, Reply, Ret, ReversePath,
};

use crate::message::{
    Address, Class, DeliverBy, Demotion, Dialogue, Envelope, Event, Line, Message, MessageId,
    NextHop, Origin, Party, PauseEnd, Priorities, Protocol, Recipient, RemoteHost, Scribe,
    Submission, Timestamp, TlsParameters, TrailEntry, Transcript,
};

use super::{Content, Intake, NamedIn, NewDelivery, NewMessage, Refusal, Spool, SpoolError};

pub(super) fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(milliseconds)
}

pub(super) fn id(number: u64) -> MessageId {
    MessageId::new(at(number), u128::from(number))
}

pub(super) fn domain(name: &str) -> NextHop {
    NextHop::Domain(name.into())
}

pub(super) fn mailbox(local: &str, domain: &str) -> Mailbox {
    Mailbox {
        local: local.to_owned(),
        domain: domain.to_owned(),
    }
}

/// A message with one recipient in each of these domains.
pub(super) fn message(number: u64, user: &str, class: Class, domains: &[&str]) -> Message {
    Message {
        id: id(number),
        origin: Origin::Submission(Submission {
            list: "default".to_owned(),
            user: user.to_owned(),
            client: "192.0.2.1:40000".parse().unwrap(),
            listener_port: 587,
            protocol: Protocol::Smtp,
            ehlo: "client.example".to_owned(),
            mechanism: "PLAIN".to_owned(),
            tls: Some(TlsParameters {
                version: "TLSv1.3".to_owned(),
                cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
            }),
        }),
        envelope: Envelope {
            reverse_path: ReversePath::Mailbox(mailbox("me", "sender.example")),
            recipients: domains
                .iter()
                .map(|domain| Recipient {
                    mailbox: mailbox("you", domain),
                    notify: None,
                    orcpt: None,
                })
                .collect(),
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            mt_priority: None,
            deliver_by: None,
            hold: None,
            require_tls: false,
        },
        class,
        priorities: Priorities {
            user: Class::Normal,
            message: None,
        },
        accepted: at(number),
        deliver_until: None,
        scheduled: None,
        content_octets: 0,
        eight_bit: false,
        subject: format!("message {number}"),
        campaign: None,
    }
}

/// A message in which everything is said that can be said.
pub(super) fn full_message(number: u64) -> Message {
    let mut message = message(number, "üser\0", Class::High, &["a.example", "b.example"]);
    message.envelope.body = Body::EightBitMime;
    message.envelope.smtputf8 = true;
    message.envelope.ret = Some(Ret::Full);
    message.envelope.envid = Some("envelope 1".to_owned());
    message.envelope.recipients[1].notify = Some(Notify {
        never: false,
        success: true,
        failure: true,
        delay: false,
    });
    message.envelope.recipients[1].orcpt = Some(Orcpt {
        address_type: "rfc822".to_owned(),
        address: "first@b.example".to_owned(),
    });
    message.priorities.message = Some(Class::High);
    message.envelope.mt_priority = Some(-3);
    message.envelope.deliver_by = Some(DeliverBy {
        until: at(9),
        mode: ByMode::Return,
        trace: true,
    });
    message.envelope.require_tls = true;
    message.envelope.hold = Some(Hold::For(Duration::from_secs(4)));
    message.scheduled = Some(at(5));
    message.eight_bit = true;
    message.subject = "Grüße".to_owned();
    message.campaign = Some("Frühling".to_owned());
    message
}

pub(super) fn reply(code: u16) -> Reply {
    Reply {
        code,
        enhanced: Some(EnhancedStatus {
            class: 4,
            subject: 2,
            detail: 1,
        }),
        text: "try\nlater".to_owned(),
    }
}

/// One of each event.
pub(super) fn trail() -> Vec<TrailEntry> {
    let host = RemoteHost {
        name: "mx.a.example".to_owned(),
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
        port: 25,
        tls: None,
        dsn: true,
        deliver_by: false,
    };
    let events = vec![
        Event::Decided {
            component: "effective-priority".to_owned(),
            digest: "0f".repeat(32),
            question: "priority".to_owned(),
            answer: "class 2".to_owned(),
            reasons: vec![("x-priority".to_owned(), "2".to_owned())],
            took: Duration::from_micros(31),
        },
        Event::Accepted { class: Class::High },
        Event::MalformedPriority {
            carrier: "X-Priority".to_owned(),
        },
        Event::Attempted {
            next_hop: domain("a.example"),
            host: Some(host),
            took: Duration::from_millis(7),
            recipients: vec![("you@a.example".to_owned(), "deferred", reply(451))],
            unknown: true,
        },
        Event::Deferred {
            next_hop: NextHop::Smarthost("127.0.0.1:2500".into()),
            until: at(77),
        },
        Event::Interrupted {
            next_hop: domain("a.example"),
        },
        Event::Expired {
            next_hop: domain("b.example"),
        },
        Event::Reported {
            report: "failure",
            id: id(9),
        },
        Event::Unreported { report: "failure" },
        Event::Operated {
            action: "held".to_owned(),
            by: "ops".to_owned(),
            during_attempt: false,
        },
        Event::Operated {
            action: "class 1".to_owned(),
            by: "ops".to_owned(),
            during_attempt: true,
        },
        Event::Cancelled {
            by: "ops".to_owned(),
            during_attempt: true,
            until: Some(at(99)),
        },
        Event::Removed { for_room: true },
        Event::Rescheduled {
            by: "ops".to_owned(),
            until: at(98),
            during_attempt: true,
        },
        Event::UntrustedPriority {
            carrier: "Importance".to_owned(),
        },
        Event::Demoted {
            from: Class::VeryHigh,
            to: Class::High,
            reason: Demotion::Budget,
        },
        Event::Scheduled {
            until: at(99),
            carrier: "HOLDFOR".to_owned(),
        },
        Event::MalformedSchedule {
            carrier: "X-SMTPAPI".to_owned(),
        },
        Event::Overruled {
            carrier: "Importance".to_owned(),
            asked: "class 4 (low)".to_owned(),
            by: "X-Priority".to_owned(),
        },
        Event::Late {
            next_hop: domain("a.example"),
            is_returned: true,
        },
        Event::Reported {
            report: "relay",
            id: id(8),
        },
        Event::Rerouted {
            from: domain("a.example"),
            to: vec![
                (domain("b.example"), 2),
                (NextHop::Smarthost("hub.example:25".into()), 1),
            ],
        },
        paused(0),
        paused(3),
        Event::Dialogue(Dialogue {
            with: Party::Host {
                next_hop: domain("a.example"),
                name: "mx.a.example".to_owned(),
                address: "192.0.2.1:25".parse().unwrap(),
            },
            is_continued: true,
            transcript: transcript(),
        }),
        Event::Dialogue(Dialogue {
            with: Party::Client,
            is_continued: false,
            transcript: transcript(),
        }),
    ];
    events
        .into_iter()
        .zip(1..)
        .map(|(event, second)| TrailEntry {
            at: at(second * 1_000),
            event,
        })
        .collect()
}

/// A dialogue in which something is refused.
fn paused(others: u32) -> Event {
    Event::Paused {
        next_hop: domain("a.example"),
        cause: id(3),
        others,
        times: 2,
        took: Duration::from_millis(1_234),
        end: PauseEnd::Ceiling,
    }
}

fn transcript() -> Transcript {
    let mut scribe = Scribe::default();
    let after = Duration::from_millis(300);
    scribe.command(after, "MAIL FROM:<ü@a.example> SMTPUTF8".as_bytes());
    scribe.reply(after, b"550-5.6.7 No\r\n550 5.6.7 Never", true);
    scribe.transcript()
}

/// What [`trail`] begins with.
pub(super) fn accepted(message: &Message) -> TrailEntry {
    TrailEntry {
        at: message.accepted,
        event: Event::Accepted {
            class: message.class,
        },
    }
}

/// One delivery for each recipient's domain, due at once.
pub(super) fn new_message(message: Message) -> NewMessage {
    let due = message.accepted;
    let recipients = message.envelope.recipients.iter().zip(0..);
    NewMessage {
        deliveries: recipients
            .map(|(recipient, index)| {
                NewDelivery::first(domain(&recipient.mailbox.domain), vec![index], due)
            })
            .collect(),
        trail: vec![accepted(&message)],
        message,
    }
}

/// A user is refused a sender, at that moment.
pub(super) fn refusal(user: &str, sender: &str, milliseconds: u64) -> Refusal {
    let address = |(local, domain): (&str, &str)| Address::new(local, domain).unwrap();
    Refusal {
        list: "default".to_owned(),
        user: user.to_owned(),
        sender: sender.rsplit_once('@').map(address),
        named_in: NamedIn::Envelope,
        count: 1,
        first: at(milliseconds),
        last: at(milliseconds),
        clients: vec![[192, 0, 2, 1].into()],
        reasons: vec!["not-authorized: no".to_owned()],
    }
}

/// The line of a delivery to a domain.
pub(super) fn line(name: &str, class: Class, user: &str) -> Line {
    Line {
        next_hop: domain(name),
        class,
        user: user.into(),
    }
}

/// Takes a content in, in pieces of the size that a session reads.
pub(super) async fn intake(
    spool: &dyn Spool,
    content: &[u8],
) -> Result<Box<dyn Intake>, SpoolError> {
    let mut intake = spool.intake(Some(content.len() as u64))?;
    for piece in content.chunks(16 << 10) {
        intake.write(piece).await?;
    }
    assert_eq!(intake.octets(), content.len() as u64);
    Ok(intake)
}

/// Enqueues a message with a content.
pub(super) async fn enqueue(
    spool: &dyn Spool,
    mut new: NewMessage,
    content: &[u8],
) -> Result<(), SpoolError> {
    new.message.content_octets = content.len() as u64;
    let intake = intake(spool, content).await?;
    spool.enqueue(new, intake).await
}

/// All of a content.
pub(super) async fn gather(mut content: Box<dyn Content>) -> Result<Vec<u8>, SpoolError> {
    let mut octets = Vec::new();
    while let Some(piece) = content.next().await? {
        assert!(!piece.is_empty() && piece.len() <= super::PIECE_OCTETS_MAX);
        octets.extend_from_slice(&piece);
    }
    Ok(octets)
}

/// Octets that differ from place to place.
pub(super) fn octets(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index.wrapping_mul(31) ^ (index >> 8)) as u8)
        .collect()
}
