//! What a seed decides, number by number (SplitMix64).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Dice that all of a simulation throw. On one thread the same seed throws the same to each.
#[derive(Debug)]
pub(super) struct Dice(AtomicU64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds begin far from one another.
        Self(AtomicU64::new(
            seed.wrapping_add(1).wrapping_mul(0xd1b5_4a32_d192_ed03),
        ))
    }

    pub(super) fn number(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.number() % end
    }

    /// An index of something that has so many.
    pub(super) fn index(&self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// Happens so many times in a thousand.
    pub(super) fn happens(&self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// Up to `longest`, short ones more often.
    pub(super) fn pause(&self, longest: Duration) -> Duration {
        let share = self.below(1_000) * self.below(1_000);
        longest.mul_f64(share as f64 / 1_000_000.0)
    }
}
