//! Policy components over HTTP: what is loaded, and how it is doing.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::Reader;
use super::openapi::Refused;

/// What can be said about policy components. A seam: the surface is tested without a component
/// engine.
pub trait Plugins: Send + Sync {
    /// The components of the chain, in the order in which they are asked.
    fn status(&self) -> Vec<PluginDocument>;
}

/// A policy component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginDocument {
    /// Its name in the configuration.
    pub name: String,
}

/// All policy components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginsDocument {
    /// The components in the order in which they are asked.
    pub plugins: Vec<PluginDocument>,
}

/// Shows the policy components.
#[utoipa::path(get, path = "/api/v1/plugins", operation_id = "list_plugins", tag = "plugins", security(("token" = ["read"])),
    responses((status = 200, description = "The components.", body = PluginsDocument), Refused))]
pub(super) async fn list(_: Reader, State(api): State<Arc<Api>>) -> axum::Json<PluginsDocument> {
    axum::Json(PluginsDocument {
        plugins: api.plugins.status(),
    })
}
