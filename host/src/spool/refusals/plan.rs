//! What noting and dismissing refused senders comes to: which rows are put, and which go.
//!
//! Worked out from what memory has, before the transaction that makes it durable; memory has it once that is. Only
//! whoever commits changes rows, so nothing comes between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::{
    KeptRefusal, Key, REFUSALS_KEPT, REFUSALS_MAX, REFUSALS_OF_USER_MAX, Refusal, RefusalId,
    Refusals, State,
};
use crate::message::Timestamp;

/// Dismissed rows that are remembered, so that a refusal of before does not bring them back: those of the last second count,
/// and nobody dismisses so many in one.
const DISMISSED_MAX: usize = 1_000;

/// Changes of rows that belong together.
#[derive(Debug)]
pub(in crate::spool) struct Plan {
    /// The rows that are put, or none for those that go.
    pub(in crate::spool) rows: BTreeMap<Key, Option<Arc<KeptRefusal>>>,
    dismissed: BTreeSet<Key>,
    last_id: Option<RefusalId>,
    now: Timestamp,
}

impl Refusals {
    /// What a batch comes to: first each of `dismissed` goes, and then each of `noted` comes. With it which of each dismissal
    /// were there.
    pub(in crate::spool) fn plan<'a>(
        &self,
        dismissed: impl Iterator<Item = &'a [RefusalId]>,
        noted: impl Iterator<Item = &'a Refusal>,
        now: Timestamp,
    ) -> (Plan, Vec<Vec<RefusalId>>) {
        let state = self.state();
        let mut plan = Plan {
            rows: BTreeMap::new(),
            dismissed: BTreeSet::new(),
            last_id: state.last_id,
            now,
        };
        let found = dismissed
            .map(|ids| plan.dismiss(&state, ids))
            .collect::<Vec<_>>();
        let mut users = BTreeSet::new();
        for refusal in noted {
            if plan.note(&state, refusal) {
                users.insert(refusal.user.to_ascii_lowercase());
            }
        }
        for user in users {
            plan.bound_user(&state, &user);
        }
        plan.forget(&state);
        (plan, found)
    }

    /// Takes in what has been made durable.
    pub(in crate::spool) fn apply(&self, plan: Plan) {
        let mut state = self.state_mut();
        state.last_id = plan.last_id;
        for (key, row) in plan.rows {
            state.put(key, row);
        }
        for key in plan.dismissed {
            state.dismissed.insert(key, plan.now);
        }
        while state.dismissed.len() > DISMISSED_MAX {
            let oldest = state.dismissed.iter().min_by_key(|(_, at)| **at);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            state.dismissed.remove(&oldest);
        }
    }
}

impl Plan {
    fn dismiss(&mut self, state: &State, ids: &[RefusalId]) -> Vec<RefusalId> {
        let mut found = Vec::new();
        for id in ids {
            if let Some(key) = state.by_id.get(id)
                && self.dismissed.insert(key.clone())
            {
                self.rows.insert(key.clone(), None);
                found.push(*id);
            }
        }
        found
    }

    /// Whether there is one row more.
    fn note(&mut self, state: &State, refusal: &Refusal) -> bool {
        let key = refusal.key();
        let dismissed = match self.dismissed.contains(&key) {
            true => Some(self.now),
            false => state.dismissed.get(&key).copied(),
        };
        if dismissed.is_some_and(|dismissed| refusal.last <= dismissed) {
            return false;
        }
        let known = match self.rows.get(&key) {
            Some(planned) => planned.as_ref(),
            None => state.rows.get(&key),
        };
        let is_new = known.is_none();
        let row = match known {
            Some(known) => {
                let mut refusal_now = known.refusal.clone();
                refusal_now.add(refusal.clone());
                KeptRefusal {
                    id: known.id,
                    refusal: refusal_now,
                }
            }
            None => {
                let id = RefusalId::after(self.last_id, self.now);
                self.last_id = Some(id);
                let mut refusal = refusal.clone();
                refusal.bound();
                KeptRefusal { id, refusal }
            }
        };
        self.rows.insert(key, Some(Arc::new(row)));
        is_new
    }

    /// Leaves a user no more rows than one may have: the one that was seen longest ago goes first.
    fn bound_user(&mut self, state: &State, user: &str) {
        let from = Key {
            user: user.to_owned(),
            sender: String::new(),
        };
        let planned = self.rows.range(from..);
        let planned = planned.take_while(|(key, _)| key.user == user);
        let planned = planned.filter_map(|(_, row)| row.as_ref());
        let untouched = state.of_user(user);
        let untouched = untouched.filter(|row| !self.rows.contains_key(&row.refusal.key()));
        let mut rows: Vec<_> = planned.chain(untouched).collect();
        let surplus = rows.len().saturating_sub(REFUSALS_OF_USER_MAX);
        rows.sort_by_key(|row| (row.refusal.last, row.id));
        let gone: Vec<Key> = rows[..surplus]
            .iter()
            .map(|row| row.refusal.key())
            .collect();
        for key in gone {
            self.remove(state, key);
        }
    }

    /// Leaves no row that is older than rows are kept, and no more than there may be. What is put now stays.
    fn forget(&mut self, state: &State) {
        let put = self.rows.values().flatten().count();
        let replaced = self.rows.keys();
        let replaced = replaced.filter(|key| state.rows.contains_key(*key)).count();
        let mut surplus = (state.rows.len() + put - replaced).saturating_sub(REFUSALS_MAX);
        let oldest = self.now.minus(REFUSALS_KEPT);
        let mut rows = state
            .by_order
            .range((Bound::Unbounded::<super::Order>, Bound::Unbounded))
            .rev();
        while let Some(((last, _), key)) = rows.next()
            && (surplus > 0 || last.0 < oldest)
        {
            if !self.rows.contains_key(key) {
                self.rows.insert(key.clone(), None);
                surplus = surplus.saturating_sub(1);
            }
        }
    }

    fn remove(&mut self, state: &State, key: Key) {
        match state.rows.contains_key(&key) {
            true => self.rows.insert(key, None),
            // It came with this plan, and leaves nothing behind.
            false => self.rows.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::spool::RefusalFilter;
    use crate::spool::sample::{at, refusal};

    fn note(refusals: &Refusals, noted: &[Refusal], now: u64) {
        let (plan, _) = refusals.plan(std::iter::empty(), noted.iter(), at(now));
        refusals.apply(plan);
    }

    fn dismiss(refusals: &Refusals, id: RefusalId, now: u64) -> Vec<RefusalId> {
        let ids = [id];
        let (plan, mut found) = refusals.plan([&ids[..]].into_iter(), std::iter::empty(), at(now));
        refusals.apply(plan);
        found.remove(0)
    }

    fn listed(refusals: &Refusals, filter: &RefusalFilter, now: u64) -> Vec<Refusal> {
        let page = refusals.page(filter, None, usize::MAX, at(now)).unwrap();
        let rows = page.rows.iter();
        rows.map(|row| row.refusal.clone()).collect()
    }

    #[test]
    fn there_are_so_many_rows_and_the_one_that_was_seen_longest_ago_goes_first() {
        let refusals = Refusals::default();
        let user = |number: usize| format!("u{}", number / 100);
        let numbered = |number: usize| {
            refusal(
                &user(number),
                &format!("s{number}@a.example"),
                1 + number as u64,
            )
        };
        let all: Vec<_> = (0..REFUSALS_MAX + 5).map(numbered).collect();
        for part in all.chunks(1_000) {
            note(&refusals, part, 1_000_000);
        }
        assert_eq!(refusals.count(), REFUSALS_MAX);
        let first = RefusalFilter {
            user: Some("u0".to_owned()),
            ..RefusalFilter::default()
        };
        let seen: Vec<_> = listed(&refusals, &first, 1_000_000);
        assert_eq!(seen.len(), 95);
        assert_eq!(seen.last(), Some(&all[5]));
    }

    #[test]
    fn a_row_keeps_what_it_has_room_for() {
        let refusals = Refusals::default();
        for number in 0..10 {
            let refusal = Refusal {
                clients: vec![[192, 0, 2, number].into()],
                reasons: vec!["ü".repeat(1_000); 10],
                ..refusal("ann", "x@a.example", number.into())
            };
            note(&refusals, &[refusal], 100);
        }
        let all = listed(&refusals, &RefusalFilter::default(), 100);
        assert_eq!(all.len(), 1);
        let clients: Vec<_> = all[0].clients.iter().map(ToString::to_string).collect();
        assert_eq!(
            clients,
            ["192.0.2.9", "192.0.2.8", "192.0.2.7", "192.0.2.6"]
        );
        assert_eq!(all[0].reasons.len(), 5);
        assert!(all[0].reasons.iter().all(|reason| reason.len() < 310));
        assert_eq!(all[0].count, 10);
    }

    #[test]
    fn a_listing_goes_on_behind_its_cursor_and_holds_what_was_asked_for() {
        let refusals = Refusals::default();
        let noted = [
            refusal("ann", "x@a.example", 10),
            refusal("bob", "Y@b.example", 20),
            refusal("bob", "z@b.example", 20),
            refusal("cy", "x@sub.b.example", 30),
        ];
        note(&refusals, &noted, 100);
        let mut cursor = None;
        let mut seen = Vec::new();
        for _ in 0..4 {
            let page = refusals.page(&RefusalFilter::default(), cursor.as_deref(), 1, at(100));
            let page = page.unwrap();
            seen.extend(page.rows.iter().map(|row| row.refusal.clone()));
            cursor = page.cursor;
        }
        assert_eq!(cursor, None);
        let [ann, bob_y, bob_z, cy] = noted;
        assert_eq!(
            seen,
            [cy.clone(), bob_z.clone(), bob_y.clone(), ann.clone()]
        );
        for wrong in ["x", "", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            let page = refusals.page(&RefusalFilter::default(), Some(wrong), 1, at(100));
            assert_eq!(page, None, "{wrong}");
        }
        let some = |text: &str| Some(text.to_owned());
        let all = RefusalFilter::default();
        for (filter, expected) in [
            (
                RefusalFilter {
                    user: some("BOB"),
                    ..all.clone()
                },
                vec![&bob_z, &bob_y],
            ),
            (
                RefusalFilter {
                    sender: some("y@B"),
                    ..all.clone()
                },
                vec![&bob_y],
            ),
            (
                RefusalFilter {
                    domain: some("b.example"),
                    ..all.clone()
                },
                vec![&bob_z, &bob_y],
            ),
            (
                RefusalFilter {
                    list: some("news"),
                    ..all.clone()
                },
                vec![],
            ),
            (
                RefusalFilter {
                    since: Some(at(20)),
                    ..all.clone()
                },
                vec![&cy, &bob_z, &bob_y],
            ),
            (
                RefusalFilter {
                    user: some("bob"),
                    sender: some("z"),
                    ..all.clone()
                },
                vec![&bob_z],
            ),
        ] {
            let found = listed(&refusals, &filter, 100);
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        }
    }

    #[test]
    fn so_many_dismissals_are_remembered() {
        let refusals = Refusals::default();
        let one = refusal("ann", "x@a.example", 5);
        note(&refusals, std::slice::from_ref(&one), 10);
        let id = refusals.of_user("ANN", at(10))[0].id;
        assert_eq!(dismiss(&refusals, id, 10), [id]);
        assert_eq!(dismiss(&refusals, id, 11), []);
        for number in 0..DISMISSED_MAX as u64 {
            let other = refusal("bob", "y@a.example", 20 + number);
            let other = Refusal {
                user: format!("u{number}"),
                ..other
            };
            note(&refusals, std::slice::from_ref(&other), 20 + number);
            let id = refusals.of_user(&other.user, at(20 + number))[0].id;
            dismiss(&refusals, id, 20 + number);
        }
        assert_eq!(refusals.state().dismissed.len(), DISMISSED_MAX);
        note(&refusals, &[one], 10_000);
        assert_eq!(refusals.count(), 1, "the first was forgotten");
    }
}
