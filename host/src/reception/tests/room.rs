//! Room for contents: what one user leaves to others, and what is told of a lack of it.

use outpost_smtp::server;

use super::stage::{Peer, Stage};
use crate::reception::metrics::RefusalLabels;
use crate::spool;

/// A stage with room for four contents of the largest size.
async fn small() -> Stage {
    let stage = Stage::with(spool::Settings {
        octets_in_flight_max: 4 << 20,
        ..spool::Settings::default()
    })
    .await;
    stage.reception.protocol.rcu(|protocol| {
        let mut protocol = server::Settings::clone(protocol);
        protocol.limits.content_octets_max = 1 << 20;
        protocol
    });
    stage
}

/// Asks for a content of that declared size; it must be answered so.
async fn declare(peer: &mut Peer, octets: u64, beginning: &str) {
    let mail = format!("MAIL FROM:<x@a.example> SIZE={octets}");
    peer.say(&mail, "250").await;
    peer.say("RCPT TO:<bob@d.example>", "250").await;
    peer.say("DATA", beginning).await;
}

#[tokio::test]
async fn contents_that_are_declared_and_never_come_count_for_their_user() {
    let stage = small().await;
    stage.user("bob").await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        let mut peer = stage.logged_in().await;
        declare(&mut peer, 1 << 20, "354").await;
        silent.push(peer);
    }
    let mut fourth = stage.logged_in().await;
    declare(&mut fourth, 1 << 20, "452 4.3.1 ").await;
    let mut bob = stage.logged_in_as("bob").await;
    declare(&mut bob, 500_000, "354").await;
    // What is declared does not count once more when it comes.
    let mut last = silent.pop().unwrap();
    let content = format!("From: x@a.example\r\n\r\n{}\r\n.", "x\r\n".repeat(300_000));
    last.say(&content, "250 2.0.0 ").await;
    assert_eq!(stage.reception.shares.held_by("ann").0, 2 << 20);
    declare(&mut fourth, 1 << 20, "354").await;
}

#[tokio::test]
async fn a_chunk_of_nothing_holds_what_its_message_declared() {
    let stage = small().await;
    let mut peer = stage.logged_in().await;
    peer.say("MAIL FROM:<x@a.example> SIZE=1000", "250").await;
    peer.say("RCPT TO:<bob@d.example>", "250").await;
    peer.say("BDAT 0", "250").await;
    assert_eq!(stage.reception.shares.held_by("ann").0, 1_000);
    peer.say("RSET", "250").await;
    assert_eq!(stage.reception.shares.held_by("ann"), (0, 0));
}

#[tokio::test]
async fn a_transaction_whose_content_is_refused_before_it_comes_holds_nothing() {
    let stage = small().await;
    let mut intakes = Vec::new();
    while let Ok(intake) = spool::Spool::intake(&*stage.spool, Some(1 << 20)) {
        intakes.push(intake);
    }
    for command in ["DATA", "BDAT 3\r\nx"] {
        let mut peer = stage.logged_in().await;
        peer.say("MAIL FROM:<x@a.example>", "250").await;
        peer.say("RCPT TO:<bob@d.example>", "250").await;
        assert!(stage.reception.shares.held_by("ann").1 > 0);
        peer.say(command, "452 4.3.1 ").await;
        assert_eq!(stage.reception.shares.held_by("ann"), (0, 0), "{command}");
    }
}

#[tokio::test]
async fn a_header_that_is_too_large_is_counted_as_one() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    let long = format!("From: x@a.example\r\nX: {}\r\n\r\nx", "y".repeat(2_000));
    peer.message("x@a.example", &long, "552 5.3.4 ").await;
    let counted = |reason| {
        let labels = RefusalLabels {
            step: "content",
            reason,
        };
        stage.reception.metrics.refused.get_or_create(&labels).get()
    };
    assert_eq!((counted("header"), counted("room")), (1, 0));
}
