//! One component on the page: what it is, how it does, its versions, and the ways to change it.

use maud::{Markup, html};

use crate::account::Scope;
use crate::admin::console::parts;
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::Visitor;
use crate::admin::plugins::{
    BreakerName, PluginDocument, PluginState, PluginsDocument, QuestionDocument, VersionDocument,
};
use crate::admin::within_path;

/// Characters of a digest that tell versions apart; the whole of it is its title.
pub(super) const DIGEST_SHOWN: usize = 12;

/// The component of that number.
pub(super) fn card(visitor: &Visitor, page: &PluginsDocument, number: usize) -> Markup {
    let Some(component) = page.plugins.get(number) else {
        return html! {};
    };
    let texts = visitor.texts;
    html! {
        section.card {
            h2 { (number + 1) ". " (component.name) " " (state(texts, component.state)) }
            (facts(texts, component))
            (questions(texts, component))
            (ways(visitor, page, number, component))
            (versions(visitor, page, component))
        }
    }
}

fn state(texts: &'static Texts, state: PluginState) -> Markup {
    let (mark, key) = match state {
        PluginState::Asked => ("on", "policy-asked"),
        PluginState::Disabled => ("off", "policy-disabled"),
        PluginState::Absent => ("off", "policy-absent"),
    };
    html! { span.badge.(mark) { (texts.say(key)) } }
}

fn facts(texts: &'static Texts, component: &PluginDocument) -> Markup {
    let limits = &component.limits;
    let memory = parts::octets(u64::try_from(limits.memory_octets).unwrap_or(u64::MAX));
    let limits = [
        ("cpu", limits.cpu_milliseconds.into()),
        ("wall", limits.wall_milliseconds.into()),
        ("memory", (&memory).into()),
        ("calls", limits.host_calls.into()),
    ];
    html! {
        dl.facts {
            dt { (texts.say("policy-source")) } dd { (component.source) }
            dt { (texts.say("policy-digest")) } dd { (parts::copied(texts, &component.digest)) }
            dt { (texts.say("policy-version")) }
            dd { (component.about.name) " " (component.about.version) " · " (texts.with("policy-contract", &[("version", (&component.contract).into())])) }
            dt { (texts.say("policy-limits")) } dd { (texts.with("policy-limits-are", &limits)) }
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
            @if !component.config.is_empty() {
                dt { (texts.say("policy-settings")) }
                dd { @for (key, value) in &component.config { div { code { (key) } " = " (value.as_deref().unwrap_or("…")) } } }
            }
        }
    }
}

fn questions(texts: &'static Texts, component: &PluginDocument) -> Markup {
    html! {
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
                    @for took in [question.median_microseconds, question.p99_microseconds] {
                        // Nothing was asked yet where nothing was measured.
                        td { @if took == 0 { "–" } @else { (took) " µs" } }
                    }
                    td {
                        (question.breaker.name())
                        @if question.users_suspended > 0 { div.small { (texts.with("policy-users-suspended", &[("count", question.users_suspended.into())])) } }
                    }
                } } }
            }
        }
    }
}

/// What can be done with it.
fn ways(
    visitor: &Visitor,
    page: &PluginsDocument,
    number: usize,
    component: &PluginDocument,
) -> Markup {
    let texts = visitor.texts;
    let is_suspended = |question: &QuestionDocument| {
        question.breaker != BreakerName::Closed || question.users_suspended > 0
    };
    let way = |action: &str, key: &str, is_dangerous| {
        let path = format!("/policies/{}/{action}", within_path(&component.name));
        let label = texts.say(key);
        parts::action(
            visitor,
            &path,
            &[("revision", &page.revision)],
            &label,
            is_dangerous,
        )
    };
    let is_deployed = !component.versions.is_empty();
    html! {
        div.actions {
            @if visitor.may(Scope::Operate) && component.questions.iter().any(is_suspended) { (way("reset", "policy-reset", false)) }
            @if visitor.may(Scope::Admin) {
                @match component.state {
                    PluginState::Asked => (way("disable", "user-disable", true)),
                    PluginState::Disabled => (way("enable", "user-enable", false)),
                    PluginState::Absent => {},
                }
                @if number > 0 { (way("earlier", "policy-earlier", false)) }
                @if number + 1 < page.plugins.len() { (way("later", "policy-later", false)) }
                @if component.versions.len() > 1 || (is_deployed && component.configured) { (way("roll-back", "policy-roll-back", false)) }
                @if is_deployed && !component.configured { (way("remove", "remove", true)) }
            }
        }
    }
}

fn versions(visitor: &Visitor, page: &PluginsDocument, component: &PluginDocument) -> Markup {
    let texts = visitor.texts;
    html! {
        @if !component.versions.is_empty() {
            details {
                summary { (texts.with("policy-versions", &[("count", component.versions.len().into())])) }
                div.scroll tabindex="0" role="region" aria-label=(texts.say("policy-digest")) {
                    table {
                        thead { tr {
                            th scope="col" { (texts.say("policy-digest")) }
                            th scope="col" { (texts.say("created")) }
                            th scope="col" { (texts.say("audit-by")) }
                            th scope="col" { (texts.say("user-note")) }
                            th scope="col" { (texts.say("actions")) }
                        } }
                        tbody { @for version in &component.versions { (one_version(visitor, page, component, version)) } }
                    }
                }
            }
        }
    }
}

fn one_version(
    visitor: &Visitor,
    page: &PluginsDocument,
    component: &PluginDocument,
    version: &VersionDocument,
) -> Markup {
    let texts = visitor.texts;
    let digest = version.digest.get(..DIGEST_SHOWN);
    let path = format!("/policies/{}/roll-back", within_path(&component.name));
    let fields = [
        ("revision", page.revision.as_str()),
        ("digest", &version.digest),
    ];
    html! {
        tr {
            th scope="row" title=(version.digest) { (digest.unwrap_or(&version.digest)) }
            td { (parts::time(&version.at)) }
            td { (version.by) }
            td { (version.note) }
            td {
                @if version.in_force { (texts.say("policy-in-force")) }
                @else if visitor.may(Scope::Admin) { (parts::action(visitor, &path, &fields, &texts.say("policy-use"), false)) }
            }
        }
    }
}
