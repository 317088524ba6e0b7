//! What the log says of requests, and what it never says.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::super::audit::{self, Deed};
use super::Surface;
use crate::message::Class;

/// Takes down everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn last(&self) -> String {
        self.text().lines().last().unwrap_or_default().to_owned()
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut Line(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut log = self.0.lock().unwrap();
        write!(log, "{} ", event.metadata().level()).unwrap();
        event.record(&mut Line(&mut log));
        log.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_change_is_logged_with_its_author_and_without_secrets_or_content() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let surface = Surface::start().await;
    let body = r#"{"name":"app","note":"hidden-note","authorized_domains":"hidden.example"}"#;
    let made = surface.ask("POST /api/v1/users", Some(body)).await.json();
    let reset = surface
        .ask("POST /api/v1/users/app/password", None)
        .await
        .json();
    let issued = surface
        .ask(
            "POST /api/v1/tokens",
            Some(r#"{"name":"t","scope":"read"}"#),
        )
        .await;
    surface
        .ask("GET /api/v1/users?name=hidden-query", None)
        .await;
    surface
        .call("hidden-guess", "POST /api/v1/users", Some(body))
        .await;
    surface
        .ask(
            "POST /api/v1/users",
            Some(r#"{"hidden-field": "hidden-value"#),
        )
        .await;
    let log = log.text();
    let line = log
        .lines()
        .find(|line| line.contains("route=\"/api/v1/users/{user}/password\""));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.starts_with(
            "INFO message=admin request by=\"boss\" action=\"reset-password\" user=\"app\" method=POST "
        ),
        "{line}"
    );
    assert!(line.contains("status=200"), "{line}");
    assert!(line.contains("took_milliseconds="), "{line}");
    assert!(
        log.contains("INFO message=admin request method=POST "),
        "a request without a good token has no author: {log}"
    );
    for secret in [
        made["password"].as_str().unwrap(),
        reset["password"].as_str().unwrap(),
        issued.json()["token"].as_str().unwrap(),
        &surface.admin,
        "hidden",
    ] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_token_in_the_place_of_a_name_is_neither_logged_nor_kept() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let surface = Surface::start().await;
    let secret = &surface.read;
    let named = format!(r#"{{"name":"{secret}","scope":"read"}}"#);
    let of_user = format!(r#"{{"user":"{secret}"}}"#);
    for (request, body, status, said) in [
        (
            format!("DELETE /api/v1/tokens/{secret}"),
            None,
            404,
            r#"action="remove-token" method="#,
        ),
        (
            format!("DELETE /api/v1/tokens/{}", &secret[..40]),
            None,
            404,
            r#"action="remove-token" method="#,
        ),
        (
            "POST /api/v1/tokens".to_owned(),
            Some(named.as_str()),
            422,
            r#"action="add-token" token="(a token)""#,
        ),
        (
            format!("POST /api/v1/users/Bearer%20{secret}/password"),
            None,
            404,
            r#"user="(a token)""#,
        ),
        (
            "POST /api/v1/queue/hold".to_owned(),
            Some(&of_user),
            200,
            r#"filter="(a token)""#,
        ),
    ] {
        let answered = surface.ask(&request, body).await;
        assert_eq!(answered.status, status, "{request}: {}", answered.text);
        assert!(log.last().contains(said), "{}", log.last());
    }
    let removed = surface.ask("DELETE /api/v1/tokens/GRAFANA", None).await;
    assert_eq!(removed.status, 200);
    let said = r#"action="remove-token" token="GRAFANA" method="#;
    assert!(log.last().contains(said), "{}", log.last());
    assert!(!log.text().contains(&secret[..40]), "{}", log.text());
    let tokens = surface.ask("GET /api/v1/tokens", None).await.text;
    assert!(!tokens.contains(secret.as_str()), "{tokens}");
}

#[tokio::test]
async fn whoever_takes_a_backup_is_logged_though_it_changes_nothing() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let surface = Surface::start().await;
    assert_eq!(surface.ask("GET /api/v1/backup", None).await.status, 200);
    let line = "INFO message=admin request by=\"boss\" action=\"backup\" method=GET ";
    assert!(log.text().contains(line), "{}", log.text());
}

#[tokio::test]
async fn a_line_names_what_was_changed_and_how_much_of_it() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let surface = Surface::start().await;
    let night_shift = surface.operate.clone();
    for (request, body, said) in [
        (
            "POST /api/v1/lists",
            r#"{"name":"ops","notify":"hidden@a.example"}"#,
            r#"action="add-list" list="ops""#,
        ),
        (
            "PATCH /api/v1/lists/ops",
            r#"{"notify":""}"#,
            r#"action="change-list" list="ops" changed="notify""#,
        ),
        (
            "POST /api/v1/users",
            r#"{"name":"app","list":"OPS"}"#,
            r#"action="add-user" user="app" list="ops""#,
        ),
        (
            "PATCH /api/v1/users/APP",
            r#"{"priority":1,"authorized_domains":"hidden.example","active":true}"#,
            r#"action="change-user" user="APP" list="ops" changed="priority,authorized_domains""#,
        ),
        (
            "PATCH /api/v1/users/app",
            "{}",
            r#"action="change-user" user="app" list="ops" changed="nothing""#,
        ),
        (
            "PATCH /api/v1/users/app",
            r#"{"trusted_carriers":[],"priority_ceiling":2,"very_high_per_hour":9}"#,
            r#"action="change-user" user="app" list="ops" changed="trusted_carriers,priority_ceiling,very_high_per_hour""#,
        ),
        (
            "PATCH /api/v1/users/app",
            r#"{"name":"printer"}"#,
            r#"action="change-user" user="app" list="ops" changed="name=printer""#,
        ),
        (
            "PATCH /api/v1/users/nobody",
            r#"{"priority":1}"#,
            r#"action="change-user" user="nobody""#,
        ),
    ] {
        surface.ask(request, Some(body)).await;
        assert!(
            log.last().contains(&format!("by=\"boss\" {said} method=")),
            "{}",
            log.last()
        );
    }
    for _ in 0..2 {
        surface
            .queue("printer", Class::Normal, &["x@b.example"])
            .await;
    }
    let id = surface
        .queue("other", Class::Normal, &["x@b.example"])
        .await;
    for (request, body, said) in [
        (
            "POST /api/v1/queue/hold",
            r#"{"user":"printer","domain":"b.example","dry_run":true}"#.to_owned(),
            r#"action="hold" filter="user=printer domain=b.example" deliveries=2 dry_run=true"#
                .to_owned(),
        ),
        (
            "POST /api/v1/queue/hold",
            format!(r#"{{"id":"{id}"}}"#),
            format!(r#"action="hold" message_id="{id}" deliveries=1"#),
        ),
        (
            "POST /api/v1/queue/set-priority",
            r#"{"all":true,"priority":2}"#.to_owned(),
            r#"action="set-priority" filter="all" priority=2 deliveries=3"#.to_owned(),
        ),
    ] {
        surface.call(&night_shift, request, Some(&body)).await;
        let line = log.last();
        assert!(
            line.contains(&format!("by=\"night-shift\" {said} method=")),
            "{line}"
        );
    }
    surface
        .ask("DELETE /api/v1/users/printer?queued=cancel", None)
        .await;
    let said = r#"action="remove-user" user="printer" queued="cancel" deliveries=2 method="#;
    assert!(log.last().contains(said), "{}", log.last());
    assert!(!log.text().contains("hidden"), "{}", log.text());
}

#[test]
fn a_request_that_is_given_up_is_logged_with_what_it_had_begun() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut request = Request::builder()
        .method("POST")
        .uri("/api/v1/users/app/password")
        .body(Body::empty())
        .unwrap();
    let line = audit::Line::begin(&mut request);
    let deed: &Deed = request.extensions().get().unwrap();
    deed.note(|noted| noted.action = Some("reset-password"));
    drop(line);
    let line = log.last();
    assert!(
        line.contains(r#"action="reset-password" method=POST"#),
        "{line}"
    );
    assert!(!line.contains("status="), "{line}");
}
