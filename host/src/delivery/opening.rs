//! Opening a connection: from an address to a session that is ready for messages.
//!
//! Decides about TLS as the policy of the next hop says. Opportunistic means: with TLS if that works,
//! otherwise in clear over a new connection; but no password goes out in clear because somebody
//! stood between us and the host, and nothing that must be protected ever falls back. A message may ask for more than
//! the policy does (RFC 8689).

use std::io;
use std::time::Duration;

use outpost_smtp::client::{self, Closed, Session, Tls};
use outpost_smtp::{Credentials, Reply, ReversePath};

use super::Network;
use super::connection::{Connection, Turn};
use super::hosts::Target;
use super::minutes::{Overheard, loss};
use super::settings::{Settings, Smarthost, TlsPolicy};
use crate::message::{Message, Outcome, RemoteHost};
use crate::tls::client::{HandshakeError, Trust};

/// The port on which TLS comes first (RFC 8314 §3.3).
const IMPLICIT_TLS_PORT: u16 = 465;

/// Why a host does not take the mail, and what becomes of it if no other one does.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    /// The reply came from the host.
    pub(super) is_remote: bool,
    /// The host, if it was reached.
    pub(super) host: Option<RemoteHost>,
}

impl Failure {
    /// One that no host has a part in.
    pub(super) fn of_ours(outcome: Outcome) -> Self {
        Self {
            outcome,
            is_remote: false,
            host: None,
        }
    }

    /// Whether the host may take the mail later.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self.outcome, Outcome::Deferred(_))
    }
}

/// What is known before a connection is opened.
pub(super) struct Opening<'a> {
    pub(super) network: &'a Network,
    pub(super) settings: &'a Settings,
    pub(super) smarthost: &'a Smarthost,
    pub(super) target: &'a Target,
    /// Whether content may go in chunks.
    pub(super) chunking: bool,
    /// What the message asks for.
    pub(super) protection: Protection,
}

/// How a message wants to be protected on its way (RFC 8689), whatever the policy of the next hop says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// It leaves that to the policy.
    AsConfigured,
    /// By TLS with a host that has shown who it is, where that comes about: a report about one that requires it, which
    /// is not to be lost for that (§5).
    Wanted,
    /// So, or not at all.
    Required,
}

impl Protection {
    /// What a message asks for.
    pub(super) fn of(message: &Message) -> Self {
        match (&message.envelope.reverse_path, message.envelope.require_tls) {
            (_, false) => Self::AsConfigured,
            (ReversePath::Null, true) => Self::Wanted,
            (ReversePath::Mailbox(_), true) => Self::Required,
        }
    }

    /// Whether a connection will do for it, as long as there may be a better one.
    pub(super) fn is_met_by(self, connection: &Connection) -> bool {
        self == Self::AsConfigured || connection.is_verified()
    }
}

/// How a try to open a connection failed.
enum Refusal {
    /// TLS did not come about. In clear it may work.
    Handshake(HandshakeError),
    /// The host lists STARTTLS and breaks off when it is asked to start. In clear it may work.
    StartTls(Failure),
    /// TLS is not offered, and a password waits to be sent.
    TlsMissing,
    /// Anything else.
    Final(Failure),
}

impl Opening<'_> {
    /// Opens a connection. What was said over one that came to nothing is added to `overheard`.
    ///
    /// # Errors
    /// [`Failure`], when the host cannot be reached or does not let us in.
    pub(super) async fn connect(
        &self,
        overheard: &mut Vec<Overheard>,
    ) -> Result<Connection, Failure> {
        if self.protection != Protection::AsConfigured {
            let opened = self.connect_verified(overheard).await;
            match (opened, self.protection) {
                (Ok(connection), _) => return Ok(connection),
                (Err(Refusal::Final(failure)), _) => return Err(failure),
                (Err(refusal), Protection::Required) => return Err(self.undeliverable(refusal)),
                (Err(_), _) => {}
            }
        }
        let refusal = match self.attempt(self.tls(), self.trust(), overheard).await {
            Ok(connection) => return Ok(connection),
            Err(Refusal::Final(failure)) => return Err(failure),
            Err(refusal) => refusal,
        };
        if !self.may_fall_back() {
            return Err(self.unprotected(refusal));
        }
        let host = &self.target.name;
        let tls_failure = match &refusal {
            Refusal::Handshake(error) => {
                tracing::debug!(host, %error, "no TLS with this host: the mail goes in clear");
                handshake_failed(host)
            }
            Refusal::StartTls(failure) | Refusal::Final(failure) => {
                let reply = failure.outcome.reply();
                tracing::debug!(host, %reply, "no TLS with this host: the mail goes in clear");
                format!("{host} does not start TLS ({reply})")
            }
            Refusal::TlsMissing => tls_missing(host),
        };
        let opened = self.attempt(Tls::Never, self.trust(), overheard).await;
        let mut connection = opened.map_err(|refusal| self.unprotected(refusal))?;
        connection.fell_back(tls_failure);
        Ok(connection)
    }

    /// Opens a connection under TLS to a host that shows who it is.
    async fn connect_verified(
        &self,
        overheard: &mut Vec<Overheard>,
    ) -> Result<Connection, Refusal> {
        let tls = match self.tls() {
            Tls::Never => return Err(Refusal::TlsMissing),
            Tls::Already => Tls::Already,
            Tls::WhenOffered | Tls::Required => Tls::Required,
        };
        self.attempt(tls, Trust::Verified, overheard).await
    }

    fn trust(&self) -> Trust {
        match self.smarthost.tls {
            TlsPolicy::Required => Trust::Verified,
            TlsPolicy::Opportunistic | TlsPolicy::None => Trust::Anybody,
        }
    }

    fn tls(&self) -> Tls {
        let is_implicit = self.target.address.port() == IMPLICIT_TLS_PORT;
        match self.smarthost.tls {
            TlsPolicy::None => Tls::Never,
            _ if is_implicit => Tls::Already,
            TlsPolicy::Opportunistic => Tls::WhenOffered,
            TlsPolicy::Required => Tls::Required,
        }
    }

    /// Whether clear text will do. With a password only where nobody can listen.
    fn may_fall_back(&self) -> bool {
        let is_private =
            self.smarthost.login.is_none() || self.target.address.ip().to_canonical().is_loopback();
        self.tls() == Tls::WhenOffered && is_private
    }

    async fn attempt(
        &self,
        tls: Tls,
        trust: Trust,
        overheard: &mut Vec<Overheard>,
    ) -> Result<Connection, Refusal> {
        let target = self.target;
        let within = self.settings.connect_time_max;
        let opened = self.network.dialer.connect(target.address, within).await;
        let stream = opened.map_err(|error| Refusal::Final(self.unreachable(&error)))?;
        let login = self.smarthost.login.as_ref();
        let session = Session::new(client::Settings {
            ehlo: self.settings.hostname.clone(),
            timeouts: self.settings.timeouts.clone(),
            tls,
            credentials: login.map(|login| Credentials::new(&login.user, &login.password)),
            chunking: self.chunking,
        });
        let piece_time_max = self.settings.timeouts.content_block;
        let mut connection = Connection::new(stream, session, self.host(), piece_time_max);
        match self.open(&mut connection, tls, trust).await {
            Ok(()) => Ok(connection),
            Err(refusal) => {
                overheard.extend(connection.overheard());
                Err(refusal)
            }
        }
    }

    /// Leads the conversation up to where it is ready for messages.
    async fn open(
        &self,
        connection: &mut Connection,
        tls: Tls,
        trust: Trust,
    ) -> Result<(), Refusal> {
        if tls == Tls::Already {
            self.handshake(connection, trust).await?;
        }
        loop {
            match connection.advance().await {
                Ok(Turn::Ready) => {
                    connection.note_extensions();
                    return Ok(());
                }
                Ok(Turn::StartTls) => self.handshake(connection, trust).await?,
                Ok(Turn::Closed(Closed::TlsMissing)) => return Err(Refusal::TlsMissing),
                Ok(Turn::Closed(closed)) => {
                    return Err(self.refusal(tls, connection, self.closed(closed)));
                }
                Ok(Turn::Content | Turn::Done(_)) => {
                    let closed = Closed::Protocol("before a transaction");
                    return Err(Refusal::Final(self.closed(closed)));
                }
                // In TLS 1.3 a host can refuse a handshake after it is done for us.
                Err(error)
                    if connection.host().tls.is_some()
                        && !connection.has_greeted()
                        && connection.ehlo_refusal().is_none() =>
                {
                    connection.note(loss(&error));
                    return Err(Refusal::Handshake(HandshakeError::Failed(error)));
                }
                Err(error) => {
                    // Who breaks off at HELO may have said why to EHLO.
                    let failure = match connection.ehlo_refusal() {
                        Some(reply) => self.closed(Closed::Hello(reply)),
                        None => self.lost(&error),
                    };
                    connection.note(loss(&error));
                    return Err(self.refusal(tls, connection, failure));
                }
            }
        }
    }

    /// Tells a host that broke off at STARTTLS from one that did so anywhere else.
    fn refusal(&self, tls: Tls, connection: &Connection, failure: Failure) -> Refusal {
        if tls != Tls::Never && connection.is_starting_tls() {
            Refusal::StartTls(failure)
        } else {
            Refusal::Final(failure)
        }
    }

    async fn handshake(&self, connection: &mut Connection, trust: Trust) -> Result<(), Refusal> {
        let name = self.target.certificate_name();
        let within: Duration = self.settings.timeouts.tls_handshake;
        let stream = connection.take_stream();
        let handshake = self.network.tls.handshake(stream, &name, trust, within);
        let (stream, parameters) = match handshake.await {
            Ok(shaken) => shaken,
            Err(error) => {
                connection.note(match error {
                    HandshakeError::NotTrusted(_) => "[TLS: the certificate cannot be trusted]",
                    HandshakeError::Failed(_) => "[TLS: the handshake failed]",
                });
                return Err(Refusal::Handshake(error));
            }
        };
        connection.tls_started(Box::new(stream), parameters, trust);
        Ok(())
    }

    fn host(&self) -> RemoteHost {
        self.target.host()
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let name = &self.target;
        let text = match error.kind() {
            io::ErrorKind::TimedOut => format!("{name} does not answer"),
            io::ErrorKind::ConnectionRefused => format!("{name} refuses connections"),
            _ => format!("{name} cannot be reached"),
        };
        tracing::debug!(host = %name, %error, "no connection");
        Failure {
            outcome: Outcome::Deferred(Reply::new(451, (4, 4, 1), text)),
            is_remote: false,
            host: None,
        }
    }

    fn lost(&self, error: &io::Error) -> Failure {
        lost(&self.host(), error)
    }

    fn closed(&self, closed: Closed) -> Failure {
        closed_by(&self.host(), closed)
    }

    /// What becomes of a message that requires TLS and cannot have it at this host (RFC 8689 §4.2.1). What may be
    /// otherwise in a moment makes it wait; what the host is like, or the route, has it returned.
    fn undeliverable(&self, refusal: Refusal) -> Failure {
        let name = &self.target.name;
        let text = match &refusal {
            _ if self.smarthost.tls == TlsPolicy::None => {
                format!("Encryption needed, and the route to {name} allows none")
            }
            Refusal::TlsMissing => format!("Encryption needed: {}", tls_missing(name)),
            Refusal::Handshake(HandshakeError::NotTrusted(error)) => {
                tracing::warn!(host = %self.target, error, "no protected connection");
                format!("Encryption needed: {}", not_trusted(name))
            }
            Refusal::StartTls(failure) if failure.outcome.reply().is_permanent() => {
                let reply = failure.outcome.reply();
                format!("Encryption needed, and {name} does not start TLS ({reply})")
            }
            _ => return self.unprotected(refusal),
        };
        Failure {
            outcome: Outcome::Bounced(Reply::new(550, (5, 7, 10), text)),
            is_remote: false,
            host: Some(self.host()),
        }
    }

    /// What becomes of the mail when clear text will not do, or did not help.
    fn unprotected(&self, refusal: Refusal) -> Failure {
        let name = &self.target.name;
        let (enhanced, text) = match refusal {
            Refusal::StartTls(failure) | Refusal::Final(failure) => return failure,
            Refusal::TlsMissing => ((4, 7, 4), tls_missing(name)),
            Refusal::Handshake(error) => {
                tracing::warn!(host = %self.target, %error, "no protected connection");
                let text = match error {
                    HandshakeError::NotTrusted(_) => not_trusted(name),
                    HandshakeError::Failed(_) => handshake_failed(name),
                };
                ((4, 7, 5), text)
            }
        };
        Failure {
            outcome: Outcome::Deferred(Reply::new(451, enhanced, text)),
            is_remote: false,
            host: Some(self.host()),
        }
    }
}

fn tls_missing(name: &str) -> String {
    format!("{name} does not offer the TLS that is needed")
}

fn not_trusted(name: &str) -> String {
    format!("the certificate of {name} cannot be trusted")
}

fn handshake_failed(name: &str) -> String {
    format!("the TLS handshake with {name} failed")
}

/// The network broke in the middle of a conversation.
pub(super) fn lost(host: &RemoteHost, error: &io::Error) -> Failure {
    let name = &host.name;
    let text = match error.kind() {
        io::ErrorKind::TimedOut => format!("{name} did not answer in time"),
        _ => format!("the connection to {name} was lost"),
    };
    tracing::debug!(host = name, %error, "a connection was lost");
    Failure {
        outcome: Outcome::Deferred(Reply::new(451, (4, 4, 2), text)),
        is_remote: false,
        host: Some(host.clone()),
    }
}

/// The conversation ended before the message was decided over. A host that lets nobody in says
/// nothing of a message, so this is no reason to bounce it; but for 521, which says that there
/// will never be a mail service (RFC 7504 §4).
pub(super) fn closed_by(host: &RemoteHost, closed: Closed) -> Failure {
    let name = &host.name;
    let ours = |enhanced: (u8, u16, u16), text: String| {
        (Outcome::Deferred(Reply::new(451, enhanced, text)), false)
    };
    let (outcome, is_remote) = match closed {
        Closed::Greeting(reply) if reply.code == 521 => (Outcome::Bounced(reply), true),
        Closed::Greeting(reply)
        | Closed::Hello(reply)
        | Closed::TlsRefused(reply)
        | Closed::AuthRefused(reply)
        | Closed::ChunkingUnknown(reply)
        | Closed::Peer(reply)
            if reply.is_transient() || reply.is_permanent() =>
        {
            (Outcome::Deferred(reply), true)
        }
        // A yes or a question is no refusal, and would read like success in the trail and in a report.
        Closed::Greeting(reply)
        | Closed::Hello(reply)
        | Closed::TlsRefused(reply)
        | Closed::AuthRefused(reply)
        | Closed::ChunkingUnknown(reply)
        | Closed::Peer(reply) => ours(
            (4, 5, 0),
            format!(
                "{name} does not speak SMTP: it said {} out of place",
                reply.code
            ),
        ),
        Closed::TlsMissing => ours((4, 7, 4), tls_missing(name)),
        Closed::AuthMissing => ours((4, 7, 0), format!("{name} offers no login that we know")),
        Closed::Protocol(what) => ours((4, 5, 0), format!("{name} does not speak SMTP: {what}")),
        Closed::Quit | Closed::Unbegun | Closed::BadContent => ours(
            (4, 4, 2),
            format!("the conversation with {name} ended early"),
        ),
    };
    Failure {
        outcome,
        is_remote,
        host: Some(host.clone()),
    }
}

#[cfg(test)]
mod tests;
