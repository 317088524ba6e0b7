//! The attempts that the queue makes, seen from beside it: in which order they begin, and how many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::World;
use crate::message::{Attempt, Class, Contact, Delivery, Message, MessageId, NextHop};
use crate::queue::{Deliver, OpenContent};

/// For so long after a host had no room, its lane may have fewer attempts under way than it may otherwise.
const CROWDED: Duration = Duration::from_secs(3);

/// Stands between the queue and who makes its attempts, for one life of the relay.
pub(super) struct Watched {
    world: Arc<World>,
    way: Arc<dyn Deliver>,
    lanes: Arc<Mutex<Lanes>>,
}

/// What is known of the lanes.
#[derive(Default)]
struct Lanes {
    active: BTreeMap<NextHop, usize>,
    /// Since when a lane has had room.
    room_since: BTreeMap<NextHop, Instant>,
    /// Those where no host is ready at present.
    shut: BTreeSet<NextHop>,
    /// Those where a host had no room, and until when that is respected.
    crowded: BTreeMap<NextHop, Instant>,
    /// Messages of which something was tried in this life.
    tried: BTreeSet<MessageId>,
    /// Very-high messages that wait for their first attempt: their lane, and since when.
    urgent: BTreeMap<MessageId, (NextHop, Instant)>,
}

impl Watched {
    pub(super) fn new(world: &Arc<World>, way: Arc<dyn Deliver>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            way,
            lanes: Arc::default(),
        })
    }

    /// A very-high message for one recipient waits from now on.
    pub(super) fn waits(&self, id: MessageId, domain: &str) {
        let lane = NextHop::Domain(domain.to_owned());
        let mut lanes = self.lanes();
        // It may have begun before its submitter heard of it, or been told that nobody is there.
        if !lanes.tried.contains(&id) && !lanes.shut.contains(&lane) {
            lanes.urgent.insert(id, (lane, Instant::now()));
        }
    }

    /// The operator has done something to a message: nothing is known of its turn any more.
    pub(super) fn is_operated_on(&self, id: MessageId) {
        self.lanes().urgent.remove(&id);
    }

    /// The operator has done something to many.
    pub(super) fn are_operated_on(&self) {
        self.lanes().urgent.clear();
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        lock(&self.lanes)
    }

    fn begins(&self, message: &Message, delivery: &Delivery) {
        let wrong = self.lanes().begins(message, delivery, &self.world);
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
        self.urgent.remove(&message.id);
        self.tried.insert(message.id);
        if message.class != Class::VeryHigh {
            let overtaken = self.urgent.iter().find(|(_, (lane, since))| {
                let active = self.active.get(lane).copied().unwrap_or_default();
                let has_room = active < settings.per_next_hop_max
                    && self
                        .room_since
                        .get(lane)
                        .is_none_or(|since| *since + slack < now);
                let is_crowded = self.crowded.get(lane).is_some_and(|until| now < *until);
                *since + slack < now && has_room && !is_crowded && !self.shut.contains(lane)
            });
            if let Some((id, (lane, since))) = overtaken {
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
        if let Some(what) = world
            .operated
            .forbids(message.id, world.witness.seen().now())
        {
            wrong.push(format!("{} began though it was {what}", delivery.id));
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

    fn ends(&mut self, lane: &NextHop, contact: Option<Contact>) {
        if let Some(active) = self.active.get_mut(lane) {
            *active -= 1;
        }
        self.room_since.insert(lane.clone(), Instant::now());
        match contact {
            Some(Contact::Ready) => {
                self.shut.remove(lane);
            }
            Some(Contact::Crowded) => {
                self.crowded.insert(lane.clone(), Instant::now() + CROWDED);
            }
            Some(Contact::Missed) => {
                self.shut.insert(lane.clone());
                // They may be told without an attempt of their own.
                self.urgent.retain(|_, (urgent, _)| urgent != lane);
            }
            None => {}
        }
    }
}

impl Deliver for Watched {
    fn deliver(
        &self,
        message: Arc<Message>,
        delivery: Delivery,
        content: OpenContent,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
        self.begins(&message, &delivery);
        let place = Place {
            lanes: Arc::clone(&self.lanes),
            lane: delivery.next_hop.clone(),
            contact: None,
        };
        // A message of a submitter has its key for a subject.
        let key = message.subject.parse().unwrap_or(usize::MAX);
        let (world, recipients) = (Arc::clone(&self.world), delivery.recipients.clone());
        let attempt = self.way.deliver(message, delivery, content);
        Box::pin(async move {
            let mut place = place;
            let attempt = attempt.await;
            world.witness.seen().attempt_ended(key, &recipients);
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
}

/// An attempt's place in its lane, until it ends or is cut off.
struct Place {
    lanes: Arc<Mutex<Lanes>>,
    lane: NextHop,
    contact: Option<Contact>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.lanes).ends(&self.lane, self.contact);
    }
}

fn lock(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}
