//! Liveness and readiness: whether the process answers, and whether it can take mail.
//!
//! The parts of the relay say what keeps them from being ready; the surface only tells. Both answers
//! are given without a token, so a reason names a part and a state, never a path, a user or a peer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use crate::spool::Spool;

/// What keeps the relay from being ready. Clones share what they know. Each part has one entry, so
/// it cannot grow beyond the parts.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, &'static str>>>);

impl Readiness {
    /// Says that `part` is not ready, and why: `listeners`, `starting`.
    pub fn lacking(&self, part: &'static str, reason: &'static str) {
        self.entries().insert(part, reason);
    }

    /// Says that `part` is ready.
    pub fn ready(&self, part: &'static str) {
        self.entries().remove(part);
    }

    /// What keeps the relay with that spool from taking mail.
    pub fn with(&self, spool: &dyn Spool) -> Vec<Reason> {
        let mut reasons = self.reasons();
        if !spool.figures().writable {
            reasons.push(Reason {
                part: "spool".to_owned(),
                reason: "no mail is taken: the disk has too little room, or the last write failed"
                    .to_owned(),
            });
        }
        reasons
    }

    fn reasons(&self) -> Vec<Reason> {
        self.entries()
            .iter()
            .map(|(part, reason)| Reason {
                part: (*part).to_owned(),
                reason: (*reason).to_owned(),
            })
            .collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<&'static str, &'static str>> {
        // Inserting and removing leave the map whole whatever happens, so poison means nothing here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the relay can take mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether it can.
    pub ready: bool,
    /// What is in the way; empty when it is ready.
    pub reasons: Vec<Reason>,
}

/// Something that is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The part of the relay.
    #[schema(example = "spool")]
    pub part: String,
    /// What it lacks.
    #[schema(example = "no mail is taken: the disk has too little room, or the last write failed")]
    pub reason: String,
}

/// Says that the process answers.
#[utoipa::path(get, path = "/livez", operation_id = "is_live", tag = "health", security(()),
    responses((status = 200, description = "The process answers.", body = String, content_type = "text/plain")))]
pub(super) async fn live() -> &'static str {
    "alive\n"
}

/// Says whether the relay can take mail, and if not, what is in the way.
#[utoipa::path(get, path = "/readyz", operation_id = "is_ready", tag = "health", security(()),
    responses(
        (status = 200, description = "The relay can take mail.", body = Ready),
        (status = 503, description = "It cannot.", body = Ready)))]
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Response {
    let reasons = reasons(&api);
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        axum::Json(Ready {
            ready: reasons.is_empty(),
            reasons,
        }),
    )
        .into_response()
}

/// What keeps the relay from taking mail.
pub(super) fn reasons(api: &Api) -> Vec<Reason> {
    api.readiness.with(&*api.spool)
}
