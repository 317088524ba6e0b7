//! Changing the chain of policy components over HTTP: each change whole or not at all, and answered with the chain
//! that it made.
//!
//! What is asked for is read here; whether it can be is decided by whoever implements [`Deploy`](crate::admin::Deploy).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ETAG, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::access::{Administrator, Caller};
use super::super::audit::{self, Deed};
use super::super::condition::{Condition, entity_tag};
use super::super::deploy::{Deploying, NotDeployed};
use super::super::extract::{Json, JsonOrNothing, NoBody, QueryString, Segment, given};
use super::super::openapi::{Changed, Conflicts, Missing, Refused, RefusedBody};
use super::super::problem::{FieldError, Kind, Problem};
use super::upload::{self, InstallQuery};
use super::{PluginDocument, PluginState, Values, documents, warning};
use crate::plugin::deployed::{self, Change, Wanted};
use crate::plugin::{LoadProblem, LoadProblemKind};

/// What came of a change: the chain as it is then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginsChanged {
    /// Whether it was only tried.
    pub dry_run: bool,
    /// Whether anything is different, or would be.
    pub changed: bool,
    /// Names this state, as `ETag` does. Of what was only tried: the state that there is.
    #[schema(example = "9f86d081884c7d65")]
    pub revision: String,
    /// What should be known about the chain, or none: above all that every sender is refused.
    pub warning: Option<String>,
    /// The components in the order in which they are asked, as they are or would be.
    pub plugins: Vec<PluginDocument>,
}

/// Whether a change is only tried.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::admin) struct DryRun {
    /// Everything is checked, and nothing changes.
    #[serde(default)]
    dry_run: bool,
}

/// The version of a component that is to be in force; nothing: the one that was before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackInput {
    /// The one of this digest, or of what a digest begins with: at least 8 digits.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, example = "15696336")]
    pub digest: Option<String>,
    /// The one of this number. 0: what the configuration says.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub version: Option<u32>,
}

/// The order in which components are to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderInput {
    /// The names of all of them, disabled ones too.
    #[schema(example = json!(["working-hours", "authorized-senders", "effective-priority"]))]
    pub order: Vec<String>,
}

type Answer = ([(HeaderName, HeaderValue); 1], axum::Json<PluginsChanged>);

/// Makes a change for somebody, and shows what came of it.
///
/// # Errors
/// Everything that stands against it; nothing has changed then.
pub(in crate::admin) async fn change(
    api: &Api,
    caller: Caller,
    deed: &Deed,
    change: Change,
    condition: Condition,
    dry_run: bool,
) -> Result<PluginsChanged, Problem> {
    let action = match &change {
        Change::Install(_) => "install-plugin",
        Change::Enable(_) => "enable-plugin",
        Change::Disable(_) => "disable-plugin",
        Change::Rollback { .. } => "roll-back-plugin",
        Change::Order(_) => "order-plugins",
        Change::Remove(_) => "remove-plugin",
    };
    let name = change.name().map(str::to_owned);
    deed.note(|noted| {
        noted.action = Some(action);
        noted.component = name.as_deref().map(audit::shown);
        noted.dry_run = dry_run.then_some(true);
    });
    let deploying = Deploying {
        change,
        by: caller.name,
        condition,
        dry_run,
    };
    let deployed = api.deploy.deploy(deploying).await;
    let deployed = deployed.map_err(|error| problem(error, name.as_deref()))?;
    let (standing_before, status_before) = deployed.before;
    let before = chain(&documents(&standing_before, status_before, Values::Hidden));
    let plugins = documents(&deployed.standing, deployed.status, Values::Shown);
    let after = chain(&plugins);
    let digest = plugins.iter().find(|one| Some(&one.name) == name.as_ref());
    deed.note(|noted| {
        noted.digest = digest.map(|one| one.digest.clone());
        noted.changed = (!deployed.changed).then(|| "nothing".to_owned());
        if deployed.changed {
            (noted.before, noted.after) = audit::differing(Some(before), Some(after));
        }
    });
    Ok(PluginsChanged {
        dry_run,
        changed: deployed.changed,
        revision: deployed.standing.revision.clone(),
        warning: warning(&plugins),
        plugins,
    })
}

/// The chain as the audit log has it: in order, each by its name and its digest, and whether it is asked.
fn chain(plugins: &[PluginDocument]) -> audit::Side {
    let told = plugins.iter().map(|plugin| {
        let state = match plugin.state {
            PluginState::Asked => "",
            PluginState::Disabled => " (disabled)",
            PluginState::Absent => " (not in the configuration)",
        };
        // Of one that is not asked its version is known.
        let in_force = plugin.versions.iter().find(|version| version.in_force);
        let digest = match (plugin.digest.as_str(), in_force) {
            ("", Some(version)) => &version.digest,
            (digest, _) => digest,
        };
        format!("{} {digest}{state}", plugin.name).into()
    });
    audit::object([("chain", serde_json::Value::Array(told.collect()))])
}

fn answer(changed: PluginsChanged) -> Answer {
    ([(ETAG, entity_tag(&changed.revision))], axum::Json(changed))
}

fn problem(error: NotDeployed, name: Option<&str>) -> Problem {
    match error {
        NotDeployed::Stale => Problem::new(
            Kind::ChangedMeanwhile,
            "the chain is not any more what you have seen: look at it again, then try again",
        ),
        NotDeployed::Refused(deployed::Refused::Unknown(name)) => Problem::new(
            Kind::NotFound,
            format!("there is no component {}", audit::shown(&name)),
        ),
        NotDeployed::Refused(deployed::Refused::Conflict(text)) => {
            Problem::new(Kind::Conflict, text)
        }
        NotDeployed::Refused(deployed::Refused::Field(field, text)) => {
            Problem::fields(vec![FieldError::new(field, text)])
        }
        NotDeployed::Unfit(problems) => unfit(&problems, name),
        NotDeployed::NoRoom => Problem::new(
            Kind::Unavailable,
            "the disk of the data folder is full: make room there, then try again",
        ),
        NotDeployed::Failed(error) => Problem::internal("deploying a component", &error),
    }
}

/// Every problem of the chain, each by the parameter that it is about, or by its component where it is another one.
fn unfit(problems: &[LoadProblem], name: Option<&str>) -> Problem {
    let errors = problems.iter().map(|problem| {
        let field = match &problem.kind {
            _ if problem.component.as_deref() != name => {
                let other = problem.component.as_deref().unwrap_or_default();
                format!("plugins.{}", audit::shown(other))
            }
            LoadProblemKind::Setting { key, .. } => format!("setting.{}", audit::shown(key)),
            LoadProblemKind::Name(_) => "name".to_owned(),
            LoadProblemKind::Limit { .. } => "limits".to_owned(),
            LoadProblemKind::WasiImports(_) => "wasi".to_owned(),
            _ => "component".to_owned(),
        };
        FieldError::new(field, problem.kind.to_string())
    });
    let detail = match problems {
        [one] => format!("{one}; everything stays as it was"),
        many => format!("{} problems; everything stays as it was", many.len()),
    };
    Problem {
        errors: errors.collect(),
        ..Problem::new(Kind::InvalidComponent, detail)
    }
}

/// Deploys a component: under a new name, or as the next version of the one of that name. It is read whole, compiled,
/// started once, and its settings checked, before it is in force for the transactions that begin from then on.
#[utoipa::path(put, path = upload::PATH, operation_id = "install_plugin", tag = "plugins",
    params(("plugin" = String, Path, description = "The name of the component."), InstallQuery,
        ("If-Match" = Option<String>, Header, description = "Only when this is what there is: an `ETag` that was seen.")),
    request_body(content = String, content_type = "application/wasm", description = "The component, up to 32 MiB."),
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is in force, unless it is disabled.", body = PluginsChanged,
        headers(("ETag" = String, description = "The revision."))),
        Refused, RefusedBody, Conflicts, Changed))]
pub(in crate::admin) async fn install(
    Administrator(caller): Administrator,
    deed: Deed,
    condition: Condition,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    QueryString(query): QueryString<Vec<(String, String)>>,
    request: Request,
) -> Result<Answer, Problem> {
    deed.note(|noted| {
        noted.action = Some("install-plugin");
        noted.component = Some(audit::shown(&name));
    });
    let query = upload::read_query(name, query);
    upload::takes(request.headers())?;
    let _turn = api.uploads.turn().await?;
    // Before anything is said of the query: whoever is still sending may not hear it.
    let component = upload::read(request.into_body()).await?;
    let (mut install, dry_run) = query?;
    install.component = component;
    let install = Change::Install(install);
    let changed = change(&api, caller, &deed, install, condition, dry_run).await?;
    Ok(answer(changed))
}

/// Has a component asked again that was disabled.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/enable", operation_id = "enable_plugin", tag = "plugins",
    params(("plugin" = String, Path, description = "The name of the component."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Only when this is what there is: an `ETag` that was seen.")),
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is asked.", body = PluginsChanged,
        headers(("ETag" = String, description = "The revision."))),
        Refused, RefusedBody, Missing, Conflicts, Changed))]
pub(in crate::admin) async fn enable(
    Administrator(caller): Administrator,
    deed: Deed,
    condition: Condition,
    QueryString(DryRun { dry_run }): QueryString<DryRun>,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    _: NoBody,
) -> Result<Answer, Problem> {
    let enable = Change::Enable(name);
    let changed = change(&api, caller, &deed, enable, condition, dry_run).await?;
    Ok(answer(changed))
}

/// Has a component not asked any more, until it is enabled. Where no other decides who may send as whom, every sender is
/// refused, and the answer warns of it.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/disable", operation_id = "disable_plugin", tag = "plugins",
    params(("plugin" = String, Path, description = "The name of the component."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Only when this is what there is: an `ETag` that was seen.")),
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is not asked.", body = PluginsChanged,
        headers(("ETag" = String, description = "The revision."))),
        Refused, RefusedBody, Missing, Conflicts, Changed))]
pub(in crate::admin) async fn disable(
    Administrator(caller): Administrator,
    deed: Deed,
    condition: Condition,
    QueryString(DryRun { dry_run }): QueryString<DryRun>,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    _: NoBody,
) -> Result<Answer, Problem> {
    let disable = Change::Disable(name);
    let changed = change(&api, caller, &deed, disable, condition, dry_run).await?;
    Ok(answer(changed))
}

/// Puts another version of a component into force, with the settings that came along with it: the one that was before,
/// or the one that is named.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/rollback", operation_id = "roll_back_plugin", tag = "plugins",
    params(("plugin" = String, Path, description = "The name of the component."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Only when this is what there is: an `ETag` that was seen.")),
    request_body = Option<RollbackInput>,
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is in force, unless the component is disabled.", body = PluginsChanged,
        headers(("ETag" = String, description = "The revision."))),
        Refused, RefusedBody, Missing, Conflicts, Changed))]
pub(in crate::admin) async fn roll_back(
    Administrator(caller): Administrator,
    deed: Deed,
    condition: Condition,
    QueryString(DryRun { dry_run }): QueryString<DryRun>,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    JsonOrNothing(input): JsonOrNothing<RollbackInput>,
) -> Result<Answer, Problem> {
    let to = match (input.digest, input.version) {
        (None, None) => None,
        (Some(digest), None) => Some(Wanted::Digest(digest)),
        (None, Some(number)) => Some(Wanted::Number(number)),
        (Some(_), Some(_)) => {
            let text = "say one of `digest` and `version`, or none for the version that was in force before";
            return Err(Problem::field("digest", text));
        }
    };
    let rollback = Change::Rollback { name, to };
    let changed = change(&api, caller, &deed, rollback, condition, dry_run).await?;
    Ok(answer(changed))
}

/// Removes all that was deployed under a name. Where the configuration names the component, what stands there is in
/// force again.
#[utoipa::path(delete, path = upload::PATH, operation_id = "remove_plugin", tag = "plugins",
    params(("plugin" = String, Path, description = "The name of the component."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Only when this is what there is: an `ETag` that was seen.")),
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is gone.", body = PluginsChanged,
        headers(("ETag" = String, description = "The revision."))),
        Refused, RefusedBody, Missing, Conflicts, Changed))]
pub(in crate::admin) async fn remove(
    Administrator(caller): Administrator,
    deed: Deed,
    condition: Condition,
    QueryString(DryRun { dry_run }): QueryString<DryRun>,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    _: NoBody,
) -> Result<Answer, Problem> {
    let remove = Change::Remove(name);
    let changed = change(&api, caller, &deed, remove, condition, dry_run).await?;
    Ok(answer(changed))
}

/// Has all components asked in this order.
#[utoipa::path(put, path = "/api/v1/plugins/order", operation_id = "order_plugins", tag = "plugins",
    params(DryRun,
        ("If-Match" = Option<String>, Header, description = "Only when this is what there is: an `ETag` that was seen.")),
    request_body = OrderInput,
    security(("token" = ["admin"])),
    responses((status = 200, description = "They are asked in this order.", body = PluginsChanged,
        headers(("ETag" = String, description = "The revision."))),
        Refused, RefusedBody, Conflicts, Changed))]
pub(in crate::admin) async fn order(
    Administrator(caller): Administrator,
    deed: Deed,
    condition: Condition,
    QueryString(DryRun { dry_run }): QueryString<DryRun>,
    State(api): State<Arc<Api>>,
    Json(input): Json<OrderInput>,
) -> Result<Answer, Problem> {
    let order = Change::Order(input.order);
    let changed = change(&api, caller, &deed, order, condition, dry_run).await?;
    Ok(answer(changed))
}
