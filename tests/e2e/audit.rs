//! The audit log of a relay that runs: across restarts, signals, backups and a new machine.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Relay, wait_until};

/// Action, by whom and about what, the oldest first.
fn told(relay: &Relay) -> Vec<Value> {
    let log = relay.json(&["audit", "--limit", "1000"]);
    let entries = log["entries"].as_array().unwrap().iter().rev();
    let told = entries.map(|entry| json!([entry["action"], entry["by"], entry["about"]]));
    told.collect()
}

#[test]
fn who_changed_what_is_known_across_restarts_and_on_a_new_machine() {
    let mut relay = Relay::start("");
    relay.user("ann", "a.example");
    relay.printed_by(&["user", "set", "ann", "--priority", "1"]);
    let reader = relay.json(&["admin", "token", "create", "--name", "ops"]);
    let reader = reader["token"].as_str().unwrap();
    for _ in 0..2 {
        let refused = relay.api_as(reader, "GET", "/api/v1/audit", None);
        assert_eq!(refused.status, 403);
    }
    relay.signal("HUP");
    wait_until("it has read its configuration again", || {
        told(&relay).len() == 8
    });
    assert!(relay.terminate().success());
    relay.restart();
    relay.printed_by(&["backup", "b.tar"]);
    let version = json!({"version": env!("CARGO_PKG_VERSION")});
    let user = json!({"user": "ann", "list": "default"});
    let line = |action: &str, by: Option<&str>, about: Value| json!([action, by, about]);
    let boss = Some("first-start");
    let mut expected = vec![
        line("add-token", None, json!({"token": "first-start"})),
        line("add-admin", None, json!({"admin": "admin"})),
        line("start", None, version.clone()),
        line("add-user", boss, user.clone()),
        line("change-user", boss, user),
        line("add-token", boss, json!({"token": "ops"})),
        line(
            "refused",
            Some("ops"),
            json!({"request": "GET /api/v1/audit"}),
        ),
        line("reload", None, json!({})),
        line("stop", None, version.clone()),
        line("start", None, version.clone()),
        line("backup", boss, json!({})),
    ];
    assert_eq!(told(&relay), expected);
    let changed = relay.json(&["audit", "--action", "change-user"]);
    let changed = &changed["entries"][0];
    assert_eq!(
        (&changed["before"], &changed["after"], &changed["client"]),
        (
            &json!({"name": "ann", "priority": 3}),
            &json!({"name": "ann", "priority": 1}),
            &json!("127.0.0.1")
        )
    );
    let printed = relay.printed_by(&["audit", "--user", "ANN", "--limit", "1"]);
    assert!(printed.contains("priority 3 -> 1"), "{printed}");

    // Nothing was told of the end of a relay that was killed.
    relay.kill();
    fs::remove_dir_all(relay.data()).unwrap();
    relay.printed_by(&["restore", "b.tar"]);
    relay.restart();
    expected.truncate(10);
    expected.push(line("restore-backup", None, json!({})));
    // Its first token goes to no other machine.
    expected.push(line("add-token", None, json!({"token": "first-start"})));
    expected.push(line("start", None, version));
    assert_eq!(told(&relay), expected);
}
