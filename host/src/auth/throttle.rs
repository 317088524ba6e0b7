//! How wrong guesses are counted, and what they cost.
//!
//! Arithmetic only; the time is an argument. A key (a client's network, or that and a user) fills
//! like a bucket with each wrong guess and empties with time. A fuller bucket makes wrong answers
//! slower; a full one refuses. Right passwords are never made slower, and no user is locked out:
//! only ever a network, or a network and a user.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::message::Timestamp;

/// What wrong guesses of one kind of key cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// So many are answered at once.
    free: u32,
    /// From so many on, the key is refused.
    refused_from: u32,
    /// One is forgiven in this time.
    forgiven_every: Duration,
}

/// For a network: room for the typing mistakes of an office, three guesses a minute after that.
pub(super) const NETWORK: Rate = Rate {
    free: 10,
    refused_from: 50,
    forgiven_every: Duration::from_secs(20),
};

/// For a network and a user: room for a person who mistypes, one guess a minute after that.
pub(super) const NETWORK_AND_USER: Rate = Rate {
    free: 2,
    refused_from: 10,
    forgiven_every: Duration::from_secs(60),
};

/// The first delay, doubled with each guess after it.
const DELAY_MIN: Duration = Duration::from_millis(500);

/// The longest: any longer, and clients hang up and come back on another connection.
const DELAY_MAX: Duration = Duration::from_secs(15);

/// How full a bucket is, as the time at which it will be empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    empty_at: Timestamp,
}

impl Bucket {
    /// Counts a wrong guess.
    pub(super) fn fill(&mut self, rate: Rate, now: Timestamp) {
        let fullest = now.plus(rate.forgiven_every * rate.refused_from);
        let from = self.empty_at.max(now);
        self.empty_at = from.plus(rate.forgiven_every).min(fullest);
    }

    /// Wrong guesses that are not forgiven yet.
    pub(super) fn guesses(&self, rate: Rate, now: Timestamp) -> u32 {
        let left = self.empty_at.since(now).as_millis();
        let guesses = left.div_ceil(rate.forgiven_every.as_millis());
        // Never more than full: a clock that was set back would refuse for ever.
        u32::try_from(guesses)
            .unwrap_or(u32::MAX)
            .min(rate.refused_from)
    }

    /// When to come back, if the key is refused; `pending` guesses count as wrong ones.
    pub(super) fn refused_for(&self, rate: Rate, pending: u32, now: Timestamp) -> Option<Duration> {
        let guesses = self.guesses(rate, now);
        if guesses.saturating_add(pending) < rate.refused_from {
            return None;
        }
        let until_room = rate.forgiven_every * (rate.refused_from - 1);
        let left = self
            .empty_at
            .since(now)
            .min(rate.forgiven_every * rate.refused_from);
        Some(left.saturating_sub(until_room).max(Duration::from_secs(1)))
    }

    /// How long the answer to a wrong guess is held back.
    pub(super) fn delay(&self, rate: Rate, now: Timestamp) -> Duration {
        let Some(doublings) = self.guesses(rate, now).checked_sub(rate.free + 1) else {
            return Duration::ZERO;
        };
        DELAY_MIN
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(DELAY_MAX)
    }
}

/// Who is counted as one: an IPv4 address, or the /64 that an IPv6 address is in, because a single
/// host has all of it (RFC 6177 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    pub(super) fn of(client: IpAddr) -> Self {
        match client.to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from_bits(prefix)))
            }
        }
    }
}

/// Stands for no network.
impl Default for Network {
    fn default() -> Self {
        Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}
