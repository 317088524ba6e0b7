//! The notification that a refused sender raises: who gets it, when, and what it says.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Client, Relay, Sink, mail, outpost, run, wait_until};

/// A relay whose default list is told to ops, with a user of a.example.
fn relay() -> (Relay, Sink, Client) {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    relay.printed_by(&["list", "set", "default", "--notify", "ops@a.example"]);
    let password = relay.user("ann", "a.example");
    let client = relay.logged_in("ann", &password);
    (relay, sink, client)
}

#[test]
fn a_refused_envelope_sender_is_told_to_the_list_at_once() {
    let (relay, sink, mut client) = relay();
    let began = Instant::now();
    client.expect("MAIL FROM:<ceo@victim.example>", "550 5.7.1");
    let notice = sink.wait_for(1).remove(0);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(notice.recipients(), ["ops@a.example"]);
    assert_eq!(notice.envelope["from"], "", "it can never bounce");
    assert_eq!(
        notice.field("Subject").unwrap(),
        "User ann was refused as ceo@victim.example"
    );
    assert_eq!(notice.field("Auto-Submitted").unwrap(), "auto-generated");
    let text = notice.text();
    for said in [
        "User:    ann (list default)\r\n",
        "Sender:  ceo@victim.example\r\n",
        "Client:  127.0.0.1\r\n",
        "outpost user reset-password ann\r\n",
    ] {
        assert!(text.contains(said), "{said:?} in\n{text}");
    }
    // What it says to type does what it says, in a shell.
    let line = text
        .lines()
        .find(|line| line.contains("outpost user set ann "));
    let typed = line.unwrap().trim().strip_prefix("outpost ").unwrap();
    let configuration = relay.folder().join("outpost.toml");
    let (program, configuration) = (outpost().display().to_string(), configuration.display());
    let typed = run(
        Command::new("sh").args(["-c", &format!("{program} --config {configuration} {typed}")])
    );
    assert!(typed.status.success(), "{line:?}: {typed:?}");
    client.expect("MAIL FROM:<ceo@victim.example>", "250");
}

#[test]
fn a_refused_header_is_told_too_and_the_forged_address_gets_nothing() {
    let (relay, sink, mut client) = relay();
    // The forged address is among those that are told: it is left out.
    relay.printed_by(&[
        "list",
        "set",
        "default",
        "--notify",
        "ceo@victim.example;ops@a.example;sec@victim.example",
    ]);
    let reply = client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ceo@victim.example", "forged"),
    );
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    let notice = sink.wait_for(1).remove(0);
    assert_eq!(notice.recipients(), ["ops@a.example", "sec@victim.example"]);
    assert!(!notice.text().contains("The text of forged"));
    wait_until("nothing is queued", || relay.queued().is_empty());
    assert_eq!(sink.count(), 1);
}

/// How many refusals a notification tells of.
fn told(text: &str) -> u64 {
    let line = text
        .lines()
        .find(|line| line.starts_with("A user tried") || line.starts_with("It happened"));
    let count = line.and_then(|line| line.split(' ').find_map(|word| word.parse().ok()));
    count.unwrap_or(1)
}

#[test]
fn a_thousand_refusals_are_a_handful_of_notifications_with_a_count() {
    let (_relay, sink, mut client) = relay();
    for number in 0..1_000 {
        let reply = client.command(&format!("MAIL FROM:<ceo{number}@victim.example>"));
        assert!(reply.starts_with("550 5.7.1"), "{reply}");
    }
    // The first at once, the rest after the first interval, and no more while it is quiet.
    let notices = sink.wait_for(2);
    let texts: Vec<String> = notices.iter().map(|notice| notice.text()).collect();
    assert_eq!(
        texts.iter().map(|text| told(text)).sum::<u64>(),
        1_000,
        "{texts:#?}"
    );
    assert!(sink.count() <= 5);
    assert!(
        sink.received()
            .iter()
            .all(|notice| notice.recipients() == ["ops@a.example"])
    );
}

#[test]
fn a_list_that_names_nobody_is_told_nothing_and_lists_are_told_apart() {
    let (relay, sink, mut client) = relay();
    relay.printed_by(&["list", "add", "quiet"]);
    relay.printed_by(&["list", "add", "shop", "--notify", "shop@a.example"]);
    for list in ["quiet", "shop"] {
        let password = relay.user_with(list, &["--list", list]);
        relay
            .logged_in(list, &password)
            .expect("MAIL FROM:<x@b.example>", "550 5.7.1");
    }
    client.expect("MAIL FROM:<x@b.example>", "550 5.7.1");
    let mut told: Vec<String> = sink
        .wait_for(2)
        .iter()
        .flat_map(|notice| notice.recipients())
        .collect();
    told.sort();
    assert_eq!(told, ["ops@a.example", "shop@a.example"]);
}
