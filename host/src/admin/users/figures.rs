//! What is counted about users elsewhere, for their documents.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::account::User;
use crate::admin::Api;

/// What is counted about a user elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// Deliveries that are queued; none where they could not be counted in time.
    pub(super) queued: Option<u64>,
    /// Attempts to send as somebody else that were refused.
    pub(super) refused: u64,
}

/// How long a listing of users waits for the queue to be counted. A queue of a million takes longer, once.
const COUNTED_WITHIN: Duration = Duration::from_millis(100);

/// The figures of each of these users.
pub(super) async fn figures(api: &Api, users: &[Arc<User>]) -> Vec<Figures> {
    let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    let queued = match timeout(COUNTED_WITHIN, api.spool.queued_of(&names)).await {
        Ok(Ok(queued)) => queued.into_iter().map(Some).collect(),
        // The figure is left out; the users are not.
        Ok(Err(error)) => {
            tracing::warn!(%error, "the queue cannot be counted");
            vec![None; names.len()]
        }
        Err(_) => vec![None; names.len()],
    };
    let now = api.clock.now();
    let refused = |name: &str| {
        let rows = api.spool.refusals().of_user(name, now);
        let counts = rows.iter().map(|row| row.refusal.count);
        counts.fold(0, u64::saturating_add)
    };
    let figures = names.iter().zip(queued).map(|(name, queued)| Figures {
        queued,
        refused: refused(name),
    });
    figures.collect()
}
