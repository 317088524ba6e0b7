//! What an admin does in a real browser while mail flows: policy components that are switched, rolled back and asked again, figures that
//! equal what was sent, a send that is paused and goes on before one's eyes, a queue that is acted on, pages that are left and seen again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::console::logged_in;
use super::misbehaving::{USERS, chain, is_put_off};
use super::policy::{component, digest};
use crate::support::{Client, Relay, Sink, mail, message_id, wait_until};

#[test]
fn a_policy_is_switched_by_a_form_decides_at_once_and_is_rolled_back() {
    let mut relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut session = relay.logged_in("ann", &password);
    let browser = logged_in(&mut relay);
    browser.click("link", "Policies");
    let own = component("components/examples/own-domain.wasm");
    browser.fill("Name", "authorized-senders");
    browser.fill("Note", "try");
    browser.fill("Component (.wasm)", &own);
    browser.click("button", "Deploy a component");
    browser.reads("the change is in force for the next messages");
    browser.reads(&digest(&own)[..12]);
    session.expect(
        "MAIL FROM:<ann@a.example>",
        "550 5.7.1 Use an address of your own domain.",
    );
    browser.click("button", "Roll back");
    let shipped = digest(&component("components/authorized-senders.wasm"));
    browser.reads(&format!("Digest in force: {}", &shipped[..12]));
    let id = message_id(&session.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "back"),
    ));
    assert_eq!(id.len(), 26);

    // What is none changes nothing, and says why.
    let text = relay.folder().join("text.wasm");
    std::fs::write(&text, "text").unwrap();
    browser.fill("Name", "authorized-senders");
    browser.fill("Component (.wasm)", &text.display().to_string());
    browser.click("button", "Deploy a component");
    browser.reads("not a component");
    browser.complained_only_of("422");
    session.expect("MAIL FROM:<ann@a.example>", "250");
}

#[test]
fn a_breaker_that_is_open_is_seen_and_closed_in_the_page() {
    let mut relay = Relay::start_in_clear(&chain(
        "",
        "behaviour = \"trap\"\nat = \"mail\"\nuser = \"bad\"\n",
    ));
    let mut sessions: Vec<Client> = (0..USERS)
        .map(|number| format!("bad-{number}"))
        .chain(["good".to_owned()])
        .map(|name| {
            let password = relay.user(&name, "a.example");
            relay.logged_in(&name, &password)
        })
        .collect();
    let browser = logged_in(&mut relay);
    let (good, bad) = sessions.split_last_mut().unwrap();
    bad.iter_mut().for_each(is_put_off);
    is_put_off(good);
    browser.click("link", "Policies");
    let table = browser.text_of("[role=region][aria-label=bad] tbody");
    assert!(
        table.contains("sender") && table.contains("open"),
        "{table}"
    );
    browser.click("button", "Ask it again");
    browser.reads("bad is asked again.");
    good.expect("MAIL FROM:<good@a.example>", "250 2.1.0 ");
}

#[test]
fn the_figures_of_the_statistics_page_equal_what_was_sent_and_refused() {
    let mut relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut session = relay.logged_in("ann", &password);
    for number in 0..5 {
        let content = mail("ann@a.example", &format!("letter {number}"));
        session.message("ann@a.example", "bob@d.example", &content);
    }
    session.expect("MAIL FROM:<x@else.example>", "550");
    sink.wait_for(5);
    wait_until("all of it is counted", || {
        let total = &relay.read("/api/v1/statistics")["total"];
        total["sent"] == 5 && total["refused"] == 1
    });
    let browser = logged_in(&mut relay);
    browser.click("link", "Statistics");
    let headline = browser.text_of("dl.headline");
    for (name, figure) in [("Accepted", 5), ("Sent", 5), ("Refused", 1), ("Queued", 0)] {
        assert!(
            headline.contains(&format!("{name}\n{figure}")),
            "{headline}"
        );
    }
    assert!(browser.count("figure.chart rect") >= 2);
    browser.click("link", "d.example");
    browser.reads("d.example");
    assert_eq!(browser.path(), "/statistics?destination=d.example");
    let headline = browser.text_of("dl.headline");
    assert!(headline.contains("Sent\n5"), "{headline}");
}

/// Nothing is loaded again: the rows come by themselves.
#[test]
fn a_send_is_seen_to_be_paused_and_to_go_on_without_loading_the_page_again() {
    let mut relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &["--bytes-per-second", "40000"]);
    let password = relay.user("ann", "a.example");
    let browser = logged_in(&mut relay);
    browser.click("link", "Queue");
    browser.reads("Nothing is queued here.");
    let letter = |subject: &str, priority: u8, octets: usize| {
        let head = format!(
            "From: ann@a.example\r\nTo: bob@d.example\r\nSubject: {subject}\r\nX-Priority: {priority}\r\n\r\n"
        );
        let line = format!("{}\r\n", "x".repeat(76));
        format!("{head}{}", line.repeat(octets / line.len()))
    };
    let mut session = relay.logged_in("ann", &password);
    session.message(
        "ann@a.example",
        "bob@d.example",
        &letter("Catalogue", 5, 1_000_000),
    );
    browser.reads("being sent");
    browser.shows("progress");
    session.message(
        "ann@a.example",
        "eve@d.example",
        &letter("Your code", 1, 300_000),
    );
    browser.reads("paused");
    browser.reads("paused for very-high message");
    sink.wait_for(1);
    browser.reads_no_more("paused for very-high message");
    browser.reads("being sent");
}

/// Each holds a connection while it is seen, and a browser has six of them.
#[test]
fn pages_that_are_kept_up_to_date_come_at_once_however_many_were_seen_and_one_that_is_seen_again_goes_on()
 {
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut session = relay.logged_in("ann", &password);
    let browser = logged_in(&mut relay);
    let began = Instant::now();
    for number in 1..=10 {
        browser.open_at(relay.admin(), &format!("/queue?limit={number}"));
        browser.reads("Nothing is queued here.");
    }
    // The browser keeps what was left for a minute.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    browser.back();
    assert_eq!(browser.path(), "/queue?limit=9");
    session.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "Your order"),
    );
    browser.reads("Your order");
}

/// Mail of two domains: one goes all the time, the other's host is not there yet. What an admin does to the other leaves the
/// first alone, and each message of both arrives once, but for what was cancelled.
#[test]
fn while_mail_flows_what_waits_is_held_released_cancelled_and_taken_back() {
    let mut relay = Relay::start_in_clear(
        "[delivery]\nretry = [\"10m\"]\n[[delivery.route]]\nrecipients = \"later.example\"\nsmarthost = \"IP:2601\"\n\
         [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2600\"\n",
    );
    let flowing = Sink::start_on(relay.ip, 2600, &[]);
    let password = relay.user("ann", "a.example");
    let send = |session: &mut Client, to: &str, subject: &str| {
        message_id(&session.message("ann@a.example", to, &mail("ann@a.example", subject)))
    };
    let browser = logged_in(&mut relay);
    let (over, relay) = (AtomicBool::new(false), &relay);
    /// Mail ends with this, also where something is not as expected.
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let subjects = |sink: &Sink| {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for received in sink.received() {
            let content = String::from_utf8_lossy(&received.content).into_owned();
            let subject = content.split_once("Subject: ").unwrap().1;
            let subject = subject.split("\r\n").next().unwrap().to_owned();
            *times.entry(subject).or_default() += 1;
        }
        times
    };
    std::thread::scope(|scope| {
        let flow = scope.spawn(|| {
            let mut session = relay.logged_in("ann", &password);
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                send(&mut session, "bob@d.example", &format!("flows {sent}"));
                sent += 1;
                // The next one goes when it has arrived.
                flowing.wait_for(sent);
            }
            sent
        });
        let ends = Ends(&over);
        let mut session = relay.logged_in("ann", &password);
        let ids: Vec<String> = (0..20)
            .map(|number| {
                send(
                    &mut session,
                    "eve@later.example",
                    &format!("later {number}"),
                )
            })
            .collect();
        let states = |wanted: &str| {
            let path = format!("/api/v1/queue?limit=1000&domain=later.example&state={wanted}");
            relay.read(&path)["deliveries"].as_array().unwrap().len()
        };
        wait_until("all that waits is deferred", || states("deferred") == 20);
        // Between any two steps, other mail has gone on.
        let mut seen = flowing.count();
        let mut mail_flowed = |step: &str| {
            let now = flowing.count();
            assert!(now > seen, "no mail flowed meanwhile: {step}");
            seen = now;
        };
        let act = |button: &str, asked: &str, done: &str| {
            browser.click("button", button);
            browser.reads(asked);
            browser.click("button", "Yes, do it");
            browser.reads(done);
        };
        browser.open_at(relay.admin(), "/queue?domain=later.example");
        browser.reads("later 0");
        act(
            "Hold",
            "20 deliveries would be held",
            "20 deliveries are held.",
        );
        assert_eq!(states("held"), 20);
        mail_flowed("hold");
        browser.click("button", "Undo");
        browser.reads("20 deliveries are as they were before.");
        assert_eq!(states("held"), 0);
        mail_flowed("undo of hold");
        browser.open_at(relay.admin(), "/queue?domain=later.example");
        act(
            "Cancel",
            "20 deliveries would be cancelled",
            "20 deliveries are cancelled.",
        );
        assert_eq!((states("held"), states("cancelled")), (0, 20));
        mail_flowed("cancel");
        browser.click("button", "Undo");
        browser.reads("20 deliveries are as they were before.");
        assert_eq!(states("cancelled"), 0);
        mail_flowed("undo of cancel");
        browser.open_at(relay.admin(), "/queue?domain=later.example");
        act(
            "Hold",
            "20 deliveries would be held",
            "20 deliveries are held.",
        );
        // One of them goes for good.
        browser.open_at(relay.admin(), &format!("/messages/{}", ids[7]));
        browser.click("button", "Cancel");
        browser.reads("One delivery is cancelled.");
        browser.open_at(relay.admin(), "/queue?domain=later.example");
        act(
            "Release",
            "19 deliveries would be released",
            "19 deliveries are released.",
        );
        mail_flowed("release");
        let later = Sink::start_on(relay.ip, 2601, &[]);
        act(
            "Try now",
            "19 deliveries would be tried now",
            "19 deliveries are tried now.",
        );
        later.wait_for(19);
        mail_flowed("try now");
        drop(ends);
        let sent: usize = flow.join().unwrap();
        let expected = (0..sent).map(|number| (format!("flows {number}"), 1));
        assert_eq!(subjects(&flowing), expected.collect());
        let others = (0..20).filter(|number| *number != 7);
        let expected = others.map(|number| (format!("later {number}"), 1));
        assert_eq!(subjects(&later), expected.collect());
    });
}
