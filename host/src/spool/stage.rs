//! The embedded spool on a simulated disk, for those above it: one thread, and time that the runtime's timers keep.

use std::sync::Arc;
use std::time::Duration;

use super::aside::Aside;
use super::embedded::Embedded;
use super::metrics::Metrics;
use super::settings::Pace;
use super::{Settings, Spool};
use crate::clock::Clock;
use crate::telemetry::Registry;

pub(crate) use super::trials::simulated::Simulated as Disk;

/// Opens the spool that is on a disk, or makes one there. What waits for the disk takes as long as `takes` says
/// each time, by the timers of the runtime that this is called in; the writer is one of its tasks, and ends with it.
pub(crate) fn open(
    disk: &Disk,
    settings: Settings,
    clock: Clock,
    takes: impl Fn() -> Duration + Send + Sync + 'static,
) -> Result<Arc<dyn Spool>, String> {
    let spool = Embedded::start(
        Arc::new(disk.clone()),
        settings,
        clock,
        Metrics::register(&mut Registry::default()),
        Pace::default(),
        Aside::Tasks(Arc::new(takes)),
    );
    match spool {
        Ok(spool) => Ok(Arc::new(spool)),
        Err(failure) => Err(format!("{failure:?}")),
    }
}
