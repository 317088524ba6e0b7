//! From the greeting to a session that is ready: EHLO, STARTTLS, AUTH.
//!
//! RFC 5321 §3.2 for EHLO and HELO, RFC 3207 §4 for STARTTLS, RFC 4954 §4 for AUTH. A password leaves
//! under TLS, or in clear if TLS was ruled out by [`Tls::Never`]; never because somebody has cut
//! STARTTLS from the peer's list.

use std::collections::VecDeque;

use crate::auth::{Mechanism, encode, wipe};
use crate::reply::Reply;

use super::{Closed, Extensions, Session, State, Tls};

/// Longest AUTH command that carries the initial response, CRLF counted; a longer one is sent on its
/// own line (RFC 4954 §4, RFC 5321 §4.5.3.1.4).
const COMMAND_OCTETS_MAX: usize = 512;

impl Session {
    pub(super) fn say_hello(&mut self) -> State {
        self.output
            .extend_from_slice(format!("EHLO {}\r\n", self.settings.ehlo).as_bytes());
        State::Hello { refusal: None }
    }

    pub(super) fn hello_replied(&mut self, is_extended: bool, reply: Reply) -> State {
        if reply.is_positive() {
            if is_extended {
                self.extensions = Extensions::parse(&reply.text);
                self.extensions.chunking &= self.settings.chunking;
                // RFC 8689 §2: what is said in clear anybody may have written.
                self.extensions.require_tls &= self.is_tls;
            }
            return self.secure();
        }
        // RFC 5321 §3.2: who does not know EHLO is greeted with HELO.
        if is_extended && reply.is_permanent() {
            self.output
                .extend_from_slice(format!("HELO {}\r\n", self.settings.ehlo).as_bytes());
            return State::Hello {
                refusal: Some(reply),
            };
        }
        self.leave(Closed::Hello(reply))
    }

    /// Starts TLS if it is wanted, or goes on to log in.
    fn secure(&mut self) -> State {
        let is_wanted =
            matches!(self.settings.tls, Tls::WhenOffered | Tls::Required) && !self.is_tls;
        if is_wanted && self.extensions.starttls {
            self.send("STARTTLS");
            return State::StartTls;
        }
        // A password that goes out in clear because somebody has cut STARTTLS from the list is lost.
        let is_needed = self.settings.tls == Tls::Required || self.settings.credentials.is_some();
        if is_wanted && is_needed {
            return self.leave(Closed::TlsMissing);
        }
        self.log_in()
    }

    pub(super) fn starttls_replied(&mut self, reply: Reply) -> State {
        if reply.code == 220 {
            // What stands behind the 220 in clear was put there by somebody else.
            if !self.input.is_empty() {
                return State::Closed(Closed::Protocol(
                    "octets between STARTTLS and the handshake",
                ));
            }
            return State::Handshake;
        }
        if self.settings.tls == Tls::Required {
            return self.leave(Closed::TlsRefused(reply));
        }
        self.extensions.starttls = false;
        self.tls_refusal = Some(reply);
        self.secure()
    }

    fn log_in(&mut self) -> State {
        let Some(credentials) = &self.settings.credentials else {
            return State::Ready;
        };
        let mut responses = VecDeque::new();
        let mut mechanism = Mechanism::Plain;
        let mut command = if self.extensions.auth.contains(&Mechanism::Plain) {
            let mut response = credentials.encode_plain();
            let command = format!("AUTH PLAIN {response}\r\n");
            if command.len() > COMMAND_OCTETS_MAX {
                responses.push_back(response);
                "AUTH PLAIN\r\n".to_owned()
            } else {
                wipe(&mut response);
                command
            }
        } else if self.extensions.auth.contains(&Mechanism::Login) {
            mechanism = Mechanism::Login;
            responses.push_back(encode(&credentials.name));
            responses.push_back(encode(&credentials.password));
            "AUTH LOGIN\r\n".to_owned()
        } else {
            return self.leave(Closed::AuthMissing);
        };
        self.output.extend_from_slice(command.as_bytes());
        wipe(&mut command);
        State::Auth(mechanism, responses)
    }

    pub(super) fn auth_replied(
        &mut self,
        mechanism: Mechanism,
        mut responses: VecDeque<String>,
        reply: Reply,
    ) -> State {
        if reply.code == 235 {
            return State::Ready;
        }
        if reply.code == 334
            && let Some(mut response) = responses.pop_front()
        {
            self.send(&response);
            wipe(&mut response);
            return State::Auth(mechanism, responses);
        }
        // RFC 4954 §4: 504 says that it does not take this mechanism, whatever it lists, and nothing of the login.
        if reply.code == 504 {
            self.extensions.auth.retain(|listed| *listed != mechanism);
            if !self.extensions.auth.is_empty() {
                return self.log_in();
            }
        }
        if reply.is_transient() || reply.is_permanent() {
            return self.leave(Closed::AuthRefused(reply));
        }
        State::Closed(Closed::Protocol("unexpected reply to AUTH"))
    }
}
