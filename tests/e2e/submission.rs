//! A message from a login to the next hop: every extension that is listed, and the refusals after
//! which a session goes on. What single commands do is shown by the dialogues.

use crate::support::{Client, Relay, Sink, mail, message_id};

fn relay() -> (Relay, Sink, Client) {
    relay_with("")
}

fn relay_with(more: &str) -> (Relay, Sink, Client) {
    let relay = Relay::start_in_clear(more);
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example;xn--mnchen-3ya.example");
    let client = relay.logged_in("ann", &password);
    (relay, sink, client)
}

#[test]
fn a_message_goes_from_a_login_to_the_next_hop() {
    let (relay, sink, mut client) = relay();
    let content = mail("Ann <ann@a.example>", "hello");
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &content));
    let received = sink.wait_for(1).remove(0);
    assert_eq!(
        String::from_utf8_lossy(received.submitted()),
        format!("{content}\r\n")
    );
    let trace = received.field("Received").unwrap();
    let expected = format!(
        "from client.test ([127.0.0.1]) by relay.test (Outpost) with ESMTPA id {id} for <bob@d.example>;"
    );
    assert!(trace.starts_with(&expected), "{trace}");
    // The same id on every surface.
    assert_eq!(relay.message(&id)["id"], id.as_str());
}

#[test]
fn the_list_of_extensions_is_what_works_and_no_more() {
    let (relay, _, _) = relay();
    let mut client = relay.connect();
    let list = client.expect("EHLO client.test", "250");
    let mut listed: Vec<&str> = list.lines().skip(1).map(|line| &line[4..]).collect();
    listed.sort_unstable();
    let (place, release) = listed
        .iter()
        .enumerate()
        .find(|(_, line)| line.starts_with("FUTURERELEASE 2592000 2"))
        .unwrap();
    assert!(release.ends_with('Z'), "{release}");
    listed.remove(place);
    assert_eq!(
        listed,
        [
            "8BITMIME",
            "AUTH PLAIN LOGIN",
            "CHUNKING",
            "DELIVERBY",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "LIMITS RCPTMAX=1000",
            "MT-PRIORITY",
            "PIPELINING",
            "SIZE 52428800",
            "SMTPUTF8",
            "STARTTLS",
        ]
    );
}

#[test]
fn several_transactions_in_one_packet_are_answered_in_order() {
    let (_relay, sink, mut client) = relay();
    let mut packet = String::new();
    for number in 0..3 {
        let text = mail("ann@a.example", &format!("piped-{number}"));
        packet.push_str(&format!(
            "MAIL FROM:<ann@a.example>\r\nRCPT TO:<bob@d.example>\r\nRCPT TO:<@>\r\nDATA\r\n{text}\r\n.\r\n"
        ));
    }
    packet.push_str("QUIT\r\n");
    client.send(packet.as_bytes());
    let codes: Vec<String> = std::iter::repeat_with(|| client.reply())
        .take_while(|reply| !reply.is_empty())
        .map(|reply| reply[..3].to_owned())
        .collect();
    let one = ["250", "250", "501", "354", "250"];
    assert_eq!(codes, [&one[..], &one, &one, &["221"]].concat());
    let subjects: Vec<String> = sink
        .wait_for(3)
        .iter()
        .map(|received| received.field("Subject").unwrap())
        .collect();
    for number in 0..3 {
        assert!(
            subjects.contains(&format!("piped-{number}")),
            "{subjects:?}"
        );
    }
}

#[test]
fn a_message_in_chunks_arrives_whole() {
    let (_relay, sink, mut client) = relay();
    // Dots mean nothing in chunks, and a chunk may end within a line.
    let content = mail("ann@a.example", "chunks") + "\r\n.\r\n..\r\nend\r\n";
    client.expect("MAIL FROM:<ann@a.example> BODY=8BITMIME", "250");
    client.expect("RCPT TO:<bob@d.example>", "250");
    let (first, second) = content.split_at(content.len() / 2 + 1);
    client.send(format!("BDAT {}\r\n{first}", first.len()).as_bytes());
    assert!(client.reply().starts_with("250 2.0.0 "));
    client.send(format!("BDAT {} LAST\r\n{second}", second.len()).as_bytes());
    message_id(&client.reply());
    let received = sink.wait_for(1).remove(0);
    assert_eq!(String::from_utf8_lossy(received.submitted()), content);
}

#[test]
fn addresses_and_headers_beyond_ascii_arrive_with_smtputf8() {
    let (_relay, sink, mut client) = relay();
    let content = mail("J\u{f6}rg <j\u{f6}rg@m\u{fc}nchen.example>", "utf8");
    let reply = client.transaction(
        "<j\u{f6}rg@m\u{fc}nchen.example> SMTPUTF8 BODY=8BITMIME",
        &["<zo\u{eb}@d.example>"],
        &content,
    );
    message_id(&reply);
    let received = sink.wait_for(1).remove(0);
    assert_eq!(received.envelope["smtputf8"], true);
    assert_eq!(received.recipients(), ["zo\u{eb}@d.example"]);
    assert_eq!(
        String::from_utf8_lossy(received.submitted()),
        format!("{content}\r\n")
    );
    assert!(
        received
            .field("Received")
            .unwrap()
            .contains(" with UTF8SMTPA id ")
    );
    client.expect("MAIL FROM:<j\u{f6}rg@m\u{fc}nchen.example>", "550 5.6.7");
}

#[test]
fn too_large_is_refused_when_declared_or_after_the_content_and_the_session_goes_on() {
    let (relay, sink, mut client) = relay_with(
        "[submission]\naddresses = [\"IP\"]\nports = \"2525\"\nimplicit_tls_ports = \"\"\n\
         plaintext_auth = true\nmessage_bytes_max = 2048\n",
    );
    client.expect("MAIL FROM:<ann@a.example> SIZE=2049", "552 5.3.4");
    let large = mail("ann@a.example", "large") + "\r\n" + &"x".repeat(3_000);
    let reply = client.message("ann@a.example", "bob@d.example", &large);
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
    // In chunks: the octets of a refused chunk are not taken for commands.
    client.expect("MAIL FROM:<ann@a.example>", "250");
    client.expect("RCPT TO:<bob@d.example>", "250");
    let chunk = "QUIT\r\n".repeat(500);
    client.send(format!("BDAT {} LAST\r\n{chunk}", chunk.len()).as_bytes());
    assert!(client.reply().starts_with("552 5.3.4 "));
    let counted = "outpost_reception_refused_total{step=\"content\",reason=\"protocol\"} 2\n";
    let metrics = relay.get("/metrics");
    assert!(metrics.contains(counted), "{metrics}");
    let small = mail("ann@a.example", "small");
    message_id(&client.message("ann@a.example", "bob@d.example", &small));
    assert_eq!(sink.wait_for(1)[0].field("Subject").unwrap(), "small");
}

#[test]
fn content_beyond_the_size_of_memory_pieces_arrives_whole() {
    let (_relay, sink, mut client) = relay();
    // 20 MB in lines of 70 octets.
    let line = "0123456789".repeat(7) + "\r\n";
    let content = mail("ann@a.example", "large") + "\r\n" + &line.repeat(290_000) + "end";
    message_id(&client.message("ann@a.example", "bob@d.example", &content));
    let received = sink.wait_for(1).remove(0);
    assert!(received.submitted() == format!("{content}\r\n").as_bytes());
}
