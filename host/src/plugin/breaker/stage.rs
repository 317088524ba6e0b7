//! What the breaker knows about one stage: whose questions failed, and for whom the component is not
//! asked for a while.
//!
//! A fault says something about the component or about the mail that it was asked about, and a user
//! chooses his own mail. So five faults in a row of one user suspend the component for that user, and
//! only faults of five users without an answer between them suspend it for everybody. After a pause a
//! question is let through as a probe. A user whose probe fails waits for his next one, so that he
//! cannot take all probes and keep a component suspended that answers the others well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BreakerState, CallEnd, Change};

/// Faults in a row of one user that suspend a component for him: one is an accident.
pub const FAULTS_MAX: u32 = 5;
/// Users in a row with faults that suspend it for everybody.
pub const USERS_MAX: usize = 5;
/// How long a suspension lasts before a probe: mail that was deferred comes back later anyway.
pub const PAUSE: Duration = Duration::from_secs(10);
/// From a failed probe to that of another user: a component that uses all of its 50 ms and fails
/// costs a twentieth of one processor then.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);
/// When a probe was never heard of again (its session ended), the next question is one.
const PROBE_WITHIN: Duration = Duration::from_secs(5);
/// Users with faults that are remembered: some more than suspend it for everybody.
const USERS_KEPT: usize = 64;

/// What is known about one stage.
#[derive(Debug, Default)]
pub struct Record {
    /// Users whose last question failed, the one that has been here longest first.
    users: Vec<Faulty>,
    /// While the component is suspended for everybody.
    suspension: Option<Suspension>,
}

/// A user whose last question failed.
#[derive(Debug)]
struct Faulty {
    name: Arc<str>,
    /// Faults since his last answer.
    faults: u32,
    /// Whether nobody has had an answer since his last fault.
    in_row: bool,
    /// While the component is suspended for him.
    suspension: Option<Suspension>,
}

/// A suspension, of one user or of all.
#[derive(Debug)]
struct Suspension {
    /// When the next probe may go out.
    next: Instant,
    /// Whose question is out as a probe, and since when.
    probe: Option<(Arc<str>, Instant)>,
}

impl Record {
    /// Whether the component may be asked now for that user; a yes while it is suspended is the probe.
    pub fn admits(&mut self, user: &str, now: impl FnOnce() -> Instant) -> bool {
        let place = self.place(user);
        let own = place.and_then(|place| self.users[place].suspension.as_mut());
        if own.is_none() && self.suspension.is_none() {
            return true;
        }
        let now = now();
        let admits = |suspension: &Option<&mut Suspension>| {
            suspension.as_ref().is_none_or(|s| s.admits_probe(now))
        };
        let all = self.suspension.as_mut();
        if !admits(&own) || !admits(&all) {
            return false;
        }
        let user: Arc<str> = user.into();
        for suspension in own.into_iter().chain(all) {
            suspension.probe = Some((Arc::clone(&user), now));
        }
        true
    }

    /// Whether it is suspended for that user, or for everybody.
    pub fn is_suspended(&self, user: &str) -> bool {
        let own = self.place(user).map(|place| &self.users[place]);
        self.suspension.is_some() || own.is_some_and(|own| own.suspension.is_some())
    }

    /// Takes note of how a question of that user ended.
    pub fn note(
        &mut self,
        user: &str,
        end: CallEnd,
        now: impl FnOnce() -> Instant,
    ) -> Option<Change> {
        match end {
            CallEnd::Neither => None,
            CallEnd::Answer => self.answered(user),
            CallEnd::Fault => self.failed(user, now()),
        }
    }

    /// Whether the component is asked, for anybody.
    pub fn state(&self) -> BreakerState {
        match &self.suspension {
            None => BreakerState::Closed,
            Some(Suspension { probe: None, .. }) => BreakerState::Open,
            Some(Suspension { probe: Some(_), .. }) => BreakerState::Probing,
        }
    }

    /// The users for whom alone it is not asked.
    pub fn users_suspended(&self) -> impl Iterator<Item = &Arc<str>> {
        let suspended = self.users.iter().filter(|user| user.suspension.is_some());
        suspended.map(|user| &user.name)
    }

    fn answered(&mut self, user: &str) -> Option<Change> {
        if self.users.is_empty() && self.suspension.is_none() {
            return None;
        }
        // An answer to what was asked before the suspension proves nothing.
        let proves = |suspension: &Suspension| suspension.is_probed_by(user);
        if self.suspension.as_ref().is_some_and(|s| !proves(s)) {
            return None;
        }
        let was_open = self.suspension.take().is_some();
        for other in &mut self.users {
            other.in_row = false;
        }
        if was_open {
            // Whose probes failed while it failed for everybody need not wait for the next one.
            self.users.retain(|other| other.faults >= FAULTS_MAX);
        }
        let mut was_suspended = false;
        if let Some(place) = self.place(user) {
            let own = self.users[place].suspension.as_ref();
            if own.is_none_or(proves) {
                was_suspended = own.is_some();
                self.users.remove(place);
            }
        }
        match (was_open, was_suspended) {
            (true, _) => Some(Change::Closed),
            (false, true) => Some(Change::ClosedForUser),
            (false, false) => None,
        }
    }

    fn failed(&mut self, user: &str, now: Instant) -> Option<Change> {
        let place = self.place(user).unwrap_or_else(|| self.insert(user));
        let faulty = &mut self.users[place];
        faulty.faults = faulty.faults.saturating_add(1);
        let later = |wait| Suspension {
            next: now + wait,
            probe: None,
        };
        if let Some(all) = &mut self.suspension {
            if all.is_probed_by(user) {
                *all = later(PROBE_EVERY);
                faulty.suspension = Some(later(PAUSE));
            }
            return None;
        }
        let was_suspended = faulty.suspension.is_some();
        if was_suspended || faulty.faults >= FAULTS_MAX {
            faulty.suspension = Some(later(PAUSE));
        }
        // What is known to fail for him alone says nothing new about the component.
        faulty.in_row |= !was_suspended;
        let is_suspended = faulty.suspension.is_some();
        if self.users.iter().filter(|user| user.in_row).count() >= USERS_MAX {
            self.suspension = Some(later(PAUSE));
            return Some(Change::Opened);
        }
        (is_suspended && !was_suspended).then_some(Change::OpenedForUser)
    }

    fn place(&self, user: &str) -> Option<usize> {
        self.users.iter().position(|known| *known.name == *user)
    }

    /// A new user, in the place of the oldest that is not suspended when there are too many.
    fn insert(&mut self, user: &str) -> usize {
        if self.users.len() >= USERS_KEPT {
            let plain = self.users.iter().position(|user| user.suspension.is_none());
            self.users.remove(plain.unwrap_or(0));
        }
        self.users.push(Faulty {
            name: user.into(),
            faults: 0,
            in_row: false,
            suspension: None,
        });
        self.users.len() - 1
    }
}

impl Suspension {
    fn admits_probe(&self, now: Instant) -> bool {
        match &self.probe {
            None => now >= self.next,
            Some((_, since)) => now.saturating_duration_since(*since) >= PROBE_WITHIN,
        }
    }

    fn is_probed_by(&self, user: &str) -> bool {
        self.probe.as_ref().is_some_and(|(name, _)| **name == *user)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USERS: [&str; USERS_MAX] = ["a", "b", "c", "d", "e"];

    /// A stage where the component has failed for everybody, and when.
    fn open() -> (Record, Instant) {
        let (mut record, now) = (Record::default(), Instant::now());
        for user in USERS {
            assert!(record.admits(user, || now));
            let change = record.note(user, CallEnd::Fault, || now);
            let last = (user == "e").then_some(Change::Opened);
            assert_eq!(change, last, "{user}");
        }
        (record, now)
    }

    /// A stage where the component fails for one user.
    fn open_for(user: &str) -> (Record, Instant) {
        let (mut record, now) = (Record::default(), Instant::now());
        for fault in 1..=FAULTS_MAX {
            assert!(record.admits(user, || now));
            let change = record.note(user, CallEnd::Fault, || now);
            let last = (fault == FAULTS_MAX).then_some(Change::OpenedForUser);
            assert_eq!(change, last, "{fault}");
        }
        (record, now)
    }

    #[test]
    fn a_user_s_faults_in_a_row_suspend_it_for_him_alone() {
        let (mut record, now) = open_for("hostile");
        assert!(!record.admits("hostile", || now));
        assert!(record.admits("shop", || now));
        assert_eq!(record.state(), BreakerState::Closed);
        assert_eq!(record.users_suspended().count(), 1);
    }

    #[test]
    fn only_faults_in_a_row_count() {
        let (mut record, now) = (Record::default(), Instant::now());
        for _ in 0..100 {
            for _ in 1..FAULTS_MAX {
                assert_eq!(record.note("a", CallEnd::Fault, || now), None);
            }
            record.note("a", CallEnd::Answer, || now);
        }
        // The faults of five users, and answers to others between them.
        for user in USERS {
            assert_eq!(record.note(user, CallEnd::Fault, || now), None);
            record.note("shop", CallEnd::Answer, || now);
        }
        assert!(record.admits("a", || now));
    }

    #[test]
    fn faults_of_several_users_in_a_row_suspend_it_for_everybody() {
        let (mut record, now) = open();
        assert_eq!(record.state(), BreakerState::Open);
        assert!(!record.admits("shop", || now));
        assert!(!record.admits("shop", || now + PAUSE - Duration::from_millis(1)));
    }

    #[test]
    fn overload_is_no_fault() {
        let (mut record, now) = (Record::default(), Instant::now());
        for _ in 0..100 {
            for user in USERS {
                assert_eq!(record.note(user, CallEnd::Neither, || now), None);
            }
        }
        assert!(USERS.into_iter().all(|user| record.admits(user, || now)));
    }

    #[test]
    fn one_probe_at_a_time_and_its_answer_closes() {
        let (mut record, now) = open();
        let later = now + PAUSE;
        assert!(record.admits("shop", || later));
        assert_eq!(record.state(), BreakerState::Probing);
        assert!(!record.admits("other", || later), "one probe at a time");
        // Begun before it was suspended.
        assert_eq!(record.note("other", CallEnd::Answer, || later), None);
        assert_eq!(
            record.note("shop", CallEnd::Answer, || later),
            Some(Change::Closed)
        );
        assert!(record.admits("other", || later));
        assert!(record.admits("a", || later));
        assert_eq!(record.state(), BreakerState::Closed);
    }

    #[test]
    fn who_fails_a_probe_leaves_the_next_one_to_others() {
        let (mut record, now) = open();
        let mut later = now + PAUSE;
        for _ in 0..10 {
            // The hostile user is always there first.
            if record.admits("hostile", || later) {
                record.note("hostile", CallEnd::Fault, || later);
            }
            later += PROBE_EVERY;
            assert!(!record.admits("hostile", || later));
            assert!(record.admits("shop", || later));
            record.note("shop", CallEnd::Neither, || later);
            later += PROBE_WITHIN;
        }
        assert!(record.admits("shop", || later));
        let change = record.note("shop", CallEnd::Answer, || later);
        assert_eq!(change, Some(Change::Closed));
    }

    #[test]
    fn a_user_s_own_suspension_is_probed_and_outlasts_answers_to_others() {
        let (mut record, now) = open_for("hostile");
        record.note("shop", CallEnd::Answer, || now);
        assert!(!record.admits("hostile", || now));
        let later = now + PAUSE;
        assert!(record.admits("hostile", || later));
        assert!(!record.admits("hostile", || later), "one probe at a time");
        assert_eq!(record.note("hostile", CallEnd::Fault, || later), None);
        assert!(!record.admits("hostile", || later + PAUSE / 2));
        assert!(record.admits("hostile", || later + PAUSE));
        assert_eq!(
            record.note("hostile", CallEnd::Answer, || later + PAUSE),
            Some(Change::ClosedForUser)
        );
        assert!(record.admits("hostile", || later + PAUSE));
    }

    #[test]
    fn a_lost_probe_does_not_keep_it_open() {
        let (mut record, now) = open();
        assert!(record.admits("shop", || now + PAUSE));
        assert!(record.admits("shop", || now + PAUSE + PROBE_WITHIN));
        let (mut record, now) = open_for("a");
        assert!(record.admits("a", || now + PAUSE));
        assert!(record.admits("a", || now + PAUSE + PROBE_WITHIN));
    }

    #[test]
    fn users_with_faults_are_bounded_and_the_suspended_stay() {
        let (mut record, now) = open_for("hostile");
        for n in 0..10 * USERS_KEPT {
            record.note(&n.to_string(), CallEnd::Fault, || now);
            record.note("shop", CallEnd::Answer, || now);
        }
        assert_eq!(record.users.len(), USERS_KEPT);
        assert!(!record.admits("hostile", || now));
    }

    proptest! {
        /// Whatever up to four users provoke, one whose questions are answered is always asked for.
        #[test]
        fn a_few_hostile_users_never_take_it_away_from_the_others(
            steps in prop::collection::vec((0..USERS_MAX - 1, any::<bool>(), 0_u64..20_000), 0..300)
        ) {
            let (mut record, mut now) = (Record::default(), Instant::now());
            for (hostile, fails, wait) in steps {
                now += Duration::from_millis(wait);
                let user = USERS[hostile];
                if record.admits(user, || now) {
                    let end = if fails { CallEnd::Fault } else { CallEnd::Answer };
                    record.note(user, end, || now);
                }
                prop_assert!(record.admits("shop", || now));
                prop_assert_eq!(record.state(), BreakerState::Closed);
            }
        }

        /// A component that always fails is soon asked once a second and no more, whoever asks.
        #[test]
        fn what_always_fails_is_hardly_asked(users in 1_usize..200, seed in 0_usize..1000) {
            let (mut record, mut now) = (Record::default(), Instant::now());
            let mut asked = 0;
            for step in 0..20_000_usize {
                now += Duration::from_millis(5);
                let user = ((step * 7919 + seed) % users).to_string();
                if record.admits(&user, || now) {
                    asked += 1;
                    record.note(&user, CallEnd::Fault, || now);
                }
            }
            // A hundred seconds: faults that open it, then probes.
            prop_assert!(asked <= 25 + 100, "{asked}");
        }
    }
}
