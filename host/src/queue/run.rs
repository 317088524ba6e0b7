//! The driver: waits for mail, for time and for attempts to end, and keeps the lanes busy.
//!
//! One task owns the scheduler and is the only one that claims; one claim is under way at a time, so
//! that order is what the scheduler says. Between two claims it listens to the spool, so that mail
//! that came meanwhile is considered. Attempts and settlements are tasks of their own, bounded in
//! number. No failure of the spool loses a delivery or ends the driver.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use outpost_smtp::Mailbox;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::{
    Attempted, Held, Returned, Shared, attempt, settle, settle_moved, settle_overdue,
};
use super::deliver::Deliver;
use super::metrics::Metrics;
use super::outlook::{ASKING_MAX, Asking, Outlook};
use super::reach::Turn;
use super::scheduler::Scheduler;
use super::settings::{RulesInForce, Settings};
use super::trouble::{Backoff, Trouble};
use super::unreached::Unreached;
use crate::clock::Clock;
use crate::message::{Line, NextHop, Source};
use crate::spool::{Claimed, LineChange, Spool, SpoolError};

/// Settlements under way at once. They share the spool's commits, so that a few hundred keep it busy;
/// beyond that the spool is what is slow, and more attempts would not end sooner.
const SETTLEMENTS_MAX: usize = 1_000;

/// The longest sleep: the machine's clock may be set while we sleep by its timers.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// A line whose due head could not be claimed is left alone for this long, or until it changes.
const STALL: Duration = Duration::from_secs(1);

/// How often it is looked whether very-high mail is as fast as it is to be, though none comes.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How long settlements may take after the last attempt ended, when the relay stops.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// How long attempts may take to notice that they are cut off: they only have to be woken.
const CUT_WITHIN: Duration = Duration::from_secs(1);

/// Tells where mail of a source for a mailbox goes.
pub type NextHopOf = dyn Fn(Source<'_>, &Mailbox) -> NextHop + Send + Sync;

/// What a queue is made of.
pub struct Parts {
    /// What the operator chose.
    pub settings: Settings,
    /// The name of this relay, for reports.
    pub hostname: String,
    /// Where the mail is.
    pub spool: Arc<dyn Spool>,
    /// Who makes the attempts.
    pub deliver: Arc<dyn Deliver>,
    /// Where mail goes, for reports.
    pub next_hop: Box<NextHopOf>,
    /// A good source of randomness, for jitter and the ids of reports.
    pub random: Box<dyn Fn() -> u128 + Send + Sync>,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
}

/// The queue: delivers what is on the spool.
pub struct Queue {
    shared: Arc<Shared>,
    scheduler: Scheduler,
    attempts: JoinSet<Returned>,
    settlements: JoinSet<()>,
    /// Whether claims fail at present, and until when none is tried.
    claiming: Trouble,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Until when nothing below very high starts, unless it is eased before; none when it may.
    held_until: Option<Instant>,
    stop_within: Duration,
    impatience: Arc<Notify>,
    rerouting: Arc<Notify>,
    unreached: Unreached,
    /// When it was looked last how fast very-high mail is.
    watched: Option<Instant>,
    /// Those who want to know what it knows, and how they ask.
    asking: mpsc::Receiver<Asking>,
    ask: mpsc::Sender<Asking>,
}

/// A claim under way, and the line that it is from.
type Claiming = Pin<Box<dyn Future<Output = (Arc<Line>, Result<Claimed, SpoolError>)> + Send>>;

impl Queue {
    /// A queue that has not looked at its spool yet.
    pub fn new(parts: Parts) -> Self {
        let settings = parts.settings;
        let (ask, asking) = mpsc::channel(ASKING_MAX);
        Self {
            watched: None,
            asking,
            ask,
            scheduler: Scheduler::new(settings.limits()),
            attempts: JoinSet::new(),
            settlements: JoinSet::new(),
            claiming: Trouble::with("claiming a delivery"),
            backoff: Backoff::default(),
            not_before: None,
            held_until: None,
            stop_within: settings.stop_within,
            impatience: Arc::default(),
            rerouting: Arc::default(),
            unreached: Unreached::default(),
            shared: Arc::new(Shared {
                spool: parts.spool,
                deliver: parts.deliver,
                next_hop: parts.next_hop,
                random: parts.random,
                clock: parts.clock,
                hostname: parts.hostname,
                rules: Arc::new(RulesInForce::new(&settings)),
                returned_octets_max: settings.returned_octets_max,
                metrics: parts.metrics,
                recording: Trouble::with("recording what became of a delivery"),
                cut: CancellationToken::new(),
            }),
        }
    }

    /// What is made of outcomes, to be changed while it runs.
    pub fn rules(&self) -> Arc<RulesInForce> {
        Arc::clone(&self.shared.rules)
    }

    /// When this is notified, next hops that could not be reached are tried at once: somebody wants mail to
    /// be tried again now.
    pub fn impatience(&self) -> Arc<Notify> {
        Arc::clone(&self.impatience)
    }

    /// To be notified when mail goes elsewhere than it did, and whoever makes the attempts says so: what waits where a next
    /// hop could not be reached is looked at at once.
    pub fn rerouting(&self) -> Arc<Notify> {
        Arc::clone(&self.rerouting)
    }

    /// Which next hops cannot be reached, while it runs.
    pub fn unreached(&self) -> Unreached {
        self.unreached.clone()
    }

    /// Looks at it while it runs.
    pub fn outlook(&self) -> Outlook {
        let shared = &self.shared;
        let (spool, deliver) = (Arc::clone(&shared.spool), Arc::clone(&shared.deliver));
        Outlook::new(spool, deliver, shared.clock.clone(), self.ask.clone())
    }

    /// Delivers until `stop` is ready. Then nothing more is claimed; attempts under way may end
    /// within the configured time and are cut off after it. What they had claimed is given back, or recorded as far as
    /// it has come: what was not sent to its end is due at once, of what was the outcome is unknown.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let claimed = self.deliver_until(pin!(stop)).await;
        // A claim that was under way when the end came: given back as soon as it is there.
        if let Some(claiming) = claimed
            && let Ok((_, Ok(claimed))) = tokio::time::timeout(SETTLE_WITHIN, claiming).await
            && let Some(claim) = claimed.claim
        {
            self.shared.spool.release(claim.lease);
        }
        self.finish().await;
    }

    /// The main loop. Returns the claim that was under way at the end.
    async fn deliver_until(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<Claiming> {
        let spool = self.shared.spool.clone();
        let mut changes = spool.changes();
        let mut claiming: Option<Claiming> = None;
        let (impatience, rerouting) = (self.impatience(), self.rerouting());
        let eased = self.shared.deliver.eased();
        loop {
            if claiming.is_none() {
                // What came in since the last claim may be more urgent than what is known.
                if let Poll::Ready(heads) = poll_once(changes.as_mut()).await {
                    self.update(heads);
                    changes = spool.changes();
                }
                claiming = self.next_claim();
            }
            self.watch();
            let is_claiming = claiming.is_some();
            let nap = self.nap();
            tokio::select! {
                biased;
                () = &mut stop => return claiming,
                Some(ended) = self.attempts.join_next() => self.ended(ended),
                Some(settled) = self.settlements.join_next() => note(settled),
                () = impatience.notified() => self.scheduler.try_shut(),
                () = rerouting.notified() => self.scheduler.rerouted(self.shared.clock.now()),
                // What waited for that may start.
                () = eased.notified() => {}
                Some(asking) = self.asking.recv() => self.answer(asking),
                (line, claimed) = ready(&mut claiming), if is_claiming => {
                    claiming = None;
                    self.claimed(&line, claimed);
                }
                // Heads that are told while a claim is under way may be older than its answer.
                heads = &mut changes, if !is_claiming => {
                    self.update(heads);
                    changes = spool.changes();
                }
                () = tokio::time::sleep(nap), if !is_claiming => {}
            }
        }
    }

    /// Looks now and then how fast very-high mail is: what was slow is forgotten in time, also when no more comes.
    fn watch(&mut self) {
        let now = Instant::now();
        if self.watched.is_none_or(|last| now - last >= WATCH_EVERY) {
            self.watched = Some(now);
            let shared = &self.shared;
            let objective = shared.rules.very_high_objective();
            shared.metrics.watch(shared.clock.now(), objective);
        }
    }

    fn update(&mut self, heads: Vec<LineChange>) {
        for head in heads {
            self.scheduler.update(head);
        }
    }

    /// Whether there are outcomes enough that wait to be recorded. While none can be, each attempt
    /// more would be one more message to be sent twice.
    fn is_backed_up(&self) -> bool {
        self.settlements.len() >= SETTLEMENTS_MAX || self.shared.recording.is_on()
    }

    /// Whether something very high is being sent.
    fn look_at_holds(&mut self) {
        self.held_until = self.shared.deliver.held_until();
        self.scheduler.hold_below(self.held_until.is_some());
    }

    /// Tells somebody what decides at this moment over what goes next.
    fn answer(&mut self, asking: Asking) {
        self.look_at_holds();
        // Who has gone meanwhile needs no answer.
        drop(asking.send(self.scheduler.situation()));
    }

    /// Begins the next claim, if there is something to claim and room for it.
    fn next_claim(&mut self) -> Option<Claiming> {
        self.not_before = self
            .not_before
            .filter(|not_before| Instant::now() < *not_before);
        if self.is_backed_up() || self.not_before.is_some() {
            return None;
        }
        let now = self.shared.clock.now();
        self.look_at_holds();
        let line = self.scheduler.next(now);
        // A lane without mail has been forgotten.
        let unreachable = self.scheduler.unreachable();
        self.shared.metrics.set_unreachable(unreachable);
        let line = line?;
        let spool = self.shared.spool.clone();
        Some(Box::pin(async move {
            let claimed = spool.claim(&line, now).await;
            (line, claimed)
        }))
    }

    fn claimed(&mut self, line: &Arc<Line>, claimed: Result<Claimed, SpoolError>) {
        let Claimed { claim, mut head } = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                self.shared.metrics.spool_failed();
                self.claiming.begins(&error);
                self.not_before = Some(Instant::now() + self.backoff.next_wait());
                return;
            }
        };
        self.claiming.ends();
        self.backoff = Backoff::default();
        if claim.is_none() {
            let stalled_until = self.shared.clock.now().plus(STALL);
            if let Some(head) = &mut head {
                head.due = head.due.max(stalled_until);
            }
        }
        self.scheduler.update(LineChange {
            line: Arc::clone(line),
            head,
        });
        if let Some(claim) = claim {
            let held = Held::new(claim, Arc::clone(line), self.shared.spool.clone());
            let now = self.shared.clock.now();
            if let Some(plan) = held.overdue(&self.shared, now) {
                // Nobody is asked, so it takes no place in its lane.
                self.settlements
                    .spawn(settle_overdue(self.shared.clone(), held, plan, now));
                return;
            }
            if let Some(parts) = held.led_elsewhere(&self.shared) {
                self.scheduler.moved(held.line());
                self.settlements
                    .spawn(settle_moved(self.shared.clone(), held, parts, now));
                return;
            }
            if !self.scheduler.may_start(held.line(), held.due()) {
                // Given back, and its line is told anew.
                return;
            }
            let answer = self.scheduler.started(held.line(), held.due(), now);
            self.shared.metrics.set_active(self.scheduler.active());
            match answer {
                Some(answer) => {
                    let told = Attempted::told(held, answer, now);
                    self.attempts
                        .spawn(async move { Returned::Attempted(told) });
                }
                None => {
                    self.attempts.spawn(attempt(self.shared.clone(), held));
                }
            }
        }
    }

    /// The lane is free again; the settlement goes on beside it.
    fn ended(&mut self, ended: Result<Returned, JoinError>) {
        match ended {
            Ok(Returned::Untried(held, until)) => {
                self.scheduler.gave_way(held.line(), until);
                self.shared.metrics.set_active(self.scheduler.active());
            }
            Ok(Returned::Attempted(attempted)) => {
                let line = attempted.held.line();
                let now = self.shared.clock.now();
                let missed = attempted.missed();
                let turn = self.scheduler.finished(line, missed.clone(), now);
                let next_hop = &line.next_hop;
                self.unreached.ended(next_hop, missed.as_ref(), turn, now);
                match turn {
                    Some(Turn::Shut) => {
                        tracing::warn!(%next_hop, "cannot be reached, or lets no mail in: what waits for it stays as it is, and it is tried now and then");
                    }
                    Some(Turn::Open) => tracing::info!(%next_hop, "can be reached again"),
                    None => {}
                }
                self.shared.metrics.set_active(self.scheduler.active());
                let unreachable = self.scheduler.unreachable();
                self.shared.metrics.set_unreachable(unreachable);
                self.settlements
                    .spawn(settle(self.shared.clone(), attempted));
            }
            Err(error) => note(Err(error)),
        }
    }

    /// How long there is nothing to do, if nothing happens.
    fn nap(&self) -> Duration {
        let until = if self.is_backed_up() {
            // A settlement that ends wakes us.
            None
        } else if let Some(not_before) = self.not_before {
            Some(not_before.saturating_duration_since(Instant::now()))
        } else {
            let due = self.scheduler.next_due();
            let due = due.map(|due| due.since(self.shared.clock.now()));
            let held = self.held_until;
            let held = held.map(|until| until.saturating_duration_since(Instant::now()));
            due.into_iter().chain(held).min()
        };
        until.unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
    }

    /// Lets what is under way end within its time, and cuts off the rest.
    async fn finish(mut self) {
        let deadline = Instant::now() + self.stop_within;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.attempts.join_next()).await
        {
            self.ended(ended);
        }
        if !self.attempts.is_empty() {
            tracing::info!(attempts = self.attempts.len(), "attempts are cut off");
            // Each says how far it has come, before it is asked no more.
            self.shared.deliver.cut_off();
            self.shared.cut.cancel();
            let deadline = Instant::now() + CUT_WITHIN;
            while let Ok(Some(ended)) =
                tokio::time::timeout_at(deadline, self.attempts.join_next()).await
            {
                self.ended(ended);
            }
            self.attempts.shutdown().await;
        }
        let deadline = Instant::now() + SETTLE_WITHIN;
        while let Ok(Some(settled)) =
            tokio::time::timeout_at(deadline, self.settlements.join_next()).await
        {
            note(settled);
        }
        if !self.settlements.is_empty() {
            let lost = self.settlements.len();
            tracing::error!(
                lost,
                "outcomes could not be recorded: these deliveries will be tried again"
            );
            self.settlements.shutdown().await;
        }
        self.shared.metrics.set_active(0);
    }
}

/// A claim that is under way; never ready without one.
async fn ready(claiming: &mut Option<Claiming>) -> (Arc<Line>, Result<Claimed, SpoolError>) {
    match claiming {
        Some(claiming) => claiming.await,
        None => std::future::pending().await,
    }
}

async fn poll_once<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task of the queue ended abruptly");
    }
}

#[cfg(test)]
mod tests;
