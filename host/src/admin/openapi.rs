//! The description of the API, generated from the code that answers.
//!
//! Paths and shapes come from the handlers; what every operation has in common is said here once.

use std::collections::BTreeMap;

use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::problem::{MEDIA_TYPE, Problem};

/// What the document says besides paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Outpost admin API",
        description = "Lists, users, the queue and policy components of an Outpost relay. Refusals are problem \
                       documents (RFC 9457) whose `errors` name the fields at fault. Scopes: `read` sees \
                       everything but notes, `operate` also acts on the queue, `admin` does everything.",
    ),
    components(schemas(Problem)),
    modifiers(&Token)
)]
pub(super) struct Common;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description =
            Some("A token of the relay; `outpost admin token` prints one.".to_owned());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// What every operation that needs a token may also answer.
pub(super) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[
            ("401", "There is no token, or it is not known."),
            ("403", "The token's scope is too small."),
            ("422", "Fields are not valid: `errors` names them."),
            ("default", "Another refusal, or a failure of the relay."),
        ])
    }
}

/// What every operation that takes a body may also answer.
pub(super) struct RefusedBody;

impl IntoResponses for RefusedBody {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[
            (
                "400",
                "The body is not well-formed JSON: the detail names line and column.",
            ),
            ("413", "The body is too large."),
            ("415", "The body is not declared as JSON."),
        ])
    }
}

/// What every operation on one thing may also answer.
pub(super) struct Missing;

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[("404", "There is no such thing.")])
    }
}

/// What every operation may also answer that the state of things can stand against.
pub(super) struct Conflicts;

impl IntoResponses for Conflicts {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[(
            "409",
            "The state of things stands against it: the detail says what.",
        )])
    }
}

fn refusals(answers: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    answers
        .iter()
        .map(|(status, description)| {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build();
            let response = ResponseBuilder::new()
                .description(*description)
                .content(MEDIA_TYPE, content);
            ((*status).to_owned(), RefOr::T(response.build()))
        })
        .collect()
}
