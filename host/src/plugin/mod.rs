//! Policy components: loading them, asking them, and keeping them from doing harm.
//!
//! The only module that names wasmtime. A [`Plugins`] is a chain of components; a [`Transaction`]
//! asks them, and what they answer are the plain types of `policy`. A component can refuse or delay
//! mail. It cannot crash, stall, enlarge or open the relay:
//!
//! - one instance per component and transaction, from a pool, dropped at the end or at any error (an
//!   operator may let it serve a few more transactions);
//! - CPU time and time on the wall are told apart and both bounded, and so are memory, tables, stack,
//!   calls of the relay's functions, octets copied out, lines of the log and series of metrics;
//! - questions that take long go on a few at a time, whoever asked for how many;
//! - answers are validated, and a failure is a value whose meaning the operator chose;
//! - a component that fails again and again is not asked for a while, each question and user apart;
//! - it is given the contract in wit/ and nothing else, but for an empty WASI when the operator asks.
//!
//! The combination of answers and the validation rules stand in `policy`; what goes into [`Facts`] is
//! the reception's.
//!
//! [`Facts`]: crate::policy::Facts

mod answers;
mod bindings;
mod breaker;
mod cache;
mod component;
mod context;
mod contract;
pub mod deployed;
mod digest;
mod engine;
mod facts;
mod grants;
mod latency;
mod load;
mod meter;
mod metrics;
mod mismatch;
mod problem;
mod replacement;
mod section;
mod settings;
mod shelf;
mod shipped;
mod slots;
mod status;
mod stock;
mod ticker;
mod transaction;
mod turns;
mod wasi;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use wasmtime::Engine;
use wasmtime::component::Linker;

use self::cache::Cache;
use self::component::Component;
use self::context::Context;
use self::metrics::Metrics;
use self::slots::Slots;
use self::ticker::Ticker;
use self::turns::Turns;
use crate::clock::Clock;
#[cfg(test)]
use crate::policy::Facts;
use crate::policy::Question;
use crate::telemetry::Registry;

pub use self::breaker::{BreakerState, BreakerStatus};
pub use self::contract::VERSION as CONTRACT_VERSION;
pub use self::engine::Allocation;
pub use self::latency::LatencySummary;
pub use self::load::NAME_OCTETS_MAX;
pub use self::problem::{LoadProblem, LoadProblemKind};
pub use self::replacement::Replacement;
pub use self::section::About;
pub use self::settings::{
    ComponentSettings, Limits, MEMORY_OCTETS_MAX, PoolSettings, Settings, Source, Wasi,
};
pub use self::shipped::{SHIPPED, Shipped, is_shipped};
pub use self::status::{ComponentStatus, PoolStatus};
pub use self::transaction::{Authorization, Transaction, Urgency};

/// The chain of policy components that is in force.
pub struct Plugins {
    workshop: Arc<Workshop>,
    chain: ArcSwap<Vec<Arc<Component>>>,
    /// One replacement at a time.
    replacing: Mutex<()>,
    #[cfg(test)]
    stand_in: Option<StandIn>,
}

/// What all components share: made once, at the start.
struct Workshop {
    engine: Engine,
    allocation: Allocation,
    linker: Linker<Context>,
    /// The same with WASI.
    linker_with_wasi: Linker<Context>,
    cache: Cache,
    slots: Slots,
    pool: PoolSettings,
    ticker: Ticker,
    turns: Arc<Turns>,
    clock: Clock,
    metrics: Metrics,
}

/// Answers in the place of components, for tests of others that ask a million times.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(crate) struct StandIn {
    pub sender: fn(&Facts) -> Authorization,
    pub priority: fn(&Facts) -> Urgency,
}

impl Plugins {
    /// Loads the chain: reads, compiles where needed, starts each component once and lets it check
    /// its settings.
    ///
    /// # Errors
    /// Everything that is wrong, each with the component that it is about.
    pub async fn load(
        settings: Settings,
        clock: Clock,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, Vec<LoadProblem>> {
        let metrics = Metrics::register(registry);
        let workshop = Workshop::open(&settings, clock, metrics).map_err(|error| {
            vec![LoadProblem {
                component: None,
                kind: LoadProblemKind::Engine(error),
            }]
        })?;
        let workshop = Arc::new(workshop);
        let chain = load::chain(&workshop, &settings.chain, &[]).await?;
        Ok(Arc::new(Self {
            workshop,
            chain: ArcSwap::from_pointee(chain),
            replacing: Mutex::new(()),
            #[cfg(test)]
            stand_in: None,
        }))
    }

    /// No components, and somebody who answers for them.
    #[cfg(test)]
    pub(crate) async fn standing_in(stand_in: StandIn) -> Arc<Self> {
        let settings = Settings {
            chain: Vec::new(),
            cache_dir: None,
            pool: PoolSettings {
                instances: 1,
                ..PoolSettings::default()
            },
        };
        let clock = Clock::system();
        let loaded = Self::load(settings, clock, &mut Registry::default()).await;
        let mut plugins = loaded.unwrap_or_else(|problems| panic!("{problems:?}"));
        let own = Arc::get_mut(&mut plugins).expect("nobody else has it yet");
        own.stand_in = Some(stand_in);
        plugins
    }

    /// Begins a transaction, which sees the chain of this moment to its end.
    pub fn begin(&self) -> Transaction {
        let begun = Transaction::new(Arc::clone(&self.workshop), self.chain.load_full());
        #[cfg(test)]
        let begun = begun.with_stand_in(self.stand_in);
        begun
    }

    /// What is known about each component of the chain, in its order.
    pub fn status(&self) -> Vec<ComponentStatus> {
        let chain = self.chain.load();
        chain
            .iter()
            .map(|component| component.as_ref().into())
            .collect()
    }

    /// Whether each component of the chain is asked, by question.
    pub fn breakers(&self) -> Vec<(String, Vec<(Question, BreakerStatus)>)> {
        let chain = self.chain.load();
        chain
            .iter()
            .map(|component| (component.name().to_string(), component.breakers()))
            .collect()
    }

    /// The room for instances and how much of it is used.
    pub fn pool(&self) -> PoolStatus {
        let (instances, instances_held) = self.workshop.slots.in_use();
        PoolStatus {
            allocation: self.workshop.allocation,
            instances_max: self.workshop.pool.instances.max(1) as usize,
            instances,
            instances_held,
        }
    }

    /// Closes the breaker of a component; false when there is none of that name.
    pub fn reset_breaker(&self, name: &str) -> bool {
        let chain = self.chain.load();
        let component = chain
            .iter()
            .find(|component| component.name().as_ref() == name);
        if let Some(component) = component {
            component.shared.breaker.reset();
            component.show_breakers();
        }
        component.is_some()
    }
}

impl Workshop {
    fn open(settings: &Settings, clock: Clock, metrics: Metrics) -> Result<Self, String> {
        let cache = match &settings.cache_dir {
            Some(folder) => {
                Cache::open(folder).map_err(|error| format!("{}: {error}", folder.display()))?
            }
            None => Cache::nowhere(),
        };
        let (engine, allocation) = engine::start(&settings.pool)?;
        let linker = engine::linker(&engine).map_err(|error| format!("{error:#}"))?;
        let linker_with_wasi = wasi::linker(&linker).map_err(|error| format!("{error:#}"))?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| error.to_string())?;
        Ok(Self {
            engine,
            allocation,
            linker,
            linker_with_wasi,
            cache,
            slots: Slots::new(settings.pool),
            pool: settings.pool,
            ticker,
            turns: Arc::new(Turns::new(settings.pool.computing)),
            clock,
            metrics,
        })
    }
}
