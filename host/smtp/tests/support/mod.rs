//! A relay in miniature around the bare server session: it has one user, and keeps what it accepts.
//!
//! Feeding octets runs the session until it wants more. Every rule of driving a session is checked
//! on the way, so that each test checks them.

#![allow(clippy::unwrap_used, dead_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use outpost_smtp::dialogue::{Asked, Decision, Variables, Verdict};
use outpost_smtp::server::{Answer, Question, Security, Session, Settings, Step};
use outpost_smtp::{Limits, MailParameters, Reply, ReversePath, Timeouts};

/// What time it is for every relay.
pub const NOW: Duration = Duration::from_secs(1_700_000_000);

/// A session and everything around it.
pub struct Relay {
    pub session: Session,
    /// All that was sent so far.
    pub sent: Vec<u8>,
    /// Contents that were accepted.
    pub messages: Vec<Vec<u8>>,
    /// Questions in short, and what became void.
    pub events: Vec<String>,
    /// Why contents were refused, as the session found first: of two faults that may depend on the cut.
    pub refusals: Vec<&'static str>,
    pub decisions: VecDeque<Decision>,
    /// Content of the message on its way.
    pub content: Vec<u8>,
    pub wants_tls: bool,
    pub is_closed: bool,
    /// Values of `wait` in the order they came.
    pub waits: Vec<u64>,
    /// What MAIL said last, where the relay was asked.
    pub mail: MailParameters,
    /// Recipients that were accepted in the transaction; none outside of one.
    recipients: Option<usize>,
    /// Octets that were fed, and steps that were taken.
    fed: usize,
    steps: usize,
}

pub fn variables() -> Variables {
    Variables {
        hostname: "relay.example".into(),
        size: Limits::default().content_octets_max,
        user: "user".into(),
        secret: "secret".into(),
        sender: "sender@a.example".into(),
        recipient: "recipient@b.example".into(),
    }
}

pub fn settings() -> Settings {
    Settings {
        hostname: variables().hostname,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        plaintext_auth: true,
        starttls: true,
    }
}

impl Relay {
    pub fn new(settings: Settings, security: Security) -> Relay {
        Relay::around(Session::new(Arc::new(settings), security))
    }

    pub fn around(mut session: Session) -> Relay {
        session.tell_time(NOW);
        let mut relay = Relay {
            session,
            sent: Vec::new(),
            messages: Vec::new(),
            events: Vec::new(),
            refusals: Vec::new(),
            decisions: VecDeque::new(),
            content: Vec::new(),
            wants_tls: false,
            is_closed: false,
            waits: Vec::new(),
            mail: MailParameters::default(),
            recipients: None,
            fed: 0,
            steps: 0,
        };
        relay.run();
        relay
    }

    /// A relay whose client has said EHLO and logged in; what was sent up to there is dropped.
    pub fn logged_in(settings: Settings) -> Relay {
        let mut relay = Relay::new(settings, Security::Plain);
        relay.feed(b"EHLO client.example\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n");
        assert!(relay.session.is_authenticated());
        relay.sent.clear();
        relay.events.clear();
        relay
    }

    pub fn feed(&mut self, octets: &[u8]) {
        if self.is_closed {
            return;
        }
        self.fed += octets.len();
        self.session.feed(octets);
        self.run();
    }

    pub fn start_tls(&mut self) {
        assert!(
            std::mem::take(&mut self.wants_tls),
            "nobody has asked for TLS"
        );
        self.session.tls_started();
        self.run();
    }

    /// What was sent since the last call.
    pub fn replies(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.sent)).unwrap()
    }

    pub fn run(&mut self) {
        loop {
            self.steps += 1;
            assert!(
                self.steps <= 100 + 10 * self.fed,
                "{} steps for {} octets: a loop",
                self.steps,
                self.fed
            );
            match self.session.next() {
                Step::Send => {
                    assert!(!self.session.output().is_empty());
                    // Half of it first: what was sent is counted right.
                    let half = self.session.output().len().div_ceil(2);
                    self.sent.extend_from_slice(&self.session.output()[..half]);
                    self.session.sent(half);
                }
                Step::Receive { wait, .. } => {
                    assert!(
                        self.session.output().is_empty(),
                        "replies wait while we read"
                    );
                    if self.waits.last() != Some(&wait) {
                        self.waits.push(wait);
                    }
                    return;
                }
                Step::Ask(question) => {
                    let answer = self.answer(question);
                    self.session.answer(answer);
                }
                Step::Content => {
                    assert!(!self.session.content().is_empty());
                    self.content.extend_from_slice(self.session.content());
                    self.session.content_taken();
                }
                Step::Reset => {
                    self.recipients = None;
                    self.events.push("reset".into());
                }
                Step::Discard { refusal } => {
                    self.recipients = None;
                    self.content.clear();
                    self.events.push("discard".into());
                    self.refusals.extend(refusal);
                }
                Step::StartTls => {
                    self.recipients = None;
                    self.wants_tls = true;
                    return;
                }
                Step::Close => {
                    assert!(
                        self.session.output().is_empty(),
                        "closed before all was sent"
                    );
                    self.is_closed = true;
                    return;
                }
            }
        }
    }

    fn answer(&mut self, question: Question) -> Answer {
        self.check_order(&question);
        let (asked, name, usual) = match &question {
            Question::Authenticate {
                mechanism,
                credentials,
            } => {
                let is_right = credentials.name == variables().user
                    && credentials.password == variables().secret
                    && credentials.authorization_identity.is_none();
                let usual = if is_right {
                    Answer::Accept
                } else {
                    Answer::Refuse(Reply::new(535, (5, 7, 8), "Authentication failed"))
                };
                (
                    Asked::Authenticate,
                    format!("auth {mechanism} {}", credentials.name),
                    usual,
                )
            }
            Question::Mail {
                reverse_path,
                parameters,
            } => {
                self.mail = parameters.clone();
                (
                    Asked::Mail,
                    format!("mail {reverse_path}"),
                    sender_answer(reverse_path),
                )
            }
            Question::Recipient { forward_path, .. } => (
                Asked::Recipient,
                format!("rcpt {forward_path}"),
                Answer::Accept,
            ),
            Question::Data { kind } => {
                self.content.clear();
                (Asked::Data, format!("data {kind:?}"), Answer::Accept)
            }
            Question::EndOfContent { octets } => {
                assert_eq!(*octets, self.content.len() as u64);
                (Asked::Message, format!("end {octets}"), Answer::Accept)
            }
        };
        self.events.push(name);
        let answer = self.decided(asked).unwrap_or(usual);
        self.note(asked, &answer);
        if asked == Asked::Message && matches!(answer, Answer::Accept | Answer::AcceptWith(_)) {
            self.messages.push(std::mem::take(&mut self.content));
        }
        answer
    }

    /// Nothing of a transaction is asked before a login, or out of its order.
    fn check_order(&self, question: &Question) {
        let is_login = matches!(question, Question::Authenticate { .. });
        assert_ne!(
            self.session.is_authenticated(),
            is_login,
            "asked without a login, or for a second one: {question:?}"
        );
        match question {
            Question::Authenticate { .. } | Question::Mail { .. } => {
                assert_eq!(self.recipients, None, "{question:?} in a transaction");
            }
            Question::Recipient { .. } => {
                assert!(self.recipients.is_some(), "{question:?} before MAIL");
            }
            Question::Data { .. } | Question::EndOfContent { .. } => {
                assert!(self.recipients > Some(0), "{question:?} without RCPT");
            }
        }
    }

    /// Keeps what was accepted.
    fn note(&mut self, asked: Asked, answer: &Answer) {
        // An answer whose reply says no is a refusal.
        let is_accepted = match answer {
            Answer::Accept => true,
            Answer::AcceptWith(reply) => asked == Asked::Data || reply.is_positive(),
            Answer::Refuse(_) | Answer::Close(_) => false,
        };
        match asked {
            Asked::Mail if is_accepted => self.recipients = Some(0),
            Asked::Recipient if is_accepted => {
                self.recipients = self.recipients.map(|count| count + 1);
            }
            Asked::Data if !is_accepted => self.recipients = None,
            Asked::Message => self.recipients = None,
            _ => {}
        }
    }

    fn decided(&mut self, asked: Asked) -> Option<Answer> {
        let at = self
            .decisions
            .iter()
            .position(|decision| decision.question == asked)?;
        let decision = self.decisions.remove(at)?;
        let (_, reply) = outpost_smtp::reply::parser::ReplyParser::default()
            .take(format!("{}\r\n", decision.reply).as_bytes())
            .unwrap();
        let reply = reply.unwrap();
        Some(match decision.verdict {
            Verdict::Accept => Answer::AcceptWith(reply),
            Verdict::Refuse => Answer::Refuse(reply),
            Verdict::Close => Answer::Close(reply),
        })
    }
}

/// As a relay whose user may send for the domain of `$sender`.
fn sender_answer(reverse_path: &ReversePath) -> Answer {
    match reverse_path {
        ReversePath::Mailbox(mailbox) if mailbox.domain != "a.example" => {
            Answer::Refuse(Reply::new(550, (5, 7, 1), "Not your address"))
        }
        _ => Answer::Accept,
    }
}
