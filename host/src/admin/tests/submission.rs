//! Submitting a message over HTTP, with a stand-in for whoever takes it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::http::request::Builder;
use base64::Engine as _;
use hyper::body::Frame;
use outpost_smtp::{Reply, ReversePath};
use serde_json::json;

use super::contract::{described, fits, operation};
use super::{Answered, Surface};
use crate::admin::server::Peer;
use crate::admin::submission::Submit;
use crate::message::{Class, MessageId, NotPosted, Post, Receipt};

/// Takes messages, or says what it was told to.
#[derive(Default)]
pub(super) struct Desk {
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<VecDeque<Result<Receipt, NotPosted>>>,
}

/// A message that came whole.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    client: String,
    login: (String, String),
    sender: String,
    recipients: Vec<String>,
    priority: Option<String>,
    octets: Option<u64>,
    content: String,
}

impl Desk {
    fn answer(&self, answer: Result<Receipt, NotPosted>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    async fn take(&self, mut post: Post) -> Result<Receipt, NotPosted> {
        let mut content = Vec::new();
        while let Some(piece) = post.content.next().await.map_err(NotPosted::Content)? {
            content.extend_from_slice(&piece);
        }
        self.seen.lock().unwrap().push(Seen {
            client: post.client.to_string(),
            login: (
                post.credentials.name.clone(),
                post.credentials.password.clone(),
            ),
            sender: match &post.reverse_path {
                ReversePath::Null => String::new(),
                ReversePath::Mailbox(mailbox) => mailbox.to_string(),
            },
            recipients: post.recipients.iter().map(ToString::to_string).collect(),
            priority: post.priority,
            octets: post.content_octets,
            content: String::from_utf8(content).unwrap(),
        });
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| Ok(receipt(Vec::new())))
    }
}

impl Submit for Desk {
    fn submit(
        &self,
        post: Post,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, NotPosted>> + Send + '_>> {
        Box::pin(self.take(post))
    }
}

fn receipt(refused: Vec<(usize, Reply)>) -> Receipt {
    Receipt {
        id: MessageId::from_bits(1),
        class: Class::High,
        reply: Reply::new(250, (2, 0, 0), "Queued"),
        refused,
    }
}

const QUERY: &str = "sender=ann@a.example&recipient=bob@d.example";
const LETTER: &str = "From: ann@a.example\r\n\r\nhello\r\n";

/// A request of ann that has everything but a body.
fn request(query: &str) -> Builder {
    let login = base64::prelude::BASE64_STANDARD.encode("ann:secret");
    Request::post(format!("/api/v1/messages?{query}"))
        .extension(Peer::new("192.0.2.7:40000".parse().unwrap()))
        .header("authorization", format!("Basic {login}"))
        .header("content-type", "message/rfc822")
}

async fn submit(surface: &Surface, query: &str, content: &str) -> Answered {
    let body = Body::from(content.to_owned());
    surface.send(request(query).body(body).unwrap()).await
}

/// Checks that an answer is as it is described.
async fn as_described(surface: &Surface, answered: &Answered) {
    let document = described(surface).await;
    let responses = &operation(&document, "POST /api/v1/messages")["responses"];
    let response = &responses[answered.status.to_string()];
    let media = answered.header("content-type");
    let schema = &response["content"][media]["schema"];
    assert!(schema.is_object(), "{} as {media}", answered.status);
    fits(&document, schema, &answered.json(), "POST /api/v1/messages");
}

#[tokio::test]
async fn a_message_is_handed_over_with_its_envelope_and_answered_with_its_id() {
    let surface = Surface::start().await;
    let query =
        "sender=ann%2Bx@a.example&recipient=bob@d.example&priority=1&recipient=zo%C3%AB@e.example";
    let refused = Reply::new(452, (4, 5, 3), "Too many recipients");
    surface.desk.answer(Ok(receipt(vec![(1, refused)])));
    let answered = submit(&surface, query, LETTER).await;
    assert_eq!(answered.status, 201, "{}", answered.text);
    let id = MessageId::from_bits(1).to_string();
    assert_eq!(
        answered.header("location"),
        format!("/api/v1/messages/{id}")
    );
    assert_eq!(
        answered.json(),
        json!({
            "id": id, "class": 2,
            "reply": {"code": 250, "enhanced": "2.0.0", "text": "Queued"},
            "refused": [{
                "recipient": "zo\u{eb}@e.example",
                "reply": {"code": 452, "enhanced": "4.5.3", "text": "Too many recipients"},
            }],
        })
    );
    as_described(&surface, &answered).await;
    assert_eq!(
        surface.desk.seen(),
        [Seen {
            client: "192.0.2.7:40000".to_owned(),
            login: ("ann".to_owned(), "secret".to_owned()),
            sender: "ann+x@a.example".to_owned(),
            recipients: vec!["bob@d.example".to_owned(), "zo\u{eb}@e.example".to_owned()],
            priority: Some("1".to_owned()),
            octets: Some(LETTER.len() as u64),
            content: LETTER.to_owned(),
        }]
    );
}

#[tokio::test]
async fn a_body_has_lines_that_all_end_alike_and_comes_in_any_pieces() {
    let surface = Surface::start().await;
    let pieces = |content: &str| {
        let pieces = content.as_bytes().chunks(3);
        let pieces = pieces.map(|piece| Ok(Bytes::copy_from_slice(piece)));
        Body::new(Pieces(pieces.collect()))
    };
    for content in [LETTER.to_owned(), LETTER.replace("\r\n", "\n")] {
        let request = request(QUERY).body(pieces(&content)).unwrap();
        assert_eq!(surface.send(request).await.status, 201);
        let seen = surface.desk.seen().remove(0);
        assert_eq!((seen.content.as_str(), seen.octets), (LETTER, None));
    }
    for mixed in ["a\r\nb\n", "a\nb\r\n", "a\rb\r\n", "a\n\r"] {
        let refused = submit(&surface, QUERY, mixed).await;
        assert_eq!(refused.status, 422, "{mixed:?}");
        let problem = refused.json();
        assert_eq!(problem["type"], "urn:outpost:problem:message-refused");
        assert_eq!(
            problem["detail"],
            "the message cannot be read: its lines must all end with CRLF, or all with LF"
        );
        as_described(&surface, &refused).await;
    }
    let gone = Err(io::Error::other("gone"));
    let broken = Body::new(Pieces([Ok(Bytes::from_static(b"From: ")), gone].into()));
    let refused = surface.send(request(QUERY).body(broken).unwrap()).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["detail"], "the body did not arrive whole");
    assert!(surface.desk.seen().is_empty());
}

#[tokio::test]
async fn who_has_no_login_is_asked_for_one_and_a_token_is_none() {
    let surface = Surface::start().await;
    let bearer = format!("Bearer {}", surface.admin);
    for authorization in [
        None,
        Some("Basic !"),
        Some("Basic YW5u"),
        Some(bearer.as_str()),
    ] {
        let mut request = Request::post(format!("/api/v1/messages?{QUERY}"))
            .extension(Peer::new("192.0.2.7:40000".parse().unwrap()))
            .header("content-type", "message/rfc822");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let refused = surface
            .send(request.body(Body::from(LETTER)).unwrap())
            .await;
        assert_eq!(refused.status, 401, "{authorization:?}");
        assert_eq!(refused.json()["type"], "urn:outpost:problem:login-needed");
        assert_eq!(
            refused.header("www-authenticate"),
            "Basic realm=\"outpost\", charset=\"UTF-8\""
        );
        as_described(&surface, &refused).await;
    }
    assert!(surface.desk.seen().is_empty());
}

#[tokio::test]
async fn what_is_no_envelope_or_no_message_is_refused_before_anything_is_read() {
    let surface = Surface::start().await;
    for (query, fields) in [
        ("", vec!["sender", "recipient"]),
        ("sender=ann@a.example", vec!["recipient"]),
        ("recipient=bob@d.example", vec!["sender"]),
        ("sender=ann&recipient=bob", vec!["sender", "recipient[0]"]),
        (&format!("{QUERY}&colour=red&to=x"), vec!["colour", "to"]),
        (&format!("{QUERY}&sender=a@b.example"), vec!["sender"]),
    ] {
        let refused = submit(&surface, query, LETTER).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (422, fields.iter().map(ToString::to_string).collect()),
            "{query}"
        );
        as_described(&surface, &refused).await;
    }
    assert_eq!(submit(&surface, "sender=%ff", LETTER).await.status, 400);
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-type", "text/plain; x=message/rfc822"),
        ("content-encoding", "gzip"),
    ] {
        let mut wrong = request(QUERY).body(Body::from(LETTER)).unwrap();
        wrong.headers_mut().insert(name, value.parse().unwrap());
        let refused = surface.send(wrong).await;
        assert_eq!(refused.status, 415, "{value}");
        as_described(&surface, &refused).await;
    }
    assert!(surface.desk.seen().is_empty());
    let mut with_parameters = request(QUERY).body(Body::from(LETTER)).unwrap();
    let value = "Message/RFC822; charset=utf-8".parse().unwrap();
    with_parameters.headers_mut().insert("content-type", value);
    assert_eq!(surface.send(with_parameters).await.status, 201);
}

#[tokio::test]
async fn each_refusal_has_its_status_and_the_reply() {
    let surface = Surface::start().await;
    let reply = |code, enhanced| Reply::new(code, enhanced, "Words");
    for (refusal, status, kind) in [
        (NotPosted::Login(reply(535, (5, 7, 8))), 401, "login-needed"),
        (NotPosted::InClear, 403, "unencrypted"),
        (
            NotPosted::Refused(reply(550, (5, 7, 1))),
            403,
            "not-permitted",
        ),
        (NotPosted::Refused(reply(552, (5, 3, 4))), 413, "too-large"),
        (
            NotPosted::Refused(reply(550, (5, 6, 0))),
            422,
            "message-refused",
        ),
        (
            NotPosted::Recipients(vec![reply(553, (5, 1, 3))]),
            422,
            "message-refused",
        ),
        (
            NotPosted::PutOff {
                reply: reply(454, (4, 7, 0)),
                retry_after: Some(Duration::from_secs(60)),
            },
            429,
            "login-put-off",
        ),
        (
            NotPosted::Refused(reply(451, (4, 3, 0))),
            503,
            "unavailable",
        ),
        (NotPosted::Closed(reply(421, (4, 3, 2))), 503, "unavailable"),
    ] {
        let has_reply = refusal != NotPosted::InClear;
        surface.desk.answer(Err(refusal.clone()));
        let refused = submit(&surface, QUERY, LETTER).await;
        assert_eq!(refused.status, status, "{refusal:?}");
        let problem = refused.json();
        assert_eq!(problem["type"], format!("urn:outpost:problem:{kind}"));
        assert_eq!(problem["reply"]["text"] == "Words", has_reply, "{problem}");
        let is_later = matches!(status, 429 | 503);
        assert_eq!(
            !refused.header("retry-after").is_empty(),
            is_later,
            "{status}"
        );
        let is_asked = !refused.header("www-authenticate").is_empty();
        assert_eq!(is_asked, status == 401);
        as_described(&surface, &refused).await;
    }
}

/// A body of these pieces, whose length is not known.
struct Pieces(VecDeque<io::Result<Bytes>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(|piece| piece.map(Frame::data)))
    }
}
