//! The queue and its messages.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW, Surface};
use crate::message::Class;

fn ids(page: &Value) -> Vec<String> {
    let rows = page["deliveries"].as_array().unwrap();
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_row_says_all_that_an_operator_looks_for() {
    let surface = Surface::start().await;
    let id = surface
        .queue("app", Class::High, &["x@b.example", "y@b.example"])
        .await;
    let page = surface.get("/api/v1/queue").await;
    assert_eq!(
        page,
        json!({
            "deliveries": [{
                "id": id.to_string(), "delivery": 0, "next_hop": "b.example",
                "list": "default", "user": "app",
                "class": 2, "user_priority": 3, "message_priority": 2,
                "state": "waiting", "subject": "Your <b>password</b>",
                "campaign": "spring", "sender": "app@a.example",
                "recipients": ["x@b.example", "y@b.example"], "content_octets": 5,
                "accepted": NOW.to_string(), "due": NOW.to_string(),
                "attempts": 0, "last_reply": "", "stopped": null,
                "position": 1, "ahead": [0, 0, 0, 0, 0], "reason": "next", "paused": null,
                "attempt_class": null, "octets_sent": null, "estimate_seconds": 2, "standing": "next",
            }],
            "cursor": null,
            "stops": [],
        })
    );
}

#[tokio::test]
async fn the_queue_is_shown_by_filter() {
    let surface = Surface::start().await;
    let one = surface
        .queue("app", Class::VeryHigh, &["x@b.example"])
        .await
        .to_string();
    let two = surface
        .queue("web", Class::Normal, &["y@c.example"])
        .await
        .to_string();
    let held = Some(r#"{"user":"web"}"#);
    assert_eq!(
        surface.ask("POST /api/v1/queue/hold", held).await.status,
        200
    );
    let both = vec![one.clone(), two.clone()];
    let cases = [
        ("", both.clone()),
        (
            "?list=&user=&class=&state=&sender=&recipient=&domain=&cursor=",
            both.clone(),
        ),
        ("?list=default", both.clone()),
        ("?list=DEFAULT", both.clone()),
        ("?list=ops", vec![]),
        ("?user=app", vec![one.clone()]),
        ("?class=3", vec![two.clone()]),
        ("?state=held", vec![two.clone()]),
        ("?state=waiting", vec![one.clone()]),
        ("?sender=APP%40a", both.clone()),
        ("?sender=nobody", vec![]),
        ("?recipient=Y%40", vec![two.clone()]),
        ("?domain=b.example", vec![one.clone()]),
        ("?user=app&class=3", vec![]),
        (&format!("?id={one}"), vec![one.clone()]),
        ("?id=01HF7YAT1V0000000000000000", vec![]),
        ("?subject=PASSWORD", both.clone()),
        ("?subject=invoice", vec![]),
        ("?attempts=1", vec![]),
        ("?last_reply=greylisted", vec![]),
        ("?due_from=2001-01-01T00:00:00Z", both.clone()),
        ("?due_before=2001-01-01T00:00:00Z", vec![]),
        // What is held has no estimate.
        ("?estimate_seconds=2", vec![one.clone()]),
        ("?estimate_seconds=1", vec![]),
    ];
    for (query, expected) in cases {
        let mut found = ids(&surface.get(&format!("/api/v1/queue{query}")).await);
        found.sort();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn pages_follow_one_another_without_loss() {
    let surface = Surface::start().await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.push(
            surface
                .queue("app", Class::Normal, &["x@b.example"])
                .await
                .to_string(),
        );
    }
    let mut found = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = surface.get(&format!("/api/v1/queue{query}")).await;
        found.extend(ids(&page));
        match page["cursor"].as_str() {
            Some(cursor) => {
                query = format!("?limit=3&cursor={}", super::super::within_path(cursor))
            }
            None => break,
        }
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn every_parameter_is_refused_by_name() {
    let surface = Surface::start().await;
    for (query, fields) in [
        ("?class=0", vec!["class"]),
        ("?class=high", vec!["class"]),
        ("?state=lost", vec!["state"]),
        ("?limit=0", vec!["limit"]),
        ("?limit=1001", vec!["limit"]),
        ("?limit=-1", vec!["limit"]),
        (
            "?class=9&state=lost&limit=x",
            vec!["class", "state", "limit"],
        ),
        ("?attempts=0", vec!["attempts"]),
        ("?attempts=many", vec!["attempts"]),
        (
            "?id=x&due_from=now&due_before=2026-11-27&estimate_seconds=-1",
            vec!["id", "due_from", "due_before", "estimate_seconds"],
        ),
        ("?colour=red", vec!["colour"]),
        ("?cursor=not-ours", vec!["cursor"]),
    ] {
        let refused = surface
            .ask(&format!("GET /api/v1/queue{query}"), None)
            .await;
        assert_eq!(refused.status, 422, "{query}: {}", refused.text);
        assert_eq!(refused.fields(), fields, "{query}");
    }
}

#[tokio::test]
async fn one_message_is_held_released_moved_and_cancelled() {
    let surface = Surface::start().await;
    let id = surface
        .queue("app", Class::Normal, &["x@b.example", "y@c.example"])
        .await;
    let other = surface
        .queue("app", Class::Normal, &["x@b.example"])
        .await
        .to_string();
    let steps = [
        (
            "hold",
            "",
            json!({"action": "hold", "dry_run": false, "count": 2, "under_way": 0, "stopped": 0}),
        ),
        (
            "release",
            "",
            json!({"action": "release", "dry_run": false, "count": 2, "under_way": 0, "stopped": 0}),
        ),
        (
            "retry",
            "",
            json!({"action": "retry", "dry_run": false, "count": 2, "under_way": 0, "stopped": 0}),
        ),
        (
            "set-priority",
            r#","priority":1"#,
            json!({"action": "set-priority", "dry_run": false, "count": 2, "under_way": 0, "stopped": 0}),
        ),
        (
            "cancel",
            r#","dry_run":true"#,
            json!({"action": "cancel", "dry_run": true, "count": 2, "under_way": 0, "stopped": 0}),
        ),
        (
            "cancel",
            "",
            json!({"action": "cancel", "dry_run": false, "count": 2, "under_way": 0, "stopped": 0}),
        ),
    ];
    for (action, more, expected) in steps {
        let body = format!("{{\"id\":\"{id}\"{more}}}");
        let operate = surface.operate.clone();
        let done = surface
            .call(
                &operate,
                &format!("POST /api/v1/queue/{action}"),
                Some(&body),
            )
            .await;
        let mut told = done.json();
        told.as_object_mut().unwrap().remove("undo");
        assert_eq!(
            (done.status, told),
            (200, expected),
            "{action}: {}",
            done.text
        );
    }
    assert_eq!(ids(&surface.get("/api/v1/queue").await), [other]);
    let text = surface.get(&format!("/api/v1/messages/{id}")).await["text"].to_string();
    for line in [
        "held by night-shift",
        "released by night-shift",
        "moved to class 1 by night-shift",
        "cancelled by night-shift; can be restored until 2023-11-15T22:13:20.123Z",
        "1 recipient to c.example: cancelled by an operator, can be restored until 2023-11-15T22:13:20.123Z",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn many_are_changed_by_filter_and_counted_before() {
    let surface = Surface::start().await;
    for user in ["app", "app", "web"] {
        surface.queue(user, Class::Normal, &["x@b.example"]).await;
    }
    let count = Some(r#"{"user":"app","dry_run":true}"#);
    let counted = surface.ask("POST /api/v1/queue/hold", count).await.json();
    assert_eq!(counted["count"], 2);
    assert_eq!(
        surface.get("/api/v1/queue?state=held").await["deliveries"],
        json!([])
    );
    let done = surface
        .ask("POST /api/v1/queue/hold", Some(r#"{"user":"app"}"#))
        .await
        .json();
    assert_eq!(done["count"], 2);
    assert_eq!(ids(&surface.get("/api/v1/queue?state=held").await).len(), 2);
    for (filter, count) in [
        (r#"{"subject":"password","dry_run":true}"#, 3),
        (r#"{"attempts":1,"dry_run":true}"#, 0),
        (r#"{"last_reply":"451","dry_run":true}"#, 0),
        (r#"{"due_before":"2001-01-01T00:00:00Z","dry_run":true}"#, 0),
        (
            r#"{"due_from":"2001-01-01T00:00:00+01:00","dry_run":true}"#,
            3,
        ),
    ] {
        let counted = surface.ask("POST /api/v1/queue/cancel", Some(filter)).await;
        assert_eq!(counted.json()["count"], count, "{filter}");
    }
    let all = surface
        .ask("POST /api/v1/queue/cancel", Some(r#"{"all":true}"#))
        .await
        .json();
    assert_eq!(all["count"], 3);
}

#[tokio::test]
async fn every_field_of_a_change_is_refused_by_name() {
    let surface = Surface::start().await;
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    for (action, body, field) in [
        ("hold", "{}", "id"),
        ("hold", r#"{"dry_run":true}"#, "id"),
        ("hold", r#"{"all":false}"#, "id"),
        ("hold", r#"{"all":true,"user":"app"}"#, "id"),
        (
            "hold",
            r#"{"id":"01HF7YAT1V0000000000000000","user":"app"}"#,
            "id",
        ),
        ("hold", r#"{"id":"x"}"#, "id"),
        ("hold", r#"{"id":7}"#, "id"),
        ("hold", r#"{"user":null}"#, "user"),
        ("cancel", r#"{"user":""}"#, "user"),
        ("cancel", r#"{"list":""}"#, "list"),
        ("cancel", r#"{"sender":""}"#, "sender"),
        ("cancel", r#"{"subject":""}"#, "subject"),
        ("cancel", r#"{"last_reply":""}"#, "last_reply"),
        ("cancel", r#"{"attempts":0}"#, "attempts"),
        ("cancel", r#"{"due_from":""}"#, "due_from"),
        ("cancel", r#"{"due_before":"tomorrow"}"#, "due_before"),
        ("cancel", r#"{"estimate_seconds":9}"#, "estimate_seconds"),
        ("cancel", r#"{"user":"app","recipient":""}"#, "recipient"),
        ("cancel", r#"{"domain":"","dry_run":true}"#, "domain"),
        ("hold", r#"{"class":9}"#, "class"),
        ("hold", r#"{"state":"lost"}"#, "state"),
        ("hold", r#"{"all":true,"priority":1}"#, "priority"),
        ("hold", r#"{"all":"yes"}"#, "all"),
        ("hold", r#"{"all":true,"sure":true}"#, "sure"),
        ("set-priority", r#"{"all":true}"#, "priority"),
        ("set-priority", r#"{"all":true,"priority":0}"#, "priority"),
        ("set-priority", r#"{"all":true,"priority":256}"#, "priority"),
    ] {
        let refused = surface
            .ask(&format!("POST /api/v1/queue/{action}"), Some(body))
            .await;
        assert_eq!(refused.status, 422, "{action} {body}: {}", refused.text);
        assert_eq!(
            refused.fields(),
            [field],
            "{action} {body}: {}",
            refused.text
        );
    }
    assert_eq!(
        surface.get("/api/v1/queue?state=held").await["deliveries"],
        json!([])
    );
}

#[tokio::test]
async fn what_is_not_queued_is_told_apart() {
    let surface = Surface::start().await;
    let id = surface.queue("app", Class::Normal, &["x@b.example"]).await;
    let body = format!("{{\"id\":\"{id}\"}}");
    assert_eq!(
        surface
            .ask("POST /api/v1/queue/release", Some(&body))
            .await
            .json()["count"],
        0
    );
    for count in [1, 0] {
        let cancelled = surface.ask("POST /api/v1/queue/cancel", Some(&body)).await;
        assert_eq!(cancelled.json()["count"], count, "once, and then no more");
    }
    let cancelled = surface.ask("POST /api/v1/queue/hold", Some(&body)).await;
    assert_eq!(cancelled.status, 409);
    assert!(
        cancelled.text.contains("restore it first"),
        "{}",
        cancelled.text
    );
    surface.api.clock.set(NOW.plus(Duration::from_secs(86_400)));
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    let finished = surface.ask("POST /api/v1/queue/hold", Some(&body)).await;
    assert_eq!(finished.status, 409);
    assert!(
        finished.text.contains("was finished at"),
        "{}",
        finished.text
    );
    let unknown = Some(r#"{"id":"01HF7YAT1V0000000000000000"}"#);
    assert_eq!(
        surface.ask("POST /api/v1/queue/hold", unknown).await.status,
        404
    );
}

#[tokio::test]
async fn an_action_that_there_is_not_is_answered_with_those_there_are() {
    let surface = Surface::start().await;
    for action in ["stops", "HOLD", "%1b"] {
        let ask = format!("POST /api/v1/queue/{action}");
        let refused = surface.ask(&ask, Some(r#"{"all":true}"#)).await;
        assert_eq!(refused.status, 404, "{action}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("hold, release, retry, cancel, restore, set-priority, reschedule"),
            "{detail}"
        );
        assert!(!detail.contains('\u{1b}'));
    }
}

#[tokio::test]
async fn a_message_is_shown_with_its_whole_trail() {
    let surface = Surface::start().await;
    let id = surface.queue("app", Class::High, &["x@b.example"]).await;
    let at = NOW.to_string();
    let message = surface.get(&format!("/api/v1/messages/{id}")).await;
    assert_eq!(
        message,
        json!({
            "id": id.to_string(), "list": "default", "user": "app",
            "origin": {"kind": "submission", "client": "192.0.2.7:40000", "listener_port": 587,
                       "protocol": "smtp", "ehlo": "laptop", "mechanism": "PLAIN", "tls": null},
            "subject": "Your <b>password</b>",
                "campaign": "spring", "sender": "app@a.example",
            "recipients": ["x@b.example"],
            "class": 2, "user_priority": 3, "message_priority": 2,
            "content_octets": 5, "accepted": at, "finished": null,
            "deliveries": [{
                "delivery": 0, "next_hop": "b.example", "recipients": ["x@b.example"],
                "state": "waiting", "due": at, "attempts": 0, "last_reply": "",
                "stopped": null,
                "position": 1, "ahead": [0, 0, 0, 0, 0], "reason": "next", "paused": null,
                "attempt_class": null, "octets_sent": null, "estimate_seconds": 2, "standing": "next",
            }],
            "trail": [
                {"at": at, "event": "decided", "component": "authorized-senders",
                 "digest": "3f2a91b0c4d5e6f7", "question": "sender", "answer": "permit",
                 "reasons": [{"rule": "domain", "detail": "a.example"}], "took_microseconds": 212},
                {"at": at, "event": "accepted", "class": 2},
                {"at": at, "event": "dialogue", "next_hop": "b.example", "host": "mx.b.example",
                 "address": "192.0.2.1:25", "continued": true, "lines": [
                    {"after_milliseconds": 0, "by": "server", "text": "220 mx.b.example \u{fffd}[2J\u{fffd}"},
                    {"after_milliseconds": 2, "by": "client", "text": "RCPT TO:<x@b.example>"},
                    {"after_milliseconds": 61_000, "by": "note", "text": "[no answer in time]"},
                 ]},
                {"at": at, "event": "attempted", "next_hop": "b.example", "host": null,
                 "took_microseconds": 3000,
                 "recipients": [{"recipient": "x@b.example", "outcome": "deferred",
                                 "reply": "450 4.4.1 nobody answers"}],
                 "unknown": false},
            ],
            "text": [
                format!("{at}  submitted by app of list default from 192.0.2.7:40000 to port 587, EHLO laptop, \
                         login by PLAIN, in clear; sender app@a.example, 1 recipient, 5 octets"),
                format!("{at}  authorized-senders (3f2a91b0c4d5) was asked about the sender and said permit \
                         in 212 µs: domain (a.example)"),
                format!("{at}  accepted in class 2 (high)"),
                format!("{at}  attempt to b.example, no host could be reached, took 3.0 ms: x@b.example \
                         deferred (450 4.4.1 nobody answers)"),
                format!("{at}  1 recipient to b.example: next"),
                String::new(),
                format!("{at}  dialogue with mx.b.example [192.0.2.1]:25 of b.example, over a connection that had \
                         been used before"),
                "         +0 ms  S: 220 mx.b.example \u{fffd}[2J\u{fffd}".to_owned(),
                "         +2 ms  C: RCPT TO:<x@b.example>".to_owned(),
                "         +61 s  [no answer in time]".to_owned(),
            ],
        })
    );
}

#[tokio::test]
async fn a_message_that_there_is_not_is_not_found() {
    let surface = Surface::start().await;
    for id in [
        "01HF7YAT1V0000000000000000",
        "x",
        "%00",
        "01hf7yat1v000000000000000u",
    ] {
        let refused = surface
            .ask(&format!("GET /api/v1/messages/{id}"), None)
            .await;
        assert_eq!(refused.status, 404, "{id}");
        assert_eq!(refused.json()["type"], "urn:outpost:problem:not-found");
    }
}

#[tokio::test]
async fn next_hops_are_tried_at_once_when_mail_is_retried_and_not_otherwise() {
    let surface = Surface::start().await;
    let id = surface
        .queue("app", Class::Normal, &["x@b.example"])
        .await
        .to_string();
    for (action, more, retried) in [
        ("hold", "", 0),
        ("retry", "", 0),
        ("release", "", 0),
        ("retry", r#","dry_run":true"#, 0),
        ("retry", "", 1),
    ] {
        let body = format!(r#"{{"id":"{id}"{more}}}"#);
        let target = format!("POST /api/v1/queue/{action}");
        let answer = surface.call(&surface.operate, &target, Some(&body)).await;
        assert_eq!(answer.status, 200, "{action}: {}", answer.text);
        let seen = surface.retried.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(seen, retried, "{action}{more}");
    }
}

#[tokio::test]
async fn who_mistypes_an_action_is_told_all_of_them() {
    let surface = Surface::start().await;
    let answer = surface.ask("POST /api/v1/queue/pause", Some("{}")).await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.json()["detail"],
        "`pause` is no action on the queue; there are hold, release, retry, cancel, restore, set-priority, \
         reschedule, undo, stop, start"
    );
}

#[tokio::test]
async fn an_action_is_undone_by_the_name_in_its_answer() {
    let surface = Surface::start().await;
    surface.queue("ann", Class::Low, &["x@b.example"]).await;
    let act = async |action: &str, body: &str| {
        let ask = format!("POST /api/v1/queue/{action}");
        surface.ask(&ask, Some(body)).await
    };
    let counted = act("hold", r#"{"all":true,"dry_run":true}"#).await;
    assert_eq!(counted.json()["undo"], serde_json::Value::Null);
    let held = act("hold", r#"{"all":true}"#).await.json();
    let name = held["undo"].as_str().unwrap().to_owned();
    for (body, wrong) in [
        ("{}".to_owned(), "is needed"),
        (format!(r#"{{"undo":"{name}","all":true}}"#), "goes alone"),
        (
            format!(r#"{{"undo":"{name}","dry_run":true}}"#),
            "goes alone",
        ),
    ] {
        let refused = act("undo", &body).await;
        assert_eq!(refused.status, 422, "{body}");
        assert!(refused.text.contains(wrong), "{}", refused.text);
    }
    let body = format!(r#"{{"undo":"{name}"}}"#);
    let elsewhere = act("hold", &body).await;
    assert!(elsewhere.text.contains("only goes with undo"));
    let undone = act("undo", &body).await.json();
    assert_eq!(
        (&undone["action"], &undone["count"]),
        (&"undo".into(), &1.into())
    );
    assert_eq!(act("undo", &body).await.status, 404);
    // An undo can be undone.
    let body = format!(r#"{{"undo":{}}}"#, undone["undo"]);
    assert_eq!(act("undo", &body).await.json()["count"], 1);
    let page = surface.get("/api/v1/queue?state=held").await;
    assert_eq!(page["deliveries"].as_array().unwrap().len(), 1);
}
