//! The server side of a connection, as a conversation without I/O.
//!
//! [`Session::next`] is called again and again and says what to do. A driver looks like this:
//!
//! ```text
//! loop {
//!     match session.next() {
//!         Send                     => write session.output(), then session.sent(written)
//!         Receive { within, wait } => read into session.input(); one deadline per value of `wait`
//!         Ask(question)            => session.answer(decide(question))
//!         Content                  => store session.content(), then session.content_taken()
//!         Reset, Discard           => forget the envelope; Discard: and the content
//!         StartTls                 => handshake, then session.tls_started()
//!         Close                    => close the connection
//!     }
//! }
//! ```
//!
//! Replies to pipelined commands are gathered and sent together (RFC 2920 §3.2). The parts: `input`
//! takes lines off the octets, `command` reads them, `conversation` decides by `state` what a command
//! means, `envelope` those of a transaction, `exchange` logs in, `transfer` takes content, `answers`
//! goes on after a decision, `replies` holds the fixed texts, `heard` is what the client has said.

mod answers;
mod command;
mod conversation;
mod envelope;
mod exchange;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod heard;
mod input;
mod replies;
mod state;
mod transfer;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::address::{ForwardPath, ReversePath};
use crate::auth::{Credentials, Mechanism};
use crate::limits::{Limits, Timeouts};
use crate::parameter::{MailParameters, RcptParameters};
use crate::reply::Reply;

use conversation::Conversation;
pub use heard::Heard;
use input::Input;
use state::{Phase, State, Turn};

/// Output past which it is sent before more is done, so that a client that pipelines without end
/// cannot make it grow.
const OUTPUT_OCTETS_MAX: usize = 8 * 1024;
/// Output buffers up to this size are kept while nothing is to be sent; an idle session holds no more.
const OUTPUT_OCTETS_KEPT: usize = 128;

/// What all sessions of a listener have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name in the greeting and in the replies to EHLO and HELO.
    pub hostname: String,
    /// How much a session takes.
    pub limits: Limits,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// Whether AUTH is offered without TLS.
    pub plaintext_auth: bool,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
}

/// Whether the connection is under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// In clear.
    Plain,
    /// Under TLS, from the start or since STARTTLS.
    Tls,
}

/// What has to happen next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write [`Session::output`] and report with [`Session::sent`].
    Send,
    /// Read more.
    Receive {
        /// How long to wait for what is awaited.
        within: Duration,
        /// Names what is awaited. It changes when a whole command has been taken, or 4 KiB more of
        /// content. One deadline per value: a client cannot extend it octet by octet.
        wait: u64,
    },
    /// Decide and call [`Session::answer`].
    Ask(Question),
    /// Take [`Session::content`] and call [`Session::content_taken`].
    Content,
    /// The envelope that was accepted so far is void: no content had been asked for.
    Reset,
    /// The envelope and all content gathered since [`Question::Data`] are void. No answer is needed;
    /// if a reply is due, the session sends it itself when the content has ended.
    Discard {
        /// Why the session refuses the content, as it found first: the line of the reply. None when the
        /// client gave the message up.
        refusal: Option<&'static str>,
    },
    /// Start TLS and call [`Session::tls_started`], or close. Forget envelope and login.
    StartTls,
    /// Close the connection. Whatever was not accepted is void.
    Close,
}

/// What the relay decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Are these credentials right? A refusal should be 535 5.7.8 (RFC 4954 §6), or 454 4.7.0.
    Authenticate {
        /// How they were sent.
        mechanism: Mechanism,
        /// Name and password.
        credentials: Credentials,
    },
    /// May this sender start a transaction?
    Mail {
        /// Where reports go.
        reverse_path: ReversePath,
        /// SIZE is within the limit already.
        parameters: MailParameters,
    },
    /// May the message go there?
    Recipient {
        /// One recipient.
        forward_path: ForwardPath,
        /// Its DSN wishes.
        parameters: RcptParameters,
    },
    /// May content come? Asked at DATA, and once at the first BDAT.
    Data {
        /// Which command asks.
        kind: DataKind,
    },
    /// All content has been handed over by [`Step::Content`], with clean line ends and within the
    /// limits. The answer takes responsibility for the message (RFC 5321 §6.1) or refuses it.
    EndOfContent {
        /// How long it was.
        octets: u64,
    },
}

/// How content arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// DATA.
    Data,
    /// BDAT (RFC 3030).
    Bdat,
}

/// The relay's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes, with the usual reply.
    Accept,
    /// Yes, with this 2yz reply. At [`Question::Data`] the usual reply is sent all the same.
    AcceptWith(Reply),
    /// No, with this 4yz or 5yz reply. A 421 closes.
    Refuse(Reply),
    /// No; the session ends with this reply.
    Close(Reply),
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    input: Input,
    /// Where in the input the piece of content stands that was announced and not taken yet.
    content: Range<usize>,
    state: State,
    conversation: Conversation,
}

impl Session {
    /// A session whose first output is the greeting (RFC 5321 §3.1).
    pub fn new(settings: Arc<Settings>, security: Security) -> Session {
        let mut conversation = Conversation::new(settings, security);
        conversation.greet();
        Session::start(conversation, State::Command(Phase::Idle))
    }

    /// A session that takes mail from anybody, for receivers that keep what they get and relay
    /// nothing: tests and the sink. It has no AUTH.
    pub fn without_login(settings: Arc<Settings>, security: Security) -> Session {
        let mut conversation = Conversation::new(settings, security);
        conversation.needs_login = false;
        conversation.is_authenticated = true;
        conversation.greet();
        Session::start(conversation, State::Command(Phase::Idle))
    }

    /// A session that greets with a refusal, such as 421 at a connection limit, and closes.
    pub fn refuse(settings: Arc<Settings>, reply: Reply) -> Session {
        let mut conversation = Conversation::new(settings, Security::Plain);
        reply.write_to(&mut conversation.output);
        Session::start(conversation, State::Closing)
    }

    fn start(conversation: Conversation, state: State) -> Session {
        Session {
            input: Input::default(),
            content: 0..0,
            state,
            conversation,
        }
    }

    /// Takes octets that have arrived.
    pub fn feed(&mut self, octets: &[u8]) {
        self.input().extend_from_slice(octets);
    }

    /// The buffer to read into: append to it, change nothing in it. Saves the copy of [`Self::feed`].
    pub fn input(&mut self) -> &mut Vec<u8> {
        self.input.appendable(self.content.is_empty())
    }

    /// Tells what time it is, since the Unix epoch. Dates that a client gives and that it is told are
    /// counted from the last time that was told: the session has no clock.
    pub fn tell_time(&mut self, now: Duration) {
        self.conversation.now = now;
    }

    /// Says what has to happen next. A question that is pending and was not answered is refused
    /// with 451.
    #[expect(
        clippy::should_implement_trait,
        reason = "a session never ends as an iterator does, and each step asks for something"
    )]
    pub fn next(&mut self) -> Step {
        self.next_heard(&mut |_, _| {})
    }

    /// The same, and tells of each line of the client before it is acted upon: what it was, and all output that is
    /// not sent yet. What was said to the line before it is there by then.
    pub fn next_heard(&mut self, hear: &mut impl FnMut(Heard<'_>, &[u8])) -> Step {
        loop {
            if !self.content.is_empty() {
                return Step::Content;
            }
            if let Some(void) = self.conversation.void.take() {
                return void.into();
            }
            if self.conversation.output.len() >= OUTPUT_OCTETS_MAX {
                return Step::Send;
            }
            let Turn {
                state,
                step,
                is_stuck,
            } = self.advance(hear);
            self.state = state;
            if let Some(step) = step {
                return step;
            }
            if is_stuck {
                return self.rest();
            }
        }
    }

    /// Nothing can be done without the driver: send what there is, then wait, shake hands or close.
    fn rest(&mut self) -> Step {
        if !self.conversation.output.is_empty() {
            return Step::Send;
        }
        let timeouts = &self.conversation.settings.timeouts;
        let within = match self.state {
            State::Closing => return Step::Close,
            State::Handshake => {
                // RFC 3207 §4.2; what was pipelined behind STARTTLS must never run.
                self.input.clear();
                return Step::StartTls;
            }
            State::Data(_) | State::Chunk(_) | State::Skip(_) | State::Ended(_) => timeouts.content,
            State::Command(_) | State::Auth(_) | State::Asked(_) => {
                self.input.release();
                timeouts.command
            }
        };
        Step::Receive {
            within,
            wait: self.conversation.wait,
        }
    }

    /// Moves one step on, if the input allows.
    fn advance(&mut self, hear: &mut impl FnMut(Heard<'_>, &[u8])) -> Turn {
        let conversation = &mut self.conversation;
        let command_octets_max = conversation.settings.limits.command_octets_max;
        let auth_octets_max = conversation.settings.limits.auth_line_octets_max;
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Command(phase) => {
                match self.input.command(command_octets_max, auth_octets_max) {
                    Some(line) => {
                        hear(Heard::of(&line), &conversation.output);
                        let turn = conversation.command(phase, line);
                        if turn.state.is_login() {
                            self.input.wipe_line();
                        }
                        turn
                    }
                    None => Turn::stuck(State::Command(phase)),
                }
            }
            State::Auth(exchange) => match self.input.line(auth_octets_max) {
                Some(line) => {
                    hear(Heard::Response, &conversation.output);
                    let turn = conversation.response(exchange, line);
                    self.input.wipe_line();
                    turn
                }
                None => Turn::stuck(State::Auth(exchange)),
            },
            State::Data(data) => conversation.data(data, &mut self.input, &mut self.content),
            State::Ended(ended) => conversation.ask_about(ended),
            State::Chunk(chunk) => conversation.chunk(chunk, &mut self.input, &mut self.content),
            State::Skip(skip) => conversation.skip(skip, &mut self.input),
            State::Asked(asked) => conversation.unanswered(asked),
            state @ (State::Handshake | State::Closing) => Turn::stuck(state),
        }
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        &self.conversation.output
    }

    /// Tells that the first `octets` of the output have been sent.
    pub fn sent(&mut self, octets: usize) {
        let output = &mut self.conversation.output;
        output.drain(..octets.min(output.len()));
        if output.is_empty() && output.capacity() > OUTPUT_OCTETS_KEPT {
            *output = Vec::new();
        }
    }

    /// The piece of content that [`Step::Content`] announced, without the dots of DATA.
    pub fn content(&self) -> &[u8] {
        self.input.slice(self.content.clone())
    }

    /// Tells that the piece has been taken.
    pub fn content_taken(&mut self) {
        self.content = 0..0;
    }

    /// Answers the pending question. Without one it does nothing.
    pub fn answer(&mut self, answer: Answer) {
        self.state = match std::mem::replace(&mut self.state, State::Closing) {
            State::Asked(asked) => self.conversation.answer(asked, answer),
            state => state,
        };
    }

    /// Tells that the handshake has succeeded. EHLO, login and transaction are forgotten already
    /// (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        if let State::Handshake = self.state {
            self.input.clear();
            self.conversation.security = Security::Tls;
            self.state = State::Command(Phase::Idle);
        }
    }

    /// Ends the session on the driver's side (shutdown, timeout, disabled user): the reply is sent,
    /// a 421 as a rule (RFC 5321 §3.8), then the session closes.
    pub fn end(&mut self, reply: Reply) {
        let state = std::mem::replace(&mut self.state, State::Closing);
        self.conversation.is_cut_off |= state.takes_content() || !self.input.unread().is_empty();
        self.content = 0..0;
        self.input.clear();
        // A reply in clear has no place in a handshake, and a second farewell none after the first.
        if !matches!(state, State::Handshake | State::Closing) {
            reply.write_to(&mut self.conversation.output);
        }
    }

    /// Whether the session ends while the client may still be sending. The driver should take what
    /// comes for a moment before it closes: where octets are left unread, the network may throw away
    /// the last reply with them.
    pub fn is_cut_off(&self) -> bool {
        self.conversation.is_cut_off
    }

    /// Whether a login has succeeded.
    pub fn is_authenticated(&self) -> bool {
        self.conversation.is_authenticated
    }

    /// Whether the client is sending content: what comes is taken as fast as it does, and much at once is
    /// better. Commands wait for each other in the input.
    pub fn takes_content(&self) -> bool {
        self.state.takes_content()
    }

    /// Whether MAIL has been accepted and its transaction has not ended.
    pub fn in_transaction(&self) -> bool {
        self.state.in_transaction()
    }

    /// The argument of the last EHLO or HELO: one word of the letters that host names and address
    /// literals are made of, and question marks for others. Nothing says that it is a name.
    pub fn ehlo(&self) -> Option<&str> {
        self.conversation
            .hello
            .as_ref()
            .map(|hello| hello.name.as_ref())
    }

    /// Whether it was EHLO.
    pub fn is_esmtp(&self) -> bool {
        self.conversation
            .hello
            .as_ref()
            .is_some_and(|hello| hello.is_extended)
    }

    /// Whether the connection is under TLS.
    pub fn security(&self) -> Security {
        self.conversation.security
    }

    /// Whether the content has octets above 127, whatever BODY said. Asked at
    /// [`Question::EndOfContent`], so that the relay can convert or refuse what the next hop lacks
    /// 8BITMIME for.
    pub fn saw_8bit(&self) -> bool {
        self.state.findings().eight_bit
    }

    /// Whether the content has an octet 0. RFC 5321 §4.1.1.4 allows it in content; in a header it
    /// makes readers differ. Asked at [`Question::EndOfContent`].
    pub fn saw_nul(&self) -> bool {
        self.state.findings().nul
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What the session asks or says to `input`.
    fn run(session: &mut Session, input: &str) -> String {
        session.feed(input.as_bytes());
        let mut said = String::new();
        loop {
            match session.next() {
                Step::Send => {
                    said.push_str(std::str::from_utf8(session.output()).unwrap());
                    session.sent(session.output().len());
                }
                Step::Ask(_) => session.answer(Answer::Accept),
                Step::StartTls => session.tls_started(),
                Step::Reset => {}
                _ => return said,
            }
        }
    }

    #[test]
    fn a_session_without_login_takes_mail_from_anybody_and_has_no_auth() {
        let settings = Settings {
            hostname: "sink.example".into(),
            limits: Limits {
                commands_before_login_max: 1,
                ..Limits::default()
            },
            timeouts: Timeouts::default(),
            plaintext_auth: true,
            starttls: true,
        };
        let mut session = Session::without_login(Arc::new(settings), Security::Plain);
        let hello = run(&mut session, "EHLO a\r\n");
        assert!(
            hello.contains("STARTTLS") && !hello.contains("AUTH"),
            "{hello}"
        );
        let said = run(&mut session, "STARTTLS\r\n");
        assert!(said.starts_with("220"), "{said}");
        let said = run(
            &mut session,
            "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\n",
        );
        assert!(
            said.ends_with("Sender ok\r\n250 2.1.5 Recipient ok\r\n"),
            "{said}"
        );
        let said = run(&mut session, "RSET\r\nAUTH PLAIN AGEAYg==\r\n");
        assert!(said.contains("\r\n503 "), "{said}");
    }
}
