//! Every state of a server session against every command, as a table of reply codes.
//!
//! `-` means that no reply is given: the octets are content, or the exchange goes on without one.

#![allow(clippy::unwrap_used)]

mod support;

use outpost_smtp::dialogue::{Asked, Decision, Verdict};
use outpost_smtp::server::Security;
use support::{Relay, settings};

/// The columns: a name and what is sent.
const COMMANDS: [(&str, &str); 17] = [
    ("EHLO", "EHLO client.example\r\n"),
    ("HELO", "HELO client.example\r\n"),
    ("MAIL", "MAIL FROM:<sender@a.example>\r\n"),
    ("RCPT", "RCPT TO:<recipient@b.example>\r\n"),
    ("DATA", "DATA\r\n"),
    ("BDAT", "BDAT 3\r\na\r\n"),
    ("LAST", "BDAT 0 LAST\r\n"),
    ("RSET", "RSET\r\n"),
    ("NOOP", "NOOP\r\n"),
    ("VRFY", "VRFY a\r\n"),
    ("HELP", "HELP\r\n"),
    ("EXPN", "EXPN a\r\n"),
    ("TLS", "STARTTLS\r\n"),
    ("AUTH", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n"),
    ("QUIT", "QUIT\r\n"),
    ("*", "*\r\n"),
    ("bare", "NOOP\nNOOP\r\n"),
];

/// The rows. 530 and 503 in `ehlo`: MAIL needs a login, and the rest needs MAIL.
const TABLE: &str = "
state      EHLO HELO MAIL RCPT DATA BDAT LAST RSET NOOP VRFY HELP EXPN TLS  AUTH QUIT *    bare
fresh      250  250  503  503  503  503  503  250  250  252  214  502  503  503  221  500  500
helo       250  250  530  503  503  503  503  250  250  252  214  502  503  503  221  500  500
ehlo       250  250  530  503  503  503  503  250  250  252  214  502  220  235  221  500  500
tls        250  250  530  503  503  503  503  250  250  252  214  502  503  235  221  500  500
plain      250  250  530  503  503  503  503  250  250  252  214  502  220  538  221  500  500
login      250  250  250  503  503  503  503  250  250  252  214  502  220  503  221  500  500
denied     250  250  250  503  503  503  503  250  250  252  214  502  220  503  221  500  500
mail       250  250  503  250  503  503  503  250  250  252  214  502  220  503  221  500  500
refused    250  250  503  250  554  554  554  250  250  252  214  502  220  503  221  500  500
rcpt       250  250  503  250  354  250  250  250  250  252  214  502  220  503  221  500  500
chunk      250  250  503  503  503  250  250  250  250  252  214  502  503  503  221  500  500
auth-plain 501  501  501  501  501  501  501  501  501  501  501  501  501  501  501  501  501
auth-name  501  501  501  501  501  501  501  501  501  501  501  501  501  501  501  501  501
auth-pass  501  501  501  501  501  501  501  501  501  501  501  501  501  501  501  501  501
data       -    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -
octets     -    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -
handshake  -    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -
closed     -    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -
";

const ENVELOPE: &[u8] = b"MAIL FROM:<sender@a.example>\r\nRCPT TO:<recipient@b.example>\r\n";

fn reach(state: &str) -> Relay {
    let mut settings = settings();
    settings.plaintext_auth = state != "plain";
    let security = if state == "tls" {
        Security::Tls
    } else {
        Security::Plain
    };
    let ehlo = |security| {
        let mut relay = Relay::new(settings.clone(), security);
        relay.feed(b"EHLO client.example\r\n");
        relay
    };
    let logged_in = |octets: &[u8]| {
        let mut relay = Relay::logged_in(settings.clone());
        relay.feed(octets);
        relay
    };
    let exchange = |octets: &[u8]| {
        let mut relay = ehlo(Security::Plain);
        relay.feed(octets);
        relay
    };
    match state {
        "fresh" => Relay::new(settings, Security::Plain),
        "helo" => {
            let mut relay = Relay::new(settings, Security::Plain);
            relay.feed(b"HELO client.example\r\n");
            relay
        }
        "ehlo" | "tls" | "plain" => ehlo(security),
        "login" => logged_in(b""),
        "mail" => logged_in(b"MAIL FROM:<sender@a.example>\r\n"),
        "denied" => {
            let mut relay = logged_in(b"");
            relay.decisions.push_back(Decision {
                question: Asked::Mail,
                verdict: Verdict::Refuse,
                reply: "550 5.7.1 No".into(),
            });
            relay.feed(b"MAIL FROM:<sender@a.example>\r\n");
            relay
        }
        "refused" => {
            let mut relay = logged_in(b"");
            relay.decisions.push_back(Decision {
                question: Asked::Recipient,
                verdict: Verdict::Refuse,
                reply: "550 5.1.1 No".into(),
            });
            relay.feed(ENVELOPE);
            relay
        }
        "rcpt" => logged_in(ENVELOPE),
        "chunk" => logged_in(&[ENVELOPE, b"BDAT 3\r\na\r\n"].concat()),
        "auth-plain" => exchange(b"AUTH PLAIN\r\n"),
        "auth-name" => exchange(b"AUTH LOGIN\r\n"),
        "auth-pass" => exchange(b"AUTH LOGIN dXNlcg==\r\n"),
        "data" => logged_in(&[ENVELOPE, b"DATA\r\n"].concat()),
        "octets" => logged_in(&[ENVELOPE, b"BDAT 1000\r\n"].concat()),
        "handshake" => logged_in(b"STARTTLS\r\n"),
        "closed" => logged_in(b"QUIT\r\n"),
        _ => panic!("no state is called {state}"),
    }
}

/// What a command is answered with in a state.
fn code(state: &str, command: &str) -> String {
    let mut relay = reach(state);
    relay.sent.clear();
    relay.feed(command.as_bytes());
    let reply = relay.replies();
    reply.get(..3).unwrap_or("-").to_owned()
}

#[test]
fn every_state_answers_every_command_as_the_table_says() {
    let mut rows = TABLE.lines().filter(|line| !line.is_empty());
    let columns: Vec<&str> = rows.next().unwrap().split_whitespace().skip(1).collect();
    assert_eq!(columns, COMMANDS.map(|(name, _)| name));
    let mut wrong = Vec::new();
    for row in rows {
        let mut cells = row.split_whitespace();
        let state = cells.next().unwrap();
        for ((name, command), expected) in COMMANDS.iter().zip(cells) {
            let found = code(state, command);
            // Some commands are base64 by accident: as a name they lead on, as a password they are wrong.
            let is_by_accident =
                state.starts_with("auth-") && matches!(found.as_str(), "334" | "535");
            if found != expected && !(is_by_accident && command.trim_end().len() % 4 == 0) {
                wrong.push(format!(
                    "{state} {name}: expected {expected}, found {found}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where a command leaves the session, for those that lead somewhere.
#[test]
fn only_the_right_commands_open_and_end_a_transaction() {
    let is_open_after = |state: &str, command: &str| {
        let mut relay = reach(state);
        relay.feed(command.as_bytes());
        relay.session.in_transaction()
    };
    for (state, opens) in [("login", "MAIL"), ("mail", ""), ("rcpt", ""), ("chunk", "")] {
        for (name, command) in COMMANDS {
            let expected = match (state, name) {
                ("login", _) => name == opens,
                (_, "EHLO" | "HELO" | "RSET" | "QUIT") => false,
                ("mail" | "rcpt", "TLS") => false,
                ("rcpt" | "chunk", "LAST") => false,
                // It may be the rest of a chunk that was counted wrongly.
                ("chunk", "*" | "bare") => false,
                _ => true,
            };
            assert_eq!(is_open_after(state, command), expected, "{state} {name}");
        }
    }
}

#[test]
fn what_ends_a_transaction_is_told() {
    let events_after = |state: &str, command: &str| {
        let mut relay = reach(state);
        relay.events.clear();
        relay.feed(command.as_bytes());
        let refusals = relay.refusals.into_iter().map(str::to_owned);
        relay.events.into_iter().chain(refusals).collect::<Vec<_>>()
    };
    for command in ["RSET\r\n", "EHLO a\r\n", "HELO a\r\n", "QUIT\r\n"] {
        assert!(events_after("login", command).is_empty(), "{command}");
        assert_eq!(events_after("mail", command), ["reset"], "{command}");
        assert_eq!(events_after("rcpt", command), ["reset"], "{command}");
        assert_eq!(events_after("chunk", command), ["discard"], "{command}");
    }
    assert_eq!(events_after("rcpt", "STARTTLS\r\n"), ["reset"]);
    let bare = ["discard", "550 5.6.11 Bare CR or LF in the content"];
    assert_eq!(events_after("data", "a\nb\r\n"), bare);
    assert_eq!(events_after("chunk", "BDAT 2\r\na\nBDAT 3\r\nb\r\n"), bare);
    for state in ["rcpt", "chunk"] {
        assert_eq!(
            events_after(state, "BDAT 99999999 LAST\r\n"),
            ["discard", "552 5.3.4 Message exceeds the maximum size"]
        );
    }
}
