//! What the log says of requests, and what it never says.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::Surface;

/// Takes down everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

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
    let log = log.0.lock().unwrap().clone();
    let line = log
        .lines()
        .find(|line| line.contains("route=\"/api/v1/users/{user}/password\""));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.starts_with("INFO "), "{line}");
    assert!(line.contains("method=POST"), "{line}");
    assert!(line.contains("by=\"boss\""), "{line}");
    assert!(line.contains("status=200"), "{line}");
    assert!(log.contains("by=\"-\""), "{log}");
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
