//! Statistics over HTTP: what came in and what became of it, by time and by name, as JSON or as CSV.
//!
//! What is counted, and for how long it is kept, is the spool's; here a question is read and its answer shown.

mod csv;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Reader;
use super::extract::QueryString;
use super::openapi::Refused;
use super::problem::{FieldError, Problem};
use super::{Api, spool_problem};
use crate::message::{Class, Counts, Timestamp, mapped_domain};
use crate::spool::statistics::{
    Answer, Dimension, Figure, Filter, Name, Period, Question, ROWS_MAX, Row, Unanswerable,
};

/// Rows of a page when nothing is said: a year by the hour has 8,784.
const ROWS_DEFAULT: usize = ROWS_MAX;

/// How far back is looked when nothing is said: by the hour, and else.
const HOURS_SHOWN: Duration = Duration::from_secs(24 * 60 * 60);
const DAYS_SHOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is asked of the statistics. Everything given must match; an empty value counts as not given.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct StatisticsQuery {
    /// What there is a row for: `hour` or `day` (of UTC), `class`, `list`, `user`, `destination` or `campaign`, or one of
    /// the first two and one of the others, such as `day,class`. Left out: only the total.
    #[param(example = "day,class")]
    pub by: Option<String>,
    /// From then on (RFC 3339), from the hour that it is in, and by the day from that day. Left out: 24 hours before
    /// `until` by the hour, else 30 days.
    #[param(value_type = Option<String>, example = "2026-11-01T00:00:00Z")]
    pub since: Option<String>,
    /// Up to then (RFC 3339), the hour or the day that it is in included. Left out: now.
    #[param(value_type = Option<String>, example = "2026-12-01T00:00:00Z")]
    pub until: Option<String>,
    /// Mail of this list.
    pub list: Option<String>,
    /// Mail of this user; `(relay)` for the relay's own reports and notifications.
    pub user: Option<String>,
    /// Mail of this class, 1 (very high) to 5 (very low).
    #[param(value_type = Option<u8>, minimum = 1, maximum = 5)]
    pub class: Option<String>,
    /// Mail to recipients of this domain.
    pub destination: Option<String>,
    /// Mail of this campaign.
    pub campaign: Option<String>,
    /// The names with the most of this figure, the most first; there is one page of them.
    #[param(value_type = Option<FigureName>)]
    pub most: Option<String>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows at most, 1 to 10000; as many when left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 10_000)]
    pub limit: Option<String>,
    /// `json` or `csv`, whatever the header `Accept` says.
    #[param(value_type = Option<Format>)]
    pub format: Option<String>,
}

/// A figure of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum FigureName {
    /// Messages that were accepted.
    Accepted,
    /// Their recipients.
    Recipients,
    /// Recipients for whom a next hop took responsibility.
    Sent,
    /// Deferrals.
    Deferred,
    /// Recipients that were refused for good.
    Bounced,
    /// Recipients that were given up.
    Expired,
    /// Recipients that an operator removed.
    Removed,
    /// Refused senders.
    Refused,
    /// Recipients that are queued now.
    Queued,
}

/// A form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Format {
    /// JSON.
    Json,
    /// CSV (RFC 4180), with a line of titles; the total is not in it.
    Csv,
}

/// Statistics of a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatisticsDocument {
    /// From when on it counts: the beginning of an hour or a day. Hours are kept for 400 days, days for five years.
    #[schema(example = "2026-11-01T00:00:00.000Z")]
    pub since: String,
    /// Up to when, that moment excluded.
    pub until: String,
    /// What there is a row for.
    pub by: Vec<String>,
    /// By name, and those of one name by time. What nothing was counted of is left out.
    pub rows: Vec<StatisticsRow>,
    /// All that was asked for together, whatever page this is.
    pub total: Figures,
    /// To be sent for the next page; none at the end.
    pub cursor: Option<String>,
}

/// What was counted in a period, of a name, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatisticsRow {
    /// When the hour or the day begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub at: Option<String>,
    /// The class; left out for what was refused before it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 5)]
    pub class: Option<u8>,
    /// The list; `(others)` for those beyond the first thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub list: Option<String>,
    /// The user; `(relay)` for the relay's own mail, `(others)` for users beyond the first ten thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// The domain of recipients, in A-labels; `(others)` for those beyond the first two thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub destination: Option<String>,
    /// The campaign; `(others)` for those beyond the first thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub campaign: Option<String>,
    /// What was counted.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What was counted. `accepted` and `refused` count messages, `deferred` counts events, everything else counts recipients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Messages that were accepted, the relay's own included. By destination a message counts once for each.
    pub accepted: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Recipients for whom a next hop took responsibility.
    pub sent: u64,
    /// How often a recipient was deferred by an attempt.
    pub deferred: u64,
    /// Recipients that were refused for good.
    pub bounced: u64,
    /// Recipients that were given up, since they had waited as long as they may or as their sender wanted.
    pub expired: u64,
    /// Recipients that an operator cancelled and that cannot be restored any more.
    pub removed: u64,
    /// Messages that were refused, since their user may not send as somebody.
    pub refused: u64,
    /// Recipients that are queued now, whatever time was asked for; left out for a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub queued: Option<u64>,
    /// How long it took from the acceptance, or from the time until which it was held, to the delivery; left out where it
    /// is not counted, or nothing was sent. It is by class and by list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub latency: Option<LatencyDocument>,
}

/// How long mail took, in milliseconds: what so many of a hundred recipients took at most, told up to a fifth too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LatencyDocument {
    /// The median.
    pub p50_ms: u64,
    /// The 90th percentile.
    pub p90_ms: u64,
    /// The 99th percentile.
    pub p99_ms: u64,
}

/// Shows what was counted of mail, by time and by name.
#[utoipa::path(get, path = "/api/v1/statistics", operation_id = "show_statistics", tag = "statistics",
    params(StatisticsQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "What was counted. As CSV, `Link` has the next page.",
            content((StatisticsDocument = "application/json"), (String = "text/csv"))),
        Refused))]
pub(super) async fn show(
    _: Reader,
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    QueryString(query): QueryString<StatisticsQuery>,
) -> Result<Response, Problem> {
    let is_csv = match query.format.as_deref() {
        None | Some("") => wants_csv(&headers),
        Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::field("format", "must be json or csv")),
    };
    let document = document(&api, query.clone()).await?;
    Ok(match is_csv {
        true => csv::answer(&document, &query),
        false => axum::Json(document).into_response(),
    })
}

/// What was counted.
///
/// # Errors
/// Names every field of the question that is at fault.
pub(super) async fn document(
    api: &Api,
    query: StatisticsQuery,
) -> Result<StatisticsDocument, Problem> {
    let (question, by) = query.read(api)?;
    let latency_is_counted = question.filter.user.is_none()
        && question.filter.destination.is_none()
        && question.filter.campaign.is_none()
        && matches!(question.by, None | Some(Dimension::Class | Dimension::List));
    let answer = api.spool.statistics(question.clone()).await;
    let answer = answer.map_err(|error| spool_problem(&error))?;
    let answer = answer.map_err(|why| unanswerable(why, &question))?;
    Ok(shown(answer, &question, by, latency_is_counted))
}

/// Whether CSV is what somebody asks for by `Accept`, and JSON is not.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut accepted = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    let is_known = |range: &&str| {
        ["text/csv", "application/json"]
            .iter()
            .any(|known| range.eq_ignore_ascii_case(known))
    };
    let first = accepted.find(is_known);
    first.is_some_and(|range| range.eq_ignore_ascii_case("text/csv"))
}

fn shown(
    answer: Answer,
    question: &Question,
    by: Vec<String>,
    latency_is_counted: bool,
) -> StatisticsDocument {
    let figures = |counts: &Counts, queued| {
        let mut figures = Figures::of(counts, queued);
        figures.latency = figures.latency.filter(|_| latency_is_counted);
        figures
    };
    let rows = answer.rows.iter();
    StatisticsDocument {
        since: answer.since.to_string(),
        until: answer.until.to_string(),
        by,
        rows: rows
            .map(|row| StatisticsRow::of(row, question.by, figures(&row.counts, row.queued)))
            .collect(),
        total: figures(&answer.total, Some(answer.queued)),
        cursor: answer.cursor,
    }
}

impl StatisticsRow {
    fn of(row: &Row, by: Option<Dimension>, figures: Figures) -> Self {
        let mut shown = Self {
            at: row.at.map(|at| at.to_string()),
            figures,
            ..Self::default()
        };
        let (Some(by), Some(name)) = (by, &row.name) else {
            return shown;
        };
        let text = match name {
            Name::Class(class) => {
                shown.class = class.map(Class::number);
                return shown;
            }
            Name::Text(text) => Some(text.clone()),
        };
        match by {
            Dimension::Class => {}
            Dimension::List => shown.list = text,
            Dimension::User => shown.user = text,
            Dimension::Destination => shown.destination = text,
            Dimension::Campaign => shown.campaign = text,
        }
        shown
    }
}

impl Figures {
    fn of(counts: &Counts, queued: Option<i64>) -> Self {
        // What was taken back may stand in another hour than what it takes back.
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let percentile = |of_hundred| {
            let took = counts.latency.percentile(of_hundred)?;
            u64::try_from(took.as_millis()).ok()
        };
        let latency = || {
            Some(LatencyDocument {
                p50_ms: percentile(50)?,
                p90_ms: percentile(90)?,
                p99_ms: percentile(99)?,
            })
        };
        Self {
            accepted: count(counts.accepted),
            recipients: count(counts.recipients),
            sent: count(counts.sent),
            deferred: count(counts.deferred),
            bounced: count(counts.bounced),
            expired: count(counts.expired),
            removed: count(counts.removed),
            refused: count(counts.refused),
            queued: queued.map(count),
            latency: latency(),
        }
    }
}

/// Names of what there can be a row for.
const BY: &str = "hour or day, class, list, user, destination or campaign, or one of the first two and one of the others";

impl StatisticsQuery {
    /// The question, and what there is a row for by its name.
    fn read(self, api: &Api) -> Result<(Question, Vec<String>), Problem> {
        let set = |value: Option<String>| value.filter(|value| !value.is_empty());
        let mut errors = Vec::new();
        let by = set(self.by);
        let (period, dimension) = by
            .as_deref()
            .map_or(Ok((None, None)), read_by)
            .unwrap_or_else(|error| {
                errors.push(error);
                (None, None)
            });
        let now = api.clock.now();
        let mut moment = |field, text: Option<String>| -> Option<Timestamp> {
            let text = set(text)?;
            let at = Timestamp::from_rfc3339(&text);
            if at.is_none() {
                let example =
                    "must be a date with a time and an offset such as 2026-11-27T08:00:00Z";
                errors.push(FieldError::new(field, example));
            }
            at
        };
        let until = moment("until", self.until).unwrap_or(now);
        let since = moment("since", self.since);
        let shown = match period {
            Some(Period::Hour) => HOURS_SHOWN,
            Some(Period::Day) | None => DAYS_SHOWN,
        };
        let since = since.unwrap_or_else(|| until.minus(shown));
        if since > until {
            errors.push(FieldError::new("since", "is behind `until`"));
        }
        let class = set(self.class).and_then(|text| {
            let class = text.parse().ok().and_then(Class::from_number);
            if class.is_none() {
                let text = "must be 1 (very high) to 5 (very low)";
                errors.push(FieldError::new("class", text));
            }
            class
        });
        let destination = set(self.destination).map(|text| match mapped_domain(&text) {
            Ok(domain) => domain,
            // An address literal, or all those that are counted together.
            Err(_) => text.to_lowercase(),
        });
        let most = set(self.most).and_then(|text| {
            let figure = read_figure(&text);
            let problem = match (figure, dimension, period) {
                (None, ..) => Some(
                    "must be accepted, recipients, sent, deferred, bounced, expired, removed, refused or queued",
                ),
                (_, None, _) | (_, _, Some(_)) => Some("goes with names alone: say `by` one of them"),
                _ => None,
            };
            errors.extend(problem.map(|text| FieldError::new("most", text)));
            figure
        });
        let cursor = set(self.cursor);
        if most.is_some() && cursor.is_some() {
            let text = "does not go with `most`, of which there is one page";
            errors.push(FieldError::new("cursor", text));
        }
        let limit = set(self.limit).map_or(Some(ROWS_DEFAULT), |text| {
            let rows = text.parse().ok();
            rows.filter(|rows| (1..=ROWS_MAX).contains(rows))
        });
        if limit.is_none() {
            errors.push(FieldError::new("limit", format!("must be 1 to {ROWS_MAX}")));
        }
        let Some(rows_max) = limit.filter(|_| errors.is_empty()) else {
            return Err(Problem::fields(errors));
        };
        // By the names that they have; one that was removed is counted under the name that it had.
        let list = set(self.list).map(|name| match api.directory.list(&name) {
            Some(list) => list.name.clone(),
            None => name,
        });
        let user = set(self.user).map(|name| match api.directory.user(&name) {
            Some(user) => user.name.clone(),
            None => name,
        });
        let question = Question {
            since,
            until,
            period,
            by: dimension,
            filter: Filter {
                list,
                user,
                class,
                destination,
                campaign: set(self.campaign),
            },
            most,
            cursor,
            rows_max,
        };
        question
            .check()
            .map_err(|why| unanswerable(why, &question))?;
        let by = by.iter().flat_map(|by| by.split(','));
        Ok((question, by.map(|name| name.trim().to_owned()).collect()))
    }
}

fn read_by(text: &str) -> Result<(Option<Period>, Option<Dimension>), FieldError> {
    let (mut period, mut dimension) = (None, None);
    for name in text.split(',') {
        let name = name.trim();
        let is_told = match (read_period(name), read_dimension(name)) {
            (Some(found), _) => period.replace(found).is_some(),
            (_, Some(found)) => dimension.replace(found).is_some(),
            (None, None) => return Err(FieldError::new("by", format!("must be {BY}"))),
        };
        if is_told {
            let text = format!("has two that do not go together: it is {BY}");
            return Err(FieldError::new("by", text));
        }
    }
    Ok((period, dimension))
}

fn read_period(name: &str) -> Option<Period> {
    match name {
        "hour" => Some(Period::Hour),
        "day" => Some(Period::Day),
        _ => None,
    }
}

const DIMENSIONS: [(&str, Dimension); 5] = [
    ("class", Dimension::Class),
    ("list", Dimension::List),
    ("user", Dimension::User),
    ("destination", Dimension::Destination),
    ("campaign", Dimension::Campaign),
];

fn read_dimension(name: &str) -> Option<Dimension> {
    let known = DIMENSIONS.iter().find(|(known, _)| *known == name);
    known.map(|(_, dimension)| *dimension)
}

fn name_of(dimension: Dimension) -> &'static str {
    let known = DIMENSIONS.iter().find(|(_, known)| *known == dimension);
    known.map_or("", |(name, _)| name)
}

fn read_figure(name: &str) -> Option<Figure> {
    Some(match name {
        "accepted" => Figure::Accepted,
        "recipients" => Figure::Recipients,
        "sent" => Figure::Sent,
        "deferred" => Figure::Deferred,
        "bounced" => Figure::Bounced,
        "expired" => Figure::Expired,
        "removed" => Figure::Removed,
        "refused" => Figure::Refused,
        "queued" => Figure::Queued,
        _ => return None,
    })
}

/// A refusal that names the parameter at fault.
fn unanswerable(why: Unanswerable, question: &Question) -> Problem {
    match why {
        Unanswerable::Cursor => Problem::field("cursor", "is not a cursor of these statistics"),
        Unanswerable::Apart(one, other) => {
            let (one, other) = (name_of(one), name_of(other));
            let field = match question.by.map(name_of) {
                Some(by) if by == other => "by",
                _ => other,
            };
            let text = format!(
                "{one} and {other} are not counted together: class goes with list, user with list, campaign with \
                 list, and destination with none"
            );
            Problem::field(field, text)
        }
    }
}
