//! Reception over in-memory streams: what a client sees, and what reaches the spool.
//!
//! Directory and spool are in memory, the components are the ones that ship. Deadlines are shown
//! on paused time; what waits for a password is not, since a hash is computed on a thread of its own.

use std::net::SocketAddr;
use std::time::Duration;

use outpost_smtp::server::{self, Security, Session};
use outpost_smtp::{Limits, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::acceptor::Ending;
use super::connection::{Client, Connection};
use super::*;
use crate::account::{Items, UserDraft, UserPatch};
use crate::auth::{self, Parameters};
use crate::message::Timestamp;
use crate::plugin;
use crate::spool::{self, Memory, PageRequest, Selection, SpoolError};
use crate::telemetry::Registry;

const PASSWORD: &str = "correct horse";

/// A reception with one user, `ann`, who may send as anybody at a.example.
struct Stage {
    reception: Arc<Reception>,
    spool: Arc<Memory>,
    ending: watch::Sender<Ending>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::standing_at(Timestamp::from_unix_milliseconds(1_700_000_000_000));
        let mut registry = Registry::default();
        let directory = Directory::in_memory(clock.now()).unwrap();
        let settings = auth::Settings {
            parameters: Parameters::CHEAP,
            ..auth::Settings::default()
        };
        let authenticator = Authenticator::new(&settings).unwrap();
        let user = UserDraft {
            name: Some("ann".into()),
            authorized_domains: Items::Text("a.example".into()),
            ..UserDraft::default()
        };
        let hash = authenticator.hash(PASSWORD).await.unwrap();
        directory
            .create_user(user.check().unwrap(), hash, clock.now())
            .await
            .unwrap();
        let components = plugin::Settings::shipped(folder.path().join("components"));
        let plugins = Plugins::load(components, clock.clone(), &mut registry)
            .await
            .unwrap();
        let spool = Memory::new(spool::Settings::default(), clock.clone());
        let routes = Arc::new(ArcSwap::from_pointee(Routes::new(Vec::new())));
        let notifier = Notifier::new(
            NotificationSettings::new("relay.test".into()),
            directory.clone(),
            spool.clone(),
            Arc::clone(&routes),
            clock.clone(),
        );
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
            put_off: Sparing::default(),
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
            clock,
            metrics: Metrics::default(),
        });
        Stage {
            reception,
            spool,
            ending: watch::channel(Ending::Nobody).0,
            _folder: folder,
        }
    }

    fn connect(&self) -> Peer {
        let (ours, theirs) = duplex(64 * 1024);
        let session = Session::new(self.reception.protocol.load_full(), Security::Plain);
        let address: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        let client = Client {
            address,
            listener_port: 587,
            implicit_tls: false,
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
    async fn logged_in(&self) -> Peer {
        let mut peer = self.connect();
        peer.reply("220 ").await;
        peer.say("EHLO client.test", "250").await;
        peer.say(
            &format!("AUTH PLAIN {}", plain("ann", PASSWORD)),
            "235 2.7.0",
        )
        .await;
        peer
    }

    async fn queued(&self) -> Vec<spool::Row> {
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

    async fn change(&self, patch: UserPatch) {
        let change = patch.check().unwrap();
        let now = self.reception.clock.now();
        self.reception
            .directory
            .change_user("ann", change, now)
            .await
            .unwrap();
    }
}

fn plain(name: &str, password: &str) -> String {
    plain_for("", name, password)
}

fn plain_for(identity: &str, name: &str, password: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{identity}\0{name}\0{password}"))
}

/// The client's end of a connection.
struct Peer {
    stream: DuplexStream,
    task: JoinHandle<()>,
}

impl Peer {
    /// The next reply, which must begin so.
    #[track_caller]
    fn reply(&mut self, beginning: &str) -> impl Future<Output = String> {
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

    async fn send(&mut self, octets: &str) {
        self.stream.write_all(octets.as_bytes()).await.unwrap();
    }

    #[track_caller]
    fn say(&mut self, line: &str, beginning: &str) -> impl Future<Output = String> {
        let (line, beginning) = (format!("{line}\r\n"), beginning.to_owned());
        async move {
            self.send(&line).await;
            self.reply(&beginning).await
        }
    }

    /// A whole message; its end must be answered so.
    async fn message(&mut self, from: &str, content: &str, beginning: &str) -> String {
        self.say(&format!("MAIL FROM:<{from}>"), "250").await;
        self.say("RCPT TO:<bob@d.example>", "250").await;
        self.say("DATA", "354").await;
        self.send(content).await;
        self.say("\r\n.", beginning).await
    }

    /// The connection must have been closed by the relay.
    async fn closed(mut self) {
        assert!(self.stream.read_u8().await.is_err());
        drop(self.stream);
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_message_is_on_the_spool_before_its_250() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    let reply = peer
        .message(
            "x@a.example",
            "From: x@a.example\r\nX-Priority: 2\r\n\r\nhello",
            "250 2.0.0 Queued as ",
        )
        .await;
    let rows = stage.queued().await;
    assert_eq!(rows.len(), 1);
    let message = &rows[0].message;
    assert!(reply.contains(&message.id.to_string()), "{reply}");
    assert_eq!(message.class.number(), 2);
    let mut content = stage.spool.content(message.id).await.unwrap();
    let piece = content.next().await.unwrap().unwrap();
    let text = String::from_utf8(piece.to_vec()).unwrap();
    assert!(
        text.starts_with(
            "Received: from client.test ([192.0.2.1])\r\n by relay.test (Outpost) with ESMTPA id "
        ),
        "{text}"
    );
    assert!(
        text.ends_with("\r\nFrom: x@a.example\r\nX-Priority: 2\r\n\r\nhello\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_refused_after_the_content_leaves_nothing_and_the_session_goes_on() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    for (content, beginning) in [
        (
            "Subject: no author\r\n\r\nx",
            "550 5.7.1 The message has no From field",
        ),
        ("From: x@b.example\r\n\r\nx", "550 5.7.1 "),
        ("From: x@a.example, y@b.example\r\n\r\nx", "550 5.7.1 "),
        (
            "From: x@a.example\r\nSender: y@b.example\r\n\r\nx",
            "550 5.7.1 ",
        ),
        (
            "From: x@a.example\r\nFrom: x@a.example\r\n\r\nx",
            "550 5.7.1 The message has more than one From field",
        ),
        ("From : x@a.example\r\n\r\nx", "550 5.6.0 "),
        ("no header at all\r\n\r\nx", "550 5.6.0 "),
    ] {
        let reply = peer.message("x@a.example", content, beginning).await;
        assert!(!reply.contains("b.example"), "nothing is echoed: {reply}");
    }
    let long = format!("From: x@a.example\r\nX: {}\r\n\r\nx", "y".repeat(2_000));
    peer.message("x@a.example", &long, "552 5.3.4 ").await;
    let hops = format!(
        "From: x@a.example\r\n{}\r\nx",
        "Received: x\r\n".repeat(101)
    );
    peer.message("x@a.example", &hops, "554 5.4.6 ").await;
    peer.say("MAIL FROM:<x@b.example>", "550 5.7.1 ").await;
    peer.say("MAIL FROM:<\"\"@a.example>", "553 5.1.7 The address ")
        .await;
    assert!(stage.queued().await.is_empty());
    peer.message("", "From: x@a.example\r\n\r\nx", "250 2.0.0 ")
        .await;
    assert_eq!(stage.queued().await.len(), 1);
}

#[tokio::test]
async fn nobody_acts_for_another_and_a_name_is_the_same_in_any_case() {
    let stage = Stage::new().await;
    for (identity, beginning) in [
        ("", "235 "),
        ("ann", "235 "),
        ("ANN", "235 "),
        ("bob", "535 "),
    ] {
        let mut peer = stage.connect();
        peer.reply("220 ").await;
        peer.say("EHLO client.test", "250").await;
        let response = plain_for(identity, "Ann", PASSWORD);
        peer.say(&format!("AUTH PLAIN {response}"), beginning).await;
    }
}

#[tokio::test]
async fn who_is_named_twice_gets_the_message_once() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    peer.say("MAIL FROM:<x@a.example>", "250").await;
    for recipient in [
        "<bob@d.example>",
        "<\"bob\"@D.Example>",
        "<Bob@d.example>",
        "<bob@d.example> NOTIFY=NEVER",
        "<bob@d.example> NOTIFY=NEVER",
    ] {
        peer.say(&format!("RCPT TO:{recipient}"), "250 2.1.5").await;
    }
    peer.say("DATA", "354").await;
    peer.say("From: x@a.example\r\n\r\nx\r\n.", "250").await;
    let rows = stage.queued().await;
    let recipients: Vec<String> = rows[0]
        .message
        .envelope
        .recipients
        .iter()
        .map(|recipient| recipient.mailbox.to_string())
        .collect();
    // Who gets which reports is another question for each pair of parameters.
    assert_eq!(
        recipients,
        ["bob@d.example", "Bob@d.example", "bob@d.example"]
    );
}

#[tokio::test]
async fn smtputf8_is_kept_only_of_a_message_that_needs_it() {
    for (recipient, content, needed) in [
        ("bob@d.example", "From: x@a.example\r\n\r\nJ\u{f6}rg", false),
        (
            "bob@d.example",
            "From: J\u{f6}rg <x@a.example>\r\n\r\nx",
            true,
        ),
        ("j\u{f6}rg@d.example", "From: x@a.example\r\n\r\nx", true),
    ] {
        let stage = Stage::new().await;
        let mut peer = stage.logged_in().await;
        peer.say("MAIL FROM:<x@a.example> SMTPUTF8", "250").await;
        peer.say(&format!("RCPT TO:<{recipient}>"), "250").await;
        peer.say("DATA", "354").await;
        peer.say(&format!("{content}\r\n."), "250").await;
        let message = &stage.queued().await[0].message;
        assert_eq!(message.envelope.smtputf8, needed, "{recipient} {content}");
    }
}

#[tokio::test]
async fn a_spool_without_room_or_on_a_disk_that_takes_no_writes_is_452_and_a_broken_one_451() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    let content = "From: x@a.example\r\n\r\nx";
    stage.spool.fail_next_enqueue(SpoolError::Full);
    peer.message("x@a.example", content, "452 4.3.1 ").await;
    stage.spool.fail_next_enqueue(SpoolError::ReadOnly);
    peer.message("x@a.example", content, "452 4.3.1 ").await;
    stage
        .spool
        .fail_next_enqueue(SpoolError::unavailable("the disk is on fire"));
    let reply = peer.message("x@a.example", content, "451 4.3.0 ").await;
    assert!(!reply.contains("fire"));
    peer.message("x@a.example", content, "250 2.0.0 ").await;
}

#[tokio::test]
async fn a_change_of_rules_is_in_force_at_the_next_mail() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    peer.say("MAIL FROM:<x@b.example>", "550 5.7.1").await;
    stage
        .change(UserPatch {
            authorized_domains: Some(Items::Text("b.example".into())),
            ..UserPatch::default()
        })
        .await;
    peer.say("MAIL FROM:<x@b.example>", "250").await;
    peer.say("RSET", "250").await;
    peer.say("MAIL FROM:<x@a.example>", "550 5.7.1").await;
}

#[tokio::test]
async fn disabling_deleting_and_resetting_end_a_session_before_its_next_transaction() {
    for undo in ["disable", "delete", "reset"] {
        let stage = Stage::new().await;
        let mut peer = stage.logged_in().await;
        let now = stage.reception.clock.now();
        let directory = &stage.reception.directory;
        match undo {
            "disable" => {
                stage
                    .change(UserPatch {
                        active: Some(false),
                        ..UserPatch::default()
                    })
                    .await
            }
            "delete" => drop(directory.delete_user("ann").await.unwrap()),
            _ => {
                let hash = stage.reception.authenticator.hash("another").await.unwrap();
                drop(directory.set_password_hash("ann", hash, now).await.unwrap());
            }
        }
        peer.say("MAIL FROM:<x@a.example>", "421 4.7.0 ").await;
        peer.closed().await;
        let mut again = stage.connect();
        again.reply("220 ").await;
        again.say("EHLO client.test", "250").await;
        again
            .say(
                &format!("AUTH PLAIN {}", plain("ann", PASSWORD)),
                "535 5.7.8 ",
            )
            .await;
    }
}

#[tokio::test]
async fn a_refused_sender_raises_one_notification_and_never_to_the_forged_address() {
    let stage = Stage::new().await;
    let notify = Items::Text("ops@n.example;ceo@victim.example".into());
    let patch = crate::account::ListPatch {
        notify: Some(notify),
    };
    let now = stage.reception.clock.now();
    stage
        .reception
        .directory
        .change_list("default", patch.check().unwrap(), now)
        .await
        .unwrap();
    let notifier = Arc::clone(&stage.reception.notifier);
    let running = tokio::spawn(async move { notifier.run().await });
    let mut peer = stage.logged_in().await;
    for _ in 0..3 {
        peer.say("MAIL FROM:<CEO@victim.example>", "550 5.7.1 ")
            .await;
    }
    let rows = loop {
        let rows = stage.queued().await;
        if !rows.is_empty() {
            break rows;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(rows.len(), 1);
    let recipients: Vec<String> = rows[0]
        .message
        .envelope
        .recipients
        .iter()
        .map(|recipient| recipient.mailbox.to_string())
        .collect();
    assert_eq!(recipients, ["ops@n.example"]);
    assert_eq!(
        rows[0].message.subject,
        "User ann was refused as CEO@victim.example"
    );
    running.abort();
}

#[tokio::test]
async fn a_drain_ends_idle_sessions_and_lets_transactions_end() {
    let stage = Stage::new().await;
    let mut busy = stage.logged_in().await;
    let mut idle = stage.connect();
    idle.reply("220 ").await;
    busy.say("MAIL FROM:<x@a.example>", "250").await;
    stage.ending.send_replace(Ending::Idle);
    idle.reply("421 4.3.2 ").await;
    idle.closed().await;
    busy.say("RCPT TO:<bob@d.example>", "250").await;
    busy.say("DATA", "354").await;
    busy.say("From: x@a.example\r\n\r\nx\r\n.", "250 2.0.0 ")
        .await;
    busy.reply("421 4.3.2 ").await;
    busy.closed().await;
}

#[tokio::test]
async fn after_the_grace_open_transactions_are_told_421_wherever_they_stand() {
    let bdat = "BDAT 100\r\nFrom: x@a.example\r\n";
    for last in [
        "RCPT TO:<bob@d.example>\r\n",
        "DATA\r\nFrom: x@a.example\r\n",
        bdat,
    ] {
        let stage = Stage::new().await;
        let mut peer = stage.logged_in().await;
        peer.say("MAIL FROM:<x@a.example>", "250").await;
        peer.say("RCPT TO:<bob@d.example>", "250").await;
        peer.send(last).await;
        match last {
            "DATA\r\nFrom: x@a.example\r\n" => drop(peer.reply("354").await),
            "RCPT TO:<bob@d.example>\r\n" => drop(peer.reply("250").await),
            _ => {}
        }
        stage.ending.send_replace(Ending::Idle);
        stage.ending.send_replace(Ending::Everybody);
        peer.reply("421 4.3.2 ").await;
        peer.closed().await;
        assert!(stage.queued().await.is_empty(), "{last}");
    }
}

#[tokio::test]
async fn a_client_that_never_stops_sending_is_told_421_all_the_same() {
    let stage = Stage::new().await;
    let mut peer = stage.logged_in().await;
    peer.say("MAIL FROM:<x@a.example>", "250").await;
    peer.say("RCPT TO:<bob@d.example>", "250").await;
    peer.say("DATA", "354").await;
    stage.ending.send_replace(Ending::Everybody);
    let (mut reading, mut writing) = tokio::io::split(peer.stream);
    // The relay takes what comes until the client has heard: nothing breaks under its hands.
    let sending = tokio::spawn(async move {
        let line = "y".repeat(998) + "\r\n";
        while writing.write_all(line.as_bytes()).await.is_ok() {}
    });
    let mut reply = [0; 9];
    reading.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"421 4.3.2");
    sending.abort();
    peer.task.abort();
}

#[tokio::test(start_paused = true)]
async fn an_octet_now_and_then_extends_no_deadline() {
    let stage = Stage::new().await;
    let mut peer = stage.connect();
    peer.reply("220 ").await;
    let began = Instant::now();
    // One octet every 30 s: each read comes in time, the login does not.
    let mut slowly = tokio::time::interval(Duration::from_secs(30));
    let said = loop {
        tokio::select! {
            _ = slowly.tick() => peer.send("N").await,
            octet = peer.stream.read_u8() => break octet,
        }
    };
    assert_eq!(said.unwrap(), b'4');
    let mut rest = [0; 8];
    peer.stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"21 4.4.2");
    while peer.stream.read_u8().await.unwrap() != b'\n' {}
    assert_eq!(began.elapsed(), Timeouts::default().login);
    peer.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_dropped() {
    let stage = Stage::new().await;
    let mut peer = stage.connect();
    peer.reply("220 ").await;
    peer.say("EHLO client.test", "250").await;
    peer.say("STARTTLS", "220 2.0.0 ").await;
    let began = Instant::now();
    peer.send("\u{16}\u{3}\u{1}").await;
    peer.closed().await;
    assert_eq!(began.elapsed(), Timeouts::default().tls_handshake);
}
