//! What the spool tells the metrics.

use std::time::Duration;

use crate::message::Class;
use crate::telemetry::{Counter, Family, Gauge, Histogram, Registry, read_gauge};

use super::budget::Budget;
use super::figures::class_index;
use super::stops::Stops;
use super::stored::Counters;

/// Upper bounds of a commit's duration in seconds: from a fast disk to one in trouble.
const SECONDS: [f64; 10] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5,
];

/// Upper bounds of the requests in one commit.
const REQUESTS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0];

/// The metrics of a spool.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    commit_seconds: Histogram,
    commit_requests: Histogram,
    failures: Counter,
    refusals: Counter,
    queued: Family<[(&'static str, String); 1], Gauge>,
    cancelled: Gauge,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            commit_seconds: Histogram::new(SECONDS),
            commit_requests: Histogram::new(REQUESTS),
            failures: Counter::default(),
            refusals: Counter::default(),
            queued: Family::default(),
            cancelled: Gauge::default(),
        };
        registry.register(
            "outpost_spool_commit_seconds",
            "Duration of one commit to stable storage",
            metrics.commit_seconds.clone(),
        );
        registry.register(
            "outpost_spool_commit_requests",
            "Messages, settlements and changes that shared one commit",
            metrics.commit_requests.clone(),
        );
        registry.register(
            "outpost_spool_failures",
            "Commits that failed",
            metrics.failures.clone(),
        );
        registry.register(
            "outpost_spool_refusals",
            "Messages refused because the spool had no room",
            metrics.refusals.clone(),
        );
        registry.register(
            "outpost_spool_deliveries_queued",
            "Deliveries queued, by class",
            metrics.queued.clone(),
        );
        registry.register(
            "outpost_spool_deliveries_cancelled",
            "Deliveries that were cancelled and can be restored; they are not queued",
            metrics.cancelled.clone(),
        );
        metrics
    }

    pub(super) fn committed(&self, took: Duration, requests: usize, counters: &Counters) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_requests.observe(requests as f64);
        self.show(counters);
    }

    /// Shows how much is queued, and how much was cancelled.
    pub(super) fn show(&self, counters: &Counters) {
        let queued = &counters.queued;
        self.cancelled
            .set(i64::try_from(counters.cancelled).unwrap_or(i64::MAX));
        for class in Class::ALL {
            let count = i64::try_from(queued[class_index(class)]).unwrap_or(i64::MAX);
            self.queued
                .get_or_create(&[("class", class.number().to_string())])
                .set(count);
        }
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn refused(&self) {
        self.refusals.inc();
    }

    /// Shows how many stops there are when the page is read.
    pub(super) fn show_stops(registry: &mut Registry, stops: Stops) {
        read_gauge(
            registry,
            "outpost_spool_stops",
            "What an operator has stopped: everything, next hops, users, lists",
            move || i64::try_from(stops.count()).unwrap_or(i64::MAX),
        );
    }

    /// Shows the octets in flight as they are when the page is read.
    pub(super) fn show_in_flight(registry: &mut Registry, budget: Budget) {
        read_gauge(
            registry,
            "outpost_spool_octets_in_flight",
            "Octets of content taken in or waiting for their commit",
            move || i64::try_from(budget.taken()).unwrap_or(i64::MAX),
        );
    }
}
