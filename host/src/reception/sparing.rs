//! Lines of the log that strangers can cause without end: some in each second, and how many were left out.

use std::sync::{Mutex, PoisonError};

use crate::message::Timestamp;

/// Lines in a second: enough to see who it is, and a hundred megabytes in a day.
const LINES_MAX: u64 = 10;

/// Counts the lines of a second.
#[derive(Debug, Default)]
pub struct Sparing(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    second: u64,
    lines: u64,
}

impl Sparing {
    /// Whether a line may be written at `now`; if so, how many were left out since the last one.
    pub(super) fn admits(&self, now: Timestamp) -> Option<u64> {
        let second = now.unix_milliseconds() / 1_000;
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        if counted.second != second {
            left_out = counted.lines.saturating_sub(LINES_MAX);
            *counted = Counted { second, lines: 0 };
        }
        counted.lines += 1;
        (counted.lines <= LINES_MAX).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_in_a_second_and_the_next_one_tells_how_many_were_left_out() {
        let sparing = Sparing::default();
        let at = |milliseconds| Timestamp::from_unix_milliseconds(milliseconds);
        for line in 0..1_000 {
            let admitted = (line < 10).then_some(0);
            assert_eq!(sparing.admits(at(5_000 + line)), admitted, "{line}");
        }
        assert_eq!(sparing.admits(at(6_000)), Some(990));
        assert_eq!(sparing.admits(at(6_001)), Some(0));
        assert_eq!(sparing.admits(at(9_000)), Some(0));
    }
}
