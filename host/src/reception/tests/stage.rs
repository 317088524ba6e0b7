//! A reception for tests, and the client's end of a connection to it.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use outpost_smtp::server::{self, Security, Session};
use outpost_smtp::{Limits, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::account::{Items, UserDraft, UserPatch};
use crate::auth::{self, Authenticator, Parameters};
use crate::clock::Clock;
use crate::directory::{Directory, MemoryRows};
use crate::message::{Routes, Timestamp};
use crate::plugin::{self, Plugins};
use crate::reception::acceptor::Ending;
use crate::reception::connection::{Client, Connection};
use crate::reception::{
    Connections, Metrics, NotificationSettings, Notifier, Reception, Settings, Shares, Spared,
    Tally,
};
use crate::spool::{self, Memory, OwnMailer, PageRequest, Selection, Spool};
use crate::telemetry::Registry;
use crate::tls;

pub(super) const PASSWORD: &str = "correct horse";

/// A reception with one user, `ann`, who may send as anybody at a.example.
pub(super) struct Stage {
    pub(super) reception: Arc<Reception>,
    pub(super) spool: Arc<Memory>,
    pub(super) ending: watch::Sender<Ending>,
    /// Where the directory is kept.
    pub(super) rows: MemoryRows,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn new() -> Stage {
        Self::with(spool::Settings::default()).await
    }

    pub(super) async fn with(spool: spool::Settings) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::standing_at(Timestamp::from_unix_milliseconds(1_700_000_000_000));
        let mut registry = Registry::default();
        let rows = MemoryRows::default();
        let directory = Directory::on_memory(rows.clone(), clock.now()).unwrap();
        let settings = auth::Settings {
            parameters: Parameters::CHEAP,
            ..auth::Settings::default()
        };
        let authenticator = Authenticator::new(&settings).unwrap();
        let components = plugin::Settings::shipped(folder.path().join("components"));
        let plugins = Plugins::load(components, clock.clone(), &mut registry)
            .await
            .unwrap();
        let spool = Memory::new(spool, clock.clone());
        let routes = Arc::new(ArcSwap::from_pointee(Routes::new(Vec::new())));
        let mailer = OwnMailer {
            hostname: "relay.test".into(),
            spool: spool.clone(),
            routes: Arc::clone(&routes),
            clock: clock.clone(),
        };
        let settings = NotificationSettings::default();
        let notifier = Notifier::new(settings, directory.clone(), mailer);
        let certificate = tls::Settings::SelfSigned {
            hostname: "relay.test".into(),
            folder: folder.path().to_owned(),
        };
        let reception = Arc::new(Reception {
            settings: Settings {
                header_octets_max: 2_000,
                ..Settings::default()
            },
            connections: Connections::new(&Settings::default()),
            spared: Spared::default(),
            shares: Shares::new(spool.figures().octets_in_flight_max),
            protocol: ArcSwap::from_pointee(server::Settings {
                hostname: "relay.test".into(),
                limits: Limits::default(),
                timeouts: Timeouts::default(),
                plaintext_auth: true,
                starttls: true,
            }),
            tls: tls::Server::new(&certificate).unwrap(),
            directory,
            authenticator,
            plugins,
            spool: spool.clone(),
            routes,
            notifier,
            tally: Tally::new(spool.clone()),
            clock,
            random: Arc::new(|| getrandom::u64().ok().map(u128::from)),
            metrics: Metrics::default(),
        });
        let stage = Stage {
            reception,
            spool,
            ending: watch::channel(Ending::Nobody).0,
            rows,
            _folder: folder,
        };
        stage.user("ann").await;
        stage
    }

    /// Has the MT-Priority field of messages believed.
    pub(super) fn believe_mt_priority_field(&mut self) {
        let reception = Arc::get_mut(&mut self.reception);
        reception.unwrap().settings.mt_priority_field = true;
    }

    /// Another user who may send as anybody at a.example.
    pub(super) async fn user(&self, name: &str) {
        let user = UserDraft {
            name: Some(name.into()),
            authorized_domains: Items::Text("a.example".into()),
            ..UserDraft::default()
        };
        let Reception {
            authenticator,
            directory,
            clock,
            ..
        } = &*self.reception;
        let hash = authenticator.hash(PASSWORD).await.unwrap();
        directory
            .create_user(user.check().unwrap(), hash, clock.now())
            .await
            .unwrap();
    }

    pub(super) fn connect(&self) -> Peer {
        self.connect_under(Security::Plain)
    }

    /// A connection on a port in clear, or on one with implicit TLS.
    pub(super) fn connect_under(&self, security: Security) -> Peer {
        let (ours, theirs) = duplex(64 * 1024);
        let session = Session::new(self.reception.protocol.load_full(), security);
        let address: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        let client = Client {
            address,
            listener_port: 587,
            implicit_tls: security == Security::Tls,
            posting: None,
        };
        let connection = Connection::new(
            Arc::clone(&self.reception),
            theirs,
            session,
            client,
            self.ending.subscribe(),
        );
        Peer {
            stream: ours,
            task: tokio::spawn(connection.run()),
        }
    }

    /// A connection on which ann has logged in.
    pub(super) async fn logged_in(&self) -> Peer {
        self.logged_in_as("ann").await
    }

    pub(super) async fn logged_in_as(&self, name: &str) -> Peer {
        let mut peer = self.connect();
        peer.reply("220 ").await;
        peer.say("EHLO client.test", "250").await;
        let response = plain(name, PASSWORD);
        peer.say(&format!("AUTH PLAIN {response}"), "235 2.7.0")
            .await;
        peer
    }

    pub(super) async fn queued(&self) -> Vec<spool::Row> {
        let page = PageRequest {
            cursor: None,
            rows_max: 100,
            now: self.reception.clock.now(),
        };
        self.spool
            .list(Selection::default(), page)
            .await
            .unwrap()
            .rows
    }

    pub(super) async fn change(&self, patch: UserPatch) {
        let change = patch.check().unwrap();
        let now = self.reception.clock.now();
        self.reception
            .directory
            .change_user("ann", change, now)
            .await
            .unwrap();
    }
}

pub(super) fn plain(name: &str, password: &str) -> String {
    plain_for("", name, password)
}

pub(super) fn plain_for(identity: &str, name: &str, password: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{identity}\0{name}\0{password}"))
}

/// The client's end of a connection.
pub(super) struct Peer {
    pub(super) stream: DuplexStream,
    pub(super) task: JoinHandle<()>,
}

impl Peer {
    /// The next reply, which must begin so.
    #[track_caller]
    pub(super) fn reply(&mut self, beginning: &str) -> impl Future<Output = String> {
        let beginning = beginning.to_owned();
        let caller = std::panic::Location::caller();
        async move {
            let mut reply = String::new();
            loop {
                let octet = self
                    .stream
                    .read_u8()
                    .await
                    .unwrap_or_else(|_| panic!("{caller}: closed after {reply:?}"));
                reply.push(char::from(octet));
                let is_last = reply
                    .lines()
                    .last()
                    .is_some_and(|line| line.as_bytes().get(3) == Some(&b' '));
                if reply.ends_with("\r\n") && is_last {
                    assert!(
                        reply.starts_with(&beginning),
                        "{caller}: {reply:?}, not {beginning}"
                    );
                    return reply;
                }
            }
        }
    }

    pub(super) async fn send(&mut self, octets: &str) {
        self.stream.write_all(octets.as_bytes()).await.unwrap();
    }

    #[track_caller]
    pub(super) fn say(&mut self, line: &str, beginning: &str) -> impl Future<Output = String> {
        let (line, beginning) = (format!("{line}\r\n"), beginning.to_owned());
        async move {
            self.send(&line).await;
            self.reply(&beginning).await
        }
    }

    /// A whole message; its end must be answered so.
    pub(super) async fn message(&mut self, from: &str, content: &str, beginning: &str) -> String {
        self.say(&format!("MAIL FROM:<{from}>"), "250").await;
        self.say("RCPT TO:<bob@d.example>", "250").await;
        self.say("DATA", "354").await;
        self.send(content).await;
        self.say("\r\n.", beginning).await
    }

    /// The connection must have been closed by the relay.
    pub(super) async fn closed(mut self) {
        assert!(self.stream.read_u8().await.is_err());
        drop(self.stream);
        self.task.await.unwrap();
    }
}
