//! Stopping and starting over HTTP: everything, a next hop, a user, a list.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Caller, Operator};
use super::audit::{self, Deed};
use super::extract::{Json, NoQuery, given};
use super::openapi::{Conflicts, Missing, Refused, RefusedBody};
use super::problem::{FieldError, Kind, Problem};
use super::{Api, no_such, spool_problem};
use crate::message::{HostPort, NextHop, comparable_domain};
use crate::spool::{Change, ChangeAction, STOPS_MAX, Selection, Stop, StopOf, Stopped};

/// What is stopped or started: one of these, or everything when none is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopInput {
    /// This next hop, as the queue shows it: a domain, or `smarthost host:port`.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1, example = "example.com")]
    pub next_hop: Option<String>,
    /// Mail of this user.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub user: Option<String>,
    /// Mail of the users that are in this list now.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, min_length = 1)]
    pub list: Option<String>,
    /// Only count what is queued of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a stop is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopKind {
    /// Everything.
    All,
    /// A next hop.
    NextHop,
    /// A user.
    User,
    /// A list.
    List,
}

/// A stop that is in force: nothing of it is claimed, what is under way ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopDocument {
    /// What it is of.
    pub of: StopKind,
    /// The name of that; none for everything.
    pub name: Option<String>,
    /// The name of the token that stopped it.
    pub by: String,
    /// Since when.
    pub since: String,
    /// All of this in words.
    #[schema(example = "user app, by night-shift since 2026-11-23T13:44:11.818Z")]
    pub text: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopChanged {
    /// Of what, in words.
    #[schema(example = "user app")]
    pub of: String,
    /// Whether it was only counted.
    pub dry_run: bool,
    /// Whether anything is different now: it may have been stopped, or not, before.
    pub changed: bool,
    /// How many deliveries of it are queued; only counted with `dry_run`.
    pub count: Option<u64>,
    /// The stop of just this that was in force before; none when there was none.
    pub before: Option<StopDocument>,
    /// All that is stopped now.
    pub stops: Vec<StopDocument>,
}

impl From<&Stop> for StopDocument {
    fn from(stop: &Stop) -> Self {
        let (of, name) = match &stop.of {
            StopOf::All => (StopKind::All, None),
            StopOf::NextHop(next_hop) => (StopKind::NextHop, Some(next_hop.to_string())),
            StopOf::User(name) => (StopKind::User, Some(name.clone())),
            StopOf::List(name) => (StopKind::List, Some(name.clone())),
        };
        Self {
            of,
            name,
            by: stop.by.clone(),
            since: stop.at.to_string(),
            text: stop.to_string(),
        }
    }
}

/// All that is stopped.
pub(super) fn in_force(api: &Api) -> Vec<StopDocument> {
    let stops = api.spool.stops().all();
    stops.iter().map(StopDocument::from).collect()
}

/// Stops everything, a next hop, a user or a list, until it is started: at once, and across restarts. Sends that are
/// under way end. Nothing expires while it is stopped; what is overdue is tried once when it is started.
#[utoipa::path(post, path = "/api/v1/queue/stop", operation_id = "stop_queue", tag = "queue",
    request_body = StopInput,
    security(("token" = ["operate"])),
    responses((status = 200, description = "It is stopped.", body = StopChanged),
        Refused, RefusedBody, Missing, Conflicts))]
pub(super) async fn stop(
    Operator(caller): Operator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Json(input): Json<StopInput>,
) -> Result<axum::Json<StopChanged>, Problem> {
    note(&deed, "stop", &input);
    let dry_run = input.dry_run;
    let of = known(&api, input.read()?, &caller).await?;
    if dry_run {
        return counted(&api, of, &caller).await;
    }
    let stop = Stop {
        of: of.clone(),
        by: caller.name,
        at: api.clock.now(),
    };
    let stopped = api.spool.stop(stop).await;
    let before = match stopped.map_err(|error| spool_problem(&error))? {
        Stopped::Now => None,
        Stopped::Already(before) => Some(before),
        Stopped::TooMany => {
            return Err(Problem::new(
                Kind::Conflict,
                format!("there are {STOPS_MAX} stops, and no more at once: start something first"),
            ));
        }
    };
    Ok(changed(&api, &of, before.is_none(), before))
}

/// Ends the stop of just this. What another stop is about stays stopped.
#[utoipa::path(post, path = "/api/v1/queue/start", operation_id = "start_queue", tag = "queue",
    request_body = StopInput,
    security(("token" = ["operate"])),
    responses((status = 200, description = "It is stopped no more.", body = StopChanged),
        Refused, RefusedBody))]
pub(super) async fn start(
    Operator(caller): Operator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Json(input): Json<StopInput>,
) -> Result<axum::Json<StopChanged>, Problem> {
    note(&deed, "start", &input);
    let dry_run = input.dry_run;
    let of = input.read()?;
    if dry_run {
        return counted(&api, of, &caller).await;
    }
    let started = api.spool.start(of.clone()).await;
    let before = started.map_err(|error| spool_problem(&error))?;
    if before.is_some() {
        (api.retried)();
    }
    Ok(changed(&api, &of, before.is_some(), before))
}

fn note(deed: &Deed, action: &'static str, input: &StopInput) {
    deed.note(|noted| {
        noted.action = Some(action);
        noted.next_hop = input.next_hop.as_deref().map(audit::shown);
        noted.user = input.user.as_deref().map(audit::shown);
        noted.list = input.list.as_deref().map(audit::shown);
        noted.dry_run = input.dry_run.then_some(true);
    });
}

fn changed(api: &Api, of: &StopOf, changed: bool, before: Option<Stop>) -> axum::Json<StopChanged> {
    axum::Json(StopChanged {
        of: of.to_string(),
        dry_run: false,
        changed,
        count: None,
        before: before.as_ref().map(StopDocument::from),
        stops: in_force(api),
    })
}

async fn counted(
    api: &Api,
    of: StopOf,
    caller: &Caller,
) -> Result<axum::Json<StopChanged>, Problem> {
    let count = queued(api, &of, caller).await?;
    let all = api.spool.stops().all();
    let before = all.iter().find(|stop| stop.of == of);
    Ok(axum::Json(StopChanged {
        of: of.to_string(),
        dry_run: true,
        changed: false,
        count: Some(count),
        before: before.map(StopDocument::from),
        stops: in_force(api),
    }))
}

/// How many deliveries of it are queued.
async fn queued(api: &Api, of: &StopOf, caller: &Caller) -> Result<u64, Problem> {
    let all = Selection::default();
    let selection = match of.clone() {
        StopOf::All => all,
        StopOf::NextHop(next_hop) => Selection {
            next_hop: Some(next_hop),
            ..all
        },
        StopOf::User(name) => Selection {
            user: Some(name),
            ..all
        },
        StopOf::List(name) => Selection {
            list: Some(name),
            ..all
        },
    };
    // What a cancel would concern is all that is queued.
    let change = Change {
        action: ChangeAction::Cancel,
        by: caller.name.clone(),
        at: api.clock.now(),
    };
    let counted = api.spool.change(selection, change, true).await;
    counted.map_err(|error| spool_problem(&error))
}

/// It by the name that it has; who mistypes a name has stopped nothing, and is told.
async fn known(api: &Api, of: StopOf, caller: &Caller) -> Result<StopOf, Problem> {
    match &of {
        StopOf::User(name) => match api.directory.user(name) {
            Some(user) => Ok(StopOf::User(user.name.clone())),
            // Mail of a user that was removed.
            None if queued(api, &of, caller).await? > 0 => Ok(of),
            None => Err(no_such("user", name)),
        },
        StopOf::List(name) => match api.directory.list(name) {
            Some(list) => Ok(StopOf::List(list.name.clone())),
            None => Err(no_such("list", name)),
        },
        StopOf::All | StopOf::NextHop(_) => Ok(of),
    }
}

impl StopInput {
    fn read(self) -> Result<StopOf, Problem> {
        match (self.next_hop, self.user, self.list) {
            (None, None, None) => Ok(StopOf::All),
            (Some(text), None, None) => next_hop(&text).map(StopOf::NextHop),
            (None, Some(name), None) => named("user", name).map(StopOf::User),
            (None, None, Some(name)) => named("list", name).map(StopOf::List),
            _ => Err(Problem::field(
                "next_hop",
                "say one of `next_hop`, `user` and `list`, or none for everything",
            )),
        }
    }
}

/// Everything is what nothing says: a script's variable that is not set would stop all mail.
fn named(field: &'static str, name: String) -> Result<String, Problem> {
    match name.is_empty() {
        true => Err(Problem::field(
            field,
            "is empty: say what is meant, or leave it out",
        )),
        false => Ok(name),
    }
}

fn next_hop(text: &str) -> Result<NextHop, Problem> {
    let wrong = || {
        let text = audit::shown(text);
        let text = format!("`{text}` is no next hop: a domain, or `smarthost host:port`");
        Problem::fields(vec![FieldError::new("next_hop", text)])
    };
    match NextHop::parse(text) {
        NextHop::Domain(domain) if domain.is_empty() => Err(wrong()),
        NextHop::Domain(domain) => comparable_domain(&domain)
            .map(NextHop::Domain)
            .map_err(|_| wrong()),
        NextHop::Smarthost(host) => match host.parse::<HostPort>() {
            Ok(host) => Ok(NextHop::Smarthost(host.to_string())),
            Err(_) => Err(wrong()),
        },
    }
}
