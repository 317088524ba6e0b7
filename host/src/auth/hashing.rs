//! The hashing threads: argon2id, a bounded number at a time.
//!
//! New hashes (an operator waits for them) go before verifications (anybody can ask for those), and
//! have a queue of their own, so that a flood of logins cannot keep an operator from resetting a
//! password. Verifications wait in the order of their rank, which `waiting` keeps. Each thread keeps the
//! memory that it hashes in for as long as there is work.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::{Error, phc};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use zeroize::Zeroizing;

use super::AuthError;
use super::waiting::Waiting;
use crate::account::PasswordHash;

/// Most new hashes that wait for a thread.
const HASHES_WAITING_MAX: usize = 64;

/// How long a thread without work keeps the memory that it hashes in.
const IDLE_MEMORY: Duration = Duration::from_secs(1);

/// The nice value of the hashing threads. Beside mail at full speed on two processors: 87 % of one for hashes instead of
/// 93 %, and mail loses 25 % instead of 33 %.
#[cfg(target_os = "linux")]
const PRIORITY: i32 = 4;

/// The cost of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Parameters {
    /// The least that argon2 allows: protects nothing, costs nothing. For tests.
    pub const CHEAP: Parameters = Parameters {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
}

/// 19 MiB, 2 passes, 1 lane: what OWASP recommends at least, 30 ms of a core.
impl Default for Parameters {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Right,
    Wrong,
    /// There was no memory, or the hash is none.
    Undecided,
}

/// What a thread hashes with: the parameters of new hashes, and memory. It keeps the memory from one hash to
/// the next: whoever takes 19 MiB for each hash and gives them back leaves several times as much with the
/// allocator.
pub(super) struct Mill {
    parameters: Parameters,
    blocks: Vec<Block>,
}

impl Mill {
    pub(super) fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            blocks: Vec::new(),
        }
    }

    /// Gives the memory back.
    fn release(&mut self) {
        self.blocks = Vec::new();
    }

    fn holds_memory(&self) -> bool {
        self.blocks.capacity() > 0
    }

    /// Hashes a password with a fresh salt.
    pub(super) fn hash(&mut self, password: &[u8]) -> Result<PasswordHash, AuthError> {
        self.try_hash(password)
            .map_err(|error| AuthError::Unavailable(error.to_string()))
    }

    /// Compares a password with a hash, in the parameters of the hash.
    pub(super) fn verify(&mut self, password: &[u8], stored: &PasswordHash) -> Outcome {
        match self.try_verify(password, stored) {
            Ok(true) => Outcome::Right,
            Ok(false) => Outcome::Wrong,
            Err(error) => {
                tracing::error!(%error, "a stored password hash cannot be verified");
                Outcome::Undecided
            }
        }
    }

    fn try_hash(&mut self, password: &[u8]) -> Result<PasswordHash, Error> {
        let Parameters {
            memory_kib,
            passes,
            lanes,
        } = self.parameters;
        let params = Params::new(memory_kib, passes, lanes, None)?;
        let mut salt = [0; phc::Salt::RECOMMENDED_LENGTH];
        getrandom::fill(&mut salt).map_err(|_| Error::Crypto)?;
        let salt = phc::Salt::new(&salt)?;
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let hash = phc::PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: phc::ParamsString::try_from(&params)?,
            salt: Some(salt),
            hash: Some(self.output(algorithm, version, params, &salt, password)?),
        };
        Ok(PasswordHash::new(hash.to_string()))
    }

    fn try_verify(&mut self, password: &[u8], stored: &PasswordHash) -> Result<bool, Error> {
        let stored = phc::PasswordHash::new(stored.as_str())?;
        let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
            return Err(Error::EncodingInvalid);
        };
        let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
        let version = stored.version.map(Version::try_from).transpose()?;
        let params = Params::try_from(&stored)?;
        let version = version.unwrap_or_default();
        let output = self.output(algorithm, version, params, salt, password)?;
        // The comparison takes the same time wherever they differ.
        Ok(output == *expected)
    }

    fn output(
        &mut self,
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salt: &phc::Salt,
        password: &[u8],
    ) -> Result<phc::Output, Error> {
        let octets = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let blocks = params.block_count();
        if self.blocks.len() < blocks {
            self.blocks.resize(blocks, Block::default());
        }
        let argon2 = Argon2::new(algorithm, version, params);
        let mut output = [0; phc::Output::MAX_LENGTH];
        let output = output.get_mut(..octets).ok_or(Error::OutputSize)?;
        argon2.hash_password_into_with_memory(
            password,
            salt,
            output,
            &mut self.blocks[..blocks],
        )?;
        Ok(phc::Output::new(output)?)
    }
}

/// The making of a hash, for a hashing thread.
pub(super) type Job = Box<dyn FnOnce(&mut Mill) + Send>;

/// A verification, for a hashing thread; without a mill when it had to give way to others.
pub(super) type Verification = Box<dyn FnOnce(Option<&mut Mill>) + Send>;

/// The handle to the threads, which end when it goes, leaving what still waits undone.
pub(super) struct Hasher {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// How long a thread without work keeps its memory.
    idle_memory: Duration,
    /// Time that verifications took so far, in microseconds.
    computing: AtomicU64,
}

struct Queue {
    hashes: VecDeque<Job>,
    verifications: Waiting<Verification>,
    is_closed: bool,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.hashes.is_empty() && self.verifications.len() == 0 && !self.is_closed
    }
}

/// Lets other threads have a little more of a busy processor than this one: who logs in waits some milliseconds
/// longer, and mail that flows loses less than what a hash takes.
fn give_way() {
    // On Linux a thread has a priority of its own.
    #[cfg(target_os = "linux")]
    {
        let thread = Some(rustix::thread::gettid());
        if let Err(error) = rustix::process::setpriority_process(thread, PRIORITY) {
            tracing::debug!(%error, "the hashing threads have the priority of all others");
        }
    }
}

/// What a thread does next.
enum Work {
    Hash(Job),
    Verify(Verification),
}

impl Hasher {
    /// Starts the threads.
    pub(super) fn start(
        parameters: Parameters,
        threads: usize,
        waiting_max: usize,
    ) -> Result<Self, AuthError> {
        Self::start_keeping(IDLE_MEMORY, parameters, threads, waiting_max)
    }

    fn start_keeping(
        idle_memory: Duration,
        parameters: Parameters,
        threads: usize,
        waiting_max: usize,
    ) -> Result<Self, AuthError> {
        let hasher = Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(Queue {
                    hashes: VecDeque::new(),
                    verifications: Waiting::new(waiting_max),
                    is_closed: false,
                }),
                changed: Condvar::new(),
                idle_memory,
                computing: AtomicU64::new(0),
            }),
        };
        for _ in 0..threads.max(1) {
            let shared = Arc::clone(&hasher.shared);
            std::thread::Builder::new()
                .name(String::from("argon2"))
                .spawn(move || shared.run(parameters))
                .map_err(|error| AuthError::Unavailable(error.to_string()))?;
        }
        Ok(hasher)
    }

    /// Verifications that wait for a thread, and the time that those before them took.
    pub(super) fn figures(&self) -> (usize, Duration) {
        let waiting = self.shared.queue().verifications.len();
        let computing = self.shared.computing.load(Ordering::Relaxed);
        (waiting, Duration::from_micros(computing))
    }

    /// Hashes a password, and blocks for as long as that takes.
    pub(super) fn hash_now(&self, password: Zeroizing<String>) -> Result<PasswordHash, AuthError> {
        let (sender, receiver) = sync_channel(1);
        self.submit_hash(Box::new(move |mill| {
            // The receiver waits.
            let _ = sender.send(mill.hash(password.as_bytes()));
        }))?;
        let stopped = || AuthError::Unavailable(String::from("the hashing threads have stopped"));
        receiver.recv().map_err(|_| stopped())?
    }

    /// Queues the making of a hash.
    pub(super) fn submit_hash(&self, job: Job) -> Result<(), AuthError> {
        let mut queue = self.shared.queue();
        if queue.hashes.len() >= HASHES_WAITING_MAX {
            return Err(AuthError::Busy);
        }
        queue.hashes.push_back(job);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Queues a verification of that rank: those of a smaller one go first. Where there is no room, it is
    /// the last in order that has to give way, this one or another.
    pub(super) fn submit_verification(&self, rank: u32, verification: Verification) {
        let turned_away = {
            let mut queue = self.shared.queue();
            let turned_away = queue.verifications.push(rank, Instant::now(), verification);
            self.shared.changed.notify_one();
            turned_away
        };
        if let Some(verification) = turned_away {
            verification(None);
        }
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.is_closed = true;
        queue.hashes.clear();
        queue.verifications.clear();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, parameters: Parameters) {
        give_way();
        let mut mill = Mill::new(parameters);
        while let Some(work) = self.next(&mut mill) {
            match work {
                Work::Hash(job) => job(&mut mill),
                Work::Verify(verification) => {
                    let began = Instant::now();
                    verification(Some(&mut mill));
                    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.computing.fetch_add(took, Ordering::Relaxed);
                }
            }
        }
    }

    /// The next piece of work; what has waited for too long is turned away here. While there is none for a
    /// while, the memory of the mill goes back.
    fn next(&self, mill: &mut Mill) -> Option<Work> {
        let mut queue = self.queue();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(verification) = queue.verifications.pop_late(Instant::now()) {
                drop(queue);
                verification(None);
                queue = self.queue();
                continue;
            }
            if let Some(job) = queue.hashes.pop_front() {
                return Some(Work::Hash(job));
            }
            if let Some(verification) = queue.verifications.pop() {
                return Some(Work::Verify(verification));
            }
            if !mill.holds_memory() {
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, waited) = self
                .changed
                .wait_timeout(queue, self.idle_memory)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if waited.timed_out() && queue.is_empty() {
                drop(queue);
                mill.release();
                queue = self.queue();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_hash_is_argon2id_with_its_parameters_and_a_salt_of_its_own() {
        let hash_of = |parameters| Mill::new(parameters).hash(b"secret").unwrap();
        let phc = hash_of(Parameters::default());
        assert!(
            phc.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            phc.as_str()
        );
        assert_ne!(hash_of(Parameters::CHEAP), hash_of(Parameters::CHEAP));
    }

    #[test]
    fn a_hash_is_verified_in_its_own_parameters() {
        let dear = Parameters {
            passes: 2,
            ..Parameters::CHEAP
        };
        let stored = Mill::new(dear).hash(b"secret").unwrap();
        let mut mill = Mill::new(Parameters::CHEAP);
        for (password, outcome) in [
            (&b"secret"[..], Outcome::Right),
            (b"Secret", Outcome::Wrong),
            (b"secret\0", Outcome::Wrong),
            (b"", Outcome::Wrong),
        ] {
            assert_eq!(mill.verify(password, &stored), outcome, "{password:?}");
        }
    }

    #[test]
    fn the_library_agrees_and_memory_is_taken_once() {
        use argon2::password_hash::{PasswordHasher, PasswordVerifier};

        let mut mill = Mill::new(Parameters::CHEAP);
        let ours = mill.hash(b"secret").unwrap();
        let memory = mill.blocks.as_ptr();
        let library = Argon2::default();
        library.verify_password(b"secret", ours.as_str()).unwrap();
        let theirs = Argon2::from(Params::new(8, 2, 1, Some(20)).unwrap());
        let theirs = theirs.hash_password(b"secret").unwrap().to_string();
        let theirs = PasswordHash::new(theirs);
        assert_eq!(mill.verify(b"secret", &theirs), Outcome::Right);
        assert_eq!(mill.verify(b"other", &theirs), Outcome::Wrong);
        assert_eq!(mill.blocks.as_ptr(), memory);
    }

    #[test]
    fn a_thread_without_work_gives_its_memory_back() {
        let hasher = Hasher::start_keeping(Duration::ZERO, Parameters::CHEAP, 1, 2).unwrap();
        let (sender, seen) = channel();
        let hashing = sender.clone();
        hasher
            .submit_hash(Box::new(move |mill| {
                mill.hash(b"secret").unwrap();
                hashing.send(mill.holds_memory()).unwrap();
            }))
            .unwrap();
        assert!(seen.recv().unwrap());
        // A job that comes before the thread has looked whether there is one finds the memory still there.
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            let looking = sender.clone();
            hasher
                .submit_hash(Box::new(move |mill| {
                    looking.send(mill.holds_memory()).unwrap();
                }))
                .unwrap();
            if !seen.recv().unwrap() {
                return;
            }
            std::thread::yield_now();
        }
        panic!("the memory was kept for ten seconds without work");
    }

    #[test]
    fn what_is_no_hash_decides_nothing() {
        let mut mill = Mill::new(Parameters::CHEAP);
        let stored = mill.hash(b"secret").unwrap();
        let (head, _) = stored.as_str().rsplit_once('$').unwrap();
        for text in ["", "secret", "$argon2id$", "$2b$12$abc", head] {
            let outcome = mill.verify(b"secret", &PasswordHash::new(text.to_owned()));
            assert_ne!(outcome, Outcome::Right, "{text}");
        }
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        let parameters = Parameters {
            memory_kib: 0,
            ..Parameters::CHEAP
        };
        assert!(matches!(
            Mill::new(parameters).hash(b""),
            Err(AuthError::Unavailable(_))
        ));
    }

    #[test]
    fn new_hashes_go_first_and_both_queues_are_bounded() {
        let hasher = Hasher::start(Parameters::CHEAP, 1, 2).unwrap();
        let (blocker, blocked) = channel::<()>();
        let (started, has_started) = channel();
        let job: Job = Box::new(move |_| {
            started.send(()).unwrap();
            blocked.recv().unwrap();
        });
        hasher.submit_hash(job).unwrap();
        has_started.recv().unwrap();

        let (sender, order) = channel();
        let noting = |name: &'static str| -> Job {
            let sender = sender.clone();
            Box::new(move |_| sender.send(name).unwrap())
        };
        let login = |rank, name: &'static str, away: &'static str| {
            let sender = sender.clone();
            let verification: Verification = Box::new(move |mill| {
                sender
                    .send(if mill.is_some() { name } else { away })
                    .unwrap();
            });
            hasher.submit_verification(rank, verification);
        };
        login(1, "login 1", "no room for 1");
        login(1, "login 2", "no room for 2");
        login(1, "login 3", "no room for 3");
        assert_eq!(order.recv().unwrap(), "no room for 3");
        login(0, "login 4", "no room for 4");
        assert_eq!(order.recv().unwrap(), "no room for 2");
        for _ in 0..HASHES_WAITING_MAX {
            hasher.submit_hash(noting("hash")).unwrap();
        }
        assert!(matches!(
            hasher.submit_hash(noting("hash")),
            Err(AuthError::Busy)
        ));
        blocker.send(()).unwrap();
        let order: Vec<&str> = order.iter().take(HASHES_WAITING_MAX + 2).collect();
        assert_eq!(order[HASHES_WAITING_MAX..], ["login 4", "login 1"]);
    }

    #[test]
    fn the_threads_end_with_their_handle() {
        let hasher = Hasher::start(Parameters::CHEAP, 2, 2).unwrap();
        let shared = Arc::downgrade(&hasher.shared);
        let (ended, has_ended) = channel::<()>();
        // Held by a job that waits until the handle has gone: it is dropped with its thread's work.
        let (blocker, blocked) = channel::<()>();
        hasher.submit_verification(
            0,
            Box::new(move |_| {
                let _ = blocked.recv();
                drop(ended);
            }),
        );
        drop(hasher);
        drop(blocker);
        assert!(has_ended.recv().is_err());
        while shared.upgrade().is_some() {
            std::thread::yield_now();
        }
    }
}
