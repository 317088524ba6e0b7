//! Figures of reception.

use crate::message::{Class, Demotion};
use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Registry};

/// What reception counts.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Client connections that are open.
    pub(super) connections: Gauge,
    /// Client connections since start.
    pub(super) connected: Counter,
    /// Client connections for which there was no place, by the limit that they met.
    pub(super) turned_away: Family<LimitLabels, Counter>,
    /// TLS handshakes that failed.
    pub(super) failed_handshakes: Counter,
    /// Logins by result.
    pub(super) logins: Family<LoginLabels, Counter>,
    /// Messages accepted, by class.
    accepted: Family<ClassLabels, Counter>,
    /// Those that a limit of their account made less urgent, by the limit.
    demoted: Family<DemotionLabels, Counter>,
    /// Transactions refused, by the step that refused them.
    pub(super) refused: Family<RefusalLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LimitLabels {
    /// `all` or `address`.
    pub(super) limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LoginLabels {
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ClassLabels {
    pub(super) class: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DemotionLabels {
    /// `ceiling`, `budget` or `uncounted`.
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RefusalLabels {
    /// `mail`, `recipient`, `data` or `content`.
    pub(super) step: &'static str,
    /// `policy`, `header`, `room`, `login` or `address`.
    pub(super) reason: &'static str,
}

impl Metrics {
    /// Registers them under `outpost_reception_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("outpost_reception");
        registry.register(
            "connections",
            "Client connections that are open",
            metrics.connections.clone(),
        );
        registry.register(
            "connected",
            "Client connections since start",
            metrics.connected.clone(),
        );
        registry.register(
            "turned_away",
            "Client connections for which there was no place, by the limit that they met",
            metrics.turned_away.clone(),
        );
        registry.register(
            "failed_handshakes",
            "TLS handshakes that failed",
            metrics.failed_handshakes.clone(),
        );
        registry.register("logins", "Logins by result", metrics.logins.clone());
        registry.register(
            "accepted",
            "Messages accepted, by class",
            metrics.accepted.clone(),
        );
        registry.register(
            "demoted",
            "Messages accepted that a limit of their account made less urgent, by the limit",
            metrics.demoted.clone(),
        );
        registry.register(
            "refused",
            "Transactions refused, by step and reason",
            metrics.refused.clone(),
        );
        metrics
    }

    pub(super) fn accepted(&self, class: Class) {
        let class = class.number();
        self.accepted.get_or_create(&ClassLabels { class }).inc();
    }

    pub(super) fn demoted(&self, reason: Demotion) {
        let reason = reason.name();
        self.demoted.get_or_create(&DemotionLabels { reason }).inc();
    }

    #[cfg(test)]
    pub(super) fn demoted_by(&self, reason: Demotion) -> u64 {
        let reason = reason.name();
        self.demoted.get_or_create(&DemotionLabels { reason }).get()
    }

    pub(super) fn refused(&self, step: &'static str, reason: &'static str) {
        self.refused
            .get_or_create(&RefusalLabels { step, reason })
            .inc();
    }

    pub(super) fn turned_away(&self, limit: &'static str) {
        self.turned_away.get_or_create(&LimitLabels { limit }).inc();
    }

    pub(super) fn login(&self, result: &'static str) {
        self.logins.get_or_create(&LoginLabels { result }).inc();
    }
}
