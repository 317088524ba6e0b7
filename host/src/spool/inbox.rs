//! What waits for the writer, and when it is time to commit.
//!
//! While one sync runs, the next batch gathers. New messages are due when twice as many wait as are still
//! coming in, so that clients that are busy at once share a sync, some are served while it runs, and one
//! who is alone waits for nobody. Settlements wait a little for company.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::message::Timestamp;

use super::budget::Share;
use super::company::{COMPANY_PATIENCE, Coming, Patience};
use super::contents::Named;
use super::ledger::{Prepared, Settled};
use super::settings::{BATCH_OCTETS_MAX, BATCH_REQUESTS_MAX, SETTLEMENTS_WAITING_MAX};
use super::{
    Change, Concerned, NewRefusals, RefusalId, Selection, SpoolError, Stop, StopOf, Stopped,
};

/// Where an answer goes. Nobody may be waiting for it any more.
pub(super) type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

/// A message to be enqueued.
#[derive(Debug)]
pub(super) struct Enqueue {
    pub(super) new: Prepared,
    /// The file of its content; none when it is small. Goes with the request if that fails.
    pub(super) file: Option<Named>,
    /// Its share of the budget.
    pub(super) share: Share,
    pub(super) reply: Reply<()>,
}

impl Enqueue {
    /// Answers, with its share of the budget given back and, when it failed, its file removed.
    pub(super) fn answer(self, result: Result<(), SpoolError>) {
        drop(self.share);
        if let Some(file) = self.file
            && result.is_ok()
        {
            file.keep();
        }
        send(self.reply, result);
    }
}

/// A settlement.
#[derive(Debug)]
pub(super) struct Settle {
    pub(super) settled: Settled,
    pub(super) reply: Reply<()>,
}

/// An operator's change.
#[derive(Debug)]
pub(super) struct ChangeRequest {
    pub(super) selection: Selection,
    pub(super) change: Change,
    pub(super) reply: Reply<Concerned>,
}

/// Something is to be stopped, or to be started again.
#[derive(Debug)]
pub(super) enum Stopping {
    Stop(Stop, Reply<Stopped>),
    Start(StopOf, Reply<Option<Stop>>),
}

impl Stopping {
    /// It cannot be done.
    pub(super) fn refuse(self, error: SpoolError) {
        match self {
            Self::Stop(_, reply) => send(reply, Err(error)),
            Self::Start(_, reply) => send(reply, Err(error)),
        }
    }
}

/// What a commit does beside mail.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Keys of deliveries that cannot be read.
    pub(super) set_aside: Vec<Vec<u8>>,
    /// What is stopped and started.
    pub(super) stopping: Vec<Stopping>,
    /// Senders that were refused.
    pub(super) refused: Vec<(NewRefusals, Reply<()>)>,
    /// Refused senders that are dismissed.
    pub(super) dismissed: Vec<(Vec<RefusalId>, Reply<Vec<RefusalId>>)>,
}

impl Beside {
    pub(super) fn is_empty(&self) -> bool {
        self.set_aside.is_empty()
            && self.stopping.is_empty()
            && self.refused.is_empty()
            && self.dismissed.is_empty()
    }
}

/// What the writer is to do next.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) enqueues: Vec<Enqueue>,
    pub(super) settles: Vec<Settle>,
    pub(super) changes: Vec<ChangeRequest>,
    pub(super) beside: Beside,
    /// Whether a read has failed.
    pub(super) is_suspect: bool,
    /// Whether it is the last one.
    pub(super) is_last: bool,
}

/// What waits.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    coming: Coming,
    arrived: Arrived,
    settlement_patience: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    enqueues: VecDeque<Enqueue>,
    /// Whether they wait for no other one any more.
    enqueues_are_due: bool,
    /// How many batches of them were taken.
    batches: u64,
    patience: Patience,
    settles: VecDeque<Settle>,
    /// When the first of them has waited long enough.
    settles_due: Option<Instant>,
    changes: Vec<ChangeRequest>,
    beside: Beside,
    is_suspect: bool,
    closers: Vec<Reply<()>>,
    is_closed: bool,
    has_ended: bool,
    /// Whether the writer waits to be woken.
    is_idle: bool,
}

impl Inbox {
    pub(super) fn new(settlement_patience: Duration) -> Self {
        Self {
            waiting: Mutex::default(),
            coming: Coming::default(),
            arrived: Arrived::default(),
            settlement_patience,
        }
    }

    /// The messages that are coming in.
    pub(super) fn coming(&self) -> &Coming {
        &self.coming
    }

    /// The message is committed with others, and no later than when what is returned is dropped.
    pub(super) fn enqueue(&self, request: Enqueue) -> Company<'_> {
        let mut is_due = false;
        let mut batch = 0;
        self.put(|waiting| {
            batch = waiting.batches;
            waiting.enqueues.push_back(request);
            let is_enough = waiting.enqueues.len() >= 2 * self.coming.count();
            waiting.enqueues_are_due |= is_enough || !waiting.patience.has_any();
            is_due = waiting.enqueues_are_due;
        });
        Company {
            inbox: self,
            batch,
            is_due,
        }
    }

    pub(super) fn settle(&self, request: Settle) {
        self.put(|waiting| {
            waiting.settles.push_back(request);
            waiting
                .settles_due
                .get_or_insert_with(|| Instant::now() + self.settlement_patience);
        });
    }

    pub(super) fn change(&self, request: ChangeRequest) {
        self.put(|waiting| waiting.changes.push(request));
    }

    pub(super) fn set_aside(&self, key: Vec<u8>) {
        self.put(|waiting| waiting.beside.set_aside.push(key));
    }

    pub(super) fn stopping(&self, request: Stopping) {
        self.put(|waiting| waiting.beside.stopping.push(request));
    }

    pub(super) fn refused(&self, new: NewRefusals, reply: Reply<()>) {
        self.put(|waiting| waiting.beside.refused.push((new, reply)));
    }

    pub(super) fn dismiss(&self, ids: Vec<RefusalId>, reply: Reply<Vec<RefusalId>>) {
        self.put(|waiting| waiting.beside.dismissed.push((ids, reply)));
    }

    /// A read has failed: the writer is to see whether the database is still good.
    pub(super) fn suspect(&self) {
        self.put(|waiting| waiting.is_suspect = true);
    }

    /// Ends the writer when it has done what waits. What comes after that is refused.
    pub(super) fn close(&self, reply: Option<Reply<()>>) {
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        if waiting.has_ended {
            answer_all(reply);
        } else {
            waiting.closers.extend(reply);
        }
        drop(waiting);
        self.arrived.notify();
    }

    /// The writer has ended.
    pub(super) fn end(&self) {
        let mut waiting = self.waiting();
        waiting.has_ended = true;
        answer_all(std::mem::take(&mut waiting.closers));
    }

    /// The writer is gone before its time: nobody waits for it any longer, and nobody will.
    pub(super) fn abandon(&self) {
        let mut waiting = self.waiting();
        *waiting = Waiting {
            is_closed: true,
            has_ended: true,
            ..Waiting::default()
        };
    }

    pub(super) fn is_closed(&self) -> bool {
        self.waiting().is_closed
    }

    /// A request that comes after the end is dropped, which its waiter sees.
    fn put(&self, put: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return;
        }
        let was_due = waiting.urgency();
        put(&mut waiting);
        let wake = waiting.is_idle && waiting.urgency() != was_due;
        drop(waiting);
        if wake {
            self.arrived.notify();
        }
    }

    /// The next batch, as soon as one is due; an empty one after `idle_max` without.
    /// `is_busy` is whether the writer has work of its own that it does with the batch.
    pub(super) fn next(&self, idle_max: Duration, is_busy: bool) -> Batch {
        let until = Instant::now() + idle_max;
        let mut waiting = self.waiting();
        loop {
            let patience = match waiting.look(until, is_busy) {
                Look::Due(batch) => return batch,
                Look::In(patience) => patience,
            };
            waiting.is_idle = true;
            waiting = self
                .arrived
                .thread
                .wait_timeout(waiting, patience)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            waiting.is_idle = false;
        }
    }

    /// As [`Self::next`], for a writer that is a task.
    #[cfg(test)]
    pub(super) async fn next_for_task(&self, idle_max: Duration, is_busy: bool) -> Batch {
        let until = Instant::now() + idle_max;
        loop {
            let looked = {
                let mut waiting = self.waiting();
                let looked = waiting.look(until, is_busy);
                waiting.is_idle = matches!(looked, Look::In(_));
                looked
            };
            match looked {
                Look::Due(batch) => return batch,
                // Whatever came first, it is looked at again.
                Look::In(patience) => drop(timeout(patience, self.arrived.task.notified()).await),
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Others that a message waits for.
#[must_use]
pub(super) struct Company<'a> {
    inbox: &'a Inbox,
    batch: u64,
    is_due: bool,
}

impl Company<'_> {
    /// Waits for them: the answer, when one came meanwhile.
    pub(super) async fn wait<T>(mut self, answer: impl Future<Output = T>) -> Option<T> {
        if self.is_due {
            return None;
        }
        let answer = timeout(COMPANY_PATIENCE, answer).await.ok();
        self.is_due = answer.is_some();
        answer
    }
}

impl Drop for Company<'_> {
    fn drop(&mut self) {
        if !self.is_due {
            self.inbox.put(|waiting| waiting.wait_no_longer(self.batch));
        }
    }
}

fn answer_all(replies: impl IntoIterator<Item = Reply<()>>) {
    for reply in replies {
        send(reply, Ok(()));
    }
}

/// Sends an answer. Whoever gave up waiting needs none.
pub(super) fn send<T>(reply: Reply<T>, answer: Result<T, SpoolError>) {
    drop(reply.send(answer));
}

/// Wakes the writer.
#[derive(Debug, Default)]
struct Arrived {
    thread: Condvar,
    #[cfg(test)]
    task: tokio::sync::Notify,
}

impl Arrived {
    fn notify(&self) {
        self.thread.notify_one();
        #[cfg(test)]
        self.task.notify_one();
    }
}

/// What the writer finds.
enum Look {
    Due(Batch),
    /// Nothing, unless something comes, for so long.
    In(Duration),
}

/// How soon the next batch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    Nothing,
    Later,
    Now,
}

impl Waiting {
    /// The next batch if one is due, or an empty one once it is `until`.
    fn look(&mut self, until: Instant, is_busy: bool) -> Look {
        let now = Instant::now();
        let due_in = self.due_in(now);
        if is_busy || due_in == Some(Duration::ZERO) || now >= until {
            return Look::Due(self.take());
        }
        Look::In(due_in.unwrap_or(Duration::MAX).min(until - now))
    }

    fn urgency(&self) -> Urgency {
        match self.due_in(Instant::now()) {
            None => Urgency::Nothing,
            Some(Duration::ZERO) => Urgency::Now,
            Some(_) => Urgency::Later,
        }
    }

    /// When the next batch is due; none while nothing waits.
    fn due_in(&self, now: Instant) -> Option<Duration> {
        if self.is_closed
            || self.enqueues_are_due
            || !self.changes.is_empty()
            || !self.beside.is_empty()
            || self.is_suspect
            || self.settles.len() >= SETTLEMENTS_WAITING_MAX
        {
            return Some(Duration::ZERO);
        }
        self.settles_due
            .map(|due| due.saturating_duration_since(now))
    }

    /// One of the messages has waited long enough. On a slow disk it is being synced by now, in another
    /// batch than those that wait.
    fn wait_no_longer(&mut self, batch: u64) {
        let is_there = self.batches == batch && !self.enqueues.is_empty();
        if is_there && !self.enqueues_are_due {
            self.enqueues_are_due = true;
            if self.enqueues.len() == 1 {
                self.patience.was_in_vain();
            }
        }
    }

    fn take(&mut self) -> Batch {
        let mut octets = 0;
        let mut enqueues = Vec::new();
        while enqueues.len() < BATCH_REQUESTS_MAX
            && octets < BATCH_OCTETS_MAX
            && let Some(request) = self.enqueues.pop_front()
        {
            octets += request.new.octets();
            enqueues.push(request);
        }
        // Those that did not fit have waited for this batch already, and nobody would wake the writer for them.
        self.enqueues_are_due = !self.enqueues.is_empty();
        self.batches += u64::from(!enqueues.is_empty());
        match enqueues.len() {
            0 => {}
            1 => self.patience.was_alone(),
            _ => self.patience.had_company(),
        }
        let settles = self.settles.len().min(BATCH_REQUESTS_MAX);
        let settles = self.settles.drain(..settles).collect();
        if self.settles.is_empty() {
            self.settles_due = None;
        }
        let is_last = self.is_closed && self.enqueues.is_empty() && self.settles.is_empty();
        Batch {
            enqueues,
            settles,
            changes: std::mem::take(&mut self.changes),
            beside: std::mem::take(&mut self.beside),
            is_suspect: std::mem::take(&mut self.is_suspect),
            is_last,
        }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.enqueues.is_empty()
            && self.settles.is_empty()
            && self.changes.is_empty()
            && self.beside.is_empty()
            && !self.is_suspect
    }
}

/// Since when finished messages are kept, at `now`.
pub(super) fn kept_since(now: Timestamp, kept: Duration) -> Timestamp {
    let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_unix_milliseconds(now.unix_milliseconds().saturating_sub(kept))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::pending;

    use bytes::Bytes;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::message::Class;
    use crate::spool::budget::Budget;
    use crate::spool::ledger::Stowed;
    use crate::spool::sample::{message, new_message};

    fn request(number: u64) -> Enqueue {
        let new = new_message(message(number, "user", Class::Normal, &["a.example"]));
        let (reply, _) = oneshot::channel();
        Enqueue {
            new: Prepared::new(new, Stowed::Inline(Bytes::new())).unwrap(),
            file: None,
            share: Budget::new(1).begin(None).unwrap(),
            reply,
        }
    }

    /// How many messages the next batch has; none while none is due.
    fn due(inbox: &Inbox) -> usize {
        inbox.next(Duration::ZERO, false).enqueues.len()
    }

    #[test]
    fn a_message_that_is_alone_waits_for_nobody() {
        let inbox = Inbox::new(Duration::ZERO);
        drop(inbox.enqueue(request(1)));
        assert_eq!(due(&inbox), 1);
    }

    #[test]
    fn what_does_not_fit_into_a_batch_is_the_next_one_at_once() {
        let inbox = Inbox::new(Duration::ZERO);
        let coming = [(); BATCH_REQUESTS_MAX].map(|()| inbox.coming().one_more());
        let waiting: Vec<_> = (0..=BATCH_REQUESTS_MAX as u64)
            .map(|number| inbox.enqueue(request(number)))
            .collect();
        assert!(!inbox.waiting().enqueues_are_due, "more are coming");
        // Something else is due, and the batch takes them along.
        inbox.suspect();
        assert_eq!(due(&inbox), BATCH_REQUESTS_MAX);
        assert_eq!(due(&inbox), 1);
        drop((waiting, coming));
    }

    #[test]
    fn messages_that_come_together_share_a_batch() {
        let inbox = Inbox::new(Duration::ZERO);
        let [first, second, third] = [(); 3].map(|()| inbox.coming().one_more());
        drop(first);
        let _first = inbox.enqueue(request(1));
        assert!(!inbox.waiting().enqueues_are_due, "two more are coming");
        drop(second);
        let _second = inbox.enqueue(request(2));
        assert_eq!(due(&inbox), 2, "the last one can have the next sync");
        drop(third);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_what_does_not_come() {
        let inbox = Inbox::new(Duration::ZERO);
        let _slow = inbox.coming().one_more();
        let began = tokio::time::Instant::now();
        let company = inbox.enqueue(request(1));
        assert!(company.wait(pending::<()>()).await.is_none());
        assert!(began.elapsed() <= COMPANY_PATIENCE);
        assert_eq!(due(&inbox), 1);
        // And not again for a while.
        let company = inbox.enqueue(request(2));
        assert!(company.is_due);
        assert_eq!(due(&inbox), 1);
    }

    #[test]
    fn a_message_that_is_being_synced_hurries_nobody() {
        let inbox = Inbox::new(Duration::ZERO);
        let _slow = inbox.coming().one_more();
        let synced = inbox.enqueue(request(1));
        // A settlement is due, and all that waits goes with it.
        let batch = inbox.waiting().take();
        assert_eq!(batch.enqueues.len(), 1);
        let _company = inbox.enqueue(request(2));
        drop(synced);
        assert!(!inbox.waiting().enqueues_are_due);
        assert!(inbox.waiting().patience.has_any());
    }

    #[test]
    fn a_sender_that_gives_up_waiting_leaves_its_message_to_be_committed() {
        let inbox = Inbox::new(Duration::ZERO);
        let _slow = inbox.coming().one_more();
        let company = inbox.enqueue(request(1));
        assert_eq!(inbox.waiting().due_in(Instant::now()), None);
        drop(company);
        assert_eq!(due(&inbox), 1);
    }

    #[test]
    fn who_waits_for_a_writer_that_is_gone_is_told() {
        let inbox = Inbox::new(Duration::ZERO);
        let (reply, mut answer) = oneshot::channel();
        inbox.close(Some(reply));
        assert_eq!(answer.try_recv().err(), Some(TryRecvError::Empty));
        inbox.abandon();
        assert_eq!(answer.try_recv().err(), Some(TryRecvError::Closed));
        assert!(inbox.is_closed());
        let (reply, mut answer) = oneshot::channel();
        inbox.close(Some(reply));
        assert!(matches!(answer.try_recv(), Ok(Ok(()))));
    }
}
