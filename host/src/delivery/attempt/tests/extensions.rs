//! What a message needs and a host does not list: converted, done without, or reported; never sent raw.

use super::*;

/// A message in Latin letters beyond ASCII.
fn eight_bit() -> Mail {
    let content = "Subject: x\r\n\r\ngrün\r\n.\r\n".to_owned();
    let mut mail = Mail::to(&["a@b.example"]).with_content(content, 9);
    mail.message.eight_bit = true;
    mail
}

#[tokio::test]
async fn eight_bit_content_is_converted_for_a_host_that_takes_seven() {
    let converted = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                     Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BCn\r\n.\r\n";
    for (extensions, is_converted) in [
        (&["PIPELINING", "SIZE 1000"][..], true),
        (&["SIZE", "CHUNKING"], true),
        (&["SIZE", "8BITMIME"], false),
        (&["SIZE", "8BITMIME", "CHUNKING"], false),
    ] {
        let host = Script::new().listing(extensions);
        let mail = eight_bit();
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"], "{extensions:?}");
        let seen = host.seen();
        let content = if is_converted {
            converted
        } else {
            &mail.content
        };
        assert_eq!(seen.contents, [content]);
        let size = content.len();
        let body = if is_converted { "" } else { " BODY=8BITMIME" };
        let command = format!("MAIL FROM:<me@a.example> SIZE={size}{body}");
        assert_eq!(seen.commands[1], command);
    }
}

#[tokio::test]
async fn what_becomes_too_large_by_conversion_is_not_sent() {
    let host = Script::new().listing(&["SIZE 100"]);
    let attempt = eight_bit().deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["bounced 552 5.3.4 local"]);
    assert_eq!(host.verbs(), "EHLO");
}

#[tokio::test]
async fn of_two_hosts_only_the_one_that_needs_it_gets_a_converted_content() {
    let first = Script::new()
        .listing(&[])
        .at(".", Act::Say("451 4.3.0 Later\r\n"));
    let second = Script::new();
    let world = World::new()
        .mx("b.example", 10, "first.example", "192.0.2.1")
        .mx("b.example", 20, "second.example", "192.0.2.2")
        .host("192.0.2.1:25", &first)
        .host("192.0.2.2:25", &second);
    let mail = eight_bit();
    let attempt = mail.deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert!(first.seen().contents[0].contains("gr=C3=BCn"));
    assert_eq!(second.seen().contents, [mail.content]);
}

#[tokio::test]
async fn a_domain_beyond_ascii_is_spelled_in_a_labels_for_a_host_without_smtputf8() {
    let mut mail = Mail::to(&["ann@bücher.example", "b@b.example"]);
    mail.message.envelope.smtputf8 = true;
    mail.message.envelope.reverse_path =
        outpost_smtp::ReversePath::Mailbox(mailbox("me@grün.example"));
    let plain = Script::new().listing(&["8BITMIME"]);
    let attempt = mail.deliver(&World::of(&plain).deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"; 2]);
    assert_eq!(
        plain.seen().commands[1..3],
        [
            "MAIL FROM:<me@xn--grn-ioa.example>",
            "RCPT TO:<ann@xn--bcher-kva.example>"
        ]
    );
    // Who knows SMTPUTF8 gets what was given.
    let modern = Script::new().listing(&["8BITMIME", "SMTPUTF8"]);
    mail.deliver(&World::of(&modern).deliverer()).await;
    assert_eq!(
        modern.seen().commands[1..3],
        [
            "MAIL FROM:<me@grün.example> SMTPUTF8",
            "RCPT TO:<ann@bücher.example>"
        ]
    );
    // A body in UTF-8 is no reason for SMTPUTF8; a header is.
    for (content, outcome) in [
        ("Subject: x\r\n\r\ngrün\r\n", "delivered 250 2.0.0"),
        ("Subject: grün\r\n\r\nx\r\n", "bounced 550 5.6.9 local"),
    ] {
        let mut mail = Mail::to(&["ann@bücher.example"]).with_content(content.to_owned(), 5);
        mail.message.envelope.smtputf8 = true;
        mail.message.eight_bit = true;
        let host = Script::new().listing(&["8BITMIME"]);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), [outcome], "{content}");
    }
}

#[tokio::test]
async fn what_a_host_cannot_take_is_never_sent_to_it() {
    let signed = |mail: &mut Mail| {
        let content = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nä\r\n--b--\r\n";
        *mail = Mail::to(&["a@b.example"]).with_content(content.to_owned(), 7);
        mail.message.eight_bit = true;
    };
    let utf8 = |mail: &mut Mail| {
        mail.message.envelope.smtputf8 = true;
        mail.message.envelope.recipients[0].mailbox = mailbox("jörg@b.example");
    };
    let utf8_header = |mail: &mut Mail| {
        let content = "Subject: grün\r\n\r\nx\r\n".to_owned();
        *mail = Mail::to(&["a@b.example"]).with_content(content, 7);
        mail.message.envelope.smtputf8 = true;
        mail.message.eight_bit = true;
    };
    let large = |mail: &mut Mail| mail.message.content_octets = 5_000;
    type Case<'a> = (&'a [&'static str], &'a dyn Fn(&mut Mail), &'a str);
    let cases: [Case<'_>; 5] = [
        (&["PIPELINING"], &signed, "bounced 554 5.6.3 local"),
        (&["8BITMIME"], &utf8, "bounced 550 5.6.7 local"),
        (&["8BITMIME"], &utf8_header, "bounced 550 5.6.9 local"),
        (&["SIZE 4000"], &large, "bounced 552 5.3.4 local"),
        (&[], &signed, "bounced 554 5.6.3 local"),
    ];
    for (extensions, change, outcome) in cases {
        let host = Script::new().listing(extensions);
        let mut mail = Mail::to(&["a@b.example"]);
        change(&mut mail);
        let deliverer = World::of(&host).deliverer();
        let attempt = mail.deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [outcome], "{extensions:?}");
        assert_eq!(host.verbs(), "EHLO");
        // The connection is good for the next message.
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(host.seen().connections, 1);
    }
}

#[tokio::test]
async fn a_message_that_needs_no_extension_goes_to_a_host_without_any() {
    let host = Script::new().listing(&[]);
    let mut mail = Mail::to(&["a@b.example"]);
    // Declared, and not needed after all.
    mail.message.envelope.body = Body::EightBitMime;
    mail.message.envelope.smtputf8 = true;
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(host.seen().commands[1], "MAIL FROM:<me@a.example>");
}

#[tokio::test]
async fn dsn_wishes_are_passed_on_to_those_who_offer_dsn() {
    let mut mail = Mail::to(&["a@b.example"]);
    mail.message.envelope.ret = Some(Ret::Headers);
    mail.message.envelope.envid = Some("x1".to_owned());
    let recipient = &mut mail.message.envelope.recipients[0];
    recipient.notify = Some(Notify {
        success: true,
        ..Notify::default()
    });
    recipient.orcpt = Some(Orcpt {
        address_type: "rfc822".to_owned(),
        address: "first@z.example".to_owned(),
    });
    for (extensions, parameters) in [
        (
            &["DSN"][..],
            (
                " RET=HDRS ENVID=x1",
                " NOTIFY=SUCCESS ORCPT=rfc822;first@z.example",
            ),
        ),
        (&[], ("", "")),
    ] {
        let host = Script::new().listing(extensions);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(last_host(&attempt).unwrap().dsn, !extensions.is_empty());
        let commands = host.seen().commands;
        assert_eq!(
            commands[1],
            format!("MAIL FROM:<me@a.example>{}", parameters.0)
        );
        assert_eq!(
            commands[2],
            format!("RCPT TO:<a@b.example>{}", parameters.1)
        );
    }
}

#[tokio::test]
async fn a_recipient_beyond_ascii_is_refused_alone_by_a_host_without_smtputf8() {
    let recipients = ["a@b.example", "jörg@b.example", "ann@bücher.example"];
    let (delivered, bounced) = ("delivered 250 2.0.0", "bounced 550 5.6.7 local");
    for (recipients, extensions, outcomes) in [
        (
            &recipients[..],
            "8BITMIME",
            &[delivered, bounced, delivered][..],
        ),
        (&recipients[1..2], "8BITMIME", &[bounced]),
        (&recipients, "SMTPUTF8", &[delivered, delivered, delivered]),
    ] {
        let mut mail = Mail::to(recipients);
        mail.message.envelope.smtputf8 = true;
        let host = Script::new().listing(&[extensions]);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), outcomes, "{extensions}");
        let is_taken = |outcome: &&&str| **outcome == delivered;
        let taken = outcomes.iter().filter(is_taken).count();
        assert_eq!(host.verbs().matches("RCPT").count(), taken);
    }
    // Its header goes to nobody there.
    let content = "Subject: grün\r\n\r\nx\r\n".to_owned();
    let mut mail = Mail::to(&recipients).with_content(content, 7);
    mail.message.envelope.smtputf8 = true;
    mail.message.eight_bit = true;
    let host = Script::new().listing(&["8BITMIME"]);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    let header = "bounced 550 5.6.9 local";
    assert_eq!(brief(&attempt), [header, bounced, header]);
}
