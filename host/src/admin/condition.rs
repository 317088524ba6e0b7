//! `If-Match`: a change that is to be made only to what its author has seen (RFC 9110 §13.1.1).

use axum::extract::FromRequestParts;
use axum::http::header::{HeaderValue, IF_MATCH};
use axum::http::request::Parts;

use super::problem::Problem;

/// What a change is conditional on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: it is made whatever there is.
    #[default]
    None,
    /// That what there is has one of these revisions.
    OneOf(Vec<String>),
}

impl Condition {
    /// Whether a change may be made to what has this revision.
    pub fn holds(&self, revision: &str) -> bool {
        match self {
            Condition::None => true,
            Condition::OneOf(revisions) => revisions.iter().any(|one| one == revision),
        }
    }
}

/// A revision as an entity tag (RFC 9110 §8.8.3).
pub(super) fn entity_tag(revision: &str) -> HeaderValue {
    // Revisions are digits; what is none of a header's is no tag.
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

impl<S: Send + Sync> FromRequestParts<S> for Condition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let wrong = || {
            let text = "must be entity tags as the field `ETag` of an answer has them, or `*`";
            Problem::field("if-match", text)
        };
        let mut revisions = Vec::new();
        let mut is_there = false;
        for value in parts.headers.get_all(IF_MATCH) {
            is_there = true;
            let text = value.to_str().map_err(|_| wrong())?.trim();
            if text == "*" {
                // There is always something.
                return Ok(Condition::None);
            }
            for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
                // RFC 9110 §13.1.1: a weak tag matches nothing here.
                let (is_weak, quoted) = match tag.strip_prefix("W/") {
                    Some(quoted) => (true, quoted),
                    None => (false, tag),
                };
                let inner = quoted
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'));
                let inner = inner
                    .filter(|inner| !inner.contains('"'))
                    .ok_or_else(wrong)?;
                if !is_weak {
                    revisions.push(inner.to_owned());
                }
            }
        }
        Ok(match is_there {
            true => Condition::OneOf(revisions),
            false => Condition::None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::Request;

    use super::*;

    async fn read(fields: &[&str]) -> Result<Condition, u16> {
        let mut request = Request::builder();
        for field in fields {
            request = request.header(IF_MATCH, *field);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let read = Condition::from_request_parts(&mut parts, &()).await;
        read.map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn what_was_seen_is_named_by_its_tag_and_a_weak_one_matches_nothing() {
        assert_eq!(read(&[]).await, Ok(Condition::None));
        assert_eq!(read(&["*"]).await, Ok(Condition::None));
        let several = read(&["\"a\", W/\"b\"", "\"c\""]).await.unwrap();
        assert!(several.holds("a") && several.holds("c"));
        assert!(!several.holds("b") && !several.holds(""));
        assert!(!read(&["W/\"a\""]).await.unwrap().holds("a"));
        for wrong in ["a", "\"a", "\"a\"b\"", "\"a\", b"] {
            assert_eq!(read(&[wrong]).await, Err(422), "{wrong}");
        }
    }
}
