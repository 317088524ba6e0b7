//! How urgent: the five priorities and which of two is the more urgent.
//!
//! Promises that a `Priority` is one of the five. What a number in a header field means is for
//! the relay to know; here the numbers are those of the contract, 1 to 5.

use core::fmt;

/// How urgent a message is. A smaller number is more urgent, and in the order of this type the
/// more urgent comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    /// 1, the only one that pauses others.
    VeryHigh = 1,
    /// 2.
    High = 2,
    /// 3, what a user has unless told otherwise.
    Normal = 3,
    /// 4.
    Low = 4,
    /// 5.
    VeryLow = 5,
}

impl Priority {
    /// All five, the most urgent first.
    pub const ALL: [Self; 5] = [
        Self::VeryHigh,
        Self::High,
        Self::Normal,
        Self::Low,
        Self::VeryLow,
    ];

    /// The priority of that number; none outside 1 to 5.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::VeryHigh),
            2 => Some(Self::High),
            3 => Some(Self::Normal),
            4 => Some(Self::Low),
            5 => Some(Self::VeryLow),
            _ => None,
        }
    }

    /// The number, 1 to 5.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The more urgent of the two.
    pub const fn more_urgent(self, other: Self) -> Self {
        if self.number() <= other.number() {
            self
        } else {
            other
        }
    }
}

/// Prints the number.
impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One digit: cheaper in a component than formatting an integer.
        f.write_str(match self {
            Self::VeryHigh => "1",
            Self::High => "2",
            Self::Normal => "3",
            Self::Low => "4",
            Self::VeryLow => "5",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_to_five_are_priorities() {
        for number in 0..=u8::MAX {
            let priority = Priority::from_number(number);
            assert_eq!(priority.is_some(), (1..=5).contains(&number), "{number}");
            if let Some(priority) = priority {
                assert_eq!(
                    (priority.number(), priority.to_string()),
                    (number, number.to_string())
                );
            }
        }
    }

    #[test]
    fn the_smaller_number_is_the_more_urgent() {
        for a in Priority::ALL {
            for b in Priority::ALL {
                assert_eq!(a.more_urgent(b).number(), a.number().min(b.number()));
                assert_eq!(a.more_urgent(b), a.min(b));
            }
        }
    }
}
