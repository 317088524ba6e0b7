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

    /// The site that it belongs to, the same for all networks that one customer may have: of IPv6 a /48
    /// (RFC 6177 §2).
    pub(super) fn site(self) -> Self {
        match self.0 {
            IpAddr::V4(_) => self,
            IpAddr::V6(address) => {
                let prefix = address.to_bits() >> 80 << 80;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_milliseconds(1_000_000);

    const RATE: Rate = Rate {
        free: 2,
        refused_from: 10,
        forgiven_every: Duration::from_secs(60),
    };

    fn filled(guesses: u32) -> Bucket {
        let mut bucket = Bucket::default();
        for _ in 0..guesses {
            bucket.fill(RATE, NOW);
        }
        bucket
    }

    #[test]
    fn wrong_answers_grow_slower_and_then_there_are_none() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        for (guesses, delay, refused_for) in [
            (0, ms(0), None),
            (1, ms(0), None),
            (2, ms(0), None),
            (3, ms(500), None),
            (4, s(1), None),
            (5, s(2), None),
            (6, s(4), None),
            (7, s(8), None),
            (8, s(15), None),
            (9, s(15), None),
            (10, s(15), Some(s(60))),
            (99, s(15), Some(s(60))),
        ] {
            let bucket = filled(guesses);
            assert_eq!(bucket.delay(RATE, NOW), delay, "{guesses}");
            assert_eq!(bucket.refused_for(RATE, 0, NOW), refused_for, "{guesses}");
        }
    }

    #[test]
    fn time_forgives_one_guess_after_the_other() {
        let bucket = filled(10);
        for (seconds, guesses, refused_for) in [
            (0, 10, Some(60)),
            (59, 10, Some(1)),
            (60, 9, None),
            (61, 9, None),
            (599, 1, None),
            (600, 0, None),
            (60_000, 0, None),
        ] {
            let at = NOW.plus(Duration::from_secs(seconds));
            assert_eq!(bucket.guesses(RATE, at), guesses, "{seconds}");
            let refused_for = refused_for.map(Duration::from_secs);
            assert_eq!(bucket.refused_for(RATE, 0, at), refused_for, "{seconds}");
        }
    }

    #[test]
    fn guesses_under_way_count_as_wrong_ones() {
        assert_eq!(filled(4).refused_for(RATE, 5, NOW), None);
        assert_eq!(
            filled(4).refused_for(RATE, 6, NOW),
            Some(Duration::from_secs(1))
        );
    }

    #[test]
    fn a_clock_that_is_set_back_refuses_no_longer_than_a_full_bucket() {
        let bucket = filled(10);
        let before = Timestamp::EPOCH;
        assert_eq!(bucket.guesses(RATE, before), 10);
        assert_eq!(
            bucket.refused_for(RATE, 0, before),
            Some(Duration::from_secs(60))
        );
        let mut bucket = bucket;
        bucket.fill(RATE, before);
        assert_eq!(
            bucket.guesses(RATE, before.plus(Duration::from_secs(600))),
            0
        );
    }

    #[test]
    fn a_network_is_an_address_or_a_64_and_a_site_all_of_a_48() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_eq!(
            network("2001:db8::").site(),
            network("2001:db8:0:ffff::").site()
        );
        assert_ne!(network("2001:db8::").site(), network("2001:db8:1::").site());
        assert_ne!(network("192.0.2.1").site(), network("192.0.2.2").site());
    }
}
