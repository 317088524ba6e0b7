//! Policy components over HTTP: what there is, what it is granted, how it is doing, and asking it again. How it changes
//! stands in `deploy`.

pub(super) mod deploy;
mod document;
mod upload;

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ETAG, HeaderName, HeaderValue};

use super::Api;
use super::access::{Operator, Reader};
use super::audit::{self, Deed};
use super::condition::entity_tag;
use super::extract::{NoBody, NoQuery, Segment};
use super::openapi::{Conflicts, Missing, Refused, RefusedBody};
use super::problem::{Kind, Problem};
use crate::plugin::{Allocation, Authorization, ComponentStatus, PoolStatus};
use crate::policy::Facts;

pub use deploy::{OrderInput, PluginsChanged, RollbackInput};
pub use document::{
    AboutDocument, BreakerName, CountDocument, ImportDocument, LimitsDocument, PluginDocument,
    PluginState, PluginsDocument, PoolDocument, QuestionDocument, VersionDocument,
};
pub use upload::Uploads;

pub(super) use document::Values;
pub(super) use upload::{PATH as UPLOAD_PATH, read_query};

use document::{documents, warning};

/// Where the components are.
pub(super) const PATH: &str = "/api/v1/plugins/";

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

/// All policy components as they are now.
pub(super) fn document(api: &Api, values: Values) -> PluginsDocument {
    let pool = api.plugins.pool();
    let standing = api.deploy.standing();
    let plugins = documents(&standing, api.plugins.status(), values);
    PluginsDocument {
        warning: warning(&plugins),
        plugins,
        pool: PoolDocument {
            pooled: pool.allocation == Allocation::Pooled,
            instances_max: pool.instances_max,
            instances: pool.instances,
            instances_held: pool.instances_held,
        },
        revision: standing.revision.clone(),
    }
}

/// One policy component as it is now.
///
/// # Errors
/// There is none of that name.
pub(super) fn one(api: &Api, name: &str, values: Values) -> Result<PluginDocument, Problem> {
    let plugins = document(api, values).plugins.into_iter();
    let mut named = plugins.filter(|plugin| plugin.name == name);
    let missing = || {
        let text = format!("there is no component {}", audit::shown(name));
        Problem::new(Kind::NotFound, text)
    };
    named.next().ok_or_else(missing)
}

type Tagged<T> = ([(HeaderName, HeaderValue); 1], axum::Json<T>);

/// Shows the policy components.
#[utoipa::path(get, path = "/api/v1/plugins", operation_id = "list_plugins", tag = "plugins",
    security(("token" = ["read"])),
    responses((status = 200, description = "The components.", body = PluginsDocument,
        headers(("ETag" = String, description = "The revision."))), Refused))]
pub(super) async fn list(
    Reader(caller): Reader,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> Tagged<PluginsDocument> {
    let document = document(&api, Values::to(&caller));
    let tag = entity_tag(&document.revision);
    ([(ETAG, tag)], axum::Json(document))
}

/// Shows one policy component, with the versions of it that are kept.
#[utoipa::path(get, path = UPLOAD_PATH, operation_id = "show_plugin", tag = "plugins",
    params(("plugin" = String, Path, description = "The name of the component.")),
    security(("token" = ["read"])),
    responses((status = 200, description = "The component.", body = PluginDocument,
        headers(("ETag" = String, description = "The revision of the whole chain."))), Refused, Missing))]
pub(super) async fn show(
    Reader(caller): Reader,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
) -> Result<Tagged<PluginDocument>, Problem> {
    let tag = entity_tag(&api.deploy.standing().revision);
    let one = one(&api, &name, Values::to(&caller))?;
    Ok(([(ETAG, tag)], axum::Json(one)))
}

/// Closes the breaker of a policy component: it is asked again, by everybody and at once. Its figures stay.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/reset", operation_id = "reset_plugin", tag = "plugins",
    params(("plugin" = String, Path, description = "The name of the component.")),
    security(("token" = ["operate"])),
    responses((status = 200, description = "It is asked again.", body = PluginDocument), Refused, RefusedBody,
        Missing, Conflicts))]
pub(super) async fn reset(
    Operator(caller): Operator,
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
    let one = self::one(&api, &name, Values::to(&caller))?;
    if !api.plugins.reset_breaker(&name) {
        let text = format!("{} is not asked, so there is nothing to reset", one.name);
        return Err(Problem::new(Kind::Conflict, text));
    }
    self::one(&api, &name, Values::to(&caller)).map(axum::Json)
}
