//! How a small content lies in the database.
//!
//! The database rounds a row up to a page of a power of two, so a content that is kept as it comes
//! wastes a third of its room on average, and a usual 4 KB one nearly half. Cut into chunks that
//! fill pages, with the rest next to the message, it takes little more than its octets. What is
//! smaller is read sooner when a start after a crash has to walk through all of it.

use std::ops::Range;

/// A page of the database.
const PAGE_OCTETS: usize = 4 << 10;

/// What a page holds besides the row: its own header, the key, and where both end.
const PAGE_OVERHEAD: usize = 64;

/// The largest chunk fills a page of 2 to the power of this pages: 64 KiB.
const POWER_MAX: u32 = 4;

/// A rest of up to this many octets lies next to the message; a larger one has a page of its own.
const REST_OCTETS_MAX: usize = PAGE_OCTETS / 2;

/// Where to cut a content of so many octets: the chunks, and the rest.
pub(super) fn cuts(octets: usize) -> (Vec<Range<usize>>, Range<usize>) {
    let mut chunks = Vec::new();
    let mut start = 0;
    while octets - start > REST_OCTETS_MAX {
        let left = octets - start;
        let end = (0..=POWER_MAX)
            .rev()
            .map(|power| (PAGE_OCTETS << power) - PAGE_OVERHEAD)
            .find(|chunk| *chunk <= left)
            .map_or(octets, |chunk| start + chunk);
        chunks.push(start..end);
        start = end;
    }
    (chunks, start..octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_cut_into_full_pages_and_a_rest() {
        for (octets, expected_chunks, expected_rest) in [
            (0, vec![], 0),
            (2_048, vec![], 2_048),
            (2_049, vec![2_049], 0),
            (4_032, vec![4_032], 0),
            (4_300, vec![4_032], 268),
            (10_000, vec![8_128], 1_872),
            (32_768, vec![32_704], 64),
            (200_000, vec![65_472, 65_472, 65_472, 2_048 + 1_536], 0),
        ] {
            let (chunks, rest) = cuts(octets);
            let lengths: Vec<usize> = chunks.iter().map(Range::len).collect();
            assert_eq!(
                (lengths, rest.len()),
                (expected_chunks, expected_rest),
                "{octets}"
            );
        }
    }

    #[test]
    fn nothing_is_lost_at_a_cut() {
        for octets in (0..200_000).step_by(97) {
            let (chunks, rest) = cuts(octets);
            let mut at = 0;
            for chunk in chunks.iter().chain([&rest]) {
                assert_eq!(chunk.start, at);
                at = chunk.end;
            }
            assert_eq!(at, octets);
            assert!(rest.len() <= REST_OCTETS_MAX);
        }
    }
}
