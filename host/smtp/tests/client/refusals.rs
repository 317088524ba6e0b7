//! Envelopes that a server refuses in part: what is sent after that, and what is told of it.

use outpost_smtp::client::{Closed, Step};

use super::ready;

#[test]
fn where_mail_was_refused_and_recipients_were_taken_nothing_is_ended() {
    for (replies, sent, last) in [
        (
            "550 no|250 ok|250 ok|354 go|",
            "",
            Step::Closed(Closed::Unbegun),
        ),
        (
            "550 no|503 no|250 ok|354 go|",
            "",
            Step::Closed(Closed::Unbegun),
        ),
        ("550 no|503 no|250 ok|503 no|", "", Step::Ready),
    ] {
        let mut client = ready("250-PIPELINING|");
        client.begins(&["a@b", "c@d"]);
        assert_eq!(client.hears(replies), sent, "{replies}");
        assert_eq!(client.fates(), ["550 no", "550 no"], "{replies}");
        assert_eq!(client.last, last, "{replies}");
    }
    // RFC 2920 §3.1: for nobody an end without content is no message.
    let mut client = ready("250-PIPELINING|");
    client.begins(&["a@b", "c@d"]);
    assert_eq!(client.hears("550 no|503 no|503 no|354 go|"), ".|");
}

#[test]
fn it_is_told_at_which_recipient_a_conversation_ended() {
    for (listing, replies, at) in [
        ("250-PIPELINING|", "421 no|", None),
        ("250-PIPELINING|", "250 ok|421 no|", Some(0)),
        ("250-PIPELINING|", "250 ok|550 no|421 no|", Some(1)),
        ("250-PIPELINING|", "250 ok|550 no|250 ok|421 no|", None),
        ("", "250 ok|250 ok|421 no|", Some(1)),
    ] {
        let (before, last) = replies[..replies.len() - 1]
            .rsplit_once('|')
            .unwrap_or(("", replies));
        let mut client = ready(listing);
        client.begins(&["a@b", "c@d"]);
        for reply in before
            .split_inclusive('|')
            .map(|reply| reply.trim_end_matches('|'))
        {
            client.hears(&if reply.is_empty() {
                String::new()
            } else {
                format!("{reply}|")
            });
        }
        assert_eq!(client.session.awaited_recipient(), at, "{replies}");
        client.hears(&format!("{}|", last.trim_end_matches('|')));
        assert_eq!(client.reports[0].closed_at, at, "{replies}");
    }
}
