//! Policy components are deployed while mail goes on: no connection is dropped, each transaction sees one version, and
//! what was deployed is there after a restart.

use std::fs;

use super::policy::{component, decisions, digest};
use crate::support::{Client, Relay, Sink, mail, message_id};

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
