//! What the tests of delivery share: hosts that follow a script, a network made of memory, messages.
//!
//! A [`Script`] is a host that takes everything unless it is told otherwise. It is written line by
//! line on purpose and not on the protocol core, so that it can break every rule, and it notes what
//! it was sent and in which pieces.

mod wire;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use outpost_smtp::{Body, Mailbox, ReversePath};
use tempfile::TempDir;
use tokio::io::duplex;

use wire::Wire;

use super::{Deliverer, Gate, GateMetrics, GateRules, Metrics, Network, OpenContent, Settings};
use crate::clock::Clock;
use crate::dns::{Resolver, Table};
use crate::message::{
    Attempt, Class, Delivery, DeliveryId, DeliveryState, Envelope, Message, MessageId, NextHop,
    Origin, Outcome, Priorities, Recipient, RemoteHost, Timestamp,
};
use crate::net::{Dialer, Stream};
use crate::spool::{Content, Pending, SpoolError};
use crate::tls;
use crate::tls::client::Connector;

/// When every attempt is made.
pub(super) const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

/// What a host does at a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// What it does otherwise.
    Usual,
    /// Says this, CRLF included, and goes on.
    Say(&'static str),
    /// Says this and closes.
    SayAndCut(&'static str),
    /// Closes without a word.
    Cut,
    /// Never answers.
    Hang,
    /// Says this after a while, and goes on.
    Late(Duration, &'static str),
    /// Says this, an octet each time, and never the end.
    Drip(&'static str, Duration),
    /// Asks for content and does not read it; at DATA only.
    StopReading,
    /// Closes after so many octets of content; at DATA only.
    CutInContent(usize),
    /// Says this after so many octets of content and closes; at DATA only.
    RefuseInContent(usize, &'static str),
}

/// The start of a command, how often it is met with an act, and the act.
type Cue = (&'static str, usize, Act);

/// A host that follows a script.
#[derive(Clone)]
pub(super) struct Script {
    extensions: Vec<&'static str>,
    /// The first that fits is done.
    acts: Arc<Mutex<Vec<Cue>>>,
    acceptor: Option<tls::Server>,
    is_implicit: bool,
    knows_bdat: bool,
    seen: Arc<Mutex<Seen>>,
}

/// What a host has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    open: usize,
    pub(super) most_at_once: usize,
    /// Commands, without those in clear before TLS told from those under it.
    pub(super) commands: Vec<String>,
    /// Whatever was read at once.
    pub(super) reads: Vec<String>,
    /// Contents that were ended, dots unstuffed.
    pub(super) contents: Vec<String>,
    /// Chunks of a content that was not ended.
    pub(super) chunks: Vec<String>,
    /// Handshakes that succeeded.
    pub(super) handshakes: usize,
}

/// All that a good host lists.
pub(super) const EVERYTHING: [&str; 6] = [
    "PIPELINING",
    "SIZE 10000000",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
];

impl Script {
    pub(super) fn new() -> Self {
        Self {
            extensions: EVERYTHING.to_vec(),
            acts: Arc::default(),
            acceptor: None,
            is_implicit: false,
            knows_bdat: true,
            seen: Arc::default(),
        }
    }

    /// Does this at each command that starts like that: `connect`, `RCPT TO:<x`, `.`, …
    pub(super) fn at(self, command: &'static str, act: Act) -> Self {
        self.times(usize::MAX, command, act)
    }

    /// Does this so many times.
    pub(super) fn times(self, times: usize, command: &'static str, act: Act) -> Self {
        self.acts.lock().unwrap().push((command, times, act));
        self
    }

    /// Lists this instead.
    pub(super) fn listing(mut self, extensions: &[&'static str]) -> Self {
        self.extensions = extensions.to_vec();
        self
    }

    /// Knows no BDAT: what stands behind it are commands.
    pub(super) fn without_bdat(mut self) -> Self {
        self.knows_bdat = false;
        self
    }

    /// Offers STARTTLS with this certificate.
    pub(super) fn with_tls(mut self, acceptor: &tls::Server) -> Self {
        self.extensions.push("STARTTLS");
        self.acceptor = Some(acceptor.clone());
        self
    }

    /// Starts with TLS.
    pub(super) fn with_implicit_tls(mut self, acceptor: &tls::Server) -> Self {
        self.acceptor = Some(acceptor.clone());
        self.is_implicit = true;
        self
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// The commands, each up to its first colon or blank: `EHLO MAIL RCPT DATA .`.
    pub(super) fn verbs(&self) -> String {
        let commands = self.seen().commands;
        let verbs = commands
            .iter()
            .map(|line| line.split([' ', ':']).next().unwrap());
        verbs.collect::<Vec<_>>().join(" ")
    }

    fn act(&self, command: &str) -> Option<Act> {
        let mut acts = self.acts.lock().unwrap();
        let found = acts
            .iter_mut()
            .find(|(start, times, _)| *times > 0 && command.starts_with(start));
        let (_, times, act) = found?;
        *times = times.saturating_sub(usize::from(*times != usize::MAX));
        let act = *act;
        (!matches!(act, Act::Usual)).then_some(act)
    }

    /// Serves one connection.
    async fn serve(self, stream: Box<dyn Stream>) {
        {
            let mut seen = self.seen.lock().unwrap();
            seen.connections += 1;
            seen.open += 1;
            seen.most_at_once = seen.most_at_once.max(seen.open);
            seen.chunks.clear();
        }
        let mut line = Wire {
            stream,
            buffer: Vec::new(),
            seen: Arc::clone(&self.seen),
        };
        // However the conversation ends, the test looks at what was seen.
        let _ = self.converse(&mut line).await;
        self.seen.lock().unwrap().open -= 1;
    }

    async fn converse(&self, wire: &mut Wire) -> io::Result<()> {
        if self.is_implicit {
            self.handshake(wire).await?;
        }
        self.answer(wire, "connect", "220 mx.example ESMTP\r\n")
            .await?;
        loop {
            let command = wire.line().await?;
            wire.seen.lock().unwrap().commands.push(command.clone());
            let verb = command.split([' ', ':']).next().unwrap_or_default();
            match verb {
                "EHLO" => {
                    let mut reply = String::from("250-mx.example\r\n");
                    for extension in &self.extensions {
                        reply.push_str(&format!("250-{extension}\r\n"));
                    }
                    reply.push_str("250 HELP\r\n");
                    self.answer(wire, &command, &reply).await?;
                }
                "DATA" => self.data(wire, &command).await?,
                "BDAT" if self.knows_bdat => self.chunk(wire, &command).await?,
                "QUIT" => {
                    self.answer(wire, &command, "221 2.0.0 Bye\r\n").await?;
                    return Ok(());
                }
                "STARTTLS" => {
                    if let Some(act) = self.act(&command) {
                        wire.act(act).await?;
                        continue;
                    }
                    wire.say("220 2.0.0 Go on\r\n").await?;
                    self.handshake(wire).await?;
                }
                "AUTH" => {
                    self.answer(wire, &command, "235 2.7.0 Welcome\r\n").await?;
                }
                "HELO" | "MAIL" | "RCPT" | "RSET" => {
                    self.answer(wire, &command, "250 2.0.0 Ok\r\n").await?;
                }
                _ => self.answer(wire, &command, "500 5.5.2 What?\r\n").await?,
            }
        }
    }

    async fn data(&self, wire: &mut Wire, command: &str) -> io::Result<()> {
        match self.act(command) {
            Some(Act::CutInContent(octets)) => {
                wire.say("354 Go on\r\n").await?;
                wire.content_up_to(octets).await?;
                return Err(io::ErrorKind::Other.into());
            }
            Some(Act::RefuseInContent(octets, reply)) => {
                wire.say("354 Go on\r\n").await?;
                wire.content_up_to(octets).await?;
                wire.say(reply).await?;
                return Err(io::ErrorKind::Other.into());
            }
            Some(act) => return wire.act(act).await,
            None => wire.say("354 Go on\r\n").await?,
        }
        let mut content = String::new();
        loop {
            let line = wire.line().await?;
            if line == "." {
                break;
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
            content.push_str("\r\n");
        }
        {
            let mut seen = wire.seen.lock().unwrap();
            seen.commands.push(".".to_owned());
            seen.contents.push(content);
        }
        self.answer(wire, ".", "250 2.0.0 Taken\r\n").await
    }

    async fn chunk(&self, wire: &mut Wire, command: &str) -> io::Result<()> {
        let mut words = command.split(' ').skip(1);
        let octets = words.next().unwrap().parse().unwrap();
        wire.content_up_to(octets).await?;
        let chunk: Vec<u8> = wire.buffer.drain(..octets).collect();
        {
            let mut seen = wire.seen.lock().unwrap();
            seen.chunks
                .push(String::from_utf8_lossy(&chunk).into_owned());
            if words.next().is_some() {
                let chunks = std::mem::take(&mut seen.chunks);
                seen.contents.push(chunks.concat());
            }
        }
        self.answer(wire, command, "250 2.0.0 Taken\r\n").await
    }

    async fn answer(&self, wire: &mut Wire, command: &str, usual: &str) -> io::Result<()> {
        match self.act(command) {
            Some(act) => wire.act(act).await,
            None => wire.say(usual).await,
        }
    }

    async fn handshake(&self, wire: &mut Wire) -> io::Result<()> {
        let server = self.acceptor.as_ref();
        let server = server.ok_or(io::ErrorKind::Unsupported)?;
        let stream = std::mem::replace(&mut wire.stream, Box::new(tokio::io::empty()));
        let stream = server.acceptor().accept(stream).await?;
        wire.stream = Box::new(stream);
        wire.seen.lock().unwrap().handshakes += 1;
        Ok(())
    }
}

/// A network and the names in it. An address without a host refuses connections; those in
/// 198.51.100.0/24 never answer.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) table: Table,
    hosts: HashMap<SocketAddr, Script>,
    pub(super) settings: Settings,
    roots: Vec<Vec<u8>>,
}

impl World {
    pub(super) fn new() -> Self {
        let settings = Settings {
            hostname: "relay.example".to_owned(),
            ..Settings::default()
        };
        Self {
            settings,
            ..Self::default()
        }
    }

    /// A world in which the mail of b.example is taken by this host.
    pub(super) fn of(script: &Script) -> Self {
        Self::new()
            .mx("b.example", 10, "mx.example", "192.0.2.1")
            .host("192.0.2.1:25", script)
    }

    pub(super) fn mx(mut self, domain: &str, preference: u16, host: &str, address: &str) -> Self {
        self.table = self.table.mx(domain, preference, host);
        self.table = self.table.address(host, address);
        self
    }

    pub(super) fn host(mut self, address: &str, script: &Script) -> Self {
        self.hosts.insert(address.parse().unwrap(), script.clone());
        self
    }

    pub(super) fn trusting(mut self, certificate: &Certificate) -> Self {
        self.roots.push(certificate.der.clone());
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(super) fn deliverer(self) -> Arc<Deliverer> {
        let hosts = self.hosts;
        let dialer = Dialer::memory(move |address| {
            let Some(script) = hosts.get(&address) else {
                let is_silent = address.ip().to_string().starts_with("198.51.100.");
                return Err(if is_silent {
                    io::ErrorKind::WouldBlock.into()
                } else {
                    io::ErrorKind::ConnectionRefused.into()
                });
            };
            let (ours, theirs) = duplex(64 * 1024);
            drop(tokio::spawn(script.clone().serve(Box::new(theirs))));
            Ok(Box::new(ours))
        });
        let network = Network {
            resolver: Resolver::from_table(self.table),
            dialer,
            tls: Connector::new(self.roots),
            random: || 7,
            clock: Clock::standing_at(NOW),
        };
        let gate = Gate::new(GateRules::default(), GateMetrics::default());
        Deliverer::new(self.settings, network, Metrics::unregistered(), gate)
    }
}

/// A certificate for `mx.example`, and the server side that shows it.
pub(super) struct Certificate {
    pub(super) server: tls::Server,
    der: Vec<u8>,
    _folder: TempDir,
}

impl Certificate {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = tls::Server::new(&tls::Settings::SelfSigned {
            hostname: "mx.example".to_owned(),
            folder: folder.path().to_owned(),
        });
        let der = der(&folder.path().join("self-signed-cert.pem"));
        Self {
            server: server.unwrap(),
            der,
            _folder: folder,
        }
    }
}

fn der(path: &Path) -> Vec<u8> {
    use base64::Engine as _;
    let pem = std::fs::read_to_string(path).unwrap();
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    base64::engine::general_purpose::STANDARD
        .decode(lines.collect::<String>())
        .unwrap()
}

/// A message on its way.
pub(super) struct Mail {
    pub(super) message: Message,
    pub(super) delivery: Delivery,
    pub(super) content: String,
    /// Octets of each piece in which it is read.
    pub(super) piece: usize,
}

pub(super) const CONTENT: &str = "Subject: Hello\r\n\r\n.One line with a dot.\r\n";

impl Mail {
    /// To these recipients at b.example, by MX.
    pub(super) fn to(recipients: &[&str]) -> Self {
        Self::by(NextHop::Domain("b.example".into()), recipients)
    }

    pub(super) fn by(next_hop: NextHop, recipients: &[&str]) -> Self {
        let id = MessageId::new(Timestamp::from_unix_milliseconds(1_700_000_000_000), 7);
        let all = recipients.iter().map(|address| Recipient {
            mailbox: mailbox(address),
            notify: None,
            orcpt: None,
        });
        let message = Message {
            id,
            origin: Origin::Relay {
                list: "default".to_owned(),
                about: None,
            },
            envelope: Envelope {
                reverse_path: ReversePath::Mailbox(mailbox("me@a.example")),
                recipients: all.collect(),
                body: Body::SevenBit,
                smtputf8: false,
                ret: None,
                envid: None,
                mt_priority: None,
                deliver_by: None,
                hold: None,
                require_tls: false,
            },
            class: Class::Normal,
            priorities: Priorities {
                user: Class::Normal,
                message: None,
            },
            accepted: Timestamp::EPOCH,
            deliver_until: None,
            scheduled: None,
            content_octets: CONTENT.len() as u64,
            eight_bit: false,
            subject: "Hello".to_owned(),
            campaign: None,
        };
        let delivery = Delivery {
            id: DeliveryId {
                message: id,
                number: 0,
            },
            next_hop,
            recipients: (0..recipients.len() as u32).collect(),
            attempts: 0,
            due: Timestamp::EPOCH,
            sequence: 0,
            state: DeliveryState::Waiting,
            delay_reported: false,
            lateness_reported: false,
            moved_from: None,
            changed: None,
            last_reply: String::new(),
        };
        Self {
            message,
            delivery,
            content: CONTENT.to_owned(),
            piece: 64 * 1024,
        }
    }

    pub(super) fn with_content(mut self, content: String, piece: usize) -> Self {
        self.message.content_octets = content.len() as u64;
        self.content = content;
        self.piece = piece;
        self
    }

    /// One attempt.
    pub(super) async fn deliver(&self, deliverer: &Deliverer) -> Attempt {
        let open = || -> Pending<'static, Box<dyn Content>> {
            let octets = self.content.as_bytes();
            let pieces = octets.chunks(self.piece).map(Bytes::copy_from_slice);
            let pieces: Vec<Bytes> = pieces.rev().collect();
            Box::pin(async { Ok(Box::new(Pieces(pieces)) as Box<dyn Content>) })
        };
        let open: &OpenContent<'_> = &open;
        deliverer.deliver(&self.message, &self.delivery, open).await
    }
}

/// A content in memory, its last piece first.
pub(super) struct Pieces(pub(super) Vec<Bytes>);

impl Content for Pieces {
    fn next(&mut self) -> Pending<'_, Option<Bytes>> {
        let piece = self.0.pop();
        Box::pin(async move { Ok::<_, SpoolError>(piece) })
    }
}

pub(super) fn mailbox(address: &str) -> Mailbox {
    Mailbox::parse(address, true).unwrap()
}

/// The host that decided last.
pub(super) fn last_host(attempt: &Attempt) -> Option<RemoteHost> {
    attempt.visits.last()?.host.clone()
}

/// `delivered 250 2.0.0`, one per recipient; `local` when the host did not say it.
pub(super) fn brief(attempt: &Attempt) -> Vec<String> {
    let outcomes = attempt.outcomes().into_iter().map(|(outcome, _)| {
        let kind = match outcome.outcome {
            Outcome::Delivered(_) => "delivered",
            Outcome::Deferred(_) => "deferred",
            Outcome::Bounced(_) => "bounced",
        };
        let reply = outcome.outcome.reply();
        let enhanced = reply
            .enhanced
            .map_or_else(|| "-".to_owned(), |status| status.to_string());
        let whose = if outcome.remote { "" } else { " local" };
        format!("{kind} {} {enhanced}{whose}", reply.code)
    });
    outcomes.collect()
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
