//! What the relay keeps for one instance while it lives, and the bounds on what it may use.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::breaker::{Breaker, Stage};
use super::meter::Meter;
use super::metrics::{ComponentMetrics, Dropped};
use super::settings::{Limits, Wasi};
use super::turns::{LONG, Turn, Turns};
use super::wasi::EmptyWasi;
use crate::clock::Clock;
use crate::message::Timestamp;
use crate::policy::{Attribute, Facts, Failure};

/// Lines of the log that one question may write, as the contract says.
const LINES_MAX: u32 = 32;
/// Core instances of one component: a Python interpreter is more than twenty.
const INSTANCES_MAX: usize = 64;
/// Memories of one component: one for each language runtime in it, with room.
const MEMORIES_MAX: usize = 8;
/// Tables of one component.
const TABLES_MAX: usize = 32;
/// Elements of one table, as many as the pool has room for: functions of a large program.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;

/// What a question waits for at a tick.
type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all instances of one component share with the relay.
#[derive(Debug)]
pub struct Shared {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its own settings.
    pub config: BTreeMap<String, String>,
    /// What it may use.
    pub limits: Limits,
    /// Whether it is given WASI.
    pub wasi: Wasi,
    /// Its numbers.
    pub metrics: Arc<ComponentMetrics>,
    /// The time, as components see it.
    pub clock: Clock,
    /// How many questions may compute at once when they take long.
    pub turns: Arc<Turns>,
    /// Whether it is asked.
    pub breaker: Breaker,
}

/// The data of one instance's store.
#[derive(Debug)]
pub struct Context {
    /// What it shares with other instances of its component.
    pub shared: Arc<Shared>,
    /// How much CPU time it has used for the present question.
    pub meter: Arc<Meter>,
    /// The transaction that it is asked about; none while it starts.
    pub facts: Option<Arc<Facts>>,
    /// What the components before it left behind.
    pub notes: Arc<[Attribute]>,
    /// What it has of WASI, when it was asked for.
    pub(super) wasi: Option<Box<EmptyWasi>>,
    /// Where the transaction stands; none while the instance starts.
    stage: Option<Stage>,
    /// Whether the breaker let this question through to see what comes of it.
    is_probe: bool,
    turn: Turn,
    now: Option<Timestamp>,
    cpu_time: Duration,
    wall_time: Duration,
    began: Instant,
    host_calls: u64,
    lines: u32,
    lines_dropped: u64,
    memory_octets: usize,
    memory_refused: bool,
}

/// Why the relay ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// CPU time is used up.
    #[error("CPU time used up")]
    CpuTime,
    /// Time on the wall is used up.
    #[error("out of time")]
    WallTime,
    /// It waited in one of WASI's functions for all of its time on the wall.
    #[error("it waited for too long")]
    Waited,
    /// Others like it have failed while it was computing.
    #[error("suspended")]
    Suspended,
    /// Too many calls of the relay's functions.
    #[error("too many host calls")]
    HostCalls,
    /// It asked about a transaction when there is none.
    #[error("there is no transaction")]
    NoTransaction,
}

impl Context {
    /// The context of a new instance, which has not been asked anything.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            meter: Arc::new(Meter::new()),
            facts: None,
            notes: Arc::default(),
            wasi: match shared.wasi {
                Wasi::Refused => None,
                Wasi::Empty => Some(Box::new(EmptyWasi::new(&shared.clock))),
            },
            stage: None,
            is_probe: false,
            turn: Turn::default(),
            now: None,
            cpu_time: Duration::ZERO,
            wall_time: Duration::ZERO,
            began: Instant::now(),
            host_calls: 0,
            lines: 0,
            lines_dropped: 0,
            memory_octets: 0,
            memory_refused: false,
            shared,
        }
    }

    /// Takes the transaction that the next question is about.
    pub fn take(&mut self, stage: Stage, facts: Arc<Facts>, notes: Arc<[Attribute]>) {
        self.is_probe = self.shared.breaker.is_suspended(stage, facts.user_name());
        self.stage = Some(stage);
        self.facts = Some(facts);
        self.notes = notes;
    }

    /// Opens a question: the budgets begin anew, and the time stands still.
    pub fn open(&mut self, cpu_time: Duration, wall_time: Duration) {
        self.meter.reset();
        self.turn.give_back();
        self.cpu_time = cpu_time;
        self.wall_time = wall_time;
        self.began = Instant::now();
        self.now = None;
        self.host_calls = self.shared.limits.host_calls;
        self.lines = LINES_MAX;
        self.lines_dropped = 0;
        self.memory_refused = false;
    }

    /// Closes the question: nothing of the transaction stays with an instance that waits.
    pub fn close(&mut self) {
        self.stage = None;
        self.facts = None;
        self.notes = Arc::default();
        self.turn.give_back();
        if self.lines_dropped > 0 {
            self.shared
                .metrics
                .drop_some(Dropped::Lines, self.lines_dropped);
        }
    }

    /// Counts a call of one of the relay's functions; too many end the question.
    pub fn called(&mut self) -> wasmtime::Result<()> {
        match self.host_calls.checked_sub(1) {
            Some(left) => {
                self.host_calls = left;
                Ok(())
            }
            None => Err(Stop::HostCalls.into()),
        }
    }

    /// The facts of the transaction that is asked about.
    pub fn facts(&self) -> wasmtime::Result<&Facts> {
        self.facts
            .as_deref()
            .ok_or_else(|| Stop::NoTransaction.into())
    }

    /// The time, the same during one question.
    pub fn now(&mut self) -> Timestamp {
        *self.now.get_or_insert_with(|| self.shared.clock.now())
    }

    /// Whether one more line may be written.
    pub fn may_write_line(&mut self) -> bool {
        match self.lines.checked_sub(1) {
            Some(left) => {
                self.lines = left;
                true
            }
            None => {
                self.lines_dropped += 1;
                false
            }
        }
    }

    /// At a tick: goes on after everything else that is ready, sockets included; waits for a turn when
    /// it takes long; or ends the question.
    pub fn tick(&self) -> wasmtime::Result<UpdateDeadline> {
        let used = self.meter.used();
        if used > self.cpu_time {
            return Err(Stop::CpuTime.into());
        }
        let is_long = used >= LONG;
        if is_long && self.is_pointless()() {
            return Err(Stop::Suspended.into());
        }
        let Some(left) = self.wall_time.checked_sub(self.began.elapsed()) else {
            return Err(Stop::WallTime.into());
        };
        let pause: Pause = if is_long && !self.turn.is_held() {
            let turns = &self.shared.turns;
            Box::pin(self.turn.wait(turns, left, self.is_pointless()))
        } else {
            Box::pin(tokio::task::yield_now())
        };
        Ok(UpdateDeadline::YieldCustom(1, pause))
    }

    /// Tells, then and later, whether the component has been suspended since the question began.
    fn is_pointless(&self) -> impl Fn() -> bool + Send + use<> {
        let asked = self.stage.zip(self.facts.clone());
        let asked = asked.filter(|_| !self.is_probe);
        let shared = Arc::clone(&self.shared);
        move || {
            asked.as_ref().is_some_and(|(stage, facts)| {
                let user = facts.user_name();
                shared.breaker.is_suspended(*stage, user)
            })
        }
    }

    /// What an error of the engine means.
    pub fn failure(&self, error: &wasmtime::Error) -> Failure {
        let limits = &self.shared.limits;
        match error.downcast_ref::<Stop>() {
            Some(Stop::CpuTime) => return Failure::CpuTime(self.cpu_time),
            Some(Stop::WallTime) => return Failure::WallTime(self.wall_time),
            // Its own doing, unlike a machine that does not get round to it.
            Some(Stop::Waited) => {
                return Failure::Trap(format!("it waited for {:?} and went on", self.wall_time));
            }
            Some(Stop::Suspended) => return Failure::Suspended,
            Some(Stop::HostCalls) => return Failure::HostCalls(limits.host_calls),
            Some(Stop::NoTransaction) | None => {}
        }
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return Failure::Overload;
        }
        if self.memory_refused {
            return Failure::Memory(limits.memory_octets);
        }
        Failure::Trap(crate::policy::clean_text(
            &error.root_cause().to_string(),
            512,
        ))
    }
}

/// Memory counts over all memories of the instance together.
impl ResourceLimiter for Context {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self
            .memory_octets
            .saturating_add(desired.saturating_sub(current));
        let fits = grown <= self.shared.limits.memory_octets;
        if fits {
            self.memory_octets = grown;
        } else {
            self.memory_refused = true;
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
