//! Users and lists from outside: the command line and the API, what they show and what they keep to
//! themselves, and when a change reaches a session that is open.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Relay, Sink, base64, mail, message_id, wait_until};

#[test]
fn a_user_is_made_shown_changed_and_removed_on_the_command_line() {
    let relay = Relay::start_in_clear("");
    let made = relay.printed_by(&[
        "user",
        "add",
        "--list",
        "default",
        "--name",
        "ann",
        "--domains",
        "b.example; a.example;",
        "--senders",
        "X@c.example",
        "--note",
        "the printer",
        "--priority",
        "2",
    ]);
    let password = made
        .lines()
        .find_map(|line| line.strip_prefix("password  "))
        .unwrap();
    relay.logged_in("ann", password);
    let shown = relay.printed_by(&["user", "show", "ann"]);
    for fact in [
        "name          ann",
        "list          default",
        "state         active",
        "priority      2 (high)",
        "domains       a.example;b.example",
        "senders       x@c.example",
        "note          the printer",
    ] {
        assert!(shown.contains(fact), "{fact} in\n{shown}");
    }
    relay.printed_by(&[
        "user",
        "set",
        "ann",
        "--priority",
        "5",
        "--domains",
        "*.d.example",
        "--note",
        "",
    ]);
    let user = relay.json(&["user", "show", "ann"]);
    assert_eq!(user["priority"], 5);
    assert_eq!(user["authorized_domains"], json!(["*.d.example"]));
    assert_eq!(user["authorized_senders"], json!(["x@c.example"]), "stays");
    assert_eq!(user["note"], "");
    relay.printed_by(&["user", "disable", "ann"]);
    let listed = relay.printed_by(&["user", "ls"]);
    assert!(listed.contains("ann   default  disabled"), "{listed}");
    relay.printed_by(&["user", "enable", "ann"]);
    relay.logged_in("ann", password);
    assert_eq!(
        relay.printed_by(&["user", "rm", "ann"]),
        "user ann is removed\n"
    );
    assert_eq!(relay.json(&["user", "ls"])["users"], json!([]));
    assert_eq!(
        relay.complaint_of(&["user", "show", "ann"]),
        "outpost: there is no user named \"ann\"\n"
    );
}

#[test]
fn a_user_is_made_shown_changed_and_removed_by_the_api() {
    let relay = Relay::start_in_clear("");
    let made = relay.api(
        "POST",
        "/api/v1/users",
        Some(&json!({"name": "ann", "authorized_domains": "a.example;b.example", "note": "n"})),
    );
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.field("cache-control"), Some("no-store"));
    let made = made.document();
    assert_eq!(made["priority"], 3, "the default");
    relay.logged_in("ann", made["password"].as_str().unwrap());
    let path = "/api/v1/users/ann";
    let change = json!({"active": false, "priority": 1, "authorized_senders": ["x@c.example"]});
    let changed = relay.api("PATCH", path, Some(&change));
    assert_eq!(changed.status, 200, "{}", changed.text);
    let shown = relay.read(path);
    assert_eq!(shown["active"], false);
    assert_eq!(shown["priority"], 1);
    assert_eq!(
        shown["authorized_domains"],
        json!(["a.example", "b.example"])
    );
    assert_eq!(shown["authorized_senders"], json!(["x@c.example"]));
    assert_eq!(shown["note"], "n");
    assert_eq!(shown.get("password"), None);
    assert_eq!(relay.read("/api/v1/users")["users"][0], shown);
    let reset = relay.api("POST", "/api/v1/users/ann/password", None);
    assert_eq!(reset.status, 200);
    assert_eq!(reset.field("cache-control"), Some("no-store"));
    assert_eq!(relay.api("DELETE", path, None).status, 200);
    assert_eq!(relay.api("GET", path, None).status, 404);
}

#[test]
fn what_changes_nothing_leaves_the_time_of_the_last_change() {
    let relay = Relay::start("");
    relay.user("ann", "a.example");
    let made = relay.read("/api/v1/users/ann");
    relay.json(&[
        "user",
        "set",
        "ann",
        "--priority",
        "3",
        "--domains",
        "A.example;",
    ]);
    relay.json(&["user", "enable", "ann"]);
    relay.json(&["list", "set", "default", "--notify", ""]);
    assert_eq!(relay.read("/api/v1/users/ann"), made);
    assert_eq!(
        relay.read("/api/v1/lists/default")["changed"],
        relay.read("/api/v1/lists/default")["created"]
    );
    let disabled = relay.json(&["user", "disable", "ann"]);
    assert_ne!(disabled["changed"], made["changed"]);
    assert_eq!(relay.json(&["user", "disable", "ann"]), disabled);
}

#[test]
fn an_operation_without_a_body_refuses_fields() {
    let relay = Relay::start("");
    relay.user("ann", "a.example");
    let path = "/api/v1/users/ann/password";
    let body = json!({"password": "mine"});
    let answer = relay.api("POST", path, Some(&body));
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(answer.document()["errors"][0]["field"], "password");
    assert_eq!(relay.api("POST", path, Some(&json!({}))).status, 200);
}

/// What a person types and what a program sends is refused alike, in the same words.
#[test]
fn both_surfaces_refuse_the_same_things_in_the_same_words() {
    let relay = Relay::start("");
    relay.user("taken", "a.example");
    let cases = [
        (
            "--domains",
            "authorized_domains",
            "a.example,b.example",
            "\"a.example,b.example\" contains a comma",
        ),
        (
            "--domains",
            "authorized_domains",
            "a.example b.example",
            "contains a blank",
        ),
        (
            "--domains",
            "authorized_domains",
            "a.example;*",
            "\"*\" would allow every domain",
        ),
        (
            "--senders",
            "authorized_senders",
            "x@a.example;nobody",
            "\"nobody\" is not a whole address",
        ),
        (
            "--name",
            "name",
            "TAKEN",
            "there is already a user named \"taken\"",
        ),
        (
            "--list",
            "list",
            "nowhere",
            "there is no list named \"nowhere\"",
        ),
    ];
    for (option, field, value, expected) in cases {
        let said = relay.complaint_of(&["user", "add", option, value]);
        assert!(said.contains(expected), "{option} {value}: {said}");
        let answer = relay.api("POST", "/api/v1/users", Some(&json!({ field: value })));
        assert!(
            matches!(answer.status, 409 | 422),
            "{field} {value}: {}",
            answer.status
        );
        assert_eq!(
            answer.field("content-type"),
            Some("application/problem+json")
        );
        let problem = answer.document();
        assert_eq!(problem["errors"][0]["field"], field);
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{field} {value}: {detail}");
        assert!(said.contains(detail), "{said} says {detail}");
    }
    assert_eq!(
        relay.json(&["user", "ls"])["users"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_user_that_may_send_as_nobody_is_shown_with_a_warning_everywhere() {
    let relay = Relay::start("");
    let warning = "this user may not send as anybody";
    let made = relay.printed_by(&["user", "add", "--name", "ann"]);
    assert!(made.contains(warning), "{made}");
    let shown = relay.printed_by(&["user", "show", "ann"]);
    assert!(shown.contains(warning), "{shown}");
    assert!(relay.printed_by(&["user", "ls"]).contains("nobody"));
    let shown = relay.read("/api/v1/users/ann");
    assert!(shown["warning"].as_str().unwrap().starts_with(warning));
    let changed = relay.json(&["user", "set", "ann", "--domains", "a.example"]);
    assert_eq!(changed.get("warning"), None);
}

#[test]
fn a_password_is_in_the_answer_that_made_it_and_nowhere_else() {
    // All that is logged, but for the compiler of components, which writes a novel.
    let mut relay = Relay::start_in_clear(
        "[log]\nfilter = \"trace,cranelift=off,cranelift_codegen=off,cranelift_frontend=off,regalloc2=off,\
         wasmtime=off,wasmtime_internal_cranelift=off\"\n",
    );
    let sink = Sink::start(relay.ip, &[]);
    let made = relay.user("ann", "a.example");
    let reset = relay.json(&["user", "reset-password", "ann"])["password"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = mail("ann@a.example", "content-that-nobody-logs");
    // A login that works, one by each mechanism, one that does not, and a message.
    let mut client = relay.logged_in("ann", &reset);
    let id = message_id(&client.message("ann@a.example", "bob@d.example", &text));
    let refused = relay.connect().log_in("ann", &made);
    assert!(refused.starts_with("535"), "{refused}");
    let mut client = relay.connect();
    client.expect("EHLO client.test", "250");
    client.expect("AUTH LOGIN", "334");
    client.expect(&base64("ann"), "334");
    client.expect(&base64(&reset), "235");
    sink.wait_for(1);

    let mut reads = vec![
        relay.printed_by(&["user", "show", "ann"]),
        relay.printed_by(&["user", "ls", "--json"]),
        relay.printed_by(&["queue", "show", &id, "--json"]),
    ];
    for path in ["/api/v1/users/ann", "/api/v1/users", "/metrics", "/"] {
        reads.push(relay.api("GET", path, None).text);
    }
    assert!(relay.terminate().success());
    let log = relay.printed();
    let token = fs::read_to_string(relay.data().join("admin-token")).unwrap();
    let encoded = base64(&format!("\0ann\0{reset}"));
    let secrets = [made.as_str(), reset.as_str(), encoded.as_str()];
    for secret in secrets.into_iter().chain([token.trim(), "nobody-logs"]) {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    for secret in secrets {
        for (at, read) in reads.iter().enumerate() {
            assert!(!read.contains(secret), "{secret} is in read {at}: {read}");
        }
        for file in files(&relay.data()) {
            let octets = fs::read(&file).unwrap();
            let found = String::from_utf8_lossy(&octets).contains(secret);
            assert!(!found, "{secret} is in {}", file.display());
        }
    }
    assert!(log.contains(&id), "the log was looked at");
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    assert!(!found.is_empty() || folder.ends_with("content"));
    found
}

#[test]
fn a_reset_stops_the_old_password_at_once_any_number_of_times() {
    let relay = Relay::start_in_clear("");
    let mut password = relay.user("ann", "a.example");
    for round in 0..20 {
        let old = password;
        // The old one is remembered as right, which must not help it.
        relay.logged_in("ann", &old);
        password = relay.json(&["user", "reset-password", "ann"])["password"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_ne!(old, password);
        // Wrong guesses get slow, so not in each round.
        if round < 2 {
            let refused = relay.connect().log_in("ann", &old);
            assert!(refused.starts_with("535 5.7.8 "), "{refused}");
        }
    }
    relay.logged_in("ann", &password);
}

#[test]
fn a_session_whose_password_was_reset_ends_before_its_next_transaction() {
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    relay.json(&["user", "reset-password", "ann"]);
    client.expect("MAIL FROM:<ann@a.example>", "421 4.7.0 ");
    assert!(client.is_closed());
}

#[test]
fn a_disabled_user_gets_535_and_open_sessions_end_before_their_next_transaction() {
    let relay = Relay::start_in_clear("");
    let _sink = Sink::start(relay.ip, &[]);
    let password = relay.user("ann", "a.example");
    let mut idle = relay.logged_in("ann", &password);
    let mut busy = relay.logged_in("ann", &password);
    busy.expect("MAIL FROM:<ann@a.example>", "250");
    busy.expect("RCPT TO:<bob@d.example>", "250");
    relay.printed_by(&["user", "disable", "ann"]);
    let refused = relay.connect().log_in("ann", &password);
    assert!(refused.starts_with("535 5.7.8 "), "{refused}");
    idle.expect("MAIL FROM:<ann@a.example>", "421 4.7.0 ");
    assert!(idle.is_closed());
    // The transaction that was under way ends as it would have, the next one does not begin.
    busy.expect("DATA", "354");
    busy.send(format!("{}\r\n.\r\n", mail("ann@a.example", "last")).as_bytes());
    assert!(busy.reply().starts_with("250 2.0.0 "));
    busy.expect("MAIL FROM:<ann@a.example>", "421 4.7.0 ");
    relay.printed_by(&["user", "enable", "ann"]);
    relay.logged_in("ann", &password);
}

#[test]
fn a_deleted_user_gets_535_and_open_sessions_end() {
    let relay = Relay::start_in_clear("");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    relay.printed_by(&["user", "rm", "ann"]);
    client.expect("MAIL FROM:<ann@a.example>", "421 4.7.0 ");
    let refused = relay.connect().log_in("ann", &password);
    assert!(refused.starts_with("535 5.7.8 "), "{refused}");
}

/// A relay with a user and a message of hers that cannot leave: nobody listens at the next hop.
fn relay_with_queued_mail() -> (Relay, String) {
    let relay = Relay::start_in_clear("[delivery]\nretry = [\"1h\"]\n");
    let password = relay.user("ann", "a.example");
    let mut client = relay.logged_in("ann", &password);
    let id = message_id(&client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "queued"),
    ));
    wait_until("the first attempt has failed", || {
        relay.queued()[0]["state"] == "deferred"
    });
    (relay, id)
}

#[test]
fn a_user_with_queued_mail_goes_only_with_a_choice() {
    let (relay, _) = relay_with_queued_mail();
    let said = relay.complaint_of(&["user", "rm", "ann"]);
    for word in ["1 ", "queued", "--queued", "deliver", "hold", "cancel"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let answer = relay.api("DELETE", "/api/v1/users/ann", None);
    assert_eq!(answer.status, 409);
    let problem = answer.document();
    assert_eq!(problem["queued"], 1);
    assert_eq!(problem["choices"], json!(["deliver", "hold", "cancel"]));
    assert_eq!(relay.read("/api/v1/users/ann")["name"], "ann", "still here");
}

#[test]
fn mail_of_a_removed_user_is_delivered_when_that_was_chosen() {
    let (relay, _) = relay_with_queued_mail();
    relay.printed_by(&["user", "rm", "ann", "--queued", "deliver"]);
    assert_eq!(relay.queued().len(), 1);
    let sink = Sink::start(relay.ip, &[]);
    relay.printed_by(&["queue", "retry", "--all", "--yes"]);
    sink.wait_for(1);
}

#[test]
fn mail_of_a_removed_user_is_held_when_that_was_chosen() {
    let (relay, id) = relay_with_queued_mail();
    let answer = relay.api("DELETE", "/api/v1/users/ann?queued=hold", None);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(relay.queued()[0]["state"], "held");
    let sink = Sink::start(relay.ip, &[]);
    relay.printed_by(&["queue", "release", &id]);
    relay.printed_by(&["queue", "retry", &id]);
    sink.wait_for(1);
}

#[test]
fn mail_of_a_removed_user_is_cancelled_when_that_was_chosen() {
    let (relay, id) = relay_with_queued_mail();
    relay.printed_by(&["user", "rm", "ann", "--queued", "cancel"]);
    assert_eq!(relay.queued(), Vec::<Value>::new());
    let shown = relay.printed_by(&["queue", "show", &id]);
    assert!(shown.contains("cancelled"), "{shown}");
}

#[test]
fn a_note_is_for_administrators_and_never_leaves_the_relay() {
    let mut relay = Relay::start_in_clear("");
    let sink = Sink::start(relay.ip, &[]);
    let note = "left-at-the-reception";
    let password = relay.user_with("ann", &["--domains", "a.example", "--note", note]);
    let token = relay.json(&["admin", "token", "create", "--name", "grafana"])["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut client = relay.logged_in("ann", &password);
    let id = message_id(&client.message(
        "ann@a.example",
        "bob@d.example",
        &mail("ann@a.example", "noted"),
    ));
    let received = sink.wait_for(1).remove(0);
    assert!(!received.text().contains(note));
    let read = relay.api_as(&token, "GET", "/api/v1/users/ann", None);
    assert_eq!(read.status, 200);
    assert!(!read.text.contains("note"), "{}", read.text);
    assert_eq!(relay.read("/api/v1/users/ann")["note"], note);
    assert!(!relay.message(&id).to_string().contains(note));
    assert!(!relay.get("/metrics").contains(note));
    assert!(!relay.printed().contains(note));
}

#[test]
fn the_settings_page_says_how_clients_connect_and_lists_disabled_users() {
    let relay = Relay::start("");
    relay.user("ann", "a.example");
    relay.user_with("old", &["--inactive"]);
    let connection = relay.read("/api/v1/connection");
    let text = connection.to_string();
    for fact in ["relay.test", "2525", "4650", "starttls", "tls"] {
        assert!(text.contains(fact), "{fact} in {text}");
    }
    let printed = relay.printed_by(&["connection"]);
    for fact in [
        "host         relay.test",
        "2525   STARTTLS",
        "4650   SSL/TLS",
        "recommended",
        "self-signed",
    ] {
        assert!(printed.contains(fact), "{fact} in\n{printed}");
    }
    let users = relay.read("/api/v1/users");
    let states: Vec<_> = users["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["name"].clone(), user["active"].clone()))
        .collect();
    assert_eq!(
        states,
        [(json!("ann"), json!(true)), (json!("old"), json!(false))]
    );
    let listed = relay.printed_by(&["user", "ls"]);
    assert!(listed.contains("old   default  disabled"), "{listed}");
}

#[test]
fn accounts_survive_a_restart() {
    let mut relay = Relay::start_in_clear("");
    relay.printed_by(&["list", "add", "shop", "--notify", "ops@a.example"]);
    let password = relay.user_with("ann", &["--list", "shop", "--domains", "a.example"]);
    let before = relay.read("/api/v1/users/ann");
    relay.kill();
    relay.restart();
    assert_eq!(relay.read("/api/v1/users/ann"), before);
    relay.logged_in("ann", &password);
    assert!(
        !relay.printed().contains("user admin, password"),
        "the console password is shown at the first start only"
    );
}
