//! Reading the configuration again over HTTP: what came of it, or every mistake that stands against it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::access::Administrator;
use super::audit::{self, Deed};
use super::extract::{NoBody, NoQuery};
use super::openapi::{Refused, RefusedBody};
use super::problem::{FieldError, Kind, Problem};

/// What reads the configuration again. A seam: the surface knows neither files nor what they change.
pub trait Reload: Send + Sync {
    /// Puts the configuration into force as it is written now, whole or not at all. What has begun comes to
    /// its end, whoever waits for it.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded, NotReloaded>> + Send>>;
}

/// What came of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// The file that was read; left out where there is none and the built-in defaults are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/etc/outpost/outpost.toml")]
    pub file: Option<String>,
    /// The keys and sections that are in force as they are written now, and were not before.
    #[schema(example = json!(["tls", "delivery.route"]))]
    pub changed: Vec<String>,
    /// The keys that stay as they were until the relay is started again.
    #[schema(example = json!(["admin.address"]))]
    pub needs_restart: Vec<String>,
    /// What is right and should be known all the same.
    pub notes: Vec<Remark>,
}

/// Something about a key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Remark {
    /// Its line, counted from 1; left out when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The key with its sections; empty when it is about the file.
    #[schema(example = "delivery.route[1].smarthost")]
    pub key: String,
    /// What is to be said.
    pub text: String,
}

/// Why everything stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReloaded {
    /// The file that was read.
    pub file: Option<String>,
    /// What is wrong with it.
    pub mistakes: Vec<Remark>,
    /// How many mistakes there are beside them.
    pub more: usize,
}

/// As `outpost check` tells it: `line 3: submission.ports: …`.
impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

fn problem(refusal: NotReloaded) -> Problem {
    let count = refusal.mistakes.len() + refusal.more;
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    let file = refusal.file.as_deref().unwrap_or("the configuration");
    let detail = format!("{file} has {count} {noun}: everything stays as it was");
    let error = |remark: Remark| FieldError {
        line: remark.line,
        ..FieldError::new(remark.key, remark.text)
    };
    Problem {
        errors: refusal.mistakes.into_iter().map(error).collect(),
        ..Problem::new(Kind::InvalidConfiguration, detail)
    }
}

/// Reads the configuration again and puts it into force, whole or not at all. Connections stay open.
#[utoipa::path(post, path = "/api/v1/reload", operation_id = "reload", tag = "relay",
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is in force, but for what needs a restart.", body = Reloaded),
        Refused, RefusedBody))]
pub(super) async fn reload(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    _: NoBody,
) -> Result<axum::Json<Reloaded>, Problem> {
    deed.note(|noted| noted.action = Some("reload"));
    let reloaded = api.reload.reload().await.map_err(problem)?;
    deed.note(|noted| {
        noted.after = Some(audit::object([
            ("changed", reloaded.changed.clone().into()),
            ("needs_restart", reloaded.needs_restart.clone().into()),
        ]));
    });
    Ok(axum::Json(reloaded))
}
