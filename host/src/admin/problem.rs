//! Problem documents: how the admin API says no (RFC 9457).
//!
//! A refusal names what was refused and what would be accepted; when fields are at fault it names
//! every one of them. Nothing of our insides is in it: a failure of ours is logged here, once, and
//! the caller is pointed to the log.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use outpost_smtp::Reply;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::shown;

/// The media type of a problem document (RFC 9457 §6.1).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is: `urn:outpost:problem:` and a word that programs may rely on.
    #[serde(rename = "type")]
    #[schema(example = "urn:outpost:problem:invalid-fields")]
    pub kind: String,
    /// The kind in words, the same for all problems of it.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// This very problem, and what to do about it.
    pub detail: String,
    /// The fields at fault, every one of them; left out when no field is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// How many deliveries are queued, when that is the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<u64>,
    /// What can be chosen, when a choice is needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What the relay says by SMTP, where a message or its login is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyDocument>,
}

/// A reply of SMTP (RFC 5321 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplyDocument {
    /// Three digits; 4yz may be tried again.
    #[schema(example = 550)]
    pub code: u16,
    /// The enhanced status code (RFC 3463); none where the reply has none.
    #[schema(example = "5.7.1")]
    pub enhanced: Option<String>,
    /// The text.
    pub text: String,
}

impl From<&Reply> for ReplyDocument {
    fn from(reply: &Reply) -> Self {
        Self {
            code: reply.code,
            enhanced: reply.enhanced.map(|status| status.to_string()),
            text: reply.text.clone(),
        }
    }
}

/// A field that is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Its name in the document or the query; dots lead into objects, `[1]` into arrays.
    #[schema(example = "authorized_domains[1]")]
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
    /// Its line, where the field is a key of the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl FieldError {
    /// A field and what is wrong with it.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            detail: detail.into(),
            line: None,
        }
    }
}

/// The kinds of problems; the names are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 400: the request cannot be read.
    Malformed,
    /// 401: no token, or one that is not known.
    Unauthenticated,
    /// 403: the token's scope does not reach this far.
    Forbidden,
    /// 401: no login of a user, or a wrong one.
    LoginNeeded,
    /// 403: a form does not come from a page of ours.
    NotFromHere,
    /// 403: the login would travel in clear.
    Unencrypted,
    /// 403: the user may not send this message.
    NotPermitted,
    /// 404: there is no such thing.
    NotFound,
    /// 405: not with this method.
    MethodNotAllowed,
    /// 408: the request took too long to arrive.
    TimedOut,
    /// 409: it stands against the state of things.
    Conflict,
    /// 409: mail is queued and a choice is needed.
    QueuedMail,
    /// 409: the same request is under way.
    UnderWay,
    /// 409: the same request was done, and its answer is not kept.
    AlreadyDone,
    /// 412: it is not what the caller has seen.
    ChangedMeanwhile,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the body is not what is taken: JSON, a message, or a component.
    UnsupportedMediaType,
    /// 422: the message is not one that is taken.
    MessageRefused,
    /// 429: too many wrong logins, or too many at once.
    LoginPutOff,
    /// 422: the key came with another request before.
    KeyReused,
    /// 422: fields are at fault.
    InvalidFields,
    /// 422: the configuration file has mistakes.
    InvalidConfiguration,
    /// 422: a policy component does not load.
    InvalidComponent,
    /// 500: our failure.
    Internal,
    /// 503: not now.
    Unavailable,
}

impl Kind {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "The request cannot be read",
            ),
            Kind::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "A valid token is needed",
            ),
            Kind::Forbidden => (
                StatusCode::FORBIDDEN,
                "insufficient-scope",
                "The token's scope is too small",
            ),
            Kind::LoginNeeded => (
                StatusCode::UNAUTHORIZED,
                "login-needed",
                "The login of a user is needed",
            ),
            Kind::NotFromHere => (
                StatusCode::FORBIDDEN,
                "not-from-here",
                "The form is not one of ours",
            ),
            Kind::Unencrypted => (
                StatusCode::FORBIDDEN,
                "unencrypted",
                "The login is not taken in clear",
            ),
            Kind::NotPermitted => (
                StatusCode::FORBIDDEN,
                "not-permitted",
                "The user may not send this message",
            ),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Kind::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The method is not allowed here",
            ),
            Kind::TimedOut => (
                StatusCode::REQUEST_TIMEOUT,
                "timed-out",
                "The request took too long",
            ),
            Kind::Conflict => (
                StatusCode::CONFLICT,
                "conflict",
                "The request conflicts with what is",
            ),
            Kind::QueuedMail => (
                StatusCode::CONFLICT,
                "queued-mail",
                "Mail is queued and a choice is needed",
            ),
            Kind::UnderWay => (
                StatusCode::CONFLICT,
                "under-way",
                "The same request is under way",
            ),
            Kind::AlreadyDone => (
                StatusCode::CONFLICT,
                "already-done",
                "The same request was done before",
            ),
            Kind::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "The key came with another request",
            ),
            Kind::ChangedMeanwhile => (
                StatusCode::PRECONDITION_FAILED,
                "changed-meanwhile",
                "It was changed meanwhile",
            ),
            Kind::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
            ),
            Kind::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body has another media type than expected",
            ),
            Kind::MessageRefused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "message-refused",
                "The message is refused",
            ),
            Kind::LoginPutOff => (
                StatusCode::TOO_MANY_REQUESTS,
                "login-put-off",
                "Logins are put off",
            ),
            Kind::InvalidFields => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-fields",
                "Fields are not valid",
            ),
            Kind::InvalidConfiguration => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-configuration",
                "The configuration has mistakes",
            ),
            Kind::InvalidComponent => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-component",
                "The policy component does not load",
            ),
            Kind::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The relay failed",
            ),
            Kind::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The relay cannot do this now",
            ),
        }
    }
}

impl Kind {
    /// The status that it is answered with.
    pub(super) const fn status(self) -> u16 {
        self.parts().0.as_u16()
    }
}

impl Problem {
    /// A problem of that kind; `detail` says what is wrong this time and what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, name, title) = kind.parts();
        Self {
            kind: format!("urn:outpost:problem:{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            queued: None,
            choices: Vec::new(),
            reply: None,
        }
    }

    /// Fields are at fault; the detail repeats the first, for readers that show only that.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => "a field is not valid".to_owned(),
            [one] => format!("{}: {}", one.field, one.detail),
            [first, rest @ ..] => {
                format!(
                    "{}: {} (and {} more)",
                    first.field,
                    first.detail,
                    rest.len()
                )
            }
        };
        Self {
            errors,
            ..Self::new(Kind::InvalidFields, detail)
        }
    }

    /// One field is at fault.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(field, detail)])
    }

    /// There is no such thing.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what}"))
    }

    /// Our failure. The cause goes to the log, not to the caller.
    pub fn internal(what: &'static str, cause: &dyn std::error::Error) -> Self {
        let mut chain = cause.to_string();
        let mut source = cause.source();
        while let Some(next) = source {
            chain.push_str(": ");
            chain.push_str(&next.to_string());
            source = next.source();
        }
        tracing::error!(what, cause = %chain, "admin request failed");
        Self::new(
            Kind::Internal,
            "the relay failed to do this; its log says why",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("strings and numbers always serialize");
        let mut response = (status, body).into_response();
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    }
}

/// The answer where nothing is routed.
pub async fn nothing_here(uri: axum::http::Uri) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!(
            "nothing is at {}; /api/v1/openapi.json lists what is",
            shown(uri.path())
        ),
    )
}

/// The answer to a method that a path does not have; the router adds `Allow`.
pub async fn method_not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!(
            "{} does not know {}; the Allow header says what it knows",
            shown(uri.path()),
            shown(method.as_str())
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_names_every_field() {
        let problem = Problem::fields(vec![
            FieldError::new("priority", "must be 1 to 5"),
            FieldError::new("name", "is taken"),
        ]);
        assert_eq!(
            serde_json::to_value(problem).expect("serializes"),
            serde_json::json!({
                "type": "urn:outpost:problem:invalid-fields",
                "title": "Fields are not valid",
                "status": 422,
                "detail": "priority: must be 1 to 5 (and 1 more)",
                "errors": [
                    {"field": "priority", "detail": "must be 1 to 5"},
                    {"field": "name", "detail": "is taken"},
                ],
            })
        );
    }

    #[test]
    fn a_problem_document_says_that_it_is_one() {
        let response = Problem::new(Kind::Conflict, "no").into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
    }
}
