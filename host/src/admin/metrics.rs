//! Metrics: what the admin surface counts, and the exposition of what everybody counts.
//!
//! The figures of the spool are read when they are asked for, so nothing has to keep gauges current.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Api;
use crate::message::Class;
use crate::spool::Figures;
use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Registry, exposition};

/// What the admin surface counts and shows.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Answers of the admin surface, by the first digit of their status.
    requests: Family<Status, Counter>,
    queued: Family<QueuedClass, Gauge>,
    octets_in_flight: Gauge,
    octets_in_flight_max: Gauge,
    commits: Counter,
    writable: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueuedClass {
    class: u8,
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
        registry.register(
            "outpost_queue_deliveries",
            "Deliveries queued, by class (1 is very high)",
            metrics.queued.clone(),
        );
        registry.register(
            "outpost_spool_octets_in_flight",
            "Octets of content being taken in or waiting to be committed",
            metrics.octets_in_flight.clone(),
        );
        registry.register(
            "outpost_spool_octets_in_flight_max",
            "Limit of the octets in flight",
            metrics.octets_in_flight_max.clone(),
        );
        registry.register(
            "outpost_spool_commits",
            "Transactions of the spool committed with a sync since start",
            metrics.commits.clone(),
        );
        registry.register(
            "outpost_spool_writable",
            "1 when the last write of the spool succeeded, otherwise 0",
            metrics.writable.clone(),
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

    fn read(&self, figures: &Figures) {
        for (class, queued) in Class::ALL.iter().zip(figures.queued) {
            self.queued
                .get_or_create(&QueuedClass {
                    class: class.number(),
                })
                .set(gauge(queued));
        }
        self.octets_in_flight.set(gauge(figures.octets_in_flight));
        self.octets_in_flight_max
            .set(gauge(figures.octets_in_flight_max));
        self.commits
            .inner()
            .store(figures.commits, Ordering::Relaxed);
        self.writable.set(i64::from(figures.writable));
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Exposes the metrics for Prometheus (OpenMetrics 1.0).
#[utoipa::path(get, path = "/metrics", operation_id = "show_metrics", tag = "health", security(()),
    responses((status = 200, description = "All metrics.", body = String,
        content_type = "application/openmetrics-text")))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> impl IntoResponse {
    api.metrics.read(&api.spool.figures());
    (
        [(
            CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        exposition(&api.registry),
    )
}
