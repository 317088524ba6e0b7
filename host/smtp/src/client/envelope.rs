//! MAIL, RCPT and DATA in flight (RFC 5321 §3.3, RFC 2920 §3.1). Where chunks follow there is no DATA.
//!
//! To a peer that lists PIPELINING the commands go out together, a hundred at most without an answer,
//! so that its replies cannot fill the connection while it is still being written to. To others one
//! goes out at a time.

use std::time::Duration;

use crate::limits::Timeouts;
use crate::reply::Reply;

use super::{Extensions, Report, Transaction};

/// Commands in flight. A hundred replies fit into the smallest receive window in use.
const PIPELINED_COMMANDS_MAX: usize = 100;

/// The commands of a transaction, numbered: 0 is MAIL, 1 to n the recipients, n + 1 DATA.
#[derive(Debug)]
pub(super) struct Envelope {
    transaction: Transaction,
    extensions: Extensions,
    sent: usize,
    mail: Option<Reply>,
    /// Replies to RCPT so far.
    recipients: Vec<Reply>,
}

/// What a reply leads to.
pub(super) enum Next {
    /// More replies are due.
    Waiting(Envelope),
    /// The content may go out.
    Content(Outcome),
    /// The peer wants content although no recipient was accepted: it gets none (RFC 2920 §3.1).
    EmptyContent(Report),
    /// It wants content although it has refused MAIL, and has taken recipients: whatever is ended is a message.
    Unbegun(Report),
    /// No content is wanted. `is_open`: the peer may still think that it is in the transaction.
    Failed { report: Report, is_open: bool },
    /// A reply of a kind that the command does not have.
    Protocol,
}

/// The envelope was accepted, at least in part: replies to MAIL and to each RCPT.
#[derive(Debug)]
pub(super) struct Outcome {
    mail: Reply,
    recipients: Vec<Reply>,
}

impl Envelope {
    pub(super) fn new(transaction: Transaction, extensions: &Extensions) -> Envelope {
        Envelope {
            transaction,
            extensions: extensions.clone(),
            sent: 0,
            mail: None,
            recipients: Vec::new(),
        }
    }

    /// Appends the commands that may go out now.
    pub(super) fn send(&mut self, output: &mut Vec<u8>) {
        let in_flight_max = if self.extensions.pipelining {
            PIPELINED_COMMANDS_MAX
        } else {
            1
        };
        while self.sent - self.answered() < in_flight_max && self.may_send() {
            match self
                .sent
                .checked_sub(1)
                .map(|at| self.transaction.recipients.get(at))
            {
                None => self.transaction.write_mail(&self.extensions, output),
                Some(Some(recipient)) => {
                    self.transaction
                        .write_rcpt(recipient, &self.extensions, output)
                }
                Some(None) => output.extend_from_slice(b"DATA\r\n"),
            }
            self.sent += 1;
        }
    }

    fn answered(&self) -> usize {
        usize::from(self.mail.is_some()) + self.recipients.len()
    }

    /// Whether the next command is still worth sending.
    fn may_send(&self) -> bool {
        let total = self.transaction.recipients.len();
        let is_mail_refused = self.mail.as_ref().is_some_and(|reply| !reply.is_positive());
        let are_all_refused =
            self.recipients.len() == total && !self.recipients.iter().any(Reply::is_positive);
        let with_data = usize::from(!self.extensions.chunking);
        self.sent < total + 1 + with_data && !is_mail_refused && !are_all_refused
    }

    /// How long to wait for the next reply.
    pub(super) fn within(&self, timeouts: &Timeouts) -> Duration {
        if self.mail.is_none() {
            timeouts.mail
        } else if self.recipients.len() < self.transaction.recipients.len() {
            timeouts.rcpt
        } else {
            timeouts.data
        }
    }

    /// Takes the reply to the oldest command in flight.
    pub(super) fn replied(mut self, reply: Reply) -> Next {
        let is_answered =
            self.mail.is_some() && self.recipients.len() == self.transaction.recipients.len();
        if is_answered && !self.extensions.chunking {
            return self.data_replied(reply);
        }
        if reply.is_intermediate() {
            return Next::Protocol;
        }
        if self.mail.is_none() {
            self.mail = Some(reply);
        } else {
            self.recipients.push(reply);
        }
        if self.answered() < self.sent || self.may_send() {
            return Next::Waiting(self);
        }
        let is_chunked = self.extensions.chunking;
        let outcome = self.outcome();
        if is_chunked && outcome.has_recipients() {
            return Next::Content(outcome);
        }
        let is_open = outcome.mail.is_positive();
        Next::Failed {
            report: outcome.refused(),
            is_open,
        }
    }

    fn data_replied(self, reply: Reply) -> Next {
        if reply.code != 354 && !reply.is_transient() && !reply.is_permanent() {
            return Next::Protocol;
        }
        let outcome = self.outcome();
        if reply.code != 354 {
            let is_open = outcome.mail.is_positive();
            return Next::Failed {
                report: outcome.report(reply),
                is_open,
            };
        }
        let is_anybody_taken = outcome.recipients.iter().any(Reply::is_positive);
        match (outcome.mail.is_positive(), is_anybody_taken) {
            (true, true) => Next::Content(outcome),
            (false, true) => Next::Unbegun(outcome.refused()),
            (_, false) => Next::EmptyContent(outcome.refused()),
        }
    }

    /// The refusals so far. Without MAIL a refusal says nothing of a recipient.
    pub(super) fn refusals(&self) -> Vec<Option<Reply>> {
        match &self.mail {
            Some(mail) if mail.is_positive() => refusals(&self.recipients),
            _ => Vec::new(),
        }
    }

    /// The recipient whose RCPT is the oldest command without an answer.
    pub(super) fn awaited_recipient(&self) -> Option<usize> {
        let at = self.recipients.len();
        let is_mail_taken = self.mail.as_ref().is_some_and(Reply::is_positive);
        let is_sent = at < self.transaction.recipients.len() && self.sent > at + 1;
        (is_mail_taken && is_sent).then_some(at)
    }

    /// The peer has closed: its reply is the fate of everybody who had none.
    pub(super) fn close(mut self, reply: Reply) -> Report {
        let closed_at = self.awaited_recipient();
        let total = self.transaction.recipients.len();
        self.mail.get_or_insert_with(|| reply.clone());
        self.recipients.resize(total, reply.clone());
        Report {
            closed_at,
            ..self.outcome().report(reply)
        }
    }

    /// The replies; those of recipients that were never tried are that to MAIL.
    fn outcome(self) -> Outcome {
        let Envelope {
            transaction,
            mail,
            mut recipients,
            ..
        } = self;
        let mail = mail.unwrap_or_else(|| Reply::new(451, (4, 3, 0), "No reply"));
        recipients.resize(transaction.recipients.len(), mail.clone());
        Outcome { mail, recipients }
    }
}

fn refusals(replies: &[Reply]) -> Vec<Option<Reply>> {
    let refusal = |reply: &Reply| (!reply.is_positive()).then(|| reply.clone());
    replies.iter().map(refusal).collect()
}

impl Outcome {
    pub(super) fn refusals(&self) -> Vec<Option<Reply>> {
        refusals(&self.recipients)
    }

    fn has_recipients(&self) -> bool {
        self.mail.is_positive() && self.recipients.iter().any(Reply::is_positive)
    }

    /// The report if everybody was refused before the content.
    fn refused(self) -> Report {
        let mail = self.mail.clone();
        self.report(mail)
    }

    /// The report if `reply` decides over all who were accepted.
    pub(super) fn report(self, reply: Reply) -> Report {
        let Outcome { mail, recipients } = self;
        // RFC 5321 §3.3: without MAIL there is no recipient, whatever was said to RCPT.
        let decisive = if mail.is_positive() { &reply } else { &mail };
        let recipients = recipients
            .into_iter()
            .map(|own| {
                if own.is_positive() || !mail.is_positive() {
                    decisive.clone()
                } else {
                    own
                }
            })
            .collect();
        Report::new(mail, recipients)
    }
}
