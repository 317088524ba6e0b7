//! How many alerts are active, for whoever watches the relay by its metrics.

use crate::alert::{Alert, Kind};
use crate::telemetry::{EncodeLabelSet, Family, Gauge, Registry};

/// Counts active alerts. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    alerts: Family<KindLabel, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

impl Metrics {
    /// Makes them part of what is scraped.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // All of them are there from the beginning.
        metrics.show(&[]);
        registry.register(
            "outpost_alerts",
            "Active alerts, by kind",
            metrics.alerts.clone(),
        );
        metrics
    }

    pub(super) fn show(&self, alerts: &[Alert]) {
        for kind in Kind::ALL {
            let of_it = alerts.iter().filter(|alert| alert.condition.kind == kind);
            let active = of_it.filter(|alert| alert.ended.is_none()).count();
            let label = KindLabel { kind: kind.name() };
            let gauge = self.alerts.get_or_create(&label);
            gauge.set(i64::try_from(active).unwrap_or(i64::MAX));
        }
    }
}
