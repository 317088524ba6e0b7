//! What the operator chooses about the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::retry::Schedule;
use super::scheduler::Limits;
use super::settle::Rules;
use crate::message::{ClassRule, kept_for_very_high};

/// The queue's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Deliveries under way at once, over all next hops.
    pub simultaneous_max: usize,
    /// Deliveries under way at once to one next hop.
    pub per_next_hop_max: usize,
    /// From the start of one delivery to that of the next to the same next hop; zero: they may follow at once.
    pub per_next_hop_interval: Duration,
    /// How the classes below very high share what very high leaves.
    pub classes: ClassRule,
    /// The wait after the first failed attempt, after the second, and so on; the last repeats.
    pub retry: Vec<Duration>,
    /// How long after its release a message is given up.
    pub expire_after: Duration,
    /// How long after its release the sender is told that a message still waits.
    pub delay_warning_after: Duration,
    /// Whether that holds for senders who did not say which reports they want (RFC 3461 §4.1
    /// leaves it to us).
    pub delay_warning_unasked: bool,
    /// How much of a message a failure report returns at most; of a larger one it returns the header.
    pub returned_octets_max: usize,
    /// How long attempts may take to end when the relay stops.
    pub stop_within: Duration,
    /// Within how long of its acceptance 99 of 100 very-high messages are to be at the MAIL command.
    pub very_high_objective: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            simultaneous_max: 500,
            per_next_hop_max: 20,
            per_next_hop_interval: Duration::ZERO,
            classes: ClassRule::default(),
            retry: [30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR]
                .map(Duration::from_secs)
                .to_vec(),
            expire_after: Duration::from_secs(5 * 24 * HOUR),
            delay_warning_after: Duration::from_secs(4 * HOUR),
            delay_warning_unasked: true,
            // Enough to recognise a message by; times the attempts that can bounce at once it stays
            // a matter of megabytes.
            returned_octets_max: 64 * 1024,
            stop_within: Duration::from_secs(20),
            // Who waits for a password reset does not notice a second; a host that has to be found and dialled first,
            // with TLS, takes some tenths of one.
            very_high_objective: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// What is wrong with the settings: the key, and why, in words for the operator.
    pub fn mistakes(&self) -> Vec<(&'static str, &'static str)> {
        let mut mistakes = Vec::new();
        let mut check = |holds: bool, key, why| {
            if !holds {
                mistakes.push((key, why));
            }
        };
        check(
            self.simultaneous_max > 0,
            "simultaneous_max",
            "must be at least 1",
        );
        check(
            self.per_next_hop_max > 0,
            "per_next_hop_max",
            "must be at least 1",
        );
        check(
            !self.retry.is_empty(),
            "retry",
            "must name at least one wait, such as \"30s\"",
        );
        check(
            self.retry
                .iter()
                .all(|wait| *wait >= Duration::from_millis(100)),
            "retry",
            "must not have a wait below 100ms: a host that is down would be tried without a pause",
        );
        check(
            !self.expire_after.is_zero(),
            "expire_after",
            "must be more than 0",
        );
        mistakes
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            simultaneous_max: self.simultaneous_max,
            per_next_hop_max: self.per_next_hop_max,
            very_high_slots: kept_for_very_high(self.simultaneous_max),
            very_high_slots_per_next_hop: kept_for_very_high(self.per_next_hop_max),
            per_next_hop_interval: self.per_next_hop_interval,
            classes: self.classes,
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            schedule: Schedule {
                waits: self.retry.clone(),
                expire_after: self.expire_after,
            },
            delay_warning_after: self.delay_warning_after,
            delay_warning_unasked: self.delay_warning_unasked,
        }
    }
}

/// The rules by which attempts that end are settled. They can change while the queue runs.
#[derive(Debug)]
pub struct RulesInForce {
    rules: ArcSwap<Rules>,
    /// In milliseconds.
    very_high_objective: AtomicU64,
}

impl RulesInForce {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            rules: ArcSwap::from_pointee(settings.rules()),
            very_high_objective: AtomicU64::new(milliseconds(settings.very_high_objective)),
        }
    }

    pub(super) fn now(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Within how long very-high mail is to be at the MAIL command.
    pub(super) fn very_high_objective(&self) -> Duration {
        Duration::from_millis(self.very_high_objective.load(Ordering::Relaxed))
    }

    /// Attempts that end from now on are settled by the rules of these settings. What waits already is
    /// tried again when it was to be.
    pub fn change(&self, settings: &Settings) {
        self.rules.store(Arc::new(settings.rules()));
        let objective = milliseconds(settings.very_high_objective);
        self.very_high_objective.store(objective, Ordering::Relaxed);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_mistakes() {
        assert_eq!(Settings::default().mistakes(), []);
    }

    #[test]
    fn all_mistakes_are_named_at_once_by_their_key() {
        let settings = Settings {
            simultaneous_max: 0,
            per_next_hop_max: 0,
            retry: Vec::new(),
            expire_after: Duration::ZERO,
            ..Settings::default()
        };
        let keys: Vec<_> = settings
            .mistakes()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(
            keys,
            [
                "simultaneous_max",
                "per_next_hop_max",
                "retry",
                "expire_after"
            ]
        );
        let hasty = Settings {
            retry: vec![Duration::ZERO],
            ..Settings::default()
        };
        assert_eq!(hasty.mistakes().len(), 1);
    }

    #[test]
    fn rules_change_while_somebody_settles_by_those_before() {
        let in_force = RulesInForce::new(&Settings::default());
        let before = in_force.now();
        in_force.change(&Settings {
            retry: vec![Duration::from_secs(7)],
            expire_after: Duration::from_secs(70),
            very_high_objective: Duration::from_millis(250),
            ..Settings::default()
        });
        assert_eq!(in_force.very_high_objective(), Duration::from_millis(250));
        assert_eq!(*before, Settings::default().rules());
        let schedule = &in_force.now().schedule;
        assert_eq!(schedule.waits, [Duration::from_secs(7)]);
        assert_eq!(schedule.expire_after, Duration::from_secs(70));
    }
}
