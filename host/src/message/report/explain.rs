//! The part of a report that people read: what happened, to whom, why, and what they can do.

use outpost_smtp::client::RETURNS_NOTHING_LATE;
use outpost_smtp::{ByMode, EnhancedStatus};

use super::status::{mta_name, spoken};
use super::text::{Script, exact, one_line, paragraph};
use super::{Kind, Report, Reported};

/// The explanation, with CRLF line ends.
pub(super) fn explain(report: &Report<'_>) -> String {
    let mut out = String::new();
    let line = |text: &str| one_line(text, Script::Any);
    paragraph(
        &mut out,
        0,
        &format!("This is the mail relay at {}.", line(report.hostname)),
    );
    out.push_str("\r\n");
    paragraph(&mut out, 0, &what_happened(report.kind));
    out.push_str("\r\n");
    if !report.about.subject.is_empty() {
        paragraph(
            &mut out,
            4,
            &format!("Subject: {}", line(&report.about.subject)),
        );
    }
    paragraph(
        &mut out,
        4,
        &format!("Accepted: {}", report.about.accepted.to_rfc5322()),
    );
    paragraph(&mut out, 4, &format!("Message: {}", report.about.id));
    for reported in &report.recipients {
        out.push_str("\r\n");
        explain_recipient(report, reported, &mut out);
    }
    out
}

fn what_happened(kind: Kind) -> String {
    match kind {
        Kind::Failure => "Your message could not be delivered to the recipients below. \
            It will not be tried again for them."
            .to_owned(),
        Kind::Delay { retry_until } => format!(
            "Your message has not been delivered to the recipients below yet. You need not do \
             anything, and you need not send it again: it will be tried until {}. If that \
             fails too, another report follows.",
            retry_until.to_rfc5322()
        ),
        Kind::Success => "Your message was handed on to the mail system of the recipients below. \
            That system sends no confirmations, so this is the last report about them."
            .to_owned(),
        Kind::Relay => {
            "Your message was handed on to the mail system of the recipients below. You \
            asked for a time by which it is delivered."
                .to_owned()
        }
    }
}

fn explain_recipient(report: &Report<'_>, reported: &Reported<'_>, out: &mut String) {
    let address = exact(&reported.recipient.mailbox.to_string(), Script::Any);
    paragraph(out, 0, &format!("<{address}>"));
    let spoken = one_line(&spoken(reported.reply), Script::Any);
    let said = match reported.host {
        Some(host) => {
            let name = one_line(&mta_name(host), Script::Any);
            match name.starts_with('[') {
                true => format!("The host {name} said: {spoken}"),
                false => format!("The host {name} [{}] said: {spoken}", host.address),
            }
        }
        None => format!("The reason: {spoken}"),
    };
    paragraph(out, 4, &said);
    match report.kind {
        Kind::Failure => paragraph(out, 4, advice_on(report, reported)),
        Kind::Relay => paragraph(out, 4, who_sees_to_the_time(report, reported)),
        Kind::Delay { .. } | Kind::Success => {}
    }
}

/// What the host does about the time by which a message is to be delivered: one that lists DELIVERBY was told it
/// (RFC 2852 §4.1.4.1).
fn who_sees_to_the_time(report: &Report<'_>, reported: &Reported<'_>) -> &'static str {
    let was_told = reported.host.is_some_and(|host| host.deliver_by);
    let by = report.about.envelope.deliver_by;
    if !was_told && by.is_some_and(|by| report.at >= by.until) {
        return "It took the message after the time that you gave.";
    }
    match (was_told, by.map(|by| by.mode)) {
        (true, Some(ByMode::Return)) => {
            "It was told of the time that you gave, and is to return the message when it is late."
        }
        (true, _) => "It was told of the time that you gave, and is to tell you when it is late.",
        (false, _) => {
            "It does not know of the time that you gave, and may not tell you when it is late."
        }
    }
}

/// What the sender can do about one recipient: where a wish of his own is why, what is about that.
fn advice_on(report: &Report<'_>, reported: &Reported<'_>) -> &'static str {
    if reported.host.is_none() && reported.reply.text == RETURNS_NOTHING_LATE {
        // Any time would bring the message back.
        return "You asked for it to come back unless it is delivered within a time. The mail system of the recipient \
            cannot see to that, however long the time is. Send the message again without a time, or ask only for word \
            when it is late (BY with N in place of R).";
    }
    let advice = match report.about.envelope.require_tls {
        true => advice_on_tls(reported.status),
        false => None,
    };
    advice.unwrap_or_else(|| advice_on_status(reported.status))
}

/// What the sender of a message can do that TLS was required for, where that is why (RFC 8689 §4.2.1).
fn advice_on_tls(status: EnhancedStatus) -> Option<&'static str> {
    matches!((status.subject, status.detail), (7, 10 | 30)).then_some(
        "You asked for it to go under TLS all the way (REQUIRETLS), and there is no such way to this recipient. \
         Send the message again without that, or reach the recipient in another way.",
    )
}

/// What the sender can do, by the subject and detail of RFC 3463 §3.
fn advice_on_status(status: EnhancedStatus) -> &'static str {
    match (status.class, status.subject, status.detail) {
        (5, 4, 7) => {
            "You asked for it to come back unless it is delivered within a time. Send the message again with \
             more time, or without a limit."
        }
        (4, _, _) => {
            "The relay tried for as long as it may. Send the message again later, or ask the \
             recipient in another way whether their mail works."
        }
        (_, 1, 8) | (_, 1, 7) => {
            "The sender address of the message was not accepted. Ask whoever runs the program that \
             sent it."
        }
        (_, 1, 2) | (_, 1, 10) | (_, 4, 4) => {
            "The part of the address after the @ takes no mail. Check its spelling."
        }
        (_, 1, _) => "There is no such recipient. Check the spelling of the address.",
        (_, 2, 2) => "The mailbox is full. Tell the recipient in another way.",
        (_, 2, 3) | (_, 3, 4) => {
            "The message is too large for the recipient. Send less, or send a link."
        }
        (_, 2, _) => "The mailbox takes no mail at present. Tell the recipient in another way.",
        (_, 6, _) => {
            "The recipient's mail system cannot take a message of this form. Send it as plain text."
        }
        (_, 7, _) => {
            "The recipient's mail system refuses this message by its rules. The reply above may say \
             why; its postmaster can help."
        }
        _ => "The reply above may say why. The postmaster of the recipient's domain can help.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_follows_the_status() {
        let advice = |class, subject, detail| {
            advice_on_status(EnhancedStatus {
                class,
                subject,
                detail,
            })
        };
        assert!(advice(5, 1, 1).contains("spelling"));
        assert!(advice(5, 2, 2).contains("full"));
        assert!(advice(4, 4, 7).contains("later"));
        assert!(advice(5, 3, 4).contains("too large"));
        assert!(advice(5, 4, 7).contains("within a time"));
        assert!(advice(5, 0, 0).contains("postmaster"));
        assert!(advice(5, 4, 7).contains("more time"));
    }
}
