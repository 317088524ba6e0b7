//! The spool in the data folder: a database for what is small, a folder for large contents.
//!
//! Callers never touch the disk: the writer commits, other threads read, and what is recent is
//! answered from memory.

use std::future::{Future, pending};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::message::{Line, MessageId, Timestamp};
use crate::telemetry::Registry;

use super::announcements::Announcements;
use super::aside::Aside;
use super::board::Board;
use super::budget::Budget;
use super::cancels::Cancels;
use super::common::{Common, Opening};
use super::contents::Contents;
use super::disk::Disk;
use super::folder::{DATABASE, Folder, JOURNAL};
use super::inbox::{ChangeRequest, Enqueue, Inbox, Settle, Stopping};
use super::intake::{EmbeddedIntake, Received};
use super::ledger::{self, Prepared, Settled, Stowed};
use super::metrics::Metrics;
use super::redb::{OpenFailure, StoreError};
use super::refusals::Refusals;
use super::rows::{self, Fault};
use super::settings::Pace;
use super::store::Store;
use super::stored::{Damage, FORM, Interruption};
use super::survey::survey;
use super::writer::Writer;
use super::{
    Change, Claimed, Concerned, Content, Figures, Intake, Lease, LineChange, NewMessage,
    NewRefusals, OpenError, Page, PageRequest, Pending, Record, RefusalId, Selection, Settings,
    Settlement, Spool, SpoolError, Stop, StopOf, Stopped, Stops, Survey, claims, queries,
    statistics,
};
use crate::stable::is_full;

/// Opens the spool in a data folder, or makes a new one there. Waits for the disk.
///
/// # Errors
/// [`OpenError`] says what an operator can do about it.
pub fn open(
    data_dir: &Path,
    settings: Settings,
    clock: Clock,
    registry: &mut Registry,
) -> Result<Arc<dyn Spool>, OpenError> {
    let folder = Folder::open(data_dir).map_err(|error| from_io(data_dir, error))?;
    let metrics = Metrics::register(registry);
    let spool = Embedded::start(
        Arc::new(folder),
        settings,
        clock,
        metrics,
        Pace::default(),
        Aside::Threads,
    )
    .map_err(|failure| failure.at(data_dir))?;
    Metrics::show_in_flight(registry, spool.budget.clone());
    Metrics::show_stops(registry, spool.common.stops.clone());
    Ok(Arc::new(spool))
}

/// The embedded backend.
#[derive(Debug)]
pub(super) struct Embedded {
    common: Arc<Common>,
    budget: Budget,
}

/// Why the embedded backend did not start.
#[derive(Debug)]
pub(super) enum StartFailure {
    Open(OpenFailure),
    Disk(io::Error),
    Rows(Fault),
}

impl From<io::Error> for StartFailure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<StoreError> for StartFailure {
    fn from(error: StoreError) -> Self {
        Self::Rows(error.into())
    }
}

impl StartFailure {
    fn at(self, data_dir: &Path) -> OpenError {
        let path = data_dir.join(DATABASE);
        match self {
            Self::Open(OpenFailure::Disk(error)) | Self::Disk(error) => from_io(&path, error),
            Self::Open(OpenFailure::Damaged(source)) => OpenError::Damaged { path, source },
            Self::Open(OpenFailure::JournalDamaged(source)) => OpenError::Damaged {
                path: data_dir.join(JOURNAL),
                source,
            },
            Self::Open(OpenFailure::DatabaseMissing) => OpenError::DatabaseMissing { path },
            Self::Open(OpenFailure::JournalMissing) => OpenError::JournalMissing {
                path: data_dir.join(JOURNAL),
            },
            Self::Open(OpenFailure::TooNew(found))
            | Self::Rows(Fault::Damaged(Damage::Form(found))) => OpenError::TooNew {
                path,
                found: found.into(),
                known: FORM.into(),
            },
            Self::Rows(Fault::Damaged(damage)) => OpenError::Damaged {
                path,
                source: damage.into(),
            },
            Self::Rows(Fault::Store(StoreError::Full)) => OpenError::NoRoom { path },
            Self::Rows(Fault::Store(StoreError::ReadOnly)) => OpenError::ReadOnly { path },
            Self::Rows(Fault::Store(StoreError::Failed(source))) => {
                OpenError::Damaged { path, source }
            }
        }
    }
}

fn from_io(path: &Path, error: io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::ResourceBusy => OpenError::InUse { path },
        io::ErrorKind::PermissionDenied => OpenError::PermissionDenied { path },
        io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
        // What the database says of a file that is not one.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => OpenError::Damaged {
            path,
            source: error.into(),
        },
        _ if is_full(&error) => OpenError::NoRoom { path },
        _ => OpenError::Unreadable {
            path,
            source: error.into(),
        },
    }
}

impl Embedded {
    /// Opens what is on the disk, removes what a crash has left, and starts the writer.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        pace: Pace,
        aside: Aside,
    ) -> Result<Self, StartFailure> {
        let store = Store::open(&*disk, &settings).map_err(StartFailure::Open)?;
        let contents = Contents::new(
            Arc::clone(&disk),
            settings.disk_free_octets_min,
            aside.clone(),
        );
        let removed = contents.remove_orphans(|id| -> Result<bool, StartFailure> {
            Ok(store.read(|rows| rows::is_queued(rows, id))?)
        })?;
        if removed > 0 {
            tracing::info!(
                removed,
                "contents that a crash had left behind were removed"
            );
        }
        let interruption = interruption(&store, &clock).map_err(StartFailure::Rows)?;
        if !store.read(statistics::knows_the_queue)? {
            store.write(|rows| ledger::count_queue(rows, clock.now()))?;
        }
        let stops = Stops::default();
        let common = Arc::new(Common {
            stops: stops.clone(),
            interruption,
            board: Mutex::new(Board::new(&settings, stops.clone())),
            step: Mutex::default(),
            counting: Arc::default(),
            inbox: Inbox::new(pace.settlement_patience),
            announcements: Announcements::default(),
            cancels: Cancels::default(),
            refusals: Refusals::default(),
            opening: Opening::default(),
            settings,
            clock,
            disk,
            contents,
            aside,
            store,
            metrics,
        });
        common.rebuild().map_err(StartFailure::Rows)?;
        let mut writer = Writer::new(Arc::clone(&common), pace);
        writer.ask_for_room();
        common.aside.run_writer(writer)?;
        Ok(Self {
            budget: Budget::new(common.settings.octets_in_flight_max),
            common,
        })
    }

    fn check_open(&self) -> Result<(), SpoolError> {
        if self.common.inbox.is_closed() {
            return Err(closed());
        }
        Ok(())
    }

    async fn take_in(&self, new: NewMessage, content: Box<dyn Intake>) -> Result<(), SpoolError> {
        self.check_open()?;
        let intake = content
            .into_any()
            .downcast::<EmbeddedIntake>()
            .ok()
            .filter(|intake| intake.is_of(&self.common.contents))
            .ok_or_else(|| SpoolError::unavailable("an intake of another spool"))?;
        if intake.octets() != new.message.content_octets {
            return Err(SpoolError::unavailable(
                "the content is not as long as its message says",
            ));
        }
        let (reply, mut answer) = oneshot::channel();
        match intake.received()? {
            (Received::Small(octets), share) => {
                let company = self.common.inbox.enqueue(Enqueue {
                    new: prepare(new, Stowed::Inline(octets))?,
                    file: None,
                    share,
                    reply,
                });
                if let Some(answer) = company.wait(&mut answer).await {
                    return answer.unwrap_or_else(|_| Err(closed()));
                }
            }
            (Received::Large(incoming), share) => {
                let id = new.message.id;
                let new = prepare(new, Stowed::File)?;
                let common = Arc::clone(&self.common);
                // Handed to the writer before this future can be dropped: a file that bears its
                // final name is never without somebody who minds it.
                incoming
                    .finish(id, move |file| {
                        drop(common.inbox.enqueue(Enqueue {
                            new,
                            file: Some(file),
                            share,
                            reply,
                        }));
                    })
                    .await?;
            }
        }
        answered(answer).await
    }

    async fn settled(&self, settlement: Settlement) -> Result<(), SpoolError> {
        self.check_open()?;
        if self.common.board().leases.get(settlement.lease).is_none() {
            return Err(SpoolError::LeaseLost);
        }
        let reports = settlement
            .reports
            .into_iter()
            .map(|(report, content)| prepare(report, Stowed::Inline(content)))
            .collect::<Result<_, _>>()?;
        let (reply, answer) = oneshot::channel();
        self.common.inbox.settle(Settle {
            settled: Settled {
                lease: settlement.lease,
                asked: None,
                remaining: settlement.remaining,
                reports,
                trail: settlement.trail,
                outcomes: settlement.outcomes,
                is_cancelled: settlement.is_cancelled,
            },
            reply,
        });
        answered(answer).await
    }
}

fn prepare(new: NewMessage, content: Stowed) -> Result<Prepared, SpoolError> {
    Prepared::new(new, content).map_err(SpoolError::unavailable)
}

/// What a process that ended in the middle of its work may have been at: the one before this, or an earlier one
/// whose mail has not had its turn since.
fn interruption(store: &Store, clock: &Clock) -> Result<Option<Interruption>, Fault> {
    let (counters, earlier) =
        store.read(|rows| Ok((rows::counters(rows), rows::interruption(rows))))?;
    if !store.was_interrupted() {
        return earlier;
    }
    Ok(Some(Interruption {
        opened: clock.now().unix_milliseconds(),
        next_sequence: counters?.next_sequence,
    }))
}

fn closed() -> SpoolError {
    SpoolError::unavailable("the spool is closed")
}

/// The writer drops what comes after its end.
async fn answered<T>(answer: oneshot::Receiver<Result<T, SpoolError>>) -> Result<T, SpoolError> {
    answer.await.unwrap_or_else(|_| Err(closed()))
}

impl Spool for Embedded {
    fn intake(&self, octets_expected: Option<u64>) -> Result<Box<dyn Intake>, SpoolError> {
        self.check_open()?;
        let share = self.budget.begin(octets_expected)?;
        Ok(Box::new(EmbeddedIntake::new(
            share,
            self.common.inbox.coming().one_more(),
            Arc::clone(&self.common.contents),
            self.common.settings.inline_octets_max,
        )))
    }

    fn enqueue(&self, message: NewMessage, content: Box<dyn Intake>) -> Pending<'_, ()> {
        Box::pin(self.take_in(message, content))
    }

    fn claim<'a>(&'a self, line: &'a Line, now: Timestamp) -> Pending<'a, Claimed> {
        Box::pin(async move {
            self.check_open()?;
            claims::claim(&self.common, line, now).await
        })
    }

    fn content(&self, message: MessageId) -> Pending<'_, Box<dyn Content>> {
        Box::pin(async move {
            self.check_open()?;
            queries::content(&self.common, message).await
        })
    }

    fn settle(&self, settlement: Settlement) -> Pending<'_, ()> {
        Box::pin(self.settled(settlement))
    }

    fn is_cancelled(&self, lease: Lease) -> bool {
        self.common.board().is_cancelled(lease)
    }

    fn cancelled(&self, lease: Lease) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(
            self.common
                .cancels
                .wait_until(move || self.is_cancelled(lease)),
        )
    }

    fn release(&self, lease: Lease) {
        claims::give_back(&self.common, lease);
    }

    fn changes(&self) -> Pin<Box<dyn Future<Output = Vec<LineChange>> + Send + '_>> {
        Box::pin(async {
            if self.common.inbox.is_closed() {
                return pending().await;
            }
            claims::changes(&self.common).await
        })
    }

    fn change(
        &self,
        selection: Selection,
        change: Change,
        dry_run: bool,
    ) -> Pending<'_, Concerned> {
        Box::pin(async move {
            self.check_open()?;
            if dry_run {
                return queries::count(&self.common, selection, change).await;
            }
            let (reply, answer) = oneshot::channel();
            self.common.inbox.change(ChangeRequest {
                selection,
                change,
                reply,
            });
            answered(answer).await
        })
    }

    fn stop(&self, stop: Stop) -> Pending<'_, Stopped> {
        Box::pin(async move {
            self.check_open()?;
            let (reply, answer) = oneshot::channel();
            self.common.inbox.stopping(Stopping::Stop(stop, reply));
            answered(answer).await
        })
    }

    fn start(&self, of: StopOf) -> Pending<'_, Option<Stop>> {
        Box::pin(async move {
            self.check_open()?;
            let (reply, answer) = oneshot::channel();
            self.common.inbox.stopping(Stopping::Start(of, reply));
            answered(answer).await
        })
    }

    fn stops(&self) -> &Stops {
        &self.common.stops
    }

    fn count_behind(&self, of: StopOf) -> Pending<'_, u64> {
        Box::pin(async move {
            self.check_open()?;
            queries::count_behind(&self.common, of).await
        })
    }

    fn lists_changed(&self) {
        if self.common.stops.are_about_lists() {
            let stopped = self.common.board().look_at_stops();
            for line in stopped {
                self.common.announcements.announce(line);
            }
            self.common.announce_lanes();
        }
    }

    fn note_refusals(&self, new: NewRefusals) -> Pending<'_, ()> {
        Box::pin(async move {
            self.check_open()?;
            let (reply, answer) = oneshot::channel();
            self.common.inbox.refused(new, reply);
            answered(answer).await
        })
    }

    fn dismiss_refusals(&self, ids: Vec<RefusalId>) -> Pending<'_, Vec<RefusalId>> {
        Box::pin(async move {
            self.check_open()?;
            let (reply, answer) = oneshot::channel();
            self.common.inbox.dismiss(ids, reply);
            answered(answer).await
        })
    }

    fn refusals(&self) -> &Refusals {
        &self.common.refusals
    }

    fn list(&self, selection: Selection, page: PageRequest) -> Pending<'_, Page> {
        Box::pin(async move {
            self.check_open()?;
            queries::page(&self.common, selection, page).await
        })
    }

    fn survey(&self) -> Pending<'_, Box<dyn Survey>> {
        Box::pin(async move {
            self.check_open()?;
            let common = Arc::clone(&self.common);
            let contents = Arc::clone(&common.contents);
            contents.off_runtime(move || survey(&common)).await
        })
    }

    fn message(&self, id: MessageId) -> Pending<'_, Option<Record>> {
        Box::pin(async move {
            self.check_open()?;
            queries::record(&self.common, id).await
        })
    }

    fn figures(&self) -> Figures {
        let octets_in_flight = self.budget.taken();
        let board = self.common.board();
        Figures {
            queued: board.counters.queued,
            cancelled: board.counters.cancelled,
            octets_in_flight,
            octets_in_flight_max: self.budget.max(),
            commits: board.commits,
            writable: board.writable && !self.common.inbox.is_closed(),
        }
    }

    fn oldest(&self) -> Pending<'_, [Option<Timestamp>; 5]> {
        Box::pin(async move {
            self.check_open()?;
            queries::oldest(&self.common).await
        })
    }

    fn queued_of<'a>(&'a self, users: &'a [&'a str]) -> Pending<'a, Vec<u64>> {
        Box::pin(async move {
            self.check_open()?;
            queries::queued_of(&self.common, users).await
        })
    }

    fn statistics(
        &self,
        question: statistics::Question,
    ) -> Pending<'_, Result<statistics::Answer, statistics::Unanswerable>> {
        Box::pin(async move {
            self.check_open()?;
            queries::statistics(&self.common, question).await
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let (reply, answer) = oneshot::channel();
            self.common.inbox.close(Some(reply));
            answered(answer).await
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.common.inbox.close(None);
    }
}
