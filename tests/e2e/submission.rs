//! Mail submitted by a client arrives at the next hop.

use crate::support::{Relay, Sink, base64};

#[test]
fn a_message_goes_from_a_login_to_the_next_hop() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let content =
        "From: Ann <ann@a.example>\r\nTo: bob@d.example\r\nSubject: hello\r\n\r\nHello, Bob.";
    let mut client = relay.connect();
    assert!(client.log_in("ann", &password).starts_with("235 2.7.0"));
    let reply = client.message("ann@a.example", "bob@d.example", content);
    assert!(reply.starts_with("250 2.0.0 Queued as "), "{reply}");
    let received = sink.wait_for(1).remove(0);
    assert!(
        received.text().ends_with(&format!("{content}\r\n")),
        "{}",
        received.text()
    );
}

#[test]
fn nothing_is_relayed_without_a_login_and_no_login_is_taken_in_clear() {
    let relay = Relay::start("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.connect();
    client.expect("EHLO client.test", "250");
    let login = base64(&format!("\0ann\0{password}"));
    client.expect(&format!("AUTH PLAIN {login}"), "538 5.7.11");
    client.expect("MAIL FROM:<ann@a.example>", "530 5.7.0");
}
