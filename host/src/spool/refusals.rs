//! Refused senders: who tried to send as whom, and was not let.
//!
//! Refusals of one user and one sender are one row, however often they come. The rows are few and bounded, so memory
//! has all of them and answers every question; each change of them is durable before memory has it. What a batch of
//! changes comes to is worked out in `plan`, from what memory has, alike for every backend. Who may send as whom is
//! decided by others; nothing here has a say in it.

mod batch;
mod plan;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Bound;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::message::{Address, Timestamp};

pub use batch::{NewRefusals, RefusedMessage};
pub(super) use plan::Plan;

/// Rows at once, each of a kibibyte or so: all of them stand in memory. More than anybody looks through; those that were seen
/// last stay.
pub const REFUSALS_MAX: usize = 10_000;

/// Rows of one user at once. Whoever guesses senders pushes out his own rows first, and it takes fifty such users to push
/// out others.
pub const REFUSALS_OF_USER_MAX: usize = 200;

/// How long a row is kept since it was last seen: mail that is sent once a month shows twice.
pub const REFUSALS_KEPT: Duration = Duration::from_secs(32 * 24 * 60 * 60);

/// Clients that a row names, the last ones: enough to see whether it is one program or many.
const CLIENTS_MAX: usize = 4;

/// Reasons that a row has, those of the last time.
const REASONS_MAX: usize = 5;

/// Octets of a reason. Those of the shipped components are shorter.
const REASON_OCTETS_MAX: usize = 300;

/// Octets of a sender that has a row: the longest local part, an @ and the longest domain (RFC 5321 §4.5.3.1). A header can
/// name longer ones, which no rule could hold.
const SENDER_OCTETS_MAX: usize = 64 + 1 + 255;

/// Rows of a page at most.
pub const REFUSAL_ROWS_MAX: usize = 1_000;

/// Where a refused sender was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedIn {
    /// In MAIL.
    Envelope,
    /// In the header, as an author.
    Header,
}

/// A sender that a user was refused, once or more often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The list of the user, the last time.
    pub list: String,
    /// The user.
    pub user: String,
    /// As whom; none: the null reverse-path.
    pub sender: Option<Address>,
    /// Where it was named the last time.
    pub named_in: NamedIn,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// From where, the last first.
    pub clients: Vec<IpAddr>,
    /// Why, in the components' words of the last time.
    pub reasons: Vec<String>,
}

/// Names a row for as long as it is there; no later row has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefusalId(u64);

impl RefusalId {
    /// Octets of its text at most.
    pub const TEXT_OCTETS_MAX: usize = 16;

    /// As a number, for storage.
    pub(super) const fn to_bits(self) -> u64 {
        self.0
    }

    /// The one with that number.
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The first one after another, for a row that is made at that moment. The time in it keeps names of rows that are gone
    /// from coming again after a restart.
    fn after(last: Option<Self>, now: Timestamp) -> Self {
        let of_now = now.unix_milliseconds() << 12;
        Self(last.map_or(of_now, |last| of_now.max(last.0.saturating_add(1))))
    }
}

impl fmt::Display for RefusalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for RefusalId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_hexadecimal = text.bytes().all(|octet| octet.is_ascii_hexdigit());
        u64::from_str_radix(text, 16)
            .ok()
            .filter(|_| is_hexadecimal)
            .map(Self)
            .ok_or(())
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRefusal {
    /// Its name.
    pub id: RefusalId,
    /// What it is about.
    pub refusal: Refusal,
}

/// What makes two refusals one row: user and sender without regard to case, as rules compare them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    user: String,
    /// Empty for the null reverse-path.
    sender: String,
}

impl Key {
    fn of(user: &str, sender: Option<&Address>) -> Self {
        let sender = sender.map(|sender| {
            let local = sender.local().to_lowercase();
            format!("{local}@{}", sender.domain())
        });
        Self {
            user: user.to_ascii_lowercase(),
            sender: sender.unwrap_or_default(),
        }
    }

    /// The key of its row on the disk.
    pub(super) fn octets(&self) -> Vec<u8> {
        // A name of a user has no such octet.
        [self.user.as_bytes(), &[0], self.sender.as_bytes()].concat()
    }
}

impl Refusal {
    /// Whether it has a row.
    fn fits(&self) -> bool {
        let sender = self.sender.as_ref();
        sender.is_none_or(|sender| {
            sender.local().len() + 1 + sender.domain().len() <= SENDER_OCTETS_MAX
        })
    }

    fn key(&self) -> Key {
        Key::of(&self.user, self.sender.as_ref())
    }

    /// Takes in what came later of the same.
    fn add(&mut self, later: Refusal) {
        let mut clients = later.clients;
        clients.append(&mut self.clients);
        let count = self.count.saturating_add(later.count);
        *self = Self {
            count,
            first: self.first.min(later.first),
            last: self.last.max(later.last),
            clients,
            ..later
        };
        self.bound();
    }

    /// Leaves out what a row has no room for.
    fn bound(&mut self) {
        let mut known = Vec::with_capacity(CLIENTS_MAX);
        for client in self.clients.drain(..) {
            if known.len() < CLIENTS_MAX && !known.contains(&client) {
                known.push(client);
            }
        }
        self.clients = known;
        self.reasons.truncate(REASONS_MAX);
        for reason in &mut self.reasons {
            if reason.len() > REASON_OCTETS_MAX {
                reason.truncate(reason.floor_char_boundary(REASON_OCTETS_MAX));
                reason.push('…');
            }
        }
    }
}

/// Which rows. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalFilter {
    /// Of this list, without regard to case.
    pub list: Option<String>,
    /// Of this user, without regard to case.
    pub user: Option<String>,
    /// The sender holds this text, without regard to case.
    pub sender: Option<String>,
    /// The sender is of this domain, in lower-case A-labels.
    pub domain: Option<String>,
    /// Seen then or later.
    pub since: Option<Timestamp>,
}

impl RefusalFilter {
    fn passes(&self, refusal: &Refusal) -> bool {
        let is = |wanted: &Option<String>, it: &str| {
            let mut wanted = wanted.iter();
            wanted.all(|wanted| wanted.eq_ignore_ascii_case(it))
        };
        let sender = refusal.sender.as_ref();
        let domain = sender.map(Address::domain).unwrap_or_default();
        let holds = |text: &String| {
            let sender = sender.map(Address::to_string).unwrap_or_default();
            sender.to_lowercase().contains(&text.to_lowercase())
        };
        is(&self.list, &refusal.list)
            && is(&self.user, &refusal.user)
            && is(&self.domain, domain)
            && self.since.is_none_or(|since| refusal.last >= since)
            && self.sender.as_ref().is_none_or(holds)
    }
}

/// A page of rows, those that were seen last first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalPage {
    /// The rows.
    pub rows: Vec<Arc<KeptRefusal>>,
    /// Where the next page starts; none at the end.
    pub cursor: Option<String>,
}

/// A place in the listing: what was seen last comes first.
type Order = (Reverse<Timestamp>, Reverse<RefusalId>);

/// The refused senders that are known. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Key, Arc<KeptRefusal>>,
    by_order: BTreeMap<Order, Key>,
    by_id: BTreeMap<RefusalId, Key>,
    /// When rows were dismissed that may still be noted with what came before that.
    dismissed: BTreeMap<Key, Timestamp>,
    /// The last name that was given.
    last_id: Option<RefusalId>,
}

impl Refusals {
    /// A page of at most so many rows, behind a cursor; none where that is no cursor.
    pub fn page(
        &self,
        filter: &RefusalFilter,
        cursor: Option<&str>,
        rows_max: usize,
        now: Timestamp,
    ) -> Option<RefusalPage> {
        let from = match cursor {
            Some(text) => Bound::Excluded(order_of_cursor(text)?),
            None => Bound::Unbounded,
        };
        let state = self.state();
        let ordered = state.by_order.range((from, Bound::Unbounded));
        let rows = ordered.filter_map(|(_, key)| state.rows.get(key));
        let oldest = now.minus(REFUSALS_KEPT);
        let mut matching = rows
            .take_while(|row| row.refusal.last >= oldest)
            .filter(|row| filter.passes(&row.refusal));
        let rows: Vec<_> = matching.by_ref().take(rows_max).cloned().collect();
        let has_more = matching.next().is_some();
        let last = rows.last().filter(|_| has_more);
        let cursor = last.map(|row| cursor_of(order(row)));
        Some(RefusalPage { rows, cursor })
    }

    /// The row of that name.
    pub fn get(&self, id: RefusalId, now: Timestamp) -> Option<Arc<KeptRefusal>> {
        let state = self.state();
        let row = state.rows.get(state.by_id.get(&id)?)?;
        (row.refusal.last >= now.minus(REFUSALS_KEPT)).then(|| Arc::clone(row))
    }

    /// The rows of a user, without regard to case; at most [`REFUSALS_OF_USER_MAX`].
    pub fn of_user(&self, user: &str, now: Timestamp) -> Vec<Arc<KeptRefusal>> {
        let oldest = now.minus(REFUSALS_KEPT);
        let user = user.to_ascii_lowercase();
        let state = self.state();
        let rows = state.of_user(&user);
        rows.filter(|row| row.refusal.last >= oldest)
            .cloned()
            .collect()
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.state().rows.len()
    }

    /// Starts anew from what is on the disk.
    pub(super) fn replace(&self, rows: Vec<KeptRefusal>) {
        let mut state = self.state_mut();
        let dismissed = std::mem::take(&mut state.dismissed);
        *state = State {
            dismissed,
            last_id: state.last_id,
            ..State::default()
        };
        for row in rows {
            state.last_id = state.last_id.max(Some(row.id));
            state.put(row.refusal.key(), Some(Arc::new(row)));
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The rows of a user whose name is in lower case.
    fn of_user<'a>(&'a self, user: &'a str) -> impl Iterator<Item = &'a Arc<KeptRefusal>> {
        let from = Key {
            user: user.to_owned(),
            sender: String::new(),
        };
        let rows = self.rows.range(from..);
        rows.take_while(move |(key, _)| key.user == user)
            .map(|(_, row)| row)
    }

    /// Puts a row in place of the one with that key, or takes that out.
    fn put(&mut self, key: Key, row: Option<Arc<KeptRefusal>>) {
        if let Some(before) = self.rows.remove(&key) {
            self.by_order.remove(&order(&before));
            self.by_id.remove(&before.id);
        }
        if let Some(row) = row {
            self.by_order.insert(order(&row), key.clone());
            self.by_id.insert(row.id, key.clone());
            self.rows.insert(key, row);
        }
    }
}

fn order(row: &KeptRefusal) -> Order {
    (Reverse(row.refusal.last), Reverse(row.id))
}

fn cursor_of((Reverse(last), Reverse(id)): Order) -> String {
    let last = last.unix_milliseconds().to_be_bytes();
    URL_SAFE_NO_PAD.encode([last, id.to_bits().to_be_bytes()].concat())
}

fn order_of_cursor(text: &str) -> Option<Order> {
    let octets: [u8; 16] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (last, id) = octets.split_first_chunk::<8>()?;
    let last = Timestamp::from_unix_milliseconds(u64::from_be_bytes(*last));
    let id = RefusalId::from_bits(u64::from_be_bytes(id.try_into().ok()?));
    Some((Reverse(last), Reverse(id)))
}
