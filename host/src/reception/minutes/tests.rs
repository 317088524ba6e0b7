//! Sessions of the protocol core, of which minutes are taken.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use outpost_smtp::server::{Answer, Question, Security, Session, Settings, Step};
use outpost_smtp::{Limits, Timeouts};

use super::*;

/// A session whose driver takes minutes as a connection does. Takes every message whose content is not refused.
struct Driver {
    session: Session,
    minutes: Minutes,
    refused: Option<&'static str>,
    /// The dialogues of the messages that were taken.
    told: Vec<(bool, Vec<String>)>,
}

impl Driver {
    fn new() -> Self {
        let settings = Settings {
            hostname: "relay.example".into(),
            limits: Limits {
                content_octets_max: 1_000,
                ..Limits::default()
            },
            timeouts: Timeouts::default(),
            plaintext_auth: true,
            starttls: true,
        };
        Self {
            session: Session::new(Arc::new(settings), Security::Plain),
            minutes: Minutes::new(),
            refused: None,
            told: Vec::new(),
        }
    }

    /// The client says all of this at once.
    fn hears(&mut self, lines: &[&str]) {
        self.session.feed(lines.join("\r\n").as_bytes());
        self.session.feed(b"\r\n");
        loop {
            let minutes = &mut self.minutes;
            let step = self
                .session
                .next_heard(&mut |heard, output| minutes.hear(heard, output));
            match step {
                Step::Send => {
                    let octets = self.session.output().len();
                    self.minutes.see(self.session.output());
                    self.session.sent(octets);
                    self.minutes.sent(octets);
                }
                Step::Ask(question) => self.answers(&question),
                Step::Content => self.session.content_taken(),
                Step::Discard { refusal } => {
                    let output = self.session.output();
                    self.minutes.forget(output, refusal.is_some());
                }
                Step::Reset => {
                    self.minutes.forget(self.session.output(), false);
                }
                Step::StartTls => self.session.tls_started(),
                Step::Receive { .. } | Step::Close => return,
            }
        }
    }

    fn answers(&mut self, question: &Question) {
        if let Question::EndOfContent { octets } = question {
            self.minutes.see(self.session.output());
            self.minutes.content_ends(*octets);
            if let Some(text) = self.refused.take() {
                self.minutes.message_refused();
                let reply = Reply::new(550, (5, 7, 1), text);
                return self.session.answer(Answer::Refuse(reply));
            }
            let reply = Reply::new(250, (2, 0, 0), "Queued as 7");
            let entry = self.minutes.entry(&reply, Timestamp::EPOCH);
            let Event::Dialogue(dialogue) = entry.event else {
                panic!("{entry:?}");
            };
            let lines = dialogue.transcript.lines().into_iter();
            let lines = lines.map(|line| format!("{}: {}", line.by.name(), line.text));
            self.told.push((dialogue.is_continued, lines.collect()));
            self.minutes.message_taken();
            return self.session.answer(Answer::AcceptWith(reply));
        }
        self.session.answer(Answer::Accept);
    }
}

const MAIL: &str = "MAIL FROM:<a@b.example>";
const RCPT: &str = "RCPT TO:<c@d.example>";

/// What is told of [`MAIL`] and [`RCPT`] that were accepted.
const ENVELOPE: [&str; 4] = [
    "client: MAIL FROM:<a@b.example>",
    "server: 250 2.1.0 Sender ok",
    "client: RCPT TO:<c@d.example>",
    "server: 250 2.1.5 Recipient ok",
];

/// What is told of a content that came with DATA.
fn with_data(octets: u64) -> [String; 4] {
    [
        "client: DATA".to_owned(),
        "server: 354 End data with <CR><LF>.<CR><LF>".to_owned(),
        format!("client: [content, {octets} octets]"),
        "server: 250 2.0.0 Queued as 7".to_owned(),
    ]
}

#[test]
fn the_first_message_is_told_with_what_led_up_to_it_and_no_secret() {
    let mut driver = Driver::new();
    driver.hears(&["EHLO client.example"]);
    driver.hears(&["AUTH PLAIN AGJvYgBzZWNyZXQ="]);
    driver.hears(&[MAIL]);
    driver.hears(&[RCPT]);
    driver.hears(&["DATA"]);
    driver.hears(&["Subject: x", "", "secret", "."]);
    let (is_continued, told) = &driver.told[0];
    assert!(!is_continued);
    assert_eq!(told[0], "server: 220 relay.example ESMTP");
    assert_eq!(told[1], "client: EHLO client.example");
    assert_eq!(told[2], "server: 250-relay.example");
    let login = told
        .iter()
        .position(|line| line == "client: AUTH PLAIN [masked]");
    let login = login.unwrap();
    assert_eq!(
        told[login + 1],
        "server: 235 2.7.0 Authentication successful"
    );
    assert_eq!(told[login + 2..login + 6], ENVELOPE);
    assert_eq!(told[login + 6..], with_data(22));
    let all = told.concat();
    assert!(!all.contains("secret") && !all.contains("AGJv"), "{all}");

    // The next one is told from where the one before it ended.
    driver.hears(&[MAIL, RCPT, "RCPT TO:<@bad>", "DATA", "x", "."]);
    let (is_continued, told) = &driver.told[1];
    assert!(is_continued);
    assert_eq!(told[..4], ENVELOPE);
    assert_eq!(told[4], "client: RCPT TO:<@bad>");
    assert!(told[5].starts_with("server: 501 5.1.3 "), "{told:?}");
    assert_eq!(told[6..], with_data(3));
}

#[test]
fn chunks_stand_on_one_line_however_they_were_pipelined() {
    let mut driver = Driver::new();
    driver.hears(&["EHLO a", "AUTH PLAIN AGJvYgBzZWNyZXQ="]);
    driver.hears(&[MAIL, RCPT, "BDAT 4", "ab", "BDAT 0 LAST"]);
    driver.hears(&[MAIL, RCPT, "bdat 4 last", "cd"]);
    for (at, line) in [
        (0, "client: BDAT, 2 chunks [content, 4 octets]"),
        (1, "client: BDAT [content, 4 octets]"),
    ] {
        let [.., content, reply] = &driver.told[at].1[..] else {
            panic!("{:?}", driver.told);
        };
        assert_eq!([content, reply], [line, "server: 250 2.0.0 Queued as 7"]);
    }
    assert_eq!(driver.told[1].1[..4], ENVELOPE);
}

/// Whatever becomes of a message that is not taken, the next one is told as if it had never been.
#[test]
fn a_message_that_is_not_taken_is_forgotten_with_the_replies_to_it() {
    let large = "x".repeat(1_200);
    let (chunk, large_chunk) = (format!("BDAT {}", large.len()), large.clone());
    let refused: [&[&str]; 8] = [
        &[MAIL, RCPT, "RSET"],
        &[MAIL, RCPT, "EHLO again.example"],
        &[MAIL, RCPT, "DATA", &large, "."],
        &[MAIL, RCPT, "DATA", "bare\nlf", "."],
        &[MAIL, RCPT, &chunk, &large_chunk],
        &[MAIL, RCPT, "BDAT 4", "ab", "RSET"],
        &[MAIL, RCPT, "BDAT 4", "ab", "BDAT x", "RSET"],
        &[MAIL, RCPT, "DATA", "policy", "."],
    ];
    for said in refused {
        let mut driver = Driver::new();
        driver.hears(&["EHLO a", "AUTH PLAIN AGJvYgBzZWNyZXQ="]);
        driver.hears(&[MAIL, RCPT, "DATA", "first", "."]);
        driver.refused = (said.get(3) == Some(&"policy")).then_some("No");
        driver.hears(said);
        driver.hears(&[MAIL, RCPT, "DATA", "x", "."]);
        assert_eq!(driver.told.len(), 2, "{said:?}");
        let told = &driver.told[1].1;
        // What stands outside of transactions may be told.
        assert!(told.len() >= 8, "{said:?}: {told:?}");
        let from = told.len() - 8;
        assert_eq!(told[from..from + 4], ENVELOPE, "{said:?}: {told:?}");
        assert_eq!(told[from + 4..], with_data(3), "{said:?}");
        let before = told[..from].concat();
        assert!(
            !before.contains("MAIL") && !before.contains("RCPT"),
            "{said:?}: {told:?}"
        );
        let starts_with_a_reply = told[0].starts_with("server");
        assert!(!starts_with_a_reply, "{said:?}: {told:?}");
    }
}
