//! Reading requests: path segments, query strings and JSON bodies, each refused in words.
//!
//! What is extracted has the declared shape and nothing besides: unknown fields, repeated fields and
//! wrong types are refused by name, malformed JSON by line and column. Bodies are bounded before
//! they are read. What a value *means* is checked by those who take it.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};

use super::problem::{Kind, Problem};

/// Largest body that is taken. A user with a thousand authorized senders is under 100 KiB; nothing
/// else comes near.
pub const BODY_OCTETS_MAX: usize = 256 * 1024;

/// A JSON body of the shape `T`.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "send JSON, with `Content-Type: application/json`",
            ));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(unread_body)?;
        parse(&body).map(Json)
    }
}

/// One segment of the path.
#[derive(Debug)]
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(segment)| Segment(segment))
            .map_err(|_| Problem::new(Kind::Malformed, "the path is not valid UTF-8"))
    }
}

/// A query string of the shape `T`.
#[derive(Debug)]
pub struct QueryString<T>(pub T);

impl<S, T> FromRequestParts<S> for QueryString<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(QueryString(query)),
            Err(rejection) => {
                let text = innermost(&rejection);
                // The path of a query parameter is its name, before its problem.
                let (path, problem) = text.split_once(": ").unwrap_or(("query", &text));
                Err(Problem::field(named_field(problem, path), problem))
            }
        }
    }
}

/// No query string, of an operation that takes none.
#[derive(Debug)]
pub struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.uri.query().filter(|query| !query.is_empty()) {
            None => Ok(NoQuery),
            Some(query) => {
                let end = query.find(['=', '&']).unwrap_or(query.len());
                let text = "is not known: this operation takes no parameters";
                Err(Problem::field(&query[..end], text))
            }
        }
    }
}

/// A field that may be left out but, when it is there, has a value: `null` is refused by name.
///
/// For `#[serde(default, deserialize_with = "given")]`.
///
/// # Errors
/// What `T` refuses.
pub fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    media_type.is_some_and(|media_type| {
        media_type == "application/json"
            || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    })
}

fn unread_body(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            Kind::TooLarge,
            format!("a body may have at most {BODY_OCTETS_MAX} octets"),
        ),
        _ => Problem::new(Kind::Malformed, "the body did not arrive whole"),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let first = body.iter().find(|octet| !octet.is_ascii_whitespace());
    let is_object = first.is_none_or(|octet| *octet == b'{');
    // Serde would take an array for an object, its items for the fields in their order.
    if !is_object && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        return Err(Problem::field("body", "a JSON object is expected"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let parsed = T::deserialize(serde_path_to_error::Deserializer::new(
        &mut json, &mut track,
    ));
    let error = match parsed {
        Ok(value) => match json.end() {
            Ok(()) => return Ok(value),
            Err(error) => error,
        },
        Err(error) => error,
    };
    if !error.is_data() {
        return Err(Problem::new(
            Kind::Malformed,
            format!(
                "malformed JSON at line {}, column {}: {}",
                error.line(),
                error.column(),
                without_position(&error)
            ),
        ));
    }
    let text = without_position(&error);
    let path = track.path().to_string();
    let at = if path == "." { "body".to_owned() } else { path };
    // An unknown or missing field is named by the text; the path only leads to its object.
    Err(Problem::field(named_field(&text, &at), text))
}

/// serde_json ends its texts with a position, which has its own place here.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The field that serde's texts about unknown, missing and repeated fields name.
fn named_field(text: &str, otherwise: &str) -> String {
    for start in ["unknown field `", "missing field `", "duplicate field `"] {
        if let Some(rest) = text.strip_prefix(start)
            && let Some(end) = rest.find('`')
        {
            return rest[..end].to_owned();
        }
    }
    otherwise.to_owned()
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        name: String,
        #[serde(default, deserialize_with = "given")]
        priority: Option<u8>,
        #[serde(default)]
        domains: Vec<String>,
    }

    fn refused(body: &str) -> (u16, String, Vec<(String, String)>) {
        let problem = parse::<Shape>(body.as_bytes()).unwrap_err();
        let errors = problem
            .errors
            .into_iter()
            .map(|error| (error.field, error.detail))
            .collect();
        (problem.status, problem.detail, errors)
    }

    #[test]
    fn a_body_of_the_shape_is_taken() {
        let shape: Shape = parse(br#"{"name":"x","priority":3}"#).unwrap();
        assert_eq!(
            shape,
            Shape {
                name: "x".into(),
                priority: Some(3),
                domains: Vec::new()
            }
        );
    }

    #[test]
    fn malformed_json_is_refused_with_line_and_column() {
        let cases = [
            (
                "",
                "malformed JSON at line 1, column 0: EOF while parsing a value",
            ),
            (
                "{\"name\":\n\"x\",}",
                "malformed JSON at line 2, column 5: trailing comma",
            ),
            (
                "{\"name\":\"x\"} {",
                "malformed JSON at line 1, column 14: trailing characters",
            ),
            (
                "{\"name\":\"\u{1}\"}",
                "malformed JSON at line 1, column 10: control character (\\u0000-\\u001F) found while parsing a string",
            ),
        ];
        for (body, detail) in cases {
            assert_eq!(
                refused(body),
                (400, detail.to_owned(), Vec::new()),
                "{body}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let body = format!("{{\"domains\":{}", "[".repeat(100_000));
        assert_eq!(refused(&body).0, 422);
        let problem = parse::<serde_json::Value>("[".repeat(100_000).as_bytes()).unwrap_err();
        assert_eq!(
            problem.detail,
            "malformed JSON at line 1, column 128: recursion limit exceeded"
        );
    }

    #[test]
    fn a_field_at_fault_is_named() {
        let cases = [
            (r#"{"priority":1}"#, "name"),
            (r#"{"name":"x","colour":1}"#, "colour"),
            (r#"{"name":"x","name":"y"}"#, "name"),
            (r#"{"name":"x","priority":"high"}"#, "priority"),
            (r#"{"name":"x","priority":null}"#, "priority"),
            (r#"{"name":"x","priority":300}"#, "priority"),
            (r#"{"name":"x","domains":["a",1]}"#, "domains[1]"),
            (r#"["x"]"#, "body"),
            (r#""x""#, "body"),
        ];
        for (body, field) in cases {
            let (status, _, errors) = refused(body);
            assert_eq!((status, errors.len()), (422, 1), "{body}");
            assert_eq!(errors[0].0, field, "{body}: {errors:?}");
        }
    }
}
