//! What the policy components cost a message: both questions about the sender and the one about its
//! urgency, in a fresh transaction, with the two components that ship.
//!
//! `cargo bench -p outpost-benches --bench policy [-- MESSAGES]`. Floor, median and 99th percentile
//! in microseconds; compare figures of one run only.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outpost::clock::Clock;
use outpost::message::{Address, Class, MessageId};
use outpost::plugin::{Plugins, Settings};
use outpost::policy::{
    AccountFacts, EnvelopeFacts, Facts, HeaderFacts, HeaderField, PlacementRuling,
    RequestedPriority, SenderRuling, SessionFacts,
};
use outpost::telemetry::Registry;

/// Messages when none are asked for.
const MESSAGES: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let messages = env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let messages = messages.unwrap_or(MESSAGES);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(messages))
}

async fn run(messages: usize) -> Result<(), Box<dyn Error>> {
    let compiled = env::temp_dir().join("outpost-bench-policy");
    let settings = Settings::shipped(compiled);
    let plugins = Plugins::load(settings, Clock::system(), &mut Registry::default()).await;
    let plugins = plugins.map_err(|problems| problems[0].to_string())?;
    let session = Arc::new(session());
    let account = Arc::new(account());

    let mut facts = Vec::with_capacity(messages);
    let mut mail = Vec::with_capacity(messages);
    let mut header = Vec::with_capacity(messages);
    let mut place = Vec::with_capacity(messages);
    let mut whole = Vec::with_capacity(messages);
    for _ in 0..messages {
        let began = Instant::now();
        let at_mail = Arc::new(at_mail(&session, &account)?);
        let mut lap = Lap(Instant::now());
        facts.push(began.elapsed());
        let mut transaction = plugins.begin();
        let permitted = transaction.authorize(&at_mail).await;
        assert_eq!(permitted.ruling, SenderRuling::Permitted);
        mail.push(lap.next());
        let with_header = Arc::new(with_header(&at_mail)?);
        lap.next();
        let permitted = transaction.authorize(&with_header).await;
        assert_eq!(permitted.ruling, SenderRuling::Permitted);
        header.push(lap.next());
        let placed = transaction.place(&with_header).await;
        assert!(matches!(
            placed.ruling,
            PlacementRuling::Placed {
                class: Class::High,
                ..
            }
        ));
        drop(transaction);
        place.push(lap.next());
        whole.push(began.elapsed());
    }
    println!("{messages} messages, microseconds      floor  median     p99");
    for (what, times) in [
        ("facts at MAIL", facts),
        ("sender at MAIL (fresh instance)", mail),
        ("sender with header (same instance)", header),
        ("priority (fresh instance), end", place),
        ("whole message, facts included", whole),
    ] {
        print(what, times);
    }
    Ok(())
}

/// Time since the last look.
struct Lap(Instant);

impl Lap {
    fn next(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.0;
        self.0 = now;
        lap
    }
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        let time = times.get(index.min(times.len().saturating_sub(1)));
        time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    println!(
        "{what:<35} {:>7.1} {:>7.1} {:>7.1}",
        at(0.0),
        at(0.5),
        at(0.99)
    );
}

fn session() -> SessionFacts {
    SessionFacts {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        listener_port: 587,
        client: ([192, 0, 2, 1], 40_000).into(),
        ehlo: "client.example".to_owned(),
        tls: None,
    }
}

fn account() -> AccountFacts {
    let domains = (0..5).map(|n| format!("domain-{n}.example")).collect();
    let senders = (0..5)
        .map(|n| format!("sender-{n}@other.example"))
        .collect();
    AccountFacts {
        name: "shop".to_owned(),
        list: "default".to_owned(),
        priority: Class::Normal,
        mechanism: "PLAIN".to_owned(),
        authorized_domains: domains,
        authorized_senders: senders,
    }
}

fn at_mail(
    session: &Arc<SessionFacts>,
    account: &Arc<AccountFacts>,
) -> Result<Facts, Box<dyn Error>> {
    let envelope = EnvelopeFacts {
        reverse_path: Some(Address::new("news", "domain-3.example")?),
        parameters: vec![("SIZE".to_owned(), "4096".to_owned())],
        declared_size_octets: Some(4096),
    };
    Ok(Facts::at_mail(
        MessageId::from_bits(1),
        Arc::clone(session),
        Some(Arc::clone(account)),
        envelope,
        vec![],
    ))
}

fn with_header(facts: &Facts) -> Result<Facts, Box<dyn Error>> {
    let field = |n| HeaderField {
        name: format!("X-Field-{n}"),
        value: "a value of an ordinary length in a header".to_owned(),
    };
    let header = HeaderFacts {
        authors: vec![Address::new("sender-4", "other.example")?],
        fields: (0..15).map(field).collect(),
        content_octets: 4096,
    };
    let requested = RequestedPriority {
        carrier: "X-Priority".to_owned(),
        value: "2".to_owned(),
        class: Some(Class::High),
    };
    let forward_paths = vec![Address::new("you", "c.example")?];
    Ok(facts.with_header(forward_paths, vec![requested], header))
}
