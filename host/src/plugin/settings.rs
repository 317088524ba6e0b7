//! What the operator chooses about policy components.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::shipped::SHIPPED;
use crate::policy::{OnFailure, Question};

/// The chain and where compiled components are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The components in the order in which they are asked.
    pub chain: Vec<ComponentSettings>,
    /// The folder for compiled components. Made when missing, for the relay's user alone. None: nothing is
    /// kept, and each start compiles.
    pub cache_dir: Option<PathBuf>,
    /// How many instances there may be.
    pub pool: PoolSettings,
}

/// One component of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentSettings {
    /// Its name in the trail, the log and the metrics; unique in the chain.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// What its failure means; none: defer about senders, skip about urgency.
    pub on_failure: Option<OnFailure>,
    /// Its own settings.
    pub config: BTreeMap<String, String>,
    /// What it may use.
    pub limits: Limits,
    /// Whether it is given WASI.
    pub wasi: Wasi,
    /// How many transactions one instance serves at most; 1: nothing of one is left for the next.
    pub transactions_max: u32,
}

/// What a component is given of WASI, the system interface that the runtimes of some languages want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wasi {
    /// Nothing: importing it is a mistake.
    #[default]
    Refused,
    /// One without files, network and environment.
    Empty,
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One that ships with the relay, by its name.
    Shipped(String),
    /// A file of the operator's.
    File(PathBuf),
    /// One that was deployed while the relay ran.
    Deployed {
        /// The file that it is kept in.
        path: PathBuf,
        /// What its SHA-256 is, in hexadecimal.
        digest: String,
    },
}

/// What one component may use to answer one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time. More is the component's fault.
    pub cpu_time: Duration,
    /// Time on the wall, after its instance is there. More is nobody's fault: the machine is busy.
    pub wall_time: Duration,
    /// Linear memory of one instance, in octets.
    pub memory_octets: usize,
    /// Calls of the relay's functions.
    pub host_calls: u64,
}

/// How many instances there may be, and how long a question waits for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Instances alive at once.
    pub instances: u32,
    /// How many of them may be kept between two questions of a transaction, while its client is
    /// slow; transactions beyond it get a fresh instance for each question.
    pub instances_held: u32,
    /// How long a question waits for a free instance before that is overload.
    pub wait: Duration,
    /// How many questions may compute at once when they take long.
    pub computing: u32,
}

/// The largest memory that a component may be given: address space is reserved for it up front.
pub const MEMORY_OCTETS_MAX: usize = 64 << 20;

impl Settings {
    /// The two components that ship, with their defaults.
    pub fn shipped(cache_dir: PathBuf) -> Self {
        Self {
            chain: SHIPPED
                .map(|shipped| ComponentSettings::shipped(shipped.name))
                .into(),
            cache_dir: Some(cache_dir),
            pool: PoolSettings::default(),
        }
    }
}

impl Wasi {
    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Wasi::Refused => "refused",
            Wasi::Empty => "empty",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Wasi::Refused, Wasi::Empty]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

impl ComponentSettings {
    /// A component that ships with the relay, with the defaults.
    pub fn shipped(name: &str) -> Self {
        Self::new(name, Source::Shipped(name.to_owned()))
    }

    /// A component with the defaults.
    pub fn new(name: &str, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            source,
            on_failure: None,
            config: BTreeMap::new(),
            limits: Limits::default(),
            wasi: Wasi::default(),
            transactions_max: 1,
        }
    }

    /// What a failure of this component means when it is asked that question.
    pub fn on_failure(&self, question: Question) -> OnFailure {
        self.on_failure.unwrap_or(match question {
            // Who may send must be known; how urgent it is has a sensible default.
            Question::Sender => OnFailure::Defer,
            Question::Priority => OnFailure::Skip,
        })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Slow language runtimes need a tenth of it; a hundred stuck sessions still get by.
            cpu_time: Duration::from_millis(50),
            wall_time: Duration::from_secs(2),
            // A Python interpreter needs less than half of it.
            memory_octets: 16 << 20,
            // A rule over a thousand recipients calls a few thousand times at most.
            host_calls: 10_000,
        }
    }
}

/// The threads that the relay has.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            instances: 256,
            instances_held: 128,
            wait: Duration::from_secs(2),
            // Every second thread: the others are for mail.
            computing: u32::try_from(threads() / 2).unwrap_or(u32::MAX).max(1),
        }
    }
}
