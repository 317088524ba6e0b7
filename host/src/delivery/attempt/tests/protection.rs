//! Messages that require TLS (RFC 8689): where they go, where they do not, and what becomes of reports about them.

use super::*;
use crate::delivery::settings::{Smarthost, TlsPolicy};
use outpost_smtp::ReversePath;

/// Lists what a host must list for such messages.
fn listing() -> Script {
    Script::new().listing(&["PIPELINING", "REQUIRETLS"])
}

/// A world whose smarthost `mx.example:PORT` has this policy.
fn world(host: &Script, port: u16, tls: TlsPolicy) -> World {
    let mut world = World::new();
    world.table = world.table.address("mx.example", "192.0.2.1");
    world
        .host(&format!("192.0.2.1:{port}"), host)
        .with(|settings| {
            let smarthost = Smarthost {
                tls,
                ..Smarthost::default()
            };
            settings
                .smarthosts
                .insert(format!("mx.example:{port}"), smarthost);
        })
}

fn by_smarthost(port: u16) -> Mail {
    let next_hop = NextHop::Smarthost(format!("mx.example:{port}").into());
    Mail::by(next_hop, &["a@b.example"])
}

fn requiring(mut mail: Mail) -> Mail {
    mail.message.envelope.require_tls = true;
    mail
}

/// A report about such a message.
fn report(mail: Mail) -> Mail {
    let mut mail = requiring(mail);
    mail.message.envelope.reverse_path = ReversePath::Null;
    mail
}

/// The MAIL commands that a host has got.
fn mails(host: &Script) -> Vec<String> {
    let commands = host.seen().commands.into_iter();
    commands
        .filter(|command| command.starts_with("MAIL"))
        .collect()
}

const SAID: &str = "MAIL FROM:<me@a.example> REQUIRETLS";

#[tokio::test]
async fn what_requires_tls_goes_to_a_smarthost_that_shows_who_it_is_and_lists_it() {
    let certificate = Certificate::new();
    for (port, tls) in [
        (587, TlsPolicy::Opportunistic),
        (587, TlsPolicy::Required),
        (465, TlsPolicy::Opportunistic),
    ] {
        let host = match port {
            465 => listing().with_implicit_tls(&certificate.server),
            _ => listing().with_tls(&certificate.server),
        };
        let deliverer = world(&host, port, tls).trusting(&certificate).deliverer();
        for _ in 0..2 {
            let attempt = requiring(by_smarthost(port)).deliver(&deliverer).await;
            assert_eq!(brief(&attempt), ["delivered 250 2.0.0"], "{port} {tls:?}");
            assert!(last_host(&attempt).unwrap().tls.is_some());
        }
        assert_eq!(mails(&host), [SAID, SAID]);
        assert_eq!((host.seen().connections, host.seen().handshakes), (1, 1));
    }
}

#[tokio::test]
async fn what_requires_tls_comes_back_from_where_it_cannot_go() {
    let certificate = Certificate::new();
    let stranger = Certificate::new();
    let with_tls = |host: Script| host.with_tls(&certificate.server);
    let opportunistic = TlsPolicy::Opportunistic;
    let (unlisted, unprotected) = ("bounced 550 5.7.30 local", "bounced 550 5.7.10 local");
    let only_in_clear = with_tls(Script::new().listing(&[])).times(
        1,
        "EHLO",
        Act::Say("250-mx.example\r\n250-REQUIRETLS\r\n250 STARTTLS\r\n"),
    );
    let refuses = |reply| with_tls(listing()).at("STARTTLS", Act::Say(reply));
    let breaks = |act| with_tls(listing()).at("STARTTLS", act);
    for (host, tls, trusted, outcome) in [
        (
            with_tls(Script::new()),
            opportunistic,
            &certificate,
            unlisted,
        ),
        (
            with_tls(Script::new()),
            TlsPolicy::Required,
            &certificate,
            unlisted,
        ),
        (only_in_clear, opportunistic, &certificate, unlisted),
        (listing(), opportunistic, &certificate, unprotected),
        (listing(), TlsPolicy::Required, &certificate, unprotected),
        (
            with_tls(listing()),
            TlsPolicy::None,
            &certificate,
            unprotected,
        ),
        (with_tls(listing()), opportunistic, &stranger, unprotected),
        (
            with_tls(listing()),
            TlsPolicy::Required,
            &stranger,
            unprotected,
        ),
        (
            refuses("502 5.5.1 No\r\n"),
            opportunistic,
            &certificate,
            unprotected,
        ),
        // These may be better in a moment.
        (
            refuses("454 4.7.0 Not now\r\n"),
            opportunistic,
            &certificate,
            "deferred 454 4.7.0",
        ),
        (
            breaks(Act::SayAndCut("220 2.0.0 Go on\r\n")),
            opportunistic,
            &certificate,
            "deferred 451 4.7.5 local",
        ),
        (
            breaks(Act::Cut),
            opportunistic,
            &certificate,
            "deferred 451 4.4.2 local",
        ),
    ] {
        let deliverer = world(&host, 587, tls).trusting(trusted).deliverer();
        let attempt = requiring(by_smarthost(587)).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), [outcome], "{tls:?} {}", host.verbs());
        assert!(!host.verbs().contains("MAIL"), "{}", host.verbs());
        // That says nothing of the way for other mail.
        if outcome.starts_with("bounced") && tls != TlsPolicy::Required {
            assert_eq!(attempt.contact, Contact::Ready);
            let attempt = by_smarthost(587).deliver(&deliverer).await;
            assert_eq!(brief(&attempt), ["delivered 250 2.0.0"], "{tls:?}");
        }
    }
}

#[tokio::test]
async fn hosts_of_mx_records_are_not_known_for_who_they_are() {
    let certificate = Certificate::new();
    let host = listing().with_tls(&certificate.server);
    let deliverer = World::of(&host).trusting(&certificate).deliverer();
    let attempt = requiring(Mail::to(&["a@b.example"]))
        .deliver(&deliverer)
        .await;
    assert_eq!(brief(&attempt), ["bounced 550 5.7.30 local"]);
    assert_eq!(host.seen().connections, 0);
    assert_eq!(attempt.contact, Contact::Ready);
    // Nor are they over a connection that is kept.
    for _ in 0..2 {
        let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        let attempt = requiring(Mail::to(&["a@b.example"]))
            .deliver(&deliverer)
            .await;
        assert_eq!(brief(&attempt), ["bounced 550 5.7.30 local"]);
    }
    assert_eq!(mails(&host), ["MAIL FROM:<me@a.example>"; 2]);
}

#[tokio::test]
async fn a_domain_that_takes_its_mail_itself_is_known_by_its_certificate() {
    let certificate = Certificate::new();
    let stranger = Certificate::new();
    // At the first address is somebody else.
    let first = listing().with_tls(&stranger.server);
    let second = listing().with_tls(&certificate.server);
    let mut world = World::new()
        .host("192.0.2.1:25", &first)
        .host("192.0.2.2:25", &second)
        .trusting(&certificate);
    world.table = world.table.address("mx.example", "192.0.2.1");
    world.table = world.table.address("mx.example", "192.0.2.2");
    let deliverer = world.deliverer();
    let next_hop = NextHop::Domain("mx.example".into());
    let mail = requiring(Mail::by(next_hop, &["a@mx.example"]));
    let attempt = mail.deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(
        (mails(&first).len(), mails(&second)),
        (0, vec![SAID.to_owned()])
    );
}

#[tokio::test]
async fn a_connection_that_was_opened_for_other_mail_will_not_do() {
    let certificate = Certificate::new();
    let host = listing().with_tls(&certificate.server);
    let world = world(&host, 587, TlsPolicy::Opportunistic).trusting(&certificate);
    let deliverer = world.deliverer();
    by_smarthost(587).deliver(&deliverer).await;
    let attempt = requiring(by_smarthost(587)).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(host.seen().connections, 2);
    // That one will do for either.
    requiring(by_smarthost(587)).deliver(&deliverer).await;
    by_smarthost(587).deliver(&deliverer).await;
    assert_eq!(host.seen().connections, 2);
    let plain = "MAIL FROM:<me@a.example>";
    assert_eq!(mails(&host), [plain, SAID, SAID, plain]);
}

#[tokio::test]
async fn a_host_that_is_verified_for_its_own_mail_is_not_for_that_of_others() {
    let certificate = Certificate::new();
    let host = listing().with_tls(&certificate.server);
    // Its own domain has no MX records, and that of another names it.
    let world = World::of(&host).trusting(&certificate);
    let deliverer = world.deliverer();
    let next_hop = NextHop::Domain("mx.example".into());
    let own = requiring(Mail::by(next_hop, &["a@mx.example"]));
    assert_eq!(
        brief(&own.deliver(&deliverer).await),
        ["delivered 250 2.0.0"]
    );
    // Over the same connection, which is kept for either then.
    let attempt = Mail::to(&["a@b.example"]).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(host.seen().connections, 1);
    let attempt = requiring(Mail::to(&["a@b.example"]))
        .deliver(&deliverer)
        .await;
    assert_eq!(brief(&attempt), ["bounced 550 5.7.30 local"]);
    let attempt = report(Mail::to(&["a@b.example"])).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    // Of the kept one nothing is lost.
    let attempt = own.deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(host.seen().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_handed_over_was_verified_for_another_name() {
    let certificate = Certificate::new();
    let host = listing()
        .with_tls(&certificate.server)
        .at(".", Act::Late(seconds(2), "250 2.0.0 Taken\r\n"));
    let mut world = World::of(&host)
        .trusting(&certificate)
        .with(|settings| settings.connections_per_host_max = 1);
    world.table = world.table.address("other.example", "192.0.2.1");
    let deliverer = world.deliverer();
    let to = |domain: &str, address: &str| {
        let next_hop = NextHop::Domain(domain.into());
        requiring(Mail::by(next_hop, &[address]))
    };
    let first = to("mx.example", "a@mx.example");
    let second = to("other.example", "a@other.example");
    // While the first one waits for the reply to its content, which is a second later.
    let second = async {
        tokio::time::sleep(seconds(1)).await;
        second.deliver(&deliverer).await
    };
    let (first, second) = tokio::join!(first.deliver(&deliverer), second);
    assert_eq!(brief(&first), ["delivered 250 2.0.0"]);
    assert_eq!(brief(&second), ["bounced 550 5.7.10 local"]);
    assert_eq!((host.seen().connections, host.seen().most_at_once), (2, 1));
    assert_eq!(mails(&host), [SAID]);
}

#[tokio::test]
async fn a_report_is_not_lost_for_want_of_protection_and_has_it_where_it_can() {
    let certificate = Certificate::new();
    let stranger = Certificate::new();
    let plain = "MAIL FROM:<>";
    for (host, trusted, said) in [
        (
            listing().with_tls(&certificate.server),
            &certificate,
            "MAIL FROM:<> REQUIRETLS",
        ),
        (listing().with_tls(&certificate.server), &stranger, plain),
        (
            Script::new().listing(&[]).with_tls(&certificate.server),
            &certificate,
            plain,
        ),
        (listing(), &certificate, plain),
    ] {
        let deliverer = world(&host, 587, TlsPolicy::Opportunistic)
            .trusting(trusted)
            .deliverer();
        let attempt = report(by_smarthost(587)).deliver(&deliverer).await;
        assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
        assert_eq!(mails(&host), [said], "{}", host.verbs());
    }
    let host = listing().with_tls(&certificate.server);
    let deliverer = World::of(&host).trusting(&certificate).deliverer();
    let attempt = report(Mail::to(&["a@b.example"])).deliver(&deliverer).await;
    assert_eq!(brief(&attempt), ["delivered 250 2.0.0"]);
    assert_eq!(mails(&host), [plain]);
}
