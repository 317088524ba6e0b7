//! The AUTH exchange (RFC 4954 §4; RFC 4616 for PLAIN).
//!
//! Reads what the client sends and asks the relay. Lines that held a secret are overwritten in the
//! input once they are read.

use crate::auth::{Credentials, Mechanism, decode};

use super::conversation::Conversation;
use super::input::Line;
use super::state::{Asked, Exchange, Phase, State, Turn};
use super::{Question, replies};

impl Conversation {
    /// AUTH. A second one is refused, and with it one inside a transaction (RFC 4954 §4): without a
    /// login there is no transaction.
    pub(super) fn auth(&mut self, phase: Phase, arguments: &str) -> Turn {
        let refusal = if !self.may_authenticate() {
            replies::AUTH_NEEDS_TLS
        } else if self.is_authenticated {
            replies::AUTH_ALREADY
        } else if !self.is_extended() {
            replies::HELLO_FIRST
        } else if self.auth_failures >= self.settings.limits.auth_failures_max {
            return self.close(replies::TOO_MANY_LOGINS);
        } else {
            return self.start_exchange(arguments);
        };
        self.error(phase, refusal)
    }

    fn start_exchange(&mut self, arguments: &str) -> Turn {
        let mut words = arguments.split(' ').filter(|word| !word.is_empty());
        let (name, initial_response) = match (words.next(), words.next(), words.next()) {
            (Some(name), initial_response, None) => (name, initial_response),
            _ => return self.error(Phase::Idle, replies::AUTH_SYNTAX),
        };
        let Some(mechanism) = Mechanism::parse(name) else {
            return self.error(Phase::Idle, replies::AUTH_UNKNOWN);
        };
        let (exchange, challenge) = match mechanism {
            Mechanism::Plain => (Exchange::Plain, replies::CHALLENGE_EMPTY),
            Mechanism::Login => (Exchange::LoginName, replies::CHALLENGE_NAME),
        };
        match initial_response {
            None => self.challenge(exchange, challenge),
            // RFC 4954 §4: "=" is the empty initial response.
            Some("=") => self.decoded(exchange, String::new()),
            Some(response) => match decode(response) {
                Some(response) => self.decoded(exchange, response),
                None => self.error(Phase::Idle, replies::AUTH_MALFORMED),
            },
        }
    }

    /// Takes one line of an exchange.
    pub(super) fn response(&mut self, exchange: Exchange, line: Line<'_>) -> Turn {
        self.wait += 1;
        let octets = match line {
            Line::Octets(octets) => octets,
            Line::BareLf(_) => return self.error(Phase::Idle, replies::AUTH_MALFORMED),
            Line::TooLong(_) => {
                return self.error(Phase::Idle, replies::AUTH_LINE_TOO_LONG);
            }
        };
        if octets == b"*" {
            return self.error(Phase::Idle, replies::AUTH_CANCELLED);
        }
        match std::str::from_utf8(octets).ok().and_then(decode) {
            Some(response) => self.decoded(exchange, response),
            None => self.error(Phase::Idle, replies::AUTH_MALFORMED),
        }
    }

    fn decoded(&mut self, exchange: Exchange, response: String) -> Turn {
        let (mechanism, credentials) = match exchange {
            Exchange::Plain => (Mechanism::Plain, Credentials::parse_plain(response)),
            Exchange::LoginName if response.contains('\0') => (Mechanism::Login, None),
            Exchange::LoginName => {
                let exchange = Exchange::LoginPassword(response);
                return self.challenge(exchange, replies::CHALLENGE_PASSWORD);
            }
            Exchange::LoginPassword(name) => {
                (Mechanism::Login, Credentials::parse_login(name, response))
            }
        };
        match credentials {
            Some(credentials) => Turn::ask(
                Asked::Authenticate,
                Question::Authenticate {
                    mechanism,
                    credentials,
                },
            ),
            None => self.error(Phase::Idle, replies::AUTH_MALFORMED),
        }
    }

    fn challenge(&mut self, exchange: Exchange, challenge: &'static str) -> Turn {
        self.say(challenge);
        State::Auth(exchange).into()
    }
}
