//! A map that forgets its oldest entries instead of growing.

use std::collections::HashMap;
use std::hash::Hash;

/// A map of at most `entries_max` entries in two generations: when the younger is full, the older is
/// forgotten whole and the younger takes its place. What is used stays young. Forgetting costs
/// nothing and cannot be steered at a single entry.
pub(super) struct Bounded<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation_max: usize,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_max: (entries_max / 2).max(1),
        }
    }

    /// The value of a key, which becomes young again.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if let Some(value) = self.old.remove(key) {
            self.insert(key.clone(), value);
        }
        self.young.get_mut(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.generation_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_it_may() {
        let mut map = Bounded::new(10);
        for key in 0..1_000 {
            map.insert(key, key);
            assert!(map.young.len() + map.old.len() <= 10);
        }
        assert_eq!(map.get_mut(&999), Some(&mut 999));
        assert_eq!(map.get_mut(&0), None);
    }

    #[test]
    fn what_is_used_stays() {
        let mut map = Bounded::new(10);
        map.insert(-1, 0);
        for key in 0..1_000 {
            map.insert(key, key);
            if key % 4 == 0 {
                assert!(map.get_mut(&-1).is_some(), "{key}");
            }
        }
    }

    #[test]
    fn a_value_is_replaced_and_removed_in_either_generation() {
        let mut map = Bounded::new(4);
        for key in [1, 2, 3] {
            map.insert(key, "old");
        }
        map.insert(1, "new");
        assert_eq!(map.get_mut(&1), Some(&mut "new"));
        for key in [1, 2, 3] {
            map.remove(&key);
            assert_eq!(map.get_mut(&key), None);
        }
    }
}
