//! What a 250 is worth: nothing that was acknowledged is lost by kill -9, and nothing is
//! acknowledged before it was synced.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;

use crate::support::{Client, Program, Relay, Sink, wait_until};

/// A session that has logged in.
fn log_in(address: SocketAddr, password: &str) -> Client {
    let mut client = Client::connect(address);
    let reply = client.log_in("ann", password);
    assert!(reply.starts_with("235"), "{reply}");
    client
}

fn content(token: &str) -> String {
    format!(
        "From: ann@a.example\r\nSubject: {token}\r\n\r\n{}",
        "Some line of some letter.\r\n".repeat(80)
    )
}

/// Sends until the relay goes away; returns the tokens of what was acknowledged.
fn send_until_killed(address: SocketAddr, password: &str, name: &str) -> Vec<String> {
    let mut client = log_in(address, password);
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let token = format!("{name}-{number}");
        let reply = client.message("ann@a.example", "bob@d.example", &content(&token));
        match reply.as_str() {
            "" => break,
            reply if reply.starts_with("250 2.0.0") => acknowledged.push(token),
            reply => panic!("{reply}"),
        }
    }
    acknowledged
}

/// The subjects of what has arrived.
fn arrived(sink: &Sink) -> BTreeSet<String> {
    let received = sink.received();
    let subject = |text: String| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
        line.unwrap_or_default()
    };
    received
        .iter()
        .map(|message| subject(message.text()))
        .collect()
}

#[test]
fn every_acknowledged_message_arrives_though_the_relay_is_killed_under_load() {
    let mut relay = Relay::start_in_clear("[delivery]\nretry = [\"1s\"]\n");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut acknowledged = BTreeSet::new();
    for round in 0..4 {
        let address = relay.smtp();
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let password = password.clone();
                thread::spawn(move || {
                    send_until_killed(address, &password, &format!("{round}-{sender}"))
                })
            })
            .collect();
        // In the middle of it: when some have arrived and many are under way.
        sink.wait_for(arrived(&sink).len() + 20 * (round + 1));
        relay.kill();
        for sender in senders {
            acknowledged.extend(sender.join().unwrap());
        }
        relay.restart();
    }
    assert!(
        acknowledged.len() >= 100,
        "only {} messages were taken",
        acknowledged.len()
    );
    wait_until("all that was acknowledged arrives", || {
        acknowledged.is_subset(&arrived(&sink))
    });
}

/// fsync and fdatasync calls of the relay while `work` runs.
fn syncs(relay: &Relay, work: impl FnOnce()) -> usize {
    let counts = relay.folder().join("syncs");
    let mut strace = Program::start(
        Command::new("strace")
            .args([
                "-f",
                "-e",
                "trace=fsync,fdatasync",
                "-e",
                "signal=none",
                "-o",
            ])
            .arg(&counts)
            .args(["-p", &relay.id().to_string()]),
    );
    strace.wait_for_line("attached");
    work();
    // Its end is the end of the file.
    let interrupted = Command::new("kill")
        .args(["-INT", &strace.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    strace.wait();
    let text = fs::read_to_string(counts).unwrap();
    // A call that was interrupted by another thread stands on two lines; its result stands once.
    text.lines()
        .filter(|line| line.contains(") ") && line.contains("= 0"))
        .count()
}

#[test]
fn a_lone_sender_is_answered_after_a_sync_and_ten_share_them() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let address = relay.smtp();

    let mut client = log_in(address, &password);
    let alone = syncs(&relay, || {
        for number in 0..20 {
            let reply = client.message(
                "ann@a.example",
                "bob@d.example",
                &content(&number.to_string()),
            );
            assert!(reply.starts_with("250 2.0.0"), "{reply}");
        }
    });
    assert!(
        alone >= 20,
        "{alone} syncs for 20 messages, one after the other"
    );

    let messages = 400;
    let shared = syncs(&relay, || {
        let senders: Vec<_> = (0..10)
            .map(|sender| {
                let mut client = log_in(address, &password);
                thread::spawn(move || {
                    for number in 0..messages / 10 {
                        let token = format!("{sender}-{number}");
                        let reply =
                            client.message("ann@a.example", "bob@d.example", &content(&token));
                        assert!(reply.starts_with("250 2.0.0"), "{reply}");
                    }
                })
            })
            .collect();
        senders
            .into_iter()
            .for_each(|sender| sender.join().unwrap());
    });
    assert!(
        shared * 2 < messages,
        "{shared} syncs for {messages} messages over ten connections"
    );
    sink.wait_for(20 + messages);
}
