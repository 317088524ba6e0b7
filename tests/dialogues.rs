//! Plays the dialogue files against a relay behind a socket: those that are marked for relays.
//!
//! Whatever the files show of the protocol core holds for the relay too: its driver, its
//! decisions and its spool change no reply. One relay serves them all; what it accepts is looked
//! at where it arrives.

use std::fs;
use std::path::PathBuf;

use outpost_smtp::dialogue::{Decision, Dialogue, Peer, Variables, parse};

use crate::support::{Client, Relay, Sink, top};

/// The relay behind the eyes of one dialogue.
struct Behind<'a> {
    client: Client,
    relay: &'a Relay,
    sink: &'a Sink,
    /// What had arrived before this dialogue.
    before: usize,
    /// Messages accepted in this dialogue, counted by the replies that said so.
    accepted: usize,
}

impl Peer for Behind<'_> {
    fn send(&mut self, octets: &[u8]) {
        self.client.send(octets);
    }

    fn receive_line(&mut self) -> Option<String> {
        let line = self.client.line()?;
        if line.starts_with("250 2.0.0 Queued as ") {
            self.accepted += 1;
        }
        Some(line)
    }

    fn start_tls(&mut self) {
        self.client.start_tls(&self.relay.certificate());
    }

    fn is_closed(&mut self) -> bool {
        self.client.is_closed()
    }

    fn messages(&mut self) -> Vec<Vec<u8>> {
        let arrived = self.sink.wait_for(self.before + self.accepted);
        arrived[self.before..]
            .iter()
            .map(|received| received.content.clone())
            .collect()
    }

    fn decide(&mut self, _: &Decision) {
        panic!("a relay decides for itself");
    }
}

#[test]
fn every_dialogue_for_relays_is_kept_to_by_the_relay() {
    let relays = [
        Relay::start_in_clear("[delivery]\nper_next_hop_max = 1\n"),
        Relay::start("[delivery]\nper_next_hop_max = 1\n"),
    ];
    let sinks = relays.each_ref().map(|relay| Sink::start(relay.ip, &[]));
    let secrets = relays
        .each_ref()
        .map(|relay| relay.user("user", "a.example"));
    let mut failures = Vec::new();
    let mut played = 0;
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        // Which relay is known once the file is read, and the file is read with the relay's secret.
        let of = |secret: &String| parse(&text, &variables(secret)).unwrap();
        let which = usize::from(!of(&secrets[0]).plaintext_auth);
        let dialogue = of(&secrets[which]);
        // A relay always offers STARTTLS on a port in clear.
        if !dialogue.runs_on_relay || !dialogue.starttls {
            continue;
        }
        played += 1;
        if let Err(failure) = play(&dialogue, &relays[which], &sinks[which]) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(played >= 60, "only {played} dialogues were played");
}

fn play(dialogue: &Dialogue, relay: &Relay, sink: &Sink) -> Result<(), String> {
    let client = if dialogue.implicit_tls {
        Client::open_tls(relay.tls(), &relay.certificate())
    } else {
        Client::open(relay.smtp())
    };
    let mut behind = Behind {
        client,
        relay,
        sink,
        before: sink.count(),
        accepted: 0,
    };
    dialogue
        .run(&mut behind)
        .map_err(|failure| failure.to_string())?;
    // What it accepted must have arrived before the next dialogue counts.
    behind.messages();
    // Nothing may be left to say: the next word is the answer to this one, or the end.
    if behind.client.is_over() {
        return Ok(());
    }
    match behind.client.command("NOOP").as_str() {
        "" => Ok(()),
        noop if noop.starts_with("250 2.0.0") || noop.starts_with("421") => Ok(()),
        other => Err(format!("not expected: {other:?}")),
    }
}

fn variables(secret: &str) -> Variables {
    Variables {
        hostname: "relay.test".into(),
        size: 52_428_800,
        user: "user".into(),
        secret: secret.to_owned(),
        sender: "sender@a.example".into(),
        recipient: "recipient@b.example".into(),
    }
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(top().join("tests/dialogues"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    files.sort();
    files
}
