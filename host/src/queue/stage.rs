//! Where the queue's tests play: a spool in memory that fails when told and can be read again from
//! its start, as after a crash, a clock that goes with the paused timers, and seeded randomness.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::deliver::Deliver;
use super::rehearsal::{CONTENT, START, message, next_hop, submission};
use super::{Metrics, Outlook, Parts, Queue, Settings};
use crate::clock::Clock;
use crate::message::{Class, Line, Message, MessageId, Timestamp};
use crate::spool::statistics::{Answer, Question, Unanswerable};
use crate::spool::{
    self, Change, Claimed, Concerned, Content, Figures, Intake, Lease, LineChange, Memory,
    NewMessage, NewRefusals, Page, PageRequest, Pending, QueueState, Record, RefusalId, Refusals,
    Selection, Settlement, Spool, SpoolError, Stop, StopOf, Stopped, Stops, Survey,
};

/// A spool in memory whose claims fail when told, and whose next reader hears of all lines again.
pub(super) struct Stage {
    pub(super) memory: Arc<Memory>,
    pub(super) clock: Clock,
    claims_to_fail: AtomicU32,
    is_reopened: AtomicBool,
    random: AtomicU64,
}

/// A queue under way.
pub(super) struct Running {
    stop: oneshot::Sender<()>,
    queue: JoinHandle<()>,
    pub(super) impatience: Arc<Notify>,
    pub(super) rerouting: Arc<Notify>,
    pub(super) outlook: Outlook,
    pub(super) metrics: Metrics,
}

impl Running {
    /// Stops the queue and waits until it has stopped.
    pub(super) async fn stop(self) {
        drop(self.stop);
        self.queue.await.expect("the queue does not panic");
    }

    /// Ends the queue where it is, as a crash does.
    pub(super) async fn crash(self) {
        self.queue.abort();
        drop(self.queue.await);
        // Its tasks are dropped when the runtime comes by.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

impl Stage {
    pub(super) fn new() -> Arc<Self> {
        Self::with_seed(1)
    }

    pub(super) fn with_seed(seed: u64) -> Arc<Self> {
        let clock = Clock::with_timers(START);
        let settings = spool::Settings::default();
        Arc::new(Self {
            memory: Memory::new(settings, clock.clone()),
            clock,
            claims_to_fail: AtomicU32::new(0),
            is_reopened: AtomicBool::new(false),
            random: AtomicU64::new(seed),
        })
    }

    /// A number that follows from the seed (SplitMix64).
    pub(super) fn random(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self
            .random
            .fetch_add(step, Ordering::Relaxed)
            .wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Accepts a message, in the lanes of its recipients' domains.
    pub(super) async fn accept(&self, message: Message) {
        self.enqueue_split(submission(message)).await;
    }

    /// Accepts a message, in the lanes that it comes with.
    pub(super) async fn enqueue_split(&self, message: NewMessage) {
        let mut intake = self.memory.intake(None).expect("there is room");
        intake
            .write(CONTENT.as_bytes())
            .await
            .expect("there is room");
        self.memory
            .enqueue(message, intake)
            .await
            .expect("the spool works");
    }

    /// Accepts a message of a class now, to one recipient.
    pub(super) async fn accept_to(&self, recipient: &str, class: Class) -> MessageId {
        let number = u128::from(self.random());
        let message = Message {
            class,
            ..message(number, self.clock.now(), &[recipient])
        };
        let id = message.id;
        self.accept(message).await;
        id
    }

    /// The same, not to be sent before a time has passed.
    pub(super) async fn accept_due(
        &self,
        recipient: &str,
        class: Class,
        after: std::time::Duration,
    ) -> MessageId {
        let number = u128::from(self.random());
        let now = self.clock.now();
        let message = Message {
            class,
            scheduled: Some(now.plus(after)),
            ..message(number, now, &[recipient])
        };
        let id = message.id;
        self.accept(message).await;
        id
    }

    pub(super) fn fail_claims(&self, count: u32) {
        self.claims_to_fail.store(count, Ordering::Relaxed);
    }

    /// The next reader is the first one again.
    pub(super) fn reopen(&self) {
        self.is_reopened.store(true, Ordering::Relaxed);
    }

    pub(super) fn queued(&self) -> u64 {
        self.memory.figures().queued.iter().sum()
    }

    pub(super) async fn record(&self, id: MessageId) -> Record {
        self.memory
            .message(id)
            .await
            .expect("the spool works")
            .expect("the message is known")
    }

    /// Starts a queue.
    pub(super) fn start(
        self: &Arc<Self>,
        settings: Settings,
        deliver: Arc<dyn Deliver>,
    ) -> Running {
        let stage = self.clone();
        let metrics = Metrics::default();
        let queue = Queue::new(Parts {
            settings,
            hostname: "relay.example.com".to_owned(),
            spool: self.clone(),
            deliver,
            next_hop: Box::new(|_, mailbox| next_hop(mailbox)),
            random: Box::new(move || u128::from(stage.random()) << 64 | u128::from(stage.random())),
            clock: self.clock.clone(),
            metrics: metrics.clone(),
        });
        let (impatience, rerouting) = (queue.impatience(), queue.rerouting());
        let outlook = queue.outlook();
        let (stop, stopped) = oneshot::channel();
        let queue = tokio::spawn(queue.run(async { drop(stopped.await) }));
        Running {
            stop,
            queue,
            impatience,
            rerouting,
            outlook,
            metrics,
        }
    }

    /// The heads of all lines, as a backend finds them when it is opened.
    async fn heads(&self) -> Vec<LineChange> {
        let mut heads: Vec<LineChange> = Vec::new();
        let mut cursor = None;
        loop {
            let request = PageRequest {
                cursor,
                rows_max: 1_000,
                now: self.clock.now(),
            };
            let page = self
                .memory
                .list(Selection::default(), request)
                .await
                .expect("it works");
            for row in page.rows.iter().filter(|row| row.state != QueueState::Held) {
                let line = Line {
                    next_hop: row.delivery.next_hop.clone(),
                    class: row.message.class,
                    user: row.message.origin.user().into(),
                };
                let head = spool::Head {
                    due: row.delivery.due,
                    sequence: row.delivery.sequence,
                };
                match heads.iter_mut().find(|known| *known.line == line) {
                    Some(known) => known.head = known.head.min(Some(head)),
                    None => heads.push(LineChange {
                        line: Arc::new(line),
                        head: Some(head),
                    }),
                }
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return heads;
            }
        }
    }
}

impl Spool for Stage {
    fn claim<'a>(&'a self, line: &'a Line, now: Timestamp) -> Pending<'a, Claimed> {
        let fails = |left: u32| left.checked_sub(1);
        if self
            .claims_to_fail
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails)
            .is_ok()
        {
            return Box::pin(async { Err(SpoolError::Unavailable("as the test says".into())) });
        }
        self.memory.claim(line, now)
    }

    fn changes(&self) -> Pin<Box<dyn Future<Output = Vec<LineChange>> + Send + '_>> {
        Box::pin(async {
            if self.is_reopened.swap(false, Ordering::Relaxed) {
                return self.heads().await;
            }
            self.memory.changes().await
        })
    }

    fn intake(&self, octets_expected: Option<u64>) -> Result<Box<dyn Intake>, SpoolError> {
        self.memory.intake(octets_expected)
    }

    fn enqueue(&self, message: NewMessage, content: Box<dyn Intake>) -> Pending<'_, ()> {
        self.memory.enqueue(message, content)
    }

    fn content(&self, message: MessageId) -> Pending<'_, Box<dyn Content>> {
        self.memory.content(message)
    }

    fn settle(&self, settlement: Settlement) -> Pending<'_, ()> {
        self.memory.settle(settlement)
    }

    fn is_cancelled(&self, lease: Lease) -> bool {
        self.memory.is_cancelled(lease)
    }

    fn cancelled(&self, lease: Lease) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.memory.cancelled(lease)
    }

    fn release(&self, lease: Lease) {
        self.memory.release(lease);
    }

    fn change(
        &self,
        selection: Selection,
        change: Change,
        dry_run: bool,
    ) -> Pending<'_, Concerned> {
        self.memory.change(selection, change, dry_run)
    }

    fn stop(&self, stop: Stop) -> Pending<'_, Stopped> {
        self.memory.stop(stop)
    }

    fn start(&self, of: StopOf) -> Pending<'_, Option<Stop>> {
        self.memory.start(of)
    }

    fn stops(&self) -> &Stops {
        self.memory.stops()
    }

    fn note_refusals(&self, new: NewRefusals) -> Pending<'_, ()> {
        self.memory.note_refusals(new)
    }

    fn dismiss_refusals(&self, ids: Vec<RefusalId>) -> Pending<'_, Vec<RefusalId>> {
        self.memory.dismiss_refusals(ids)
    }

    fn refusals(&self) -> &Refusals {
        self.memory.refusals()
    }

    fn count_behind(&self, of: StopOf) -> Pending<'_, u64> {
        self.memory.count_behind(of)
    }

    fn lists_changed(&self) {
        self.memory.lists_changed();
    }

    fn list(&self, selection: Selection, page: PageRequest) -> Pending<'_, Page> {
        self.memory.list(selection, page)
    }

    fn survey(&self) -> Pending<'_, Box<dyn Survey>> {
        self.memory.survey()
    }

    fn message(&self, id: MessageId) -> Pending<'_, Option<Record>> {
        self.memory.message(id)
    }

    fn figures(&self) -> Figures {
        self.memory.figures()
    }

    fn oldest(&self) -> Pending<'_, [Option<Timestamp>; 5]> {
        self.memory.oldest()
    }

    fn queued_of<'a>(&'a self, users: &'a [&'a str]) -> Pending<'a, Vec<u64>> {
        self.memory.queued_of(users)
    }

    fn statistics(&self, question: Question) -> Pending<'_, Result<Answer, Unanswerable>> {
        self.memory.statistics(question)
    }

    fn close(&self) -> Pending<'_, ()> {
        self.memory.close()
    }
}
