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
    Cancelled, Class, Delivery, DeliveryState, Demotion, Dialogue, Event, Message, Origin, Party,
    PauseEnd, Protocol, RELAY, RemoteHost, Said, Speaker, Timestamp, TlsParameters, TrailEntry,
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

/// The whole story of a message, a line each: how it came in, what happened to it, where it stands; behind that, what
/// was said about it, each dialogue under its name and behind an empty line. Each delivery comes with why it is where
/// it is.
pub fn story(
    message: &Message,
    trail: &[TrailEntry],
    deliveries: &[(&Delivery, String)],
    finished: Option<Timestamp>,
    now: Timestamp,
) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", message.accepted, submitted(message))];
    let mut dialogues = Vec::new();
    for entry in trail {
        if let Event::Dialogue(dialogue) = &entry.event {
            dialogues.extend([String::new(), entry.to_string()]);
            dialogues.extend(dialogue.transcript.lines().iter().map(said));
        } else {
            lines.push(entry.to_string());
        }
    }
    for (delivery, why) in deliveries {
        lines.push(format!("{now}  {}: {why}", what(delivery)));
    }
    if let Some(at) = finished {
        lines.push(format!("{at}  finished: nothing of it is left to deliver"));
    }
    lines.append(&mut dialogues);
    lines
}

/// Whether an attempt is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity<'a> {
    /// It waits in its lane.
    Resting,
    /// It waits in its lane, of which nothing is sent: what an operator has stopped, and who that was.
    Stopped(&'a str),
    /// It is being delivered.
    Active,
}

/// How a message came in.
pub fn submitted(message: &Message) -> String {
    match &message.origin {
        Origin::Submission(submission) => {
            let how = match submission.protocol {
                Protocol::Smtp => format!(", EHLO {}", printable(&submission.ehlo)),
                Protocol::Http => " by HTTP".to_owned(),
            };
            let mut text = format!(
                "submitted by {} of list {} from {} to port {}{how}, login by {}, {}",
                submission.user,
                submission.list,
                submission.client,
                submission.listener_port,
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
            if message.envelope.require_tls {
                text.push_str(", to go under TLS all the way");
            }
            text
        }
        Origin::Relay {
            list,
            about: Some(id),
        } => {
            format!("written by the relay for list {list}, about message {id}")
        }
        Origin::Relay { list, about: None } if list == RELAY => "written by the relay".to_owned(),
        Origin::Relay { list, about: None } => format!("written by the relay for list {list}"),
    }
}

/// What a delivery is: how many recipients, and where they are.
pub fn what(delivery: &Delivery) -> String {
    format!(
        "{} to {}",
        counted(delivery.recipients.len(), "recipient"),
        printable(&delivery.next_hop.to_string())
    )
}

/// Why a delivery is where it is, as far as it says so itself.
pub fn why(delivery: &Delivery, activity: Activity<'_>, now: Timestamp) -> String {
    let mut text = resting(delivery, activity, now);
    if let Activity::Stopped(stop) = activity {
        write!(
            text,
            "; stopped, goes on when that is started: {}",
            printable(stop)
        )
        .expect("writing to a string does not fail");
    }
    text
}

/// What is said of a delivery that was cancelled, held or moved while it is being delivered; nothing of others.
pub(super) fn meanwhile(delivery: &Delivery, now: Timestamp) -> String {
    let is_moved = delivery.moved_from.is_some() && delivery.due > now;
    let (what, remains) = match delivery.state {
        DeliveryState::Cancelled(Cancelled { until, .. }) if until > now => {
            ("cancelled", format!("can be restored until {until}"))
        }
        DeliveryState::Cancelled(_) => ("cancelled", "goes when the attempt ends".to_owned()),
        DeliveryState::Held => ("held", "stays back".to_owned()),
        DeliveryState::Waiting if is_moved => ("moved", format!("waits until {}", delivery.due)),
        DeliveryState::Waiting => return String::new(),
    };
    format!("; {what} by an operator meanwhile, what remains of it {remains}")
}

fn resting(delivery: &Delivery, activity: Activity<'_>, now: Timestamp) -> String {
    if activity == Activity::Active {
        let mut text = "being delivered".to_owned();
        text.push_str(&meanwhile(delivery, now));
        return text;
    }
    match delivery.state {
        DeliveryState::Held => {
            return "held by an operator, goes on when it is released".to_owned();
        }
        DeliveryState::Cancelled(Cancelled { until, .. }) => {
            let remains = match until > now {
                true => format!("can be restored until {until}"),
                false => "can be restored no more".to_owned(),
            };
            return format!("cancelled by an operator, {remains}");
        }
        DeliveryState::Waiting => {}
    }
    if delivery.due <= now {
        return "due, waits for its turn".to_owned();
    }
    if delivery.attempts == 0 {
        return format!("waits for its time, {}", delivery.due);
    }
    let mut text = format!(
        "deferred after {}, tried again at {}",
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
                others,
                times,
                took,
                end,
            } => {
                let (next_hop, took) = (next_hop.to_string(), pause_text(*took));
                write!(f, "sending to {} was paused ", printable(&next_hop))?;
                match times {
                    0 | 1 => write!(f, "for {took}")?,
                    more => write!(f, "{more} more times, for {took} in all, the last time")?,
                }
                write!(f, " by very-high message {cause}")?;
                match others {
                    0 => {}
                    1 => f.write_str(" and another one")?,
                    more => write!(f, " and {more} others")?,
                }
                f.write_str(match end {
                    PauseEnd::Resumed => ", and went on at the same octet",
                    PauseEnd::Ceiling => "; it went on when the ceiling of pauses was reached",
                    PauseEnd::Broken => "; the attempt ended meanwhile",
                    PauseEnd::Finished => ", and trickled to its end meanwhile",
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
            Event::Operated {
                action,
                by,
                during_attempt,
            } => {
                let is_class = action.starts_with("class ");
                if is_class {
                    f.write_str("moved to ")?;
                }
                write!(f, "{} by {}", printable(action), printable(by))?;
                if !during_attempt {
                    return Ok(());
                }
                f.write_str(", during an attempt")?;
                f.write_str(match action.as_str() {
                    "held" => ": what remains of it stays back",
                    "retried" => ": what remains of it is tried again at once",
                    _ if is_class => ", which goes on in the class that it began in",
                    _ => "",
                })
            }
            Event::Cancelled {
                by,
                during_attempt,
                until,
            } => {
                write!(f, "cancelled by {}", printable(by))?;
                if *during_attempt {
                    f.write_str(", during an attempt, which may have delivered it")?;
                }
                match until {
                    Some(until) => write!(f, "; can be restored until {until}"),
                    None => Ok(()),
                }
            }
            Event::Rescheduled {
                by,
                until,
                during_attempt,
            } => {
                write!(f, "moved to {until} by {}", printable(by))?;
                match during_attempt {
                    true => f.write_str(", during an attempt: what remains of it waits until then"),
                    false => Ok(()),
                }
            }
            Event::Removed { for_room: false } => {
                f.write_str("what was cancelled is removed for good: nobody restored it in time")
            }
            Event::Removed { for_room: true } => f.write_str(
                "what was cancelled is removed for good, before its time: the disk had no room for new mail",
            ),
            Event::UntrustedPriority { carrier } => {
                write!(f, "{} does not count for this user", printable(carrier))
            }
            Event::Demoted { from, to, reason } => {
                let (from, to) = (class_text(*from), class_text(*to));
                match reason {
                    Demotion::Ceiling => {
                        write!(f, "class {from} is above the ceiling of this user")
                    }
                    Demotion::Budget => {
                        f.write_str("this user has no very-high messages left for now")
                    }
                    Demotion::Uncounted => {
                        f.write_str("the very-high messages of this user could not be counted")
                    }
                }?;
                write!(f, ": class {to} is used")
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
            Event::Overruled { carrier, asked, by } if carrier == by => write!(
                f,
                "a later {} asks for {}, and only the first one counts",
                printable(carrier),
                printable(asked)
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
                    false => "it is tried on",
                };
                write!(
                    f,
                    "late: it was not delivered to {} by the time that its sender gave; {what}",
                    printable(&next_hop)
                )
            }
            Event::Rerouted { from, to } => {
                let from = from.to_string();
                write!(
                    f,
                    "the routes lead elsewhere now: moved from {}",
                    printable(&from)
                )?;
                for (index, (next_hop, recipients)) in to.iter().enumerate() {
                    let (join, next_hop) = (if index == 0 { " to" } else { "," }, next_hop.to_string());
                    let recipients = counted(*recipients as usize, "recipient");
                    write!(f, "{join} {} ({recipients})", printable(&next_hop))?;
                }
                Ok(())
            }
            Event::Dialogue(dialogue) => dialogue.fmt(f),
        }
    }
}

/// Whose dialogue it is; what was said follows on lines of its own.
impl fmt::Display for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.with {
            Party::Client => f.write_str("dialogue with the client")?,
            Party::Host {
                next_hop,
                name,
                address,
            } => write!(
                f,
                "dialogue with {} [{}]:{} of {}",
                printable(name),
                address.ip(),
                address.port(),
                printable(&next_hop.to_string())
            )?,
        }
        match self.is_continued {
            true => f.write_str(", over a connection that had been used before"),
            false => Ok(()),
        }
    }
}

/// A line of a dialogue: how long after its beginning, by whom, and what.
fn said(line: &Said) -> String {
    let by = match line.by {
        Speaker::Client => "C: ",
        Speaker::Server => "S: ",
        Speaker::Note => "",
    };
    let after = format!("+{}", after_text(line.after));
    format!("{after:>14}  {by}{}", printable(&line.text))
}

/// Milliseconds, and from a minute on seconds.
fn after_text(after: Duration) -> String {
    match after.as_millis() {
        short @ 0..60_000 => format!("{short} ms"),
        long => format!("{} s", long / 1_000),
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

/// How long a send was paused: what is too short for anybody to notice is not measured out.
fn pause_text(took: Duration) -> String {
    match took < Duration::from_millis(1) {
        true => "less than 1 ms".to_owned(),
        false => took_text(took),
    }
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
mod tests;
