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
