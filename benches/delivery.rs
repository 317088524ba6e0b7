//! How fast messages leave: deliverer and sink in one program, over TCP on loopback.
//!
//! `cargo bench -p outpost-benches --bench delivery [-- MESSAGES]`. Messages a second and CPU time
//! a message, sink included, for lanes of so many deliveries at once; small messages over kept
//! connections, over a new connection each, and large ones. Compare figures of one run only.

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use outpost::clock::Clock;
use outpost::delivery::{
    Deliverer, Gate, GateMetrics, GateRules, Metrics, Network, Settings, Smarthost,
};
use outpost::dns::{Resolver, Table};
use outpost::message::{
    Class, Delivery, DeliveryId, DeliveryState, Envelope, Message, MessageId, NextHop, Origin,
    Outcome, Priorities, Recipient, Timestamp,
};
use outpost::net::Dialer;
use outpost::sink::{self, SinkOptions};
use outpost::spool::{Content, Pending};
use outpost::tls::client::Connector;
use outpost_smtp::{Body, Mailbox, ReversePath};
use tokio::sync::oneshot;

/// Messages of a round when none are asked for.
const MESSAGES: usize = 30_000;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let messages = env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let messages = messages.unwrap_or(MESSAGES);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(messages))
}

async fn run(messages: usize) -> Result<(), Box<dyn Error>> {
    let (bound, address) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let options = SinkOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        hostname: "sink.example".to_owned(),
        print: false,
        store: None,
        record: None,
        watcher: None,
        bytes_per_second: None,
        misdeeds: Vec::new(),
    };
    let sink = tokio::spawn(sink::run(options, Clock::system(), bound, async {
        drop(stopped.await);
    }));
    let sink_address = address.await?;
    for (what, octets, share) in [
        ("4 KB, kept connections", 4 * 1024, 1_000),
        ("4 KB, a connection each", 4 * 1024, 1),
        ("1 MB, kept connections", 1024 * 1024, 1_000),
    ] {
        let messages = if octets > 100_000 {
            messages / 50
        } else {
            messages
        };
        for lanes in [1, 10, 100] {
            round(sink_address, what, octets, share, messages, lanes).await?;
        }
    }
    drop(stop);
    sink.await??;
    Ok(())
}

async fn round(
    address: SocketAddr,
    what: &str,
    octets: usize,
    share: u32,
    messages: usize,
    lanes: usize,
) -> Result<(), Box<dyn Error>> {
    let deliverer = deliverer(address, share);
    let content: Arc<Vec<u8>> = Arc::new(content(octets));
    let (message, delivery) = mail(address, content.len())?;
    let (message, delivery) = (Arc::new(message), Arc::new(delivery));
    let left = Arc::new(AtomicUsize::new(messages));
    let (began, cpu_began) = (Instant::now(), cpu_seconds());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..lanes {
        let (deliverer, content, left) = (deliverer.clone(), content.clone(), left.clone());
        let (message, delivery) = (message.clone(), delivery.clone());
        tasks.spawn(async move {
            let open = move || -> Pending<'static, Box<dyn Content>> {
                let content = Whole(content.clone(), 0);
                Box::pin(async { Ok(Box::new(content) as Box<dyn Content>) })
            };
            let one_less = |left: usize| left.checked_sub(1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
            {
                let attempt = deliverer.deliver(&message, &delivery, &open).await;
                let (outcome, _) = attempt.outcomes()[0];
                assert!(matches!(outcome.outcome, Outcome::Delivered(_)));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu_began);
    let count = messages as f64;
    println!(
        "{what:24} {lanes:4} at once: {:8.0} messages/s {:8.1} MB/s {:6.3} ms CPU a message",
        count / took,
        count * octets as f64 / took / 1e6,
        cpu * 1e3 / count,
    );
    deliverer.close().await;
    Ok(())
}

fn deliverer(address: SocketAddr, share: u32) -> Arc<Deliverer> {
    let mut settings = Settings {
        transactions_per_connection_max: share,
        ..Settings::default()
    };
    settings
        .smarthosts
        .insert(address.to_string(), Smarthost::default());
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

/// Lines of 72 octets behind a small header.
fn content(octets: usize) -> Vec<u8> {
    let mut content = b"From: me@a.example\r\nSubject: Bench\r\n\r\n".to_vec();
    while content.len() < octets {
        content.extend_from_slice(&[b'x'; 70]);
        content.extend_from_slice(b"\r\n");
    }
    content
}

/// A content in memory, read as the spool reads: 64 KiB at once.
struct Whole(Arc<Vec<u8>>, usize);

impl Content for Whole {
    fn next(&mut self) -> Pending<'_, Option<bytes::Bytes>> {
        let end = self.0.len().min(self.1 + 64 * 1024);
        let piece = (end > self.1).then(|| bytes::Bytes::copy_from_slice(&self.0[self.1..end]));
        self.1 = end;
        Box::pin(async { Ok(piece) })
    }
}

fn mail(to: SocketAddr, octets: usize) -> Result<(Message, Delivery), Box<dyn Error>> {
    let id = MessageId::new(Timestamp::EPOCH, 1);
    let message = Message {
        id,
        origin: Origin::Relay {
            list: "default".to_owned(),
            about: None,
        },
        envelope: Envelope {
            reverse_path: ReversePath::Mailbox(Mailbox::parse("me@a.example", false)?),
            recipients: vec![Recipient {
                mailbox: Mailbox::parse("you@b.example", false)?,
                notify: None,
                orcpt: None,
            }],
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
        content_octets: octets as u64,
        eight_bit: false,
        subject: "Bench".to_owned(),
        campaign: None,
    };
    let delivery = Delivery {
        id: DeliveryId {
            message: id,
            number: 0,
        },
        next_hop: NextHop::Smarthost(to.to_string().into()),
        recipients: vec![0],
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
    Ok((message, delivery))
}

/// CPU time of this process so far. Where the system does not tell it, zero.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = behind_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    // The kernel counts in hundredths for programs, whatever it counts in itself.
    ticks / 100.0
}
