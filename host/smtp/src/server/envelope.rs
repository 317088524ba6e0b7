//! The commands of a transaction: MAIL, RCPT, DATA and BDAT (RFC 5321 §3.3, RFC 3030).
//!
//! Order of checks: is it the command's time, is it readable, is it within the limits; then the relay
//! is asked. What is refused here leaves the transaction as it was, but for a chunk, which fails it.

use crate::content::ChunkSize;
use crate::parameter::{By, ByMode, Hold, MailParameters, ParameterError, RcptParameters};

use super::command::{self, PathError};
use super::conversation::Conversation;
use super::state::{Asked, Envelope, Phase, Refusal, Turn, Void};
use super::{DataKind, Question, Security, replies};

impl Conversation {
    /// Whatever MAIL is refused for, what comes behind it has no transaction and is no mistake of its own.
    pub(super) fn mail(&mut self, phase: Phase, arguments: &str) -> Turn {
        match phase {
            Phase::Idle | Phase::Refused => {}
            Phase::Envelope(_) => return self.error(phase, replies::NESTED_MAIL),
            Phase::Chunks(_) => return self.error(phase, replies::AFTER_BDAT),
        }
        let refused = Phase::Refused;
        self.in_vain = 0;
        if self.hello.is_none() {
            return self.error(refused, replies::HELLO_FIRST);
        }
        // RFC 4954 §6: before anything is said of the argument.
        if !self.is_authenticated {
            let reply = if self.may_authenticate() {
                replies::AUTH_REQUIRED
            } else {
                replies::TLS_FIRST
            };
            return self.error(refused, reply);
        }
        let (reverse_path, behind) = match command::mail_arguments(arguments) {
            Ok(found) => found,
            Err(PathError::Address) => return self.error(refused, replies::SENDER_SYNTAX),
            Err(PathError::Syntax) => return self.error(refused, replies::MAIL_SYNTAX),
        };
        let parsed = self
            .check_extended(behind)
            .and_then(|behind| self.check_held(behind))
            .and_then(MailParameters::parse);
        let parameters = match parsed {
            Ok(parameters) => parameters,
            Err(error) => return self.parameter_error(refused, error),
        };
        // RFC 8689 §2: what has come in clear already cannot be kept from it.
        if parameters.require_tls && self.security == Security::Plain {
            return self.error(refused, replies::REQUIRETLS_IN_CLEAR);
        }
        if !parameters.smtputf8 && !reverse_path.is_ascii() {
            return self.error(refused, replies::SENDER_NOT_ASCII);
        }
        if parameters
            .size
            .is_some_and(|size| size > self.settings.limits.content_octets_max)
        {
            if self.is_one_without_mail_too_many() {
                return self.close(replies::TOO_MANY_IDLE_COMMANDS);
            }
            return self.reply(refused, replies::TOO_LARGE);
        }
        if let Some(reply) = self.cannot_be_timed(&parameters) {
            return self.error(refused, reply);
        }
        let asked = Asked::Mail {
            smtputf8: parameters.smtputf8,
        };
        Turn::ask(
            asked,
            Question::Mail {
                reverse_path,
                parameters,
            },
        )
    }

    /// Why a message cannot be held for as long as its client wants, or be returned as soon.
    fn cannot_be_timed(&self, parameters: &MailParameters) -> Option<&'static str> {
        let limits = &self.settings.limits;
        let is_soon = |by: &By| {
            let least = limits.deliver_by_min.as_secs();
            by.mode == ByMode::Return && u64::try_from(by.seconds).is_ok_and(|time| time < least)
        };
        if parameters.by.as_ref().is_some_and(is_soon) {
            return Some(replies::BY_TOO_SOON);
        }
        let longest = limits.future_release_max;
        let is_late = match parameters.hold? {
            Hold::For(interval) => interval > longest,
            Hold::Until(time) => time > self.now.saturating_add(longest),
        };
        if is_late {
            return Some(replies::HELD_TOO_LONG);
        }
        let is_held_beyond = |by: By| {
            parameters
                .hold
                .is_some_and(|hold| hold.is_beyond(by, self.now))
        };
        parameters
            .by
            .is_some_and(is_held_beyond)
            .then_some(replies::HELD_TOO_LATE)
    }

    /// An address that cannot be one is a recipient that is refused, as one that the relay refuses; a command
    /// that is malformed is a mistake.
    pub(super) fn rcpt(&mut self, phase: Phase, arguments: &str) -> Turn {
        let envelope = match phase {
            Phase::Envelope(envelope) => envelope,
            Phase::Chunks(_) => return self.error(phase, replies::AFTER_BDAT),
            Phase::Idle | Phase::Refused => {
                let refusal = self.without_transaction(&phase);
                return self.refuse(phase, refusal);
            }
        };
        let refused = Phase::Envelope(envelope.with_recipient_refused());
        let (forward_path, behind) = match command::rcpt_arguments(arguments) {
            Ok(found) => found,
            Err(PathError::Address) => return self.in_vain(refused, replies::RECIPIENT_SYNTAX),
            Err(PathError::Syntax) => return self.error(refused, replies::RCPT_SYNTAX),
        };
        let parameters = match self.check_extended(behind).and_then(RcptParameters::parse) {
            Ok(parameters) => parameters,
            Err(error) => return self.parameter_error(refused, error),
        };
        // RFC 6533 §3: an ORCPT may have characters beyond ASCII as they are only with SMTPUTF8.
        let is_ascii = forward_path.is_ascii() && behind.is_ascii();
        if !envelope.smtputf8 && !is_ascii {
            return self.in_vain(refused, replies::RECIPIENT_NOT_ASCII);
        }
        // RFC 5321 §4.5.3.1.10: those accepted so far stay.
        if envelope.recipients >= self.settings.limits.recipients_max {
            return self.reply(phase, replies::TOO_MANY_RECIPIENTS);
        }
        Turn::ask(
            Asked::Recipient(envelope),
            Question::Recipient {
                forward_path,
                parameters,
            },
        )
    }

    pub(super) fn start_data(&mut self, phase: Phase, arguments: &str) -> Turn {
        if !arguments.is_empty() {
            return self.error(phase, replies::NO_ARGUMENTS);
        }
        match phase {
            Phase::Idle | Phase::Refused => {
                let refusal = self.without_transaction(&phase);
                self.refuse(phase, refusal)
            }
            // RFC 3030 §2: DATA and BDAT are not mixed.
            Phase::Chunks(_) => self.error(phase, replies::AFTER_BDAT),
            Phase::Envelope(envelope) => match lacks_recipients(envelope) {
                Some(refusal) => self.refuse(phase, refusal),
                None => Turn::ask(
                    Asked::Data,
                    Question::Data {
                        kind: DataKind::Data,
                    },
                ),
            },
        }
    }

    /// Whatever happens to a BDAT that can be read, its octets are taken (RFC 3030 §2).
    pub(super) fn bdat(&mut self, phase: Phase, arguments: &str) -> Turn {
        let Some(chunk) = ChunkSize::parse(arguments) else {
            // RFC 3030 §2: a refused BDAT fails the transaction, or the chunks behind it in the
            // pipeline would make a message that lacks this one.
            self.leave(&phase);
            return self.error(phase.refused(), replies::BDAT_SYNTAX);
        };
        // CHUNKING is for those who have said EHLO.
        if !self.is_extended() {
            let reply = Refusal::Error(replies::HELLO_FIRST);
            return self.start_skip(chunk.octets, reply, phase);
        }
        let octets_max = self.settings.limits.content_octets_max;
        match phase {
            Phase::Idle | Phase::Refused => {
                let refusal = self.without_transaction(&phase);
                self.start_skip(chunk.octets, refusal, phase)
            }
            Phase::Envelope(envelope) => {
                if let Some(refusal) = lacks_recipients(envelope) {
                    let phase = Phase::Envelope(Envelope {
                        lacks_chunk: true,
                        ..envelope
                    });
                    return self.start_skip(chunk.octets, refusal, phase);
                }
                if envelope.lacks_chunk {
                    self.leave(&phase);
                    let refusal = Refusal::Error(replies::CHUNK_LACKS);
                    return self.start_skip(chunk.octets, refusal, phase.refused());
                }
                if chunk.octets > octets_max {
                    self.void = Some(Void::Content(Some(replies::TOO_LARGE)));
                    return self.start_skip(
                        chunk.octets,
                        Refusal::Message(replies::TOO_LARGE),
                        Phase::Refused,
                    );
                }
                let asked = Asked::Chunk {
                    octets: chunk.octets,
                    is_last: chunk.is_last,
                };
                Turn::ask(
                    asked,
                    Question::Data {
                        kind: DataKind::Bdat,
                    },
                )
            }
            Phase::Chunks(transfer) => {
                if chunk.octets > octets_max.saturating_sub(transfer.octets) {
                    self.void = Some(Void::Content(Some(replies::TOO_LARGE)));
                    return self.start_skip(
                        chunk.octets,
                        Refusal::Message(replies::TOO_LARGE),
                        Phase::Refused,
                    );
                }
                self.start_chunk(transfer, chunk.octets, chunk.is_last)
                    .into()
            }
        }
    }

    /// Parameters are for those who have said EHLO (RFC 5321 §4.1.1.11).
    fn check_extended<'a>(&self, parameters: &'a str) -> Result<&'a str, ParameterError> {
        if self.is_extended() || parameters.trim_start_matches(' ').is_empty() {
            Ok(parameters)
        } else {
            Err(ParameterError::Unknown)
        }
    }

    /// FUTURERELEASE is off where nothing is held, and its parameters are unknown then, whatever they say (RFC 5321
    /// §4.1.1.11).
    fn check_held<'a>(&self, parameters: &'a str) -> Result<&'a str, ParameterError> {
        let is_off = self.settings.limits.future_release_max.is_zero();
        if is_off && Hold::is_in(parameters) {
            Err(ParameterError::Unknown)
        } else {
            Ok(parameters)
        }
    }

    fn parameter_error(&mut self, phase: Phase, error: ParameterError) -> Turn {
        self.error(
            phase,
            match error {
                ParameterError::Unknown => replies::PARAMETER_UNKNOWN,
                ParameterError::Malformed => replies::PARAMETER_SYNTAX,
            },
        )
    }
}

/// RFC 5321 §3.3: 503 if no recipient was tried, 554 if none was accepted.
fn lacks_recipients(envelope: Envelope) -> Option<Refusal> {
    match envelope {
        Envelope {
            recipients: 1.., ..
        } => None,
        Envelope {
            was_refused: true, ..
        } => Some(Refusal::InVain(replies::NO_RECIPIENT)),
        _ => Some(Refusal::Error(replies::RCPT_FIRST)),
    }
}
