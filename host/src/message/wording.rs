//! The wording of a message's story: one text per event and per standing, the same on every surface.
//!
//! The API, the command line and the console show these lines; nobody else words a trail. What
//! comes from a peer, a component or a client is made harmless here (see [`printable`]), because a
//! line may end on a terminal. Escaping for HTML is left to the page that shows it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::time::Duration;

use outpost_smtp::{Reply, ReversePath};

use super::{
    Class, Delivery, DeliveryState, Event, Message, Origin, PauseEnd, RemoteHost, Timestamp,
    TlsParameters, TrailEntry,
};

/// The text with everything replaced that could steer a terminal or turn the reading direction.
///
/// Control characters (C0, C1, line ends) and the directional formatting characters of Unicode
/// become U+FFFD.
pub fn printable(text: &str) -> Cow<'_, str> {
    fn steers(c: char) -> bool {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }
    if text.contains(steers) {
        Cow::Owned(text.replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The whole story of a message, a line each: how it came in, what happened to it, where it stands.
pub fn story(
    message: &Message,
    trail: &[TrailEntry],
    deliveries: &[(&Delivery, Activity)],
    finished: Option<Timestamp>,
    now: Timestamp,
) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", message.accepted, submitted(message))];
    lines.extend(trail.iter().map(TrailEntry::to_string));
    for (delivery, activity) in deliveries {
        lines.push(format!("{now}  {}", standing(delivery, *activity, now)));
    }
    if let Some(at) = finished {
        lines.push(format!("{at}  finished: nothing of it is left to deliver"));
    }
    lines
}

/// Whether an attempt is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It waits in its lane.
    Resting,
    /// It is being delivered.
    Active,
}

/// How a message came in.
pub fn submitted(message: &Message) -> String {
    match &message.origin {
        Origin::Submission(submission) => {
            let mut text = format!(
                "submitted by {} of list {} from {} to port {}, EHLO {}, login by {}, {}",
                submission.user,
                submission.list,
                submission.client,
                submission.listener_port,
                printable(&submission.ehlo),
                submission.mechanism,
                protection(submission.tls.as_ref()),
            );
            write!(
                text,
                "; sender {}, {}, {} octets",
                sender(&message.envelope.reverse_path),
                counted(message.envelope.recipients.len(), "recipient"),
                message.content_octets
            )
            .expect("writing to a string does not fail");
            text
        }
        Origin::Relay {
            list,
            about: Some(id),
        } => {
            format!("written by the relay for list {list}, about message {id}")
        }
        Origin::Relay { list, about: None } => format!("written by the relay for list {list}"),
    }
}

/// Why a delivery is where it is.
pub fn standing(delivery: &Delivery, activity: Activity, now: Timestamp) -> String {
    let what = format!(
        "{} to {}",
        counted(delivery.recipients.len(), "recipient"),
        printable(&delivery.next_hop.to_string())
    );
    if activity == Activity::Active {
        return format!("{what}: being delivered now");
    }
    if delivery.state == DeliveryState::Held {
        return format!("{what}: held by an operator, goes on when it is released");
    }
    if delivery.due <= now {
        return format!("{what}: due, waits for its turn");
    }
    if delivery.attempts == 0 {
        return format!("{what}: waits for its time, {}", delivery.due);
    }
    let mut text = format!(
        "{what}: deferred after {}, tried again at {}",
        counted(delivery.attempts as usize, "attempt"),
        delivery.due
    );
    if !delivery.last_reply.is_empty() {
        write!(text, "; last reply: {}", printable(&delivery.last_reply))
            .expect("writing to a string does not fail");
    }
    text
}

/// Time and event in one line.
impl fmt::Display for TrailEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.at, self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Decided {
                component,
                digest,
                question,
                answer,
                reasons,
                took,
            } => {
                let short = digest.get(..12).unwrap_or(digest);
                write!(
                    f,
                    "{} ({short}) was asked about the {question} and said {} in {}",
                    printable(component),
                    printable(answer),
                    took_text(*took)
                )?;
                for (index, (rule, detail)) in reasons.iter().enumerate() {
                    f.write_str(if index == 0 { ": " } else { "; " })?;
                    f.write_str(&printable(rule))?;
                    if !detail.is_empty() {
                        write!(f, " ({})", printable(detail))?;
                    }
                }
                Ok(())
            }
            Event::Accepted { class } => write!(f, "accepted in class {}", class_text(*class)),
            Event::MalformedPriority { carrier } => {
                write!(f, "{} is malformed and did not count", printable(carrier))
            }
            Event::Attempted {
                next_hop,
                host,
                took,
                recipients,
                unknown,
            } => {
                write!(f, "attempt to {}", printable(&next_hop.to_string()))?;
                match host {
                    Some(host) => write!(f, " at {}", host_text(host))?,
                    None => f.write_str(", no host could be reached")?,
                }
                write!(f, ", took {}", took_text(*took))?;
                for (index, (recipient, outcome, reply)) in recipients.iter().enumerate() {
                    f.write_str(if index == 0 { ": " } else { "; " })?;
                    write!(
                        f,
                        "{} {outcome} ({})",
                        printable(recipient),
                        reply_text(reply)
                    )?;
                }
                if *unknown {
                    f.write_str(
                        "; the connection broke after the final dot, so a later attempt may deliver twice",
                    )?;
                }
                Ok(())
            }
            Event::Paused {
                next_hop,
                cause,
                times,
                took,
                end,
            } => {
                let (next_hop, took) = (next_hop.to_string(), took_text(*took));
                write!(f, "sending to {} was paused ", printable(&next_hop))?;
                match times {
                    0 | 1 => write!(f, "for {took}")?,
                    more => write!(f, "{more} more times, for {took} in all, the last time")?,
                }
                write!(f, " while very-high message {cause} was sent")?;
                f.write_str(match end {
                    PauseEnd::Resumed => ", and went on at the same octet",
                    PauseEnd::Ceiling => {
                        ", and went on: it had been paused for as long as a send may be"
                    }
                    PauseEnd::Broken => "; the attempt ended meanwhile",
                })
            }
            Event::Interrupted { next_hop } => write!(
                f,
                "the relay had ended without being told to, perhaps in the middle of an attempt: {} may get it twice",
                printable(&next_hop.to_string())
            ),
            Event::Deferred { next_hop, until } => write!(
                f,
                "deferred: {} is tried again at {until}",
                printable(&next_hop.to_string())
            ),
            Event::Expired { next_hop } => write!(
                f,
                "expired: {} did not take it within the time allowed",
                printable(&next_hop.to_string())
            ),
            Event::Reported { report, id } => {
                write!(
                    f,
                    "a {report} report was written to the sender: message {id}"
                )
            }
            Event::Unreported { report } => write!(
                f,
                "no {report} report was written: the sender is null, and nobody is told about a report"
            ),
            Event::Operated { action, by } => {
                if action.starts_with("class ") {
                    f.write_str("moved to ")?;
                }
                write!(f, "{} by {}", printable(action), printable(by))
            }
            Event::Scheduled { until, carrier } => write!(
                f,
                "waits for its time: not to be sent before {until}, as {} asks",
                printable(carrier)
            ),
            Event::MalformedSchedule { carrier } => write!(
                f,
                "the schedule of {} is malformed and did not count",
                printable(carrier)
            ),
            Event::Overruled { carrier, asked, by } => write!(
                f,
                "{} asks for {}, and {} comes before it",
                printable(carrier),
                printable(asked),
                printable(by)
            ),
            Event::Late {
                next_hop,
                is_returned,
            } => {
                let next_hop = next_hop.to_string();
                let what = match is_returned {
                    true => "its recipients bounced",
                    false => "its sender is told, and it is tried on",
                };
                write!(
                    f,
                    "late: {} did not take it by the time that its sender gave; {what}",
                    printable(&next_hop)
                )
            }
        }
    }
}

/// `3 (normal)`.
pub fn class_text(class: Class) -> String {
    format!("{} ({class})", class.number())
}

/// A reply in one line: code, enhanced code, text.
pub fn reply_text(reply: &Reply) -> String {
    printable(&reply.to_string()).into_owned()
}

/// The reverse-path as people read it; `<>` for the null reverse-path.
pub fn sender(path: &ReversePath) -> String {
    match path {
        ReversePath::Null => "<>".to_owned(),
        ReversePath::Mailbox(mailbox) => printable(&mailbox.to_string()).into_owned(),
    }
}

fn host_text(host: &RemoteHost) -> String {
    format!(
        "{} [{}]:{}, {}",
        printable(&host.name),
        host.address,
        host.port,
        protection(host.tls.as_ref())
    )
}

fn protection(tls: Option<&TlsParameters>) -> String {
    match tls {
        Some(tls) => format!("{} {}", printable(&tls.version), printable(&tls.cipher)),
        None => "in clear".to_owned(),
    }
}

/// `1 recipient`, `2 recipients`.
fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The unit that leaves one to three digits before the point.
fn took_text(took: Duration) -> String {
    let microseconds = took.as_micros();
    match microseconds {
        0..1_000 => format!("{microseconds} µs"),
        1_000..1_000_000 => format!("{:.1} ms", took.as_secs_f64() * 1_000.0),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{DeliveryId, MessageId, NextHop};

    const AT: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_123);

    fn delivery() -> Delivery {
        Delivery {
            id: DeliveryId {
                message: MessageId::from_bits(0),
                number: 0,
            },
            next_hop: NextHop::Domain("b.example".to_owned()),
            recipients: vec![0, 1],
            attempts: 0,
            due: AT,
            sequence: 0,
            state: DeliveryState::Waiting,
            delay_reported: false,
            lateness_reported: false,
            last_reply: String::new(),
        }
    }

    #[test]
    fn every_event_reads_as_one_line() {
        let lane = || NextHop::Smarthost("127.0.0.1:2500".to_owned());
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
                    times: 1,
                    took: Duration::from_millis(12_340),
                    end: PauseEnd::Resumed,
                },
                "sending to smarthost 127.0.0.1:2500 was paused for 12.3 s while very-high message \
                 00000000000000000000000000 was sent, and went on at the same octet",
            ),
            (
                Event::Paused {
                    next_hop: lane(),
                    cause: MessageId::from_bits(0),
                    times: 31,
                    took: Duration::from_millis(60_000),
                    end: PauseEnd::Ceiling,
                },
                "sending to smarthost 127.0.0.1:2500 was paused 31 more times, for 60.0 s in all, the last time \
                 while very-high message 00000000000000000000000000 was sent, and went on: it had been paused for \
                 as long as a send may be",
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
                },
                "held by admin",
            ),
            (
                Event::Operated {
                    action: "class 2".into(),
                    by: "admin".into(),
                },
                "moved to class 2 by admin",
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
                Event::Late {
                    next_hop: lane(),
                    is_returned: true,
                },
                "late: smarthost 127.0.0.1:2500 did not take it by the time that its sender gave; \
                 its recipients bounced",
            ),
            (
                Event::Late {
                    next_hop: lane(),
                    is_returned: false,
                },
                "late: smarthost 127.0.0.1:2500 did not take it by the time that its sender gave; \
                 its sender is told, and it is tried on",
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
            (delivery(), Activity::Active, "being delivered now"),
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
            assert_eq!(
                standing(&delivery, activity, AT),
                format!("2 recipients to b.example: {text}")
            );
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
}
