//! The whole relay in no time: reception, queue, delivery and spool under simulated traffic, next hops, crashes and
//! an operator, on one thread.
//!
//! A seed decides everything, and time is that of paused timers. Submitters and next hops speak over streams of
//! memory; the spool is the embedded one on a disk that loses what was not synced. A life of the relay is a runtime:
//! when it crashes the runtime goes, with whatever was under way, and the next life finds what the disk kept. What was
//! seen from outside is held against what must be true while it runs, after each crash and at the end. Policy
//! components have a stand-in, and there is no TLS: those have tests of their own. A failure prints its seed.

#![allow(clippy::unwrap_used)]

mod contents;
mod counted;
mod dice;
mod host;
mod house;
mod life;
mod line;
mod operated;
mod operator;
mod road;
mod stalled;
mod submitter;
mod watched;
mod weather;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::message::{Event, Timestamp};
use crate::spool::Record;
use crate::spool::stage::Disk;

use dice::Dice;
use house::House;
use life::{Life, Reins};
use line::Lines;
use operated::Operated;
use road::{Road, Rules};
use weather::Weather;
use witness::{Moment, Standing, Tally, Witness};

/// When every simulation begins.
const START: Timestamp = Timestamp::from_unix_milliseconds(1_700_000_000_000);

/// How long the operator goes on at most when all is sent.
const OPERATED_ON: Duration = Duration::from_secs(3_600);

/// What all parts of a simulation share, over all lives of the relay.
struct World {
    dice: Dice,
    weather: Weather,
    house: Arc<House>,
    witness: Witness,
    operated: Operated,
    /// When each recipient of a host that greylists was seen first.
    grey: Mutex<BTreeMap<String, Moment>>,
    lines: Lines,
    road: Road,
    /// Messages that are to be sent.
    messages: usize,
    /// Submitters who are there.
    submitters: AtomicUsize,
    is_stopping: AtomicBool,
    /// Of the life that goes on.
    disk: Mutex<Disk>,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Killed: what was written stays.
    Killed,
    /// Without power: what was not synced may go.
    Cut,
    /// Stopped in order.
    Stopped,
    /// There is nothing left to do.
    Finished,
}

/// What came of a seed.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    wrong: Vec<String>,
    tally: Tally,
    /// What must be the same whenever the seed is.
    took: Moment,
    disk_operations: u64,
}

impl World {
    /// Whether a host that greylists puts a recipient off.
    fn is_grey(&self, address: &str, wait: Duration) -> bool {
        let now = self.witness.seen().now();
        let mut grey = self.grey.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *grey.entry(address.to_owned()).or_insert(now);
        now < first + wait
    }

    /// What the road has to know.
    fn rules(&self) -> Rules {
        let gate = &self.weather.gate;
        Rules {
            ceiling: gate.pause_ceiling,
            trickle: gate.trickle_octets as usize,
            has_capacity: gate.capacity.is_some(),
            disk: 8 * self.weather.disk + Duration::from_millis(1),
        }
    }

    /// Whether the relay may hang up in the middle of anything: it stops, or cannot read what it is to send since the
    /// power has gone, in the moment before it goes too.
    fn may_hang_up(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed) || self.disk().is_out()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_all_sent(&self) -> bool {
        self.witness.seen().mails.len() >= self.messages
    }
}

/// Runs a seed to its end.
fn simulate(house: &Arc<House>, seed: u64, messages: usize) -> Outcome {
    let dice = Dice::new(seed);
    let world = Arc::new(World {
        weather: Weather::of(&dice),
        dice,
        house: Arc::clone(house),
        witness: Witness::default(),
        operated: Operated::default(),
        grey: Mutex::default(),
        lines: Lines::default(),
        road: Road::default(),
        messages,
        submitters: AtomicUsize::new(0),
        is_stopping: AtomicBool::new(false),
        disk: Mutex::new(Disk::new(seed)),
    });
    let mut disk = world.disk().clone();
    let mut at = START;
    let mut disk_operations = 0;
    loop {
        let (end, died) = live(&world, &disk, at);
        disk_operations += disk.operations();
        world.witness.seen().tally.ended(end);
        if end == End::Finished {
            break;
        }
        disk = match end {
            End::Killed => disk.after_kill(),
            // What was closed in order is on stable storage.
            _ => disk.after_power_cut(),
        };
        *world.disk() = disk.clone();
        at = died.plus(world.dice.pause(Duration::from_secs(30)));
    }
    let left = disk.content_names();
    let mut seen = world.witness.seen();
    (seen.tally.holds, seen.tally.held) = world.road.tally();
    if !left.is_empty() {
        seen.wrong(format!("contents are left on the disk: {left:?}"));
    }
    Outcome {
        wrong: seen.wrongs(),
        tally: seen.tally,
        took: seen.now(),
        disk_operations,
    }
}

/// One life of the relay on a disk, from that moment on; how it ended and when, by its clock.
fn live(world: &Arc<World>, disk: &Disk, at: Timestamp) -> (End, Timestamp) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let ended = runtime.block_on(async {
        world
            .witness
            .seen()
            .begins(world.dice.pause(Duration::from_secs(60)));
        world.submitters.store(0, Ordering::Relaxed);
        world.road.begins();
        world.is_stopping.store(false, Ordering::Relaxed);
        let is_last = world.is_all_sent() && world.dice.happens(700);
        if !is_last && world.dice.happens(400) {
            let longest = 1 << (4 + world.dice.below(14));
            disk.cut_power_after(world.dice.below(longest));
        }
        let begun = Life::begin(world, disk, at);
        let (life, reins) = match begun {
            Ok(begun) => begun,
            Err(_) if disk.is_out() => {
                world.witness.seen().ends();
                return (End::Cut, at);
            }
            Err(error) => panic!("the relay does not start: {error}"),
        };
        let lasts = match is_last {
            true => Duration::from_secs(u32::MAX.into()),
            false => world.dice.pause(world.weather.life) + Duration::from_secs(1),
        };
        let end = tokio::select! {
            biased;
            () = disk.goes_out() => End::Cut,
            () = tokio::time::sleep(lasts) => match world.dice.below(3) {
                0 => End::Killed,
                1 => End::Cut,
                _ => End::Stopped,
            },
            () = course(world, &life) => End::Finished,
        };
        if matches!(end, End::Stopped | End::Finished) {
            stop(world, &life, reins, disk).await;
        }
        world.witness.seen().ends();
        (end, life.clock.now())
    });
    // The power may have gone while it stopped.
    match ended {
        (End::Stopped, at) if disk.is_out() => (End::Cut, at),
        ended => ended,
    }
}

async fn stop(world: &World, life: &Life, reins: Reins, disk: &Disk) {
    world.is_stopping.store(true, Ordering::Relaxed);
    let grace = Duration::from_secs(world.dice.below(20));
    let stopped = life.stop(reins, grace);
    tokio::select! {
        biased;
        () = disk.goes_out() => {}
        stopped = stopped => if let Err(error) = stopped && !disk.is_out() {
            world.witness.seen().wrong(format!("it did not stop well: {error}"));
        },
    }
}

/// What happens in a life that nothing ends: all is sent, and all leaves.
async fn course(world: &Arc<World>, life: &Arc<Life>) {
    look_back(world, life).await;
    let operator = world.weather.operator_gap.map(|gap| {
        let work = operator::work(Arc::clone(world), Arc::clone(life), gap);
        tokio::spawn(work)
    });
    while !world.is_all_sent() {
        tokio::time::sleep(world.dice.pause(world.weather.session_gap)).await;
        life.watched.check_idle();
        world.submitters.fetch_add(1, Ordering::Relaxed);
        let coming = submitter::come(Arc::clone(world), Arc::clone(life));
        let there = Arc::clone(world);
        drop(tokio::spawn(async move {
            coming.await;
            there.submitters.fetch_sub(1, Ordering::Relaxed);
        }));
    }
    if let Some(operator) = operator {
        // Most of the mail waits when all is sent: something is done to that too.
        let until = tokio::time::Instant::now() + world.dice.pause(OPERATED_ON);
        while life.queued() > 0 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_secs(20)).await;
            life.watched.check_idle();
        }
        operator.abort();
        drop(operator.await);
    }
    drain(world, life).await;
    let mut given_up = BTreeSet::new();
    let keys = 0..world.witness.seen().mails.len();
    for key in keys {
        let standing = world.witness.seen().mails[key].standing;
        let record = match standing {
            Standing::Accepted(id) => life.spool.message(id).await.unwrap(),
            Standing::Void | Standing::Unsure => None,
        };
        let is_given_up = match &record {
            Some(record) => is_report_given_up(life, record).await,
            None => false,
        };
        if is_given_up {
            given_up.insert(key);
        }
        let mut seen = world.witness.seen();
        seen.check_end(key, record.as_ref(), is_given_up);
    }
    counted::check(world, life, &given_up).await;
}

/// Whether a failure report could not be delivered before its own end: nobody is told of that.
async fn is_report_given_up(life: &Life, record: &Record) -> bool {
    for entry in &record.trail {
        let Event::Reported {
            report: "failure",
            id,
        } = entry.event
        else {
            continue;
        };
        let report = life.spool.message(id).await.unwrap();
        let trail = report.into_iter().flat_map(|report| report.trail);
        if trail
            .map(|entry| entry.event)
            .any(|event| matches!(event, Event::Unreported { .. }))
        {
            return true;
        }
    }
    false
}

/// What was accepted in earlier lives is there, or has ended; what was stopped is.
async fn look_back(world: &World, life: &Life) {
    let stops = life.spool.stops().all().into_iter().map(|stop| stop.of);
    let stops = stops.map(witness::folded).collect();
    let now = world.witness.seen().now();
    for what in world.operated.look_back(stops, now) {
        world.witness.seen().wrong(what);
    }
    let open: Vec<usize> = world.witness.seen().open.iter().copied().collect();
    for key in open {
        let standing = world.witness.seen().mails[key].standing;
        if let Standing::Accepted(id) = standing
            && let Ok(record) = life.spool.message(id).await
        {
            world.witness.seen().check_record(key, record.as_ref());
        }
    }
}

/// Waits until nothing is queued any more.
async fn drain(world: &World, life: &Life) {
    // A message may be given up at its end, and so may the report of that.
    let longest = 3 * world.weather.queue.expire_after
        + world.weather.spool.cancelled_kept
        + Duration::from_secs(12 * 3_600);
    let begun = tokio::time::Instant::now();
    while life.queued() + life.cancelled() > 0 || world.submitters.load(Ordering::Relaxed) > 0 {
        operator::let_go_on(world, life).await;
        life.watched.check_idle();
        tokio::time::sleep(Duration::from_secs(300)).await;
        if begun.elapsed() > longest {
            let (queued, cancelled) = (life.queued(), life.cancelled());
            world.witness.seen().wrong(format!(
                "{queued} deliveries never leave, and {cancelled} that were cancelled"
            ));
            return;
        }
    }
}

/// Seeds to run in place of the usual ones: `OUTPOST_SEEDS=1000..5000`.
const SEEDS: &str = "OUTPOST_SEEDS";

/// Messages for each seed in place of the usual ones.
const MESSAGES: &str = "OUTPOST_MESSAGES";

/// The seeds that are run otherwise: with so many messages each, a minute of one processor.
const USUAL_SEEDS: Range<u64> = 0..48;
const USUAL_MESSAGES: usize = 250;

/// Seeds are divided between so many tests, which run side by side.
const PARTS: u64 = 4;

fn wanted_seeds() -> Range<u64> {
    let wanted = std::env::var(SEEDS).ok().and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    wanted.unwrap_or(USUAL_SEEDS)
}

fn wanted_messages() -> usize {
    let wanted = std::env::var(MESSAGES).ok();
    let wanted = wanted.and_then(|text| text.parse().ok());
    wanted.unwrap_or(USUAL_MESSAGES)
}

fn build_house() -> Arc<House> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    Arc::new(runtime.block_on(House::build()))
}

/// Runs a part of the seeds one after the other; a failure tells which one it was.
fn run(part: u64) {
    let house = build_house();
    let messages = wanted_messages();
    let seeds = wanted_seeds().filter(|seed| seed % PARTS == part);
    let begun = std::time::Instant::now();
    let (mut lives, mut sent, mut failed) = (0, 0, Vec::new());
    for seed in seeds {
        let ran = std::panic::AssertUnwindSafe(|| simulate(&house, seed, messages));
        match std::panic::catch_unwind(ran) {
            Ok(Outcome {
                wrong, tally, took, ..
            }) => {
                println!("seed {seed}: {took:?} {tally:?}");
                let with = format!("{SEEDS}={seed}..{} {MESSAGES}={messages}", seed + 1);
                if !wrong.is_empty() {
                    eprintln!("seed {seed} ({with}): {wrong:#?}");
                    failed.push(seed);
                }
                lives += tally.crashes + tally.stops;
                sent += tally.accepted + tally.refused + tally.unsure;
            }
            Err(panic) => {
                eprintln!("seed {seed} of {messages} messages failed");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{sent} messages in {lives} lives, {:?}", begun.elapsed());
    assert!(failed.is_empty(), "seeds {failed:?} of {messages} messages");
}

#[test]
fn every_message_ends_once_whatever_happens_1() {
    run(0);
}

#[test]
fn every_message_ends_once_whatever_happens_2() {
    run(1);
}

#[test]
fn every_message_ends_once_whatever_happens_3() {
    run(2);
}

#[test]
fn every_message_ends_once_whatever_happens_4() {
    run(3);
}

#[test]
fn a_seed_does_the_same_each_time() {
    let house = build_house();
    for seed in 0..3 {
        let [first, second] = [(); 2].map(|()| simulate(&house, seed, 200));
        assert_eq!(first, second, "seed {seed}");
    }
}
