//! The relay is killed at random moments of its life, again and again: whatever it acknowledged
//! arrives, and nothing arrives that was never sent to its end. Killed at its first start it serves at the next.
//!
//! Kills do not show what a power cut leaves of unsynced writes; the trials of the spool do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Address, Client, PATIENCE, Relay, Sink, wait_until};

/// How many kills; `make crash` says more.
const KILLS: &str = "OUTPOST_KILLS";
const KILLS_USUAL: u64 = 30;

/// Where the moments begin.
const SEED: &str = "OUTPOST_SEED";

const SENDERS: u64 = 4;

/// What a lane sends at once: so many may be under way to the next hop when the relay dies.
const PER_NEXT_HOP_MAX: u64 = 20;

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn wanted(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect(variable))
}

/// Octets that tell which message they belong to: most of a page, some of several, a few in a file
/// of their own.
fn content(token: &str) -> String {
    let (_, number) = token.split_once('-').unwrap();
    let lines = match number.parse::<u64>().unwrap() % 32 {
        0 => 6_000,
        1..4 => 1_000,
        _ => 80,
    };
    format!(
        "From: ann@a.example\r\nSubject: {token}\r\n\r\n{}",
        format!("A line of {token}.\r\n").repeat(lines)
    )
}

/// What one sender did.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeSet<String>,
    /// Messages whose fate it was not told.
    open: BTreeSet<String>,
}

/// Sends for as long as it is wanted, to a relay that comes and goes.
fn send(address: SocketAddr, password: &str, sender: u64, is_over: &AtomicBool) -> Sent {
    let mut sent = Sent::default();
    let mut numbers = 0_u64..;
    while !is_over.load(Ordering::Relaxed) {
        let Some(mut client) = log_in(address, password) else {
            thread::park_timeout(Duration::from_millis(2));
            continue;
        };
        for number in numbers.by_ref() {
            let token = format!("{sender}-{number}");
            let reply = client.message("ann@a.example", "bob@d.example", &content(&token));
            match reply.as_str() {
                "" => {
                    sent.open.insert(token);
                    break;
                }
                reply if reply.starts_with("250 2.0.0") => {
                    sent.acknowledged.insert(token);
                }
                reply => panic!("{token}: {reply}"),
            }
            if is_over.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    sent
}

/// A session, if the relay lives long enough.
fn log_in(address: SocketAddr, password: &str) -> Option<Client> {
    let mut client = Client::reach(address)?;
    if !client.is_greeted_within(Duration::from_secs(20)) {
        return None;
    }
    let greeting = client.reply();
    let list = client.command("EHLO client.test");
    let reply = client.auth_plain("ann", password);
    let is_well = |reply: &str, code: &str| reply.is_empty() || reply.starts_with(code);
    assert!(is_well(&greeting, "220"), "{greeting}");
    assert!(is_well(&list, "250"), "{list}");
    assert!(is_well(&reply, "235"), "{reply}");
    (!reply.is_empty()).then_some(client)
}

/// Which messages have arrived, whole, with their ids for each time.
fn arrived(sink: &Sink) -> BTreeMap<String, Vec<String>> {
    let mut arrived: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for received in sink.received() {
        let subject = received.field("Subject").unwrap();
        let expected = format!("{}\r\n", content(&subject));
        assert!(
            received.submitted() == expected.as_bytes(),
            "{subject} is not whole"
        );
        let trace = received.field("Received").unwrap();
        let (_, id) = trace.split_once(" id ").unwrap();
        let id = id.split_whitespace().next().unwrap();
        arrived.entry(subject).or_default().push(id.to_owned());
    }
    arrived
}

/// Whether the trail of a message says that it may come twice; true of one that is forgotten.
fn is_told(relay: &Relay, id: &str) -> bool {
    let answer = relay.api("GET", &format!("/api/v1/messages/{id}"), None);
    if answer.status == 404 {
        return true;
    }
    let trail = answer.document();
    let trail = trail["trail"].as_array().unwrap();
    let is_told = |entry: &Value| entry["event"] == "interrupted" || entry["unknown"] == true;
    trail.iter().any(is_told)
}

#[test]
fn nothing_that_was_acknowledged_is_lost_whenever_the_relay_is_killed() {
    let (kills, seed) = (wanted(KILLS, KILLS_USUAL), wanted(SEED, 1));
    let mut dice = Dice(seed.max(1));
    let mut relay = Relay::start_in_clear("[delivery]\nretry = [\"1s\"]\n");
    let sink = Sink::start(relay.ip, &[]);
    let (address, password) = (relay.smtp(), relay.user("ann", "a.example"));
    let is_over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (password, is_over) = (password.clone(), Arc::clone(&is_over));
            thread::spawn(move || send(address, &password, sender, &is_over))
        })
        .collect();
    for _ in 0..kills {
        // While it starts, which is when it does again what the journal has; or under load.
        let moment = match dice.below(4) {
            0 => dice.below(60),
            _ => {
                relay.wait_until_it_serves();
                dice.below(400)
            }
        };
        thread::park_timeout(Duration::from_millis(moment));
        relay.kill();
        relay.spawn();
    }
    relay.wait_until_it_serves();
    is_over.store(true, Ordering::Relaxed);
    let mut sent = Sent::default();
    for sender in senders {
        let by_one = sender.join().unwrap();
        sent.acknowledged.extend(by_one.acknowledged);
        sent.open.extend(by_one.open);
    }
    wait_until("nothing is left", || relay.queued().is_empty());
    let arrived = arrived(&sink);
    let lost: Vec<_> = sent
        .acknowledged
        .iter()
        .filter(|token| !arrived.contains_key(*token))
        .collect();
    let strangers: Vec<_> = arrived
        .keys()
        .filter(|token| !sent.acknowledged.contains(*token) && !sent.open.contains(*token))
        .collect();
    let twice: Vec<_> = arrived.values().filter(|ids| ids.len() > 1).collect();
    let again: usize = twice.iter().map(|ids| ids.len() - 1).sum();
    println!(
        "seed {seed}: {kills} kills, {} messages acknowledged, {} arrived, {again} of them again, {} lost",
        sent.acknowledged.len(),
        arrived.len(),
        lost.len(),
    );
    assert!(lost.is_empty(), "seed {seed}: lost: {lost:?}");
    assert!(
        strangers.is_empty(),
        "seed {seed}: never sent: {strangers:?}"
    );
    assert!(
        sent.acknowledged.len() as u64 >= kills,
        "only {} messages were taken",
        sent.acknowledged.len()
    );
    // Again comes only what was under way to the next hop, and its trail says so.
    assert!(
        again as u64 <= kills * PER_NEXT_HOP_MAX,
        "{again} arrived again"
    );
    for ids in twice {
        let id = &ids[0];
        assert!(is_told(&relay, id), "{id} came {} times", ids.len());
    }
}

#[test]
fn a_first_start_that_is_killed_is_followed_by_one_that_serves() {
    // What it makes, in this order. A name that comes and goes may be missed; then it is killed at the next one.
    let names = [
        "spool.redb.new",
        "spool.redb",
        "spool.journal",
        "directory.redb.new",
        "directory.redb",
        "self-signed-key.pem",
        "admin-token",
    ];
    for (at, name) in names.iter().enumerate() {
        let mut relay = Relay::spawn_at(Address::of_this_test(), "# in clear\n", &[]);
        let data = relay.data();
        let until = Instant::now() + PATIENCE;
        while !names[at..].iter().any(|name| data.join(name).exists()) {
            assert!(Instant::now() < until, "in vain: {name}");
            thread::yield_now();
        }
        relay.kill();
        relay.restart();
        let password = relay.user("ann", "a.example");
        let mut client = relay.logged_in("ann", &password);
        let reply = client.message("ann@a.example", "bob@d.example", &content("0-1"));
        assert!(reply.starts_with("250 2.0.0"), "killed at {name}: {reply}");
        for entry in data.read_dir().unwrap() {
            let entry = entry.unwrap().file_name().into_string().unwrap();
            assert!(!entry.ends_with(".new"), "killed at {name}: {entry}");
        }
    }
}
