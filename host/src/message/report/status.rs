//! The part of a report that machines read: message/delivery-status (RFC 3464 §2) and its UTF-8 form
//! (RFC 6533 §4).

use std::net::IpAddr;

use outpost_smtp::{Hold, Mailbox, Orcpt, Reply};

use super::text::{Script, exact, field, one_line, push_escaped};
use super::{Kind, RemoteHost, Report, Reported, Timestamp};

/// Appends the fields: those of the message, then those of each recipient after a blank line.
pub(super) fn write(report: &Report<'_>, script: Script, out: &mut Vec<u8>) {
    field(
        out,
        "Reporting-MTA",
        &format!("dns; {}", one_line(report.hostname, Script::Ascii)),
    );
    if let Some(envid) = &report.about.envelope.envid {
        // RFC 3461 §6.3: as the sender gave it, without the xtext of the MAIL command.
        field(out, "Original-Envelope-Id", &exact(envid, Script::Ascii));
    }
    field(out, "Arrival-Date", &report.about.accepted.to_rfc5322());
    if let Some(by) = report.about.envelope.deliver_by {
        // RFC 2852 §5.
        field(out, "Deliver-By-Date", &by.until.to_rfc5322());
    }
    if let Some(hold) = report.about.envelope.hold {
        field(out, "Future-Release-Request", &future_release(hold));
    }
    for reported in &report.recipients {
        out.extend_from_slice(b"\r\n");
        write_recipient(report, reported, script, out);
    }
}

fn write_recipient(
    report: &Report<'_>,
    reported: &Reported<'_>,
    script: Script,
    out: &mut Vec<u8>,
) {
    if let Some(orcpt) = &reported.recipient.orcpt {
        field(
            out,
            "Original-Recipient",
            &original_recipient(orcpt, script),
        );
    }
    field(
        out,
        "Final-Recipient",
        &final_recipient(&reported.recipient.mailbox, script),
    );
    field(out, "Action", action(report.kind));
    field(out, "Status", &reported.status.to_string());
    if let Some(host) = reported.host {
        field(
            out,
            "Remote-MTA",
            &format!("dns; {}", one_line(&mta_name(host), Script::Ascii)),
        );
    }
    // RFC 3464 §2.3.6: `smtp` is for what a peer said; our own words get a type of our own.
    let diagnostic_type = match reported.host {
        Some(_) => "smtp",
        None => "x-outpost",
    };
    let diagnostic = one_line(&spoken(reported.reply), script);
    field(
        out,
        "Diagnostic-Code",
        &format!("{diagnostic_type}; {diagnostic}"),
    );
    if report.was_tried {
        field(out, "Last-Attempt-Date", &report.at.to_rfc5322());
    }
    if let Kind::Delay { retry_until } = report.kind {
        field(out, "Will-Retry-Until", &retry_until.to_rfc5322());
    }
}

/// What MAIL asked for (RFC 4865 §5.1.2).
fn future_release(hold: Hold) -> String {
    match hold {
        Hold::For(interval) => format!("for;{}", interval.as_secs()),
        Hold::Until(time) => format!("until;{}", Timestamp::EPOCH.plus(time)),
    }
}

/// A host that is known by its address alone is named by a literal (RFC 3464, appendix on the type `dns`).
pub(super) fn mta_name(host: &RemoteHost) -> String {
    match host.name.parse() {
        Ok(IpAddr::V4(address)) => format!("[{address}]"),
        Ok(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => host.name.clone(),
    }
}

const fn action(kind: Kind) -> &'static str {
    match kind {
        Kind::Failure => "failed",
        Kind::Delay { .. } => "delayed",
        Kind::Success | Kind::Relay => "relayed",
    }
}

/// A reply as it is spoken: code, enhanced code, text.
pub(super) fn spoken(reply: &Reply) -> String {
    match reply.enhanced {
        Some(enhanced) => format!("{} {enhanced} {}", reply.code, reply.text),
        None => format!("{} {}", reply.code, reply.text),
    }
}

fn original_recipient(orcpt: &Orcpt, script: Script) -> String {
    let address_type = one_line(&orcpt.address_type, Script::Ascii);
    let address = match address_type.eq_ignore_ascii_case("utf-8") {
        true => utf8_address(&orcpt.address, script),
        false => exact(&orcpt.address, script),
    };
    format!("{address_type}; {address}")
}

fn final_recipient(mailbox: &Mailbox, script: Script) -> String {
    let address = mailbox.to_string();
    match mailbox.is_ascii() {
        true => format!("rfc822; {}", exact(&address, Script::Ascii)),
        false => format!("utf-8; {}", utf8_address(&address, script)),
    }
}

/// An address of the type `utf-8`: as it is, or as utf-8-addr-xtext (RFC 6533 §3).
fn utf8_address(address: &str, script: Script) -> String {
    let line = exact(address, Script::Any);
    if script == Script::Any {
        return line;
    }
    let mut encoded = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '\\' | '+' | '=' => push_escaped(&mut encoded, character),
            '!'..='~' => encoded.push(character),
            _ => push_escaped(&mut encoded, character),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_ascii_are_escaped_where_only_ascii_may_stand() {
        let mailbox = Mailbox {
            local: "m\u{fc}ller+x".to_owned(),
            domain: "b\u{fc}cher.example".to_owned(),
        };
        assert_eq!(
            final_recipient(&mailbox, Script::Ascii),
            "utf-8; m\\x{FC}ller\\x{2B}x@b\\x{FC}cher.example"
        );
        assert_eq!(
            final_recipient(&mailbox, Script::Any),
            "utf-8; m\u{fc}ller+x@b\u{fc}cher.example"
        );
    }

    #[test]
    fn a_host_is_named_by_its_name_or_by_a_literal() {
        for (name, named) in [
            ("mx.b.example", "mx.b.example"),
            ("192.0.2.1", "[192.0.2.1]"),
            ("2001:db8::1", "[IPv6:2001:db8::1]"),
            ("[192.0.2.1]", "[192.0.2.1]"),
        ] {
            let host = RemoteHost {
                name: name.to_owned(),
                address: [192, 0, 2, 1].into(),
                port: 25,
                tls: None,
                dsn: false,
                deliver_by: false,
            };
            assert_eq!(mta_name(&host), named, "{name}");
        }
    }

    #[test]
    fn an_original_recipient_cannot_add_a_field() {
        let orcpt = Orcpt {
            address_type: "rfc822".to_owned(),
            address: "a@b.example\r\nAction: delivered".to_owned(),
        };
        assert_eq!(
            original_recipient(&orcpt, Script::Ascii),
            "rfc822; a@b.example  Action: delivered"
        );
    }
}
