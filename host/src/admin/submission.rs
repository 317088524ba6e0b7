//! Submitting a message over HTTP: the body is the message, the query its envelope, the login that of a user.
//!
//! Decides nothing: what is read here is handed to whoever takes mail from clients, by the trait [`Submit`], and its
//! answer is written down. The body goes there in pieces as they come.

mod envelope;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use outpost_smtp::{Mailbox, Reply};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::audit::{self, Deed};
use super::extract::{QueryString, is_as_it_is};
use super::login::{Login, NotLoggedIn};
use super::openapi::NotSubmitted;
use super::problem::{FieldError, Kind, Problem, ReplyDocument};
use super::server::Peer;
use envelope::Envelope;

use crate::message::{LineEnds, NotPosted, Post, PostedContent, Receipt, Unreadable};

/// Where messages are submitted.
pub(super) const PATH: &str = "/api/v1/messages";

/// The media type of a message (RFC 2046 §5.2.1).
const MEDIA_TYPE: &str = "message/rfc822";

/// Messages that come in at once: three quarters of the connections that the surface has by default, so that who
/// submits, as slowly as may be, leaves some to who operates the relay.
const AT_ONCE_MAX: usize = 192;

/// How long a message waits for its turn among them. Most take some milliseconds.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// When to come back where that is not known better.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Takes messages. A seam: the surface knows neither sessions nor the spool.
pub trait Submit: Send + Sync {
    /// Takes a message; it is on stable storage when there is a receipt.
    ///
    /// # Errors
    /// Why nothing was taken.
    fn submit(
        &self,
        post: Post,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, NotPosted>> + Send + '_>>;
}

/// Whoever takes messages, and how many at once.
pub struct Submissions {
    taker: Arc<dyn Submit>,
    turns: Semaphore,
}

impl Submissions {
    /// Hands messages to `taker`.
    pub fn new(taker: Arc<dyn Submit>) -> Self {
        Self {
            taker,
            turns: Semaphore::new(AT_ONCE_MAX),
        }
    }

    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        timeout(TURN_WITHIN, self.turns.acquire()).await.ok()?.ok()
    }
}

/// The envelope of a message, in the query, for the description; [`Envelope`] reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "its fields are there to be described")]
pub(super) struct EnvelopeQuery {
    /// The reverse-path, where reports go. Empty: none, as reports themselves have it.
    #[param(example = "app@shop.example")]
    sender: String,
    /// Whom it is for. Comes again for each recipient.
    #[param(example = json!(["bob@d.example"]), min_items = 1)]
    recipient: Vec<String>,
    /// The priority that is asked for, 1 (very high) to 5 (very low). It comes before those of the header. What is no
    /// such number, or comes twice, counts as absent, and the trail says so.
    priority: Option<String>,
}

/// A message is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmittedDocument {
    /// Its id.
    pub id: String,
    /// The effective priority, 1 (very high) to 5 (very low).
    pub class: u8,
    /// What was said to it.
    pub reply: ReplyDocument,
    /// The recipients that it was not accepted for; empty for most messages.
    pub refused: Vec<RefusedRecipient>,
}

/// A recipient that a message was not accepted for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedRecipient {
    /// Its address.
    pub recipient: String,
    /// What was said to it. A code of 4yz: not now.
    pub reply: ReplyDocument,
}

/// Submits a message, as its user would by SMTP. When this is answered with 201, the message is on stable storage. Its
/// lines end all with CRLF, or all with LF, which becomes CRLF.
#[utoipa::path(post, path = PATH, operation_id = "submit_message", tag = "submission",
    params(EnvelopeQuery),
    request_body(content = String, content_type = "message/rfc822", description = "The message (RFC 5322).",
        example = "From: app@shop.example\r\nTo: bob@d.example\r\nSubject: Your order\r\n\r\nIt is on its way.\r\n"),
    security(("user" = [])),
    responses((status = 201, description = "The message is accepted.", body = SubmittedDocument,
        headers(("Location" = String, description = "The message with its trail, for who has a token."))),
        NotSubmitted))]
pub(super) async fn submit(
    deed: Deed,
    Login(credentials): Login,
    peer: Peer,
    State(api): State<Arc<Api>>,
    QueryString(query): QueryString<Vec<(String, String)>>,
    request: Request,
) -> Result<Response, Response> {
    deed.note(|noted| {
        noted.action = Some("submit-message");
        noted.is_mail = true;
    });
    let envelope = Envelope::read(query).map_err(IntoResponse::into_response)?;
    takes(request.headers()).map_err(IntoResponse::into_response)?;
    let Some(_turn) = api.submissions.turn().await else {
        let text = "too many messages are coming in at once: try again in a few seconds";
        let problem = Problem::new(Kind::Unavailable, text);
        return Err(later(problem, RETRY_AFTER_SECONDS));
    };
    let body = request.into_body();
    let recipients: Vec<String> = envelope.recipients.iter().map(Mailbox::to_string).collect();
    let name = credentials.name.clone();
    let post = Post {
        client: peer.address,
        credentials,
        reverse_path: envelope.sender,
        recipients: envelope.recipients,
        priority: envelope.priority,
        content_octets: body.size_hint().exact(),
        content: Box::new(Content {
            body,
            ends: LineEnds::default(),
        }),
    };
    let receipt = api.submissions.taker.submit(post).await;
    let receipt = receipt.map_err(|refusal| refused(refusal, &recipients))?;
    let id = receipt.id.to_string();
    deed.note(|noted| {
        // It is a user's by now.
        noted.user = Some(audit::shown(&name));
        noted.message_id = Some(id.clone());
    });
    let refused = receipt.refused.iter();
    let refused = refused.filter_map(|(number, reply)| {
        Some(RefusedRecipient {
            recipient: recipients.get(*number)?.clone(),
            reply: reply.into(),
        })
    });
    let document = SubmittedDocument {
        class: receipt.class.number(),
        reply: (&receipt.reply).into(),
        refused: refused.collect(),
        id,
    };
    let location = format!("{PATH}/{}", document.id);
    Ok((
        StatusCode::CREATED,
        [(LOCATION, location)],
        axum::Json(document),
    )
        .into_response())
}

/// Hands a message over that a page has put together.
pub(super) async fn post(api: &Api, post: Post, recipients: &[String]) -> Result<Receipt, Problem> {
    let Some(_turn) = api.submissions.turn().await else {
        let text = "too many messages are coming in at once: try again in a few seconds";
        return Err(Problem::new(Kind::Unavailable, text));
    };
    let receipt = api.submissions.taker.submit(post).await;
    receipt.map_err(|refusal| problem(refusal, recipients))
}

/// Refuses what is not declared as a message.
fn takes(headers: &HeaderMap) -> Result<(), Problem> {
    let mut declared = headers.get_all(CONTENT_TYPE).iter();
    // Two fields could be read as two types.
    let media_type = declared
        .next()
        .filter(|_| declared.next().is_none())
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(MEDIA_TYPE)) {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "send the message itself, with `Content-Type: message/rfc822`",
        ));
    }
    // RFC 9110 §8.4: what it is before it is decoded is no message.
    if !is_as_it_is(headers) {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "send the message as it is, without `Content-Encoding`",
        ));
    }
    Ok(())
}

/// The content of a message, as its body comes.
struct Content {
    body: Body,
    ends: LineEnds,
}

impl PostedContent for Content {
    fn next(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Unreadable>> + Send + '_>> {
        Box::pin(async {
            loop {
                let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
                let Some(frame) = frame else {
                    self.ends.finish()?;
                    return Ok(None);
                };
                let frame = frame.map_err(|_| Unreadable::CutOff)?;
                match frame.into_data() {
                    Ok(octets) if !octets.is_empty() => return Ok(Some(self.ends.take(octets)?)),
                    // Trailer fields say nothing of a message.
                    _ => {}
                }
            }
        })
    }
}

/// How a refusal is answered. The recipients are those of the message.
fn refused(refusal: NotPosted, recipients: &[String]) -> Response {
    let retry_after = match &refusal {
        NotPosted::PutOff { retry_after, .. } => {
            Some(retry_after.map_or(RETRY_AFTER_SECONDS, |after| {
                after.as_secs() + u64::from(after.subsec_nanos() > 0)
            }))
        }
        _ => None,
    };
    let is_login = matches!(refusal, NotPosted::Login(_));
    let problem = problem(refusal, recipients);
    match retry_after {
        Some(seconds) => later(problem, seconds),
        None if is_login => NotLoggedIn(problem).into_response(),
        None => answered(problem),
    }
}

/// What was wrong with it. The recipients are those of the message.
fn problem(refusal: NotPosted, recipients: &[String]) -> Problem {
    match refusal {
        NotPosted::Login(reply) => {
            let text = "name or password is wrong, or the user is not active";
            said(Kind::LoginNeeded, text, &reply)
        }
        NotPosted::PutOff { reply, .. } => said(Kind::LoginPutOff, &reply.text, &reply),
        NotPosted::InClear => {
            let text = "a login from another machine is taken over an encrypted connection only, and this one is in \
                        clear: see \"HTTP\" in the manual";
            Problem::new(Kind::Unencrypted, text)
        }
        NotPosted::Closed(reply) | NotPosted::Refused(reply) => of_reply(&reply),
        NotPosted::Recipients(replies) => of_recipients(&replies, recipients),
        NotPosted::Content(Unreadable::CutOff) => {
            Problem::new(Kind::Malformed, "the body did not arrive whole")
        }
        NotPosted::Content(Unreadable::LineEnds(error)) => {
            let text = format!("the message cannot be read: {error}");
            Problem::new(Kind::MessageRefused, text)
        }
    }
}

/// The kind of problem that a reply to a message is.
fn kind(reply: &Reply) -> Kind {
    let subject = reply.enhanced.map(|status| status.subject);
    match reply.code {
        552 => Kind::TooLarge,
        500..600 if subject == Some(7) => Kind::NotPermitted,
        500..600 => Kind::MessageRefused,
        _ => Kind::Unavailable,
    }
}

/// A problem with what was said by SMTP.
fn said(kind: Kind, text: &str, reply: &Reply) -> Problem {
    Problem {
        reply: Some(reply.into()),
        ..Problem::new(kind, text.replace('\n', " "))
    }
}

fn of_reply(reply: &Reply) -> Problem {
    said(kind(reply), &reply.text, reply)
}

/// Everybody is refused: as the first one who may be taken later, or else as the first one.
fn of_recipients(replies: &[Reply], recipients: &[String]) -> Problem {
    let later = replies.iter().find(|reply| reply.is_transient());
    let Some(reply) = later.or(replies.first()) else {
        return Problem::new(Kind::Unavailable, "nobody was asked about the recipients");
    };
    let errors = replies.iter().enumerate().map(|(number, reply)| {
        let address = recipients.get(number).map_or("", String::as_str);
        FieldError::new(
            format!("recipient[{number}]"),
            format!("{address}: {reply}"),
        )
    });
    Problem {
        errors: errors.collect(),
        ..of_reply(reply)
    }
}

/// A problem; one that is over by itself says when.
fn answered(problem: Problem) -> Response {
    match problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16() {
        true => later(problem, RETRY_AFTER_SECONDS),
        false => problem.into_response(),
    }
}

fn later(problem: Problem, seconds: u64) -> Response {
    ([(RETRY_AFTER, seconds.to_string())], problem).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_reply_is_a_problem_of_its_kind() {
        for (code, enhanced, status) in [
            (550, (5, 7, 1), 403),
            (553, (5, 1, 7), 422),
            (550, (5, 6, 0), 422),
            (550, (5, 6, 11), 422),
            (554, (5, 4, 6), 422),
            (552, (5, 3, 4), 413),
            (452, (4, 3, 1), 503),
            (451, (4, 7, 1), 503),
            (421, (4, 3, 2), 503),
        ] {
            let reply = Reply::new(code, enhanced, "one\ntwo");
            let problem = of_reply(&reply);
            assert_eq!(
                (problem.status, problem.detail.as_str()),
                (status, "one two")
            );
            let said = problem.reply.unwrap();
            let (class, subject, detail) = enhanced;
            assert_eq!(said.code, code);
            assert_eq!(said.enhanced, Some(format!("{class}.{subject}.{detail}")));
            assert_eq!(said.text, "one\ntwo");
        }
        assert_eq!(of_reply(&Reply::plain(550, "no")).status, 422);
    }

    #[test]
    fn who_may_try_again_is_told_when() {
        let reply = || Reply::new(454, (4, 7, 0), "later");
        let put_off = |retry_after| {
            let reply = reply();
            refused(NotPosted::PutOff { reply, retry_after }, &[])
        };
        for (retry_after, field) in [
            (None, "5"),
            (Some(Duration::from_secs(60)), "60"),
            (Some(Duration::from_millis(1_001)), "2"),
        ] {
            let response = put_off(retry_after);
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()[RETRY_AFTER], field);
        }
        let closed = refused(NotPosted::Closed(reply()), &[]);
        assert_eq!(closed.status(), 503);
        assert_eq!(closed.headers()[RETRY_AFTER], "5");
        let never = refused(NotPosted::Refused(Reply::new(550, (5, 7, 1), "no")), &[]);
        assert!(never.headers().get(RETRY_AFTER).is_none());
    }

    #[test]
    fn of_recipients_who_are_all_refused_each_is_named_and_one_who_may_be_taken_later_decides() {
        let never = || Reply::new(553, (5, 1, 3), "no such thing");
        let later = || Reply::new(452, (4, 5, 3), "too many");
        let addresses = ["a@b.example".to_owned(), "c@d.example".to_owned()];
        let problem = of_recipients(&[never(), never()], &addresses);
        assert_eq!(problem.status, 422);
        let said: Vec<_> = problem
            .errors
            .iter()
            .map(|error| (error.field.as_str(), error.detail.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                ("recipient[0]", "a@b.example: 553 5.1.3 no such thing"),
                ("recipient[1]", "c@d.example: 553 5.1.3 no such thing"),
            ]
        );
        assert_eq!(of_recipients(&[never(), later()], &addresses).status, 503);
    }
}
