//! Contents that go out in chunks (RFC 3030).

use outpost_smtp::client::{Closed, Step};

use super::{Client, ready};

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
    let mut client = ready("250-PIPELINING|250-CHUNKING|");
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
fn chunks_follow_one_another_with_pipelining_and_wait_without() {
    let mut client = ready("250-PIPELINING|250-CHUNKING|");
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

    let mut client = ready("250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|");
    client.hears("250 ok|");
    client.session.write_content(b"x\r\n");
    assert_eq!(client.runs(), "BDAT 3|x|");
    assert!(client.is_waiting() && !client.session.is_outcome_unknown());
    client.hears("250 3|");
    assert_eq!(client.writes("y\r\n"), "BDAT 3 LAST|y|");

    let mut client = ready("250-PIPELINING|250-CHUNKING|");
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
    let mut client = ready("250-PIPELINING|250-CHUNKING|");
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
fn without_recipients_no_chunk_is_sent() {
    let mut client = ready("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b"]);
    assert_eq!(client.hears("250 ok|550 no|"), "RSET|");
    assert_eq!(client.fates(), ["550 no"]);
}

#[test]
fn a_peer_that_lists_chunking_and_does_not_know_it_gets_data_next_time() {
    let mut client = ready("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|");
    client.writes("x\r\n");
    assert_eq!(client.hears("502 5.5.1 what|"), "RSET|");
    assert!(client.reports[0].is_chunking_unknown);
    client.hears("250 ok|");
    assert!(client.begins(&["a@b"]).ends_with("DATA|"));

    // What it has understood once it knows.
    let mut client = ready("250-PIPELINING|250-CHUNKING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|");
    writes_pieces(&mut client, &["x\r\n"]);
    client.hears("250 3|500 no|");
    assert!(!client.reports[0].is_chunking_unknown);
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
