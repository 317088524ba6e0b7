//! The description of the API, generated from the code that answers.
//!
//! Paths and shapes come from the handlers; what every operation has in common is said here once.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Schema};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::audit::log::FormatName;
use super::problem::{MEDIA_TYPE, Problem};
use super::statistics::{FigureName, Format};
use crate::account::{NAME_OCTETS_MAX, NOTE_OCTETS_MAX};
use crate::plugin::NAME_OCTETS_MAX as COMPONENT_NAME_OCTETS_MAX;
use crate::spool::RefusalId;

/// What the document says besides paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Outpost admin API",
        description = "Lists, users, the queue and policy components of an Outpost relay; and a way in for \
                       messages of its users. Refusals are problem documents (RFC 9457) whose `errors` name the fields at fault. Scopes: `read` sees \
                       everything but notes, `operate` also acts on the queue, `admin` does everything.",
    ),
    // Those that stand in a query alone are not found by themselves.
    components(schemas(Problem, FigureName, Format, FormatName)),
    modifiers(&Logins)
)]
pub(super) struct Common;

/// How callers show who they are.
struct Logins;

impl Modify for Logins {
    fn modify(&self, document: &mut Document) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description =
            Some("A token of the relay; `outpost admin token` prints one.".to_owned());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
        let mut scheme = Http::new(HttpAuthScheme::Basic);
        scheme.description =
            Some("Name and password of a user, as for SMTP; for submitting messages.".to_owned());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("user", SecurityScheme::Http(scheme));
    }
}

/// What a text may be: the bounds that the layers below keep, for whoever writes a client by the document.
struct Bounds {
    octets_max: usize,
    pattern: Option<&'static str>,
}

/// The name of a list or a token.
const PLAIN_NAME: Bounds = Bounds {
    octets_max: NAME_OCTETS_MAX,
    pattern: Some("^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"),
};
/// The name of a user, which may look like an address.
const USER_NAME: Bounds = Bounds {
    octets_max: NAME_OCTETS_MAX,
    pattern: Some("^[A-Za-z0-9]([A-Za-z0-9._+=@-]*[A-Za-z0-9])?$"),
};
/// The name of a component in the configuration.
const COMPONENT_NAME: Bounds = Bounds {
    octets_max: COMPONENT_NAME_OCTETS_MAX,
    pattern: Some("^[a-z0-9_-]+$"),
};
/// The id of a message: a ULID, its letters in any case.
const MESSAGE_ID: Bounds = Bounds {
    octets_max: 26,
    pattern: Some("^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"),
};
/// The id of a refused sender.
const REFUSAL_ID: Bounds = Bounds {
    octets_max: RefusalId::TEXT_OCTETS_MAX,
    pattern: Some("^[0-9a-f]+$"),
};
/// The number of an alert.
const NUMBER: Bounds = Bounds {
    octets_max: 20,
    pattern: Some("^[0-9]+$"),
};
/// A note, which may be empty and of several lines.
const NOTE: Bounds = Bounds {
    octets_max: NOTE_OCTETS_MAX,
    pattern: None,
};

/// Parameters of paths, by their names.
const PARAMETERS: [(&str, Bounds); 7] = [
    ("list", PLAIN_NAME),
    ("user", USER_NAME),
    ("name", PLAIN_NAME),
    ("plugin", COMPONENT_NAME),
    ("id", MESSAGE_ID),
    ("refusal", REFUSAL_ID),
    ("alert", NUMBER),
];
/// Fields of documents that are sent.
const FIELDS: [(&str, &str, Bounds); 9] = [
    ("ListInput", "name", PLAIN_NAME),
    ("TokenInput", "name", PLAIN_NAME),
    ("AdminInput", "name", USER_NAME),
    ("UserInput", "name", USER_NAME),
    ("UserInput", "list", PLAIN_NAME),
    ("UserInput", "note", NOTE),
    ("QueueChange", "id", MESSAGE_ID),
    ("StopInput", "user", USER_NAME),
    ("StopInput", "list", PLAIN_NAME),
];

impl Bounds {
    fn put_on(&self, schema: Option<&mut RefOr<Schema>>) {
        if let Some(RefOr::T(Schema::Object(text))) = schema {
            text.min_length = self.pattern.map(|_| 1);
            text.max_length = Some(self.octets_max);
            text.pattern = self.pattern.map(str::to_owned);
        }
    }
}

/// Says of names, ids and notes what they may be. A macro takes literals only, so that each place would say it
/// in its own way.
pub(super) fn bound(document: &mut Document) {
    for path in document.paths.paths.values_mut() {
        let operations = [
            &mut path.get,
            &mut path.post,
            &mut path.put,
            &mut path.patch,
            &mut path.delete,
        ];
        for operation in operations.into_iter().flatten() {
            for parameter in operation.parameters.iter_mut().flatten() {
                let RefOr::T(parameter) = parameter else {
                    continue;
                };
                let known = PARAMETERS.iter();
                let mut known = known.filter(|(name, _)| parameter.name == *name);
                if let Some((_, bounds)) = known.next()
                    && parameter.parameter_in == ParameterIn::Path
                {
                    bounds.put_on(parameter.schema.as_mut());
                }
            }
        }
    }
    let schemas = document.components.as_mut().map(|all| &mut all.schemas);
    let Some(schemas) = schemas else { return };
    for (schema, field, bounds) in &FIELDS {
        if let Some(RefOr::T(Schema::Object(schema))) = schemas.get_mut(*schema) {
            bounds.put_on(schema.properties.get_mut(*field));
        }
    }
}

/// The document as it is served, with what the library has no word for: a parameter of a query that may be left out
/// may also be empty, which says the same.
pub(super) fn written(document: &Document) -> String {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let paths = document["paths"].as_object_mut();
    let operations = paths
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|operations| operations.values_mut());
    for operation in operations {
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] == "query" && parameter["required"] != true {
                parameter["allowEmptyValue"] = true.into();
            }
        }
    }
    document.to_string()
}

/// What every operation that needs a token may also answer.
pub(super) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[
            (
                "400",
                "The request cannot be read: its path or query is not UTF-8, or its body is not well-formed \
                 JSON; the detail says where.",
            ),
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
            ("413", "The body is too large."),
            (
                "415",
                "The body is not declared as what is taken: JSON, or a component.",
            ),
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

/// What every change may also answer that may be on condition of a version.
pub(super) struct Changed;

impl IntoResponses for Changed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[(
            "412",
            "It was changed meanwhile: it is not the one of `If-Match`, and nothing was done.",
        )])
    }
}

/// What every look may also answer that may be on condition of a version.
pub(super) struct NotModified;

impl IntoResponses for NotModified {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = ResponseBuilder::new().description("It is the one of `If-None-Match`.");
        BTreeMap::from([("304".to_owned(), RefOr::T(response.build()))])
    }
}

/// What submitting a message may also answer. Where the message or its login is refused, `reply` has what SMTP says.
pub(super) struct NotSubmitted;

impl IntoResponses for NotSubmitted {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[
            (
                "400",
                "The request cannot be read: its query is not UTF-8, or its body did not arrive whole.",
            ),
            (
                "401",
                "There is no login, it is wrong, or its user is not active.",
            ),
            (
                "403",
                "The user may not send as the sender, or as an author of the message; or the login came in clear \
                 from another machine.",
            ),
            ("413", "The message is larger than the relay takes."),
            ("415", "The body is not declared as `message/rfc822`."),
            (
                "422",
                "Parameters are not valid, `errors` names them; or the message is refused for what it is.",
            ),
            (
                "429",
                "Too many logins were wrong. `Retry-After` says when to come back.",
            ),
            (
                "503",
                "Not now; nothing was taken. `Retry-After` says when to come back.",
            ),
            ("default", "Another refusal, or a failure of the relay."),
        ])
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
