//! The policy components: which there are, in which order they are asked, and how they do.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::account::Scope;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts;
use crate::admin::console::refusal::{OrPage as _, Shown, go_to};
use crate::admin::console::session::Notice;
use crate::admin::console::visit::{Submitted, Visitor};
use crate::admin::extract::{NoBody, NoQuery, Segment};
use crate::admin::plugins::{self, BreakerName, PluginDocument, QuestionDocument, Values};
use crate::admin::within_path;

pub(super) async fn show(visitor: Visitor) -> Markup {
    let page = plugins::document(&visitor.api, Values::to(&visitor.reader().0));
    let texts = visitor.texts;
    let body = html! {
        p.lead { (texts.say("policies-lead")) }
        @for (number, component) in page.plugins.iter().enumerate() { (card(&visitor, number + 1, component)) }
        @if page.plugins.is_empty() { p.warn { (texts.say("policies-none")) } }
    };
    layout::page(&visitor, &Frame::new(texts.say("nav-policies")), &body)
}

fn card(visitor: &Visitor, number: usize, component: &PluginDocument) -> Markup {
    let texts = visitor.texts;
    let is_suspended = |question: &QuestionDocument| {
        question.breaker != BreakerName::Closed || question.users_suspended > 0
    };
    let reset = format!("/policies/{}/reset", within_path(&component.name));
    html! {
        section.card {
            h2 { (number) ". " (component.name) }
            dl.facts {
                dt { (texts.say("policy-source")) } dd { (component.source) }
                dt { (texts.say("policy-digest")) } dd { (parts::copied(texts, &component.digest)) }
                dt { (texts.say("policy-version")) } dd { (component.about.name) " " (component.about.version) " · " (texts.with("policy-contract", &[("version", (&component.contract).into())])) }
                dt { (texts.say("policy-imports")) }
                dd {
                    @if component.imports.is_empty() { (texts.say("policy-no-imports")) }
                    @for import in &component.imports {
                        div {
                            code { (import.interface) } " "
                            @if import.granted { (texts.say("policy-granted")) } @else { span.warn { (texts.say("policy-not-granted")) } }
                        }
                    }
                }
            }
            div.scroll tabindex="0" role="region" aria-label=(component.name) {
                table {
                    thead { tr {
                        th scope="col" { (texts.say("decision-question")) }
                        th scope="col" { (texts.say("policy-on-failure")) }
                        th scope="col" { (texts.say("policy-answers")) }
                        th scope="col" { (texts.say("policy-failures")) }
                        th scope="col" { (texts.say("policy-median")) }
                        th scope="col" { (texts.say("policy-p99")) }
                        th scope="col" { (texts.say("policy-breaker")) }
                    } }
                    tbody { @for question in &component.questions { tr {
                        th scope="row" { (question.question) }
                        td { (question.on_failure) }
                        td { @for answer in &question.answers { div { (answer.kind) ": " (answer.count) } } }
                        td { @for failure in &question.failures { div { (failure.kind) ": " (failure.count) } } }
                        td { (question.median_microseconds) " µs" }
                        td { (question.p99_microseconds) " µs" }
                        td {
                            (question.breaker.name())
                            @if question.users_suspended > 0 { div.small { (texts.with("policy-users-suspended", &[("count", question.users_suspended.into())])) } }
                        }
                    } } }
                }
            }
            @if visitor.may(Scope::Operate) && component.questions.iter().any(is_suspended) {
                (parts::action(visitor, &reset, &[], &texts.say("policy-reset"), false))
            }
        }
    }
}

pub(super) async fn reset(Segment(name): Segment, submitted: Submitted) -> Shown<Response> {
    let Submitted { visitor, deed, .. } = submitted;
    let operator = visitor.operator().or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let reset = plugins::reset(operator, deed, NoQuery, state, Segment(name), NoBody).await;
    let axum::Json(component) = reset.or_page(&visitor)?;
    let values = [("name", (&component.name).into())];
    visitor.tell(Notice::done(
        visitor.texts.with("policy-was-reset", &values),
    ));
    Ok(go_to("/policies"))
}
