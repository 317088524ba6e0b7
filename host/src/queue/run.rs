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
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::attempt::{Attempted, Held, Shared, attempt, settle};
use super::deliver::Deliver;
use super::metrics::Metrics;
use super::scheduler::Scheduler;
use super::settings::Settings;
use super::settle::Rules;
use super::trouble::{Backoff, Trouble};
use crate::clock::Clock;
use crate::message::{Line, NextHop};
use crate::spool::{Claimed, LineChange, Spool, SpoolError};

/// Settlements under way at once. They share the spool's commits, so that a few hundred keep it busy;
/// beyond that the spool is what is slow, and more attempts would not end sooner.
const SETTLEMENTS_MAX: usize = 1_000;

/// The longest sleep: the machine's clock may be set while we sleep by its timers.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// A line whose due head could not be claimed is left alone for this long, or until it changes.
const STALL: Duration = Duration::from_secs(1);

/// How long settlements may take after the last attempt ended, when the relay stops.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

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
    /// Where mail for a mailbox goes, for reports.
    pub next_hop: Box<dyn Fn(&Mailbox) -> NextHop + Send + Sync>,
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
    attempts: JoinSet<Attempted>,
    settlements: JoinSet<()>,
    /// Whether claims fail at present, and until when none is tried.
    claiming: Trouble,
    backoff: Backoff,
    not_before: Option<Instant>,
    stop_within: Duration,
}

/// A claim under way, and the line that it is from.
type Claiming = Pin<Box<dyn Future<Output = (Arc<Line>, Result<Claimed, SpoolError>)> + Send>>;

impl Queue {
    /// A queue that has not looked at its spool yet.
    pub fn new(parts: Parts) -> Self {
        let settings = parts.settings;
        Self {
            scheduler: Scheduler::new(settings.limits()),
            attempts: JoinSet::new(),
            settlements: JoinSet::new(),
            claiming: Trouble::with("claiming a delivery"),
            backoff: Backoff::default(),
            not_before: None,
            stop_within: settings.stop_within,
            shared: Arc::new(Shared {
                spool: parts.spool,
                deliver: parts.deliver,
                next_hop: parts.next_hop,
                random: parts.random,
                clock: parts.clock,
                hostname: parts.hostname,
                rules: Rules {
                    schedule: settings.schedule(),
                    delay_warning_after: settings.delay_warning_after,
                    delay_warning_unasked: settings.delay_warning_unasked,
                },
                returned_octets_max: settings.returned_octets_max,
                metrics: parts.metrics,
                recording: Trouble::with("recording what became of a delivery"),
            }),
        }
    }

    /// Delivers until `stop` is ready. Then nothing more is claimed; attempts under way may end
    /// within the configured time and are cut off after it, and what they had claimed is given back.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let claimed = self.deliver_until(pin!(stop)).await;
        // A claim that was under way when the end came: given back as soon as it is there.
        if let Some(claiming) = claimed {
            if let Ok((
                _,
                Ok(Claimed {
                    claim: Some(claim), ..
                }),
            )) = tokio::time::timeout(SETTLE_WITHIN, claiming).await
            {
                self.shared.spool.release(claim.lease);
            }
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
        loop {
            if claiming.is_none() {
                // What came in since the last claim may be more urgent than what is known.
                if let Poll::Ready(heads) = poll_once(changes.as_mut()).await {
                    self.update(heads);
                    changes = spool.changes();
                }
                claiming = self.next_claim();
            }
            let is_claiming = claiming.is_some();
            let nap = self.nap();
            tokio::select! {
                biased;
                () = &mut stop => return claiming,
                Some(ended) = self.attempts.join_next() => self.ended(ended),
                Some(settled) = self.settlements.join_next() => note(settled),
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

    /// Begins the next claim, if there is something to claim and room for it.
    fn next_claim(&mut self) -> Option<Claiming> {
        self.not_before = self
            .not_before
            .filter(|not_before| Instant::now() < *not_before);
        if self.is_backed_up() || self.not_before.is_some() {
            return None;
        }
        let now = self.shared.clock.now();
        let line = self.scheduler.next(now)?;
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
            line: (**line).clone(),
            head,
        });
        if let Some(claim) = claim {
            let held = Held::new(claim, self.shared.spool.clone());
            self.scheduler.started(held.next_hop());
            self.shared.metrics.set_active(self.scheduler.active());
            self.attempts.spawn(attempt(self.shared.clone(), held));
        }
    }

    /// The lane is free again; the settlement goes on beside it.
    fn ended(&mut self, ended: Result<Attempted, JoinError>) {
        match ended {
            Ok(attempted) => {
                self.scheduler.finished(attempted.held.next_hop());
                self.shared.metrics.set_active(self.scheduler.active());
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
            due.map(|due| due.since(self.shared.clock.now()))
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use outpost_smtp::ReversePath;

    use super::*;
    use crate::message::{Class, Event, MessageId};
    use crate::queue::rehearsal::{
        Act, Script, Seen, Stage, bounced, deferred, delivered, message, seconds,
    };
    use crate::spool::{Change, ChangeAction, Selection};

    fn one_at_a_time() -> Settings {
        Settings {
            simultaneous_max: 1,
            ..Settings::default()
        }
    }

    /// An attempt that takes a second and ends well.
    fn slow() -> Act {
        Act::End(seconds(1), delivered())
    }

    fn ids(seen: &[Seen]) -> Vec<MessageId> {
        seen.iter().map(|seen| seen.message).collect()
    }

    /// Lets the queue do all that it can do within that time.
    async fn pass(time: Duration) {
        tokio::time::sleep(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_very_high_message_is_next_though_a_thousand_wait() {
        let stage = Stage::new();
        for number in 0..1_000 {
            stage
                .accept_to(&format!("you@{}.example", number % 7), Class::Normal)
                .await;
        }
        let script = Script::new(std::iter::repeat_n(slow(), 2_000));
        let queue = stage.start(one_at_a_time(), script.clone());
        pass(Duration::from_millis(10_500)).await;
        let urgent = stage.accept_to("you@1.example", Class::VeryHigh).await;
        pass(seconds(1)).await;
        let seen = script.seen();
        assert_eq!((seen.len(), seen[11].message), (12, urgent));
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn very_high_messages_go_in_the_order_of_their_acceptance() {
        let stage = Stage::new();
        let mut accepted = Vec::new();
        for number in 0..50 {
            accepted.push(
                stage
                    .accept_to(&format!("you@{}.example", number % 7), Class::VeryHigh)
                    .await,
            );
            stage.accept_to("you@b.example", Class::High).await;
        }
        let script = Script::new(std::iter::repeat_n(slow(), 200));
        let queue = stage.start(one_at_a_time(), script.clone());
        pass(seconds(60)).await;
        assert_eq!(ids(&script.seen())[..50], accepted);
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_deferred_very_high_message_delays_nobody() {
        let stage = Stage::new();
        let urgent = stage.accept_to("you@b.example", Class::VeryHigh).await;
        let normal = stage.accept_to("you@b.example", Class::Normal).await;
        let script = Script::new([Act::End(Duration::ZERO, deferred()), slow()]);
        let queue = stage.start(one_at_a_time(), script.clone());
        pass(seconds(40)).await;
        let seen = script.seen();
        assert_eq!(ids(&seen), [urgent, normal, urgent]);
        let waited = seen[2].at - seen[0].at;
        assert!(waited >= seconds(30) && waited <= seconds(36), "{waited:?}");
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_lane_delays_only_its_own_mail() {
        let stage = Stage::new();
        let settings = Settings {
            per_next_hop_max: 2,
            ..Settings::default()
        };
        for _ in 0..5 {
            stage.accept_to("you@slow.example", Class::VeryHigh).await;
        }
        let script = Script::new([Act::Hang, Act::Hang]);
        let queue = stage.start(settings, script.clone());
        pass(seconds(1)).await;
        let other = stage.accept_to("you@fast.example", Class::VeryLow).await;
        pass(Duration::from_millis(1)).await;
        let seen = script.seen();
        assert_eq!((seen.len(), seen[2].message), (3, other));
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_follow_the_schedule_and_end_in_a_bounce() {
        let stage = Stage::new();
        let settings = Settings {
            retry: vec![seconds(10), seconds(100)],
            expire_after: seconds(300),
            ..Settings::default()
        };
        let id = stage.accept_to("you@b.example", Class::Normal).await;
        let acts = std::iter::repeat_n(Act::End(Duration::ZERO, deferred()), 5);
        let script = Script::new(acts);
        let queue = stage.start(settings, script.clone());
        pass(seconds(400)).await;
        let seen = script.seen();
        let (report, attempts) = seen.split_last().unwrap();
        let waits: Vec<_> = attempts
            .windows(2)
            .map(|two| (two[1].at - two[0].at).as_secs())
            .collect();
        assert_eq!(waits.len(), 4, "{waits:?}");
        assert!(
            (10..=12).contains(&waits[0]) && (100..=120).contains(&waits[1]),
            "{waits:?}"
        );
        let last = attempts.last().unwrap().at - attempts[0].at;
        assert_eq!(last, seconds(300), "the last attempt is at the expiry");
        assert_eq!(report.reverse_path, ReversePath::Null);
        assert_eq!(report.at, attempts.last().unwrap().at);
        let record = stage.record(id).await;
        assert!(record.finished.is_some());
        assert!(ends_with_a_bounce(&record.trail));
        assert_eq!(stage.queued(), 0);
        queue.stop().await;
    }

    fn ends_with_a_bounce(trail: &[crate::message::TrailEntry]) -> bool {
        let events: Vec<&Event> = trail.iter().map(|entry| &entry.event).collect();
        matches!(
            events[..],
            [
                ..,
                Event::Expired { .. },
                Event::Reported {
                    report: "failure",
                    ..
                }
            ]
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_reaches_the_sender_and_a_refused_report_reaches_nobody() {
        let stage = Stage::new();
        let id = stage.accept_to("you@b.example", Class::Normal).await;
        let refused = Act::End(Duration::ZERO, bounced());
        let script = Script::new([refused.clone(), refused]);
        let queue = stage.start(Settings::default(), script.clone());
        pass(seconds(1)).await;
        let seen = script.seen();
        assert_eq!(seen.len(), 2);
        let Event::Reported { id: report, .. } = stage.record(id).await.trail.pop().unwrap().event
        else {
            panic!("no report");
        };
        assert_eq!(seen[1].message, report);
        let record = stage.record(report).await;
        assert!(record.finished.is_some());
        assert_eq!(
            record.trail.last().unwrap().event,
            Event::Unreported { report: "failure" }
        );
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_settlement_that_fails_is_tried_again_and_nothing_is_sent_twice() {
        let stage = Stage::new();
        let first = stage.accept_to("you@b.example", Class::Normal).await;
        stage.memory.fail_next_settlement(SpoolError::Full);
        let script = Script::new([]);
        let queue = stage.start(one_at_a_time(), script.clone());
        pass(Duration::from_millis(50)).await;
        let second = stage.accept_to("you@b.example", Class::Normal).await;
        pass(Duration::from_millis(40)).await;
        assert_eq!(
            ids(&script.seen()),
            [first],
            "nothing is claimed while nothing can be recorded"
        );
        pass(seconds(5)).await;
        assert_eq!(ids(&script.seen()), [first, second]);
        assert_eq!(stage.queued(), 0);
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn claims_that_fail_are_tried_again() {
        let stage = Stage::new();
        stage.accept_to("you@b.example", Class::Normal).await;
        stage.fail_claims(4);
        let script = Script::new([]);
        let queue = stage.start(Settings::default(), script.clone());
        pass(Duration::from_millis(1_450)).await;
        assert_eq!(script.seen(), []);
        pass(Duration::from_millis(100)).await;
        assert_eq!(script.seen().len(), 1);
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_panics_is_a_failed_attempt() {
        let stage = Stage::new();
        let id = stage.accept_to("you@b.example", Class::Normal).await;
        let script = Script::new([Act::Panic]);
        let queue = stage.start(one_at_a_time(), script.clone());
        pass(seconds(1)).await;
        let (delivery, _) = stage.record(id).await.deliveries.pop().unwrap();
        assert_eq!(delivery.attempts, 1);
        pass(seconds(60)).await;
        assert_eq!(script.seen().len(), 2);
        assert_eq!(stage.queued(), 0);
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_attempts_end_and_gives_back_those_that_do_not() {
        let stage = Stage::new();
        for _ in 0..2 {
            stage.accept_to("you@b.example", Class::Normal).await;
        }
        let script = Script::new([slow(), Act::Hang]);
        let queue = stage.start(Settings::default(), script.clone());
        pass(Duration::from_millis(100)).await;
        let late = stage.accept_to("you@c.example", Class::VeryHigh);
        let begun = Instant::now();
        let (_, id) = tokio::join!(queue.stop(), async {
            pass(Duration::from_millis(1)).await;
            late.await
        });
        assert_eq!(begun.elapsed(), Settings::default().stop_within);
        assert_eq!(script.seen().len(), 2, "nothing new is begun");
        assert_eq!(stage.queued(), 2);
        stage.reopen();
        let queue = stage.start(Settings::default(), script.clone());
        pass(seconds(1)).await;
        assert_eq!(stage.queued(), 0);
        assert_eq!(script.seen()[2].message, id);
        assert_eq!(
            script.seen()[3].attempts,
            0,
            "an attempt that was cut off is not charged"
        );
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_outcome_of_a_cancelled_delivery_is_dropped() {
        let stage = Stage::new();
        let id = stage.accept_to("you@b.example", Class::Normal).await;
        let script = Script::new([Act::End(seconds(5), bounced())]);
        let queue = stage.start(Settings::default(), script.clone());
        pass(seconds(1)).await;
        let change = Change {
            action: ChangeAction::Cancel,
            by: "admin".to_owned(),
            at: stage.clock.now(),
        };
        let selection = Selection {
            message: Some(id),
            ..Selection::default()
        };
        stage.memory.change(selection, change, false).await.unwrap();
        pass(seconds(60)).await;
        assert_eq!(script.seen().len(), 1);
        assert_eq!(stage.queued(), 0);
        queue.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn recipients_of_one_message_may_end_differently() {
        let stage = Stage::new();
        let message = message(
            1,
            stage.clock.now(),
            &["a@b.example", "a@c.example", "b@c.example"],
        );
        let id = message.id;
        stage.accept(message).await;
        let script = Script::new([Act::End(Duration::ZERO, bounced()), slow()]);
        let queue = stage.start(Settings::default(), script.clone());
        pass(seconds(2)).await;
        let seen = script.seen();
        assert_eq!(
            (&seen[0].recipients[..], &seen[1].recipients[..]),
            (&[0][..], &[1, 2][..])
        );
        let record = stage.record(id).await;
        assert!(record.finished.is_some() && record.deliveries.is_empty());
        queue.stop().await;
    }
}
