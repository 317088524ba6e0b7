//! The queue under hours of random mail, random next hops, a failing spool and crashes, in no time.
//!
//! One seed drives everything, and time is the runtime's paused time. What must hold whatever
//! happens is checked while it runs and at its end; a failure prints its seed.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use super::deliver::{AtMail, Deliver, OpenContent};
use super::rehearsal::{
    attempt, bounced, deferred, delivered, mailbox, message, next_hop, seconds,
};
use super::stage::Stage;
use crate::message::{
    Attempt, Class, Delivery, Event, Message, MessageId, NextHop, Outcome, Timestamp,
};
use crate::spool::SpoolError;

const SEEDS: u64 = 20;
const MESSAGES: u64 = 150;

/// Lanes by temper. Reports go to `a.example`, where everything is taken.
const DOMAINS: [&str; 6] = [
    "fast.example",
    "slow.example",
    "grey.example",
    "picky.example",
    "dead.example",
    "odd.example",
];

fn settings() -> Settings {
    Settings {
        simultaneous_max: 6,
        per_next_hop_max: 2,
        retry: vec![seconds(30), seconds(120), seconds(600)],
        expire_after: seconds(3 * 3_600),
        delay_warning_after: seconds(3_600),
        ..Settings::default()
    }
}

/// All next hops, and what is known of them from outside.
struct World {
    stage: Arc<Stage>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Counts the crashes.
    life: u32,
    active: HashMap<NextHop, u32>,
    /// Since when a lane has had room.
    room_since: HashMap<NextHop, Instant>,
    /// Very-high messages that no attempt was made at: their lane, and when they were accepted.
    urgent: HashMap<MessageId, (NextHop, Instant)>,
    /// In which lives a recipient was delivered.
    delivered: HashMap<(MessageId, u32), Vec<u32>>,
    /// The last attempt at a recipient, and in which life.
    tried: HashMap<(MessageId, u32), (u32, Instant)>,
    wrong: Vec<String>,
}

impl World {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn below(&self, limit: u64) -> u64 {
        self.stage.random() % limit
    }

    fn outcome(&self, next_hop: &NextHop) -> Outcome {
        let dice = self.below(100);
        match (next_hop.to_string().as_str(), dice) {
            ("grey.example", 0..70) | ("odd.example", 0..30) | ("dead.example", _) => deferred(),
            ("picky.example", 0..50) | ("odd.example", 30..60) => bounced(),
            _ => delivered(),
        }
    }

    fn duration(&self, next_hop: &NextHop) -> Duration {
        let longest = match next_hop.to_string().as_str() {
            "slow.example" => 20_000,
            "dead.example" => 60_000,
            _ => 2_000,
        };
        Duration::from_millis(self.below(longest))
    }
}

impl Seen {
    fn begins(&mut self, message: &Message, delivery: &Delivery, at: Timestamp) {
        let now = Instant::now();
        // The last attempt comes at the expiry, however short the wait before it.
        let is_last = at >= message.accepted.plus(settings().expire_after);
        let lane = delivery.next_hop.clone();
        self.urgent.remove(&message.id);
        if message.class != Class::VeryHigh {
            let overtaken = self.urgent.values().any(|(lane, accepted)| {
                let has_room = self.room_since.get(lane).is_none_or(|since| *since < now);
                *accepted < now
                    && has_room
                    && self.active.get(lane).is_none_or(|active| *active < 2)
            });
            if overtaken {
                self.wrong
                    .push(format!("{} overtook a very-high message", delivery.id));
            }
        }
        for recipient in &delivery.recipients {
            let tried = self
                .tried
                .insert((message.id, *recipient), (self.life, now));
            if let Some((life, at)) = tried
                && life == self.life
                && !is_last
                && now - at < seconds(30)
            {
                self.wrong
                    .push(format!("{} was tried again too early", delivery.id));
            }
        }
        *self.active.entry(lane.clone()).or_default() += 1;
        let total: u32 = self.active.values().sum();
        if self.active[&lane] > 2 || total > 6 {
            self.wrong
                .push(format!("too many at once: {:?}", self.active));
        }
    }

    fn ends(&mut self, lane: &NextHop) {
        let active = self.active.entry(lane.clone()).or_default();
        *active -= 1;
        self.room_since.insert(lane.clone(), Instant::now());
    }
}

impl Deliver for Arc<World> {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        _content: OpenContent,
        _at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        let now = self.stage.clock.now();
        self.seen().begins(&message, &delivery, now);
        let slot = Slot {
            world: self.clone(),
            lane: delivery.next_hop.clone(),
        };
        let took = self.duration(&delivery.next_hop);
        let outcomes: Vec<Outcome> = delivery
            .recipients
            .iter()
            .map(|_| self.outcome(&delivery.next_hop))
            .collect();
        let panics =
            delivery.next_hop == NextHop::Domain("odd.example".into()) && self.below(20) == 0;
        Box::pin(async move {
            tokio::time::sleep(took).await;
            assert!(!panics, "odd hosts make attempts panic");
            let mut seen = slot.world.seen();
            let life = seen.life;
            for (recipient, outcome) in delivery.recipients.iter().zip(&outcomes) {
                if matches!(outcome, Outcome::Delivered(_)) {
                    seen.delivered
                        .entry((message.id, *recipient))
                        .or_default()
                        .push(life);
                }
            }
            drop(seen);
            attempt(&delivery, &outcomes)
        })
    }
}

/// An attempt's place in its lane, until it ends or is cut off.
struct Slot {
    world: Arc<World>,
    lane: NextHop,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.world.seen().ends(&self.lane);
    }
}

async fn accept_one(world: &World) -> MessageId {
    let stage = &world.stage;
    let mut recipients: Vec<String> = Vec::new();
    for number in 0..=world.below(4) {
        let domain = DOMAINS[world.below(6) as usize];
        recipients.push(format!("r{number}@{domain}"));
    }
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let number = u128::from(stage.random());
    let mut message = message(number, stage.clock.now(), &recipients);
    message.class = Class::ALL[world.below(5) as usize];
    let id = message.id;
    if message.class == Class::VeryHigh && recipients.len() == 1 {
        let lane = next_hop(&mailbox(recipients[0]));
        world.seen().urgent.insert(id, (lane, Instant::now()));
    }
    stage.accept(message).await;
    id
}

async fn simulate(seed: u64) -> Vec<String> {
    let stage = Stage::with_seed(seed);
    let world = Arc::new(World {
        stage: stage.clone(),
        seen: Mutex::default(),
    });
    let mut queue = stage.start(settings(), Arc::new(world.clone()));
    let mut accepted = Vec::new();
    for _ in 0..MESSAGES {
        tokio::time::sleep(Duration::from_millis(world.below(60_000))).await;
        accepted.push(accept_one(&world).await);
        match world.below(60) {
            0 => {
                queue.crash().await;
                world.seen().life += 1;
                stage.reopen();
                tokio::time::sleep(Duration::from_millis(world.below(20_000))).await;
                queue = stage.start(settings(), Arc::new(world.clone()));
            }
            1 => {
                queue.stop().await;
                world.seen().life += 1;
                stage.reopen();
                queue = stage.start(settings(), Arc::new(world.clone()));
            }
            2..4 => stage.memory.fail_next_settlement(SpoolError::Full),
            4..6 => {
                let failure = SpoolError::Unavailable("as the seed says".into());
                stage.memory.fail_next_settlement(failure);
            }
            6..10 => stage.fail_claims(1),
            _ => {}
        }
    }
    tokio::time::sleep(settings().expire_after + seconds(3_600)).await;
    queue.stop().await;

    let mut wrong = std::mem::take(&mut world.seen().wrong);
    if stage.queued() != 0 {
        wrong.push(format!("{} deliveries are still queued", stage.queued()));
    }
    for id in accepted {
        let record = stage.record(id).await;
        let events: Vec<&Event> = record.trail.iter().map(|entry| &entry.event).collect();
        let expired = events
            .iter()
            .any(|event| matches!(event, Event::Expired { .. }));
        let reported = events.iter().any(|event| {
            matches!(
                event,
                Event::Reported {
                    report: "failure",
                    ..
                }
            )
        });
        for (index, recipient) in (0..).zip(&record.message.envelope.recipients) {
            let name = recipient.mailbox.to_string();
            let words = |word| outcomes(&events, &name, word);
            let (delivered, bounced) = (words("delivered"), words("bounced"));
            let lives = world
                .seen()
                .delivered
                .get(&(id, index))
                .cloned()
                .unwrap_or_default();
            match (delivered, bounced) {
                (1, 0) if !lives.is_empty() => {}
                (0, 1) if reported => {}
                (0, 0) if expired && reported => {}
                ends => wrong.push(format!("{id} {name} ended {ends:?} {lives:?}")),
            }
            if lives.windows(2).any(|two| two[0] == two[1]) {
                wrong.push(format!(
                    "{id} {name} was delivered twice without a crash between"
                ));
            }
        }
    }
    wrong
}

/// How often the trail says so of a recipient.
fn outcomes(events: &[&Event], name: &str, word: &str) -> usize {
    let attempts = events.iter().filter_map(|event| match event {
        Event::Attempted { recipients, .. } => Some(recipients),
        _ => None,
    });
    let of_name = attempts
        .flatten()
        .filter(|(recipient, said, _)| recipient == name && *said == word);
    of_name.count()
}

#[test]
fn every_recipient_ends_once_whatever_happens() {
    for seed in 0..SEEDS {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
        let wrong = runtime.block_on(simulate(seed));
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
}
