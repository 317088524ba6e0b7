//! Passwords: making, hashing and verifying them, and slowing down those who guess.
//!
//! The only module that knows argon2, which runs on threads of its own behind a bounded queue, never
//! on the runtime's. Whose password it is, whether the user is active, and where hashes are kept is
//! the caller's business: values come in, verdicts go out.
//!
//! What a verification goes through, in this order:
//!
//! 1. A success that is remembered answers at once, unless the client's address is being refused
//!    and this address was not among those that the success was seen from. So a user who works
//!    from a noisy address (an office, a cloud) goes on working, while guessing from an address that is
//!    refused cannot go on against what is remembered of others.
//! 2. An address, or an address and user, with too many wrong guesses is refused.
//! 3. A wrong guess that is remembered is wrong again, after a delay, and does not count twice: a
//!    device that keeps trying the password of before the reset does not shut out its whole office.
//! 4. A verification of the same guess that is under way is joined.
//! 5. Otherwise argon2 decides, those first whose site has the fewest wrong guesses, and among those who come from
//!    where somebody has logged in. A wrong guess is answered after a delay that grows.
//!
//! Unknown user, inactive user and wrong password take the same way and the same time.

mod bounded;
mod hashing;
mod ledger;
mod password;
#[cfg(test)]
mod tests;
mod throttle;
mod waiting;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use zeroize::Zeroizing;

use crate::account::PasswordHash;
use crate::message::Timestamp;

pub use hashing::Parameters;
pub use password::generate_password;

use hashing::{Hasher, Outcome};
use ledger::{Guess, Ledger, Step};

/// Longest password that is looked at. Ours have 29 characters; argon2 itself would take gigabytes.
const PASSWORD_OCTETS_MAX: usize = 1_024;

/// When to come back after there was no room: about the time in which the queue empties.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What auth needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cost of new hashes.
    pub parameters: Parameters,
    /// Threads that compute hashes. One core computes about 35 a second.
    pub threads: usize,
    /// Verifications that wait for a thread; beyond it, clients are told to come back.
    pub waiting_max: usize,
    /// How long a success is remembered.
    pub remembered_for: Duration,
    /// How many successes are remembered (about 150 octets each), and as many failures.
    pub remembered_max: usize,
}

/// One thread, a queue that it empties within 5 seconds, ten minutes of memory.
impl Default for Settings {
    fn default() -> Self {
        Self {
            parameters: Parameters::default(),
            threads: 1,
            waiting_max: 128,
            remembered_for: Duration::from_secs(600),
            remembered_max: 50_000,
        }
    }
}

/// What a verification came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The password is the user's.
    Verified,
    /// It is not, or there is no such user, or the user is inactive.
    Refused,
    /// Nothing was decided: too many wrong guesses, or no room. The reply is temporary.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// How verifications were answered since the start, and how it stands with those under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// By argon2.
    pub computed: u64,
    /// From memory: successes, and failures seen before.
    pub remembered: u64,
    /// Together with an equal one under way.
    pub joined: u64,
    /// Not at all: too many wrong guesses, or no room.
    pub throttled: u64,
    /// Waiting for a hashing thread at the moment.
    pub waiting: usize,
    /// Time that argon2 took for verifications, all of them together.
    pub computing: Duration,
}

/// Why a password could not be made or hashed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Too many hashes are wanted at once.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The machine has no randomness, memory or thread to give, or the settings make no sense.
    #[error("passwords cannot be hashed: {0}")]
    Unavailable(String),
}

/// Verifies passwords. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Authenticator {
    hasher: Arc<Hasher>,
    ledger: Arc<Mutex<Ledger>>,
    /// Stands in for the hash of a user that is not there.
    dummy: PasswordHash,
}

impl Authenticator {
    /// Starts the hashing threads. Blocks for the time of one hash; for start-up.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`].
    pub fn new(settings: &Settings) -> Result<Self, AuthError> {
        let hasher = Hasher::start(settings.parameters, settings.threads, settings.waiting_max)?;
        let dummy = hasher.hash_now(generate_password()?)?;
        let ledger = Ledger::new(settings)?;
        Ok(Self {
            hasher: Arc::new(hasher),
            ledger: Arc::new(Mutex::new(ledger)),
            dummy,
        })
    }

    /// Hashes a password for the directory.
    ///
    /// # Errors
    /// [`AuthError::Busy`], [`AuthError::Unavailable`].
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, AuthError> {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let (sender, receiver) = oneshot::channel();
        self.hasher.submit_hash(Box::new(move |mill| {
            // A caller that went away does not want to know.
            let _ = sender.send(mill.hash(&password));
        }))?;
        let stopped = || AuthError::Unavailable(String::from("the hashing threads have stopped"));
        receiver.await.map_err(|_| stopped())?
    }

    /// Verifies a password against the hash of the user of that name; `stored` is none when there
    /// is no such user or the user may not log in. Waits for argon2, and for the delay that the
    /// client has earned.
    ///
    /// Others than users (the console) verify under a name that no user can have.
    pub async fn verify(
        &self,
        name: &str,
        stored: Option<&PasswordHash>,
        password: &[u8],
        client: IpAddr,
        now: Timestamp,
    ) -> Verification {
        // One that is too long to be a password of ours is wrong like any other.
        let too_long = password.len() > PASSWORD_OCTETS_MAX;
        let (stored, password) = if too_long {
            (None, &b""[..])
        } else {
            (stored, password)
        };
        let (guess, step) = {
            let mut ledger = self.ledger();
            let guess = ledger.guess(name, stored, password, client);
            let step = ledger.begin(&guess, now);
            (guess, step)
        };
        let outcome = match step {
            Step::Known(true) => return Verification::Verified,
            Step::Known(false) => Some(Outcome::Wrong),
            Step::Throttled(retry_after) => return Verification::Throttled { retry_after },
            Step::Join(receiver) => outcome_of(receiver).await,
            Step::Compute {
                rank,
                sender,
                receiver,
            } => {
                self.submit(&guess, rank, stored, password, sender, now);
                outcome_of(receiver).await
            }
        };
        match outcome {
            Some(Outcome::Right) => Verification::Verified,
            Some(Outcome::Wrong) => {
                let delay = self.ledger().delay(&guess, now);
                tokio::time::sleep(delay).await;
                Verification::Refused
            }
            Some(Outcome::Undecided) | None => Verification::Throttled {
                retry_after: BUSY_RETRY_AFTER,
            },
        }
    }

    /// How verifications were answered since the start, for metrics.
    pub fn figures(&self) -> Figures {
        let (waiting, computing) = self.hasher.figures();
        Figures {
            waiting,
            computing,
            ..self.ledger().figures
        }
    }

    /// Hands a guess to the hashing threads. Its outcome is booked there, whether or not the client
    /// still waits for it.
    fn submit(
        &self,
        guess: &Guess,
        rank: u32,
        stored: Option<&PasswordHash>,
        password: &[u8],
        sender: watch::Sender<Option<Outcome>>,
        now: Timestamp,
    ) {
        let is_user = stored.is_some();
        let hash = stored.unwrap_or(&self.dummy).clone();
        let password = Zeroizing::new(password.to_vec());
        let ledger = Arc::clone(&self.ledger);
        let guess = guess.clone();
        let verification: hashing::Verification = Box::new(move |mill| {
            let outcome = match mill.map(|mill| mill.verify(&password, &hash)) {
                Some(Outcome::Right) if !is_user => Outcome::Wrong,
                Some(outcome) => outcome,
                None => {
                    lock(&ledger).turn_away(&guess);
                    let _ = sender.send(Some(Outcome::Undecided));
                    return;
                }
            };
            lock(&ledger).settle(&guess, outcome, now);
            let _ = sender.send(Some(outcome));
        });
        self.hasher.submit_verification(rank, verification);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for an outcome; none when the hashing threads have stopped.
async fn outcome_of(mut receiver: watch::Receiver<Option<Outcome>>) -> Option<Outcome> {
    let outcome = receiver.wait_for(Option::is_some).await.ok()?;
    *outcome
}
