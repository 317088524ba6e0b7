//! The mail servers of others, on either side: as next hops, and as clients that relay through Outpost with a
//! login.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::support::{BEHIND, Client, Peer, Postfix, Received, Relay, SINK, Sink, is_root, mail};

/// A relay that sends mail for d.example to a peer, and the rest to a sink.
struct Case {
    relay: Relay,
    password: String,
    /// Takes what the peer hands on.
    behind: Sink,
    /// Takes what the relay sends elsewhere.
    elsewhere: Sink,
}

impl Case {
    fn new() -> Case {
        // One connection at a time, so that it carries many messages.
        let relay = Relay::start(
            "[delivery]\nper_next_hop_max = 1\n\
             [[delivery.route]]\nrecipients = \"d.example\"\nsmarthost = \"IP:2600\"\n\
             [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2601\"\n",
        );
        Case {
            behind: Sink::start_on(relay.ip, BEHIND, &[]),
            elsewhere: Sink::start_on(relay.ip, SINK + 1, &[]),
            password: relay.user("ann", "a.example"),
            relay,
        }
    }

    /// The peer, when it has relayed with a login and taken mail.
    fn with_peer(&self, start: fn(IpAddr, &str, &str) -> Option<Peer>) -> Option<Peer> {
        let peer = start(self.relay.ip, "ann", &self.password)?;
        self.peer_relays_with_a_login();
        self.peer_takes_mail();
        Some(peer)
    }

    fn logged_in(&self) -> Client {
        let mut client = Client::connect(self.relay.smtp());
        client.upgrade(&self.relay.certificate());
        client.log_in("ann", &self.password);
        client
    }

    /// What goes to the peer arrives behind it, over TLS, and whom it refuses is reported.
    fn peer_takes_mail(&self) {
        let mut client = self.logged_in();
        client.expect("MAIL FROM:<ann@a.example> BODY=8BITMIME", "250");
        client.expect("RCPT TO:<known@d.example>", "250");
        client.expect("RCPT TO:<unknown@d.example>", "250");
        client.expect("DATA", "354");
        client.send(content().replace("\r\n.", "\r\n..").as_bytes());
        client.expect(".", "250");
        let received = self.behind.wait_for(1).remove(0);
        assert_eq!(received.recipients(), ["known@d.example"]);
        check_content(&received);
        // Behind what the peer has relayed.
        let report = self.elsewhere.wait_for(2).remove(1);
        assert_eq!(report.recipients(), ["ann@a.example"]);
        let text = report.text();
        assert!(
            text.contains("Final-Recipient: rfc822; unknown@d.example"),
            "{text}"
        );
        assert!(!text.contains("rfc822; known@d.example"), "{text}");
        assert_eq!(self.behind.count(), 1, "nothing comes twice");
    }

    /// More messages than a host takes in one session: OpenSMTPD says 452 to the 101st.
    fn many_messages_arrive(&self) {
        let before = self.behind.count();
        let mut client = self.logged_in();
        for number in 0..120 {
            let content = mail("ann@a.example", &format!("many-{number}"));
            client.message("ann@a.example", "known@d.example", &content);
        }
        self.behind.wait_for(before + 120);
        let metrics = self.relay.get("/metrics");
        let deferred = "outpost_delivery_outcomes_total{outcome=\"deferred\"} ";
        let none = metrics
            .lines()
            .all(|line| line.strip_prefix(deferred).is_none_or(|n| n == "0"));
        assert!(none, "{metrics}");
    }

    /// What is handed to the peer goes through the relay, as the user that the peer logs in as.
    fn peer_relays_with_a_login(&self) {
        let mut client = Client::connect((self.relay.ip, SINK).into());
        client.expect("EHLO client.test", "250");
        client.expect("MAIL FROM:<ann@a.example>", "250");
        client.expect("RCPT TO:<far@x.example>", "250");
        client.expect("DATA", "354");
        client.send(content().replace("\r\n.", "\r\n..").as_bytes());
        client.expect(".", "250");
        let received = self.elsewhere.wait_for(1).remove(0);
        assert_eq!(received.recipients(), ["far@x.example"]);
        check_content(&received);
        let trace = received.text();
        assert!(
            trace.contains("by relay.test (Outpost) with ESMTPSA"),
            "{trace}"
        );
    }
}

/// Lines that begin with dots, one that is long, and letters beyond ASCII.
fn content() -> String {
    let mut content = "From: <ann@a.example>\r\nTo: <known@d.example>\r\nSubject: peers\r\n\
                       Date: Thu, 26 Nov 2026 05:00:00 +0000\r\nMessage-ID: <peers@a.example>\r\n\
                       MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                       Content-Transfer-Encoding: 8bit\r\n\r\n"
        .to_owned();
    content += &body();
    content
}

fn body() -> String {
    let mut body = ".\r\n..two\r\n.x grün\r\n".to_owned();
    writeln!(body, "{}\r", "long ".repeat(150)).unwrap();
    for line in 0..2_000 {
        writeln!(body, ".{line} of a message that takes several pieces\r").unwrap();
    }
    body
}

#[track_caller]
fn check_content(received: &Received) {
    let text = String::from_utf8(received.content.clone()).unwrap();
    let (header, found) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        found == body(),
        "{header}\r\n\r\n{}",
        &found[..found.len().min(300)]
    );
}

#[test]
fn exim_takes_mail_and_relays_with_a_login() {
    let Some(exim) = Case::new().with_peer(Peer::exim) else {
        return;
    };
    // It lists CHUNKING, and marks with K what came in chunks.
    let arrivals = exim.exim_arrivals();
    let of_the_relay = arrivals
        .iter()
        .filter(|line| line.contains("H=(relay.test)"));
    let in_chunks = of_the_relay.filter(|line| line.contains(" K "));
    assert_eq!(in_chunks.count(), 1, "{arrivals:?}");
}

#[test]
fn opensmtpd_takes_mail_and_relays_with_a_login() {
    let case = Case::new();
    if let Some(_peer) = case.with_peer(Peer::opensmtpd) {
        case.many_messages_arrive();
    }
}

#[test]
fn postfix_relays_with_a_login() {
    if !is_root() {
        eprintln!("not shown: Postfix can only be started by root");
        return;
    }
    let case = Case::new();
    let _postfix = Postfix::start_as_client(case.relay.ip, "ann", &case.password);
    case.peer_relays_with_a_login();
    // It hands on the recipient beyond ASCII as the original one too, in xtext of the type rfc822.
    let mut client = Client::connect((case.relay.ip, SINK).into());
    client.expect("EHLO client.test", "250");
    client.expect("MAIL FROM:<ann@a.example> SMTPUTF8", "250");
    client.expect("RCPT TO:<jürgen@x.example>", "250");
    client.expect("DATA", "354");
    client.send(
        "From: <ann@a.example>\r\nTo: <jürgen@x.example>\r\nSubject: ü\r\n\r\nx\r\n".as_bytes(),
    );
    client.expect(".", "250");
    let received = case.elsewhere.wait_for(2).remove(1);
    assert_eq!(received.recipients(), ["jürgen@x.example"]);
}
