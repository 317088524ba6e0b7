//! Policy components over HTTP: what is loaded, what it is granted, how it is doing, and asking it again.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::{Operator, Reader};
use super::audit::{self, Deed};
use super::extract::{NoBody, NoQuery, Segment};
use super::openapi::{Missing, Refused, RefusedBody};
use super::problem::{Kind, Problem};
use crate::plugin::{
    Allocation, Authorization, BreakerState, BreakerStatus, ComponentStatus, PoolStatus, Source,
};
use crate::policy::{Facts, Question};

/// What can be said about the policy components, and done with them. A seam: the surface is tested without
/// a component engine.
pub trait PluginStatus: Send + Sync {
    /// The components of the chain, in the order in which they are asked.
    fn status(&self) -> Vec<ComponentStatus>;

    /// The room for instances.
    fn pool(&self) -> PoolStatus;

    /// Closes the breaker of a component, for all questions and users; false when there is no such one.
    fn reset_breaker(&self, name: &str) -> bool;

    /// Asks the chain that is in force, as a transaction does that begins now.
    fn authorize(
        &self,
        facts: Arc<Facts>,
    ) -> Pin<Box<dyn Future<Output = Authorization> + Send + '_>>;
}

impl PluginStatus for crate::plugin::Plugins {
    fn status(&self) -> Vec<ComponentStatus> {
        self.status()
    }

    fn pool(&self) -> PoolStatus {
        self.pool()
    }

    fn reset_breaker(&self, name: &str) -> bool {
        self.reset_breaker(name)
    }

    fn authorize(
        &self,
        facts: Arc<Facts>,
    ) -> Pin<Box<dyn Future<Output = Authorization> + Send + '_>> {
        let mut transaction = self.begin();
        Box::pin(async move { transaction.authorize(&facts).await })
    }
}

/// All policy components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginsDocument {
    /// The components in the order in which they are asked.
    pub plugins: Vec<PluginDocument>,
    /// The room for instances.
    pub pool: PoolDocument,
}

/// A policy component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginDocument {
    /// Its name in the configuration.
    #[schema(example = "authorized-senders")]
    pub name: String,
    /// Where it comes from: `shipped`, or the file.
    pub source: String,
    /// SHA-256 of the component, in hexadecimal.
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
    PluginDocument {
        questions,
        name: status.name,
        source: match status.source {
            Source::Shipped(_) => "shipped".to_owned(),
            Source::File(path) => path.display().to_string(),
            Source::Deployed { .. } => "deployed".to_owned(),
        },
        digest: status.digest,
        octets: status.octets,
        about: AboutDocument {
            name: status.about.name,
            version: status.about.version,
            sdk: status.about.sdk,
        },
        contract: status.contract,
        exports: status.exports,
        imports: status
            .imports
            .into_iter()
            .map(|(interface, granted)| ImportDocument { interface, granted })
            .collect(),
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

/// Shows the policy components.
#[utoipa::path(get, path = "/api/v1/plugins", operation_id = "list_plugins", tag = "plugins",
    security(("token" = ["read"])),
    responses((status = 200, description = "The components.", body = PluginsDocument), Refused))]
pub(super) async fn list(
    _: Reader,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> axum::Json<PluginsDocument> {
    let pool = api.plugins.pool();
    axum::Json(PluginsDocument {
        plugins: api.plugins.status().into_iter().map(shown).collect(),
        pool: PoolDocument {
            pooled: pool.allocation == Allocation::Pooled,
            instances_max: pool.instances_max,
            instances: pool.instances,
            instances_held: pool.instances_held,
        },
    })
}

/// Closes the breaker of a policy component: it is asked again, by everybody and at once. Its figures stay.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/reset", operation_id = "reset_plugin", tag = "plugins",
    params(("plugin" = String, Path, description = "The name of the component in the configuration.")),
    security(("token" = ["operate"])),
    responses((status = 200, description = "It is asked again.", body = PluginDocument), Refused, RefusedBody,
        Missing))]
pub(super) async fn reset(
    _: Operator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    _: NoBody,
) -> Result<axum::Json<PluginDocument>, Problem> {
    deed.note(|noted| {
        noted.action = Some("reset-plugin");
        noted.component = Some(audit::shown(&name));
    });
    let missing = || Problem::new(Kind::NotFound, format!("there is no component {name}"));
    if !api.plugins.reset_breaker(&name) {
        return Err(missing());
    }
    let mut components = api.plugins.status().into_iter();
    let component = components.find(|component| component.name == name);
    component
        .map(|component| axum::Json(shown(component)))
        .ok_or_else(missing)
}
