//! Priority, schedule and deadline over SMTP: from a client, through the relay, to the next hop and back.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Client, Received, Relay, Sink, mail, message_id, wait_until};

fn session(relay: &Relay) -> Client {
    let password = relay.user("ann", "a.example");
    relay.logged_in("ann", &password)
}

/// Submits a message whose MAIL has these parameters; the reply to its content.
fn submit(client: &mut Client, parameters: &str, to: &str, content: &str) -> String {
    let from = format!("<ann@a.example> {parameters}");
    client.transaction(&from, &[to], content)
}

fn events(relay: &Relay, id: &str) -> Vec<String> {
    let trail = relay.message(id)["trail"].as_array().unwrap().clone();
    let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
    trail.iter().map(name).collect()
}

/// What has arrived for somebody.
fn received_for(sink: &Sink, recipient: &str) -> Vec<Received> {
    let received = sink.received().into_iter();
    received
        .filter(|received| received.recipients() == [recipient])
        .collect()
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[test]
fn a_next_hop_is_told_the_priority_and_what_is_left_of_the_time_and_the_sender_of_the_relay() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay);
    let content = mail("ann@a.example", "urgent");
    let reply = submit(
        &mut client,
        "MT-PRIORITY=7 BY=600;RT",
        "<bob@d.example>",
        &content,
    );
    let id = message_id(&reply);
    // The second one is the report about the relay, which T asks for.
    sink.wait_for(2);
    let urgent = received_for(&sink, "bob@d.example").remove(0);
    assert_eq!(urgent.envelope["mt_priority"], 7);
    let by = urgent.envelope["by"].as_str().unwrap();
    let left: u32 = by.strip_suffix(";RT").unwrap().parse().unwrap();
    assert!((590..=600).contains(&left), "{by}");
    let trace = urgent.field("Received").unwrap();
    assert!(
        trace.contains(" for <bob@d.example> PRIORITY 7; "),
        "{trace}"
    );
    let report = received_for(&sink, "ann@a.example").remove(0);
    assert!(report.text().contains("\r\nAction: relayed\r\n"));
    assert!(report.text().contains("\r\nDeliver-By-Date: "));
    assert_eq!(report.envelope["mt_priority"], Value::Null);
    assert_eq!(relay.message(&id)["class"], 1);
}

#[test]
fn a_message_that_becomes_more_urgent_than_it_asks_for_is_accepted_with_what_counts() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay);
    let content = mail("ann@a.example", "slow");
    let reply = submit(&mut client, "MT-PRIORITY=-4", "<bob@d.example>", &content);
    let id = reply.strip_prefix("250 2.3.6 0 is the priority that counts. Queued as ");
    let id = id.unwrap_or_else(|| panic!("{reply}"));
    assert_eq!(relay.message(id)["class"], 3);
    // The next hop hears what was asked for: its rule is its own.
    let received = sink.wait_for(1).remove(0);
    assert_eq!(received.envelope["mt_priority"], -4);
    let trace = received.field("Received").unwrap();
    assert!(trace.contains(" PRIORITY -4; "), "{trace}");
}

#[test]
fn what_is_to_be_held_leaves_at_its_time_whoever_asks_for_it() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay);
    let released = unix_seconds() + 3;
    let header = format!("X-SMTPAPI: {{\"Schedule\": {released}}}\r\n");
    let later = "2 days from now";
    let far = format!("X-SMTPAPI: {{\"Schedule\": {}}}\r\n", released + 2 * 86_400);
    let mut ids = Vec::new();
    for (parameters, header, name) in [
        ("HOLDFOR=3", "", "interval"),
        ("", header.as_str(), "field"),
        ("", far.as_str(), later),
    ] {
        let content = format!("{header}{}", mail("ann@a.example", name));
        let reply = submit(&mut client, parameters, "<bob@d.example>", &content);
        ids.push(message_id(&reply));
    }
    let urgent = mail("ann@a.example", "now");
    message_id(&submit(&mut client, "", "<bob@d.example>", &urgent));
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "now");
    let shown = relay.printed_by(&["queue", "show", &ids[2]]);
    assert!(
        shown.contains("waits for its time: not to be sent before "),
        "{shown}"
    );
    assert!(shown.contains(": waits for its time, "), "{shown}");
    let received = sink.wait_for(3);
    assert!(unix_seconds() >= released);
    let mut subjects: Vec<String> = received
        .iter()
        .filter_map(|received| received.field("Subject"))
        .collect();
    subjects.sort();
    assert_eq!(subjects, ["field", "interval", "now"]);
    // What comes before its time is refused, and nothing of it is kept.
    client.expect("EHLO client.test", "250");
    let reply = submit(&mut client, "HOLDFOR=2592001", "<bob@d.example>", &urgent);
    assert!(reply.starts_with("501 5.5.4 "), "{reply}");
    assert_eq!(relay.queued().len(), 1);
}

#[test]
fn what_was_held_stays_held_over_a_restart() {
    let mut relay = Relay::start_in_clear("");
    let mut client = session(&relay);
    let content = mail("ann@a.example", "held");
    let id = message_id(&submit(
        &mut client,
        "HOLDFOR=4",
        "<bob@d.example>",
        &content,
    ));
    let due = relay.queued()[0]["due"].clone();
    relay.kill();
    relay.restart();
    assert_eq!(relay.queued()[0]["due"], due);
    let sink = Sink::start(relay.ip, &[]);
    sink.wait_for(1);
    let finished = || !relay.message(&id)["finished"].is_null();
    wait_until("it is settled", finished);
    let events = events(&relay, &id);
    assert!(events.contains(&"scheduled".to_owned()), "{events:?}");
}

#[test]
fn what_is_moved_behind_its_deadline_is_tried_at_that_time() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay);
    let content = mail("ann@a.example", "moved");
    let id = message_id(&submit(
        &mut client,
        "HOLDFOR=1 BY=2;R",
        "<bob@d.example>",
        &content,
    ));
    relay.printed_by(&["queue", "reschedule", &id, "--in", "4s"]);
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "moved");
    wait_until("it is settled", || relay.queued().is_empty());
    assert!(!events(&relay, &id).contains(&"late".to_owned()));
}

#[test]
fn a_deadline_is_kept_though_the_next_try_is_far_away() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    let sink = Sink::start(relay.ip, &["--defer", "later@"]);
    let mut client = session(&relay);
    let content = mail("ann@a.example", "deadline");
    let returned = message_id(&submit(
        &mut client,
        "BY=1;R",
        "<later@d.example>",
        &content,
    ));
    let told = message_id(&submit(
        &mut client,
        "BY=1;N",
        "<later@d.example>",
        &content,
    ));
    let reports = sink.wait_for(2);
    let with = |action: &str| {
        let report = reports.iter().find(|report| report.text().contains(action));
        report
            .unwrap_or_else(|| panic!("no report has {action}"))
            .text()
    };
    assert!(with("\r\nAction: failed\r\n").contains("\r\nStatus: 5.4.7\r\n"));
    assert!(with("\r\nAction: delayed\r\n").contains("\r\nStatus: 4.4.7\r\n"));
    assert!(relay.message(&returned)["finished"].is_string());
    assert!(events(&relay, &returned).contains(&"late".to_owned()));
    // It is tried on, and its sender has heard.
    wait_until("it is tried again", || {
        let tried = events(&relay, &told);
        tried.iter().filter(|event| *event == "attempted").count() == 2
    });
    assert_eq!(relay.queued().len(), 1);
    let reported = events(&relay, &told);
    let reported = reported.iter().filter(|event| *event == "reported");
    assert_eq!((reported.count(), sink.count()), (1, 2), "told once");
}
