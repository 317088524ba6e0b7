//! Users and lists as a whole: a file of them all, and one that is read in, looked at before anything is done.
//!
//! The lines stand in the page that asks, so that what is confirmed is what was looked at; nothing is kept between.

use std::sync::Arc;

use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::parts as ways;
use crate::admin::Api;
use crate::admin::accounts::{self, ImportInput, ImportedAccount, ImportedAccounts, StepDone};
use crate::admin::audit::Deed;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::pages::IMPORT_PATH;
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown, status_of};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::{FORM_TOKEN, Visitor, is_from_here};
use crate::admin::extract::BODY_OCTETS_MAX;
use crate::admin::problem::{FieldError, Kind, Problem};

/// Fields of a form: the token, the file or its lines, and what is ticked.
const FIELDS_MAX: usize = 6;

/// What a form brought.
#[derive(Default)]
struct Sent {
    token: String,
    lines: String,
    is_update: bool,
    is_confirmed: bool,
}

pub(in crate::admin::console::pages) async fn show(visitor: Visitor) -> Shown {
    visitor.administrator().or_page(&visitor)?;
    Ok(page(&visitor, &form(&visitor, &[])))
}

fn page(visitor: &Visitor, body: &Markup) -> Markup {
    let texts = visitor.texts;
    let body = html! { (ways(visitor)) (body) };
    layout::page(visitor, &Frame::new(texts.say("system-accounts")), &body)
}

fn form(visitor: &Visitor, errors: &[FieldError]) -> Markup {
    let texts = visitor.texts;
    html! {
        h2 { (texts.say("accounts-export")) }
        p { (texts.say("accounts-export-lead")) }
        p { a.button href="/system/accounts/export" { (texts.say("accounts-export-do")) } }
        h2 { (texts.say("accounts-import")) }
        @if !errors.is_empty() {
            div.notice.failed role="alert" {
                p { strong { (texts.say("accounts-wrong")) } }
                ul { @for error in errors { li { (error.detail) } } }
            }
        }
        form.card method="post" action=(IMPORT_PATH) enctype="multipart/form-data" {
            (parts::form_token(visitor))
            div.field {
                label for="file" { (texts.say("accounts-file")) }
                input #file type="file" name="file" required aria-describedby="file-hint";
                p.hint #file-hint { (texts.say("accounts-file-hint")) }
            }
            label.choice { input type="checkbox" name="update" value="yes"; " " (texts.say("accounts-update")) }
            button.primary type="submit" { (texts.say("accounts-look")) }
        }
    }
}

/// Reads a file in: first only what it would come to, then, when that is confirmed, does it.
pub(in crate::admin::console::pages) async fn import(
    visitor: Visitor,
    deed: Deed,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Shown<Response> {
    is_from_here(request.headers()).or_page(&visitor)?;
    let caller = visitor.administrator().or_page(&visitor)?;
    let form_sent = Multipart::from_request(request, &api).await;
    let form_sent = form_sent.map_err(|rejection| unreadable(rejection.status()));
    let sent = read(form_sent.or_page(&visitor)?).await.or_page(&visitor)?;
    visitor.check_form_token(&sent.token).or_page(&visitor)?;
    let input = ImportInput {
        lines: sent.lines,
        update: sent.is_update,
        dry_run: !sent.is_confirmed,
    };
    let done = accounts::carry_out(&api, &caller.0, &deed, &input).await;
    Ok(match done {
        Ok(done) if done.dry_run => {
            page(&visitor, &foreseen(&visitor, &input, &done)).into_response()
        }
        Ok(done) => page(&visitor, &told(&visitor, &done)).into_response(),
        Err(problem) if problem.errors.is_empty() => return Err(problem).or_page(&visitor),
        Err(problem) => {
            let page = page(&visitor, &form(&visitor, &problem.errors));
            (status_of(&problem), page).into_response()
        }
    })
}

async fn read(mut form: Multipart) -> Result<Sent, Problem> {
    let mut sent = Sent::default();
    for _ in 0..FIELDS_MAX {
        let field = form.next_field().await;
        let Some(field) = field.map_err(|error| unreadable(error.status()))? else {
            break;
        };
        let name = field.name().unwrap_or_default().to_owned();
        let octets = field.bytes().await;
        let octets = octets.map_err(|error| unreadable(error.status()))?;
        if octets.len() > BODY_OCTETS_MAX {
            return Err(unreadable(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let text = String::from_utf8(octets.into());
        let text = text.map_err(|_| Problem::field("lines", "the file is not UTF-8"))?;
        match name.as_str() {
            FORM_TOKEN => sent.token = text,
            "file" | "lines" => sent.lines = text,
            "update" => sent.is_update = true,
            "confirmed" => sent.is_confirmed = true,
            _ => {}
        }
    }
    Ok(sent)
}

fn unreadable(status: StatusCode) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            Kind::TooLarge,
            format!(
                "a file may have at most {BODY_OCTETS_MAX} octets here: split it, or use `outpost user import`, which takes \
                 any size"
            ),
        ),
        _ => Problem::new(Kind::Malformed, "the form did not arrive whole"),
    }
}

/// What it would come to, line by line, and the way to do it.
fn foreseen(visitor: &Visitor, input: &ImportInput, done: &ImportedAccounts) -> Markup {
    let texts = visitor.texts;
    let count = |wanted| done.steps.iter().filter(|step| step.done == wanted).count();
    let (added, changed) = (count(StepDone::Added), count(StepDone::Changed));
    let values = [
        ("added", added.into()),
        ("changed", changed.into()),
        ("differing", count(StepDone::Differs).into()),
    ];
    html! {
        h2 { (texts.say("accounts-import")) }
        @if done.steps.is_empty() {
            p.empty { (texts.say("accounts-nothing")) }
        } @else {
            p.lead { (texts.with("accounts-foreseen", &values)) }
            (table(texts, done))
        }
        form.card method="post" action=(IMPORT_PATH) enctype="multipart/form-data" {
            (parts::form_token(visitor))
            input type="hidden" name="confirmed" value="yes";
            @if input.update { input type="hidden" name="update" value="yes"; }
            textarea name="lines" hidden { "\n" (input.lines) }
            button.primary type="submit" disabled[added + changed == 0] { (texts.say("ask-do-it")) }
            " "
            a.button href=(IMPORT_PATH) { (texts.say("back")) }
        }
    }
}

/// What was done, with the passwords that were made.
fn told(visitor: &Visitor, done: &ImportedAccounts) -> Markup {
    let texts = visitor.texts;
    let is_whole = !done.steps.iter().any(|step| step.done == StepDone::Refused);
    let has_passwords = done.steps.iter().any(|step| step.password.is_some());
    html! {
        @if is_whole {
            div.notice.done role="status" { p { (texts.say("accounts-done")) } }
        } @else {
            div.notice.failed role="alert" { p { (texts.say("accounts-broken-off")) } }
        }
        @if has_passwords { p.warn { (texts.say("accounts-passwords")) } }
        (table(texts, done))
        p { a.button href="/users" { (texts.say("nav-users")) } }
    }
}

fn table(texts: &'static Texts, done: &ImportedAccounts) -> Markup {
    let has_passwords = done.steps.iter().any(|step| step.password.is_some());
    html! {
        div.scroll tabindex="0" role="region" aria-label=(texts.say("accounts-import")) {
            table {
                thead { tr {
                    th scope="col" { (texts.say("accounts-line")) }
                    th scope="col" { (texts.say("accounts-what")) }
                    th scope="col" { (texts.say("accounts-becomes")) }
                    @if has_passwords { th scope="col" { (texts.say("secret-password")) } }
                } }
                tbody { @for step in &done.steps { tr {
                    td { (step.line) }
                    th scope="row" { (about(texts, step)) }
                    td { (becomes(texts, step, done.dry_run)) }
                    @if has_passwords {
                        td { @if let Some(password) = &step.password { (parts::copied(texts, password)) } }
                    }
                } } }
            }
        }
    }
}

fn about(texts: &'static Texts, step: &ImportedAccount) -> String {
    match (&step.list, &step.user) {
        (Some(list), _) => texts.with("accounts-list", &[("name", list.into())]),
        (None, user) => {
            let name = user.as_deref().unwrap_or_default();
            texts.with("accounts-user", &[("name", name.into())])
        }
    }
}

fn becomes(texts: &'static Texts, step: &ImportedAccount, dry_run: bool) -> Markup {
    let key = match (step.done, dry_run) {
        (StepDone::Added, true) => "accounts-would-add",
        (StepDone::Added, false) => "accounts-added",
        (StepDone::Changed, true) => "accounts-would-change",
        (StepDone::Changed, false) => "accounts-changed",
        (StepDone::Differs, _) => "accounts-differs",
        (StepDone::Refused, _) => "accounts-refused",
        (StepDone::NotDone, _) => "accounts-not-done",
    };
    html! {
        (texts.say(key))
        @if !step.fields.is_empty() { ": " (step.fields.join(", ")) }
        @if let Some(problem) = &step.problem { ": " span.warn { (problem) } }
    }
}

/// The file of them all.
pub(in crate::admin::console::pages) async fn export(visitor: Visitor) -> Shown<Response> {
    visitor.administrator().or_page(&visitor)?;
    let lines = accounts::lines(Arc::clone(&visitor.api)).await;
    let lines = lines.or_page(&visitor)?;
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"accounts.jsonl\"",
        ),
    ];
    Ok((headers, lines).into_response())
}
