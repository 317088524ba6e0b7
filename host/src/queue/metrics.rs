//! The queue's metrics. How much is queued is in the spool's figures.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::latency::{Alarm, Latency};
use crate::message::report::Kind;
use crate::message::{Class, Timestamp};
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
    very_high: Arc<Mutex<Latency>>,
    very_high_p99: Gauge<f64, AtomicU64>,
    very_high_alarm: Gauge,
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
            very_high: Arc::new(Mutex::new(Latency::new(Duration::MAX))),
            very_high_p99: Gauge::default(),
            very_high_alarm: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Makes them part of what is scraped.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "outpost_very_high_p99_seconds",
            "Time within which 99 of 100 very-high messages of the last five minutes were at the MAIL command, from \
             acceptance, the time that was chosen or the last word of an operator; NaN where there were none",
            self.very_high_p99.clone(),
        );
        registry.register(
            "outpost_very_high_alarm",
            "1 while that is over the objective",
            self.very_high_alarm.clone(),
        );
        let registry = registry.sub_registry_with_prefix("outpost_queue");
        registry.register("active", "Deliveries under way", self.active.clone());
        registry.register(
            "unreachable",
            "Next hops that cannot be reached and have mail that waits, or had in the last half minute",
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
            "From the acceptance of a message, its time or the last word of an operator to its first MAIL command, by class",
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

    /// A message was at its first MAIL command so long after it was accepted, or after its time.
    pub(super) fn mail_written_after(&self, class: Class, wait: Duration, now: Timestamp) {
        self.wait
            .get_or_create(&label(class))
            .observe(wait.as_secs_f64());
        if class == Class::VeryHigh {
            let mut latency = self
                .very_high
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            latency.note(now, wait);
        }
    }

    /// Within which time 99 of 100 very-high messages of the last minutes were at the MAIL command, and which is aimed at;
    /// none where there were none.
    pub fn very_high(&self, now: Timestamp) -> Option<(Duration, Duration)> {
        let very_high = &self.very_high;
        let latency = very_high.lock().unwrap_or_else(PoisonError::into_inner);
        latency.p99(now).map(|p99| (p99, latency.objective()))
    }

    /// Looks whether very-high mail is as fast as it is to be.
    pub(super) fn watch(&self, now: Timestamp, objective: Duration) {
        let mut latency = self
            .very_high
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        latency.aim_at(objective);
        let (p99, alarm) = (latency.p99(now), latency.look(now));
        drop(latency);
        let seconds = |p99: Duration| p99.as_secs_f64();
        self.very_high_p99.set(p99.map_or(f64::NAN, seconds));
        match alarm {
            Some(Alarm::Begins(p99)) => {
                self.very_high_alarm.set(1);
                tracing::warn!(
                    p99_seconds = seconds(p99),
                    objective_seconds = seconds(objective),
                    "very-high mail is slower than it is to be"
                );
            }
            Some(Alarm::Ends(p99)) => {
                self.very_high_alarm.set(0);
                tracing::info!(
                    p99_seconds = p99.map(seconds),
                    objective_seconds = seconds(objective),
                    "very-high mail is as fast as it is to be again"
                );
            }
            None => {}
        }
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
        let now = Timestamp::from_unix_milliseconds(1_700_000_000_000);
        metrics.watch(now, Duration::from_millis(2));
        let text = exposition(&registry);
        assert!(text.contains("outpost_very_high_p99_seconds NaN"), "{text}");
        assert!(text.contains("outpost_very_high_alarm 0"), "{text}");
        metrics.mail_written_after(Class::Normal, Duration::from_secs(9), now);
        metrics.mail_written_after(Class::VeryHigh, Duration::from_millis(3), now);
        metrics.watch(now, Duration::from_millis(2));
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
            "outpost_very_high_p99_seconds 0.003",
            "outpost_very_high_alarm 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
