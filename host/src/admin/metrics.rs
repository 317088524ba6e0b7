//! Metrics: what the admin surface counts, and the exposition of what everybody counts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::IntoResponse;

use super::Api;
use crate::telemetry::{Counter, EncodeLabelSet, Family, Registry, exposition, plain_exposition};

/// The form that is answered with where it is asked for.
const OPENMETRICS: &str = "application/openmetrics-text";

/// What the admin surface counts.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<Status, Counter>,
}

/// The first digit of a status: `4xx`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

impl Metrics {
    /// Metrics that `registry` exposes.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "outpost_admin_requests",
            "Requests answered by the admin surface, by kind of status",
            metrics.requests.clone(),
        );
        metrics
    }

    /// Counts an answer.
    pub(super) fn answered(&self, status: u16) {
        let status = match status {
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&Status { status }).inc();
    }
}

/// Exposes the metrics: as OpenMetrics 1.0 to those who accept it, as Prometheus does, else as the plain
/// text that all tools read.
#[utoipa::path(get, path = "/metrics", operation_id = "show_metrics", tag = "health", security(()),
    responses((status = 200, description = "All metrics.",
        content((String = "text/plain"), (String = "application/openmetrics-text")))))]
pub(super) async fn show(State(api): State<Arc<Api>>, headers: HeaderMap) -> impl IntoResponse {
    if accepts_openmetrics(&headers) {
        let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(CONTENT_TYPE, media_type)], exposition(&api.registry))
    } else {
        let media_type = "text/plain; version=0.0.4; charset=utf-8";
        (
            [(CONTENT_TYPE, media_type)],
            plain_exposition(&api.registry),
        )
    }
}

/// Whether OpenMetrics is named among what is accepted, and not as what is not.
fn accepts_openmetrics(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let mut ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|media_type| media_type.eq_ignore_ascii_case(OPENMETRICS));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        is_named && weight.and_then(|weight| weight.parse().ok()) != Some(0.0)
    })
}
