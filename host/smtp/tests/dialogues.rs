//! Runs the dialogue files of tests/dialogues against the bare core, with the client's octets cut in
//! several ways: the replies must always be the same.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use outpost_smtp::Limits;
use outpost_smtp::dialogue::{Decision, Dialogue, Peer, parse};
use outpost_smtp::server::{Security, Settings};
use support::{Relay, settings, variables};

/// The bare core behind the eyes of a dialogue.
struct Core {
    relay: Relay,
    cut: usize,
    read: usize,
}

impl Peer for Core {
    fn send(&mut self, octets: &[u8]) {
        for piece in octets.chunks(self.cut) {
            self.relay.feed(piece);
        }
    }

    fn receive_line(&mut self) -> Option<String> {
        let rest = &self.relay.sent[self.read..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.read += end + 2;
        Some(String::from_utf8(rest[..end].to_vec()).unwrap())
    }

    fn start_tls(&mut self) {
        self.relay.start_tls();
    }

    fn is_closed(&mut self) -> bool {
        self.relay.is_closed && self.read == self.relay.sent.len()
    }

    fn messages(&mut self) -> Vec<Vec<u8>> {
        self.relay.messages.clone()
    }

    fn decide(&mut self, decision: &Decision) {
        self.relay.decisions.push_back(decision.clone());
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

fn settings_of(dialogue: &Dialogue) -> Settings {
    let mut settings = settings();
    settings.starttls = dialogue.starttls;
    settings.plaintext_auth = dialogue.plaintext_auth;
    for (name, number) in &dialogue.limits {
        set_limit(&mut settings.limits, name, *number);
    }
    settings
}

fn set_limit(limits: &mut Limits, name: &str, number: u64) {
    let small = u32::try_from(number).unwrap_or(u32::MAX);
    let size = usize::try_from(number).unwrap_or(usize::MAX);
    match name {
        "command_octets_max" => limits.command_octets_max = size,
        "auth_line_octets_max" => limits.auth_line_octets_max = size,
        "recipients_max" => limits.recipients_max = small,
        "content_octets_max" => limits.content_octets_max = number,
        "content_line_octets_max" => limits.content_line_octets_max = number,
        "discarded_octets_max" => limits.discarded_octets_max = number,
        "errors_max" => limits.errors_max = small,
        "auth_failures_max" => limits.auth_failures_max = small,
        "commands_before_login_max" => limits.commands_before_login_max = small,
        "commands_without_mail_max" => limits.commands_without_mail_max = small,
        "future_release_max" => limits.future_release_max = Duration::from_secs(number),
        "deliver_by_min" => limits.deliver_by_min = Duration::from_secs(number),
        _ => panic!("no limit is called {name}"),
    }
}

#[test]
fn every_dialogue_is_kept_to_however_the_octets_are_cut() {
    let mut failures = Vec::new();
    let files = files();
    assert!(files.len() >= 60, "only {} dialogues found", files.len());
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let dialogue = match parse(&text, &variables()) {
            Ok(dialogue) => dialogue,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        for cut in [usize::MAX, 1, 2, 3, 7, 64] {
            let security = if dialogue.implicit_tls {
                Security::Tls
            } else {
                Security::Plain
            };
            let relay = Relay::new(settings_of(&dialogue), security);
            let mut core = Core {
                relay,
                cut,
                read: 0,
            };
            if let Err(failure) = dialogue.run(&mut core) {
                failures.push(format!("{name} cut by {cut}: {failure}"));
                break;
            }
            let unread = &core.relay.sent[core.read..];
            if !unread.is_empty() {
                let unread = String::from_utf8_lossy(unread).into_owned();
                failures.push(format!("{name} cut by {cut}: not expected: {unread:?}"));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What only the bare core can do has no place in a file that is for relays too.
#[test]
fn dialogues_for_relays_set_no_limits_and_decide_nothing() {
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let dialogue = parse(&text, &variables()).unwrap();
        assert!(
            text.starts_with("# "),
            "{}: says what it shows in its first line",
            path.display()
        );
        if dialogue.runs_on_relay {
            let decides = dialogue
                .events
                .iter()
                .any(|(_, event)| matches!(event, outpost_smtp::dialogue::Event::Decide(_)));
            assert!(dialogue.limits.is_empty() && !decides, "{}", path.display());
        }
    }
}
