//! The queue's metrics.

use std::time::Duration;

use crate::message::Class;
use crate::message::report::Kind;
use crate::queue::settle::Tally;
use crate::spool::Figures;
use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Histogram, Registry};

/// Counts what the queue does. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    queued: Family<ClassLabel, Gauge>,
    active: Gauge,
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
            queued: Family::default(),
            active: Gauge::default(),
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
        registry.register("outpost_queued", "Deliveries queued", self.queued.clone());
        registry.register(
            "outpost_active",
            "Deliveries under way",
            self.active.clone(),
        );
        registry.register("outpost_attempts", "Attempts begun", self.attempts.clone());
        registry.register(
            "outpost_recipients",
            "Recipients by what became of them in an attempt",
            self.recipients.clone(),
        );
        registry.register("outpost_reports", "Reports written", self.reports.clone());
        registry.register(
            "outpost_accepted_to_attempt_seconds",
            "From the acceptance of a message to its first attempt",
            self.wait.clone(),
        );
        registry.register(
            "outpost_queue_spool_failures",
            "Claims and settlements that the spool could not do",
            self.spool_failures.clone(),
        );
    }

    /// Shows the spool's figures; to be called before a scrape.
    pub fn show(&self, figures: &Figures) {
        for (class, queued) in Class::ALL.into_iter().zip(figures.queued) {
            let queued = i64::try_from(queued).unwrap_or(i64::MAX);
            self.queued.get_or_create(&label(class)).set(queued);
        }
    }

    pub(super) fn set_active(&self, active: usize) {
        self.active.set(i64::try_from(active).unwrap_or(i64::MAX));
    }

    pub(super) fn attempt_begun(&self, class: Class) {
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
        metrics.show(&Figures {
            queued: [1, 0, 7, 0, 0],
            ..Figures::default()
        });
        metrics.attempt_begun(Class::VeryHigh);
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
            "outpost_queued{class=\"3\"} 7",
            "outpost_attempts_total{class=\"1\"} 1",
            "outpost_recipients_total{class=\"1\",outcome=\"delivered\"} 2",
            "outpost_accepted_to_attempt_seconds_bucket{le=\"0.005\",class=\"1\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
