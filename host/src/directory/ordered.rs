//! A persistent ordered collection: snapshots share what did not change.
//!
//! Two levels: a row of runs, each a sorted run of values. A change copies one run and the row of
//! runs, so that with 100,000 users it copies some 700 pointers instead of 100,000, and whoever holds
//! an older snapshot keeps it unchanged.

use std::cmp::Ordering;
use std::sync::Arc;

/// Longest run. With n values a change copies about `RUN_MAX + n / RUN_MAX` pointers.
const RUN_MAX: usize = 512;

/// What is ordered by its name without regard to (ASCII) case.
pub(super) trait Named {
    /// The name.
    fn name(&self) -> &str;
}

/// Values in the order of their names, no two of the same name.
#[derive(Debug)]
pub(super) struct Ordered<T> {
    /// No run is empty.
    runs: Vec<Arc<Vec<Arc<T>>>>,
    len: usize,
}

impl<T> Clone for Ordered<T> {
    fn clone(&self) -> Self {
        Self {
            runs: self.runs.clone(),
            len: self.len,
        }
    }
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            len: 0,
        }
    }
}

impl<T: Named> Ordered<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<T>> {
        let run = self.runs.get(self.run_of(name))?;
        let index = find(run, name).ok()?;
        run.get(index)
    }

    /// Puts a value in, in place of one of the same name.
    pub(super) fn put(&mut self, value: Arc<T>) {
        let at = self.run_of(value.name());
        let Some(shared) = self.runs.get_mut(at) else {
            self.runs.push(Arc::new(vec![value]));
            self.len += 1;
            return;
        };
        let run = Arc::make_mut(shared);
        match find(run, value.name()) {
            Ok(index) => run[index] = value,
            Err(index) => {
                run.insert(index, value);
                self.len += 1;
            }
        }
        if run.len() > RUN_MAX {
            let second = run.split_off(run.len() / 2);
            self.runs.insert(at + 1, Arc::new(second));
        }
    }

    /// Takes the value of that name out.
    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<T>> {
        let at = self.run_of(name);
        let shared = self.runs.get_mut(at)?;
        let index = find(shared, name).ok()?;
        let run = Arc::make_mut(shared);
        let removed = run.remove(index);
        if run.is_empty() {
            self.runs.remove(at);
        }
        self.len -= 1;
        Some(removed)
    }

    /// All values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    /// The values whose names come after that one.
    pub(super) fn after(&self, name: &str) -> impl Iterator<Item = &Arc<T>> {
        let at = self.run_of(name);
        let skipped = self.runs.get(at).map_or(0, |run| match find(run, name) {
            Ok(index) => index + 1,
            Err(index) => index,
        });
        self.runs[at.min(self.runs.len())..]
            .iter()
            .flat_map(|run| run.iter())
            .skip(skipped)
    }

    /// The run in which that name is, or would be put.
    fn run_of(&self, name: &str) -> usize {
        let starts_at_or_before =
            |run: &Arc<Vec<Arc<T>>>| run.first().is_some_and(|v| compare(v.name(), name).is_le());
        self.runs
            .partition_point(starts_at_or_before)
            .saturating_sub(1)
    }
}

fn find<T: Named>(run: &[Arc<T>], name: &str) -> Result<usize, usize> {
    run.binary_search_by(|value| compare(value.name(), name))
}

/// The order of names: that of their lower-case octets.
fn compare(one: &str, other: &str) -> Ordering {
    let lower = |octet: u8| octet.to_ascii_lowercase();
    one.bytes().map(lower).cmp(other.bytes().map(lower))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Item(String, u32);

    impl Named for Item {
        fn name(&self) -> &str {
            &self.0
        }
    }

    fn numbered(count: u32) -> Ordered<Item> {
        let mut ordered = Ordered::default();
        // A stride that is coprime to the count visits all, in a mixed order.
        for n in 0..count {
            let n = (n * 7_919) % count;
            ordered.put(Arc::new(Item(format!("N{n:05}"), n)));
        }
        ordered
    }

    fn names(ordered: &Ordered<Item>) -> Vec<String> {
        ordered.iter().map(|value| value.0.clone()).collect()
    }

    #[test]
    fn many_values_stay_in_order_and_are_found_in_any_case() {
        let ordered = numbered(5_000);
        assert_eq!(ordered.len(), 5_000);
        assert!(names(&ordered).is_sorted());
        assert!(ordered.runs.len() > 5_000 / RUN_MAX);
        for n in 0..5_000 {
            assert_eq!(ordered.get(&format!("n{n:05}")).unwrap().1, n);
        }
        assert_eq!(ordered.get("n"), None);
        assert_eq!(ordered.get("o"), None);
    }

    #[test]
    fn a_snapshot_does_not_see_what_comes_after_it() {
        let mut ordered = numbered(2_000);
        let snapshot = ordered.clone();
        ordered.put(Arc::new(Item(String::from("n00007"), 0)));
        ordered.remove("N00008");
        assert_eq!(snapshot.get("N00007").unwrap().1, 7);
        assert_eq!((snapshot.len(), ordered.len()), (2_000, 1_999));
        let shared = |run: &&Arc<Vec<Arc<Item>>>| snapshot.runs.iter().any(|r| Arc::ptr_eq(r, run));
        assert_eq!(
            ordered.runs.iter().filter(shared).count(),
            ordered.runs.len() - 1
        );
    }

    proptest! {
        #[test]
        fn it_does_what_a_map_does(
            steps in prop::collection::vec((0_u32..1_500, prop::bool::weighted(0.8)), 0..3_000),
            asked in 0_u32..1_600,
        ) {
            let (mut ordered, mut map) = (Ordered::default(), BTreeMap::new());
            for (n, is_put) in steps {
                let name = format!("{n:05}");
                if is_put {
                    ordered.put(Arc::new(Item(name.clone(), n)));
                    map.insert(name, n);
                } else {
                    prop_assert_eq!(ordered.remove(&name).map(|v| v.1), map.remove(&name));
                }
            }
            prop_assert_eq!(ordered.len(), map.len());
            prop_assert!(ordered.iter().map(|v| &v.0).eq(map.keys()));
            prop_assert!(ordered.runs.iter().all(|run| !run.is_empty() && run.len() <= RUN_MAX));
            let asked = format!("{asked:05}");
            prop_assert_eq!(ordered.get(&asked).map(|v| v.1), map.get(&asked).copied());
            let later = map.range((std::ops::Bound::Excluded(asked.clone()), std::ops::Bound::Unbounded));
            prop_assert!(ordered.after(&asked).map(|v| &v.0).eq(later.map(|(name, _)| name)));
        }
    }
}
