//! The sends that are under way: who may go on, who has to wait, and until when.
//!
//! Arithmetic only: no async, no clock (`now` is an argument). While a very-high message moves, the others are
//! paused and trickle; where the capacity is bounded, it is handed out in order. Whom a change concerns is returned
//! as what its send gave to be woken by, so that the one who waits asks again.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;
use super::hops::{Hops, Motion};
use super::queue::{Asking, SendId};
use super::turns::InTurn;
use crate::message::{Class, ClassRule, MessageId, NextHop, Pause, PauseEnd};

/// How often a send that waits trickles.
const TRICKLE_EVERY: Duration = Duration::from_secs(1);

/// Pauses of one send that are told one by one. Those behind them are told together.
const PAUSES_TOLD_MAX: usize = 16;

/// How sends give way to one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Octets per second over all sends; none: as much as the network takes.
    pub capacity: Option<NonZeroU64>,
    /// For how long one send may be paused in all, and for how long one very-high send may pause others.
    pub pause_ceiling: Duration,
    /// Octets per second at which a paused send goes on, so that its host does not hang up; 0: none.
    pub trickle_octets: u32,
    /// How the classes below very high share the capacity.
    pub classes: ClassRule,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            capacity: None,
            // Hosts wait for five minutes, those under stress for ten seconds and what the trickle adds.
            pause_ceiling: Duration::from_secs(60),
            // Postfix under stress asks for 500.
            trickle_octets: 600,
            classes: ClassRule::default(),
        }
    }
}

/// What a send is.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) message: MessageId,
    pub(super) class: Class,
    pub(super) user: Arc<str>,
    /// Its place by acceptance.
    pub(super) sequence: u64,
}

/// What a send may do that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Send so many octets.
    Go(usize),
    /// Ask again then, or when it is woken.
    Wait(Option<Instant>),
}

/// Whether others are held no longer, or for less long than they knew.
pub(super) fn is_eased<T>(before: Option<(Instant, T)>, after: Option<(Instant, T)>) -> bool {
    match (before, after) {
        (Some((before, _)), Some((after, _))) => after < before,
        (before, after) => before.is_some() && after.is_none(),
    }
}

/// Somebody's pause has begun or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Paused(Class),
    Resumed(Class, Duration, PauseEnd),
}

/// A pause that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) since: Instant,
    pub(super) cause: MessageId,
    /// Beside the cause so many held it when it began.
    others: u64,
    /// How many had held somebody by then, of all that ever have.
    holders_before: u64,
}

#[derive(Debug)]
struct Under<W> {
    what: Sending,
    wake: W,
    pause: Option<Open>,
    /// Of the pauses that are over.
    paused: Duration,
    /// It was paused for as long as it may be: it finishes.
    is_exempt: bool,
    /// Whether it gets capacity in turn with those who wait in order, when it asked last.
    is_let_through: bool,
    /// Those that are over, and when they ended.
    pauses: Vec<(Pause, Instant)>,
    /// When it may trickle next.
    trickles_at: Instant,
    /// Of a very-high one, while it is in a transaction: where that is, and how it stands.
    urgent: Option<(Arc<NextHop>, Motion)>,
    /// Since when it has held others, in whatever transaction.
    held_since: Option<Instant>,
}

/// All sends that are under way.
#[derive(Debug)]
pub(super) struct Traffic<W> {
    rules: Rules,
    /// Woken in the order in which they began, where several may go on.
    sends: BTreeMap<SendId, Under<W>>,
    next_id: SendId,
    /// Very-high ones in a transaction.
    urgent: Vec<SendId>,
    /// How many of them have ever begun to hold others.
    holders: u64,
    /// Where they are.
    hops: Hops,
    bucket: Option<Bucket>,
    queue: InTurn,
    next_place: u64,
    notes: Vec<Note>,
}

impl<W: Clone> Traffic<W> {
    /// Nothing is under way.
    pub(super) fn new(rules: Rules, now: Instant) -> Self {
        Self {
            bucket: rules.capacity.map(|rate| Bucket::new(rate, now)),
            queue: InTurn::new(rules.classes),
            rules,
            sends: BTreeMap::new(),
            next_id: 0,
            urgent: Vec::new(),
            holders: 0,
            hops: Hops::default(),
            next_place: 0,
            notes: Vec::new(),
        }
    }

    /// Goes on by other rules. All who wait are to ask again.
    pub(super) fn follow(&mut self, rules: Rules, now: Instant) -> Vec<W> {
        if self.bucket.as_ref().map(Bucket::rate) != rules.capacity {
            self.bucket = rules.capacity.map(|rate| Bucket::new(rate, now));
        }
        self.queue.follow(rules.classes);
        self.rules = rules;
        self.all()
    }

    /// How the classes below very high share the capacity.
    pub(super) fn class_rule(&self) -> ClassRule {
        self.rules.classes
    }

    /// Whether anybody has to ask: a very-high message is in a transaction, or the capacity is bounded.
    pub(super) fn is_busy(&self) -> bool {
        self.has_urgent() || self.bucket.is_some()
    }

    /// Whether a very-high message is in a transaction.
    pub(super) fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// A send is under way.
    pub(super) fn enter(&mut self, what: Sending, wake: W, now: Instant) -> SendId {
        let id = self.next_id;
        self.next_id += 1;
        let under = Under {
            what,
            wake,
            pause: None,
            paused: Duration::ZERO,
            is_exempt: false,
            is_let_through: false,
            pauses: Vec::new(),
            trickles_at: now + TRICKLE_EVERY,
            urgent: None,
            held_since: None,
        };
        self.sends.insert(id, under);
        id
    }

    /// A send is over: its pauses, and who is to ask again.
    pub(super) fn leave(&mut self, id: SendId, now: Instant) -> (Vec<Pause>, Vec<W>) {
        let mut wake = self.end(id, now);
        let was_first = self.queue.first() == Some(id);
        self.queue.leave(id);
        if was_first {
            wake.extend(self.first());
        }
        self.resume(id, PauseEnd::Broken, now);
        let under = self.sends.remove(&id);
        let pauses = under.into_iter().flat_map(|under| under.pauses);
        let pauses = pauses.map(|(pause, ended)| Pause {
            ago: now - ended,
            ..pause
        });
        (pauses.collect(), wake)
    }

    /// The last of its content may leave, and nothing stops it any more: a pause that it trickled through is over.
    /// Says who else is to ask again.
    pub(super) fn finish(&mut self, id: SendId, now: Instant) -> Option<W> {
        let was_first = self.queue.first() == Some(id);
        self.queue.leave(id);
        self.resume(id, PauseEnd::Finished, now);
        if was_first { self.first() } else { None }
    }

    /// Whether a send that is not in a transaction is not to begin one now.
    pub(super) fn gives_way(&self, id: SendId, now: Instant) -> bool {
        let may_go_on = |under: &Under<W>| under.what.class == Class::VeryHigh || under.is_exempt;
        self.held(now).is_some() && !self.sends.get(&id).is_none_or(may_go_on)
    }

    /// A very-high send begins a transaction at a next hop: who is to ask again, since it has to pause.
    pub(super) fn begin(&mut self, id: SendId, next_hop: &Arc<NextHop>, now: Instant) -> Vec<W> {
        if !self.sends.contains_key(&id) || self.urgent.contains(&id) {
            return Vec::new();
        }
        let urgent = self.urgent.iter().filter_map(|id| self.sends.get(id));
        let others = urgent.filter_map(|under| match &under.urgent {
            Some((at, motion)) if at == next_hop => Some(*motion),
            _ => None,
        });
        let motion = self.hops.begin(next_hop, others, now);
        self.urgent.push(id);
        if let Some(under) = self.sends.get_mut(&id) {
            under.urgent = Some((Arc::clone(next_hop), motion));
            if !motion.holds_in_advance() {
                return Vec::new();
            }
            self.holders += u64::from(under.held_since.is_none());
            under.held_since.get_or_insert(now);
        }
        // Those who wait for capacity have not had a look since.
        let waiting = self
            .sends
            .iter()
            .filter(|(id, under)| under.what.class != Class::VeryHigh && self.queue.has(**id));
        waiting.map(|(_, under)| under.wake.clone()).collect()
    }

    /// A very-high send moves: its host has said something in this transaction, now or before.
    pub(super) fn moved(&mut self, id: SendId, now: Instant) {
        if let Some(under) = self.sends.get_mut(&id)
            && let Some((next_hop, motion)) = &mut under.urgent
        {
            self.hops.moved(next_hop, motion, now);
            self.holders += u64::from(under.held_since.is_none());
            under.held_since.get_or_insert(now);
        }
    }

    /// Its transaction is over: who is to ask again, since nothing very high moves any more, or what does holds them
    /// for less long. Others may be in a transaction that do not.
    pub(super) fn end(&mut self, id: SendId, now: Instant) -> Vec<W> {
        let Some(place) = self.urgent.iter().position(|urgent| *urgent == id) else {
            return Vec::new();
        };
        let before = self.held(now);
        self.urgent.swap_remove(place);
        let under = self.sends.get_mut(&id);
        if let Some((next_hop, motion)) = under.and_then(|under| under.urgent.take()) {
            self.hops.end(&next_hop, motion, now);
        }
        match is_eased(before, self.held(now)) {
            true => self.all_paused(),
            false => Vec::new(),
        }
    }

    /// Until when others are held, unless it moves again or ends, and by which message; none when nothing very high
    /// moves.
    pub(super) fn held(&self, now: Instant) -> Option<(Instant, MessageId)> {
        let (mut last, mut first) = (None, None);
        for (until, under) in self.holding(now) {
            last = last.max(Some(until));
            let order = (under.held_since, under.what.sequence);
            if first.is_none_or(|(of_first, _)| order < of_first) {
                first = Some((order, under.what.message));
            }
        }
        last.zip(first.map(|(_, message)| message))
    }

    /// Those that hold others, and until when.
    fn holding(&self, now: Instant) -> impl Iterator<Item = (Instant, &Under<W>)> {
        self.urgent.iter().filter_map(move |id| {
            let under = self.sends.get(id)?;
            let until = self.holds_until(under)?;
            let until = until.min(under.held_since? + self.rules.pause_ceiling);
            (until > now).then_some((until, under))
        })
    }

    /// Until when a very-high send holds others but for the ceiling, if it may.
    fn holds_until(&self, under: &Under<W>) -> Option<Instant> {
        let (next_hop, motion) = under.urgent.as_ref()?;
        self.hops.holds_until(next_hop, *motion)
    }

    /// Since when something very high that moves has held others for as long as it may, the last of them; none where
    /// nothing has, or others are held.
    fn spent_since(&self, now: Instant) -> Option<Instant> {
        let urgent = self.urgent.iter().filter_map(|id| self.sends.get(id));
        let spent = urgent.filter_map(|under| {
            let moves = self.holds_until(under).is_some_and(|until| until > now);
            let spent = under.held_since? + self.rules.pause_ceiling;
            (moves && spent <= now).then_some(spent)
        });
        spent.max().filter(|_| self.held(now).is_none())
    }

    /// A send wants to send so many octets. Says also who else is to ask again.
    pub(super) fn ask(&mut self, id: SendId, octets: usize, now: Instant) -> (Turn, Option<W>) {
        let Some(under) = self.sends.get(&id) else {
            return (Turn::Go(octets), None);
        };
        let class = under.what.class;
        if class != Class::VeryHigh
            && let Some((until, cause)) = self.held(now)
            && self.stays_paused(id, cause, now)
        {
            let was_first = self.queue.first() == Some(id);
            self.queue.leave(id);
            let next = if was_first { self.first() } else { None };
            return (self.trickle(id, octets, Some(until), now), next);
        }
        let spent = self.spent_since(now);
        let is_spent = spent.is_some();
        // What had held others for as long as it may before this one was paused did not pause it.
        let paused = self.pause_of(id).map(|open| open.since);
        let end = match spent.zip(paused) {
            Some((spent, paused)) if spent > paused => PauseEnd::Ceiling,
            _ => PauseEnd::Resumed,
        };
        self.resume(id, end, now);
        let Some(bucket) = &mut self.bucket else {
            return (Turn::Go(octets), None);
        };
        let octets_now = octets.min(bucket.piece_max());
        let ready_at = bucket.ready_at(now);
        self.join(id, is_spent);
        if self.queue.first() != Some(id) {
            // Who is first may have become it since others were served, and not know.
            let first = self.first();
            return (self.trickle(id, octets, None, now), first);
        }
        if let Some(ready_at) = ready_at {
            return (self.trickle(id, octets, Some(ready_at), now), None);
        }
        self.queue.leave(id);
        self.send(id, octets_now, now + TRICKLE_EVERY);
        (Turn::Go(octets_now), self.first())
    }

    /// What has happened to pauses since this was asked last.
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// All sends: what each gave to be woken by, what it is, and its pause if it is paused.
    pub(super) fn all_sends(&self) -> impl Iterator<Item = (&W, &Sending, Option<Open>)> {
        let sends = self.sends.values();
        sends.map(|under| (&under.wake, &under.what, under.pause))
    }

    /// The pause of a send, if it is paused.
    pub(super) fn pause_of(&self, id: SendId) -> Option<Open> {
        self.sends.get(&id).and_then(|under| under.pause)
    }

    /// Whether a send is paused at this moment; its pause begins with the first time that it has to be.
    fn stays_paused(&mut self, id: SendId, cause: MessageId, now: Instant) -> bool {
        let ceiling = self.rules.pause_ceiling;
        let holding = self.holding(now).count();
        let Some(under) = self.sends.get_mut(&id) else {
            return false;
        };
        if under.is_exempt {
            return false;
        }
        let open = under.pause.map_or(Duration::ZERO, |open| now - open.since);
        if under.paused + open >= ceiling {
            under.is_exempt = true;
            self.resume(id, PauseEnd::Ceiling, now);
            return false;
        }
        if under.pause.is_none() {
            under.pause = Some(Open {
                since: now,
                cause,
                others: u64::try_from(holding.saturating_sub(1)).unwrap_or(0),
                holders_before: self.holders,
            });
            under.trickles_at = under.trickles_at.max(now);
            self.notes.push(Note::Paused(under.what.class));
        }
        true
    }

    /// A send has to wait until then, or until it is woken. It trickles meanwhile.
    fn trickle(&mut self, id: SendId, octets: usize, until: Option<Instant>, now: Instant) -> Turn {
        let trickle = usize::try_from(self.rules.trickle_octets).unwrap_or(usize::MAX);
        let ceiling = self.rules.pause_ceiling;
        let Some(under) = self.sends.get(&id) else {
            return Turn::Go(octets);
        };
        let ends = under
            .pause
            .map(|open| open.since + ceiling.saturating_sub(under.paused));
        let until = until.into_iter().chain(ends).min();
        if trickle == 0 {
            return Turn::Wait(until);
        }
        let next = under.trickles_at;
        // A capacity that is smaller than all trickles together is kept all the same.
        let bucket = self.bucket.as_mut();
        if now >= next && !bucket.is_some_and(|bucket| bucket.is_exhausted(now)) {
            let octets = octets.min(trickle);
            // Counted from when it was due: on a busy machine each is late.
            self.send(
                id,
                octets,
                (next + TRICKLE_EVERY).max(now + TRICKLE_EVERY / 2),
            );
            return Turn::Go(octets);
        }
        let next = next.max(now + Duration::from_millis(1));
        Turn::Wait(Some(until.map_or(next, |until| until.min(next))))
    }

    fn send(&mut self, id: SendId, octets: usize, trickles_at: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(octets);
        }
        if let Some(under) = self.sends.get_mut(&id) {
            under.trickles_at = trickles_at;
            let (class, user) = (under.what.class, &under.what.user);
            self.queue.serve(class, user, octets, under.is_let_through);
        }
    }

    /// The pause of a send is over, if it is paused.
    fn resume(&mut self, id: SendId, end: PauseEnd, now: Instant) {
        let Some(under) = self.sends.get_mut(&id) else {
            return;
        };
        let Some(open) = under.pause.take() else {
            return;
        };
        let took = now - open.since;
        let others = open.others + (self.holders - open.holders_before);
        under.paused += took;
        self.notes.push(Note::Resumed(under.what.class, took, end));
        let pause = Pause {
            cause: open.cause,
            others: u32::try_from(others).unwrap_or(u32::MAX),
            times: 1,
            ago: Duration::ZERO,
            took,
            end,
        };
        let is_told_together = under.pauses.len() > PAUSES_TOLD_MAX;
        match under.pauses.last_mut() {
            Some((last, ended)) if is_told_together => {
                last.merge(&pause);
                *ended = now;
            }
            _ => under.pauses.push((pause, now)),
        }
    }

    /// A send waits for capacity. `is_spent`: nothing very high holds others any more, though it moves.
    fn join(&mut self, id: SendId, is_spent: bool) {
        let Some(under) = self.sends.get_mut(&id) else {
            return;
        };
        let is_below = under.what.class != Class::VeryHigh;
        under.is_let_through = is_below && (is_spent || under.is_exempt && !self.urgent.is_empty());
        let is_let_through = under.is_let_through;
        if self.queue.has_in(id, is_let_through) {
            return;
        }
        let place = match under.what.class {
            Class::VeryHigh => under.what.sequence,
            _ => self.next_place,
        };
        self.next_place += 1;
        let asking = Asking {
            id,
            class: under.what.class,
            user: Arc::clone(&under.what.user),
            place,
        };
        self.queue.join(asking, is_let_through);
    }

    /// Who is next, to be woken.
    fn first(&mut self) -> Option<W> {
        let first = self.queue.first()?;
        self.sends.get(&first).map(|under| under.wake.clone())
    }

    #[cfg(test)]
    fn is_exempt(&self, id: SendId) -> bool {
        self.sends.get(&id).is_none_or(|under| under.is_exempt)
    }

    fn all_paused(&self) -> Vec<W> {
        let paused = self.sends.values().filter(|under| under.pause.is_some());
        paused.map(|under| under.wake.clone()).collect()
    }

    fn all(&self) -> Vec<W> {
        self.sends
            .values()
            .map(|under| under.wake.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
