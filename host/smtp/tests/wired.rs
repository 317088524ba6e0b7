//! The two sides wired together: what the client is told is what the server has done.

#![allow(clippy::unwrap_used)]

mod support;

use outpost_smtp::client::{self, Report, Step, Tls, Transaction, TransactionRecipient};
use outpost_smtp::dialogue::{Asked, Decision, Verdict};
use outpost_smtp::server::Security;
use outpost_smtp::{
    Body, By, ByMode, Credentials, Mailbox, Notify, Orcpt, Ret, ReversePath, Timeouts,
};
use proptest::prelude::*;
use support::{Relay, settings};

/// What the client asks for, of time.
const BY: By = By {
    seconds: 120,
    mode: ByMode::Return,
    trace: true,
};

/// How a content goes over the wire.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Chunks,
    Data,
}

/// Sends messages from one session to the other, `cut` octets at a time in each direction.
struct Wire {
    client: client::Session,
    relay: Relay,
    cut: usize,
    /// The list of the server names CHUNKING otherwise.
    hides_chunking: bool,
    reports: Vec<Report>,
}

impl Wire {
    fn new(tls: Tls, cut: usize) -> Wire {
        Wire::with_content(tls, cut, Way::Chunks)
    }

    fn with_content(tls: Tls, cut: usize, way: Way) -> Wire {
        let security = if tls == Tls::Already {
            Security::Tls
        } else {
            Security::Plain
        };
        let mut settings = settings();
        settings.plaintext_auth = tls == Tls::Never;
        let client = client::Session::new(client::Settings {
            ehlo: "client.example".into(),
            timeouts: Timeouts::default(),
            tls,
            credentials: Some(Credentials::new("user", "secret")),
            chunking: true,
        });
        let mut wire = Wire {
            client,
            relay: Relay::new(settings, security),
            cut,
            hides_chunking: way == Way::Data,
            reports: Vec::new(),
        };
        assert_eq!(wire.run(b""), Step::Ready);
        assert!(wire.relay.session.is_authenticated());
        wire
    }

    /// Runs both sides until the client has something for its driver.
    fn run(&mut self, content: &[u8]) -> Step {
        let mut content = Some(content);
        loop {
            match self.client.next() {
                Step::Send => {
                    let count = self.cut.min(self.client.output().len());
                    self.relay.feed(&self.client.output()[..count]);
                    self.client.sent(count);
                }
                Step::Receive { .. } => {
                    if self.hides_chunking {
                        let listed = self
                            .relay
                            .sent
                            .windows(8)
                            .position(|name| name == b"CHUNKING");
                        listed.inspect(|at| self.relay.sent[*at] = b'X');
                    }
                    let count = self.cut.min(self.relay.sent.len());
                    assert!(count > 0, "both sides wait");
                    let octets: Vec<u8> = self.relay.sent.drain(..count).collect();
                    self.client.feed(&octets);
                }
                Step::StartTls => {
                    self.relay.start_tls();
                    self.client.tls_started();
                }
                Step::Content => {
                    let rest = content.as_mut().unwrap();
                    let count = rest.len().min(self.cut);
                    let (piece, behind) = rest.split_at(count);
                    *rest = behind;
                    self.client.write_content(piece);
                    if behind.is_empty() {
                        content = None;
                        self.client.finish_content();
                    }
                }
                Step::Done(report) => self.reports.push(report),
                step @ (Step::Ready | Step::Closed(_)) => return step,
            }
        }
    }

    fn send(&mut self, recipients: &[&str], content: &[u8]) -> Report {
        self.client.begin(Transaction {
            reverse_path: ReversePath::Mailbox(Mailbox::parse("sender@a.example", false).unwrap()),
            recipients: recipients
                .iter()
                .map(|text| TransactionRecipient {
                    mailbox: Mailbox::parse(text, true).unwrap(),
                    notify: Some(Notify {
                        failure: true,
                        ..Notify::default()
                    }),
                    orcpt: Some(Orcpt {
                        address_type: "rfc822".into(),
                        address: "x+y@b.example".into(),
                    }),
                })
                .collect(),
            size: Some(content.len() as u64),
            body: Body::EightBitMime,
            smtputf8: true,
            ret: Some(Ret::Full),
            envid: Some("an envelope=1".into()),
            mt_priority: Some(-9),
            by: Some(BY),
            require_tls: false,
        });
        assert_eq!(self.run(content), Step::Ready);
        self.reports.pop().unwrap()
    }
}

#[test]
fn a_message_goes_over_the_wire_in_every_mode() {
    for tls in [Tls::Never, Tls::WhenOffered, Tls::Required, Tls::Already] {
        for cut in [1, 7, 1 << 20] {
            let mut wire = Wire::new(tls, cut);
            let report = wire.send(
                &["jos\u{e9}@b.example", "\"c d\"@b.example"],
                b"From: a\r\n\r\n.\r\n",
            );
            assert!(
                report.recipients.iter().all(|reply| reply.code == 250),
                "{report:?}"
            );
            assert_eq!(wire.relay.messages, [b"From: a\r\n\r\n.\r\n"]);
            assert_eq!(wire.relay.mail.mt_priority, Some(-9));
            assert_eq!(wire.relay.mail.by, Some(BY));
            wire.client.quit();
            assert_eq!(wire.run(b""), Step::Closed(client::Closed::Quit));
            assert!(wire.relay.is_closed);
        }
    }
}

#[test]
fn each_recipient_gets_the_reply_that_it_got() {
    let mut wire = Wire::new(Tls::Required, 16);
    for reply in ["550 5.1.1 one", "451 4.2.0 two"] {
        wire.relay.decisions.push_back(Decision {
            question: Asked::Recipient,
            verdict: Verdict::Refuse,
            reply: reply.into(),
        });
    }
    let report = wire.send(&["a@b.example", "b@b.example", "c@b.example"], b"x\r\n");
    let fates: Vec<String> = report.recipients.iter().map(ToString::to_string).collect();
    assert_eq!(
        fates,
        [
            "550 5.1.1 one",
            "451 4.2.0 two",
            "250 2.0.0 Message accepted"
        ]
    );
    assert_eq!(wire.relay.messages.len(), 1);
}

#[test]
fn a_refused_content_is_nobodys_mail() {
    let mut wire = Wire::new(Tls::Required, 16);
    wire.relay.decisions.push_back(Decision {
        question: Asked::Message,
        verdict: Verdict::Refuse,
        reply: "550 5.7.1 no".into(),
    });
    let report = wire.send(&["a@b.example"], b"x\r\nx\r\n");
    assert_eq!(report.recipients[0].to_string(), "550 5.7.1 no");
    assert!(wire.relay.messages.is_empty());
    let report = wire.send(&["a@b.example"], b"y\r\n");
    assert_eq!(report.recipients[0].code, 250);
    assert_eq!(wire.relay.messages, [b"y\r\n"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_content_arrives_unchanged_and_once(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("no line ends", |octet| !matches!(octet, b'\r' | b'\n')), 0..40), 0..30),
        is_whole: bool,
        recipients in 1usize..130,
        cut in 1usize..400,
        is_chunked: bool,
    ) {
        let mut content: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\r\n"].concat()).collect();
        let whole = content.clone();
        if !is_whole && lines.last().is_some_and(|line| !line.is_empty()) {
            content.truncate(content.len() - 2);
        }
        // Only after DATA does a last line need its end.
        let expected = if is_chunked { content.clone() } else { whole };
        let way = if is_chunked { Way::Chunks } else { Way::Data };
        let mut wire = Wire::with_content(Tls::Never, cut, way);
        let report = wire.send(&vec!["r@b.example"; recipients], &content);
        prop_assert_eq!(report.recipients.len(), recipients);
        prop_assert!(report.recipients.iter().all(|reply| reply.code == 250));
        prop_assert_eq!(&wire.relay.messages, &[expected]);
    }
}
