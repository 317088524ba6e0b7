//! Numbers about components for the metrics page, and those that components keep themselves.
//!
//! Labels are bounded: components are those of the chain, and each may open so many series and no
//! more. What a component leaves behind when it leaves the chain is removed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::breaker::{BreakerState, BreakerStatus};
use super::latency::{Latency, LatencySummary};
use crate::policy::{Answer, Failure, Question, clean_text};
use crate::telemetry::{Counter, Family, Gauge, Histogram, Registry};

/// Series that one component may open: labels come from mail, and mail comes from anywhere.
const SERIES_MAX: usize = 256;
/// Labels of one series, as the contract says.
const LABELS_MAX: usize = 4;
/// Octets of a name or a label's key, as the contract says.
const NAME_OCTETS_MAX: usize = 64;
/// Octets of a label's value; longer ones are cut.
const VALUE_OCTETS_MAX: usize = 64;

type Labels = Vec<(String, String)>;
type NewHistogram = fn() -> Histogram;

/// The numbers of all components that count.
#[derive(Debug)]
pub struct Metrics {
    families: Families,
    /// One for each name, so that whoever leaves takes along all that was counted under it.
    components: Mutex<HashMap<String, Arc<ComponentMetrics>>>,
}

/// The families that all components share.
#[derive(Clone, Debug)]
struct Families {
    answers: Family<Labels, Counter>,
    failures: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, NewHistogram>,
    suspended: Family<Labels, Gauge>,
    users_suspended: Family<Labels, Gauge>,
    dropped: Family<Labels, Counter>,
    own_counters: Family<Labels, Counter>,
    own_histograms: Family<Labels, Histogram, NewHistogram>,
}

/// The numbers of one component.
#[derive(Debug)]
pub struct ComponentMetrics {
    name: String,
    families: Families,
    answers: [Counter; ANSWERS.len()],
    failures: [[Counter; FAILURES.len()]; 2],
    seconds: [Histogram; 2],
    latency: [Latency; 2],
    suspended: [Gauge; 2],
    users_suspended: [Gauge; 2],
    dropped: [Counter; 2],
    own: Mutex<OwnSeries>,
}

/// What of a component's is dropped beyond its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Lines of the log.
    Lines = 0,
    /// Values of metrics.
    Values = 1,
}

/// The series that a component keeps itself.
#[derive(Debug, Default)]
struct OwnSeries {
    series: HashMap<(String, Labels), Own>,
    /// It has left the chain; a last transaction may still go on.
    has_left: bool,
}

/// A series that a component keeps itself.
#[derive(Clone, Debug)]
enum Own {
    Counter(Counter),
    Histogram(Histogram),
}

/// All answers that are counted, by question.
const ANSWERS: [(Question, &str); 12] = [
    (Question::Sender, "pass"),
    (Question::Sender, "permit"),
    (Question::Sender, "defer"),
    (Question::Sender, "refuse"),
    (Question::Sender, "failed"),
    (Question::Priority, "pass"),
    (Question::Priority, "class-1"),
    (Question::Priority, "class-2"),
    (Question::Priority, "class-3"),
    (Question::Priority, "class-4"),
    (Question::Priority, "class-5"),
    (Question::Priority, "failed"),
];
const FAILURES: [&str; 8] = [
    "trap",
    "cpu-time",
    "memory",
    "host-calls",
    "answer",
    "suspended",
    "wall-time",
    "overload",
];

impl Metrics {
    /// Registers the families.
    pub fn register(registry: &mut Registry) -> Self {
        let families = Families {
            answers: Family::default(),
            failures: Family::default(),
            seconds: Family::new_with_constructor(seconds_histogram),
            suspended: Family::default(),
            users_suspended: Family::default(),
            dropped: Family::default(),
            own_counters: Family::default(),
            own_histograms: Family::new_with_constructor(own_histogram),
        };
        registry.register(
            "outpost_policy_answers",
            "Answers of policy components, by component, question and answer",
            families.answers.clone(),
        );
        registry.register(
            "outpost_policy_failures",
            "Failures of policy components, by component, question and kind",
            families.failures.clone(),
        );
        registry.register(
            "outpost_policy_seconds",
            "Time that a policy component took to answer, by component and question",
            families.seconds.clone(),
        );
        registry.register(
            "outpost_policy_suspended",
            "1 while a policy component is not asked for anybody after repeated failures, by component \
             and question",
            families.suspended.clone(),
        );
        registry.register(
            "outpost_policy_suspended_users",
            "Users for whom alone a policy component is not asked after repeated failures, by \
             component and question",
            families.users_suspended.clone(),
        );
        registry.register(
            "outpost_policy_dropped",
            "Log lines and metric values of policy components beyond their bounds",
            families.dropped.clone(),
        );
        registry.register(
            "outpost_component_counts",
            "Counters that policy components keep, by component and name",
            families.own_counters.clone(),
        );
        registry.register(
            "outpost_component_values",
            "Histograms that policy components keep, by component and name",
            families.own_histograms.clone(),
        );
        Self {
            families,
            components: Mutex::default(),
        }
    }

    /// The numbers of one component, which go on from where they were.
    pub fn component(&self, name: &str) -> Arc<ComponentMetrics> {
        let mut components = self.components();
        let component = components
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(self.families.component(name)));
        Arc::clone(component)
    }

    /// Takes everything off the metrics page of those that are not among `names`.
    pub fn keep<'n>(&self, names: impl IntoIterator<Item = &'n str>) {
        let names: Vec<_> = names.into_iter().collect();
        self.components().retain(|name, component| {
            let stays = names.contains(&name.as_str());
            if !stays {
                component.remove();
            }
            stays
        });
    }

    fn components(&self) -> MutexGuard<'_, HashMap<String, Arc<ComponentMetrics>>> {
        self.components
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Families {
    /// The numbers of a component that begins to count.
    fn component(&self, name: &str) -> ComponentMetrics {
        let labels = |key: &str, value: &str| labels(name, &[(key, value)]);
        let seconds = |question: Question| {
            self.seconds
                .get_or_create_owned(&labels("question", question.name()))
        };
        let failures = |question| {
            FAILURES.map(|kind| {
                self.failures
                    .get_or_create_owned(&failure_labels(name, question, kind))
            })
        };
        let gauge = |family: &Family<Labels, Gauge>, question: Question| {
            family.get_or_create_owned(&labels("question", question.name()))
        };
        let dropped = |what| self.dropped.get_or_create_owned(&labels("what", what));
        ComponentMetrics {
            name: name.to_owned(),
            families: self.clone(),
            answers: ANSWERS.map(|answer| {
                self.answers
                    .get_or_create_owned(&answer_labels(name, answer))
            }),
            failures: Question::ALL.map(failures),
            seconds: Question::ALL.map(seconds),
            latency: [Latency::new(), Latency::new()],
            suspended: Question::ALL.map(|question| gauge(&self.suspended, question)),
            users_suspended: Question::ALL.map(|question| gauge(&self.users_suspended, question)),
            dropped: [dropped("lines"), dropped("values")],
            own: Mutex::default(),
        }
    }
}

impl ComponentMetrics {
    /// Counts an answer.
    pub fn answered(&self, question: Question, answer: &Answer, took: Duration) {
        let name = match answer {
            Answer::Class(class) => ["class-1", "class-2", "class-3", "class-4", "class-5"]
                [usize::from(class.number()) - 1],
            other => other.name(),
        };
        if let Some(index) = ANSWERS.iter().position(|known| *known == (question, name)) {
            self.answers[index].inc();
        }
        if let Answer::Failed(failure) = answer {
            self.failed(question, failure);
            if *failure == Failure::Suspended {
                // It was not asked.
                return;
            }
        }
        self.seconds[question as usize].observe(took.as_secs_f64());
        self.latency[question as usize].add(took);
    }

    fn failed(&self, question: Question, failure: &Failure) {
        if let Some(index) = FAILURES.iter().position(|kind| *kind == failure.kind()) {
            self.failures[question as usize][index].inc();
        }
    }

    /// Shows what its breaker says about a question.
    pub fn suspended(&self, question: Question, breaker: BreakerStatus) {
        let is_suspended = breaker.state != BreakerState::Closed;
        self.suspended[question as usize].set(is_suspended.into());
        let users = i64::try_from(breaker.users).unwrap_or(i64::MAX);
        self.users_suspended[question as usize].set(users);
    }

    /// Answers by question and kind, the ones that occurred.
    pub fn answer_counts(&self) -> Vec<(Question, &'static str, u64)> {
        let counts = ANSWERS.iter().zip(&self.answers);
        let counts = counts.map(|((question, answer), count)| (*question, *answer, count.get()));
        counts.filter(|(.., count)| *count > 0).collect()
    }

    /// Failures by question and kind, the ones that occurred.
    pub fn failure_counts(&self) -> Vec<(Question, &'static str, u64)> {
        let counts = Question::ALL.into_iter().flat_map(|question| {
            let counts = FAILURES.iter().zip(&self.failures[question as usize]);
            counts.map(move |(kind, count)| (question, *kind, count.get()))
        });
        counts.filter(|(.., count)| *count > 0).collect()
    }

    /// How long its answers to one question took, since it was loaded.
    pub fn latency(&self, question: Question) -> LatencySummary {
        self.latency[question as usize].summary()
    }

    /// Counts what was dropped.
    pub fn drop_some(&self, what: Dropped, count: u64) {
        self.dropped[what as usize].inc_by(count);
    }

    /// Adds to a counter of the component's own.
    pub fn count(&self, name: &str, delta: u64, labels: Vec<(String, String)>) {
        let new =
            |labels: &Labels| Own::Counter(self.families.own_counters.get_or_create_owned(labels));
        match self.own(name, labels, new) {
            Some(Own::Counter(counter)) => {
                counter.inc_by(delta);
            }
            _ => self.drop_some(Dropped::Values, 1),
        }
    }

    /// Records a value of a histogram of the component's own.
    pub fn observe(&self, name: &str, value: f64, labels: Vec<(String, String)>) {
        let new = |labels: &Labels| {
            Own::Histogram(self.families.own_histograms.get_or_create_owned(labels))
        };
        match self.own(name, labels, new) {
            Some(Own::Histogram(histogram)) if value.is_finite() => histogram.observe(value),
            _ => self.drop_some(Dropped::Values, 1),
        }
    }

    /// The series of that name and labels: known, or new and within the bounds.
    fn own(&self, name: &str, mut labels: Labels, new: impl Fn(&Labels) -> Own) -> Option<Own> {
        if !is_name(name) || !are_labels(&labels) {
            return None;
        }
        for (_, value) in &mut labels {
            *value = clean_text(value, VALUE_OCTETS_MAX);
        }
        // A series is a set of labels: in another order it would be the same sample twice.
        labels.sort_unstable();
        let key = (name.to_owned(), labels);
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = own.series.get(&key) {
            return Some(known.clone());
        }
        if own.series.len() >= SERIES_MAX || own.has_left {
            return None;
        }
        let new = new(&self.own_labels(name, &key.1));
        own.series.insert(key, new.clone());
        Some(new)
    }

    fn own_labels(&self, name: &str, own: &Labels) -> Labels {
        let mut labels = labels(&self.name, &[("name", name)]);
        labels.extend(own.iter().cloned());
        labels
    }

    /// Takes everything of a component that has left the chain off the metrics page.
    fn remove(&self) {
        let families = &self.families;
        for answer in ANSWERS {
            families.answers.remove(&answer_labels(&self.name, answer));
        }
        for question in Question::ALL {
            for kind in FAILURES {
                let labels = failure_labels(&self.name, question, kind);
                families.failures.remove(&labels);
            }
            let labels = labels(&self.name, &[("question", question.name())]);
            families.seconds.remove(&labels);
            families.suspended.remove(&labels);
            families.users_suspended.remove(&labels);
        }
        for what in ["lines", "values"] {
            families
                .dropped
                .remove(&labels(&self.name, &[("what", what)]));
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.has_left = true;
        for (name, own) in own.series.keys() {
            let labels = self.own_labels(name, own);
            families.own_counters.remove(&labels);
            families.own_histograms.remove(&labels);
        }
    }
}

fn labels(component: &str, more: &[(&str, &str)]) -> Labels {
    let mut labels = vec![("component".to_owned(), component.to_owned())];
    labels.extend(
        more.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    labels
}

fn answer_labels(component: &str, (question, answer): (Question, &str)) -> Labels {
    labels(
        component,
        &[("question", question.name()), ("answer", answer)],
    )
}

fn failure_labels(component: &str, question: Question, kind: &str) -> Labels {
    labels(component, &[("question", question.name()), ("kind", kind)])
}

fn is_name(name: &str) -> bool {
    let fits = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_');
    !name.is_empty() && name.len() <= NAME_OCTETS_MAX && name.bytes().all(fits)
}

/// Few, named, each once, and none that the relay itself or the page's format sets.
fn are_labels(labels: &Labels) -> bool {
    let taken = ["component", "name", "le", "quantile"];
    labels.len() <= LABELS_MAX
        && labels.iter().enumerate().all(|(index, (key, _))| {
            is_name(key)
                && !key.as_bytes()[0].is_ascii_digit()
                && !key.starts_with("__")
                && !taken.contains(&key.as_str())
                && labels[..index].iter().all(|(other, _)| other != key)
        })
}

/// From ten microseconds to ten seconds.
fn seconds_histogram() -> Histogram {
    Histogram::new([
        0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 1.0,
        10.0,
    ])
}

/// Powers of ten: nobody knows what components measure.
fn own_histogram() -> Histogram {
    Histogram::new([
        0.001,
        0.01,
        0.1,
        1.0,
        10.0,
        100.0,
        1_000.0,
        10_000.0,
        100_000.0,
        1_000_000.0,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition;

    fn label(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn components_count_under_their_own_name() {
        let mut registry = Registry::default();
        let component = Metrics::register(&mut registry).component("x");
        component.count("seen", 2, vec![label("domain", "a\n\"b")]);
        component.count("seen", 1, vec![label("domain", "a\n\"b")]);
        component.observe("size", 5.0, vec![]);
        let page = exposition(&registry);
        assert!(page.contains(
            "outpost_component_counts_total{component=\"x\",name=\"seen\",domain=\"a\u{fffd}\\\"b\"} 3"
        ), "{page}");
        assert!(page.contains("outpost_component_values_count{component=\"x\",name=\"size\"} 1"));
    }

    #[test]
    fn the_order_of_labels_makes_no_other_series() {
        let mut registry = Registry::default();
        let component = Metrics::register(&mut registry).component("x");
        let labels = || vec![label("b", "2"), label("a", "1")];
        component.count("seen", 1, labels());
        component.count("seen", 1, labels().into_iter().rev().collect());
        component.observe("size", 5.0, labels());
        component.observe("size", 5.0, labels().into_iter().rev().collect());
        let page = exposition(&registry);
        for line in [
            "outpost_component_counts_total{component=\"x\",name=\"seen\",a=\"1\",b=\"2\"} 2\n",
            "outpost_component_values_count{component=\"x\",name=\"size\",a=\"1\",b=\"2\"} 2\n",
        ] {
            assert!(page.contains(line), "{page}");
        }
        assert!(!page.contains("b=\"2\",a=\"1\""), "{page}");
    }

    #[test]
    fn what_is_beyond_the_bounds_is_counted_and_dropped() {
        let mut registry = Registry::default();
        let component = Metrics::register(&mut registry).component("x");
        let five = (0..5).map(|n| label(&format!("k{n}"), "")).collect();
        for (name, labels) in [
            ("", vec![]),
            ("Upper", vec![]),
            ("ok", vec![label("component", "y")]),
            ("ok", vec![label("a", "1"), label("a", "2")]),
            ("ok", vec![label("", "1")]),
            ("ok", vec![label("1a", "1")]),
            ("ok", five),
        ] {
            component.count(name, 1, labels);
        }
        component.observe("ok", f64::NAN, vec![]);
        let page = exposition(&registry);
        assert!(!page.contains("outpost_component_counts_total{"), "{page}");
        assert!(page.contains("outpost_policy_dropped_total{component=\"x\",what=\"values\"} 8"));
    }

    #[test]
    fn series_are_bounded_and_go_when_the_component_goes() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let component = metrics.component("x");
        for n in 0..1000 {
            component.count("seen", 1, vec![label("n", &n.to_string())]);
        }
        let series = |page: &str| page.matches("outpost_component_counts_total{").count();
        assert_eq!(series(&exposition(&registry)), SERIES_MAX);
        metrics.keep(["y"]);
        assert!(!exposition(&registry).contains("component=\"x\""));
        // Its last transaction goes on beside the next component of that name.
        metrics.component("x").count("seen", 1, vec![]);
        component.count("seen", 1, vec![]);
        component.count("late", 1, vec![]);
        let page = exposition(&registry);
        assert_eq!(series(&page), 1, "{page}");
        assert!(
            page.contains("{component=\"x\",name=\"seen\"} 1\n"),
            "{page}"
        );
    }
}
