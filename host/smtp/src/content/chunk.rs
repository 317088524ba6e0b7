//! The argument of BDAT: `chunk-size [SP "LAST"]` (RFC 3030 §2).

use crate::parameter::parse_size;

/// What a BDAT command announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize {
    /// Octets that follow the command; what does not fit into 64 bits is [`u64::MAX`].
    pub octets: u64,
    /// Whether the content ends with them.
    pub is_last: bool,
}

impl ChunkSize {
    /// Parses it. Signs, other bases, more than 20 digits and any other word are refused: a size that
    /// two readers could read differently would let one of them run content as commands.
    pub fn parse(argument: &str) -> Option<ChunkSize> {
        let mut words = argument.split(' ').filter(|word| !word.is_empty());
        let octets = parse_size(words.next()?)?;
        let is_last = match words.next() {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("LAST") => true,
            Some(_) => return None,
        };
        words
            .next()
            .is_none()
            .then_some(ChunkSize { octets, is_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_size_is_digits_and_perhaps_last() {
        let chunk = |octets, is_last| Some(ChunkSize { octets, is_last });
        assert_eq!(ChunkSize::parse("0"), chunk(0, false));
        assert_eq!(ChunkSize::parse("86 last"), chunk(86, true));
        assert_eq!(ChunkSize::parse("007  LAST"), chunk(7, true));
        assert_eq!(
            ChunkSize::parse("99999999999999999999"),
            chunk(u64::MAX, false)
        );
        for argument in [
            "",
            "-1",
            "+1",
            "0x10",
            "1e3",
            "1.0",
            "1,000",
            "LAST",
            "LAST 1",
            "1 LASTT",
            "1 LAST LAST",
            "1 1",
            "1LAST",
            "abc",
            "100000000000000000000",
            "\u{661}",
            "1\tLAST",
        ] {
            assert_eq!(ChunkSize::parse(argument), None, "{argument}");
        }
    }
}
