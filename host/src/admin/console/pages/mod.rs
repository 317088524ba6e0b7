//! The pages, each in a file of its own; here is where each is.

pub(super) mod alerts;
mod connection;
mod lists;
pub(super) mod message;
mod policies;
pub(super) mod queue;
mod refused;
mod statistics;
mod system;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::refusal::{Refusal, go_to};
use super::visit::Visitor;
use crate::admin::Api;
use crate::admin::extract::BODY_OCTETS_MAX;
use crate::admin::problem;
use crate::plugin::deployed::COMPONENT_OCTETS_MAX;

/// Where a component is sent; it may take longer than other forms.
pub(in crate::admin) const UPLOAD_PATH: &str = "/policies/upload";
/// Octets of that form: the largest component and what stands beside it.
const UPLOAD_OCTETS_MAX: usize = COMPONENT_OCTETS_MAX + (64 << 10);

/// Where accounts are sent.
pub(in crate::admin) const IMPORT_PATH: &str = "/system/accounts";
/// Octets of that form: what the API takes of lines, and what stands beside them.
const IMPORT_OCTETS_MAX: usize = BODY_OCTETS_MAX + (64 << 10);

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/", get(start))
        .route("/connection", get(connection::show))
        .route("/connection/test", post(connection::test))
        .route("/users", get(users::table::show).post(users::form::add))
        .route("/users/new", get(users::form::new))
        .route("/users/rules", post(users::form::echo))
        .route(
            "/users/{user}",
            get(users::form::show).post(users::form::change),
        )
        .route("/users/{user}/senders", get(users::senders::show))
        .route("/users/{user}/password", post(users::actions::reset))
        .route("/users/{user}/enable", post(users::actions::enable))
        .route("/users/{user}/disable", post(users::actions::disable))
        .route(
            "/users/{user}/remove",
            get(users::actions::ask_to_remove).post(users::actions::remove),
        )
        .route("/lists", get(lists::show_all).post(lists::add))
        .route("/lists/{list}", get(lists::show).post(lists::change))
        .route("/lists/{list}/remove", post(lists::remove))
        .route("/queue", get(queue::table::show))
        .route("/queue/act", post(queue::actions::act))
        .route("/queue/stop", post(queue::stopping::stop))
        .route("/queue/start", post(queue::stopping::start))
        .route("/messages/{id}", get(message::show))
        .route("/refused", get(refused::show))
        .route("/refused/who", get(refused::who))
        .route("/refused/{refusal}/authorize", post(refused::authorize))
        .route("/refused/{refusal}/dismiss", post(refused::dismiss))
        .route("/alerts", get(alerts::show))
        .route("/alerts/test", post(alerts::test))
        .route("/alerts/{alert}/acknowledge", post(alerts::acknowledge))
        .route("/policies", get(policies::show))
        .route(
            UPLOAD_PATH,
            post(policies::upload::take).layer(DefaultBodyLimit::max(UPLOAD_OCTETS_MAX)),
        )
        .route("/policies/{plugin}/reset", post(policies::reset))
        .route("/policies/{plugin}/{action}", post(policies::change))
        .route("/statistics", get(statistics::show))
        .route("/statistics/export", get(statistics::files))
        .route("/system", get(system::overview::show))
        .route("/system/audit", get(system::audit::show))
        .route("/system/audit/export", get(system::audit::files))
        .route(
            IMPORT_PATH,
            get(system::accounts::show)
                .post(system::accounts::import)
                .layer(DefaultBodyLimit::max(IMPORT_OCTETS_MAX)),
        )
        .route("/system/accounts/export", get(system::accounts::export))
        .route("/system/reload", post(system::overview::reload))
        .route("/system/backup", get(system::overview::backup))
        .route(
            "/system/admins",
            get(system::admins::show).post(system::admins::add),
        )
        .route("/system/admins/{name}/role", post(system::admins::change))
        .route(
            "/system/admins/{name}/password",
            post(system::admins::reset),
        )
        .route("/system/admins/{name}/remove", post(system::admins::remove))
        .route(
            "/system/tokens",
            get(system::tokens::show).post(system::tokens::add),
        )
        .route("/system/tokens/{name}/remove", post(system::tokens::remove))
}

async fn start(_: Visitor) -> Response {
    go_to("/connection")
}

/// What is at no path: a page for who is logged in and may have mistyped it, a document for programs.
pub(super) async fn nothing_here(visitor: Result<Visitor, Refusal>, uri: Uri) -> Response {
    let problem = problem::nothing_here(uri).await;
    match visitor {
        Ok(visitor) if !visitor.path.starts_with("/api/") => {
            Refusal::problem(&visitor, problem).into_response()
        }
        _ => problem.into_response(),
    }
}
