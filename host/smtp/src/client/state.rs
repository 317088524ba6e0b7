//! The states of a client session, and how it goes on with each reply.

use std::collections::VecDeque;

use crate::auth::Mechanism;
use crate::reply::Reply;

use super::content::{Ending, Writer};
use super::envelope::{Envelope, Next, Outcome};
use super::{Closed, Report, Session};

/// What the session is in the middle of. Each variant holds just what is true in it.
#[derive(Debug)]
pub(super) enum State {
    /// The reply to something comes.
    Greeting,
    /// To EHLO, or to HELO after this was said to EHLO.
    Hello {
        refusal: Option<Reply>,
    },
    StartTls,
    /// To AUTH with this mechanism, or to a response. The responses are still to be sent.
    Auth(Mechanism, VecDeque<String>),
    Envelope(Envelope),
    /// The reply to the end of the content comes, after those to chunks before it.
    End(Outcome, Ending),
    /// A chunk was refused. The replies to those behind it come, and mean nothing.
    Refused {
        replies: usize,
    },
    /// The reply to an end without content comes (RFC 2920 §3.1).
    EmptyEnd(Report),
    Reset,
    Quit,
    /// Something is to be done here.
    Handshake,
    Ready,
    Content(Outcome, Writer),
    Closed(Closed),
}

impl State {
    /// The report if the peer's last `reply` decides over everybody who had no refusal yet.
    pub(super) fn into_report(self, reply: Reply) -> Option<Report> {
        match self {
            State::Envelope(envelope) => Some(envelope.close(reply)),
            State::Content(outcome, _) => Some(outcome.report(reply)),
            State::End(outcome, _) => Some(outcome.report(reply).after_content()),
            State::EmptyEnd(report) => Some(report),
            _ => None,
        }
    }
}

impl Session {
    /// Goes on with a reply.
    pub(super) fn replied(&mut self, state: State, reply: Reply) -> State {
        // RFC 5321 §3.8, §4.2.3: 421 may answer anything, and ends everything.
        if reply.code == 421 && !matches!(state, State::Greeting | State::Quit) {
            return self.peer_closes(state, reply);
        }
        match state {
            State::Greeting if reply.code == 220 => self.say_hello(),
            State::Greeting => self.leave(Closed::Greeting(reply)),
            State::Hello { refusal } => self.hello_replied(refusal.is_none(), reply),
            State::StartTls => self.starttls_replied(reply),
            State::Auth(mechanism, responses) => self.auth_replied(mechanism, responses, reply),
            State::Envelope(envelope) => self.envelope_replied(envelope, reply),
            // Neither yes nor no: it stays unknown.
            State::End(..) if reply.is_intermediate() => protocol_error("3yz after the content"),
            State::End(outcome, Ending::LastChunk { before }) => {
                self.chunk_replied(outcome, reply, before)
            }
            State::End(outcome, Ending::Dot) => {
                self.report = Some(outcome.report(reply).after_content());
                State::Ready
            }
            State::EmptyEnd(report) => {
                self.report = Some(report);
                State::Ready
            }
            State::Content(outcome, Writer::Chunks(mut chunks)) => {
                if reply.is_positive() && chunks.taken() {
                    // Who answers what stood behind the command as well has not taken it for content.
                    if !self.is_chunking_proven && !self.input.is_empty() {
                        return protocol_error("more than one reply to the first chunk");
                    }
                    self.is_chunking_proven = true;
                    let ending = chunks.proven(&mut self.output);
                    self.chunks = chunks.written();
                    return match ending {
                        Some(ending) => State::End(outcome, ending),
                        None => State::Content(outcome, Writer::Chunks(chunks)),
                    };
                }
                match chunks.rest() {
                    Some(rest) if reply.is_transient() || reply.is_permanent() => {
                        self.chunk_refused(outcome, reply, rest)
                    }
                    _ => protocol_error("unexpected reply to a chunk"),
                }
            }
            State::Content(..) if reply.is_transient() || reply.is_permanent() => {
                self.peer_closes(state, reply)
            }
            State::Refused { replies } => self.after_refusal(replies.saturating_sub(1)),
            State::Reset if reply.is_positive() => State::Ready,
            State::Reset => self.leave(Closed::Peer(reply)),
            State::Quit => State::Closed(Closed::Quit),
            State::Content(..) | State::Ready | State::Handshake => {
                protocol_error("a reply that nobody has asked for")
            }
            State::Closed(closed) => State::Closed(closed),
        }
    }

    /// A reply to one of the last chunks; `before`: replies that come before the last one.
    fn chunk_replied(&mut self, outcome: Outcome, reply: Reply, before: usize) -> State {
        if !reply.is_positive() {
            return self.chunk_refused(outcome, reply, before);
        }
        self.is_chunking_proven = true;
        let Some(before) = before.checked_sub(1) else {
            self.report = Some(outcome.report(reply).after_content());
            return State::Ready;
        };
        State::End(outcome, Ending::LastChunk { before })
    }

    /// A chunk was refused, and the content with it (RFC 3030 §2). `rest`: replies that still come.
    fn chunk_refused(&mut self, outcome: Outcome, reply: Reply, rest: usize) -> State {
        self.report = Some(outcome.report(reply.clone()));
        if self.is_chunking_proven {
            return self.after_refusal(rest);
        }
        // What stood behind the command may have been read as a command as well. So the replies that come
        // cannot be told apart, and whatever is sent may be taken for something else: not even QUIT follows.
        State::Closed(match is_about_the_command(&reply) {
            true => Closed::ChunkingUnknown(reply),
            false => Closed::Peer(reply),
        })
    }

    fn after_refusal(&mut self, replies: usize) -> State {
        if replies > 0 {
            return State::Refused { replies };
        }
        // RFC 3030 §2: the state of the transaction is not known otherwise.
        self.send("RSET");
        State::Reset
    }

    /// The peer's last word decides over all that was open.
    fn peer_closes(&mut self, state: State, reply: Reply) -> State {
        self.report = state.into_report(reply.clone());
        State::Closed(Closed::Peer(reply))
    }

    fn envelope_replied(&mut self, envelope: Envelope, reply: Reply) -> State {
        match envelope.replied(reply) {
            Next::Waiting(mut envelope) => {
                envelope.send(&mut self.output);
                State::Envelope(envelope)
            }
            Next::Content(outcome) => State::Content(
                outcome,
                Writer::new(&self.extensions, self.is_chunking_proven),
            ),
            Next::EmptyContent(report) => {
                self.send(".");
                State::EmptyEnd(report)
            }
            Next::Unbegun(report) => {
                self.report = Some(report);
                State::Closed(Closed::Unbegun)
            }
            Next::Failed { report, is_open } => {
                self.report = Some(report);
                if !is_open {
                    return State::Ready;
                }
                self.send("RSET");
                State::Reset
            }
            Next::Protocol => protocol_error("unexpected reply in the envelope"),
        }
    }
}

/// Whether a reply is about the command and not about the message: 500 to 504 are about syntax and sequence
/// (RFC 5321 §4.2.1, §4.2.2), and so are X.5.1, X.5.2 and X.5.4 with whatever code (RFC 3463 §3.6).
fn is_about_the_command(reply: &Reply) -> bool {
    let is_protocol_status = reply
        .enhanced
        .is_some_and(|status| status.subject == 5 && matches!(status.detail, 1 | 2 | 4));
    matches!(reply.code, 500..=504) || is_protocol_status
}

/// The peer cannot be understood any more; what it has decided about a transaction is not known.
pub(super) fn protocol_error(problem: &'static str) -> State {
    State::Closed(Closed::Protocol(problem))
}
