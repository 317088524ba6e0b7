//! What all answers have in common, and what is shown without a token.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::Request;
use hyper::body::Frame;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::json;

use super::Surface;

#[tokio::test]
async fn without_a_known_token_nothing_of_the_api_answers() {
    let surface = Surface::start().await;
    let admin = surface.admin.clone();
    let long = format!("Bearer {}", "x".repeat(5_000));
    for authorization in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer wrong"),
        Some(&format!("Basic {admin}")),
        Some(&format!("Bearer {admin}x")),
        Some(&admin),
        Some(&long),
    ] {
        let mut request = Request::get("/api/v1/users");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let refused = surface.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(refused.status, 401, "{authorization:?}");
        // RFC 6750 §3.1: an error for a token that is not known, none where there is no token.
        let has_token = authorization.is_some_and(|value| value.trim().starts_with("Bearer "));
        let error = if has_token {
            ", error=\"invalid_token\""
        } else {
            ""
        };
        assert_eq!(
            refused.header("www-authenticate"),
            format!("Bearer realm=\"outpost\"{error}"),
            "{authorization:?}"
        );
        assert_eq!(
            refused.json()["type"],
            "urn:outpost:problem:unauthenticated"
        );
    }
}

#[tokio::test]
async fn one_backup_is_made_at_a_time_and_one_that_is_given_up_makes_room() {
    let surface = Surface::start().await;
    // Large enough that it cannot all wait to be read.
    for number in 0..400 {
        let note = "x".repeat(1_000);
        let body = format!(r#"{{"name":"u{number}","note":"{note}"}}"#);
        let made = surface.ask("POST /api/v1/users", Some(&body)).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let bearer = format!("Bearer {}", surface.admin);
    let request = Request::get("/api/v1/backup").header("authorization", bearer);
    let request = request.body(Body::empty()).unwrap();
    let service = TowerToHyperService::new(surface.router.clone());
    let unread = service.call(request).await.unwrap();
    let busy = surface.ask("GET /api/v1/backup", None).await;
    assert_eq!(busy.status, 503, "{}", busy.text);
    drop(unread);
    while surface.ask("GET /api/v1/backup", None).await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_scheme_is_read_without_regard_to_case_and_two_tokens_are_none() {
    let surface = Surface::start().await;
    let bearer = |scheme: &str| format!("{scheme} {}", surface.admin);
    let one = Request::get("/api/v1/users").header("authorization", bearer("bEARER"));
    assert_eq!(
        surface.send(one.body(Body::empty()).unwrap()).await.status,
        200
    );
    let two = Request::get("/api/v1/users")
        .header("authorization", bearer("Bearer"))
        .header("authorization", bearer("Bearer"));
    assert_eq!(
        surface.send(two.body(Body::empty()).unwrap()).await.status,
        401
    );
}

#[tokio::test]
async fn a_refusal_is_a_problem_document_wherever_it_happens() {
    let surface = Surface::start().await;
    for (ask, status) in [
        ("GET /nowhere", 404),
        ("GET /api/v1/nowhere", 404),
        ("GET /api/v1/users/", 404),
        ("GET /api/v1/users/nobody", 404),
        ("DELETE /api/v1/users", 405),
        ("OPTIONS /api/v1/users", 405),
        ("POST /", 405),
        ("POST /metrics", 405),
        ("TRACE /api/v1/queue", 405),
        ("GET /api/v1/users/%ff", 400),
        ("GET /api/v1/connection?x=1", 422),
    ] {
        let refused = surface.ask(ask, None).await;
        assert_eq!(refused.status, status, "{ask}: {}", refused.text);
        assert_eq!(
            refused.header("content-type"),
            "application/problem+json",
            "{ask}"
        );
        let problem = refused.json();
        assert_eq!(problem["status"], status, "{ask}");
        for field in ["type", "title", "detail"] {
            assert!(!problem[field].as_str().unwrap().is_empty(), "{ask}");
        }
    }
    assert_eq!(
        surface
            .ask("DELETE /api/v1/users", None)
            .await
            .header("allow"),
        "GET,HEAD,POST"
    );
}

#[tokio::test]
async fn a_body_is_json_and_bounded() {
    let surface = Surface::start().await;
    let post = |media: Option<&str>, body: Vec<u8>| {
        let mut request = Request::post("/api/v1/users")
            .header("authorization", format!("Bearer {}", surface.admin));
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        surface.send(request.body(Body::from(body)).unwrap())
    };
    assert_eq!(
        post(Some("application/json; charset=utf-8"), b"{}".to_vec())
            .await
            .status,
        201
    );
    assert_eq!(
        post(Some("application/merge-patch+json"), b"{}".to_vec())
            .await
            .status,
        201
    );
    for media in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("\u{e9}"),
    ] {
        let refused = post(media, b"{}".to_vec()).await;
        assert_eq!(refused.status, 415, "{media:?}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
    for (coding, status) in [("identity", 201), ("gzip", 415), ("identity, br", 415)] {
        let request = Request::post("/api/v1/users")
            .header("authorization", format!("Bearer {}", surface.admin))
            .header("content-type", "application/json")
            .header("content-encoding", coding);
        let answered = surface.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(answered.status, status, "{coding}");
    }
    let large = format!("{{\"note\":\"{}\"}}", "x".repeat(256 * 1024)).into_bytes();
    let refused = post(Some("application/json"), large).await;
    assert_eq!(refused.status, 413);
    assert!(refused.text.contains("262144 octets"), "{}", refused.text);
    let full = format!("{{\"note\":\"{}\"}}", "x".repeat(255 * 1024)).into_bytes();
    let refused = post(Some("application/json"), full).await;
    assert_eq!(
        (refused.status, refused.fields()),
        (422, vec!["note".to_owned()])
    );
    let refused = post(Some("application/json"), b"{\"name\":\n  oops}".to_vec()).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text.contains("line 2, column 3"),
        "{}",
        refused.text
    );
    let refused = post(Some("application/json"), vec![0xff]).await;
    assert_eq!(refused.status, 400);
    let refused = surface.ask("GET /api/v1/users?name=%FF", None).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let surface = Surface::start().await;
    let request = Request::post("/api/v1/users")
        .header("authorization", format!("Bearer {}", surface.admin))
        .header("content-type", "application/json");
    assert_eq!(
        surface
            .send(request.body(Body::new(Endless)).unwrap())
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn no_answer_may_be_framed_guessed_at_or_kept() {
    let surface = Surface::start().await;
    for path in [
        "/",
        "/nowhere",
        "/api/v1/users",
        "/metrics",
        "/readyz",
        "/api/v1/openapi.json",
    ] {
        let answered = surface.ask(&format!("GET {path}"), None).await;
        let policy = answered.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(
            answered.header("x-content-type-options"),
            "nosniff",
            "{path}"
        );
        assert_eq!(answered.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn health_is_told_without_a_token() {
    let surface = Surface::start().await;
    assert_eq!(surface.call("", "GET /livez", None).await.text, "alive\n");
    let ready = surface.call("", "GET /readyz", None).await;
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"ready": true, "reasons": []}))
    );
    surface.api.readiness.lacking("listeners", "starting");
    let lacking = surface.call("", "GET /readyz", None).await;
    assert_eq!(lacking.status, 503);
    assert_eq!(
        lacking.json(),
        json!({"ready": false, "reasons": [{"part": "listeners", "reason": "starting"}]})
    );
    surface.api.readiness.ready("listeners");
    assert_eq!(surface.call("", "GET /readyz", None).await.status, 200);
}

#[tokio::test]
async fn a_refusal_repeats_no_more_of_a_path_than_a_line_has() {
    let surface = Surface::start().await;
    let long = "x".repeat(15_000);
    for ask in [
        format!("GET /{long}"),
        format!("GET /api/v1/users/{long}"),
        format!("DELETE /api/v1/tokens/{long}"),
        format!("PUT /api/v1/users/{long}"),
    ] {
        let refused = surface.ask(&ask, None).await;
        assert!([404, 405].contains(&refused.status), "{}", refused.status);
        assert!(refused.text.len() < 600, "{}", refused.text);
        assert!(refused.text.contains("xxx…"), "{}", refused.text);
    }
}

#[tokio::test]
async fn metrics_are_exposed_without_a_token_and_name_nobody() {
    let surface = Surface::start().await;
    surface
        .ask("POST /api/v1/users", Some(r#"{"name":"hidden-user"}"#))
        .await;
    surface.ask("GET /api/v1/users/hidden-user", None).await;
    surface.call("", "GET /nowhere", None).await;
    let metrics = surface.call("", "GET /metrics", None).await;
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        "# TYPE outpost_admin_requests_total counter",
        "outpost_admin_requests_total{status=\"2xx\"} 2",
        "outpost_admin_requests_total{status=\"4xx\"} 1",
    ] {
        assert!(
            metrics.text.lines().any(|found| found == line),
            "{line}: {}",
            metrics.text
        );
    }
    assert!(!metrics.text.contains("hidden-user"));
}

#[tokio::test]
async fn metrics_come_as_openmetrics_to_those_who_accept_it() {
    let surface = Surface::start().await;
    for (accept, is_openmetrics) in [
        (
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            true,
        ),
        ("text/html, Application/OpenMetrics-Text", true),
        ("text/html,*/*;q=0.8", false),
        ("text/plain;version=0.0.4", false),
        ("application/openmetrics-text;q=0, text/plain", false),
        ("application/openmetrics-text;Q=0", false),
        (
            "application/openmetrics-text;q=0.2, text/plain;q=0.9",
            false,
        ),
        ("application/openmetrics-text; q=0.2, */*; q=0.9", false),
        (
            "application/openmetrics-text;q=0.2, text/*;q=0.1, */*",
            true,
        ),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            true,
        ),
    ] {
        let request = Request::get("/metrics").header("accept", accept);
        let metrics = surface.send(request.body(Body::empty()).unwrap()).await;
        let media_type = metrics.header("content-type");
        let is_so = media_type.starts_with("application/openmetrics-text");
        assert_eq!(is_so, is_openmetrics, "{accept}: {media_type}");
        assert_eq!(
            metrics.text.ends_with("# EOF\n"),
            is_openmetrics,
            "{accept}"
        );
    }
}

#[tokio::test]
async fn the_connection_page_says_how_mail_clients_connect() {
    let surface = Surface::start().await;
    assert_eq!(
        surface.get("/api/v1/connection").await,
        json!({
            "host": "relay.example", "addresses": ["0.0.0.0"],
            "ports": [
                {"first": 25, "last": 25, "encryption": "starttls"},
                {"first": 465, "last": 465, "encryption": "tls"},
                {"first": 587, "last": 587, "encryption": "starttls"},
            ],
            "plaintext_login": false, "mechanisms": ["PLAIN", "LOGIN"],
            "certificate": "self-signed",
            "recommended": {"host": "relay.example", "port": 465, "encryption": "tls"},
        })
    );
}

#[tokio::test]
async fn a_component_is_shown_with_its_grants_and_its_record() {
    let surface = Surface::start().await;
    let listed = surface.get("/api/v1/plugins").await;
    assert_eq!(
        listed,
        json!({
            "plugins": [{
                "name": "authorized-senders", "state": "asked", "source": "shipped", "configured": true,
                "version": 0, "digest": "3f2a91b0c4d5e6f7",
                "octets": 29000, "about": {"name": "", "version": "0.1.0", "sdk": ""},
                "contract": "0.1.0",
                "questions": [{
                    "question": "sender", "on_failure": "defer",
                    "answers": [{"kind": "permit", "count": 7}],
                    "failures": [{"kind": "trap", "count": 2}],
                    "breaker": "closed", "users_suspended": 1,
                    "median_microseconds": 20, "p99_microseconds": 0,
                }],
                "exports": ["outpost:policy/sender@0.1.0"],
                "imports": [{"interface": "outpost:policy/dns@0.1.0", "granted": false}],
                "limits": {
                    "cpu_milliseconds": 50, "wall_milliseconds": 2000, "memory_octets": 16777216,
                    "host_calls": 10000,
                },
                "wasi": "refused", "reuse": 1, "config": {}, "versions": [],
            }],
            "pool": {"pooled": true, "instances_max": 256, "instances": 1, "instances_held": 0},
            "revision": listed["revision"], "warning": null,
        })
    );
}

/// A body that goes on for ever.
pub(super) struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 4096])))))
    }
}
