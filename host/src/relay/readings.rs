//! Metrics that are read where they are kept, when the page is: of parts that know no registry.

use std::sync::Arc;

use crate::auth::Authenticator;
use crate::spool::Spool;
use crate::telemetry::{Registry, read_counts, read_gauge, read_seconds};

/// Registers them.
pub fn register(registry: &mut Registry, spool: &Arc<dyn Spool>, auth: &Authenticator) {
    let kept = Arc::clone(spool);
    read_gauge(
        registry,
        "outpost_spool_writable",
        "1 while the last write of the spool succeeded and there is room for mail",
        move || kept.figures().writable.into(),
    );
    let kept = auth.clone();
    read_counts(
        registry,
        "outpost_auth_verifications",
        "Passwords that were to be verified, by how they were answered",
        "answer",
        move || {
            let figures = kept.figures();
            [
                ("computed", figures.computed),
                ("remembered", figures.remembered),
                ("joined", figures.joined),
                ("throttled", figures.throttled),
            ]
        },
    );
    let kept = auth.clone();
    read_seconds(
        registry,
        "outpost_auth_verification_seconds",
        "Time that computed verifications took, without waiting",
        move || kept.figures().computing,
    );
    let kept = auth.clone();
    read_gauge(
        registry,
        "outpost_auth_verifications_waiting",
        "Verifications that wait for a thread",
        move || i64::try_from(kept.figures().waiting).unwrap_or(i64::MAX),
    );
}
