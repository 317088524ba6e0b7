//! Connections that have carried mail: what a host refuses over them may concern nothing else.

use super::hosts::many;
use crate::delivery::rehearsal::{Act, Mail, Script, World, brief};
use crate::message::NextHop;

#[tokio::test]
async fn what_is_refused_over_a_used_connection_is_asked_once_more_over_a_new_one() {
    let delivered = "delivered 250 2.0.0";
    for (command, reply, stands) in [
        (
            "MAIL",
            "452 4.5.3 Too many messages\r\n",
            "deferred 452 4.5.3",
        ),
        ("MAIL", "421 4.7.0 Enough\r\n", "deferred 421 4.7.0"),
        ("MAIL", "503 5.5.1 Bad sequence\r\n", "bounced 503 5.5.1"),
        (
            "MAIL",
            "550 5.7.0 Too many messages\r\n",
            "bounced 550 5.7.0",
        ),
        ("RCPT", "452 4.5.3 Too many\r\n", "deferred 452 4.5.3"),
        ("RCPT", "452 Too many\r\n", "deferred 452 -"),
        ("RCPT", "550 5.5.3 Too many\r\n", "bounced 550 5.5.3"),
    ] {
        let mail = Mail::to(&["a@b.example", "c@b.example"]);
        // Kept for its own domain, kept for another one, and of a message's own.
        let host = Script::new();
        let deliverer = World::of(&host).deliverer();
        mail.deliver(&deliverer).await;
        let host = host.times(
            if command == "MAIL" { 1 } else { 2 },
            command,
            Act::Say(reply),
        );
        let attempt = mail.deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [delivered; 2], "{command} {reply}");
        assert_eq!(attempt.visits.len(), 1);
        assert_eq!(host.seen().connections, 2, "{command} {reply}");

        let (host, all) = (Script::new(), many());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let world = World::of(&host).mx("c.example", 10, "mx.example", "192.0.2.1");
        let deliverer = world.deliverer();
        mail.deliver(&deliverer).await;
        let host = host.times(
            if command == "MAIL" { 1 } else { 100 },
            command,
            Act::Say(reply),
        );
        let attempt = Mail::by(NextHop::Domain("c.example".into()), &all);
        let attempt = attempt.deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [delivered; 150], "{command} {reply}");
        assert_eq!(host.seen().connections, 2, "{command} {reply}");

        // It may mean the message after all. No more connections than that one.
        let host = Script::new();
        let deliverer = World::of(&host).deliverer();
        mail.deliver(&deliverer).await;
        let host = host.at(command, Act::Say(reply));
        let attempt = mail.deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [stands; 2], "{command} {reply}");
        assert_eq!(host.seen().connections, 2, "{command} {reply}");
    }
    // Nobody is unknown only in this session.
    let host = Script::new();
    let deliverer = World::of(&host).deliverer();
    Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    let host = host.at("RCPT", Act::Say("550 5.1.1 Nobody\r\n"));
    let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["bounced 550 5.1.1"]);
    assert_eq!(host.seen().connections, 1);
}

#[tokio::test]
async fn where_mail_is_refused_no_empty_message_arrives() {
    // The script says 250 to RCPT and 354 to DATA whatever came before.
    let host = Script::new().at("MAIL", Act::Say("550 5.7.1 Not you\r\n"));
    let all = many();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let attempt = Mail::to(&all).deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["bounced 550 5.7.1"; 150]);
    assert!(
        host.seen().contents.is_empty(),
        "{:?}",
        host.seen().contents
    );
    assert_eq!(host.seen().connections, 2);
}

#[tokio::test]
async fn a_limit_of_messages_in_one_session_stops_nothing() {
    let host = Script::new();
    let deliverer = World::of(&host).deliverer();
    for message in 0..5 {
        // Two a session.
        let host = match message {
            2 | 4 => host
                .clone()
                .times(1, "MAIL", Act::Say("452 4.5.3 Too many\r\n")),
            _ => host.clone(),
        };
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(host.seen().connections, 1 + message / 2);
    }
    assert_eq!(deliverer.metrics.idle_connections.get(), 1);
}
