//! The way to the next hops: when octets leave on each connection, and whether they may while something very high moves.
//!
//! What counts is what goes over the wires and what hosts say, not what the relay makes of it. While a very-high
//! message is surely being sent, nothing else leaves but what the relay was in the middle of writing, and the trickle;
//! and no attempt that begins then comes to MAIL. While nothing very high can be holding others, a host that waits for
//! content gets it. A class is what the submitter was due: of messages to which the operator gave another one nothing
//! is sure, so they neither are held nor hold for sure.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So long something very high surely holds others after it has moved: the relay's own 1.5 s, but for how exactly it knows.
const HOLDS_SURELY: Duration = Duration::from_millis(1_400);

/// So long it holds others at most. The relay promises two seconds.
const HOLDS_AT_MOST: Duration = Duration::from_millis(1_600);

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
    /// Of what the relay meant to write when it wrote last.
    unwritten: usize,
}

#[derive(Debug)]
struct Transaction {
    key: usize,
    rank: Rank,
    /// When octets came or went.
    moved: Instant,
    /// From then on it is held no longer, and holds nobody.
    limit: Instant,
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
    pub(super) fn read(&self, id: WireId) {
        let now = Instant::now();
        let mut state = self.state();
        let wire = state.wires.get_mut(&id);
        if let Some(transaction) = wire.and_then(|wire| wire.transaction.as_mut()) {
            transaction.moved = now;
            state.look(now);
        }
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
        self.state().end(id, Instant::now());
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
        let wire = self.wires.get_mut(&id)?;
        let attempt = self.attempts.get_mut(&(key, wire.hop))?;
        let first = *attempt.mail.get_or_insert(now);
        wire.transaction = Some(Transaction {
            key,
            rank,
            moved: now,
            limit: first + rules.ceiling,
            is_refused: false,
            is_long: octets + 2_000 > SPOOL_PIECE,
            held: None,
        });
        let begun = attempt.begun;
        self.look(now);
        let hold = self.hold.filter(|_| rank == Rank::Below)?;
        (hold.since + rules.disk < begun).then(|| {
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
        transaction.moved = now;
        if transaction.rank != Rank::Below {
            self.look(now);
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

    fn end(&mut self, id: WireId, now: Instant) {
        let wire = self.wires.get_mut(&id);
        if wire.and_then(|wire| wire.transaction.take()).is_some() {
            self.look(now);
        }
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
            .map(|of| (of.moved + HOLDS_SURELY).min(of.limit));
        let surely = surely.max().filter(|until| now < *until);
        let at_most = transactions()
            .filter(|of| of.rank != Rank::Below)
            .map(|of| (of.moved + HOLDS_AT_MOST).min(of.limit + GOES_ON_WITHIN));
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

/// The key of the message in whose name MAIL is given; none: in nobody's, or there is none.
fn key_of_mail(octets: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(octets, b"MAIL FROM:<")?;
    let path = std::str::from_utf8(octets[at..].split(|octet| *octet == b'>').next()?).ok()?;
    let (_, key) = path.split_once("+k")?;
    key.split_once('@')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        ceiling: Duration::from_secs(60),
        trickle: 600,
        has_capacity: false,
        disk: Duration::from_millis(1),
    };

    /// A road on which message 1 is very high and all others are not, with a connection each.
    fn road() -> Road {
        let road = Road::default();
        for key in 1..4 {
            road.begins_attempt(key, 0);
            road.connect(0);
        }
        road
    }

    fn write(road: &Road, wire: WireId, octets: &[u8], written: usize) -> Option<String> {
        road.wrote(wire, octets, written, RULES, |key| match key {
            1 => (Rank::VeryHigh, 1_000),
            _ => (Rank::Below, 1_000),
        })
    }

    fn mail(road: &Road, wire: WireId, key: usize) -> Option<String> {
        let mail = format!("MAIL FROM:<user+k{key}@home.example>\r\n");
        write(road, wire, mail.as_bytes(), mail.len())
    }

    async fn pass(milliseconds: u64) {
        tokio::time::advance(Duration::from_millis(milliseconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_being_written_and_the_trickle_may_leave_while_something_very_high_moves() {
        let road = road();
        assert_eq!(mail(&road, 1, 2), None);
        // The host takes a fourth of it.
        assert_eq!(write(&road, 1, &[b'x'; 8_000], 2_000), None);
        assert_eq!(mail(&road, 0, 1), None);
        assert_eq!(write(&road, 1, &[b'x'; 6_000], 6_000), None);
        assert_eq!(write(&road, 1, &[b'x'; 600], 600), None);
        assert_eq!(road.tally(), (1, 1));
        let wrong = write(&road, 1, &[b'x'; 1_000], 1_000);
        assert!(wrong.is_some_and(|wrong| wrong.contains("left in 0ns")));
        pass(1_390).await;
        assert_eq!(write(&road, 1, b"x", 1), None);
        assert!(write(&road, 1, &[b'x'; 1_000], 1_000).is_some());
        // Nothing very high has moved for longer than it may hold others.
        pass(20).await;
        assert_eq!(write(&road, 1, &[b'x'; 50_000], 50_000), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_others_does_so_until_its_last_reply_a_refusal_or_the_ceiling() {
        let road = road();
        assert_eq!(mail(&road, 1, 2), None);
        assert_eq!(mail(&road, 0, 1), None);
        assert!(write(&road, 1, &[b'x'; 3_000], 3_000).is_some());
        road.ends(0);
        assert_eq!(write(&road, 1, &[b'x'; 3_000], 3_000), None);
        assert_eq!(mail(&road, 0, 1), None);
        assert!(write(&road, 1, &[b'x'; 3_000], 3_000).is_some());
        road.refuses(0);
        assert_eq!(write(&road, 1, &[b'x'; 3_000], 3_000), None);
        road.hangs_up(0);
        road.connect(0);
        assert_eq!(mail(&road, 3, 1), None);
        for _ in 0..59 {
            road.read(3);
            pass(1_000).await;
        }
        road.read(3);
        assert!(write(&road, 2, b"MAIL FROM:<user+k3@home.example>", 32).is_none());
        // A minute of trickles, and more.
        assert!(write(&road, 2, &[b'x'; 60_000], 60_000).is_some());
        pass(1_000).await;
        road.read(3);
        assert_eq!(write(&road, 2, &[b'x'; 3_000], 3_000), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_begins_while_something_very_high_moves_comes_to_no_mail() {
        let road = road();
        assert_eq!(mail(&road, 0, 1), None);
        assert_eq!(mail(&road, 1, 2), None, "it began before");
        pass(10).await;
        road.begins_attempt(3, 0);
        assert!(mail(&road, 2, 3).is_some_and(|wrong| wrong.contains("came to MAIL")));
        road.ends(0);
        assert_eq!(mail(&road, 2, 3), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_still_though_nothing_holds_it_is_told() {
        let road = road();
        assert_eq!(mail(&road, 1, 2), None);
        let since = Instant::now();
        assert_eq!(mail(&road, 0, 1), None);
        pass(1_600).await;
        assert_eq!(road.has_waited(1, since, RULES), None);
        pass(100).await;
        let wrong = road.has_waited(1, since, RULES);
        assert!(wrong.is_some_and(|wrong| wrong.contains("stood still for 100ms")));
        road.read(0);
        pass(1_000).await;
        assert_eq!(road.has_waited(1, since, RULES), None);
        road.ends(0);
        pass(60).await;
        assert!(road.has_waited(1, since, RULES).is_some());
        let since = Instant::now();
        assert_eq!(road.has_waited(1, since, RULES), None);
    }
}
