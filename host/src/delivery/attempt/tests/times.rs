//! Priority and deadline of a message: handed on to hosts that list them, and what becomes of the others; and the
//! priority in the header for those that do not list it.

use outpost_smtp::{ByMode, Notify};

use super::*;
use crate::delivery::rehearsal::NOW;
use crate::message::{Class, DeliverBy};

const EXTENSIONS: [&str; 3] = ["PIPELINING", "MT-PRIORITY", "DELIVERBY 60"];

fn mail(mode: ByMode, seconds_left: u64) -> Mail {
    let mut mail = Mail::to(&["you@b.example"]);
    mail.message.envelope.mt_priority = Some(-9);
    mail.message.class = Class::VeryLow;
    mail.message.envelope.deliver_by = Some(DeliverBy {
        until: NOW.plus(seconds(seconds_left)),
        mode,
        trace: true,
    });
    mail
}

#[tokio::test]
async fn a_host_that_lists_them_is_told_the_priority_and_what_is_left_of_the_time() {
    let host = Script::new().listing(&EXTENSIONS);
    let mail = mail(ByMode::Return, 90);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(
        host.seen().commands[1],
        "MAIL FROM:<me@a.example> MT-PRIORITY=-9 BY=90;RT"
    );
    assert!(last_host(&attempt).unwrap().deliver_by);
}

#[tokio::test]
async fn a_host_that_does_not_list_them_is_not_told() {
    let host = Script::new();
    let mail = mail(ByMode::Notify, 90);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    let command = &host.seen().commands[1];
    assert!(!command.contains("PRIORITY") && !command.contains("BY="));
    assert!(!last_host(&attempt).unwrap().deliver_by);
}

#[tokio::test]
async fn a_host_that_does_not_know_the_time_is_asked_for_word_of_a_delay_while_there_is_time() {
    let (success, never) = (
        Notify {
            success: true,
            ..Notify::default()
        },
        Notify {
            never: true,
            ..Notify::default()
        },
    );
    for (extensions, seconds_left, notify, said) in [
        (&["DSN"][..], 90, None, " NOTIFY=FAILURE,DELAY"),
        (&["DSN"][..], 90, Some(success), " NOTIFY=SUCCESS,DELAY"),
        (&["DSN"][..], 90, Some(never), " NOTIFY=NEVER"),
        (&["DSN"][..], 0, None, ""),
        (&["DSN", "DELIVERBY"][..], 90, None, ""),
        (&[][..], 90, Some(success), ""),
    ] {
        let host = Script::new().listing(extensions);
        let mut mail = mail(ByMode::Notify, seconds_left);
        mail.message.envelope.recipients[0].notify = notify;
        mail.deliver(&World::of(&host).deliverer()).await;
        let command = &host.seen().commands[2];
        let expected = format!("RCPT TO:<you@b.example>{said}");
        assert_eq!(*command, expected, "{extensions:?} {seconds_left}");
    }
}

#[tokio::test]
async fn what_is_to_come_back_in_time_goes_only_to_hosts_that_see_to_it() {
    for (extensions, seconds_left, outcome) in [
        (&EXTENSIONS[..], 60, "delivered 250 2.0.0"),
        (&EXTENSIONS[..], 59, "bounced 554 5.4.7 local"),
        (&EXTENSIONS[..2], 9_000, "bounced 554 5.4.7 local"),
        (&EXTENSIONS[..], 0, "bounced 554 5.4.7 local"),
    ] {
        let host = Script::new().listing(extensions);
        let mail = mail(ByMode::Return, seconds_left);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), [outcome], "{extensions:?} {seconds_left}");
    }
    // An operator has moved it behind its time: it is tried, and the host is told of none.
    for extensions in [&EXTENSIONS[..], &EXTENSIONS[..2]] {
        let host = Script::new().listing(extensions);
        let mut mail = mail(ByMode::Return, 0);
        mail.delivery.due = NOW.plus(seconds(1));
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"], "{extensions:?}");
        let said = &host.seen().commands[1];
        assert_eq!(said, "MAIL FROM:<me@a.example> MT-PRIORITY=-9");
    }
    // Another host of the domain may list more.
    let plain = Script::new().listing(&[]);
    let good = Script::new().listing(&EXTENSIONS);
    let world = World::new()
        .mx("b.example", 10, "plain.example", "192.0.2.1")
        .mx("b.example", 20, "good.example", "192.0.2.2")
        .host("192.0.2.1:25", &plain)
        .host("192.0.2.2:25", &good);
    let attempt = mail(ByMode::Return, 90).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(plain.verbs(), "EHLO");
    assert_eq!(good.seen().contents, [CONTENT]);
}

#[tokio::test]
async fn a_host_is_told_the_priority_as_it_was_asked_for_unless_less_counts() {
    for (asked, class, told) in [
        (9, Class::VeryHigh, 9),
        (9, Class::High, 3),
        (9, Class::VeryLow, -4),
        (0, Class::Low, -1),
        (-9, Class::Normal, -9),
        (-9, Class::VeryHigh, -9),
    ] {
        let mut mail = Mail::to(&["you@b.example"]);
        mail.message.envelope.mt_priority = Some(asked);
        mail.message.class = class;
        let listing = Script::new().listing(&["MT-PRIORITY"]);
        mail.deliver(&World::of(&listing).deliverer()).await;
        let command = &listing.seen().commands[1];
        assert_eq!(
            *command,
            format!("MAIL FROM:<me@a.example> MT-PRIORITY={told}")
        );
        let plain = Script::new().listing(&[]);
        let world = World::of(&plain).with(|settings| settings.mt_priority_tunnel = true);
        mail.deliver(&world.deliverer()).await;
        let field = format!("MT-Priority: {told}\r\n");
        assert!(plain.seen().contents[0].starts_with(&field), "{told}");
    }
}

/// The class of a message that gets what MAIL asked for.
fn class(priority: Option<i8>) -> Class {
    let class = priority.and_then(Class::from_mt_priority);
    class.unwrap_or(Class::Normal)
}

/// Sends a message through the tunnel, its content read in pieces of `piece` octets: what MAIL said, and the content.
async fn tunnelled(
    content: &str,
    priority: Option<i8>,
    piece: usize,
    host: &Script,
) -> (String, String) {
    let mut mail = Mail::to(&["you@b.example"]).with_content(content.to_owned(), piece);
    mail.message.envelope.mt_priority = priority;
    mail.message.class = class(priority);
    mail.message.eight_bit = !content.is_ascii();
    let world = World::of(host).with(|settings| settings.mt_priority_tunnel = true);
    let attempt = mail.deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    let seen = host.seen();
    (seen.commands[1].clone(), seen.contents[0].clone())
}

#[tokio::test]
async fn a_host_that_does_not_list_the_priority_gets_it_in_the_header_and_just_once() {
    let body = "Subject: x\r\n\r\nMT-Priority: 1\r\n.\r\n";
    for (fields, priority, ours) in [
        ("", Some(6), "MT-Priority: 6\r\n"),
        ("MT-Priority: 9\r\n", Some(-4), "MT-Priority: -4\r\n"),
        (
            "MT-Priority: 6\r\nmt-priority:\r\n 6\r\n",
            Some(6),
            "MT-Priority: 6\r\n",
        ),
        // What nobody answers for does not go on.
        ("MT-Priority: 9\r\n", None, "MT-Priority: 0\r\n"),
        ("", None, ""),
    ] {
        let expected = format!("{ours}{body}");
        for extensions in [&["SIZE"][..], &["SIZE", "CHUNKING", "PIPELINING"]] {
            for piece in [1, 7, 1_000] {
                let host = Script::new().listing(extensions);
                let content = format!("{fields}{body}");
                let (command, arrived) = tunnelled(&content, priority, piece, &host).await;
                assert_eq!(
                    arrived, expected,
                    "{fields:?} {priority:?} {extensions:?} {piece}"
                );
                let size = expected.len();
                assert_eq!(command, format!("MAIL FROM:<me@a.example> SIZE={size}"));
            }
        }
    }
}

#[tokio::test]
async fn a_content_is_converted_behind_the_tunnel() {
    let content = "MT-Priority: 9\r\nSubject: x\r\n\r\ngrün\r\n";
    let host = Script::new().listing(&["SIZE"]);
    let (command, arrived) = tunnelled(content, Some(2), 5, &host).await;
    assert!(
        arrived.starts_with("MT-Priority: 2\r\nSubject: x\r\n"),
        "{arrived}"
    );
    assert!(arrived.ends_with("\r\n\r\ngr=C3=BCn\r\n"), "{arrived}");
    let size = arrived.len();
    assert_eq!(command, format!("MAIL FROM:<me@a.example> SIZE={size}"));
}

#[tokio::test]
async fn nothing_is_changed_for_a_host_that_lists_the_priority_or_where_nobody_wants_a_tunnel() {
    let content = "MT-Priority: 9\r\nSubject: x\r\n\r\nx\r\n";
    let host = Script::new().listing(&["MT-PRIORITY"]);
    let (command, arrived) = tunnelled(content, Some(2), 5, &host).await;
    assert_eq!(command, "MAIL FROM:<me@a.example> MT-PRIORITY=2");
    assert_eq!(arrived, content);
    let mut mail = Mail::to(&["you@b.example"]).with_content(content.to_owned(), 5);
    mail.message.envelope.mt_priority = Some(2);
    mail.message.class = Class::High;
    let host = Script::new().listing(&[]);
    mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(host.seen().contents, [content]);
}
