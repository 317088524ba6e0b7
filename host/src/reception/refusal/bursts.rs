//! Which refusals are told when: arithmetic, with the time as an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::RefusedSender;

/// Refusals that go on, by user and domains.
#[derive(Debug)]
pub(super) struct Bursts {
    intervals: Vec<Duration>,
    bursts_max: usize,
    open: HashMap<Key, Burst>,
}

/// Bursts of one user that are told apart. Who has the password and makes up a new domain for each
/// attempt raises this many notifications, and one more that counts the rest.
const BURSTS_PER_USER_MAX: usize = 5;

/// What makes one burst: the user, and the domains that the messages claimed to be from. Beyond the
/// limit of the user's bursts, the user alone; beyond that of all bursts, the list alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    UserAndDomains(String, Vec<String>),
    User(String),
    List(String),
}

#[derive(Debug)]
struct Burst {
    last: RefusedSender,
    /// Refusals that have not been told yet.
    count: u64,
    told: usize,
    due: Instant,
}

/// Something to tell: how many refusals since the last telling, and the last of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Telling {
    pub last: RefusedSender,
    pub count: u64,
    /// Whether this is the first telling of its burst.
    pub is_first: bool,
    /// Whether the refusals were as senders of several domains, or of several users.
    pub is_mixed: bool,
}

impl Bursts {
    pub(super) fn new(intervals: Vec<Duration>, bursts_max: usize) -> Self {
        Self {
            intervals,
            bursts_max,
            open: HashMap::new(),
        }
    }

    /// From now on it is told in these intervals.
    pub(super) fn follow(&mut self, intervals: Vec<Duration>) {
        self.intervals = intervals;
    }

    /// Takes a refusal; whether it is one to tell at once.
    pub(super) fn take(&mut self, refused: RefusedSender, now: Instant) -> bool {
        let mut key = Key::of(&refused);
        if !self.open.contains_key(&key) && self.bursts_of(&refused.user) >= BURSTS_PER_USER_MAX {
            key = Key::User(refused.user.clone());
        }
        if self.open.len() >= self.bursts_max && !self.open.contains_key(&key) {
            key = Key::List(refused.list.clone());
        }
        match self.open.get_mut(&key) {
            Some(burst) => {
                burst.count += 1;
                burst.last = refused;
                false
            }
            None => {
                self.open.insert(
                    key,
                    Burst {
                        last: refused,
                        count: 1,
                        told: 0,
                        due: now,
                    },
                );
                true
            }
        }
    }

    /// How many bursts of that user are told apart now.
    fn bursts_of(&self, user: &str) -> usize {
        let of_user = |key: &&Key| matches!(key, Key::UserAndDomains(name, _) if name == user);
        self.open.keys().filter(of_user).count()
    }

    /// What is to be told now. A burst in which nothing happened for an interval is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Telling> {
        let mut tellings = Vec::new();
        let intervals = &self.intervals;
        self.open.retain(|key, burst| {
            if burst.due > now {
                return true;
            }
            if burst.count == 0 {
                return false;
            }
            let interval = intervals
                .get(burst.told)
                .or(intervals.last())
                .copied()
                .unwrap_or_default();
            tellings.push(Telling {
                last: burst.last.clone(),
                count: burst.count,
                is_first: burst.told == 0,
                is_mixed: !matches!(key, Key::UserAndDomains(..)),
            });
            burst.count = 0;
            burst.told += 1;
            burst.due = now + interval;
            true
        });
        tellings
    }

    /// When to look again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.open.values().map(|burst| burst.due).min()
    }
}

impl Key {
    fn of(refused: &RefusedSender) -> Key {
        let mut domains: Vec<String> = refused
            .senders
            .iter()
            .map(|sender| sender.domain().to_owned())
            .collect();
        domains.sort();
        domains.dedup();
        Key::UserAndDomains(refused.user.clone(), domains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Address;

    fn refused(user: &str, domain: &str) -> RefusedSender {
        RefusedSender {
            list: "default".into(),
            user: user.into(),
            client: [192, 0, 2, 1].into(),
            senders: vec![Address::new("ceo", domain).unwrap()],
            reasons: vec![],
        }
    }

    fn bursts() -> Bursts {
        Bursts::new([10, 60].map(Duration::from_secs).to_vec(), 3)
    }

    fn told(bursts: &mut Bursts, at: Instant) -> Vec<(u64, bool)> {
        bursts
            .due(at)
            .into_iter()
            .map(|telling| (telling.count, telling.is_first))
            .collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_a_thousand_in_a_handful() {
        let start = Instant::now();
        let mut bursts = bursts();
        assert!(bursts.take(refused("u", "a.example"), start));
        assert_eq!(told(&mut bursts, start), [(1, true)]);
        for _ in 0..999 {
            assert!(!bursts.take(refused("u", "a.example"), start));
        }
        assert_eq!(told(&mut bursts, start + Duration::from_secs(9)), []);
        assert_eq!(bursts.next_due(), Some(start + Duration::from_secs(10)));
        assert_eq!(
            told(&mut bursts, start + Duration::from_secs(10)),
            [(999, false)]
        );
        // Quiet for a whole interval: the burst is over, and the next one is told at once.
        assert_eq!(told(&mut bursts, start + Duration::from_secs(70)), []);
        assert_eq!(bursts.next_due(), None);
        assert!(bursts.take(refused("u", "a.example"), start + Duration::from_secs(71)));
    }

    #[test]
    fn a_thousand_domains_of_one_user_are_told_in_a_handful() {
        let start = Instant::now();
        let mut bursts = Bursts::new([10, 60].map(Duration::from_secs).to_vec(), 10_000);
        for attempt in 0..1_000 {
            bursts.take(refused("u", &format!("d{attempt}.example")), start);
        }
        bursts.take(refused("v", "a.example"), start);
        let mut counts: Vec<_> = bursts
            .due(start)
            .into_iter()
            .map(|telling| (telling.count, telling.is_mixed))
            .collect();
        counts.sort_unstable();
        let apart = [(1, false); BURSTS_PER_USER_MAX + 1];
        assert_eq!(counts[..apart.len()], apart);
        assert_eq!(counts[apart.len()..], [(995, true)]);
    }

    #[test]
    fn users_and_domains_are_told_apart_up_to_a_limit() {
        let start = Instant::now();
        let mut bursts = bursts();
        for (user, domain) in [("u", "a.example"), ("u", "b.example"), ("v", "a.example")] {
            assert!(bursts.take(refused(user, domain), start));
        }
        assert!(
            bursts.take(refused("w", "a.example"), start),
            "beyond the limit: counted for the list"
        );
        assert!(!bursts.take(refused("x", "c.example"), start));
        assert_eq!(told(&mut bursts, start).len(), 4);
    }
}
