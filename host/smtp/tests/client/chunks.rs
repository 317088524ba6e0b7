//! Contents that go out in chunks (RFC 3030).

use outpost_smtp::Reply;
use outpost_smtp::client::{Closed, Settings, Step, Tls};

use super::{Client, ready, settings};

/// A client that is ready, to a server that has taken a message in chunks.
fn proven(extensions: &str) -> Client {
    let mut client = ready(extensions);
    client.begins(&["a@b"]);
    client.hears("250 ok|");
    client.hears("250 ok|");
    client.writes("x\r\n");
    client.hears("250 taken|");
    assert_eq!((client.reports.len(), &client.last), (1, &Step::Ready));
    client.reports.clear();
    client
}

/// What is sent when the content comes in these pieces, each of which leaves at once.
fn writes_pieces(client: &mut Client, pieces: &[&str]) -> String {
    let mut sent = String::new();
    for piece in pieces {
        assert_eq!(client.last, Step::Content, "before {piece:?}");
        client.session.write_content(piece.as_bytes());
        sent += &client.runs();
    }
    client.session.finish_content();
    sent + &client.runs()
}

#[test]
fn a_content_goes_in_chunks_to_a_peer_that_lists_chunking() {
    let mut client = proven("250-PIPELINING|250-CHUNKING|");
    assert_eq!(
        client.begins(&["a@b", "c@d"]),
        "MAIL FROM:<s@a.example>|RCPT TO:<a@b>|RCPT TO:<c@d>|"
    );
    client.hears("250 ok|550 no|250 ok|");
    // Dots stay as they are.
    assert_eq!(client.writes(".x\r\n.\r\n"), "BDAT 7 LAST|.x|.|");
    client.hears("250 2.0.0 taken|");
    assert_eq!(client.fates(), ["550 no", "250 2.0.0 taken"]);
    assert_eq!(client.last, Step::Ready);
    assert!(client.reports[0].content_sent);
}

#[test]
fn until_a_chunk_was_taken_no_more_than_the_first_line_leaves() {
    let long = "x".repeat(1_500) + "\r\n";
    let rest = &long[1_000..];
    for (pieces, first, then) in [
        // What comes in one piece, in several that cut the line, and in one that ends with it.
        (
            &["a\r\nb\r\n.\r\n"][..],
            "BDAT 3|a|",
            "BDAT 6 LAST|b|.|".to_owned(),
        ),
        (
            &["a", "", "\r", "\nb"],
            "BDAT 3|a|",
            "BDAT 1 LAST|b".to_owned(),
        ),
        (
            &["a\r\n", "b\r\n"],
            "BDAT 3|a|",
            "BDAT 3|b|BDAT 0 LAST|".to_owned(),
        ),
        // It is everything, and says so where that is known.
        (&["a\r\n"], "BDAT 3 LAST|a|", String::new()),
        (&["a"], "BDAT 1 LAST|a", String::new()),
        (&["a\r\n", ""], "BDAT 3|a|", "BDAT 0 LAST|".to_owned()),
        (
            &[&long],
            &format!("BDAT 1000|{}", &long[..1_000]),
            format!("BDAT 502 LAST|{}", rest.replace("\r\n", "|")),
        ),
    ] {
        let mut client = ready("250-PIPELINING|250-CHUNKING|");
        client.begins(&["a@b"]);
        client.hears("250 ok|250 ok|");
        let mut pieces = pieces.iter().peekable();
        let mut sent = String::new();
        while let Some(piece) = pieces.next_if(|_| client.last == Step::Content) {
            client.session.write_content(piece.as_bytes());
            if pieces.peek().is_none() {
                client.session.finish_content();
            }
            sent += &client.runs();
        }
        assert_eq!(sent, first);
        assert!(client.is_waiting());
        assert_eq!(client.session.is_outcome_unknown(), then.is_empty());
        if !then.is_empty() {
            let mut sent = client.hears("250 taken|");
            if client.last == Step::Content {
                sent += &writes_pieces(&mut client, &pieces.copied().collect::<Vec<_>>());
            }
            assert_eq!(sent, then);
            client.hears(&"250 ok|".repeat(then.matches("BDAT").count() - 1));
        }
        assert!(client.is_waiting() && client.session.is_outcome_unknown());
        client.hears("250 2.0.0 taken|");
        assert_eq!(client.fates(), ["250 2.0.0 taken"]);
        assert_eq!(client.last, Step::Ready);
    }
}

#[test]
fn chunks_follow_one_another_with_pipelining_and_wait_without() {
    let mut client = proven("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|");
    assert_eq!(
        writes_pieces(&mut client, &["x\r\n", "", "BDAT 4\r\n"]),
        "BDAT 3|x|BDAT 8|BDAT 4|BDAT 0 LAST|"
    );
    client.hears("250 3|250 8|");
    assert!(client.is_waiting() && client.session.is_outcome_unknown());
    client.hears("250 taken|");
    assert_eq!(client.fates(), ["250 taken"]);

    let mut client = proven("250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|");
    client.hears("250 ok|");
    client.session.write_content(b"x\r\n");
    assert_eq!(client.runs(), "BDAT 3|x|");
    assert!(client.is_waiting() && !client.session.is_outcome_unknown());
    client.hears("250 3|");
    assert_eq!(client.writes("y\r\n"), "BDAT 3 LAST|y|");

    let mut client = proven("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|");
    let mut chunks = 0;
    while client.last == Step::Content {
        client.session.write_content(b"x\r\n");
        client.runs();
        chunks += 1;
    }
    assert_eq!(chunks, 100);
    client.hears("250 3|");
    assert_eq!(client.last, Step::Content);
}

#[test]
fn an_empty_content_is_an_empty_chunk() {
    let mut client = ready("250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|");
    client.hears("250 ok|");
    assert_eq!(client.writes(""), "BDAT 0 LAST|");
}

#[test]
fn a_refused_chunk_decides_and_the_connection_stays_in_step() {
    let mut client = proven("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b", "c@d"]);
    client.hears("250 ok|250 ok|551 no|");
    for piece in ["x\r\n", "y\r\n", "z\r\n"] {
        client.session.write_content(piece.as_bytes());
        client.runs();
    }
    client.hears("250 3|552 5.3.4 too much|");
    assert_eq!(client.fates(), ["552 5.3.4 too much", "551 no"]);
    assert!(!client.reports[0].content_sent);
    // The third has been sent already.
    assert!(client.is_waiting());
    assert_eq!(client.hears("503 5.5.1 what|"), "RSET|");
    client.hears("250 ok|");
    assert_eq!(client.last, Step::Ready);

    // The last has been sent as well, and is not believed.
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|");
    writes_pieces(&mut client, &["x\r\n", "y\r\n"]);
    client.hears("250 3|452 4.3.1 full|");
    assert_eq!(client.fates()[2], "452 4.3.1 full");
    assert_eq!(client.hears("250 taken|"), "RSET|");
    client.hears("250 ok|");
    assert_eq!((client.last, client.reports.len()), (Step::Ready, 2));
}

#[test]
fn a_first_chunk_that_is_refused_decides_and_nothing_follows_it() {
    for refusal in ["552 5.3.4 too much", "452 4.3.1 full", "550 5.7.1 no"] {
        for content in ["x\r\n", "x\r\ny\r\n"] {
            let mut client = ready("250-PIPELINING|250-CHUNKING|");
            client.begins(&["a@b", "c@d"]);
            client.hears("250 ok|250 ok|551 no|");
            client.writes(content);
            // What stood behind the command may be answered as well.
            assert_eq!(client.hears(&format!("{refusal}|500 what|")), "");
            assert_eq!(client.fates(), [refusal, "551 no"]);
            assert!(!client.reports[0].content_sent);
            assert!(matches!(client.last, Step::Closed(Closed::Peer(_))));
        }
    }
}

#[test]
fn without_recipients_no_chunk_is_sent() {
    let mut client = ready("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b"]);
    assert_eq!(client.hears("250 ok|550 no|"), "RSET|");
    assert_eq!(client.fates(), ["550 no"]);
}

/// A peer that reads lines and knows no BDAT.
#[derive(Default)]
struct Liner {
    lines: Vec<String>,
    from: String,
    content: Option<String>,
    /// Who sent it, and the content.
    accepted: Vec<(String, String)>,
}

impl Liner {
    fn reply(&mut self, line: &str) -> Option<&'static str> {
        if let Some(content) = &mut self.content {
            if line == "." {
                let content = std::mem::take(content);
                self.content = None;
                self.accepted.push((self.from.clone(), content));
                return Some("250 2.0.0 taken|");
            }
            content.push_str(line.strip_prefix('.').unwrap_or(line));
            content.push('|');
            return None;
        }
        self.lines.push(line.to_owned());
        let verb = line.split([' ', ':']).next().unwrap();
        Some(match verb {
            "EHLO" => "250-mx|250-PIPELINING|250 CHUNKING|",
            "MAIL" => {
                line.clone_into(&mut self.from);
                "250 ok|"
            }
            "RCPT" | "RSET" => "250 ok|",
            "DATA" => {
                self.content = Some(String::new());
                "354 go|"
            }
            "QUIT" => "221 bye|",
            _ => "500 5.5.2 what|",
        })
    }

    /// Talks to a client that has this to send. `is_slow`: it reads all there is before it answers.
    fn serves(&mut self, mut client: Client, content: &str, is_slow: bool) -> Client {
        let mut unread = client.hears("220 mx|");
        loop {
            match client.last {
                Step::Ready if client.reports.is_empty() => unread += &client.begins(&["a@b"]),
                Step::Content => unread += &client.writes(content),
                Step::Receive { .. } if !unread.is_empty() => {
                    let end = match is_slow {
                        true => unread.len(),
                        false => unread.find('|').unwrap() + 1,
                    };
                    let read: String = unread.drain(..end).collect();
                    let replies = read
                        .split_terminator('|')
                        .filter_map(|line| self.reply(line));
                    let replies: Vec<_> = replies.collect();
                    unread += &client.hears(&replies.concat());
                }
                _ => {
                    // What has left reaches it, whatever the client does next.
                    for line in unread.split_terminator('|') {
                        self.reply(line);
                    }
                    return client;
                }
            }
        }
    }
}

#[test]
fn who_lists_chunking_and_does_not_know_it_never_runs_content_as_commands() {
    let content = "Received: from x|RSET|MAIL FROM:<ceo@x>|RCPT TO:<cfo@x>|DATA|smuggled|.|QUIT|";
    for is_slow in [true, false] {
        let mut peer = Liner::default();
        let client = Client::new(settings(Tls::Never, None));
        let client = peer.serves(client, &content.replace('|', "\r\n"), is_slow);
        let unknown = Reply::new(500, (5, 5, 2), "what");
        assert_eq!(client.last, Step::Closed(Closed::ChunkingUnknown(unknown)));
        assert_eq!(client.fates(), ["500 5.5.2 what"]);
        assert_eq!(peer.lines[3..], ["BDAT 18", "Received: from x"]);

        // On a new connection, without.
        let client = Client::new(Settings {
            chunking: false,
            ..settings(Tls::Never, None)
        });
        let client = peer.serves(client, &content.replace('|', "\r\n"), is_slow);
        assert_eq!(client.fates(), ["250 2.0.0 taken"]);
        assert_eq!(
            peer.accepted,
            [("MAIL FROM:<s@a.example>".to_owned(), content.to_owned())]
        );
    }
}

#[test]
fn a_reply_about_the_command_is_none_about_the_message() {
    for (reply, is_unknown) in [
        ("500 what", true),
        ("501 5.5.4 what", true),
        ("502 5.5.1 what", true),
        ("503 5.5.1 what", true),
        ("504 what", true),
        ("550 5.5.1 what", true),
        ("554 5.5.2 what", true),
        ("450 4.5.1 what", true),
        ("554 what", false),
        ("550 5.7.1 no", false),
        ("552 5.3.4 too much", false),
        ("452 4.5.3 too many", false),
        ("421 4.5.1 bye", false),
    ] {
        let mut client = ready("250-PIPELINING|250-CHUNKING|");
        client.begins(&["a@b"]);
        client.hears("250 ok|250 ok|");
        client.writes("x\r\ny\r\n");
        assert_eq!(client.hears(&format!("{reply}|")), "");
        let said = matches!(client.last, Step::Closed(Closed::ChunkingUnknown(_)));
        assert_eq!(said, is_unknown, "{reply}");
        assert_eq!(client.fates(), [reply]);
    }
    // What it has understood once it knows.
    let mut client = proven("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|");
    client.writes("x\r\ny\r\n");
    assert_eq!(client.hears("500 what|"), "RSET|");
    assert_eq!(client.fates(), ["500 what"]);
}

#[test]
fn who_answers_more_than_the_first_chunk_has_not_taken_it_for_content() {
    let mut client = ready("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|");
    client.writes("x\r\ny\r\n");
    assert_eq!(client.hears("250 ok|250 ok|"), "");
    assert!(matches!(client.last, Step::Closed(Closed::Protocol(_))));
    assert_eq!(client.reports, []);
}

#[test]
fn nonsense_about_chunks_is_a_protocol_error() {
    for heard in ["354 go on|", "250 3|250 what|"] {
        let mut client = ready("250-PIPELINING|250-CHUNKING|");
        client.begins(&["a@b"]);
        client.hears("250 ok|250 ok|");
        client.session.write_content(b"x\r\n");
        client.runs();
        client.hears(heard);
        assert!(
            matches!(client.last, Step::Closed(Closed::Protocol(_))),
            "{heard}"
        );
        assert_eq!(client.reports, []);
    }
}

#[test]
fn a_chunk_with_a_bare_line_end_is_never_sent() {
    for content in ["x\ny", "x\r"] {
        let mut client = ready("250-PIPELINING|250-CHUNKING|");
        client.begins(&["a@b"]);
        client.hears("250 ok|250 ok|");
        assert_eq!(client.writes(content), "");
        assert_eq!(client.last, Step::Closed(Closed::BadContent));
    }
}
