//! What becomes of a refused sender beside its notification.

use super::*;
use crate::account::{SenderRules, UserPatch};
use crate::message::Address;
use crate::spool::{NamedIn, Spool};
use outpost_smtp::Mailbox;

#[tokio::test]
async fn a_refused_sender_is_listed_with_what_it_was_refused_for() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    for sender in ["ceo@b.example", "CEO@B.Example"] {
        peer.say(&format!("MAIL FROM:<{sender}>"), "550 5.7.1 ")
            .await;
    }
    let authors = "From: x@a.example, other@c.example\r\n\r\nx";
    peer.message("x@a.example", authors, "550 5.7.1 ").await;
    peer.message("x@a.example", "From: x@a.example\r\n\r\nx", "250 ")
        .await;
    stage.reception.tally.note().await.unwrap();
    let now = stage.reception.clock.now();
    let rows = stage.spool.refusals().of_user("ann", now);
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let refusal = &row.refusal;
            let sender = refusal.sender.as_ref().unwrap().to_string();
            (sender, refusal.named_in, refusal.count)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("CEO@b.example".to_owned(), NamedIn::Envelope, 2),
            ("other@c.example".to_owned(), NamedIn::Header, 1),
        ],
        "who is covered is not what it was refused for"
    );
    assert_eq!(
        rows[1].refusal.reasons,
        ["not-authorized: ann may not send as other@c.example"]
    );
    assert_eq!(rows[0].refusal.clients.len(), 1);
}

#[tokio::test]
async fn the_rule_that_covers_an_address_is_what_the_shipped_component_decides_by() {
    let stage = Stage::new().await;
    let domains = Items::Text("a.example;*.c.example;b\u{fc}cher.example;[192.0.2.1]".into());
    let senders = Items::Text("x@d.example;j\u{fc}rgen@e.example;\"a(b\"@d.example".into());
    let rules = SenderRules::parse(&domains, &senders).unwrap();
    stage
        .change(UserPatch {
            authorized_domains: Some(domains),
            authorized_senders: Some(senders),
            ..UserPatch::default()
        })
        .await;
    let mut peer = stage.logged_in().await;
    let mut covered = 0;
    for local in [
        "x",
        "X",
        "y",
        "J\u{dc}RGEN",
        "j\u{fc}rgen",
        "\"a(B\"",
        "\u{130}",
        "\u{3a3}",
    ] {
        for domain in [
            "a.example",
            "A.Example",
            "sub.a.example",
            "nota.example",
            "c.example",
            "sub.c.example",
            "deep.sub.c.example",
            "notc.example",
            "d.example",
            "sub.d.example",
            "e.example",
            "b\u{fc}cher.example",
            "xn--bcher-kva.example",
            "[192.0.2.1]",
            "[192.0.2.2]",
        ] {
            let sender = format!("{local}@{domain}");
            let mailbox = Mailbox::parse(&sender, true).unwrap();
            let covering = rules.covering(&Address::from_mailbox(&mailbox).unwrap());
            covered += usize::from(covering.is_some());
            let beginning = match covering {
                Some(_) => "250 ",
                None => "550 5.7.1 ",
            };
            peer.say(&format!("MAIL FROM:<{sender}> SMTPUTF8"), beginning)
                .await;
            peer.say("RSET", "250").await;
        }
    }
    assert!(covered > 50, "{covered}");
}
