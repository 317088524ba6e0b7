//! Metrics: what the admin surface counts, and the exposition of what everybody counts.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::IntoResponse;

use tokio::time::timeout;

use super::Api;
use crate::message::{Class, Timestamp};
use crate::telemetry::{
    Counter, EncodeLabelSet, Family, Gauge, Registry, exposition, plain_exposition,
};

/// The form that is answered with where it is asked for.
const OPENMETRICS: &str = "application/openmetrics-text";

/// What the admin surface counts.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<Status, Counter>,
    /// Asked for when the page is: to keep it would cost each message something.
    oldest: Family<ClassLabel, Gauge>,
}

/// A class, 1 to 5.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: u8,
}

/// How long the page waits for the ages of queued mail: a long queue is counted once, in the background.
const AGES_WITHIN: Duration = Duration::from_secs(2);

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
        registry.register(
            "outpost_spool_oldest_seconds",
            "Age of the oldest delivery queued, by class; 0 where none is",
            metrics.oldest.clone(),
        );
        metrics
    }

    /// Shows how old the oldest queued mail of each class is at `now`.
    fn show_oldest(&self, oldest: [Option<Timestamp>; 5], now: Timestamp) {
        for (class, accepted) in Class::ALL.into_iter().zip(oldest) {
            let age = accepted.map_or(Duration::ZERO, |accepted| now.since(accepted));
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            let class = class.number();
            self.oldest
                .get_or_create(&ClassLabel { class })
                .set(seconds);
        }
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
    match timeout(AGES_WITHIN, api.spool.oldest()).await {
        Ok(Ok(oldest)) => api.metrics.show_oldest(oldest, api.clock.now()),
        // What was true once is worse than nothing.
        Ok(Err(_)) | Err(_) => api.metrics.oldest.clear(),
    }
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

/// Whether OpenMetrics is asked for by name, and liked no less than plain text (RFC 9110 §12.5.1). Who accepts
/// anything gets the text.
fn accepts_openmetrics(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let ranges: Vec<(&str, f32)> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(range_and_weight)
        .collect();
    let weight = |media_type: &str| {
        let named = ranges.iter();
        let named = named.filter(|(range, _)| range.eq_ignore_ascii_case(media_type));
        // Of several versions of a type the one that is liked best.
        named.map(|(_, weight)| *weight).reduce(f32::max)
    };
    // The most specific range counts for a type.
    let plain = ["text/plain", "text/*", "*/*"].into_iter().find_map(weight);
    weight(OPENMETRICS).is_some_and(|weight| weight > 0.0 && weight >= plain.unwrap_or(0.0))
}

/// A media range without its parameters, and its weight; 1 where it has none that is one (RFC 9110 §12.4.2).
fn range_and_weight(item: &str) -> (&str, f32) {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| {
        let (name, weight) = part.split_once('=')?;
        name.eq_ignore_ascii_case("q").then_some(weight)
    });
    let weight = weight.and_then(|weight| weight.parse().ok());
    let weight = weight.filter(|weight| (0.0..=1.0).contains(weight));
    (range, weight.unwrap_or(1.0))
}
