//! Stopping and starting over HTTP.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::{NOW, Surface};
use crate::message::Class;

#[tokio::test]
async fn a_next_hop_that_is_none_is_not_repeated_whole() {
    let surface = Surface::start().await;
    let body = json!({"next_hop": "z".repeat(5_000)}).to_string();
    let refused = surface.ask("POST /api/v1/queue/stop", Some(&body)).await;
    assert_eq!(refused.fields(), ["next_hop"]);
    assert!(
        refused.text.contains("zzz…` is no next hop"),
        "{}",
        refused.text
    );
    assert!(refused.text.len() < 1_000, "{}", refused.text);
}

#[tokio::test]
async fn what_is_stopped_is_told_with_each_delivery_and_with_every_page() {
    let surface = Surface::start().await;
    let id = surface.queue("app", Class::Normal, &["x@b.example"]).await;
    let stop = json!({
        "of": {"next_hop": "b.example"}, "by": "boss", "since": NOW.to_string(),
        "text": format!("next hop b.example, by boss since {NOW}"),
    });
    let counted = surface
        .act("stop", r#"{"next_hop":"b.example","dry_run":true}"#)
        .await;
    assert_eq!(
        counted,
        json!({"of": {"next_hop": "b.example"}, "text": "next hop b.example", "dry_run": true,
               "changed": false, "count": 1, "before": null, "stops": []})
    );
    let done = surface.act("stop", r#"{"next_hop":"B.Example."}"#).await;
    assert_eq!(
        done,
        json!({"of": {"next_hop": "b.example"}, "text": "next hop b.example", "dry_run": false,
               "changed": true, "count": 1, "before": null, "stops": [stop]})
    );
    let again = surface.act("stop", r#"{"next_hop":"b.example"}"#).await;
    assert_eq!(
        (&again["changed"], &again["before"]),
        (&json!(false), &stop)
    );
    let page = surface.get("/api/v1/queue").await;
    assert_eq!(page["stops"], json!([stop]));
    let row = &page["deliveries"][0];
    assert_eq!(row["stopped"], "next hop b.example");
    let standing = format!(
        "due, waits for its turn; stopped, goes on when that is started: \
         next hop b.example, by boss since {NOW}"
    );
    assert_eq!(row["standing"], standing);
    let shown = surface.get(&format!("/api/v1/messages/{id}")).await;
    assert_eq!(shown["deliveries"][0]["stopped"], "next hop b.example");
    assert_eq!(shown["deliveries"][0]["standing"], standing);
    assert!(
        shown["text"]
            .to_string()
            .contains("; stopped, goes on when")
    );
    surface.act("hold", r#"{"all":true}"#).await;
    let held = surface.get("/api/v1/queue").await["deliveries"][0]["standing"].to_string();
    assert!(
        !held.contains("stopped"),
        "it does not wait for that: {held}"
    );
    assert_eq!(surface.retried.load(Ordering::Relaxed), 0);
    let started = surface.act("start", r#"{"next_hop":"b.example"}"#).await;
    assert_eq!(
        (&started["changed"], &started["before"]),
        (&json!(true), &stop)
    );
    assert_eq!(surface.retried.load(Ordering::Relaxed), 1);
    assert_eq!(surface.act("start", "{}").await["changed"], false);
    assert_eq!(surface.get("/api/v1/queue").await["stops"], json!([]));
}

#[tokio::test]
async fn what_nothing_can_be_named_is_not_stopped() {
    let surface = Surface::start().await;
    for (body, field) in [
        (r#"{"user":""}"#, "user"),
        (r#"{"list":""}"#, "list"),
        (r#"{"user":"a b"}"#, "user"),
        (r#"{"list":"a@b"}"#, "list"),
        (r#"{"next_hop":""}"#, "next_hop"),
        (r#"{"next_hop":"a b"}"#, "next_hop"),
        (r#"{"next_hop":"smarthost nowhere at all"}"#, "next_hop"),
        (r#"{"user":"a","list":"b"}"#, "next_hop"),
        (r#"{"all":true}"#, "all"),
    ] {
        for action in ["stop", "start"] {
            let ask = format!("POST /api/v1/queue/{action}");
            let refused = surface.ask(&ask, Some(body)).await;
            assert_eq!(refused.status, 422, "{action} {body}: {}", refused.text);
            assert_eq!(refused.fields(), [field], "{action} {body}");
        }
    }
    assert_eq!(surface.get("/api/v1/queue").await["stops"], json!([]));
    let smarthost = r#"{"next_hop":"smarthost 127.0.0.1:2500"}"#;
    let done = surface.act("stop", smarthost).await;
    assert_eq!(done["text"], "next hop smarthost 127.0.0.1:2500");
    assert_eq!(done["of"], json!({"next_hop": "smarthost 127.0.0.1:2500"}));
}

#[tokio::test]
async fn a_stop_is_ended_by_what_it_is_listed_with() {
    let surface = Surface::start().await;
    for user in ["app", "web"] {
        let body = json!({"name": user}).to_string();
        surface.ask("POST /api/v1/users", Some(&body)).await;
    }
    let all = [
        json!({}),
        json!({"next_hop": "smarthost 127.0.0.1:2500"}),
        json!({"next_hop": "b.example"}),
        json!({"user": "app"}),
        json!({"user": "web"}),
        json!({"list": "default"}),
    ];
    for of in &all {
        let done = surface.act("stop", &of.to_string()).await;
        assert_eq!((&done["of"], &done["changed"]), (of, &json!(true)));
    }
    let page = surface.get("/api/v1/queue").await;
    let stops = page["stops"].as_array().unwrap();
    assert_eq!(stops.len(), all.len());
    for (ended, stop) in (1..).zip(stops) {
        assert!(all.contains(&stop["of"]), "{stop}");
        let done = surface.act("start", &stop["of"].to_string()).await;
        assert_eq!((&done["before"], &done["of"]), (stop, &stop["of"]));
        assert_eq!(done["stops"].as_array().unwrap().len(), all.len() - ended);
    }
}

#[tokio::test]
async fn who_stops_something_is_told_how_much_waits_for_it() {
    let surface = Surface::start().await;
    for user in ["app", "web"] {
        let body = json!({"name": user}).to_string();
        surface.ask("POST /api/v1/users", Some(&body)).await;
    }
    let directory = surface.api.directory.clone();
    let list_of = move |name: &str| directory.user(name).map(|user| user.list.clone());
    surface.api.spool.know_lists(Box::new(list_of));
    let held = surface.queue("app", Class::Normal, &["x@b.example"]).await;
    surface.queue("app", Class::High, &["x@b.example"]).await;
    surface.queue("app", Class::High, &["x@c.example"]).await;
    surface.queue("gone", Class::Low, &["x@b.example"]).await;
    // It waits for its release, whatever is stopped.
    surface
        .act("hold", &json!({"id": held.to_string()}).to_string())
        .await;
    for (body, count) in [
        (json!({}), 3),
        (json!({"next_hop": "b.example"}), 2),
        (json!({"next_hop": "b.exampel"}), 0),
        (json!({"user": "APP"}), 2),
        (json!({"user": "web"}), 0),
        (json!({"user": "gone"}), 1),
        // Mail of whoever was removed is in no list.
        (json!({"list": "default"}), 2),
    ] {
        let mut counted = body.clone();
        counted["dry_run"] = json!(true);
        let counted = surface.act("stop", &counted.to_string()).await;
        let told = |of: &serde_json::Value| (of["count"].clone(), of["changed"].clone());
        assert_eq!(told(&counted), (json!(count), json!(false)), "{body}");
        let done = surface.act("stop", &body.to_string()).await;
        assert_eq!(told(&done), (json!(count), json!(true)), "{body}");
        let again = surface.act("stop", &body.to_string()).await;
        assert_eq!(told(&again), (json!(count), json!(false)), "{body}");
        let started = surface.act("start", &body.to_string()).await;
        assert_eq!(told(&started), (json!(count), json!(true)), "{body}");
        let again = surface.act("start", &body.to_string()).await;
        assert_eq!(told(&again), (json!(0), json!(false)), "{body}");
    }
}

#[tokio::test]
async fn whoever_mistypes_a_name_has_stopped_nothing_and_is_told() {
    let surface = Surface::start().await;
    for (body, said) in [
        (r#"{"user":"ap"}"#, "there is no user named \\\"ap\\\""),
        (r#"{"list":"news"}"#, "there is no list named \\\"news\\\""),
    ] {
        let refused = surface.ask("POST /api/v1/queue/stop", Some(body)).await;
        assert_eq!(refused.status, 404, "{}", refused.text);
        assert!(refused.text.contains(said), "{}", refused.text);
    }
    assert_eq!(surface.get("/api/v1/queue").await["stops"], json!([]));
}

#[tokio::test]
async fn what_is_stopped_is_listed_and_acted_on_as_a_state() {
    let surface = Surface::start().await;
    let mut ids = Vec::new();
    for (user, to) in [
        ("app", "x@b.example"),
        ("app", "x@c.example"),
        ("web", "x@b.example"),
    ] {
        ids.push(surface.queue(user, Class::Normal, &[to]).await.to_string());
    }
    assert!(surface.ids("?state=stopped").await.is_empty());
    surface.act("stop", r#"{"next_hop":"b.example"}"#).await;
    assert_eq!(surface.ids("?state=stopped").await, [&ids[0][..], &ids[2]]);
    assert_eq!(surface.ids("?state=stopped&user=web").await, ids[2..]);
    assert!(
        surface
            .ids("?state=stopped&estimate_seconds=9")
            .await
            .is_empty()
    );
    let row = &surface.get("/api/v1/queue?state=stopped").await["deliveries"][0];
    assert_eq!(
        (&row["state"], &row["stopped"]),
        (&json!("waiting"), &json!("next hop b.example"))
    );
    let counted = surface
        .act("hold", r#"{"state":"stopped","dry_run":true}"#)
        .await;
    assert_eq!(counted["count"], 2);
    let moved = r#"{"state":"stopped","user":"app","after_seconds":60}"#;
    assert_eq!(surface.act("reschedule", moved).await["count"], 1);
    assert_eq!(
        surface.ids("?state=stopped").await.len(),
        2,
        "also before its time"
    );
    assert_eq!(surface.ids("?state=scheduled").await, ids[..1]);
    assert_eq!(
        surface.act("hold", r#"{"state":"stopped"}"#).await["count"],
        2
    );
    assert!(
        surface.ids("?state=stopped").await.is_empty(),
        "what is held waits for its release"
    );
    surface.act("release", r#"{"all":true}"#).await;
    assert_eq!(
        surface.act("cancel", r#"{"state":"stopped"}"#).await["count"],
        2
    );
    assert_eq!(surface.ids("").await, ids[1..2]);
}

#[tokio::test]
async fn a_user_who_is_stopped_keeps_the_name() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    assert_eq!(
        surface.act("stop", r#"{"user":"APP"}"#).await["text"],
        "user app"
    );
    let rename = Some(r#"{"name":"web"}"#);
    let refused = surface.ask("PATCH /api/v1/users/app", rename).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.text.contains("is stopped by that name"),
        "{}",
        refused.text
    );
    surface.act("start", r#"{"user":"app"}"#).await;
    let done = surface.ask("PATCH /api/v1/users/app", rename).await;
    assert_eq!(done.status, 200);
}
