//! Who calls, and how far the caller's token reaches.
//!
//! A handler says what it needs by what it extracts: [`Reader`], [`Operator`] or [`Administrator`].
//! Tokens are compared by the directory, under a keyed hash; here they are only passed on, and never
//! logged.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::audit::Deed;
use super::problem::{Kind, Problem};
use crate::account::Scope;
use crate::directory::Login;

/// Somebody with a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token: who did something, in trails and logs.
    pub name: String,
    /// How far it reaches.
    pub scope: Scope,
}

/// A caller who may see everything but notes.
#[derive(Clone, Debug)]
pub struct Reader(pub Caller);

/// A caller who may also act on the queue.
#[derive(Clone, Debug)]
pub struct Operator(pub Caller);

/// A caller who may do everything.
#[derive(Clone, Debug)]
pub struct Administrator(pub Caller);

impl FromRequestParts<Arc<Api>> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        caller(parts, api, Scope::Read).map(Reader)
    }
}

impl FromRequestParts<Arc<Api>> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        caller(parts, api, Scope::Operate).map(Operator)
    }
}

impl FromRequestParts<Arc<Api>> for Administrator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        caller(parts, api, Scope::Admin).map(Administrator)
    }
}

/// Why a caller may not, with the challenge that belongs to it (RFC 6750 §3).
#[derive(Debug)]
pub struct Refusal {
    problem: Problem,
    challenge: &'static str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        let challenge = HeaderValue::from_static(self.challenge);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
    }
}

fn caller(parts: &Parts, api: &Api, needed: Scope) -> Result<Caller, Refusal> {
    let Some(token) = bearer(parts) else {
        // RFC 6750 §3.1: no error code for whoever has sent no token.
        return Err(Refusal {
            problem: Problem::new(
                Kind::Unauthenticated,
                "send `Authorization: Bearer TOKEN`; `outpost admin token` prints the token of the data folder",
            ),
            challenge: "Bearer realm=\"outpost\"",
        });
    };
    let deed = parts.extensions.get::<Deed>().cloned().unwrap_or_default();
    let Some(token) = api.directory.check_token(token) else {
        deed.note(|noted| noted.is_login_failed = true);
        return Err(Refusal {
            problem: Problem::new(Kind::Unauthenticated, "this token is not known"),
            challenge: "Bearer realm=\"outpost\", error=\"invalid_token\"",
        });
    };
    deed.note(|noted| {
        noted.by = Some(token.name.clone());
        noted.login = Some(Login::Token);
    });
    if !token.scope.covers(needed) {
        let detail = format!(
            "this needs a token of scope {needed}; {} has scope {}",
            token.name, token.scope
        );
        return Err(Refusal {
            problem: Problem::new(Kind::Forbidden, detail),
            challenge: "Bearer realm=\"outpost\", error=\"insufficient_scope\"",
        });
    }
    Ok(Caller {
        name: token.name.clone(),
        scope: token.scope,
    })
}

/// The token of the request (RFC 6750 §2.1; the scheme without regard to case, RFC 9110 §11.1).
pub(super) fn bearer(parts: &Parts) -> Option<&str> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let value = headers.next()?.to_str().ok()?;
    // Two headers could be read as two callers.
    if headers.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
