//! What is remembered between verifications: successes, failures, guesses under way, wrong guesses
//! of each network and site. All of it bounded, none of it on disk.
//!
//! A guess is known by a keyed hash over name, password and stored hash. The key is made at start and
//! never leaves the process, so that what is remembered is of no use elsewhere; and since the stored
//! hash goes into it, all that is remembered of a password dies when the password does.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::bounded::Bounded;
use super::hashing::Outcome;
use super::throttle::{Bucket, NETWORK, NETWORK_AND_USER, Network};
use super::{AuthError, Figures, Settings};
use crate::account::PasswordHash;
use crate::message::Timestamp;

/// Networks, networks and users, and sites that wrong guesses are counted for, and networks from which somebody
/// has logged in; about 100 octets each.
const BUCKETS_MAX: usize = 100_000;

/// Most guesses of one network that wait for argon2 at once, so that one network cannot fill the queue.
const PENDING_PER_NETWORK_MAX: u32 = 32;

/// When to come back after too many guesses at once.
const PENDING_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Networks that a success is remembered with: the client at home, at work and on the road.
const NETWORKS_OF_SUCCESS: usize = 4;

type Digest = [u8; 32];

/// Who guesses what.
#[derive(Clone)]
pub(super) struct Guess {
    digest: Digest,
    network: Network,
    pair: (Network, [u8; 16]),
}

/// How to go on with a guess.
pub(super) enum Step {
    /// The answer is remembered.
    Known(bool),
    /// Not now.
    Throttled(Duration),
    /// Somebody else's guess is the same and under way.
    Join(watch::Receiver<Option<Outcome>>),
    /// Argon2 has to decide; then [`Ledger::settle`], or [`Ledger::turn_away`].
    Compute {
        /// The guesses that the site has to answer for, those under way included, and one more where nobody has
        /// logged in from that network yet: whoever has many addresses comes from fresh ones.
        rank: u32,
        sender: watch::Sender<Option<Outcome>>,
        receiver: watch::Receiver<Option<Outcome>>,
    },
}

struct Success {
    /// When argon2 found it, or it was last used from a network that it was seen from.
    at: Timestamp,
    networks: [Network; NETWORKS_OF_SUCCESS],
    next: usize,
}

/// What is remembered.
pub(super) struct Ledger {
    key: Zeroizing<[u8; 32]>,
    remembered_for: Duration,
    successes: Bounded<Digest, Success>,
    failures: Bounded<Digest, Timestamp>,
    /// Bounded by the queue of the hashing threads, as are those still to be settled.
    under_way: HashMap<Digest, watch::Receiver<Option<Outcome>>>,
    pending_of_network: HashMap<Network, u32>,
    pending_of_site: HashMap<Network, u32>,
    pending_of_pair: HashMap<(Network, [u8; 16]), u32>,
    networks: Bounded<Network, Bucket>,
    pairs: Bounded<(Network, [u8; 16]), Bucket>,
    /// Wrong guesses of sites: what they have to answer for, not what they are refused for.
    sites: Bounded<Network, Bucket>,
    /// Networks from which somebody has logged in.
    proven: Bounded<Network, ()>,
    pub(super) figures: Figures,
}

impl Ledger {
    pub(super) fn new(settings: &Settings) -> Result<Self, AuthError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut()).map_err(|e| AuthError::Unavailable(e.to_string()))?;
        Ok(Self {
            key,
            remembered_for: settings.remembered_for,
            successes: Bounded::new(settings.remembered_max),
            failures: Bounded::new(settings.remembered_max),
            under_way: HashMap::new(),
            pending_of_network: HashMap::new(),
            pending_of_site: HashMap::new(),
            pending_of_pair: HashMap::new(),
            networks: Bounded::new(BUCKETS_MAX),
            pairs: Bounded::new(BUCKETS_MAX),
            sites: Bounded::new(BUCKETS_MAX),
            proven: Bounded::new(BUCKETS_MAX),
            figures: Figures::default(),
        })
    }

    /// A guess in the form in which it is remembered. Names differ by more than case.
    pub(super) fn guess(
        &self,
        name: &str,
        stored: Option<&PasswordHash>,
        password: &[u8],
        client: IpAddr,
    ) -> Guess {
        let name = name.to_ascii_lowercase();
        let stored = stored.map_or("", PasswordHash::as_str);
        let network = Network::of(client);
        let who = self.digest(&[name.as_bytes()]);
        let mut name_digest = [0; 16];
        name_digest.copy_from_slice(&who[..16]);
        Guess {
            digest: self.digest(&[name.as_bytes(), stored.as_bytes(), password]),
            network,
            pair: (network, name_digest),
        }
    }

    /// Says how to go on.
    pub(super) fn begin(&mut self, guess: &Guess, now: Timestamp) -> Step {
        let step = self.decide(guess, now);
        match &step {
            Step::Known(_) => self.figures.remembered += 1,
            Step::Join(_) => self.figures.joined += 1,
            Step::Throttled(_) => self.figures.throttled += 1,
            Step::Compute { .. } => {}
        }
        step
    }

    /// The order is that of the module's header.
    fn decide(&mut self, guess: &Guess, now: Timestamp) -> Step {
        let refused = self.refused_for(guess, now);
        if self.is_remembered(guess, refused.is_some(), now) {
            return Step::Known(true);
        }
        if let Some(retry_after) = refused {
            return Step::Throttled(retry_after);
        }
        if self.failed_before(guess, now) {
            return Step::Known(false);
        }
        if let Some(receiver) = self.under_way.get(&guess.digest) {
            return Step::Join(receiver.clone());
        }
        let pending = self.pending_of_network.entry(guess.network).or_default();
        if *pending >= PENDING_PER_NETWORK_MAX {
            return Step::Throttled(PENDING_RETRY_AFTER);
        }
        *pending += 1;
        *self.pending_of_pair.entry(guess.pair).or_default() += 1;
        let rank = self.rank(guess.network, now);
        let (sender, receiver) = watch::channel(None);
        self.under_way.insert(guess.digest, receiver.clone());
        Step::Compute {
            rank,
            sender,
            receiver,
        }
    }

    /// The rank of one more guess from a network, which is under way from now on.
    fn rank(&mut self, network: Network, now: Timestamp) -> u32 {
        let site = network.site();
        let bucket = self.sites.get_mut(&site);
        let wrong = bucket.map_or(0, |bucket| bucket.guesses(NETWORK, now));
        let pending = self.pending_of_site.entry(site).or_default();
        let is_fresh = self.proven.get_mut(&network).is_none();
        let rank = wrong
            .saturating_add(*pending)
            .saturating_add(u32::from(is_fresh));
        *pending += 1;
        rank
    }

    /// Books what argon2 found.
    pub(super) fn settle(&mut self, guess: &Guess, outcome: Outcome, now: Timestamp) {
        self.end(guess);
        self.figures.computed += 1;
        match outcome {
            Outcome::Right => {
                // Whoever knows the password was not guessing it. The network's own count stays: one
                // account must not buy guesses at others.
                self.pairs.remove(&guess.pair);
                self.proven.insert(guess.network, ());
                self.successes.insert(
                    guess.digest,
                    Success {
                        at: now,
                        networks: [guess.network; NETWORKS_OF_SUCCESS],
                        next: 0,
                    },
                );
            }
            Outcome::Wrong => {
                self.failures.insert(guess.digest, now);
                fill(&mut self.networks, guess.network, |b| b.fill(NETWORK, now));
                fill(&mut self.sites, guess.network.site(), |b| {
                    b.fill(NETWORK, now)
                });
                fill(&mut self.pairs, guess.pair, |b| {
                    b.fill(NETWORK_AND_USER, now)
                });
            }
            Outcome::Undecided => {}
        }
    }

    /// Books that there was no room.
    pub(super) fn turn_away(&mut self, guess: &Guess) {
        self.end(guess);
        self.figures.throttled += 1;
    }

    /// Forgets that a guess is under way.
    fn end(&mut self, guess: &Guess) {
        self.under_way.remove(&guess.digest);
        count_down(&mut self.pending_of_network, guess.network);
        count_down(&mut self.pending_of_site, guess.network.site());
        count_down(&mut self.pending_of_pair, guess.pair);
    }

    /// How long the answer to this wrong guess is held back.
    pub(super) fn delay(&mut self, guess: &Guess, now: Timestamp) -> Duration {
        let network = self
            .networks
            .get_mut(&guess.network)
            .copied()
            .unwrap_or_default();
        let pair = self.pairs.get_mut(&guess.pair).copied().unwrap_or_default();
        network
            .delay(NETWORK, now)
            .max(pair.delay(NETWORK_AND_USER, now))
    }

    fn refused_for(&mut self, guess: &Guess, now: Timestamp) -> Option<Duration> {
        let pending = self
            .pending_of_pair
            .get(&guess.pair)
            .copied()
            .unwrap_or_default();
        let network = self
            .networks
            .get_mut(&guess.network)
            .copied()
            .unwrap_or_default();
        let pair = self.pairs.get_mut(&guess.pair).copied().unwrap_or_default();
        network
            .refused_for(NETWORK, 0, now)
            .max(pair.refused_for(NETWORK_AND_USER, pending, now))
    }

    fn is_remembered(&mut self, guess: &Guess, is_refused: bool, now: Timestamp) -> bool {
        let Some(success) = self.successes.get_mut(&guess.digest) else {
            return false;
        };
        // Logins on several threads come here in another order than their times; and clocks are set back.
        let distance = now.since(success.at).max(success.at.since(now));
        if distance >= self.remembered_for {
            self.successes.remove(&guess.digest);
            return false;
        }
        if success.networks.contains(&guess.network) {
            // A client that logs in again and again never has to prove itself to argon2, which others at its address
            // may have had refused.
            success.at = success.at.max(now);
            return true;
        }
        if is_refused {
            return false;
        }
        success.networks[success.next] = guess.network;
        success.next = (success.next + 1) % NETWORKS_OF_SUCCESS;
        self.proven.insert(guess.network, ());
        true
    }

    fn failed_before(&mut self, guess: &Guess, now: Timestamp) -> bool {
        let remembered_for = self.remembered_for;
        self.failures
            .get_mut(&guess.digest)
            .is_some_and(|at| *at <= now && now.since(*at) < remembered_for)
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut hmac =
            Hmac::<Sha256>::new_from_slice(self.key.as_slice()).expect("HMAC takes any key");
        for part in parts {
            // With its length before it, no part can pass for the end of the one before.
            hmac.update(&(part.len() as u64).to_be_bytes());
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
impl Ledger {
    pub(super) fn forget_successes(&mut self) {
        self.successes = Bounded::new(10);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
            && self.pending_of_network.is_empty()
            && self.pending_of_site.is_empty()
            && self.pending_of_pair.is_empty()
    }
}

fn fill<K: std::hash::Hash + Eq + Clone>(
    buckets: &mut Bounded<K, Bucket>,
    key: K,
    change: impl FnOnce(&mut Bucket),
) {
    let mut bucket = buckets.get_mut(&key).copied().unwrap_or_default();
    change(&mut bucket);
    buckets.insert(key, bucket);
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
