//! Every page of the console in a real browser: usable by whoever comes, on a phone too, in either colours; quiet
//! whatever stands in it; there at once.

use std::time::Duration;

use serde_json::json;

use super::console::logged_in;
use crate::support::{Browser, Colours, Moment, NextHop, Relay, Screen, message_id, wait_until};

/// First paint from nothing, over loopback.
const PAINTED_WITHIN: Duration = Duration::from_millis(300);
/// A page and all that it loads.
const OCTETS_MAX: u64 = 150_000;

/// Text that does something where it is taken for a page.
const HOSTILE: &str =
    "<script>document.title='run'</script><img src=x onerror=document.title='run'>'\"&lt;";

/// A relay with something on each page, and the page of each kind.
fn furnished() -> (Relay, NextHop, Vec<String>) {
    let relay = Relay::start_in_clear("");
    let hop = NextHop::start(relay.ip, |moment| match moment {
        Moment::Command(line) if line.starts_with("RCPT") => {
            Some(format!("451 4.2.0 Later {HOSTILE}"))
        }
        _ => None,
    });
    relay.printed_by(&["list", "add", "shops", "--notify", "ops@a.example"]);
    let note = format!("Called {HOSTILE}");
    let rules = [
        "--domains",
        "a.example;*.b.example",
        "--senders",
        "x@c.example",
    ];
    let options = [&rules[..], &["--note", &note, "--priority", "2"]].concat();
    let password = relay.user_with("app", &options);
    relay.user_with("old", &["--inactive", "--list", "shops"]);
    let mut client = relay.logged_in("app", &password);
    let content = format!("From: ann@a.example\r\nSubject: {HOSTILE}\r\n\r\nText.");
    let quoted = "\"<script>document.title=1</script>\"@a.example";
    let reply = client.message(quoted, "\"<b onclick=x>\"@d.example", &content);
    let id = message_id(&reply);
    let foreign = "\"<script>document.title=1</script>\"@elsewhere.example";
    let reply = client.message(foreign, "bob@d.example", &content);
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    wait_until("the refusal is noted", || {
        relay.read("/api/v1/refusals")["refusals"] != json!([])
    });
    wait_until("it is deferred", || {
        relay.queued().iter().any(|row| row["state"] == "deferred")
    });
    relay.printed_by(&["queue", "stop", "--user", "app"]);
    let pages = [
        "/connection",
        "/users",
        "/users/new",
        "/users/app",
        "/users/app/remove",
        "/users/old",
        "/users/app/senders",
        "/users/app/senders?as=ann@a.example",
        "/refused",
        "/refused/who?address=ann@a.example",
        "/lists",
        "/lists/shops",
        "/queue",
        "/queue?subject=nothing",
        "/policies",
        "/statistics",
        "/statistics?span=month",
        "/system",
        "/system/audit",
        "/system/accounts",
        "/system/admins",
        "/system/tokens",
    ];
    let mut pages: Vec<String> = pages.iter().map(|page| (*page).to_owned()).collect();
    pages.push(format!("/messages/{id}"));
    (relay, hop, pages)
}

#[test]
fn every_page_fits_a_phone_and_axe_finds_nothing_in_light_and_in_dark() {
    let (mut relay, _hop, pages) = furnished();
    let browser = logged_in(&mut relay);
    let mut found = Vec::new();
    let mut look = |browser: &Browser, what: &str| {
        found.extend(
            browser
                .violations()
                .into_iter()
                .map(|said| format!("{what}: {said}")),
        );
        found.extend(
            browser
                .too_wide_by()
                .map(|said| format!("{what}: too wide by {said}")),
        );
    };
    for (screen, colours) in [
        (Screen::Desktop, Colours::Light),
        (Screen::Phone, Colours::Dark),
    ] {
        browser.on(screen);
        browser.prefer(colours);
        for page in &pages {
            browser.open_at(relay.admin(), page);
            look(&browser, &format!("{page} {screen:?} {colours:?}"));
        }
    }
    browser.open_at(relay.admin(), "/nowhere");
    browser.complained_only_of("404");
    look(&browser, "/nowhere");
    browser.click("link", "To the start page");
    browser.click("summary", "Menu");
    browser.click("button", "Log out");
    browser.reads("The console of this mail relay.");
    look(&browser, "/login");
    assert_eq!(found, [""; 0]);
}

#[test]
fn hostile_text_is_read_as_it_is_and_runs_nowhere() {
    let (mut relay, _hop, pages) = furnished();
    let browser = logged_in(&mut relay);
    let mut read = 0;
    for page in &pages {
        browser.open_at(relay.admin(), page);
        assert_eq!(
            browser.count("script:not([src]), img[src=x], [onerror], [onclick]"),
            0,
            "{page}"
        );
        read += u32::from(browser.text().contains(HOSTILE));
        // A policy that had to stop something is a complaint too.
        assert_eq!(browser.complaints(), [""; 0], "{page}");
        assert!(
            browser.title().ends_with("Outpost"),
            "{page}: {}",
            browser.title()
        );
    }
    // The note, the subject, and what the next hop says.
    assert!(read >= 3, "it stood on {read} pages");
}

#[test]
fn every_page_is_painted_at_once_and_is_light() {
    let (mut relay, _hop, pages) = furnished();
    let browser = logged_in(&mut relay);
    for page in &pages {
        let mut shortest = Duration::MAX;
        // A machine that is busy with other tests is no slow page; one that is never fast is.
        for _ in 0..10 {
            browser.forget();
            browser.open_at(relay.admin(), page);
            shortest = shortest.min(browser.first_paint());
            let octets = browser.octets_transferred();
            assert!(
                (1_000..OCTETS_MAX).contains(&octets),
                "{page}: {octets} octets"
            );
            if shortest < PAINTED_WITHIN {
                break;
            }
        }
        eprintln!(
            "{page}: painted after {shortest:?}, {} octets",
            browser.octets_transferred()
        );
        assert!(shortest < PAINTED_WITHIN, "{page}: {shortest:?}");
    }
}
