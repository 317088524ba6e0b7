//! Requests that are done once, however often they are sent: the header field `Idempotency-Key`.
//!
//! Who gets no answer does not know whether it was done. Sent again with the same key it is answered as before, without
//! being done again (draft-ietf-httpapi-idempotency-key-header-07). A request with a key goes on when its client is gone, so
//! that there is an answer for who comes back. What was answered is in memory, for a day and within bounds: after a restart
//! a key is new again. An answer with a secret is not kept; whoever asks for it again is told what was made.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, MatchedPath, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::Api;
use super::access::bearer;
use super::extract::unread_body;
use super::problem::{Kind, Problem};
use crate::message::Timestamp;

/// The field of a request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The field of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long an answer is kept: who comes back later looks first.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Keys at most; beyond it the oldest go. A script that makes a thousand users is over within the hour.
const KEYS_MAX: usize = 10_000;

/// Octets of all answers at most; beyond it the oldest go. An answer has one KiB, that of a user with a thousand rules a hundred.
const OCTETS_MAX: usize = 16 << 20;

/// Requests with a key that are under way at once: each goes on without its client. A console and some scripts have a few.
const UNDER_WAY_MAX: usize = 64;

/// Octets of a key. A UUID has 36.
const KEY_OCTETS_MAX: usize = 255;

/// What takes a key: whatever makes something, or acts on the queue.
const TAKES_KEYS: [&str; 11] = [
    "/api/v1/accounts",
    "/api/v1/users",
    "/api/v1/users/{user}/password",
    "/api/v1/lists",
    "/api/v1/tokens",
    "/api/v1/admins",
    "/api/v1/admins/{name}/password",
    "/api/v1/refusals/{refusal}/authorize",
    "/api/v1/queue/{action}",
    "/api/v1/queue/stop",
    "/api/v1/queue/start",
];

/// What a request may be known by, as it is described.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it is described by its fields and never made")]
pub(super) struct KeyHeader {
    /// A key of your choice, a UUID for example: sent again with it within a day, the same request is answered as before and not done
    /// again.
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        max_length = 255,
        pattern = "^[A-Za-z0-9._:-]+$"
    )]
    idempotency_key: Option<String>,
}

/// Says of an answer that it has a secret, and what was made: `user app`, and how another secret is had.
#[derive(Clone, Debug)]
pub(super) struct ShownOnce(pub(super) String);

/// What was answered to requests with keys.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<Key, Answered>,
    /// By when they were asked first.
    order: VecDeque<(Timestamp, Key)>,
    octets: usize,
    under_way: usize,
}

/// Of whom, and the key: those of others are other keys. A token of the same name that is made later is another caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key(Arc<(String, Timestamp, String)>);

#[derive(Debug)]
struct Answered {
    /// Of method, path, query and body.
    request: [u8; 32],
    at: Timestamp,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    UnderWay,
    /// With a secret, which is not kept.
    Secret(String),
    Kept(Answer),
}

/// An answer as it is kept.
#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    /// Those that belong to what was made.
    fields: HeaderMap,
    body: Bytes,
}

/// What is to be done with a request.
#[derive(Debug)]
enum Verdict {
    Do,
    Replay(Answer),
    Refuse(Problem),
}

/// Does a request once. One without a key, or that takes none, passes by.
pub(super) async fn once(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(|route| route.as_str().to_owned());
    let takes = |route: &String| TAKES_KEYS.contains(&route.as_str());
    let Some(route) = route.filter(takes) else {
        return next.run(request).await;
    };
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Some(token) = bearer(&parts).and_then(|secret| api.directory.check_token(secret)) else {
        // That is told by who asks for it.
        return next.run(Request::from_parts(parts, body)).await;
    };
    let key = match key(&parts.headers) {
        Ok(key) => key,
        Err(problem) => return problem.into_response(),
    };
    let key = Key(Arc::new((token.name.clone(), token.created, key)));
    let read = Request::from_parts(parts.clone(), body);
    let body = match Bytes::from_request(read, &()).await {
        Ok(body) => body,
        Err(rejection) => return unread_body(rejection).into_response(),
    };
    let digest = digest(&parts.method, &parts.uri.to_string(), &body);
    match api.answers.ask(&key, digest, api.clock.now()) {
        Verdict::Do => {}
        Verdict::Refuse(problem) => return problem.into_response(),
        Verdict::Replay(answer) => {
            let (by, status) = (&token.name, answer.status.as_u16());
            tracing::info!(by, route, status, "admin request answered again");
            return answer.again();
        }
    }
    let doing = Doing {
        api: Arc::clone(&api),
        key,
    };
    let request = Request::from_parts(parts, Body::from(body));
    // On its own: whoever comes back for the answer is to find one.
    let done = tokio::spawn(async move {
        let response = next.run(request).await;
        doing.answered(response).await
    });
    let failed = |error| Problem::internal("answering a request once", &error).into_response();
    done.await.unwrap_or_else(failed)
}

/// A request that is being done. Where it comes to no answer, its key is new again.
struct Doing {
    api: Arc<Api>,
    key: Key,
}

impl Doing {
    async fn answered(self, response: Response) -> Response {
        // What was refused or failed may be asked for again.
        if !response.status().is_success() {
            return response;
        }
        let (parts, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Problem::internal("answering", &error).into_response(),
        };
        let outcome = match parts.extensions.get::<ShownOnce>() {
            Some(ShownOnce(what)) => Outcome::Secret(what.clone()),
            None => {
                let mut fields = HeaderMap::new();
                for field in [CONTENT_TYPE, LOCATION, ETAG] {
                    if let Some(value) = parts.headers.get(&field) {
                        fields.insert(field, value.clone());
                    }
                }
                Outcome::Kept(Answer {
                    status: parts.status,
                    fields,
                    body: body.clone(),
                })
            }
        };
        self.api.answers.keep(&self.key, outcome);
        Response::from_parts(parts, Body::from(body))
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.api.answers.release(&self.key);
    }
}

impl Answer {
    fn again(self) -> Response {
        let replayed = [(REPLAYED, HeaderValue::from_static("true"))];
        (self.status, self.fields, replayed, self.body).into_response()
    }
}

impl Answers {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, key: &Key, request: [u8; 32], now: Timestamp) -> Verdict {
        let mut known = self.known();
        known.forget(now);
        if let Some(answered) = known.answers.get(key) {
            return answered.verdict(request);
        }
        if known.under_way >= UNDER_WAY_MAX {
            let text = "too many requests with an `Idempotency-Key` are under way: try again in a few seconds";
            return Verdict::Refuse(Problem::new(Kind::Unavailable, text));
        }
        known.under_way += 1;
        known.order.push_back((now, key.clone()));
        let answered = Answered {
            request,
            at: now,
            outcome: Outcome::UnderWay,
        };
        known.answers.insert(key.clone(), answered);
        Verdict::Do
    }

    fn keep(&self, key: &Key, outcome: Outcome) {
        let mut known = self.known();
        let octets = outcome.octets();
        let Some(answered) = known.answers.get_mut(key) else {
            return;
        };
        answered.outcome = outcome;
        known.under_way = known.under_way.saturating_sub(1);
        known.octets += octets;
        while known.octets > OCTETS_MAX {
            if !known.forget_oldest() {
                break;
            }
        }
    }

    /// Makes a key new again that was not answered.
    fn release(&self, key: &Key) {
        let mut known = self.known();
        let is_under_way = |answered: &Answered| matches!(answered.outcome, Outcome::UnderWay);
        if known.answers.get(key).is_some_and(is_under_way) {
            known.answers.remove(key);
            known.under_way = known.under_way.saturating_sub(1);
            // It stands near the end.
            if let Some(at) = known.order.iter().rposition(|(_, of)| of == key) {
                known.order.remove(at);
            }
        }
    }
}

impl Known {
    /// Forgets what is too old, and makes room for one more.
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.order.front()
            && (now.since(*at) >= KEPT_FOR || self.order.len() >= KEYS_MAX)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, key)) = self.order.pop_front() else {
            return false;
        };
        if let Some(answered) = self.answers.remove(&key) {
            self.octets -= answered.outcome.octets();
            if matches!(answered.outcome, Outcome::UnderWay) {
                self.under_way = self.under_way.saturating_sub(1);
            }
        }
        true
    }
}

impl Outcome {
    fn octets(&self) -> usize {
        match self {
            Outcome::UnderWay => 0,
            Outcome::Secret(what) => what.len(),
            Outcome::Kept(answer) => answer.body.len(),
        }
    }
}

impl Answered {
    fn verdict(&self, request: [u8; 32]) -> Verdict {
        if self.request != request {
            let text = "this `Idempotency-Key` came with another request before: each request needs one of its own";
            return Verdict::Refuse(Problem::new(Kind::KeyReused, text));
        }
        match &self.outcome {
            Outcome::Kept(answer) => Verdict::Replay(answer.clone()),
            Outcome::UnderWay => {
                let text = "the same request is under way: ask again when it is done";
                Verdict::Refuse(Problem::new(Kind::UnderWay, text))
            }
            Outcome::Secret(what) => {
                let text = format!(
                    "this was done at {}, and the answer is kept nowhere: {what}",
                    self.at
                );
                Verdict::Refuse(Problem::new(Kind::AlreadyDone, text))
            }
        }
    }
}

/// The key of a request: a string as structured fields have it (RFC 8941 §3.3.3), or the same without quotes.
fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(KEY).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    // Two fields could be read as two keys.
    let value = value.filter(|_| values.next().is_none()).map(str::trim);
    let key = value.and_then(|value| match value.strip_prefix('"') {
        Some(rest) => unquoted(rest.strip_suffix('"')?),
        None => (!value.contains([' ', '"', ',', ';'])).then(|| value.to_owned()),
    });
    let key = key.filter(|key| (1..=KEY_OCTETS_MAX).contains(&key.len()));
    key.ok_or_else(|| {
        let text = format!(
            "`Idempotency-Key` is one string of 1 to {KEY_OCTETS_MAX} characters, in quotes: `\"8e03978e-40d5-43e8-bc93-6894a57f9324\"`"
        );
        Problem::new(Kind::Malformed, text)
    })
}

/// What stands between the quotes. A backslash stands before a quote or another one.
fn unquoted(text: &str) -> Option<String> {
    let mut found = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        found.push(match character {
            '\\' => characters.next().filter(|next| "\"\\".contains(*next))?,
            '"' => return None,
            character => character,
        });
    }
    Some(found)
}

fn digest(method: &Method, uri: &str, body: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [method.as_str().as_bytes(), uri.as_bytes(), body] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

    fn of(key: usize) -> Key {
        Key(Arc::new(("boss".to_owned(), NOW, key.to_string())))
    }

    fn answer(octets: usize) -> Outcome {
        Outcome::Kept(Answer {
            status: StatusCode::CREATED,
            fields: HeaderMap::new(),
            body: Bytes::from(vec![b'x'; octets]),
        })
    }

    fn is_new(answers: &Answers, key: usize, now: Timestamp) -> bool {
        match answers.ask(&of(key), [0; 32], now) {
            Verdict::Do => {
                answers.release(&of(key));
                true
            }
            _ => false,
        }
    }

    #[test]
    fn a_key_is_a_string_with_or_without_quotes() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, HeaderValue::from_str(value).unwrap());
            }
            key(&headers).ok()
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(read(&["\"a-1\""]), is("a-1"));
        assert_eq!(read(&[" a-1 "]), is("a-1"));
        assert_eq!(read(&[r#""a \"b\" \\""#]), is(r#"a "b" \"#));
        let long = "x".repeat(KEY_OCTETS_MAX);
        assert_eq!(read(&[&long]), is(&long));
        let longer = format!("\"{long}x\"");
        for wrong in [
            "",
            "\"\"",
            "\"",
            "\"a",
            "a b",
            "\"a\"b\"",
            "\"a\\b\"",
            "\"a\";x=1",
            "a,b",
            "\u{fc}",
            &longer,
        ] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
        assert_eq!(read(&["a", "a"]), None);
    }

    #[test]
    fn keys_and_answers_are_bounded_and_the_oldest_go() {
        let answers = Answers::default();
        for number in 0..KEYS_MAX + 5 {
            assert!(matches!(
                answers.ask(&of(number), [0; 32], NOW),
                Verdict::Do
            ));
            answers.keep(&of(number), answer(1));
        }
        assert_eq!(answers.known().answers.len(), KEYS_MAX);
        assert!(is_new(&answers, 4, NOW));
        assert!(!is_new(&answers, KEYS_MAX, NOW));
        let answers = Answers::default();
        for number in 0..20 {
            assert!(matches!(
                answers.ask(&of(number), [0; 32], NOW),
                Verdict::Do
            ));
            answers.keep(&of(number), answer(1 << 20));
        }
        assert_eq!(answers.known().octets, OCTETS_MAX);
        assert!(is_new(&answers, 3, NOW));
        assert!(!is_new(&answers, 4, NOW));
        let later = NOW.plus(KEPT_FOR);
        assert!(is_new(&answers, 19, later));
        assert_eq!(answers.known().octets, 0);
    }

    #[test]
    fn what_came_to_no_answer_is_new_again_and_leaves_nothing() {
        let answers = Answers::default();
        for number in 0..UNDER_WAY_MAX {
            assert!(matches!(
                answers.ask(&of(number), [0; 32], NOW),
                Verdict::Do
            ));
        }
        let Verdict::Refuse(problem) = answers.ask(&of(UNDER_WAY_MAX), [0; 32], NOW) else {
            panic!("too many");
        };
        assert_eq!(problem.status, 503);
        let Verdict::Refuse(problem) = answers.ask(&of(0), [0; 32], NOW) else {
            panic!("it is under way");
        };
        assert_eq!(problem.status, 409);
        for number in 0..UNDER_WAY_MAX {
            answers.release(&of(number));
        }
        let known = answers.known();
        assert_eq!(
            (known.answers.len(), known.order.len(), known.under_way),
            (0, 0, 0)
        );
    }
}
