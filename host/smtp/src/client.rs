//! The client side of a connection, as a conversation without I/O.
//!
//! [`Session::next`] is called again and again and says what to do, as on the server's side. Until the
//! session is [`Step::Ready`] it greets, starts TLS and logs in by its [`Settings`]; then each
//! [`Session::begin`] sends one message and ends with a [`Report`]: one reply per recipient.
//!
//! The parts: `state` goes on with each reply, `opening` leads from the greeting to ready, [`Extensions`] is what the peer lists,
//! `transaction` what is to be sent and as which commands, `envelope` the commands in flight, `content` how
//! the content is written, `report` the outcome.
//!
//! Promises: a transaction ends with one report, unless the connection breaks or the peer cannot be
//! understood; parameters are sent only if the peer lists their extension; nothing that arrives
//! before a TLS handshake is believed after it; content never leaves with a bare CR or LF; content is
//! never read as commands, but for its first line by a peer that lists CHUNKING and does not know BDAT.

mod content;
mod envelope;
mod extensions;
mod opening;
mod report;
mod state;
mod transaction;

use std::time::Duration;

use crate::auth::Credentials;
use crate::content::BareLineEnd;
use crate::limits::Timeouts;
use crate::reply::Reply;
use crate::reply::parser::ReplyParser;

use envelope::Envelope;
pub use extensions::{Extensions, PeerLimits};
pub use report::Report;
use state::{State, protocol_error};
pub use transaction::{RETURNS_NOTHING_LATE, Transaction, TransactionRecipient};

/// How to talk to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Our name in EHLO.
    pub ehlo: String,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Whether to use TLS.
    pub tls: Tls,
    /// The login, where one is needed.
    pub credentials: Option<Credentials>,
    /// Whether content goes in chunks to a peer that lists CHUNKING; else with DATA.
    pub chunking: bool,
}

/// When TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never, not even for a password.
    Never,
    /// If the peer lists STARTTLS and agrees to start. A password is sent under TLS only.
    WhenOffered,
    /// Or else the conversation ends.
    Required,
    /// The connection began with TLS.
    Already,
}

/// What has to happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write [`Session::output`] and report with [`Session::sent`].
    Send,
    /// Read more.
    Receive {
        /// How long to wait for what is awaited (RFC 5321 §4.5.3.2).
        within: Duration,
        /// Names what is awaited; it changes with every whole reply. One deadline per value.
        wait: u64,
    },
    /// Start TLS and call [`Session::tls_started`], or give up.
    StartTls,
    /// Call [`Session::begin`] or [`Session::quit`].
    Ready,
    /// Call [`Session::write_content`] with the next piece, or [`Session::finish_content`].
    Content,
    /// A transaction has ended. [`Step::Ready`] or [`Step::Closed`] follows.
    Done(Report),
    /// The conversation has ended; close the connection.
    Closed(Closed),
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// We have said QUIT, or the driver gave up.
    Quit,
    /// The greeting was a refusal.
    Greeting(Reply),
    /// EHLO and HELO were refused.
    Hello(Reply),
    /// TLS is required, or needed for the password, and not listed.
    TlsMissing,
    /// STARTTLS was refused although TLS is required.
    TlsRefused(Reply),
    /// No mechanism that we know is listed, and there are credentials.
    AuthMissing,
    /// The login was refused.
    AuthRefused(Reply),
    /// The peer ends it: 421, or a refusal in the middle of the content.
    Peer(Reply),
    /// The peer lists CHUNKING, and its reply to the first chunk says that it does not know BDAT or does not
    /// take it. It has got no more than the first line of the content, so with DATA, on a new
    /// connection, the message has every chance.
    ChunkingUnknown(Reply),
    /// The peer does not speak SMTP; the text says where. What became of a transaction that was under
    /// way is not known: no report follows.
    Protocol(&'static str),
    /// The peer has refused MAIL and wants content all the same, for recipients that it has taken: an end without
    /// content would be a message to it.
    Unbegun,
    /// The content has a bare CR or LF and was not ended.
    BadContent,
}

/// What the output is, for whoever writes the dialogue down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Commands, a line each.
    Commands,
    /// AUTH, or what answers a challenge: it has a secret.
    Login,
    /// Content, with its end, or with the commands that it goes in chunks by.
    Content,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    input: Vec<u8>,
    output: Vec<u8>,
    parser: ReplyParser,
    extensions: Extensions,
    is_tls: bool,
    tls_refusal: Option<Reply>,
    /// The peer has taken a chunk.
    is_chunking_proven: bool,
    /// Chunks of the content that was written last.
    chunks: u32,
    state: State,
    report: Option<Report>,
    wait: u64,
}

impl Session {
    /// A session that waits for the greeting.
    pub fn new(settings: Settings) -> Session {
        Session {
            is_tls: settings.tls == Tls::Already,
            settings,
            input: Vec::new(),
            output: Vec::new(),
            parser: ReplyParser::default(),
            extensions: Extensions::default(),
            tls_refusal: None,
            is_chunking_proven: false,
            chunks: 0,
            state: State::Greeting,
            report: None,
            wait: 0,
        }
    }

    /// Takes octets that have arrived.
    pub fn feed(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// What that is.
    pub fn output_is(&self) -> Output {
        match self.state {
            State::Auth(..) => Output::Login,
            State::Content(..) | State::End(..) => Output::Content,
            _ => Output::Commands,
        }
    }

    /// Chunks that the content of the transaction has been written in; none where it goes with DATA.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Tells that the first `octets` of the output have been sent.
    pub fn sent(&mut self, octets: usize) {
        let octets = octets.min(self.output.len());
        if let State::Auth(..) = self.state {
            self.output[..octets].fill(0);
        }
        self.output.drain(..octets);
        if self.output.is_empty() && !matches!(self.state, State::Content(..)) {
            self.output = Vec::new();
        }
    }

    /// What the peer has listed in its last reply to EHLO.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// What was said to STARTTLS, if TLS was offered and refused and the conversation goes on in clear.
    pub fn tls_refusal(&self) -> Option<&Reply> {
        self.tls_refusal.as_ref()
    }

    /// Whether the end of the content has been written into the output and the peer has not answered yet. If
    /// the connection breaks once that has left, the message may have been accepted (RFC 1047).
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self.state, State::End(..))
    }

    /// What was said to EHLO while the answer to HELO is awaited, but for 500 and 502, which say that it is not
    /// known. If the connection breaks now, this is why.
    pub fn ehlo_refusal(&self) -> Option<&Reply> {
        match &self.state {
            State::Hello { refusal } => refusal
                .as_ref()
                .filter(|reply| !matches!(reply.code, 500 | 502)),
            _ => None,
        }
    }

    /// How the conversation has ended, if it has. What is still to be sent then is a farewell, on which
    /// nothing depends.
    pub fn ending(&self) -> Option<&Closed> {
        match &self.state {
            State::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// What was said to each recipient of the transaction under way; none to those who were accepted or
    /// not answered yet. If the connection breaks now, no report follows, and these refusals stand.
    pub fn refusals(&self) -> Vec<Option<Reply>> {
        match &self.state {
            State::Envelope(envelope) => envelope.refusals(),
            State::Content(outcome, _) | State::End(outcome, _) => outcome.refusals(),
            _ => Vec::new(),
        }
    }

    /// The recipient of the transaction under way whose RCPT is the oldest command without an answer, by
    /// number. If the connection breaks now, that may be why.
    pub fn awaited_recipient(&self) -> Option<usize> {
        match &self.state {
            State::Envelope(envelope) => envelope.awaited_recipient(),
            _ => None,
        }
    }

    /// Says what has to happen next.
    #[expect(
        clippy::should_implement_trait,
        reason = "a session never ends as an iterator does, and each step asks for something"
    )]
    pub fn next(&mut self) -> Step {
        self.next_heard(&mut |_, _| {})
    }

    /// The same, and tells of what the peer has said before it is acted upon: lines of a reply, and whether they end
    /// it. What cannot be understood is told as an end. Nothing of it is a secret: a reply in a login that repeats
    /// a part of that is told without its text.
    pub fn next_heard(&mut self, hear: &mut impl FnMut(&[u8], bool)) -> Step {
        loop {
            if let Some(report) = self.report.take() {
                return Step::Done(report);
            }
            if !self.output.is_empty() {
                return Step::Send;
            }
            match &self.state {
                State::Handshake => return Step::StartTls,
                State::Closed(closed) => return Step::Closed(closed.clone()),
                _ => {}
            }
            let (used, reply) = match self.parser.take(&self.input) {
                Ok(taken) => taken,
                Err(_) => {
                    self.tell(&self.input, true, hear);
                    self.state = protocol_error("malformed reply");
                    continue;
                }
            };
            if used > 0 {
                self.tell(&self.input[..used], reply.is_some(), hear);
            }
            self.input.drain(..used);
            if self.input.is_empty() {
                self.input = Vec::new();
            }
            let Some(reply) = reply else {
                return self.rest();
            };
            self.wait += 1;
            let state = std::mem::replace(&mut self.state, State::Closed(Closed::Quit));
            self.state = self.replied(state, reply);
        }
    }

    fn tell(&self, octets: &[u8], is_whole: bool, hear: &mut impl FnMut(&[u8], bool)) {
        let is_telling = |credentials: &Credentials| credentials.are_repeated_in(octets);
        if matches!(self.state, State::Auth(..))
            && self.settings.credentials.as_ref().is_some_and(is_telling)
        {
            let code = match octets {
                [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..] => &octets[..4],
                _ => &[],
            };
            return hear(&[code, b"[masked]"].concat(), is_whole);
        }
        hear(octets, is_whole);
    }

    /// Nothing has arrived.
    fn rest(&self) -> Step {
        let timeouts = &self.settings.timeouts;
        let within = match &self.state {
            State::Ready => return Step::Ready,
            State::Content(_, writer) if writer.has_room() => return Step::Content,
            State::Content(..) => timeouts.content_block,
            State::Greeting => timeouts.greeting,
            State::Envelope(envelope) => envelope.within(timeouts),
            State::End(..) | State::EmptyEnd(_) => timeouts.end_of_content,
            State::Quit | State::Closed(_) => timeouts.quit,
            State::Hello { .. }
            | State::StartTls
            | State::Auth(..)
            | State::Refused { .. }
            | State::Reset
            | State::Handshake => timeouts.hello,
        };
        Step::Receive {
            within,
            wait: self.wait,
        }
    }

    /// Starts to send a message. Does nothing unless the session is [`Step::Ready`].
    pub fn begin(&mut self, transaction: Transaction) {
        let State::Ready = self.state else { return };
        if let Some(reply) = transaction.obstacle(&self.extensions) {
            self.report = Some(Report::local(reply, transaction.recipients.len()));
            return;
        }
        self.chunks = 0;
        let mut envelope = Envelope::new(transaction, &self.extensions);
        envelope.send(&mut self.output);
        self.state = State::Envelope(envelope);
    }

    /// Writes the next piece of content into the output: dot-stuffed, or as a chunk to a peer that lists
    /// CHUNKING. Only after [`Step::Content`]. Behind the first line of the first chunk it is held until
    /// the peer has taken that.
    pub fn write_content(&mut self, piece: &[u8]) {
        let State::Content(_, writer) = &mut self.state else {
            return;
        };
        let written = writer.write(piece, &mut self.output);
        self.chunks = writer.chunks();
        if written.is_err() {
            self.give_up();
        }
    }

    /// How much of a piece that comes first leaves before the peer has taken a chunk; none where nothing is held.
    /// Who writes no more than that is asked for the rest when it may leave.
    pub fn first_line_octets(&self, piece: &[u8]) -> Option<usize> {
        match &self.state {
            State::Content(_, writer) => writer.first_line_octets(piece),
            _ => None,
        }
    }

    /// Writes the end of the content, or lets it follow what is held. From here on nothing may be paused
    /// or aborted.
    pub fn finish_content(&mut self) {
        match std::mem::replace(&mut self.state, State::Closed(Closed::Quit)) {
            State::Content(outcome, mut writer) => {
                let finished = writer.finish(&mut self.output);
                self.chunks = writer.chunks();
                match finished {
                    Ok(Some(ending)) => self.state = State::End(outcome, ending),
                    Ok(None) => self.state = State::Content(outcome, writer),
                    Err(BareLineEnd) => {
                        self.state = State::Content(outcome, writer);
                        self.give_up();
                    }
                }
            }
            state => self.state = state,
        }
    }

    /// The content must not be ended; only closing prevents that what was sent is taken for it.
    fn give_up(&mut self) {
        let reply = Reply::new(554, (5, 6, 11), "The content has a bare CR or LF");
        let state = std::mem::replace(&mut self.state, State::Closed(Closed::BadContent));
        self.report = state.into_report(reply);
        self.output.clear();
    }

    /// Ends the conversation: with QUIT if the session is [`Step::Ready`], else at once, since a
    /// QUIT inside a transaction or content would be taken for something else.
    pub fn quit(&mut self) {
        self.state = match self.state {
            State::Ready => {
                self.send("QUIT");
                State::Quit
            }
            State::Quit | State::Closed(_) => return,
            _ => {
                self.output.clear();
                State::Closed(Closed::Quit)
            }
        };
    }

    /// Tells that the handshake has succeeded: everything the peer has said is forgotten
    /// (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        if let State::Handshake = self.state {
            self.input.clear();
            self.is_tls = true;
            self.extensions = Extensions::default();
            self.state = self.say_hello();
        }
    }

    /// Says goodbye without waiting for the answer: nothing depends on it.
    fn leave(&mut self, closed: Closed) -> State {
        self.send("QUIT");
        State::Closed(closed)
    }

    fn send(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }
}
