//! Attempts against hosts that follow a script: what a message, its host and its recipients come to.

#![allow(clippy::unwrap_used)]

mod breaks;
mod chunks;
mod cut_off;
mod dialogues;
mod extensions;
mod hosts;
mod limits;
mod pauses;
mod places;
mod protection;
mod times;
mod used;

use std::time::Duration;

use outpost_smtp::{Body, Notify, Orcpt, Ret};
use tokio::time::Instant;

use super::*;
use crate::delivery::rehearsal::{
    Act, CONTENT, Certificate, Mail, Script, World, brief, last_host, mailbox, seconds,
};
use crate::spool::{Content, Pending, SpoolError};

#[tokio::test]
async fn a_message_is_handed_over_as_it_is() {
    let host = Script::new();
    let mail = Mail::to(&["you@b.example"]);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(host.seen().contents, [CONTENT]);
    assert_eq!(host.verbs(), "EHLO MAIL RCPT DATA .");
    let remote = last_host(&attempt).unwrap();
    assert_eq!(
        (
            remote.name.as_str(),
            remote.address.to_string(),
            remote.port
        ),
        ("mx.example", "192.0.2.1".to_owned(), 25)
    );
    assert!(remote.dsn && remote.tls.is_none() && !attempt.is_unknown());
}

#[tokio::test]
async fn each_recipient_has_its_own_outcome() {
    let host = Script::new()
        .at("RCPT TO:<bad", Act::Say("550 5.1.1 Nobody\r\n"))
        .at("RCPT TO:<later", Act::Say("451 4.2.0 Later\r\n"));
    let mail = Mail::to(&[
        "bad@b.example",
        "a@b.example",
        "later@b.example",
        "c@b.example",
    ]);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(
        brief(&attempt),
        [
            "bounced 550 5.1.1",
            "delivered 250 2.0.0",
            "deferred 451 4.2.0",
            "delivered 250 2.0.0"
        ]
    );
    assert_eq!(host.seen().contents.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_longer_than_the_rfc_asks() {
    let minutes = |minutes: u64| seconds(60 * minutes);
    for (command, within) in [
        ("connect", minutes(5)),
        ("EHLO", minutes(5)),
        ("MAIL", minutes(5)),
        ("RCPT", minutes(5)),
        ("DATA", minutes(2)),
        (".", minutes(10)),
    ] {
        let host = Script::new().at(command, Act::Hang);
        let begun = Instant::now();
        let attempt = Mail::to(&["a@b.example"])
            .deliver(&World::of(&host).deliverer())
            .await;
        assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"], "{command}");
        assert_eq!(begun.elapsed(), within, "{command}");
        assert_eq!(attempt.is_unknown(), command == ".", "{command}");
        let has_begun = !["connect", "EHLO"].contains(&command);
        assert_eq!(attempt.mail_ago, has_begun.then_some(within), "{command}");
    }
}

#[tokio::test]
async fn a_domain_without_hosts_is_decided_over_without_one() {
    let world = World::new().mx("null.example", 0, "", "-");
    let deliverer = world.deliverer();
    for (domain, outcome) in [
        ("null.example", "bounced 556 5.1.10 local"),
        ("none.example", "bounced 550 5.1.2 local"),
    ] {
        let next_hop = NextHop::Domain(domain.into());
        let mail = Mail::by(next_hop, &["a@b.example", "c@b.example"]);
        let attempt = mail.deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [outcome, outcome]);
        assert_eq!(last_host(&attempt), None);
    }
}

#[tokio::test]
async fn a_smarthost_that_is_not_configured_any_more_makes_mail_wait() {
    let mail = Mail::by(
        NextHop::Smarthost("old.example:25".into()),
        &["a@b.example"],
    );
    let attempt = mail.deliver(&World::new().deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.3.5 local"]);
}

#[tokio::test]
async fn commands_leave_in_one_write_and_the_dot_with_the_content() {
    let host = Script::new();
    let mail = Mail::to(&["a@b.example", "c@b.example"]);
    mail.deliver(&World::of(&host).deliverer()).await;
    let size = CONTENT.len();
    assert_eq!(
        host.seen().reads,
        [
            "EHLO relay.example\r\n".to_owned(),
            format!(
                "MAIL FROM:<me@a.example> SIZE={size}\r\nRCPT TO:<a@b.example>\r\n\
                 RCPT TO:<c@b.example>\r\nDATA\r\n"
            ),
            "Subject: Hello\r\n\r\n..One line with a dot.\r\n.\r\n".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_host_without_pipelining_gets_one_command_at_a_time() {
    let host = Script::new().listing(&["SIZE"]);
    Mail::to(&["a@b.example"])
        .deliver(&World::of(&host).deliverer())
        .await;
    let firsts: Vec<String> = host
        .seen()
        .reads
        .iter()
        .map(|read| read[..4].to_owned())
        .collect();
    assert_eq!(firsts, ["EHLO", "MAIL", "RCPT", "DATA", "Subj"]);
}

#[tokio::test]
async fn many_recipients_go_in_several_transactions_over_one_connection() {
    let addresses: Vec<String> = (0..250).map(|n| format!("r{n}@b.example")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let host = Script::new();
    let attempt = Mail::to(&addresses)
        .deliver(&World::of(&host).deliverer())
        .await;
    assert_eq!(attempt.outcomes().len(), 250);
    assert!(
        attempt.visits[0]
            .outcomes
            .is_sorted_by_key(|outcome| outcome.recipient)
    );
    assert!(
        brief(&attempt)
            .iter()
            .all(|outcome| outcome == "delivered 250 2.0.0")
    );
    assert_eq!(
        (host.seen().contents.len(), host.seen().connections),
        (3, 1)
    );
}

#[tokio::test]
async fn recipients_that_were_too_many_follow_at_once() {
    for reply in [
        "452 4.5.3 Too many\r\n",
        "452 Too many\r\n",
        "552 Too many\r\n",
    ] {
        let host = Script::new().times(1, "RCPT TO:<b", Act::Say(reply)).times(
            1,
            "RCPT TO:<c",
            Act::Say(reply),
        );
        let mail = Mail::to(&["a@b.example", "b@b.example", "c@b.example"]);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), vec!["delivered 250 2.0.0"; 3], "{reply}");
        assert_eq!(host.seen().contents.len(), 2);
    }
    // A host that takes nobody is not asked again.
    let host = Script::new().at("RCPT", Act::Say("452 4.5.3 Too many\r\n"));
    let attempt = Mail::to(&["a@b.example"])
        .deliver(&World::of(&host).deliverer())
        .await;
    assert_eq!(brief(&attempt), ["deferred 452 4.5.3"]);
}

#[tokio::test]
async fn of_a_long_reply_the_start_is_kept() {
    let line = format!("450-4.2.0 {}\r\n", "\u{fc}".repeat(900));
    let reply: &'static str = Box::leak((line.repeat(100) + "450 4.2.0 Later\r\n").into());
    let host = Script::new().at("RCPT", Act::Say(reply));
    let attempt = Mail::to(&["a@b.example", "c@b.example"])
        .deliver(&World::of(&host).deliverer())
        .await;
    assert_eq!(brief(&attempt), vec!["deferred 450 4.2.0"; 2]);
    for (outcome, _) in attempt.outcomes() {
        assert_eq!(outcome.outcome.reply().text.chars().count(), 1_000);
    }
}

#[tokio::test]
async fn a_large_content_arrives_as_it_was_however_it_was_cut() {
    let line = format!(".{}\r\n", "x".repeat(70));
    let content = format!("Subject: Hello\r\n\r\n{}", line.repeat(10_000));
    for piece in [1_000, 64 * 1024] {
        let host = Script::new();
        let mail = Mail::to(&["a@b.example"]).with_content(content.clone(), piece);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert!(host.seen().contents == [content.as_str()], "cut at {piece}");
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_the_content_counts() {
    let content = "x".repeat(70).repeat(20_000) + "\r\n";
    let host = Script::new().at(
        "DATA",
        Act::RefuseInContent(100_000, "552 5.3.4 Too large\r\n"),
    );
    let mail = Mail::to(&["a@b.example"]).with_content(content, 64 * 1024);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["bounced 552 5.3.4"]);
    assert!(!attempt.is_unknown());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stops_reading_is_given_up() {
    let content = "x".repeat(70).repeat(20_000) + "\r\n";
    let host = Script::new().at("DATA", Act::StopReading);
    let mail = Mail::to(&["a@b.example"]).with_content(content, 64 * 1024);
    let begun = Instant::now();
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"]);
    assert!(begun.elapsed() >= seconds(180), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < seconds(190), "{:?}", begun.elapsed());
    assert!(!attempt.is_unknown());
}

#[tokio::test]
async fn content_that_cannot_be_read_is_never_ended() {
    struct Torn;
    impl Content for Torn {
        fn next(&mut self) -> Pending<'_, Option<bytes::Bytes>> {
            Box::pin(async { Err(SpoolError::Unavailable("torn".into())) })
        }
    }
    let host = Script::new();
    let deliverer = World::of(&host).deliverer();
    let short = Mail::to(&["a@b.example"]);
    let mut long = Mail::to(&["a@b.example", "c@b.example"]);
    long.message.content_octets += 1;
    let attempt = long.deliver(&deliverer).await;
    assert_eq!(brief(&attempt), vec!["deferred 451 4.3.0 local"; 2]);
    let open = || -> Pending<'static, Box<dyn Content>> {
        Box::pin(async { Ok(Box::new(Torn) as Box<dyn Content>) })
    };
    let attempt = deliverer
        .deliver(&short.message, &short.delivery, &open)
        .await;
    assert_eq!(brief(&attempt), ["deferred 451 4.3.0 local"]);
    assert!(host.seen().contents.is_empty());
    assert_eq!(host.verbs(), "EHLO MAIL RCPT RCPT DATA EHLO MAIL RCPT DATA");
}

#[tokio::test]
async fn a_bare_line_end_is_never_sent() {
    let host = Script::new();
    let content = "Subject: x\r\n\r\nsmuggled\n.\nMAIL FROM:<>\r\n".to_owned();
    let mail = Mail::to(&["a@b.example"]).with_content(content, 5);
    let attempt = mail.deliver(&World::of(&host).deliverer()).await;
    assert_eq!(brief(&attempt), ["bounced 554 5.6.11 local"]);
    assert!(host.seen().contents.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_comes_octet_by_octet_gains_no_time() {
    let host = Script::new().at("MAIL", Act::Drip("250 2.0.0 Ok", Duration::from_secs(59)));
    let begun = Instant::now();
    let attempt = Mail::to(&["a@b.example"])
        .deliver(&World::of(&host).deliverer())
        .await;
    assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"]);
    assert_eq!(begun.elapsed(), seconds(300));
}
