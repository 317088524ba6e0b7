//! What becomes of a refused sender beside its notification.

use super::*;
use crate::spool::{NamedIn, Spool};

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
