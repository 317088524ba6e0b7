//! Stopping and starting over HTTP: everything, a next hop, a user, a list.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::access::Operator;
use super::audit::{self, Deed};
use super::extract::{Json, NoQuery, given};
use super::once::KeyHeader;
use super::openapi::{Conflicts, Missing, Refused, RefusedBody};
use super::problem::{FieldError, Kind, Problem};
use super::{Api, invalid, no_such, spool_problem};
use crate::account::{FieldProblem, check_plain_name, check_user_name};
use crate::message::{HostPort, NextHop, comparable_domain};
use crate::spool::{STOPS_MAX, Stop, StopOf, Stopped};

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
    /// Only count what waits, or would wait, for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What is stopped, in the form in which it is said to `start`: one of these, or none for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopTarget {
    /// This next hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "example.com")]
    pub next_hop: Option<String>,
    /// Mail of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// Mail of the users that are in this list now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub list: Option<String>,
}

/// A stop that is in force: nothing of it is claimed, what is under way ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopDocument {
    /// What it is of; sent to `start`, this ends it.
    pub of: StopTarget,
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
    /// Of what.
    pub of: StopTarget,
    /// The same in words.
    #[schema(example = "user app")]
    pub text: String,
    /// Whether it was only counted.
    pub dry_run: bool,
    /// Whether anything is different now: it may have been stopped, or not, before.
    pub changed: bool,
    /// How many deliveries wait for it: neither held nor under way, whatever else they are stopped with. For `start`
    /// how many did, 0 where there was no stop of just this. None where they could not be counted, or not in time.
    pub count: Option<u64>,
    /// The stop of just this that was in force before; none when there was none.
    pub before: Option<StopDocument>,
    /// All that is stopped now.
    pub stops: Vec<StopDocument>,
}

impl From<&StopOf> for StopTarget {
    fn from(of: &StopOf) -> Self {
        let none = Self::default();
        match of {
            StopOf::All => none,
            StopOf::NextHop(next_hop) => Self {
                next_hop: Some(next_hop.to_string()),
                ..none
            },
            StopOf::User(name) => Self {
                user: Some(name.clone()),
                ..none
            },
            StopOf::List(name) => Self {
                list: Some(name.clone()),
                ..none
            },
        }
    }
}

impl From<&Stop> for StopDocument {
    fn from(stop: &Stop) -> Self {
        Self {
            of: (&stop.of).into(),
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
    params(KeyHeader),
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
    let of = known(&api, input.read()?).await?;
    let before = match dry_run {
        true => api.spool.stops().of(&of),
        false => stopped(&api, &of, caller.name).await?,
    };
    // It is in force, however long it takes to count.
    let count = count(&api, &of, dry_run, &deed).await?;
    Ok(axum::Json(StopChanged {
        changed: !dry_run && before.is_none(),
        count,
        before: before.as_ref().map(StopDocument::from),
        ..document(&api, &of, dry_run)
    }))
}

/// Ends the stop of just this. What another stop is about stays stopped.
#[utoipa::path(post, path = "/api/v1/queue/start", operation_id = "start_queue", tag = "queue",
    params(KeyHeader),
    request_body = StopInput,
    security(("token" = ["operate"])),
    responses((status = 200, description = "It is stopped no more.", body = StopChanged),
        Refused, RefusedBody, Conflicts))]
pub(super) async fn start(
    _: Operator,
    deed: Deed,
    _: NoQuery,
    State(api): State<Arc<Api>>,
    Json(input): Json<StopInput>,
) -> Result<axum::Json<StopChanged>, Problem> {
    note(&deed, "start", &input);
    let dry_run = input.dry_run;
    let of = input.read()?;
    let mut before = api.spool.stops().of(&of);
    // By the name that it was stopped by.
    let of = before.as_ref().map_or(of, |before| before.of.clone());
    // Once it is started, what waited for it is under way.
    let count = match before {
        Some(_) => count(&api, &of, dry_run, &deed).await?,
        None => Some(0),
    };
    if !dry_run {
        let started = api.spool.start(of.clone()).await;
        before = started.map_err(|error| spool_problem(&error))?;
        if before.is_some() {
            (api.retried)();
        }
    }
    Ok(axum::Json(StopChanged {
        changed: !dry_run && before.is_some(),
        count,
        before: before.as_ref().map(StopDocument::from),
        ..document(&api, &of, dry_run)
    }))
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

/// Stops it; the stop of just this that there was.
async fn stopped(api: &Api, of: &StopOf, by: String) -> Result<Option<Stop>, Problem> {
    let stop = Stop {
        of: of.clone(),
        by,
        at: api.clock.now(),
    };
    let stopped = api.spool.stop(stop).await;
    match stopped.map_err(|error| spool_problem(&error))? {
        Stopped::Now => Ok(None),
        Stopped::Already(before) => Ok(Some(before)),
        Stopped::TooMany => Err(Problem::new(
            Kind::Conflict,
            format!("there are {STOPS_MAX} stops, and no more at once: start something first"),
        )),
    }
}

/// What is so now, whatever was done.
fn document(api: &Api, of: &StopOf, dry_run: bool) -> StopChanged {
    StopChanged {
        of: of.into(),
        text: of.to_string(),
        dry_run,
        changed: false,
        count: None,
        before: None,
        stops: in_force(api),
    }
}

/// How long deliveries are counted: some ten million. It is stopped meanwhile, and who stopped it waits for the answer.
const COUNTED_WITHIN: Duration = Duration::from_secs(10);

/// How many deliveries wait for it. Who stops something is not told that it failed because of that.
async fn count(api: &Api, of: &StopOf, dry_run: bool, deed: &Deed) -> Result<Option<u64>, Problem> {
    let counting = api.spool.count_behind(of.clone());
    let counted = match timeout(COUNTED_WITHIN, counting).await {
        Ok(Ok(count)) => Some(count),
        Err(_) => None,
        Ok(Err(error)) if dry_run => return Err(spool_problem(&error)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "what is stopped cannot be counted");
            None
        }
    };
    deed.note(|noted| noted.deliveries = counted);
    Ok(counted)
}

/// It by the name that it has; who mistypes a name has stopped nothing, and is told.
async fn known(api: &Api, of: StopOf) -> Result<StopOf, Problem> {
    match &of {
        StopOf::User(name) => match api.directory.user(name) {
            Some(user) => Ok(StopOf::User(user.name.clone())),
            None => {
                // Mail of a user that was removed has his name still.
                let waits = api.spool.count_behind(of.clone()).await;
                match waits.map_err(|error| spool_problem(&error))? {
                    0 => Err(no_such("user", name)),
                    _ => Ok(of),
                }
            }
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
            (None, Some(name), None) => named(check_user_name, "user", name).map(StopOf::User),
            (None, None, Some(name)) => named(check_plain_name, "list", name).map(StopOf::List),
            _ => Err(Problem::field(
                "next_hop",
                "say one of `next_hop`, `user` and `list`, or none for everything",
            )),
        }
    }
}

/// A name that somebody can have. None is refused: everything is what nothing says, and a script's variable that is not
/// set would stop all mail.
fn named(
    check: impl Fn(&'static str, &str) -> Result<(), FieldProblem>,
    field: &'static str,
    name: String,
) -> Result<String, Problem> {
    match check(field, &name) {
        Ok(()) => Ok(name),
        Err(_) if name.is_empty() => Err(Problem::field(
            field,
            "is empty: say what is meant, or leave it out",
        )),
        Err(problem) => Err(invalid(vec![problem])),
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
            .map(|domain| NextHop::Domain(domain.into()))
            .map_err(|_| wrong()),
        NextHop::Smarthost(host) => match host.parse::<HostPort>() {
            Ok(host) => Ok(NextHop::Smarthost(host.to_string().into())),
            Err(_) => Err(wrong()),
        },
    }
}
