//! Statistics as CSV (RFC 4180), for spreadsheets.
//!
//! Users and senders choose names, and a spreadsheet takes a cell that begins with certain characters for a formula: such
//! a cell gets an apostrophe before it.

use axum::http::header::{CONTENT_TYPE, HeaderValue, LINK};
use axum::response::{IntoResponse, Response};

use super::{Figures, StatisticsDocument, StatisticsQuery, StatisticsRow};
use crate::admin::within_path;

/// Titles of figures, behind what there is a row for.
const FIGURES: [&str; 12] = [
    "accepted",
    "recipients",
    "sent",
    "deferred",
    "bounced",
    "expired",
    "removed",
    "refused",
    "queued",
    "p50_ms",
    "p90_ms",
    "p99_ms",
];

/// The answer, with the address of the next page where there is one.
pub(super) fn answer(document: &StatisticsDocument, query: &StatisticsQuery) -> Response {
    let mut response = text(document).into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    headers.insert(CONTENT_TYPE, media_type);
    let next = document.cursor.as_deref();
    let link = next.and_then(|cursor| HeaderValue::from_str(&next_page(query, cursor)).ok());
    if let Some(link) = link {
        headers.insert(LINK, link);
    }
    response
}

/// RFC 8288.
fn next_page(query: &StatisticsQuery, cursor: &str) -> String {
    let given = [
        ("by", &query.by),
        ("since", &query.since),
        ("until", &query.until),
        ("list", &query.list),
        ("user", &query.user),
        ("class", &query.class),
        ("destination", &query.destination),
        ("campaign", &query.campaign),
        ("limit", &query.limit),
    ];
    let mut path = "/api/v1/statistics?format=csv".to_owned();
    for (name, value) in given {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", within_path(value)));
        }
    }
    path.push_str(&format!("&cursor={}", within_path(cursor)));
    format!("<{path}>; rel=\"next\"")
}

/// A line for each row, under a line of titles.
pub(super) fn text(document: &StatisticsDocument) -> String {
    let mut text = String::new();
    let by = document.by.iter().map(|name| match name.as_str() {
        "hour" | "day" => "at",
        name => name,
    });
    line(&mut text, by.chain(FIGURES).map(str::to_owned));
    for row in &document.rows {
        let names = document.by.iter().map(|by| name(row, by));
        line(&mut text, names.chain(figures(&row.figures)));
    }
    text
}

fn name(row: &StatisticsRow, by: &str) -> String {
    let name = match by {
        "hour" | "day" => row.at.clone(),
        "class" => row.class.map(|class| class.to_string()),
        "list" => row.list.clone(),
        "user" => row.user.clone(),
        "destination" => row.destination.clone(),
        "campaign" => row.campaign.clone(),
        _ => None,
    };
    name.unwrap_or_default()
}

fn figures(figures: &Figures) -> impl Iterator<Item = String> {
    let latency = figures.latency;
    [
        Some(figures.accepted),
        Some(figures.recipients),
        Some(figures.sent),
        Some(figures.deferred),
        Some(figures.bounced),
        Some(figures.expired),
        Some(figures.removed),
        Some(figures.refused),
        figures.queued,
        latency.map(|latency| latency.p50_ms),
        latency.map(|latency| latency.p90_ms),
        latency.map(|latency| latency.p99_ms),
    ]
    .into_iter()
    .map(|figure| figure.map_or_else(String::new, |figure| figure.to_string()))
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    let mut separator = "";
    for found in cells {
        text.push_str(separator);
        text.push_str(&cell(&found));
        separator = ",";
    }
    text.push_str("\r\n");
}

/// A cell that is text to a spreadsheet, whatever it says.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = match is_formula {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains(['"', ',', '\r', '\n', ';', '\'']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_ends_its_line() {
        for (text, expected) in [
            ("spring", "spring"),
            ("", ""),
            ("=1+1", "\"'=1+1\""),
            ("+49", "\"'+49\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\tx", "\"'\tx\""),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("a=b", "a=b"),
        ] {
            assert_eq!(cell(text), expected, "{text}");
        }
    }
}
