//! What the relay knows about its components, for whoever looks after them.

use super::breaker::BreakerStatus;
use super::component::Component;
use super::contract::GRANTED_ON_REQUEST;
use super::engine::Allocation;
use super::latency::LatencySummary;
use super::load::Draft;
use super::section::About;
use super::settings::{ComponentSettings, Source};
use crate::policy::{OnFailure, Question};

/// One component of the chain.
#[derive(Clone, Debug)]
pub struct ComponentStatus {
    /// Its name in the configuration.
    pub name: String,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Its size in octets.
    pub octets: usize,
    /// Where it comes from.
    pub source: Source,
    /// What it says about itself; shown, never relied on.
    pub about: About,
    /// The version of the contract that it was built for.
    pub contract: String,
    /// The questions that it answers and what its failure means there.
    pub questions: Vec<(Question, OnFailure)>,
    /// The interfaces that it exports, with versions.
    pub exports: Vec<String>,
    /// The interfaces that it imports, with versions, and whether each is granted.
    pub imports: Vec<(String, bool)>,
    /// Its answers so far, by question and kind, under this name.
    pub answers: Vec<(Question, &'static str, u64)>,
    /// Its failures so far, by question and kind, under this name.
    pub failures: Vec<(Question, &'static str, u64)>,
    /// How long its answers took.
    pub latency: Vec<(Question, LatencySummary)>,
    /// Whether it is asked.
    pub breaker: Vec<(Question, BreakerStatus)>,
}

/// The room for instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// How instances get their memory.
    pub allocation: Allocation,
    /// How many may live at once.
    pub instances_max: usize,
    /// How many do.
    pub instances: usize,
    /// How many of them wait for a next question, of their transaction or of another.
    pub instances_held: usize,
}

impl ComponentStatus {
    /// One that is not loaded, and has no figures.
    pub(super) fn unasked(settings: &ComponentSettings, draft: &Draft) -> Self {
        let questions = Question::ALL.into_iter();
        let questions = questions.filter(|question| draft.fit.answers(*question));
        let imports = draft.outline.imports.iter();
        Self {
            name: settings.name.clone(),
            digest: draft.digest.clone(),
            octets: draft.octets.len(),
            source: settings.source.clone(),
            about: draft.outline.about.clone().unwrap_or_default(),
            contract: draft.fit.version.clone(),
            questions: questions
                .map(|question| (question, settings.on_failure(question)))
                .collect(),
            exports: draft.outline.exports.clone(),
            imports: imports.map(|import| granted(import)).collect(),
            answers: Vec::new(),
            failures: Vec::new(),
            latency: Vec::new(),
            breaker: Vec::new(),
        }
    }
}

impl From<&Component> for ComponentStatus {
    fn from(component: &Component) -> Self {
        let questions = Question::ALL.into_iter();
        let questions = questions.filter(|question| component.answers(*question));
        let metrics = component.metrics();
        Self {
            name: component.name().as_ref().to_owned(),
            digest: component.digest.as_ref().to_owned(),
            octets: component.octets,
            source: component.settings.source.clone(),
            about: component.outline.about.clone().unwrap_or_default(),
            contract: component.fit.version.clone(),
            questions: questions
                .clone()
                .map(|question| (question, component.settings.on_failure(question)))
                .collect(),
            exports: component.outline.exports.clone(),
            imports: component
                .outline
                .imports
                .iter()
                .map(|import| granted(import))
                .collect(),
            answers: metrics.answer_counts(),
            failures: metrics.failure_counts(),
            latency: questions
                .map(|question| (question, metrics.latency(question)))
                .collect(),
            breaker: component.breakers(),
        }
    }
}

fn granted(import: &str) -> (String, bool) {
    let interface = import
        .rsplit('/')
        .next()
        .and_then(|name| name.split('@').next());
    // What is not of the contract was asked for, or it would not be here.
    let is_granted = interface.is_some_and(|name| !GRANTED_ON_REQUEST.contains(&name));
    (import.to_owned(), is_granted)
}
