//! Requests that are sent again with their `Idempotency-Key`: done once, answered as before.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::Request;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::{Answered, Surface};
use crate::message::Class;

fn request(token: &str, ask: &str, key: &str, body: &str) -> Request<Body> {
    let (method, path) = ask.split_once(' ').unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", key);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

impl Surface {
    async fn ask_once(&self, ask: &str, key: &str, body: &str) -> Answered {
        self.send(request(&self.admin, ask, key, body)).await
    }

    async fn count(&self, what: &str) -> usize {
        let listed = self.get(&format!("/api/v1/{what}")).await;
        listed[what].as_array().unwrap().len()
    }
}

fn kind(answered: &Answered) -> (u16, Value) {
    (answered.status, answered.json()["type"].clone())
}

#[tokio::test]
async fn what_was_done_is_answered_as_before_and_not_done_again() {
    let surface = Surface::start().await;
    let lists = surface.count("lists").await;
    let body = r#"{"name":"ops"}"#;
    let made = surface.ask_once("POST /api/v1/lists", "\"k1\"", body).await;
    let again = surface.ask_once("POST /api/v1/lists", "k1", body).await;
    assert_eq!((made.status, again.status), (201, 201));
    assert_eq!(made.text, again.text);
    for field in ["location", "etag", "content-type", "cache-control"] {
        assert_eq!(made.header(field), again.header(field), "{field}");
        assert!(!made.header(field).is_empty(), "{field}");
    }
    let replayed = [&made, &again].map(|answered| answered.header("idempotency-replayed"));
    assert_eq!(replayed, ["", "true"]);
    assert_eq!(surface.count("lists").await, lists + 1);
    // Also where it could not be done any more, or there is something else by now.
    surface.ask("DELETE /api/v1/lists/ops", None).await;
    let again = surface.ask_once("POST /api/v1/lists", "k1", body).await;
    assert_eq!((again.status, again.text), (201, made.text));
    assert_eq!(surface.count("lists").await, lists);

    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    let all = r#"{"all":true}"#;
    let held = surface.ask_once("POST /api/v1/queue/hold", "k2", all).await;
    surface.ask("POST /api/v1/queue/release", Some(all)).await;
    let again = surface.ask_once("POST /api/v1/queue/hold", "k2", all).await;
    assert_eq!(
        (held.json()["count"].clone(), held.text),
        (json!(1), again.text)
    );
    let queue = surface.get("/api/v1/queue").await;
    assert_eq!(queue["deliveries"][0]["state"], "waiting");
    let stop = surface
        .ask_once("POST /api/v1/queue/stop", "k3", "{}")
        .await;
    let again = surface
        .ask_once("POST /api/v1/queue/stop", "k3", "{}")
        .await;
    assert_eq!(
        (stop.json()["changed"].clone(), stop.text),
        (json!(true), again.text)
    );
    let entries = surface.get("/api/v1/audit").await;
    let entries = entries["entries"].as_array().unwrap().iter();
    let actions: Vec<_> = entries.map(|entry| entry["action"].clone()).collect();
    assert_eq!(
        actions,
        ["stop", "release", "hold", "remove-list", "add-list"]
    );
}

#[tokio::test]
async fn an_answer_with_a_secret_is_not_kept_and_what_was_made_is_told() {
    let surface = Surface::start().await;
    for (key, ask, body, made) in [
        (
            "1",
            "POST /api/v1/users",
            r#"{"name":"app"}"#,
            "user app was made",
        ),
        (
            "2",
            "POST /api/v1/users/app/password",
            "",
            "user app got a new password",
        ),
        (
            "3",
            "POST /api/v1/tokens",
            r#"{"name":"t","scope":"read"}"#,
            "token t was made",
        ),
        (
            "4",
            "POST /api/v1/admins",
            r#"{"name":"ann","role":"read"}"#,
            "admin ann was made",
        ),
        (
            "5",
            "POST /api/v1/admins/ann/password",
            "",
            "admin ann got a new password",
        ),
    ] {
        let done = surface.ask_once(ask, key, body).await;
        assert!(done.status < 300, "{}", done.text);
        let again = surface.ask_once(ask, key, body).await;
        let expected = (409, json!("urn:outpost:problem:already-done"));
        assert_eq!(kind(&again), expected, "{ask}");
        assert!(again.text.contains(made), "{}", again.text);
        let done = done.json();
        let secret = done["password"].as_str().or(done["token"].as_str());
        assert!(!again.text.contains(secret.unwrap()));
        assert!(!format!("{:?}", surface.api.answers).contains(secret.unwrap()));
    }
    assert_eq!(surface.count("users").await, 1);
}

#[tokio::test]
async fn a_key_is_of_one_request_and_of_one_caller() {
    let surface = Surface::start().await;
    let add = "POST /api/v1/lists";
    let made = surface.ask_once(add, "k", r#"{"name":"a"}"#).await;
    assert_eq!(made.status, 201);
    for (ask, body) in [
        (add, r#"{"name":"b"}"#),
        (add, r#"{"name": "a"}"#),
        ("POST /api/v1/users", r#"{"name":"a"}"#),
    ] {
        let refused = surface.ask_once(ask, "k", body).await;
        let reused = (422, json!("urn:outpost:problem:key-reused"));
        assert_eq!(kind(&refused), reused, "{ask} {body}");
    }
    let other = surface
        .ask(
            "POST /api/v1/tokens",
            Some(r#"{"name":"two","scope":"admin"}"#),
        )
        .await
        .json();
    let other = other["token"].as_str().unwrap();
    let by_other = surface
        .send(request(other, add, "k", r#"{"name":"b"}"#))
        .await;
    assert_eq!(by_other.status, 201, "{}", by_other.text);
    for wrong in ["", "\"", "a b"] {
        let refused = surface.ask_once(add, wrong, r#"{"name":"c"}"#).await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
    let nobody = surface
        .send(request("guess", add, "k", r#"{"name":"a"}"#))
        .await;
    assert_eq!(nobody.status, 401);
    let too_large = format!(r#"{{"name":"{}"}}"#, "x".repeat(300_000));
    let refused = surface.ask_once(add, "k9", &too_large).await;
    assert_eq!(refused.status, 413, "{}", refused.text);
}

#[tokio::test]
async fn what_was_refused_may_be_asked_again_with_the_same_key() {
    let surface = Surface::start().await;
    let add = "POST /api/v1/users";
    let refused = surface
        .ask_once(add, "k", r#"{"name":"u","list":"ops"}"#)
        .await;
    assert_eq!(refused.status, 422);
    surface.rows.set_full(true);
    let refused = surface.ask_once(add, "k", r#"{"name":"u"}"#).await;
    assert_eq!(refused.status, 503);
    surface.rows.set_full(false);
    let made = surface.ask_once(add, "k", r#"{"name":"u"}"#).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test]
async fn a_request_goes_on_when_its_client_is_gone_and_is_answered_to_who_comes_back() {
    let surface = Surface::start().await;
    let ask = || {
        request(
            &surface.admin,
            "POST /api/v1/lists",
            "k",
            r#"{"name":"ops"}"#,
        )
    };
    let service = TowerToHyperService::new(surface.router.clone());
    let mut first = Box::pin(service.call(ask()));
    let mut context = Context::from_waker(Waker::noop());
    // It is handed to a task of its own, which this thread runs when this test waits.
    assert!(matches!(first.as_mut().poll(&mut context), Poll::Pending));
    drop(first);
    let again = surface.send(ask()).await;
    assert_eq!(
        kind(&again),
        (409, json!("urn:outpost:problem:under-way")),
        "{}",
        again.text
    );
    let answered = loop {
        tokio::task::yield_now().await;
        let answered = surface.send(ask()).await;
        if answered.status != 409 {
            break answered;
        }
    };
    assert_eq!(answered.status, 201, "{}", answered.text);
    assert_eq!(answered.header("idempotency-replayed"), "true");
    let entries = surface.get("/api/v1/audit").await;
    let entry = &entries["entries"][0];
    assert_eq!(
        (&entry["action"], &entry["status"]),
        (&json!("add-list"), &json!(201))
    );
}
