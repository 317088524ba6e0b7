//! The scheduler: which line's delivery is claimed next, and when to look again.
//!
//! Arithmetic only: no async, no clock (`now` is an argument), no storage. It knows the head of
//! each line, which the spool tells it, and how many deliveries are under way in each lane.
//! Memory grows with the lines and lanes that have mail, never with the mail in them, and a
//! decision costs the logarithm of their number, whatever the backlog.
//!
//! A line *waits* until its head is due; then it is *due* in its lane; and the first due line of
//! each lane and class is *ready*, as long as the lane has room. A lane without room has nothing
//! among the ready ones, so it costs the others nothing; so has one that is shut, since its next hop
//! cannot be reached, and one that is *paced*: where deliveries to one next hop begin at most so often, it is
//! closed for a moment behind each. What comes first is the business of `order`, when a lane is shut that of
//! `reach`; what is done with a decision is the driver's.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::order::{Order, Place};
use super::reach::{LONGEST_WAIT, Reach, Turn};
use crate::message::{Class, Line, NextHop, Timestamp};
use crate::spool::LineChange;

/// How many deliveries may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Over all lanes.
    pub simultaneous_max: usize,
    /// In one lane.
    pub per_next_hop_max: usize,
    /// From one start to the next in one lane; zero: they may follow at once.
    pub per_next_hop_interval: Duration,
}

/// A line, in the order in which lines of one class are served.
type Ranked = (Place, Arc<Line>);

/// Chooses the next line to claim from.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    order: Order,
    /// Deliveries under way.
    active: usize,
    /// Every line that has a head, and where it stands.
    lines: HashMap<Arc<Line>, Standing>,
    /// The lines whose head is not known to be due.
    waiting: BTreeSet<Ranked>,
    /// Lanes with due lines or deliveries under way, and those that are paced.
    lanes: HashMap<NextHop, Lane>,
    /// Lanes that are closed until a time, since a delivery has just begun there.
    paced: BTreeSet<(Timestamp, NextHop)>,
    /// The first due line of each lane that has room, by class.
    ready: ByClass<BTreeSet<Ranked>>,
    /// Lanes that are shut, by when they are tried again.
    shut: BTreeSet<(Timestamp, NextHop)>,
}

/// One value per class; index 0 is class 1.
type ByClass<T> = [T; Class::ALL.len()];

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
enum Standing {
    Waiting(Place),
    Due(Place),
}

/// What is due and under way in one lane.
#[derive(Debug, Default)]
struct Lane {
    active: usize,
    reach: Reach,
    is_paced: bool,
    due: ByClass<BTreeSet<Ranked>>,
    /// The entries of this lane in [`Scheduler::ready`].
    ready: ByClass<Option<Ranked>>,
}

impl Scheduler {
    /// A scheduler that knows of no mail yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            order: Order,
            active: 0,
            lines: HashMap::new(),
            waiting: BTreeSet::new(),
            lanes: HashMap::new(),
            paced: BTreeSet::new(),
            ready: ByClass::default(),
            shut: BTreeSet::new(),
        }
    }

    /// Takes note of a line's head.
    pub fn update(&mut self, change: LineChange) {
        let line = match self.lines.remove_entry(&change.line) {
            Some((line, standing)) => {
                self.take_out(&line, standing);
                line
            }
            None => Arc::new(change.line),
        };
        if let Some(head) = change.head {
            let place = Place::from(head);
            self.lines.insert(line.clone(), Standing::Waiting(place));
            self.waiting.insert((place, line));
        }
    }

    /// The line to claim from now; none when nothing is due where there is room.
    ///
    /// Says the same until something changes: the claim is followed by [`Self::update`] with the
    /// line's next head, and by [`Self::started`] when it gave a delivery.
    pub fn next(&mut self, now: Timestamp) -> Option<Arc<Line>> {
        self.reopen(now);
        self.promote(now);
        let class = self
            .order
            .choose(|class| self.has_room(class) && !self.ready[index(class)].is_empty())?;
        self.ready[index(class)]
            .first()
            .map(|(_, line)| line.clone())
    }

    /// When the first of the heads that are not due yet falls due, a shut lane is to be tried or a paced one
    /// opens; none when there is none. Those that wait for room need no timer: a delivery that ends makes it.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.waiting.first().map(|(place, _)| place.due);
        let trial = self.shut.first().map(|(until, _)| *until);
        let open = self.paced.first().map(|(opens, _)| *opens);
        due.into_iter().chain(trial).chain(open).min()
    }

    /// A delivery to `next_hop` is under way since `now`.
    pub fn started(&mut self, next_hop: &NextHop, now: Timestamp) {
        self.active += 1;
        let lane = self.lanes.entry(next_hop.clone()).or_default();
        lane.active += 1;
        let interval = self.limits.per_next_hop_interval;
        if !interval.is_zero() && !lane.is_paced {
            lane.is_paced = true;
            self.paced.insert((now.plus(interval), next_hop.clone()));
        }
        self.refresh_lane(next_hop);
    }

    /// A delivery to `next_hop` is over, however it ended; `has_reached` tells whether a host was reached.
    pub fn finished(
        &mut self,
        next_hop: &NextHop,
        has_reached: bool,
        now: Timestamp,
    ) -> Option<Turn> {
        self.active = self.active.saturating_sub(1);
        let lane = self.lanes.get_mut(next_hop)?;
        lane.active = lane.active.saturating_sub(1);
        let was_until = lane.reach.shut_until();
        let turn = match has_reached {
            true => lane.reach.hit(),
            false => lane.reach.miss(now, lane.first_due()),
        };
        let until = lane.reach.shut_until();
        if was_until != until {
            let entry = |until| (until, next_hop.clone());
            was_until.map(|until| self.shut.remove(&entry(until)));
            self.shut.extend(until.map(entry));
        }
        self.refresh_lane(next_hop);
        turn
    }

    /// Lanes that are shut.
    pub fn shut(&self) -> usize {
        self.shut.len()
    }

    /// Deliveries under way.
    pub fn active(&self) -> usize {
        self.active
    }

    /// Whether another delivery of `class` may start at all. Takes the class, because slots that
    /// only the most urgent may use are a matter of this line and of [`Lane::has_room`].
    fn has_room(&self, _class: Class) -> bool {
        self.active < self.limits.simultaneous_max
    }

    /// Opens the paced lanes whose time has come.
    fn reopen(&mut self, now: Timestamp) {
        // One that is longer away than the pace was closed before the clock was set back.
        let interval = self.limits.per_next_hop_interval;
        let has_come = |opens: Timestamp| opens <= now || opens.since(now) > interval;
        while self
            .paced
            .first()
            .is_some_and(|(opens, _)| has_come(*opens))
        {
            let Some((_, next_hop)) = self.paced.pop_first() else {
                break;
            };
            if let Some(lane) = self.lanes.get_mut(&next_hop) {
                lane.is_paced = false;
            }
            self.refresh_lane(&next_hop);
        }
    }

    /// Moves the lines whose heads have fallen due into their lanes, each head once, and has shut lanes
    /// tried whose time has come.
    fn promote(&mut self, now: Timestamp) {
        // One that is longer away than a wait takes was shut before the clock was set back.
        let has_come = |until: Timestamp| until <= now || until.since(now) > LONGEST_WAIT;
        while self.shut.first().is_some_and(|(until, _)| has_come(*until)) {
            let Some((_, next_hop)) = self.shut.pop_first() else {
                break;
            };
            if let Some(lane) = self.lanes.get_mut(&next_hop) {
                lane.reach.try_again(now);
            }
            self.refresh_lane(&next_hop);
        }
        while self
            .waiting
            .first()
            .is_some_and(|(place, _)| place.due <= now)
        {
            let Some((place, line)) = self.waiting.pop_first() else {
                break;
            };
            self.lines.insert(line.clone(), Standing::Due(place));
            let class = line.class;
            let next_hop = line.next_hop.clone();
            let lane = self.lanes.entry(next_hop.clone()).or_default();
            lane.due[index(class)].insert((place, line));
            self.refresh(&next_hop, class);
        }
    }

    fn take_out(&mut self, line: &Arc<Line>, standing: Standing) {
        match standing {
            Standing::Waiting(place) => {
                self.waiting.remove(&(place, line.clone()));
            }
            Standing::Due(place) => {
                if let Some(lane) = self.lanes.get_mut(&line.next_hop) {
                    lane.due[index(line.class)].remove(&(place, line.clone()));
                }
                self.refresh(&line.next_hop, line.class);
                self.forget_if_idle(&line.next_hop);
            }
        }
    }

    fn refresh_lane(&mut self, next_hop: &NextHop) {
        for class in Class::ALL {
            self.refresh(next_hop, class);
        }
        self.forget_if_idle(next_hop);
    }

    /// Brings the lane's entry among the ready lines of a class up to date.
    fn refresh(&mut self, next_hop: &NextHop, class: Class) {
        let Some(lane) = self.lanes.get_mut(next_hop) else {
            return;
        };
        let index = index(class);
        let has_room =
            |first: &&Ranked| lane.has_room(class, first.0.due, self.limits.per_next_hop_max);
        let first = lane.due[index].first().filter(has_room);
        if lane.ready[index].as_ref() == first {
            return;
        }
        let first = first.cloned();
        if let Some(old) = std::mem::replace(&mut lane.ready[index], first.clone()) {
            self.ready[index].remove(&old);
        }
        self.ready[index].extend(first);
    }

    fn forget_if_idle(&mut self, next_hop: &NextHop) {
        if self.lanes.get(next_hop).is_some_and(Lane::is_idle)
            && let Some(lane) = self.lanes.remove(next_hop)
            && let Some(until) = lane.reach.shut_until()
        {
            self.shut.remove(&(until, next_hop.clone()));
        }
    }
}

impl Lane {
    /// Whether another delivery of `class` that has been due since `due` may start in this lane.
    fn has_room(&self, _class: Class, due: Timestamp, per_next_hop_max: usize) -> bool {
        !self.is_paced && self.reach.has_room(self.active, per_next_hop_max, due)
    }

    /// Since when the first of those that are due has been.
    fn first_due(&self) -> Option<Timestamp> {
        let firsts = self.due.iter().filter_map(BTreeSet::first);
        firsts.map(|(place, _)| place.due).min()
    }

    fn is_idle(&self) -> bool {
        self.active == 0 && !self.is_paced && self.due.iter().all(BTreeSet::is_empty)
    }
}

fn index(class: Class) -> usize {
    usize::from(class.number() - 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::spool::Head;

    fn line(lane: u8, class: Class, user: u8) -> Line {
        Line {
            next_hop: NextHop::Domain(format!("{lane}.example")),
            class,
            user: format!("user{user}"),
        }
    }

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(milliseconds)
    }

    fn change(line: &Line, head: Option<(u64, u64)>) -> LineChange {
        LineChange {
            line: line.clone(),
            head: head.map(|(due, sequence)| Head {
                due: at(due),
                sequence,
            }),
        }
    }

    fn scheduler(simultaneous_max: usize, per_next_hop_max: usize) -> Scheduler {
        Scheduler::new(Limits {
            simultaneous_max,
            per_next_hop_max,
            per_next_hop_interval: Duration::ZERO,
        })
    }

    #[test]
    fn a_paced_lane_opens_in_time_and_delays_only_itself() {
        let mut scheduler = Scheduler::new(Limits {
            simultaneous_max: 10,
            per_next_hop_max: 10,
            per_next_hop_interval: Duration::from_millis(100),
        });
        let (paced, other) = (line(1, Class::VeryHigh, 1), line(2, Class::VeryLow, 1));
        scheduler.update(change(&paced, Some((1, 1))));
        scheduler.update(change(&other, Some((1, 2))));
        assert_eq!(*scheduler.next(at(5)).unwrap(), paced);
        scheduler.started(&paced.next_hop, at(5));
        assert_eq!(*scheduler.next(at(5)).unwrap(), other);
        scheduler.update(change(&other, None));
        // That the delivery ends opens nothing.
        scheduler.finished(&paced.next_hop, true, at(6));
        assert_eq!(scheduler.next(at(104)), None);
        assert_eq!(scheduler.next_due(), Some(at(105)));
        assert_eq!(*scheduler.next(at(105)).unwrap(), paced);
        // A lane without mail is forgotten when its time has come, and not before.
        scheduler.started(&paced.next_hop, at(105));
        scheduler.update(change(&paced, None));
        scheduler.finished(&paced.next_hop, true, at(106));
        assert_eq!(scheduler.lanes.len(), 1);
        assert_eq!(scheduler.next(at(205)), None);
        assert!(scheduler.lanes.is_empty() && scheduler.paced.is_empty());
    }

    #[test]
    fn the_most_urgent_class_goes_first_and_then_the_earlier_due() {
        let mut scheduler = scheduler(10, 10);
        let (low, high, higher) = (
            line(1, Class::Low, 1),
            line(2, Class::High, 1),
            line(3, Class::High, 2),
        );
        scheduler.update(change(&low, Some((1, 1))));
        scheduler.update(change(&high, Some((3, 2))));
        scheduler.update(change(&higher, Some((2, 3))));
        for expected in [&higher, &high, &low] {
            let next = scheduler.next(at(5)).unwrap();
            assert_eq!(*next, *expected);
            scheduler.update(change(expected, None));
        }
        assert_eq!(scheduler.next(at(5)), None);
    }

    #[test]
    fn what_is_not_due_waits_and_says_when() {
        let mut scheduler = scheduler(10, 10);
        scheduler.update(change(&line(1, Class::VeryHigh, 1), Some((500, 1))));
        scheduler.update(change(&line(1, Class::Normal, 1), Some((100, 2))));
        assert_eq!(scheduler.next(at(99)), None);
        assert_eq!(scheduler.next_due(), Some(at(100)));
        assert_eq!(scheduler.next(at(100)).unwrap().class, Class::Normal);
        assert_eq!(scheduler.next_due(), Some(at(500)));
    }

    #[test]
    fn a_full_lane_delays_only_itself_and_a_finished_delivery_makes_room() {
        let mut scheduler = scheduler(10, 1);
        let (urgent, other) = (line(1, Class::VeryHigh, 1), line(2, Class::VeryLow, 1));
        scheduler.update(change(&urgent, Some((1, 1))));
        scheduler.update(change(&other, Some((1, 2))));
        scheduler.started(&urgent.next_hop, at(5));
        assert_eq!(*scheduler.next(at(5)).unwrap(), other);
        assert_eq!(scheduler.next_due(), None, "a full lane needs no timer");
        scheduler.finished(&urgent.next_hop, true, at(5));
        assert_eq!(*scheduler.next(at(5)).unwrap(), urgent);
    }

    #[test]
    fn nothing_starts_beyond_the_limit_over_all_lanes() {
        let mut scheduler = scheduler(2, 2);
        for lane in 1..=3 {
            scheduler.update(change(
                &line(lane, Class::Normal, 1),
                Some((1, lane.into())),
            ));
        }
        scheduler.started(&line(1, Class::Normal, 1).next_hop, at(5));
        scheduler.started(&line(2, Class::Normal, 1).next_hop, at(5));
        assert_eq!(scheduler.next(at(5)), None);
        scheduler.finished(&line(2, Class::Normal, 1).next_hop, true, at(5));
        assert!(scheduler.next(at(5)).is_some());
    }

    #[test]
    fn lanes_and_lines_without_mail_are_forgotten() {
        let mut scheduler = scheduler(10, 10);
        for lane in 0..=255 {
            let line = line(lane, Class::Normal, lane);
            scheduler.update(change(&line, Some((1, 1))));
            scheduler.next(at(5)).unwrap();
            scheduler.started(&line.next_hop, at(5));
            scheduler.update(change(&line, None));
            scheduler.finished(&line.next_hop, true, at(5));
        }
        assert!(scheduler.lanes.is_empty() && scheduler.lines.is_empty());
        assert!(scheduler.waiting.is_empty());
        assert!(scheduler.ready.iter().all(BTreeSet::is_empty));
    }

    #[test]
    fn a_lane_whose_next_hop_is_never_reached_is_shut_and_tried_now_and_then() {
        let mut scheduler = scheduler(10, 3);
        let (down, up) = (line(1, Class::VeryHigh, 1), line(2, Class::VeryLow, 1));
        scheduler.update(change(&down, Some((1, 1))));
        let mut now = 100_000;
        let mut misses = 0;
        while scheduler.shut() == 0 {
            assert_eq!(*scheduler.next(at(now)).unwrap(), down);
            scheduler.started(&down.next_hop, at(0));
            misses += 1;
            let turn = scheduler.finished(&down.next_hop, false, at(now));
            assert_eq!(turn.is_some(), scheduler.shut() == 1, "after {misses}");
        }
        scheduler.update(change(&up, Some((2, 2))));
        assert_eq!(*scheduler.next(at(now)).unwrap(), up, "others go on");
        scheduler.update(change(&up, None));
        assert_eq!(scheduler.next(at(now)), None);

        // One goes at the end of the wait, and no second beside it.
        now += 1_000;
        assert_eq!(scheduler.next_due(), Some(at(now)));
        assert_eq!(*scheduler.next(at(now)).unwrap(), down);
        scheduler.started(&down.next_hop, at(0));
        assert_eq!(scheduler.next(at(now)), None);
        assert_eq!(scheduler.next_due(), None);
        assert_eq!(scheduler.finished(&down.next_hop, false, at(now)), None);
        assert_eq!(scheduler.next_due(), Some(at(now + 2_000)));

        // The clock is put back by more than any wait: it is tried at once, not in a while.
        assert_eq!(*scheduler.next(at(5)).unwrap(), down);
        scheduler.started(&down.next_hop, at(0));
        let turn = scheduler.finished(&down.next_hop, true, at(5));
        assert_eq!(turn, Some(Turn::Open));
        for _ in 0..3 {
            assert_eq!(*scheduler.next(at(5)).unwrap(), down);
            scheduler.started(&down.next_hop, at(0));
        }
        assert_eq!(scheduler.next(at(5)), None, "the limit of the lane");
    }

    #[test]
    fn a_shut_lane_without_mail_is_forgotten() {
        let mut scheduler = scheduler(10, 3);
        let line = line(1, Class::Normal, 1);
        scheduler.update(change(&line, Some((1, 1))));
        while scheduler.shut() == 0 {
            scheduler.next(at(10)).unwrap();
            scheduler.started(&line.next_hop, at(0));
            scheduler.finished(&line.next_hop, false, at(10));
        }
        scheduler.update(change(&line, None));
        assert!(scheduler.lanes.is_empty() && scheduler.shut.is_empty());
        assert_eq!(scheduler.next_due(), None);
    }

    /// The same decisions, made by looking at everything.
    struct Naive {
        limits: Limits,
        heads: Vec<(Line, Place)>,
        active: Vec<NextHop>,
    }

    impl Naive {
        fn next(&self, now: Timestamp) -> Option<Line> {
            if self.active.len() >= self.limits.simultaneous_max {
                return None;
            }
            let in_lane = |lane: &NextHop| self.active.iter().filter(|a| *a == lane).count();
            self.heads
                .iter()
                .filter(|(_, place)| place.due <= now)
                .filter(|(line, _)| in_lane(&line.next_hop) < self.limits.per_next_hop_max)
                .min_by_key(|(line, place)| (line.class, *place, line.clone()))
                .map(|(line, _)| line.clone())
        }

        fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
            let due = self.heads.iter().map(|(_, place)| place.due);
            due.filter(|due| *due > now).min()
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Head {
            lane: u8,
            class: Class,
            user: u8,
            head: Option<u64>,
        },
        Claim {
            then: Option<u64>,
        },
        Finish {
            which: prop::sample::Index,
        },
        Pass {
            milliseconds: u64,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        let class = prop::sample::select(Class::ALL.to_vec());
        prop_oneof![
            3 => (0..4u8, class, 0..3u8, prop::option::weighted(0.8, 0..200u64))
                .prop_map(|(lane, class, user, head)| Step::Head { lane, class, user, head }),
            4 => prop::option::weighted(0.7, 0..200u64).prop_map(|then| Step::Claim { then }),
            2 => any::<prop::sample::Index>().prop_map(|which| Step::Finish { which }),
            1 => (0..40u64).prop_map(|milliseconds| Step::Pass { milliseconds }),
        ]
    }

    proptest! {
        #[test]
        fn decides_as_looking_at_everything_would(
            simultaneous_max in 1..6usize,
            per_next_hop_max in 1..4usize,
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let per_next_hop_interval = Duration::ZERO;
            let limits = Limits { simultaneous_max, per_next_hop_max, per_next_hop_interval };
            let mut scheduler = Scheduler::new(limits);
            let mut naive = Naive { limits, heads: Vec::new(), active: Vec::new() };
            let mut now = 0;
            let mut sequence = 0;
            let mut set = |scheduler: &mut Scheduler, naive: &mut Naive, line: &Line, due: Option<u64>| {
                sequence += 1;
                let new = change(line, due.map(|due| (due, sequence)));
                naive.heads.retain(|(known, _)| known != line);
                naive.heads.extend(new.head.map(|head| (line.clone(), head.into())));
                scheduler.update(new);
            };
            for step in steps {
                match step {
                    Step::Head { lane, class, user, head } => {
                        set(&mut scheduler, &mut naive, &line(lane, class, user), head);
                    }
                    Step::Claim { then } => {
                        let next = scheduler.next(at(now)).map(|line| (*line).clone());
                        prop_assert_eq!(&next, &naive.next(at(now)));
                        prop_assert_eq!(scheduler.next_due(), naive.next_due(at(now)));
                        if let Some(line) = next {
                            scheduler.started(&line.next_hop, at(now));
                            naive.active.push(line.next_hop.clone());
                            set(&mut scheduler, &mut naive, &line, then);
                        }
                    }
                    Step::Finish { which } if !naive.active.is_empty() => {
                        let lane = naive.active.swap_remove(which.index(naive.active.len()));
                        scheduler.finished(&lane, true, at(now));
                    }
                    Step::Finish { .. } => {}
                    Step::Pass { milliseconds } => now += milliseconds,
                }
                prop_assert_eq!(scheduler.active(), naive.active.len());
            }
        }
    }
}
