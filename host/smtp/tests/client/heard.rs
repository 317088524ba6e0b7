//! What is told of a dialogue to whoever writes it down.

use outpost_smtp::client::{Output, Step};

use super::*;

/// What a client is told while a server says this, and what its output is each time.
fn heard(credentials: Credentials, said: &[&str]) -> Vec<String> {
    let mut session = Session::new(settings(Tls::Never, Some(credentials)));
    let mut heard = Vec::new();
    for said in said {
        session.feed(said.replace('|', "\r\n").as_bytes());
        loop {
            let step = session.next_heard(&mut |octets, is_whole| {
                let text = String::from_utf8_lossy(octets).replace("\r\n", "|");
                heard.push(format!("{text}{}", if is_whole { "" } else { "..." }));
            });
            let Step::Send = step else { break };
            let verb = String::from_utf8_lossy(&session.output()[..4]).into_owned();
            heard.push(match session.output_is() {
                Output::Login => "login".to_owned(),
                other => format!("{other:?} {verb}"),
            });
            session.sent(session.output().len());
        }
    }
    heard
}

#[test]
fn each_reply_is_told_as_it_was_said_and_a_login_is_told_from_commands() {
    let said = [
        "220 mx|",
        "250-mx|",
        "250-SIZE|250 AUTH LOGIN|",
        "334 VXNl|",
        "334 UGFz|",
        "235 in|",
    ];
    assert_eq!(
        heard(Credentials::new("user", "correct horse"), &said),
        [
            "220 mx|",
            "Commands EHLO",
            "250-mx|...",
            "250-SIZE|250 AUTH LOGIN|",
            "login",
            "334 VXNl|",
            "login",
            "334 UGFz|",
            "login",
            "235 in|",
        ]
    );
}

#[test]
fn a_server_that_repeats_a_secret_is_not_told_with_it() {
    let credentials = || Credentials::new("user", "correct horse");
    let opening = ["220 mx|", "250-mx|250 AUTH PLAIN|"];
    for (said, told) in [
        ("501-No|501 AHVzZXIAY29ycmVjdCBob3JzZQ==|", "501-[masked]"),
        ("correct horse|", "[masked]"),
    ] {
        let heard = heard(credentials(), &[opening[0], opening[1], said]);
        assert_eq!(heard[4], told);
    }
}

#[test]
fn chunks_are_counted_and_content_is_told_from_commands() {
    let mut client = ready("250-CHUNKING|250-PIPELINING|");
    client.begins(&["a@b.example"]);
    client.hears("250 1|250 2|");
    assert_eq!(client.session.chunks(), 0);
    client.session.write_content(b"one\r\ntwo\r\n");
    assert_eq!(
        (client.session.chunks(), client.session.output_is()),
        (1, Output::Content)
    );
    client.session.finish_content();
    client.runs();
    client.hears("250 3|");
    assert_eq!(
        (client.session.chunks(), client.session.output_is()),
        (2, Output::Content)
    );
    client.hears("250 4|");
    assert_eq!(client.session.output_is(), Output::Commands);

    let mut client = ready("");
    client.begins(&["a@b.example"]);
    client.hears("250 1|");
    client.hears("250 2|");
    client.hears("354 go|");
    client.writes("one\r\n");
    assert_eq!(
        (client.session.chunks(), client.session.output_is()),
        (0, Output::Content)
    );
}
