//! What an admin does in the console, in a real browser, and what it leads to: mail that is sent, refused or held.
//!
//! `console_pages.rs` looks at each page as it is; the pages' own tests, without a browser, are beside them.

use std::process::Command;

use serde_json::json;

use crate::support::{
    Browser, Colours, ENTER, Relay, Screen, Sink, mail, message_id, run, wait_until,
};

/// A browser in which an admin is logged in, at the connection page.
pub(super) fn logged_in(relay: &mut Relay) -> Browser {
    let browser = Browser::start();
    log_in(&browser, relay);
    browser
}

pub(super) fn log_in(browser: &Browser, relay: &mut Relay) {
    let password = first_password(relay);
    browser.open_at(relay.admin(), "/");
    browser.fill("Name", "admin");
    browser.fill("Password", &password);
    browser.click("button", "Log in");
    browser.reads("What to enter in a mail program");
}

/// The password that the first start has shown.
pub(super) fn first_password(relay: &mut Relay) -> String {
    let line = relay.program().wait_for_line("user admin, password ");
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn the_password_of_the_first_start_logs_in_until_one_logs_out_and_no_other_does() {
    let mut relay = Relay::start("");
    let password = first_password(&mut relay);
    let browser = Browser::start();
    browser.open_at(relay.admin(), "/users");
    assert_eq!(browser.path(), "/login?next=%2Fusers");
    browser.fill("Name", "admin");
    browser.fill("Password", "something else");
    browser.click("button", "Log in");
    browser.reads("Name or password is wrong.");
    browser.complained_only_of("401");
    assert_eq!(browser.value("Name"), "admin");
    browser.fill("Password", &password);
    browser.click("button", "Log in");
    browser.reads("No user matches.");
    assert_eq!(browser.path(), "/users");
    browser.click("button", "Log out");
    browser.reads("The console of this mail relay.");
    browser.open_at(relay.admin(), "/users");
    browser.reads("The console of this mail relay.");
}

#[test]
fn a_user_who_is_made_sends_with_a_mail_program_and_after_a_reset_with_the_new_password_only() {
    let mut relay = Relay::start("");
    let sink = Sink::start(relay.ip, &[]);
    let browser = logged_in(&mut relay);
    browser.click("link", "Users");
    browser.click("link", "Add a user");
    browser.fill("Login name", "shop");
    browser.fill("Domains", "shop.example; *.b\u{fc}cher.example");
    // Told as it is typed, by the same rules.
    browser.reads("any address at shop.example");
    browser.reads("any address at a subdomain of xn--bcher-kva.example");
    browser.fill("Addresses", "orders@");
    browser.reads("\"orders@\" is not an address");
    browser.click("button", "Add a user");
    browser.shows("[name=authorized_senders][aria-invalid=true]");
    browser.complained_only_of("422");
    browser.fill("Addresses", "orders@else.example");
    browser.click("button", "Add a user");
    browser.reads("The user shop is made.");
    let password = browser.text_of("dl.secret dd:last-of-type code");

    let host = relay.ip.to_string();
    let submit = |password: &str| {
        run(Command::new("swaks").args([
            "--server",
            &host,
            "--port",
            "2525",
            "--tls",
            "--auth",
            "PLAIN",
            "--auth-user",
            "shop",
            "--auth-password",
            password,
            "--from",
            "orders@shop.example",
            "--to",
            "bob@d.example",
            "--header",
            "Subject: Your order",
        ]))
    };
    let sent = submit(&password);
    assert!(sent.status.success(), "{sent:?}");
    assert_eq!(sink.wait_for(1)[0].recipients(), ["bob@d.example"]);

    // It is shown once.
    browser.open_at(relay.admin(), "/users/shop");
    browser.reads("Last login");
    assert!(!browser.text().contains(&password));
    browser.click("button", "New password");
    browser.reads("shop has a new password.");
    let new = browser.text_of("dl.secret dd:last-of-type code");
    assert_ne!(new, password);
    let refused = submit(&password);
    let said = String::from_utf8_lossy(&refused.stdout);
    assert!(
        !refused.status.success() && said.contains("535 5.7.8"),
        "{said}"
    );
    assert!(submit(&new).status.success());
    sink.wait_for(2);
}

#[test]
fn queued_mail_is_held_released_cancelled_and_taken_back_in_the_queue() {
    // Nobody takes the mail yet.
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("app", "a.example");
    let mut client = relay.logged_in("app", &password);
    let mut submit = |subject: &str| {
        let content = mail("ann@a.example", subject);
        message_id(&client.message("ann@a.example", "bob@d.example", &content))
    };
    let (first, second) = (submit("first"), submit("second"));
    let browser = logged_in(&mut relay);
    let states = |id: &str| {
        let queued = relay.queued();
        let found = queued.iter().find(|row| row["id"] == *id);
        found.map(|row| row["state"].as_str().unwrap().to_owned())
    };
    wait_until("both are deferred", || {
        let mut both = [&first, &second].into_iter();
        both.all(|id| states(id).as_deref() == Some("deferred"))
    });
    browser.click("link", "Queue");
    browser.reads("first");
    browser.tick("Select first");
    browser.click("button", "Hold");
    browser.reads("One delivery would be held");
    browser.click("button", "Yes, do it");
    browser.reads("One delivery is held.");
    assert_eq!(states(&first).as_deref(), Some("held"));
    assert_eq!(states(&second).as_deref(), Some("deferred"));
    browser.click("button", "Undo");
    browser.reads("One delivery is as it was before.");
    assert_ne!(states(&first).as_deref(), Some("held"));

    // With nothing ticked, all.
    browser.click("link", "Queue");
    browser.click("button", "Cancel");
    browser.reads("2 deliveries would be cancelled.");
    browser.reads("This is everything that is queued.");
    browser.click("button", "Yes, do it");
    browser.reads("2 deliveries are cancelled.");
    assert_eq!(states(&first), None);
    browser.reads("Nothing is queued here.");

    // What comes in meanwhile is held by itself, and an undo leaves it so.
    let third = submit("third");
    browser.reads("third");
    browser.tick("Select third");
    browser.click("button", "Hold");
    browser.click("button", "Yes, do it");
    browser.reads("One delivery is held.");
    browser.choose("State", "cancelled");
    browser.click("button", "Show");
    browser.click("button", "Restore");
    browser.reads("2 deliveries would be restored.");
    browser.click("button", "Yes, do it");
    browser.reads("2 deliveries are restored.");
    browser.click("button", "Undo");
    browser.reads("2 deliveries are as they were before.");
    // They are seen again where they were.
    browser.reads("first");
    browser.reads("second");
    assert_eq!(states(&third).as_deref(), Some("held"));
    browser.click("button", "Restore");
    browser.click("button", "Yes, do it");
    browser.reads("2 deliveries are restored.");
    let sink = Sink::start(relay.ip, &[]);
    browser.click("link", "Queue");
    browser.click("button", "Release");
    browser.reads("One delivery would be released.");
    browser.click("button", "Yes, do it");
    browser.reads("One delivery is released.");
    browser.click("button", "Try now");
    browser.click("button", "Yes, do it");
    sink.wait_for(3);
    // The page that is open learns of it by itself.
    browser.reads("Nothing is queued here.");
}

#[test]
fn a_refused_sender_is_allowed_with_one_click_and_the_retry_is_accepted() {
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("app", "a.example");
    let mut client = relay.logged_in("app", &password);
    let mut retry = || {
        let content = mail("app@b.example", "again");
        client.message("app@b.example", "bob@d.example", &content)
    };
    let refused = retry();
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    wait_until("the refusal is noted", || {
        relay.read("/api/v1/refusals")["refusals"] != json!([])
    });
    let browser = logged_in(&mut relay);
    browser.click("link", "Refused");
    browser.reads("app@b.example and nothing else");
    browser.click("button", "Allow this address");
    browser.reads("app may send as this from now on");
    message_id(&retry());
    assert_eq!(
        relay.read("/api/v1/users/app")["authorized_senders"],
        json!(["app@b.example"])
    );
}

#[test]
fn a_keyboard_alone_logs_in_makes_a_user_and_logs_out() {
    let mut relay = Relay::start("");
    let password = first_password(&mut relay);
    let browser = Browser::start();
    browser.open_at(relay.admin(), "/");
    // The first field has the focus.
    assert_eq!(browser.focused(), "textbox Name");
    browser.press("admin");
    browser.tab_to("textbox Password");
    browser.press(&password);
    browser.press(ENTER);
    browser.reads("What to enter in a mail program");
    browser.tab_to("link To the content");
    browser.tab_to("link Users");
    browser.press(ENTER);
    browser.reads("No user matches.");
    browser.tab_to("link To the content");
    browser.press(ENTER);
    // What is behind the navigation comes next.
    browser.tab_to("searchbox Name contains");
    browser.tab_to("link Add a user");
    browser.press(ENTER);
    browser.reads("A user is a login");
    browser.tab_to("textbox Login name");
    browser.press("keys");
    browser.tab_to("textbox Domains");
    browser.press("keys.example");
    browser.tab_to("button Add a user");
    browser.press(ENTER);
    browser.reads("The user keys is made.");
    browser.tab_to("button Log out");
    browser.press(ENTER);
    browser.reads("The console of this mail relay.");
    assert_eq!(
        relay.read("/api/v1/users/keys")["authorized_domains"][0],
        "keys.example"
    );
}

#[test]
fn without_scripts_one_logs_in_and_makes_a_user_and_reads_of_the_queue() {
    let mut relay = Relay::start("");
    let password = first_password(&mut relay);
    let browser = Browser::start().without_scripts();
    browser.on(Screen::Phone);
    browser.prefer(Colours::Dark);
    browser.open_at(relay.admin(), "/users/new");
    browser.fill("Name", "admin");
    browser.fill("Password", &password);
    browser.click("button", "Log in");
    browser.reads("A user is a login");
    browser.fill("Login name", "plain");
    browser.fill("Addresses", "no address");
    browser.click("button", "Add a user");
    browser.shows("[name=authorized_senders][aria-invalid=true]");
    browser.complained_only_of("422");
    assert_eq!(browser.value("Login name"), "plain");
    browser.fill("Addresses", "ann@a.example");
    browser.click("button", "Add a user");
    browser.reads("The user plain is made.");
    browser.open_at(relay.admin(), "/queue");
    browser.reads("Nothing is queued here.");
    assert_eq!(
        relay.read("/api/v1/users/plain")["authorized_senders"][0],
        "ann@a.example"
    );
}
