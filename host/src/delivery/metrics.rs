//! The figures of delivery. Labels are outcomes and results only: never a host or a domain.

use crate::message::Outcome;
use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Histogram, Registry};

/// The metrics of delivery.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) outcomes: Family<OutcomeLabels, Counter>,
    pub(super) connections: Family<ConnectionLabels, Counter>,
    pub(super) transactions: Counter,
    pub(super) content_octets: Counter,
    pub(super) idle_connections: Gauge,
    pub(super) attempt_seconds: Histogram,
}

/// `delivered`, `deferred` or `bounced`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    outcome: &'static str,
}

/// `tls`, `clear` or `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabels {
    result: &'static str,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        registry.register(
            "outpost_delivery_outcomes",
            "Recipients by the outcome of an attempt",
            metrics.outcomes.clone(),
        );
        registry.register(
            "outpost_delivery_connections",
            "Connections to next hops: opened with TLS, opened in clear, or failed",
            metrics.connections.clone(),
        );
        registry.register(
            "outpost_delivery_transactions",
            "Mail transactions with next hops, over new and kept connections",
            metrics.transactions.clone(),
        );
        registry.register(
            "outpost_delivery_content_octets",
            "Octets of content written to next hops",
            metrics.content_octets.clone(),
        );
        registry.register(
            "outpost_delivery_connections_idle",
            "Connections kept open for the next message",
            metrics.idle_connections.clone(),
        );
        registry.register(
            "outpost_delivery_attempt_seconds",
            "Time taken by an attempt, from the search for hosts to the last reply",
            metrics.attempt_seconds.clone(),
        );
        metrics
    }

    /// Metrics that nobody reads.
    pub fn unregistered() -> Self {
        Self {
            outcomes: Family::default(),
            connections: Family::default(),
            transactions: Counter::default(),
            content_octets: Counter::default(),
            idle_connections: Gauge::default(),
            // A millisecond on a kept connection in the house, minutes with a slow peer.
            attempt_seconds: Histogram::new([
                0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0,
            ]),
        }
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Delivered(_) => "delivered",
            Outcome::Deferred(_) => "deferred",
            Outcome::Bounced(_) => "bounced",
        };
        self.outcomes
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    pub(super) fn count_connection(&self, result: &'static str) {
        self.connections
            .get_or_create(&ConnectionLabels { result })
            .inc();
    }
}
