//! How urgent a message is, and that the most urgent one leaves first.

use std::sync::Mutex;
use std::sync::mpsc::{channel, sync_channel};

use crate::support::{Client, Moment, NextHop, Relay, Sink, mail, message_id, wait_until};

/// A message with these further header fields.
fn with_fields(fields: &str) -> String {
    format!("From: ann@a.example\r\nTo: bob@d.example\r\n{fields}Subject: s\r\n\r\nText.")
}

/// Submits it and returns its id.
#[track_caller]
fn submit(client: &mut Client, content: &str) -> String {
    message_id(&client.message("ann@a.example", "bob@d.example", content))
}

#[test]
fn a_new_user_has_normal_priority_and_all_five_can_be_chosen() {
    let relay = Relay::start("");
    relay.user("ann", "a.example");
    assert_eq!(relay.json(&["user", "show", "ann"])["priority"], 3);
    for (number, word) in [
        ("1", "1 (very high)"),
        ("2", "2 (high)"),
        ("3", "3 (normal)"),
        ("4", "4 (low)"),
        ("5", "5 (very low)"),
    ] {
        relay.printed_by(&["user", "set", "ann", "--priority", number]);
        let shown = relay.printed_by(&["user", "show", "ann"]);
        assert!(shown.contains(word), "{shown}");
    }
    for wrong in ["0", "6", "high"] {
        relay.complaint_of(&["user", "set", "ann", "--priority", wrong]);
    }
}

#[test]
fn of_all_25_pairs_the_more_urgent_priority_counts() {
    let relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    for user in 1..=5u8 {
        // In force at the next MAIL of the session that is open.
        relay.printed_by(&["user", "set", "ann", "--priority", &user.to_string()]);
        for message in 1..=5u8 {
            let id = submit(
                &mut client,
                &with_fields(&format!("X-Priority: {message}\r\n")),
            );
            let shown = relay.message(&id);
            assert_eq!(shown["user_priority"], user);
            assert_eq!(shown["message_priority"], message);
            assert_eq!(shown["class"], user.min(message), "{user} and {message}");
        }
        let shown = relay.message(&submit(&mut client, &with_fields("")));
        assert_eq!(shown["message_priority"], serde_json::Value::Null);
        assert_eq!(shown["class"], user, "the user's alone");
    }
}

#[test]
fn the_message_page_shows_all_three_priorities_and_who_decided() {
    let relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let id = submit(&mut client, &with_fields("X-Priority: 2\r\n"));
    let shown = relay.printed_by(&["queue", "show", &id]);
    assert!(
        shown.contains("priority    2 (high): user 3 (normal), message 2 (high)"),
        "{shown}"
    );
    assert!(
        shown.contains("effective-priority (the user has 3, the message asks for 2 by X-Priority)"),
        "{shown}"
    );
}

/// Each carrier, what it asks for, and which wins when there are several. The user has 5, so that
/// what the message asks for is the class.
#[test]
fn each_carrier_is_understood_and_the_first_in_order_wins() {
    let relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let password = relay.user_with("ann", &["--domains", "a.example", "--priority", "5"]);
    let mut client = relay.logged_in("ann", &password);
    let cases = [
        ("X-SMTPAPI: {\"Priority\": 1}\r\n", 1),
        ("X-SMTPAPI: {\"Priority\": \"4\"}\r\n", 4),
        (
            "X-SMTPAPI: {\"category\": \"c\",\r\n \"Priority\": 2}\r\n",
            2,
        ),
        ("X-Priority: 1\r\n", 1),
        ("X-Priority: 2 (High)\r\n", 2),
        ("x-priority:4\r\n", 4),
        ("X-MSMail-Priority: High\r\n", 2),
        ("Importance: high\r\n", 2),
        ("Importance: Normal\r\n", 3),
        ("importance: LOW\r\n", 4),
        ("Priority: urgent\r\n", 2),
        ("Priority: normal\r\n", 3),
        ("Priority: non-urgent\r\n", 4),
        // The first present of the documented order, wherever it stands.
        ("Priority: urgent\r\nImportance: low\r\n", 4),
        ("Importance: high\r\nX-Priority: 4\r\n", 4),
        ("X-Priority: 1\r\nX-SMTPAPI: {\"Priority\": 3}\r\n", 3),
        ("X-MSMail-Priority: Low\r\nImportance: high\r\n", 4),
        // Malformed is absent: the next one counts, or the user's.
        ("X-Priority: 9\r\nImportance: high\r\n", 2),
        ("X-SMTPAPI: {\"Priority\": \r\nX-Priority: 1\r\n", 1),
        ("X-SMTPAPI: not json\r\n", 5),
        ("X-SMTPAPI: {\"Priority\": 6}\r\n", 5),
        ("X-Priority: very\r\n", 5),
        ("X-Priority:\r\n", 5),
        ("Importance: huge\r\nPriority: now\r\n", 5),
        ("X-Priority: -1\r\n", 5),
    ];
    for (fields, class) in cases {
        let id = submit(&mut client, &with_fields(fields));
        assert_eq!(relay.message(&id)["class"], class, "{fields:?}");
    }
}

#[test]
fn a_malformed_priority_is_noted_in_the_trail() {
    let relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let id = submit(
        &mut client,
        &with_fields("X-Priority: 17\r\nImportance: high\r\n"),
    );
    let shown = relay.message(&id);
    let noted =
        shown["trail"].as_array().unwrap().iter().any(|event| {
            event["event"] == "malformed-priority" && event["carrier"] == "X-Priority"
        });
    assert!(noted, "{shown:#}");
    assert_eq!(shown["class"], 2, "the next carrier counts");
}

/// One delivery at a time, and the first one is held at its end: meanwhile a thousand normal
/// messages are accepted and three very-high ones after them. Those are next, in the order of
/// their acceptance.
#[test]
fn very_high_mail_is_next_before_a_thousand_normal_messages_in_order_of_acceptance() {
    let relay = Relay::start_in_clear("[delivery]\nsimultaneous_max = 1\n");
    let (began, first_is_there) = sync_channel(1);
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let hop = NextHop::start(relay.ip, move |moment| {
        if let Moment::Content(content) = moment
            && content.contains("Subject: first\r\n")
        {
            began.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
        None
    });
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    submit(&mut client, &mail("ann@a.example", "first"));
    first_is_there.recv().unwrap();

    std::thread::scope(|scope| {
        for thread in 0..10 {
            let (relay, password) = (&relay, &password);
            scope.spawn(move || {
                let mut client = relay.logged_in("ann", password);
                for number in 0..100 {
                    let subject = format!("normal-{thread}-{number}");
                    submit(&mut client, &mail("ann@a.example", &subject));
                }
            });
        }
    });
    for subject in ["urgent-1", "urgent-2", "urgent-3"] {
        let content = mail("ann@a.example", subject).replace("To:", "X-Priority: 1\r\nTo:");
        submit(&mut client, &content);
    }
    let queued = relay.get("/metrics");
    assert!(
        queued.contains("outpost_spool_deliveries_queued{class=\"1\"} 3"),
        "{queued}"
    );
    go_on.send(()).unwrap();
    wait_until("six messages have been taken", || hop.accepted().len() >= 6);
    let subjects: Vec<String> = hop
        .accepted()
        .iter()
        .take(6)
        .map(|transaction| {
            let subject = transaction.content.split("Subject: ").nth(1).unwrap();
            subject.lines().next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        subjects[..4],
        ["first", "urgent-1", "urgent-2", "urgent-3"],
        "{subjects:?}"
    );
    assert!(subjects[4].starts_with("normal-"), "{subjects:?}");
    assert!(subjects[5].starts_with("normal-"), "{subjects:?}");
}

#[test]
fn the_priority_of_queued_mail_can_be_changed_and_the_trail_says_so() {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let id = submit(&mut client, &mail("ann@a.example", "s"));
    relay.printed_by(&["queue", "set-priority", &id, "--priority", "1"]);
    assert_eq!(relay.queued()[0]["class"], 1);
    let shown = relay.message(&id);
    assert_eq!(shown["class"], 1);
    assert!(
        shown["text"].to_string().contains("first-start"),
        "{shown:#}"
    );
}
