//! The attempts that the queue makes, seen from beside it: in which order they begin, how many at once, and whether any
//! could begin that does not.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::World;
use super::weather::DOMAINS;
use crate::clock::Clock;
use crate::message::{
    Attempt, Class, Contact, Delivery, Message, MessageId, NextHop, kept_for_very_high,
};
use crate::queue::{AtMail, Deliver, OpenContent};

/// For so long after a host had no room, its lane may have fewer attempts under way than it may otherwise.
const CROWDED: Duration = Duration::from_secs(3);

/// Nobody waits for longer than this where nothing is in the way.
const IDLE: Duration = Duration::from_secs(3);

/// Stands between the queue and who makes its attempts, for one life of the relay.
pub(super) struct Watched {
    world: Arc<World>,
    clock: Clock,
    way: Arc<dyn Deliver>,
    lanes: Arc<Mutex<Lanes>>,
}

/// What is known of the lanes.
#[derive(Default)]
struct Lanes {
    active: BTreeMap<NextHop, usize>,
    /// Since when there has been room among all.
    all_room_since: Option<Instant>,
    /// Since when a lane has had room.
    room_since: BTreeMap<NextHop, Instant>,
    /// Those where no host is ready at present.
    shut: BTreeSet<NextHop>,
    /// Those where a host had no room for a class, and until when that is respected.
    crowded: BTreeMap<(NextHop, Class), Instant>,
    /// Messages of which something was tried in this life.
    tried: BTreeSet<MessageId>,
    /// Messages that wait for their first attempt, and of which nothing is known that keeps them from it.
    urgent: BTreeMap<MessageId, Waiting>,
    others: BTreeMap<MessageId, Waiting>,
    /// When the operator did something to many.
    operated: Option<Instant>,
}

/// A message that waits for its first attempt.
struct Waiting {
    class: Class,
    lane: NextHop,
    user: String,
    since: Instant,
}

impl Watched {
    pub(super) fn new(world: &Arc<World>, clock: Clock, way: Arc<dyn Deliver>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            clock,
            way,
            lanes: Arc::default(),
        })
    }

    /// A message of a class for one recipient waits from now on.
    pub(super) fn waits(&self, id: MessageId, class: Class, user: &str, domain: &str) {
        let lane = NextHop::Domain(domain.into());
        if self.world.operated.may_be_stopped(&self.world, user, &lane) {
            return;
        }
        let mut lanes = self.lanes();
        let since = Instant::now();
        // It may have begun before its submitter heard of it, or been told that nobody is there.
        let is_known = lanes.tried.contains(&id) || lanes.shut.contains(&lane);
        if is_known || lanes.operated.is_some_and(|at| since < at + IDLE) {
            return;
        }
        let waiting = Waiting {
            class,
            lane,
            user: user.to_owned(),
            since,
        };
        match class {
            Class::VeryHigh => lanes.urgent.insert(id, waiting),
            _ => lanes.others.insert(id, waiting),
        };
    }

    /// The operator has done something to a message: nothing is known of its turn any more.
    pub(super) fn is_operated_on(&self, id: MessageId) {
        let mut lanes = self.lanes();
        lanes.urgent.remove(&id);
        lanes.others.remove(&id);
    }

    /// The operator has done something to many.
    pub(super) fn are_operated_on(&self) {
        let mut lanes = self.lanes();
        lanes.urgent.clear();
        lanes.others.clear();
        lanes.operated = Some(Instant::now());
    }

    /// No message waits for long that could be tried.
    pub(super) fn check_idle(&self) {
        let now = Instant::now();
        if self.world.road.may_have_held_others_since(now - IDLE) {
            return;
        }
        let wrong = self.lanes().idle(&self.world, now);
        if let Some(what) = wrong {
            self.world.witness.seen().wrong(what);
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        lock(&self.lanes)
    }

    fn begins(&self, message: &Message, delivery: &Delivery) {
        let mut wrong = self.lanes().begins(message, delivery, &self.world);
        let now = (self.world.witness.seen().now(), self.clock.now());
        let forbidden = self
            .world
            .operated
            .forbids(&self.world, message, &delivery.next_hop, now);
        wrong.extend(forbidden.map(|what| format!("{} began though it was {what}", delivery.id)));
        for what in wrong {
            self.world.witness.seen().wrong(what);
        }
    }
}

impl Lanes {
    fn begins(&mut self, message: &Message, delivery: &Delivery, world: &World) -> Vec<String> {
        let now = Instant::now();
        let settings = &world.weather.queue;
        let mut wrong = Vec::new();
        // A claim may have been under way, and has to be read from the disk.
        let slack = 6 * world.weather.disk + Duration::from_millis(1);
        let own = self.urgent.remove(&message.id);
        self.others.remove(&message.id);
        self.tried.insert(message.id);
        // Very-high ones go by acceptance; of those of which nobody knows when that was nothing is said.
        let accepted = match message.class {
            Class::VeryHigh => own.map(|own| own.since),
            _ => Some(now),
        };
        if let Some(accepted) = accepted {
            let overtaken = self.urgent.iter().find(|(_, Waiting { lane, since, .. })| {
                let active = self.active.get(lane).copied().unwrap_or_default();
                let has_room = active < settings.per_next_hop_max
                    && self
                        .room_since
                        .get(lane)
                        .is_none_or(|since| *since + slack < now);
                *since + slack < accepted && has_room && self.is_open(lane, Class::VeryHigh, now)
            });
            if let Some((id, Waiting { lane, since, .. })) = overtaken {
                let (class, waited) = (message.class, since.elapsed());
                wrong.push(format!(
                    "{} of {class:?} to {} began before the very-high message {id} to {lane}, which has waited for {waited:?} with {:?} of {} under way there and room since {:?}",
                    delivery.id,
                    delivery.next_hop,
                    self.active.get(lane),
                    settings.per_next_hop_max,
                    self.room_since.get(lane).map(Instant::elapsed)
                ));
            }
        }
        *self.active.entry(delivery.next_hop.clone()).or_default() += 1;
        let total: usize = self.active.values().sum();
        let of_lane = self.active[&delivery.next_hop];
        if of_lane > settings.per_next_hop_max || total > settings.simultaneous_max {
            wrong.push(format!(
                "{of_lane} attempts at {} of {total} at once",
                delivery.next_hop
            ));
        }
        wrong
    }

    /// Whether a lane is one that is tried at present with mail of a class: there was room for it at its hosts, and for
    /// what is more urgent.
    fn is_open(&self, lane: &NextHop, class: Class, now: Instant) -> bool {
        let is_crowded = |class| {
            let until = self.crowded.get(&(lane.clone(), class));
            until.is_some_and(|until| now < *until)
        };
        let mut up_to_it = Class::ALL.into_iter().filter(|of| *of <= class);
        !up_to_it.any(is_crowded) && !self.shut.contains(lane)
    }

    /// What waits though there has been room for a while, among all and in its lane.
    fn idle(&self, world: &World, now: Instant) -> Option<String> {
        let settings = &world.weather.queue;
        let slack = IDLE + 20 * world.weather.disk;
        let has_room_for = |most: usize, active: usize| active + kept_for_very_high(most) < most;
        let total = self.active.values().sum();
        let is_long_ago = |at: &Instant| *at + slack < now;
        if !has_room_for(settings.simultaneous_max, total)
            || !self.all_room_since.as_ref().is_none_or(is_long_ago)
        {
            return None;
        }
        let mut waiting = self.urgent.iter().chain(&self.others);
        let idle = waiting.find(|(_, waiting)| {
            let Waiting {
                class,
                lane,
                user,
                since,
            } = waiting;
            let active = self.active.get(lane).copied().unwrap_or_default();
            is_long_ago(since)
                && has_room_for(settings.per_next_hop_max, active)
                && self.room_since.get(lane).is_none_or(is_long_ago)
                && self.is_open(lane, *class, now)
                // Its time may be over.
                && *since + settings.expire_after / 2 > now
                && !world.operated.may_be_stopped(world, user, lane)
        });
        idle.map(|(id, Waiting { lane, since, .. })| {
            let waited = now - *since;
            format!("{id} to {lane} has waited for {waited:?} with {total} attempts under way")
        })
    }

    fn ends(&mut self, lane: &NextHop, class: Class, contact: Option<Contact>) {
        if let Some(active) = self.active.get_mut(lane) {
            *active -= 1;
        }
        let now = Instant::now();
        self.room_since.insert(lane.clone(), now);
        self.all_room_since = Some(now);
        match contact {
            Some(Contact::Ready) => {
                self.shut.remove(lane);
            }
            Some(Contact::Crowded) => {
                let crowded = (lane.clone(), class);
                self.crowded.insert(crowded, now + CROWDED);
            }
            Some(Contact::Missed) => {
                self.shut.insert(lane.clone());
                // They may be told without an attempt of their own.
                self.urgent.retain(|_, waiting| waiting.lane != *lane);
                self.others.retain(|_, waiting| waiting.lane != *lane);
            }
            Some(Contact::CutOff | Contact::GaveWay | Contact::Elsewhere) | None => {}
        }
    }
}

impl Deliver for Watched {
    fn led_elsewhere(
        &self,
        message: &Message,
        delivery: &Delivery,
    ) -> Option<Vec<(NextHop, Vec<u32>)>> {
        self.way.led_elsewhere(message, delivery)
    }

    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
        at_mail: AtMail,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        self.begins(&message, &delivery);
        let place = Place {
            lanes: Arc::clone(&self.lanes),
            lane: delivery.next_hop.clone(),
            class: message.class,
            contact: None,
        };
        // A message of a submitter has its key for a subject.
        let key = message.subject.parse().unwrap_or(usize::MAX);
        let (world, recipients) = (Arc::clone(&self.world), delivery.recipients.clone());
        let hop = DOMAINS
            .iter()
            .position(|domain| delivery.next_hop == NextHop::Domain((*domain).into()));
        world.road.begins_attempt(key, hop.unwrap_or_default());
        let attempt = self.way.deliver(message, delivery, content, at_mail);
        Box::pin(async move {
            let mut place = place;
            let attempt = attempt.await;
            let pauses = attempt.pauses.iter().map(|pause| u64::from(pause.times));
            let mut seen = world.witness.seen();
            seen.tally.pauses += pauses.sum::<u64>();
            seen.attempt_ended(key, &recipients);
            drop(seen);
            place.contact = Some(attempt.contact);
            attempt
        })
    }

    fn held_until(&self) -> Option<Instant> {
        self.way.held_until()
    }

    fn eased(&self) -> Arc<Notify> {
        self.way.eased()
    }

    fn cut_off(&self) {
        self.way.cut_off();
    }
}

/// An attempt's place in its lane, until it ends or is cut off.
struct Place {
    lanes: Arc<Mutex<Lanes>>,
    lane: NextHop,
    class: Class,
    contact: Option<Contact>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.lanes).ends(&self.lane, self.class, self.contact);
    }
}

fn lock(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}
