//! The queue's metrics. How much is queued is in the spool's figures.

use std::time::Duration;

use crate::message::Class;
use crate::message::report::Kind;
use crate::queue::settle::Tally;
use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Histogram, Registry};

/// Counts what the queue does. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    active: Gauge,
    unreachable: Gauge,
    attempts: Family<ClassLabel, Counter>,
    recipients: Family<OutcomeLabels, Counter>,
    reports: Family<ReportLabel, Counter>,
    wait: Family<ClassLabel, Histogram, fn() -> Histogram>,
    spool_failures: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    class: u32,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReportLabel {
    report: &'static str,
}

/// Seconds. Fine where an urgent message is judged, coarse where one waits for its turn.
const WAIT_BUCKETS: [f64; 16] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0, 60.0, 600.0, 3_600.0,
    86_400.0,
];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            active: Gauge::default(),
            unreachable: Gauge::default(),
            attempts: Family::default(),
            recipients: Family::default(),
            reports: Family::default(),
            wait: Family::new_with_constructor(|| Histogram::new(WAIT_BUCKETS)),
            spool_failures: Counter::default(),
        }
    }
}

impl Metrics {
    /// Makes them part of what is scraped.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("outpost_queue");
        registry.register("active", "Deliveries under way", self.active.clone());
        registry.register(
            "unreachable",
            "Next hops that cannot be reached and have mail that waits",
            self.unreachable.clone(),
        );
        registry.register("attempts", "Attempts made, by class", self.attempts.clone());
        registry.register(
            "recipients",
            "Recipients by class and by what became of them in an attempt",
            self.recipients.clone(),
        );
        registry.register("reports", "Reports written, by kind", self.reports.clone());
        registry.register(
            "accepted_to_attempt_seconds",
            "From the acceptance of a message to its first attempt, by class",
            self.wait.clone(),
        );
        registry.register(
            "spool_failures",
            "Claims and settlements that the spool could not do",
            self.spool_failures.clone(),
        );
    }

    pub(super) fn set_active(&self, active: usize) {
        self.active.set(i64::try_from(active).unwrap_or(i64::MAX));
    }

    pub(super) fn set_unreachable(&self, unreachable: usize) {
        self.unreachable
            .set(i64::try_from(unreachable).unwrap_or(i64::MAX));
    }

    pub(super) fn attempt_made(&self, class: Class) {
        self.attempts.get_or_create(&label(class)).inc();
    }

    pub(super) fn first_attempt_after(&self, class: Class, wait: Duration) {
        self.wait
            .get_or_create(&label(class))
            .observe(wait.as_secs_f64());
    }

    pub(super) fn settled(&self, class: Class, tally: Tally) {
        for (outcome, count) in [
            ("delivered", tally.delivered),
            ("deferred", tally.deferred),
            ("bounced", tally.bounced),
            ("expired", tally.expired),
        ] {
            if count > 0 {
                let labels = OutcomeLabels {
                    class: class.number().into(),
                    outcome,
                };
                self.recipients.get_or_create(&labels).inc_by(count);
            }
        }
    }

    pub(super) fn reported(&self, kind: Kind) {
        self.reports
            .get_or_create(&ReportLabel {
                report: kind.name(),
            })
            .inc();
    }

    pub(super) fn spool_failed(&self) {
        self.spool_failures.inc();
    }
}

fn label(class: Class) -> ClassLabel {
    ClassLabel {
        class: class.number().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition;

    #[test]
    fn what_happened_is_scraped_by_class() {
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        metrics.attempt_made(Class::VeryHigh);
        metrics.first_attempt_after(Class::VeryHigh, Duration::from_millis(3));
        metrics.settled(
            Class::VeryHigh,
            Tally {
                delivered: 2,
                ..Tally::default()
            },
        );
        let text = exposition(&registry);
        for line in [
            "outpost_queue_attempts_total{class=\"1\"} 1",
            "outpost_queue_recipients_total{class=\"1\",outcome=\"delivered\"} 2",
            "outpost_queue_accepted_to_attempt_seconds_bucket{le=\"0.005\",class=\"1\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
