//! Shares: who is served next when there is not enough for all.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, 1996) in whole numbers. Each key has a virtual time
//! that its service has advanced to; who is furthest behind is next. A key that comes back after it wanted
//! nothing starts where the others are, so that nobody saves up. Arithmetic only: no clock, no waiting.
//! What is shared, deliveries or octets, is for its users to say.

use std::collections::HashMap;
use std::hash::Hash;

use super::Class;

/// A unit of service of a key of weight 1 advances its virtual time by this; of weight `w`, by this over `w`.
const UNIT: u64 = 840;

/// The largest weight: what it divides is still a matter of hundreds.
pub const WEIGHT_MAX: u32 = 100;

/// How the classes below very high share what very high leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassRule {
    /// Strictly by urgency: a class is served when those above it want nothing.
    Strict,
    /// By weight: of classes 2, 3, 4 and 5, each from 1 to [`WEIGHT_MAX`].
    Weighted([u32; 4]),
}

impl Default for ClassRule {
    fn default() -> Self {
        Self::Weighted([8, 4, 2, 1])
    }
}

/// How many of so many places are kept free for very-high mail, so that a full house of slow sends cannot keep it out:
/// a tenth and at least one, where that leaves the others one.
pub fn kept_for_very_high(places: usize) -> usize {
    match places {
        0 | 1 => 0,
        places => places.div_ceil(10),
    }
}

/// Decides between classes: very high first, the others by their rule.
#[derive(Clone, Debug, Default)]
pub struct ClassShares {
    rule: ClassRule,
    /// The virtual time of the service that began last.
    now: u64,
    /// Up to where each class has been served; index 0 is class 2.
    served: [u64; 4],
}

impl ClassShares {
    /// Nobody has been served yet.
    pub fn new(rule: ClassRule) -> Self {
        Self {
            rule,
            ..Self::default()
        }
    }

    /// Goes on by another rule.
    pub fn follow(&mut self, rule: ClassRule) {
        self.rule = rule;
    }

    /// The class to serve next among those that want something.
    pub fn choose(&self, wants: impl Fn(Class) -> bool) -> Option<Class> {
        if wants(Class::VeryHigh) {
            return Some(Class::VeryHigh);
        }
        let below = Class::ALL.into_iter().skip(1).filter(|class| wants(*class));
        match self.rule {
            ClassRule::Strict => below.min(),
            ClassRule::Weighted(_) => below.min_by_key(|class| (self.start(*class), *class)),
        }
    }

    /// A class is served so much.
    pub fn serve(&mut self, class: Class, amount: u64) {
        let ClassRule::Weighted(weights) = self.rule else {
            return;
        };
        let Some(index) = below_very_high(class) else {
            return;
        };
        let start = self.start(class);
        let weight = u64::from(weights[index].clamp(1, WEIGHT_MAX));
        self.now = start;
        self.served[index] = start.saturating_add(amount.saturating_mul(UNIT) / weight);
    }

    fn start(&self, class: Class) -> u64 {
        let served = below_very_high(class).map_or(0, |index| self.served[index]);
        served.max(self.now)
    }
}

fn below_very_high(class: Class) -> Option<usize> {
    usize::from(class.number()).checked_sub(2)
}

/// Turns of equals, such as the users of one class.
#[derive(Clone, Debug)]
pub struct Turns<K> {
    now: u64,
    /// Up to where each has been served who is ahead of `now`.
    served: HashMap<K, u64>,
    /// How many there may be before those that are not ahead are forgotten.
    forget_at: usize,
}

/// Fewer are not worth a look.
const FORGET_AT_MIN: usize = 64;

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self {
            now: 0,
            served: HashMap::new(),
            forget_at: FORGET_AT_MIN,
        }
    }
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// Where the next service of a key begins in virtual time: the smallest is next. Only ever grows.
    pub fn start<Q>(&self, key: &Q) -> u64
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.served.get(key).map_or(0, |at| *at).max(self.now)
    }

    /// A key is served so much.
    pub fn serve(&mut self, key: &K, amount: u64) {
        let start = self.start(key);
        self.now = start;
        let until = start.saturating_add(amount);
        match self.served.get_mut(key) {
            Some(at) => *at = until,
            None => {
                self.served.insert(key.clone(), until);
            }
        }
        if self.served.len() >= self.forget_at {
            // Who is not ahead starts where everybody does.
            self.served.retain(|_, at| *at > start);
            self.forget_at = FORGET_AT_MIN.max(2 * self.served.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How often each class is served when those classes always want something.
    fn served(shares: &mut ClassShares, wanting: &[Class], times: u64) -> [u64; 5] {
        let mut served = [0; 5];
        for _ in 0..times {
            let class = shares
                .choose(|class| wanting.contains(&class))
                .expect("somebody wants");
            shares.serve(class, 1);
            served[usize::from(class.number()) - 1] += 1;
        }
        served
    }

    #[test]
    fn very_high_is_always_first() {
        let mut shares = ClassShares::default();
        assert_eq!(served(&mut shares, &Class::ALL, 10), [10, 0, 0, 0, 0]);
    }

    #[test]
    fn the_others_share_by_weight_and_none_starves() {
        let mut shares = ClassShares::default();
        let below = &Class::ALL[1..];
        assert_eq!(
            served(&mut shares, below, 15_000),
            [0, 8_000, 4_000, 2_000, 1_000]
        );
        let two = [Class::Normal, Class::VeryLow];
        assert_eq!(served(&mut shares, &two, 500), [0, 0, 400, 0, 100]);
    }

    #[test]
    fn strictly_means_that_a_class_waits_for_those_above_it() {
        let mut shares = ClassShares::new(ClassRule::Strict);
        assert_eq!(served(&mut shares, &Class::ALL[1..], 10), [0, 10, 0, 0, 0]);
        assert_eq!(served(&mut shares, &Class::ALL[2..], 10), [0, 0, 10, 0, 0]);
    }

    #[test]
    fn who_wanted_nothing_for_long_has_saved_nothing_up() {
        let mut shares = ClassShares::default();
        served(&mut shares, &[Class::Low], 1_000);
        let [_, _, normal, low, _] = served(&mut shares, &[Class::Normal, Class::Low], 300);
        assert!(
            normal.abs_diff(200) <= 1 && low.abs_diff(100) <= 1,
            "{normal}, {low}"
        );
    }

    #[test]
    fn a_new_key_is_next_and_one_with_a_backlog_takes_turns() {
        let mut turns = Turns::default();
        for _ in 0..1_000 {
            turns.serve(&"bulk", 1);
        }
        assert!(turns.start("single") < turns.start("bulk"));
        turns.serve(&"single", 1);
        turns.serve(&"bulk", 1);
        // One that has just been served does not come before another that waits since then.
        assert_eq!(turns.start("single"), turns.start("bulk") - 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn of_those_that_always_want_nobody_is_ahead_by_more_than_one_service(
            amounts in prop::collection::vec((0..50usize, 1..20u64), 1..1_000),
        ) {
            // The largest amount is a service of the longest kind.
            let mut turns = Turns::default();
            let mut totals = vec![0; 50];
            for (_, amount) in amounts {
                let next = (0..50usize).min_by_key(|key| (turns.start(key), *key)).expect("there are some");
                turns.serve(&next, amount);
                totals[next] += amount;
                let (least, most) = (totals.iter().min(), totals.iter().max());
                prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 20));
            }
            prop_assert!(turns.served.len() <= 50);
        }

        #[test]
        fn memory_is_bounded_by_those_who_are_ahead(keys in prop::collection::vec(0..100_000u32, 1..1_000)) {
            let mut turns = Turns::default();
            for key in keys {
                turns.serve(&key, 1);
                let ahead = turns.served.values().filter(|at| **at > turns.now).count();
                prop_assert!(turns.served.len() <= FORGET_AT_MIN.max(2 * ahead + 2) || turns.served.len() < turns.forget_at);
            }
        }
    }
}
