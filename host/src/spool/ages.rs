//! How old queued mail is, and whose: when the transaction of the oldest queued delivery of each class began, and how many
//! deliveries each user has.
//!
//! Deliveries are counted by that moment, which is in the id of their message, and by their user. Moments
//! are a second wide, and wider where there would be too many, so that memory stays bounded however long the
//! queue is; users there are as many as have mail. Nothing is counted until somebody asks: then the queue is counted as it is on the disk, and what
//! comes and goes meanwhile is counted beside it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::message::{Line, MessageId, Timestamp};

use super::figures::class_index;
use super::place::Place;
use super::redb::StoreError;
use super::rows;
use super::sheet::Sheet;
use super::view::{Scan, View};

/// Moments of one class: with mail of five days each is 17 minutes wide at most.
const MOMENTS_MAX: usize = 512;

/// How wide a moment is at first: 1,024 ms, as a power of two.
const WIDTH_LEAST: u32 = 10;

/// What is known about ages.
#[derive(Debug, Default)]
pub(super) struct Ages {
    state: State,
    /// How often counting has begun.
    times: u64,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody has asked, or memory was built anew.
    #[default]
    Unknown,
    /// What has come and gone since the counting began.
    Counting(Counts),
    /// Everything that is queued.
    Known(Counts),
}

/// Deliveries of each class by moments, and of each user.
#[derive(Debug, Default)]
pub(super) struct Counts {
    moments: [Moments; 5],
    /// By names in lower case.
    users: HashMap<Box<str>, i64>,
}

#[derive(Debug)]
struct Moments {
    width: u32,
    counts: BTreeMap<u64, i64>,
}

impl Ages {
    /// Begins to count; what for [`Self::complete`]. None when everything is known.
    pub(super) fn begin(&mut self) -> Option<u64> {
        if let State::Known(_) = self.state {
            return None;
        }
        self.times += 1;
        self.state = State::Counting(Counts::default());
        Some(self.times)
    }

    /// Adds what was queued when the counting began.
    pub(super) fn complete(&mut self, times: u64, queued: Counts) {
        if let State::Counting(since) = &mut self.state
            && times == self.times
        {
            let mut all = queued;
            all.add(since);
            self.state = State::Known(all);
        }
    }

    /// Forgets everything: memory is built anew.
    pub(super) fn forget(&mut self) {
        self.state = State::Unknown;
    }

    /// A delivery of that message came into the queue.
    pub(super) fn came(&mut self, line: &Line, id: MessageId) {
        self.count(line, id, 1);
    }

    /// A delivery of that message left the queue, or its place in it.
    pub(super) fn left(&mut self, line: &Line, id: MessageId) {
        self.count(line, id, -1);
    }

    fn count(&mut self, line: &Line, id: MessageId, change: i64) {
        match &mut self.state {
            State::Unknown => {}
            State::Counting(counts) | State::Known(counts) => counts.count(line, id, change),
        }
    }

    /// When the transaction of the oldest delivery of each class began; none while that is not known.
    pub(super) fn oldest(&self) -> Option<[Option<Timestamp>; 5]> {
        match &self.state {
            State::Known(counts) => Some(counts.moments.each_ref().map(Moments::oldest)),
            State::Unknown | State::Counting(_) => None,
        }
    }

    /// How many deliveries each of these users has, in any case of letters; none while that is not known.
    pub(super) fn of_users(&self, users: &[impl AsRef<str>]) -> Option<Vec<u64>> {
        let State::Known(counts) = &self.state else {
            return None;
        };
        let count = |user: &str| counts.users.get(&*folded(user)).copied();
        let users = users.iter().map(|user| count(user.as_ref()));
        Some(
            users
                .map(|count| count.map_or(0, |count| u64::try_from(count).unwrap_or(0)))
                .collect(),
        )
    }
}

impl Counts {
    /// Counts what is queued, held deliveries included.
    pub(super) fn of(rows: &View) -> Result<Self, StoreError> {
        let mut counts = Self::default();
        let everything = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        for sheet in [Sheet::Waiting, Sheet::Held] {
            rows.scan(sheet, everything, &mut |key, row| {
                // A damaged row is told by those who need it.
                if let Some((place, id)) = Place::from_key(key).zip(rows::read_message_key(row)) {
                    counts.count(&place.line, id, 1);
                }
                Scan::On
            })?;
        }
        Ok(counts)
    }

    fn count(&mut self, line: &Line, id: MessageId, change: i64) {
        let begun = id.begun().unix_milliseconds();
        self.moments[class_index(line.class)].count(begun, change);
        self.count_user(&folded(&line.user), change);
    }

    fn count_user(&mut self, user: &str, change: i64) {
        match self.users.get_mut(user) {
            Some(count) => {
                *count += change;
                if *count == 0 {
                    self.users.remove(user);
                }
            }
            None => {
                self.users.insert(user.into(), change);
            }
        }
    }

    fn add(&mut self, other: &Counts) {
        for (moments, others) in self.moments.iter_mut().zip(&other.moments) {
            for (key, count) in &others.counts {
                moments.count(key << others.width, *count);
            }
        }
        for (user, count) in &other.users {
            self.count_user(user, *count);
        }
    }
}

/// A name without regard to case. Most have none to regard.
fn folded(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            width: WIDTH_LEAST,
            counts: BTreeMap::new(),
        }
    }
}

impl Moments {
    fn count(&mut self, milliseconds: u64, change: i64) {
        let key = milliseconds >> self.width;
        let count = self.counts.entry(key).or_default();
        *count += change;
        if *count == 0 {
            self.counts.remove(&key);
        }
        if self.counts.is_empty() {
            self.width = WIDTH_LEAST;
        }
        while self.counts.len() > MOMENTS_MAX {
            self.width += 1;
            let mut wider = BTreeMap::new();
            for (key, count) in &self.counts {
                *wider.entry(key >> 1).or_default() += count;
            }
            wider.retain(|_, count| *count != 0);
            self.counts = wider;
        }
    }

    fn oldest(&self) -> Option<Timestamp> {
        let first = self.counts.iter().find(|(_, count)| **count > 0);
        first.map(|(key, _)| Timestamp::from_unix_milliseconds(key << self.width))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::message::Class;
    use crate::spool::sample::line;

    /// The line of low mail of that user.
    fn low(user: &str) -> Line {
        line("a.example", Class::Low, user)
    }

    fn id(milliseconds: u64) -> MessageId {
        MessageId::new(Timestamp::from_unix_milliseconds(milliseconds), 7)
    }

    fn oldest(ages: &Ages, class: Class) -> Option<u64> {
        ages.oldest().unwrap()[class_index(class)].map(Timestamp::unix_milliseconds)
    }

    #[test]
    fn what_comes_and_goes_while_the_queue_is_counted_counts_once() {
        let mut ages = Ages::default();
        ages.came(&low("ann"), id(1 << 20));
        assert_eq!(ages.oldest(), None, "nobody has asked");
        assert_eq!(ages.of_users(&["ann"]), None);
        let times = ages.begin().unwrap();
        // Two were queued; one of them leaves before it is counted, and another one comes.
        ages.left(&low("Ann"), id(1 << 20));
        ages.came(&low("bob"), id(3 << 20));
        assert_eq!(ages.oldest(), None);
        let mut queued = Counts::default();
        queued.count(&low("ANN"), id(1 << 20), 1);
        queued.count(&low("bob"), id(2 << 20), 1);
        ages.complete(times, queued);
        assert_eq!(oldest(&ages, Class::Low), Some(2 << 20));
        assert_eq!(oldest(&ages, Class::Normal), None);
        assert_eq!(ages.begin(), None, "it is known");
        assert_eq!(ages.of_users(&["Bob", "ann", "cy"]), Some(vec![2, 0, 0]));
        ages.left(&low("bob"), id(2 << 20));
        assert_eq!(oldest(&ages, Class::Low), Some(3 << 20));
        ages.left(&low("bob"), id(3 << 20));
        assert_eq!(ages.of_users(&["bob"]), Some(vec![0]));
        assert_eq!(oldest(&ages, Class::Low), None);
    }

    #[test]
    fn what_was_counted_before_memory_was_built_anew_is_forgotten() {
        let mut ages = Ages::default();
        let before = ages.begin().unwrap();
        ages.forget();
        ages.complete(before, Counts::default());
        assert_eq!(ages.oldest(), None);
        let times = ages.begin().unwrap();
        ages.complete(before, Counts::default());
        assert_eq!(ages.oldest(), None);
        ages.complete(times, Counts::default());
        assert_eq!(ages.oldest(), Some([None; 5]));
    }

    #[test]
    fn moments_are_bounded_and_the_oldest_is_told_to_a_few_of_a_thousand() {
        let mut moments = Moments::default();
        let days = 5 * 24 * 3_600 * 1_000_u64;
        let begin = 1_700_000_000_000;
        for step in 0..10_000 {
            moments.count(begin + days / 10_000 * step, 1);
            assert!(moments.counts.len() <= MOMENTS_MAX);
        }
        let told = begin - moments.oldest().unwrap().unix_milliseconds();
        assert!(told <= days / 250, "{told}");
        for step in 0..10_000 {
            moments.count(begin + days / 10_000 * step, -1);
        }
        assert_eq!(moments.oldest(), None);
        assert_eq!(moments.width, WIDTH_LEAST);
    }
}
