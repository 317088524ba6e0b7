//! What the embedded spool costs: messages a second, syncs and CPU per message, claims on a backlog.
//!
//! Prints its settings and figures; takes the folder to work in (its disk is what is measured) and the
//! seconds for each figure: `cargo bench -p outpost-benches --bench spool -- FOLDER SECONDS
//! FIGURE`, where a figure is `enqueue-10`, `life-100`, `spread-100`, `large` or `backlog`; all without one.
//! The CPU is this whole process's, producers and consumers included.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use outpost::clock::Clock;
use outpost::message::{
    Class, Envelope, Line, Message, MessageId, NextHop, Origin, Priorities, Protocol, Recipient,
    Submission, Timestamp,
};
use outpost::spool::{
    self, Claim, Fates, NewDelivery, NewMessage, Outcomes, Settings, Settlement, Spool,
};
use outpost::telemetry::Registry;
use outpost_benches::resident_kib;
use outpost_smtp::{Body, Mailbox, ReversePath};

const CONTENT_OCTETS: usize = 4 << 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().and_then(|s| s.parse().ok()).unwrap_or(3.0);
    let only = arguments.next().unwrap_or_default();
    let bench = Bench {
        folder: folder.join(format!("outpost-bench-spool-{}", std::process::id())),
        lasts: Duration::from_secs_f64(seconds),
        only,
    };
    println!(
        "{CONTENT_OCTETS} octets of content, {} threads, in {}",
        2,
        bench.folder.display()
    );
    println!("{:?}\n", Settings::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(bench.run());
    std::fs::remove_dir_all(&bench.folder).ok();
    result
}

struct Bench {
    folder: PathBuf,
    lasts: Duration,
    only: String,
}

impl Bench {
    async fn run(&self) -> Result<(), Failure> {
        for producers in [1, 10, 100] {
            if self.wants(&format!("enqueue-{producers}")) {
                self.enqueue(producers).await?;
            }
        }
        for producers in [1, 10, 100] {
            if self.wants(&format!("life-{producers}")) {
                self.whole_life(producers).await?;
            }
        }
        SPREAD.store(true, Ordering::Relaxed);
        for producers in [10, 100] {
            if self.wants(&format!("spread-{producers}")) {
                self.whole_life(producers).await?;
            }
        }
        SPREAD.store(false, Ordering::Relaxed);
        if self.wants("large") {
            self.large(4).await?;
        }
        if self.wants("backlog") {
            self.backlog(100_000).await?;
        }
        Ok(())
    }

    fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only == figure
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Spool>, Failure> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let mut registry = Registry::default();
        let settings = Settings {
            octets_in_flight_max: 1 << 30,
            ..Settings::default()
        };
        Ok(spool::open(
            &folder,
            settings,
            Clock::system(),
            &mut registry,
        )?)
    }

    fn octets_on_disk(&self, name: &str) -> u64 {
        fn of(path: &Path) -> u64 {
            let Ok(entries) = std::fs::read_dir(path) else {
                return std::fs::metadata(path).map_or(0, |m| m.len());
            };
            entries.flatten().map(|entry| of(&entry.path())).sum()
        }
        of(&self.folder.join(name))
    }

    /// Messages go in and stay.
    async fn enqueue(&self, producers: u64) -> Result<(), Failure> {
        let name = format!("enqueue-{producers}");
        let spool = self.open(&name)?;
        let counts = Counts::begin(&*spool);
        produce(&spool, producers, self.lasts, CONTENT_OCTETS, &counts).await?;
        counts.print(
            &format!("enqueue, {producers} producers"),
            &*spool,
            self.octets_on_disk(&name),
        );
        spool.close().await?;
        Ok(())
    }

    /// Messages go in, are claimed, read and settled.
    async fn whole_life(&self, producers: u64) -> Result<(), Failure> {
        let name = format!("life-{producers}");
        let spool = self.open(&name)?;
        let counts = Counts::begin(&*spool);
        let consumer = tokio::spawn(consume(Arc::clone(&spool)));
        produce(&spool, producers, self.lasts, CONTENT_OCTETS, &counts).await?;
        while spool.figures().queued != [0; 5] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        counts.print(
            &format!("whole life, {producers} producers"),
            &*spool,
            self.octets_on_disk(&name),
        );
        consumer.abort();
        spool.close().await?;
        Ok(())
    }

    /// Contents that have files of their own.
    async fn large(&self, producers: u64) -> Result<(), Failure> {
        let spool = self.open("large")?;
        let counts = Counts::begin(&*spool);
        let consumer = tokio::spawn(consume(Arc::clone(&spool)));
        produce(&spool, producers, self.lasts, 1 << 20, &counts).await?;
        while spool.figures().queued != [0; 5] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        counts.print(
            &format!("whole life of 1 MiB, {producers} producers"),
            &*spool,
            self.octets_on_disk("large"),
        );
        consumer.abort();
        spool.close().await?;
        Ok(())
    }

    /// Claims while much waits, and the start with it.
    async fn backlog(&self, messages: u64) -> Result<(), Failure> {
        let spool = self.open("backlog")?;
        let before = resident_kib();
        let counts = Counts::begin(&*spool);
        produce_count(&spool, 100, messages, CONTENT_OCTETS, &counts).await?;
        counts.print(
            &format!("enqueue up to {messages}"),
            &*spool,
            self.octets_on_disk("backlog"),
        );
        println!(
            "  memory {} KiB more",
            resident_kib().saturating_sub(before)
        );
        claims(&*spool, "claims, nothing of it recent").await?;
        let began = Instant::now();
        spool.close().await?;
        println!("close {:?}", began.elapsed());
        drop(spool);
        let began = Instant::now();
        let spool = self.open("backlog")?;
        println!(
            "start after a close, {messages} queued: {:?}",
            began.elapsed()
        );
        claims(&*spool, "claims after a start").await?;
        let copy = self.folder.join("killed");
        std::fs::create_dir_all(copy.join("content"))?;
        // One commit makes the file what a kill leaves behind.
        produce_count(&spool, 1, 1, CONTENT_OCTETS, &counts).await?;
        std::fs::copy(
            self.folder.join("backlog/spool.redb"),
            copy.join("spool.redb"),
        )?;
        let began = Instant::now();
        let killed = self.open("killed")?;
        println!(
            "start after a kill, {messages} queued: {:?}",
            began.elapsed()
        );
        killed.close().await?;
        let counts = Counts::begin(&*spool);
        let consumer = tokio::spawn(consume(Arc::clone(&spool)));
        while spool.figures().queued != [0; 5] {
            counts.delivered.store(messages, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        counts.print(
            "claim, read and settle all of it",
            &*spool,
            self.octets_on_disk("backlog"),
        );
        consumer.abort();
        tokio::time::sleep(Duration::from_secs(4)).await;
        println!(
            "idle again: {} MiB on disk",
            self.octets_on_disk("backlog") >> 20
        );
        let began = Instant::now();
        spool.close().await?;
        println!(
            "close {:?}: {} MiB on disk",
            began.elapsed(),
            self.octets_on_disk("backlog") >> 20
        );
        Ok(())
    }
}

/// What is counted from here on.
struct Counts {
    began: Instant,
    cpu: Duration,
    commits: u64,
    delivered: AtomicU64,
    slowest: AtomicU64,
    waited: AtomicU64,
}

impl Counts {
    fn begin(spool: &dyn Spool) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            cpu: cpu(),
            commits: spool.figures().commits,
            delivered: AtomicU64::new(0),
            slowest: AtomicU64::new(0),
            waited: AtomicU64::new(0),
        })
    }

    fn print(&self, what: &str, spool: &dyn Spool, octets: u64) {
        let messages = self.delivered.load(Ordering::Relaxed) as f64;
        let commits = (spool.figures().commits - self.commits) as f64;
        let cpu = (cpu() - self.cpu).as_secs_f64();
        println!(
            "{what:36} {:8.0} msg/s  {:5.2} syncs/msg  {:5.1} us CPU/msg  wait mean {:6.0} max {:6} us  {:5} MiB",
            messages / self.began.elapsed().as_secs_f64(),
            commits / messages,
            cpu * 1e6 / messages,
            self.waited.load(Ordering::Relaxed) as f64 / messages,
            self.slowest.load(Ordering::Relaxed),
            octets >> 20,
        );
    }
}

async fn produce(
    spool: &Arc<dyn Spool>,
    producers: u64,
    lasts: Duration,
    octets: usize,
    counts: &Arc<Counts>,
) -> Result<(), Failure> {
    let until = Instant::now() + lasts;
    all(producers, |producer| {
        let (spool, counts) = (Arc::clone(spool), Arc::clone(counts));
        async move {
            let content = vec![b'x'; octets];
            while Instant::now() < until {
                enqueue_one(&*spool, producer, &content, &counts).await?;
            }
            Ok(())
        }
    })
    .await
}

async fn produce_count(
    spool: &Arc<dyn Spool>,
    producers: u64,
    messages: u64,
    octets: usize,
    counts: &Arc<Counts>,
) -> Result<(), Failure> {
    all(producers, |producer| {
        let (spool, counts) = (Arc::clone(spool), Arc::clone(counts));
        async move {
            let content = vec![b'x'; octets];
            for _ in 0..messages / producers {
                enqueue_one(&*spool, producer, &content, &counts).await?;
            }
            Ok(())
        }
    })
    .await
}

async fn all<F: Future<Output = Result<(), Failure>> + Send + 'static>(
    tasks: u64,
    task: impl Fn(u64) -> F,
) -> Result<(), Failure> {
    let mut running = Vec::new();
    for number in 0..tasks {
        running.push(tokio::spawn(task(number)));
    }
    for task in running {
        task.await??;
    }
    Ok(())
}

/// Whether messages are of a thousand users, and to ten thousand domains.
static SPREAD: AtomicBool = AtomicBool::new(false);

static NUMBERS: AtomicU64 = AtomicU64::new(1);

async fn enqueue_one(
    spool: &dyn Spool,
    producer: u64,
    content: &[u8],
    counts: &Counts,
) -> Result<(), Failure> {
    let mut intake = spool.intake(Some(content.len() as u64))?;
    for piece in content.chunks(16 << 10) {
        intake.write(piece).await?;
    }
    let new = message(producer, content.len() as u64);
    let began = Instant::now();
    spool.enqueue(new, intake).await?;
    let waited = began.elapsed().as_micros() as u64;
    counts.waited.fetch_add(waited, Ordering::Relaxed);
    counts.slowest.fetch_max(waited, Ordering::Relaxed);
    counts.delivered.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

fn line() -> Line {
    Line {
        next_hop: NextHop::Smarthost("127.0.0.1:2500".into()),
        class: Class::Normal,
        user: "user".into(),
    }
}

fn message(producer: u64, content_octets: u64) -> NewMessage {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let now = Clock::system().now();
    // The random half of an id, as random as the index cares for.
    let random =
        u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 16 | u128::from(producer);
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let (user, domain) = match SPREAD.load(Ordering::Relaxed) {
        true => (
            format!("user-{}", mixed % 1_000),
            format!("d{}.example.net", mixed % 10_000),
        ),
        false => ("user".to_owned(), "example.net".to_owned()),
    };
    NewMessage {
        message: Message {
            id: MessageId::new(now, random),
            origin: Origin::Submission(Submission {
                list: "default".to_owned(),
                user,
                client: ([192, 0, 2, 1], 40_000).into(),
                listener_port: 587,
                protocol: Protocol::Smtp,
                ehlo: "client.example.com".to_owned(),
                mechanism: "PLAIN".to_owned(),
                tls: None,
            }),
            envelope: Envelope {
                reverse_path: ReversePath::Mailbox(Mailbox {
                    local: "sender".to_owned(),
                    domain: "example.com".to_owned(),
                }),
                recipients: vec![Recipient {
                    mailbox: Mailbox {
                        local: "recipient".to_owned(),
                        domain,
                    },
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
            accepted: now,
            deliver_until: None,
            scheduled: None,
            content_octets,
            eight_bit: false,
            subject: "a message of the bench".to_owned(),
            campaign: None,
        },
        deliveries: vec![NewDelivery::first(line().next_hop, vec![0], now)],
        trail: vec![
            decided("authorized-senders", "sender", "permit", now),
            decided("effective-priority", "priority", "class 3", now),
            outpost::message::TrailEntry {
                at: now,
                event: outpost::message::Event::Accepted {
                    class: Class::Normal,
                },
            },
        ],
    }
}

fn decided(
    component: &str,
    question: &str,
    answer: &str,
    at: Timestamp,
) -> outpost::message::TrailEntry {
    outpost::message::TrailEntry {
        at,
        event: outpost::message::Event::Decided {
            component: component.to_owned(),
            digest: "0123456789abcdef".repeat(4),
            question: question.to_owned(),
            answer: answer.to_owned(),
            reasons: vec![("rule".to_owned(), "example.com".to_owned())],
            took: Duration::from_micros(20),
        },
    }
}

/// Claims as the queue does, one after the other, and delivers at once.
async fn consume(spool: Arc<dyn Spool>) -> Result<(), Failure> {
    loop {
        for change in spool.changes().await {
            let mut head = change.head;
            while head.is_some() {
                let claimed = spool.claim(&change.line, Clock::system().now()).await?;
                head = claimed.head;
                if let Some(claim) = claimed.claim {
                    tokio::spawn(deliver(Arc::clone(&spool), claim));
                }
            }
        }
    }
}

async fn deliver(spool: Arc<dyn Spool>, claim: Claim) -> Result<(), Failure> {
    let mut content = spool.content(claim.message.id).await?;
    let mut octets = 0;
    while let Some(piece) = content.next().await? {
        octets += piece.len() as u64;
    }
    assert_eq!(octets, claim.message.content_octets);
    let now = Clock::system().now();
    spool
        .settle(Settlement {
            lease: claim.lease,
            outcomes: Some(Outcomes {
                message: Arc::clone(&claim.message),
                at: now,
                fates: Fates {
                    delivered: claim.delivery.recipients.clone(),
                    ..Fates::default()
                },
            }),
            is_cancelled: false,
            remaining: Vec::new(),
            reports: Vec::new(),
            trail: vec![decided(
                "next hop",
                "recipient",
                "250 2.0.0 queued as 0123456789",
                now,
            )],
        })
        .await?;
    Ok(())
}

async fn claims(spool: &dyn Spool, what: &str) -> Result<(), Failure> {
    let mut took = Vec::new();
    let mut leases = Vec::new();
    for _ in 0..1_000 {
        let began = Instant::now();
        let claimed = spool.claim(&line(), Clock::system().now()).await?;
        took.push(began.elapsed());
        leases.extend(claimed.claim.map(|claim| claim.lease));
    }
    took.sort();
    println!(
        "{what}: p50 {:?}, p99 {:?}, max {:?}",
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1]
    );
    for lease in leases {
        spool.release(lease);
    }
    Ok(())
}

/// CPU that this process has used, all threads.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    // USER_HZ is 100 on every Linux that matters here.
    Duration::from_millis(ticks * 10)
}
