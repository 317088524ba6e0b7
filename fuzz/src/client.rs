//! Client sessions: whatever a server says, nobody counts as served who was not, no password leaves
//! where it must not, who knows no BDAT gets no more than a line of the content, and nothing depends on how
//! the octets were cut.

use outpost_smtp::client::{
    Closed, Report, Session, Settings, Step, Tls, Transaction, TransactionRecipient,
};
use outpost_smtp::{
    Body, By, ByMode, Credentials, Mailbox, Notify, Orcpt, Reply, Ret, ReversePath, Timeouts,
};

/// How many messages are sent before QUIT.
const MESSAGES_MAX: usize = 2;

/// More steps than octets and messages can call for are a loop.
const STEPS_MAX: usize = 200;

/// A content with lines that begin with a dot.
const CONTENT: &[u8] = b"From: a@b.example\r\n\r\n.one\r\n.\r\n";

/// The first octet chooses settings; the others are what the server says, by lines.
pub fn client(octets: &[u8]) {
    let Some((choice, octets)) = octets.split_first() else {
        return;
    };
    let whole = Run::of(*choice, octets, usize::MAX);
    let single = Run::of(*choice, octets, 1);
    assert_eq!(whole, single);
    // All at once: replies may stand in the input before anything was sent.
    let mut early = Run::new(*choice);
    early.hears(octets, usize::MAX);
    early.check();
    whole.check();
}

/// A conversation, as far as it has come.
#[derive(Debug)]
struct Run {
    choice: u8,
    session: Session,
    /// In clear, then under TLS.
    sent: [Vec<u8>; 2],
    reports: Vec<Report>,
    begun: usize,
    closed: Option<Closed>,
    steps: usize,
    heard: usize,
}

impl PartialEq for Run {
    fn eq(&self, other: &Run) -> bool {
        (&self.sent, &self.reports, &self.closed) == (&other.sent, &other.reports, &other.closed)
    }
}

impl Run {
    fn new(choice: u8) -> Run {
        let tls = match choice & 3 {
            0 => Tls::Never,
            1 => Tls::WhenOffered,
            2 => Tls::Required,
            _ => Tls::Already,
        };
        let credentials = (choice & 4 != 0).then(|| Credentials::new("name", "secret"));
        let mut run = Run {
            choice,
            session: Session::new(Settings {
                ehlo: "client.example".to_owned(),
                timeouts: Timeouts::default(),
                tls,
                credentials,
                chunking: true,
            }),
            sent: [Vec::new(), Vec::new()],
            reports: Vec::new(),
            begun: 0,
            closed: None,
            steps: 0,
            heard: 0,
        };
        run.go_on();
        run
    }

    /// The server speaks line by line, each of them cut.
    fn of(choice: u8, octets: &[u8], cut: usize) -> Run {
        let mut run = Run::new(choice);
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            run.hears(line, cut);
        }
        run
    }

    fn hears(&mut self, octets: &[u8], cut: usize) {
        for piece in octets.chunks(cut.min(octets.len()).max(1)) {
            self.heard += piece.len();
            self.session.feed(piece);
            self.go_on();
        }
    }

    fn go_on(&mut self) {
        while self.closed.is_none() {
            self.steps += 1;
            assert!(self.steps <= STEPS_MAX + 4 * self.heard, "a loop");
            match self.session.next() {
                Step::Send => {
                    let octets = self.session.output().len().div_ceil(2);
                    let sent = &mut self.sent[usize::from(self.session.is_tls())];
                    sent.extend_from_slice(&self.session.output()[..octets]);
                    self.session.sent(octets);
                }
                Step::Receive { .. } => return,
                Step::StartTls => self.session.tls_started(),
                Step::Ready if self.begun < MESSAGES_MAX => {
                    self.begun += 1;
                    self.session.begin(transaction(self.choice));
                }
                Step::Ready => self.session.quit(),
                Step::Content => {
                    let (first, second) = CONTENT.split_at(20);
                    self.session.write_content(first);
                    self.session.write_content(second);
                    self.session.finish_content();
                }
                Step::Done(report) => self.reports.push(report),
                Step::Closed(closed) => self.closed = Some(closed),
            }
        }
    }

    fn check(&self) {
        let [clear, under_tls] = &self.sent;
        for sent in [clear, under_tls] {
            let text = String::from_utf8_lossy(sent);
            // A chunk may end between CR and LF.
            let mut parts = text.split("BDAT ");
            let mut written = parts.next().unwrap_or_default().to_owned();
            written.extend(parts.filter_map(|part| Some(part.split_once("\r\n")?.1)));
            let bare = written.replace("\r\n", "");
            assert!(!bare.contains(['\r', '\n']), "{text:?}");
        }
        // `secret`, as PLAIN and LOGIN write it.
        let clear = String::from_utf8_lossy(clear);
        let has_secret = clear.contains("AG5hbWUAc2VjcmV0") || clear.contains("c2VjcmV0");
        let may_have = matches!(self.choice & 3, 0 | 3);
        assert!(may_have || !has_secret, "the password in clear: {clear}");
        // RFC 8689 §2: nobody who hears it in clear is asked to protect anything.
        assert!(!clear.contains("REQUIRETLS"), "said in clear: {clear}");
        assert!(self.reports.len() <= self.begun);
        let recipients = transaction(self.choice).recipients.len();
        for report in &self.reports {
            assert_eq!(report.recipients.len(), recipients);
            let any_served = report.recipients.iter().any(Reply::is_positive);
            assert!(!any_served || report.content_sent, "{report:?}");
            let is_final = |reply: &Reply| !reply.is_intermediate();
            assert!(report.recipients.iter().all(is_final), "{report:?}");
        }
        if let Some(Closed::ChunkingUnknown(_)) = self.closed {
            let sent = self.sent.iter().rfind(|sent| !sent.is_empty());
            let is_first_line =
                |sent: &Vec<u8>| sent.ends_with(b"\r\nBDAT 19\r\nFrom: a@b.example\r\n");
            assert!(sent.is_some_and(is_first_line), "more than the first line");
        }
        let ends = self.sent.iter().flat_map(|sent| sent.windows(7));
        let ends = ends.filter(|end| end[2..] == *b"\r\n.\r\n" || end == b" LAST\r\n");
        let ends = ends.count();
        let contents = self.reports.iter().filter(|report| report.content_sent);
        assert!(contents.count() <= ends, "sent without an end");
    }
}

fn transaction(choice: u8) -> Transaction {
    let local = if choice & 8 == 0 { "ann" } else { "j\u{f6}rg" };
    let mailbox = |local: &str| Mailbox {
        local: local.to_owned(),
        domain: "b.example".to_owned(),
    };
    let recipients = [local, "a \"b", "c"].map(|local| TransactionRecipient {
        mailbox: mailbox(local),
        notify: (choice & 16 != 0).then_some(Notify {
            failure: true,
            ..Notify::default()
        }),
        orcpt: (choice & 16 != 0).then(|| Orcpt {
            address_type: "rfc822".to_owned(),
            address: "x+y@b.example".to_owned(),
        }),
    });
    Transaction {
        reverse_path: if choice & 32 == 0 {
            ReversePath::Mailbox(mailbox("s"))
        } else {
            ReversePath::Null
        },
        recipients: recipients.into(),
        size: Some(CONTENT.len() as u64),
        body: if choice & 64 == 0 {
            Body::SevenBit
        } else {
            Body::EightBitMime
        },
        smtputf8: choice & 8 != 0,
        ret: (choice & 16 != 0).then_some(Ret::Headers),
        envid: (choice & 16 != 0).then(|| "an id=1".to_owned()),
        mt_priority: (choice & 16 != 0).then_some(-4),
        by: (choice & 64 != 0).then_some(By {
            seconds: 60,
            mode: ByMode::Return,
            trace: true,
        }),
        require_tls: choice & 128 != 0,
    }
}
