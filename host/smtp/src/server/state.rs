//! The states of a server session. Each variant holds just what is true in it.
//!
//! A transition takes the old state by value and returns the new one in a [`Turn`].

use crate::content::{DotDecoder, Findings, Inspector};
use crate::limits::Limits;
use crate::reply::Reply;

use super::{Question, Step};

/// What the session is in the middle of.
#[derive(Debug)]
pub(super) enum State {
    /// A command line comes next.
    Command(Phase),
    /// A response of an AUTH exchange comes next.
    Auth(Exchange),
    /// A question has been asked and the answer comes next.
    Asked(Asked),
    /// The content of DATA comes.
    Data(Data),
    /// The content has ended, and its last piece may not have been taken yet.
    Ended(Ended),
    /// The octets of a BDAT command come.
    Chunk(Chunk),
    /// The octets of a refused BDAT command come, and are thrown away.
    Skip(Skip),
    /// The 220 to STARTTLS has been given; TLS comes next.
    Handshake,
    /// Everything has been said.
    Closing,
}

/// How far a transaction is when a command line comes.
#[derive(Debug)]
pub(super) enum Phase {
    /// There is none.
    Idle,
    /// There is none since it was refused, and what the client has pipelined behind may come yet.
    Refused,
    /// MAIL has been accepted.
    Envelope(Envelope),
    /// A chunk has been taken that was not the last.
    Chunks(Transfer),
}

/// The envelope so far. The relay keeps the addresses; the session counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope {
    /// Recipients accepted.
    pub(super) recipients: u32,
    /// Whether a recipient was refused.
    pub(super) was_refused: bool,
    /// A chunk was refused for want of recipients. Who is accepted behind it must not get a message without it.
    pub(super) lacks_chunk: bool,
    /// Whether MAIL had SMTPUTF8, so that recipients may be beyond ASCII.
    pub(super) smtputf8: bool,
}

impl Envelope {
    /// The same, with one recipient more that was refused.
    pub(super) fn with_recipient_refused(self) -> Envelope {
        Envelope {
            was_refused: true,
            ..self
        }
    }
}

/// A login in several lines.
#[derive(Debug)]
pub(super) enum Exchange {
    /// AUTH PLAIN without initial response: the message comes.
    Plain,
    /// AUTH LOGIN: the name comes.
    LoginName,
    /// AUTH LOGIN: the password for this name comes.
    LoginPassword(String),
}

/// What was asked, and what the answer needs.
#[derive(Debug)]
pub(super) enum Asked {
    Authenticate,
    Mail {
        smtputf8: bool,
    },
    Recipient(Envelope),
    Data,
    /// May the first chunk come?
    Chunk {
        octets: u64,
        is_last: bool,
    },
    EndOfContent(Findings),
}

/// Content on its way in: what was seen of it so far.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) inspector: Inspector,
    pub(super) octets: u64,
}

/// The content of DATA on its way in.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) decoder: DotDecoder,
    pub(super) transfer: Transfer,
    /// It is refused already and only read to its end.
    pub(super) is_void: bool,
}

/// A content that is complete and not refused.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) octets: u64,
    pub(super) findings: Findings,
}

/// A chunk on its way in.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) transfer: Transfer,
    pub(super) left: u64,
    pub(super) is_last: bool,
    /// As in [`Data`].
    pub(super) is_void: bool,
}

/// A refused chunk on its way to nowhere (RFC 3030 §2).
#[derive(Debug)]
pub(super) struct Skip {
    pub(super) left: u64,
    pub(super) reply: Refusal,
    pub(super) phase: Phase,
}

/// A refusal that waits until a chunk has passed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The client's mistake, which counts.
    Error(&'static str),
    /// What may have been pipelined before the client knew of a refusal.
    InVain(&'static str),
    /// A refusal of the message, which does not.
    Message(&'static str),
    /// The relay's decision.
    Decided(Reply),
}

/// What has become void, for the driver to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Void {
    Envelope,
    /// With the reply, when the session refuses it.
    Content(Option<&'static str>),
}

impl From<Void> for Step {
    fn from(void: Void) -> Step {
        match void {
            Void::Envelope => Step::Reset,
            Void::Content(refusal) => Step::Discard { refusal },
        }
    }
}

impl Transfer {
    pub(super) fn new(limits: &Limits) -> Transfer {
        Transfer {
            inspector: Inspector::new(limits.content_line_octets_max),
            octets: 0,
        }
    }
}

impl Phase {
    /// The same without its transaction, because that is refused.
    pub(super) fn refused(self) -> Phase {
        if self.is_open() { Phase::Refused } else { self }
    }

    fn is_open(&self) -> bool {
        matches!(self, Phase::Envelope(_) | Phase::Chunks(_))
    }
}

impl State {
    pub(super) fn in_transaction(&self) -> bool {
        match self {
            State::Command(phase) => phase.is_open(),
            State::Skip(skip) => skip.phase.is_open(),
            State::Asked(asked) => !matches!(asked, Asked::Authenticate | Asked::Mail { .. }),
            State::Data(_) | State::Chunk(_) | State::Ended(_) => true,
            State::Auth(_) | State::Handshake | State::Closing => false,
        }
    }

    /// Whether the client is sending content.
    pub(super) fn takes_content(&self) -> bool {
        matches!(
            self,
            State::Data(_) | State::Chunk(_) | State::Skip(_) | State::Ended(_)
        )
    }

    /// Whether a line that led here may hold a secret.
    pub(super) fn is_login(&self) -> bool {
        matches!(self, State::Auth(_) | State::Asked(Asked::Authenticate))
    }

    pub(super) fn findings(&self) -> Findings {
        match self {
            State::Asked(Asked::EndOfContent(findings)) => *findings,
            _ => Findings::default(),
        }
    }
}

/// The outcome of a transition.
pub(super) struct Turn {
    pub(super) state: State,
    /// What the driver is to do about it, if anything.
    pub(super) step: Option<Step>,
    /// Nothing more happens without the driver.
    pub(super) is_stuck: bool,
}

impl Turn {
    /// A question is asked.
    pub(super) fn ask(asked: Asked, question: Question) -> Turn {
        Turn {
            state: State::Asked(asked),
            step: Some(Step::Ask(question)),
            is_stuck: false,
        }
    }

    /// Nothing has changed, or nothing more can.
    pub(super) fn stuck(state: State) -> Turn {
        Turn {
            state,
            step: None,
            is_stuck: true,
        }
    }

    /// The next command may come.
    pub(super) fn command(phase: Phase) -> Turn {
        State::Command(phase).into()
    }
}

impl From<State> for Turn {
    fn from(state: State) -> Turn {
        Turn {
            state,
            step: None,
            is_stuck: false,
        }
    }
}
