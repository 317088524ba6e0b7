//! Server sessions: replies, questions and content depend on the octets alone, never on their cut.
//!
//! The driver is that of the protocol core's own tests. It checks on the way that nothing is asked
//! out of order or without a login, and that no octets make a session go round for ever.

use std::sync::Arc;

use outpost_smtp::Limits;
use outpost_smtp::dialogue::{Asked, Decision, Verdict};
use outpost_smtp::server::{Security, Session, Settings};

use crate::cut::pieces;
use crate::reply::check_lines;
use crate::support::{self, Relay};

/// Stands for the moment in which TLS starts, if the client has asked for it.
const PHASE_END: u8 = 0x1c;

/// Limits that short conversations run into.
fn tight() -> Limits {
    Limits {
        command_octets_max: 64,
        auth_line_octets_max: 90,
        recipients_max: 2,
        content_octets_max: 60,
        content_line_octets_max: 30,
        discarded_octets_max: 100,
        errors_max: 6,
        auth_failures_max: 2,
        commands_before_login_max: 12,
        commands_without_mail_max: 12,
        ..Limits::default()
    }
}

/// The first octet chooses settings, the second says how the others are cut.
pub fn server(octets: &[u8]) {
    let [choice, seed, octets @ ..] = octets else {
        return;
    };
    let whole = play(*choice, octets, |phase| Box::new(std::iter::once(phase)));
    let cut = play(*choice, octets, |phase| Box::new(pieces(phase, *seed)));
    check_alike(&whole, &cut);
    let single = play(*choice, octets, |phase| Box::new(phase.chunks(1)));
    check_alike(&whole, &single);
    check_lines(&whole.sent);
    for message in &whole.messages {
        let text = String::from_utf8_lossy(message).replace("\r\n", "");
        assert!(!text.contains(['\r', '\n']), "a bare line end: {text:?}");
    }
}

fn session(choice: u8) -> Session {
    let settings = Arc::new(Settings {
        limits: if choice & 1 == 0 {
            Limits::default()
        } else {
            tight()
        },
        plaintext_auth: choice & 2 == 0,
        starttls: choice & 4 == 0,
        ..support::settings()
    });
    let security = if choice & 8 == 0 {
        Security::Plain
    } else {
        Security::Tls
    };
    if choice & 16 == 0 {
        Session::new(settings, security)
    } else {
        Session::without_login(settings, security)
    }
}

/// What the relay decides otherwise than usual, once.
fn decision(choice: u8) -> Option<Decision> {
    let (question, verdict, reply) = match choice >> 5 {
        1 => (Asked::Mail, Verdict::Refuse, "451 4.3.0 Later"),
        2 => (Asked::Recipient, Verdict::Close, "421 4.3.2 Goodbye"),
        3 => (Asked::Data, Verdict::Refuse, "452 4.3.1 Full"),
        4 => (Asked::Message, Verdict::Refuse, "554 5.7.1 No"),
        5 => (Asked::Message, Verdict::Close, "421 4.3.2 Goodbye"),
        6 => (Asked::Authenticate, Verdict::Refuse, "454 4.7.0 Later"),
        7 => (Asked::Recipient, Verdict::Accept, "251 2.1.5 Forwarded"),
        _ => return None,
    };
    Some(Decision {
        question,
        verdict,
        reply: reply.to_owned(),
    })
}

type Pieces<'a> = Box<dyn Iterator<Item = &'a [u8]> + 'a>;

fn play<'a>(choice: u8, octets: &'a [u8], cut: impl Fn(&'a [u8]) -> Pieces<'a>) -> Relay {
    let mut relay = Relay::around(session(choice));
    relay.decisions.extend(decision(choice));
    for phase in octets.split(|octet| *octet == PHASE_END) {
        for piece in cut(phase).filter(|piece| !piece.is_empty()) {
            relay.feed(piece);
        }
        if relay.wants_tls {
            relay.start_tls();
        }
    }
    relay
}

fn check_alike(whole: &Relay, cut: &Relay) {
    assert_eq!(
        String::from_utf8_lossy(&whole.sent),
        String::from_utf8_lossy(&cut.sent)
    );
    assert_eq!(whole.messages, cut.messages);
    assert_eq!(whole.events, cut.events);
    assert_eq!(whole.is_closed, cut.is_closed);
    assert!(cut.waits.is_sorted(), "waits go on: {:?}", cut.waits);
}
