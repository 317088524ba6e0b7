//! Next hops that the last attempts did not reach, for whoever watches the relay.
//!
//! What `reach` knows of a lane is gone with the lane's mail, and shuts it only where there is much mail. This remembers since
//! when nothing was reached also where one message is tried now and then. Nothing is decided by it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::reach::{Answer, Turn};
use crate::message::{NextHop, Timestamp};

/// Next hops that are remembered; each takes some hundred octets. Of more nobody would read.
const KEPT_MAX: usize = 10_000;

/// One that was not tried for as long is forgotten: it has no mail any more. More than the longest wait between two
/// attempts by default.
const KEPT_FOR: Duration = Duration::from_secs(6 * 3_600);

/// Which next hops were not reached lately. Clones know the same.
#[derive(Clone, Debug, Default)]
pub struct Unreached(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    streaks: Mutex<HashMap<NextHop, Streak>>,
    /// How many there are, so that an attempt that reaches its host need not wait for anybody.
    count: AtomicUsize,
}

/// Attempts in a row that reached nothing.
#[derive(Debug)]
struct Streak {
    since: Timestamp,
    last: Timestamp,
    attempts: u64,
    is_shut: bool,
    answer: Arc<Answer>,
}

/// A next hop that was not reached by the last attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreachedHop {
    /// Which one.
    pub next_hop: NextHop,
    /// When the first of them ended.
    pub since: Timestamp,
    /// How many they are.
    pub attempts: u64,
    /// Whether there were so many that its mail waits without being tried.
    pub is_shut: bool,
    /// What the last one was told, by a host or in our words.
    pub answer: String,
}

impl Unreached {
    /// Those that are known now.
    pub fn list(&self, now: Timestamp) -> Vec<UnreachedHop> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut streaks = self.streaks();
        streaks.retain(|_, streak| now.since(streak.last) < KEPT_FOR);
        self.0.count.store(streaks.len(), Ordering::Release);
        let hops = streaks.iter().map(|(next_hop, streak)| UnreachedHop {
            next_hop: next_hop.clone(),
            since: streak.since,
            attempts: streak.attempts,
            is_shut: streak.is_shut,
            answer: streak.answer.outcome.reply().to_string(),
        });
        hops.collect()
    }

    /// An attempt has ended: it reached nothing and was told that, or it reached a host.
    pub(super) fn ended(
        &self,
        next_hop: &NextHop,
        missed: Option<&Arc<Answer>>,
        turn: Option<Turn>,
        now: Timestamp,
    ) {
        let Some(answer) = missed else {
            if !self.is_empty() {
                let mut streaks = self.streaks();
                streaks.remove(next_hop);
                self.0.count.store(streaks.len(), Ordering::Release);
            }
            return;
        };
        let mut streaks = self.streaks();
        if streaks.len() >= KEPT_MAX && !streaks.contains_key(next_hop) {
            return;
        }
        let streak = streaks.entry(next_hop.clone()).or_insert_with(|| Streak {
            since: now,
            last: now,
            attempts: 0,
            is_shut: false,
            answer: Arc::clone(answer),
        });
        streak.last = now;
        streak.attempts += 1;
        streak.is_shut |= turn == Some(Turn::Shut);
        streak.answer = Arc::clone(answer);
        self.0.count.store(streaks.len(), Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.0.count.load(Ordering::Acquire) == 0
    }

    fn streaks(&self) -> MutexGuard<'_, HashMap<NextHop, Streak>> {
        // What is in it is right after each step.
        let streaks = &self.0.streaks;
        streaks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use outpost_smtp::Reply;

    use super::*;
    use crate::message::Outcome;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(1_700_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn answer(text: &str) -> Arc<Answer> {
        Arc::new(Answer {
            host: None,
            outcome: Outcome::Deferred(Reply::new(451, (4, 4, 1), text)),
            is_remote: false,
        })
    }

    #[test]
    fn it_is_known_since_when_nothing_was_reached_until_something_is() {
        let unreached = Unreached::default();
        let (a, b) = (
            NextHop::parse("a.example"),
            NextHop::parse("smarthost b:25"),
        );
        unreached.ended(&a, None, None, at(0));
        assert_eq!(unreached.list(at(0)), []);
        unreached.ended(&a, Some(&answer("first")), None, at(1));
        unreached.ended(&b, Some(&answer("other")), None, at(2));
        unreached.ended(&a, Some(&answer("last")), Some(Turn::Shut), at(9));
        let mut known = unreached.list(at(9));
        known.sort_by_key(|hop| hop.since);
        assert_eq!(
            (known[0].since, known[0].attempts, known[0].is_shut),
            (at(1), 2, true)
        );
        assert!(known[0].answer.contains("last"), "{}", known[0].answer);
        assert!(!known[1].is_shut);
        unreached.ended(&a, None, Some(Turn::Open), at(10));
        assert_eq!(unreached.list(at(10)).len(), 1);
        assert_eq!(
            unreached.list(at(2).plus(KEPT_FOR)),
            [],
            "nothing goes there any more"
        );
    }

    #[test]
    fn no_more_are_remembered_than_anybody_reads() {
        let unreached = Unreached::default();
        for n in 0..KEPT_MAX + 10 {
            let next_hop = NextHop::parse(&format!("d{n}.example"));
            unreached.ended(&next_hop, Some(&answer("no")), None, at(0));
        }
        assert_eq!(unreached.list(at(0)).len(), KEPT_MAX);
    }
}
