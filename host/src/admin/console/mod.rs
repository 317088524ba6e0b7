//! The console: pages for admins, made on the relay and shown by any browser.
//!
//! A page asks the same functions as the HTTP API, with the admin as the caller, so that what may be done, how it is
//! checked and what is logged is decided once. Every page works without scripts; htmx adds what changes without being
//! asked for. Markup is made by maud, which escapes whatever is put into it, and the content policy allows nothing
//! that does not come from here. All words stand in `host/console/en.ftl`.
//!
//! `session` knows who is logged in, `visit` what a request brings with it, `layout` what is around every page, `parts`
//! what pages are made of; each page is a file in `pages`.

mod assets;
mod chart;
mod fields;
mod layout;
mod live;
mod login;
mod meanwhile;
mod pages;
mod parts;
mod refusal;
mod session;
mod texts;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub(super) use assets::POLICY;
pub use live::Live;
pub(super) use pages::{IMPORT_PATH, UPLOAD_PATH};
pub use session::Sessions;

use super::Api;

/// Everything that is no API, and what is at no path.
pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/assets/{digest}/{name}", get(assets::show))
        .route("/login", get(login::show).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/live/queue", get(live::queue))
        .route("/live/alerts", get(live::alerts))
        .route("/live/messages/{id}", get(live::message))
        .merge(pages::router())
        .fallback(pages::nothing_here)
}
