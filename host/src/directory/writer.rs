//! The writer: the one thread that changes the directory.
//!
//! It takes every change that is waiting, applies them one after the other to a copy of the
//! snapshot, puts all their rows on stable storage in one transaction, publishes the copy and only
//! then answers. Disk waits stay off the runtime's threads, and a hundred changes cost one sync.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, oneshot};

use super::audit::{Added, Entries};
use super::state::{self, Edit, State};
use super::{BoxError, DirectoryError, Rows};
use crate::message::Timestamp;
use crate::stable;

/// Most changes that wait for the writer; callers beyond it wait for their turn to wait.
const WAITING_MAX: usize = 256;

/// How often login times are written when nothing else is: often enough to be useful to an operator,
/// seldom enough that a busy relay does not pay for them.
const LOGINS_WRITTEN_EVERY: Duration = Duration::from_secs(30);

/// The handle to the writer thread, which ends when the handle goes.
pub(super) struct Writer {
    requests: Sender<Request>,
    permits: Arc<Semaphore>,
    /// At most one entry per user.
    logins: Arc<Mutex<HashMap<String, Timestamp>>>,
}

enum Request {
    Change(Apply),
    Moment(SyncSender<Result<Moment, BoxError>>),
    Close(oneshot::Sender<Result<(), DirectoryError>>),
}

/// The directory at one moment, between two changes: what it holds, and the audit log.
pub(super) type Moment = (Arc<State>, Box<dyn Entries>);

/// Applies a change to the copy; what it returns gives the answer once the rows are written, or
/// could not be.
type Apply = Box<dyn FnOnce(&mut Edit) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), &NotWritten>) + Send>;

/// Why the rows could not be written, for each who waits for that.
struct NotWritten {
    cause: String,
    is_no_room: bool,
}

impl NotWritten {
    fn new(error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            cause: error.to_string(),
            is_no_room: stable::is_no_room(error),
        }
    }

    fn error(&self) -> DirectoryError {
        if self.is_no_room {
            DirectoryError::NoRoom
        } else {
            DirectoryError::Unavailable(self.cause.as_str().into())
        }
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(rows: Box<dyn Rows>, snapshot: Arc<ArcSwap<State>>) -> io::Result<Self> {
        let (requests, receiver) = channel();
        let logins = Arc::default();
        let thread = Thread {
            rows,
            snapshot,
            logins: Arc::clone(&logins),
            is_stale: false,
        };
        std::thread::Builder::new()
            .name(String::from("directory"))
            .spawn(move || thread.run(&receiver))?;
        Ok(Self {
            requests,
            permits: Arc::new(Semaphore::new(WAITING_MAX)),
            logins,
        })
    }

    /// Applies a change; durable and visible when this returns. A caller that stops waiting does
    /// not undo it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Edit) -> Result<T, DirectoryError> + Send + 'static,
    ) -> Result<T, DirectoryError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| closed())?;
        let (sender, receiver) = oneshot::channel();
        let apply: Apply = Box::new(move |edit| {
            let result = change(edit);
            Box::new(move |written| {
                let answer = match written {
                    Ok(()) => result,
                    Err(not_written) => Err(not_written.error()),
                };
                // A caller that went away does not want to know.
                let _ = sender.send(answer);
                drop(permit);
            })
        });
        self.requests
            .send(Request::Change(apply))
            .map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }

    /// The directory and its audit log as they are between two changes. Blocks.
    pub(super) fn moment(&self) -> Result<Moment, DirectoryError> {
        let (sender, receiver) = sync_channel(1);
        let asked = self.requests.send(Request::Moment(sender));
        asked.map_err(|_| closed())?;
        let moment = receiver.recv().map_err(|_| closed())?;
        moment.map_err(DirectoryError::Unavailable)
    }

    /// Remembers a login until it is written.
    pub(super) fn note_login(&self, name: &str, now: Timestamp) {
        remember(&self.logins, [(name.to_owned(), now)]);
    }

    /// Writes what is waiting and ends the thread.
    pub(super) async fn close(&self) -> Result<(), DirectoryError> {
        let (sender, receiver) = oneshot::channel();
        // A thread that has ended wrote what there was before.
        let _ = self.requests.send(Request::Close(sender));
        receiver.await.unwrap_or(Ok(()))
    }
}

/// Sessions on several threads may note the logins of one user out of order: the latest counts.
fn remember(
    logins: &Mutex<HashMap<String, Timestamp>>,
    new: impl IntoIterator<Item = (String, Timestamp)>,
) {
    let mut logins = logins.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, at) in new {
        let latest = logins.entry(name).or_insert(at);
        *latest = at.max(*latest);
    }
}

fn closed() -> DirectoryError {
    DirectoryError::Unavailable("the directory is closed".into())
}

struct Thread {
    rows: Box<dyn Rows>,
    snapshot: Arc<ArcSwap<State>>,
    logins: Arc<Mutex<HashMap<String, Timestamp>>>,
    /// A write failed, so that it is not known what the rows hold.
    is_stale: bool,
}

impl Thread {
    fn run(mut self, requests: &Receiver<Request>) {
        loop {
            match requests.recv_timeout(LOGINS_WRITTEN_EVERY) {
                Ok(Request::Change(apply)) => {
                    let mut waiting = vec![apply];
                    let mut looking = Vec::new();
                    let mut closing = None;
                    while let Ok(request) = requests.try_recv() {
                        match request {
                            Request::Change(apply) => waiting.push(apply),
                            Request::Moment(sender) => looking.push(sender),
                            Request::Close(sender) => {
                                closing = Some(sender);
                                break;
                            }
                        }
                    }
                    let written = self.write(waiting);
                    looking.iter().for_each(|sender| self.show(sender));
                    if let Some(sender) = closing {
                        return self.end(written, sender);
                    }
                }
                Ok(Request::Moment(sender)) => self.show(&sender),
                Ok(Request::Close(sender)) => {
                    let written = self.write(Vec::new());
                    return self.end(written, sender);
                }
                Err(RecvTimeoutError::Timeout) => self.write_logins(),
                Err(RecvTimeoutError::Disconnected) => return self.write_logins(),
            }
        }
    }

    fn show(&mut self, sender: &SyncSender<Result<Moment, BoxError>>) {
        let entries = self.rows.entries();
        let moment = entries.map(|entries| (self.snapshot.load_full(), entries));
        // Whoever went away does not want to know.
        let _ = sender.send(moment);
    }

    /// Gives the file back before it says so.
    fn end(
        self,
        written: Result<(), NotWritten>,
        sender: oneshot::Sender<Result<(), DirectoryError>>,
    ) {
        drop(self.rows);
        let _ = sender.send(written.map_err(|not_written| not_written.error()));
    }

    fn write_logins(&mut self) {
        if let Err(NotWritten { cause: error, .. }) = self.write(Vec::new()) {
            tracing::warn!(error, "login times could not be written");
        }
    }

    /// One transaction for all the changes and the login times noted so far.
    fn write(&mut self, changes: Vec<Apply>) -> Result<(), NotWritten> {
        if self.is_stale
            && let Err(not_written) = self.reload()
        {
            // Nothing can be decided on rows that cannot be read: each change is refused unseen.
            let mut nowhere = Edit::on(State::clone(&self.snapshot.load()));
            for apply in changes {
                apply(&mut nowhere)(Err(&not_written));
            }
            return Err(not_written);
        }
        let mut edit = Edit::on(State::clone(&self.snapshot.load()));
        let answers: Vec<Answer> = changes.into_iter().map(|apply| apply(&mut edit)).collect();
        let logins = {
            let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *logins)
        };
        edit.record_logins(&logins);
        let written = if edit.rows.is_empty() && edit.entries.is_empty() {
            Ok(())
        } else {
            self.rows
                .write_with(&edit.rows, &Added::of(&edit.entries))
                .map_err(|error| NotWritten::new(&*error))
        };
        match &written {
            Ok(()) => self.snapshot.store(Arc::new(edit.state)),
            Err(_) => {
                self.is_stale = true;
                remember(&self.logins, logins);
            }
        }
        for answer in answers {
            answer(written.as_ref().copied());
        }
        written
    }

    fn reload(&mut self) -> Result<(), NotWritten> {
        let state = state::load(self.rows.as_mut(), Timestamp::EPOCH);
        let state = state.map_err(|error| NotWritten::new(&error))?;
        self.snapshot.store(Arc::new(state));
        self.is_stale = false;
        Ok(())
    }
}
