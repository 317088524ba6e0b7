//! Versions over HTTP: the ETag of what is shown, and conditions on it (RFC 9110 §8.8.3 and §13.1).
//!
//! A tag has two parts: the version of the thing, and a digest of the document that shows it. A document also says what
//! happens by itself, such as the last login; so it is another one then, and who holds an old one is told. But who edits is not in the
//! way of that: an edit asks for the version alone. Whether it is the one that is there is found out in the writer's turn (`directory::terms`).

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::problem::{Kind, Problem};
use crate::directory::{OnlyIf, Version};

/// Tags in a condition at most: nobody has seen more versions of a thing that still count.
const TAGS_MAX: usize = 100;

/// What a change may be on condition of, as it is described.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it is described by its fields and never made")]
pub(super) struct IfMatchHeader {
    /// The `ETag` that was seen: where it was changed meanwhile, nothing is done (412).
    #[param(
        rename = "If-Match",
        nullable = false,
        pattern = "^([*]|\"[0-9a-f]{16}-[0-9a-f]{16}\")$"
    )]
    if_match: Option<String>,
}

/// What a look may be on condition of, as it is described.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it is described by its fields and never made")]
pub(super) struct IfNoneMatchHeader {
    /// The `ETag` that is there already: where the document is the same, it is not sent (304).
    #[param(
        rename = "If-None-Match",
        nullable = false,
        pattern = "^([*]|\"[0-9a-f]{16}-[0-9a-f]{16}\")$"
    )]
    if_none_match: Option<String>,
}

/// What has to hold of what is changed; none where nothing is said.
#[derive(Clone, Debug)]
pub(super) struct IfMatch(pub(super) Option<OnlyIf>);

/// What the caller has already.
#[derive(Clone, Debug)]
pub(super) struct IfNoneMatch(Option<Tags>);

/// A document with the version of what it shows.
#[derive(Clone, Debug)]
pub(super) struct Tagged<T> {
    pub(super) version: Version,
    pub(super) document: T,
}

/// A document that is looked at; it is not sent to who has it.
#[derive(Clone, Debug)]
pub(super) struct Looked<T> {
    pub(super) tagged: Tagged<T>,
    is_known: bool,
}

/// Entity tags as a condition names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// `*`
    Any,
    /// What stands between the quotes, and whether it is weak.
    These(Vec<(String, bool)>),
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let only_if = tags(&parts.headers, &IF_MATCH)?.map(|tags| match tags {
            Tags::Any => OnlyIf::Present,
            // RFC 9110 §13.1.1: a weak tag never matches; nor does one that is none of ours.
            Tags::These(tags) => OnlyIf::Versions(
                tags.iter()
                    .filter(|(_, is_weak)| !is_weak)
                    .filter_map(|(tag, _)| Version::parse(tag.split_once('-')?.0))
                    .collect(),
            ),
        });
        Ok(Self(only_if))
    }
}

impl IfMatch {
    /// Nothing has to hold.
    pub(super) const NONE: Self = Self(None);

    /// It is the version that a form was made of. A form that does not say which is of none.
    pub(super) fn of_form(version: &str) -> Self {
        let versions = Version::parse(version).into_iter().collect();
        Self(Some(OnlyIf::Versions(versions)))
    }
}

impl IfNoneMatch {
    /// The caller has nothing.
    pub(super) const NONE: Self = Self(None);
}

/// One that cannot be read is none: the document is sent.
impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(tags(&parts.headers, &IF_NONE_MATCH).ok().flatten()))
    }
}

impl<T: Serialize> Tagged<T> {
    fn tag(&self) -> String {
        let octets = serde_json::to_vec(&self.document).unwrap_or_default();
        let digest = Sha256::digest(octets);
        let mut tag = format!("{}-", self.version);
        for octet in &digest[..8] {
            write!(tag, "{octet:02x}").expect("writing to a string does not fail");
        }
        tag
    }

    /// The header field that says which version it is.
    pub(super) fn field(&self) -> (HeaderName, HeaderValue) {
        let value = HeaderValue::from_str(&format!("\"{}\"", self.tag()));
        (ETAG, value.expect("hexadecimal digits are a header value"))
    }

    /// The document, unless the caller has it.
    pub(super) fn unless(self, known: &IfNoneMatch) -> Looked<T> {
        let is_known = match &known.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => {
                let tag = self.tag();
                // RFC 9110 §13.1.2: whether it is weak makes no difference here.
                tags.iter().any(|(known, _)| *known == tag)
            }
        };
        Looked {
            tagged: self,
            is_known,
        }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([self.field()], axum::Json(self.document)).into_response()
    }
}

impl<T: Serialize> IntoResponse for Looked<T> {
    fn into_response(self) -> Response {
        match self.is_known {
            true => (StatusCode::NOT_MODIFIED, [self.tagged.field()]).into_response(),
            false => self.tagged.into_response(),
        }
    }
}

/// The tags of a condition, on however many lines; none where it is not there.
///
/// # Errors
/// It is none that can be read.
pub(super) fn tags(headers: &HeaderMap, field: &HeaderName) -> Result<Option<Tags>, Problem> {
    let mut lines = headers.get_all(field).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut is_any = false;
    for line in lines {
        match line.as_bytes().trim_ascii() {
            b"*" => is_any = true,
            line => read(line, &mut found).ok_or_else(|| {
                let text = format!(
                    "`{field}` takes `*`, or entity tags as `ETag` has them, with their quotes and commas between; \
                     {TAGS_MAX} at most"
                );
                Problem::new(Kind::Malformed, text)
            })?,
        }
    }
    Ok(Some(match is_any {
        true => Tags::Any,
        false => Tags::These(found),
    }))
}

/// `W/"…", "…"`: commas may stand in a tag, and nothing between two commas.
fn read(mut rest: &[u8], found: &mut Vec<(String, bool)>) -> Option<()> {
    loop {
        rest = rest.trim_ascii_start();
        if let Some(more) = rest.strip_prefix(b",") {
            rest = more;
            continue;
        }
        if rest.is_empty() {
            return Some(());
        }
        let (strong, is_weak) = match rest.strip_prefix(b"W/") {
            Some(strong) => (strong, true),
            None => (rest, false),
        };
        let tag = strong.strip_prefix(b"\"")?;
        let end = tag.iter().position(|octet| *octet == b'"')?;
        let is_tag = |octet: &u8| *octet > b' ' && *octet != 0x7f;
        if !tag[..end].iter().all(is_tag) || found.len() == TAGS_MAX {
            return None;
        }
        found.push((String::from_utf8_lossy(&tag[..end]).into_owned(), is_weak));
        rest = tag[end + 1..].trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(lines: &[&'static str]) -> Option<Tags> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, HeaderValue::from_static(line));
        }
        tags(&headers, &IF_MATCH).unwrap()
    }

    fn these(tags: &[(&str, bool)]) -> Option<Tags> {
        let tags = tags
            .iter()
            .map(|(tag, is_weak)| ((*tag).to_owned(), *is_weak));
        Some(Tags::These(tags.collect()))
    }

    #[test]
    fn a_condition_names_tags_or_anything() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[" * "]), Some(Tags::Any));
        assert_eq!(of(&["\"a\""]), these(&[("a", false)]));
        assert_eq!(
            of(&["W/\"a,b\" , \"\",,\"c\"", "\"d\""]),
            these(&[("a,b", true), ("", false), ("c", false), ("d", false)])
        );
        assert_eq!(of(&[""]), these(&[]));
        assert_eq!(of(&["*", "\"a\""]), Some(Tags::Any));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let many = "\"a\",".repeat(TAGS_MAX + 1);
        for wrong in [
            "a",
            "\"a",
            "w/\"a\"",
            "\"a\"\"b\"",
            "\"a b\"",
            "*, \"a\"",
            "\"a\" x",
            &many,
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, HeaderValue::from_str(wrong).unwrap());
            let refused = tags(&headers, &IF_MATCH).unwrap_err();
            assert_eq!(refused.status, 400, "{wrong}");
            assert!(
                refused.detail.starts_with("`if-match` takes"),
                "{}",
                refused.detail
            );
        }
    }
}
