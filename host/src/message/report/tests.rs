//! Whole reports, and what hostile texts do to them.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders};
use outpost_smtp::client::RETURNS_NOTHING_LATE;
use outpost_smtp::{ByMode, Hold, Orcpt, Ret, ReversePath};
use proptest::prelude::*;

use super::*;
use crate::message::{Class, DeliverBy, Envelope, Origin, Priorities};

const CONTENT: &str = "From: me@a.example\r\nSubject: Hello\r\n\r\nThe body.\r\n";

fn mailbox(address: &str) -> Mailbox {
    Mailbox::parse(address, true).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(1_700_000_000_000).plus(Duration::from_secs(seconds))
}

fn message(content: &str, recipients: &[&str]) -> Message {
    let recipients = recipients.iter().map(|address| Recipient {
        mailbox: mailbox(address),
        notify: None,
        orcpt: None,
    });
    Message {
        id: MessageId::new(at(0), 1),
        origin: Origin::Relay {
            list: "default".to_owned(),
            about: None,
        },
        envelope: Envelope {
            reverse_path: ReversePath::Mailbox(mailbox("me@a.example")),
            recipients: recipients.collect(),
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            mt_priority: None,
            deliver_by: None,
            hold: None,
            require_tls: false,
        },
        class: Class::Normal,
        priorities: Priorities {
            user: Class::Normal,
            message: None,
        },
        accepted: at(0),
        deliver_until: None,
        scheduled: None,
        content_octets: content.len() as u64,
        eight_bit: !content.is_ascii(),
        subject: "Hello".to_owned(),
        campaign: None,
    }
}

fn host() -> RemoteHost {
    RemoteHost {
        name: "mx.b.example".to_owned(),
        address: [192, 0, 2, 1].into(),
        port: 25,
        tls: None,
        dsn: false,
        deliver_by: false,
    }
}

/// A report about all recipients of `about`, because of `reply`.
fn compose(kind: Kind, about: &Message, reply: &Reply, content: &str) -> Composed {
    compose_of(kind, about, reply, &host(), content)
}

/// The same, where that host said it.
fn compose_of(
    kind: Kind,
    about: &Message,
    reply: &Reply,
    host: &RemoteHost,
    content: &str,
) -> Composed {
    let ReversePath::Mailbox(to) = &about.envelope.reverse_path else {
        unreachable!()
    };
    let reported = about.envelope.recipients.iter().map(|recipient| Reported {
        recipient,
        status: reply.enhanced.unwrap_or((5, 0, 0).into()),
        reply,
        host: Some(host),
    });
    Report {
        kind,
        id: MessageId::new(at(60), 2),
        at: at(60),
        was_tried: true,
        hostname: "relay.example.com",
        to,
        about,
        recipients: reported.collect(),
        content: content.as_bytes(),
    }
    .compose()
}

fn text(composed: &Composed) -> String {
    String::from_utf8(composed.content.clone()).unwrap()
}

#[test]
fn a_failure_is_told_to_people_and_to_machines() {
    let mut about = message(CONTENT, &["you@b.example"]);
    about.envelope.envid = Some("QQ 314".to_owned());
    about.envelope.recipients[0].orcpt = Some(Orcpt {
        address_type: "rfc822".to_owned(),
        address: "first@c.example".to_owned(),
    });
    let reply = Reply::new(550, (5, 1, 1), "No such user here");
    let composed = compose(Kind::Failure, &about, &reply, CONTENT);
    assert_eq!((composed.body, composed.smtputf8), (Body::SevenBit, false));
    let expected = "\
        Date: Tue, 14 Nov 2023 22:14:20 +0000\r\n\
        From: Mail Delivery System <postmaster@relay.example.com>\r\n\
        To: <me@a.example>\r\n\
        Subject: Your message could not be delivered\r\n\
        Message-ID: <01HF7YCMK00000000000000002@relay.example.com>\r\n\
        Auto-Submitted: auto-replied\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status;\r\n \
        boundary=\"outpost-01HF7YCMK00000000000000002\"\r\n\
        \r\n\
        --outpost-01HF7YCMK00000000000000002\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        \r\n\
        This is the mail relay at relay.example.com.\r\n\
        \r\n\
        Your message could not be delivered to the recipients below. It will not be\r\n\
        tried again for them.\r\n\
        \r\n    \
            Subject: Hello\r\n    \
            Accepted: Tue, 14 Nov 2023 22:13:20 +0000\r\n    \
            Message: 01HF7YAT000000000000000001\r\n\
        \r\n\
        <you@b.example>\r\n    \
            The host mx.b.example [192.0.2.1] said: 550 5.1.1 No such user here\r\n    \
            There is no such recipient. Check the spelling of the address.\r\n\
        \r\n\
        --outpost-01HF7YCMK00000000000000002\r\n\
        Content-Type: message/delivery-status\r\n\
        \r\n\
        Reporting-MTA: dns; relay.example.com\r\n\
        Original-Envelope-Id: QQ 314\r\n\
        Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
        \r\n\
        Original-Recipient: rfc822; first@c.example\r\n\
        Final-Recipient: rfc822; you@b.example\r\n\
        Action: failed\r\n\
        Status: 5.1.1\r\n\
        Remote-MTA: dns; mx.b.example\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n\
        Last-Attempt-Date: Tue, 14 Nov 2023 22:14:20 +0000\r\n\
        \r\n\
        --outpost-01HF7YCMK00000000000000002\r\n\
        Content-Type: text/rfc822-headers\r\n\
        Content-Transfer-Encoding: 7bit\r\n\
        \r\n\
        From: me@a.example\r\n\
        Subject: Hello\r\n\
        \r\n\
        --outpost-01HF7YCMK00000000000000002--\r\n";
    let text = text(&composed);
    assert_eq!(
        text.split("\r\n").collect::<Vec<_>>(),
        expected.split("\r\n").collect::<Vec<_>>()
    );
}

#[test]
fn a_delay_says_until_when_it_is_tried_and_a_relayed_message_claims_no_more() {
    let about = message(CONTENT, &["you@b.example"]);
    let busy = Reply::new(451, (4, 7, 1), "Try again later");
    let until = at(432_000);
    let delay = text(&compose(
        Kind::Delay { retry_until: until },
        &about,
        &busy,
        CONTENT,
    ));
    assert!(delay.contains("\r\nSubject: Your message is delayed\r\n"));
    assert!(delay.contains("\r\nAction: delayed\r\nStatus: 4.7.1\r\n"));
    assert!(delay.contains("\r\nWill-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000\r\n"));
    let taken = Reply::new(250, (2, 0, 0), "Ok");
    let relayed = text(&compose(Kind::Success, &about, &taken, CONTENT));
    assert!(relayed.contains("\r\nAction: relayed\r\nStatus: 2.0.0\r\n"));
    assert!(!relayed.contains("Will-Retry-Until"));
    assert!(!relayed.contains("Deliver-By-Date"));
}

#[test]
fn a_report_says_by_when_the_message_was_to_be_delivered() {
    let mut about = message(CONTENT, &["you@b.example"]);
    about.envelope.deliver_by = Some(DeliverBy {
        until: at(120),
        mode: ByMode::Notify,
        trace: true,
    });
    let taken = Reply::new(250, (2, 0, 0), "Ok");
    let relayed = text(&compose(Kind::Relay, &about, &taken, CONTENT));
    assert!(relayed.contains("\r\nDeliver-By-Date: Tue, 14 Nov 2023 22:15:20 +0000\r\n\r\n"));
    assert!(relayed.contains("\r\nAction: relayed\r\nStatus: 2.0.0\r\n"));
}

#[test]
fn a_relayed_message_has_a_deadline_that_its_host_was_told_or_knows_nothing_of() {
    let mut about = message(CONTENT, &["you@b.example"]);
    let taken = Reply::new(250, (2, 0, 0), "Ok");
    for (until, mode, deliver_by, said) in [
        // It was on its way when the time was over, or late before.
        (
            60,
            ByMode::Notify,
            false,
            "It took the message after the time that you gave.",
        ),
        (
            120,
            ByMode::Notify,
            false,
            "It does not know of the time that you gave, and may not tell you when it is late.",
        ),
        (
            120,
            ByMode::Notify,
            true,
            "It was told of the time that you gave, and is to tell you when it is late.",
        ),
        (
            120,
            ByMode::Return,
            true,
            "It was told of the time that you gave, and is to return the message when it is late.",
        ),
    ] {
        about.envelope.deliver_by = Some(DeliverBy {
            until: at(until),
            mode,
            trace: true,
        });
        let host = RemoteHost {
            deliver_by,
            ..host()
        };
        let relayed = text(&compose_of(Kind::Relay, &about, &taken, &host, CONTENT));
        let words: Vec<_> = relayed.split_whitespace().collect();
        let words = words.join(" ");
        assert!(words.contains(said), "{words}");
        assert!(words.matches(" late.").count() <= 1, "{words}");
    }
}

#[test]
fn a_report_says_how_the_message_was_to_be_held() {
    let mut about = message(CONTENT, &["you@b.example"]);
    let reply = Reply::new(550, (5, 1, 1), "No such user here");
    for (hold, said) in [
        (Hold::For(Duration::from_secs(3_600)), "for;3600"),
        (
            Hold::Until(Duration::from_secs(1_700_000_000)),
            "until;2023-11-14T22:13:20.000Z",
        ),
    ] {
        about.envelope.hold = Some(hold);
        let failure = text(&compose(Kind::Failure, &about, &reply, CONTENT));
        let fields = format!(
            "\r\nArrival-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFuture-Release-Request: {said}\r\n\r\n"
        );
        assert!(failure.contains(&fields), "{failure}");
    }
}

#[test]
fn our_own_words_are_not_passed_off_as_those_of_the_remote_host() {
    let about = message(CONTENT, &["you@b.example"]);
    let reply = Reply::new(550, (5, 1, 2), "The domain does not exist");
    let ReversePath::Mailbox(to) = &about.envelope.reverse_path else {
        unreachable!()
    };
    let composed = Report {
        kind: Kind::Failure,
        id: MessageId::new(at(0), 2),
        at: at(0),
        was_tried: true,
        hostname: "relay.example.com",
        to,
        about: &about,
        recipients: vec![Reported {
            recipient: &about.envelope.recipients[0],
            status: (5, 1, 2).into(),
            reply: &reply,
            host: None,
        }],
        content: &[],
    }
    .compose();
    let text = text(&composed);
    assert!(text.contains("Diagnostic-Code: x-outpost; 550 5.1.2 The domain does not exist\r\n"));
    assert!(text.contains("    The reason: 550 5.1.2 The domain does not exist\r\n"));
    assert!(!text.contains("Remote-MTA") && !text.contains("rfc822-headers"));
}

/// A report about a message that is returned since it is late, for a reason of our own.
fn returned_late(was_tried: bool, said: &str) -> String {
    let about = message(CONTENT, &["you@b.example"]);
    let ReversePath::Mailbox(to) = &about.envelope.reverse_path else {
        unreachable!()
    };
    let reply = Reply::new(554, (5, 4, 7), said);
    let composed = Report {
        kind: Kind::Failure,
        id: MessageId::new(at(0), 2),
        at: at(0),
        was_tried,
        hostname: "relay.example.com",
        to,
        about: &about,
        recipients: vec![Reported {
            recipient: &about.envelope.recipients[0],
            status: (5, 4, 7).into(),
            reply: &reply,
            host: None,
        }],
        content: &[],
    };
    text(&composed.compose())
}

#[test]
fn a_report_that_follows_no_attempt_has_no_date_of_one() {
    for was_tried in [true, false] {
        let report = returned_late(was_tried, "Late");
        assert_eq!(report.contains("\r\nLast-Attempt-Date: "), was_tried);
    }
}

#[test]
fn where_no_host_knows_deadlines_nobody_is_told_to_give_more_time() {
    for (said, helps) in [(RETURNS_NOTHING_LATE, false), ("It was late", true)] {
        let report = returned_late(true, said);
        let words: Vec<&str> = report.split_whitespace().collect();
        let report = words.join(" ");
        assert_eq!(report.contains("again with more time"), helps, "{report}");
        assert_eq!(report.contains("BY with N in place of R"), !helps);
    }
}

#[test]
fn a_host_without_a_name_is_told_once() {
    let about = message(CONTENT, &["you@b.example"]);
    let reply = Reply::new(550, (5, 1, 1), "No such user here");
    let host = RemoteHost {
        name: "192.0.2.1".to_owned(),
        ..host()
    };
    let ReversePath::Mailbox(to) = &about.envelope.reverse_path else {
        unreachable!()
    };
    let composed = Report {
        kind: Kind::Failure,
        id: MessageId::new(at(0), 2),
        at: at(0),
        was_tried: true,
        hostname: "relay.example.com",
        to,
        about: &about,
        recipients: vec![Reported {
            recipient: &about.envelope.recipients[0],
            status: (5, 1, 1).into(),
            reply: &reply,
            host: Some(&host),
        }],
        content: &[],
    }
    .compose();
    let text = text(&composed);
    assert!(text.contains("    The host [192.0.2.1] said: 550 5.1.1 No such user here\r\n"));
    assert!(text.contains("Remote-MTA: dns; [192.0.2.1]\r\n"));
}

#[test]
fn the_message_comes_back_as_its_sender_asked_within_the_limits() {
    let eight_bit = CONTENT.replace("body", "b\u{f6}dy");
    let header_beyond_ascii = CONTENT.replace("Hello", "H\u{e9}llo");
    let long_line = CONTENT.replace("body", &"x".repeat(1_200));
    for (content, ret, kind, whole, expected) in [
        (
            CONTENT,
            None,
            Kind::Failure,
            true,
            "text/rfc822-headers 7bit",
        ),
        (
            CONTENT,
            Some(Ret::Headers),
            Kind::Failure,
            true,
            "text/rfc822-headers 7bit",
        ),
        (
            CONTENT,
            Some(Ret::Full),
            Kind::Failure,
            true,
            "message/rfc822 7bit",
        ),
        (
            CONTENT,
            Some(Ret::Full),
            Kind::Failure,
            false,
            "text/rfc822-headers 7bit",
        ),
        (
            CONTENT,
            Some(Ret::Full),
            Kind::Success,
            true,
            "text/rfc822-headers 7bit",
        ),
        (
            &eight_bit,
            Some(Ret::Full),
            Kind::Failure,
            true,
            "message/rfc822 8bit",
        ),
        (
            &eight_bit,
            None,
            Kind::Failure,
            true,
            "text/rfc822-headers 7bit",
        ),
        (
            &header_beyond_ascii,
            Some(Ret::Full),
            Kind::Failure,
            true,
            "message/global base64",
        ),
        (
            &header_beyond_ascii,
            None,
            Kind::Failure,
            true,
            "text/rfc822-headers quoted-printable",
        ),
        (
            &long_line,
            Some(Ret::Full),
            Kind::Failure,
            true,
            "text/rfc822-headers 7bit",
        ),
    ] {
        let mut about = message(content, &["you@b.example"]);
        about.envelope.ret = ret;
        if !whole {
            about.content_octets += 1;
        }
        let reply = Reply::new(550, (5, 1, 1), "No");
        let composed = compose(kind, &about, &reply, content);
        let parsed = MessageParser::new().parse(&composed.content).unwrap();
        let part = parsed.parts.iter().rfind(|part| {
            let media = part.content_type().map(|media| media.ctype());
            part.content_transfer_encoding().is_some() && media != Some("multipart")
        });
        let part = part.unwrap();
        let media = part.content_type().unwrap();
        let returned = format!(
            "{}/{} {}",
            media.ctype(),
            media.subtype().unwrap(),
            part.content_transfer_encoding().unwrap()
        );
        assert_eq!(returned, expected, "{content:?} {ret:?} {kind:?}");
        let is_eight_bit = expected.ends_with("8bit");
        assert_eq!(composed.body == Body::EightBitMime, is_eight_bit);
        assert!(is_eight_bit || composed.content.is_ascii());
    }
}

#[test]
fn of_a_message_that_requires_tls_no_more_than_the_header_comes_back() {
    let content = "Subject: Hello\r\n\r\nThe secret.\r\n";
    let mut about = message(content, &["bob@b.example"]);
    about.envelope.ret = Some(Ret::Full);
    let reply = Reply::new(550, (5, 7, 30), "REQUIRETLS support required");
    let whole = text(&compose(Kind::Failure, &about, &reply, content));
    assert!(whole.contains("The secret."), "{whole}");
    assert!(!whole.contains("all the way"), "{whole}");
    about.envelope.require_tls = true;
    let cut = text(&compose(Kind::Failure, &about, &reply, content));
    assert!(cut.contains("Content-Type: text/rfc822-headers"), "{cut}");
    assert!(!cut.contains("The secret."), "{cut}");
    // What its sender can do is said in the words of what was asked for.
    assert!(cut.contains("all the way (REQUIRETLS)"), "{cut}");
}

#[test]
fn a_message_comes_back_whole_only_if_its_report_can_reach_every_host() {
    let with = |header: &str, body: &str| format!("Subject: x\r\n{header}\r\n\r\n{body}\r\n");
    let parts = |kind: &str, part: &str| {
        with(
            &format!("Content-Type: multipart/{kind}; boundary=b"),
            &format!("--b\r\n{part}\r\n--b--"),
        )
    };
    let eight_bit = "Content-Type: text/plain; charset=utf-8\r\n\r\nb\u{f6}dy";
    for (content, returned) in [
        (parts("mixed", eight_bit), "message/rfc822"),
        (parts("signed", eight_bit), "text/rfc822-headers"),
        (
            parts(
                "mixed",
                "Content-Transfer-Encoding: base64\r\n\r\nb\u{f6}dy",
            ),
            "text/rfc822-headers",
        ),
        (
            parts(
                "mixed",
                "Content-Type: message/rfc822\r\n\r\nSubject: b\u{f6}\r\n\r\nx",
            ),
            "text/rfc822-headers",
        ),
        (
            with("Content-Type: multipart/mixed; boundary=never", "b\u{f6}dy"),
            "text/rfc822-headers",
        ),
    ] {
        let mut about = message(&content, &["you@b.example"]);
        about.envelope.ret = Some(Ret::Full);
        let reply = Reply::new(550, (5, 1, 1), "No");
        let composed = compose(Kind::Failure, &about, &reply, &content);
        let text = text(&composed);
        assert!(
            text.contains(&format!("\r\nContent-Type: {returned}\r\n")),
            "{text}"
        );
        assert!(text.contains("\r\n\r\nSubject: x\r\n"), "{text}");
        let is_whole = returned == "message/rfc822";
        assert_eq!(composed.body == Body::EightBitMime, is_whole, "{text}");
        assert_eq!(composed.content.is_ascii(), !is_whole, "{text}");
    }
}

#[test]
fn a_sender_beyond_ascii_gets_a_report_in_utf8_and_others_get_ascii() {
    let mut about = message(CONTENT, &["m\u{fc}ller@b\u{fc}cher.example"]);
    let reply = Reply::new(550, (5, 1, 1), "Unbekannt: m\u{fc}ller");
    let ascii = compose(Kind::Failure, &about, &reply, CONTENT);
    assert!(ascii.content.is_ascii() && !ascii.smtputf8);
    let text_of_ascii = text(&ascii);
    assert!(
        text_of_ascii.contains("Final-Recipient: utf-8; m\\x{FC}ller@b\\x{FC}cher.example\r\n")
    );
    assert!(text_of_ascii.contains("Content-Type: message/delivery-status\r\n"));

    about.envelope.reverse_path = ReversePath::Mailbox(mailbox("ich@b\u{fc}cher.example"));
    let global = compose(Kind::Failure, &about, &reply, CONTENT);
    assert!(global.smtputf8 && global.body == Body::EightBitMime);
    let text = text(&global);
    assert!(text.contains("To: <ich@b\u{fc}cher.example>\r\n"));
    assert!(text.contains("Content-Type: message/global-delivery-status\r\n"));
    assert!(text.contains("Final-Recipient: utf-8; m\u{fc}ller@b\u{fc}cher.example\r\n"));
}

/// The names of the fields in a text.
fn names(text: &str) -> Vec<&str> {
    let fields = text
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '-']));
    fields
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect()
}

proptest! {
    #[test]
    fn nothing_that_others_wrote_adds_a_line_or_breaks_one(
        reply_text in "(?s).{0,40}(\r\n|\n|\r|\u{85}|\u{2028})Bcc: .{0,1500}",
        subject in "(?s).{0,300}",
        name in "(?s).{0,1200}",
        envid in "(?s).{0,1200}",
        content in "(?s).{0,2000}",
    ) {
        let mut about = message(&content, &["you@b.example"]);
        about.subject = subject;
        about.envelope.envid = Some(envid);
        about.envelope.recipients[0].orcpt =
            Some(Orcpt { address_type: name.clone(), address: name.clone() });
        let ReversePath::Mailbox(to) = &about.envelope.reverse_path else { unreachable!() };
        let reply = Reply::new(550, (5, 1, 1), reply_text);
        let host = RemoteHost { name, ..host() };
        let composed = Report {
            kind: Kind::Failure,
            id: MessageId::new(at(60), 2),
            at: at(60),
            was_tried: true,
            hostname: "relay.example.com",
            to,
            about: &about,
            recipients: vec![Reported {
                recipient: &about.envelope.recipients[0],
                status: (5, 1, 1).into(),
                reply: &reply,
                host: Some(&host),
            }],
            // A content that is none: the parts before it must be sound all the same.
            content: &[],
        }
        .compose();
        let text = String::from_utf8(composed.content).unwrap();
        prop_assert!(text.is_ascii());
        prop_assert!(text.ends_with("--\r\n"));
        for line in text.split("\r\n") {
            prop_assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{line:?}");
        }
        let header = text.split("\r\n\r\n").next().unwrap();
        prop_assert_eq!(names(header), [
            "Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version",
            "Content-Type",
        ]);
        let status = text.split("Content-Type: message/delivery-status").nth(1).unwrap();
        prop_assert_eq!(names(status), [
            "Reporting-MTA", "Original-Envelope-Id", "Arrival-Date", "Original-Recipient",
            "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code",
            "Last-Attempt-Date",
        ]);
    }
}
