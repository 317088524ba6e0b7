//! From what a request does to its entry in the audit log, and when that is written.
//!
//! A change of the directory takes its entry along into its own transaction ([`Deed::terms`]). What else was done is
//! written when the request ends and before it is answered, also where the client has gone by then. What cannot be
//! written does not undo what was done; the line of the log has it.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;

use super::difference::{differing, object, side, text};
use super::{Deed, Noted};
use crate::account::List;
use crate::admin::server::Peer;
use crate::admin::{Api, admins, lists, tokens, users};
use crate::clock::Clock;
use crate::directory::{Entry, OnlyIf, Terms, Touched, Version};
use crate::message::Timestamp;

/// The action of what a caller may not do.
const REFUSED: &str = "refused";

/// The action of whoever shows a token that there is not, or a wrong password.
const LOGIN_FAILED: &str = "login-failed";

impl Deed {
    /// What a change of the directory comes with: a condition, and its entry, which says that it was answered with
    /// `status`. Where it is made, nothing else is written about this request.
    pub(in crate::admin) fn terms(
        &self,
        clock: &Clock,
        status: StatusCode,
        only_if: Option<OnlyIf>,
    ) -> Terms {
        self.note(|noted| noted.is_handed_over = true);
        let (deed, at) = (self.clone(), clock.now());
        let tell = move |touched: Touched<'_>| deed.entry_of(touched, at, status.as_u16());
        Terms {
            only_if,
            tell: Some(Box::new(tell)),
        }
    }

    fn entry_of(&self, touched: Touched<'_>, at: Timestamp, status: u16) -> Option<Entry> {
        let mut noted = self.noted();
        let (before, after) = match touched {
            Touched::User(before, after) => {
                if before.map(Version::of_user) == after.map(Version::of_user) {
                    return None;
                }
                let last = after.or(before);
                noted.user = before.or(after).map(|user| user.name.clone());
                noted.new_name = after
                    .map(|user| user.name.clone())
                    .filter(|name| Some(name) != noted.user.as_ref());
                noted.list = last.map(|user| user.list.clone());
                let shown = |user| side(&users::in_full(user, at));
                (before.and_then(shown), after.and_then(shown))
            }
            Touched::List(before, after) => {
                if before.map(Version::of_list) == after.map(Version::of_list) {
                    return None;
                }
                noted.list = after.or(before).map(|list| list.name.clone());
                let shown = |list: &List| side(&lists::settings(list));
                (before.and_then(shown), after.and_then(shown))
            }
            Touched::Token(before, after) => {
                noted.token = after.or(before).map(|token| token.name.clone());
                let shown = |token| side(&tokens::shown(token));
                (before.and_then(shown), after.and_then(shown))
            }
            Touched::Admin(before, after) => {
                if before == after {
                    return None;
                }
                noted.admin = after.or(before).map(|admin| admin.name.clone());
                let shown = |admin| side(&admins::shown(admin));
                (before.and_then(shown), after.and_then(shown))
            }
        };
        (noted.before, noted.after) = differing(before, after);
        Some(noted.entry(at, Some(status)))
    }
}

impl Noted {
    fn entry(&self, at: Timestamp, status: Option<u16>) -> Entry {
        let about = [
            ("user", &self.user),
            ("user", &self.new_name),
            ("list", &self.list),
            ("token", &self.token),
            ("admin", &self.admin),
            ("next_hop", &self.next_hop),
            ("component", &self.component),
            ("alert", &self.alert),
            ("message_id", &self.message_id),
            ("filter", &self.filter),
            ("queued", &self.queued.map(str::to_owned)),
        ];
        let about = about.into_iter().filter_map(|(kind, name)| {
            let name = name.clone()?;
            Some((kind.to_owned(), name))
        });
        // Of queued mail its trail has what was.
        let priority = self.priority.map(|priority| ("priority", priority.into()));
        let until = self
            .until
            .as_ref()
            .map(|until| ("until", until.as_str().into()));
        let set: Vec<_> = priority.into_iter().chain(until).collect();
        let after = self
            .after
            .clone()
            .or((!set.is_empty()).then(|| object(set)));
        Entry {
            by: self.by.clone(),
            login: self.login,
            client: self.client,
            about: about.collect(),
            before: text(self.before.clone()),
            after: text(after),
            status,
            deliveries: self.deliveries,
            ..Entry::new(self.action.unwrap_or_default(), at)
        }
    }

    /// Whether something was done that is to be written: what mail goes through here is no business of the audit log, and
    /// neither is what was only counted.
    fn is_done(&self) -> bool {
        self.action.is_some() && !self.is_handed_over && !self.is_mail && self.dry_run != Some(true)
    }
}

/// Writes the entry of a request when it ends, in whatever way.
pub(in crate::admin) struct Recorder {
    api: Arc<Api>,
    deed: Deed,
    /// What was asked for: `POST /api/v1/users`.
    request: String,
    is_answered: bool,
}

impl Recorder {
    /// Begins with a request that has its [`Deed`].
    pub(in crate::admin) fn begin(api: &Arc<Api>, request: &Request) -> Self {
        let extensions = request.extensions();
        let deed = extensions.get::<Deed>().cloned().unwrap_or_default();
        let client = extensions.get::<Peer>().map(|peer| peer.address.ip());
        deed.note(|noted| noted.client = client.map(|client| client.to_canonical()));
        let route = extensions.get::<MatchedPath>();
        let route = route.map_or("(none)", MatchedPath::as_str);
        Self {
            api: Arc::clone(api),
            deed,
            request: format!("{} {route}", request.method()),
            is_answered: false,
        }
    }

    /// Writes what is to be written, before the request is answered so.
    pub(in crate::admin) async fn answered(mut self, status: StatusCode) {
        self.is_answered = true;
        let entries = self.entries(status);
        if entries.is_empty() {
            return;
        }
        // On its own: a client that goes away now does not keep it from being written.
        let _ = tokio::spawn(written(Arc::clone(&self.api), entries)).await;
    }

    fn entries(&self, status: StatusCode) -> Vec<Entry> {
        let noted = self.deed.noted();
        let now = self.api.clock.now();
        let entry = noted.entry(now, Some(status.as_u16()));
        let refused = &self.api.audit;
        match status {
            StatusCode::FORBIDDEN if noted.by.is_some() => {
                let request = ("request".to_owned(), self.request.clone());
                refused.too_far.count(Entry {
                    about: vec![request],
                    before: None,
                    after: None,
                    action: REFUSED.to_owned(),
                    ..entry
                })
            }
            _ if noted.is_login_failed => {
                let entry = Entry {
                    by: None,
                    action: LOGIN_FAILED.to_owned(),
                    ..entry
                };
                refused.logins.count(entry)
            }
            // Refused for what it was: nothing was done.
            _ if status.is_client_error() => Vec::new(),
            _ if noted.is_done() => vec![entry],
            _ => Vec::new(),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let noted = self.deed.noted();
        if self.is_answered || !noted.is_done() {
            return;
        }
        // What was begun is not undone because nobody waits for its answer.
        let entry = noted.entry(self.api.clock.now(), None);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(written(Arc::clone(&self.api), vec![entry]));
        }
    }
}

/// Writes entries; where that fails, the log says so.
pub(in crate::admin) async fn written(api: Arc<Api>, entries: Vec<Entry>) {
    if let Err(error) = api.directory.record(entries).await {
        tracing::error!(%error, "the audit log cannot be written: the log has what was done");
    }
}
