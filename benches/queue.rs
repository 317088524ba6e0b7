//! What a very long queue of very many next hops and users costs: memory, accepting, claims, the first delivery after a kill,
//! a page of it.
//!
//! `cargo bench -p outpost-benches --bench queue -- FOLDER [MESSAGES [LANES [USERS [CLASSES]]]]`; 1,000,000 in 10,000 lanes by
//! 1,000 users in one class, drawn at random, when nothing is said. The folder's disk is what is measured. A process of its
//! own fills the queue, which is under way meanwhile with attempts that do not end, and is killed; this one goes on from there.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use outpost::clock::Clock;
use outpost::message::{
    Attempt, Class, Delivery, Envelope, Message, MessageId, NextHop, Origin, Outcome, Priorities,
    Protocol, Recipient, RecipientOutcome, Submission, Visit, WantedStanding,
};
use outpost::queue::{AtMail, Deliver, Metrics, OpenContent, Parts, Queue, Settings};
use outpost::spool::{
    self, Lease, NewDelivery, NewMessage, PageRequest, Selection, Settings as SpoolSettings, Spool,
};
use outpost::telemetry::Registry;
use outpost_benches::resident_kib;
use outpost_smtp::{Body, Mailbox, Reply, ReversePath};
use tokio::sync::Notify;

type Failure = Box<dyn Error + Send + Sync>;

/// Who enqueues at once.
const PRODUCERS: u64 = 100;

/// Octets of each content.
const CONTENT_OCTETS: usize = 1 << 10;

/// Claims that are timed.
const CLAIMS: usize = 20_000;

/// Deliveries that are timed.
const DELIVERIES: u64 = 20_000;

#[derive(Clone, Copy, Debug)]
struct Shape {
    messages: u64,
    lanes: u64,
    users: u64,
    classes: u64,
}

fn main() -> Result<(), Failure> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let number = |index: usize, otherwise| {
        let argument = arguments.get(index);
        argument.map_or(Ok(otherwise), |argument| argument.parse::<u64>())
    };
    let folder = arguments.first().ok_or("which folder?")?;
    let shape = Shape {
        messages: number(1, 1_000_000)?,
        lanes: number(2, 10_000)?.max(1),
        users: number(3, 1_000)?.max(1),
        classes: number(4, 1)?.clamp(1, 5),
    };
    let fills = arguments.get(5).is_some_and(|argument| argument == "fill");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if fills {
        return runtime.block_on(fill(Path::new(folder), shape));
    }
    println!("{shape:?}, {CONTENT_OCTETS} octets each, {PRODUCERS} producers, in {folder}");
    let own = PathBuf::from(folder).join(format!("outpost-bench-queue-{}", std::process::id()));
    std::fs::create_dir_all(&own)?;
    let result = fill_elsewhere(&own, shape).and_then(|()| runtime.block_on(go_on(&own, shape)));
    std::fs::remove_dir_all(&own).ok();
    result
}

/// Has the queue filled by a process of its own, and kills that.
fn fill_elsewhere(folder: &Path, shape: Shape) -> Result<(), Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(folder)
        .args([shape.messages, shape.lanes, shape.users, shape.classes].map(|n| n.to_string()))
        .arg("fill")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let mut is_full = false;
    while !is_full && let Some(line) = lines.next() {
        let line = line?;
        is_full = line == FULL;
        if !is_full {
            println!("{line}");
        }
    }
    child.kill()?;
    child.wait()?;
    match is_full {
        true => Ok(()),
        false => Err("it was not filled".into()),
    }
}

/// What the filling process says last.
const FULL: &str = "full";

fn open(folder: &Path) -> Result<Arc<dyn Spool>, Failure> {
    let settings = SpoolSettings {
        octets_in_flight_max: 1 << 30,
        ..SpoolSettings::default()
    };
    let mut registry = Registry::default();
    Ok(spool::open(
        folder,
        settings,
        Clock::system(),
        &mut registry,
    )?)
}

/// A queue with a hundred places, ten at each next hop.
fn queue(spool: &Arc<dyn Spool>, deliver: &Arc<Stuck>) -> Queue {
    Queue::new(Parts {
        settings: Settings {
            simultaneous_max: 100,
            per_next_hop_max: 10,
            ..Settings::default()
        },
        hostname: "relay.example".to_owned(),
        spool: Arc::clone(spool),
        deliver: Arc::clone(deliver) as Arc<dyn Deliver>,
        next_hop: Box::new(|_, mailbox| NextHop::Domain(mailbox.domain.as_str().into())),
        random: Box::new(|| 7),
        clock: Clock::system(),
        metrics: Metrics::default(),
    })
}

async fn fill(folder: &Path, shape: Shape) -> Result<(), Failure> {
    let spool = open(folder)?;
    let deliver = Arc::new(Stuck::default());
    let queue = queue(&spool, &deliver);
    let outlook = queue.outlook();
    let running = tokio::spawn(queue.run(std::future::pending()));
    // As much as is there when nothing waits.
    enqueue(&spool, shape, 0..2_000).await?;
    idle().await;
    let before = resident_kib();
    let part = shape.messages / 20;
    let rate = |took: Duration| part as f64 / took.as_secs_f64();
    let first = enqueue(&spool, shape, 2_000..2_000 + part).await?;
    let last = shape.messages - part;
    enqueue(&spool, shape, 2_000 + part..last).await?;
    let end = enqueue(&spool, shape, last..shape.messages).await?;
    println!(
        "accept: {:.0}/s at first, {:.0}/s at the end ({:.2})",
        rate(first),
        rate(end),
        rate(end) / rate(first)
    );
    idle().await;
    let after = resident_kib();
    println!(
        "memory: {} KiB with 2,000, {} MiB more with all ({:.0} octets a message)",
        before,
        after.saturating_sub(before) / 1024,
        after.saturating_sub(before) as f64 * 1024.0 / shape.messages as f64
    );
    for what in ["page", "page again"] {
        let request = PageRequest {
            cursor: None,
            rows_max: 100,
            now: Clock::system().now(),
        };
        let began = Instant::now();
        let page = outlook
            .page(Selection::default(), WantedStanding::default(), request)
            .await?;
        println!("{what}: {} rows in {:?}", page.rows.len(), began.elapsed());
    }
    idle().await;
    println!(
        "memory: {} MiB more after that",
        (resident_kib() - before) / 1024
    );
    println!("{FULL}");
    // Until the kill.
    running.await?;
    Ok(())
}

/// Goes on from what the kill left.
async fn go_on(folder: &Path, shape: Shape) -> Result<(), Failure> {
    let began = Instant::now();
    let spool = open(folder)?;
    println!("open after the kill: {:?}", began.elapsed());
    let deliver = Arc::new(Stuck::default());
    let begun = deliver.begun.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(queue(&spool, &deliver).run(async { drop(stopped.await) }));
    begun.notified().await;
    println!("first delivery after the kill: {:?}", began.elapsed());
    let counted = Instant::now();
    deliver.go_on.store(1, Ordering::Release);
    deliver.released.notify_waiters();
    while deliver.count.load(Ordering::Acquire) < DELIVERIES {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "{DELIVERIES} deliveries: {:.0}/s",
        DELIVERIES as f64 / counted.elapsed().as_secs_f64()
    );
    drop(stop);
    running.await?;
    idle().await;
    println!("memory: {} KiB", resident_kib());
    spool.close().await?;
    drop(spool);
    let began = Instant::now();
    let spool = open(folder)?;
    println!("open after a close: {:?}", began.elapsed());
    claims(&spool).await?;
    let queued: u64 = spool.figures().queued.iter().sum();
    println!("{queued} of {} still queued", shape.messages);
    spool.close().await?;
    Ok(())
}

/// Claims one of each line that is told, as long as any is, as the queue does: nothing of it is in memory yet.
async fn claims(spool: &Arc<dyn Spool>) -> Result<(), Failure> {
    let now = Clock::system().now();
    let mut took = Vec::with_capacity(CLAIMS);
    let mut leases: Vec<Lease> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while took.len() < CLAIMS && Instant::now() < deadline {
        let changes = tokio::time::timeout(Duration::from_secs(2), spool.changes()).await;
        let Ok(changes) = changes else { break };
        for change in changes.into_iter().filter(|change| change.head.is_some()) {
            let began = Instant::now();
            let claimed = spool.claim(&change.line, now).await?;
            took.push(began.elapsed());
            leases.extend(claimed.claim.map(|claim| claim.lease));
        }
    }
    took.sort();
    match took.is_empty() {
        true => println!("claims: none was told"),
        false => println!(
            "{} claims, nothing of it recent: p50 {:?}, p99 {:?}, max {:?}",
            took.len(),
            took[took.len() / 2],
            took[took.len() * 99 / 100],
            took[took.len() - 1]
        ),
    }
    for lease in leases {
        spool.release(lease);
    }
    Ok(())
}

/// Attempts that wait until they are let go on, and then end well at once.
#[derive(Default)]
struct Stuck {
    begun: Arc<Notify>,
    go_on: AtomicU64,
    released: Arc<Notify>,
    count: Arc<AtomicU64>,
}

impl Deliver for Stuck {
    fn deliver(
        &self,
        _message: Arc<Message>,
        delivery: Delivery,
        _content: OpenContent,
        _at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        self.begun.notify_one();
        let released = Arc::clone(&self.released);
        let count = Arc::clone(&self.count);
        let waits = self.go_on.load(Ordering::Acquire) == 0;
        Box::pin(async move {
            if waits {
                pin!(released.notified()).await;
            }
            count.fetch_add(1, Ordering::AcqRel);
            Attempt {
                visits: vec![Visit {
                    outcomes: vec![RecipientOutcome {
                        recipient: delivery.recipients.first().copied().unwrap_or(0),
                        outcome: Outcome::Delivered(Reply::new(250, (2, 0, 0), "Ok")),
                        remote: true,
                    }],
                    ..Visit::default()
                }],
                ..Attempt::default()
            }
        })
    }
}

/// Enqueues messages of these numbers; how long it took.
async fn enqueue(
    spool: &Arc<dyn Spool>,
    shape: Shape,
    numbers: std::ops::Range<u64>,
) -> Result<Duration, Failure> {
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(numbers.start));
    let mut running = Vec::new();
    for _ in 0..PRODUCERS {
        let (spool, next, end) = (Arc::clone(spool), Arc::clone(&next), numbers.end);
        running.push(tokio::spawn(async move {
            let content = vec![b'x'; CONTENT_OCTETS];
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return Ok::<(), Failure>(());
                }
                let mut intake = spool.intake(Some(content.len() as u64))?;
                intake.write(&content).await?;
                spool.enqueue(message(shape, number), intake).await?;
            }
        }));
    }
    for task in running {
        task.await??;
    }
    Ok(began.elapsed())
}

/// Drawn from a number, always the same.
fn draw(number: u64, salt: u64, among: u64) -> u64 {
    let mut value =
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    value = (value ^ (value >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (value ^ (value >> 32)) % among
}

fn message(shape: Shape, number: u64) -> NewMessage {
    let now = Clock::system().now();
    let random = u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 16;
    let domain = format!("domain{}.example", draw(number, 1, shape.lanes));
    let user = format!("user{}", draw(number, 2, shape.users));
    // From 2 on, but for all five: very-high mail is rarely what waits in millions.
    let class = 2 - shape.classes / 5 + draw(number, 3, shape.classes);
    let class = u8::try_from(class).ok().and_then(Class::from_number);
    let class = class.unwrap_or(Class::Normal);
    let mailbox = |local: &str, domain: &str| Mailbox {
        local: local.to_owned(),
        domain: domain.to_owned(),
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
                reverse_path: ReversePath::Mailbox(mailbox("sender", "example.com")),
                recipients: vec![Recipient {
                    mailbox: mailbox("recipient", &domain),
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
            class,
            priorities: Priorities {
                user: class,
                message: None,
            },
            accepted: now,
            deliver_until: None,
            scheduled: None,
            content_octets: CONTENT_OCTETS as u64,
            eight_bit: false,
            subject: "a message of the bench".to_owned(),
            campaign: None,
        },
        deliveries: vec![NewDelivery::first(
            NextHop::Domain(domain.into()),
            vec![0],
            now,
        )],
        trail: Vec::new(),
    }
}

/// Long enough for what is done when nothing happens: a checkpoint, and memory that goes back.
async fn idle() {
    tokio::time::sleep(Duration::from_secs(4)).await;
}
