//! Policy components are deployed while mail goes on: no connection is dropped, each transaction sees one version, and
//! what was deployed is there after a restart.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::policy::{component, decisions, digest};
use crate::support::{Client, Relay, Sink, mail, message_id, wait_until};

fn session(relay: &Relay, name: &str) -> Client {
    let password = relay.user(name, "a.example");
    relay.logged_in(name, &password)
}

const MAIL: &str = "MAIL FROM:<ann@a.example>";

#[test]
fn a_session_that_is_open_goes_on_over_versions_and_a_transaction_sees_one() {
    let mut relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut idle = relay.logged_in("ann", &password);
    let mut begun = relay.logged_in("ann", &password);
    let shipped = digest(&component("components/authorized-senders.wasm"));
    begun.expect(MAIL, "250");

    // An own one in the place of the one that ships; it has another idea of who may send.
    let own = component("components/examples/own-domain.wasm");
    let name = "authorized-senders";
    let changed = relay.json(&["plugin", "install", &own, "--name", name, "--note", "try"]);
    assert_eq!(changed["changed"], true, "{changed:#}");
    assert_eq!(changed["plugins"][0]["digest"], digest(&own));
    idle.expect(MAIL, "550 5.7.1 Use an address of your own domain.");
    // What had begun ends with what it began with, also when the authors are looked at.
    begun.expect("RCPT TO:<bob@d.example>", "250");
    begun.expect("DATA", "354");
    begun.send(mail("ann@a.example", "across").as_bytes());
    let id = message_id(&begun.expect("\r\n.", "250"));
    for decision in &decisions(&relay, &id)[..2] {
        assert_eq!(decision["digest"], shipped, "{decision}");
    }
    let from = "x@ann.example.com";
    let id = message_id(&idle.message(from, "bob@d.example", &mail(from, "own")));
    assert_eq!(decisions(&relay, &id)[0]["digest"], digest(&own));

    // It is there after a restart, and what was before it comes back, on a connection that stays open.
    assert!(relay.terminate().success());
    relay.restart();
    let mut client = relay.logged_in("ann", &password);
    client.expect(MAIL, "550 5.7.1 Use an address of your own domain.");
    let shown = relay.printed_by(&["plugin", "show", name]);
    assert!(
        shown.contains("first-start") && shown.contains("try"),
        "{shown}"
    );
    relay.printed_by(&["plugin", "rollback", name]);
    let id = message_id(&client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "back"),
    ));
    assert_eq!(decisions(&relay, &id)[0]["digest"], shipped);
    sink.wait_for(3);
}

#[test]
fn what_does_not_fit_changes_nothing_and_is_told_by_name() {
    let relay = Relay::start_in_clear("");
    let before = relay.read("/api/v1/plugins");
    let text = relay.folder().join("text.wasm");
    fs::write(&text, "text").unwrap();
    let text = text.display().to_string();
    for (file, more, told) in [
        (text.as_str(), &[][..], "not a component"),
        (
            &component("components/tests/foreign-import.wasm"),
            &[],
            "it imports wasi:filesystem/preopens@0.2.0, which no component is given",
        ),
        (
            &component("components/tests/wants-wasi.wasm"),
            &[],
            "`wasi = \"empty\"` gives it",
        ),
        (
            &component("museum/9.0.0/incompatible.wasm"),
            &[],
            "built for outpost:policy@9.0.0 (import types), and this relay speaks outpost:policy@0.1.0",
        ),
        (
            &component("components/examples/working-hours.wasm"),
            &["--set", "opens=08:00"],
            "its setting \"opens\": is not a setting",
        ),
    ] {
        let mut line = vec!["plugin", "install", file, "--name", "mine"];
        line.extend(more);
        let said = relay.complaint_of(&line);
        assert!(said.contains(told), "{file}: {said}");
        line.push("--dry-run");
        assert!(relay.complaint_of(&line).contains(told), "{file}");
    }
    assert_eq!(relay.read("/api/v1/plugins"), before);
    let kept = fs::read_dir(relay.data().join("deployed")).unwrap();
    assert_eq!(kept.count(), 0, "nothing is kept of what was refused");
    session(&relay, "ann").expect(MAIL, "250");
}

#[test]
fn mail_flows_on_one_connection_over_many_versions() {
    let relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay, "ann");
    let (accepted, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let asked = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut ids = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let subject = format!("n{}", ids.len());
                let letter = mail("ann@a.example", &subject);
                let reply = client.message("ann@a.example", "bob@d.example", &letter);
                ids.push(message_id(&reply));
                accepted.store(ids.len(), Ordering::Relaxed);
            }
            ids
        });
        let permits = component("components/tests/misbehaving.wasm");
        let some_are_accepted = || {
            let before = accepted.load(Ordering::Relaxed);
            wait_until("mail is accepted", || {
                accepted.load(Ordering::Relaxed) >= before + 2
            });
        };
        for round in 0..5 {
            some_are_accepted();
            let note = format!("round {round}");
            let line = ["plugin", "install", &permits, "--name", "more"];
            let more = ["--set", "behaviour=permit", "--note", &note];
            relay.printed_by(&[&line[..], &more].concat());
            some_are_accepted();
            let order = ["more", "effective-priority", "authorized-senders"];
            relay.printed_by(&[&["plugin", "order"], &order[..]].concat());
            relay.printed_by(&["plugin", "disable", "more"]);
            relay.printed_by(&["plugin", "rm", "more"]);
        }
        is_over.store(true, Ordering::Relaxed);
        let ids = sending.join().unwrap();
        let asked = ids.iter().map(|id| {
            let decisions = decisions(&relay, id);
            let about_sender = decisions.iter().filter(|one| one["question"] == "sender");
            let by: Vec<_> = about_sender.map(|one| &one["component"]).collect();
            // At MAIL and with the header the same ones are asked in the same order.
            let half = by.len() / 2;
            assert_eq!(by[..half], by[half..], "{id}");
            half
        });
        asked.collect::<Vec<_>>()
    });
    assert!(asked.contains(&1) && asked.contains(&2), "{asked:?}");
}

#[test]
fn of_two_who_change_what_they_have_seen_one_is_told() {
    let relay = Relay::start("");
    let seen = relay.read("/api/v1/plugins")["revision"].clone();
    let seen = seen.as_str().unwrap();
    let outcomes: Vec<bool> = thread::scope(|scope| {
        let disable = [
            "plugin",
            "disable",
            "effective-priority",
            "--revision",
            seen,
        ];
        let order = [
            "plugin",
            "order",
            "effective-priority",
            "authorized-senders",
        ];
        let order = [&order[..], &["--revision", seen]].concat();
        let relay = &relay;
        let tries = [disable.to_vec(), order]
            .map(|line| scope.spawn(move || relay.outpost(&line).status.success()));
        tries.map(|one| one.join().unwrap()).to_vec()
    });
    assert_eq!(
        outcomes.iter().filter(|done| **done).count(),
        1,
        "{outcomes:?}"
    );
    let said = relay.complaint_of(&["plugin", "enable", "effective-priority", "--revision", seen]);
    assert!(said.contains("not any more what you have seen"), "{said}");
    // Without a condition it is made to whatever there is.
    let order = json!({"order": ["authorized-senders", "effective-priority"]});
    let done = relay.api("PUT", "/api/v1/plugins/order", Some(&order));
    assert_eq!(done.status, 200, "{}", done.text);
}

#[test]
fn what_was_deployed_lies_over_the_file_and_outlives_a_reload_and_a_kill() {
    let own = component("components/examples/own-domain.wasm");
    let chain = "[[plugin]]\nname = \"authorized-senders\"\n[[plugin]]\nname = \"effective-priority\"\n# in clear\n";
    let mut relay = Relay::start(chain);
    let password = relay.user("ann", "a.example");
    relay.printed_by(&["plugin", "install", &own, "--position", "1"]);
    let warned = relay.printed_by(&["plugin", "disable", "own-domain"]);
    assert!(!warned.contains("warning"), "{warned}");
    relay.printed_by(&["plugin", "enable", "own-domain"]);
    let refused = "550 5.7.1 Use an address of your own domain.";
    relay.logged_in("ann", &password).expect(MAIL, refused);

    relay.configure("[[plugin]]\nname = \"effective-priority\"\n# in clear\n");
    relay.printed_by(&["plugin", "disable", "authorized-senders"]);
    let reloaded = relay.printed_by(&["reload"]);
    let told = "`authorized-senders` was changed at run time and is not named here any more";
    assert!(reloaded.contains(told), "{reloaded}");
    relay.kill();
    relay.restart();
    relay.logged_in("ann", &password).expect(MAIL, refused);
    let listed = relay.printed_by(&["plugin", "ls"]);
    assert!(listed.contains("not configured"), "{listed}");
    assert!(
        listed.starts_with("NAME") && listed.contains("\nown-domain "),
        "{listed}"
    );

    // The last one that decides about senders.
    let warned = relay.printed_by(&["plugin", "disable", "own-domain", "--dry-run"]);
    assert!(warned.contains("nothing was changed") && warned.contains("every sender is refused"));
    relay.logged_in("ann", &password).expect(MAIL, refused);
    let warned = relay.printed_by(&["plugin", "disable", "own-domain"]);
    assert!(warned.contains("warning: ") && warned.contains("every sender is refused"));
    let nobody = "550 5.7.1 You are not authorized to send as this sender";
    relay.logged_in("ann", &password).expect(MAIL, nobody);
    relay.printed_by(&["plugin", "enable", "own-domain"]);

    // A relay does not start on a rule that is gone, and says which and what to do.
    assert!(relay.terminate().success());
    let deployed = relay.data().join("deployed");
    let file = deployed.join(format!("{}.wasm", digest(&own)));
    for damage in [Some("other"), None] {
        match damage {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        relay.spawn();
        assert!(!relay.program().wait().success());
        let said = relay.printed();
        let names = [
            &file.display().to_string(),
            "plugin \"own-domain\"",
            "move the folder",
        ];
        assert!(names.iter().all(|name| said.contains(*name)), "{said}");
    }
    fs::rename(&deployed, relay.folder().join("aside")).unwrap();
    relay.configure(chain);
    relay.restart();
    relay.logged_in("ann", &password).expect(MAIL, "250");
}
