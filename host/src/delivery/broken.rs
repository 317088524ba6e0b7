//! How a transaction breaks: it ends without replies for its recipients.
//!
//! Values only: `connection` makes them, and what follows from one is decided in `attempt`.

use std::io;

use outpost_smtp::Reply;
use outpost_smtp::client::Closed;

use crate::spool::SpoolError;

/// A transaction ended without replies for its recipients.
#[derive(Debug)]
pub(super) struct Break {
    pub(super) cause: Cause,
    /// The final dot has been sent: the message may have been accepted.
    pub(super) is_unknown: bool,
    /// What was said to each recipient before, as far as it was a refusal.
    pub(super) refusals: Vec<Option<Reply>>,
    /// The recipient at whose RCPT it broke, by number.
    pub(super) at: Option<usize>,
}

impl Break {
    /// One before anything was said to anybody.
    pub(super) fn early(cause: Cause) -> Self {
        Self {
            cause,
            is_unknown: false,
            refusals: Vec::new(),
            at: None,
        }
    }
}

/// Why.
#[derive(Debug)]
pub(super) enum Cause {
    /// The network broke, or nothing came in time.
    Lost(io::Error),
    /// The host ended the conversation, or does not speak SMTP.
    Closed(Closed),
    /// The content cannot be read on our side.
    Content(String),
    /// The relay stops; how far the content has come.
    CutOff(String),
    /// An operator cancelled the message before its last octets were sent.
    Cancelled,
}

impl Cause {
    /// That a content could not be read to its end.
    pub(super) fn of_content(error: SpoolError) -> Self {
        match error {
            SpoolError::Cancelled => Self::Cancelled,
            error => Self::Content(error.to_string()),
        }
    }
}
