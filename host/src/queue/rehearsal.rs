//! What the queue's tests share: messages to deliver, a next hop that follows a script, and a spool
//! that fails when told and can be read again from its start, as after a crash.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outpost_smtp::{Body, Mailbox, Notify, Reply, ReversePath};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::deliver::{Deliver, OpenContent};
use super::{Metrics, Parts, Queue, Settings};
use crate::clock::Clock;
use crate::message::{
    Attempt, Class, Delivery, DeliveryId, DeliveryState, Envelope, Line, Message, MessageId,
    NextHop, Origin, Outcome, Priorities, Recipient, RecipientOutcome, RemoteHost, Submission,
    Timestamp,
};
use crate::spool::{
    self, Change, Claimed, Content, Figures, Intake, Lease, LineChange, Memory, NewDelivery,
    NewMessage, Page, PageRequest, Pending, QueueState, Record, Selection, Settlement, Spool,
    SpoolError,
};

/// When every test begins.
pub(super) const START: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn mailbox(address: &str) -> Mailbox {
    Mailbox::parse(address, true).expect("a test's address is valid")
}

pub(super) fn notify(success: bool, failure: bool, delay: bool) -> Option<Notify> {
    let never = !(success || failure || delay);
    Some(Notify {
        never,
        success,
        failure,
        delay,
    })
}

/// A message of class 3 by `user`, accepted at `accepted`.
pub(super) fn message(number: u128, accepted: Timestamp, recipients: &[&str]) -> Message {
    let recipients = recipients.iter().map(|address| Recipient {
        mailbox: mailbox(address),
        notify: None,
        orcpt: None,
    });
    Message {
        id: MessageId::new(accepted, number),
        origin: Origin::Submission(Submission {
            list: "default".to_owned(),
            user: "user".to_owned(),
            client: ([192, 0, 2, 9], 50_000).into(),
            listener_port: 587,
            ehlo: "client.example".to_owned(),
            mechanism: "PLAIN".to_owned(),
            tls: None,
        }),
        envelope: Envelope {
            reverse_path: ReversePath::Mailbox(mailbox("me@a.example")),
            recipients: recipients.collect(),
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        class: Class::Normal,
        priorities: Priorities {
            user: Class::Normal,
            message: None,
        },
        accepted,
        content_octets: CONTENT.len() as u64,
        eight_bit: false,
        subject: "Hello".to_owned(),
    }
}

pub(super) const CONTENT: &str = "From: me@a.example\r\nSubject: Hello\r\n\r\nThe body.\r\n";

/// The delivery of all recipients of a message to one lane, before its first attempt.
pub(super) fn delivery(message: &Message) -> Delivery {
    let recipients = 0..message.envelope.recipients.len() as u32;
    Delivery {
        id: DeliveryId {
            message: message.id,
            number: 0,
        },
        next_hop: NextHop::Domain("b.example".to_owned()),
        recipients: recipients.collect(),
        attempts: 0,
        due: message.accepted,
        sequence: 0,
        state: DeliveryState::Waiting,
        delay_reported: false,
        last_reply: String::new(),
    }
}

/// A message as it enters the spool, one delivery per domain of its recipients.
pub(super) fn submission(message: Message) -> NewMessage {
    let mut deliveries: Vec<NewDelivery> = Vec::new();
    for (index, recipient) in (0..).zip(&message.envelope.recipients) {
        let next_hop = next_hop(&recipient.mailbox);
        match deliveries
            .iter_mut()
            .find(|delivery| delivery.next_hop == next_hop)
        {
            Some(delivery) => delivery.recipients.push(index),
            None => deliveries.push(NewDelivery {
                next_hop,
                recipients: vec![index],
                due: message.accepted,
                attempts: 0,
                delay_reported: false,
                last_reply: String::new(),
            }),
        }
    }
    NewMessage {
        message,
        deliveries,
        trail: Vec::new(),
    }
}

pub(super) fn next_hop(mailbox: &Mailbox) -> NextHop {
    NextHop::Domain(mailbox.domain.clone())
}

pub(super) fn host(dsn: bool) -> RemoteHost {
    RemoteHost {
        name: "mx.b.example".to_owned(),
        address: [192, 0, 2, 1].into(),
        port: 25,
        tls: None,
        dsn,
    }
}

pub(super) fn delivered() -> Outcome {
    Outcome::Delivered(Reply::new(250, (2, 0, 0), "Ok"))
}

pub(super) fn deferred() -> Outcome {
    Outcome::Deferred(Reply::new(451, (4, 7, 1), "Try again later"))
}

pub(super) fn bounced() -> Outcome {
    Outcome::Bounced(Reply::new(550, (5, 1, 1), "No such user"))
}

/// An attempt that reached a host, with these outcomes for the recipients of the delivery in order.
pub(super) fn attempt(delivery: &Delivery, outcomes: &[Outcome]) -> Attempt {
    let outcomes = delivery.recipients.iter().zip(outcomes);
    let outcomes = outcomes.map(|(recipient, outcome)| RecipientOutcome {
        recipient: *recipient,
        outcome: outcome.clone(),
        remote: true,
    });
    Attempt {
        host: Some(host(false)),
        outcomes: outcomes.collect(),
        unknown: false,
    }
}

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
        let mut intake = self.memory.intake(None).expect("there is room");
        intake
            .write(CONTENT.as_bytes())
            .await
            .expect("there is room");
        self.memory
            .enqueue(submission(message), intake)
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
        let queue = Queue::new(Parts {
            settings,
            hostname: "relay.example.com".to_owned(),
            spool: self.clone(),
            deliver,
            next_hop: Box::new(next_hop),
            random: Box::new(move || u128::from(stage.random()) << 64 | u128::from(stage.random())),
            clock: self.clock.clone(),
            metrics: Metrics::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let queue = tokio::spawn(queue.run(async { drop(stopped.await) }));
        Running { stop, queue }
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
                    user: row.message.origin.user().to_owned(),
                };
                let head = spool::Head {
                    due: row.delivery.due,
                    sequence: row.delivery.sequence,
                };
                match heads.iter_mut().find(|known| known.line == line) {
                    Some(known) => known.head = known.head.min(Some(head)),
                    None => heads.push(LineChange {
                        line,
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

    fn release(&self, lease: Lease) {
        self.memory.release(lease);
    }

    fn change(&self, selection: Selection, change: Change, dry_run: bool) -> Pending<'_, u64> {
        self.memory.change(selection, change, dry_run)
    }

    fn list(&self, selection: Selection, page: PageRequest) -> Pending<'_, Page> {
        self.memory.list(selection, page)
    }

    fn message(&self, id: MessageId) -> Pending<'_, Option<Record>> {
        self.memory.message(id)
    }

    fn figures(&self) -> Figures {
        self.memory.figures()
    }

    fn close(&self) -> Pending<'_, ()> {
        self.memory.close()
    }
}

/// What a scripted next hop does with a delivery.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Ends after this time with this outcome for every recipient.
    End(Duration, Outcome),
    /// Never ends.
    Hang,
    /// Panics.
    Panic,
}

/// A next hop that follows a script, and keeps a record of what came when.
#[derive(Default)]
pub(super) struct Script {
    acts: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
}

/// An attempt that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) message: MessageId,
    pub(super) class: Class,
    /// Since the runtime's clock began.
    pub(super) at: tokio::time::Instant,
    pub(super) attempts: u32,
    pub(super) recipients: Vec<u32>,
    /// The recipient, when it is a report.
    pub(super) reverse_path: ReversePath,
}

impl Script {
    /// Follows `acts`; afterwards every delivery ends well and at once.
    pub(super) fn new(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::new(acts.into_iter().collect()),
            seen: Mutex::default(),
        })
    }

    /// The attempts so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn next_act(&self) -> Act {
        let act = self
            .acts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        act.unwrap_or_else(|| Act::End(Duration::ZERO, delivered()))
    }
}

impl Deliver for Script {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        _content: OpenContent,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Seen {
                message: message.id,
                class: message.class,
                at: tokio::time::Instant::now(),
                attempts: delivery.attempts,
                recipients: delivery.recipients.clone(),
                reverse_path: message.envelope.reverse_path.clone(),
            });
        let act = self.next_act();
        Box::pin(async move {
            match act {
                Act::End(after, outcome) => {
                    tokio::time::sleep(after).await;
                    attempt(&delivery, &vec![outcome; delivery.recipients.len()])
                }
                Act::Hang => std::future::pending().await,
                Act::Panic => panic!("as the script says"),
            }
        })
    }
}
