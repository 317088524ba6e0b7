//! The way to the next hops: when octets leave on each connection, and whether they may while something very high moves.
//!
//! What counts is what goes over the wires and what hosts say, not what the relay makes of it. While a very-high
//! message is surely being sent, nothing else leaves but what the relay was in the middle of writing, and the trickle;
//! and no attempt comes to its first MAIL then. While nothing very high can be holding others, a host that waits for
//! content gets it; and where something very high hangs, what begins there holds others only when its host has answered
//! (`stalled`). A class is what the submitter was due: of messages to which the operator gave another one nothing
//! is sure, so they neither are held nor hold for sure.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::stalled::{Begins, Standing, Urgent};

/// So long something very high surely holds others after it has moved: the relay's own 1.5 s, but for how exactly it knows.
pub(super) const HOLDS_SURELY: Duration = Duration::from_millis(1_400);

/// So long it holds others at most. The relay promises two seconds.
pub(super) const HOLDS_AT_MOST: Duration = Duration::from_millis(1_600);

/// The same where something has surely hung.
const HOLDS_AT_MOST_AFTER_ONE: Duration = Duration::from_millis(850);

/// How soon others go on, when nothing holds them any more.
const GOES_ON_WITHIN: Duration = Duration::from_millis(50);

/// Commands of a transaction, which are no content.
const COMMANDS: usize = 500;

/// A piece as it comes from the spool. The end of one may have been let pass and be written with the next.
const SPOOL_PIECE: usize = 64 << 10;

/// The way to all next hops.
#[derive(Debug, Default)]
pub(super) struct Road(Mutex<State>);

/// Names a connection.
pub(super) type WireId = u64;

/// What the road knows beside what goes over it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) ceiling: Duration,
    pub(super) trickle: usize,
    /// Whether more is shared than the time of the very-high ones.
    pub(super) has_capacity: bool,
    /// What the disk may take for a content, or for a claim.
    pub(super) disk: Duration,
}

/// How a message stands to very high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    VeryHigh,
    Below,
    /// The operator has given it another class, or asked for that.
    Unknown,
}

#[derive(Debug, Default)]
struct State {
    wires: BTreeMap<WireId, Wire>,
    next_id: WireId,
    /// Attempts that are under way, by message and hop.
    attempts: BTreeMap<(usize, usize), Attempt>,
    /// Hops where something very high is or was under way.
    standing: BTreeMap<usize, Standing>,
    /// Others are surely held.
    hold: Option<Hold>,
    /// Until when anything may hold others.
    may_hold_until: Option<Instant>,
    holds: u64,
    held: u64,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    begun: Instant,
    /// When its first MAIL left.
    mail: Option<Instant>,
    /// From when on it may have held others, or sooner.
    holds: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    since: Instant,
    until: Instant,
}

#[derive(Debug)]
struct Wire {
    hop: usize,
    transaction: Option<Transaction>,
    /// Its host has said its last word about this, which the relay has not read.
    ended: Option<Urgent>,
    /// Of what the relay meant to write when it wrote last.
    unwritten: usize,
}

#[derive(Debug)]
struct Transaction {
    key: usize,
    rank: Rank,
    /// When octets came or went since the first reply. Before that, when it began: commands leave though a host hangs.
    moved: Instant,
    /// The longest time before that in which nothing moved.
    stood: Duration,
    /// Its host has said something.
    is_answered: bool,
    begins: Begins,
    /// From then on it is held no longer, and surely may hold nobody for longer.
    limit: Instant,
    /// From then on it holds nobody.
    limit_at_most: Instant,
    /// The host has refused something: it may be over.
    is_refused: bool,
    /// More may be let pass at once than the wire shows.
    is_long: bool,
    /// Since when it is held, what it may send then at once, and what it has sent.
    held: Option<(Instant, usize, usize)>,
}

impl Road {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A life of the relay begins: there are no connections.
    pub(super) fn begins(&self) {
        let mut state = self.state();
        state.wires.clear();
        state.attempts.clear();
        state.standing.clear();
        state.hold = None;
        state.may_hold_until = None;
    }

    /// Whether anything may have held others at some moment since then.
    pub(super) fn may_have_held_others_since(&self, since: Instant) -> bool {
        self.state()
            .may_hold_until
            .is_some_and(|until| since <= until)
    }

    /// How many times others were held, and how many sends that was about.
    pub(super) fn tally(&self) -> (u64, u64) {
        let state = self.state();
        (state.holds, state.held)
    }

    /// A connection to a hop.
    pub(super) fn connect(&self, hop: usize) -> WireId {
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        let wire = Wire {
            hop,
            transaction: None,
            ended: None,
            unwritten: 0,
        };
        state.wires.insert(id, wire);
        id
    }

    /// An attempt begins for a message of a submitter.
    pub(super) fn begins_attempt(&self, key: usize, hop: usize) {
        let attempt = Attempt {
            begun: Instant::now(),
            mail: None,
            holds: None,
        };
        self.state().attempts.insert((key, hop), attempt);
    }

    /// The relay has written so many of these octets. `rank` tells what a message is; none: it is a report.
    pub(super) fn wrote(
        &self,
        id: WireId,
        octets: &[u8],
        written: usize,
        rules: Rules,
        rank: impl FnOnce(usize) -> (Rank, usize),
    ) -> Option<String> {
        let now = Instant::now();
        let mut state = self.state();
        let mut wrong = None;
        if [&b"MAIL"[..], b"RSET", b"QUIT"].contains(&octets.get(..4)?) {
            state.end(id, now);
            if let Some(key) = key_of_mail(octets) {
                let (rank, octets) = rank(key);
                wrong = state.begin(id, key, rank, octets, rules, now);
            }
        }
        let moved = state.moves(id, written, rules, now);
        if let Some(wire) = state.wires.get_mut(&id) {
            wire.unwritten = octets.len() - written;
        }
        wrong.or(moved)
    }

    /// The relay has read something.
    pub(super) fn read(&self, id: WireId, ceiling: Duration) {
        self.state().reads(id, ceiling, Instant::now());
    }

    /// The host refuses something.
    pub(super) fn refuses(&self, id: WireId) {
        let mut state = self.state();
        let wire = state.wires.get_mut(&id);
        if let Some(transaction) = wire.and_then(|wire| wire.transaction.as_mut()) {
            transaction.is_refused = true;
            state.look(Instant::now());
        }
    }

    /// The host says its last word about a message.
    pub(super) fn ends(&self, id: WireId) {
        self.state().says_last(id, Instant::now());
    }

    /// The connection is gone.
    pub(super) fn hangs_up(&self, id: WireId) {
        let mut state = self.state();
        state.end(id, Instant::now());
        state.wires.remove(&id);
    }

    /// A host has waited for octets of a content since then, and has got some now, or will not wait for longer.
    pub(super) fn has_waited(&self, id: WireId, since: Instant, rules: Rules) -> Option<String> {
        let state = self.state();
        let now = Instant::now();
        let transaction = state.wires.get(&id)?.transaction.as_ref()?;
        if rules.has_capacity || transaction.rank != Rank::Below {
            return None;
        }
        let free = state.may_hold_until.map_or(since, |until| until.max(since));
        let waited = now.saturating_duration_since(free);
        (waited > GOES_ON_WITHIN + rules.disk).then(|| {
            let (key, limit) = (transaction.key, GOES_ON_WITHIN + rules.disk);
            let asked = now - since;
            let held = state.may_hold_until.map(|until| now - until);
            format!(
                "message {key} stood still for {waited:?} of {limit:?} though nothing very high moved: its host waits for {asked:?}, and others were held until {held:?} ago"
            )
        })
    }
}

impl State {
    fn begin(
        &mut self,
        id: WireId,
        key: usize,
        rank: Rank,
        octets: usize,
        rules: Rules,
        now: Instant,
    ) -> Option<String> {
        let hop = self.wires.get(&id)?.hop;
        let attempt = self.attempts.get(&(key, hop))?;
        let begins = match rank {
            Rank::Below => Begins::Idle,
            _ => {
                let others = self.urgent_at(hop);
                let standing = self.standing.entry(hop);
                let standing = standing.or_insert_with(|| Standing::new(now));
                standing.begins(rank, &others, now)
            }
        };
        let is_first = attempt.mail.is_none();
        let first = attempt.mail.unwrap_or(now);
        let holds = attempt.holds;
        let attempt = self.attempts.get_mut(&(key, hop))?;
        attempt.mail = Some(first);
        if let Begins::Holding(_) = begins {
            attempt.holds.get_or_insert(now);
        }
        let wire = self.wires.get_mut(&id)?;
        wire.transaction = Some(Transaction {
            key,
            rank,
            moved: now,
            stood: Duration::ZERO,
            is_answered: false,
            begins,
            limit: first + rules.ceiling,
            limit_at_most: holds.unwrap_or(now) + rules.ceiling,
            is_refused: false,
            is_long: octets + 2_000 > SPOOL_PIECE,
            held: None,
        });
        let begun = attempt.begun;
        self.look(now);
        let hold = self.hold.filter(|_| rank == Rank::Below && is_first)?;
        // In one moment either may have come first.
        (hold.since < now).then(|| {
            format!(
                "message {key} began {:?} ago and came to MAIL, while something very high has moved for {:?}",
                now - begun,
                now - hold.since
            )
        })
    }

    fn moves(&mut self, id: WireId, octets: usize, rules: Rules, now: Instant) -> Option<String> {
        if octets == 0 {
            return None;
        }
        self.hold = self.hold.filter(|hold| now < hold.until);
        let wire = self.wires.get_mut(&id)?;
        let unwritten = wire.unwritten;
        let transaction = wire.transaction.as_mut()?;
        if transaction.rank != Rank::Below {
            if transaction.is_answered {
                self.is_moved(id, now);
            }
            return None;
        }
        let hold = self.hold.filter(|_| now < transaction.limit)?;
        let longer = if transaction.is_long { SPOOL_PIECE } else { 0 };
        let held = match transaction.held {
            Some(held) if held.0 == hold.since => held,
            _ => (hold.since, unwritten + longer + COMMANDS, 0),
        };
        let (since, at_once, sent) = held;
        let sent = sent + octets;
        transaction.held = Some((since, at_once, sent));
        let seconds = (now - since).as_secs() as usize + 1;
        // Dots are stuffed and chunks have commands.
        let trickled = seconds * (rules.trickle * 3 / 2 + 32);
        (sent > at_once + trickled).then(|| {
            format!(
                "{sent} octets of message {} left in {:?}, while something very high moved",
                transaction.key,
                now - since
            )
        })
    }

    fn reads(&mut self, id: WireId, ceiling: Duration, now: Instant) {
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        let hop = wire.hop;
        if let Some(ended) = wire.ended.take() {
            let others = self.urgent_at(hop).len();
            if let Some(standing) = self.standing.get_mut(&hop) {
                standing.moves(ended.rank, now);
                let ended = Urgent {
                    moved: now,
                    stood: ended.stood.max(now - ended.moved),
                    ..ended
                };
                standing.passes(&ended, others, now);
            }
        }
        let wire = self.wires.get_mut(&id);
        let Some(transaction) = wire.and_then(|wire| wire.transaction.as_mut()) else {
            return;
        };
        if transaction.rank == Rank::Below {
            return;
        }
        if !std::mem::replace(&mut transaction.is_answered, true)
            && let Some(attempt) = self.attempts.get_mut(&(transaction.key, hop))
        {
            transaction.limit_at_most = *attempt.holds.get_or_insert(now) + ceiling;
        }
        self.is_moved(id, now);
    }

    /// What is or may be very high on a connection moves.
    fn is_moved(&mut self, id: WireId, now: Instant) {
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        if let Some(transaction) = &mut wire.transaction {
            transaction.stood = transaction.stood.max(now - transaction.moved);
            transaction.moved = now;
            if let Some(standing) = self.standing.get_mut(&wire.hop) {
                standing.moves(transaction.rank, now);
            }
            self.look(now);
        }
    }

    fn says_last(&mut self, id: WireId, now: Instant) {
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        let Some(transaction) = wire.transaction.take() else {
            return;
        };
        if transaction.rank != Rank::Below {
            // Whether it is over is for the relay to read.
            let is_refused = true;
            wire.ended = Some(Urgent {
                is_refused,
                ..transaction.urgent()
            });
            if let Some(standing) = self.standing.get_mut(&wire.hop) {
                standing.may_move(now);
            }
        }
        self.look(now);
    }

    fn end(&mut self, id: WireId, now: Instant) {
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        let (hop, transaction) = (wire.hop, wire.transaction.take());
        let is_over = transaction.is_some();
        let transaction = transaction.filter(|of| of.rank != Rank::Below);
        let urgent = transaction.map(|of| of.urgent());
        for ended in [wire.ended.take(), urgent].into_iter().flatten() {
            let others = self.urgent_at(hop).len();
            if let Some(standing) = self.standing.get_mut(&hop) {
                standing.is_cut_off(&ended, others, now);
            }
        }
        if is_over {
            self.look(now);
        }
    }

    /// What is or may be very high and under way at a hop.
    fn urgent_at(&self, hop: usize) -> Vec<Urgent> {
        let wires = self.wires.values().filter(|wire| wire.hop == hop);
        let urgent = wires.flat_map(|wire| {
            let transaction = wire.transaction.as_ref();
            let transaction = transaction.filter(|of| of.rank != Rank::Below);
            [transaction.map(Transaction::urgent), wire.ended]
        });
        urgent.flatten().collect()
    }

    /// Who holds others, and until when.
    fn look(&mut self, now: Instant) {
        let before = self.hold.filter(|hold| now < hold.until);
        let transactions = || {
            let wires = self.wires.values();
            wires.filter_map(|wire| wire.transaction.as_ref())
        };
        let surely = transactions()
            .filter(|of| of.rank == Rank::VeryHigh && !of.is_refused)
            .filter_map(|of| Some((of.surely_from()? + HOLDS_SURELY).min(of.limit)));
        let surely = surely.max().filter(|until| now < *until);
        let at_most = transactions()
            .filter(|of| of.rank != Rank::Below && (of.is_answered || of.begins != Begins::Idle))
            .map(|of| {
                of.holds_at_most_until()
                    .min(of.limit_at_most + GOES_ON_WITHIN)
            });
        // What has ended until now is over at this moment.
        let had_some = self.may_hold_until.is_some_and(|until| now < until);
        let at_most = at_most.max();
        self.may_hold_until = match (at_most, had_some) {
            (Some(until), true) => Some(until.max(now)),
            (Some(until), false) if now < until => Some(until),
            (None, true) => Some(now),
            _ => self.may_hold_until,
        };
        self.hold = surely.map(|until| Hold {
            since: before.map_or(now, |before| before.since),
            until,
        });
        if before.is_none() && self.hold.is_some() {
            let below = transactions().filter(|of| of.rank == Rank::Below).count();
            self.holds += 1;
            self.held += below as u64;
        }
    }
}

impl Transaction {
    fn urgent(&self) -> Urgent {
        Urgent {
            rank: self.rank,
            moved: self.moved,
            stood: self.stood,
            is_refused: self.is_refused,
            may_be_idle: !self.is_answered && !matches!(self.begins, Begins::Holding(_)),
        }
    }

    /// From when on the patience with it counts, if it surely holds others.
    fn surely_from(&self) -> Option<Instant> {
        match self.begins {
            Begins::Holding(_) if self.is_answered => Some(self.moved),
            Begins::Holding(since) => Some(since.min(self.moved)),
            Begins::Unknown | Begins::Idle => None,
        }
    }

    /// Until when it may hold others, unless it moves on.
    fn holds_at_most_until(&self) -> Instant {
        let at_most = match self.begins {
            Begins::Idle => HOLDS_AT_MOST_AFTER_ONE,
            Begins::Holding(_) | Begins::Unknown => HOLDS_AT_MOST,
        };
        self.moved + at_most
    }
}

/// The key of the message in whose name MAIL is given; none: in nobody's, or there is none.
fn key_of_mail(octets: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(octets, b"MAIL FROM:<")?;
    let path = std::str::from_utf8(octets[at..].split(|octet| *octet == b'>').next()?).ok()?;
    let (_, key) = path.split_once("+k")?;
    key.split_once('@')?.0.parse().ok()
}

#[cfg(test)]
mod tests;
