//! The names of a simulated disk's folder: those changed since their last sync are there up to some moment after a
//! power cut, as on a file system with a journal.

use std::collections::BTreeMap;

use super::Dice;

/// Names, and the files that have them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    now: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    unsynced: Vec<Naming>,
}

#[derive(Clone, Debug)]
enum Naming {
    Is(String, usize),
    Moved(String, String),
    Gone(String),
}

impl Names {
    pub(super) fn file(&self, name: &str) -> Option<usize> {
        self.now.get(name).copied()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = usize> {
        self.now.values().copied()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.now.keys().cloned().collect()
    }

    pub(super) fn give(&mut self, name: &str, file: usize) {
        self.change(Naming::Is(name.to_owned(), file));
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.change(Naming::Moved(from.to_owned(), to.to_owned()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(Naming::Gone(name.to_owned()));
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.now.clone();
        self.unsynced.clear();
    }

    pub(super) fn after_power_cut(&self, dice: &mut Dice) -> Self {
        let kept = dice.below(self.unsynced.len() as u64 + 1) as usize;
        let mut names = self.durable.clone();
        for naming in &self.unsynced[..kept] {
            naming.apply(&mut names);
        }
        Self {
            durable: names.clone(),
            now: names,
            unsynced: Vec::new(),
        }
    }

    fn change(&mut self, naming: Naming) {
        naming.apply(&mut self.now);
        self.unsynced.push(naming);
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Is(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Moved(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Gone(name) => {
                names.remove(name);
            }
        }
    }
}
