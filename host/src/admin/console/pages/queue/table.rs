//! The table of what is queued, which keeps itself up to date.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::{actions, stopping};
use crate::account::Scope;
use crate::admin::Api;
use crate::admin::access::Reader;
use crate::admin::console::fields::Fields;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts::{self, with_query};
use crate::admin::console::refusal::{OrPage as _, Shown};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::Visitor;
use crate::admin::extract::QueryString;
use crate::admin::problem::Problem;
use crate::admin::queue::{self, QueuePage, QueuedDelivery};
use crate::admin::selection::{QueueQuery, StateFilter};
use crate::admin::within_path;
use crate::message::Timestamp;

/// What the queue is filtered by, as the API names it.
pub(super) const FILTERS: [&str; 14] = [
    "id",
    "list",
    "user",
    "class",
    "state",
    "subject",
    "sender",
    "recipient",
    "domain",
    "attempts",
    "last_reply",
    "due_from",
    "due_before",
    "estimate_seconds",
];

/// Those that are shown when somebody asks for more.
const MORE_FILTERS: [&str; 9] = [
    "id",
    "user",
    "list",
    "domain",
    "last_reply",
    "attempts",
    "due_from",
    "due_before",
    "estimate_seconds",
];

/// Recipients of a delivery that the table names.
const RECIPIENTS_SHOWN: usize = 2;

pub(in crate::admin::console::pages) async fn show(
    visitor: Visitor,
    QueryString(query): QueryString<QueueQuery>,
) -> Shown {
    let asked = visitor.asked();
    let query = of_page(query);
    let page = read(&visitor.api, visitor.reader(), query).await;
    let page = page.or_page(&visitor)?;
    let texts = visitor.texts;
    let live = with_query("/live/queue", asked.among(&FILTERS));
    // A later page is of one moment: it goes on where the one before ended.
    let is_first = asked.text("cursor").is_empty();
    let may_act = visitor.may(Scope::Operate);
    let body = html! {
        (stopping::panel(&visitor, &page.stops))
        (filters(&visitor, &asked))
        // It may have left, and is remembered all the same.
        @if let Some(id) = asked.given("id") {
            p { a href=(format!("/messages/{}", within_path(&id))) { (texts.with("queue-story", &[("id", (&id).into())])) } }
        }
        form #queue method="post" action="/queue/act" {
            (parts::form_token(&visitor))
            @for (name, value) in asked.among(&FILTERS) {
                input type="hidden" name=(name) value=(value);
            }
            // Rows come by themselves into the first page.
            @if may_act && (is_first || !page.deliveries.is_empty()) { (actions::bar(texts, &asked)) }
            div.live hx-ext=[is_first.then_some("sse")] sse-connect=[is_first.then_some(live.as_str())] sse-swap=[is_first.then_some("rows")] {
                (rows(texts, may_act, &page))
            }
        }
        (parts::next_page(texts, "/queue", asked.among(&FILTERS), page.cursor.as_deref()))
        @if let Some(cursor) = page.cursor.as_deref().filter(|_| page.deliveries.is_empty()) {
            (parts::looks_on("/queue", asked.among(&FILTERS), cursor))
        }
    };
    let frame = Frame::new(texts.say("nav-queue"));
    Ok(layout::page(&visitor, &frame, &body))
}

async fn read(api: &Arc<Api>, reader: Reader, query: QueueQuery) -> Result<QueuePage, Problem> {
    let state = State(Arc::clone(api));
    let axum::Json(page) = queue::list(reader, state, QueryString(query)).await?;
    Ok(page)
}

/// What is asked for, with times as the API takes them.
pub(in crate::admin::console) fn of_page(query: QueueQuery) -> QueueQuery {
    QueueQuery {
        due_from: query.due_from.map(of_form),
        due_before: query.due_before.map(of_form),
        ..query
    }
}

/// A time that was entered in a form: it has no zone, since all times of the console are in UTC, and maybe no seconds.
pub(super) fn of_form(time: String) -> String {
    match time.len() {
        16 => time + ":00Z",
        19 => time + "Z",
        _ => time,
    }
}

/// A time as it is entered in a form.
fn for_form(time: &str) -> String {
    let known = Timestamp::from_rfc3339(&of_form(time.to_owned()));
    let text = known.map(|at| at.to_string()).unwrap_or_default();
    text.get(..16).unwrap_or_default().to_owned()
}

fn filters(visitor: &Visitor, asked: &Fields) -> Markup {
    let texts = visitor.texts;
    let (class, state) = (asked.text("class"), asked.text("state"));
    let line = |name: &'static str, key: &str| {
        html! {
            label { (texts.say(key)) input type="search" name=(name) value=(asked.text(name)); }
        }
    };
    let number = |name: &'static str, key: &str| {
        html! {
            label { (texts.say(key)) input type="number" min="0" name=(name) value=(asked.text(name)); }
        }
    };
    let time = |name: &'static str, key: &str| {
        html! {
            label { (texts.say(key)) input type="datetime-local" name=(name) value=(for_form(asked.text(name))); }
        }
    };
    let is_detailed = asked.among(&MORE_FILTERS).next().is_some();
    html! {
        form.filters role="search" method="get" action="/queue" {
            label { (texts.say("class"))
                select name="class" {
                    option value="" { (texts.say("any")) }
                    @for number in 1..=5_u8 {
                        option value=(number) selected[class == number.to_string()] { (texts.say(&format!("class-{number}"))) }
                    }
                }
            }
            label { (texts.say("state"))
                select name="state" {
                    option value="" { (texts.say("any")) }
                    @for known in StateFilter::ALL {
                        option value=(known.name()) selected[state == known.name()] { (texts.say(&format!("state-{}", known.name()))) }
                    }
                }
            }
            (line("sender", "queue-sender"))
            (line("recipient", "queue-recipient"))
            (line("subject", "queue-subject"))
            button type="submit" { (texts.say("show")) }
            @if asked.among(&FILTERS).next().is_some() { a.button href="/queue" { (texts.say("show-all")) } }
            details open[is_detailed] {
                summary { (texts.say("queue-more-filters")) }
                div.more {
                    (line("user", "queue-user"))
                    (line("list", "list"))
                    (line("domain", "queue-domain"))
                    (line("last_reply", "queue-last-reply"))
                    (line("id", "message-id"))
                    (number("attempts", "queue-attempts-min"))
                    (time("due_from", "queue-due-from"))
                    (time("due_before", "queue-due-before"))
                    (number("estimate_seconds", "queue-estimate"))
                }
            }
        }
    }
}

/// The rows, which are sent anew while the page is open.
pub(in crate::admin::console) fn rows(
    texts: &'static Texts,
    may_act: bool,
    page: &QueuePage,
) -> Markup {
    if page.deliveries.is_empty() {
        let text = match page.cursor {
            Some(_) => "queue-none-yet",
            None => "queue-empty",
        };
        return html! { p.empty { (texts.say(text)) } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label=(texts.say("nav-queue")) {
            table.cards {
                thead { tr {
                    @if may_act { th scope="col" { span.hidden { (texts.say("queue-select")) } } }
                    th scope="col" { (texts.say("class")) }
                    th scope="col" { (texts.say("queue-message")) }
                    th scope="col" { (texts.say("queue-from-to")) }
                    th scope="col" { (texts.say("state")) }
                    th scope="col" { (texts.say("queue-starts")) }
                    th scope="col" { (texts.say("queue-attempts")) }
                } }
                tbody { @for delivery in &page.deliveries { (row(texts, may_act, delivery)) } }
            }
        }
    }
}

fn row(texts: &'static Texts, may_act: bool, delivery: &QueuedDelivery) -> Markup {
    let more = delivery.recipients.len().saturating_sub(RECIPIENTS_SHOWN);
    let path = format!("/messages/{}", within_path(&delivery.id));
    let paused = delivery.standing.paused.as_ref();
    let cause = paused.map(|paused| paused.cause.as_str());
    html! {
        tr {
            @if may_act {
                td { input type="checkbox" name="selected" value=(delivery.id) aria-label=(texts.with("queue-select-one", &[("subject", (&delivery.subject).into())])); }
            }
            td data-label=(texts.say("class")) { (parts::class(texts, delivery.class)) }
            th scope="row" {
                a href=(path) { @if delivery.subject.is_empty() { (texts.say("no-subject")) } @else { (delivery.subject) } }
                div.small {
                    (delivery.list) " · "
                    // The relay's own has none.
                    @if !delivery.user.is_empty() { (delivery.user) " · " }
                    span.whole { (parts::octets(delivery.content_octets)) }
                }
                div.small.id { (delivery.id) }
            }
            td.wide data-label=(texts.say("queue-from-to")) {
                div { @if delivery.sender.is_empty() { (texts.say("null-sender")) } @else { (parts::address(&delivery.sender)) } }
                div.small {
                    "→ "
                    @for (number, recipient) in delivery.recipients.iter().take(RECIPIENTS_SHOWN).enumerate() {
                        @if number > 0 { ", " } (parts::address(recipient))
                    }
                    @if more > 0 { " " (texts.with("and-more", &[("count", more.into())])) }
                }
            }
            td.wide data-label=(texts.say("state")) {
                (state(texts, delivery))
                (progress(texts, delivery))
                div.small { (parts::told(&delivery.standing.standing, cause)) }
                // Why it is where it is says it mostly.
                @if !delivery.last_reply.is_empty() && !delivery.standing.standing.contains(&delivery.last_reply) {
                    div.small.reply { (delivery.last_reply) }
                }
            }
            td.short data-label=(texts.say("queue-starts")) { (estimate(texts, delivery)) }
            td data-label=(texts.say("queue-attempts")) { (delivery.attempts) }
        }
    }
}

fn state(texts: &'static Texts, delivery: &QueuedDelivery) -> Markup {
    let name = if delivery.standing.paused.is_some() {
        StateFilter::Paused.name()
    } else if delivery.stopped.is_some() {
        StateFilter::Stopped.name()
    } else {
        delivery.state.name()
    };
    html! { span.badge.(format!("s-{name}")) { (texts.say(&format!("state-{name}"))) } }
}

/// How much of the content has left.
fn progress(texts: &'static Texts, delivery: &QueuedDelivery) -> Markup {
    html! {
        @if let Some(sent) = delivery.standing.octets_sent {
            progress max=(delivery.content_octets.max(1)) value=(sent) aria-label=(texts.say("queue-progress")) {}
            span.small { " " (parts::octets(sent)) " / " (parts::octets(delivery.content_octets)) }
        }
    }
}

fn estimate(texts: &'static Texts, delivery: &QueuedDelivery) -> Markup {
    html! {
        @match delivery.standing.estimate_seconds {
            Some(0) => { (texts.say("now")) },
            Some(seconds) => { (texts.with("in-time", &[("time", (&parts::duration(seconds)).into())])) },
            None => { "–" },
        }
        @if let Some(position) = delivery.standing.position {
            div.small { (texts.with("queue-position", &[("position", position.into())])) }
        }
    }
}
