//! Lines of the log that clients can cause without end: some in each second, and how many were left out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::message::Timestamp;

/// Lines in a second: enough to see who it is, and a hundred megabytes in a day.
const LINES_MAX: u64 = 10;

/// Users whose lines are counted each for himself. Those beyond it, in one second, have no lines.
const USERS_MAX: usize = 1_000;

/// What is spared, each kind of line for itself.
#[derive(Debug, Default)]
pub struct Spared {
    /// Logins that were put off.
    pub(super) put_off_logins: Sparing,
    /// Logins with a wrong name or password.
    pub(super) refused_logins: Sparing,
    /// Contents that there was no room for, as they were about to come.
    pub(super) no_room: Sparing,
    /// Very-high messages that could not be counted.
    pub(super) uncounted: Sparing,
    /// Senders that a user may not send as: nobody hides behind the lines of another.
    pub(super) refused_senders: SparingByUser,
}

/// Counts the lines of a second.
#[derive(Debug, Default)]
pub(super) struct Sparing(Mutex<Counted>);

/// Counts the lines of a second for each user.
#[derive(Debug, Default)]
pub(super) struct SparingByUser(Mutex<HashMap<String, Counted>>);

#[derive(Debug, Default)]
struct Counted {
    second: u64,
    lines: u64,
}

/// What a line says of those before it: how many were left out since the last one, if any.
type LeftOut = Option<u64>;

impl Sparing {
    /// Whether a line may be written at `now`, and what it says.
    pub(super) fn admits(&self, now: Timestamp) -> Option<LeftOut> {
        lock(&self.0).admits(second_of(now))
    }
}

impl SparingByUser {
    /// As [`Sparing::admits`], for a line about that user.
    pub(super) fn admits(&self, user: &str, now: Timestamp) -> Option<LeftOut> {
        let second = second_of(now);
        let mut users = lock(&self.0);
        if let Some(counted) = users.get_mut(user) {
            return counted.admits(second);
        }
        if users.len() >= USERS_MAX {
            users.retain(|_, counted| counted.second == second);
        }
        if users.len() >= USERS_MAX {
            return None;
        }
        users.entry(user.to_owned()).or_default().admits(second)
    }
}

impl Counted {
    fn admits(&mut self, second: u64) -> Option<LeftOut> {
        let mut left_out = 0;
        if self.second != second {
            left_out = self.lines.saturating_sub(LINES_MAX);
            *self = Counted { second, lines: 0 };
        }
        self.lines += 1;
        (self.lines <= LINES_MAX).then(|| (left_out > 0).then_some(left_out))
    }
}

fn second_of(at: Timestamp) -> u64 {
    at.unix_milliseconds() / 1_000
}

fn lock<T>(counted: &Mutex<T>) -> MutexGuard<'_, T> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_unix_milliseconds(milliseconds)
    }

    #[test]
    fn ten_lines_in_a_second_and_the_next_one_tells_how_many_were_left_out() {
        let sparing = Sparing::default();
        for line in 0..1_000 {
            let admitted = (line < 10).then_some(None);
            assert_eq!(sparing.admits(at(5_000 + line)), admitted, "{line}");
        }
        assert_eq!(sparing.admits(at(6_000)), Some(Some(990)));
        assert_eq!(sparing.admits(at(6_001)), Some(None));
        assert_eq!(sparing.admits(at(9_000)), Some(None));
    }

    #[test]
    fn each_user_has_lines_of_his_own_and_only_so_many_have() {
        let sparing = SparingByUser::default();
        for line in 0..20 {
            let admitted = (line < 10).then_some(None);
            assert_eq!(sparing.admits("loud", at(5_000)), admitted, "{line}");
        }
        assert_eq!(sparing.admits("quiet", at(5_000)), Some(None));
        assert_eq!(sparing.admits("loud", at(6_000)), Some(Some(10)));
        for user in 0..USERS_MAX {
            sparing.admits(&user.to_string(), at(6_000));
        }
        assert_eq!(lock(&sparing.0).len(), USERS_MAX);
        assert_eq!(sparing.admits("late", at(6_000)), None);
        assert_eq!(sparing.admits("late", at(7_000)), Some(None));
    }
}
