//! What an operator does to mail and can undo.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::{NOW, Surface};
use crate::message::Class;

impl Surface {
    /// The answer to an action that is taken.
    pub(super) async fn act(&self, action: &str, body: &str) -> serde_json::Value {
        let ask = format!("POST /api/v1/queue/{action}");
        let done = self.ask(&ask, Some(body)).await;
        assert_eq!(done.status, 200, "{action} {body}: {}", done.text);
        done.json()
    }

    /// The ids of the deliveries in a part of the queue.
    pub(super) async fn ids(&self, query: &str) -> Vec<String> {
        let page = self.get(&format!("/api/v1/queue{query}")).await;
        let rows = page["deliveries"].as_array().unwrap();
        let ids = rows
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned());
        ids.collect()
    }
}

#[tokio::test]
async fn what_was_cancelled_is_restored_by_filter_and_counted_before() {
    let surface = Surface::start().await;
    let mut ids = Vec::new();
    for user in ["app", "app", "web"] {
        let id = surface.queue(user, Class::Normal, &["x@b.example"]).await;
        ids.push(id.to_string());
    }
    surface
        .act("hold", &json!({"id": ids[1]}).to_string())
        .await;
    assert_eq!(surface.act("cancel", r#"{"all":true}"#).await["count"], 3);
    assert!(surface.ids("").await.is_empty(), "they are not queued");
    assert_eq!(surface.ids("?state=cancelled").await, ids);
    assert_eq!(surface.ids("?state=cancelled&user=web").await, ids[2..]);
    let page = surface.get("/api/v1/queue?state=cancelled&limit=1").await;
    let row = &page["deliveries"][0];
    assert_eq!(row["state"], "cancelled");
    assert_eq!(
        row["standing"],
        "cancelled by an operator, can be restored until 2023-11-15T22:13:20.123Z"
    );
    let cursor = page["cursor"].as_str().unwrap();
    let rest = format!("?state=cancelled&cursor={cursor}");
    assert_eq!(surface.ids(&rest).await, ids[1..]);
    let wrong = surface
        .ask(&format!("GET /api/v1/queue?cursor={cursor}"), None)
        .await;
    assert_eq!(
        (wrong.status, wrong.fields()),
        (422, vec!["cursor".to_owned()])
    );

    let counted = surface
        .act("restore", r#"{"user":"app","dry_run":true}"#)
        .await;
    assert_eq!(
        counted,
        json!({"action": "restore", "dry_run": true, "count": 2, "under_way": 0, "stopped": 0})
    );
    assert_eq!(
        surface.act("restore", r#"{"user":"app"}"#).await["count"],
        2
    );
    assert_eq!(surface.ids("").await, ids[..2]);
    assert_eq!(surface.ids("?state=held").await, ids[1..2], "as it was");
    let id = json!({"id": ids[2]}).to_string();
    assert_eq!(surface.act("restore", &id).await["count"], 1);
    assert_eq!(surface.act("restore", &id).await["count"], 0);
    let shown = surface.get(&format!("/api/v1/messages/{}", ids[2])).await;
    let trail = shown["trail"].as_array().unwrap();
    assert_eq!(
        trail[trail.len() - 2..],
        [
            json!({"at": NOW.to_string(), "event": "cancelled", "by": "boss", "during_attempt": false,
                   "until": "2023-11-15T22:13:20.123Z"}),
            json!({"at": NOW.to_string(), "event": "operated", "by": "boss", "action": "restored",
                   "during_attempt": false}),
        ]
    );
}

#[tokio::test]
async fn what_nobody_restores_in_time_is_finished_and_that_is_said() {
    let surface = Surface::start().await;
    let id = surface.queue("app", Class::Normal, &["x@b.example"]).await;
    surface.act("cancel", r#"{"all":true}"#).await;
    surface.api.clock.set(NOW.plus(Duration::from_secs(86_400)));
    let body = json!({"id": id.to_string()}).to_string();
    let late = surface.ask("POST /api/v1/queue/restore", Some(&body)).await;
    assert_eq!(late.status, 409);
    assert!(
        late.text
            .contains("could be restored until 2023-11-15T22:13:20.123Z"),
        "{}",
        late.text
    );
    surface.queue("web", Class::Normal, &["x@b.example"]).await;
    let late = surface.ask("POST /api/v1/queue/restore", Some(&body)).await;
    assert_eq!(late.status, 409);
    assert!(
        late.text
            .contains("nothing of it is queued or can be restored")
    );
    let shown = surface.get(&format!("/api/v1/messages/{id}")).await;
    assert_eq!(shown["finished"], "2023-11-15T22:13:20.123Z");
    let text = shown["text"].to_string();
    assert!(text.contains("nobody restored it in time"), "{text}");
}

#[tokio::test]
async fn one_way_to_say_what_is_meant_excludes_the_others() {
    let surface = Surface::start().await;
    let id = surface.queue("app", Class::Normal, &["x@b.example"]).await;
    for (body, says) in [
        (json!({}), "say what is meant: "),
        (
            json!({"all": true, "user": "app"}),
            "say only one of these: ",
        ),
        (
            json!({"id": id.to_string(), "user": "app"}),
            "say only one of these: ",
        ),
        (
            json!({"id": id.to_string(), "all": true}),
            "say only one of these: ",
        ),
    ] {
        let body = body.to_string();
        let refused = surface.ask("POST /api/v1/queue/hold", Some(&body)).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec!["id".to_owned()])
        );
        assert!(refused.text.contains(says), "{body}: {}", refused.text);
    }
}

#[tokio::test]
async fn what_is_cancelled_and_what_is_queued_are_not_mistaken_for_one_another() {
    let surface = Surface::start().await;
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    for (action, state) in [
        ("restore", "held"),
        ("hold", "cancelled"),
        ("cancel", "cancelled"),
    ] {
        let body = json!({"state": state}).to_string();
        let ask = format!("POST /api/v1/queue/{action}");
        let refused = surface.ask(&ask, Some(&body)).await;
        assert_eq!(refused.status, 422, "{action}");
        assert_eq!(refused.fields(), ["state"]);
    }
    assert_eq!(surface.act("restore", r#"{"all":true}"#).await["count"], 0);
    assert_eq!(
        surface.act("restore", r#"{"state":"cancelled"}"#).await["count"],
        0
    );
}

#[tokio::test]
async fn mail_of_a_user_that_was_removed_with_it_can_be_restored() {
    let surface = Surface::start().await;
    let made = surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    assert_eq!(made.status, 201);
    let id = surface.queue("app", Class::Normal, &["x@b.example"]).await;
    let gone = surface
        .ask("DELETE /api/v1/users/app?queued=cancel", None)
        .await;
    assert_eq!(gone.json()["choice"], "cancel");
    assert!(surface.ids("").await.is_empty());
    assert_eq!(
        surface.act("restore", r#"{"user":"app"}"#).await["count"],
        1
    );
    assert_eq!(surface.ids("").await, [id.to_string()]);
}

#[tokio::test]
async fn mail_is_moved_to_another_time_and_a_time_that_is_over_means_now() {
    let surface = Surface::start().await;
    let id = surface.queue("app", Class::Normal, &["x@b.example"]).await;
    let due = async || {
        let page = surface.get("/api/v1/queue").await;
        let row = page["deliveries"][0].clone();
        (row["due"].clone(), row["state"].clone())
    };
    let body = json!({"id": id.to_string(), "at": "2023-11-15T08:00:00+01:00"}).to_string();
    assert_eq!(surface.act("reschedule", &body).await["count"], 1);
    assert_eq!(
        due().await,
        (json!("2023-11-15T07:00:00.000Z"), json!("scheduled"))
    );
    assert_eq!(surface.retried.load(Ordering::Relaxed), 0);
    let counted = r#"{"user":"app","after_seconds":60,"dry_run":true}"#;
    assert_eq!(surface.act("reschedule", counted).await["count"], 1);
    surface
        .act("reschedule", r#"{"user":"app","after_seconds":60}"#)
        .await;
    assert_eq!(
        due().await,
        (json!("2023-11-14T22:14:20.123Z"), json!("scheduled"))
    );
    surface
        .act("reschedule", r#"{"all":true,"at":"1999-12-31T23:59:59Z"}"#)
        .await;
    assert_eq!(due().await, (json!(NOW.to_string()), json!("waiting")));
    assert_eq!(
        surface.retried.load(Ordering::Relaxed),
        1,
        "whoever delivers is not to wait"
    );
    let text = surface.get(&format!("/api/v1/messages/{id}")).await["text"].to_string();
    for line in [
        "moved to 2023-11-15T07:00:00.000Z by boss",
        "moved to 2023-11-14T22:14:20.123Z by boss",
        "moved to 2023-11-14T22:13:20.123Z by boss",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn a_time_that_is_none_or_too_far_away_is_refused() {
    let surface = Surface::start().await;
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    for (action, more, field) in [
        ("reschedule", "", "at"),
        ("reschedule", r#","at":"tomorrow""#, "at"),
        ("reschedule", r#","at":"2023-11-15T08:00:00""#, "at"),
        ("reschedule", r#","at":"2024-11-15T08:00:00Z""#, "at"),
        ("reschedule", r#","at":7"#, "at"),
        (
            "reschedule",
            r#","after_seconds":31536001"#,
            "after_seconds",
        ),
        ("reschedule", r#","after_seconds":-1"#, "after_seconds"),
        (
            "reschedule",
            r#","after_seconds":1,"at":"2023-11-15T08:00:00Z""#,
            "after_seconds",
        ),
        (
            "reschedule",
            r#","after_seconds":1,"priority":1"#,
            "priority",
        ),
        ("hold", r#","at":"2023-11-15T08:00:00Z""#, "at"),
        ("retry", r#","after_seconds":1"#, "after_seconds"),
    ] {
        let body = format!("{{\"all\":true{more}}}");
        let ask = format!("POST /api/v1/queue/{action}");
        let refused = surface.ask(&ask, Some(&body)).await;
        assert_eq!(refused.status, 422, "{action} {body}: {}", refused.text);
        assert_eq!(refused.fields(), [field], "{action} {body}");
    }
}

#[tokio::test]
async fn what_is_paused_is_listed_and_not_acted_on() {
    let surface = Surface::start().await;
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    assert!(surface.ids("?state=paused").await.is_empty());
    for action in [
        "hold",
        "cancel",
        "retry",
        "release",
        "reschedule",
        "set-priority",
    ] {
        let body = r#"{"state":"paused"}"#;
        let ask = format!("POST /api/v1/queue/{action}");
        let refused = surface.ask(&ask, Some(body)).await;
        assert_eq!(refused.status, 422, "{action}: {}", refused.text);
        assert!(
            refused.fields().contains(&"state".to_owned()),
            "{}",
            refused.text
        );
        assert!(
            refused
                .text
                .contains("a pause comes and goes by the millisecond"),
            "{}",
            refused.text
        );
    }
    let unknown = surface.ask("GET /api/v1/queue?state=gone", None).await;
    assert!(
        unknown.text.contains(
            "must be one of waiting, scheduled, deferred, stopped, held, active, paused, cancelled"
        ),
        "{}",
        unknown.text
    );
}

#[tokio::test]
async fn an_id_of_nothing_is_answered_in_the_same_words_wherever_it_is_given() {
    let surface = Surface::start().await;
    let malformed =
        "`foo` is no message id: that is 26 characters of 0-9 and A-Z without I, L, O and U";
    let unknown = "there is no message 01HF7YAT1V0000000000000009: it may have been delivered, bounced or cancelled \
                   longer ago than trails are kept (spool.history), or the id is mistyped";
    for (id, status_of_path, status, says) in [
        ("foo", 404, 422, malformed),
        ("01HF7YAT1V0000000000000009", 404, 404, unknown),
    ] {
        let shown = surface
            .ask(&format!("GET /api/v1/messages/{id}"), None)
            .await;
        assert_eq!(shown.status, status_of_path);
        assert_eq!(shown.json()["detail"], says);
        for (action, more) in [
            ("hold", json!({})),
            ("release", json!({})),
            ("retry", json!({})),
            ("cancel", json!({})),
            ("restore", json!({})),
            ("set-priority", json!({"priority": 1})),
            ("reschedule", json!({"after_seconds": 1})),
        ] {
            let mut body = more;
            body["id"] = json!(id);
            let ask = format!("POST /api/v1/queue/{action}");
            let refused = surface.ask(&ask, Some(&body.to_string())).await;
            assert_eq!(refused.status, status, "{action}: {}", refused.text);
            let refused = refused.json();
            let detail = match status {
                422 => &refused["errors"][0]["detail"],
                _ => &refused["detail"],
            };
            assert_eq!(detail, says, "{action}");
        }
    }
}
