//! Reading requests: path segments, query strings and JSON bodies, each refused in words.
//!
//! What is extracted has the declared shape and nothing besides: unknown fields, repeated fields and
//! wrong types are refused by name, malformed JSON by line and column. Bodies are bounded before
//! they are read. What a value *means* is checked by those who take it.

use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
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
        // RFC 9110 §8.4: what it is before it is decoded is no JSON.
        if !is_as_it_is(request.headers()) {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "send the body as it is, without `Content-Encoding`",
            ));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(unread_body)?;
        parse(&body).map(Json)
    }
}

/// A JSON body of the shape `T`, or none, which stands for the default.
#[derive(Debug)]
pub struct JsonOrNothing<T>(pub T);

impl<S, T> FromRequest<S> for JsonOrNothing<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_none = request.body().size_hint().exact() == Some(0);
        if is_none && !request.headers().contains_key(CONTENT_TYPE) {
            return Ok(Self(T::default()));
        }
        Json::from_request(request, state)
            .await
            .map(|Json(input)| Self(input))
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
        if !is_utf_8(parts.uri.query().unwrap_or_default()) {
            return Err(Problem::new(
                Kind::Malformed,
                "the query is not valid UTF-8",
            ));
        }
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(QueryString(query)),
            Err(rejection) => {
                let text = innermost(&rejection);
                // The path of a query parameter is its name, before its problem.
                let (path, problem) = text.split_once(": ").unwrap_or(("", &text));
                let path = if path.is_empty() { "query" } else { path };
                Err(Problem::field(
                    named_field(problem, path),
                    in_words(problem),
                ))
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
                let name = if end == 0 { "query" } else { &query[..end] };
                Err(Problem::field(name, text))
            }
        }
    }
}

/// No body, of an operation that takes none: nothing, or an object without fields.
#[derive(Debug)]
pub struct NoBody;

/// What an operation without a body takes all the same.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let has_type = is_json(request.headers());
        let body = Bytes::from_request(request, state)
            .await
            .map_err(unread_body)?;
        if body.trim_ascii().is_empty() {
            return Ok(NoBody);
        }
        if !has_type {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "this operation takes no body: leave it out",
            ));
        }
        parse::<NoFields>(&body).map(|NoFields {}| NoBody)
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

/// Reads a field that may be left out, and may be null, which takes away what was set. For
/// `#[serde(default, deserialize_with = "given_or_null")]`.
///
/// # Errors
/// What `T` refuses.
pub fn given_or_null<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Whether a query is text, its escapes read. Whoever reads it further puts a mark for what is none, and
/// would look for that.
fn is_utf_8(query: &str) -> bool {
    let mut octets = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        octets.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    str::from_utf8(&octets).is_ok()
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

pub(super) fn is_as_it_is(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(CONTENT_ENCODING);
    codings
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

pub(super) fn unread_body(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            Kind::TooLarge,
            format!("a body may have at most {BODY_OCTETS_MAX} octets"),
        ),
        _ => Problem::new(Kind::Malformed, "the body did not arrive whole"),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // RFC 8259 §8.1: JSON is UTF-8.
    if let Err(error) = str::from_utf8(body) {
        let octet = error.valid_up_to() + 1;
        return Err(Problem::new(
            Kind::Malformed,
            format!("the body is not UTF-8: octet {octet} belongs to no character"),
        ));
    }
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
    if first.is_none() {
        return Err(Problem::new(
            Kind::Malformed,
            "the body is empty: send a JSON object",
        ));
    }
    // Of a value in the place of a name the library says that no JSON is there.
    let is_json = error.is_data() || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if !is_json {
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
    let text = match without_position(&error) {
        text if error.is_data() => text,
        text if text == "number out of range" => "must be a number within its bounds".to_owned(),
        _ => "must be a string".to_owned(),
    };
    let path = track.path().to_string();
    let at = match path.as_str() {
        "." | "" => "body".to_owned(),
        _ => path,
    };
    // An unknown or missing field is named by the text; the path only leads to its object.
    Err(Problem::field(named_field(&text, &at), in_words(&text)))
}

/// Serde's text about a value of another type, in the words of whoever writes JSON.
fn in_words(text: &str) -> String {
    let backticked = |text: &str| {
        let names = text.split('`').skip(1).step_by(2);
        names.collect::<Vec<_>>().join(", ")
    };
    if text.starts_with("missing field") {
        return "is needed".to_owned();
    }
    if text.starts_with("duplicate field") {
        return "stands here twice".to_owned();
    }
    if let Some((_, known)) = text
        .strip_prefix("unknown field ")
        .and_then(|rest| rest.split_once(", "))
    {
        return match backticked(known) {
            known if known.is_empty() => "is not known: no field is taken here".to_owned(),
            known => format!("is not known; known here: {known}"),
        };
    }
    if let Some((given, known)) = text
        .strip_prefix("unknown variant ")
        .and_then(|rest| rest.split_once(", "))
    {
        let given = given.trim_matches('`');
        return format!("\"{given}\" is not one of {}", backticked(known));
    }
    for start in ["invalid type: ", "invalid value: "] {
        if let Some((given, expected)) = text
            .strip_prefix(start)
            .and_then(|rest| rest.rsplit_once(", expected "))
        {
            return format!(
                "must be {}, not {}",
                expected_kind(expected),
                given_kind(given)
            );
        }
    }
    text.to_owned()
}

fn expected_kind(expected: &str) -> &str {
    match expected {
        "i64" | "u8" | "u16" | "u32" | "u64" => "a whole number within its bounds",
        "a boolean" => "true or false",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.contains("enum") => "a string",
        other => other,
    }
}

fn given_kind(given: &str) -> String {
    let value = || given.split('`').nth(1).unwrap_or(given).to_owned();
    match given.split(' ').next().unwrap_or_default() {
        "string" => format!("the string {}", &given["string ".len()..]),
        "integer" | "floating" | "number" => format!("the number {}", value()),
        "boolean" => value(),
        "sequence" => "an array".to_owned(),
        "map" => "an object".to_owned(),
        _ => given.to_owned(),
    }
}

/// serde_json ends its texts with a position, which has its own place here.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The field that serde's texts about unknown, missing and repeated fields name. One without a name is told by where
/// it stands.
fn named_field(text: &str, otherwise: &str) -> String {
    for start in ["unknown field `", "missing field `", "duplicate field `"] {
        if let Some(rest) = text.strip_prefix(start)
            && let Some(end) = rest.find('`')
            && end > 0
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

    #[derive(Debug, Deserialize)]
    struct Named {
        #[serde(rename = "kind")]
        _kind: Kinds,
    }

    #[derive(Debug, Deserialize)]
    enum Kinds {
        #[serde(rename = "read")]
        _Read,
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
            ("", "the body is empty: send a JSON object"),
            (" \n", "the body is empty: send a JSON object"),
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
    fn what_is_not_utf_8_is_malformed_wherever_it_stands() {
        for (body, octet) in [
            (&b"{\"name\":\"x\xff\"}"[..], 11),
            (b"{\"x\xc3\":1}", 4),
            (b"\xff\xfe{", 1),
        ] {
            let problem = parse::<Shape>(body).unwrap_err();
            let detail = format!("the body is not UTF-8: octet {octet} belongs to no character");
            assert_eq!((problem.status, problem.detail), (400, detail));
        }
        for (query, expected) in [
            ("user=%C3%BC&list=a%2", true),
            ("user=%c3%bc+%zz", true),
            ("user=%FF", false),
            ("user=%C3&list=%BC", false),
        ] {
            assert_eq!(is_utf_8(query), expected, "{query}");
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
    fn a_value_of_another_type_is_refused_in_words() {
        for (body, detail) in [
            (r#"{"priority":1}"#, "is needed"),
            (
                r#"{"name":"x","colour":1}"#,
                "is not known; known here: name, priority, domains",
            ),
            (r#"{"name":"x","name":"y"}"#, "stands here twice"),
            (
                r#"{"name":"x","priority":"high"}"#,
                "must be a whole number within its bounds, not the string \"high\"",
            ),
            (
                r#"{"name":"x","priority":1.5}"#,
                "must be a whole number within its bounds, not the number 1.5",
            ),
            (
                r#"{"name":"x","priority":300}"#,
                "must be a whole number within its bounds, not the number 300",
            ),
            (
                r#"{"name":"x","priority":null}"#,
                "must be a whole number within its bounds, not null",
            ),
            (
                r#"{"name":"x","priority":1e400}"#,
                "must be a number within its bounds",
            ),
            (r#"{"name":true}"#, "must be a string, not true"),
            (r#"{"name":{}}"#, "must be a string, not an object"),
            (r#"{"name":["x"]}"#, "must be a string, not an array"),
        ] {
            let (_, _, errors) = refused(body);
            assert_eq!(errors[0].1, detail, "{body}");
        }
        let of_name = parse::<Named>(br#"{"kind":5}"#).unwrap_err();
        assert_eq!(of_name.detail, "kind: must be a string");
        assert_eq!(
            in_words("unknown variant `x`, expected one of `read`, `operate`"),
            "\"x\" is not one of read, operate"
        );
        assert_eq!(
            parse::<NoFields>(br#"{"force":true}"#).unwrap_err().detail,
            "force: is not known: no field is taken here"
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
            (r#"{"name":"x","":1}"#, "body"),
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
