//! The most urgent first: what the next hop sees.

use crate::support::{Relay, Sink};

/// The places of the messages with that subject among all that arrived.
fn places(sink: &Sink, subject: &str) -> Vec<usize> {
    let subject = format!("Subject: {subject}");
    let received = sink.received();
    let is_it = |text: &str| text.lines().any(|line| line.starts_with(&subject));
    (0..received.len())
        .filter(|place| is_it(&received[*place].text()))
        .collect()
}

#[test]
fn behind_a_thousand_normal_messages_very_high_ones_are_next_in_their_order() {
    let relay = Relay::start_in_clear("[delivery]\nsimultaneous_max = 1\n");
    // About five messages a second.
    let sink = Sink::start(relay.ip, &["--bytes-per-second", "10000"]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.connect();
    assert!(client.log_in("ann", &password).starts_with("235"));
    let filling = "Some line of some letter.\r\n".repeat(70);
    let mut send = |header: &str| {
        let content = format!("From: ann@a.example\r\n{header}\r\n{filling}");
        let reply = client.message("ann@a.example", "bob@d.example", &content);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    };
    for _ in 0..1_000 {
        send("Subject: normal\r\n");
    }
    let before = sink.received().len();
    assert!(
        before < 900,
        "the queue was meant to be long: {before} have arrived already"
    );
    for number in 0..3 {
        send(&format!("Subject: urgent {number}\r\nX-Priority: 1\r\n"));
    }
    sink.wait_for(before + 6);
    let urgent: Vec<usize> = (0..3)
        .flat_map(|number| places(&sink, &format!("urgent {number}")))
        .collect();
    // Those under way when it was accepted may be ahead: one being delivered, one settled meanwhile.
    assert!(
        urgent[0] <= before + 2,
        "{before} had arrived, the first urgent one is at {urgent:?}"
    );
    assert_eq!(urgent, [urgent[0], urgent[0] + 1, urgent[0] + 2]);
}
