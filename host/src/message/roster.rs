//! A roster: entries in the order of their keys, mostly a few.
//!
//! A queue of very many lanes has tens of thousands of small sets: the lines of a lane and class, those of them that are due.
//! Most have one entry or two, and the smallest node of a tree has room for eleven. So a few stand side by side and take
//! the room of what is there; many stand in a tree, since what is put among them would push too many aside.

use std::borrow::Borrow;
use std::collections::BTreeMap;

/// So many stand side by side: pushing them aside costs no more than a step down in a tree.
const FEW_MAX: usize = 32;

/// Entries in the order of their keys.
#[derive(Clone, Debug)]
pub struct Roster<K, V = ()>(Kept<K, V>);

#[expect(
    clippy::box_collection,
    reason = "so the tree makes a roster of a few no larger"
)]
#[derive(Clone, Debug)]
enum Kept<K, V> {
    /// In order.
    Few(Vec<(K, V)>),
    Many(Box<BTreeMap<K, V>>),
}

impl<K, V> Default for Roster<K, V> {
    fn default() -> Self {
        Self(Kept::Few(Vec::new()))
    }
}

impl<K: Ord, V> Roster<K, V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::Few(few) => few.len(),
            Kept::Many(many) => many.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands at a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match &self.0 {
            Kept::Few(few) => find(few, key).ok().map(|index| &few[index].1),
            Kept::Many(many) => many.get(key),
        }
    }

    /// What stands at a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match &mut self.0 {
            Kept::Few(few) => find(few, key).ok().map(|index| &mut few[index].1),
            Kept::Many(many) => many.get_mut(key),
        }
    }

    /// The key that stands there, as it was put there.
    pub fn key<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&K>
    where
        K: Borrow<Q>,
    {
        match &self.0 {
            Kept::Few(few) => find(few, key).ok().map(|index| &few[index].0),
            Kept::Many(many) => many.get_key_value(key).map(|(key, _)| key),
        }
    }

    /// The first entry.
    pub fn first(&self) -> Option<(&K, &V)> {
        match &self.0 {
            Kept::Few(few) => few.first().map(|(key, value)| (key, value)),
            Kept::Many(many) => many.first_key_value(),
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match &self.0 {
            Kept::Few(few) => (few.as_slice(), None),
            Kept::Many(many) => (&[][..], Some(many)),
        };
        let few = few.iter().map(|(key, value)| (key, value));
        few.chain(many.into_iter().flat_map(|many| many.iter()))
    }

    /// The keys of all, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values of all, in order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Puts an entry in its place; what stood at that key, which stays the key that it was.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Kept::Few(few) = &mut self.0 {
            let index = match find(few, &key) {
                Ok(index) => return Some(std::mem::replace(&mut few[index].1, value)),
                Err(index) => index,
            };
            if few.len() < FEW_MAX {
                if few.len() == few.capacity() {
                    few.reserve_exact(few.len().max(1));
                }
                few.insert(index, (key, value));
                return None;
            }
            self.0 = Kept::Many(Box::new(std::mem::take(few).into_iter().collect()));
        }
        match &mut self.0 {
            Kept::Few(_) => None,
            Kept::Many(many) => many.insert(key, value),
        }
    }

    /// Takes an entry out.
    pub fn remove_entry<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let removed = match &mut self.0 {
            Kept::Few(few) => find(few, key).ok().map(|index| few.remove(index)),
            Kept::Many(many) => many.remove_entry(key),
        };
        self.give_room_back();
        removed
    }

    /// Takes an entry out; what stood there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Takes the first entry out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let first = match &mut self.0 {
            Kept::Few(few) => (!few.is_empty()).then(|| few.remove(0)),
            Kept::Many(many) => many.pop_first(),
        };
        self.give_room_back();
        first
    }

    /// What was many and is few takes the room of a few; not back and forth with each one that comes and goes.
    fn give_room_back(&mut self) {
        match &mut self.0 {
            Kept::Few(few) => {
                if few.len() <= few.capacity() / 4 {
                    few.shrink_to(2 * few.len());
                }
            }
            Kept::Many(many) => {
                if many.len() <= FEW_MAX / 2 {
                    self.0 = Kept::Few(std::mem::take(&mut **many).into_iter().collect());
                }
            }
        }
    }
}

/// Where a key stands in what is in order, or would.
fn find<K: Borrow<Q>, V, Q: Ord + ?Sized>(few: &[(K, V)], key: &Q) -> Result<usize, usize> {
    few.binary_search_by(|(known, _)| known.borrow().cmp(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u8),
        Remove(u8),
        PopFirst,
        Change(u8, u8),
    }

    /// Comes and goes by turns, so that it is a few and many by turns.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let coming = prop_oneof![
            8 => (0..64u8, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
            1 => (0..64u8).prop_map(Step::Remove),
            1 => (0..64u8, any::<u8>()).prop_map(|(key, value)| Step::Change(key, value)),
        ];
        let going = prop_oneof![
            1 => (0..64u8, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
            4 => (0..64u8).prop_map(Step::Remove),
            4 => Just(Step::PopFirst),
        ];
        let both = (
            prop::collection::vec(coming, 0..80),
            prop::collection::vec(going, 0..80),
        );
        prop::collection::vec(both, 0..4).prop_map(|turns| {
            turns
                .into_iter()
                .flat_map(|(a, b)| [a, b].concat())
                .collect()
        })
    }

    fn capacity(roster: &Roster<u8, u8>) -> Option<usize> {
        match &roster.0 {
            Kept::Few(few) => Some(few.capacity()),
            Kept::Many(_) => None,
        }
    }

    proptest! {
        #[test]
        fn it_says_what_a_tree_does_and_takes_room_for_what_is_in_it(steps in steps()) {
            let mut roster = Roster::default();
            let mut tree = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        prop_assert_eq!(roster.insert(key, value), tree.insert(key, value));
                    }
                    Step::Remove(key) => {
                        prop_assert_eq!(roster.remove_entry(&key), tree.remove_entry(&key));
                    }
                    Step::PopFirst => prop_assert_eq!(roster.pop_first(), tree.pop_first()),
                    Step::Change(key, to) => {
                        let value = roster.get_mut(&key);
                        prop_assert_eq!(value.is_some(), tree.contains_key(&key));
                        if let Some(value) = value {
                            *value = to;
                            tree.insert(key, to);
                        }
                    }
                }
                prop_assert!(roster.iter().eq(tree.iter()));
                prop_assert_eq!(roster.first(), tree.first_key_value());
                prop_assert_eq!((roster.len(), roster.is_empty()), (tree.len(), tree.is_empty()));
                for key in 0..64 {
                    prop_assert_eq!(roster.get(&key), tree.get(&key));
                    prop_assert_eq!(roster.key(&key), tree.get_key_value(&key).map(|(key, _)| key));
                }
                match capacity(&roster) {
                    Some(capacity) => prop_assert!(capacity <= 4 * roster.len()),
                    None => prop_assert!(roster.len() > FEW_MAX / 2),
                }
            }
        }
    }

    #[test]
    fn one_takes_the_room_of_one() {
        let mut roster = Roster::default();
        roster.insert(1u8, 1u8);
        assert_eq!(capacity(&roster), Some(1));
        roster.remove(&1);
        assert_eq!(capacity(&roster), Some(0));
    }
}
