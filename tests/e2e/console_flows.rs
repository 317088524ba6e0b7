//! More of what an admin does in a real browser: policy components that are switched and rolled back, figures that equal
//! what was sent, a send that is paused and goes on before one's eyes.

use super::console::logged_in;
use super::policy::{component, digest};
use crate::support::{Relay, Sink, mail, message_id, wait_until};

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
