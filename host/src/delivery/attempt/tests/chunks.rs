//! Contents that go out in chunks (RFC 3030).

use super::*;

#[tokio::test]
async fn a_host_that_lists_chunking_gets_chunks() {
    let content = format!("Subject: x\r\n\r\n{}", ".a line\r\n".repeat(10_000));
    for (extensions, piece) in [
        (&["PIPELINING", "CHUNKING"][..], 4096),
        (&["PIPELINING", "CHUNKING"], 300),
        (&["CHUNKING"], 4096),
        (&["CHUNKING"], 1_000_000),
    ] {
        let host = Script::new().listing(extensions);
        let mail = Mail::to(&["a@b.example"]).with_content(content.clone(), piece);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(
            brief(&attempt),
            ["delivered 250 2.0.0"],
            "{extensions:?} {piece}"
        );
        let seen = host.seen();
        assert!(seen.contents == [content.clone()]);
        let last = seen.commands.last().unwrap();
        assert!(
            last.starts_with("BDAT ") && last.ends_with(" LAST"),
            "{last}"
        );
        assert_ne!(last, "BDAT 0 LAST");
        assert!(!host.verbs().contains("DATA"));
    }
}

#[tokio::test]
async fn a_chunk_that_is_refused_decides_and_the_connection_goes_on() {
    let content = format!("Subject: x\r\n\r\n{}", "a line\r\n".repeat(1_000));
    let host = Script::new()
        .listing(&["PIPELINING", "CHUNKING"])
        .times(1, "BDAT", Act::Usual)
        .times(1, "BDAT", Act::Say("552 5.3.4 Too much\r\n"))
        .times(1, "RSET", Act::Usual);
    let mail = Mail::to(&["a@b.example"]).with_content(content, 1024);
    let deliverer = World::of(&host).deliverer();
    let attempt = mail.deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["bounced 552 5.3.4"]);
    let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(host.seen().connections, 1);
}

#[tokio::test]
async fn a_host_that_lists_chunking_and_does_not_know_it_gets_data_at_once() {
    for reply in ["500 5.5.1 What?\r\n", "502 5.5.1 Not here\r\n"] {
        let host = Script::new()
            .listing(&["PIPELINING", "CHUNKING"])
            .at("RCPT TO:<c", Act::Say("550 5.1.1 Unknown\r\n"))
            .at("BDAT", Act::Say(reply));
        let mail = Mail::to(&["a@b.example", "c@b.example"]);
        let attempt = mail.deliver(&World::of(&host).deliverer()).await;
        assert_eq!(
            brief(&attempt),
            ["delivered 250 2.0.0", "bounced 550 5.1.1"]
        );
        assert_eq!(
            host.verbs(),
            "EHLO MAIL RCPT RCPT BDAT RSET MAIL RCPT DATA ."
        );
    }
}
