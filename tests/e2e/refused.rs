//! Refused senders: listed, authorized with one command, and who may send as whom.

use serde_json::{Value, json};

use crate::support::{Relay, mail, wait_until};

/// The refused senders that are listed, by user and sender.
fn listed(relay: &Relay) -> Vec<(String, String)> {
    let page = relay.json(&["refused", "ls"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let refusals = page["refusals"].as_array().unwrap().iter();
    refusals
        .map(|refusal| (text(&refusal["user"]), text(&refusal["sender"])))
        .collect()
}

#[test]
fn a_refused_sender_is_authorized_in_one_step_and_the_retry_is_accepted() {
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    relay.user("bob", "a.example");
    let mut client = relay.logged_in("ann", &password);
    for sender in ["ceo@b.example", "CEO@b.example", "cfo@b.example"] {
        client.expect(&format!("MAIL FROM:<{sender}>"), "550 5.7.1");
    }
    wait_until("the refusals are listed", || listed(&relay).len() == 2);
    let page = relay.json(&["refused", "ls", "--sender", "ceo"]);
    let row = &page["refusals"][0];
    assert_eq!(
        (&row["count"], &row["named_in"]),
        (&json!(2), &json!("envelope"))
    );
    assert_eq!(
        row["reasons"],
        json!(["not-authorized: ann may not send as CEO@b.example"])
    );
    let id = row["id"].as_str().unwrap();

    let verdict = relay.json(&["user", "senders", "ann", "--as", "ceo@b.example"]);
    assert_eq!(verdict["verdict"]["answer"], "refused");
    assert_eq!(verdict["rests_on"]["rules"], "alone");
    assert_eq!(
        verdict["verdict"]["decisions"][0]["reasons"],
        json!(["not-authorized: ann may not send as ceo@b.example"])
    );
    let done = relay.json(&["refused", "authorize", id]);
    assert_eq!(done["rule"]["rule"], "ceo@b.example");
    assert_eq!(done["settles"].as_array().unwrap().len(), 1);
    let verdict = relay.json(&["user", "senders", "ann", "--as", "ceo@b.example"]);
    assert_eq!(verdict["verdict"]["answer"], "permitted");
    assert_eq!(verdict["verdict"]["rule"]["rule"], "ceo@b.example");
    assert_eq!(
        verdict["verdict"]["decisions"][0]["reasons"],
        json!(["authorized-senders: ceo@b.example is ceo@b.example"])
    );

    // In the session that was refused, at its next try.
    let letter = mail("ceo@b.example", "hello");
    let accepted = client.message("ceo@b.example", "bob@d.example", &letter);
    assert!(accepted.starts_with("250 2.0.0 "), "{accepted}");
    assert_eq!(
        listed(&relay),
        [("ann".to_owned(), "cfo@b.example".to_owned())]
    );
    let senders = relay.json(&["senders", "ceo@b.example"]);
    let users: Vec<_> = senders["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["user"])
        .collect();
    assert_eq!(users, ["ann"], "nobody else may send as it");
    let senders = relay.json(&["senders", "anybody@a.example"]);
    assert_eq!(senders["users"].as_array().unwrap().len(), 2);
}

#[test]
fn refused_senders_outlive_a_stop_also_those_of_the_last_moment() {
    let mut relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    client.expect("MAIL FROM:<ceo@b.example>", "550 5.7.1");
    assert!(relay.terminate().success());
    relay.restart();
    assert_eq!(
        listed(&relay),
        [("ann".to_owned(), "ceo@b.example".to_owned())]
    );
}
