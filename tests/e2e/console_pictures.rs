//! Pictures of the console with mail of every kind in it, for the README and the manual: `make screenshots`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::console::logged_in;
use crate::support::{
    Browser, Client, Colours, Moment, NextHop, Relay, Screen, Sink, message_id, top, wait_until,
};

/// Users of the sample: name, what they may send as, priority, note.
const USERS: [(&str, &str, &str, &str); 6] = [
    (
        "webshop",
        "shop.example",
        "2",
        "Orders and receipts, the shop's own server",
    ),
    (
        "newsletter",
        "news.shop.example",
        "4",
        "Weekly letter; the marketing team",
    ),
    (
        "accounts",
        "accounts.shop.example",
        "1",
        "Password resets and codes",
    ),
    ("anna.berg", "shop.example", "3", "Support, by Thunderbird"),
    (
        "printer-2nd-floor",
        "office.shop.example",
        "3",
        "Scan to mail",
    ),
    (
        "old-crm",
        "crm.shop.example",
        "5",
        "Off since the move; ask Anna before it is removed",
    ),
];

/// What waits: by whom, how urgent, to whom, about what.
const WAITING: [(&str, u8, &str, &str); 7] = [
    (
        "webshop",
        2,
        "maria@later.example",
        "Your order 20417 has been shipped",
    ),
    (
        "webshop",
        2,
        "li.wei@later.example",
        "Receipt for order 20418",
    ),
    ("anna.berg", 3, "tom@later.example", "Re: The wrong size"),
    (
        "printer-2nd-floor",
        3,
        "office@later.example",
        "Scan of 3 pages",
    ),
    (
        "newsletter",
        4,
        "reader-1@later.example",
        "Winter letter: what is new",
    ),
    (
        "newsletter",
        4,
        "reader-2@later.example",
        "Winter letter: what is new",
    ),
    (
        "newsletter",
        5,
        "archive@later.example",
        "Statistics of the autumn letter",
    ),
];

const ROUTES: &str = "[[delivery.route]]\nrecipients = \"slow.example\"\nsmarthost = \"IP:2601\"\n\
                      [[delivery.route]]\nrecipients = \"*\"\nsmarthost = \"IP:2600\"\n\
                      [alerts]\nnotify = \"it@shop.example\"\n";

/// A relay of a shop on a busy afternoon.
struct Afternoon {
    relay: Relay,
    _hop: NextHop,
    _slow: Sink,
    /// A message that is paused, and one that was delivered.
    paused: String,
    delivered: String,
}

impl Afternoon {
    fn begin() -> Afternoon {
        let relay = Relay::start_in_clear(ROUTES);
        let hop = NextHop::start(relay.ip, |moment| match moment {
            Moment::Command(line) if line.contains("@later.example") => {
                Some("451 4.7.1 Greylisted: come back in five minutes".to_owned())
            }
            _ => None,
        });
        // What is sent there is under way for as long as the pictures take.
        let slow = Sink::start_on(relay.ip, 2601, &["--bytes-per-second", "20000"]);
        relay.printed_by(&["list", "add", "shop", "--notify", "it@shop.example"]);
        let users = USERS.map(|(name, domains, priority, note)| {
            let is_old = name == "old-crm";
            let mut options = vec!["--domains", domains, "--priority", priority, "--note", note];
            options.extend(["--list", "shop"]);
            options.extend(is_old.then_some("--inactive"));
            (name, relay.user_with(name, &options))
        });
        let submit = |name: &str, priority: u8, to: &str, subject: &str, octets: usize| {
            let user = USERS.iter().position(|user| user.0 == name).unwrap();
            let mut client = relay.logged_in(name, &users[user].1);
            submitted(&mut client, USERS[user].1, priority, to, subject, octets)
        };
        let delivered = submit(
            "webshop",
            2,
            "kim@d.example",
            "Your order 20411 is paid",
            2_000,
        );
        wait_until("it is delivered", || {
            !relay.message(&delivered)["finished"].is_null()
        });
        for (name, priority, to, subject) in WAITING {
            submit(name, priority, to, subject, 4_000);
        }
        let mut printer = relay.logged_in("printer-2nd-floor", &users[4].1);
        let content = "From: boss@shop.example\r\nSubject: Scan of 1 page\r\n\r\nText.";
        let refused = printer.message("boss@shop.example", "office@later.example", content);
        assert!(refused.starts_with("550 "), "{refused}");
        wait_until("the refusal is noted", || {
            relay.read("/api/v1/refusals")["refusals"] != json!([])
        });
        let states = |state: &str| of_state(&relay.queued(), state);
        wait_until("they wait", || states("deferred") == WAITING.len());
        wait_until("that is an alert", || {
            relay.read("/api/v1/alerts")["alerts"] != json!([])
        });
        let paused = submit(
            "newsletter",
            4,
            "press@slow.example",
            "Catalogue of the winter",
            3_000_000,
        );
        wait_until("it is under way", || states("active") == 1);
        submit(
            "accounts",
            1,
            "kim@slow.example",
            "Your code is on its way",
            2_000_000,
        );
        wait_until("one is paused", || {
            relay.queued().iter().any(|row| row["paused"].is_object())
        });
        Afternoon {
            relay,
            _hop: hop,
            _slow: slow,
            paused,
            delivered,
        }
    }
}

fn of_state(queued: &[Value], state: &str) -> usize {
    queued.iter().filter(|row| row["state"] == state).count()
}

fn submitted(
    client: &mut Client,
    domain: &str,
    priority: u8,
    to: &str,
    subject: &str,
    octets: usize,
) -> String {
    let from = format!("hello@{domain}");
    let text = "A line of the message, as long as lines are.\r\n".repeat(octets / 46);
    let content = format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nX-Priority: {priority}\r\n\r\n{text}"
    );
    message_id(&client.message(&from, to, &content))
}

fn take(browser: &Browser, folder: &Path, name: &str) {
    fs::write(folder.join(format!("{name}.png")), browser.picture()).unwrap();
}

#[test]
#[ignore = "it writes docs/images: make screenshots"]
fn pictures_of_the_console_are_taken() {
    let mut afternoon = Afternoon::begin();
    let browser = logged_in(&mut afternoon.relay);
    let folder = top().join("docs").join("images");
    fs::create_dir_all(&folder).unwrap();
    let message = format!("/messages/{}", afternoon.delivered);
    let paused = format!("/messages/{}", afternoon.paused);
    for (screen, colours, kind) in [
        (Screen::Desktop, Colours::Light, "light"),
        (Screen::Desktop, Colours::Dark, "dark"),
        (Screen::Phone, Colours::Light, "phone"),
    ] {
        browser.on(screen);
        browser.prefer(colours);
        for (name, page) in [
            ("queue", "/queue"),
            ("paused", &paused),
            ("message", &message),
            ("refused", "/refused"),
            ("connection", "/connection"),
            ("users", "/users"),
            ("user", "/users/webshop"),
            ("list", "/lists/shop"),
            ("alerts", "/alerts"),
            ("policies", "/policies"),
            ("statistics", "/statistics"),
            ("audit", "/system/audit"),
            ("accounts", "/system/accounts"),
            ("system", "/system"),
        ] {
            browser.open_at(afternoon.relay.admin(), page);
            take(&browser, &folder, &format!("{name}-{kind}"));
        }
    }
}
