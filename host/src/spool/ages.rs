//! How old queued mail is: when the transaction of the oldest queued delivery of each class began.
//!
//! Deliveries are counted by that moment, which is in the id of their message. Moments
//! are a second wide, and wider where there would be too many, so that memory stays bounded however long the
//! queue is. Nothing is counted until somebody asks: then the queue is counted as it is on the disk, and what
//! comes and goes meanwhile is counted beside it.

use std::collections::BTreeMap;

use crate::message::{Class, MessageId, Timestamp};

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

/// Deliveries of each class by moments.
#[derive(Debug, Default)]
pub(super) struct Counts([Moments; 5]);

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
    pub(super) fn came(&mut self, class: Class, id: MessageId) {
        self.count(class, id, 1);
    }

    /// A delivery of that message left the queue, or its place in it.
    pub(super) fn left(&mut self, class: Class, id: MessageId) {
        self.count(class, id, -1);
    }

    fn count(&mut self, class: Class, id: MessageId, change: i64) {
        match &mut self.state {
            State::Unknown => {}
            State::Counting(counts) | State::Known(counts) => counts.count(class, id, change),
        }
    }

    /// When the transaction of the oldest delivery of each class began; none while that is not known.
    pub(super) fn oldest(&self) -> Option<[Option<Timestamp>; 5]> {
        match &self.state {
            State::Known(counts) => Some(counts.0.each_ref().map(Moments::oldest)),
            State::Unknown | State::Counting(_) => None,
        }
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
                    counts.count(place.line.class, id, 1);
                }
                Scan::On
            })?;
        }
        Ok(counts)
    }

    fn count(&mut self, class: Class, id: MessageId, change: i64) {
        let begun = id.begun().unix_milliseconds();
        self.0[class_index(class)].count(begun, change);
    }

    fn add(&mut self, other: &Counts) {
        for (moments, others) in self.0.iter_mut().zip(&other.0) {
            for (key, count) in &others.counts {
                moments.count(key << others.width, *count);
            }
        }
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

    fn id(milliseconds: u64) -> MessageId {
        MessageId::new(Timestamp::from_unix_milliseconds(milliseconds), 7)
    }

    fn oldest(ages: &Ages, class: Class) -> Option<u64> {
        ages.oldest().unwrap()[class_index(class)].map(Timestamp::unix_milliseconds)
    }

    #[test]
    fn what_comes_and_goes_while_the_queue_is_counted_counts_once() {
        let mut ages = Ages::default();
        ages.came(Class::Low, id(1 << 20));
        assert_eq!(ages.oldest(), None, "nobody has asked");
        let times = ages.begin().unwrap();
        // Two were queued; one of them leaves before it is counted, and another one comes.
        ages.left(Class::Low, id(1 << 20));
        ages.came(Class::Low, id(3 << 20));
        assert_eq!(ages.oldest(), None);
        let mut queued = Counts::default();
        queued.count(Class::Low, id(1 << 20), 1);
        queued.count(Class::Low, id(2 << 20), 1);
        ages.complete(times, queued);
        assert_eq!(oldest(&ages, Class::Low), Some(2 << 20));
        assert_eq!(oldest(&ages, Class::Normal), None);
        assert_eq!(ages.begin(), None, "it is known");
        ages.left(Class::Low, id(2 << 20));
        assert_eq!(oldest(&ages, Class::Low), Some(3 << 20));
        ages.left(Class::Low, id(3 << 20));
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
