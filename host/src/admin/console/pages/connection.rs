//! How mail clients connect, ready to be copied, and a test message that shows that they can.

mod examples;

use std::pin::Pin;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use outpost_smtp::{Credentials, Mailbox, ReversePath};

use super::users as user_page;
use crate::account::Scope;
use crate::admin::connection::{self, Certificate, Connection, Encryption};
use crate::admin::console::fields::Fields;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts::{self, Field};
use crate::admin::console::refusal::{OrPage as _, Refusal, Shown, go_to};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{NoQuery, QueryString};
use crate::admin::problem::FieldError;
use crate::admin::server::Peer;
use crate::admin::users::{self, UsersDocument, UsersQuery};
use crate::admin::{audit, within_path};
use crate::message::{Post, PostedContent, Unreadable};

/// As many users are shown as one looks through; all have a page of their own.
const USERS_SHOWN: &str = "20";
/// Rules of a user that are shown.
const RULES_SHOWN: usize = 3;

/// What was entered for a test message.
#[derive(Default)]
struct Entered {
    user: String,
    sender: String,
    recipient: String,
}

pub(super) async fn show(visitor: Visitor) -> Shown {
    Ok(page(&visitor, &Entered::default(), &[]).await)
}

async fn page(visitor: &Visitor, entered: &Entered, errors: &[FieldError]) -> Markup {
    let state = State(visitor.api.clone());
    let axum::Json(connection) = connection::show(visitor.reader(), NoQuery, state).await;
    let query = UsersQuery {
        limit: Some(USERS_SHOWN.to_owned()),
        ..UsersQuery::default()
    };
    let state = State(visitor.api.clone());
    let users = users::list(visitor.reader(), state, QueryString(query)).await;
    let texts = visitor.texts;
    let body = html! {
        p.lead { (texts.say("connection-lead")) }
        (recommended(texts, &connection))
        (every_way(texts, &connection))
        // Whoever comes for a setting can do without.
        @if let Ok(axum::Json(users)) = &users { (who(visitor, users)) }
        h2 #examples { (texts.say("connection-examples")) }
        p { (texts.say("connection-examples-lead")) }
        @if connection.certificate == Certificate::SelfSigned {
            p { (texts.say("connection-examples-file")) }
        }
        @if let Some(recommended) = &connection.recommended {
            @for example in examples::all(recommended, connection.certificate) {
                details {
                    summary { (texts.say(example.key)) }
                    @if let Some(hint) = example.hint { p { (texts.say(hint)) } }
                    (parts::copied_block(texts, &texts.say(example.key), &example.text))
                }
            }
        }
        h2 #test { (texts.say("test-message")) }
        p { (texts.say("test-lead")) }
        (test_form(visitor, entered, errors))
    };
    layout::page(visitor, &Frame::narrow(texts.say("nav-connection")), &body)
}

/// Who has a name and a password for all this, disabled ones as well.
fn who(visitor: &Visitor, users: &UsersDocument) -> Markup {
    let texts = visitor.texts;
    html! {
        h2 { (texts.say("connection-users")) }
        @if users.users.is_empty() {
            p.empty { (texts.say("connection-users-none")) }
        } @else {
            table.cards {
                thead { tr {
                    th scope="col" { (texts.say("user-name")) }
                    th scope="col" { (texts.say("state")) }
                    th scope="col" { (texts.say("user-rules")) }
                } }
                tbody { @for user in &users.users { tr .dim[!user.active] {
                    th scope="row" { a href=(user_page::path(&user.name)) { (user.name) } }
                    td data-label=(texts.say("state")) { (user_page::state(texts, user)) }
                    td.rules data-label=(texts.say("user-rules")) { (user_page::rules(texts, user, RULES_SHOWN)) }
                } } }
            }
        }
        p {
            @if users.cursor.is_some() { a.button href="/users" { (texts.say("connection-users-all")) } }
            @else if visitor.may(Scope::Admin) { a.button href="/users/new" { (texts.say("user-add")) } }
        }
    }
}

fn encryption(texts: &'static Texts, encryption: Encryption) -> String {
    texts.say(match encryption {
        Encryption::Starttls => "encryption-starttls",
        Encryption::Tls => "encryption-tls",
    })
}

fn recommended(texts: &'static Texts, connection: &Connection) -> Markup {
    html! {
        section.card aria-labelledby="recommended" {
            h2 #recommended { (texts.say("connection-recommended")) }
            @if let Some(recommended) = &connection.recommended {
                dl.facts {
                    dt { (texts.say("connection-host")) } dd { (parts::copied(texts, &recommended.host)) }
                    dt { (texts.say("connection-port")) } dd { (parts::copied(texts, &recommended.port.to_string())) }
                    dt { (texts.say("connection-encryption")) } dd { (encryption(texts, recommended.encryption)) }
                    dt { (texts.say("connection-login")) } dd { (texts.say("connection-login-how")) }
                }
            } @else {
                p.warn { (texts.say("connection-none")) }
            }
            @if connection.certificate == Certificate::SelfSigned {
                p.hint { (texts.say("connection-self-signed")) }
            }
        }
    }
}

fn every_way(texts: &'static Texts, connection: &Connection) -> Markup {
    let addresses: Vec<String> = connection
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    html! {
        h2 { (texts.say("connection-ports")) }
        table {
            thead { tr {
                th scope="col" { (texts.say("connection-port")) }
                th scope="col" { (texts.say("connection-encryption")) }
            } }
            tbody { @for range in &connection.ports { tr {
                td { @if range.first == range.last { (range.first) } @else { (range.first) "–" (range.last) } }
                td { (encryption(texts, range.encryption)) }
            } } }
        }
        p.hint {
            (texts.with("connection-listens", &[("host", (&connection.host).into()), ("addresses", (&addresses.join(", ")).into())]))
            @if connection.plaintext_login { " " (texts.say("connection-plaintext")) }
        }
    }
}

fn test_form(visitor: &Visitor, entered: &Entered, errors: &[FieldError]) -> Markup {
    let texts = visitor.texts;
    let field = |name: &'static str, label: &str, hint: Option<&str>, value| Field {
        name,
        label: texts.say(label),
        hint: hint.map(|key| texts.say(key)),
        value,
        problems: errors,
    };
    let shown = ["user", "password", "sender", "recipient"];
    html! {
        (parts::problems_beside(errors, &shown))
        form.card method="post" action="/connection/test" {
            (parts::form_token(visitor))
            (field("user", "user-name", None, &entered.user).line())
            (field("password", "secret-password", Some("test-password-hint"), "").input("password"))
            (field("sender", "test-from", Some("test-from-hint"), &entered.sender).input("email"))
            (field("recipient", "test-to", None, &entered.recipient).input("email"))
            button.primary type="submit" { (texts.say("test-send")) }
        }
    }
}

/// Submits a message as its user would, and goes to where what becomes of it is seen.
pub(super) async fn test(peer: Peer, submitted: Submitted) -> Shown<Response> {
    let Submitted {
        visitor,
        fields,
        deed,
    } = submitted;
    visitor.operator().or_page(&visitor)?;
    deed.note(|noted| noted.action = Some("send-test-message"));
    let entered = Entered {
        user: fields.text("user").trim().to_owned(),
        sender: fields.text("sender").trim().to_owned(),
        recipient: fields.text("recipient").trim().to_owned(),
    };
    let errors = match post(&visitor, peer, &entered, &fields) {
        Ok((post, recipients)) => {
            let posted = crate::admin::submission::post(&visitor.api, post, &recipients).await;
            match posted {
                Ok(receipt) => {
                    let id = receipt.id.to_string();
                    deed.note(|noted| {
                        noted.user = Some(audit::shown(&entered.user));
                        noted.message_id = Some(id.clone());
                    });
                    return Ok(go_to(&format!("/messages/{}", within_path(&id))));
                }
                Err(problem) if problem.status >= 500 => {
                    return Err(Refusal::problem(&visitor, problem));
                }
                Err(problem) => {
                    let said = problem.reply.as_ref().map(|reply| {
                        let enhanced = reply.enhanced.as_deref().unwrap_or_default();
                        format!("{} {enhanced} {}", reply.code, reply.text)
                    });
                    vec![FieldError::new(
                        visitor.texts.say("test-refused"),
                        said.unwrap_or(problem.detail),
                    )]
                }
            }
        }
        Err(errors) => errors,
    };
    let page = page(&visitor, &entered, &errors).await;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

fn post(
    visitor: &Visitor,
    peer: Peer,
    entered: &Entered,
    fields: &Fields,
) -> Result<(Post, Vec<String>), Vec<FieldError>> {
    let texts = visitor.texts;
    let mut errors = Vec::new();
    let mut mailbox = |name: &str, text: &str| {
        let parsed = Mailbox::parse(text, true).ok();
        if parsed.is_none() {
            errors.push(FieldError::new(name, texts.say("test-no-address")));
        }
        parsed
    };
    let sender = mailbox("sender", &entered.sender);
    let recipient = mailbox("recipient", &entered.recipient);
    let (Some(sender), Some(recipient)) = (sender, recipient) else {
        return Err(errors);
    };
    let now = visitor.api.clock.now();
    let content = format!(
        "From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: Outpost test message\r\nDate: {}\r\n\
         Message-ID: <{}@outpost.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         This message was sent from the console of the relay to see that mail arrives.\r\n",
        now.to_rfc5322(),
        now.unix_milliseconds(),
    );
    let recipients = vec![recipient.to_string()];
    let post = Post {
        client: peer.address,
        credentials: Credentials::new(&entered.user, fields.text("password")),
        reverse_path: ReversePath::Mailbox(sender),
        recipients: vec![recipient],
        priority: None,
        content_octets: None,
        content: Box::new(Whole(Some(Bytes::from(content)))),
    };
    Ok((post, recipients))
}

/// A content in one piece.
struct Whole(Option<Bytes>);

impl PostedContent for Whole {
    fn next(
        &mut self,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Unreadable>> + Send + '_>> {
        let piece = self.0.take();
        Box::pin(async move { Ok(piece) })
    }
}
