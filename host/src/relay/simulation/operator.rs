//! The operator: now and then holds, releases, hurries, removes or promotes what is queued, and sets the clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::World;
use super::life::Life;
use super::weather::DOMAINS;
use super::witness::{Moment, Standing};
use crate::message::{Class, MessageId, Timestamp};
use crate::spool::{Change, ChangeAction, Selection};

/// An attempt may have been about to begin when something was done to its message.
const ABOUT_TO_BEGIN: Duration = Duration::from_secs(1);

/// What was done, and when.
#[derive(Debug, Default)]
pub(super) struct Operated {
    held: Mutex<BTreeMap<MessageId, Moment>>,
    removed: Mutex<BTreeMap<MessageId, Moment>>,
}

impl Operated {
    /// Why nothing of a message may be begun at `now`.
    pub(super) fn forbids(&self, id: MessageId, now: Moment) -> Option<&'static str> {
        let is_in_force = |done: &Mutex<BTreeMap<MessageId, Moment>>| {
            let done = lock(done).get(&id).copied();
            done.is_some_and(|at| at + ABOUT_TO_BEGIN < now)
        };
        if is_in_force(&self.removed) {
            return Some("removed");
        }
        is_in_force(&self.held).then_some("held")
    }

    fn holds(&self, id: MessageId, now: Moment) {
        lock(&self.held).insert(id, now);
    }

    fn removes(&self, id: MessageId, now: Moment) {
        lock(&self.removed).insert(id, now);
    }

    fn releases(&self, id: MessageId) {
        lock(&self.held).remove(&id);
    }

    fn releases_all(&self) {
        lock(&self.held).clear();
    }
}

fn lock<T>(done: &Mutex<T>) -> MutexGuard<'_, T> {
    done.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something now and then.
pub(super) async fn work(world: Arc<World>, life: Arc<Life>, gap: Duration) {
    loop {
        tokio::time::sleep(world.dice.pause(gap) + Duration::from_millis(1)).await;
        match world.dice.below(12) {
            0 => set_the_clock(&world, &life),
            1 => hold_a_while(&world, &life).await,
            2 => retry_all(&world, &life).await,
            _ => change_one(&world, &life).await,
        }
    }
}

/// Lets go on all that is held.
pub(super) async fn release_all(world: &World, life: &Life) {
    world.operated.releases_all();
    change(life, Selection::default(), ChangeAction::Release).await;
}

/// The machine's clock is put right, or wrong: up to an hour forward or back.
fn set_the_clock(world: &World, life: &Life) {
    let hour = Duration::from_secs(3_600);
    let by = world.dice.pause(hour);
    let now = life.clock.now();
    let set = match world.dice.happens(500) {
        true => now.plus(by),
        false => {
            world.witness.seen().was_set_back = true;
            let back = now
                .unix_milliseconds()
                .saturating_sub(by.as_millis() as u64);
            Timestamp::from_unix_milliseconds(back)
        }
    };
    life.clock.set(set);
    // What was due waits until the clock has come to that again.
    life.watched.are_operated_on();
}

/// Holds all for one domain, and releases it.
async fn hold_a_while(world: &World, life: &Life) {
    let domain = DOMAINS[world.dice.index(DOMAINS.len())];
    let selection = Selection {
        domain: Some(domain.to_owned()),
        ..Selection::default()
    };
    life.watched.are_operated_on();
    change(life, selection.clone(), ChangeAction::Hold).await;
    tokio::time::sleep(world.dice.pause(Duration::from_secs(120))).await;
    // Those that were held one by one are of that domain too.
    release_all(world, life).await;
}

async fn retry_all(world: &World, life: &Life) {
    let class = Class::ALL[world.dice.index(5)];
    let selection = Selection {
        class: Some(class),
        ..Selection::default()
    };
    life.watched.are_operated_on();
    change(life, selection, ChangeAction::Retry).await;
    life.impatience.notify_one();
}

/// Does something to one message that was accepted and may be queued.
async fn change_one(world: &World, life: &Life) {
    let Some((key, id)) = one(world) else { return };
    life.watched.is_operated_on(id);
    let selection = Selection::of_message(id);
    match world.dice.below(6) {
        0 => {
            {
                let mut seen = world.witness.seen();
                seen.mails[key].is_removed = true;
                seen.tally.removed += 1;
            }
            if change(life, selection, ChangeAction::Cancel).await {
                world.operated.removes(id, world.witness.seen().now());
            }
        }
        1 | 2 => {
            if change(life, selection, ChangeAction::Hold).await {
                world.operated.holds(id, world.witness.seen().now());
            }
        }
        3 => {
            world.operated.releases(id);
            change(life, selection, ChangeAction::Release).await;
        }
        4 => {
            change(life, selection, ChangeAction::Retry).await;
        }
        _ => {
            let class = Class::ALL[world.dice.index(5)];
            change(life, selection, ChangeAction::SetClass(class)).await;
        }
    }
}

/// One of those that are open, the latest ones more often.
fn one(world: &World) -> Option<(usize, MessageId)> {
    let seen = world.witness.seen();
    let back = world.dice.index(world.dice.index(200) + 1);
    let key = *seen.open.iter().rev().nth(back)?;
    match seen.mails[key].standing {
        Standing::Accepted(id) => Some((key, id)),
        Standing::Void | Standing::Unsure => None,
    }
}

/// Whether it was done; without that nobody knows.
async fn change(life: &Life, selection: Selection, action: ChangeAction) -> bool {
    let change = Change {
        action,
        by: "simulation".to_owned(),
        at: life.clock.now(),
    };
    life.spool.change(selection, change, false).await.is_ok()
}
