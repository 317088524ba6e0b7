//! The states of a client session, and how it goes on with each reply.

use std::collections::VecDeque;

use crate::content::DotEncoder;
use crate::reply::Reply;

use super::envelope::{Envelope, Next, Outcome};
use super::{Closed, Report, Session};

/// What the session is in the middle of. Each variant holds just what is true in it.
#[derive(Debug)]
pub(super) enum State {
    /// The reply to something comes.
    Greeting,
    Hello {
        is_extended: bool,
    },
    StartTls,
    /// Responses that are still to be sent.
    Auth(VecDeque<String>),
    Envelope(Envelope),
    /// The reply to the end of the content comes.
    End(Outcome),
    /// The reply to an end without content comes (RFC 2920 §3.1).
    EmptyEnd(Report),
    Reset,
    Quit,
    /// Something is to be done here.
    Handshake,
    Ready,
    Content(Outcome, DotEncoder),
    Closed(Closed),
}

impl State {
    /// The report if the peer's last `reply` decides over everybody who had no refusal yet.
    pub(super) fn into_report(self, reply: Reply) -> Option<Report> {
        match self {
            State::Envelope(envelope) => Some(envelope.close(reply)),
            State::Content(outcome, _) => Some(outcome.report(reply)),
            State::End(outcome) => Some(outcome.report(reply).after_content()),
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
            State::Hello { is_extended } => self.hello_replied(is_extended, reply),
            State::StartTls => self.starttls_replied(reply),
            State::Auth(responses) => self.auth_replied(responses, reply),
            State::Envelope(envelope) => self.envelope_replied(envelope, reply),
            // Neither yes nor no: it stays unknown.
            State::End(_) if reply.is_intermediate() => protocol_error("3yz after the content"),
            State::End(outcome) => {
                self.report = Some(outcome.report(reply).after_content());
                State::Ready
            }
            State::EmptyEnd(report) => {
                self.report = Some(report);
                State::Ready
            }
            State::Content(..) if reply.is_transient() || reply.is_permanent() => {
                self.peer_closes(state, reply)
            }
            State::Reset if reply.is_positive() => State::Ready,
            State::Reset => self.leave(Closed::Peer(reply)),
            State::Quit => State::Closed(Closed::Quit),
            State::Content(..) | State::Ready | State::Handshake => {
                protocol_error("a reply that nobody has asked for")
            }
            State::Closed(closed) => State::Closed(closed),
        }
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
            Next::Content(outcome) => State::Content(outcome, DotEncoder::default()),
            Next::EmptyContent(report) => {
                self.send(".");
                State::EmptyEnd(report)
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

/// The peer cannot be understood any more; what it has decided about a transaction is not known.
pub(super) fn protocol_error(problem: &'static str) -> State {
    State::Closed(Closed::Protocol(problem))
}
