//! The queue is listed in the order in which it then leaves, and each row says why it is where it is.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{Client, Relay, Sink, message_id, wait_until};

/// Submits a message of about so many octets; its id.
fn submit(client: &mut Client, from: &str, subject: &str, priority: u8, octets: usize) -> String {
    let mut content = format!(
        "From: {from}\r\nTo: bob@d.example\r\nSubject: {subject}\r\nX-Priority: {priority}\r\n\r\n"
    );
    while content.len() < octets {
        content += "A line of a text that nobody reads to its end.\r\n";
    }
    message_id(&client.message(from, "bob@d.example", &content))
}

fn rows(relay: &Relay) -> Vec<Value> {
    let listed = relay.json(&["queue", "ls"]);
    listed["deliveries"].as_array().unwrap().clone()
}

fn id(row: &Value) -> &str {
    row["id"].as_str().unwrap()
}

#[test]
fn the_queue_is_listed_in_the_order_that_the_next_hop_then_sees() {
    // One place for what is below very high.
    let relay = Relay::start_in_clear(
        "[delivery]\nsimultaneous_max = 2\ncapacity_bytes_per_second = 2000000\n",
    );
    let sink = Sink::start(relay.ip, &[]);
    let passwords = [
        relay.user("ann", "a.example"),
        relay.user("ben", "b.example"),
    ];
    let mut ann = relay.logged_in("ann", &passwords[0]);
    let mut ben = relay.logged_in("ben", &passwords[1]);
    let bulk = submit(&mut ann, "ann@a.example", "bulk", 3, 4_000_000);
    wait_until("the large message is under way", || {
        rows(&relay)[0]["octets_sent"].as_u64() > Some(100_000)
    });
    let mut subjects = HashMap::new();
    for (number, priority) in [5, 3, 3, 2, 4, 3, 5, 2, 3, 4].into_iter().enumerate() {
        let subject = format!("waiting-{number}");
        let id = match number % 3 {
            0 => submit(&mut ben, "ben@b.example", &subject, priority, 500),
            _ => submit(&mut ann, "ann@a.example", &subject, priority, 500),
        };
        subjects.insert(id, subject);
    }
    let urgent = submit(&mut ann, "ann@a.example", "urgent", 1, 10_000_000);
    wait_until("the large message is paused", || {
        let rows = rows(&relay);
        rows.iter().any(|row| row["reason"] == "paused")
    });

    let listed = rows(&relay);
    let table = relay.printed_by(&["queue", "ls"]);
    let shown = relay.message(&bulk);
    assert_eq!(listed.len(), 12);
    assert_eq!(
        (id(&listed[0]), &listed[0]["reason"]),
        (&*urgent, &"sending".into())
    );
    assert_eq!(
        (id(&listed[1]), &listed[1]["reason"]),
        (&*bulk, &"paused".into())
    );
    assert_eq!(listed[1]["paused"]["cause"], urgent);
    assert!(listed[1]["paused"]["since_ms"].as_u64().is_some());
    let why = format!("paused for very-high message {urgent} for ");
    assert!(listed[1]["standing"].as_str().unwrap().starts_with(&why));
    assert_eq!(shown["deliveries"][0]["reason"], "paused");
    assert!(shown["text"].to_string().contains(&why), "{shown:#}");
    for (number, row) in (1..).zip(&listed[2..]) {
        assert_eq!(row["position"], number);
        let ahead = row["ahead"].as_array().unwrap().iter();
        assert_eq!(
            ahead.map(|of| of.as_u64().unwrap()).sum::<u64>(),
            number - 1
        );
    }
    let number = "number 1 in line";
    let first = listed[2]["standing"].as_str().unwrap();
    assert!(first.contains(number), "{first}");
    let in_table: Vec<&str> = table
        .lines()
        .skip(1)
        .filter_map(|line| listed.iter().map(id).find(|id| line.contains(id)))
        .collect();
    let waiting: Vec<&str> = listed[2..].iter().map(id).collect();
    assert_eq!(in_table[2..], waiting, "{table}");
    assert!(
        table.contains("under way") && table.contains("paused"),
        "{table}"
    );

    let received = sink.wait_for(12);
    let arrived = received.iter().map(|one| one.field("Subject").unwrap());
    let arrived: Vec<String> = arrived.filter(|one| one.starts_with("waiting")).collect();
    let expected: Vec<&String> = waiting.iter().map(|id| &subjects[*id]).collect();
    assert_eq!(expected, arrived.iter().collect::<Vec<_>>());

    let metrics = relay.get("/metrics");
    let p99 = metrics
        .lines()
        .find_map(|line| line.strip_prefix("outpost_very_high_p99_seconds "));
    let p99: f64 = p99.unwrap().parse().unwrap();
    assert!(p99 > 0.0 && p99 < 60.0, "{p99}");
    assert!(metrics.contains("outpost_very_high_alarm "), "{metrics}");
}
