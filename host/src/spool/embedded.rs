//! The spool in the data folder: a database for what is small, a folder for large contents.
//!
//! Callers never touch the disk: the writer commits, other threads read, and what is recent is
//! answered from memory.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::message::{Delivery, Line, Message, MessageId, Timestamp};
use crate::telemetry::Registry;

use super::announcements::Announcements;
use super::board::{Board, Taken};
use super::budget::Budget;
use super::contents::Contents;
use super::disk::{Disk, is_full};
use super::folder::{DATABASE, Folder};
use super::heads::behind;
use super::inbox::{ChangeRequest, Enqueue, Inbox, Settle};
use super::intake::{EmbeddedIntake, Received};
use super::ledger::{Prepared, Settled, Stowed};
use super::lines::{First, Horizon};
use super::metrics::Metrics;
use super::pieces::Pieces;
use super::place::Place;
use super::redb::{OpenFailure, Reading, Scan, Store};
use super::rows::{self, Fault};
use super::walk::Walk;
use super::writer::{Common, Writer};
use super::{
    Change, Claim, Claimed, Content, Figures, Intake, Lease, LineChange, NewMessage, OpenError,
    Page, PageRequest, Pending, QueueState, ROWS_EXAMINED_MAX, Record, Row, Selection, Settings,
    Settlement, Spool, SpoolError,
};

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
    let disk = Arc::new(folder);
    let spool = Embedded::start(disk, settings, clock, Metrics::register(registry))
        .map_err(|fault| fault.at(data_dir))?;
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

impl From<super::redb::StoreError> for StartFailure {
    fn from(error: super::redb::StoreError) -> Self {
        Self::Rows(error.into())
    }
}

impl StartFailure {
    fn at(self, data_dir: &Path) -> OpenError {
        let path = data_dir.join(DATABASE);
        match self {
            Self::Open(OpenFailure::Disk(error)) | Self::Disk(error) => from_io(&path, error),
            Self::Open(OpenFailure::Damaged(source)) => OpenError::Damaged { path, source },
            Self::Rows(Fault::Damaged(super::stored::Damage::Form(found))) => OpenError::TooNew {
                path,
                found: found.into(),
                known: super::stored::FORM.into(),
            },
            Self::Rows(fault) => OpenError::Damaged {
                path,
                source: match SpoolError::from(fault) {
                    SpoolError::Unavailable(source) => source,
                    error => error.into(),
                },
            },
        }
    }
}

fn from_io(path: &Path, error: io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::ResourceBusy => OpenError::InUse { path },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::PermissionDenied { path }
        }
        _ if is_full(&error) => OpenError::NoRoom { path },
        _ => OpenError::Unreadable {
            path,
            source: error.into(),
        },
    }
}

/// What was read for a claim.
struct Loaded {
    delivery: Delivery,
    message: Message,
    content: Option<Bytes>,
}

impl Embedded {
    /// Opens what is on the disk, removes what a crash has left, and starts the writer.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, StartFailure> {
        let store = Store::open(&*disk, settings.page_cache_octets).map_err(StartFailure::Open)?;
        let contents = Contents::new(Arc::clone(&disk));
        let removed = contents.remove_orphans(|id| -> Result<bool, StartFailure> {
            Ok(store.read(|rows| rows::is_queued(rows, id))?)
        })?;
        if removed > 0 {
            tracing::info!(
                removed,
                "contents that a crash had left behind were removed"
            );
        }
        let common = Arc::new(Common {
            board: Mutex::new(Board::new(settings.recent_octets_max)),
            inbox: Inbox::default(),
            announcements: Announcements::default(),
            opened: AtomicU64::new(0),
            settings,
            clock,
            disk,
            contents,
            store,
            metrics,
        });
        common.rebuild().map_err(StartFailure::Rows)?;
        let writer = Writer::new(Arc::clone(&common));
        std::thread::Builder::new()
            .name("outpost-spool".to_owned())
            .spawn(move || writer.run())?;
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
            .map_err(|_| SpoolError::unavailable("an intake of another spool"))?;
        if !intake.is_of(&self.common.contents) {
            return Err(SpoolError::unavailable("an intake of another spool"));
        }
        if intake.octets() != new.message.content_octets {
            return Err(SpoolError::unavailable(
                "the content is not as long as its message says",
            ));
        }
        let (reply, answer) = oneshot::channel();
        match intake.received()? {
            (Received::Small(octets), share) => {
                let new = prepare(new, Stowed::Inline(octets))?;
                self.common.inbox.enqueue(Enqueue {
                    new,
                    file: None,
                    share,
                    reply,
                });
            }
            (Received::Large(incoming), share) => {
                let id = new.message.id;
                let new = prepare(new, Stowed::File)?;
                let common = Arc::clone(&self.common);
                // Handed to the writer before this future can be dropped: a file that bears its
                // final name is never without somebody who minds it.
                incoming
                    .finish(id, move |file| {
                        common.inbox.enqueue(Enqueue {
                            new,
                            file: Some(file),
                            share,
                            reply,
                        });
                    })
                    .await?;
            }
        }
        answered(answer).await
    }

    async fn take_due(&self, line: &Line, now: Timestamp) -> Result<Claimed, SpoolError> {
        loop {
            self.check_open()?;
            let taken = self.common.board().take_due(line, now);
            match taken {
                Taken::Nothing(head) => return Ok(Claimed { claim: None, head }),
                Taken::Behind(horizon) => self.read_on(line, horizon).await?,
                Taken::Delivery { lease, remembered } => {
                    let leased = LeaseGuard {
                        common: &self.common,
                        lease: Some(lease),
                    };
                    let loaded = match remembered {
                        Some(found) => Some(found),
                        None => self.load(lease).await?,
                    };
                    self.know_first(line).await?;
                    if let Some((delivery, message)) = loaded {
                        let lease = leased.served();
                        return Ok(Claimed {
                            claim: Some(Claim {
                                lease,
                                delivery,
                                message,
                            }),
                            head: self.common.board().head(line),
                        });
                    }
                    leased.lost();
                }
            }
        }
    }

    /// Reads what is not remembered of a delivery, and its content if that is small. None when it
    /// is gone, or cannot be read and was set aside.
    async fn load(&self, lease: Lease) -> Result<Option<(Delivery, Arc<Message>)>, SpoolError> {
        let common = Arc::clone(&self.common);
        let id = lease.delivery;
        let loaded = self
            .common
            .contents
            .off_runtime(move || {
                let loaded = common.read(|rows| {
                    let standing = match rows::standing(rows, id) {
                        Ok(Some(standing)) => standing,
                        Ok(None) => return Ok(Ok(None)),
                        Err(fault) => return split(fault),
                    };
                    let message = match rows::message(rows, id.message) {
                        Ok(Some(message)) => message,
                        Ok(None) => {
                            return Ok(Err(super::stored::Damage::Octets(
                                "the message is missing".to_owned(),
                            )));
                        }
                        Err(fault) => return split(fault),
                    };
                    let content = match rows::content(rows, id.message) {
                        Ok(content) => content.map(Bytes::from),
                        // Whoever asks for it is told.
                        Err(Fault::Damaged(_)) => None,
                        Err(fault) => return split(fault),
                    };
                    Ok(Ok(Some(Loaded {
                        delivery: standing.delivery,
                        message,
                        content,
                    })))
                })?;
                Ok(loaded)
            })
            .await?;
        match loaded {
            Ok(None) => Ok(None),
            Ok(Some(loaded)) => {
                if let Some(content) = loaded.content {
                    self.common.board().recent.add_content(id.message, content);
                }
                Ok(Some((loaded.delivery, Arc::new(loaded.message))))
            }
            Err(damage) => {
                tracing::error!(message_id = %id.message, delivery = %id, %damage, "a queued delivery cannot be read and is held");
                if let Some(place) = self.common.board().place_of(lease) {
                    self.common.inbox.set_aside(place.to_key());
                }
                Ok(None)
            }
        }
    }

    /// Reads a line on until its first delivery is known.
    async fn know_first(&self, line: &Line) -> Result<(), SpoolError> {
        loop {
            let first = self.common.board().lines.first(line);
            match first {
                First::Behind(horizon) => self.read_on(line, horizon).await?,
                First::At(..) | First::Nothing => return Ok(()),
            }
        }
    }

    /// Takes the announced lines whose heads are known; the others stay announced.
    fn known_changes(&self) -> Vec<LineChange> {
        let board = self.common.board();
        let mut changes = Vec::new();
        for line in self.common.announcements.take() {
            match board.lines.first(&line) {
                First::At(spot, _) => changes.push(LineChange {
                    line,
                    head: Some(spot.head()),
                }),
                First::Nothing => changes.push(LineChange { line, head: None }),
                First::Behind(_) => self.common.announcements.announce(line),
            }
        }
        changes
    }

    async fn read_on(&self, line: &Line, horizon: Horizon) -> Result<(), SpoolError> {
        let common = Arc::clone(&self.common);
        let line = line.clone();
        self.common
            .contents
            .off_runtime(move || {
                let behind = common.read(|rows| behind(rows, &line, horizon))?;
                // When the line was touched meanwhile, whoever needs it reads again.
                common.board().extend(&line, horizon, &behind);
                Ok(())
            })
            .await
    }

    async fn stored_content(&self, id: MessageId) -> Result<Box<dyn Content>, SpoolError> {
        self.check_open()?;
        if let Some(octets) = self.common.board().recent.content(id) {
            return Ok(Box::new(Pieces::of(octets)));
        }
        let common = Arc::clone(&self.common);
        let kept = self
            .common
            .contents
            .off_runtime(move || Ok(common.read(|rows| Ok(find_content(rows, id)))??))
            .await?;
        match kept {
            None => Err(SpoolError::Unknown),
            Some(Kept::Inline(octets)) => Ok(Box::new(Pieces::of(octets.into()))),
            Some(Kept::File { octets }) => {
                Ok(Box::new(self.common.contents.open(id, octets).await?))
            }
        }
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
                retry_at: None,
                remaining: settlement.remaining,
                reports,
                trail: settlement.trail,
            },
            reply,
        });
        answered(answer).await
    }

    async fn counted(&self, selection: Selection, change: Change) -> Result<u64, SpoolError> {
        let common = Arc::clone(&self.common);
        self.common
            .contents
            .off_runtime(move || {
                let mut concerned = 0;
                let walk = Walk {
                    selection: &selection,
                    now: change.at,
                    is_leased: &|id| common.is_leased(id),
                };
                common.read(|rows| {
                    walk.on(rows, None, usize::MAX, &mut |found| {
                        let class = found.standing.place.line.class;
                        if change.action.concerns(&found.standing.delivery, class) {
                            concerned += 1;
                        }
                        Scan::On
                    })
                })?;
                Ok(concerned)
            })
            .await
    }

    async fn page(&self, selection: Selection, request: PageRequest) -> Result<Page, SpoolError> {
        self.check_open()?;
        let after = match &request.cursor {
            Some(cursor) => {
                let place = Place::from_cursor(cursor).ok_or(SpoolError::Unknown)?;
                Some(place.to_key())
            }
            None => None,
        };
        let common = Arc::clone(&self.common);
        self.common
            .contents
            .off_runtime(move || {
                let mut rows_found = Vec::new();
                // The deliveries of a message often stand near one another.
                let mut messages: BTreeMap<MessageId, Arc<Message>> = BTreeMap::new();
                let walk = Walk {
                    selection: &selection,
                    now: request.now,
                    is_leased: &|id| common.is_leased(id),
                };
                let rows_max = request.rows();
                let after = common.read(|rows| {
                    walk.on(rows, after, ROWS_EXAMINED_MAX, &mut |found| {
                        let message = messages
                            .entry(found.message.id)
                            .or_insert_with(|| Arc::new(found.message));
                        rows_found.push(Row {
                            delivery: found.standing.delivery,
                            message: Arc::clone(message),
                            state: found.state,
                        });
                        if rows_found.len() == rows_max {
                            Scan::Stop
                        } else {
                            Scan::On
                        }
                    })
                })?;
                let cursor = after
                    .as_deref()
                    .and_then(Place::from_key)
                    .map(|place| place.to_cursor());
                Ok(Page {
                    rows: rows_found,
                    cursor,
                })
            })
            .await
    }

    async fn record(&self, id: MessageId) -> Result<Option<Record>, SpoolError> {
        self.check_open()?;
        let common = Arc::clone(&self.common);
        let now = self.common.clock.now();
        self.common
            .contents
            .off_runtime(move || {
                let read = common.read(|rows| Ok(read_record(rows, id)))??;
                let Some((begun, standings, later, finished)) = read else {
                    return Ok(None);
                };
                let board = common.board();
                let deliveries = standings
                    .into_iter()
                    .map(|standing| {
                        let leased = board.is_leased(standing.delivery.id);
                        let state = QueueState::of(&standing.delivery, leased, now);
                        (standing.delivery, state)
                    })
                    .collect();
                let mut trail = begun.trail;
                trail.extend(later);
                Ok(Some(Record {
                    message: Arc::new(begun.message),
                    deliveries,
                    trail,
                    finished,
                }))
            })
            .await
    }
}

/// Where a content was found.
enum Kept {
    Inline(Vec<u8>),
    File { octets: u64 },
}

/// The content of a queued message; none when there is no such message.
fn find_content(rows: &impl Reading, id: MessageId) -> Result<Option<Kept>, Fault> {
    if let Some(octets) = rows::content(rows, id)? {
        return Ok(Some(Kept::Inline(octets)));
    }
    if !rows::is_queued(rows, id)? {
        return Ok(None);
    }
    let message = rows::message(rows, id)?;
    Ok(message.map(|message| Kept::File {
        octets: message.content_octets,
    }))
}

type WholeRecord = (
    rows::Begun,
    Vec<rows::Standing>,
    Vec<crate::message::TrailEntry>,
    Option<Timestamp>,
);

fn read_record(rows: &impl Reading, id: MessageId) -> Result<Option<WholeRecord>, Fault> {
    let Some(begun) = rows::begun(rows, id)? else {
        return Ok(None);
    };
    let standings = rows::standings(rows, id)?;
    let (later, finished) = rows::later_trail(rows, id)?;
    Ok(Some((begun, standings, later, finished)))
}

/// A damaged record is an answer, a fault of the database is not.
fn split<T>(fault: Fault) -> Result<Result<T, super::stored::Damage>, super::redb::StoreError> {
    match fault {
        Fault::Store(error) => Err(error),
        Fault::Damaged(damage) => Ok(Err(damage)),
    }
}

/// Gives a lease back that never reached whoever asked for it.
struct LeaseGuard<'a> {
    common: &'a Common,
    lease: Option<Lease>,
}

impl LeaseGuard<'_> {
    fn served(mut self) -> Lease {
        self.lease.take().expect("taken here only")
    }

    fn lost(mut self) {
        if let Some(lease) = self.lease.take() {
            self.common.board().leases.end(lease);
        }
    }
}

impl Drop for LeaseGuard<'_> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            give_back(self.common, lease);
        }
    }
}

fn give_back(common: &Common, lease: Lease) {
    let line = common.board().give_back(lease);
    if let Some(line) = line {
        common.announcements.announce(line);
    }
}

fn prepare(new: NewMessage, content: Stowed) -> Result<Prepared, SpoolError> {
    Prepared::new(new, content).map_err(SpoolError::unavailable)
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
            Arc::clone(&self.common.contents),
            self.common.settings.inline_octets_max,
        )))
    }

    fn enqueue(&self, message: NewMessage, content: Box<dyn Intake>) -> Pending<'_, ()> {
        Box::pin(self.take_in(message, content))
    }

    fn claim<'a>(&'a self, line: &'a Line, now: Timestamp) -> Pending<'a, Claimed> {
        Box::pin(self.take_due(line, now))
    }

    fn content(&self, message: MessageId) -> Pending<'_, Box<dyn Content>> {
        Box::pin(self.stored_content(message))
    }

    fn settle(&self, settlement: Settlement) -> Pending<'_, ()> {
        Box::pin(self.settled(settlement))
    }

    fn release(&self, lease: Lease) {
        give_back(&self.common, lease);
    }

    fn changes(&self) -> Pin<Box<dyn Future<Output = Vec<LineChange>> + Send + '_>> {
        Box::pin(async {
            if self.common.inbox.is_closed() {
                return pending().await;
            }
            loop {
                self.common.announcements.wait().await;
                // A line that is known only in part is read first. Until then nothing is taken
                // from the announcements, so a future that is dropped here loses nothing.
                for line in self.common.announcements.lines() {
                    let opened = self.common.times_opened();
                    if let Err(error) = self.know_first(&line).await {
                        tracing::error!(%error, "the head of a line cannot be read");
                        // Every line is announced anew when the database has been opened again.
                        if self.common.times_opened() == opened {
                            self.common.announcements.withdraw(&line);
                        }
                    }
                }
                let changes = self.known_changes();
                if !changes.is_empty() {
                    return changes;
                }
            }
        })
    }

    fn change(&self, selection: Selection, change: Change, dry_run: bool) -> Pending<'_, u64> {
        Box::pin(async move {
            self.check_open()?;
            if dry_run {
                return self.counted(selection, change).await;
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

    fn list(&self, selection: Selection, page: PageRequest) -> Pending<'_, Page> {
        Box::pin(self.page(selection, page))
    }

    fn message(&self, id: MessageId) -> Pending<'_, Option<Record>> {
        Box::pin(self.record(id))
    }

    fn figures(&self) -> Figures {
        let octets_in_flight = self.budget.taken();
        self.common.metrics.show_in_flight(octets_in_flight);
        let board = self.common.board();
        Figures {
            queued: board.counters.queued,
            octets_in_flight,
            octets_in_flight_max: self.budget.max(),
            commits: board.commits,
            writable: board.writable && !self.common.inbox.is_closed(),
        }
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
