//! Mail that is queued when the routes change: it waits where it goes, and is tried there only.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::support::{Address, Client, Names, Relay, SINK, Sink, mail, message_id, wait_until};

/// A smarthost that takes connections and closes each at once.
struct Dead {
    address: (IpAddr, u16),
    connections: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    listening: JoinHandle<()>,
}

impl Dead {
    fn start(ip: IpAddr, port: u16) -> Dead {
        let listener = TcpListener::bind((ip, port)).unwrap();
        let (connections, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, end) = (Arc::clone(&connections), Arc::clone(&is_over));
        let listening = thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Dead {
            address: (ip, port),
            connections,
            is_over,
            listening,
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Nobody listens there any more.
    fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address).unwrap());
        self.listening.join().unwrap();
    }
}

fn route(recipients: &str, port: u16) -> String {
    format!("[[delivery.route]]\nrecipients = \"{recipients}\"\nsmarthost = \"IP:{port}\"\n")
}

fn session(relay: &Relay) -> Client {
    let password = relay.user("ann", "a.example");
    relay.logged_in("ann", &password)
}

fn submit(client: &mut Client, to: &[&str]) -> String {
    let content = mail("ann@a.example", "moves");
    message_id(&client.transaction("<ann@a.example>", to, &content))
}

fn is_at(row: &Value, next_hop: &str) -> bool {
    row["next_hop"] == next_hop
}

#[test]
fn mail_for_a_thousand_domains_that_a_reload_leads_to_a_dead_smarthost_waits_in_its_lane() {
    const MESSAGES: usize = 100;
    const DOMAINS: usize = 10;
    let ip = Address::of_this_test();
    let server = Names::default().serve(ip);
    let base = format!("# in clear\n# mx\n[dns]\nservers = [\"{server}\"]\n");
    let relay = Relay::start_at(ip, &base, &[]);
    relay.printed_by(&["queue", "stop"]);
    let mut client = session(&relay);
    for message in 0..MESSAGES {
        let to = (0..DOMAINS).map(|domain| format!("<you@d{domain}.m{message}.example>"));
        let to: Vec<String> = to.collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        submit(&mut client, &to);
    }
    let waiting = relay.queued();
    assert_eq!(waiting.len(), MESSAGES * DOMAINS);
    let lanes: BTreeSet<&str> = waiting
        .iter()
        .filter_map(|row| row["next_hop"].as_str())
        .collect();
    assert_eq!(lanes.len(), MESSAGES * DOMAINS);

    let dead = Dead::start(ip, SINK);
    relay.configure(&format!("{base}{}", route("*", SINK)));
    relay.json(&["reload"]);
    relay.printed_by(&["queue", "start"]);
    let smarthost = format!("smarthost {ip}:{SINK}");
    wait_until("all of it waits for the smarthost", || {
        relay.queued().iter().all(|row| is_at(row, &smarthost))
    });
    wait_until("it is left alone", || {
        relay
            .get("/metrics")
            .contains("outpost_queue_unreachable 1\n")
    });
    let listed = relay.printed_by(&["queue", "ls"]);
    assert!(listed.contains(&smarthost), "{listed}");
    // Twenty in a row, those that had begun beside them, and a trial now and then.
    let connections = dead.connections();
    assert!(connections < 60, "{connections} connections");

    dead.end();
    let sink = Sink::start(ip, &[]);
    relay.printed_by(&["queue", "retry", "--all", "--yes"]);
    let arrived = sink.wait_for(MESSAGES * DOMAINS);
    wait_until("all of it is delivered", || relay.queued().is_empty());
    let recipients: Vec<String> = arrived.iter().flat_map(|one| one.recipients()).collect();
    let once: BTreeSet<&String> = recipients.iter().collect();
    assert_eq!(
        (recipients.len(), once.len()),
        (MESSAGES * DOMAINS, MESSAGES * DOMAINS)
    );
    assert_eq!(sink.count(), MESSAGES * DOMAINS);
}

#[test]
fn what_waits_for_a_dead_smarthost_and_goes_elsewhere_by_now_leaves_with_the_reload() {
    let retry = "# in clear\n[delivery]\nretry = [\"1h\"]\n";
    let relay = Relay::start_in_clear(&format!("{retry}{}", route("*", SINK)));
    let ip = relay.ip;
    let dead = Dead::start(ip, SINK);
    // So that it waits there all at once.
    relay.printed_by(&["queue", "stop"]);
    let mut client = session(&relay);
    let mut ids = Vec::new();
    for _ in 0..100 {
        for to in ["<you@b.example>", "<you@c.example>"] {
            ids.push(submit(&mut client, &[to]));
        }
    }
    relay.printed_by(&["queue", "start"]);
    wait_until("it is left alone", || {
        relay
            .get("/metrics")
            .contains("outpost_queue_unreachable 1\n")
    });
    let is_for = |row: &Value, to: &str| row["recipients"][0] == to;
    let waits = |to: &str| {
        let queued = relay.queued();
        let waiting = queued
            .iter()
            .filter(|row| row["state"] == "waiting" && is_for(row, to));
        waiting.count()
    };
    let (moving, staying) = (waits("you@b.example"), waits("you@c.example"));
    assert!(moving > 20 && staying > 20, "{moving}, {staying}");
    let before = dead.connections();
    let sink = Sink::start_on(ip, 2601, &[]);
    relay.configure(&format!(
        "{retry}{}{}",
        route("b.example", 2601),
        route("*", SINK)
    ));
    relay.json(&["reload"]);
    // A trial may have begun before it was counted what waits.
    let arrived = sink.wait_for(moving - 1);
    assert!(
        arrived
            .iter()
            .all(|one| one.recipients() == ["you@b.example"])
    );
    assert!(
        dead.connections() <= before + 5,
        "{before}, {}",
        dead.connections()
    );
    let (from, to) = (
        format!("smarthost {ip}:{SINK}"),
        format!("smarthost {ip}:2601"),
    );
    let told = relay.printed_by(&["queue", "show", ids[ids.len() - 2].as_str()]);
    let moved = format!("the routes lead elsewhere now: moved from {from} to {to} (1 recipient)\n");
    assert_eq!(told.matches(&moved).count(), 1, "{told}");
    assert_eq!(told.matches("attempt to ").count(), 1, "{told}");
    let queued = relay.queued();
    assert!(
        queued
            .iter()
            .filter(|row| is_for(row, "you@c.example"))
            .all(|row| is_at(row, &from))
    );
}
