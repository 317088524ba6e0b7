//! Very-high mail passes what is being sent: the record of the next hop shows that the others stopped, trickled, and went on
//! at the same octet, over the same connection.

use serde_json::Value;

use crate::support::{Client, Postfix, Received, Relay, Sink, message_id, wait_until};

/// A message with so many octets of text, all lines different, that asks for this priority.
fn large(subject: &str, priority: u8, octets: usize) -> String {
    let mut content = format!(
        "From: ann@a.example\r\nTo: bob@d.example\r\nSubject: {subject}\r\nX-Priority: {priority}\r\n\r\n"
    );
    let mut line = 0;
    while content.len() < octets {
        content += &format!("{subject} line {line:08} of a text that nobody reads to its end.\r\n");
        line += 1;
    }
    content
}

fn submit(client: &mut Client, content: &str) -> String {
    message_id(&client.message("ann@a.example", "bob@d.example", content))
}

/// Octets of content that have been written to next hops so far.
fn sent(relay: &Relay) -> u64 {
    counted(relay, "outpost_delivery_content_octets_total")
}

fn counted(relay: &Relay, name: &str) -> u64 {
    let text = relay.get("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse::<f64>().unwrap() as u64)
}

/// What the next hop wrote down of one message: where it came, when it began and ended, and its chunks.
#[derive(Debug)]
struct Arrival {
    connection: u64,
    begun: u64,
    ended: u64,
    /// When each came, in microseconds, and its octets.
    chunks: Vec<(u64, u64)>,
}

fn arrivals(record: &[Value]) -> Vec<Arrival> {
    let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
    let mut arrivals = Vec::new();
    let begins = record.iter().filter(|event| event["event"] == "begin");
    for begin in begins {
        let of_it = |event: &&Value| {
            event["connection"] == begin["connection"] && event["message"] == begin["message"]
        };
        let of_it = record.iter().filter(of_it);
        let end = of_it.clone().find(|event| event["event"] == "end");
        let chunks = of_it.filter(|event| event["event"] == "chunk");
        arrivals.push(Arrival {
            connection: number(begin, "connection"),
            begun: number(begin, "unix_us"),
            ended: end.map_or(u64::MAX, |end| number(end, "unix_us")),
            chunks: chunks
                .map(|chunk| (number(chunk, "unix_us"), number(chunk, "octets")))
                .collect(),
        });
    }
    arrivals
}

fn find<'a>(received: &'a [Received], subject: &str) -> &'a Received {
    let found: Vec<_> = received
        .iter()
        .filter(|one| one.field("Subject").as_deref() == Some(subject))
        .collect();
    assert_eq!(found.len(), 1, "{subject} arrived {} times", found.len());
    found[0]
}

/// The message as it is shown when nothing of it is left to deliver.
fn finished(relay: &Relay, id: &str) -> Value {
    wait_until("the outcome is recorded", || {
        !relay.message(id)["finished"].is_null()
    });
    relay.message(id)
}

/// Events of a kind in the trail of a message.
fn events(shown: &Value, kind: &str) -> Vec<Value> {
    let trail = shown["trail"].as_array().unwrap().iter();
    trail
        .filter(|entry| entry["event"] == kind)
        .cloned()
        .collect()
}

#[test]
fn a_very_high_message_passes_a_large_one_that_is_being_sent_and_that_goes_on_at_the_same_octet() {
    let relay = Relay::start_in_clear("[delivery]\ncapacity_bytes_per_second = 5000000\n");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let bulk = large("bulk", 3, 20_000_000);
    let bulk_id = submit(&mut client, &bulk);
    wait_until("the large message is under way", || {
        sent(&relay) > 1_000_000
    });
    let urgent = large("urgent", 1, 2_500_000);
    let urgent_id = submit(&mut client, &urgent);
    let received = sink.wait_for(2);
    for (subject, content) in [("bulk", &bulk), ("urgent", &urgent)] {
        let arrived = find(&received, subject).submitted();
        let sent = content.trim_end_matches("\r\n").as_bytes();
        assert!(
            arrived.trim_ascii_end() == sent.trim_ascii_end(),
            "{subject} is not as it was"
        );
    }

    let arrivals = arrivals(&sink.record());
    let [large, small] = &arrivals[..] else {
        panic!("each is sent once: {}", arrivals.len());
    };
    assert_ne!(large.connection, small.connection);
    assert!(large.begun < small.begun && small.ended < large.ended);
    // A chunk may have been on its way when the very-high message began.
    let (from, to) = (small.begun + 50_000, small.ended);
    let took = (to - from) as f64 / 1e6;
    assert!(took > 0.3, "half a second at this capacity: {took}");
    let meanwhile = |(at, _): &&(u64, u64)| (from..to).contains(at);
    let moved: u64 = large
        .chunks
        .iter()
        .filter(meanwhile)
        .map(|(_, octets)| octets)
        .sum();
    assert!(
        moved as f64 <= 600.0 * (took + 1.0),
        "{moved} octets in {took} s"
    );
    let resumed = large
        .chunks
        .iter()
        .find(|(at, octets)| *at >= to && *octets > 600);
    let resumed = resumed.unwrap().0 - to;
    assert!(resumed < 500_000, "it went on after {resumed} us");

    let shown = finished(&relay, &bulk_id);
    let text = shown["text"].to_string();
    assert!(
        text.contains(&format!("very-high message {urgent_id}")),
        "{text}"
    );
    assert!(text.contains("went on at the same octet"), "{text}");
    assert_eq!(text.matches("attempt to").count(), 1, "{text}");
    assert!(!text.contains("deferred"), "{text}");
    assert_eq!(
        counted(&relay, "outpost_delivery_resumes_total{class=\"3\"}"),
        1
    );
    assert_eq!(events(&shown, "attempted").len(), 1);
    let paused = events(&shown, "paused");
    assert_eq!(paused.len(), 1, "{shown:#}");
    assert_eq!(paused[0]["cause"], urgent_id);
}

#[test]
fn a_hundred_sends_are_paused_at_once_and_each_comes_to_its_end_once() {
    let at = |capacity: u32| {
        format!(
            "# in clear\n[delivery]\ncapacity_bytes_per_second = {capacity}\nper_next_hop_max = 150\n"
        )
    };
    // So little that none is over before the last has begun, however slow this machine is.
    let relay = Relay::start_in_clear(&at(1_000_000));
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let contents: Vec<String> = (0..100)
        .map(|number| large(&format!("bulk-{number}"), 3 + number % 3, 400_000))
        .collect();
    // They begin together, and of the very-high one only the end is missing then.
    relay.printed_by(&["queue", "stop"]);
    let ids: Vec<String> = contents
        .iter()
        .map(|content| submit(&mut client, content))
        .collect();
    client.expect("MAIL FROM:<ann@a.example>", "250");
    client.expect("RCPT TO:<bob@d.example>", "250");
    client.expect("DATA", "354");
    client.send(large("urgent", 1, 1_000_000).as_bytes());
    relay.printed_by(&["queue", "start"]);
    wait_until("all are under way", || {
        let queued = relay.queued();
        let begun = queued
            .iter()
            .filter(|row| row["octets_sent"].as_u64() > Some(0));
        begun.count() == 100
    });
    client.expect(".", "250");
    find(&sink.wait_for(1), "urgent");
    relay.configure(&at(20_000_000));
    relay.json(&["reload"]);
    let received = sink.wait_for(101);
    for (number, content) in contents.iter().enumerate() {
        let arrived = find(&received, &format!("bulk-{number}")).submitted();
        assert!(arrived.trim_ascii_end() == content.as_bytes().trim_ascii_end());
    }
    find(&received, "urgent");
    let arrivals = arrivals(&sink.record());
    assert_eq!(arrivals.len(), 101, "none is sent twice");
    let mut paused = 0;
    for id in &ids {
        let text = finished(&relay, id)["text"].to_string();
        assert_eq!(text.matches("attempt to").count(), 1, "{text}");
        assert!(!text.contains("deferred"), "{text}");
        paused += usize::from(text.contains("went on at the same octet"));
    }
    assert_eq!(paused, 100);
}

#[test]
fn very_high_mail_for_a_host_that_hangs_holds_others_once_and_other_very_high_mail_as_ever() {
    let more = "[delivery]\ncapacity_bytes_per_second = 2000000\n\
                [[delivery.route]]\nrecipients = \"hangs.example\"\nsmarthost = \"IP:2602\"\n\
                [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2600\"\n";
    let relay = Relay::start_in_clear(more);
    let sink = Sink::start(relay.ip, &[]);
    let _hangs = Sink::start_on(relay.ip, 2602, &["--hang", "mail"]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let bulk_id = submit(&mut client, &large("bulk", 3, 20_000_000));
    wait_until("the large message is under way", || {
        sent(&relay) > 1_000_000
    });
    let pauses = || {
        let count = |name: &str| counted(&relay, &format!("{name}{{class=\"3\"}}"));
        ["pauses", "resumes"].map(|name| count(&format!("outpost_delivery_{name}_total")))
    };
    let mut hanging = Vec::new();
    for number in 0..5 {
        let content = large(&format!("hanging-{number}"), 1, 1_000);
        let id = client.message("ann@a.example", "bob@hangs.example", &content);
        let id = message_id(&id);
        wait_until("it is under way, and the large message too", || {
            relay.message(&id)["deliveries"][0]["state"] == "active" && pauses() == [1, 1]
        });
        let before = sent(&relay);
        wait_until("the large message goes on", || {
            sent(&relay) > before + 200_000
        });
        hanging.push(id);
    }
    assert_eq!(pauses(), [1, 1]);
    submit(&mut client, &large("urgent", 1, 6_000_000));
    wait_until("it is paused for what moves, and listed so", || {
        let paused = relay.read("/api/v1/queue?state=paused");
        let paused = paused["deliveries"].as_array().unwrap().iter();
        paused.map(|row| &row["id"]).eq([&bulk_id])
    });
    assert_eq!(pauses()[0], 2);
    sink.wait_for(2);
    let paused = events(&finished(&relay, &bulk_id), "paused");
    let causes: Vec<_> = paused.iter().map(|pause| &pause["cause"]).collect();
    assert_eq!(causes.len(), 2, "{paused:?}");
    assert_eq!(*causes[0], hanging[0]);
    assert!(hanging.iter().all(|id| *causes[1] != *id));
}

#[test]
fn postfix_under_stress_does_not_drop_a_send_that_is_paused_for_longer_than_it_waits() {
    // The very-high mail goes elsewhere, and takes longer than the ten seconds.
    let more = "[delivery]\ncapacity_bytes_per_second = 200000\n\
                [[delivery.route]]\nrecipients = \"d.example\"\nsmarthost = \"IP:2600\"\n\
                [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2601\"\n";
    let relay = Relay::start_in_clear(more);
    let postfix = Postfix::start_under_stress(relay.ip);
    let sink = Sink::start_on(relay.ip, 2601, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let bulk = large("bulk", 3, 1_000_000);
    let bulk_id = message_id(&client.message("ann@a.example", "known@d.example", &bulk));
    wait_until("the large message is under way", || sent(&relay) > 100_000);
    let urgent = large("urgent", 1, 3_000_000);
    message_id(&client.message("ann@a.example", "bob@e.example", &urgent));
    sink.wait_for(1);
    wait_until("Postfix has delivered it", || {
        !postfix.delivered("known").is_empty()
    });
    let delivered = postfix.delivered("known");
    let body = |text: &str| text.split_once("\n\n").unwrap().1.trim_end().to_owned();
    assert!(body(&delivered[0]) == body(&bulk.replace("\r\n", "\n")));
    let shown = finished(&relay, &bulk_id);
    let text = shown["text"].to_string();
    assert_eq!(text.matches("attempt to").count(), 1, "{text}");
    let paused = events(&shown, "paused");
    let took = paused
        .iter()
        .map(|entry| entry["took_microseconds"].as_u64());
    let took: u64 = took.map(Option::unwrap).sum();
    assert!(took > 11_000_000, "paused for {took} us");
}
