//! One claimed delivery on its way: the attempt, its settlement, and the lease that outlives neither.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use outpost_smtp::ReversePath;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deliver::{AtMail, Deliver};
use super::metrics::Metrics;
use super::reach::Answer;
use super::reports::Writer;
use super::rerouting;
use super::run::NextHopOf;
use super::settings::RulesInForce;
use super::settle::{Ended, Plan};
use super::trouble::{Backoff, Trouble};
use crate::clock::Clock;
use crate::message::{
    Attempt, Class, Contact, Delivery, Event, Line, MessageId, NextHop, Outcome, RecipientOutcome,
    Timestamp, TrailEntry, Visit,
};
use crate::spool::{
    BrokenOff, Claim, Content, Lease, Outcomes, Pending, Settlement, Spool, SpoolError,
};

/// How long a delivery rests at least for which there was no room at its host, and at most as long again: a
/// message of ordinary size is sent in that time.
const NO_ROOM_REST: Duration = Duration::from_secs(1);

/// The same for very-high mail, so that hardly anything less urgent goes to that host meanwhile.
const NO_ROOM_REST_VERY_HIGH: Duration = Duration::from_millis(250);

/// What all attempts share.
pub(super) struct Shared {
    pub(super) spool: Arc<dyn Spool>,
    pub(super) deliver: Arc<dyn Deliver>,
    pub(super) next_hop: Box<NextHopOf>,
    pub(super) random: Box<dyn Fn() -> u128 + Send + Sync>,
    pub(super) clock: Clock,
    pub(super) hostname: String,
    pub(super) rules: Arc<RulesInForce>,
    pub(super) returned_octets_max: usize,
    pub(super) metrics: Metrics,
    /// Whether settlements cannot be recorded at present.
    pub(super) recording: Trouble,
    /// Ends attempts where they are.
    pub(super) cut: CancellationToken,
}

/// A claim that is given back when it is dropped before it was settled: no end of a task, not even
/// an abrupt one, keeps a lease.
pub(super) struct Held {
    claim: Claim,
    /// The line that it was claimed from.
    line: Arc<Line>,
    spool: Arc<dyn Spool>,
    is_settled: bool,
}

impl Held {
    pub(super) fn new(claim: Claim, line: Arc<Line>, spool: Arc<dyn Spool>) -> Self {
        Self {
            claim,
            line,
            spool,
            is_settled: false,
        }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn due(&self) -> Timestamp {
        self.claim.delivery.due
    }

    /// What follows when it is too late to be tried, or to be tried without a word.
    pub(super) fn overdue(&self, shared: &Shared, now: Timestamp) -> Option<Plan> {
        let Claim {
            message,
            delivery,
            interrupted,
            ..
        } = &self.claim;
        let rules = shared.rules.now();
        rules.overdue(message, delivery, *interrupted, now)
    }

    /// Where it goes, part by part, when that is not the lane that it was claimed from.
    pub(super) fn led_elsewhere(&self, shared: &Shared) -> Option<Vec<(NextHop, Vec<u32>)>> {
        let Claim {
            message, delivery, ..
        } = &self.claim;
        shared.deliver.led_elsewhere(message, delivery)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_settled {
            self.spool.release(self.claim.lease);
        }
    }
}

/// An attempt that ended and waits for its settlement.
pub(super) struct Attempted {
    pub(super) held: Held,
    attempt: Attempt,
    begun: Timestamp,
    at: Timestamp,
    /// What it was told, if that was the answer to an attempt of another delivery.
    told: Option<Arc<Answer>>,
}

/// How a claimed delivery came back.
pub(super) enum Returned {
    /// There was an attempt.
    Attempted(Attempted),
    /// Nothing was sent, and nothing was learned: it is as it was. It may be tried again then.
    Untried(Held, Timestamp),
}

impl Attempted {
    /// A delivery that is told what an attempt at its next hop has just been told.
    pub(super) fn told(held: Held, answer: Arc<Answer>, at: Timestamp) -> Self {
        let recipients = held.claim.delivery.recipients.iter();
        let outcomes = recipients.map(|recipient| RecipientOutcome {
            recipient: *recipient,
            outcome: answer.outcome.clone(),
            remote: answer.is_remote,
        });
        let visit = Visit {
            host: answer.host.clone(),
            took: Duration::ZERO,
            outcomes: outcomes.collect(),
            unknown: false,
        };
        Self {
            held,
            attempt: Attempt {
                visits: vec![visit],
                contact: Contact::Missed,
                pauses: Vec::new(),
                mail_ago: None,
                dialogues: Vec::new(),
            },
            begun: at,
            at,
            told: Some(answer),
        }
    }

    /// What it was told, when the next hop is of no use: no host was ready for mail, and nothing final was
    /// learned. A host that lets nobody in is like one that is not there: each further message would only be
    /// told the same.
    pub(super) fn missed(&self) -> Option<Arc<Answer>> {
        if self.attempt.contact != Contact::Missed {
            return None;
        }
        if let Some(told) = &self.told {
            return Some(Arc::clone(told));
        }
        let outcomes = self.attempt.outcomes();
        let is_final = |of: &RecipientOutcome| !matches!(of.outcome, Outcome::Deferred(_));
        if outcomes.iter().any(|(of, _)| is_final(of)) {
            return None;
        }
        outcomes.last().map(|(of, host)| {
            Arc::new(Answer {
                host: host.cloned(),
                outcome: of.outcome.clone(),
                is_remote: of.remote,
            })
        })
    }
}

/// Makes one attempt, unless it is cut off before it has sent anything.
pub(super) async fn attempt(shared: Arc<Shared>, held: Held) -> Returned {
    let Claim {
        delivery, message, ..
    } = &held.claim;
    let begun = Instant::now();
    let has_opened = Arc::new(AtomicBool::new(false));
    let content = {
        let (spool, id, lease) = (shared.spool.clone(), message.id, held.claim.lease);
        let has_opened = has_opened.clone();
        Box::new(move || {
            has_opened.store(true, Ordering::Relaxed);
            let spool = spool.clone();
            Box::pin(async move {
                let content = spool.content(id).await?;
                Ok(Box::new(Cancellable {
                    content,
                    spool,
                    lease,
                }) as Box<dyn Content>)
            }) as Pin<Box<_>>
        })
    };
    let attempting = shared.deliver.deliver(
        message.clone(),
        delivery.clone(),
        content,
        counted_at_mail(&shared, &held.claim),
    );
    // Where it was is not known: perhaps behind the final dot.
    let lost = || Attempt {
        visits: vec![Visit {
            host: None,
            took: begun.elapsed(),
            outcomes: Vec::new(),
            unknown: true,
        }],
        contact: Contact::Ready,
        pauses: Vec::new(),
        mail_ago: None,
        dialogues: Vec::new(),
    };
    let attempt = tokio::select! {
        biased;
        attempt = guarded(attempting) => attempt.unwrap_or_else(|Panicked| {
            tracing::error!(message_id = %delivery.id.message, delivery = %delivery.id, next_hop = %delivery.next_hop, "an attempt panicked");
            lost()
        }),
        () = shared.cut.cancelled() => match has_opened.load(Ordering::Relaxed) {
            true => lost(),
            // Without its content no message was accepted.
            false => return Returned::Untried(held, shared.clock.now()),
        },
    };
    let at = shared.clock.now();
    let is_unheard_of = match attempt.contact {
        Contact::Elsewhere | Contact::GaveWay => true,
        Contact::CutOff => attempt.dialogues.is_empty(),
        Contact::Missed | Contact::Crowded | Contact::Ready => false,
    };
    if is_unheard_of {
        return Returned::Untried(held, at);
    }
    if attempt.contact == Contact::Crowded
        && !shared.rules.now().is_worth_telling(message, delivery, at)
    {
        let rest = no_room_rest(message.class, (shared.random)());
        return Returned::Untried(held, at.plus(rest));
    }
    shared.metrics.attempt_made(message.class);
    Returned::Attempted(Attempted {
        held,
        attempt,
        // As the times in it are told, back from its end.
        begun: at.minus(begun.elapsed()),
        at,
        told: None,
    })
}

/// Counts how long a delivery has waited, in the moment of its first MAIL: what takes long to be sent, or hangs, is known
/// while it does.
fn counted_at_mail(shared: &Arc<Shared>, claim: &Claim) -> AtMail {
    if claim.may_have_begun() {
        return Box::new(|| {});
    }
    let Claim {
        message, delivery, ..
    } = claim;
    // What was to be held until a time waits from then on, and what an operator kept back or gave another class
    // from when he did so last.
    let since = delivery.due.max(message.accepted);
    let since = since.max(claim.let_go.unwrap_or(since));
    let (shared, class) = (Arc::clone(shared), message.class);
    Box::new(move || {
        let now = shared.clock.now();
        shared
            .metrics
            .mail_written_after(class, now.since(since), now);
        if class == Class::VeryHigh {
            shared
                .metrics
                .watch(now, shared.rules.very_high_objective());
        }
    })
}

fn no_room_rest(class: Class, random: u128) -> Duration {
    let rest = match class {
        Class::VeryHigh => NO_ROOM_REST_VERY_HIGH,
        _ => NO_ROOM_REST,
    };
    // So that those who were sent away together do not come back together.
    rest + rest.mul_f64((random % 1_024) as f64 / 1_024.0)
}

struct Panicked;

/// The future's output, or that it panicked. Nothing of a future that panicked is used again, so
/// a broken invariant in it stays with it.
async fn guarded<T>(mut future: Pin<Box<dyn Future<Output = T> + Send>>) -> Result<T, Panicked> {
    std::future::poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// Settles an attempt: works out what follows, writes the reports, and has it all recorded in one
/// transaction. What follows is another thing when an operator has cancelled the delivery meanwhile.
pub(super) async fn settle(shared: Arc<Shared>, attempted: Attempted) {
    let Attempted {
        mut held,
        attempt,
        begun,
        at,
        ..
    } = attempted;
    let jitter = (shared.random)() as u64;
    let rules = shared.rules.now();
    let mut is_cancelled = false;
    let (plan, recorded) = loop {
        let ended = Ended {
            message: &held.claim.message,
            delivery: &held.claim.delivery,
            attempt: &attempt,
            begun,
            at,
            interrupted: held.claim.interrupted,
        };
        let plan = match is_cancelled {
            false => rules.settle(&ended, jitter),
            true => rules.settle_cancelled(&ended, jitter),
        };
        match carry_out(&shared, &held.claim, &plan, is_cancelled, at).await {
            Recorded::Cancelled => is_cancelled = true,
            Recorded::Restored => is_cancelled = false,
            recorded => break (plan, recorded),
        }
    };
    held.is_settled = true;
    if matches!(recorded, Recorded::Done) {
        log(&held.claim.delivery, &plan, is_cancelled);
    }
}

/// Settles a delivery that was not tried, since the time was over by which it was to be made. When an operator has
/// cancelled it meanwhile it is given back: nothing has become of it.
pub(super) async fn settle_overdue(shared: Arc<Shared>, mut held: Held, plan: Plan, at: Timestamp) {
    let recorded = carry_out(&shared, &held.claim, &plan, false, at).await;
    held.is_settled = !matches!(recorded, Recorded::Cancelled);
    if matches!(recorded, Recorded::Done) {
        let delivery = &held.claim.delivery;
        let (id, next_hop, recipients) =
            (delivery.id, &delivery.next_hop, delivery.recipients.len());
        let is_returned = plan.remaining.is_none();
        tracing::info!(message_id = %id.message, delivery = %id, %next_hop, recipients, is_returned, "late");
    }
}

/// Moves a delivery to where it goes, untried. When an operator has cancelled it meanwhile it is given back: should it be
/// restored it is claimed again, and moves then.
pub(super) async fn settle_moved(
    shared: Arc<Shared>,
    mut held: Held,
    parts: Vec<(NextHop, Vec<u32>)>,
    at: Timestamp,
) {
    let to: Vec<String> = parts.iter().map(|(to, _)| to.to_string()).collect();
    let (remaining, entry) = rerouting::moved(&held.claim.delivery, parts, at);
    let settlement = Settlement {
        lease: held.claim.lease,
        remaining,
        reports: Vec::new(),
        trail: vec![entry],
        outcomes: None,
        is_cancelled: false,
    };
    let recorded = record(&shared, settlement).await;
    held.is_settled = !matches!(recorded, Recorded::Cancelled);
    if matches!(recorded, Recorded::Done) {
        let delivery = &held.claim.delivery;
        let (id, next_hop, recipients) =
            (delivery.id, &delivery.next_hop, delivery.recipients.len());
        let to = to.join(", ");
        tracing::info!(message_id = %id.message, delivery = %id, %next_hop, recipients, to, "moved: the routes lead elsewhere now");
    }
}

/// What became of a settlement.
enum Recorded {
    /// It is on stable storage.
    Done,
    /// It is not needed any more.
    Unneeded,
    /// The delivery was cancelled meanwhile, which calls for another one.
    Cancelled,
    /// The delivery was restored meanwhile, which does too.
    Restored,
}

/// Has a plan recorded, and the reports that are due with it.
async fn carry_out(
    shared: &Shared,
    claim: &Claim,
    plan: &Plan,
    is_cancelled: bool,
    at: Timestamp,
) -> Recorded {
    let mut settlement = write(shared, claim, plan, at).await;
    settlement.is_cancelled = is_cancelled;
    let reports: Vec<MessageId> = settlement
        .reports
        .iter()
        .map(|(new, _)| new.message.id)
        .collect();
    let recorded = record(shared, settlement).await;
    if matches!(recorded, Recorded::Done) {
        shared.metrics.settled(claim.message.class, plan.tally);
        for (wanted, id) in plan.reports.iter().zip(reports) {
            shared.metrics.reported(wanted.kind);
            let (delivery, report) = (claim.delivery.id, wanted.kind.name());
            tracing::info!(message_id = %delivery.message, %delivery, report, report_id = %id, "report written");
        }
    }
    recorded
}

/// The plan as the spool takes it, with its reports written out.
async fn write(shared: &Shared, claim: &Claim, plan: &Plan, at: Timestamp) -> Settlement {
    let message = &claim.message;
    let mut settlement = Settlement {
        lease: claim.lease,
        remaining: plan.remaining.iter().cloned().collect(),
        reports: Vec::new(),
        trail: plan.trail.clone(),
        outcomes: Some(Outcomes {
            message: Arc::clone(message),
            at,
            fates: plan.fates.clone(),
        }),
        is_cancelled: false,
    };
    if plan.reports.is_empty() || message.envelope.reverse_path == ReversePath::Null {
        return settlement;
    }
    let content = start_of_content(shared, message.id).await;
    let writer = Writer {
        hostname: &shared.hostname,
        next_hop: &shared.next_hop,
        at,
        about: message,
        content: &content,
    };
    for wanted in &plan.reports {
        let id = MessageId::new(at, (shared.random)());
        if let Some(report) = writer.write(wanted, id) {
            settlement.reports.push(report);
            let event = Event::Reported {
                report: wanted.kind.name(),
                id,
            };
            settlement.trail.push(TrailEntry { at, event });
        }
    }
    settlement
}

/// The content from its first octet, as much as a report may return. A report goes without it
/// rather than not at all.
async fn start_of_content(shared: &Shared, id: MessageId) -> Vec<u8> {
    let mut start = Vec::new();
    let read = async {
        let mut content = shared.spool.content(id).await?;
        while let Some(piece) = content.next().await? {
            let room = shared.returned_octets_max - start.len();
            start.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() >= room {
                break;
            }
        }
        Ok::<(), SpoolError>(())
    };
    if let Err(error) = read.await {
        tracing::warn!(about = %id, %error, "a report goes without the message that it is about");
    }
    start
}

/// Has a settlement recorded, however long the spool takes to be able to: the outcome is known, and
/// giving the lease back would send the message again.
async fn record(shared: &Shared, settlement: Settlement) -> Recorded {
    let delivery = settlement.lease.delivery;
    let mut backoff = Backoff::default();
    loop {
        let error = match shared.spool.settle(settlement.clone()).await {
            Ok(()) => {
                shared.recording.ends();
                return Recorded::Done;
            }
            Err(error) => error,
        };
        match error {
            SpoolError::LeaseLost | SpoolError::Unknown => {
                shared.recording.ends();
                tracing::info!(message_id = %delivery.message, %delivery, %error, "the outcome of an attempt is not needed any more");
                return Recorded::Unneeded;
            }
            SpoolError::Cancelled => {
                shared.recording.ends();
                return Recorded::Cancelled;
            }
            SpoolError::Restored => {
                shared.recording.ends();
                return Recorded::Restored;
            }
            // A report may find no room while other settlements, which give room back, still can.
            SpoolError::Full => {}
            SpoolError::ReadOnly | SpoolError::Unavailable(_) => shared.recording.begins(&error),
        }
        shared.metrics.spool_failed();
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// What the queue decided; the outcomes themselves were told by whoever made the attempt.
fn log(delivery: &Delivery, plan: &Plan, is_cancelled: bool) {
    let (id, next_hop) = (delivery.id, &delivery.next_hop);
    if is_cancelled {
        let remaining = plan.remaining.as_ref();
        let left = remaining.map_or(0, |remaining| remaining.recipients.len());
        tracing::info!(message_id = %id.message, delivery = %id, %next_hop, recipients = delivery.recipients.len(), left, "an attempt has ended at what was cancelled meanwhile");
        return;
    }
    if let Some(remaining) = &plan.remaining {
        let (reply, until) = (&remaining.last_reply, remaining.due);
        let (recipients, attempts) = (remaining.recipients.len(), remaining.attempts);
        tracing::info!(message_id = %id.message, delivery = %id, %next_hop, recipients, attempts, %reply, %until, "will be tried again");
    }
    if plan.tally.expired > 0 {
        tracing::info!(message_id = %id.message, delivery = %id, %next_hop, recipients = plan.tally.expired, "expired");
    }
}

/// The content of what is being delivered. When an operator cancels it, it ends before its last piece, also while nobody
/// asks for the next one since the send is paused: without that the host must forget what it has got.
struct Cancellable {
    content: Box<dyn Content>,
    spool: Arc<dyn Spool>,
    lease: Lease,
}

impl Content for Cancellable {
    fn next(&mut self) -> Pending<'_, Option<Bytes>> {
        match self.spool.is_cancelled(self.lease) {
            true => Box::pin(async { Err(SpoolError::Cancelled) }),
            false => self.content.next(),
        }
    }

    fn broken_off(&self) -> BrokenOff {
        let (spool, lease) = (Arc::clone(&self.spool), self.lease);
        Box::pin(async move {
            spool.cancelled(lease).await;
            SpoolError::Cancelled
        })
    }
}
