//! The trace header: the one field that the relay adds (RFC 5321 §4.4).

use outpost_smtp::Mailbox;
use outpost_smtp::address::is_host;

use crate::message::{MessageId, Protocol, Submission, Timestamp, comparable_domain};

/// What a Received field tells.
pub(super) struct Received<'a> {
    pub submission: &'a Submission,
    /// The name of this relay.
    pub hostname: &'a str,
    pub id: MessageId,
    /// Whether the client said EHLO.
    pub is_esmtp: bool,
    pub smtputf8: bool,
    /// The recipient, when there is exactly one: more would tell each about the others.
    pub only_recipient: Option<&'a Mailbox>,
    /// What counts of the priority that MAIL said (RFC 6710).
    pub mt_priority: Option<i8>,
    /// Until when it is held, as MAIL said (RFC 4865).
    pub held_until: Option<Timestamp>,
    pub at: Timestamp,
}

impl Received<'_> {
    /// The field with its final CRLF, folded. Never the login name: the next hops need not know it.
    pub(super) fn field(&self) -> String {
        let client = self.submission.client.ip().to_canonical();
        let address = match client {
            std::net::IpAddr::V4(address) => address.to_string(),
            std::net::IpAddr::V6(address) => format!("IPv6:{address}"),
        };
        let tls = match &self.submission.tls {
            Some(tls) => format!("\r\n (using {} with cipher {})", tls.version, tls.cipher),
            None => String::new(),
        };
        let recipient = self.only_recipient.map(|mailbox| self.recipient(mailbox));
        let recipient = recipient.unwrap_or_default();
        // RFC 6710 §4.1: a clause of its own, registered beside those of RFC 5321 §4.4.
        let priority = self
            .mt_priority
            .map(|value| format!("\r\n PRIORITY {value}"));
        let priority = priority.unwrap_or_default();
        let held = self.held_until.map(Timestamp::to_rfc5322);
        let held = held.map(|until| format!("\r\n (held until {until})"));
        let held = held.unwrap_or_default();
        format!(
            "Received: from {} ([{address}]){tls}\r\n by {} (Outpost) with {} id {}{recipient}{priority}{held};\r\n {}\r\n",
            self.client_name(),
            self.hostname,
            self.protocol(),
            self.id,
            self.at.to_rfc5322(),
        )
    }

    /// The clause about the recipient. A domain is written in A-labels where that is enough: beyond ASCII
    /// nobody but a next hop with SMTPUTF8 could take the message (RFC 6532 §3).
    fn recipient(&self, mailbox: &Mailbox) -> String {
        let mut mailbox = mailbox.clone();
        if mailbox.local.is_ascii()
            && !mailbox.domain.is_ascii()
            && let Ok(domain) = comparable_domain(&mailbox.domain)
        {
            mailbox.domain = domain;
        }
        if mailbox.is_ascii() || self.smtputf8 {
            format!("\r\n for <{mailbox}>")
        } else {
            String::new()
        }
    }

    /// What the client called itself, where RFC 5321 §4.4 lets it stand: a domain or an address literal.
    fn client_name(&self) -> &str {
        let name = self.submission.ehlo.as_str();
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_ascii() && is_host(name) {
            name
        } else {
            "unknown"
        }
    }

    /// The registered name of the protocol (RFC 3848, RFC 6531 §4.3). Nobody relays without a
    /// login, hence the A.
    fn protocol(&self) -> &'static str {
        // Of no RFC, and what others who take mail so have written for long.
        if self.submission.protocol == Protocol::Http {
            return "HTTP";
        }
        match (self.smtputf8, self.submission.tls.is_some(), self.is_esmtp) {
            (true, true, _) => "UTF8SMTPSA",
            (true, false, _) => "UTF8SMTPA",
            (false, true, true) => "ESMTPSA",
            (false, false, true) => "ESMTPA",
            (false, _, false) => "SMTP",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::TlsParameters;

    #[test]
    fn the_field_tells_the_way_and_not_the_login() {
        let mut submission = Submission {
            list: "default".into(),
            user: "secret-login".into(),
            client: "[2001:db8::7]:4711".parse().unwrap(),
            listener_port: 587,
            protocol: Protocol::Smtp,
            ehlo: "client.example".into(),
            mechanism: "PLAIN".into(),
            tls: Some(TlsParameters {
                version: "TLSv1.3".into(),
                cipher: "TLS13_AES_256_GCM_SHA384".into(),
            }),
        };
        let recipient = Mailbox {
            local: "r".into(),
            domain: "d.example".into(),
        };
        let at = Timestamp::from_unix_milliseconds(1_700_000_000_000);
        let id = MessageId::new(at, 1);
        let received = |submission: &Submission, only_recipient| {
            Received {
                submission,
                hostname: "relay.example",
                id,
                is_esmtp: true,
                smtputf8: false,
                only_recipient,
                mt_priority: None,
                held_until: None,
                at,
            }
            .field()
        };
        assert_eq!(
            received(&submission, Some(&recipient)),
            format!(
                "Received: from client.example ([IPv6:2001:db8::7])\r\n \
                 (using TLSv1.3 with cipher TLS13_AES_256_GCM_SHA384)\r\n \
                 by relay.example (Outpost) with ESMTPSA id {id}\r\n for <r@d.example>;\r\n \
                 Tue, 14 Nov 2023 22:13:20 +0000\r\n"
            )
        );
        let urgent = Received {
            submission: &submission,
            hostname: "relay.example",
            id,
            is_esmtp: true,
            smtputf8: false,
            only_recipient: Some(&recipient),
            mt_priority: Some(-3),
            held_until: Some(Timestamp::from_unix_milliseconds(1_700_000_060_000)),
            at,
        };
        let clauses = "\r\n for <r@d.example>\r\n PRIORITY -3\r\n \
                       (held until Tue, 14 Nov 2023 22:14:20 +0000);\r\n \
                       Tue, 14 Nov 2023 22:13:20 +0000\r\n";
        assert!(urgent.field().ends_with(clauses), "{}", urgent.field());
        submission.tls = None;
        submission.ehlo = "a(b)\u{f6}".into();
        submission.client = "[::ffff:192.0.2.1]:25".parse().unwrap();
        assert_eq!(
            received(&submission, None),
            format!(
                "Received: from unknown ([192.0.2.1])\r\n by relay.example (Outpost) with ESMTPA id {id};\r\n \
                 Tue, 14 Nov 2023 22:13:20 +0000\r\n"
            )
        );
    }

    #[test]
    fn a_recipient_is_told_beyond_ascii_only_when_nothing_else_would_do() {
        let submission = Submission {
            list: "default".into(),
            user: "ann".into(),
            client: "192.0.2.1:4711".parse().unwrap(),
            listener_port: 587,
            protocol: Protocol::Smtp,
            ehlo: "client.example".into(),
            mechanism: "PLAIN".into(),
            tls: None,
        };
        for (local, domain, told) in [
            ("r", "D.example", Some("r@D.example")),
            ("r", "b\u{fc}cher.example", Some("r@xn--bcher-kva.example")),
            (
                "j\u{f6}rg",
                "b\u{fc}cher.example",
                Some("j\u{f6}rg@b\u{fc}cher.example"),
            ),
        ] {
            let mailbox = Mailbox {
                local: local.into(),
                domain: domain.into(),
            };
            for smtputf8 in [false, true] {
                let field = Received {
                    submission: &submission,
                    hostname: "relay.example",
                    id: MessageId::from_bits(0),
                    is_esmtp: true,
                    smtputf8,
                    only_recipient: Some(&mailbox),
                    mt_priority: None,
                    held_until: None,
                    at: Timestamp::from_unix_milliseconds(0),
                }
                .field();
                let told = told.filter(|told| told.is_ascii() || smtputf8);
                let found = field.split_once(" for <").map(|(_, rest)| rest);
                let found = found.and_then(|rest| Some(rest.split_once('>')?.0));
                assert_eq!(found, told);
            }
        }
    }

    #[test]
    fn only_a_domain_or_an_address_literal_is_told() {
        let named = |ehlo: &str| {
            let submission = Submission {
                list: "default".into(),
                user: "ann".into(),
                client: "192.0.2.1:4711".parse().unwrap(),
                listener_port: 587,
                protocol: Protocol::Smtp,
                ehlo: ehlo.into(),
                mechanism: "PLAIN".into(),
                tls: None,
            };
            let field = Received {
                submission: &submission,
                hostname: "relay.example",
                id: MessageId::from_bits(0),
                is_esmtp: true,
                smtputf8: false,
                only_recipient: None,
                mt_priority: None,
                held_until: None,
                at: Timestamp::from_unix_milliseconds(0),
            }
            .field();
            let name = field.split(' ').nth(2).unwrap();
            name.to_owned()
        };
        for name in [
            "a",
            "DESKTOP_1",
            "mx.b-c.example",
            "[192.0.2.1]",
            "[IPv6:::1]",
        ] {
            assert_eq!(named(name), name);
        }
        assert_eq!(named("mx.example."), "mx.example");
        for name in [
            "",
            ".",
            "..",
            "-",
            "a..b",
            "-a",
            "a-",
            "[IPv6:zz]",
            "[300.0.0.1]",
            "[]",
            "[::1]",
            "a:b",
            "?script?",
            "b\u{fc}cher",
        ] {
            assert_eq!(named(name), "unknown", "{name}");
        }
    }
}
