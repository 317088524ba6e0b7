//! Trials of the embedded backend: the power is cut, the disk fails, the disk is full.
//!
//! A workload of a seed runs on a simulated disk while a model notes what was acknowledged. Then
//! everything that was acknowledged has to be there, once, octet by octet, and what was refused
//! has to be there whole or not at all. A failure names its seed.

#![allow(clippy::unwrap_used)]

mod bounds;
mod cancelled;
mod compaction;
mod creation;
mod damage;
mod faults;
mod folder;
mod full;
mod history;
mod interrupted;
mod power;
pub(super) mod simulated;
mod statistics;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::aside::Aside;
use super::embedded::Embedded;
use super::metrics::Metrics;
use super::sample::{at, domain, gather, id, intake, message, new_message, octets, trail};
use super::settings::Pace;
use super::{
    Change, ChangeAction, Claim, NewDelivery, NewMessage, PageRequest, QueueState, Selection,
    Settings, Settlement, Spool, SpoolError, Stop, StopOf,
};
use crate::clock::Clock;
use crate::message::{Class, Line, MessageId};
use crate::telemetry::Registry;
use simulated::{Dice, Simulated};

/// The time that stands still in all trials.
const NOW: u64 = 1_000_000;

const LANES: [&str; 3] = ["a.example", "b.example", "c.example"];
const CLASSES: [Class; 2] = [Class::VeryHigh, Class::Normal];

/// Small limits, so that a short trial meets them.
fn settings() -> Settings {
    Settings {
        inline_octets_max: 8 << 10,
        history_records_max: 20,
        disk_free_octets_min: 0,
        page_cache_octets: 1 << 20,
        journal_octets_max: 48 << 10,
        recent_octets_max: 32 << 10,
        ..Settings::default()
    }
}

fn pace() -> Pace {
    Pace {
        settlement_patience: Duration::ZERO,
        checkpoint_after: Duration::from_millis(20),
        reopen_after: Duration::ZERO,
    }
}

fn start(disk: &Simulated) -> Result<Embedded, super::embedded::StartFailure> {
    start_with(disk, settings())
}

fn start_with(
    disk: &Simulated,
    settings: Settings,
) -> Result<Embedded, super::embedded::StartFailure> {
    start_at(disk, settings, Clock::standing_at(at(NOW)))
}

fn start_at(
    disk: &Simulated,
    settings: Settings,
    clock: Clock,
) -> Result<Embedded, super::embedded::StartFailure> {
    let metrics = Metrics::register(&mut Registry::default());
    Embedded::start(
        Arc::new(disk.clone()),
        settings,
        clock,
        metrics,
        pace(),
        Aside::Threads,
    )
}

/// What is known of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Still to be delivered.
    Open,
    /// Cancelled, to be restored or removed, and that was acknowledged.
    Cancelled,
    /// Still to be delivered, or cancelled: an operation on it failed, which may have happened.
    There,
    /// Settled, and that was acknowledged.
    Closed,
    /// Settled, and that failed: it may have happened.
    Unsure,
}

/// What is known of a message.
#[derive(Clone, Debug)]
struct Known {
    octets: usize,
    is_acknowledged: bool,
    /// A report whose settlement failed: it may have happened.
    is_unsure: bool,
    recipients: Vec<Fate>,
}

/// A spool, what it was told, and what it said.
struct Trial {
    spool: Embedded,
    dice: Dice,
    known: BTreeMap<u64, Known>,
    next: u64,
    claims: Vec<Claim>,
    /// Whether a lane is stopped; none where a stop or its end failed, and either may be.
    stopped: BTreeMap<&'static str, Option<bool>>,
}

impl Trial {
    fn on(disk: &Simulated, seed: u64) -> Self {
        Self {
            spool: start(disk).unwrap(),
            dice: Dice::new(seed ^ 0xA5A5),
            known: BTreeMap::new(),
            next: 1,
            claims: Vec::new(),
            stopped: BTreeMap::new(),
        }
    }

    /// One step of the workload; what comes of it is noted.
    async fn step(&mut self) {
        match self.dice.below(20) {
            0..8 => self.enqueue().await,
            8..12 => self.claim().await,
            12..17 => self.settle().await,
            17..19 => self.change().await,
            _ => self.stop_or_start().await,
        }
    }

    async fn stop_or_start(&mut self) {
        let lane = LANES[self.dice.below(3) as usize];
        let of = StopOf::NextHop(domain(lane));
        let wanted = self.dice.one_in(3);
        let stop = Stop {
            of: of.clone(),
            by: "trial".to_owned(),
            at: at(NOW),
        };
        let is_done = match wanted {
            true => self.spool.stop(stop).await.is_ok(),
            false => self.spool.start(of).await.is_ok(),
        };
        let before = self.stopped.get(lane).copied().unwrap_or(Some(false));
        let is_clear = is_done || before == Some(wanted);
        self.stopped.insert(lane, is_clear.then_some(wanted));
    }

    async fn enqueue(&mut self) {
        let number = self.next;
        self.next += 1;
        let size = match self.dice.below(10) {
            0 => 0,
            1..7 => self.dice.below(3_000),
            7..9 => self.dice.below(8 << 10),
            _ => (8 << 10) + 1 + self.dice.below(400_000),
        };
        let size = usize::try_from(size).unwrap();
        let recipients = 1 + self.dice.below(3) as usize;
        let class = CLASSES[self.dice.below(2) as usize];
        let mut new = new_message(message(number, "user", class, &LANES[..recipients]));
        new.message.content_octets = size as u64;
        let result = match intake(&self.spool, &octets(size)).await {
            Ok(content) => self.spool.enqueue(new, content).await,
            Err(error) => Err(error),
        };
        self.known.insert(
            number,
            Known {
                octets: size,
                is_acknowledged: result.is_ok(),
                is_unsure: false,
                recipients: vec![Fate::Open; recipients],
            },
        );
    }

    async fn claim(&mut self) {
        let lane = LANES[self.dice.below(3) as usize];
        let line = Line {
            next_hop: domain(lane),
            class: CLASSES[self.dice.below(2) as usize],
            user: "user".into(),
        };
        if let Ok(claimed) = self.spool.claim(&line, at(NOW)).await
            && let Some(claim) = claimed.claim
        {
            assert_ne!(self.stopped.get(lane), Some(&Some(true)), "{lane}");
            self.claims.push(claim);
        }
    }

    async fn settle(&mut self) {
        if self.claims.is_empty() {
            return self.claim().await;
        }
        let claim = self
            .claims
            .swap_remove(self.dice.below(self.claims.len() as u64) as usize);
        let number = number_of(claim.message.id);
        if let Ok(content) = self.spool.content(claim.message.id).await
            && let Ok(content) = gather(content).await
        {
            assert!(content == octets(content.len()), "the content of {number}");
            assert_eq!(content.len() as u64, claim.message.content_octets);
        }
        let again = |recipients: Vec<u32>, lane: &str| NewDelivery {
            recipients,
            attempts: claim.delivery.attempts + 1,
            ..NewDelivery::first(domain(lane), Vec::new(), at(NOW))
        };
        let recipients = claim.delivery.recipients.clone();
        let (remaining, reports) = match self.dice.below(4) {
            0 => (vec![again(recipients.clone(), LANES[0])], Vec::new()),
            1 => (Vec::new(), vec![self.report()]),
            _ => (Vec::new(), Vec::new()),
        };
        let is_done = remaining.is_empty();
        let fates = statistics::fates(&recipients, is_done);
        let report = reports
            .first()
            .map(|(new, _): &(NewMessage, Bytes)| new.message.id);
        let mut settlement = Settlement {
            lease: claim.lease,
            remaining,
            reports,
            trail: trail(),
            outcomes: Some(statistics::outcomes(&claim, fates)),
            is_cancelled: false,
        };
        let mut result = self.spool.settle(settlement.clone()).await;
        let is_cancelled = matches!(result, Err(SpoolError::Cancelled));
        if is_cancelled {
            settlement.reports.clear();
            settlement.is_cancelled = true;
            result = self.spool.settle(settlement).await;
        }
        if let Some(report) = report.map(number_of).filter(|_| !is_cancelled) {
            let known = self.known.get_mut(&report).unwrap();
            known.is_acknowledged = result.is_ok();
            known.is_unsure = matches!(result, Err(SpoolError::Full | SpoolError::Unavailable(_)));
        }
        if is_done {
            self.close(number, &recipients, &result);
        }
        match result {
            Err(SpoolError::Full | SpoolError::Unavailable(_)) => {
                self.spool.release(claim.lease);
            }
            Ok(()) | Err(SpoolError::LeaseLost | SpoolError::Unknown | SpoolError::ReadOnly) => {}
            Err(error @ (SpoolError::Cancelled | SpoolError::Restored)) => panic!("{error}"),
        }
    }

    fn report(&mut self) -> (NewMessage, Bytes) {
        let number = self.next;
        self.next += 1;
        let size = self.dice.below(2_000) as usize;
        let mut report = message(number, "user", Class::Normal, &LANES[..1]);
        report.content_octets = size as u64;
        self.known.insert(
            number,
            Known {
                octets: size,
                is_acknowledged: false,
                is_unsure: false,
                recipients: vec![Fate::Open],
            },
        );
        (new_message(report), Bytes::from(octets(size)))
    }

    async fn change(&mut self) {
        if self.next == 1 {
            return;
        }
        let number = 1 + self.dice.below(self.next - 1);
        let action = match self.dice.below(8) {
            7 => ChangeAction::Reschedule(at(NOW - self.dice.below(2))),
            0 => ChangeAction::Hold,
            1 | 2 => ChangeAction::Release,
            3 => ChangeAction::SetClass(CLASSES[self.dice.below(2) as usize]),
            4 | 5 => ChangeAction::Cancel,
            _ => ChangeAction::Restore,
        };
        let change = Change {
            action,
            by: "trial".to_owned(),
            at: at(NOW),
        };
        let selection = Selection::of_message(id(number));
        let result = self.spool.change(selection, change, false).await;
        let becomes = match action {
            ChangeAction::Cancel => Fate::Cancelled,
            ChangeAction::Restore => Fate::Open,
            _ => return,
        };
        for fate in &mut self.known.get_mut(&number).unwrap().recipients {
            *fate = match (*fate, &result) {
                (fate @ (Fate::Closed | Fate::Unsure), _) => fate,
                (_, Ok(_)) => becomes,
                (fate, Err(_)) if fate == becomes => fate,
                (_, Err(_)) => Fate::There,
            };
        }
    }

    fn close(&mut self, number: u64, recipients: &[u32], result: &Result<(), SpoolError>) {
        for recipient in recipients {
            let fate = &mut self.known.get_mut(&number).unwrap().recipients[*recipient as usize];
            *fate = match (*fate, result) {
                (Fate::Closed, _) | (_, Ok(())) => Fate::Closed,
                (fate, Err(SpoolError::LeaseLost)) => fate,
                (_, Err(_)) => Fate::Unsure,
            };
        }
    }

    /// Everything that was acknowledged is there, and nothing is there twice or in part.
    async fn check(&self, spool: &Embedded, may_have_refused: bool) {
        let (mut queued, mut cancelled) = ([0; 5], 0);
        for (number, known) in &self.known {
            let record = spool.message(id(*number)).await.unwrap();
            let Some(record) = record else {
                // Finished ones are forgotten after a while.
                let is_there = |fate: &Fate| !matches!(fate, Fate::Closed | Fate::Unsure);
                let is_open = known.recipients.iter().any(is_there);
                assert!(
                    !known.is_acknowledged || !is_open,
                    "message {number} is lost"
                );
                continue;
            };
            assert!(
                known.is_acknowledged || known.is_unsure || may_have_refused,
                "message {number} was refused and is there"
            );
            let mut times = vec![(0, 0); known.recipients.len()];
            for (delivery, state) in &record.deliveries {
                let is_cancelled = *state == QueueState::Cancelled;
                match is_cancelled {
                    true => cancelled += 1,
                    false => queued[usize::from(record.message.class.number() - 1)] += 1,
                }
                for recipient in &delivery.recipients {
                    let (in_queue, outside) = &mut times[*recipient as usize];
                    *if is_cancelled { outside } else { in_queue } += 1;
                }
            }
            for (recipient, (fate, times)) in known.recipients.iter().zip(times).enumerate() {
                let (in_queue, outside) = times;
                let is_right = match fate {
                    Fate::Open => times == (1, 0),
                    Fate::Cancelled => times == (0, 1),
                    Fate::There => in_queue + outside == 1,
                    Fate::Closed => times == (0, 0),
                    Fate::Unsure => in_queue + outside <= 1,
                };
                assert!(
                    is_right,
                    "recipient {recipient} of {number} is {fate:?} and there {times:?} times"
                );
            }
            assert_eq!(record.finished.is_some(), record.deliveries.is_empty());
            if record.finished.is_none() {
                let content = spool.content(id(*number)).await.unwrap();
                let content = gather(content).await.unwrap();
                assert!(content == octets(known.octets), "the content of {number}");
            }
        }
        for lane in LANES {
            let known = self.stopped.get(lane).copied().unwrap_or(Some(false));
            let is_stopped = spool.stops().on(&domain(lane), "user").is_some();
            assert!(known.is_none_or(|known| known == is_stopped), "{lane}");
        }
        let figures = spool.figures();
        assert_eq!((figures.queued, figures.cancelled), (queued, cancelled));
        self.check_statistics(spool).await;
    }

    /// All that is queued, or was cancelled, can be delivered, and leaves nothing behind.
    async fn drain(&mut self, spool: &Embedded) {
        for stop in spool.stops().all() {
            spool.start(stop.of).await.unwrap();
        }
        let cancelled = spool.figures().cancelled;
        for (action, count) in [
            (ChangeAction::Restore, Some(cancelled)),
            (ChangeAction::Release, None),
        ] {
            let change = Change {
                action,
                by: "trial".to_owned(),
                at: at(NOW),
            };
            let changed = spool.change(Selection::default(), change, false).await;
            let changed = changed.unwrap();
            assert!(count.is_none_or(|count| count == changed.deliveries));
        }
        for claim in self.claims.drain(..) {
            spool.release(claim.lease);
        }
        for lane in LANES {
            for class in CLASSES {
                let line = Line {
                    next_hop: domain(lane),
                    class,
                    user: "user".into(),
                };
                while let Some(claim) = spool.claim(&line, at(NOW)).await.unwrap().claim {
                    let content = spool.content(claim.message.id).await.unwrap();
                    let content = gather(content).await.unwrap();
                    assert_eq!(content.len() as u64, claim.message.content_octets);
                    let settlement = Settlement {
                        lease: claim.lease,
                        remaining: Vec::new(),
                        reports: Vec::new(),
                        trail: Vec::new(),
                        outcomes: Some(statistics::outcomes(
                            &claim,
                            statistics::fates(&claim.delivery.recipients, true),
                        )),
                        is_cancelled: false,
                    };
                    spool.settle(settlement).await.unwrap();
                }
            }
        }
        assert_eq!(spool.figures().queued, [0; 5]);
        self.check_statistics(spool).await;
        for state in [None, Some(QueueState::Cancelled)] {
            let selection = Selection {
                state,
                ..Selection::default()
            };
            let request = PageRequest {
                cursor: None,
                rows_max: 10,
                now: at(NOW),
            };
            let page = spool.list(selection, request).await.unwrap();
            assert!(page.rows.is_empty());
        }
    }
}

fn number_of(id: MessageId) -> u64 {
    // The low half of a sample's id is its number.
    id.to_bits() as u64
}

/// Seeds to run in place of the usual ones: `OUTPOST_SEEDS=1000..5000`.
const SEEDS: &str = "OUTPOST_SEEDS";

/// The seeds that are wanted.
fn seeds(usual: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let wanted = std::env::var(SEEDS).ok().and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    wanted.unwrap_or(usual)
}

/// Runs a trial for each seed; a failure tells which one it was.
fn with_seeds(usual: std::ops::Range<u64>, trial: impl AsyncFn(u64)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for seed in seeds(usual) {
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(trial(seed)));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
}
