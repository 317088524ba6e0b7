//! The name of a message, time-ordered and printed the same everywhere.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

use super::Timestamp;

/// The id of a message: 48 bits of time and 80 bits of randomness, printed as 26 characters of Crockford
/// base 32. Ids of later milliseconds sort after earlier ones. The time is that of MAIL, or when the relay
/// wrote the message itself: the trace header has the id, and stands before the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    // In halves, so that what it stands in is not rounded up to twice as many octets: the queue keeps very many.
    high: u64,
    low: u64,
}

impl MessageId {
    /// Length of the printed form, in characters.
    pub const TEXT_LENGTH: usize = 26;

    /// The id of a message whose transaction begins at `at`; `random` must come from a good source of randomness.
    pub fn new(at: Timestamp, random: u128) -> Self {
        Self::from_bits(Ulid::from_parts(at.unix_milliseconds(), random).into())
    }

    /// When the transaction of the message began. It may have been accepted much later, by the time that its
    /// content took.
    pub fn begun(self) -> Timestamp {
        Timestamp::from_unix_milliseconds(Ulid::from(self.to_bits()).timestamp_ms())
    }

    /// The id as a number, for storage; it orders as the id does.
    pub const fn to_bits(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// The id with that number.
    pub const fn from_bits(bits: u128) -> Self {
        Self {
            high: (bits >> 64) as u64,
            low: bits as u64,
        }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ulid::from(self.to_bits()).fmt(f)
    }
}

/// What was given is not the id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message id: that is 26 characters of 0-9 and A-Z without I, L, O and U")]
pub struct NotAMessageId;

impl FromStr for MessageId {
    type Err = NotAMessageId;

    fn from_str(text: &str) -> Result<Self, NotAMessageId> {
        let id = Ulid::from_string(text).map_err(|_| NotAMessageId)?;
        Ok(Self::from_bits(id.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_after_earlier_ones_in_both_forms() {
        let earlier = MessageId::new(Timestamp::from_unix_milliseconds(1_000), u128::MAX);
        let later = MessageId::new(Timestamp::from_unix_milliseconds(1_001), 0);
        assert!(earlier < later);
        assert_eq!(later.begun().unix_milliseconds(), 1_001);
        assert!(earlier.to_string() < later.to_string());
    }

    #[test]
    fn text_round_trips_and_other_text_is_refused() {
        let id = MessageId::new(Timestamp::from_unix_milliseconds(1_700_000_000_123), 42);
        assert_eq!(id.to_string().len(), MessageId::TEXT_LENGTH);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "0",
            "01HF7YAT1VUUUUUUUUUUUUUUUU",
            "01HF7YAT1V000000000000001A0",
            "ü",
        ] {
            assert_eq!(text.parse::<MessageId>(), Err(NotAMessageId), "{text}");
        }
    }
}
