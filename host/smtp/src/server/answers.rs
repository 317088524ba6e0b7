//! How a session goes on after the relay has decided.
//!
//! An answer whose reply does not fit it (a refusal with a 2yz code) is never passed on: the client
//! must not believe that a message was taken which was not.

use super::conversation::Conversation;
use super::state::{Asked, Envelope, Phase, Refusal, State, Transfer, Turn};
use super::{Answer, replies};
use crate::reply::Reply;

impl Conversation {
    /// Goes on from the question that was asked.
    pub(super) fn answer(&mut self, asked: Asked, answer: Answer) -> State {
        match answer {
            Answer::Accept => self.accepted(asked, None),
            Answer::AcceptWith(reply) if reply.is_positive() => self.accepted(asked, Some(reply)),
            // RFC 5321 §3.8: 421 says that the connection is closing.
            Answer::Close(reply) | Answer::Refuse(reply) | Answer::AcceptWith(reply)
                if reply.code == 421 =>
            {
                self.close_with(&reply)
            }
            Answer::Close(reply) => self.close_with(&reply),
            Answer::Refuse(reply) | Answer::AcceptWith(reply) => {
                self.refused(asked, fitting(reply))
            }
        }
    }

    /// The driver went on without an answer.
    pub(super) fn unanswered(&mut self, asked: Asked) -> Turn {
        self.refused(asked, try_later()).into()
    }

    fn accepted(&mut self, asked: Asked, reply: Option<Reply>) -> State {
        let (usual, state) = match asked {
            Asked::Authenticate => {
                self.is_authenticated = true;
                (replies::AUTH_OK, State::Command(Phase::Idle))
            }
            Asked::Mail { smtputf8 } => {
                let envelope = Envelope {
                    recipients: 0,
                    was_refused: false,
                    lacks_chunk: false,
                    smtputf8,
                };
                (
                    replies::SENDER_OK,
                    State::Command(Phase::Envelope(envelope)),
                )
            }
            Asked::Recipient(envelope) => {
                let recipients = envelope.recipients.saturating_add(1);
                let envelope = Envelope {
                    recipients,
                    ..envelope
                };
                (
                    replies::RECIPIENT_OK,
                    State::Command(Phase::Envelope(envelope)),
                )
            }
            Asked::EndOfContent(_) => {
                self.errors = 0;
                self.commands_without_mail = 0;
                (replies::MESSAGE_OK, State::Command(Phase::Idle))
            }
            // Here the replies are fixed: 354, or none before the chunk has come.
            Asked::Data => {
                self.say(replies::START_CONTENT);
                return self.start_content();
            }
            Asked::Chunk { octets, is_last } => {
                let transfer = Transfer::new(&self.settings.limits);
                return self.start_chunk(transfer, octets, is_last);
            }
        };
        match reply {
            Some(reply) => reply.write_to(&mut self.output),
            None => self.say(usual),
        }
        state
    }

    fn refused(&mut self, asked: Asked, reply: Reply) -> State {
        let phase = match asked {
            Asked::Authenticate => {
                // A transient failure is ours, not a wrong guess.
                self.auth_failures += u32::from(reply.is_permanent());
                Phase::Idle
            }
            Asked::Recipient(envelope) => Phase::Envelope(envelope.with_recipient_refused()),
            Asked::Chunk { octets, .. } => {
                return self
                    .start_skip(octets, Refusal::Decided(reply), Phase::Refused)
                    .state;
            }
            Asked::Mail { .. } => {
                if self.is_one_without_mail_too_many() {
                    return self.close(replies::TOO_MANY_IDLE_COMMANDS).state;
                }
                Phase::Refused
            }
            Asked::Data | Asked::EndOfContent(_) => Phase::Idle,
        };
        reply.write_to(&mut self.output);
        State::Command(phase)
    }

    fn close_with(&mut self, reply: &Reply) -> State {
        self.is_cut_off = true;
        reply.write_to(&mut self.output);
        State::Closing
    }
}

/// A refusal says so in its code.
fn fitting(reply: Reply) -> Reply {
    if reply.is_transient() || reply.is_permanent() {
        reply
    } else {
        try_later()
    }
}

fn try_later() -> Reply {
    Reply::new(451, (4, 3, 0), "Try again later")
}
