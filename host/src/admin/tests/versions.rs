//! Versions: what is shown has a tag, and nobody overwrites what they have not seen.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::{Answered, NOW, Surface};
use crate::message::Class;

impl Surface {
    /// As the administrator, with a header field.
    async fn ask_with(&self, ask: &str, field: (&str, &str), body: Option<&str>) -> Answered {
        let (method, path) = ask.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.admin))
            .header("content-type", "application/json")
            .header(field.0, field.1);
        let body = Body::from(body.unwrap_or_default().to_owned());
        self.send(request.body(body).unwrap()).await
    }

    async fn tag(&self, path: &str) -> String {
        let shown = self.ask(&format!("GET {path}"), None).await;
        shown.header("etag").to_owned()
    }
}

#[tokio::test]
async fn an_edit_of_what_was_changed_meanwhile_does_nothing() {
    let surface = Surface::start().await;
    for (path, make, one, other) in [
        (
            "/api/v1/users",
            r#"{"name":"app"}"#,
            r#"{"priority":1}"#,
            r#"{"note":"n"}"#,
        ),
        (
            "/api/v1/lists",
            r#"{"name":"app"}"#,
            r#"{"notify":"a@x.example"}"#,
            r#"{"notify":"b@x.example"}"#,
        ),
    ] {
        let made = surface.ask(&format!("POST {path}"), Some(make)).await;
        let path = format!("{path}/app");
        let seen = surface.tag(&path).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let edit = format!("PATCH {path}");
        let both = format!("W/\"x\", {seen}, \"y\"");
        let changed = surface
            .ask_with(&edit, ("if-match", &both), Some(one))
            .await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let now = surface.tag(&path).await;
        assert_eq!(changed.header("etag"), now);
        assert_ne!(seen, now);
        for condition in [
            seen.as_str(),
            "\"x\"",
            "",
            &format!("W/{now}"),
            &now.replacen('"', "\"x", 1),
        ] {
            for (ask, body) in [(&edit, Some(other)), (&format!("DELETE {path}"), None)] {
                let refused = surface.ask_with(ask, ("if-match", condition), body).await;
                assert_eq!(refused.status, 412, "{ask} {condition}: {}", refused.text);
                assert_eq!(
                    refused.json()["type"],
                    "urn:outpost:problem:changed-meanwhile"
                );
            }
        }
        assert_eq!(surface.tag(&path).await, now);
        let malformed = surface.ask_with(&edit, ("if-match", "app"), Some(other));
        assert_eq!(malformed.await.status, 400);
        let absent = edit.replace("app", "nobody");
        let absent = surface.ask_with(&absent, ("if-match", "*"), Some(other));
        assert_eq!(absent.await.status, 404);
        let any = surface.ask_with(&edit, ("if-match", "*"), Some(other));
        assert_eq!(any.await.status, 200);
        assert_eq!(surface.ask(&edit, Some(one)).await.status, 200);
        let now = surface.tag(&path).await;
        let remove = format!("DELETE {path}");
        let gone = surface.ask_with(&remove, ("if-match", &now), None);
        assert_eq!(gone.await.status, 200);
    }
}

#[tokio::test]
async fn a_new_password_is_another_version_and_mail_stays_where_a_removal_is_refused() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    surface.queue("app", Class::Normal, &["x@b.example"]).await;
    let path = "/api/v1/users/app";
    let seen = surface.tag(path).await;
    let reset = format!("POST {path}/password");
    let done = surface.ask_with(&reset, ("if-match", &seen), None).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let again = surface.ask_with(&reset, ("if-match", &seen), None).await;
    assert_eq!(again.status, 412);
    let remove = format!("DELETE {path}?queued=cancel");
    let refused = surface.ask_with(&remove, ("if-match", &seen), None).await;
    assert_eq!(refused.status, 412, "{}", refused.text);
    let queue = surface.get("/api/v1/queue").await;
    assert_eq!(queue["deliveries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_happens_by_itself_is_another_document_and_no_other_version() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"app"}"#))
        .await;
    let path = "/api/v1/users/app";
    let look = format!("GET {path}");
    let seen = surface.tag(path).await;
    for known in [&seen, &format!("W/{seen}"), "*", &format!("\"x\", {seen}")] {
        let same = surface
            .ask_with(&look, ("if-none-match", known), None)
            .await;
        assert_eq!((same.status, same.text.as_str()), (304, ""), "{known}");
        assert_eq!(same.header("etag"), seen);
    }
    for unknown in ["\"x\"", "x", ""] {
        let sent = surface
            .ask_with(&look, ("if-none-match", unknown), None)
            .await;
        assert_eq!(sent.status, 200, "{unknown}");
    }
    // A login is written with the next change.
    surface.api.directory.note_login("app", NOW);
    surface
        .ask("POST /api/v1/lists", Some(r#"{"name":"ops"}"#))
        .await;
    let sent = surface
        .ask_with(&look, ("if-none-match", &seen), None)
        .await;
    assert_eq!(
        (sent.status, &sent.json()["last_login"]),
        (200, &json!(NOW.to_string()))
    );
    let edit = format!("PATCH {path}");
    let edited = surface.ask_with(&edit, ("if-match", &seen), Some(r#"{"priority":1}"#));
    assert_eq!(edited.await.status, 200);
    // Who sees less of it has another document.
    let less = surface.call(&surface.read, &look, None).await;
    assert_ne!(less.header("etag"), surface.tag(path).await);
}
