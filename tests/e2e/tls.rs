//! TLS on submission ports: what is offered, what is forgotten, what is refused.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::support::{Client, Relay, Sink, mail, run};

#[test]
fn every_plain_port_upgrades_and_forgets_what_was_before() {
    let relay = Relay::start(
        "[submission]\naddresses = [\"IP\"]\nports = \"1025,1587,2525\"\nimplicit_tls_ports = \"\"\n\
         plaintext_auth = true\n",
    );
    let password = relay.user("ann", "a.example");
    for port in [1025, 1587, 2525] {
        let mut client = Client::connect((relay.ip, port).into());
        let before = client.expect("EHLO before.test", "250-relay.test");
        assert!(before.contains("250-STARTTLS\n"), "{before}");
        let login = client.auth_plain("ann", &password);
        assert!(login.starts_with("235"), "{login}");
        client.expect("MAIL FROM:<ann@a.example>", "250 2.1.0");
        client.expect("RSET", "250");
        client.expect("STARTTLS", "220 2.0.0");
        client.start_tls(&relay.certificate());
        // The EHLO and the login are forgotten.
        client.expect("MAIL FROM:<ann@a.example>", "503 5.5.1");
        let after = client.expect("EHLO after.test", "250-relay.test");
        assert!(!after.contains("STARTTLS"), "{after}");
        assert!(after.contains("AUTH PLAIN LOGIN"), "{after}");
        client.expect("MAIL FROM:<ann@a.example>", "530 5.7.0");
        client.expect("STARTTLS", "503 5.5.1");
    }
}

#[test]
fn octets_in_the_packet_of_starttls_are_never_executed() {
    let relay = Relay::start("");
    for injected in [
        "NOOP\r\n",
        "EHLO injected.test\r\nMAIL FROM:<ann@a.example>\r\n",
        "MAIL FROM:<ann@a.ex",
    ] {
        let mut client = relay.connect();
        client.expect("EHLO client.test", "250");
        client.send(format!("STARTTLS\r\n{injected}").as_bytes());
        assert!(client.reply().starts_with("220 "), "{injected}");
        client.start_tls(&relay.certificate());
        // The first thing that is answered is what came under TLS.
        let reply = client.command("EHLO client.test");
        assert!(reply.starts_with("250-relay.test\n"), "{reply}");
        client.expect("NOOP", "250 2.0.0");
    }
}

#[test]
fn auth_is_neither_listed_nor_taken_in_clear_and_both_after_starttls() {
    let relay = Relay::start("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.connect();
    let list = client.expect("EHLO client.test", "250");
    assert!(!list.contains("AUTH"), "{list}");
    let refused = client.auth_plain("ann", &password);
    assert!(refused.starts_with("538 5.7.11 "), "{refused}");
    client.expect("AUTH LOGIN", "538 5.7.11 ");
    let list = client.upgrade(&relay.certificate());
    assert!(list.contains("250-AUTH PLAIN LOGIN\n"), "{list}");
    let taken = client.auth_plain("ann", &password);
    assert!(taken.starts_with("235 2.7.0 "), "{taken}");
}

#[test]
fn auth_is_taken_in_clear_where_that_is_configured() {
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.connect();
    let list = client.expect("EHLO client.test", "250");
    assert!(list.contains("250-AUTH PLAIN LOGIN\n"), "{list}");
    let taken = client.auth_plain("ann", &password);
    assert!(taken.starts_with("235 2.7.0 "), "{taken}");
}

#[test]
fn a_port_with_implicit_tls_takes_mail_and_offers_no_starttls() {
    let relay = Relay::start("");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = Client::open_tls(relay.tls(), &relay.certificate());
    assert!(client.reply().starts_with("220 relay.test ESMTP"));
    let list = client.expect("EHLO client.test", "250");
    assert!(!list.contains("STARTTLS"), "{list}");
    let login = client.auth_plain("ann", &password);
    assert!(login.starts_with("235"), "{login}");
    let reply = client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "tls"),
    );
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let received = sink.wait_for(1).remove(0);
    let trace = received.field("Received").unwrap();
    assert!(trace.contains(" with ESMTPSA id "), "{trace}");
    assert!(trace.contains("(using TLSv1.3 with cipher "), "{trace}");
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let relay = Relay::start("");
    let handshake = |version: &str| {
        let address = relay.tls().to_string();
        let mut command = Command::new("openssl");
        // Security level 0, so that it is the relay that says no.
        command.args(["s_client", "-connect", &address, version, "-brief"]);
        command.args(["-cipher", "ALL:@SECLEVEL=0"]);
        let output = run(&mut command);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = handshake(version);
        assert!(
            said.contains(&format!("Protocol version: {name}")),
            "{version}: {said}"
        );
    }
    for version in ["-tls1", "-tls1_1"] {
        let said = handshake(version);
        assert!(!said.contains("Protocol version"), "{version}: {said}");
        // It is an alert of the relay, not a complaint of the client about itself.
        assert!(said.contains("SSL alert number "), "{version}: {said}");
    }
}

#[test]
fn a_client_that_wants_to_negotiate_anew_writes_nothing_into_the_log() {
    let mut relay = Relay::start("");
    let mut client = Command::new("openssl");
    client.args(["s_client", "-tls1_2", "-msg", "-connect"]);
    let mut client = client
        .arg(relay.tls().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A line that begins so is a command to this client, which waits for nothing before it. To its second hello it
    // gets no answer, and it waits for one until the connection ends.
    let mut commands = client.stdin.take().unwrap();
    commands.write_all(b"R\n").unwrap();
    let said = BufReader::new(client.stdout.take().unwrap()).lines();
    let hellos = said.filter(|line| line.as_ref().unwrap().contains(", ClientHello"));
    assert_eq!(hellos.take(2).count(), 2);
    assert!(relay.terminate().success());
    let _ = client.wait().unwrap();
    let printed = relay.printed();
    assert!(!printed.contains(" WARN "), "{printed}");
}

#[test]
fn the_configured_certificate_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["relay.test".to_owned()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let relay = Relay::start(&format!(
        "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    ));
    let mut client = relay.connect();
    client.upgrade(&certificate);
    assert!(!relay.certificate().exists(), "no other one is made");
}

#[test]
fn the_certificate_of_the_first_start_is_kept() {
    let mut relay = Relay::start("");
    let first = std::fs::read(relay.certificate()).unwrap();
    assert!(relay.terminate().success());
    relay.restart();
    assert_eq!(std::fs::read(relay.certificate()).unwrap(), first);
    relay.connect().upgrade(&relay.certificate());
}
