//! What a user may send as, and what the policy components say about one address.

use axum::extract::State;
use maud::{Markup, html};

use super::path;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::refusal::{OrPage as _, Shown};
use crate::admin::console::visit::Visitor;
use crate::admin::extract::{QueryString, Segment};
use crate::admin::senders::{self, UserSendersQuery, VerdictDocument, VerdictName};

pub(in crate::admin::console::pages) async fn show(
    visitor: Visitor,
    Segment(name): Segment,
    QueryString(query): QueryString<UserSendersQuery>,
) -> Shown {
    let asked = query.sender.clone().unwrap_or_default();
    let state = State(visitor.api.clone());
    let found = senders::show(visitor.reader(), state, Segment(name), QueryString(query)).await;
    let axum::Json(page) = found.or_page(&visitor)?;
    let texts = visitor.texts;
    let body = html! {
        @if let Some(warning) = &page.warning { div.notice.warning role="status" { p { (warning) } } }
        ul { @for rule in &page.rules { li { (rule.text) " " span.small { (rule.example) } } } }
        p.hint { (page.rests_on.text) }
        h2 { (texts.say("may-send-as-test")) }
        form.filters method="get" action=(format!("{}/senders", path(&page.user))) {
            label { (texts.say("who-may-address")) input type="email" name="as" value=(asked) required; }
            button type="submit" { (texts.say("show")) }
        }
        @if let Some(verdict) = &page.verdict { (told(&visitor, verdict)) }
        p { a href=(path(&page.user)) { (texts.say("back")) } }
    };
    let title = texts.with("may-send-as-title", &[("name", (&page.user).into())]);
    Ok(layout::page(&visitor, &Frame::narrow(title), &body))
}

fn told(visitor: &Visitor, verdict: &VerdictDocument) -> Markup {
    let texts = visitor.texts;
    let tone = match verdict.answer {
        VerdictName::Permitted => "done",
        _ => "warning",
    };
    html! {
        div.notice.(tone) role="status" { p { (verdict.text) } }
        dl.facts {
            @for decision in &verdict.decisions {
                dt { (decision.component) }
                dd { (decision.answer) @for reason in &decision.reasons { div.small { (reason) } } }
            }
        }
        @if let Some(rule) = &verdict.rule { p { (texts.say("who-may-rule")) ": " (rule.text) } }
    }
}
