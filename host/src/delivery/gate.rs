//! The gate that content passes on its way out.
//!
//! Every send enters it, and asks for a permit before each piece of its content is written. This is the one place
//! where a send can be made to wait, between two pieces: while a very-high message moves, and where a capacity is
//! to be shared. After the permit of the last piece nothing stops the final dot. When the relay stops the gate closes:
//! what is under way is cut off where it is. Who has to wait, and for
//! how long, is arithmetic in `traffic`, and where very-high mail hangs is known to `hops`; the capacity is a `bucket`, and who gets
//! it next is known to `queue` and `turns`. Here are the waiting itself, the clock, and a view of what is under way.

mod bucket;
mod hops;
mod metrics;
mod queue;
mod traffic;
mod turns;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use metrics::Metrics;
pub use traffic::Rules;

use queue::SendId;
use traffic::{Sending, Traffic, Turn};

use crate::message::{Class, ClassRule, Delivery, DeliveryId, Message, MessageId, NextHop, Pause};

/// A send asks for a permit at least so often: where its host takes less than a piece in this time, its pieces
/// become smaller, so that it can be stopped soon.
const PIECE_TIME_MAX: Duration = Duration::from_millis(25);

/// The first piece of a send, before it is known how fast its host is.
const FIRST_PIECE_OCTETS: usize = 16 * 1024;

/// The smallest piece that is worth a system call and a record of TLS.
const PIECE_OCTETS_MIN: usize = 1024;

/// The largest piece: as contents come from the spool.
const PIECE_OCTETS_MAX: usize = crate::spool::PIECE_OCTETS_MAX;

/// How exactly it is known when a very-high send moved last.
const BEAT: Duration = Duration::from_millis(50);

/// Decides when the next piece of content may leave. Clones share what is behind them.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether anybody has to ask at all.
    is_busy: AtomicBool,
    traffic: Mutex<Traffic<Arc<Live>>>,
    /// Told when nothing very high moves any more, or what does holds others for less long.
    eased: Arc<Notify>,
    /// Cuts off what is under way.
    closed: CancellationToken,
    metrics: Metrics,
}

/// What others see of a send.
#[derive(Debug)]
struct Live {
    wake: Notify,
    delivery: DeliveryId,
    octets: u64,
    sent: AtomicU64,
}

/// A send that is under way, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its class.
    pub class: Class,
    /// Octets of the content.
    pub octets: u64,
    /// Octets of the content that have been handed to the network in this transaction.
    pub sent: u64,
    /// For how long it has been paused, and for which message at this moment, if it is paused.
    pub paused: Option<(Duration, MessageId)>,
}

impl Gate {
    /// A gate that nothing has passed yet.
    pub fn new(rules: Rules, metrics: Metrics) -> Self {
        let traffic = Traffic::new(rules, Instant::now());
        Self(Arc::new(Shared {
            is_busy: AtomicBool::new(traffic.is_busy()),
            traffic: Mutex::new(traffic),
            eased: Arc::default(),
            closed: CancellationToken::new(),
            metrics,
        }))
    }

    /// Goes on by other rules; sends that wait are asked at once.
    pub fn follow(&self, rules: Rules) {
        self.change(|traffic, now| ((), traffic.follow(rules, now)));
    }

    /// How the classes below very high share what is handed out.
    pub(super) fn class_rule(&self) -> ClassRule {
        self.0.traffic().class_rule()
    }

    /// A send begins: it is under way until what is returned is finished or dropped.
    pub(super) fn enter(&self, message: &Message, delivery: &Delivery) -> Passage {
        let live = Arc::new(Live {
            wake: Notify::new(),
            delivery: delivery.id,
            octets: message.content_octets,
            sent: AtomicU64::new(0),
        });
        let what = Sending {
            message: message.id,
            class: message.class,
            user: message.origin.user().into(),
            sequence: delivery.sequence,
        };
        let id = self
            .0
            .traffic()
            .enter(what, Arc::clone(&live), Instant::now());
        Passage {
            gate: self.clone(),
            id,
            live,
            urgent_at: (message.class == Class::VeryHigh)
                .then(|| Arc::new(delivery.next_hop.clone())),
            is_paused: AtomicBool::new(false),
            piece_octets: AtomicUsize::new(FIRST_PIECE_OCTETS),
            begun: OnceLock::new(),
            at_mail: AtMail::default(),
            has_left: false,
        }
    }

    /// Closes for good, since the relay stops: sends under way are cut off where they are, and each says how far it has
    /// come.
    pub fn close(&self) {
        self.0.closed.cancel();
    }

    /// Until when nothing of a lower class may start, unless what is very high ends or moves on; none when nothing
    /// very high moves.
    pub fn held_until(&self) -> Option<Instant> {
        if !self.0.is_busy.load(Ordering::Acquire) {
            return None;
        }
        let held = self.0.traffic().held(Instant::now());
        held.map(|(until, _)| until)
    }

    /// Notified when the last very-high send that moved is done, or the one that held others for longest.
    pub fn eased(&self) -> Arc<Notify> {
        Arc::clone(&self.0.eased)
    }

    /// The sends that are under way, in order of their deliveries.
    pub fn under_way(&self) -> Vec<UnderWay> {
        let traffic = self.0.traffic();
        let now = Instant::now();
        let cause = traffic.held(now).map(|(_, cause)| cause);
        let sends = traffic.all_sends().map(|(live, what, pause)| UnderWay {
            delivery: live.delivery,
            class: what.class,
            octets: live.octets,
            sent: live.sent.load(Ordering::Relaxed),
            paused: pause.map(|open| (now - open.since, cause.unwrap_or(open.cause))),
        });
        let mut sends: Vec<_> = sends.collect();
        drop(traffic);
        sends.sort_by_key(|send| send.delivery);
        sends
    }

    /// Does something to the traffic, wakes whom it concerns, and counts what has happened to pauses.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Traffic<Arc<Live>>, Instant) -> (T, Vec<Arc<Live>>),
    ) -> T {
        let mut traffic = self.0.traffic();
        let now = Instant::now();
        let before = traffic.held(now);
        let (result, wake) = change(&mut traffic, now);
        self.0.is_busy.store(traffic.is_busy(), Ordering::Release);
        let is_eased = traffic::is_eased(before, traffic.held(now));
        let notes = traffic.take_notes();
        drop(traffic);
        self.0.metrics.note(&notes);
        for live in wake {
            live.wake.notify_one();
        }
        if is_eased {
            self.0.eased.notify_one();
        }
        result
    }
}

impl Shared {
    fn traffic(&self) -> MutexGuard<'_, Traffic<Arc<Live>>> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One send on its way through the gate.
#[derive(Debug)]
pub(super) struct Passage {
    gate: Gate,
    id: SendId,
    live: Arc<Live>,
    /// Of a very-high one, its next hop.
    urgent_at: Option<Arc<NextHop>>,
    /// It is to ask again though nobody has to.
    is_paused: AtomicBool,
    piece_octets: AtomicUsize,
    /// When its first transaction began.
    begun: OnceLock<Instant>,
    /// Told of that.
    at_mail: AtMail,
    has_left: bool,
}

/// Somebody who is told when the first transaction of a send begins.
#[derive(Default)]
struct AtMail(Option<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for AtMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "told" } else { "nobody" })
    }
}

/// A transaction that is under way: it ends when this is dropped.
#[must_use]
pub(super) struct Transacting<'a>(&'a Passage);

impl Drop for Transacting<'_> {
    fn drop(&mut self) {
        let Passage {
            gate,
            id,
            urgent_at,
            ..
        } = self.0;
        if urgent_at.is_some() {
            gate.change(|traffic, now| ((), traffic.end(*id, now)));
        }
    }
}

/// Feels whether a very-high send moves, in one transaction.
#[derive(Debug)]
pub(super) struct Pulse {
    gate: Gate,
    id: SendId,
    /// When it was told last; none: its host has said nothing yet.
    told: Option<Instant>,
}

impl Pulse {
    /// The host has said something.
    pub(super) fn has_heard(&mut self) {
        // The first word is told at once: whether others are held may depend on it.
        self.beat(|told| told.is_none_or(is_due));
    }

    /// Octets have gone. Before the host's first word that says nothing of it: the network takes the commands of a
    /// transaction though the host hangs.
    pub(super) fn has_written(&mut self) {
        self.beat(|told| told.is_some_and(is_due));
    }

    fn beat(&mut self, is_told: impl FnOnce(Option<Instant>) -> bool) {
        if is_told(self.told) {
            let now = Instant::now();
            self.told = Some(now);
            self.gate.0.traffic().moved(self.id, now);
        }
    }
}

fn is_due(told: Instant) -> bool {
    told.elapsed() >= BEAT
}

impl Passage {
    /// The same passage; this is told when its first transaction begins.
    pub(super) fn telling(mut self, at_mail: Box<dyn Fn() + Send + Sync>) -> Self {
        self.at_mail = AtMail(Some(at_mail));
        self
    }

    /// A transaction begins: MAIL is written. None when it has to give way to something very high that moves: only the
    /// first one does, since a message that has begun pauses in its content.
    pub(super) fn begin(&self) -> Option<Transacting<'_>> {
        match &self.urgent_at {
            Some(next_hop) => self
                .gate
                .change(|traffic, now| ((), traffic.begin(self.id, next_hop, now))),
            None if self.begun.get().is_none() && self.gives_way() => return None,
            None => {}
        }
        self.begun.get_or_init(|| {
            if let Some(tell) = &self.at_mail.0 {
                tell();
            }
            Instant::now()
        });
        self.live.sent.store(0, Ordering::Relaxed);
        Some(Transacting(self))
    }

    fn gives_way(&self) -> bool {
        self.gate.0.is_busy.load(Ordering::Acquire)
            && self.gate.0.traffic().gives_way(self.id, Instant::now())
    }

    /// Waits until the send is cut off.
    pub(super) async fn is_cut_off(&self) {
        self.gate.0.closed.cancelled().await;
    }

    /// How far it has come, with the octets that are not written yet: `after 5 of 12 octets`.
    pub(super) fn how_far(&self, unwritten: usize) -> String {
        let octets = self.live.octets;
        let unwritten = u64::try_from(unwritten).unwrap_or(u64::MAX);
        let sent = self.live.sent.load(Ordering::Relaxed);
        // What is converted may be longer than what was accepted.
        let sent = sent.saturating_sub(unwritten).min(octets);
        format!("after {sent} of {octets} octets")
    }

    /// Who is to be told that it moves, where that matters to others.
    pub(super) fn pulse(&self) -> Option<Pulse> {
        self.urgent_at.is_some().then(|| Pulse {
            gate: self.gate.clone(),
            id: self.id,
            told: None,
        })
    }

    /// Waits until some of these octets may be written: so many. Not all at once, so that there is soon a place to
    /// stop at.
    pub(super) async fn permit(&self, octets: usize) -> usize {
        let octets = octets.min(self.piece_octets.load(Ordering::Relaxed));
        if !self.gate.0.is_busy.load(Ordering::Acquire) && !self.is_paused.load(Ordering::Relaxed) {
            return octets;
        }
        loop {
            if self.gate.0.closed.is_cancelled() {
                // Who was paused does not go on for the moment that is left.
                std::future::pending().await
            }
            let turn = self.gate.change(|traffic, now| {
                let (turn, wake) = traffic.ask(self.id, octets, now);
                let is_paused = traffic.pause_of(self.id).is_some();
                self.is_paused.store(is_paused, Ordering::Relaxed);
                (turn, Vec::from_iter(wake))
            });
            let woken = self.live.wake.notified();
            match turn {
                Turn::Go(octets) => return octets,
                Turn::Wait(None) => woken.await,
                // Woken or not, it asks again.
                Turn::Wait(Some(until)) => drop(timeout_at(until, woken).await),
            }
        }
    }

    /// So many octets of the content are on their way.
    pub(super) fn sent(&self, octets: usize) {
        let sent = u64::try_from(octets).unwrap_or(u64::MAX);
        self.live.sent.fetch_add(sent, Ordering::Relaxed);
    }

    /// All of the content has got its permit: a pause that it trickled through is over.
    pub(super) fn content_ends(&self) {
        if self.gate.0.is_busy.load(Ordering::Acquire) || self.is_paused.load(Ordering::Relaxed) {
            self.gate
                .change(|traffic, now| ((), Vec::from_iter(traffic.finish(self.id, now))));
            self.is_paused.store(false, Ordering::Relaxed);
        }
    }

    /// The network has taken a piece of so many octets in that time.
    pub(super) fn took(&self, octets: usize, took: Duration) {
        let piece = self.piece_octets.load(Ordering::Relaxed);
        let next = if took > PIECE_TIME_MAX {
            (octets / 2).clamp(PIECE_OCTETS_MIN, piece)
        } else if took < PIECE_TIME_MAX / 2 && octets == piece {
            piece.saturating_mul(2).min(PIECE_OCTETS_MAX)
        } else {
            return;
        };
        self.piece_octets.store(next, Ordering::Relaxed);
    }

    /// How long ago the first transaction began; none where none has.
    pub(super) fn mail_ago(&self) -> Option<Duration> {
        self.begun.get().map(Instant::elapsed)
    }

    /// The send is over: when it was paused.
    pub(super) fn finish(mut self) -> Vec<Pause> {
        self.leave()
    }

    fn leave(&mut self) -> Vec<Pause> {
        if std::mem::replace(&mut self.has_left, true) {
            return Vec::new();
        }
        self.gate.change(|traffic, now| traffic.leave(self.id, now))
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests;
