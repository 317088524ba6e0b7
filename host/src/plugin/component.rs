//! A component of the chain that has been loaded: what it is, and how to get an instance of it.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Instance as EngineInstance, InstancePre, Resource};
use wasmtime::{Engine, Store};

use super::answers;
use super::bindings::exports::outpost::policy::{lifecycle, priority_policy, sender_authorization};
use super::breaker::{BreakerStatus, Stage};
use super::context::{Context, Shared, Stop};
use super::contract::Fit;
use super::meter::Meter;
use super::metrics::ComponentMetrics;
use super::section::Outline;
use super::settings::ComponentSettings;
use super::shelf::{self, Shelf};
use super::slots::Slot;
use super::stock::Stock;
use super::ticker::Ticker;
use crate::policy::{Attribute, Decision, Facts, Failure, Placement, Question};

/// What one host call may copy out of a component, in octets: whole headers, not whole memories.
const COPY_OCTETS_MAX: usize = 1 << 20;
/// CPU time for a new instance to come up: interpreters start in a few milliseconds.
const START_CPU_TIME: Duration = Duration::from_millis(500);
/// Time on the wall for a new instance to come up.
const START_WALL_TIME: Duration = Duration::from_secs(5);
/// For the trail, should a component ever be asked what it does not export.
const NO_SUCH_QUESTION: &str = "it does not answer this question";

/// One loaded component.
pub struct Component {
    /// Its place in the configuration.
    pub settings: ComponentSettings,
    /// Its SHA-256, in hexadecimal.
    pub digest: Arc<str>,
    /// Its size in octets.
    pub octets: usize,
    /// What it imports, exports and says about itself.
    pub outline: Outline,
    /// What it answers.
    pub fit: Fit,
    /// Its instances that wait for another transaction.
    pub shelf: Shelf,
    /// Its fresh instances that wait for their transaction.
    pub stock: Stock,
    /// What its instances share.
    pub shared: Arc<Shared>,
    pub(super) pre: InstancePre<Context>,
    pub(super) exports: Exports,
}

/// Where the exported functions are.
pub(super) struct Exports {
    lifecycle: lifecycle::GuestIndices,
    sender: Option<sender_authorization::GuestIndices>,
    priority: Option<priority_policy::GuestIndices>,
}

/// An instance of a component: one transaction's, or one that only shows that it starts. After an
/// error it is never asked again; its owner drops it.
pub struct Instance {
    /// Transactions that it may serve after the present one.
    pub transactions_left: u32,
    store: Store<Context>,
    instance: EngineInstance,
    sender: Option<sender_authorization::Guest>,
    priority: Option<priority_policy::Guest>,
    // After the store, so that the room is free when its next owner gets it.
    _slot: Slot,
}

/// Why an instance did not start.
#[derive(Debug)]
pub enum StartError {
    /// What it does.
    Failure(Failure),
    /// What it is: a type of its exports is not the contract's.
    Mismatch(String),
}

impl Component {
    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// Its numbers.
    pub fn metrics(&self) -> &ComponentMetrics {
        &self.shared.metrics
    }

    /// Whether it is asked, by question.
    pub fn breakers(&self) -> Vec<(Question, BreakerStatus)> {
        let questions = Question::ALL.into_iter();
        questions
            .filter(|question| self.answers(*question))
            .map(|question| (question, self.shared.breaker.status(question)))
            .collect()
    }

    /// Brings the numbers up to date with what the breaker says about a question.
    pub fn show_breaker(&self, question: Question) {
        self.metrics()
            .suspended(question, self.shared.breaker.status(question));
    }

    /// The same about all questions.
    pub fn show_breakers(&self) {
        for question in Question::ALL {
            self.show_breaker(question);
        }
    }

    /// Whether it exports that question.
    pub fn answers(&self, question: Question) -> bool {
        self.fit.answers(question)
    }

    /// A fresh instance.
    ///
    /// # Errors
    /// It does not start, or there is no room for it in the pool.
    pub async fn instantiate(&self, ticker: &Ticker, slot: Slot) -> Result<Instance, Failure> {
        self.start(ticker, slot).await.map_err(|error| match error {
            StartError::Failure(failure) => failure,
            StartError::Mismatch(error) => Failure::Trap(error),
        })
    }

    /// A fresh instance, and in more detail why there is none.
    ///
    /// # Errors
    /// It does not start, there is no room for it in the pool, or it is none of the contract's.
    pub async fn start(&self, ticker: &Ticker, slot: Slot) -> Result<Instance, StartError> {
        let mut store = new_store(self.pre.engine(), Arc::clone(&self.shared));
        let call = open(&mut store, START_CPU_TIME, START_WALL_TIME);
        let instance = call
            .run(ticker, self.pre.instantiate_async(&mut store))
            .await;
        let instance =
            instance.map_err(|error| StartError::Failure(store.data().failure(&error)))?;
        let sender = self.exports.sender.as_ref();
        let sender = sender.map(|indices| indices.load(&mut store, &instance));
        let priority = self.exports.priority.as_ref();
        let priority = priority.map(|indices| indices.load(&mut store, &instance));
        Ok(Instance {
            transactions_left: shelf::draw(self.settings.transactions_max),
            sender: sender
                .transpose()
                .map_err(mismatch("sender-authorization"))?,
            priority: priority.transpose().map_err(mismatch("priority-policy"))?,
            store,
            instance,
            _slot: slot,
        })
    }

    /// Asks a fresh instance what it thinks of its settings: problems by key.
    ///
    /// # Errors
    /// It fails, or its function does not have the contract's type.
    pub async fn check_config(
        &self,
        ticker: &Ticker,
        mut instance: Instance,
    ) -> Result<Vec<(String, String)>, StartError> {
        let Instance {
            store, instance, ..
        } = &mut instance;
        let guest = self
            .exports
            .lifecycle
            .load(&mut *store, instance)
            .map_err(mismatch("lifecycle"))?;
        let call = open(store, START_CPU_TIME, START_WALL_TIME);
        let checked = call.run(ticker, guest.call_check_config(&mut *store)).await;
        let checked = checked.map_err(|error| StartError::Failure(store.data().failure(&error)))?;
        let problems = checked.err().unwrap_or_default().into_iter();
        Ok(problems
            .map(|problem| (problem.key, problem.text))
            .collect())
    }
}

/// The engine's words about a type, which do not say where it stands.
fn mismatch(export: &'static str) -> impl FnOnce(wasmtime::Error) -> StartError {
    move |error| StartError::Mismatch(format!("export {export}: {error:#}"))
}

impl Exports {
    /// Looks the functions up, by name and once.
    ///
    /// # Errors
    /// An interface that the component exports lacks a function.
    pub(super) fn find(pre: &InstancePre<Context>, fit: &Fit) -> wasmtime::Result<Self> {
        let sender = fit
            .answers_sender
            .then(|| sender_authorization::GuestIndices::new(pre));
        let priority = fit
            .answers_priority
            .then(|| priority_policy::GuestIndices::new(pre));
        Ok(Self {
            lifecycle: lifecycle::GuestIndices::new(pre)?,
            sender: sender.transpose()?,
            priority: priority.transpose()?,
        })
    }
}

impl Instance {
    /// Asks about the sender.
    ///
    /// # Errors
    /// Why there is no answer; the instance is of no use any more.
    pub async fn authorize(
        &mut self,
        ticker: &Ticker,
        facts: Arc<Facts>,
        notes: Arc<[Attribute]>,
    ) -> Result<Decision, Failure> {
        let call = self.open(Question::Sender, facts, notes);
        let Some(guest) = &self.sender else {
            return Err(Failure::Trap(NO_SUCH_QUESTION.to_owned()));
        };
        let answer = guest.call_authorize(&mut self.store, Resource::new_borrow(0));
        let answer = call.run(ticker, answer).await;
        let answer = answer.map_err(|error| self.store.data().failure(&error));
        self.store.data_mut().close();
        answers::decision(answer?).map_err(Failure::Answer)
    }

    /// Asks how urgent the message is.
    ///
    /// # Errors
    /// Why there is no answer; the instance is of no use any more.
    pub async fn place(
        &mut self,
        ticker: &Ticker,
        facts: Arc<Facts>,
        notes: Arc<[Attribute]>,
    ) -> Result<Option<Placement>, Failure> {
        let call = self.open(Question::Priority, facts, notes);
        let Some(guest) = &self.priority else {
            return Err(Failure::Trap(NO_SUCH_QUESTION.to_owned()));
        };
        let answer = guest.call_place(&mut self.store, Resource::new_borrow(0));
        let answer = call.run(ticker, answer).await;
        let answer = answer.map_err(|error| self.store.data().failure(&error));
        self.store.data_mut().close();
        let placement = answer?.map(answers::placement).transpose();
        placement.map_err(Failure::Answer)
    }

    fn open(&mut self, question: Question, facts: Arc<Facts>, notes: Arc<[Attribute]>) -> Call {
        let limits = self.store.data().shared.limits;
        let stage = Stage::of(question, &facts);
        self.store.data_mut().take(stage, facts, notes);
        open(&mut self.store, limits.cpu_time, limits.wall_time)
    }
}

fn new_store(engine: &Engine, shared: Arc<Shared>) -> Store<Context> {
    let mut store = Store::new(engine, Context::new(shared));
    store.limiter(|context| context);
    store.set_hostcall_fuel(COPY_OCTETS_MAX);
    store.epoch_deadline_callback(|store| store.data().tick());
    store
}

/// Opens a question with these budgets. The deadline is the next tick: each tick looks at both.
fn open(store: &mut Store<Context>, cpu_time: Duration, wall_time: Duration) -> Call {
    store.set_epoch_deadline(1);
    let context = store.data_mut();
    context.open(cpu_time, wall_time);
    Call {
        meter: Arc::clone(&context.meter),
        wait_max: context.wasi.is_some().then_some(wall_time),
    }
}

/// One call into an instance.
struct Call {
    meter: Arc<Meter>,
    /// How long it may wait. No function of the contract waits, so only WASI needs a bound: a guest that
    /// waits sees no ticks.
    wait_max: Option<Duration>,
}

impl Call {
    /// Makes the call: the epoch moves while it lasts, and its CPU time is measured.
    async fn run<T>(
        self,
        ticker: &Ticker,
        call: impl Future<Output = wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        let _running = ticker.run();
        let call = self.meter.measure(call);
        match self.wait_max {
            None => call.await,
            Some(time) => match tokio::time::timeout(time, call).await {
                Ok(answer) => answer,
                Err(_) => Err(Stop::Waited.into()),
            },
        }
    }
}
