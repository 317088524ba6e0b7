//! Reception over in-memory streams: what a client sees, and what reaches the spool.
//!
//! Directory and spool are in memory, the components are the ones that ship. Deadlines are shown
//! on paused time; what waits for a password is not, since a hash is computed on a thread of its own.

mod allowance;
mod endings;
mod logs;
mod posting;
mod refused;
mod room;
mod stage;
mod times;

use super::*;
use crate::account::{Items, UserPatch};
use crate::spool::SpoolError;
use stage::{PASSWORD, Stage, plain, plain_for};

#[tokio::test]
async fn a_message_is_on_the_spool_before_its_250() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    let reply = peer
        .message(
            "x@a.example",
            "From: x@a.example\r\nX-Priority: 2\r\n\r\nhello",
            "250 2.0.0 Queued as ",
        )
        .await;
    let rows = stage.queued().await;
    assert_eq!(rows.len(), 1);
    let message = &rows[0].message;
    assert!(reply.contains(&message.id.to_string()), "{reply}");
    assert_eq!(message.class.number(), 2);
    let mut content = stage.spool.content(message.id).await.unwrap();
    let piece = content.next().await.unwrap().unwrap();
    let text = String::from_utf8(piece.to_vec()).unwrap();
    assert!(
        text.starts_with(
            "Received: from client.test ([192.0.2.1])\r\n by relay.test (Outpost) with ESMTPA id "
        ),
        "{text}"
    );
    assert!(
        text.ends_with("\r\nFrom: x@a.example\r\nX-Priority: 2\r\n\r\nhello\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_refused_after_the_content_leaves_nothing_and_the_session_goes_on() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    for (content, beginning) in [
        (
            "Subject: no author\r\n\r\nx",
            "550 5.7.1 The message has no From field",
        ),
        ("From: x@b.example\r\n\r\nx", "550 5.7.1 "),
        ("From: x@a.example, y@b.example\r\n\r\nx", "550 5.7.1 "),
        (
            "From: x@a.example\r\nSender: y@b.example\r\n\r\nx",
            "550 5.7.1 ",
        ),
        (
            "From: x@a.example\r\nFrom: x@a.example\r\n\r\nx",
            "550 5.7.1 The message has more than one From field",
        ),
        ("From : x@a.example\r\n\r\nx", "550 5.6.0 "),
        ("no header at all\r\n\r\nx", "550 5.6.0 "),
    ] {
        let reply = peer.message("x@a.example", content, beginning).await;
        assert!(!reply.contains("b.example"), "nothing is echoed: {reply}");
    }
    let long = format!("From: x@a.example\r\nX: {}\r\n\r\nx", "y".repeat(2_000));
    peer.message("x@a.example", &long, "552 5.3.4 ").await;
    let hops = format!(
        "From: x@a.example\r\n{}\r\nx",
        "Received: x\r\n".repeat(101)
    );
    peer.message("x@a.example", &hops, "554 5.4.6 ").await;
    peer.say("MAIL FROM:<x@b.example>", "550 5.7.1 ").await;
    peer.say("MAIL FROM:<\"\"@a.example>", "553 5.1.7 The address ")
        .await;
    assert!(stage.queued().await.is_empty());
    peer.message("", "From: x@a.example\r\n\r\nx", "250 2.0.0 ")
        .await;
    assert_eq!(stage.queued().await.len(), 1);
}

#[tokio::test]
async fn nobody_acts_for_another_and_a_name_is_the_same_in_any_case() {
    let stage = Stage::new().await;
    for (identity, beginning) in [
        ("", "235 "),
        ("ann", "235 "),
        ("ANN", "235 "),
        ("bob", "535 "),
    ] {
        let mut peer = stage.connect();
        peer.reply("220 ").await;
        peer.say("EHLO client.test", "250").await;
        let response = plain_for(identity, "Ann", PASSWORD);
        peer.say(&format!("AUTH PLAIN {response}"), beginning).await;
    }
}

#[tokio::test]
async fn who_is_named_twice_gets_the_message_once() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    peer.say("MAIL FROM:<x@a.example>", "250").await;
    for recipient in [
        "<bob@d.example>",
        "<\"bob\"@D.Example>",
        "<Bob@d.example>",
        "<bob@d.example> NOTIFY=NEVER",
        "<bob@d.example> NOTIFY=NEVER",
    ] {
        peer.say(&format!("RCPT TO:{recipient}"), "250 2.1.5").await;
    }
    peer.say("DATA", "354").await;
    peer.say("From: x@a.example\r\n\r\nx\r\n.", "250").await;
    let rows = stage.queued().await;
    let recipients: Vec<String> = rows[0]
        .message
        .envelope
        .recipients
        .iter()
        .map(|recipient| recipient.mailbox.to_string())
        .collect();
    // Who gets which reports is another question for each pair of parameters.
    assert_eq!(
        recipients,
        ["bob@d.example", "Bob@d.example", "bob@d.example"]
    );
}

#[tokio::test]
async fn smtputf8_is_kept_only_of_a_message_that_needs_it() {
    for (recipient, content, needed) in [
        ("bob@d.example", "From: x@a.example\r\n\r\nJ\u{f6}rg", false),
        (
            "bob@d.example",
            "From: J\u{f6}rg <x@a.example>\r\n\r\nx",
            true,
        ),
        ("j\u{f6}rg@d.example", "From: x@a.example\r\n\r\nx", true),
    ] {
        let stage = Stage::new().await;
        let mut peer = stage.logged_in().await;
        peer.say("MAIL FROM:<x@a.example> SMTPUTF8", "250").await;
        peer.say(&format!("RCPT TO:<{recipient}>"), "250").await;
        peer.say("DATA", "354").await;
        peer.say(&format!("{content}\r\n."), "250").await;
        let message = &stage.queued().await[0].message;
        assert_eq!(message.envelope.smtputf8, needed, "{recipient} {content}");
    }
}

#[tokio::test]
async fn a_spool_without_room_or_on_a_disk_that_takes_no_writes_is_452_and_a_broken_one_451() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    let content = "From: x@a.example\r\n\r\nx";
    stage.spool.fail_next_enqueue(SpoolError::Full);
    peer.message("x@a.example", content, "452 4.3.1 ").await;
    stage.spool.fail_next_enqueue(SpoolError::ReadOnly);
    peer.message("x@a.example", content, "452 4.3.1 ").await;
    stage
        .spool
        .fail_next_enqueue(SpoolError::unavailable("the disk is on fire"));
    let reply = peer.message("x@a.example", content, "451 4.3.0 ").await;
    assert!(!reply.contains("fire"));
    peer.message("x@a.example", content, "250 2.0.0 ").await;
}

#[tokio::test]
async fn a_change_of_rules_is_in_force_at_the_next_mail() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    peer.say("MAIL FROM:<x@b.example>", "550 5.7.1").await;
    stage
        .change(UserPatch {
            authorized_domains: Some(Items::Text("b.example".into())),
            ..UserPatch::default()
        })
        .await;
    peer.say("MAIL FROM:<x@b.example>", "250").await;
    peer.say("RSET", "250").await;
    peer.say("MAIL FROM:<x@a.example>", "550 5.7.1").await;
}

#[tokio::test]
async fn disabling_deleting_and_resetting_end_a_session_before_its_next_transaction() {
    for undo in ["disable", "delete", "reset"] {
        let stage = Stage::new().await;
        let mut peer = stage.logged_in().await;
        let now = stage.reception.clock.now();
        let directory = &stage.reception.directory;
        match undo {
            "disable" => {
                stage
                    .change(UserPatch {
                        active: Some(false),
                        ..UserPatch::default()
                    })
                    .await
            }
            "delete" => drop(directory.delete_user("ann").await.unwrap()),
            _ => {
                let hash = stage.reception.authenticator.hash("another").await.unwrap();
                drop(directory.set_password_hash("ann", hash, now).await.unwrap());
            }
        }
        peer.say("MAIL FROM:<x@a.example>", "421 4.7.0 ").await;
        peer.closed().await;
        let mut again = stage.connect();
        again.reply("220 ").await;
        again.say("EHLO client.test", "250").await;
        again
            .say(
                &format!("AUTH PLAIN {}", plain("ann", PASSWORD)),
                "535 5.7.8 ",
            )
            .await;
    }
}

#[tokio::test]
async fn a_refused_sender_raises_one_notification_and_never_to_the_forged_address() {
    let stage = Stage::new().await;
    let notify = Items::Text("ops@n.example;ceo@victim.example".into());
    let patch = crate::account::ListPatch {
        notify: Some(notify),
    };
    let now = stage.reception.clock.now();
    stage
        .reception
        .directory
        .change_list("default", patch.check().unwrap(), now)
        .await
        .unwrap();
    let notifier = Arc::clone(&stage.reception.notifier);
    let running = tokio::spawn(async move { notifier.run().await });
    let mut peer = stage.logged_in().await;
    for _ in 0..3 {
        peer.say("MAIL FROM:<CEO@victim.example>", "550 5.7.1 ")
            .await;
    }
    let rows = loop {
        let rows = stage.queued().await;
        if !rows.is_empty() {
            break rows;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(rows.len(), 1);
    let recipients: Vec<String> = rows[0]
        .message
        .envelope
        .recipients
        .iter()
        .map(|recipient| recipient.mailbox.to_string())
        .collect();
    assert_eq!(recipients, ["ops@n.example"]);
    assert_eq!(
        rows[0].message.subject,
        "User ann was refused as CEO@victim.example"
    );
    running.abort();
}
