//! Admin secrets over HTTP: tokens of the API, and the console's password.
//!
//! A secret is in the one answer that made it and nowhere else.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Administrator;
use super::audit::{self, Deed};
use super::extract::{Json, NoQuery, Segment};
use super::once::{KeyHeader, ShownOnce};
use super::openapi::{Conflicts, Missing, Refused, RefusedBody};
use super::problem::Problem;
use super::{Api, Removed, directory_problem, within_path};
use crate::account::{Scope, Token, same_name};
use crate::directory::holds_secret;

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenDocument {
    /// Its name: who acts with it, in trails and logs.
    pub name: String,
    /// How far it reaches.
    pub scope: ScopeName,
    /// When it was made.
    pub created: String,
}

/// All tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokensDocument {
    /// The tokens in the order of their names.
    pub tokens: Vec<TokenDocument>,
}

/// A token and its secret, in the only answer that has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewTokenDocument {
    /// Its name.
    pub name: String,
    /// How far it reaches.
    pub scope: ScopeName,
    /// When it was made.
    pub created: String,
    /// The secret, for `Authorization: Bearer`. It is shown this once.
    pub token: String,
}

/// A token to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenInput {
    /// Its name.
    pub name: String,
    /// How far it reaches.
    pub scope: ScopeName,
}

/// How far a token reaches; each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScopeName {
    /// See everything but notes.
    Read,
    /// And act on the queue.
    Operate,
    /// And change lists, users and tokens.
    Admin,
}

impl ScopeName {
    /// The name on every surface.
    pub fn name(self) -> &'static str {
        Scope::from(self).name()
    }
}

impl From<Scope> for ScopeName {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => ScopeName::Read,
            Scope::Operate => ScopeName::Operate,
            Scope::Admin => ScopeName::Admin,
        }
    }
}

impl From<ScopeName> for Scope {
    fn from(scope: ScopeName) -> Self {
        match scope {
            ScopeName::Read => Scope::Read,
            ScopeName::Operate => Scope::Operate,
            ScopeName::Admin => Scope::Admin,
        }
    }
}

/// A token without its secret.
pub(super) fn shown(token: &Token) -> TokenDocument {
    TokenDocument {
        name: token.name.clone(),
        scope: token.scope.into(),
        created: token.created.to_string(),
    }
}

/// Shows all tokens, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "list_tokens", tag = "admin secrets", security(("token" = ["admin"])),
    responses((status = 200, description = "All tokens.", body = TokensDocument), Refused))]
pub(super) async fn list(
    _: Administrator,
    _: NoQuery,
    State(api): State<Arc<Api>>,
) -> axum::Json<TokensDocument> {
    let tokens = api
        .directory
        .tokens()
        .iter()
        .map(|token| shown(token))
        .collect();
    axum::Json(TokensDocument { tokens })
}

/// Makes a token. The answer has its secret, once.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "add_token", tag = "admin secrets", params(KeyHeader),
    request_body = TokenInput,
    security(("token" = ["admin"])),
    responses((status = 201, description = "The new token with its secret.", body = NewTokenDocument),
        Refused, RefusedBody, Conflicts))]
pub(super) async fn add(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Json(input): Json<TokenInput>,
) -> Result<impl IntoResponse, Problem> {
    let document = create(&api, &deed, input).await?;
    let location = format!("/api/v1/tokens/{}", within_path(&document.name));
    let what = format!(
        "token {} was made; remove it and make another, where its secret is lost",
        document.name
    );
    let once = Extension(ShownOnce(what));
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, once, axum::Json(document)))
}

/// As [`add`], for every surface.
pub(super) async fn create(
    api: &Api,
    deed: &Deed,
    input: TokenInput,
) -> Result<NewTokenDocument, Problem> {
    deed.note(|noted| {
        noted.action = Some("add-token");
        noted.token = Some(audit::shown(&input.name));
        noted.scope = Some(input.scope.name());
    });
    if holds_secret(&input.name) {
        return Err(Problem::field(
            "name",
            "has the form of a token: names are shown and logged, so give it another",
        ));
    }
    let issued = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::CREATED, None))
        .create_token(&input.name, input.scope.into(), api.clock.now())
        .await
        .map_err(directory_problem)?;
    let TokenDocument {
        name,
        scope,
        created,
    } = shown(&issued.token);
    Ok(NewTokenDocument {
        name,
        scope,
        created,
        token: issued.secret.as_str().to_owned(),
    })
}

/// Removes a token; it stops at once.
#[utoipa::path(delete, path = "/api/v1/tokens/{name}", operation_id = "remove_token", tag = "admin secrets",
    params(("name" = String, Path, description = "The name of the token, not what is sent as one.")),
    security(("token" = ["admin"])),
    responses((status = 200, description = "It is gone.", body = Removed), Refused, Missing, Conflicts))]
pub(super) async fn remove(
    _: Administrator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
) -> Result<axum::Json<Removed>, Problem> {
    let is_known = api
        .directory
        .tokens()
        .iter()
        .any(|token| same_name(&token.name, &name));
    deed.note(|noted| {
        noted.action = Some("remove-token");
        // What is none may be a part of a secret.
        noted.token = is_known.then(|| audit::shown(&name));
    });
    if !is_known && holds_secret(&name) {
        return Err(Problem::not_found(
            "token of that name: it is a token itself, and `outpost admin token ls` shows the names",
        ));
    }
    let token = api
        .directory
        .under(deed.terms(&api.clock, StatusCode::OK, None))
        .delete_token(&name)
        .await
        .map_err(directory_problem)?;
    Ok(axum::Json(Removed {
        removed: token.name.clone(),
    }))
}
