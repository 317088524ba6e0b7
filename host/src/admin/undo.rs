//! What actions on the queue have changed, for as long as somebody may want it as it was.
//!
//! A filter is no way back: mail that has come since matches it too, and what was changed may match it no more. So each
//! action remembers which deliveries it has changed, and with which class before, and an undo is about those of them that
//! still are as the action has left them. It is remembered in memory, within bounds; after a restart it is forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::message::{Class, DeliveryId, Timestamp};
use crate::spool::{ChangeAction, NAMED_MAX, Named, QueueState, Selection};

/// How long an action can be undone: who has made a mistake sees it within the hour.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Deliveries of all actions at most, 16 MiB; beyond it the oldest actions go.
const DELIVERIES_MAX: usize = 5 * NAMED_MAX;
/// Actions at most; beyond it the oldest go. A page of the console that is acted upon row by row is a thousand.
const ACTIONS_MAX: usize = 5_000;

/// One change that is a part of the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) selection: Selection,
    pub(super) action: ChangeAction,
}

/// What can be undone.
#[derive(Default)]
pub struct Undos(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    actions: VecDeque<Action>,
    deliveries: usize,
    last: u64,
}

struct Action {
    number: u64,
    at: Timestamp,
    steps: Vec<Step>,
    deliveries: usize,
}

impl Undos {
    /// Remembers what an action has changed: the name under which it can be undone, where it can be.
    pub(super) fn remember(
        &self,
        action: ChangeAction,
        named: Named,
        now: Timestamp,
    ) -> Option<String> {
        let Named::These(named) = named else {
            return None;
        };
        let deliveries = named.len();
        let steps = steps(action, named)?;
        let mut kept = self.kept();
        kept.forget_before(now);
        kept.last += 1;
        let number = kept.last;
        kept.deliveries += deliveries;
        kept.actions.push_back(Action {
            number,
            at: now,
            steps,
            deliveries,
        });
        kept.keep_bounds();
        Some(name(now, number))
    }

    /// The way back of the action of that name; none where it is not known any more.
    pub(super) fn find(&self, wanted: &str, now: Timestamp) -> Option<Vec<Step>> {
        let mut kept = self.kept();
        kept.forget_before(now);
        let place = kept.place(wanted)?;
        Some(kept.actions[place].steps.clone())
    }

    /// Somebody has gone the way back of the action of that name.
    pub(super) fn forget(&self, wanted: &str) {
        let mut kept = self.kept();
        if let Some(place) = kept.place(wanted)
            && let Some(action) = kept.actions.remove(place)
        {
            kept.deliveries -= action.deliveries;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn place(&self, wanted: &str) -> Option<usize> {
        let mut actions = self.actions.iter();
        actions.position(|action| name(action.at, action.number) == wanted)
    }

    fn forget_before(&mut self, now: Timestamp) {
        while let Some(first) = self.actions.front()
            && now.since(first.at) > KEPT_FOR
        {
            self.forget_first();
        }
    }

    fn keep_bounds(&mut self) {
        while self.deliveries > DELIVERIES_MAX || self.actions.len() > ACTIONS_MAX {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.actions.pop_front() {
            self.deliveries -= first.deliveries;
        }
    }
}

/// The moment is in it so that one of an earlier process names nothing.
fn name(at: Timestamp, number: u64) -> String {
    format!("{:x}-{number:x}", at.unix_milliseconds())
}

/// The way back; none where there is none, or nothing was changed.
fn steps(action: ChangeAction, named: Vec<(DeliveryId, Class)>) -> Option<Vec<Step>> {
    if named.is_empty() {
        return None;
    }
    let these = |named: &[(DeliveryId, Class)]| -> BTreeSet<_> {
        named.iter().map(|(delivery, _)| *delivery).collect()
    };
    let all = |state, action| {
        let selection = Selection {
            state,
            ..Selection::of_these(these(&named))
        };
        Some(vec![Step { selection, action }])
    };
    match action {
        ChangeAction::Hold => all(None, ChangeAction::Release),
        ChangeAction::Release => all(None, ChangeAction::Hold),
        ChangeAction::Cancel => all(Some(QueueState::Cancelled), ChangeAction::Restore),
        ChangeAction::Restore => all(None, ChangeAction::Cancel),
        // When they were due before is not known.
        ChangeAction::Retry | ChangeAction::Reschedule(_) => None,
        ChangeAction::SetClass(class) => {
            let mut by_class: BTreeMap<Class, BTreeSet<DeliveryId>> = BTreeMap::new();
            for (delivery, before) in named {
                by_class.entry(before).or_default().insert(delivery);
            }
            let step = |(before, these)| Step {
                // Whoever has given another one since has meant that.
                selection: Selection {
                    class: Some(class),
                    ..Selection::of_these(these)
                },
                action: ChangeAction::SetClass(before),
            };
            Some(by_class.into_iter().map(step).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::message::MessageId;

    const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_000_000);

    fn named(count: u32, class: Class) -> Vec<(DeliveryId, Class)> {
        let message = MessageId::from_bits(1);
        let id = |number| DeliveryId { message, number };
        (0..count).map(|number| (id(number), class)).collect()
    }

    #[test]
    fn an_action_is_undone_once_and_within_the_hour() {
        let undos = Undos::default();
        let of_one = || Named::These(named(1, Class::Low));
        let name = undos.remember(ChangeAction::Hold, of_one(), NOW).unwrap();
        let other = undos.remember(ChangeAction::Hold, of_one(), NOW).unwrap();
        assert_ne!(name, other);
        assert!(undos.find("1-1", NOW).is_none());
        let steps = undos.find(&name, NOW).unwrap();
        assert_eq!(steps[0].action, ChangeAction::Release);
        undos.forget(&name);
        assert!(undos.find(&name, NOW).is_none());
        assert!(undos.find(&other, NOW).is_some());
        let late = NOW.plus(KEPT_FOR + Duration::from_secs(1));
        assert!(undos.find(&other, late).is_none());
        assert_eq!(undos.kept().deliveries, 0);
    }

    #[test]
    fn what_has_no_way_back_or_is_too_much_is_not_remembered() {
        let undos = Undos::default();
        let some = || Named::These(named(1, Class::Low));
        for (action, named) in [
            (ChangeAction::Retry, some()),
            (ChangeAction::Reschedule(NOW), some()),
            (ChangeAction::Hold, Named::default()),
            (ChangeAction::Hold, Named::TooMany),
        ] {
            assert_eq!(undos.remember(action, named, NOW), None, "{action:?}");
        }
        let mut many = Named::These(named(u32::try_from(NAMED_MAX).unwrap(), Class::Low));
        many += some();
        assert_eq!(many, Named::TooMany);
    }

    #[test]
    fn each_gets_its_own_class_back() {
        let mut these = named(3, Class::Low);
        these[1].1 = Class::High;
        let steps = steps(ChangeAction::SetClass(Class::VeryLow), these).unwrap();
        let told: Vec<_> = steps
            .iter()
            .map(|step| (step.action, step.selection.these.as_ref().unwrap().len()))
            .collect();
        let to = ChangeAction::SetClass;
        assert_eq!(told, [(to(Class::High), 1), (to(Class::Low), 2)]);
        let is_as_left = |step: &Step| step.selection.class == Some(Class::VeryLow);
        assert!(steps.iter().all(is_as_left));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let undos = Undos::default();
        let of_one = || Named::These(named(1, Class::Low));
        let first = undos.remember(ChangeAction::Hold, of_one(), NOW).unwrap();
        for _ in 0..ACTIONS_MAX {
            undos.remember(ChangeAction::Hold, of_one(), NOW);
        }
        assert!(undos.find(&first, NOW).is_none());
        let all = u32::try_from(NAMED_MAX).unwrap();
        for _ in 0..6 {
            let many = Named::These(named(all, Class::Low));
            undos.remember(ChangeAction::Hold, many, NOW).unwrap();
        }
        let kept = undos.kept();
        assert_eq!((kept.actions.len(), kept.deliveries), (5, DELIVERIES_MAX));
    }
}
