//! What was said about a message can be read afterwards, from the command line and by the API.

use serde_json::Value;

use crate::support::{Relay, Sink, base64, mail, message_id, wait_until};

/// The dialogues in the trail of a message: the address of the host, where it was one, and the lines.
fn dialogues(message: &Value) -> Vec<(Option<String>, Vec<String>)> {
    let trail = message["trail"].as_array().unwrap().iter();
    let dialogues = trail.filter(|entry| entry["event"] == "dialogue");
    let told = dialogues.map(|entry| {
        let lines = entry["lines"].as_array().unwrap().iter();
        let line = |line: &Value| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            assert!(line["after_milliseconds"].is_u64(), "{line}");
            format!("{}: {}", text("by"), text("text"))
        };
        let address = entry["address"].as_str().map(str::to_owned);
        (address, lines.map(line).collect())
    });
    told.collect()
}

/// Where a line stands that begins so.
fn at(lines: &[String], beginning: &str) -> usize {
    let found = lines.iter().position(|line| line.starts_with(beginning));
    found.unwrap_or_else(|| panic!("no {beginning:?} in {lines:#?}"))
}

#[test]
fn the_dialogues_of_a_message_are_shown_without_secrets_and_content_also_after_a_crash() {
    let mut relay = Relay::start("");
    let sink = Sink::start(relay.ip, &["--refuse", "never@"]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.connect();
    client.upgrade(&relay.certificate());
    let said = client.auth_plain("ann", &password);
    assert!(said.starts_with("235"), "{said}");
    let content = format!("{}\r\nonly-in-the-body", mail("ann@a.example", "hello"));
    let recipients = ["<bob@d.example>", "<never@d.example>"];
    let reply = client.transaction("<ann@a.example>", &recipients, &content);
    let id = message_id(&reply);
    // The message, and the report of the refusal.
    sink.wait_for(2);
    let is_finished = |relay: &Relay| !relay.message(&id)["finished"].is_null();
    wait_until("it is finished", || is_finished(&relay));
    relay.kill();
    relay.restart();

    let message = relay.message(&id);
    let [(None, submission), (Some(host), delivery)] = &dialogues(&message)[..] else {
        panic!("{message:#}");
    };
    // How it came in: the lines in clear, those under TLS, the login, the transaction and its reply.
    let in_order = [
        "server: 220 ",
        "client: EHLO ",
        "client: STARTTLS",
        "server: 220 2.0.0 ",
        "note: [TLS: TLSv1.3 ",
        "client: AUTH PLAIN [masked]",
        "server: 235 2.7.0 ",
        "client: MAIL FROM:<ann@a.example>",
        "server: 250 2.1.0 ",
        "client: RCPT TO:<bob@d.example>",
        "client: RCPT TO:<never@d.example>",
        "client: DATA",
        "server: 354 ",
        &format!("client: [content, {} octets]", content.len() + 2),
        &format!("server: 250 2.0.0 Queued as {id}"),
    ];
    let mut rest = &submission[..];
    for line in in_order {
        rest = &rest[at(rest, line) + 1..];
    }
    assert!(rest.is_empty(), "{rest:?}");

    // How it went out: who was refused is seen, though all commands left together.
    assert!(host.starts_with(&relay.ip.to_string()), "{host}");
    let refused = at(delivery, "client: RCPT TO:<never@d.example>");
    assert!(
        delivery[refused + 1].starts_with("server: 550 "),
        "{delivery:#?}"
    );
    let taken = at(delivery, "client: RCPT TO:<bob@d.example>");
    assert!(
        delivery[taken + 1].starts_with("server: 250 "),
        "{delivery:#?}"
    );
    let [.., content, reply] = &delivery[..] else {
        panic!("{delivery:#?}");
    };
    let octets = message["content_octets"].as_u64().unwrap();
    assert!(octets < 1_000, "no comma is needed");
    assert!(
        content.ends_with(&format!("[content, {octets} octets]")),
        "{content}"
    );
    assert!(reply.starts_with("server: 250 "), "{reply}");

    // The same for people.
    let shown = relay.printed_by(&["queue", "show", &id]);
    for line in [
        "Z  dialogue with the client\n",
        " ms  C: AUTH PLAIN [masked]\n",
        " ms  C: RCPT TO:<never@d.example>\n",
        " ms  S: 550 ",
        &format!("]:{} of smarthost {host}", host.rsplit_once(':').unwrap().1),
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let proof = base64(&format!("\0ann\0{password}"));
    for secret in [&password, &proof, &base64(&password), "only-in-the-body"] {
        assert!(
            !shown.contains(secret) && !message.to_string().contains(secret),
            "{shown}"
        );
    }
}
