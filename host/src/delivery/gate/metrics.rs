//! The figures of the gate: how often sends were paused, and for how long. The only label is the class.

use super::traffic::Note;
use crate::message::{Class, PauseEnd};
use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Histogram, Registry};

/// Counts pauses. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    pauses: Family<ClassLabel, Counter>,
    resumes: Family<ClassLabel, Counter>,
    ceilings: Family<ClassLabel, Counter>,
    paused: Family<ClassLabel, Gauge>,
    seconds: Family<ClassLabel, Histogram, fn() -> Histogram>,
}

/// The class of what was paused: 2 to 5.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: u32,
}

/// Seconds: a small message passes in milliseconds, and no pause is longer than four minutes.
const SECONDS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 20.0, 60.0, 240.0,
];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            pauses: Family::default(),
            resumes: Family::default(),
            ceilings: Family::default(),
            paused: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
        }
    }
}

impl Metrics {
    /// Makes them part of what is scraped.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("outpost_delivery");
        registry.register(
            "pauses",
            "Times a send was paused for very-high mail, by class",
            self.pauses.clone(),
        );
        registry.register(
            "resumes",
            "Times a paused send went on or came to its end, by class",
            self.resumes.clone(),
        );
        registry.register(
            "pause_ceilings",
            "Times a paused send went on since it may be paused for no longer, by class",
            self.ceilings.clone(),
        );
        registry.register(
            "paused",
            "Sends that are paused at this moment, by class",
            self.paused.clone(),
        );
        registry.register(
            "pause_seconds",
            "How long pauses took, by class",
            self.seconds.clone(),
        );
    }

    pub(super) fn note(&self, notes: &[Note]) {
        for note in notes {
            match *note {
                Note::Paused(class) => {
                    self.pauses.get_or_create(&label(class)).inc();
                    self.paused.get_or_create(&label(class)).inc();
                }
                Note::Resumed(class, took, end) => {
                    self.paused.get_or_create(&label(class)).dec();
                    self.seconds
                        .get_or_create(&label(class))
                        .observe(took.as_secs_f64());
                    if end != PauseEnd::Broken {
                        self.resumes.get_or_create(&label(class)).inc();
                    }
                    if end == PauseEnd::Ceiling {
                        self.ceilings.get_or_create(&label(class)).inc();
                    }
                }
            }
        }
    }
}

fn label(class: Class) -> ClassLabel {
    ClassLabel {
        class: class.number().into(),
    }
}
