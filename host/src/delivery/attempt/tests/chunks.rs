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

/// What makes a message of its own where content is read as commands.
const SMUGGLING: &str = "Received: from a.example\r\nSubject: x\r\n\r\nRSET\r\n\
                         MAIL FROM:<ceo@b.example>\r\nRCPT TO:<cfo@b.example>\r\nDATA\r\nsmuggled\r\n\
                         .\r\n";

#[tokio::test]
async fn a_host_that_lists_chunking_and_does_not_know_it_gets_data_on_a_new_connection() {
    for extensions in [&["PIPELINING", "CHUNKING"][..], &["CHUNKING"]] {
        for piece in [7, 64 * 1024] {
            let host = Script::new()
                .listing(extensions)
                .without_bdat()
                .at("RCPT TO:<c", Act::Say("550 5.1.1 Unknown\r\n"));
            let deliverer = World::of(&host).deliverer();
            let recipients = ["a@b.example", "c@b.example"];
            let mail = Mail::to(&recipients).with_content(SMUGGLING.to_owned(), piece);
            let attempt = mail.deliver(&deliverer).await;
            assert_eq!(
                brief(&attempt),
                ["delivered 250 2.0.0", "bounced 550 5.1.1"]
            );
            let seen = host.seen();
            assert_eq!(seen.contents, [SMUGGLING], "and no other");
            assert_eq!(seen.connections, 2);
            assert!(
                !seen
                    .commands
                    .contains(&"MAIL FROM:<ceo@b.example>".to_owned())
            );
            let verbs = host.verbs();
            let (first, second) = verbs.split_once(" EHLO").unwrap();
            // The first line may have been read, or be cut off by the close.
            assert_eq!(
                first.trim_end_matches(" Received"),
                "EHLO MAIL RCPT RCPT BDAT"
            );
            assert_eq!(second, " MAIL RCPT DATA .");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn that_a_host_does_not_take_chunks_is_remembered_for_an_hour() {
    let host = Script::new()
        .listing(&["PIPELINING", "CHUNKING"])
        .without_bdat();
    let world = World::of(&host)
        .mx("c.example", 10, "mx.example", "192.0.2.1")
        .with(|settings| settings.idle_connections_max = 0);
    let deliverer = world.deliverer();
    let chunks = || host.verbs().matches("BDAT").count();
    let other = NextHop::Domain("c.example".into());
    for mail in [
        Mail::to(&["a@b.example"]),
        Mail::to(&["a@b.example"]),
        Mail::by(other, &["a@c.example"]),
    ] {
        let attempt = mail.deliver(&deliverer).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(chunks(), 1);
    }
    assert_eq!(host.seen().connections, 4);
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(chunks(), 2);
}

#[tokio::test]
async fn a_kept_connection_on_which_chunks_are_not_taken_is_given_up_for_a_new_one() {
    // Nobody is taken, so no chunk is tried and the connection is kept.
    let host = Script::new()
        .listing(&["PIPELINING", "CHUNKING"])
        .without_bdat()
        .times(1, "RCPT", Act::Say("450 4.2.0 Later\r\n"));
    let deliverer = World::of(&host).deliverer();
    let mail = Mail::to(&["a@b.example"]).with_content(SMUGGLING.to_owned(), 64 * 1024);
    assert_eq!(
        brief(&mail.deliver(&deliverer).await),
        ["deferred 450 4.2.0"]
    );
    assert_eq!(
        brief(&mail.deliver(&deliverer).await),
        ["delivered 250 2.0.0"]
    );
    assert_eq!(host.seen().connections, 2);
    assert_eq!(host.seen().contents, [SMUGGLING]);
}

#[tokio::test]
async fn a_first_chunk_that_is_refused_decides_and_the_connection_ends() {
    for (refusal, outcome) in [
        ("552 5.3.4 Too much\r\n", "bounced 552 5.3.4"),
        ("452 4.3.1 Full\r\n", "deferred 452 4.3.1"),
    ] {
        let host =
            Script::new()
                .listing(&["PIPELINING", "CHUNKING"])
                .times(1, "BDAT", Act::Say(refusal));
        let deliverer = World::of(&host).deliverer();
        let mail = Mail::to(&["a@b.example"]);
        assert_eq!(brief(&mail.deliver(&deliverer).await), [outcome]);
        assert_eq!(host.verbs(), "EHLO MAIL RCPT BDAT");
        assert_eq!(
            brief(&mail.deliver(&deliverer).await),
            ["delivered 250 2.0.0"]
        );
        assert_eq!(host.verbs(), "EHLO MAIL RCPT BDAT EHLO MAIL RCPT BDAT BDAT");
    }
}
