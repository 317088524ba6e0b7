//! Logging in and out.
//!
//! Guesses are slowed and refused where every login is (`auth`), under a name that no user can have, so that nobody who
//! guesses at users shuts out an admin of the same name, nor the other way round.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use form_urlencoded::parse;
use maud::{Markup, html};

use super::refusal::{Refusal, go_to};
use super::texts::Texts;
use super::visit::{self, Client, Submitted, Visitor};
use super::{layout, parts};
use crate::admin::Api;
use crate::admin::audit::{self, Deed};
use crate::admin::problem::Problem;
use crate::auth::Verification;
use crate::directory::Login;

/// What stands before an admin's name where logins are told apart: no user's name starts so.
const GUESSED_AS: &str = "(admin) ";

/// The form.
pub(super) async fn show(visitor: Result<Visitor, Refusal>, request: Request) -> Response {
    let texts = visit::texts(request.headers());
    let next = next(request.uri().query().unwrap_or_default());
    match visitor {
        Ok(_) => go_to(&next),
        Err(_) => form(texts, &next, "", None).into_response(),
    }
}

/// Begins a session for who has the password.
pub(super) async fn log_in(State(api): State<Arc<Api>>, request: Request) -> Response {
    match attempt(&api, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn attempt(api: &Arc<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    visit::is_from_here(&parts.headers)?;
    let client = Client::of(&parts.extensions)?;
    let texts = visit::texts(&parts.headers);
    let deed = parts.extensions.get::<Deed>().cloned().unwrap_or_default();
    let fields = visit::fields(Request::from_parts(parts, body), api).await?;
    let (name, password) = (fields.text("name").trim(), fields.text("password"));
    let next = safe_path(fields.text("next"));
    let now = api.clock.now();
    let admin = api.directory.admin(name);
    deed.note(|noted| {
        noted.action = Some("log-in");
        // What is nobody's name may be a password that was typed one field too early.
        noted.admin = admin.as_ref().map(|admin| audit::shown(&admin.name));
    });
    let guessed = format!("{GUESSED_AS}{}", name.to_ascii_lowercase());
    let stored = admin.as_ref().map(|admin| &admin.password_hash);
    let verified = api
        .auth
        .verify(&guessed, stored, password.as_bytes(), client.address, now);
    let key = match verified.await {
        Verification::Verified => None,
        Verification::Refused => Some("log-in-refused"),
        Verification::Throttled { .. } => Some("log-in-put-off"),
    };
    let (None, Some(admin)) = (key, admin) else {
        let (key, status) = match key {
            Some("log-in-put-off") => ("log-in-put-off", StatusCode::TOO_MANY_REQUESTS),
            _ => ("log-in-refused", StatusCode::UNAUTHORIZED),
        };
        deed.note(|noted| noted.is_login_failed = true);
        let said = texts.say(key);
        return Ok((status, form(texts, &next, name, Some(&said))).into_response());
    };
    deed.note(|noted| {
        noted.by = Some(admin.name.clone());
        noted.login = Some(Login::Console);
    });
    if let Err(error) = api.directory.record_admin_login(&admin.name, now).await {
        // Whoever is to make room on a full disk has to get in.
        tracing::warn!(%error, "the login of an admin could not be written down");
    }
    let secret = api.sessions.begin(&admin, now);
    let secret = secret.map_err(|error| Problem::internal("beginning a session", &error))?;
    Ok(([(SET_COOKIE, client.set_cookie(&secret))], go_to(&next)).into_response())
}

/// Ends the session.
pub(super) async fn log_out(client: Client, submitted: Submitted) -> Response {
    submitted.deed.note(|noted| noted.action = Some("log-out"));
    submitted.visitor.leave();
    ([(SET_COOKIE, client.set_cookie(""))], go_to("/login")).into_response()
}

/// Where to go on, as the query of the form says.
fn next(query: &str) -> String {
    let mut pairs = parse(query.as_bytes());
    let next = pairs.find(|(name, _)| name == "next");
    safe_path(&next.map(|(_, path)| path).unwrap_or_default())
}

/// A path of ours: what leads elsewhere leads to the start.
fn safe_path(path: &str) -> String {
    let is_ours = path.starts_with('/')
        && !path.starts_with("//")
        && path
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    if is_ours { path } else { "/" }.to_owned()
}

fn form(texts: &'static Texts, next: &str, name: &str, problem: Option<&str>) -> Markup {
    let field = |key: &str, name: &'static str, value| parts::Field {
        name,
        label: texts.say(key),
        hint: None,
        value,
        problems: &[],
    };
    layout::document(
        texts,
        &texts.say("log-in"),
        &html! {
            body.login {
                main {
                    h1 { "Outpost" }
                    p.lead { (texts.say("log-in-lead")) }
                    @if let Some(problem) = problem { div.notice.failed role="alert" { p { (problem) } } }
                    form method="post" action="/login" {
                        input type="hidden" name="next" value=(next);
                        (field("log-in-name", "name", name).credential("text", "username", name.is_empty()))
                        (field("log-in-password", "password", "").credential("password", "current-password", !name.is_empty()))
                        button.primary type="submit" { (texts.say("log-in")) }
                    }
                    p.hint { (texts.say("log-in-hint")) " " code { "outpost admin reset-password" } }
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_on_leads_nowhere_else() {
        for (path, expected) in [
            ("/users?name=a%20b", "/users?name=a%20b"),
            ("", "/"),
            ("users", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
        ] {
            assert_eq!(safe_path(path), expected, "{path}");
        }
        assert_eq!(next("next=%2Fusers"), "/users");
        assert_eq!(next("next=%2F%2Fevil.example"), "/");
    }
}
