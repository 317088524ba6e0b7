//! What holds for any octets a client may send: replies and content do not depend on how they were
//! cut, nothing panics, nothing that was accepted has a bare line end, every reply is well formed.

#![allow(clippy::unwrap_used)]

mod support;

use outpost_smtp::Limits;
use outpost_smtp::server::{Security, Session, Settings, Step};
use proptest::prelude::*;
use support::{Relay, settings};

/// Limits that random conversations run into.
fn tight() -> Settings {
    Settings {
        limits: Limits {
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
        },
        ..settings()
    }
}

/// Pieces of conversations; most are valid somewhere.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "EHLO client.example\r\n",
        "HELO client.example\r\n",
        "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n",
        "AUTH PLAIN\r\nAHVzZXIAc2VjcmV0\r\n",
        "AUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\n",
        "AUTH LOGIN dXNlcg==\r\nd3Jvbmc=\r\n",
        "MAIL FROM:<sender@a.example>\r\n",
        "MAIL FROM:<> SIZE=50 BODY=8BITMIME\r\n",
        "MAIL FROM:<x@other.example> SIZE=61\r\n",
        "RCPT TO:<recipient@b.example>\r\n",
        "RCPT TO:<Postmaster> NOTIFY=NEVER\r\n",
        "DATA\r\n",
        "DATA\r\nFrom: a\r\n\r\n..\r\n.\r\n",
        "DATA\r\nsmuggled\n.\nRSET\r\n.\r\n",
        "DATA\r\n0123456789012345678901234567890123456789\r\n.\r\n",
        "DATA\r\n0123456789\r\n0123456789\r\n0123456789\r\n0123456789\r\n0123456789\r\n0123456789\r\n.\r\n",
        "\r\n.\r\n",
        "BDAT 3\r\na\r\n",
        "BDAT 2\r\nb\r",
        "BDAT 6 LAST\r\n\nQUIT\n",
        "BDAT 6 LAST\r\nRSET\r\n",
        "BDAT 0 LAST\r\n",
        "BDAT 61\r\n",
        "BDAT 9999\r\n",
        "BDAT -1\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "QUIT\r\n",
        "STARTTLS\r\nRSET\r\n",
        "VRFY a\r\n",
        "NOOP\n",
        "NOOP 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
        "AUTH 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n",
        "\r",
        "\n",
        ".",
    ]);
    prop_oneof![
        8 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

/// A conversation; most begin with a login, so that they lead somewhere.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let opening = prop_oneof![
        4 => Just("EHLO c\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\nMAIL FROM:<>\r\nRCPT TO:<recipient@b.example>\r\n"),
        1 => Just("EHLO c\r\n"),
        1 => Just(""),
    ];
    (opening, prop::collection::vec(fragment(), 0..25))
        .prop_map(|(opening, fragments)| [opening.as_bytes(), &fragments.concat()].concat())
}

fn play(octets: &[u8], cuts: &[usize], security: Security) -> Relay {
    let mut relay = Relay::new(tight(), security);
    let (mut rest, mut cuts) = (octets, cuts.iter().cycle());
    while !rest.is_empty() {
        let cut = cuts.next().map_or(rest.len(), |cut| (*cut).min(rest.len()));
        let (piece, left) = rest.split_at(cut);
        relay.feed(piece);
        rest = left;
    }
    if relay.wants_tls {
        relay.start_tls();
        relay.feed(b"NOOP\r\n");
    }
    relay
}

fn check_replies(sent: &[u8]) -> Result<(), TestCaseError> {
    let text = String::from_utf8(sent.to_vec()).unwrap();
    prop_assert!(text.is_empty() || text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        prop_assert!(
            line.len() <= 510 && line.bytes().all(|octet| (b' '..=b'~').contains(&octet)),
            "{}",
            line
        );
        let (code, rest) = line.split_at(3);
        prop_assert!(code.bytes().all(|digit| digit.is_ascii_digit()), "{}", line);
        if line.starts_with(['4', '5']) {
            let class = &line[..1];
            prop_assert!(rest[1..].starts_with(&format!("{class}.")), "{}", line);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn replies_and_content_never_depend_on_the_cut(
        octets in conversation(),
        cuts in prop::collection::vec(1usize..12, 1..8),
        is_tls: bool,
    ) {
        let security = if is_tls { Security::Tls } else { Security::Plain };
        let whole = play(&octets, &[], security);
        for cuts in [&cuts[..], &[1]] {
            let cut = play(&octets, cuts, security);
            prop_assert_eq!(String::from_utf8_lossy(&whole.sent), String::from_utf8_lossy(&cut.sent));
            prop_assert_eq!(&whole.messages, &cut.messages);
            prop_assert_eq!(&whole.events, &cut.events);
            prop_assert_eq!(whole.is_closed, cut.is_closed);
            prop_assert!(cut.waits.is_sorted());
        }
        check_replies(&whole.sent)?;
        for message in &whole.messages {
            let text = String::from_utf8_lossy(message).replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n']));
            prop_assert!(message.len() <= 60);
        }
    }

    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300), cut in 1usize..40) {
        check_replies(&play(&octets, &[cut], Security::Tls).sent)?;
    }

    #[test]
    fn a_content_arrives_as_it_was_sent(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("no line ends", |octet| !matches!(octet, b'\r' | b'\n')), 0..60), 0..40),
        cut in 1usize..200,
    ) {
        let content: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\r\n"].concat()).collect();
        let mut encoder = outpost_smtp::content::DotEncoder::default();
        let mut wire = b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n".to_vec();
        encoder.encode(&content, &mut wire).unwrap();
        encoder.finish(&mut wire).unwrap();
        wire.extend(format!("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT {} LAST\r\n", content.len()).bytes());
        wire.extend(&content);
        let mut relay = Relay::logged_in(settings());
        for piece in wire.chunks(cut) {
            relay.feed(piece);
        }
        prop_assert_eq!(&relay.messages, &[content.clone(), content]);
    }
}

#[test]
fn an_octet_at_a_time_extends_no_deadline() {
    let mut relay = Relay::logged_in(settings());
    relay.waits.clear();
    for octet in [b'x'; 20_000] {
        relay.feed(&[octet]);
    }
    assert_eq!(relay.waits.len(), 1, "a line without end is one wait");
    relay.feed(b"\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n");
    relay.waits.clear();
    for _ in 0..4096 * 3 / 64 {
        for octet in [b"x".repeat(62).as_slice(), b"\r\n"].concat() {
            relay.feed(&[octet]);
        }
    }
    assert_eq!(
        relay.waits.len(),
        4,
        "content is awaited in blocks of 4 KiB"
    );
    relay.waits.clear();
    relay.feed(b".\r\n");
    assert_eq!(relay.waits.len(), 1, "its end is the end of a wait");
}

#[test]
fn a_session_that_idles_is_small() {
    assert!(size_of::<Session>() <= 512, "{}", size_of::<Session>());
    let mut relay = Relay::logged_in(settings());
    let content = b"x".repeat(62);
    relay.feed(b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n");
    for _ in 0..2000 {
        relay.feed(&[&content, b"\r\n".as_slice()].concat());
    }
    relay.feed(b".\r\n");
    assert_eq!(relay.messages.len(), 1);
    assert!(relay.session.input().capacity() <= 128);
    assert!(matches!(relay.session.next(), Step::Receive { .. }));
}

#[test]
fn pipelined_commands_are_answered_before_the_output_grows() {
    let mut settings = settings();
    settings.limits.commands_without_mail_max = u32::MAX;
    let mut session = Session::new(std::sync::Arc::new(settings), Security::Plain);
    session.feed(b"EHLO c\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n");
    session.feed(&b"NOOP\r\n".repeat(20_000));
    let mut replies = 0;
    loop {
        match session.next() {
            Step::Send => {
                assert!(session.output().len() <= 8 * 1024 + 512);
                replies += session
                    .output()
                    .iter()
                    .filter(|octet| **octet == b'\n')
                    .count();
                session.sent(session.output().len());
            }
            Step::Ask(_) => session.answer(outpost_smtp::server::Answer::Accept),
            Step::Receive { .. } => break,
            step => panic!("{step:?}"),
        }
    }
    assert!(replies > 20_000);
}
