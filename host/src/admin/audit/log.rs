//! The audit log over HTTP: who changed what, when and from where, with what was and what is.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::record::written;
use crate::admin::access::Administrator;
use crate::admin::extract::QueryString;
use crate::admin::openapi::Refused;
use crate::admin::pieces::{PIECE_OCTETS, outlet};
use crate::admin::problem::{FieldError, Kind, Problem};
use crate::admin::{Api, csv, directory_problem};
use crate::directory::{AuditFilter, AuditPage, DirectoryError, Entry, Login};
use crate::message::Timestamp;

/// Entries of a page when nothing is said: a screen or two.
const ROWS_DEFAULT: usize = 100;
/// Entries of a page at most.
const ROWS_MAX: usize = 1_000;

/// A page of the audit log, the newest entry first. There may be fewer entries than asked for, even none, before the
/// end: only a page without `cursor` is the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditDocument {
    /// The entries.
    pub entries: Vec<EntryDocument>,
    /// To be sent for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Something that was done, or tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntryDocument {
    /// Its number: one more than that of the entry before it.
    pub sequence: u64,
    /// When.
    pub at: String,
    /// The name of the token or the admin; none where the relay did it by itself, or nobody known.
    pub by: Option<String>,
    /// How they had logged in.
    pub login: Option<LoginName>,
    /// The address that it came from.
    #[schema(example = "192.0.2.7")]
    pub client: Option<String>,
    /// What was done: `add-user`, `change-user`, `hold`, `reload`, `start` and so on.
    #[schema(example = "change-user")]
    pub action: String,
    /// What it was about.
    pub about: EntryAbout,
    /// What was, of what is another now, with the name; all of what was removed. No secrets.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Map<String, Value>>,
    /// What is; all of what was made.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Map<String, Value>>,
    /// The HTTP status of the answer; none where there was none.
    pub status: Option<u16>,
    /// How many deliveries it concerned.
    pub deliveries: Option<u64>,
    /// How often: refused attempts are counted together.
    pub times: u32,
}

/// What an entry is about; what is none is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryAbout {
    /// The user, by the name before it was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// The list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub list: Option<String>,
    /// The token, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token: Option<String>,
    /// The admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub admin: Option<String>,
    /// The policy component.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub component: Option<String>,
    /// The alert: its kind, and which one of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub alert: Option<String>,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message_id: Option<String>,
    /// Which queued mail: `user=app state=held`, or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub filter: Option<String>,
    /// What became of the queued mail of a user that was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub queued: Option<String>,
    /// The next hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_hop: Option<String>,
    /// What was asked for, where that was refused: `POST /api/v1/users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request: Option<String>,
    /// The release that started or stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub version: Option<String>,
}

/// How somebody had logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoginName {
    /// With a token.
    Token,
    /// With name and password, in the console.
    Console,
}

/// Which entries. Everything given must match; an empty value counts as not given.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Not before this date and time (RFC 3339).
    pub since: Option<String>,
    /// Before this date and time.
    pub until: Option<String>,
    /// By the token or admin of this name.
    pub by: Option<String>,
    /// Of this action: `change-user`.
    pub action: Option<String>,
    /// About this user, by the name that it had or got.
    pub user: Option<String>,
    /// About this list, or a user of it.
    pub list: Option<String>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Entries at most, 1 to 1000; 100 when left out. A table has all of them.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
    /// `json` when left out; `csv` for a table of all entries that match.
    #[param(value_type = Option<FormatName>)]
    pub format: Option<String>,
}

/// How the audit log is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FormatName {
    /// A page, as a document.
    Json,
    /// All that match, as a table for spreadsheets.
    Csv,
}

/// What is asked for.
struct Asked {
    filter: AuditFilter,
    before: Option<u64>,
    rows_max: usize,
}

impl AuditQuery {
    fn read(self) -> Result<Asked, Problem> {
        let set = |value: Option<String>| value.filter(|value| !value.is_empty());
        let mut errors = Vec::new();
        let mut moment = |field, text: Option<String>| {
            let text = set(text)?;
            let at = Timestamp::from_rfc3339(&text);
            if at.is_none() {
                let text = "must be a date and time with its zone, such as 2026-11-27T08:00:00Z";
                errors.push(FieldError::new(field, text));
            }
            at
        };
        let (since, until) = (moment("since", self.since), moment("until", self.until));
        let before = set(self.cursor).map(|text| text.parse().ok());
        if before == Some(None) {
            errors.push(FieldError::new("cursor", "is none of this listing"));
        }
        let rows_max = set(self.limit).map_or(Some(ROWS_DEFAULT), |text| {
            let rows = text.parse().ok();
            rows.filter(|rows| (1..=ROWS_MAX).contains(rows))
        });
        if rows_max.is_none() {
            errors.push(FieldError::new("limit", format!("must be 1 to {ROWS_MAX}")));
        }
        if !matches!(set(self.format).as_deref(), None | Some("json" | "csv")) {
            errors.push(FieldError::new("format", "must be json or csv"));
        }
        if !errors.is_empty() {
            return Err(Problem::fields(errors));
        }
        let about = [("user", set(self.user)), ("list", set(self.list))];
        let about = about
            .into_iter()
            .filter_map(|(kind, name)| Some((kind, name?)));
        Ok(Asked {
            filter: AuditFilter {
                since,
                until,
                by: set(self.by),
                action: set(self.action),
                about: about.collect(),
            },
            before: before.flatten(),
            rows_max: rows_max.unwrap_or(ROWS_DEFAULT),
        })
    }
}

/// Shows the audit log, the newest entry first: every change, who made it and from where, with what was and what is. Also
/// what was refused to callers and wrong logins, which are counted together; starts and stops of the relay.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list_audit_entries", tag = "audit log", params(AuditQuery),
    security(("token" = ["admin"])),
    responses((status = 200, description = "A page of it, or a table.",
        content((AuditDocument = "application/json"), (String = "text/csv"))), Refused))]
pub(in crate::admin) async fn list(
    _: Administrator,
    State(api): State<Arc<Api>>,
    QueryString(query): QueryString<AuditQuery>,
) -> Result<Response, Problem> {
    match query.format.as_deref() {
        Some("csv") => table(&api, query.read()?.filter),
        _ => Ok(axum::Json(page(&api, query).await?).into_response()),
    }
}

/// A page, for every surface.
pub(in crate::admin) async fn page(
    api: &Arc<Api>,
    query: AuditQuery,
) -> Result<AuditDocument, Problem> {
    let asked = query.read()?;
    let due = api.audit.due(api.clock.now());
    if !due.is_empty() {
        written(Arc::clone(api), due).await;
    }
    let (directory, now) = (api.directory.clone(), api.clock.now());
    let read = move || directory.audit(&asked.filter, asked.before, asked.rows_max, now);
    let page = tokio::task::spawn_blocking(read).await;
    let page = page.unwrap_or_else(|error| Err(DirectoryError::Unavailable(error.into())));
    let AuditPage { entries, next } = page.map_err(unread)?;
    Ok(AuditDocument {
        entries: entries.into_iter().map(document).collect(),
        cursor: next.map(|number| number.to_string()),
    })
}

fn unread(error: DirectoryError) -> Problem {
    match error {
        DirectoryError::Unavailable(_) => Problem::internal("reading the audit log", &error),
        error => directory_problem(error),
    }
}

fn document((sequence, entry): (u64, Entry)) -> EntryDocument {
    let mut about = EntryAbout::default();
    for (kind, name) in entry.about {
        let place = match kind.as_str() {
            "user" => &mut about.user,
            "list" => &mut about.list,
            "token" => &mut about.token,
            "admin" => &mut about.admin,
            "component" => &mut about.component,
            "alert" => &mut about.alert,
            "message_id" => &mut about.message_id,
            "filter" => &mut about.filter,
            "queued" => &mut about.queued,
            "next_hop" => &mut about.next_hop,
            "request" => &mut about.request,
            "version" => &mut about.version,
            _ => continue,
        };
        // The first name of a user is the one from before.
        place.get_or_insert(name);
    }
    let object = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    EntryDocument {
        sequence,
        at: entry.at.to_string(),
        by: entry.by,
        login: entry.login.map(|login| match login {
            Login::Token => LoginName::Token,
            Login::Console => LoginName::Console,
        }),
        client: entry.client.map(|client| client.to_string()),
        action: entry.action,
        about,
        before: object(entry.before),
        after: object(entry.after),
        status: entry.status,
        deliveries: entry.deliveries,
        times: entry.times,
    }
}

/// All entries that match, as they are read: whoever reads them slowly keeps none of them in memory.
fn table(api: &Arc<Api>, filter: AuditFilter) -> Result<Response, Problem> {
    let turn = Arc::clone(&api.audit.tables).try_acquire_owned();
    let turn = turn.map_err(|_| {
        let text = "other tables of the audit log are being read: try again when they are done";
        Problem::new(Kind::Unavailable, text)
    })?;
    let (outlet, body) = outlet();
    let api = Arc::clone(api);
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE_OCTETS, outlet.clone());
        let written = write_table(&api, &filter, out);
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            tracing::error!(%error, "a table of the audit log broke off");
            outlet.break_off(error);
        }
        drop(turn);
    });
    let says = [
        (CONTENT_TYPE, csv::MEDIA_TYPE),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"outpost-audit.csv\"",
        ),
    ];
    Ok((says, body).into_response())
}

fn write_table(api: &Api, filter: &AuditFilter, mut out: impl Write) -> io::Result<()> {
    let columns = [
        "sequence",
        "at",
        "by",
        "login",
        "client",
        "action",
        "about",
        "before",
        "after",
        "status",
        "deliveries",
        "times",
    ];
    csv::row(&mut out, columns)?;
    let mut before = None;
    loop {
        let page = api
            .directory
            .audit(filter, before, ROWS_MAX, api.clock.now());
        let page = page.map_err(io::Error::other)?;
        for (number, entry) in page.entries {
            let about = entry
                .about
                .iter()
                .map(|(kind, name)| format!("{kind}={name}"));
            let number_or_none =
                |number: Option<u64>| number.map_or(String::new(), |n| n.to_string());
            let login = entry.login.map(|login| match login {
                Login::Token => "token",
                Login::Console => "console",
            });
            let cells = [
                number.to_string(),
                entry.at.to_string(),
                entry.by.unwrap_or_default(),
                login.unwrap_or_default().to_owned(),
                entry
                    .client
                    .map_or(String::new(), |client| client.to_string()),
                entry.action,
                about.collect::<Vec<_>>().join(" "),
                entry.before.unwrap_or_default(),
                entry.after.unwrap_or_default(),
                number_or_none(entry.status.map(u64::from)),
                number_or_none(entry.deliveries),
                entry.times.to_string(),
            ];
            csv::row(&mut out, cells.iter().map(String::as_str))?;
        }
        before = page.next;
        if before.is_none() {
            return out.flush();
        }
    }
}
