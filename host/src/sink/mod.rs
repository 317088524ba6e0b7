//! A test receiver: takes mail from anybody, shows or keeps it, and misbehaves when told to.
//!
//! Built on the protocol core's server side, so that what it takes is what the relay would take. It
//! delivers nothing and keeps nothing safe: its 250 promises only that the message was seen.

mod connection;
mod envelope;
mod options;
mod record;
mod store;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outpost_smtp::server::Settings;
use outpost_smtp::{Limits, Timeouts};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use options::{Action, Misdeed, NotATrigger, SinkOptions, Stage, Trigger};
pub use record::{Digests, Event, Recorded};

use crate::clock::Clock;
use crate::message::Timestamp;
use connection::Connection;
use record::Recorder;
use store::Store;

/// Connections at once. Enough for every bench; beyond it clients wait in the backlog.
const CONNECTIONS_MAX: usize = 20_000;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;

/// Octets of a message. A sink has nothing to lose but time.
const CONTENT_OCTETS_MAX: u64 = 4 << 30;

/// The receive buffer of the connections of a slow sink, in octets. The usual megabytes would take
/// in whole messages at once, however slowly they are read then.
const SLOW_BUFFER_OCTETS: u32 = 16 * 1024;

/// How long nothing is accepted after the system had no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Why a sink cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What all connections share.
struct Sink {
    options: SinkOptions,
    store: Option<Store>,
    recorder: Option<Recorder>,
    clock: Clock,
    messages: AtomicU64,
}

/// Runs a sink until `shutdown` is done; connections end with it. Tells the address that it listens
/// on through `bound`, and returns how many messages were taken.
///
/// # Errors
/// [`SinkError`] when it cannot start.
pub async fn run(
    options: SinkOptions,
    clock: Clock,
    bound: oneshot::Sender<SocketAddr>,
    shutdown: impl Future<Output = ()>,
) -> Result<u64, SinkError> {
    let address = options.listen;
    let cannot_listen = |source| SinkError::Listen { address, source };
    let listener = listen(&options).map_err(cannot_listen)?;
    let sink = Arc::new(Sink::new(options, clock)?);
    let settings = Arc::new(settings(&sink.options));
    // Nobody may be waiting for it.
    let _ = bound.send(listener.local_addr().map_err(cannot_listen)?);

    let mut connections = JoinSet::new();
    let mut number = sink.store.as_ref().map_or(0, Store::last_connection);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, client)) => {
                    number += 1;
                    // Replies are gathered before they are written: waiting for more delays them.
                    let _ = stream.set_nodelay(true);
                    let settings = Arc::clone(&settings);
                    let connection =
                        Connection::new(Arc::clone(&sink), Arc::clone(&settings), stream, client, number);
                    connections.spawn(async move {
                        if let Err(error) = connection.serve(settings).await {
                            tracing::warn!(connection = number, %error, "a connection broke");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(EXHAUSTED_PAUSE).await;
                }
            },
        }
    }
    connections.shutdown().await;
    Ok(sink.messages.load(Ordering::Relaxed))
}

fn listen(options: &SinkOptions) -> io::Result<TcpListener> {
    let socket = if options.listen.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    if options.bytes_per_second.is_some() {
        socket.set_recv_buffer_size(SLOW_BUFFER_OCTETS)?;
    }
    socket.bind(options.listen)?;
    socket.listen(BACKLOG)
}

fn settings(options: &SinkOptions) -> Settings {
    Settings {
        hostname: options.hostname.clone(),
        limits: Limits {
            recipients_max: 100_000,
            content_octets_max: CONTENT_OCTETS_MAX,
            errors_max: u32::MAX,
            commands_without_mail_max: u32::MAX,
            ..Limits::default()
        },
        timeouts: Timeouts::default(),
        plaintext_auth: false,
        starttls: false,
    }
}

impl Sink {
    fn new(options: SinkOptions, clock: Clock) -> Result<Self, SinkError> {
        let store = match &options.store {
            Some(path) => Some(Store::open(path).map_err(cannot_write(path))?),
            None => None,
        };
        let path = options.record.as_deref();
        let recorder = Recorder::create(path, options.watcher.clone(), clock.clone())
            .map_err(cannot_write(path.unwrap_or(Path::new("record"))))?;
        Ok(Self {
            options,
            store,
            recorder,
            clock,
            messages: AtomicU64::new(0),
        })
    }

    /// What time it is.
    fn since_epoch(&self) -> Duration {
        self.clock.now().since(Timestamp::EPOCH)
    }

    /// Whether somebody reads the digests of messages.
    fn wants_digests(&self) -> bool {
        self.store.is_some() || self.recorder.is_some()
    }

    fn count(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> SinkError + use<> {
    let path = path.to_owned();
    move |source| SinkError::Write { path, source }
}

/// What breaks a connection through no fault of its client, with the file that is at fault.
fn naming(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |source| io::Error::new(source.kind(), cannot_write(path)(source))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::num::NonZeroU64;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use outpost_smtp::{Body, Mailbox, ReversePath};
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::delivery::{Deliverer, Gate, GateMetrics, GateRules, Metrics, Network, Smarthost};
    use crate::dns::{Resolver, Table};
    use crate::message::{
        Attempt, Class, Delivery, DeliveryId, DeliveryState, Envelope, Message, MessageId, NextHop,
        Origin, Outcome, Priorities, Recipient, Timestamp,
    };
    use crate::net::Dialer;
    use crate::spool::{Content, Pending};
    use crate::tls::client::Connector;

    fn options() -> SinkOptions {
        SinkOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            hostname: "sink.example".to_owned(),
            print: false,
            store: None,
            record: None,
            watcher: None,
            bytes_per_second: None,
            misdeeds: Vec::new(),
        }
    }

    fn misdeeds(list: &[(&str, Action)]) -> Vec<Misdeed> {
        let misdeed = |(at, action): &(&str, Action)| Misdeed {
            at: at.parse().unwrap(),
            action: *action,
        };
        list.iter().map(misdeed).collect()
    }

    /// A sink that runs.
    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        task: JoinHandle<Result<u64, SinkError>>,
    }

    async fn start(options: SinkOptions) -> Running {
        let (bound, address) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or(()) };
        let task = tokio::spawn(run(options, Clock::system(), bound, shutdown));
        Running {
            address: address.await.unwrap(),
            stop,
            task,
        }
    }

    impl Running {
        /// Stops it and tells how many messages came.
        async fn stop(self) -> u64 {
            self.stop.send(()).unwrap();
            self.task.await.unwrap().unwrap()
        }

        /// A deliverer whose smarthost is the sink.
        fn deliverer(&self) -> Arc<Deliverer> {
            let mut settings = crate::delivery::Settings::default();
            let smarthost = Smarthost::default();
            settings
                .smarthosts
                .insert(self.address.to_string(), smarthost);
            let network = Network {
                resolver: Resolver::from_table(Table::new()),
                dialer: Dialer::tcp(),
                tls: Connector::new(Vec::new()),
                random: || 0,
                clock: Clock::system(),
            };
            let gate = Gate::new(GateRules::default(), GateMetrics::default());
            Deliverer::new(settings, network, Metrics::unregistered(), gate)
        }

        /// One attempt at these recipients.
        async fn deliver(
            &self,
            deliverer: &Deliverer,
            recipients: &[&str],
            content: &'static [u8],
        ) -> Attempt {
            let (message, delivery) = mail(self.address, recipients, content);
            let open = move || -> Pending<'static, Box<dyn Content>> {
                let pieces: Vec<Bytes> =
                    content.chunks(64 * 1024).map(Bytes::from_static).collect();
                Box::pin(async { Ok(Box::new(Pieces(pieces)) as Box<dyn Content>) })
            };
            deliverer.deliver(&message, &delivery, &open).await
        }
    }

    struct Pieces(Vec<Bytes>);

    impl Content for Pieces {
        fn next(&mut self) -> Pending<'_, Option<Bytes>> {
            let piece = (!self.0.is_empty()).then(|| self.0.remove(0));
            Box::pin(async { Ok(piece) })
        }
    }

    fn mail(to: SocketAddr, recipients: &[&str], content: &[u8]) -> (Message, Delivery) {
        let id = MessageId::new(Timestamp::EPOCH, 1);
        let mailbox = |address: &str| Mailbox::parse(address, false).unwrap();
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
                envid: Some("e1".to_owned()),
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
            content_octets: content.len() as u64,
            eight_bit: false,
            subject: String::new(),
            campaign: None,
        };
        let delivery = Delivery {
            id: DeliveryId {
                message: id,
                number: 0,
            },
            next_hop: NextHop::Smarthost(to.to_string().into()),
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
        (message, delivery)
    }

    fn codes(attempt: &Attempt) -> Vec<u16> {
        let outcomes = attempt.outcomes().into_iter();
        let replies = outcomes.map(|(outcome, _)| outcome.outcome.reply().code);
        replies.collect()
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(serde_json::from_str);
        lines.map(Result::unwrap).collect()
    }

    const CONTENT: &[u8] = b"Subject: Hello\r\n\r\n.The body.\r\n";

    #[tokio::test]
    async fn what_is_delivered_is_stored_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("mail");
        let sink = start(SinkOptions {
            store: Some(store.clone()),
            ..options()
        })
        .await;
        let deliverer = sink.deliverer();
        for _ in 0..2 {
            let attempt = sink
                .deliver(&deliverer, &["a@b.example", "c@b.example"], CONTENT)
                .await;
            assert_eq!(codes(&attempt), [250, 250]);
        }
        deliverer.close().await;
        assert_eq!(sink.stop().await, 2);
        let read = |name: &str| std::fs::read(store.join(name)).unwrap();
        assert_eq!(read("000001-000001.eml"), CONTENT);
        assert_eq!(read("000001-000002.eml"), CONTENT);
        let envelope: Value = serde_json::from_slice(&read("000001-000001.json")).unwrap();
        assert_eq!(envelope["from"], "me@a.example");
        assert_eq!(envelope["recipients"][1]["to"], "c@b.example");
        assert_eq!(envelope["envid"], "e1");
        assert_eq!(envelope["octets"], CONTENT.len());
        assert_eq!(std::fs::read_dir(&store).unwrap().count(), 4);
    }

    #[tokio::test]
    async fn a_second_run_takes_nothing_from_the_first() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let sink = start(SinkOptions {
                store: Some(folder.path().to_owned()),
                ..options()
            })
            .await;
            let deliverer = sink.deliverer();
            sink.deliver(&deliverer, &["a@b.example"], CONTENT).await;
            deliverer.close().await;
            sink.stop().await;
        }
        let names = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".eml"))
            .collect();
        names.sort();
        assert_eq!(names, ["000001-000001.eml", "000002-000001.eml"]);
    }

    #[tokio::test]
    async fn it_refuses_and_defers_by_recipient_and_by_stage() {
        let patterns = [("bad", Action::Refuse), ("*@later.example", Action::Defer)];
        let sink = start(SinkOptions {
            misdeeds: misdeeds(&patterns),
            ..options()
        })
        .await;
        let recipients = ["bad@b.example", "x@later.example", "good@b.example"];
        let attempt = sink.deliver(&sink.deliverer(), &recipients, CONTENT).await;
        assert_eq!(codes(&attempt), [550, 451, 250]);
        assert_eq!(sink.stop().await, 1);
        for (stage, action, code) in [
            ("connect", Action::Defer, 421),
            ("mail", Action::Refuse, 550),
            ("rcpt", Action::Defer, 451),
            ("data", Action::Refuse, 550),
            ("dot", Action::Defer, 451),
        ] {
            let sink = start(SinkOptions {
                misdeeds: misdeeds(&[(stage, action)]),
                ..options()
            })
            .await;
            let attempt = sink
                .deliver(&sink.deliverer(), &["a@b.example"], CONTENT)
                .await;
            assert_eq!(codes(&attempt), [code], "{stage}");
            assert_eq!(sink.stop().await, 0);
        }
    }

    #[tokio::test]
    async fn it_hangs_until_the_client_has_enough() {
        for stage in ["connect", "mail", "data"] {
            let sink = start(SinkOptions {
                misdeeds: misdeeds(&[(stage, Action::Hang)]),
                ..options()
            })
            .await;
            let mut client = TcpStream::connect(sink.address).await.unwrap();
            let said = b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\nDATA\r\n";
            client.write_all(said).await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            client.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard.contains("220"), stage != "connect", "{heard}");
            assert!(!heard.contains("354"), "{heard}");
            sink.stop().await;
        }
    }

    #[tokio::test]
    async fn arrivals_are_recorded_and_a_slow_sink_is_slow() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("arrivals");
        let sink = start(SinkOptions {
            record: Some(record.clone()),
            bytes_per_second: NonZeroU64::new(200_000),
            ..options()
        })
        .await;
        let content: &'static [u8] = Box::leak(
            format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(6_000))
                .into_bytes()
                .into(),
        );
        let begun = Instant::now();
        let deliverer = sink.deliverer();
        let attempt = sink.deliver(&deliverer, &["a@b.example"], content).await;
        assert_eq!(codes(&attempt), [250]);
        // Nobody waits behind the last piece, a tenth of a second at most.
        assert!(begun.elapsed() >= Duration::from_millis(250));
        deliverer.close().await;
        sink.stop().await;

        let lines = lines(&record);
        let events: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
        assert_eq!(events[..4], ["connect", "command", "command", "begin"]);
        assert!(events.ends_with(&["end", "disconnect"]), "{events:?}");
        let chunks = lines.iter().filter(|line| line["event"] == "chunk");
        let mut offset = 0;
        for chunk in chunks.clone() {
            assert_eq!(chunk["offset"], offset);
            offset += chunk["octets"].as_u64().unwrap();
        }
        assert!(chunks.count() > 3);
        let end = &lines[lines.len() - 2];
        assert_eq!(
            (&end["octets"], &end["accepted"]),
            (&Value::from(content.len()), &Value::from(true))
        );
        assert_eq!(end["body_sha256"].as_str().unwrap().len(), 64);
        assert!(lines.is_sorted_by_key(|line| line["unix_us"].as_u64()));
    }

    #[tokio::test]
    async fn a_record_is_watched_within_the_process() {
        let (watcher, mut watched) = tokio::sync::mpsc::channel(64);
        let sink = start(SinkOptions {
            watcher: Some(watcher),
            ..options()
        })
        .await;
        let deliverer = sink.deliverer();
        let attempt = sink.deliver(&deliverer, &["a@b.example"], CONTENT).await;
        assert_eq!(codes(&attempt), [250]);
        deliverer.close().await;
        sink.stop().await;
        let mut events = Vec::new();
        while let Some(Recorded { event, .. }) = watched.recv().await {
            events.push(event);
        }
        let is_end = |event: &&Event| matches!(event, Event::End { .. });
        let Some(Event::End { digests, .. }) = events.iter().find(is_end) else {
            panic!("{events:?}");
        };
        assert_eq!(digests.octets, CONTENT.len() as u64);
        let chunks = events.iter().filter_map(|event| match event {
            Event::Chunk { octets, .. } => Some(*octets),
            _ => None,
        });
        assert_eq!(chunks.sum::<usize>(), CONTENT.len());
    }

    #[tokio::test]
    async fn what_a_watcher_has_no_room_for_breaks_the_connection_and_one_that_has_gone_does_not() {
        for (has_gone, code) in [(false, 4), (true, 2)] {
            let (watcher, watched) = tokio::sync::mpsc::channel(2);
            let sink = start(SinkOptions {
                watcher: Some(watcher),
                ..options()
            })
            .await;
            let watched = (!has_gone).then_some(watched);
            let deliverer = sink.deliverer();
            let attempt = sink.deliver(&deliverer, &["a@b.example"], CONTENT).await;
            assert_eq!(codes(&attempt)[0] / 100, code);
            deliverer.close().await;
            drop(watched);
            sink.stop().await;
        }
    }

    #[tokio::test]
    async fn a_content_that_breaks_off_is_recorded_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("arrivals");
        let sink = start(SinkOptions {
            record: Some(record.clone()),
            store: Some(folder.path().join("mail")),
            ..options()
        })
        .await;
        let mut client = TcpStream::connect(sink.address).await.unwrap();
        let said = b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\nDATA\r\nSubject: x\r\n";
        client.write_all(said).await.unwrap();
        client.shutdown().await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(sink.stop().await, 0);
        let lines = lines(&record);
        let broken = lines.iter().find(|line| line["event"] == "broken").unwrap();
        assert_eq!(broken["octets"], 12);
        let kept = std::fs::read_dir(folder.path().join("mail")).unwrap();
        assert_eq!(kept.count(), 0);
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let sink = start(options()).await;
        let taken = SinkOptions {
            listen: sink.address,
            ..options()
        };
        let unwritable = SinkOptions {
            record: Some(folder.path().join("none/arrivals")),
            ..options()
        };
        for (options, named) in [(taken, "127.0.0.1"), (unwritable, "none/arrivals")] {
            let (bound, _) = oneshot::channel();
            let started = run(options, Clock::system(), bound, std::future::pending());
            let error = started.await.unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        sink.stop().await;
    }

    #[tokio::test]
    async fn outcomes_tell_the_sink_from_us() {
        let sink = start(options()).await;
        let attempt = sink
            .deliver(&sink.deliverer(), &["a@b.example"], CONTENT)
            .await;
        let (outcome, _) = attempt.outcomes()[0];
        assert!(matches!(outcome.outcome, Outcome::Delivered(_)));
        assert!(outcome.remote);
        sink.stop().await;
    }
}
