//! What came in and what became of it: pictures first, then figures, and both as files.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::admin::console::chart::{self, Column, Series};
use crate::admin::console::fields::Fields;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts::{self, with_query};
use crate::admin::console::refusal::{OrPage as _, Shown};
use crate::admin::console::texts::Texts;
use crate::admin::console::visit::Visitor;
use crate::admin::extract::QueryString;
use crate::admin::statistics::{
    self, Figures, LatencyDocument, StatisticsDocument, StatisticsQuery, StatisticsRow,
};
use crate::message::Timestamp;
use std::time::Duration;

const PATH: &str = "/statistics";
/// What the page is about, as the API names it.
const FILTERS: [&str; 5] = ["list", "user", "class", "destination", "campaign"];
/// Names of a table: what a person looks at.
const NAMES_SHOWN: &str = "10";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How much time the page shows, and in which steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    Day,
    Week,
    Month,
    Year,
}

impl Span {
    const ALL: [(Span, &'static str, &'static str); 4] = [
        (Span::Day, "day", "span-day"),
        (Span::Week, "week", "span-week"),
        (Span::Month, "month", "span-month"),
        (Span::Year, "year", "span-year"),
    ];

    fn of(text: &str) -> Self {
        let mut known = Self::ALL.into_iter();
        known
            .find(|(_, name, _)| *name == text)
            .map_or(Span::Day, |(span, ..)| span)
    }

    const fn period(self) -> (&'static str, Duration) {
        match self {
            Span::Day | Span::Week => ("hour", HOUR),
            Span::Month | Span::Year => ("day", DAY),
        }
    }

    /// From when on it shows.
    fn since(self, now: Timestamp) -> Timestamp {
        now.minus(match self {
            Span::Day => HOUR * 23,
            Span::Week => DAY * 7 - HOUR,
            Span::Month => DAY * 29,
            Span::Year => DAY * 364,
        })
    }
}

/// A question about what the page is about.
fn question(asked: &Fields, span: Span, now: Timestamp, by: &str) -> StatisticsQuery {
    StatisticsQuery {
        by: Some(by.to_owned()),
        since: Some(span.since(now).to_string()),
        until: Some(now.to_string()),
        list: asked.given("list"),
        user: asked.given("user"),
        class: asked.given("class"),
        destination: asked.given("destination"),
        campaign: asked.given("campaign"),
        ..StatisticsQuery::default()
    }
}

pub(super) async fn show(visitor: Visitor) -> Shown {
    let asked = visitor.asked();
    let span = Span::of(asked.text("span"));
    let now = visitor.api.clock.now();
    let (period, step) = span.period();
    let over_time = question(&asked, span, now, period);
    let over_time = statistics::document(&visitor.api, over_time).await;
    let over_time = over_time.or_page(&visitor)?;
    let texts = visitor.texts;
    let body = html! {
        (filters(&visitor, &asked, span))
        (headline(texts, &over_time.total))
        (picture(texts, &over_time, step))
        (by_class(&visitor, &asked, span, now).await)
        @for (by, key) in [("list", "nav-lists"), ("user", "nav-users"), ("destination", "statistics-destinations"), ("campaign", "statistics-campaigns")] {
            (by_name(&visitor, &asked, span, now, by, key).await)
        }
        (export(texts, &asked, span, period, now))
    };
    let frame = Frame::new(texts.say("nav-statistics"));
    Ok(layout::page(&visitor, &frame, &body))
}

/// The last 30 days of one list or user, with the way to all that is counted of it.
pub(super) async fn at_a_glance(visitor: &Visitor, dimension: &'static str, name: &str) -> Markup {
    let about = [(dimension, name), ("span", "month")];
    let asked = Fields::read(with_query("", about).trim_start_matches('?').as_bytes());
    let (span, now) = (Span::Month, visitor.api.clock.now());
    let (period, step) = span.period();
    let query = question(&asked, span, now, period);
    let texts = visitor.texts;
    let counted = statistics::document(&visitor.api, query).await;
    html! {
        h2 { (texts.say("statistics-glance")) }
        @match &counted {
            Ok(counted) => {
                (headline(texts, &counted.total))
                (drawn(texts, &series(texts), &columns(counted, step)))
                p { a href=(with_query(PATH, about)) { (texts.say("statistics-more")) } }
            },
            // What is set can be read and changed all the same.
            Err(problem) => { p.warn { (problem.detail) } },
        }
    }
}

fn filters(visitor: &Visitor, asked: &Fields, span: Span) -> Markup {
    let texts = visitor.texts;
    let line = |name: &'static str, key: &str| {
        html! { label { (texts.say(key)) input type="search" name=(name) value=(asked.text(name)); } }
    };
    html! {
        nav.tabs aria-label=(texts.say("statistics-span")) {
            @for (known, name, key) in Span::ALL {
                @let filters = asked.among(&FILTERS);
                a href=(with_query(PATH, filters.chain([("span", name)]))) aria-current=[(known == span).then_some("page")] { (texts.say(key)) }
            }
        }
        form.filters role="search" method="get" action=(PATH) {
            input type="hidden" name="span" value=(asked.text("span"));
            (line("list", "list"))
            (line("user", "queue-user"))
            (line("destination", "statistics-destination"))
            (line("campaign", "statistics-campaign"))
            label { (texts.say("class"))
                select name="class" {
                    option value="" { (texts.say("any")) }
                    @for number in 1..=5_u8 {
                        option value=(number) selected[asked.text("class") == number.to_string()] { (texts.say(&format!("class-{number}"))) }
                    }
                }
            }
            button type="submit" { (texts.say("show")) }
            @if asked.among(&FILTERS).next().is_some() { a.button href=(PATH) { (texts.say("show-all")) } }
        }
    }
}

/// The figures that are looked at first.
fn headline(texts: &'static Texts, total: &Figures) -> Markup {
    let figures = [
        ("figure-accepted", total.accepted),
        ("figure-sent", total.sent),
        ("figure-deferred", total.deferred),
        ("figure-bounced", total.bounced + total.expired),
        ("figure-refused", total.refused),
        ("figure-queued", total.queued.unwrap_or_default()),
    ];
    html! {
        dl.headline {
            @for (key, figure) in figures { div { dt { (texts.say(key)) } dd { (figure) } } }
        }
    }
}

/// What a picture shows, from the bottom up.
fn series(texts: &'static Texts) -> [Series; 4] {
    [
        ("f-sent", "figure-sent"),
        ("f-deferred", "figure-deferred"),
        ("f-bounced", "figure-bounced"),
        ("f-refused", "figure-refused"),
    ]
    .map(|(class, key)| Series {
        class,
        name: texts.say(key),
    })
}

fn drawn(texts: &'static Texts, series: &[Series], columns: &[Column]) -> Markup {
    chart::columns(&texts.say("statistics-picture"), series, columns)
}

fn picture(texts: &'static Texts, document: &StatisticsDocument, step: Duration) -> Markup {
    let series = series(texts);
    let columns = columns(document, step);
    html! {
        (drawn(texts, &series, &columns))
        details {
            summary { (texts.say("statistics-table")) }
            div.scroll tabindex="0" role="region" aria-label=(texts.say("statistics-table")) {
                table {
                    thead { tr {
                        th scope="col" { (texts.say("statistics-time")) }
                        @for series in &series { th scope="col" { (series.name) } }
                    } }
                    tbody { @for column in columns.iter().filter(|column| column.figures.iter().any(|figure| *figure > 0)) { tr {
                        th scope="row" { (column.label) }
                        @for figure in &column.figures { td { (figure) } }
                    } } }
                }
            }
        }
    }
}

/// A column for each period, also where nothing was counted.
fn columns(document: &StatisticsDocument, step: Duration) -> Vec<Column> {
    let time = |text: &str| Timestamp::from_rfc3339(text).unwrap_or_default();
    let (mut at, until) = (time(&document.since), time(&document.until));
    let mut rows = document.rows.iter().peekable();
    let mut columns = Vec::new();
    while at < until {
        let text = at.to_string();
        let is_now = |row: &&StatisticsRow| row.at.as_deref() == Some(text.as_str());
        let figures = rows.next_if(is_now).map(|row| &row.figures);
        let figures = figures.map_or([0; 4], |figures| {
            [
                figures.sent,
                figures.deferred,
                figures.bounced + figures.expired,
                figures.refused,
            ]
        });
        let label = match step == HOUR {
            true => text.get(5..16).unwrap_or_default().replace('T', " "),
            false => text.get(..10).unwrap_or_default().to_owned(),
        };
        columns.push(Column {
            label,
            figures: figures.to_vec(),
        });
        at = at.plus(step);
    }
    columns
}

/// The classes, with how long their mail took. Nothing where that cannot be told of what is asked about.
async fn by_class(visitor: &Visitor, asked: &Fields, span: Span, now: Timestamp) -> Markup {
    let query = question(asked, span, now, "class");
    let Ok(document) = statistics::document(&visitor.api, query).await else {
        return html! {};
    };
    let texts = visitor.texts;
    let rows = document.rows.iter();
    let rows: Vec<_> = rows
        .filter_map(|row| Some((row.class?, &row.figures)))
        .collect();
    html! {
        @if !rows.is_empty() {
            h2 { (texts.say("class")) }
            div.scroll tabindex="0" role="region" aria-label=(texts.say("class")) {
                table {
                    thead { tr {
                        th scope="col" { (texts.say("class")) }
                        (titles(texts))
                        th scope="col" { (texts.say("latency-median")) }
                        th scope="col" { (texts.say("latency-p90")) }
                        th scope="col" { (texts.say("latency-p99")) }
                    } }
                    tbody { @for (class, figures) in rows { tr {
                        th scope="row" { (parts::class(texts, class)) }
                        (cells(figures))
                        @match &figures.latency {
                            Some(latency) => (latencies(latency)),
                            None => { td { "–" } td { "–" } td { "–" } },
                        }
                    } } }
                }
            }
        }
    }
}

fn latencies(latency: &LatencyDocument) -> Markup {
    html! {
        @for milliseconds in [latency.p50_ms, latency.p90_ms, latency.p99_ms] { td { (took(milliseconds)) } }
    }
}

fn took(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{milliseconds} ms"),
        _ => parts::duration(milliseconds / 1_000),
    }
}

/// Those with the most of a kind of name. Nothing where that is not counted for what is asked about.
async fn by_name(
    visitor: &Visitor,
    asked: &Fields,
    span: Span,
    now: Timestamp,
    by: &'static str,
    key: &str,
) -> Markup {
    let query = StatisticsQuery {
        most: Some("recipients".to_owned()),
        limit: Some(NAMES_SHOWN.to_owned()),
        ..question(asked, span, now, by)
    };
    let Ok(document) = statistics::document(&visitor.api, query).await else {
        return html! {};
    };
    let texts = visitor.texts;
    let name = |row: &StatisticsRow| {
        let names = [&row.list, &row.user, &row.destination, &row.campaign];
        names
            .into_iter()
            .flatten()
            .next()
            .cloned()
            .unwrap_or_default()
    };
    html! {
        @if !document.rows.is_empty() {
            h2 { (texts.say(key)) }
            div.scroll tabindex="0" role="region" aria-label=(texts.say(key)) {
                table {
                    thead { tr { th scope="col" { (texts.say("statistics-name")) } (titles(texts)) } }
                    tbody { @for row in &document.rows { tr {
                        @let name = name(row);
                        @let about = asked.among(&["span"]).chain([(by, name.as_str())]);
                        th scope="row" { a href=(with_query(PATH, about)) { (name) } }
                        (cells(&row.figures))
                    } } }
                }
            }
        }
    }
}

fn titles(texts: &'static Texts) -> Markup {
    let keys = [
        "figure-accepted",
        "figure-sent",
        "figure-deferred",
        "figure-bounced",
        "figure-refused",
        "figure-queued",
    ];
    html! { @for key in keys { th scope="col" { (texts.say(key)) } } }
}

fn cells(figures: &Figures) -> Markup {
    let shown = [
        figures.accepted,
        figures.sent,
        figures.deferred,
        figures.bounced + figures.expired,
        figures.refused,
    ];
    html! {
        @for figure in shown { td { (figure) } }
        td { @match figures.queued { Some(queued) => { (queued) }, None => { "–" } } }
    }
}

/// The ways to the figures as files.
fn export(
    texts: &'static Texts,
    asked: &Fields,
    span: Span,
    period: &'static str,
    now: Timestamp,
) -> Markup {
    let since = span.since(now).to_string();
    let to = |by: &str, format: &str| {
        let filters = asked.among(&FILTERS);
        let more = [("by", by), ("since", since.as_str()), ("format", format)];
        with_query("/statistics/export", filters.chain(more))
    };
    let kinds = [
        (period, "statistics-over-time"),
        ("class", "class"),
        ("list", "nav-lists"),
        ("user", "nav-users"),
        ("destination", "statistics-destinations"),
        ("campaign", "statistics-campaigns"),
    ];
    html! {
        h2 { (texts.say("statistics-export")) }
        ul {
            @for (by, key) in kinds {
                li { (texts.say(key)) ": " a href=(to(by, "csv")) { "CSV" } " · " a href=(to(by, "json")) { "JSON" } }
            }
        }
        p.hint { (texts.say("statistics-what")) }
    }
}

/// The figures as a file, as the API gives them.
pub(super) async fn files(
    visitor: Visitor,
    QueryString(query): QueryString<StatisticsQuery>,
) -> Shown<Response> {
    let state = State(visitor.api.clone());
    let headers = HeaderMap::new();
    let answer = statistics::show(visitor.reader(), state, headers, QueryString(query)).await;
    answer.or_page(&visitor)
}
