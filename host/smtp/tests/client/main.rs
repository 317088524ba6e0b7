//! The client session against servers that behave, and against those that do not.

#![allow(clippy::unwrap_used)]

mod chunks;
mod heard;
mod refusals;

use outpost_smtp::client::{
    Closed, Report, Session, Settings, Step, Tls, Transaction, TransactionRecipient,
};
use outpost_smtp::{Body, Credentials, Mailbox, Reply, ReversePath, Timeouts};
use proptest::prelude::*;

struct Client {
    session: Session,
    reports: Vec<Report>,
    last: Step,
}

impl Client {
    fn new(settings: Settings) -> Client {
        let mut session = Session::new(settings);
        let last = session.next();
        Client {
            session,
            reports: Vec::new(),
            last,
        }
    }

    /// The server says `text`; what the client sends then. Lines are parted by `|` for reading.
    fn hears(&mut self, text: &str) -> String {
        self.session.feed(text.replace('|', "\r\n").as_bytes());
        self.runs()
    }

    fn runs(&mut self) -> String {
        let mut sent = Vec::new();
        loop {
            match self.session.next() {
                Step::Send => {
                    sent.extend_from_slice(self.session.output());
                    self.session.sent(self.session.output().len());
                }
                Step::Done(report) => self.reports.push(report),
                step => {
                    self.last = step;
                    return String::from_utf8(sent).unwrap().replace("\r\n", "|");
                }
            }
        }
    }

    fn begins(&mut self, recipients: &[&str]) -> String {
        self.session.begin(transaction(recipients));
        self.runs()
    }

    fn writes(&mut self, content: &str) -> String {
        assert_eq!(self.last, Step::Content);
        self.session.write_content(content.as_bytes());
        self.session.finish_content();
        self.runs()
    }

    fn fates(&self) -> Vec<String> {
        self.reports
            .iter()
            .flat_map(|report| &report.recipients)
            .map(Reply::to_string)
            .collect()
    }

    fn is_waiting(&self) -> bool {
        matches!(self.last, Step::Receive { .. })
    }
}

fn settings(tls: Tls, credentials: Option<Credentials>) -> Settings {
    Settings {
        ehlo: "us.example".into(),
        timeouts: Timeouts::default(),
        tls,
        credentials,
        chunking: true,
    }
}

fn transaction(recipients: &[&str]) -> Transaction {
    Transaction {
        reverse_path: ReversePath::Mailbox(Mailbox::parse("s@a.example", false).unwrap()),
        recipients: recipients
            .iter()
            .map(|text| TransactionRecipient {
                mailbox: Mailbox::parse(text, false).unwrap(),
                notify: None,
                orcpt: None,
            })
            .collect(),
        size: None,
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        mt_priority: None,
        by: None,
        require_tls: false,
    }
}

/// A client that is ready, to a server that lists these extensions.
fn ready(extensions: &str) -> Client {
    let mut client = Client::new(settings(Tls::Never, None));
    client.hears(&format!("220 mx|250-mx|{extensions}250 HELP|"));
    assert_eq!(client.last, Step::Ready);
    client
}

fn closed_after(tls: Tls, credentials: Option<Credentials>, heard: &[&str]) -> (String, Closed) {
    let mut client = Client::new(settings(tls, credentials));
    let mut sent = String::new();
    for text in heard {
        sent = client.hears(text);
    }
    match client.last {
        Step::Closed(closed) => (sent, closed),
        step => panic!("{step:?}"),
    }
}

#[test]
fn one_command_at_a_time_without_pipelining() {
    let mut client = Client::new(settings(Tls::WhenOffered, None));
    assert_eq!(client.hears(""), "");
    assert!(client.is_waiting());
    assert_eq!(client.hears("220-mx|220 hello|"), "EHLO us.example|");
    assert_eq!(client.hears("250 mx|"), "");
    assert_eq!(client.last, Step::Ready);
    assert_eq!(client.begins(&["a@b", "c@d"]), "MAIL FROM:<s@a.example>|");
    assert_eq!(client.hears("250 2.1.0 ok|"), "RCPT TO:<a@b>|");
    assert_eq!(client.hears("550 5.1.1 no|"), "RCPT TO:<c@d>|");
    assert_eq!(client.hears("251 2.1.5 ok|"), "DATA|");
    assert_eq!(client.hears("354 go|"), "");
    assert_eq!(client.writes("x\r\n.y\r\n"), "x|..y|.|");
    assert!(client.is_waiting());
    assert_eq!(client.hears("250 2.0.0 taken|"), "");
    assert_eq!(client.last, Step::Ready);
    assert_eq!(client.fates(), ["550 5.1.1 no", "250 2.0.0 taken"]);
    assert!(client.reports[0].content_sent && !client.reports[0].is_local);
    client.session.quit();
    assert_eq!(client.runs(), "QUIT|");
    assert_eq!(client.hears("221 bye|"), "");
    assert_eq!(client.last, Step::Closed(Closed::Quit));
}

#[test]
fn the_whole_envelope_in_one_write_with_pipelining() {
    let mut client = ready("250-PIPELINING|");
    assert_eq!(
        client.begins(&["a@b", "c@d"]),
        "MAIL FROM:<s@a.example>|RCPT TO:<a@b>|RCPT TO:<c@d>|DATA|"
    );
    assert_eq!(client.hears("250 ok|250 ok|452 4.5.3 later|354 go|"), "");
    assert_eq!(client.writes(""), ".|");
    client.hears("451 4.3.0 full|");
    assert_eq!(client.fates(), ["451 4.3.0 full", "452 4.5.3 later"]);
    assert_eq!(client.last, Step::Ready);
}

#[test]
fn no_more_than_a_hundred_commands_are_in_flight() {
    let mut client = ready("250-PIPELINING|");
    let sent = client.begins(&["a@b"; 250]);
    assert_eq!(sent.matches('|').count(), 100);
    let sent = client.hears(&"250 ok|".repeat(60));
    assert_eq!(sent.matches("RCPT").count(), 60);
    let sent = client.hears(&"250 ok|".repeat(190));
    assert!(sent.ends_with("DATA|"));
    client.hears("250 ok|354 go|");
    assert_eq!(client.last, Step::Content);
}

#[test]
fn a_refused_sender_is_the_fate_of_every_recipient() {
    let mut client = ready("250-PIPELINING|");
    client.begins(&["a@b", "c@d"]);
    assert_eq!(
        client.hears("550 5.7.1 no|503 first|503 first|503 first|"),
        ""
    );
    assert_eq!(client.fates(), ["550 5.7.1 no", "550 5.7.1 no"]);
    assert_eq!(client.last, Step::Ready);
    let mut client = ready("");
    client.begins(&["a@b"]);
    assert_eq!(client.hears("450 4.7.1 grey|"), "");
    assert_eq!(client.fates(), ["450 4.7.1 grey"]);
    assert_eq!(client.last, Step::Ready);
}

#[test]
fn without_recipients_the_transaction_is_reset() {
    let mut client = ready("");
    client.begins(&["a@b"]);
    client.hears("250 ok|");
    assert_eq!(client.hears("550 5.1.1 no|"), "RSET|");
    assert_eq!(client.fates(), ["550 5.1.1 no"]);
    client.hears("250 ok|");
    assert_eq!(client.last, Step::Ready);
    let mut client = ready("250-PIPELINING|");
    client.begins(&["a@b"]);
    assert_eq!(
        client.hears("250 ok|550 5.1.1 no|554 5.5.1 nobody|"),
        "RSET|"
    );
    assert_eq!(client.fates(), ["550 5.1.1 no"]);
}

/// RFC 2920 §3.1.
#[test]
fn a_354_without_recipients_gets_an_empty_content() {
    let mut client = ready("250-PIPELINING|");
    client.begins(&["a@b", "c@d"]);
    assert_eq!(
        client.hears("250 ok|550 5.1.1 no|450 4.2.0 later|354 go|"),
        ".|"
    );
    assert!(client.reports.is_empty());
    client.hears("250 2.0.0 taken|");
    assert_eq!(client.fates(), ["550 5.1.1 no", "450 4.2.0 later"]);
    assert!(!client.reports[0].content_sent);
    assert_eq!(client.last, Step::Ready);
}

#[test]
fn refusals_are_known_before_the_transaction_ends() {
    let mut client = ready("250-PIPELINING|");
    assert_eq!(client.session.refusals(), []);
    client.begins(&["a@b", "c@d", "e@f"]);
    client.hears("250 ok|");
    assert_eq!(client.session.refusals(), []);
    client.hears("250 ok|550 no|");
    let no = || Some(Reply::plain(550, "no"));
    assert_eq!(client.session.refusals(), [None, no()]);
    client.hears("250 ok|354 go on|");
    assert_eq!(client.session.refusals(), [None, no(), None]);
    client.writes("x\r\n");
    assert_eq!(client.session.refusals(), [None, no(), None]);
    client.hears("250 taken|");
    assert_eq!(client.session.refusals(), []);
}

#[test]
fn a_refused_data_is_the_fate_of_those_who_were_accepted() {
    let mut client = ready("");
    client.begins(&["a@b", "c@d"]);
    client.hears("250 ok|");
    client.hears("250 ok|");
    client.hears("550 5.1.1 no|");
    assert_eq!(client.hears("451 4.3.0 full|"), "RSET|");
    assert_eq!(client.fates(), ["451 4.3.0 full", "550 5.1.1 no"]);
}

#[test]
fn who_does_not_know_ehlo_is_greeted_with_helo() {
    let mut client = Client::new(settings(Tls::WhenOffered, None));
    client.hears("220 mx|");
    assert_eq!(client.hears("502 what|"), "HELO us.example|");
    client.hears("250 mx|");
    assert_eq!(client.last, Step::Ready);
    let (sent, closed) = closed_after(Tls::Never, None, &["220 mx|", "500 what|", "550 no|"]);
    assert_eq!(
        (sent.as_str(), closed),
        ("QUIT|", Closed::Hello(Reply::plain(550, "no")))
    );
    let (_, closed) = closed_after(Tls::Never, None, &["220 mx|", "451 4.3.0 later|"]);
    assert_eq!(closed, Closed::Hello(Reply::new(451, (4, 3, 0), "later")));
}

#[test]
fn what_was_said_to_ehlo_is_known_until_helo_is_answered() {
    let mut client = Client::new(settings(Tls::Never, None));
    client.hears("220 mx|");
    assert_eq!(client.session.ehlo_refusal(), None);
    assert_eq!(client.hears("554 5.7.1 no|"), "HELO us.example|");
    let refusal = Reply::new(554, (5, 7, 1), "no");
    assert_eq!(client.session.ehlo_refusal(), Some(&refusal));
    client.hears("250 mx|");
    assert_eq!(client.session.ehlo_refusal(), None);
    assert_eq!(client.last, Step::Ready);
    // Who does not know EHLO has refused nobody.
    let mut client = Client::new(settings(Tls::Never, None));
    client.hears("220 mx|502 what|");
    assert!(client.is_waiting());
    assert_eq!(client.session.ehlo_refusal(), None);
}

#[test]
fn a_refused_greeting_ends_it() {
    let (sent, closed) = closed_after(Tls::Never, None, &["554 no service|"]);
    assert_eq!(
        (sent.as_str(), closed),
        ("QUIT|", Closed::Greeting(Reply::plain(554, "no service")))
    );
    let (_, closed) = closed_after(Tls::Never, None, &["421 4.7.0 busy|"]);
    assert_eq!(closed, Closed::Greeting(Reply::new(421, (4, 7, 0), "busy")));
}

#[test]
fn starttls_begins_anew() {
    let mut client = Client::new(settings(Tls::Required, None));
    client.hears("220 mx|");
    assert_eq!(
        client.hears("250-mx|250-PIPELINING|250 STARTTLS|"),
        "STARTTLS|"
    );
    assert_eq!(client.hears("220 go|"), "");
    assert_eq!(client.last, Step::StartTls);
    client.session.tls_started();
    assert!(!client.session.extensions().pipelining);
    assert_eq!(client.runs(), "EHLO us.example|");
    assert_eq!(client.hears("250-mx|250 STARTTLS|"), "");
    assert_eq!(client.last, Step::Ready);
    assert!(client.session.is_tls());
}

#[test]
fn requiretls_is_said_to_who_lists_it_under_tls() {
    let begun = |tls, in_clear: &str, under_tls: &str| {
        let mut client = Client::new(settings(tls, None));
        client.hears(&format!("220 mx|250-mx|{in_clear}250 STARTTLS|"));
        if tls != Tls::Never {
            client.hears("220 go|");
            client.session.tls_started();
            client.runs();
            client.hears(&format!("250-mx|{under_tls}250 HELP|"));
        }
        client.session.begin(Transaction {
            require_tls: true,
            ..transaction(&["a@b"])
        });
        let said = client.runs();
        let refusal = client.reports.first().map(|report| {
            assert!(report.is_local);
            report.mail.to_string()
        });
        (said, refusal)
    };
    let lists = "250-REQUIRETLS|";
    let (said, refusal) = begun(Tls::Required, "", lists);
    assert_eq!(said, "MAIL FROM:<s@a.example> REQUIRETLS|");
    assert_eq!(refusal, None);
    for (tls, in_clear, under_tls) in [
        (Tls::Required, "", ""),
        // RFC 8689 §2: what was listed before the handshake is forgotten.
        (Tls::Required, lists, ""),
        // And in clear anybody may have written it.
        (Tls::Never, lists, ""),
    ] {
        let (said, refusal) = begun(tls, in_clear, under_tls);
        assert_eq!(said, "");
        assert_eq!(refusal.unwrap(), "550 5.7.30 REQUIRETLS support required");
    }
}

#[test]
fn what_was_injected_behind_the_220_is_a_protocol_error() {
    let heard = [
        "220 mx|",
        "250-mx|250 STARTTLS|",
        "220 go|250-evil|250 AUTH PLAIN|",
    ];
    let (sent, closed) = closed_after(Tls::WhenOffered, None, &heard);
    assert_eq!(sent, "");
    assert!(matches!(closed, Closed::Protocol(_)));
}

#[test]
fn required_tls_is_required() {
    let (sent, closed) = closed_after(Tls::Required, None, &["220 mx|", "250 mx|"]);
    assert_eq!((sent.as_str(), closed), ("QUIT|", Closed::TlsMissing));
    let (_, closed) = closed_after(
        Tls::Required,
        None,
        &["220 mx|", "250-mx|250 STARTTLS|", "454 4.7.0 no|"],
    );
    assert_eq!(closed, Closed::TlsRefused(Reply::new(454, (4, 7, 0), "no")));
    let (_, closed) = closed_after(Tls::Required, None, &["220 mx|", "502 what|", "250 mx|"]);
    assert_eq!(closed, Closed::TlsMissing);
}

#[test]
fn opportunistic_tls_goes_on_in_clear_but_not_with_a_password() {
    let mut client = Client::new(settings(Tls::WhenOffered, None));
    client.hears("220 mx|");
    client.hears("250-mx|250 STARTTLS|");
    client.hears("454 4.7.0 no|");
    assert_eq!(client.last, Step::Ready);
    let credentials = || Some(Credentials::new("u", "p"));
    let (sent, closed) = closed_after(
        Tls::WhenOffered,
        credentials(),
        &["220 mx|", "250-mx|250 AUTH PLAIN|"],
    );
    assert_eq!((sent.as_str(), closed), ("QUIT|", Closed::TlsMissing));
    let heard = [
        "220 mx|",
        "250-mx|250-STARTTLS|250 AUTH PLAIN|",
        "454 4.7.0 no|",
    ];
    assert_eq!(
        closed_after(Tls::WhenOffered, credentials(), &heard).1,
        Closed::TlsMissing
    );
}

fn logging_in(list: &str, credentials: Credentials) -> (Client, String) {
    let mut client = Client::new(settings(Tls::Already, Some(credentials)));
    client.hears("220 mx|");
    let sent = client.hears(&format!("250-mx|250 AUTH {list}|"));
    (client, sent)
}

#[test]
fn a_login_uses_plain_or_else_login() {
    let (mut client, sent) = logging_in("LOGIN PLAIN", Credentials::new("u", "p"));
    assert_eq!(sent, "AUTH PLAIN AHUAcA==|");
    client.hears("235 2.7.0 ok|");
    assert_eq!(client.last, Step::Ready);
    let (mut client, sent) = logging_in("LOGIN", Credentials::new("u", "p"));
    assert_eq!(sent, "AUTH LOGIN|");
    assert_eq!(client.hears("334 VXNlcm5hbWU6|"), "dQ==|");
    assert_eq!(client.hears("334 UGFzc3dvcmQ6|"), "cA==|");
    client.hears("235 2.7.0 ok|");
    assert_eq!(client.last, Step::Ready);
}

#[test]
fn a_mechanism_that_is_listed_and_not_taken_leaves_the_login_to_the_other() {
    for list in ["PLAIN LOGIN", "LOGIN PLAIN"] {
        let (mut client, sent) = logging_in(list, Credentials::new("u", "p"));
        assert_eq!(sent, "AUTH PLAIN AHUAcA==|");
        assert_eq!(client.hears("504 5.5.4 not that|"), "AUTH LOGIN|");
        assert_eq!(client.hears("334 VXNlcm5hbWU6|"), "dQ==|");
        assert_eq!(client.hears("334 UGFzc3dvcmQ6|"), "cA==|");
        client.hears("235 2.7.0 ok|");
        assert_eq!(client.last, Step::Ready);
    }
    // There is no other, or none that is left.
    for (list, heard) in [("PLAIN", "504 no|"), ("PLAIN LOGIN", "504 no|504 no|")] {
        let (mut client, _) = logging_in(list, Credentials::new("u", "p"));
        client.hears(heard);
        let refused = Closed::AuthRefused(Reply::plain(504, "no"));
        assert_eq!(client.last, Step::Closed(refused), "{list}");
    }
    // The password is wrong, with whatever mechanism.
    let (mut client, _) = logging_in("PLAIN LOGIN", Credentials::new("u", "p"));
    assert_eq!(client.hears("535 5.7.8 no|"), "QUIT|");
}

#[test]
fn a_long_password_does_not_go_into_the_command() {
    let (mut client, sent) = logging_in("PLAIN", Credentials::new("u", "p".repeat(500)));
    assert_eq!(sent, "AUTH PLAIN|");
    assert!(client.hears("334 |").len() > 500);
}

#[test]
fn a_refused_login_ends_it() {
    let (mut client, _) = logging_in("PLAIN", Credentials::new("u", "p"));
    assert_eq!(client.hears("535 5.7.8 no|"), "QUIT|");
    assert_eq!(
        client.last,
        Step::Closed(Closed::AuthRefused(Reply::new(535, (5, 7, 8), "no")))
    );
    let (client, sent) = logging_in("CRAM-MD5", Credentials::new("u", "p"));
    assert_eq!(sent, "QUIT|");
    assert_eq!(client.last, Step::Closed(Closed::AuthMissing));
    let (mut client, _) = logging_in("PLAIN", Credentials::new("u", "p"));
    assert_eq!(client.hears("334 more|"), "");
    assert!(matches!(client.last, Step::Closed(Closed::Protocol(_))));
}

#[test]
fn a_421_ends_everything_and_decides_over_what_was_open() {
    let gone = || Step::Closed(Closed::Peer(Reply::new(421, (4, 3, 2), "bye")));
    let mut client = ready("");
    client.hears("421 4.3.2 bye|");
    assert_eq!(client.last, gone());
    let mut client = ready("250-PIPELINING|");
    client.begins(&["a@b", "c@d", "e@f"]);
    client.hears("250 ok|550 5.1.1 no|421 4.3.2 bye|");
    assert_eq!(
        client.fates(),
        ["550 5.1.1 no", "421 4.3.2 bye", "421 4.3.2 bye"]
    );
    assert_eq!(client.last, gone());
    let mut client = ready("250-PIPELINING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|354 go|");
    client.writes("x\r\n");
    client.hears("421 4.3.2 bye|");
    assert_eq!(client.fates(), ["421 4.3.2 bye"]);
}

#[test]
fn a_refusal_in_the_middle_of_the_content_decides() {
    let mut client = ready("250-PIPELINING|");
    client.begins(&["a@b"]);
    client.hears("250 ok|250 ok|354 go|");
    client.session.write_content(b"x\r\n");
    assert_eq!(client.runs(), "x|");
    client.hears("552 5.3.4 too large|");
    assert_eq!(client.fates(), ["552 5.3.4 too large"]);
    assert!(!client.reports[0].content_sent);
    assert_eq!(
        client.last,
        Step::Closed(Closed::Peer(Reply::new(552, (5, 3, 4), "too large")))
    );
}

#[test]
fn what_nobody_has_asked_for_is_a_protocol_error() {
    for heard in ["250 ok|", "354 go|", "hello|", "250-a|251 b|"] {
        let mut client = ready("");
        client.hears(heard);
        assert!(
            matches!(client.last, Step::Closed(Closed::Protocol(_))),
            "{heard}"
        );
    }
    for replies in ["354 what|", "250 ok|354 what|", "250 ok|250 ok|250 what|"] {
        let mut client = ready("250-PIPELINING|");
        client.begins(&["a@b"]);
        client.hears(replies);
        assert!(
            matches!(client.last, Step::Closed(Closed::Protocol(_))),
            "{replies}"
        );
        assert!(client.reports.is_empty());
    }
}

#[test]
fn an_unreadable_answer_to_the_content_is_no_answer() {
    for heard in ["hello|", "354 again|"] {
        let mut client = ready("250-PIPELINING|");
        client.begins(&["a@b"]);
        client.hears("250 ok|250 ok|354 go|");
        assert!(!client.session.is_outcome_unknown());
        client.writes("x\r\n");
        assert!(client.session.is_outcome_unknown());
        client.hears(heard);
        assert!(client.reports.is_empty());
        assert!(matches!(client.last, Step::Closed(Closed::Protocol(_))));
    }
}

#[test]
fn a_content_with_a_bare_line_end_is_never_ended() {
    for pieces in [vec!["a\n"], vec!["a\r", "b"], vec!["a\r"]] {
        let mut client = ready("250-PIPELINING|");
        client.begins(&["a@b"]);
        client.hears("250 ok|250 ok|354 go|");
        for piece in pieces {
            client.session.write_content(piece.as_bytes());
        }
        client.session.finish_content();
        assert!(!client.runs().contains(".|"));
        assert_eq!(client.last, Step::Closed(Closed::BadContent));
        assert_eq!(
            client.fates(),
            ["554 5.6.11 The content has a bare CR or LF"]
        );
    }
}

#[test]
fn what_the_peer_cannot_take_is_reported_without_asking() {
    let mut client = ready("250-SIZE 10|");
    client.session.begin(Transaction {
        size: Some(11),
        ..transaction(&["a@b"])
    });
    assert_eq!(client.runs(), "");
    assert!(client.reports[0].is_local);
    assert_eq!(client.fates().len(), 1);
    assert_eq!(client.last, Step::Ready);
}

proptest! {
    #[test]
    fn any_server_is_survived(
        heard in prop::collection::vec("(220|250|354|235|334|421|550|451|221)[ -][a-z]{0,4}\r?\n|\\PC{0,10}|250-PIPELINING\r\n|250-CHUNKING\r\n|250 STARTTLS\r\n", 0..20),
        cut in 1usize..30,
    ) {
        let mut client = Client::new(settings(Tls::WhenOffered, None));
        for piece in heard.concat().as_bytes().chunks(cut) {
            client.session.feed(piece);
            client.runs();
            match client.last {
                Step::Ready => { client.begins(&["a@b", "c@d"]); }
                Step::Content => { client.writes("x\r\n"); }
                Step::StartTls => client.session.tls_started(),
                _ => {}
            }
        }
    }
}
