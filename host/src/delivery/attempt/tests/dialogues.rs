//! What an attempt tells of what was said.

use outpost_smtp::Timeouts;

use super::*;
use crate::delivery::rehearsal::Certificate;
use crate::delivery::settings::{Login, Smarthost, TlsPolicy};
use crate::message::{NextHop, Party};

/// The dialogues of an attempt: with whom, whether continued, and the lines.
fn dialogues(attempt: &Attempt) -> Vec<(String, bool, Vec<String>)> {
    let dialogues = attempt.dialogues.iter().map(|(_, dialogue)| {
        let Party::Host { name, address, .. } = &dialogue.with else {
            panic!("{dialogue:?}");
        };
        let lines = dialogue.transcript.lines().into_iter();
        let lines = lines.map(|line| format!("{} {}", &line.by.name()[..1], line.text));
        (
            format!("{name} {address}"),
            dialogue.is_continued,
            lines.collect(),
        )
    });
    dialogues.collect()
}

const HOST: &str = "mx.example 192.0.2.1:25";

#[tokio::test]
async fn a_dialogue_is_told_from_the_greeting_and_over_a_kept_connection_from_mail() {
    let host = Script::new().listing(&["PIPELINING"]);
    let host = host.at(
        "RCPT TO:<bad",
        Act::Say("550-5.1.1 No\r\n550 5.1.1 body\r\n"),
    );
    let deliverer = World::of(&host).deliverer();
    let mail = Mail::to(&["a@b.example", "bad@b.example"]);
    let transaction = [
        "c MAIL FROM:<me@a.example>",
        "s 250 2.0.0 Ok",
        "c RCPT TO:<a@b.example>",
        "s 250 2.0.0 Ok",
        "c RCPT TO:<bad@b.example>",
        "s 550-5.1.1 No",
        "s 550 5.1.1 body",
        "c DATA",
        "s 354 Go on",
        "c [content, 41 octets]",
        "s 250 2.0.0 Taken",
    ];
    assert_eq!(CONTENT.len(), 41);
    let first = dialogues(&mail.deliver(&deliverer).await);
    let opening = [
        "s 220 mx.example ESMTP",
        "c EHLO relay.example",
        "s 250-mx.example",
        "s 250-PIPELINING",
        "s 250 HELP",
    ];
    let all = [&opening[..], &transaction].concat();
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    assert_eq!(first, [(HOST.to_owned(), false, all.clone())]);
    let second = dialogues(&mail.deliver(&deliverer).await);
    assert_eq!(second, [(HOST.to_owned(), true, all[5..].to_vec())]);
    assert_eq!(host.seen().connections, 1);
}

#[tokio::test]
async fn a_transaction_that_was_refused_is_told_with_its_reset_and_chunks_on_one_line() {
    let host = Script::new()
        .listing(&["PIPELINING", "CHUNKING"])
        .times(1, "BDAT", Act::Usual)
        .times(1, "BDAT", Act::Say("552 5.3.4 Too large\r\n"));
    let mail = Mail::to(&["a@b.example"]);
    let deliverer = World::of(&host).deliverer();
    let told = dialogues(&mail.deliver(&deliverer).await);
    let [.., content, reply, reset, ok] = &told[0].2[..] else {
        panic!("{told:?}");
    };
    assert_eq!(content, "c BDAT, 2 chunks [content, 41 octets]");
    assert_eq!(
        [reply, reset, ok],
        ["s 552 5.3.4 Too large", "c RSET", "s 250 2.0.0 Ok"]
    );
}

#[tokio::test]
async fn every_host_that_was_spoken_to_is_told_with_how_it_ended() {
    for (act, last) in [
        (
            Act::SayAndCut("554 5.7.1 Not you\r\n"),
            "s 554 5.7.1 Not you",
        ),
        (Act::Cut, "n [the connection was lost]"),
        (Act::Say("HTTP/1.1 400\r\n"), "s HTTP/1.1 400"),
    ] {
        let (first, second) = (Script::new().at("connect", act), Script::new());
        let world = World::of(&first)
            .mx("b.example", 20, "other.example", "192.0.2.2")
            .host("192.0.2.2:25", &second);
        let attempt = Mail::to(&["a@b.example"]).deliver(&world.deliverer()).await;
        let told = dialogues(&attempt);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0].0, HOST);
        let mut tail = told[0].2.iter().rev();
        let tail = tail.find(|line| *line != "c QUIT");
        assert_eq!(tail.map(String::as_str), Some(last));
        assert_eq!(told[1].0, "other.example 192.0.2.2:25");
        assert_eq!(told[1].2.last().unwrap(), "s 250 2.0.0 Taken");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialogue_tells_when_each_line_was_said() {
    let host = Script::new().at("MAIL", Act::Late(seconds(7), "250 2.1.0 Ok\r\n"));
    let host = host.at(".", Act::Hang);
    let deliverer = World::of(&host).deliverer();
    let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    let within = Timeouts::default().end_of_content;
    let (ago, dialogue) = &attempt.dialogues[0];
    assert_eq!(*ago, seconds(7) + within);
    let lines = dialogue.transcript.lines();
    let [.., mail, ok, rcpt, _, data, go_on, content, note] = &lines[..] else {
        panic!("{dialogue:?}");
    };
    assert!(mail.text.starts_with("MAIL FROM:"), "{lines:?}");
    // They went out together.
    assert_eq!([mail.after, rcpt.after, data.after], [seconds(0); 3]);
    assert_eq!([ok.after, go_on.after], [seconds(7); 2]);
    assert_eq!(content.after, seconds(7));
    assert_eq!(note.text, "[no answer in time]");
    assert_eq!(note.after, seconds(7) + within);
}

#[tokio::test]
async fn a_login_and_a_content_are_not_told() {
    let certificate = Certificate::new();
    for (extension, login) in [
        (
            "AUTH PLAIN",
            &["c AUTH PLAIN [masked]", "s 235 2.7.0 Welcome"][..],
        ),
        ("AUTH LOGIN", &["c AUTH LOGIN", "s 235 2.7.0 Welcome"]),
    ] {
        let host = Script::new()
            .listing(&[extension])
            .with_tls(&certificate.server);
        let world = World::of(&host).trusting(&certificate).with(|settings| {
            let smarthost = Smarthost {
                tls: TlsPolicy::Opportunistic,
                login: Some(Login {
                    user: "user".to_owned(),
                    password: "correct horse".to_owned(),
                }),
                ..Smarthost::default()
            };
            settings
                .smarthosts
                .insert("mx.example:25".to_owned(), smarthost);
        });
        let next_hop = NextHop::Smarthost("mx.example:25".into());
        let mail = Mail::by(next_hop, &["a@b.example"]);
        let attempt = mail.deliver(&world.deliverer()).await;
        let told = dialogues(&attempt);
        let lines = &told[0].2;
        let at = |line: &str| lines.iter().position(|told| told == line).unwrap();
        let starttls = at("c STARTTLS");
        assert_eq!(lines[starttls + 1], "s 220 2.0.0 Go on");
        assert!(
            lines[starttls + 2].starts_with("n [TLS: TLSv1.3 "),
            "{lines:?}"
        );
        let login_at = at(login[0]);
        assert_eq!(lines[login_at..login_at + 2], *login);
        let all = lines.concat();
        for secret in ["correct", "AHVz", "Y29y", "Subject", "One line"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
}

#[tokio::test]
async fn of_many_connections_the_first_and_the_last_are_told() {
    let host = Script::new().listing(&["PIPELINING"]);
    let world = World::of(&host).with(|settings| {
        settings.recipients_per_transaction_max = 1;
        settings.transactions_per_connection_max = 1;
    });
    let recipients: Vec<String> = (0..20)
        .map(|number| format!("r{number}@b.example"))
        .collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let attempt = Mail::to(&recipients).deliver(&world.deliverer()).await;
    assert_eq!(host.seen().connections, 20);
    let told = dialogues(&attempt);
    assert_eq!(told.len(), DIALOGUES_MAX);
    let last = &told[DIALOGUES_MAX - 1].2;
    assert_eq!(last[0], "n [8 connections before this one are left out]");
    assert!(
        last.contains(&"c RCPT TO:<r19@b.example>".to_owned()),
        "{last:?}"
    );
}
