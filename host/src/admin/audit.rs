//! What a request does, noted while it is done: for its line of the log, and for the audit log.
//!
//! The line says who asked for what, on what, and how much of it changed; the audit log also what was and what is.
//! A handler notes what it is about to do before it does it, so that the line tells it also when
//! the request is given up half-way: what was begun is not undone by that. Names and filters are
//! noted, field names of what changed, and counts; never a password, a token, a note or a rule.

mod difference;
pub mod log;
mod record;
mod refused;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::Method;
use axum::http::request::Parts;
use tokio::sync::Semaphore;

use crate::directory::{Entry, Login, holds_secret};
use crate::message::Timestamp;
use crate::message::wording::printable;
use crate::spool::Selection;

use super::selection::{DeliveryStateName, StateFilter};

pub(super) use self::difference::{Side, differing, object};
pub(super) use self::record::Recorder;

use self::refused::Refused;

/// Tables that are read at once: each takes a thread for as long as its reader takes.
const TABLES_MAX: usize = 4;

/// What the audit log needs beside the directory.
#[derive(Debug)]
pub struct Audit {
    /// Logins that were wrong.
    logins: Refused,
    /// What callers may not do.
    too_far: Refused,
    tables: Arc<Semaphore>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            logins: Refused::default(),
            too_far: Refused::default(),
            tables: Arc::new(Semaphore::new(TABLES_MAX)),
        }
    }
}

impl Audit {
    /// What was counted and is to be written now.
    fn due(&self, now: Timestamp) -> Vec<Entry> {
        [self.logins.due(now), self.too_far.due(now)].concat()
    }
}

/// How much of a name or a filter the log shows: what is refused can be as long as a request.
const SHOWN_CHARACTERS_MAX: usize = 200;

/// What a request does, noted by whoever handles it.
#[derive(Clone, Debug, Default)]
pub(super) struct Deed(Arc<Mutex<Noted>>);

/// What is known about a request; what is none is left out of the line.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    /// The name of the token; none before one was accepted.
    pub(super) by: Option<String>,
    /// What is done.
    pub(super) action: Option<&'static str>,
    /// To which user.
    pub(super) user: Option<String>,
    /// To which list.
    pub(super) list: Option<String>,
    /// To which next hop.
    pub(super) next_hop: Option<String>,
    /// To which token, by its name.
    pub(super) token: Option<String>,
    /// To which admin.
    pub(super) admin: Option<String>,
    /// With which scope or role, when a token or an admin is made or changed.
    pub(super) scope: Option<&'static str>,
    /// To which policy component.
    pub(super) component: Option<String>,
    /// Which is then the one of this SHA-256.
    pub(super) digest: Option<String>,
    /// To which alert: its kind, and which one of that.
    pub(super) alert: Option<String>,
    /// To which message.
    pub(super) message_id: Option<String>,
    /// To which queued mail.
    pub(super) filter: Option<String>,
    /// The new priority of queued mail.
    pub(super) priority: Option<u8>,
    /// The new time of queued mail.
    pub(super) until: Option<String>,
    /// The names of the fields that are not what they were, or `nothing`.
    pub(super) changed: Option<String>,
    /// What becomes of the queued mail of a user that goes.
    pub(super) queued: Option<&'static str>,
    /// How many deliveries it concerned.
    pub(super) deliveries: Option<u64>,
    /// Whether it was only counted.
    pub(super) dry_run: Option<bool>,
    /// How the caller has logged in; of this and what follows the line of the log says nothing.
    pub(super) login: Option<Login>,
    /// From where.
    pub(super) client: Option<IpAddr>,
    /// The new name of a user that gets one.
    pub(super) new_name: Option<String>,
    /// What was, of what is another now; without secrets.
    pub(super) before: Option<Side>,
    /// What is.
    pub(super) after: Option<Side>,
    /// Whether somebody was not who they said.
    pub(super) is_login_failed: bool,
    /// Whether it is a message that a user submits.
    pub(super) is_mail: bool,
    /// Whether its entry in the audit log goes with the change itself.
    pub(super) is_handed_over: bool,
}

impl Deed {
    /// Notes more about it.
    pub(super) fn note(&self, note: impl FnOnce(&mut Noted)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn noted(&self) -> Noted {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Deed {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Deed>().cloned().unwrap_or_default())
    }
}

/// A name as the log shows it: on one line, not longer than one, and no token in its place.
pub(super) fn shown(name: &str) -> String {
    if holds_secret(name) {
        return "(a token)".to_owned();
    }
    let mut shown: String = printable(name).chars().take(SHOWN_CHARACTERS_MAX).collect();
    if shown.len() < name.len() && name.chars().count() > SHOWN_CHARACTERS_MAX {
        shown.push('…');
    }
    shown
}

/// Names of fields with commas between, or `nothing`.
pub(super) fn fields<'a>(changed: impl IntoIterator<Item = (&'a str, bool)>) -> String {
    let names: Vec<&str> = changed
        .into_iter()
        .filter_map(|(name, has_changed)| has_changed.then_some(name))
        .collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(",")
    }
}

/// Which queued mail is meant, but for one message by its id: `user=app state=held`, or `all`.
pub(super) fn filter(selection: &Selection) -> String {
    let class = selection.class.map(|class| class.number().to_string());
    let state = selection
        .state
        .map(|state| DeliveryStateName::from(state).name());
    let state = state.or(selection
        .only_stopped
        .then_some(StateFilter::Stopped.name()));
    let attempts = selection.attempts_min.map(|attempts| attempts.to_string());
    let due_from = selection.due_from.map(|from| from.to_string());
    let due_before = selection.due_before.map(|before| before.to_string());
    let mut text = String::new();
    for (name, value) in [
        ("list", selection.list.as_deref()),
        ("user", selection.user.as_deref()),
        ("class", class.as_deref()),
        ("state", state),
        ("subject", selection.subject.as_deref()),
        ("sender", selection.sender.as_deref()),
        ("recipient", selection.recipient.as_deref()),
        ("domain", selection.domain.as_deref()),
        ("attempts", attempts.as_deref()),
        ("last_reply", selection.last_reply.as_deref()),
        ("due_from", due_from.as_deref()),
        ("due_before", due_before.as_deref()),
    ] {
        if let Some(value) = value {
            let blank = if text.is_empty() { "" } else { " " };
            write!(text, "{blank}{name}={value}").expect("writing to a string does not fail");
        }
    }
    if text.is_empty() {
        "all".to_owned()
    } else {
        shown(&text)
    }
}

/// The line of a request. It is written when the request ends, in whatever way.
pub(super) struct Line {
    method: Method,
    route: String,
    deed: Deed,
    began: Instant,
    status: Option<u16>,
}

impl Line {
    /// Begins the line of a request, and gives the request what its handler notes on.
    pub(super) fn begin(request: &mut Request) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("(none)", MatchedPath::as_str).to_owned();
        let deed = Deed::default();
        request.extensions_mut().insert(deed.clone());
        Self {
            method: request.method().clone(),
            route,
            deed,
            began: Instant::now(),
            status: None,
        }
    }

    /// The request was answered.
    pub(super) fn answered(mut self, status: u16) {
        self.status = Some(status);
    }
}

/// Changes are logged at `info`, and so is a backup, which has every secret; reads at `debug`. A request that was given up has no status.
impl Drop for Line {
    fn drop(&mut self) {
        let Self {
            method,
            route,
            status,
            ..
        } = self;
        let Noted {
            by,
            action,
            user,
            list,
            next_hop,
            token,
            admin,
            scope,
            component,
            digest,
            alert,
            message_id,
            filter,
            priority,
            until,
            changed,
            queued,
            deliveries,
            dry_run,
            ..
        } = self.deed.noted();
        // To a tenth: an answer from memory takes less than one.
        let took_milliseconds = (self.began.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
        if action.is_none() && (*method == Method::GET || *method == Method::HEAD) {
            tracing::debug!(%method, route, by, status, took_milliseconds, "admin request");
        } else {
            tracing::info!(
                by,
                action,
                user,
                list,
                next_hop,
                token,
                admin,
                scope,
                component,
                digest,
                alert,
                message_id,
                filter,
                priority,
                until,
                changed,
                queued,
                deliveries,
                dry_run,
                %method,
                route,
                status,
                took_milliseconds,
                "admin request"
            );
        }
    }
}
