//! What the parts of the embedded backend share.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::message::{Delivery, DeliveryId, Timestamp};

use super::Settings;
use super::announcements::Announcements;
use super::aside::Aside;
use super::board::Board;
use super::cancels::Cancels;
use super::contents::Contents;
use super::disk::Disk;
use super::heads::heads;
use super::inbox::Inbox;
use super::metrics::Metrics;
use super::redb::StoreError;
use super::refusals::Refusals;
use super::rows::{self, Fault};
use super::stops::Stops;
use super::store::Store;
use super::stored::Interruption;
use super::view::View;

/// How long a reader waits for a database that is being opened again.
const REOPENING_MAX: Duration = Duration::from_secs(2);

/// So often a read is tried while the database is opened again and again, as on a full disk.
const READ_TIMES_MAX: u32 = 4;

/// Shared by the writer, those who read, and those who ask.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) contents: Arc<Contents>,
    /// Where work is done that waits for the disk.
    pub(super) aside: Aside,
    pub(super) store: Store,
    pub(super) inbox: Inbox,
    pub(super) board: Mutex<Board>,
    /// Held from a commit until memory knows of it: who has it sees both at one moment.
    pub(super) step: Mutex<()>,
    /// One counts the ages at a time, on a thread that may wait.
    pub(super) counting: Arc<tokio::sync::Mutex<()>>,
    pub(super) announcements: Announcements,
    pub(super) cancels: Cancels,
    /// Those of the board, which changes them.
    pub(super) stops: Stops,
    /// Changed by the writer alone.
    pub(super) refusals: Refusals,
    pub(super) opening: Opening,
    pub(super) metrics: Metrics,
    /// Where a process before this one ended in the middle of its work, the last one that did.
    pub(super) interruption: Option<Interruption>,
}

/// How often memory was built from the database, and whether it is about to be again.
#[derive(Debug, Default)]
pub(super) struct Opening {
    state: Mutex<OpeningState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct OpeningState {
    times: u64,
    /// How often the writer looked into a failed read and found the database good.
    alarms: u64,
    has_given_up: bool,
}

impl Opening {
    /// How often it was opened.
    pub(super) fn times(&self) -> u64 {
        self.state().times
    }

    /// It is open again.
    fn is_open(&self) {
        let mut state = self.state();
        state.times += 1;
        state.has_given_up = false;
        self.changed.notify_all();
    }

    /// It cannot be opened for now: nobody is to wait for it.
    pub(super) fn gives_up(&self) {
        self.state().has_given_up = true;
        self.changed.notify_all();
    }

    /// It is good: what failed to be read cannot be read.
    pub(super) fn is_good(&self) {
        self.state().alarms += 1;
        self.changed.notify_all();
    }

    /// Raises an alarm and waits until it is opened once more than so many times; false when that
    /// is not to be expected.
    fn wait_beyond(&self, times: u64, alarm: impl FnOnce()) -> bool {
        let alarms = self.state().alarms;
        alarm();
        let state = self.state();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, REOPENING_MAX, |state| {
                state.times == times && state.alarms == alarms && !state.has_given_up
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.times > times
    }

    fn state(&self) -> MutexGuard<'_, OpeningState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Common {
    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn step(&self) -> MutexGuard<'_, ()> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever reads them of lanes in which hidden lines may have to be shown.
    pub(super) fn announce_lanes(&self) {
        if self.board().lines.is_wanting() {
            self.announcements.announce_lanes();
        }
    }

    pub(super) fn is_leased(&self, id: DeliveryId) -> bool {
        self.board().is_leased(id)
    }

    pub(super) fn is_out_of_line(&self, id: DeliveryId) -> bool {
        self.board().is_out_of_line(id)
    }

    /// Whether an attempt may have been under way when a process ended. Whoever had a lease had it
    /// in memory, so that all that was due then may be meant. What waits for its first attempt was due from the
    /// beginning, whatever the clock says since: it may have been set back, or begin anew after a power cut. What was
    /// moved meanwhile was due before.
    pub(super) fn was_left_by_another(&self, delivery: &Delivery, accepted: Timestamp) -> bool {
        self.interruption.is_some_and(|interruption| {
            let due = delivery.moved_from.unwrap_or(delivery.due);
            let was_due = due.unix_milliseconds() <= interruption.opened || due <= accepted;
            was_due && delivery.sequence < interruption.next_sequence
        })
    }

    /// Reads from the database, on a thread that may wait. After any failure the database answers
    /// nothing until the writer has opened it again; then this reads once more, and again should it have
    /// failed once more by then.
    pub(super) fn read<R>(
        &self,
        work: impl Fn(&View) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        for _ in 1..READ_TIMES_MAX {
            let times = self.opening.times();
            match self.store.read(&work) {
                Ok(read) => return Ok(read),
                Err(_) if self.waits_beyond(times) => {}
                Err(error) => return Err(error),
            }
        }
        self.store.read(&work)
    }

    /// Raises an alarm and waits until the database is opened once more than so many times; false when that is
    /// not to be expected.
    fn waits_beyond(&self, times: u64) -> bool {
        let alarm = || self.inbox.suspect();
        if !self.aside.may_wait_for_writer() {
            alarm();
            return false;
        }
        self.opening.wait_beyond(times, alarm)
    }

    /// Brings memory in line with the disk; the writer's, who changes nothing on it meanwhile. Leases stay
    /// with those who have them, as far as their deliveries are still there. Claims go on all the time: which
    /// delivery is leased is asked when the lines are replaced, not when their heads are read.
    pub(super) fn rebuild(&self) -> Result<(), Fault> {
        let (counters, heads, stops, refusals) = self.store.read(|rows| {
            let heads = heads(rows, self.settings.lines_max)?;
            let (stops, refusals) = (rows::stops(rows)?, rows::refusals(rows)?);
            Ok((rows::counters(rows), heads, stops, refusals))
        })?;
        let counters = counters?;
        self.refusals.replace(refusals);
        self.metrics.show(&counters);
        let mut board = self.board();
        let mut changed: HashSet<_> = board.lines.iter().cloned().collect();
        changed.extend(heads.heads.iter().map(|(place, _)| place.line.clone()));
        board.rebuild(counters, heads, stops);
        let mut leased: Vec<DeliveryId> = board.leases.deliveries().collect();
        leased.sort_unstable();
        drop(board);
        let found = self.store.read(|rows| {
            let mut found = Vec::new();
            for id in leased {
                // What cannot be read is told by those who need it.
                if let Ok(standing) = Fault::apart(rows::standing(rows, id))? {
                    found.push((id, standing));
                }
            }
            Ok(found)
        })?;
        let mut board = self.board();
        for (id, standing) in found {
            match standing {
                Some(standing) => board.stands(standing),
                None => board.leases.revoke(id),
            }
        }
        drop(board);
        self.opening.is_open();
        for line in changed {
            self.announcements.announce(line);
        }
        self.announce_lanes();
        Ok(())
    }
}
