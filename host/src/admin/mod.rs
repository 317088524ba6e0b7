//! The admin surface: the HTTP API, the console, metrics and health.
//!
//! Everything an operator does goes through here, the command line included, and users hand messages over here that do
//! not speak SMTP. The surface reads
//! requests strictly, asks who may do it, lets the layers below do it, and shows what they say; it
//! decides nothing about accounts or mail itself. Each module below has its wire form (which can
//! change apart from what is stored) next to the handlers that answer with it. No answer but the
//! one that made a secret has it, no request body is logged.

#![allow(
    clippy::result_large_err,
    reason = "a request is refused once and the refusal leaves the process: its size costs nothing"
)]

pub mod accounts;
pub mod admins;
pub mod alerts;
pub mod audit;
pub mod backup;
pub mod client;
pub mod condition;
pub mod connection;
pub mod deploy;
pub mod dialogue;
pub mod entries;
pub mod health;
pub mod items;
pub mod lists;
pub mod messages;
pub mod plugins;
pub mod problem;
pub mod queue;
pub mod refusals;
pub mod reload;
pub mod removal;
pub mod selection;
pub mod senders;
pub mod standing;
pub mod statistics;
pub mod stops;
pub mod submission;
pub mod system;
pub mod tokens;
pub mod trail;
pub mod users;

mod access;
mod console;
mod csv;
mod extract;
mod login;
mod metrics;
mod once;
mod openapi;
mod order;
mod pieces;
mod progress;
mod routes;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod undo;
mod unread;
mod version;

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

pub use alerts::Alerts;
pub use backup::BackupSources;
pub use condition::Condition;
pub use connection::{Certificate, ConnectionFacts};
pub use console::{Live, Sessions};
pub use deploy::{Deploy, Deployed, Deploying, NotDeployed};
pub use health::Readiness;
pub use metrics::Metrics;
pub use once::Answers;
pub use order::{Order, OrderedPage, Told};
pub use plugins::{PluginStatus, Uploads};
pub use reload::{NotReloaded, Reload, Reloaded, Remark};
pub use routes::router;
pub use server::{BindError, Limits, Listener, Protection, Settings};
pub use submission::{Submissions, Submit};
pub use system::disk_of;
pub use undo::Undos;

use crate::account::{FieldProblem, PasswordHash};
use crate::auth::{AuthError, Authenticator, generate_password};
use crate::clock::Clock;
use crate::directory::{Directory, DirectoryError};
use crate::message::Timestamp;
use crate::spool::{Spool, SpoolError};
use crate::telemetry::Registry;
use crate::tls;
use problem::{FieldError, Kind, Problem};

/// What the surface works with.
pub struct Api {
    /// Lists, users and admin secrets.
    pub directory: Directory,
    /// Makes and hashes passwords.
    pub auth: Authenticator,
    /// The queue.
    pub spool: Arc<dyn Spool>,
    /// Who knows in which order it leaves.
    pub order: Arc<dyn Order>,
    /// Called when an operator wants mail to be tried again now: whoever delivers must not wait for anything
    /// else then.
    pub retried: Box<dyn Fn() + Send + Sync>,
    /// Takes messages from users.
    pub submissions: Submissions,
    /// The policy components.
    pub plugins: Arc<dyn PluginStatus>,
    /// Changes which of them are asked.
    pub deploy: Arc<dyn Deploy>,
    /// How many of them come in at once.
    pub uploads: Uploads,
    /// Knows what somebody should look at.
    pub alerts: Arc<dyn Alerts>,
    /// Reads the configuration again.
    pub reload: Arc<dyn Reload>,
    /// How mail clients connect, now.
    pub connection: Arc<ArcSwap<ConnectionFacts>>,
    /// What a backup is made of besides the directory.
    pub backup: BackupSources,
    /// Shows the certificate in force.
    pub tls: tls::Server,
    /// Who is logged in to the console.
    pub sessions: Sessions,
    /// What open pages of the console look at.
    pub live: Live,
    /// What was answered to requests that are done once.
    pub answers: Answers,
    /// What actions on the queue have changed.
    pub undos: Undos,
    /// What the audit log needs.
    pub audit: audit::Audit,
    /// What everybody counts.
    pub registry: Arc<Registry>,
    /// What the surface itself counts.
    pub metrics: Metrics,
    /// What keeps the relay from being ready.
    pub readiness: Readiness,
    /// Tells the time.
    pub clock: Clock,
    /// When the relay started.
    pub started: Timestamp,
}

/// Something is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Removed {
    /// Its name.
    pub removed: String,
}

/// A new password and its hash. The password is wiped when it is dropped.
async fn new_password(api: &Api) -> Result<(Zeroizing<String>, PasswordHash), Problem> {
    let password = generate_password().map_err(|error| auth_problem(&error))?;
    let hash = api
        .auth
        .hash(&password)
        .await
        .map_err(|error| auth_problem(&error))?;
    Ok((password, hash))
}

fn auth_problem(error: &AuthError) -> Problem {
    match error {
        AuthError::Busy => Problem::new(
            Kind::Unavailable,
            "too many passwords are being hashed: try again in a few seconds",
        ),
        AuthError::Unavailable(_) => Problem::internal("hashing a password", error),
    }
}

fn invalid(problems: Vec<FieldProblem>) -> Problem {
    Problem::fields(
        problems
            .into_iter()
            .map(|problem| FieldError::new(problem.field, problem.text))
            .collect(),
    )
}

fn directory_problem(error: DirectoryError) -> Problem {
    match error {
        DirectoryError::Invalid(problems) => invalid(problems),
        DirectoryError::Exists { .. } => Problem {
            errors: vec![FieldError::new("name", error.to_string())],
            ..Problem::new(Kind::Conflict, error.to_string())
        },
        DirectoryError::Unknown { what, name } => no_such(what, &name),
        DirectoryError::ChangedMeanwhile { .. } => Problem::new(
            Kind::ChangedMeanwhile,
            format!("{error}, and that is not overwritten: look at it again, then decide"),
        ),
        DirectoryError::NotEmpty { .. }
        | DirectoryError::Protected(_)
        | DirectoryError::LastAdmin(_)
        | DirectoryError::LastOfRole(_)
        | DirectoryError::Full { .. } => Problem::new(Kind::Conflict, error.to_string()),
        DirectoryError::NoRoom => Problem::new(
            Kind::Unavailable,
            "the disk of the data folder is full: make room there, then try again",
        ),
        DirectoryError::Unavailable(_) => Problem::internal("writing the directory", &error),
    }
}

fn spool_problem(error: &SpoolError) -> Problem {
    match error {
        SpoolError::Full => Problem::new(
            Kind::Unavailable,
            "the spool has no room now: try again later",
        ),
        SpoolError::LeaseLost | SpoolError::Cancelled | SpoolError::Restored => Problem::new(
            Kind::Conflict,
            "the delivery changed meanwhile: look at it again, then try again",
        ),
        SpoolError::Unknown => Problem::not_found("such message"),
        SpoolError::ReadOnly | SpoolError::Unavailable(_) => {
            Problem::internal("asking the spool", error)
        }
    }
}

fn no_such(what: &str, name: &str) -> Problem {
    Problem::not_found(format!("{what} named \"{}\"", audit::shown(name)))
}

/// A name as a segment of a path: everything but unreserved characters in percent form (RFC 3986 §2).
pub(crate) fn within_path(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~@".contains(&octet) {
            segment.push(char::from(octet));
        } else {
            write!(segment, "%{octet:02X}").expect("writing to a string does not fail");
        }
    }
    segment
}
