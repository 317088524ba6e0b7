//! Lists, users and admin secrets.

use serde_json::{Value, json};

use super::{NOW, Surface};
use crate::auth::Verification;
use crate::message::Class;

async fn verified(surface: &Surface, name: &str, password: &str) -> bool {
    let user = surface.api.directory.user(name).unwrap();
    let client = "192.0.2.7".parse().unwrap();
    let hash = user.login_hash();
    let verification = surface
        .api
        .auth
        .verify(name, hash, password.as_bytes(), client, NOW)
        .await;
    verification == Verification::Verified
}

#[tokio::test]
async fn a_user_is_made_shown_changed_and_removed() {
    let surface = Surface::start().await;
    let body = r#"{"name":"app","priority":2,"note":"hers","authorized_domains":"B.example; a.example;",
                   "authorized_senders":["X@c.example"]}"#;
    let made = surface.ask("POST /api/v1/users", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("location"), "/api/v1/users/app");
    let mut user = made.json();
    let password = user["password"].as_str().unwrap().to_owned();
    user.as_object_mut().unwrap().remove("password");
    assert_eq!(
        user,
        json!({
            "name": "app", "list": "default", "active": true, "priority": 2, "note": "hers",
            "authorized_domains": ["a.example", "b.example"],
            "authorized_senders": ["x@c.example"],
            "trusted_carriers": null,
            "priority_ceiling": null,
            "very_high_per_hour": null,
            "very_high_left": null,
            "created": NOW.to_string(), "changed": NOW.to_string(),
            "password_changed": NOW.to_string(), "last_login": null, "queued": 0, "refused": 0,
        })
    );
    assert!(verified(&surface, "app", &password).await);
    assert_eq!(surface.get("/api/v1/users/APP").await, user);
    assert_eq!(
        surface.get("/api/v1/users").await,
        json!({"users": [user], "cursor": null})
    );

    let change = r#"{"active":false,"priority":5,"authorized_domains":["*.d.example"]}"#;
    let changed = surface.ask("PATCH /api/v1/users/app", Some(change)).await;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_eq!(changed["active"], false);
    assert_eq!(changed["priority"], 5);
    assert_eq!(changed["authorized_domains"], json!(["*.d.example"]));
    assert_eq!(changed["authorized_senders"], json!(["x@c.example"]));
    assert_eq!(changed["note"], "hers");

    let gone = surface.ask("DELETE /api/v1/users/app", None).await;
    assert_eq!(
        (gone.status, gone.json()),
        (200, json!({"removed": "app", "queued": 0, "choice": null}))
    );
    assert_eq!(surface.ask("GET /api/v1/users/app", None).await.status, 404);
}

#[tokio::test]
async fn a_password_is_in_one_answer_and_never_again() {
    let surface = Surface::start().await;
    let made = surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    let reset = surface.ask("POST /api/v1/users/app/password", None).await;
    let admin = surface
        .ask(
            "POST /api/v1/admins",
            Some(r#"{"name":"eve","role":"operate"}"#),
        )
        .await;
    let console = surface.ask("POST /api/v1/admins/eve/password", None).await;
    let issued = surface
        .ask(
            "POST /api/v1/tokens",
            Some(r#"{"name":"t","scope":"read"}"#),
        )
        .await;
    let mut secrets = Vec::new();
    for (answered, field) in [
        (&made, "password"),
        (&reset, "password"),
        (&admin, "password"),
        (&console, "password"),
        (&issued, "token"),
    ] {
        assert!([200, 201].contains(&answered.status), "{}", answered.text);
        assert_eq!(answered.header("cache-control"), "no-store");
        secrets.push(answered.json()[field].as_str().unwrap().to_owned());
    }
    let change = r#"{"note":"changed"}"#;
    let mut later = vec![
        surface
            .ask("PATCH /api/v1/users/app", Some(change))
            .await
            .text,
    ];
    for path in [
        "/api/v1/users",
        "/api/v1/users/app",
        "/api/v1/lists",
        "/api/v1/tokens",
        "/",
        "/metrics",
    ] {
        later.push(surface.ask(&format!("GET {path}"), None).await.text);
    }
    for secret in &secrets {
        assert!(secret.len() > 20);
        assert!(later.iter().all(|text| !text.contains(secret)));
    }
    let hash = surface
        .api
        .directory
        .user("app")
        .unwrap()
        .password_hash
        .as_str()
        .to_owned();
    assert!(later.iter().all(|text| !text.contains(&hash)));
}

#[tokio::test]
async fn a_reset_voids_the_old_password_each_time() {
    let surface = Surface::start().await;
    let made = surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await
        .json();
    let mut old = made["password"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        let reset = surface
            .ask("POST /api/v1/users/app/password", None)
            .await
            .json();
        let new = reset["password"].as_str().unwrap().to_owned();
        assert!(verified(&surface, "app", &new).await);
        assert!(!verified(&surface, "app", &old).await);
        old = new;
    }
}

#[tokio::test]
async fn a_user_without_a_name_gets_one_and_a_warning_without_rules() {
    let surface = Surface::start().await;
    let made = surface.ask("POST /api/v1/users", Some("{}")).await.json();
    let name = made["name"].as_str().unwrap();
    assert!(!name.is_empty());
    assert!(
        made["warning"]
            .as_str()
            .unwrap()
            .contains("may not send as anybody")
    );
    let path = format!("/api/v1/users/{name}");
    assert_eq!(surface.get(&path).await["warning"], made["warning"]);
    let change = r#"{"authorized_senders":"x@a.example"}"#;
    let changed = surface
        .ask(&format!("PATCH {path}"), Some(change))
        .await
        .json();
    assert!(changed.get("warning").is_none());
}

#[tokio::test]
async fn every_field_of_a_user_is_refused_by_name() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    let cases = [
        (r#"{"name":""}"#, "name"),
        (r#"{"name":"a b"}"#, "name"),
        (r#"{"name":1}"#, "name"),
        (r#"{"name":null}"#, "name"),
        (r#"{"list":"nowhere"}"#, "list"),
        (r#"{"list":"a b"}"#, "list"),
        (r#"{"active":"yes"}"#, "active"),
        (r#"{"priority":0}"#, "priority"),
        (r#"{"priority":6}"#, "priority"),
        (r#"{"priority":"high"}"#, "priority"),
        (r#"{"priority":2.5}"#, "priority"),
        (r#"{"priority":-9223372036854775808}"#, "priority"),
        (r#"{"note":"\u0000"}"#, "note"),
        (r#"{"note":7}"#, "note"),
        (
            r#"{"authorized_domains":"a.example,b.example"}"#,
            "authorized_domains",
        ),
        (r#"{"authorized_domains":"*"}"#, "authorized_domains"),
        (
            r#"{"authorized_domains":["a.example","b c"]}"#,
            "authorized_domains",
        ),
        (r#"{"authorized_domains":[1]}"#, "authorized_domains[0]"),
        (r#"{"authorized_domains":{"a":1}}"#, "authorized_domains"),
        (r#"{"authorized_senders":"nobody"}"#, "authorized_senders"),
        (r#"{"authorized_senders":null}"#, "authorized_senders"),
        (r#"{"trusted_carriers":"X-Prio"}"#, "trusted_carriers"),
        (
            r#"{"trusted_carriers":["Priority",1]}"#,
            "trusted_carriers[1]",
        ),
        (r#"{"trusted_carriers":true}"#, "trusted_carriers"),
        (r#"{"priority_ceiling":0}"#, "priority_ceiling"),
        (r#"{"priority_ceiling":6}"#, "priority_ceiling"),
        (r#"{"priority_ceiling":"none"}"#, "priority_ceiling"),
        (r#"{"very_high_per_hour":0}"#, "very_high_per_hour"),
        (r#"{"very_high_per_hour":100001}"#, "very_high_per_hour"),
        (r#"{"very_high_per_hour":1.5}"#, "very_high_per_hour"),
        (r#"{"very_high_left":1}"#, "very_high_left"),
        (r#"{"password":"mine"}"#, "password"),
        (r#"{"priorty":1}"#, "priorty"),
    ];
    for ask in ["POST /api/v1/users", "PATCH /api/v1/users/app"] {
        for (body, field) in cases {
            let refused = surface.ask(ask, Some(body)).await;
            assert_eq!(refused.status, 422, "{ask} {body}: {}", refused.text);
            assert_eq!(refused.header("content-type"), "application/problem+json");
            assert_eq!(refused.fields(), [field], "{ask} {body}: {}", refused.text);
        }
    }
    assert_eq!(
        surface.get("/api/v1/users").await["users"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn limits_of_urgency_are_set_shown_and_cleared_with_null() {
    let surface = Surface::start().await;
    let limits = |document: &Value| {
        [
            "trusted_carriers",
            "priority_ceiling",
            "very_high_per_hour",
            "very_high_left",
        ]
        .map(|key| document[key].clone())
    };
    let none = [Value::Null, Value::Null, Value::Null, Value::Null];
    let made = surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await
        .json();
    assert_eq!(limits(&made), none);
    assert!(made.get("very_high_left").is_some(), "told, and none");
    for (change, expected) in [
        (
            r#"{"trusted_carriers":["x-priority","MT-PRIORITY;"],"very_high_per_hour":2}"#,
            json!([["MT-PRIORITY", "X-Priority"], null, 2, 2]),
        ),
        (
            r#"{"priority_ceiling":1}"#,
            json!([["MT-PRIORITY", "X-Priority"], 1, 2, 2]),
        ),
        (
            r#"{"trusted_carriers":"","note":"n"}"#,
            json!([[], 1, 2, 2]),
        ),
        (
            r#"{"trusted_carriers":null,"very_high_per_hour":null}"#,
            json!([null, 1, null, null]),
        ),
        (r#"{"priority_ceiling":null}"#, json!(none)),
    ] {
        let answered = surface.ask("PATCH /api/v1/users/app", Some(change)).await;
        assert_eq!(answered.status, 200, "{change}: {}", answered.text);
        assert_eq!(json!(limits(&answered.json())), expected, "{change}");
        let shown = surface.get("/api/v1/users/app").await;
        assert_eq!(json!(limits(&shown)), expected, "{change}");
    }
    let body = r#"{"name":"new","trusted_carriers":"Importance","priority_ceiling":4,"very_high_per_hour":100000}"#;
    let made = surface.ask("POST /api/v1/users", Some(body)).await.json();
    assert_eq!(
        json!(limits(&made)),
        json!([["Importance"], 4, 100_000, 100_000])
    );
    let now = surface.api.clock.now();
    let directory = &surface.api.directory;
    assert!(directory.spend_very_high("new", now).await.unwrap());
    let shown = surface.get("/api/v1/users/new").await;
    assert_eq!(shown["very_high_left"], 99_999);
    assert_eq!(shown["changed"], made["changed"], "nobody has changed it");
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let surface = Surface::start().await;
    let body = r#"{"name":"a b","priority":9,"authorized_domains":"a,b","authorized_senders":"x"}"#;
    let refused = surface.ask("POST /api/v1/users", Some(body)).await;
    assert_eq!(
        refused.fields(),
        [
            "name",
            "priority",
            "authorized_domains",
            "authorized_senders"
        ]
    );
}

#[tokio::test]
async fn a_taken_name_is_a_conflict() {
    let surface = Surface::start().await;
    for (path, body) in [
        ("/api/v1/users", r#"{"name":"app"}"#),
        ("/api/v1/lists", r#"{"name":"ops"}"#),
        ("/api/v1/tokens", r#"{"name":"t","scope":"read"}"#),
    ] {
        assert_eq!(
            surface
                .ask(&format!("POST {path}"), Some(body))
                .await
                .status,
            201
        );
        let again = surface
            .ask(
                &format!("POST {path}"),
                Some(&body.to_uppercase().to_lowercase()),
            )
            .await;
        assert_eq!(again.status, 409);
        assert_eq!(again.fields(), ["name"]);
    }
}

#[tokio::test]
async fn a_note_is_for_administrators_only() {
    let surface = Surface::start().await;
    surface
        .ask(
            "POST /api/v1/users",
            Some(r#"{"name":"app","note":"hers"}"#),
        )
        .await;
    for token in [&surface.read, &surface.operate] {
        for path in ["/api/v1/users", "/api/v1/users/app"] {
            let shown = surface.call(token, &format!("GET {path}"), None).await;
            assert_eq!(shown.status, 200);
            assert!(!shown.text.contains("note"), "{}", shown.text);
        }
    }
    assert_eq!(surface.get("/api/v1/users/app").await["note"], "hers");
}

#[tokio::test]
async fn users_are_listed_by_page_and_by_filter() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/lists", Some(r#"{"name":"ops"}"#))
        .await;
    for body in [
        r#"{"name":"a"}"#,
        r#"{"name":"b","list":"ops"}"#,
        r#"{"name":"c","list":"ops","active":false}"#,
    ] {
        assert_eq!(
            surface.ask("POST /api/v1/users", Some(body)).await.status,
            201
        );
    }
    let cases = [
        ("", "abc"),
        ("?list=&active=&name=&cursor=&limit=", "abc"),
        ("?list=ops", "bc"),
        ("?active=false", "c"),
        ("?active=true&list=ops", "b"),
        ("?name=A", "a"),
        ("?limit=2", "ab"),
        ("?limit=2&cursor=b", "c"),
    ];
    for (query, expected) in cases {
        let page = surface.get(&format!("/api/v1/users{query}")).await;
        let names: String = page["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{query}");
    }
    assert_eq!(surface.get("/api/v1/users?limit=2").await["cursor"], "b");
    for (query, field) in [
        ("?active=perhaps", "active"),
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?colour=red", "colour"),
        ("?list=a&list=b", "list"),
        ("?list=nope", "list"),
    ] {
        let refused = surface
            .ask(&format!("GET /api/v1/users{query}"), None)
            .await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![field.to_owned()]),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_list_is_made_shown_changed_and_removed() {
    let surface = Surface::start().await;
    let made = surface
        .ask(
            "POST /api/v1/lists",
            Some(r#"{"name":"ops","notify":"B@x.example; a@x.example"}"#),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("location"), "/api/v1/lists/ops");
    let list = made.json();
    assert_eq!(
        list,
        json!({"name": "ops", "notify": ["B@x.example", "a@x.example"], "users": 0,
               "active_users": 0, "created": NOW.to_string(), "changed": NOW.to_string()})
    );
    assert_eq!(surface.get("/api/v1/lists/ops").await, list);
    assert_eq!(surface.get("/api/v1/lists").await["lists"][1], list);
    let changed = surface
        .ask("PATCH /api/v1/lists/ops", Some(r#"{"notify":[]}"#))
        .await;
    assert_eq!(changed.json()["notify"], json!([]));
    let gone = surface.ask("DELETE /api/v1/lists/ops", None).await;
    assert_eq!((gone.status, gone.json()), (200, json!({"removed": "ops"})));
    for ask in ["GET /api/v1/lists/ops", "DELETE /api/v1/lists/ops"] {
        assert_eq!(surface.ask(ask, None).await.status, 404);
    }
    assert_eq!(
        surface
            .ask("PATCH /api/v1/lists/ops", Some("{}"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn every_field_of_a_list_is_refused_by_name() {
    let surface = Surface::start().await;
    for (body, field) in [
        ("{}", "name"),
        (r#"{"name":"a b"}"#, "name"),
        (r#"{"name":"x","notify":"nobody"}"#, "notify"),
        (r#"{"name":"x","notify":3}"#, "notify"),
        (r#"{"name":"x","users":3}"#, "users"),
    ] {
        let refused = surface.ask("POST /api/v1/lists", Some(body)).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![field.to_owned()]),
            "{body}"
        );
    }
    let refused = surface
        .ask("PATCH /api/v1/lists/default", Some(r#"{"name":"x"}"#))
        .await;
    assert_eq!(
        (refused.status, refused.fields()),
        (422, vec!["name".to_owned()])
    );
}

#[tokio::test]
async fn a_list_with_users_and_the_default_list_stay() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/lists", Some(r#"{"name":"ops"}"#))
        .await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"list":"ops"}"#))
        .await;
    for (list, says) in [("ops", "1 user"), ("default", "cannot be removed")] {
        let refused = surface
            .ask(&format!("DELETE /api/v1/lists/{list}"), None)
            .await;
        assert_eq!(refused.status, 409);
        assert!(refused.text.contains(says), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_user_with_queued_mail_keeps_its_name() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    let rename = Some(r#"{"name":"shop"}"#);
    let refused = surface.ask("PATCH /api/v1/users/app", rename).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(surface.api.directory.user("app").is_some());
    // In whatever case the user is asked for, and whatever case the new name has.
    let louder = Some(r#"{"name":"APP"}"#);
    for path in ["PATCH /api/v1/users/app", "PATCH /api/v1/users/APP"] {
        assert_eq!(surface.ask(path, louder).await.status, 409, "{path}");
    }
    let same = Some(r#"{"name":"app"}"#);
    let kept = surface.ask("PATCH /api/v1/users/APP", same).await;
    assert_eq!(kept.status, 200, "{}", kept.text);
    surface
        .ask("POST /api/v1/queue/cancel", Some(r#"{"all":true}"#))
        .await;
    let renamed = surface.ask("PATCH /api/v1/users/app", rename).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text);
}

#[tokio::test]
async fn a_user_with_queued_mail_goes_only_with_a_choice() {
    for (choice, state) in [("deliver", "waiting"), ("hold", "held"), ("cancel", "")] {
        let surface = Surface::start().await;
        surface
            .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
            .await;
        surface
            .queue("app", Class::Normal, &["x@b.example", "y@c.example"])
            .await;
        surface
            .queue("other", Class::Normal, &["x@b.example"])
            .await;

        let refused = surface.ask("DELETE /api/v1/users/app", None).await;
        assert_eq!(refused.status, 409);
        let problem = refused.json();
        assert_eq!(problem["type"], "urn:outpost:problem:queued-mail");
        assert_eq!(problem["queued"], 2);
        assert_eq!(problem["choices"], json!(["deliver", "hold", "cancel"]));
        assert!(surface.api.directory.user("app").is_some());

        let wrong = surface
            .ask("DELETE /api/v1/users/app?queued=burn", None)
            .await;
        assert_eq!(
            (wrong.status, wrong.fields()),
            (422, vec!["queued".to_owned()])
        );

        let gone = surface
            .ask(&format!("DELETE /api/v1/users/app?queued={choice}"), None)
            .await;
        assert_eq!(
            gone.json(),
            json!({"removed": "app", "queued": 2, "choice": choice})
        );
        assert!(surface.api.directory.user("app").is_none());
        let states: Vec<String> = surface.get("/api/v1/queue?user=app").await["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["state"].as_str().unwrap().to_owned())
            .collect();
        let expected = if state.is_empty() {
            vec![]
        } else {
            vec![state.to_owned(); 2]
        };
        assert_eq!(states, expected, "{choice}");
        let others = surface.get("/api/v1/queue?user=other").await;
        assert_eq!(others["deliveries"][0]["state"], "waiting");
    }
}

#[tokio::test]
async fn mail_of_a_removed_user_belongs_to_the_next_one_of_that_name_in_any_case() {
    let surface = Surface::start().await;
    let add = async |body: &str| surface.ask("POST /api/v1/users", Some(body)).await.status;
    assert_eq!(add(r#"{"name":"Carl"}"#).await, 201);
    surface.queue("Carl", Class::Normal, &["x@b.example"]).await;
    let gone = surface
        .ask("DELETE /api/v1/users/carl?queued=deliver", None)
        .await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    for wanted in ["user=Carl", "user=carl", "list=DEFAULT"] {
        let found = surface.get(&format!("/api/v1/queue?{wanted}")).await;
        assert_eq!(found["deliveries"][0]["user"], "Carl", "{wanted}");
    }
    assert_eq!(add(r#"{"name":"carl"}"#).await, 201);
    let refused = surface.ask("DELETE /api/v1/users/carl", None).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(refused.json()["queued"], 1);
}

#[tokio::test]
async fn held_mail_counts_when_its_user_goes() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    surface
        .ask("POST /api/v1/queue/hold", Some(r#"{"user":"app"}"#))
        .await;
    assert_eq!(
        surface.ask("DELETE /api/v1/users/app", None).await.json()["queued"],
        1
    );
}

#[tokio::test]
async fn a_token_reaches_as_far_as_its_scope() {
    let surface = Surface::start().await;
    let body = r#"{"name":"ci","scope":"operate"}"#;
    let issued = surface.ask("POST /api/v1/tokens", Some(body)).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let token = issued.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(
        surface.call(&token, "GET /api/v1/queue", None).await.status,
        200
    );
    let hold = Some(r#"{"all":true}"#);
    assert_eq!(
        surface
            .call(&token, "POST /api/v1/queue/hold", hold)
            .await
            .status,
        200
    );
    let refused = surface.call(&token, "POST /api/v1/users", Some("{}")).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .header("www-authenticate")
            .contains("insufficient_scope")
    );
    assert!(
        refused.text.contains("ci has scope operate"),
        "{}",
        refused.text
    );
    let gone = surface.ask("DELETE /api/v1/tokens/ci", None).await;
    assert_eq!(gone.status, 200);
    assert_eq!(
        surface.call(&token, "GET /api/v1/queue", None).await.status,
        401
    );
}

#[tokio::test]
async fn the_last_admin_token_stays() {
    let surface = Surface::start().await;
    let refused = surface.ask("DELETE /api/v1/tokens/Boss", None).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    surface
        .ask(
            "POST /api/v1/tokens",
            Some(r#"{"name":"next","scope":"admin"}"#),
        )
        .await;
    assert_eq!(
        surface.ask("DELETE /api/v1/tokens/boss", None).await.status,
        200
    );
    assert_eq!(surface.ask("GET /api/v1/tokens", None).await.status, 401);
}

#[tokio::test]
async fn every_field_of_a_token_is_refused_by_name() {
    let surface = Surface::start().await;
    for (body, field) in [
        (r#"{"scope":"read"}"#, "name"),
        (r#"{"name":"a b","scope":"read"}"#, "name"),
        (r#"{"name":"x"}"#, "scope"),
        (r#"{"name":"x","scope":"root"}"#, "scope"),
        (r#"{"name":"x","scope":"read","token":"mine"}"#, "token"),
    ] {
        let refused = surface.ask("POST /api/v1/tokens", Some(body)).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, vec![field.to_owned()]),
            "{body}"
        );
    }
    assert_eq!(
        surface
            .ask("DELETE /api/v1/tokens/nobody", None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_failing_disk_is_a_problem_that_tells_nothing_of_our_insides() {
    let surface = Surface::start().await;
    surface.rows.set_failing(true);
    let failed = surface.ask("POST /api/v1/users", Some("{}")).await;
    assert_eq!(failed.status, 500);
    assert_eq!(failed.json()["type"], "urn:outpost:problem:internal");
    assert!(!failed.text.contains("told to fail"));
    surface.rows.set_full(true);
    let full = surface.ask("POST /api/v1/users", Some("{}")).await;
    assert_eq!(full.status, 503);
    assert_eq!(full.json()["type"], "urn:outpost:problem:unavailable");
    assert_eq!(
        full.json()["detail"],
        "the disk of the data folder is full: make room there, then try again"
    );
}

#[tokio::test]
async fn accounts_go_from_one_relay_to_another_over_the_api_without_secrets() {
    let (from, to) = (Surface::start().await, Surface::start().await);
    from.ask("POST /api/v1/lists", Some(r#"{"name":"ops"}"#))
        .await;
    from.ask(
        "POST /api/v1/users",
        Some(r#"{"name":"shop","list":"ops"}"#),
    )
    .await;
    let read = from.operate.clone();
    let refused = from.call(&read, "GET /api/v1/accounts", None).await;
    assert_eq!(refused.status, 403);
    let exported = from.ask("GET /api/v1/accounts", None).await;
    assert_eq!(exported.header("content-type"), "application/x-ndjson");
    let import = async |lines: &str, more: serde_json::Value| {
        let mut input = serde_json::json!({ "lines": lines });
        for (key, value) in more.as_object().unwrap() {
            input[key] = value.clone();
        }
        to.ask("POST /api/v1/accounts", Some(&input.to_string()))
            .await
    };
    let dry = import(&exported.text, serde_json::json!({"dry_run": true})).await;
    assert_eq!(
        dry.json(),
        serde_json::json!({"dry_run": true, "steps": [
            {"line": 2, "done": "added", "list": "ops"},
            {"line": 3, "done": "added", "user": "shop"},
        ]})
    );
    assert!(to.api.directory.user("shop").is_none());
    let done = import(&exported.text, serde_json::json!({})).await;
    assert_eq!(done.header("cache-control"), "no-store");
    let password = done.json()["steps"][1]["password"].clone();
    assert!(password.as_str().unwrap().len() > 20, "{password}");
    let entries = to.get("/api/v1/audit").await;
    let actions = entries["entries"].as_array().unwrap().iter();
    let actions: Vec<_> = actions
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    assert!(
        actions.contains(&"add-user") && actions.contains(&"add-list"),
        "{actions:?}"
    );
    // What is there is no step.
    let again = import(&exported.text, serde_json::json!({"update": true})).await;
    assert_eq!(again.json()["steps"], serde_json::json!([]));
    let wrong = "{\"user\":{\"name\":\"new\"}}\n{\"user\":{\"name\":\"x\",\"priority\":9}}";
    let refused = import(wrong, serde_json::json!({})).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.text.contains("line 2: priority"),
        "{}",
        refused.text
    );
    assert!(to.api.directory.user("new").is_none());
    let many: String = (0..=crate::admin::accounts::STEPS_MAX)
        .map(|number| format!("{{\"list\":{{\"name\":\"l{number}\"}}}}\n"))
        .collect();
    let refused = import(&many, serde_json::json!({"dry_run": true})).await;
    assert!(
        refused.text.contains("1000 are taken at once"),
        "{}",
        refused.text
    );
}
