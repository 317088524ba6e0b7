//! Opening a connection as the policy of a next hop says: TLS, logins, and what becomes of mail without them.

#![allow(clippy::unwrap_used)]

use super::super::rehearsal::{Act, Certificate, Mail, Script, World, brief, last_host};
use super::super::settings::Login;
use super::*;
use crate::message::NextHop;

/// Where the smarthost of these tests is.
const PUBLIC: &str = "192.0.2.1";
const LOOPBACK: &str = "127.0.0.1";

fn login() -> Option<Login> {
    Some(Login {
        user: "relay".to_owned(),
        password: "secret".to_owned(),
    })
}

/// A world whose smarthost `mx.example` is at this address and port.
fn world(script: &Script, address: &str, port: u16, smarthost: Smarthost) -> World {
    let mut world = World::new();
    world.table = world.table.address("mx.example", address);
    world
        .host(&format!("{address}:{port}"), script)
        .with(|settings| {
            let name = format!("mx.example:{port}");
            settings.smarthosts.insert(name, smarthost);
        })
}

fn mail(port: u16) -> Mail {
    Mail::by(
        NextHop::Smarthost(format!("mx.example:{port}").into()),
        &["a@b.example"],
    )
}

fn smarthost(tls: TlsPolicy, login: Option<Login>) -> Smarthost {
    Smarthost {
        login,
        tls,
        is_this_relay: false,
    }
}

#[tokio::test]
async fn opportunistic_tls_takes_any_certificate_that_is_offered() {
    let certificate = Certificate::new();
    let host = Script::new().with_tls(&certificate.server);
    let deliverer = World::of(&host).deliverer();
    let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(last_host(&attempt).unwrap().tls.unwrap().version, "TLSv1.3");
    assert_eq!(host.verbs(), "EHLO STARTTLS EHLO MAIL RCPT DATA .");
}

#[tokio::test]
async fn opportunistic_tls_that_fails_is_done_without_on_a_new_connection() {
    let certificate = Certificate::new();
    let refusing = Script::new()
        .with_tls(&certificate.server)
        .at("STARTTLS", Act::Say("454 4.7.0 Not now\r\n"));
    // Says 220 and then no word of TLS.
    let broken = Script::new().listing(&["PIPELINING", "STARTTLS"]);
    let silent = Script::new()
        .with_tls(&certificate.server)
        .at("STARTTLS", Act::SayAndCut("220 2.0.0 Go on\r\n"));
    // Shakes hands and closes; the first EHLO was in clear.
    let late = Script::new()
        .with_tls(&certificate.server)
        .times(1, "EHLO", Act::Usual)
        .times(1, "EHLO", Act::Cut);
    // Nothing good comes of the command itself.
    let at_starttls = |act| {
        let host = Script::new().with_tls(&certificate.server);
        (host.at("STARTTLS", act), 2)
    };
    for (host, connections) in [
        (refusing, 1),
        (broken, 2),
        (silent, 2),
        (late, 2),
        at_starttls(Act::Cut),
        at_starttls(Act::SayAndCut("421 4.3.0 No\r\n")),
        at_starttls(Act::SayAndCut("220 2.0.0 Go on\r\n250 in clear\r\n")),
        at_starttls(Act::SayAndCut("what?\r\n")),
    ] {
        let deliverer = World::of(&host).deliverer();
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(last_host(&attempt).unwrap().tls, None);
        assert_eq!(host.seen().connections, connections);
    }
}

#[tokio::test]
async fn a_host_that_wants_tls_and_does_not_bring_it_about_makes_mail_wait() {
    let certificate = Certificate::new();
    let listing = || Script::new().with_tls(&certificate.server);
    let failing: [fn(Script) -> Script; 3] = [
        |host| host.times(1, "STARTTLS", Act::Say("454 4.7.0 TLS not available\r\n")),
        |host| host.times(1, "STARTTLS", Act::Cut),
        |host| host.times(1, "STARTTLS", Act::SayAndCut("220 2.0.0 Go on\r\n")),
    ];
    let waits = "deferred 451 4.7.5 local";
    for fail in failing {
        for (command, reply, outcome) in [
            (
                "MAIL",
                "530 5.7.0 Must issue a STARTTLS command first\r\n",
                waits,
            ),
            ("MAIL", "554 5.7.1 Encryption needed\r\n", waits),
            ("MAIL", "550 5.7.10 Encryption needed\r\n", waits),
            ("MAIL", "550 Encryption needed\r\n", waits),
            ("RCPT", "550 5.7.10 Encryption needed\r\n", waits),
            // These have nothing to do with it.
            ("MAIL", "451 4.7.1 Greylisted\r\n", "deferred 451 4.7.1"),
            ("MAIL", "550 5.1.8 Nobody sends so\r\n", "bounced 550 5.1.8"),
            ("RCPT", "550 5.1.1 Nobody\r\n", "bounced 550 5.1.1"),
            ("RCPT", "550 Nobody\r\n", "bounced 550 -"),
            (".", "554 5.7.1 Spam\r\n", "bounced 554 5.7.1"),
        ] {
            let host = fail(listing()).times(1, command, Act::Say(reply));
            let deliverer = World::of(&host).deliverer();
            let mail = Mail::to(&["a@b.example"]);
            let attempt = mail.deliver(&deliverer).await;
            assert_eq!(brief(&attempt), [outcome], "{command} {reply}");
            if outcome == waits {
                let text = attempt.outcomes()[0].0.outcome.reply().text.clone();
                let names_both = text.contains("TLS") && text.ends_with(reply.trim_end());
                assert!(names_both, "{text}");
                // A new connection follows, and TLS comes about.
                let attempt = mail.deliver(&deliverer).await;
                assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
                assert!(last_host(&attempt).unwrap().tls.is_some(), "{reply}");
            }
        }
    }
}

#[tokio::test]
async fn required_tls_wants_a_certificate_that_is_valid_for_the_name() {
    let certificate = Certificate::new();
    let host = Script::new().with_tls(&certificate.server);
    let required = smarthost(TlsPolicy::Required, None);
    let trusting = world(&host, PUBLIC, 587, required.clone()).trusting(&certificate);
    let attempt = mail(587).deliver(&trusting.deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert!(last_host(&attempt).unwrap().tls.is_some());

    let stranger = Certificate::new();
    let other = world(&host, PUBLIC, 587, required).trusting(&stranger);
    let attempt = mail(587).deliver(&other.deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.7.5 local"]);
    assert_eq!(host.seen().contents.len(), 1);
}

#[tokio::test]
async fn required_tls_never_falls_back() {
    let certificate = Certificate::new();
    let refusing = Script::new()
        .with_tls(&certificate.server)
        .at("STARTTLS", Act::Say("454 4.7.0 Not now\r\n"));
    let broken = Script::new().listing(&["STARTTLS"]);
    let cutting = Script::new()
        .with_tls(&certificate.server)
        .at("STARTTLS", Act::Cut);
    for (host, outcome) in [
        (Script::new(), "deferred 451 4.7.4 local"),
        (refusing, "deferred 454 4.7.0"),
        (broken, "deferred 451 4.7.5 local"),
        (cutting, "deferred 451 4.4.2 local"),
    ] {
        let required = smarthost(TlsPolicy::Required, None);
        let world = world(&host, LOOPBACK, 587, required).trusting(&certificate);
        let attempt = mail(587).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), [outcome]);
        assert_eq!(host.seen().connections, 1);
        assert!(!host.verbs().contains("MAIL"));
    }
}

#[tokio::test]
async fn without_tls_none_is_begun() {
    let certificate = Certificate::new();
    let host = Script::new()
        .with_tls(&certificate.server)
        .listing(&["STARTTLS", "AUTH PLAIN"]);
    let world = world(&host, PUBLIC, 25, smarthost(TlsPolicy::None, login()));
    let attempt = mail(25).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(host.verbs(), "EHLO AUTH MAIL RCPT DATA .");
}

#[tokio::test]
async fn port_465_begins_with_tls() {
    let certificate = Certificate::new();
    let host = Script::new().with_implicit_tls(&certificate.server);
    for tls in [TlsPolicy::Opportunistic, TlsPolicy::Required] {
        let world = world(&host, PUBLIC, 465, smarthost(tls, None)).trusting(&certificate);
        let attempt = mail(465).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert!(last_host(&attempt).unwrap().tls.is_some());
    }
    // A host that speaks in clear there is not met halfway.
    let clear = Script::new();
    let world = world(&clear, LOOPBACK, 465, Smarthost::default());
    let attempt = mail(465).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.7.5 local"]);
    assert_eq!(clear.seen().connections, 1);
}

#[tokio::test]
async fn a_login_goes_under_tls_and_comes_before_mail() {
    let certificate = Certificate::new();
    for (offer, commands) in [
        (
            "AUTH PLAIN LOGIN",
            "EHLO STARTTLS EHLO AUTH MAIL RCPT DATA .",
        ),
        (
            "AUTH LOGIN",
            "EHLO STARTTLS EHLO AUTH cmVsYXk= c2VjcmV0 MAIL RCPT DATA .",
        ),
    ] {
        let host = Script::new()
            .listing(&["PIPELINING", offer])
            .with_tls(&certificate.server)
            .at("AUTH LOGIN", Act::Say("334 VXNlcm5hbWU6\r\n"))
            .at("cmVsYXk=", Act::Say("334 UGFzc3dvcmQ6\r\n"))
            .at("c2VjcmV0", Act::Say("235 2.7.0 Welcome\r\n"));
        let world = world(
            &host,
            PUBLIC,
            587,
            smarthost(TlsPolicy::Opportunistic, login()),
        );
        let attempt = mail(587).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"], "{offer}");
        assert_eq!(host.verbs(), commands);
    }
}

#[tokio::test]
async fn a_password_leaves_in_clear_over_loopback_only() {
    let broken = || Script::new().listing(&["STARTTLS", "AUTH PLAIN"]);
    let plain = || Script::new().listing(&["AUTH PLAIN"]);
    let cutting = || broken().at("STARTTLS", Act::Cut);
    for (host, address, outcome) in [
        (plain(), PUBLIC, "deferred 451 4.7.4 local"),
        (broken(), PUBLIC, "deferred 451 4.7.5 local"),
        (cutting(), PUBLIC, "deferred 451 4.4.2 local"),
        (plain(), LOOPBACK, "delivered 250 2.0.0"),
        (broken(), LOOPBACK, "delivered 250 2.0.0"),
    ] {
        let opportunistic = smarthost(TlsPolicy::Opportunistic, login());
        let world = world(&host, address, 587, opportunistic);
        let attempt = mail(587).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), [outcome], "{address}");
        assert_eq!(host.verbs().contains("AUTH"), address == LOOPBACK);
    }
}

#[tokio::test]
async fn a_login_that_was_forgotten_in_the_route_makes_mail_wait() {
    let wanting = || Script::new().at("MAIL", Act::Say("530 5.7.0 Log in first\r\n"));
    let world_of_route = world(&wanting(), PUBLIC, 587, smarthost(TlsPolicy::None, None));
    let attempt = mail(587).deliver(&world_of_route.deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 530 5.7.0"]);
    // A host of a domain wants no login of strangers: it does not want the mail.
    let attempt = Mail::to(&["a@b.example"])
        .deliver(&World::of(&wanting()).deliverer())
        .await;
    assert_eq!(brief(&attempt), ["bounced 530 5.7.0"]);
}

#[tokio::test]
async fn a_login_that_is_refused_makes_mail_wait() {
    let refusing = Script::new()
        .listing(&["AUTH PLAIN"])
        .at("AUTH", Act::Say("535 5.7.8 Wrong\r\n"));
    let breaking_off = || Script::new().listing(&["AUTH PLAIN"]).at("AUTH", Act::Cut);
    for (host, outcome) in [
        (refusing, "deferred 535 5.7.8"),
        (Script::new(), "deferred 451 4.7.0 local"),
        (breaking_off(), "deferred 451 4.4.2 local"),
    ] {
        let world = world(&host, PUBLIC, 587, smarthost(TlsPolicy::None, login()));
        let attempt = mail(587).deliver(&world.deliverer()).await;
        assert_eq!(brief(&attempt), [outcome]);
        assert!(!host.verbs().contains("MAIL"));
    }
    // The handshake was done long before: nothing is wrong with TLS.
    let certificate = Certificate::new();
    let host = breaking_off().with_tls(&certificate.server);
    let opportunistic = smarthost(TlsPolicy::Opportunistic, login());
    let world = world(&host, LOOPBACK, 587, opportunistic);
    let attempt = mail(587).deliver(&world.deliverer()).await;
    assert_eq!(brief(&attempt), ["deferred 451 4.4.2 local"]);
    assert_eq!(host.seen().connections, 1);
}

#[test]
fn a_password_is_never_printed() {
    let printed = format!("{:?}", smarthost(TlsPolicy::Required, login()));
    assert!(
        printed.contains("relay") && !printed.contains("secret"),
        "{printed}"
    );
}
