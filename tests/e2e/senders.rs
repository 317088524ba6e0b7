//! Who may send as whom: the rules of users against envelopes and headers, decided by the component
//! that ships.

use serde_json::json;

use crate::support::{Client, Relay, Sink, mail};

const REFUSED: &str = "550 5.7.1 ";

/// A user of its own for the options, and a session of it.
fn session(relay: &Relay, name: &str, options: &[&str]) -> Client {
    let password = relay.user_with(name, options);
    relay.logged_in(name, &password)
}

/// The reply to MAIL for that sender; the transaction is given up.
fn mail_from(client: &mut Client, sender: &str) -> String {
    let parameter = if sender.is_ascii() { "" } else { " SMTPUTF8" };
    let reply = client.command(&format!("MAIL FROM:<{sender}>{parameter}"));
    client.expect("RSET", "250");
    reply
}

#[test]
fn rules_cover_what_they_say_and_nothing_else() {
    let relay = Relay::start_in_clear("");
    let domains = |text| ["--domains", text];
    let senders = |text| ["--senders", text];
    let cases: &[(&[&str], &[&str], &[&str])] = &[
        (
            &domains("a.example;b.example"),
            &["x@a.example", "y@b.example", "Z@A.EXAMPLE"],
            &[
                "x@c.example",
                "x@sub.a.example",
                "x@aa.example",
                "x@a.example.org",
            ],
        ),
        (
            &domains(" A.Example ;; b.EXAMPLE ; a.example ;"),
            &["x@a.example", "x@b.example"],
            &["x@c.example"],
        ),
        (
            &senders("x@a.example;Y@a.example"),
            &["x@a.example", "y@a.example", "X@A.example"],
            &["z@a.example", "xx@a.example", "x@b.example"],
        ),
        (
            &domains("*.a.example"),
            &["x@sub.a.example", "x@deep.sub.a.example"],
            &["x@a.example", "x@suba.example"],
        ),
        (
            &["--domains", "a.example", "--senders", "x@b.example"],
            &["any@a.example", "x@b.example"],
            &["y@b.example"],
        ),
        (&[], &[], &["x@a.example", "x@relay.test"]),
        (
            &domains("m\u{fc}nchen.example;xn--kln-sna.example"),
            &[
                "x@m\u{fc}nchen.example",
                "x@xn--mnchen-3ya.example",
                "x@M\u{dc}NCHEN.example",
                "x@k\u{f6}ln.example",
                "x@xn--kln-sna.example",
            ],
            &["x@munchen.example", "x@koln.example"],
        ),
    ];
    for (index, (options, permitted, refused)) in cases.iter().enumerate() {
        let mut client = session(&relay, &format!("user{index}"), options);
        for sender in *permitted {
            let reply = mail_from(&mut client, sender);
            assert!(
                reply.starts_with("250 2.1.0 "),
                "{options:?}: {sender}: {reply}"
            );
        }
        for sender in *refused {
            let reply = mail_from(&mut client, sender);
            assert!(reply.starts_with(REFUSED), "{options:?}: {sender}: {reply}");
            // Nothing of what was sent, and nothing of the rules.
            assert!(
                !reply.contains('@') && !reply.contains("example"),
                "{reply}"
            );
        }
    }
}

#[test]
fn a_header_that_claims_another_author_is_refused_and_nothing_is_queued() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay, "ann", &["--domains", "a.example"]);
    let reply = client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ceo@victim.example", "forged"),
    );
    assert!(reply.starts_with(REFUSED), "{reply}");
    assert_eq!(relay.queued(), Vec::<serde_json::Value>::new());
    // The session is as good as before, and the next message is the only one that arrives.
    let reply = client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "honest"),
    );
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let received = sink.wait_for(1);
    assert_eq!(received[0].field("Subject").unwrap(), "honest");
    assert_eq!(sink.count(), 1);
}

/// The From and Sender fields of a message, and whether a user of a.example may send it.
#[test]
fn every_author_must_be_permitted_however_the_header_is_written() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay, "ann", &["--domains", "a.example"]);
    let permitted = [
        "From: ann@a.example",
        "fROM:Ann <ann@a.example>",
        "From: \"Ann, of A\" <ann@A.example>",
        "From: ann@a.example (Ann)",
        "From: =?utf-8?q?J=C3=B6rg?= <ann@a.example>",
        "From: ann@a.example, tom@a.example\r\nSender: ann@a.example",
        "From: Ann\r\n <ann@a.example>",
    ];
    let refused = [
        "From: ceo@victim.example",
        "From: ann@a.example, ceo@victim.example",
        "From: ceo@victim.example, ann@a.example\r\nSender: ann@a.example",
        "From: ann@a.example\r\nSender: ceo@victim.example",
        "From: ann@a.example\r\nFrom: ceo@victim.example",
        "From: ann@a.example\r\nFROM: ann@a.example",
        "From: ann@a.example\r\nSender: ann@a.example\r\nSender: ceo@victim.example",
        "Subject: no author at all",
        "From:",
        "From: Ann",
        "From: ann@a.example <ceo@victim.example>",
        "From: <ann@a.example> <ceo@victim.example>",
        "From: \"ann@a.example\" <ceo@victim.example>",
        "From: ann@a.example (\r\n) , ceo@victim.example",
        "From: team: ann@a.example, ceo@victim.example;",
        "From: team: ann@a.example;",
        "From: Ann (ceo@victim.example) <ann@a.example>",
        "From: (ann@a.example) ceo@victim.example",
        "From: undisclosed:;",
        "From: =?utf-8?q?ann=40a.example?=",
        "From: =?utf-8?q?ann=40a.example?= <ceo@victim.example>",
        "From: ann@a.example\0, ceo@victim.example",
        "From: ann@a.example@victim.example",
        "From: <@a.example:ceo@victim.example>",
        "From: ann@a.example;ceo@victim.example",
        "From: Ann <ann@a.example> ceo@victim.example",
        "From: Ann <ann@a.example",
        "From : ann@a.example",
        "From : ann@a.example\r\nFrom: ceo@victim.example",
        "From: ann@a.example\r\n\tceo@victim.example",
    ];
    for header in permitted {
        let content = format!("{header}\r\nTo: bob@d.example\r\n\r\nText.");
        let reply = client.message("ann@a.example", "bob@d.example", &content);
        assert!(reply.starts_with("250 2.0.0 "), "{header:?}: {reply}");
    }
    for header in refused {
        let content = format!("{header}\r\nTo: bob@d.example\r\n\r\nText.");
        let reply = client.message("ann@a.example", "bob@d.example", &content);
        assert!(reply.starts_with("550 5."), "{header:?}: {reply}");
        assert!(
            !reply.contains("victim") && !reply.contains("a.example"),
            "{reply}"
        );
    }
    sink.wait_for(permitted.len());
    assert_eq!(sink.count(), permitted.len());
}

#[test]
fn a_null_reverse_path_passes_and_the_header_decides() {
    let relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let mut client = session(&relay, "ann", &["--domains", "a.example"]);
    let forged = client.message("", "bob@d.example", &mail("ceo@victim.example", "forged"));
    assert!(forged.starts_with(REFUSED), "{forged}");
    let honest = client.message("", "bob@d.example", &mail("ann@a.example", "honest"));
    assert!(honest.starts_with("250 2.0.0 "), "{honest}");
    assert_eq!(sink.wait_for(1)[0].envelope["from"], "");
}

#[test]
fn a_change_of_rules_is_in_force_at_the_next_mail_of_an_open_session() {
    let relay = Relay::start_in_clear("");
    let mut client = session(&relay, "ann", &["--domains", "a.example"]);
    assert!(mail_from(&mut client, "x@b.example").starts_with(REFUSED));
    relay.printed_by(&["user", "set", "ann", "--domains", "b.example"]);
    assert!(mail_from(&mut client, "x@b.example").starts_with("250"));
    assert!(mail_from(&mut client, "x@a.example").starts_with(REFUSED));
    // By the API, with a list instead of a text.
    let change = json!({"authorized_domains": [], "authorized_senders": ["x@a.example"]});
    let changed = relay.api("PATCH", "/api/v1/users/ann", Some(&change));
    assert_eq!(changed.status, 200);
    assert!(mail_from(&mut client, "x@b.example").starts_with(REFUSED));
    assert!(mail_from(&mut client, "x@a.example").starts_with("250"));
}

#[test]
fn a_comma_in_the_rules_is_refused_with_what_to_write_instead() {
    let relay = Relay::start("");
    for (option, given, expected) in [
        (
            "--domains",
            "a.example,b.example",
            "items are separated by a semicolon, write \"a.example;b.example\"",
        ),
        (
            "--senders",
            "x@a.example, y@a.example",
            "items are separated by a semicolon, write \"x@a.example;y@a.example\"",
        ),
    ] {
        let said = relay.complaint_of(&["user", "add", option, given]);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn nobody_relays_without_a_login_on_any_port_from_any_address() {
    let relay = Relay::start(
        "[submission]\naddresses = [\"IP\"]\nports = \"1025,1587,2525\"\nimplicit_tls_ports = \"4650\"\n",
    );
    let sink = Sink::start(relay.ip, &[]);
    relay.user("ann", "a.example");
    let certificate = relay.certificate();
    let clear = |port: u16| Client::connect((relay.ip, port).into());
    let mut clients = vec![clear(1025), clear(1587), clear(2525)];
    let mut upgraded = clear(1025);
    upgraded.upgrade(&certificate);
    let mut tls = Client::open_tls((relay.ip, 4650).into(), &certificate);
    tls.reply();
    clients.extend([upgraded, tls]);
    for mut client in clients {
        client.expect("EHLO client.test", "250");
        for path in ["<ann@a.example>", "<>", "<postmaster@relay.test>"] {
            client.expect(&format!("MAIL FROM:{path}"), "530 5.7.0 ");
        }
        client.expect("RCPT TO:<bob@d.example>", "5");
        client.expect("DATA", "5");
        client.expect("HELO client.test", "250");
        client.expect("MAIL FROM:<ann@a.example>", "530 5.7.0 ");
    }
    assert_eq!(sink.count(), 0);
}
