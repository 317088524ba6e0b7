//! The effective priority of a message.

use std::fmt;

/// How urgent a message is: 1 very high to 5 very low. A smaller number is more urgent, and
/// `Ord` follows it: `Class::VeryHigh < Class::Low`, so the more urgent of two is their minimum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// 1: goes before everything else.
    VeryHigh = 1,
    /// 2.
    High = 2,
    /// 3: what users have unless told otherwise.
    #[default]
    Normal = 3,
    /// 4.
    Low = 4,
    /// 5.
    VeryLow = 5,
}

impl Class {
    /// All classes, the most urgent first.
    pub const ALL: [Class; 5] = [
        Class::VeryHigh,
        Class::High,
        Class::Normal,
        Class::Low,
        Class::VeryLow,
    ];

    /// The class with that number; none outside 1 to 5.
    pub const fn from_number(number: u8) -> Option<Class> {
        match number {
            1 => Some(Class::VeryHigh),
            2 => Some(Class::High),
            3 => Some(Class::Normal),
            4 => Some(Class::Low),
            5 => Some(Class::VeryLow),
            _ => None,
        }
    }

    /// 1 (very high) to 5 (very low).
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its place in [`Class::ALL`]: 0 (very high) to 4 (very low).
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// The MT-PRIORITY value of a message of which nobody whose word counts has said one (RFC 6710 §4.1).
    pub const UNSAID_MT_PRIORITY: i8 = 0;

    /// The class of an MT-PRIORITY value; none outside -9 to 9. The values -4, -1, 0, 3 and 4 are the levels of the
    /// five classes: another one counts as the next above it, or as the highest (RFC 6710 §5).
    pub const fn from_mt_priority(value: i8) -> Option<Class> {
        match value {
            4..=9 => Some(Class::VeryHigh),
            1..=3 => Some(Class::High),
            0 => Some(Class::Normal),
            -3..=-1 => Some(Class::Low),
            -9..=-4 => Some(Class::VeryLow),
            _ => None,
        }
    }

    /// The MT-PRIORITY value of this class that comes nearest to another value: what is said of a priority that
    /// was changed (RFC 6710 §4.1).
    pub fn mt_priority_nearest(self, value: i8) -> i8 {
        match self {
            Class::VeryHigh => value.clamp(4, 9),
            Class::High => value.clamp(1, 3),
            Class::Normal => 0,
            Class::Low => value.clamp(-3, -1),
            Class::VeryLow => value.clamp(-9, -4),
        }
    }
}

/// The name as surfaces show it: `very high`.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::VeryHigh => "very high",
            Class::High => "high",
            Class::Normal => "normal",
            Class::Low => "low",
            Class::VeryLow => "very low",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_others_are_none() {
        for class in Class::ALL {
            assert_eq!(Class::from_number(class.number()), Some(class));
        }
        assert_eq!(Class::from_number(0), None);
        assert_eq!(Class::from_number(6), None);
    }

    #[test]
    fn mt_priority_covers_minus_nine_to_nine() {
        let classes: Vec<u8> = (-9..=9)
            .map(|value| Class::from_mt_priority(value).expect("in range").number())
            .collect();
        assert_eq!(
            classes,
            [5, 5, 5, 5, 5, 5, 4, 4, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1]
        );
        assert_eq!(Class::from_mt_priority(10), None);
        for (class, nearest) in Class::ALL.into_iter().zip([4, 2, 0, -1, -4]) {
            assert_eq!(class.mt_priority_nearest(2), nearest);
            for value in -9..=9 {
                let nearest = class.mt_priority_nearest(value);
                assert_eq!(Class::from_mt_priority(nearest), Some(class));
            }
        }
        assert_eq!(Class::High.mt_priority_nearest(9), 3);
        assert_eq!(Class::from_mt_priority(-10), None);
    }
}
