//! How urgent a user's mail may be: which carriers count, the ceiling, and the very-high messages of an hour.

use crate::support::{Client, Relay, Sink};

/// Submits a message with these further header fields and returns the reply to its content.
#[track_caller]
fn submit(client: &mut Client, fields: &str) -> String {
    let content =
        format!("From: ann@a.example\r\nTo: bob@d.example\r\n{fields}Subject: s\r\n\r\nText.");
    client.message("ann@a.example", "bob@d.example", &content)
}

/// The id that a reply names, and what it says behind it.
#[track_caller]
fn queued(reply: &str) -> (&str, &str) {
    let queued = reply.strip_prefix("250 2.0.0 Queued as ");
    let queued = queued.unwrap_or_else(|| panic!("not accepted: {reply:?}"));
    queued.split_once(' ').unwrap_or((queued, ""))
}

const VERY_HIGH: &str = "X-Priority: 1\r\n";
const SPENT: &str = "in class 2 (high): your account has no very-high messages left for now";

#[test]
fn over_the_budget_the_reply_states_the_class_used_and_no_restart_gives_it_anew() {
    let mut relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let options = ["--domains", "a.example", "--very-high-per-hour", "2"];
    let password = relay.user_with("ann", &options);
    let mut client = relay.logged_in("ann", &password);
    let first = submit(&mut client, VERY_HIGH);
    assert_eq!(relay.message(queued(&first).0)["class"], 1);
    assert_eq!(queued(&first).1, "");
    assert!(submit(&mut client, "X-Priority: 2\r\n").starts_with("250 2.0.0 "));

    // Whatever ends the relay, one message is left after it.
    relay.kill();
    relay.restart();
    let shown = relay.printed_by(&["user", "show", "ann"]);
    assert!(
        shown.contains("very high     2 an hour, 1 left\n"),
        "{shown}"
    );
    let mut sessions = [(); 2].map(|()| relay.logged_in("ann", &password));
    let replies = sessions.each_mut().map(|client| submit(client, VERY_HIGH));
    assert_eq!(queued(&replies[0]).1, "");
    let (id, said) = queued(&replies[1]);
    assert_eq!(said, SPENT);
    let message = relay.message(id);
    assert_eq!(message["class"], 2);
    assert_eq!(message["message_priority"], 1);
    let is_noted = |event: &serde_json::Value| {
        event["event"] == "demoted"
            && event["from"] == 1
            && event["to"] == 2
            && event["reason"] == "budget"
    };
    assert!(
        message["trail"].as_array().unwrap().iter().any(is_noted),
        "{message:#}"
    );
    let shown = relay.printed_by(&["queue", "show", id]);
    assert!(shown.contains("priority    2 (high): user 3 (normal), message 1 (very high)\n"));
    assert!(
        shown.contains(
            "  this user has no very-high messages left for now: class 2 (high) is used\n"
        ),
        "{shown}"
    );
    let page = relay.get("/metrics");
    let counted = "outpost_reception_demoted_total{reason=\"budget\"} 1";
    assert!(page.lines().any(|line| line == counted), "{page}");

    relay.terminate();
    relay.restart();
    let mut client = relay.logged_in("ann", &password);
    assert_eq!(queued(&submit(&mut client, VERY_HIGH)).1, SPENT);
    // More of them are in force at the next MAIL.
    relay.printed_by(&["user", "set", "ann", "--very-high-per-hour", "3"]);
    assert_eq!(queued(&submit(&mut client, VERY_HIGH)).1, "");
    assert_eq!(queued(&submit(&mut client, VERY_HIGH)).1, SPENT);
    relay.printed_by(&["user", "set", "ann", "--very-high-per-hour", "none"]);
    assert_eq!(queued(&submit(&mut client, VERY_HIGH)).1, "");
}

#[test]
fn a_ceiling_and_carriers_are_in_force_at_the_next_mail_and_the_message_page_says_why() {
    let relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let both = "X-Priority: 1\r\nImportance: high\r\n";
    for (options, class, said, line) in [
        (
            &["--ceiling", "4"][..],
            4,
            "in class 4 (low): your account may use no class above it",
            "class 1 (very high) is above the ceiling of this user: class 4 (low) is used",
        ),
        (
            &["--ceiling", "none", "--carriers", "importance"],
            2,
            "",
            "X-Priority does not count for this user",
        ),
        (
            &["--carriers", ""],
            3,
            "",
            "Importance does not count for this user",
        ),
        (
            &["--carriers", "all"],
            1,
            "",
            "accepted in class 1 (very high)",
        ),
    ] {
        let set = ["user", "set", "ann"].iter().chain(options).copied();
        relay.printed_by(&set.collect::<Vec<_>>());
        let reply = submit(&mut client, both);
        let (id, behind) = queued(&reply);
        assert_eq!(behind, said);
        assert_eq!(relay.message(id)["class"], class, "{options:?}");
        let shown = relay.printed_by(&["queue", "show", id]);
        assert!(shown.contains(&format!("  {line}\n")), "{shown}");
    }
}
