//! Policy components as documents: what is loaded and how it does, joined with what is deployed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::access::Caller;
use crate::account::Scope;
use crate::plugin::deployed::{CONFIGURED, Deployment, Member, Standing, Version};
use crate::plugin::{
    BreakerState, BreakerStatus, ComponentSettings, ComponentStatus, Limits, Source, Wasi,
};
use crate::policy::Question;

/// All policy components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginsDocument {
    /// The components in the order in which they are asked.
    pub plugins: Vec<PluginDocument>,
    /// The room for instances.
    pub pool: PoolDocument,
    /// Names this state, as `ETag` does; for `If-Match`.
    #[schema(example = "9f86d081884c7d65")]
    pub revision: String,
    /// What should be known about the chain, or none: above all that every sender is refused.
    pub warning: Option<String>,
}

/// A policy component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginDocument {
    /// Its name.
    #[schema(example = "authorized-senders")]
    pub name: String,
    /// Whether it is asked.
    pub state: PluginState,
    /// Where it comes from: `shipped`, the file that the configuration names, or `deployed`.
    pub source: String,
    /// Whether the configuration names it.
    pub configured: bool,
    /// The number of the version in force; 0 for what the configuration says.
    pub version: u32,
    /// SHA-256 of the component, in hexadecimal; empty when it is not asked and cannot be read.
    pub digest: String,
    /// Its size.
    pub octets: usize,
    /// What it calls itself; shown, never relied on.
    pub about: AboutDocument,
    /// The version of the contract that it was built for.
    #[schema(example = "0.1.0")]
    pub contract: String,
    /// The questions that it answers.
    pub questions: Vec<QuestionDocument>,
    /// The interfaces that it exports, with versions.
    pub exports: Vec<String>,
    /// The interfaces that it imports.
    pub imports: Vec<ImportDocument>,
    /// What it may use to answer one question.
    pub limits: LimitsDocument,
    /// Whether it is given WASI: `refused`, or `empty`: one without files, network and environment.
    pub wasi: String,
    /// How many transactions one instance serves at most.
    pub reuse: u32,
    /// Its own settings. Their values are shown to whoever may change them; there may be secrets among them.
    #[schema(example = json!({"open": "08:00"}))]
    pub config: BTreeMap<String, Option<String>>,
    /// What was deployed at run time and is kept, the oldest first.
    pub versions: Vec<VersionDocument>,
}

/// Whether a component is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// It is.
    Asked,
    /// It is not, until somebody enables it.
    Disabled,
    /// It is not, since the configuration does not name it any more; what was deployed for it is kept.
    Absent,
}

/// What a component may use to answer one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitsDocument {
    /// CPU time.
    pub cpu_milliseconds: u64,
    /// Time on the clock.
    pub wall_milliseconds: u64,
    /// Linear memory.
    pub memory_octets: usize,
    /// Calls of the relay.
    pub host_calls: u64,
}

/// A version of a component that was deployed at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionDocument {
    /// Counted from 1 for each component.
    pub version: u32,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Its size.
    pub octets: u64,
    /// When it was deployed.
    pub at: String,
    /// The name of the token that deployed it.
    pub by: String,
    /// What was said about it.
    pub note: String,
    /// Whether it is in force.
    pub in_force: bool,
    /// The version that was in force before, to which a rollback leads; 0 for what the configuration says.
    pub before: u32,
}

/// What a component says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AboutDocument {
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The SDK that it was built with.
    pub sdk: String,
}

/// A question that a component answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuestionDocument {
    /// `sender` or `priority`.
    pub question: String,
    /// What its failure means: `defer`, `refuse` or `skip`.
    pub on_failure: String,
    /// Its answers since start, by kind.
    pub answers: Vec<CountDocument>,
    /// Its failures since start, by kind.
    pub failures: Vec<CountDocument>,
    /// Whether it is asked.
    pub breaker: BreakerName,
    /// Users for whom alone it is not asked, because it failed for them again and again.
    pub users_suspended: usize,
    /// Half of the answers took no longer.
    pub median_microseconds: u64,
    /// 99 of a hundred answers took no longer.
    pub p99_microseconds: u64,
}

/// How often something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountDocument {
    /// What.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// An interface that a component imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportDocument {
    /// The interface, with its version.
    #[schema(example = "outpost:policy/clock@0.1.0")]
    pub interface: String,
    /// Whether it is granted; otherwise each call is answered `not-granted`.
    pub granted: bool,
}

/// Whether a component is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BreakerName {
    /// It is.
    Closed,
    /// For nobody, after repeated faults.
    Open,
    /// For nobody, but one question is out to see whether it works again.
    Probing,
}

/// The room for instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolDocument {
    /// Whether memory was reserved at the start; otherwise instances are slower.
    pub pooled: bool,
    /// How many may live at once.
    pub instances_max: usize,
    /// How many do.
    pub instances: usize,
    /// How many of them wait for a next question, of their transaction or of another.
    pub instances_held: usize,
}

impl BreakerName {
    /// The name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            BreakerName::Closed => "closed",
            BreakerName::Open => "open",
            BreakerName::Probing => "probing",
        }
    }
}

impl From<BreakerState> for BreakerName {
    fn from(state: BreakerState) -> Self {
        match state {
            BreakerState::Closed => BreakerName::Closed,
            BreakerState::Open => BreakerName::Open,
            BreakerState::Probing => BreakerName::Probing,
        }
    }
}

/// Whether values of settings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Values {
    Shown,
    Hidden,
}

impl Values {
    /// For whoever may change them.
    pub(in crate::admin) fn to(caller: &Caller) -> Self {
        match caller.scope.covers(Scope::Admin) {
            true => Values::Shown,
            false => Values::Hidden,
        }
    }
}

/// All components in their order, with what is known of those that are asked.
pub(super) fn documents(
    standing: &Standing,
    mut status: Vec<ComponentStatus>,
    values: Values,
) -> Vec<PluginDocument> {
    let members = standing.members.iter().map(|member| {
        let name = &member.settings.name;
        let loaded = status.iter().position(|one| one.name == *name);
        let loaded = loaded.map(|at| status.swap_remove(at));
        of_member(member, loaded, values)
    });
    let mut documents: Vec<_> = members.collect();
    documents.extend(standing.absent.iter().map(of_absent));
    documents
}

fn of_member(member: &Member, loaded: Option<ComponentStatus>, values: Values) -> PluginDocument {
    let known = loaded.or_else(|| member.unasked.as_deref().cloned());
    let settings = &member.settings;
    let document = match known {
        Some(known) => shown(known),
        None => unknown(settings),
    };
    let config = settings.config.iter().map(|(key, value)| {
        let value = (values == Values::Shown).then(|| value.clone());
        (key.clone(), value)
    });
    PluginDocument {
        state: match member.is_enabled {
            true => PluginState::Asked,
            false => PluginState::Disabled,
        },
        source: source(&settings.source),
        configured: member.is_configured,
        version: member.in_force,
        limits: settings.limits.into(),
        wasi: settings.wasi.name().to_owned(),
        reuse: settings.transactions_max,
        config: config.collect(),
        versions: versions(&member.versions, member.in_force),
        ..document
    }
}

fn of_absent(deployment: &Deployment) -> PluginDocument {
    let settings = ComponentSettings::shipped(&deployment.name);
    let version = deployment.version();
    PluginDocument {
        state: PluginState::Absent,
        source: "deployed".to_owned(),
        configured: false,
        version: deployment.in_force,
        digest: version.map_or_else(String::new, |version| version.digest.clone()),
        versions: versions(&deployment.versions, deployment.in_force),
        ..unknown(&settings)
    }
}

/// One of which nothing is known but its name.
fn unknown(settings: &ComponentSettings) -> PluginDocument {
    PluginDocument {
        name: settings.name.clone(),
        state: PluginState::Disabled,
        source: source(&settings.source),
        configured: false,
        version: CONFIGURED,
        digest: String::new(),
        octets: 0,
        about: AboutDocument {
            name: String::new(),
            version: String::new(),
            sdk: String::new(),
        },
        contract: String::new(),
        questions: Vec::new(),
        exports: Vec::new(),
        imports: Vec::new(),
        limits: settings.limits.into(),
        wasi: Wasi::default().name().to_owned(),
        reuse: settings.transactions_max,
        config: BTreeMap::new(),
        versions: Vec::new(),
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::Shipped(_) => "shipped".to_owned(),
        Source::File(path) => path.display().to_string(),
        Source::Deployed { .. } => "deployed".to_owned(),
    }
}

fn versions(versions: &[Version], in_force: u32) -> Vec<VersionDocument> {
    let documents = versions.iter().map(|version| VersionDocument {
        version: version.number,
        digest: version.digest.clone(),
        octets: version.octets,
        at: version.at.to_string(),
        by: version.by.clone(),
        note: version.note.clone(),
        in_force: version.number == in_force,
        before: version.before,
    });
    documents.collect()
}

impl From<Limits> for LimitsDocument {
    fn from(limits: Limits) -> Self {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            cpu_milliseconds: milliseconds(limits.cpu_time),
            wall_milliseconds: milliseconds(limits.wall_time),
            memory_octets: limits.memory_octets,
            host_calls: limits.host_calls,
        }
    }
}

/// What should be known about a chain.
pub(super) fn warning(plugins: &[PluginDocument]) -> Option<String> {
    let decides = |plugin: &PluginDocument| {
        let mut questions = plugin.questions.iter();
        plugin.state == PluginState::Asked
            && questions.any(|one| one.question == Question::Sender.name())
    };
    let nobody = !plugins.iter().any(decides);
    nobody.then(|| {
        "no component that is asked decides who may send as whom, so every sender is refused; `authorized-senders` ships"
            .to_owned()
    })
}

/// What a component says of itself and how it does; what is not known of it there is filled in by the caller.
fn shown(status: ComponentStatus) -> PluginDocument {
    let questions = status
        .questions
        .iter()
        .map(|(question, on_failure)| {
            let latency = status.latency.iter().find(|(asked, _)| asked == question);
            let latency = latency.map(|(_, summary)| *summary).unwrap_or_default();
            let breaker = status.breaker.iter().find(|(asked, _)| asked == question);
            let breaker = breaker.map_or(BreakerStatus::default(), |(_, status)| *status);
            QuestionDocument {
                question: question.name().to_owned(),
                on_failure: on_failure.name().to_owned(),
                answers: counts(&status.answers, *question),
                failures: counts(&status.failures, *question),
                breaker: breaker.state.into(),
                users_suspended: breaker.users,
                median_microseconds: microseconds(latency.median),
                p99_microseconds: microseconds(latency.p99),
            }
        })
        .collect();
    let imports = status.imports.into_iter();
    let imports = imports.map(|(interface, granted)| ImportDocument { interface, granted });
    PluginDocument {
        questions,
        digest: status.digest,
        octets: status.octets,
        about: AboutDocument {
            name: status.about.name,
            version: status.about.version,
            sdk: status.about.sdk,
        },
        contract: status.contract,
        exports: status.exports,
        imports: imports.collect(),
        ..unknown(&ComponentSettings::new(&status.name, status.source))
    }
}

fn counts(counts: &[(Question, &'static str, u64)], question: Question) -> Vec<CountDocument> {
    let of_question = counts.iter().filter(|(asked, ..)| *asked == question);
    of_question
        .map(|(_, kind, count)| CountDocument {
            kind: (*kind).to_owned(),
            count: *count,
        })
        .collect()
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
