//! The operator: now and then holds, releases, hurries, moves, removes, restores or promotes what is queued, stops and
//! starts this and that, and sets the clock.

use std::sync::Arc;
use std::time::Duration;

use super::World;
use super::house::LISTS;
use super::life::Life;
use super::weather::DOMAINS;
use super::witness::Standing;
use crate::message::{Class, MessageId, NextHop, Timestamp};
use crate::spool::{Change, ChangeAction, Selection, Stop, StopOf, Stopped};

/// Does something now and then.
pub(super) async fn work(world: Arc<World>, life: Arc<Life>, gap: Duration) {
    loop {
        tokio::time::sleep(world.dice.pause(gap) + Duration::from_millis(1)).await;
        match world.dice.below(16) {
            0 => set_the_clock(&world, &life),
            1 => hold_a_while(&world, &life).await,
            2 => retry_all(&world, &life).await,
            3 => stop_something(&world, &life).await,
            4 => start_something(&world, &life).await,
            5 => restore_one(&world, &life).await,
            _ => change_one(&world, &life).await,
        }
    }
}

/// Lets go on all that is held or stopped.
pub(super) async fn let_go_on(world: &World, life: &Life) {
    release_all(world, life).await;
    for stop in life.spool.stops().all() {
        start(world, life, super::witness::folded(stop.of)).await;
    }
}

async fn release_all(world: &World, life: &Life) {
    world.operated.releases_all();
    let released = change(life, Selection::default(), ChangeAction::Release).await;
    if released.is_some() {
        world.operated.has_released_all();
    }
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
            earlier(now, by)
        }
    };
    world.operated.clock_is_set(now);
    life.clock.set(set);
    // What was due waits until the clock has come to that again.
    life.watched.are_operated_on();
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let back = at.unix_milliseconds().saturating_sub(by.as_millis() as u64);
    Timestamp::from_unix_milliseconds(back)
}

/// Holds all for one domain, and releases it.
async fn hold_a_while(world: &World, life: &Life) {
    let domain = DOMAINS[world.dice.index(DOMAINS.len())];
    let selection = Selection {
        domain: Some(domain.to_owned()),
        ..Selection::default()
    };
    life.watched.are_operated_on();
    world.operated.holds_some();
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
    world.operated.hurries(None);
    change(life, selection, ChangeAction::Retry).await;
    life.impatience.notify_one();
}

/// Stops everything, a next hop, a user or a list, and mostly starts it again after a while.
async fn stop_something(world: &World, life: &Life) {
    let dice = &world.dice;
    let of = match dice.below(8) {
        0 => StopOf::All,
        1..4 => StopOf::NextHop(NextHop::Domain(DOMAINS[dice.index(DOMAINS.len())].into())),
        4..6 => {
            let users = &world.house.users;
            StopOf::User(users[dice.index(users.len())].name.clone())
        }
        _ => StopOf::List(LISTS[dice.index(LISTS.len())].to_owned()),
    };
    let written = match &of {
        StopOf::User(name) if dice.happens(500) => StopOf::User(name.to_uppercase()),
        StopOf::List(name) if dice.happens(500) => StopOf::List(name.to_uppercase()),
        of => of.clone(),
    };
    let is_known = world.operated.stopped().contains(&of);
    life.watched.are_operated_on();
    world.operated.may_stop(of.clone());
    let stop = Stop {
        of: written,
        by: "simulation".to_owned(),
        at: life.clock.now(),
    };
    let mut seen_wrong = None;
    match life.spool.stop(stop).await {
        Ok(Stopped::TooMany) => seen_wrong = Some("there are too many"),
        Ok(Stopped::Already(_)) if !is_known => seen_wrong = Some("it is said to be already"),
        Ok(Stopped::Now | Stopped::Already(_)) => {
            let mut seen = world.witness.seen();
            seen.tally.stopped += 1;
            world.operated.stops(of.clone(), seen.now());
        }
        // Nobody knows.
        Err(_) => return,
    }
    if let Some(what) = seen_wrong {
        world.witness.seen().wrong(format!("stop of {of}: {what}"));
    }
    tokio::time::sleep(dice.pause(Duration::from_secs(240))).await;
    if dice.happens(700) {
        start(world, life, of).await;
    }
}

/// Starts something that was stopped, perhaps in an earlier life.
async fn start_something(world: &World, life: &Life) {
    let stopped = world.operated.stopped();
    if !stopped.is_empty() {
        let of = stopped[world.dice.index(stopped.len())].clone();
        start(world, life, of).await;
    }
}

async fn start(world: &World, life: &Life, of: StopOf) {
    world.operated.may_stop(of.clone());
    if life.spool.start(of.clone()).await.is_ok() {
        world.operated.starts(&of);
    }
}

/// Does something to one message that was accepted and may be queued.
async fn change_one(world: &World, life: &Life) {
    let Some((key, id)) = one(world) else { return };
    life.watched.is_operated_on(id);
    let selection = Selection::of_message(id);
    let now = || world.witness.seen().now();
    match world.dice.below(9) {
        0 => {
            world.witness.seen().may_cancel(key);
            if change(life, selection, ChangeAction::Cancel)
                .await
                .is_some()
            {
                world.operated.removes(id, now());
            }
        }
        1 | 2 => {
            let did_before = world.operated.holds_some();
            if let Some(held) = change(life, selection, ChangeAction::Hold).await {
                world.operated.has_held(did_before);
                if held > 0 {
                    world.operated.holds(id, now());
                }
            }
        }
        3 => {
            world.operated.releases(id);
            let did_before = world.operated.holds_some();
            if change(life, selection, ChangeAction::Release)
                .await
                .is_some()
            {
                world.operated.has_held(did_before);
            }
        }
        4 => {
            world.operated.hurries(Some(id));
            change(life, selection, ChangeAction::Retry).await;
            life.impatience.notify_one();
        }
        5 | 6 => {
            let by = world.dice.pause(Duration::from_secs(2 * 3_600));
            let to = match world.dice.happens(200) {
                true => earlier(life.clock.now(), by),
                false => life.clock.now().plus(by),
            };
            world.operated.hurries(Some(id));
            let moved = change(life, selection, ChangeAction::Reschedule(to)).await;
            if moved.is_some_and(|deliveries| deliveries > 0) {
                world.operated.moves(id, to, now());
            }
        }
        _ => {
            let class = Class::ALL[world.dice.index(5)];
            world.witness.seen().mails[key].is_class_known = false;
            world.operated.may_rank(id);
            let ranked = change(life, selection, ChangeAction::SetClass(class)).await;
            if ranked.is_some_and(|deliveries| deliveries > 0) {
                world.operated.ranks(id, class, now());
            }
        }
    }
}

/// Puts back one that was removed, if that is still possible.
async fn restore_one(world: &World, life: &Life) {
    let removed = world.operated.removed();
    let back = world.dice.index(removed.len().max(1));
    let Some(id) = removed.into_iter().rev().nth(back) else {
        return;
    };
    life.watched.is_operated_on(id);
    world.operated.restores(id);
    let restored = change(life, Selection::of_message(id), ChangeAction::Restore).await;
    let mut seen = world.witness.seen();
    match restored {
        Some(0) => {
            let now = seen.now();
            world.operated.removes(id, now);
        }
        Some(_) => seen.restored(id),
        None => {}
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

/// How many deliveries it concerned; none: nobody knows whether it was done.
async fn change(life: &Life, selection: Selection, action: ChangeAction) -> Option<u64> {
    let change = Change {
        action,
        by: "simulation".to_owned(),
        at: life.clock.now(),
    };
    let changed = life.spool.change(selection, change, false).await;
    changed.ok().map(|changed| changed.deliveries)
}
