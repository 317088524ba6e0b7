//! Metrics: what the admin surface counts, and the exposition of what everybody counts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Api;
use crate::telemetry::{Counter, EncodeLabelSet, Family, Registry, exposition};

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

/// Exposes the metrics for Prometheus (OpenMetrics 1.0).
#[utoipa::path(get, path = "/metrics", operation_id = "show_metrics", tag = "health", security(()),
    responses((status = 200, description = "All metrics.", body = String,
        content_type = "application/openmetrics-text")))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> impl IntoResponse {
    (
        [(
            CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        exposition(&api.registry),
    )
}
