//! Which path leads to which handler, and what all answers have in common.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::{Line, Recorder};
use super::extract::BODY_OCTETS_MAX;
use super::once::once;
use super::problem::method_not_allowed;
use super::{
    Api, accounts, admins, alerts, audit, backup, connection, console, health, lists, messages,
    metrics, openapi, plugins, queue, refusals, reload, removal, senders, statistics, stops,
    submission, system, tokens, users,
};

/// Where the description of the API is.
const DESCRIPTION: &str = "/api/v1/openapi.json";

/// The whole surface. Time is bounded where it is served.
pub fn router(api: impl Into<Arc<Api>>) -> Router {
    let api = api.into();
    let (router, mut document) = described().split_for_parts();
    openapi::bound(&mut document);
    // Written once: it cannot change while the relay runs.
    let description = openapi::written(&document);
    router
        .route(
            DESCRIPTION,
            axum::routing::get(move || describe(description.clone())),
        )
        .merge(console::router())
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&api), written_down))
        .layer(from_fn_with_state(Arc::clone(&api), once))
        .layer(from_fn_with_state(Arc::clone(&api), around))
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(api)
}

/// The routes with their description.
pub(super) fn described() -> OpenApiRouter<Arc<Api>> {
    let mut document: Document = openapi::Common::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    OpenApiRouter::with_openapi(document)
        .routes(routes!(lists::list, lists::add))
        .routes(routes!(lists::show, lists::change, lists::remove))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::show, users::change, removal::remove))
        .routes(routes!(users::reset_password))
        .routes(routes!(accounts::export, accounts::import))
        .routes(routes!(senders::show))
        .routes(routes!(senders::list))
        .routes(routes!(refusals::list))
        .routes(routes!(refusals::show, refusals::dismiss))
        .routes(routes!(refusals::authorize))
        .routes(routes!(connection::show))
        .routes(routes!(queue::list))
        .routes(routes!(queue::change))
        .routes(routes!(stops::stop))
        .routes(routes!(stops::start))
        .routes(routes!(messages::show))
        .routes(routes!(statistics::show))
        .routes(routes!(submission::submit))
        .routes(routes!(plugins::list))
        .routes(routes!(
            plugins::show,
            plugins::deploy::install,
            plugins::deploy::remove
        ))
        .routes(routes!(plugins::deploy::order))
        .routes(routes!(plugins::deploy::enable))
        .routes(routes!(plugins::deploy::disable))
        .routes(routes!(plugins::deploy::roll_back))
        .routes(routes!(plugins::reset))
        .routes(routes!(reload::reload))
        .routes(routes!(tokens::list, tokens::add))
        .routes(routes!(tokens::remove))
        .routes(routes!(admins::list, admins::add))
        .routes(routes!(admins::show, admins::change, admins::remove))
        .routes(routes!(admins::reset_password))
        .routes(routes!(system::show))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::test))
        .routes(routes!(audit::log::list))
        .routes(routes!(backup::make))
        .routes(routes!(metrics::show))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}

async fn describe(description: String) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], description)
}

/// Logs what is done, and writes it into the audit log. A log line has the route and what the handler noted, never a body, a
/// query or a header: that is where secrets are.
async fn written_down(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let line = Line::begin(&mut request);
    let recorder = Recorder::begin(&api, &request);
    let response = next.run(request).await;
    let status = response.status();
    recorder.answered(status).await;
    line.answered(status.as_u16());
    response
}

/// Says what all answers say, and counts them.
async fn around(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    api.metrics.answered(response.status().as_u16());
    let says = [
        (CONTENT_SECURITY_POLICY, console::POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        // Nothing here is worth keeping, and most of it should not be kept.
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in says {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
