//! The audit log: what stands in it, what never does, and how it is read.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::super::audit::{Deed, Recorder};
use super::super::server::Peer;
use super::{NOW, Surface};
use crate::directory::Entry;
use crate::message::Class;

impl Surface {
    /// The entries, the oldest first, without what is the same in all.
    async fn entries(&self) -> Vec<Value> {
        let page = self.get("/api/v1/audit?limit=1000").await;
        assert_eq!(page["cursor"], Value::Null);
        let mut entries = page["entries"].as_array().unwrap().clone();
        entries.reverse();
        entries
    }
}

/// Action, what it is about, before, after, status and deliveries of an entry.
fn told(entry: &Value) -> Value {
    json!([
        entry["action"],
        entry["about"],
        entry["before"],
        entry["after"],
        entry["status"],
        entry["deliveries"],
    ])
}

#[tokio::test]
async fn every_change_is_an_entry_with_what_was_and_what_is() {
    let surface = Surface::start().await;
    let at = NOW.to_string();
    surface
        .queue("printer", Class::Normal, &["x@b.example"])
        .await;
    let held = surface
        .queue("other", Class::Normal, &["x@b.example"])
        .await;
    let by_id = json!({ "id": held.to_string() }).to_string();
    let nothing = Value::Null;
    let user = |name: &str, list: &str| json!({"user": name, "list": list});
    let made = json!({
        "name": "app", "list": "ops", "active": true, "priority": 3, "note": "n",
        "authorized_domains": [], "authorized_senders": [], "trusted_carriers": null,
        "priority_ceiling": null, "very_high_per_hour": null, "created": at, "password_changed": at,
    });
    let removed = json!({
        "name": "printer", "list": "ops", "active": true, "priority": 1, "note": "n",
        "authorized_domains": ["a.example"], "authorized_senders": [], "trusted_carriers": null,
        "priority_ceiling": null, "very_high_per_hour": null, "created": at, "password_changed": at,
    });
    let ops = json!({"name": "ops", "notify": ["a@x.example"]});
    let token = json!({"name": "t", "scope": "read", "created": at});
    for (request, body, expected) in [
        (
            "POST /api/v1/lists",
            r#"{"name":"ops","notify":"a@x.example"}"#,
            json!(["add-list", {"list": "ops"}, nothing, ops, 201, nothing]),
        ),
        (
            "PATCH /api/v1/lists/OPS",
            r#"{"notify":""}"#,
            json!(["change-list", {"list": "ops"}, {"name": "ops", "notify": ["a@x.example"]},
                   {"name": "ops", "notify": []}, 200, nothing]),
        ),
        (
            "POST /api/v1/users",
            r#"{"name":"app","list":"OPS","note":"n"}"#,
            json!(["add-user", user("app", "ops"), nothing, made, 201, nothing]),
        ),
        (
            "PATCH /api/v1/users/APP",
            r#"{"priority":1,"authorized_domains":"a.example","active":true}"#,
            json!(["change-user", user("app", "ops"),
                   {"name": "app", "priority": 3, "authorized_domains": []},
                   {"name": "app", "priority": 1, "authorized_domains": ["a.example"]}, 200, nothing]),
        ),
        (
            "PATCH /api/v1/users/app",
            r#"{"name":"printer2"}"#,
            json!(["change-user", user("app", "ops"), {"name": "app"}, {"name": "printer2"}, 200, nothing]),
        ),
        (
            "POST /api/v1/users/printer2/password",
            "",
            json!(["reset-password", user("printer2", "ops"), {"name": "printer2"}, {"name": "printer2"}, 200, nothing]),
        ),
        (
            "PATCH /api/v1/users/printer2",
            r#"{"name":"printer"}"#,
            json!(["change-user", user("printer2", "ops"), {"name": "printer2"}, {"name": "printer"}, 200, nothing]),
        ),
        (
            "POST /api/v1/queue/hold",
            r#"{"user":"printer"}"#,
            json!(["hold", {"filter": "user=printer"}, nothing, nothing, 200, 1]),
        ),
        (
            "POST /api/v1/queue/cancel",
            &by_id,
            json!(["cancel", {"message_id": held.to_string()}, nothing, nothing, 200, 1]),
        ),
        (
            "POST /api/v1/queue/set-priority",
            r#"{"all":true,"priority":2}"#,
            json!(["set-priority", {"filter": "all"}, nothing, {"priority": 2}, 200, 1]),
        ),
        (
            "POST /api/v1/queue/reschedule",
            r#"{"all":true,"at":"2024-01-01T00:00:00Z"}"#,
            json!(["reschedule", {"filter": "all"}, nothing, {"until": "2024-01-01T00:00:00.000Z"}, 200, 0]),
        ),
        (
            "POST /api/v1/queue/stop",
            r#"{"next_hop":"b.example"}"#,
            json!(["stop", {"next_hop": "b.example"}, nothing, nothing, 200, 0]),
        ),
        (
            "DELETE /api/v1/users/printer?queued=cancel",
            "",
            json!(["remove-user", {"user": "printer", "list": "ops", "queued": "cancel"}, removed, nothing, 200, 1]),
        ),
        (
            "DELETE /api/v1/lists/ops",
            "",
            json!(["remove-list", {"list": "ops"}, {"name": "ops", "notify": []}, nothing, 200, nothing]),
        ),
        (
            "POST /api/v1/tokens",
            r#"{"name":"t","scope":"read"}"#,
            json!(["add-token", {"token": "t"}, nothing, token, 201, nothing]),
        ),
        (
            "DELETE /api/v1/tokens/T",
            "",
            json!(["remove-token", {"token": "t"}, token, nothing, 200, nothing]),
        ),
        (
            "POST /api/v1/admins",
            r#"{"name":"eve","role":"operate"}"#,
            json!(["add-admin", {"admin": "eve"}, nothing,
                   {"name": "eve", "role": "operate", "created": at, "password_changed": at}, 201, nothing]),
        ),
        (
            "PATCH /api/v1/admins/EVE",
            r#"{"role":"read"}"#,
            json!(["change-admin", {"admin": "eve"}, {"name": "eve", "role": "operate"},
                   {"name": "eve", "role": "read"}, 200, nothing]),
        ),
        (
            "POST /api/v1/admins/eve/password",
            "",
            json!(["reset-admin-password", {"admin": "eve"}, {"name": "eve"}, {"name": "eve"}, 200, nothing]),
        ),
        (
            "DELETE /api/v1/admins/eve",
            "",
            json!(["remove-admin", {"admin": "eve"},
                   {"name": "eve", "role": "read", "created": at, "password_changed": at}, nothing, 200, nothing]),
        ),
        (
            "POST /api/v1/plugins/authorized-senders/reset",
            "",
            json!(["reset-plugin", {"component": "authorized-senders"}, nothing, nothing, 200, nothing]),
        ),
        (
            "GET /api/v1/backup",
            "",
            json!(["backup", {}, nothing, nothing, 200, nothing]),
        ),
        (
            "POST /api/v1/reload",
            "",
            json!(["reload", {}, nothing,
                   {"changed": ["tls", "plugin"], "needs_restart": ["admin.address"]}, 200, nothing]),
        ),
    ] {
        let body = Some(body).filter(|body| !body.is_empty());
        let answered = surface.ask(request, body).await;
        assert!(answered.status < 300, "{request}: {}", answered.text);
        let entries = surface.entries().await;
        let entry = entries.last().unwrap();
        assert_eq!(told(entry), expected, "{request}");
        assert_eq!(
            (&entry["by"], &entry["login"], &entry["times"], &entry["at"]),
            (&json!("boss"), &json!("token"), &json!(1), &json!(at)),
            "{request}"
        );
    }
    let numbers: Vec<u64> = surface
        .entries()
        .await
        .iter()
        .map(|entry| entry["sequence"].as_u64().unwrap())
        .collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1));
}

#[tokio::test]
async fn a_secret_is_in_no_entry() {
    let surface = Surface::start().await;
    let mut secrets = vec![surface.admin.clone(), surface.read.clone()];
    for (request, body) in [
        ("POST /api/v1/users", r#"{"name":"app"}"#),
        ("POST /api/v1/users/app/password", ""),
        ("POST /api/v1/tokens", r#"{"name":"t","scope":"read"}"#),
        ("POST /api/v1/admins", r#"{"name":"ann","role":"read"}"#),
        ("POST /api/v1/admins/ann/password", ""),
    ] {
        let body = Some(body).filter(|body| !body.is_empty());
        let made = surface.ask(request, body).await.json();
        let secret = made["password"].as_str().or(made["token"].as_str());
        secrets.push(secret.unwrap().to_owned());
    }
    secrets.push(
        surface
            .api
            .directory
            .user("app")
            .unwrap()
            .password_hash
            .as_str()
            .to_owned(),
    );
    let guess = "outpost_0000000000000000000000000000000000000000000";
    surface.call(guess, "GET /api/v1/users", None).await;
    surface
        .ask(&format!("DELETE /api/v1/tokens/{guess}"), None)
        .await;
    secrets.push(guess.to_owned());
    for format in ["json", "csv"] {
        let log = surface
            .ask(&format!("GET /api/v1/audit?format={format}"), None)
            .await;
        assert_eq!(log.status, 200);
        assert!(log.text.contains("reset-password"));
        for secret in &secrets {
            assert!(!log.text.contains(secret.as_str()), "{}", log.text);
        }
        assert!(!log.text.contains("argon2"));
    }
}

#[tokio::test]
async fn what_changes_nothing_is_no_entry() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    let before = surface.entries().await;
    for (request, body, status) in [
        ("GET /api/v1/users", "", 200),
        ("GET /nowhere", "", 404),
        ("PATCH /api/v1/users/app", r#"{"priority":3}"#, 200),
        ("PATCH /api/v1/users/app", r#"{"priority":9}"#, 422),
        ("PATCH /api/v1/users/nobody", r#"{"priority":1}"#, 404),
        ("POST /api/v1/users", r#"{"name":"app"}"#, 409),
        ("PATCH /api/v1/lists/default", "{}", 200),
        (
            "POST /api/v1/queue/hold",
            r#"{"all":true,"dry_run":true}"#,
            200,
        ),
        ("DELETE /api/v1/lists/default", "", 409),
    ] {
        let body = Some(body).filter(|body| !body.is_empty());
        assert_eq!(surface.ask(request, body).await.status, status, "{request}");
    }
    assert_eq!(surface.entries().await, before);
}

#[tokio::test]
async fn what_a_caller_may_not_do_and_wrong_logins_are_counted() {
    let surface = Surface::start().await;
    let from = |token: &str, client: &str| {
        let mut request = Request::post("/api/v1/users")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from("{}"))
            .unwrap();
        let client = format!("{client}:1024").parse().unwrap();
        request.extensions_mut().insert(Peer::new(client));
        request
    };
    for _ in 0..3 {
        let refused = surface.send(from(&surface.read, "192.0.2.7")).await;
        assert_eq!(refused.status, 403);
        let refused = surface.send(from("guess", "192.0.2.8")).await;
        assert_eq!(refused.status, 401);
    }
    // Without a token there is nobody who tries.
    surface.call("", "GET /api/v1/users", None).await;
    let seen = |entry: &Value| {
        json!([
            entry["action"],
            entry["by"],
            entry["client"],
            entry["about"],
            entry["status"],
            entry["times"]
        ])
    };
    let request = json!({"request": "POST /api/v1/users"});
    let expected = [
        json!(["refused", "grafana", "192.0.2.7", request, 403, 1]),
        json!(["login-failed", null, "192.0.2.8", {}, 401, 1]),
    ];
    let entries = surface.entries().await;
    assert_eq!(entries.iter().map(seen).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_request_that_is_given_up_has_an_entry_without_a_status() {
    let surface = Surface::start().await;
    let mut request = Request::post("/api/v1/queue/hold")
        .body(Body::empty())
        .unwrap();
    let deed = Deed::default();
    request.extensions_mut().insert(deed.clone());
    let recorder = Recorder::begin(&surface.api, &request);
    deed.note(|noted| {
        noted.action = Some("hold");
        noted.filter = Some("all".to_owned());
    });
    drop(recorder);
    let entry = loop {
        tokio::task::yield_now().await;
        if let Some(entry) = surface.entries().await.last() {
            break told(entry);
        }
    };
    let none = Value::Null;
    assert_eq!(
        entry,
        json!(["hold", {"filter": "all"}, none, none, none, none])
    );
}

#[tokio::test]
async fn a_change_of_the_directory_that_cannot_be_recorded_is_refused_and_one_of_the_queue_is_not()
{
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    surface.rows.set_full(true);
    let refused = surface
        .ask("PATCH /api/v1/users/app", Some(r#"{"priority":1}"#))
        .await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    let held = surface
        .ask("POST /api/v1/queue/hold", Some(r#"{"all":true}"#))
        .await;
    assert_eq!((held.status, &held.json()["count"]), (200, &json!(1)));
    surface.rows.set_full(false);
    assert_eq!(surface.get("/api/v1/users/app").await["priority"], 3);
    let entries = surface.entries().await;
    assert_eq!(entries.len(), 1, "{entries:?}");
}

#[tokio::test]
async fn the_log_is_read_in_pages_and_by_what_it_is_about() {
    let surface = Surface::start().await;
    for number in 0..5 {
        let body = format!(r#"{{"name":"u{number}"}}"#);
        surface.ask("POST /api/v1/users", Some(&body)).await;
    }
    surface
        .ask("POST /api/v1/lists", Some(r#"{"name":"ops"}"#))
        .await;
    surface
        .ask(
            "PATCH /api/v1/users/u1",
            Some(r#"{"list":"ops","name":"new"}"#),
        )
        .await;
    let operate = surface.operate.clone();
    surface
        .call(&operate, "POST /api/v1/queue/hold", Some(r#"{"all":true}"#))
        .await;
    let at = NOW.to_string();
    for (query, expected) in [
        ("", vec![8, 7, 6, 5, 4, 3, 2, 1]),
        ("?by=NIGHT-shift", vec![8]),
        ("?action=add-user&list=default", vec![5, 4, 3, 2, 1]),
        ("?user=U1", vec![7, 2]),
        ("?user=new", vec![7]),
        ("?list=ops", vec![7, 6]),
        (&format!("?since={at}&by="), vec![8, 7, 6, 5, 4, 3, 2, 1]),
        (&format!("?until={at}"), vec![]),
        ("?since=2030-01-01T00:00:00Z", vec![]),
    ] {
        for limit in [1, 3, 1_000] {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let separator = if query.is_empty() { "?" } else { "&" };
                let path = format!("/api/v1/audit{query}{separator}limit={limit}&cursor={cursor}");
                let page = surface.get(&path).await;
                let entries = page["entries"].as_array().unwrap();
                assert!(entries.len() <= limit);
                found.extend(
                    entries
                        .iter()
                        .map(|entry| entry["sequence"].as_u64().unwrap()),
                );
                match page["cursor"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{query} {limit}");
        }
    }
    for (query, fields) in [
        ("since=yesterday&until=5", vec!["since", "until"]),
        ("cursor=x&limit=0", vec!["cursor", "limit"]),
        ("limit=1001", vec!["limit"]),
        ("format=xml", vec!["format"]),
        ("format=csv&since=x", vec!["since"]),
        ("page=2", vec!["page"]),
    ] {
        let refused = surface
            .ask(&format!("GET /api/v1/audit?{query}"), None)
            .await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, fields.iter().map(|f| (*f).to_owned()).collect()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_table_has_all_that_match_and_no_formula() {
    let surface = Surface::start().await;
    let entries = (0..2_500).map(|number| Entry {
        by: Some("=cmd".to_owned()),
        about: vec![("user".to_owned(), format!("-u{number}"))],
        ..Entry::new("change-user", NOW)
    });
    surface
        .api
        .directory
        .record(entries.collect())
        .await
        .unwrap();
    surface
        .ask("POST /api/v1/lists", Some(r#"{"name":"ops"}"#))
        .await;
    let table = surface
        .ask("GET /api/v1/audit?format=csv&action=change-user", None)
        .await;
    assert_eq!(
        (table.status, table.header("content-type")),
        (200, "text/csv; charset=utf-8; header=present")
    );
    let lines: Vec<&str> = table.text.lines().collect();
    assert_eq!(lines.len(), 2_501);
    assert_eq!(
        lines[0],
        "\"sequence\",\"at\",\"by\",\"login\",\"client\",\"action\",\"about\",\"before\",\"after\",\"status\",\"deliveries\",\"times\""
    );
    assert!(lines[1].starts_with("\"2500\","), "{}", lines[1]);
    assert!(lines[2_500].contains(",\"'=cmd\",\"\",\"\",\"change-user\",\"user=-u0\","));
}
