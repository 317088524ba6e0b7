//! Numbers that somebody else keeps, read when the metrics page is.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Registers a gauge: what `read` answers at the moment.
pub fn read_gauge(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> i64 + Send + Sync + 'static,
) {
    let help = sentence(help);
    let read = move |mut encoder: DescriptorEncoder<'_>| {
        let gauge = ConstGauge::new(read());
        gauge.encode(encoder.encode_descriptor(name, &help, None, gauge.metric_type())?)
    };
    registry.register_collector(Box::new(Reading(read)));
}

/// Registers a counter of seconds: what `read` answers, which only grows.
pub fn read_seconds(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> Duration + Send + Sync + 'static,
) {
    let help = sentence(help);
    let read = move |mut encoder: DescriptorEncoder<'_>| {
        let counter = ConstCounter::new(read().as_secs_f64());
        counter.encode(encoder.encode_descriptor(name, &help, None, counter.metric_type())?)
    };
    registry.register_collector(Box::new(Reading(read)));
}

/// Registers a family of counters with one label: `read` answers each value of the label with its count,
/// always the same few values.
pub fn read_counts<const N: usize>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    label: &'static str,
    read: impl Fn() -> [(&'static str, u64); N] + Send + Sync + 'static,
) {
    let help = sentence(help);
    let read = move |mut encoder: DescriptorEncoder<'_>| {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut family = encoder.encode_descriptor(name, &help, None, kind)?;
        for (value, count) in read() {
            ConstCounter::new(count).encode(family.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    };
    registry.register_collector(Box::new(Reading(read)));
}

/// A description as the registry would end it.
fn sentence(help: &str) -> String {
    format!("{help}.")
}

/// A closure in the library's terms.
struct Reading<F>(F);

impl<F> fmt::Debug for Reading<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading")
    }
}

impl<F> Collector for Reading<F>
where
    F: Fn(DescriptorEncoder<'_>) -> fmt::Result + Send + Sync + 'static,
{
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(encoder)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::telemetry::exposition;

    #[test]
    fn what_is_read_is_what_is_so_at_that_moment() {
        let kept = Arc::new(AtomicU64::new(1));
        let mut registry = Registry::default();
        let gauge = Arc::clone(&kept);
        read_gauge(&mut registry, "outpost_x", "X", move || {
            -(gauge.load(Ordering::Relaxed) as i64)
        });
        let count = Arc::clone(&kept);
        read_seconds(&mut registry, "outpost_z_seconds", "Z", || {
            Duration::from_millis(250)
        });
        read_counts(&mut registry, "outpost_y", "Y", "kind", move || {
            [("a", count.load(Ordering::Relaxed)), ("b", 0)]
        });
        kept.store(7, Ordering::Relaxed);
        assert_eq!(
            exposition(&registry),
            "# HELP outpost_x X.\n# TYPE outpost_x gauge\noutpost_x -7\n\
             # HELP outpost_z_seconds Z.\n# TYPE outpost_z_seconds counter\n\
             outpost_z_seconds_total 0.25\n\
             # HELP outpost_y Y.\n# TYPE outpost_y counter\n\
             outpost_y_total{kind=\"a\"} 7\noutpost_y_total{kind=\"b\"} 0\n# EOF\n"
        );
    }
}
