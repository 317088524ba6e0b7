//! Refused senders: listed, dismissed, authorized.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW, Surface};
use crate::message::Class;

async fn add(surface: &Surface, body: Value) {
    let made = surface
        .ask("POST /api/v1/users", Some(&body.to_string()))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
}

/// User and sender of those that are listed.
async fn listed(surface: &Surface, query: &str) -> Vec<String> {
    let page = surface.get(&format!("/api/v1/refusals{query}")).await;
    let refusals = page["refusals"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    refusals
        .map(|refusal| format!("{} {}", text(&refusal["user"]), text(&refusal["sender"])))
        .collect()
}

async fn authorize(surface: &Surface, id: &str, body: Value) -> super::Answered {
    let ask = format!("POST /api/v1/refusals/{id}/authorize");
    surface.ask(&ask, Some(&body.to_string())).await
}

#[tokio::test]
async fn refused_senders_are_listed_by_what_is_asked_for() {
    let surface = Surface::start().await;
    add(
        &surface,
        json!({"name": "app", "authorized_domains": "c.example"}),
    )
    .await;
    surface
        .refuse("app", &["X@b.example", "x@b.example", "y@c.example"])
        .await;
    surface.api.clock.set(NOW.plus(Duration::from_secs(60)));
    surface.refuse("gone", &["x@b.example", ""]).await;
    let page = surface.get("/api/v1/refusals?user=APP&sender=X@b").await;
    let row = &page["refusals"][0];
    assert_eq!(
        *row,
        json!({
            "id": row["id"], "list": "default", "user": "app", "sender": "x@b.example",
            "domain": "b.example", "named_in": "envelope", "count": 2,
            "first": NOW.to_string(), "last": NOW.to_string(), "clients": ["192.0.2.7"],
            "reasons": ["not-authorized: no"], "covered_by": null, "user_is_there": true,
        })
    );
    let id = row["id"].as_str().unwrap();
    assert_eq!(surface.get(&format!("/api/v1/refusals/{id}")).await, *row);
    let covered = surface.get("/api/v1/refusals?domain=C.Example").await;
    assert_eq!(covered["refusals"][0]["covered_by"]["rule"], "c.example");
    let since = NOW.plus(Duration::from_secs(60));
    let since = format!("?since={since}");
    for (query, expected) in [
        (
            "",
            &[
                "gone x@b.example",
                "gone ",
                "app y@c.example",
                "app x@b.example",
            ][..],
        ),
        ("?user=gone", &["gone x@b.example", "gone "]),
        ("?list=other", &[]),
        ("?domain=b.example&user=app", &["app x@b.example"]),
        (&since, &["gone x@b.example", "gone "]),
    ] {
        assert_eq!(listed(&surface, query).await, expected, "{query}");
    }
    let mut seen = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        seen.extend(listed(&surface, &query).await);
        let page = surface.get(&format!("/api/v1/refusals{query}")).await;
        let Some(cursor) = page["cursor"].as_str() else {
            break;
        };
        query = format!("?limit=1&cursor={cursor}");
    }
    assert_eq!(seen, listed(&surface, "").await);
    for (query, field) in [
        ("?cursor=x", "cursor"),
        ("?limit=0", "limit"),
        ("?since=yesterday", "since"),
        ("?domain=a..b", "domain"),
        ("?no=1", "no"),
    ] {
        let refused = surface
            .ask(&format!("GET /api/v1/refusals{query}"), None)
            .await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![field.to_owned()]),
            "{query}"
        );
    }
    let users = surface.get("/api/v1/users").await;
    assert_eq!(users["users"][0]["refused"], 3);
}

#[tokio::test]
async fn what_is_dismissed_is_gone_for_everybody() {
    let surface = Surface::start().await;
    surface.refuse("app", &["x@b.example"]).await;
    let id = surface.refusal("x@b.example").await;
    let dismiss = format!("DELETE /api/v1/refusals/{id}");
    let read = surface.call(&surface.read, &dismiss, None).await;
    assert_eq!(read.status, 403);
    let (one, other) = tokio::join!(
        surface.call(&surface.operate, &dismiss, None),
        surface.ask(&dismiss, None),
    );
    let mut answers = [one.status, other.status];
    answers.sort_unstable();
    assert_eq!(answers, [200, 404]);
    assert_eq!(listed(&surface, "").await, [""; 0]);
    for id in [id.as_str(), "x", "0", "fffffffffffffffff", "+1"] {
        let missing = surface
            .ask(&format!("GET /api/v1/refusals/{id}"), None)
            .await;
        assert_eq!(missing.status, 404, "{id}");
    }
}

#[tokio::test]
async fn authorizing_adds_one_rule_and_settles_what_it_covers() {
    let surface = Surface::start().await;
    add(
        &surface,
        json!({"name": "app", "authorized_domains": "a.example"}),
    )
    .await;
    add(&surface, json!({"name": "web"})).await;
    surface
        .refuse("app", &["X@b.example", "y@b.example", "z@sub.b.example"])
        .await;
    surface.refuse("web", &["x@b.example"]).await;
    let id = surface.refusal("X@b.example").await;

    let dry = authorize(&surface, &id, json!({"as": "domain", "dry_run": true})).await;
    assert_eq!(dry.status, 200, "{}", dry.text);
    let dry = dry.json();
    assert_eq!(dry["added"], true);
    assert_eq!(dry["rule"]["field"], "authorized_domains");
    assert_eq!(dry["rule"]["rule"], "b.example");
    assert_eq!(dry["settles"].as_array().unwrap().len(), 2);
    assert_eq!(
        dry["also"],
        json!([
            "app may send as any address at b.example by this, but not at its subdomains",
            "who else may send as it stays as it is",
        ])
    );
    assert_eq!(
        dry["user"]["authorized_domains"],
        json!(["a.example", "b.example"])
    );
    assert_eq!(listed(&surface, "").await.len(), 4, "nothing is done");
    let user = surface.get("/api/v1/users/app").await;
    assert_eq!(user["authorized_domains"], json!(["a.example"]));

    let done = authorize(&surface, &id, json!({"as": "sender"})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let done = done.json();
    assert_eq!(done["added"], true);
    assert_eq!(done["rule"]["rule"], "x@b.example");
    assert_eq!(done["settles"][0]["id"], *id);
    let user = surface.get("/api/v1/users/app").await;
    assert_eq!(done["user"], user);
    assert_eq!(user["authorized_senders"], json!(["x@b.example"]));
    assert_eq!(user["refused"], 2);
    assert_eq!(
        listed(&surface, "").await,
        ["web x@b.example", "app z@sub.b.example", "app y@b.example"]
    );
    let again = authorize(&surface, &id, json!({"as": "sender"})).await;
    assert_eq!(again.status, 404, "somebody has settled it");
}

#[tokio::test]
async fn two_who_authorize_at_once_add_one_rule_and_lose_none() {
    let surface = Surface::start().await;
    add(&surface, json!({"name": "app"})).await;
    surface.refuse("app", &["x@b.example", "y@c.example"]).await;
    let (x, y) = (
        surface.refusal("x@b.example").await,
        surface.refusal("y@c.example").await,
    );
    let sender = || json!({"as": "sender"});
    let (one, same, other) = tokio::join!(
        authorize(&surface, &x, sender()),
        authorize(&surface, &x, sender()),
        authorize(&surface, &y, sender()),
    );
    for answered in [&one, &same, &other] {
        assert!([200, 404].contains(&answered.status), "{}", answered.text);
    }
    let added = [&one, &same].map(|answered| answered.json()["added"] == json!(true));
    assert_eq!(added.iter().filter(|added| **added).count(), 1);
    let user = surface.get("/api/v1/users/app").await;
    assert_eq!(
        user["authorized_senders"],
        json!(["x@b.example", "y@c.example"])
    );
    assert_eq!(listed(&surface, "").await, [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_authorized_is_said_and_stays_listed() {
    let surface = Surface::start().await;
    let full: Vec<String> = (0..1_000)
        .map(|number| format!("s{number}@a.example"))
        .collect();
    add(
        &surface,
        json!({"name": "full", "authorized_senders": full}),
    )
    .await;
    surface
        .refuse("full", &["", "a*b@b.example", "x@b.example"])
        .await;
    surface.refuse("gone", &["q@b.example"]).await;
    for (sender, body, status, field, words) in [
        (
            "",
            json!({"as": "sender"}),
            422,
            Some("as"),
            "null reverse-path",
        ),
        (
            "",
            json!({"as": "domain"}),
            422,
            Some("as"),
            "null reverse-path",
        ),
        (
            "a*b@b.example",
            json!({"as": "sender"}),
            422,
            Some("as"),
            "has a *",
        ),
        (
            "x@b.example",
            json!({"as": "sender"}),
            422,
            Some("authorized_senders"),
            "there are 1000",
        ),
        (
            "x@b.example",
            json!({"as": "sender", "dry_run": true}),
            422,
            Some("authorized_senders"),
            "there are 1000",
        ),
        ("x@b.example", json!({}), 422, Some("as"), ""),
        (
            "x@b.example",
            json!({"as": "everybody"}),
            422,
            Some("as"),
            "",
        ),
        (
            "q@b.example",
            json!({"as": "sender"}),
            409,
            None,
            "user gone is gone",
        ),
    ] {
        let id = surface.refusal(sender).await;
        let refused = authorize(&surface, &id, body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text);
        let fields = field.map(str::to_owned).into_iter().collect::<Vec<_>>();
        assert_eq!(refused.fields(), fields, "{body}");
        assert!(refused.text.contains(words), "{body}: {}", refused.text);
    }
    assert_eq!(listed(&surface, "").await.len(), 4);
    let id = surface.refusal("x@b.example").await;
    for token in [&surface.read, &surface.operate] {
        let ask = format!("POST /api/v1/refusals/{id}/authorize");
        let refused = surface.call(token, &ask, Some(r#"{"as":"domain"}"#)).await;
        assert_eq!(refused.status, 403);
    }
    let done = authorize(&surface, &id, json!({"as": "domain"})).await;
    assert_eq!(done.status, 200, "the other list has room: {}", done.text);
}

#[tokio::test]
async fn what_a_change_of_the_user_settles_is_gone_and_so_is_what_belongs_to_one_who_goes() {
    let surface = Surface::start().await;
    add(&surface, json!({"name": "app"})).await;
    surface.refuse("app", &["x@b.example", "y@c.example"]).await;
    surface.queue("app", Class::Normal, &["q@d.example"]).await;
    let user = surface.get("/api/v1/users/app").await;
    assert_eq!((&user["queued"], &user["refused"]), (&json!(1), &json!(2)));
    let body = r#"{"authorized_domains":"b.example"}"#;
    surface.ask("PATCH /api/v1/users/app", Some(body)).await;
    assert_eq!(listed(&surface, "").await, ["app y@c.example"]);
    let removed = surface
        .ask("DELETE /api/v1/users/app?queued=deliver", None)
        .await;
    assert_eq!(removed.status, 200);
    assert_eq!(listed(&surface, "").await, [""; 0]);
}
