//! The audit log: who changed what, what was and what is.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::parts as ways;
use crate::admin::audit::log::{self, AuditDocument, AuditQuery, EntryAbout, EntryDocument};
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts::{self, with_query};
use crate::admin::console::refusal::{OrPage as _, Shown};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::Visitor;
use crate::admin::extract::QueryString;

const PATH: &str = "/system/audit";
/// Rows of a page: what a person looks at.
const ROWS: &str = "100";
/// What the log is filtered by, as the API names it.
const FILTERS: [&str; 6] = ["since", "until", "by", "action", "user", "list"];
/// Characters of a value that the table shows.
const VALUE_SHOWN_MAX: usize = 300;

pub(in crate::admin::console::pages) async fn show(
    visitor: Visitor,
    QueryString(query): QueryString<AuditQuery>,
) -> Shown {
    visitor.administrator().or_page(&visitor)?;
    let query = AuditQuery {
        limit: Some(ROWS.to_owned()),
        ..query
    };
    let page = log::page(&visitor.api, query).await.or_page(&visitor)?;
    let asked = visitor.asked();
    let texts = visitor.texts;
    let line = |name: &'static str, key: &str| {
        html! { label { (texts.say(key)) input type="search" name=(name) value=(asked.text(name)); } }
    };
    let file = |format| {
        let filters = asked.among(&FILTERS);
        with_query("/system/audit/export", filters.chain([("format", format)]))
    };
    let body = html! {
        (ways(&visitor))
        form.filters role="search" method="get" action=(PATH) {
            (line("by", "audit-by"))
            (line("action", "audit-action"))
            (line("user", "queue-user"))
            (line("list", "list"))
            button type="submit" { (texts.say("show")) }
            @if asked.among(&FILTERS).next().is_some() { a.button href=(PATH) { (texts.say("show-all")) } }
        }
        (table(texts, &page))
        (parts::next_page(texts, PATH, asked.among(&FILTERS), page.cursor.as_deref()))
        p { (texts.say("statistics-export")) ": " a href=(file("csv")) { "CSV" } " · " a href=(file("json")) { "JSON" } }
    };
    let frame = Frame::new(texts.say("system-audit"));
    Ok(layout::page(&visitor, &frame, &body))
}

fn table(texts: &'static Texts, page: &AuditDocument) -> Markup {
    if page.entries.is_empty() {
        return html! { p.empty { (texts.say("audit-none")) } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label=(texts.say("system-audit")) {
            table.cards {
                thead { tr {
                    th scope="col" { (texts.say("statistics-time")) }
                    th scope="col" { (texts.say("audit-action")) }
                    th scope="col" { (texts.say("audit-by")) }
                    th scope="col" { (texts.say("audit-about")) }
                    th scope="col" { (texts.say("audit-changed")) }
                } }
                tbody { @for entry in &page.entries { (row(texts, entry)) } }
            }
        }
    }
}

fn row(texts: &'static Texts, entry: &EntryDocument) -> Markup {
    html! {
        tr {
            td { (parts::time(&entry.at)) }
            th scope="row" {
                (entry.action)
                @if entry.times > 1 { " ×" (entry.times) }
                @if let Some(status) = entry.status.filter(|status| *status >= 400) { div.small.warn { (status) } }
            }
            td data-label=(texts.say("audit-by")) {
                div { (entry.by.as_deref().unwrap_or("–")) }
                @if let Some(client) = &entry.client { div.small { (client) } }
            }
            td data-label=(texts.say("audit-about")) {
                @for (name, value) in about(&entry.about) { div { span.small { (name) } " " (value) } }
                @if let Some(count) = entry.deliveries { div { (texts.with("audit-deliveries", &[("count", count.into())])) } }
            }
            td.wide data-label=(texts.say("audit-changed")) { (changed(entry)) }
        }
    }
}

fn about(about: &EntryAbout) -> Vec<(&'static str, &str)> {
    let all = [
        ("user", &about.user),
        ("list", &about.list),
        ("token", &about.token),
        ("admin", &about.admin),
        ("component", &about.component),
        ("alert", &about.alert),
        ("message", &about.message_id),
        ("filter", &about.filter),
        ("queued", &about.queued),
        ("next hop", &about.next_hop),
        ("request", &about.request),
        ("version", &about.version),
    ];
    let given = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)));
    given.collect()
}

/// Each field with what it was and what it is.
fn changed(entry: &EntryDocument) -> Markup {
    let none = Map::new();
    let before = entry.before.as_ref().unwrap_or(&none);
    let after = entry.after.as_ref().unwrap_or(&none);
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    html! {
        @for name in names {
            div.small {
                strong { (name) } ": "
                @let (was, is) = (before.get(name), after.get(name));
                // The name is on both sides, so that one knows whose change it is.
                @if let Some(value) = was.filter(|_| was != is) { del { (shown(value)) } " " }
                @if let Some(value) = is { ins { (shown(value)) } }
            }
        }
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            items.join("; ")
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The log as a file, as the API gives it.
pub(in crate::admin::console::pages) async fn files(
    visitor: Visitor,
    QueryString(query): QueryString<AuditQuery>,
) -> Shown<Response> {
    let caller = visitor.administrator().or_page(&visitor)?;
    let state = State(visitor.api.clone());
    let answer = log::list(caller, state, QueryString(query)).await;
    answer.or_page(&visitor)
}
