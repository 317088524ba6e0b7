//! How long questions to the statistics take, with a year of a thousand users behind them.
//!
//! Fills a spool over its own way in: each user sends some messages each day of a clock that is set, so that hours are
//! rolled up as they would be. `cargo bench -p outpost-benches --bench statistics -- FOLDER USERS A_DAY`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outpost::clock::Clock;
use outpost::message::{
    Class, Envelope, Message, MessageId, Origin, Priorities, Protocol, Recipient, Submission,
    Timestamp,
};
use outpost::spool::statistics::{Dimension, Figure, Filter, Period, Question};
use outpost::spool::{self, NewMessage, Settings, Spool};
use outpost::telemetry::{Registry, exposition};
use outpost_smtp::{Body, Mailbox, ReversePath};

const DAY: u64 = 24 * 60 * 60 * 1_000;
const YEAR: u64 = 366;

/// Some midnight.
const BEGIN: u64 = 20_000 * DAY;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let mut number = || arguments.next().and_then(|text| text.parse().ok());
    let users = number().unwrap_or(1_000);
    let a_day = number().unwrap_or(6);
    let folder = folder.join(format!("outpost-bench-statistics-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(&folder, users, a_day));
    std::fs::remove_dir_all(&folder).ok();
    result
}

async fn run(folder: &std::path::Path, users: u64, a_day: u64) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let clock = Clock::standing_at(at(BEGIN));
    let mut registry = Registry::default();
    let spool = spool::open(folder, Settings::default(), clock.clone(), &mut registry)?;
    let began = Instant::now();
    for hour in 0..YEAR * 24 {
        clock.set(at(BEGIN + hour * DAY / 24));
        // Each user in other hours.
        let senders = (0..users).filter(|user| (hour + user * 7) % 24 < a_day);
        let mut sent = Vec::new();
        for user in senders {
            let spool = Arc::clone(&spool);
            let now = clock.now();
            sent.push(tokio::spawn(
                async move { send(&*spool, user, hour, now).await },
            ));
        }
        for sent in sent {
            sent.await??;
        }
    }
    let filled = began.elapsed();
    // Real hours leave the time for rolling them up.
    until_nothing_is_done(&registry).await;
    let octets = std::fs::metadata(folder.join("spool.redb"))?.len();
    println!(
        "{users} users, {a_day} hours a day for {YEAR} days: {} MiB in the database, filled in {filled:?}, \
         rolled up after {:?}",
        octets >> 20,
        began.elapsed()
    );
    let of = |user: &str| Filter {
        user: Some(user.to_owned()),
        ..Filter::default()
    };
    let list = Filter {
        list: Some("list-1".to_owned()),
        ..Filter::default()
    };
    let question = |period, by, filter| Question {
        since: at(BEGIN),
        until: at(BEGIN + YEAR * DAY),
        period,
        by,
        filter,
        most: None,
        cursor: None,
        rows_max: 10_000,
    };
    let (hour, day) = (Some(Period::Hour), Some(Period::Day));
    for (what, question) in [
        ("by hour", question(hour, None, Filter::default())),
        ("by hour, a list", question(hour, None, list)),
        ("by hour, a user", question(hour, None, of("user-7"))),
        (
            "by hour and class",
            question(hour, Some(Dimension::Class), Filter::default()),
        ),
        ("by day", question(day, None, Filter::default())),
        (
            "by user",
            question(None, Some(Dimension::User), Filter::default()),
        ),
        (
            "by user, from a time of day",
            Question {
                since: at(BEGIN + DAY / 2),
                until: at(BEGIN + YEAR * DAY - DAY / 2),
                ..question(None, Some(Dimension::User), Filter::default())
            },
        ),
        (
            "by user, the most first",
            Question {
                most: Some(Figure::Accepted),
                rows_max: 10,
                ..question(None, Some(Dimension::User), Filter::default())
            },
        ),
        (
            "by day and user, the first page",
            question(day, Some(Dimension::User), Filter::default()),
        ),
        (
            "by destination",
            question(None, Some(Dimension::Destination), Filter::default()),
        ),
    ] {
        let mut took = Vec::new();
        let mut rows = 0;
        for _ in 0..20 {
            let began = Instant::now();
            let answer = spool.statistics(question.clone()).await?;
            took.push(began.elapsed());
            rows = answer.map_err(|why| format!("{why:?}"))?.rows.len();
        }
        took.sort();
        println!(
            "{what:36} {rows:6} rows  p50 {:?}  max {:?}",
            took[took.len() / 2],
            took.last().unwrap_or(&Duration::ZERO)
        );
    }
    spool.close().await?;
    Ok(())
}

/// Waits until the spool has committed nothing for as long as twice the time after which an idle one looks around.
async fn until_nothing_is_done(registry: &Registry) {
    const QUIET: Duration = Duration::from_secs(5);
    let commits = || {
        let page = exposition(registry);
        let count = page.lines().find(|line| {
            let mut words = line.split(' ');
            words.next() == Some("outpost_spool_commit_seconds_count")
        });
        count.map(str::to_owned)
    };
    let mut before = commits();
    loop {
        tokio::time::sleep(QUIET).await;
        let now = commits();
        if now == before {
            return;
        }
        before = now;
    }
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_unix_milliseconds(milliseconds)
}

/// A message that is finished at once: what is counted of it is what is counted of any.
async fn send(spool: &dyn Spool, user: u64, hour: u64, now: Timestamp) -> Result<(), Failure> {
    let intake = spool.intake(Some(0))?;
    let mailbox = |local: &str, domain: String| Mailbox {
        local: local.to_owned(),
        domain,
    };
    let random = u128::from((user << 32 | hour).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let class = Class::ALL[(user % 5) as usize];
    let message = Message {
        id: MessageId::new(now, random),
        origin: Origin::Submission(Submission {
            list: format!("list-{}", user % 3),
            user: format!("user-{user}"),
            client: ([192, 0, 2, 1], 40_000).into(),
            listener_port: 587,
            protocol: Protocol::Smtp,
            ehlo: "client.example.com".to_owned(),
            mechanism: "PLAIN".to_owned(),
            tls: None,
        }),
        envelope: Envelope {
            reverse_path: ReversePath::Mailbox(mailbox("sender", "example.com".to_owned())),
            recipients: vec![Recipient {
                mailbox: mailbox("you", format!("d{}.example.net", (user + hour) % 500)),
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
        content_octets: 0,
        eight_bit: false,
        subject: String::new(),
        campaign: None,
    };
    let new = NewMessage {
        message,
        deliveries: Vec::new(),
        trail: Vec::new(),
    };
    spool.enqueue(new, intake).await?;
    Ok(())
}
