//! A change of the chain of components that is to be made only to the one that its author has seen (RFC 9110 §13.1.1).
//!
//! How the field is read is `version`'s, for everything that has versions.

use axum::extract::FromRequestParts;
use axum::http::header::{HeaderValue, IF_MATCH};
use axum::http::request::Parts;

use super::problem::Problem;
use super::version::{Tags, tags};

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
        Ok(match tags(&parts.headers, &IF_MATCH)? {
            // There is always a chain, whichever it is.
            None | Some(Tags::Any) => Condition::None,
            // RFC 9110 §13.1.1: a weak tag matches nothing here.
            Some(Tags::These(tags)) => Condition::OneOf(
                tags.into_iter()
                    .filter(|(_, is_weak)| !is_weak)
                    .map(|(tag, _)| tag)
                    .collect(),
            ),
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
            assert_eq!(read(&[wrong]).await, Err(400), "{wrong}");
        }
    }
}
